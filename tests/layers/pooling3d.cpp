#include <bespoke/layers/pooling3d.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

using namespace bespoke;
using namespace layer_test;

namespace {

using volume_padding = pooling3d_padding_type;

/// A layer, an input, and what a reader of the specification finds with pencil and paper.
struct volume_case {
    pooling3d layer;
    shape x, y;
    std::array<extent, 3> before;
};

constexpr pooling3d kernel(int depth, int height, int width, int down = 1, int along = 1, int across = 1) {
    return {.kernel_depth = depth,
            .kernel_height = height,
            .kernel_width = width,
            .stride_depth = down,
            .stride_height = along,
            .stride_width = across};
}
constexpr pooling3d padded(pooling3d layer, volume_padding type) {
    layer.padding_type = type;
    layer.custom_padding_front = 1;
    layer.custom_padding_bottom = 2;
    layer.custom_padding_left = 1;
    layer.custom_padding_right = 1;
    return layer;
}

const std::vector<volume_case>& volume_cases() {
    static const std::vector<volume_case> list{
        {kernel(2, 2, 2), {1, 1, 2, 3, 3}, {1, 1, 1, 2, 2}, {0, 0, 0}},
        {kernel(3, 3, 3, 1, 1, 1), {2, 3, 5, 6, 20}, {2, 3, 3, 4, 18}, {0, 0, 0}},
        {kernel(2, 2, 2, 2, 2, 2), {2, 5, 4, 7}, {2, 2, 2, 3}, {0, 0, 0}},
        {kernel(1, 2, 3, 2, 1, 3), {1, 2, 4, 5, 9}, {1, 2, 2, 4, 3}, {0, 0, 0}},
        {padded(kernel(2, 3, 2, 1, 2, 1), volume_padding::custom), {1, 2, 3, 5, 6}, {1, 2, 3, 3, 7}, {1, 0, 1}},
        {padded(kernel(2, 3, 2, 1, 2, 1), volume_padding::valid), {1, 2, 3, 5, 6}, {1, 2, 2, 2, 5}, {0, 0, 0}},
        // 3 with 1 before; (2 - 1) 2 + 3 - 4 = 1, behind; (3 - 1) 3 + 2 - 7 = 1, behind
        {padded(kernel(3, 3, 2, 1, 2, 3), volume_padding::same), {1, 2, 3, 4, 7}, {1, 2, 3, 2, 3}, {1, 0, 0}},
        {padded(kernel(2, 5, 4, 1, 1, 1), volume_padding::same), {2, 3, 4, 7}, {2, 3, 4, 7}, {0, 2, 1}},
        {kernel(3, 4, 5), {1, 2, 3, 4, 5}, {1, 2, 1, 1, 1}, {0, 0, 0}},
        {kernel(1, 1, 1, 2, 2, 2), {1, 3, 11, 3, 11}, {1, 3, 6, 2, 6}, {0, 0, 0}},
    };
    return list;
}

template <class T>
std::vector<double> naive_volumes(const volume_case& t, bool exclude, const std::vector<T>& x) {
    const extent d = t.x.from_end(3), h = t.x.from_end(2), w = t.x.from_end(1);
    const pooling3d& l = t.layer;
    std::vector<double> y;
    for (extent c = 0; c < static_cast<extent>(x.size()) / (d * h * w); ++c)
        for (extent i = 0; i < t.y.product(t.y.rank() - 3, t.y.rank()); ++i) {
            const extent ox = i % t.y.from_end(1), oy = i / t.y.from_end(1) % t.y.from_end(2),
                         oz = i / (t.y.from_end(1) * t.y.from_end(2));
            double most = -std::numeric_limits<double>::infinity(), sum = 0;
            extent inside = 0;
            for (extent a = 0; a < l.kernel_depth; ++a)
                for (extent b = 0; b < l.kernel_height; ++b)
                    for (extent e = 0; e < l.kernel_width; ++e) {
                        const extent z = oz * l.stride_depth + a - t.before[0],
                                     row = oy * l.stride_height + b - t.before[1],
                                     column = ox * l.stride_width + e - t.before[2];
                        if (z < 0 || z >= d || row < 0 || row >= h || column < 0 || column >= w) continue;
                        const extent at = ((c * d + z) * h + row) * w + column;
                        const auto v = static_cast<double>(x[static_cast<std::size_t>(at)]);
                        ++inside;
                        most = std::max(most, v);
                        sum += v;
                    }
            const extent all = l.kernel_depth * l.kernel_height * l.kernel_width;
            y.push_back(l.type == pooling_type3d::max
                            ? most
                            : sum / static_cast<double>(exclude ? std::max<extent>(inside, 1) : all));
        }
    return y;
}

}  // namespace

TEMPLATE_TEST_CASE("pooling3d: each window, written out", "", float, double) {
    for (volume_case t : volume_cases())
        for (pooling_type3d type : {pooling_type3d::max, pooling_type3d::average})
            for (bool exclude : {false, true}) {
                t.layer.type = type;
                t.layer.count_exclude_padding = exclude;
                const auto x = numbers<TestType>(2 * t.x.size());
                INFO(sentence(t.x, " to ", t.y, " type ", static_cast<int>(type)).view());
                const auto got = evaluate<TestType>(t.layer, {{t.x, x}});
                REQUIRE(got.dimensions() == t.y);
                REQUIRE(distance(got.first(), naive_volumes(t, exclude, x)) < 1e-6);
                if (std::is_same_v<TestType, double> && t.x.size() < 200) require_gradients(t.layer, {t.x});
            }
}

TEST_CASE("pooling3d, global_pooling3d: the specification's examples") {
    const std::vector<float> x{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18};
    CHECK(evaluate<float>(kernel(2, 2, 2), {{{1, 1, 2, 3, 3}, x}}).first() == std::vector<float>{14, 15, 17, 18});
    const auto largest = evaluate<float>(global_pooling3d{}, {{{1, 1, 2, 3, 3}, x}});
    CHECK(largest.dimensions() == shape{1, 1, 1, 1, 1});
    CHECK(largest.first() == std::vector<float>{18});
    CHECK(evaluate<float>(global_pooling3d{.type = pooling_type3d::average}, {{{1, 1, 2, 3, 3}, x}}).first() ==
          std::vector<float>{9.5});
}

TEST_CASE("global_pooling3d: each channel, and gradients") {
    const shape s{2, 3, 5, 4};
    const auto x = numbers<double>(240);
    std::vector<double> most, mean;
    for (std::size_t c = 0; c < 4; ++c) {
        double sum = 0, best = -2;
        for (std::size_t i = 0; i < 60; ++i) {
            sum += x[c * 60 + i];
            best = std::max(best, x[c * 60 + i]);
        }
        most.push_back(best);
        mean.push_back(sum / 60);
    }
    const auto got = evaluate<double>(global_pooling3d{}, {{s, x}});
    CHECK(got.dimensions() == shape{2, 1, 1, 1});
    CHECK(got.first() == most);
    CHECK(distance(evaluate<double>(global_pooling3d{.type = pooling_type3d::average}, {{s, x}}).first(), mean) <
          1e-14);
    require_gradients(global_pooling3d{}, {{2, 2, 3, 4}});
    require_gradients(global_pooling3d{.type = pooling_type3d::average}, {{2, 2, 3, 4}});
}

TEST_CASE("pooling3d: NaN, and windows wholly in the padding") {
    const double none = -std::numeric_limits<double>::infinity();
    pooling3d layer = kernel(2, 1, 1);
    layer.custom_padding_front = 2;
    const std::vector<blob<double>> x{{shape{1, 2, 1, 1}, {-3, -4}}};
    CHECK(evaluate<double>(layer, x).first() == std::vector<double>{none, -3, -3});
    layer.type = pooling_type3d::average;
    CHECK(evaluate<double>(layer, x).first() == std::vector<double>{0, -1.5, -3.5});
    layer.count_exclude_padding = true;
    CHECK(evaluate<double>(layer, x).first() == std::vector<double>{0, -3, -3.5});
    CHECK(std::isnan(evaluate<double>(kernel(2, 1, 1), {{{1, 2, 1, 1}, {1, std::nan("")}}}).first()[0]));
}

namespace {
inline constexpr auto small_volumes = compose(input{"x", {2, 4, 6, 7}}, kernel(2, 2, 2) | named("a"),
                                      global_pooling3d{.type = pooling_type3d::average} | named("b"));
}

TEST_CASE("pooling3d: composed and run-time networks give the same bits") {
    network<small_volumes> net;
    REQUIRE(same_bits_unrolled(net, numbers<float>(336)));
}

TEST_CASE("pooling3d: faults") {
    const std::string place = "layers/0 \"layer\" (pooling3d): ";
    const shape x{1, 2, 3, 4, 5};
    CHECK(fault_of(pooling3d{}, {{2, 3, 4}}) ==
          place + "an input [.., channels, depth, height, width] wanted, its shape is [2, 3, 4]");
    CHECK(fault_of(pooling3d{}, {{1, 2, 0, 4, 5}}) ==
          place + "an input that is not empty wanted, its shape is [1, 2, 0, 4, 5]");
    CHECK(fault_of(pooling3d{.type = static_cast<pooling_type3d>(2)}, {x}) == place + "type 0 or 1 wanted, 2 given");
    CHECK(fault_of(pooling3d{.padding_type = static_cast<pooling3d_padding_type>(3)}, {x}) ==
          place + "paddingType 0 to 2 wanted, 3 given");
    CHECK(fault_of(pooling3d{.kernel_height = 0}, {x}) == place + "kernelHeight from 1 up wanted, 0 given");
    constexpr std::int32_t much = 2147483647;
    CHECK(fault_of(pooling3d{.kernel_depth = much, .kernel_height = much, .kernel_width = much}, {x}) ==
          place + "a kernel of up to 1099511627776 elements wanted, [2147483647, 2147483647, 2147483647] given");
    CHECK(fault_of(pooling3d{.stride_width = -1}, {x}) == place + "strideWidth from 1 up wanted, -1 given");
    CHECK(fault_of(pooling3d{.custom_padding_back = -1}, {x}) ==
          place + "paddings from 0 up wanted, [0, -1] given for the depth");
    CHECK(fault_of(pooling3d{.kernel_height = 6, .custom_padding_top = 1}, {x}) ==
          place + "the kernel covers a height of 6, the padded input has 5 (shape [1, 2, 3, 4, 5])");
    CHECK(fault_of(global_pooling3d{}, {{1, extent{1} << 33, 1, 1}}) ==
          "layers/0 \"layer\" (globalPooling3d): extents up to 2147483647 wanted, its shape is [1, 8589934592, 1, 1]");
    CHECK(fault_of(global_pooling3d{}, {{2, 3, 4}}) ==
          "layers/0 \"layer\" (globalPooling3d): an input [.., channels, depth, height, width] wanted, its shape is "
          "[2, 3, 4]");
    constexpr std::int32_t most = std::numeric_limits<std::int32_t>::max();
    for (std::int32_t v : {-most - 1, -1, 0, 1, 2, most})
        for (std::int32_t u : {1, most}) {
            ask_everything(pooling3d{.kernel_depth = u, .stride_height = v, .custom_padding_left = v});
            ask_everything(
                pooling3d{.kernel_width = v, .stride_depth = u, .padding_type = volume_padding::same});
        }
    ask_everything(global_pooling3d{.type = pooling_type3d::average});
}
