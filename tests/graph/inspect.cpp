#include <bespoke/graph/inspect.hpp>

// The networks that the benchmarks measure: real sizes.
#include "../../benchmarks/networks/bert.hpp"
#include "../../benchmarks/networks/images.hpp"
#include "graph_test.hpp"

using namespace graph_test;

TEST_CASE("a plan as a table for a reader") {
    planner p;
    const auto net = bespoke::compose(
        bespoke::input{"image", {3, 20, 20}}, bespoke::convolution{.output_channels = 4} | bespoke::named("conv"),
        bespoke::batchnorm{}, bespoke::relu{}, bespoke::flatten{},
        bespoke::inner_product{.output_channels = 10} | bespoke::named("fc"));
    net.plan(p);
    p.finish();
    CHECK(bespoke::inspect(p.result().view()) ==
          "step                           output        bytes  at    parameters\n"
          "input \"image\"                  [3, 20, 20]   4800   5184\n"
          "layers/0 \"conv\" (convolution)  [4, 18, 18]   5184   0     112\n"
          "+ layers/1 (batchnorm)         [4, 18, 18]   5184   0     16\n"
          "+ layers/2 (activation.ReLU)   [4, 18, 18]   5184   0\n"
          "layers/3 (flatten)             [1296, 1, 1]  5184   0\n"
          "layers/4 \"fc\" (innerProduct)   [10, 1, 1]    64     5184  12970\n"
          "9984 bytes of blobs an example, 0 once (at least 9984 are alive at one step), 52672 of parameters\n");
}

TEST_CASE("an attention: its steps behind the first, and scores that lie nowhere") {
    planner p;
    const auto net = bespoke::compose(
        bespoke::input{"q", {2, 40, 8}}, bespoke::input{"k", {2, 50, 8}}, bespoke::input{"v", {2, 50, 4}},
        bespoke::input{"mask", {1, 1, 50}},
        bespoke::batched_matmul{.transpose_b = true} | bespoke::from("q", "k") | bespoke::named("scores"),
        bespoke::multiply{.alpha = 0.5f} | bespoke::named("scaled"),
        bespoke::add{} | bespoke::from("scaled", "mask") | bespoke::named("masked"),
        bespoke::softmax_nd{} | bespoke::named("shares"),
        bespoke::batched_matmul{} | bespoke::from("shares", "v") | bespoke::named("y"));
    net.plan(p);
    p.finish();
    CHECK(bespoke::inspect(p.result().view()) ==
          "step                               output       bytes  at       parameters\n"
          "input \"q\"                          [2, 40, 8]   2560   3200\n"
          "input \"k\"                          [2, 50, 8]   3200   0\n"
          "input \"v\"                          [2, 50, 4]   1600   5760\n"
          "input \"mask\"                       [1, 1, 50]   256    8640\n"
          "layers/0 \"scores\" (batchedMatmul)  [2, 40, 50]  16000  nowhere\n"
          "+ layers/1 \"scaled\" (multiply)     [2, 40, 50]  16000  nowhere\n"
          "+ layers/2 \"masked\" (add)          [2, 40, 50]  16000  nowhere\n"
          "+ layers/3 \"shares\" (softmaxND)    [2, 40, 50]  16000  nowhere\n"
          "+ layers/4 \"y\" (batchedMatmul)     [2, 40, 4]   1280   7360\n"
          "8896 bytes of blobs an example, 0 once (at least 8896 are alive at one step), 0 of parameters\n");
}

TEST_CASE("planes that are taken as they come lie nowhere") {
    planner p;
    const auto net = bespoke::compose(
        bespoke::input{"image", {1, 28, 28}}, bespoke::convolution{.output_channels = 4} | bespoke::named("conv"),
        bespoke::relu{}, bespoke::pooling{.kernel_size = {2, 2}, .stride = {2, 2}} | bespoke::named("halves"));
    net.plan(p);
    p.finish();
    CHECK(bespoke::inspect(p.result().view()) ==
          "step                           output       bytes  at       parameters\n"
          "input \"image\"                  [1, 28, 28]  3136   0\n"
          "layers/0 \"conv\" (convolution)  [4, 26, 26]  10816  nowhere  40\n"
          "+ layers/1 (activation.ReLU)   [4, 26, 26]  10816  nowhere\n"
          "layers/2 \"halves\" (pooling)    [4, 13, 13]  2752   3136\n"
          "5888 bytes of blobs an example, 0 once (at least 5888 are alive at one step), 256 of parameters\n");
}

TEST_CASE("what is stored once, and layers of several outputs") {
    CHECK(bespoke::inspect(planned([](planner& p) {
              p.input("x", {2});
              append(p, given{{3}}, {}, {"g"});
              append(p, joined{2}, {"x", "g"}, {"a", "b"}, "j");
              p.output("a");
              p.output("b");
          }).view()) ==
          "step                   output    bytes   at       parameters\n"
          "input \"x\"              [2]       64      0\n"
          "layers/0 (given)       [3]       64      0 once\n"
          "layers/1 \"j\" (joined)  [2]; [2]  64; 64  64; 128\n"
          "192 bytes of blobs an example, 64 once (at least 256 are alive at one step), 0 of parameters\n");
}

TEST_CASE("what is joined lies elsewhere where one example is predicted alone") {
    planner p;
    const auto net = bespoke::compose(
        bespoke::input{"x", {8, 4, 4}}, bespoke::convolution{.output_channels = 16} | bespoke::named("c"),
        bespoke::convolution{.output_channels = 16} | bespoke::from("x") | bespoke::named("d"),
        bespoke::concat{} | bespoke::from("c", "d") | bespoke::named("j"));
    net.plan(p);
    p.finish();
    CHECK(bespoke::inspect(p.result().view()) ==
          "step                        output      bytes  at            parameters\n"
          "input \"x\"                   [8, 4, 4]   512    0\n"
          "layers/0 \"c\" (convolution)  [16, 2, 2]  256    512           1168\n"
          "layers/1 \"d\" (convolution)  [16, 2, 2]  256    768           1168\n"
          "layers/2 \"j\" (concat)       [32, 2, 2]  512    0, alone 512\n"
          "1024 bytes of blobs an example, 0 once (at least 1024 are alive at one step), 9344 of parameters\n");
}

TEST_CASE("what is decided in the run lies beside the arena") {
    planner p;
    const auto net = bespoke::compose(
        bespoke::input{"x", {8}}, bespoke::where_non_zero{} | bespoke::named("w"),
        bespoke::squeeze{.axes = {1}} | bespoke::named("places"),
        bespoke::fill_dynamic{} | bespoke::from("places") | bespoke::named("filled"), bespoke::input{"shape", {3}},
        bespoke::fill_dynamic{} | bespoke::from("shape") | bespoke::named("also"));
    net.plan(p);
    p.finish();
    CHECK(bespoke::inspect(p.result().view()) ==
          "step                             output     bytes  at      parameters\n"
          "input \"x\"                        [8]        64     0\n"
          "input \"shape\"                    [3]        64     64\n"
          "layers/0 \"w\" (whereNonZero)      [?, 1]     ?      beside\n"
          "layers/1 \"places\" (squeeze)      [?]        ?      beside\n"
          "layers/2 \"filled\" (fillDynamic)  ?          ?      beside\n"
          "layers/3 \"also\" (fillDynamic)    [?, ?, ?]  ?      beside\n"
          "128 bytes of blobs an example, 0 once (at least 128 are alive at one step), 0 of parameters\n");
}

TEST_CASE("the arena of real networks is near the largest set of blobs that live at once") {
    const auto near = [](const auto& network) {
        planner p;
        network.plan(p);
        p.finish();
        REQUIRE_FALSE(p.failed());
        const auto plan = p.result().view();
        const auto arena = (plan.arena_size + plan.shared_size) * static_cast<extent>(sizeof(float));
        const extent least = bespoke::largest_live_set(plan);
        CAPTURE(arena, least);
        CHECK(arena >= least);
        CHECK(static_cast<double>(arena) <= 1.2 * static_cast<double>(least));
    };
    near(bespoke::benchmarks::resnet50);
    near(bespoke::benchmarks::mobilenetv2);
    near(bespoke::benchmarks::bert_base_128);
    near(bespoke::benchmarks::bert_base_384);
}
