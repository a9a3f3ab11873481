#include <bespoke/kernels/depthwise.hpp>

#include "convolution_test.hpp"

using namespace convolution_test;

namespace {

template <class T>
void compare(const geometry& g) {
    CAPTURE(g.channels, g.height, g.width, g.stride_x, g.pad_top, g.pad_left, g.output_height, g.output_width);
    REQUIRE(kernels::detail::suits_depthwise(g));
    constexpr extent examples = 2;
    using pass = typename run_of<T>::pass;
    const run_of<T> r(g, examples, 1);
    static thread_pool three(3);
    for (const pass p : {pass::forward, pass::plain, pass::accumulate}) {
        const auto chain = r.chain(p);
        CHECK(check::same_bits(r.result(p), chain));
        CHECK(check::same_bits(r.result(p, &three, true), chain));
        r.compare_epilogues(p, three);
    }
}

}  // namespace

TEMPLATE_TEST_CASE("depthwise: the documented chain at any width", "[convolution]", float, double) {
    const extent w = kernels::lanes<TestType>;
    const auto wide = [](extent channels, extent height, extent width, extent stride, extent before, extent after) {
        if (std::min(height, width) + before + after < 3) return;
        compare<TestType>(make(channels, height, width, channels, 3, 3, stride, stride, 1, 1, before, before, after,
                               after, channels));
    };
    for (const extent stride : {1, 2}) {
        for (const extent width : {extent{1}, extent{2}, extent{3}, extent{7}, w - 1, w, w + 1, w + 2, 2 * w - 1, 2 * w,
                                   2 * w + 1, 2 * w + 2, 3 * w, 4 * w, 4 * w + 1, 4 * w + 2, 5 * w, 7 * w + 3})
            for (const extent channels : {1, 2, 3}) {
                wide(channels, 4, width, stride, 1, 1);
                wide(channels, 5, width, stride, 0, 1);
                wide(channels, 5, width, stride, 0, 0);
                wide(channels, 3, width, stride, 3, 2);  // outputs wholly in the padding
            }
        wide(1, 1, 5, stride, 1, 1);
        wide(2, 40, 8 * w + 12, stride, 1, 1);  // several blocks of rows
        wide(1, 150 * stride, 90 * stride, stride, 1, 1);  // threads share them
    }
}

TEST_CASE("depthwise: 3 x 3 kernels of one channel each, strides 1 and 2 alike on both axes") {
    const auto refused = [](auto&& change) {
        geometry g = make(4, 9, 9, 4, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 4);
        REQUIRE(kernels::detail::suits_depthwise(g));
        change(g);
        return !kernels::detail::suits_depthwise(g);
    };
    CHECK(refused([](geometry& g) { g.groups = 2; }));
    CHECK(refused([](geometry& g) { g.output_channels = 8; }));
    CHECK(refused([](geometry& g) { g.kernel_height = 5; }));
    CHECK(refused([](geometry& g) { g.stride_x = 1; }));
    CHECK(refused([](geometry& g) { g.stride_x = g.stride_y = 3; }));
    CHECK(refused([](geometry& g) { g.dilation_x = 2; }));
}
