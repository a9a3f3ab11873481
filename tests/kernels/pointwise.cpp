#include <bespoke/kernels/pointwise.hpp>

#include "convolution_test.hpp"

using namespace convolution_test;

namespace {

template <class T>
void compare_pointwise(const geometry& g) {
    CAPTURE(g.channels, g.height, g.width, g.output_channels, g.stride_x, g.groups);
    using pass = typename run_of<T>::pass;
    thread_pool three(3);
    const run_of<T> r(g, sanitized && g.channels > 1000 ? 1 : 2, 1);
    for (const pass p : {pass::forward, pass::plain, pass::accumulate}) {
        const array<T> chain = r.chain(p);
        if (!sanitized || p != pass::forward) CHECK(check::same_bits(r.result(p), chain));
        if (!sanitized || p == pass::forward) CHECK(check::same_bits(r.result(p, &three, true), chain));
        if (!sanitized || p == pass::accumulate || g.channels <= 1000) r.compare_epilogues(p, three);
    }
}

}  // namespace

TEMPLATE_TEST_CASE("pointwise: the documented chain for images of any size", "[convolution]", float, double) {
    // Each pair of size and channels, size and outputs, channels and outputs once.
    const extent channels[] = {1, 5, 40}, outputs[] = {17, 32, 70};
    extent turn = 0;
    for (const auto& [height, width] :
         {std::pair{1, 1}, {1, 2}, {3, 1}, {2, 2}, {7, 7}, {3, 11}, {8, 8}, {14, 14}, {16, 16}, {13, 21}, {6, 48}}) {
        for (extent i = 0; i < 3; ++i) {
            const geometry g = make(channels[i], height, width, outputs[(i + turn) % 3], 1, 1);
            REQUIRE(kernels::detail::suits_pointwise<TestType>(g));
            compare_pointwise<TestType>(g);
        }
        ++turn;
    }
    compare_pointwise<TestType>(make(40, 5, 701, 17, 1, 1));  // several blocks of pixels
    compare_pointwise<TestType>(make(300, 14, 14, 40, 1, 1));  // threads share pixels that are rows
    compare_pointwise<TestType>(make(300, 11, 19, 40, 1, 1));
    const extent steps = kernels::detail::left_steps<TestType>;
    for (const extent width : {7, 70}) {
        compare_pointwise<TestType>(make(2 * steps + 1, 7, width, 60, 1, 1));  // several blocks of k
        compare_pointwise<TestType>(make(12, 7, width, 60, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 3));
        compare_pointwise<TestType>(make(12, 9, width, 60, 1, 1, 2, 2, 1, 1, 0, 0, 0, 0, 3));  // some pixels are seen
        compare_pointwise<TestType>(make(12, 8, width + 1, 60, 1, 1, 2, 2));
        compare_pointwise<TestType>(make(12, 8, width, 60, 1, 1, 3, 1));
        compare_pointwise<TestType>(make(12, 8, width, 60, 1, 1, 1, 3));
    }
}

TEST_CASE("pointwise: pixels are rows where batches of them would be half empty") {
    const extent w = kernels::lanes<float>;
    CHECK(kernels::detail::pixels_as_rows<float>(make(512, 1, 4 * w + 1, 64, 1, 1)));
    CHECK(!kernels::detail::pixels_as_rows<float>(make(512, 1, 4 * w, 64, 1, 1)));
    CHECK(!kernels::detail::pixels_as_rows<float>(make(512, 1, 100 * w + 1, 64, 1, 1)));
}
