#include <bespoke/layers/pooling.hpp>
#include <bespoke/network/network.hpp>

#include "torch_numbers.hpp"

FLOAT_IN_IMPLEMENTATION(pooling)
DOUBLE_IN_INSTANCES(pooling)

using namespace bespoke;
using layer_test::evaluate;
using layer_test::fault_of;
using layer_test::numbers;
using layer_test::require_gradients;

namespace {

constexpr same_padding top_left{.asymmetry_mode = same_padding_mode::top_left_heavy};

/// A layer, an input, and what a reader of the specification finds with pencil and paper.
struct test_case {
    pooling layer;
    shape x, y;
    extent top, left;
};

const std::vector<test_case>& cases() {
    // clang-format off
    static const std::vector<test_case> list{
        {{}, {1, 5, 6}, {1, 3, 4}, 0, 0},
        {{.kernel_size = {2, 2}, .stride = {2, 2}}, {3, 7, 6}, {3, 3, 3}, 0, 0},
        {{.kernel_size = {3, 2}, .stride = {2, 1}, .padding = padded(1, 2, 0, 1)},
         {2, 6, 5}, {2, 4, 5}, 1, 0},
        {{.stride = {2, 2}, .padding = same}, {2, 7, 6}, {2, 4, 3}, 1, 0},
        {{.stride = {2, 2}, .padding = top_left}, {2, 7, 6}, {2, 4, 3}, 1, 1},
        {{.kernel_size = {2, 2}, .padding = top_left}, {1, 2, 2}, {1, 2, 2}, 1, 1},
        {{.kernel_size = {1, 3}, .stride = {2, 3}, .padding = same}, {2, 3, 7}, {2, 2, 3}, 0, 1},
        // the rest of 1 row takes a window of its own
        {{.kernel_size = {2, 2}, .stride = {2, 2}, .padding = include_last_pixel},
         {2, 7, 6}, {2, 4, 3}, 0, 0},
        {{.kernel_size = {3, 3}, .stride = {2, 2}, .padding = valid_complete_padding{{1, 1}}},
         {2, 6, 5}, {2, 4, 3}, 1, 1},
        // ceil((5 + 2 - 2) / 2) + 1 = 4 windows, the last would begin at 5 + 1: dropped
        {{.kernel_size = {2, 2}, .stride = {2, 2}, .padding = valid_complete_padding{{1, 0}}},
         {1, 5, 6}, {1, 3, 3}, 1, 0},
        // padding of the height drops empty windows of the width too: ceil((6 - 1) / 4) + 1 = 3, at 8
        {{.kernel_size = {2, 1}, .stride = {1, 4}, .padding = valid_complete_padding{{1, 0}}},
         {1, 2, 6}, {1, 3, 2}, 1, 0},
        {{.kernel_size = {0, -1}, .stride = {0, 0}, .global_pooling = true}, {3, 4, 5}, {3, 1, 1}, 0, 0},
        {{.padding = padded(1, 1, 1, 1), .global_pooling = true}, {2, 3, 1, 3}, {2, 3, 1, 1}, 0, 0},
        {{.kernel_size = {2, 3}}, {2, 2, 3, 4, 5}, {2, 2, 3, 3, 3}, 0, 0},
        {{.kernel_size = {4, 5}, .stride = {largest_window, 9}}, {2, 4, 7}, {2, 1, 1}, 0, 0},
    };
    // clang-format on
    return list;
}

template <class T>
std::vector<double> naive(const test_case& t, pooling_type type, bool exclude, extent examples,
                          const std::vector<T>& x) {
    const extent h = t.x.from_end(2), w = t.x.from_end(1), channels = examples * t.x.size() / (h * w);
    const extent kh = t.layer.global_pooling ? h : t.layer.kernel_size[0],
                 kw = t.layer.global_pooling ? w : t.layer.kernel_size[1];
    std::vector<double> y;
    for (extent c = 0; c < channels; ++c)
        for (extent i = 0; i < t.y.from_end(2); ++i)
            for (extent j = 0; j < t.y.from_end(1); ++j) {
                double most = -std::numeric_limits<double>::infinity(), sum = 0, squares = 0;
                extent inside = 0;
                for (extent u = 0; u < kh; ++u)
                    for (extent v = 0; v < kw; ++v) {
                        const extent row = i * t.layer.stride[0] + u - t.top,
                                     column = j * t.layer.stride[1] + v - t.left;
                        if (row < 0 || row >= h || column < 0 || column >= w) continue;
                        const double value =
                            static_cast<double>(x[static_cast<std::size_t>((c * h + row) * w + column)]);
                        ++inside;
                        most = std::max(most, value);
                        sum += value;
                        squares += value * value;
                    }
                if (type == pooling_type::max) y.push_back(most);
                if (type == pooling_type::average)
                    y.push_back(sum / static_cast<double>(exclude ? std::max<extent>(inside, 1) : kh * kw));
                if (type == pooling_type::l2) y.push_back(std::sqrt(squares));
            }
    return y;
}

template <class T>
void compare(test_case t, double tolerance) {
    const extent examples = 3;
    const auto x = numbers<T>(examples * t.x.size());
    for (pooling_type type : {pooling_type::max, pooling_type::average, pooling_type::l2})
        for (bool exclude : {false, true}) {
            t.layer.type = type;
            t.layer.avg_pool_exclude_padding = exclude;
            const auto r = evaluate<T>(t.layer, {{t.x, x}});
            INFO("type " << static_cast<int>(type) << (exclude ? " without padding" : ""));
            REQUIRE(r.dimensions() == t.y);
            REQUIRE(layer_test::distance(r.first(), naive(t, type, exclude, examples, x)) < tolerance);
        }
}

constexpr extent huge = extent{1} << 62;

}  // namespace

TEST_CASE("pooling: shapes at compile time") {
    static_assert(pooling{.kernel_size = {2, 2}, .stride = {2, 2}}.output_shape(shape{3, 8, 9}).shapes()[0] ==
                  shape{3, 4, 4});
    static_assert(pooling{.kernel_size = {2, 2}, .stride = {2, 2}, .padding = same}
                      .output_shape(shape{5, 3, 8, 9})
                      .shapes()[0] == shape{5, 3, 4, 5});
    static_assert(pooling{.global_pooling = true}.output_shape(shape{3, 8, 9}).shapes()[0] == shape{3, 1, 1});
    SUCCEED();
}

TEST_CASE("pooling: each window, written out") {
    for (const test_case& t : cases()) {
        INFO("case " << &t - cases().data());
        compare<double>(t, 1e-14);
        compare<float>(t, 1e-6);
    }
}

TEST_CASE("pooling: numbers of PyTorch") {
    const std::vector<layer_test::blob<float>> x{{shape{4, 6, 5}, layer_test::steps<float>(1, 240)}};
    const auto of = [&](const pooling& layer) { return evaluate<float>(layer, x).first(); };
    const layer_test::summary most{96, 57, 51.03125, {1, -0.125, 0.25}, 0},
        average{72, -0.291666667, 6.118923611, {0.020833333, -0.291666667, 0.208333333}, -0.4375},
        inside{72, -0.083333333, 11.977864583, {0.0625, -0.4375, 0.3125}, -0.4375},
        last{72, 29.875, 31.171875, {1, 0.25, 0.625}, -0.25},
        l2{64, 90.957571618, 144.40625, {2.034852575, 1.536025716, 0.819679816}, 0.819679816};
    layer_test::require_summary(of({.kernel_size = {3, 2}, .stride = {2, 1}, .padding = padded(1, 1, 0, 0)}),
                                most, 1e-6);
    layer_test::require_summary(of({.type = pooling_type::average,
                                    .kernel_size = {3, 2},
                                    .stride = {2, 2},
                                    .padding = padded(1, 1, 1, 1)}),
                                average, 1e-6);
    layer_test::require_summary(of({.type = pooling_type::average,
                                    .kernel_size = {3, 2},
                                    .stride = {2, 2},
                                    .padding = padded(1, 1, 1, 1),
                                    .avg_pool_exclude_padding = true}),
                                inside, 1e-6);
    layer_test::require_summary(of({.kernel_size = {2, 2}, .stride = {2, 2}, .padding = include_last_pixel}),
                                last, 1e-6);
    layer_test::require_summary(of({.type = pooling_type::l2, .kernel_size = {3, 2}, .stride = {2, 1}}), l2,
                                1e-6);
}

TEST_CASE("pooling: a window wholly in the padding") {
    const std::vector<layer_test::blob<double>> x{{shape{1, 1, 2}, {-3, -4}}};
    const auto of = [&](pooling_type type, bool exclude) {
        return evaluate<double>(pooling{.type = type,
                                        .kernel_size = {1, 2},
                                        .padding = padded(0, 0, 2, 0),
                                        .avg_pool_exclude_padding = exclude},
                                x)
            .first();
    };
    const double none = -std::numeric_limits<double>::infinity();
    CHECK(of(pooling_type::max, false) == std::vector<double>{none, -3, -3});
    CHECK(of(pooling_type::average, false) == std::vector<double>{0, -1.5, -3.5});
    CHECK(of(pooling_type::average, true) == std::vector<double>{0, -3, -3.5});
    CHECK(of(pooling_type::l2, false) == std::vector<double>{0, 3, 5});
}

TEST_CASE("pooling: gradients") {
    for (test_case t : cases())
        for (pooling_type type : {pooling_type::max, pooling_type::average, pooling_type::l2})
            for (bool exclude : {false, true}) {
                t.layer.type = type;
                t.layer.avg_pool_exclude_padding = exclude;
                INFO("y " << sentence(t.y).view() << ", type " << static_cast<int>(type));
                require_gradients(t.layer, {t.x});
            }
}

TEST_CASE("pooling: gradient where the result has none") {
    const auto gradient = [](const pooling& layer, const std::vector<double>& x,
                             const std::vector<double>& y) {
        std::vector<double> dy(y.size(), 2), dx(x.size(), 10);
        const shape in{1, 1, static_cast<extent>(x.size())}, out{1, 1, static_cast<extent>(y.size())};
        workspace<double> w;
        layer.backward(dynamic_view<const double>{x.data(), in, 1, in.size()},
                       dynamic_view<const double>{y.data(), out, 1, out.size()},
                       dynamic_view<const double>{dy.data(), out, 1, out.size()},
                       dynamic_view<double>{dx.data(), in, 1, in.size()}, no_parameters{}, no_parameters{},
                       w);
        return dx;
    };
    CHECK(gradient({.kernel_size = {1, 3}}, {5, 7, 7, 7}, {7, 7}) == std::vector<double>{10, 14, 10, 10});
    CHECK(gradient({.type = pooling_type::l2, .kernel_size = {1, 2}}, {0, 0, 4}, {0, 4}) ==
          std::vector<double>{10, 10, 12});
}

namespace {
constexpr auto small =
    compose(input{"x", {2, 7, 6}}, pooling{.kernel_size = {2, 2}} | named("a"),
            pooling{.type = pooling_type::average, .stride = {2, 2}, .padding = same} | named("b"),
            pooling{.type = pooling_type::l2, .global_pooling = true} | named("c"));
}

TEST_CASE("pooling: composed and run-time networks give the same bits") {
    network<small> net;
    static_assert(network<small>::plan().blobs[3].dimensions == shape{2, 1, 1});
    REQUIRE(layer_test::same_bits_unrolled(net, numbers<float>(84)));
}

TEST_CASE("pooling: what does not fit is said") {
    const shape x{4, 8, 9};
    CHECK(fault_of(pooling{}, {{8, 9}}) ==
          "layers/0 \"layer\" (pooling): an input [.., channels, height, width] wanted, its shape is [8, 9]");
    CHECK(fault_of(pooling{}, {{4, 8, 0}}) ==
          "layers/0 \"layer\" (pooling): an input that is not empty wanted, its shape is [4, 8, 0]");
    CHECK(fault_of(pooling{.type = static_cast<pooling_type>(3)}, {x}) ==
          "layers/0 \"layer\" (pooling): type 0 to 2 wanted, 3 given");
    CHECK(fault_of(pooling{.kernel_size = {0, 3}}, {x}) ==
          "layers/0 \"layer\" (pooling): kernelSize from 1 to 2147483647 wanted, [0, 3] given");
    CHECK(fault_of(pooling{.stride = {1, huge}}, {x}) ==
          "layers/0 \"layer\" (pooling): stride from 1 to 2147483647 wanted, [1, 4611686018427387904] given");
    CHECK(fault_of(pooling{.padding = padded(0, 0, -1, 0)}, {x}) ==
          "layers/0 \"layer\" (pooling): paddingAmounts from 0 to 2147483647 wanted, [-1, 0] given");
    CHECK(fault_of(pooling{.padding = valid_complete_padding{{-1, 0}}}, {x}) ==
          "layers/0 \"layer\" (pooling): paddingAmounts from 0 to 2147483647 wanted, [-1, 0] given");
    CHECK(fault_of(pooling{.kernel_size = {9, 1}}, {x}) ==
          "layers/0 \"layer\" (pooling): the kernel covers a height of 9, the padded input has 8 (shape [4, "
          "8, 9])");
    CHECK(fault_of(pooling{.kernel_size = {1, 14}, .padding = valid_complete_padding{{0, 2}}}, {x}) ==
          "layers/0 \"layer\" (pooling): the kernel covers a width of 14, the padded input has 13 (shape [4, "
          "8, 9])");
    CHECK(fault_of(pooling{.padding = padded(largest_window, 0, largest_window, 0)}, {x}) ==
          "layers/0 \"layer\" (pooling): its output would have the shape [4, 2147483653, 2147483654]");
}

TEST_CASE("pooling: any hyper-parameters give a shape or a fault") {
    const std::vector<extent> odd{-huge, -1, 0, 1, 2, 3, 1000, largest_window, largest_window + 1, huge};
    const std::vector<shape> xs{{1, 1, 1}, {2, 3, 4}, {6, 1, 1 << 20}, {2, huge, 3}};
    philox random(1);
    const auto pick = [&] {
        return odd[static_cast<std::size_t>(random.uniform() * static_cast<double>(odd.size()))];
    };
    std::size_t shapes = 0, faults = 0;
    for (int i = 0; i < 20000; ++i) {
        pooling p{.kernel_size = {pick(), pick()}, .stride = {pick(), pick()}, .global_pooling = i % 9 == 0};
        const double which = random.uniform();
        if (which < 0.25)
            p.padding = same;
        else if (which < 0.5)
            p.padding = padded(pick(), pick(), pick(), pick());
        else if (which < 0.75)
            p.padding = valid_complete_padding{{pick(), pick()}};
        const auto y = p.output_shape(xs[static_cast<std::size_t>(i) % xs.size()]);
        ++(y ? shapes : faults);
        if (y)
            for (extent e : y.shapes()[0]) REQUIRE(e > 0);
    }
    CHECK(shapes > 10);
    CHECK(faults > 10);
}
