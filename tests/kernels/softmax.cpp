#include <bespoke/kernels/softmax.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
using check::array;
namespace kernels = bespoke::kernels;

namespace {

template <class T>
void compare(extent outer, extent n, extent inner, extent offset) {
    array<T> x(outer * n * inner, 1, offset), y(x.size(), 2, offset), dx(x.size(), 3, offset);
    for (extent i = 0; i < x.size(); ++i) x[i] *= T(20);
    const array<T> dy(x.size(), 4, offset), held = dx;
    kernels::softmax(outer, n, inner, x.data(), y.data());
    kernels::softmax_backward(outer, n, inner, y.data(), dy.data(), dx.data());
    REQUIRE(y.intact());
    REQUIRE(dx.intact());
    array<T> in_place = x;
    kernels::softmax(outer, n, inner, in_place.data(), in_place.data());
    REQUIRE(check::same_bits(y, in_place));
    for (extent o = 0; o < outer; ++o)
        for (extent j = 0; j < inner; ++j) {
            const auto at = [&](extent i) { return (o * n + i) * inner + j; };
            double most = -1e300, sum = 0, dot = 0;
            for (extent i = 0; i < n; ++i) most = std::max(most, static_cast<double>(x[at(i)]));
            for (extent i = 0; i < n; ++i) sum += std::exp(static_cast<double>(x[at(i)]) - most);
            for (extent i = 0; i < n; ++i)
                dot += static_cast<double>(y[at(i)]) * static_cast<double>(dy[at(i)]);
            const double tolerance = check::epsilon<T> * static_cast<double>(n + 40);
            for (extent i = 0; i < n; ++i) {
                const double expected = std::exp(static_cast<double>(x[at(i)]) - most) / sum;
                CAPTURE(outer, n, inner, o, i, j);
                REQUIRE(std::abs(static_cast<double>(y[at(i)]) - expected) <= tolerance * expected);
                const double slope = static_cast<double>(y[at(i)]) * (static_cast<double>(dy[at(i)]) - dot);
                REQUIRE(std::abs(static_cast<double>(dx[at(i)]) - static_cast<double>(held[at(i)]) - slope) <=
                        tolerance);
            }
            if (n == 0) continue;
            const T sum_of_logs = kernels::log_sum_exp(n, x.data() + o * n * inner + j, inner);
            REQUIRE(std::abs(static_cast<double>(sum_of_logs) - (most + std::log(sum))) <= tolerance * 20);
        }
}

}  // namespace

TEMPLATE_TEST_CASE("softmax: forward, backward and log-sum-exp", "[softmax]", float, double) {
    for (extent offset : {0, 1})
        for (extent n : check::sizes<TestType>()) {
            compare<TestType>(1, n, 1, offset);
            compare<TestType>(3, n, 1, offset);
            compare<TestType>(2, n, 5, offset);
            compare<TestType>(2, n, kernels::lanes<TestType> + 1, offset);
        }
    compare<TestType>(0, 3, 1, 0);
    compare<TestType>(2, 3, 0, 0);
}

TEMPLATE_TEST_CASE("softmax: threads and static sizes do not change a bit", "[softmax]", float, double) {
    using T = TestType;
    thread_pool two(2), five(5);
    for (const auto& [outer, inner] : {std::pair{301, 1}, {7, 43}}) {
        const extent n = 67;
        const array<T> x(outer * n * inner, 1), dy(x.size(), 2);
        array<T> y(x.size(), 3), dx(x.size(), 4);
        const array<T> held = dx;
        kernels::softmax(outer, n, inner, x.data(), y.data());
        kernels::softmax_backward(outer, n, inner, y.data(), dy.data(), dx.data());
        for (thread_pool* pool : {&two, &five}) {
            array<T> y2(x.size(), 5), dx2 = held;
            kernels::softmax(outer, constant<67>{}, inner, x.data(), y2.data(), pool);
            kernels::softmax_backward(outer, constant<67>{}, inner, y.data(), dy.data(), dx2.data(), pool);
            CHECK(check::same_bits(y, y2));
            CHECK(check::same_bits(dx, dx2));
        }
    }
}

TEMPLATE_TEST_CASE("softmax: large, infinite and NaN inputs", "[softmax]", float, double) {
    using T = TestType;
    for (extent inner : {extent{1}, extent{2}})
        for (extent n : {extent{3}, 2 * kernels::lanes<T> + 1}) {
            array<T> x(n * inner, 1), y(n * inner, 2);
            std::fill_n(x.data(), n * inner, T(-1e30));
            x[0] = T(1e30);
            kernels::softmax(1, n, inner, x.data(), y.data());
            CHECK(y[0] == T(1));
            CHECK(y[inner] == T(0));
            x[inner] = -check::infinity<T>;
            kernels::softmax(1, n, inner, x.data(), y.data());
            CHECK(y[0] == T(1));
            CHECK(y[inner] == T(0));
            x[(n - 1) * inner] = check::nan<T>;
            kernels::softmax(1, n, inner, x.data(), y.data());
            for (extent i = 0; i < n; ++i) CHECK(std::isnan(y[i * inner]));
        }
    const T huge[] = {T(1000), T(1000)};
    CHECK(std::abs(static_cast<double>(kernels::log_sum_exp(2, huge, 1)) - (1000 + std::log(2.0))) < 1e-4);
    const T nothing[] = {-check::infinity<T>, -check::infinity<T>};
    CHECK(kernels::log_sum_exp(2, nothing, 1) == -check::infinity<T>);
    const T all[] = {T(0), check::infinity<T>};
    CHECK(kernels::log_sum_exp(2, all, 1) == check::infinity<T>);
    const T unknown[] = {T(0), check::nan<T>, T(1)};
    CHECK(std::isnan(kernels::log_sum_exp(3, unknown, 1)));
    CHECK(kernels::log_sum_exp<T>(0, nullptr, 1) == -check::infinity<T>);
}
