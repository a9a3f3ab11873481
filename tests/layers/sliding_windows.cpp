#include <bespoke/layers/sliding_windows.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

using namespace bespoke;
using namespace layer_test;

TEST_CASE("sliding_windows: by hand") {
    auto got = evaluate<float>(sliding_windows{.window_size = 3, .step = 2}, {{{6}, counted(6)}});
    REQUIRE(got.dimensions() == shape{2, 3});
    REQUIRE(got.first() == std::vector<float>{0, 1, 2, 2, 3, 4});
    got = evaluate<float>(sliding_windows{.axis = 1, .window_size = 2}, {{{1, 3, 2}, counted(6)}});
    REQUIRE(got.dimensions() == shape{1, 2, 2, 2});
    REQUIRE(got.first() == std::vector<float>{0, 1, 2, 3, 2, 3, 4, 5});
    constexpr extent huge = std::numeric_limits<extent>::max();
    got =
        evaluate<float>(sliding_windows{.axis = -1, .window_size = 1, .step = huge}, {{{2, 3}, counted(6)}});
    REQUIRE(got.dimensions() == shape{2, 1, 1});
    REQUIRE(got.first() == std::vector<float>{0, 3});
}

TEST_CASE("sliding_windows: element by element") {
    const shape s{3, 40, 17};
    const std::vector<double> x = numbers<double>(2 * s.size());
    for (extent axis : {extent{0}, extent{1}, extent{-1}})
        for (extent size : {1, 2, 3})
            for (extent step : {1, 2, 5}) {
                CAPTURE(axis, size, step);
                const auto along = static_cast<std::size_t>(axis < 0 ? axis + 3 : axis);
                const auto got = evaluate<double>(sliding_windows{axis, size, step}, {{s, x}});
                const extent n = s[along], inner = s.product(along + 1, 3), windows = (n - size) / step + 1;
                REQUIRE(got.dimensions()[along] == windows);
                REQUIRE(got.dimensions()[along + 1] == size);
                std::vector<double> expected;
                for (extent o = 0; o < 2 * s.product(0, along); ++o)
                    for (extent m = 0; m < windows; ++m)
                        for (extent j = 0; j < size; ++j)
                            for (extent i = 0; i < inner; ++i)
                                expected.push_back(
                                    x[static_cast<std::size_t>((o * n + m * step + j) * inner + i)]);
                REQUIRE(got.first() == expected);
            }
}

TEST_CASE("sliding_windows: gradients, overlapping or not") {
    for (extent size : {1, 2, 4, 5})
        for (extent step : {1, 2, 3, 7}) {
            require_gradients(sliding_windows{.axis = 0, .window_size = size, .step = step}, {{5}});
            require_gradients(sliding_windows{.axis = 1, .window_size = size, .step = step}, {{2, 6, 2}});
        }
}

TEST_CASE("sliding_windows: gradients are the same bits on any number of threads") {
    const sliding_windows layer{.axis = 0, .window_size = 50, .step = 3};
    const shape x{400, 7}, y{117, 50, 7};
    const auto dy = numbers<float>(y.size());
    const auto run = [&](std::size_t n) {
        thread_pool threads(n);
        std::vector<float> dx(static_cast<std::size_t>(x.size()), 0.1f);
        workspace<float> w{nullptr, nullptr, &threads};
        const dynamic_view<const float> from{dy.data(), y, 1, y.size()}, nothing{};
        layer.backward(nothing, from, from, dynamic_view<float>{dx.data(), x, 1, x.size()}, no_parameters{},
                       no_parameters{}, w);
        return dx;
    };
    REQUIRE(same_bits(run(1), run(2)));
    REQUIRE(same_bits(run(1), run(5)));
}

TEST_CASE("sliding_windows: faults") {
    const std::string place = "layers/0 \"layer\" (slidingWindows): ";
    REQUIRE(fault_of(sliding_windows{2, 1}, {{3, 4}}) ==
            place + "an axis of its input wanted, 2 given for the shape [3, 4]");
    for (extent size : {extent{0}, extent{5}})
        REQUIRE(fault_of(sliding_windows{1, size}, {{3, 4}}) ==
                place + "a windowSize from 1 to 4 wanted, the extent of axis 1 in the shape [3, 4], " +
                    std::to_string(size) + " given");
    REQUIRE(fault_of(sliding_windows{1, 2, 0}, {{3, 4}}) == place + "a step from 1 up wanted, 0 given");
    REQUIRE(fault_of(sliding_windows{0, 1}, {{1, 1, 1, 1, 1, 1, 1, 2}}) ==
            place + "an input of rank 7 or less wanted, its shape is [1, 1, 1, 1, 1, 1, 1, 2]");
    for (extent a : hostile_extents())
        for (extent b : hostile_extents())
            for (extent c : hostile_extents()) ask_everything(sliding_windows{a, b, c});
}

namespace {
inline constexpr auto framed = compose(input{"x", {6}}, sliding_windows{.window_size = 2, .step = 2});
}  // namespace

TEST_CASE("sliding_windows: composed") {
    network<framed> net;
    REQUIRE(net(counted(6))(2, 1) == 5);
    REQUIRE(same_bits_unrolled(net, counted(6)));
}
