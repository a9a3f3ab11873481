#include <bespoke/kernels/convolution_narrow.hpp>

#include "convolution_test.hpp"

#include <mutex>
#include <set>

using namespace convolution_test;

TEST_CASE("convolution_narrow: a depthwise convolution is narrow, a batch of channels is not",
          "[convolution]") {
    CHECK(kernels::detail::is_narrow<float>(1));
    CHECK(kernels::detail::is_narrow<double>(1));
    CHECK_FALSE(kernels::detail::is_narrow<float>(kernels::lanes<float>));
}

TEST_CASE("convolution_narrow: split hands out every item once and a part to one thread", "[convolution]") {
    thread_pool pool(3);
    for (thread_pool* threads : {static_cast<thread_pool*>(nullptr), &pool})
        for (extent items : {0, 1, 2, 3, 4, 17}) {
            std::mutex mutex;
            std::multiset<extent> seen;
            std::set<extent> parts;
            kernels::detail::split(threads, items, [&](extent part, extent first, extent last) {
                const std::lock_guard lock(mutex);
                CHECK(parts.insert(part).second);
                for (extent i = first; i < last; ++i) seen.insert(i);
            });
            CHECK(static_cast<extent>(seen.size()) == items);
            CHECK(static_cast<extent>(std::set(seen.begin(), seen.end()).size()) == items);
            for (extent part : parts) CHECK((part >= 0 && part < (threads ? 3 : 1)));
        }
}

TEMPLATE_TEST_CASE("convolution_narrow: a row is a chain over the steps, of any length, and reads no further",
                   "[convolution]", float, double) {
    using T = TestType;
    const extent w = kernels::lanes<T>;
    const extent offsets[] = {5, 0, 3};
    for (extent count : {extent{1}, w - 1, w, w + 1, 4 * w, 4 * w + 1, 9 * w + 3})
        for (const bool from_y : {false, true}) {
            // Behind the last element that is read lies a NaN that nothing may meet.
            array<T> image(count + 6, 1, 1), weights(6, 2), y(count, 3, 2);
            image[count + 5] = check::nan<T>;
            const array<T> before = y;
            const T start = T(0.5);
            kernels::detail::narrow_row(extent{3}, weights.data(), extent{2}, image.data(),
                                        image.data() + count + 5, offsets, count, from_y ? nullptr : &start,
                                        y.data());
            CHECK(y.intact());
            for (extent q = 0; q < count; ++q) {
                T chain = from_y ? before[q] : start;
                for (extent k = 0; k < 3; ++k)
                    chain = kernels::fma(weights[2 * k], image[offsets[k] + q], chain);
                CHECK(y[q] == chain);
            }
        }
}

TEMPLATE_TEST_CASE("convolution_narrow: weights in lanes chains over the rows", "[convolution]", float,
                   double) {
    using T = TestType;
    const geometry g = make(1, 6, 2 * kernels::lanes<T> + 5, 1, 3, 3);
    const run_of<T> run(g, 1);
    const array<T> got = run.result(run_of<T>::pass::weights);
    for (extent tap = 0; tap < 9; ++tap) {
        kernels::batch<T> sum(T(0));
        for (extent row = 0; row < g.output_height; ++row)
            kernels::for_each_batch<T>(g.output_width, [&](extent x, auto in, auto) {
                sum = kernels::fma<T>(in(run.y.data() + row * g.output_width + x),
                                      in(run.x.data() + (row + tap / 3) * g.width + tap % 3 + x), sum);
            });
        CHECK(got[tap] == run.dw[tap] + kernels::sum_lanes<T>(sum));
    }
}
