#include <bespoke/network/decide.hpp>

#include <bespoke/training/trainer.hpp>

#include "../training_instances.hpp"
#include "network_test.hpp"

using namespace network_test;

namespace {

using floats = std::vector<float>;

/// The rows of x that begin with something else than 0, through a layer with weights, and their sum.
inline constexpr auto rows =
    compose(input{"x", {4, 3}},
            slice_static{.begin_ids = {0, 0}, .end_ids = {4, 1}, .squeeze_masks = {false, true}} | named("first"),
            where_non_zero{} | named("where"), gather{.axis = 0} | from("x", "where") | named("taken"),
            squeeze{.axes = {1}} | named("rows"), inner_product{.output_channels = 5} | named("fc"),
            relu{} | named("y"), output{"y"}, output{"rows"});

/// y begins empty and grows by x in each of n iterations.
inline constexpr auto growing =
    compose(input{"n", {1}}, input{"x", {1, 2}}, fill_static{0, {0, 2}} | named("y"),
            loop{compose(concat_nd{.axis = 0} | from("y", "x") | named("longer"), copy{} | from("longer") | to("y"))} |
                from("n"),
            reduce_sum{.axes = {0}, .keep_dims = true} | from("y") | named("sum"), output{"y"}, output{"sum"});

/// What is made in a loop may not be there behind it.
inline constexpr auto perhaps = compose(
    input{"n", {1}}, input{"x", {3}}, loop{compose(where_non_zero{} | from("x") | named("w"))} | from("n"),
    relu{} | from("w") | named("y"));

/// c chooses between x, of 2 elements, and z, of 3.
inline constexpr auto either =
    compose(input{"c", {1}}, input{"x", {2}}, input{"z", {3}},
            branch{compose(copy{} | from("x") | to("y")), compose(copy{} | from("z") | to("y"))} | from("c"),
            linear{2, 0} | from("y") | named("twice"));

inline constexpr auto filled_as_told = compose(input{"s", {2}}, fill_dynamic{3});

/// A loop as long as a number that is made of an open blob.
inline constexpr auto counting =
    compose(input{"x", {4}}, fill_static{0, {1}} | named("i"), where_non_zero{} | from("x") | named("w"),
            get_shape{} | from("w") | named("s"),
            slice_static{.begin_ids = {0}, .end_ids = {1}} | from("s") | named("rows"),
            loop{compose(linear{1, 1} | from("i") | named("next"), copy{} | from("next") | to("i"))} | from("rows"),
            output{"i"});

/// What has weights, and as much more as a shape has elements.
inline constexpr auto shifted = compose(
    input{"s", {2}}, input{"x", {3}}, inner_product{.output_channels = 2} | from("x") | named("fc"),
    fill_dynamic{1} | from("s") | named("ones"), reduce_sum{.axes = {0, 1}} | named("count"),
    add_broadcastable{} | from("fc", "count") | named("y"), output{"y"});

template <class Run>
std::string failure(const Run& run) {
    try {
        run();
    } catch (const error& problem) {
        return problem.what();
    }
    return {};
}

/// The outputs of both doors, which must be the same bits; their shapes too.
template <const auto& D>
class both {
public:
    both() : loaded(program_of(D)) { copy_parameters(composed, loaded); }

    std::vector<floats> operator()(const std::vector<floats>& inputs) {
        const auto outputs = run(loaded, inputs);
        shapes.clear();
        for (std::size_t b : loaded.plan().outputs) shapes.push_back(loaded.plan().blobs[b].dimensions);
        std::vector<floats> mine;
        std::vector<shape> my_shapes;
        const auto keep = [&](const auto& y) {
            mine.push_back(to_vector(y));
            shape s;
            for (auto e : y.shape()) s.push_back(static_cast<extent>(e));
            my_shapes.push_back(s);
        };
        const auto call = [&]<std::size_t... I>(std::index_sequence<I...>) { return composed(inputs[I]...); };
        const auto results = call(std::make_index_sequence<network<D>::plan().inputs.size()>{});
        if constexpr (network<D>::plan().outputs.size() == 1)
            keep(results);
        else
            std::apply([&](const auto&... y) { (keep(y), ...); }, results);
        REQUIRE(mine.size() == outputs.size());
        for (std::size_t i = 0; i < mine.size(); ++i) REQUIRE(same_bits(mine[i], outputs[i]));
        REQUIRE(my_shapes == shapes);
        return outputs;
    }

    network<D> composed{3};
    program loaded;
    std::vector<shape> shapes;
};

}  // namespace

TEST_CASE("rows that are chosen in the run go through a layer with weights") {
    both<rows> net;
    const floats x = numbers(12);
    const auto pick = [&](const std::vector<int>& wanted) {
        floats in = x, taken;
        for (int row = 0; row < 4; ++row) {
            const bool is = std::find(wanted.begin(), wanted.end(), row) != wanted.end();
            if (!is) in[static_cast<std::size_t>(3 * row)] = 0;
            if (is) taken.insert(taken.end(), in.begin() + 3 * row, in.begin() + 3 * row + 3);
        }
        const auto came = net({in});
        REQUIRE(net.shapes ==
                std::vector<shape>{{static_cast<extent>(wanted.size()), 5}, {static_cast<extent>(wanted.size()), 3}});
        REQUIRE(same_bits(came[1], taken));
        const auto weights = net.composed.parameter("fc", "weights"), bias = net.composed.parameter("fc", "bias");
        for (std::size_t row = 0; row < wanted.size(); ++row)
            for (std::size_t o = 0; o < 5; ++o) {
                double sum = static_cast<double>(bias[o]);
                for (std::size_t i = 0; i < 3; ++i)
                    sum += static_cast<double>(weights[o * 3 + i]) * static_cast<double>(taken[row * 3 + i]);
                REQUIRE(came[0][row * 5 + o] == Approx(std::max(sum, 0.0)).margin(1e-6));
            }
    };
    pick({0, 2});
    pick({1});
    pick({});
    pick({0, 1, 2, 3});
    // weights that change are seen, in a shape that was there before as well
    for (float& w : net.composed.parameter("fc", "weights")) w += 1;
    net.composed.prepare();
    copy_parameters(net.composed, net.loaded);
    pick({0, 1, 2, 3});
    net.composed.use(arithmetic{});
    net.loaded.use_threads(3);
    pick({0, 2});
    program copied = net.loaded;
    floats in = x;
    in[0] = 0;
    REQUIRE(same_bits(run(copied, {in})[0], run(net.loaded, {in})[0]));
}

TEST_CASE("a loop carries a blob on that grows") {
    both<growing> net;
    for (float n : {3.0F, 0.0F, 1.0F, 5.0F, 2.0F}) {
        const auto came = net({{n}, {1, 2}});
        REQUIRE(net.shapes == std::vector<shape>{{static_cast<extent>(n), 2}, {1, 2}});
        REQUIRE(came[1] == floats{n, 2 * n});
    }
    // memory that was enough once is enough again
    const std::size_t y = net.loaded.plan().outputs[0];
    run(net.loaded, {{5}, {1, 2}});
    const float* const at = net.loaded.core().value(y);
    run(net.loaded, {{2}, {1, 2}});
    run(net.loaded, {{5}, {1, 2}});
    REQUIRE(net.loaded.core().value(y) == at);
}

TEST_CASE("the sides of a branch write different shapes") {
    both<either> net;
    REQUIRE(net({{1}, {1, 2}, {3, 4, 5}}) == std::vector<floats>{{2, 4}});
    REQUIRE(net({{0}, {1, 2}, {3, 4, 5}}) == std::vector<floats>{{6, 8, 10}});
    REQUIRE(net({{1}, {1, 2}, {3, 4, 5}}) == std::vector<floats>{{2, 4}});
}

TEST_CASE("a number that follows from an open shape counts a loop") {
    both<counting> net;
    REQUIRE(net({{1, 0, 2, 3}}) == std::vector<floats>{{3}});
    REQUIRE(net({{0, 0, 0, 0}}) == std::vector<floats>{{0}});
}

TEST_CASE("what goes wrong in the run is told with its place, and the next run is none the worse") {
    both<filled_as_told> net;
    REQUIRE(net({{2, 3}}) == std::vector<floats>{floats(6, 3)});
    const std::string place = "layers/0 (fillDynamic): ";
    for (const auto& [values, what] :
         {std::pair<floats, std::string>{{-1, 2}, "a shape from 0 up wanted, [-1, 2] given"},
          {{0.5F, 2}, "a shape of whole numbers wanted"},
          {{1e9F, 1e9F}, "its output would have the shape [1000000000, 1000000000]"},
          {{0, 1e15F}, "its output would have the shape [0, 999999986991104]"}}) {
        REQUIRE(failure([&, &v = values] { run(net.loaded, {v}); }) == place + what);
        REQUIRE(failure([&, &v = values] { net.composed(v); }) == place + what);
        REQUIRE(net({{1, 2}}) == std::vector<floats>{{3, 3}});
    }
    REQUIRE(failure([&] { run(net.loaded, {{1, 2, 3, 4}}); }) ==
            "one example at a time wanted, as shapes are decided in the run, 2 came");
    REQUIRE(net({{1, 2}}) == std::vector<floats>{{3, 3}});
}

TEST_CASE("a training that fails in the run leaves a network that predicts") {
    network<shifted> net(1);
    const floats s{1, 2, -1, 2}, x = numbers(6), targets(4);
    const std::span first(x.data(), 3);
    const floats before = to_vector(net(floats{1, 2}, first));
    {
        trainer<float> training(net, {mean_squared_error{"y"}}, sgd{}, train::all_layers);
        training.load(2, std::vector<example_data<float>>{s, x}, std::vector<example_data<float>>{targets});
        const std::vector<std::size_t> all{0, 1};
        const std::string what = "layers/1 \"ones\" (fillDynamic): a shape from 0 up wanted, [-1, 2] given";
        CHECK(failure([&] { training.gradient(all); }) == what);
        CHECK(net.core().predicts());
        CHECK(failure([&] { training.evaluate(all); }) == what);
        CHECK(net.core().predicts());
    }
    CHECK(same_bits(to_vector(net(floats{1, 2}, first)), before));
}

TEST_CASE("a blob that a loop would have made has no shape where it did not run") {
    both<perhaps> net;
    REQUIRE(net({{1}, {0, 1, 2}}) == std::vector<floats>{{1, 2}});
    REQUIRE(failure([&] { net.composed(floats{0}, floats{0, 1, 2}); }) ==
            "layers/1 \"y\" (activation.ReLU): its input \"w\" has no shape yet: the loop that makes it has not run");
    REQUIRE(net({{2}, {0, 1, 0}}) == std::vector<floats>{{1}});
}
