#include <bespoke/kernels/scan.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

namespace kernels = bespoke::kernels;
using bespoke::extent;

namespace {

template <class T>
void naive(extent outer, extent count, extent inner, const T* x, T* y, kernels::scan_order order, bool add) {
    for (extent o = 0; o < outer; ++o)
        for (extent j = 0; j < inner; ++j) {
            T sum = 0;
            for (extent i = 0; i < count; ++i) {
                const extent at = (o * count + (order.descending ? count - 1 - i : i)) * inner + j;
                const T v = x[at], before = sum;
                sum += v;
                y[at] = (add ? y[at] : T(0)) + (order.exclusive ? before : sum);
            }
        }
}

template <class T>
void check_scan(extent outer, extent count, extent inner, std::size_t workers) {
    bespoke::thread_pool threads(workers);
    for (bool exclusive : {false, true})
        for (bool descending : {false, true})
            for (bool add : {false, true}) {
                CAPTURE(outer, count, inner, exclusive, descending, add, workers);
                const extent size = outer * count * inner;
                check::array<T> x(size, 1, 1), y(size, 2, 3), expected(size, 2);
                const kernels::scan_order order{exclusive, descending};
                naive(outer, count, inner, x.data(), expected.data(), order, add);
                kernels::running_sums(outer, count, inner, x.data(), y.data(), order, add, &threads);
                REQUIRE(std::equal(y.data(), y.data() + size, expected.data()));
                REQUIRE(y.intact());
                if (add) continue;
                kernels::running_sums(outer, count, inner, x.data(), x.data(), order, false, &threads);
                REQUIRE(check::same_bits(x.data(), y.data(), size));
            }
}

}  // namespace

TEMPLATE_TEST_CASE("running_sums: every size, order and place", "[scan]", float, double) {
    const extent n = check::lanes<TestType>;
    for (extent outer : {extent{0}, extent{1}, n - 1, n, 2 * n + 3})
        for (extent count : {extent{0}, extent{1}, n - 1, n, 2 * n + 1})
            for (extent inner : {extent{0}, extent{1}, extent{2}, n, n + 1})
                check_scan<TestType>(outer, count, inner, 1);
}

TEMPLATE_TEST_CASE("running_sums: with threads where there is much to do", "[scan]", float, double) {
    for (std::size_t workers : {1U, 2U, 5U}) {
        check_scan<TestType>(301, 131, 1, workers);
        check_scan<TestType>(3, 67, 131, workers);
        check_scan<TestType>(1, 131, 301, workers);
    }
}
