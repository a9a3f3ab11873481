#include <bespoke/kernels/reduction.hpp>

#include "check.hpp"
#include "reduction_test.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
using check::array;
namespace kernels = bespoke::kernels;

namespace {

/// The documented order: lane chains, then a balanced tree.
template <class T, class Step>
T in_lanes(extent n, const Step& step) {
    T lane[kernels::lanes<T>] = {};
    for (extent i = 0; i < n; ++i) lane[i % kernels::lanes<T>] = step(lane[i % kernels::lanes<T>], i);
    for (extent width = 1; width < kernels::lanes<T>; width *= 2)
        for (extent i = 0; i < kernels::lanes<T>; i += 2 * width) lane[i] += lane[i + width];
    return lane[0];
}

}  // namespace

TEMPLATE_TEST_CASE("reduction: sum and dot", "[reduction]", float, double) {
    using T = TestType;
    for (extent n : check::sizes<T>()) {
        const array<T> x(n, 1, 1), y(n, 2, 3);
        double sum = 0, dot = 0;
        for (extent i = 0; i < n; ++i) {
            sum += static_cast<double>(x[i]);
            dot += static_cast<double>(x[i]) * static_cast<double>(y[i]);
        }
        const double bound = check::epsilon<T> * static_cast<double>(n + 1);
        CHECK(std::abs(static_cast<double>(kernels::sum(n, x.data())) - sum) <=
              bound * static_cast<double>(n));
        CHECK(std::abs(static_cast<double>(kernels::dot(n, x.data(), y.data())) - dot) <=
              bound * static_cast<double>(n));
        CHECK(kernels::sum(n, x.data()) == in_lanes<T>(n, [&](T s, extent i) { return s + x[i]; }));
        CHECK(kernels::dot(n, x.data(), y.data()) ==
              in_lanes<T>(n, [&](T s, extent i) { return kernels::fma(x[i], y[i], s); }));
    }
}

TEMPLATE_TEST_CASE("reduction: column sums add rows in order, for any number of threads", "[reduction]",
                   float, double) {
    using T = TestType;
    thread_pool two(2), five(5);
    for (extent rows : {0, 1, 7, 300})
        for (extent n : check::sizes<T>()) {
            const extent stride = n + 2;
            const array<T> x(rows * stride, 1);
            array<T> one(n, 2), chain = one, many = one, more = one;
            kernels::column_sums(rows, n, x.data(), stride, one.data());
            kernels::column_sums(rows, n, x.data(), stride, many.data(), &two);
            kernels::column_sums(rows, n, x.data(), stride, more.data(), &five);
            for (extent r = 0; r < rows; ++r)
                for (extent j = 0; j < n; ++j) chain[j] += x[r * stride + j];
            CHECK(one.intact());
            CHECK(check::same_bits(one, chain));
            CHECK(check::same_bits(one, many));
            CHECK(check::same_bits(one, more));
        }
}

TEST_CASE("reduction: infinities and NaN", "[reduction]") {
    float x[40] = {};
    x[37] = check::infinity<float>;
    CHECK(kernels::sum(40, x) == check::infinity<float>);
    x[3] = -check::infinity<float>;
    CHECK(std::isnan(kernels::sum(40, x)));
}

TEMPLATE_TEST_CASE("reduction: the largest element, or NaN", "[reduction]", float, double) {
    using T = TestType;
    CHECK(kernels::running_max<T>(0, nullptr) == -check::infinity<T>);
    for (extent n : check::sizes<T>()) {
        array<T> x(n, 5, 1);
        for (extent at = 0; at < n; at += 1 + n / 7) {
            const T kept = x[at];
            x[at] = T(2);
            CHECK(kernels::running_max(n, x.data()) == T(2));
            x[at] = check::nan<T>;
            CHECK(std::isnan(kernels::running_max(n, x.data())));
            x[at] = kept;
        }
    }
}

TEST_CASE("all_finite on several threads sees every place") {
    constexpr extent n = (1 << 17) + 5;
    std::vector<float> x(static_cast<std::size_t>(n), 1.0f);
    for (const std::size_t threads : {1U, 2U, 5U}) {
        thread_pool pool(threads);
        CHECK(kernels::all_finite(n, x.data(), &pool));
        for (const extent place : {extent{0}, n / 2 - 1, n / 2, n - 1}) {
            float& one = x[static_cast<std::size_t>(place)];
            one = std::numeric_limits<float>::infinity();
            CHECK_FALSE(kernels::all_finite(n, x.data(), &pool));
            one = 1;
        }
    }
}

TEMPLATE_TEST_CASE("all_finite sees every place", "", float, double) {
    for (const extent n : check::sizes<TestType>()) {
        array<TestType> x(n, 3);
        REQUIRE(kernels::all_finite(n, x.data()));
        for (extent i = 0; i < n; ++i)
            for (const TestType v : {check::infinity<TestType>, -check::infinity<TestType>, check::nan<TestType>}) {
                array<TestType> wrong = x;
                wrong.data()[i] = v;
                REQUIRE_FALSE(kernels::all_finite(n, wrong.data()));
            }
        std::fill_n(x.data(), n, std::numeric_limits<TestType>::max());
        REQUIRE(kernels::all_finite(n, x.data()));
    }
}

TEMPLATE_TEST_CASE("reduction: reduce over any axes, for any number of threads", "[reduction]", float, double) {
    using T = TestType;
    thread_pool two(2), five(5);
    for (const check::reduction_case& c : check::reduction_cases())
        for (extent examples : {1, 3}) {
            const array<T> x(examples * c.x.size(), 1, 1);
            const auto places = check::meeting(c, examples);
            const auto outputs = static_cast<extent>(places.size());
            const kernels::reduction_walk walk = c.walk(examples);
            INFO(sentence(c.x).view() << ", examples " << examples);
            REQUIRE(walk.outputs == outputs);
            array<T> sums(outputs, 2, 1), most = sums, again = sums;
            kernels::reduce(kernels::sum_of{}, walk, x.data(), sums.data());
            kernels::reduce(kernels::max_of{}, walk, x.data(), most.data());
            REQUIRE((sums.intact() && most.intact()));
            for (extent o = 0; o < outputs; ++o) {
                double sum = 0, sizes = 0;
                T best = -check::infinity<T>;
                for (extent at : places[static_cast<std::size_t>(o)]) {
                    sum += static_cast<double>(x[at]);
                    sizes += std::abs(static_cast<double>(x[at]));
                    best = std::max(best, x[at]);
                }
                REQUIRE(std::abs(static_cast<double>(sums[o]) - sum) <= 8 * sizes * check::epsilon<T>);
                REQUIRE(most[o] == best);
            }
            for (thread_pool* pool : {&two, &five}) {
                kernels::reduce(kernels::sum_of{}, walk, x.data(), again.data(), pool);
                REQUIRE(check::same_bits(sums, again));
            }
        }
}

TEMPLATE_TEST_CASE("reduction: long sums lose next to nothing", "[reduction]", float, double) {
    using T = TestType;
    const extent n = 1 << 20;
    const std::vector<T> x(static_cast<std::size_t>(2 * n), T(0.1));
    for (bool columns : {false, true}) {
        const kernels::reduction_walk walk(1, columns ? shape{n, 2} : shape{2, n}, {columns, !columns});
        REQUIRE(walk.in_columns() == columns);
        T y[2];
        kernels::reduce(kernels::sum_of{}, walk, x.data(), y);
        for (T sum : y)
            CHECK(std::abs(static_cast<double>(sum) / (static_cast<double>(n) * static_cast<double>(T(0.1))) - 1) <
                  20 * check::epsilon<T>);
    }
}

TEMPLATE_TEST_CASE("reduction: a row gives the same bits alone and among others, however long it is", "[reduction]",
                   float, double) {
    using T = TestType;
    constexpr extent piece = kernels::detail::cascade_piece * kernels::detail::reduction_step<T>;
    const auto check = [](const auto& f, extent rows, extent n) {
        CAPTURE(rows, n);
        const array<T> x(rows * n, 1, 1);
        array<T> together(rows, 2, 1), alone = together;
        kernels::reduce(f, {1, {rows, n}, {false, true}}, x.data(), together.data());
        for (extent row = 0; row < rows; ++row)
            kernels::reduce(f, {1, {n}, {true}}, x.data() + row * n, alone.data() + row);
        REQUIRE((together.intact() && alone.intact()));
        REQUIRE(check::same_bits(together, alone));
    };
    for (extent rows : {1, 2, 3, 17, 40})
        for (extent n : {extent{1}, extent{7}, kernels::lanes<T> + 1, kernels::detail::reduction_step<T>,
                         piece - 1, piece, piece + 1, 3 * piece + 5}) {
            check(kernels::sum_of{}, rows, n);
            check(kernels::mean_of{}, rows, n);
            check(kernels::product_of{}, rows, n);
            check(kernels::log_sum_exp_of{}, rows, n);
        }
}
