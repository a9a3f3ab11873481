#include <bespoke/layers/binary_functions.hpp>

#include "../kernels/check.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
namespace kernels = bespoke::kernels;

namespace {

/// Numbers that meet each other in all ways.
template <class T>
std::vector<T> values() {
    return {T(0),
            T(-0.0),
            T(0.5),
            T(-0.5),
            T(1),
            T(-1),
            T(2),
            T(-3),
            check::infinity<T>,
            -check::infinity<T>,
            check::nan<T>,
            T(7),
            T(0.1)};
}

template <class T>
bool same_values(T a, T b) {
    return (std::isnan(a) && std::isnan(b)) || check::same_bits(&a, &b, 1);
}

/// A batch gives each element what it is alone; commutative functions do not care which comes first.
template <class T, class F>
void check_function(const F& f) {
    const auto all = values<T>();
    for (T a : all)
        for (T b : all) {
            CAPTURE(a, b);
            const T y = f(a, b);
            CHECK(same_values(kernels::first_lane<T>(f(kernels::batch<T>(a), kernels::batch<T>(b))), y));
            if constexpr (F::commutative) CHECK(same_values(f(b, a), y));
        }
}

}  // namespace

TEMPLATE_TEST_CASE("binary functions: elements and batches alike", "[binary]", float, double) {
    using T = TestType;
    using namespace bespoke::detail;
    check_function<T>(addition{});
    check_function<T>(subtraction{});
    check_function<T>(product{});
    check_function<T>(quotient{});
    check_function<T>(floor_quotient{});
    check_function<T>(floor_remainder{});
    check_function<T>(power{});
    check_function<T>(larger{});
    check_function<T>(smaller{});
    check_function<T>(equality{});
    check_function<T>(inequality{});
    check_function<T>(below{});
    check_function<T>(not_above{});
    check_function<T>(above{});
    check_function<T>(not_below{});
    check_function<T>(conjunction{});
    check_function<T>(disjunction{});
    check_function<T>(exclusive_disjunction{});
}

TEMPLATE_TEST_CASE("binary functions: comparisons and logic are those of C++", "[binary]", float, double) {
    using T = TestType;
    using namespace bespoke::detail;
    for (T a : values<T>())
        for (T b : values<T>()) {
            CAPTURE(a, b);
            CHECK(equality{}(a, b) == T(a == b));
            CHECK(inequality{}(a, b) == T(a != b));
            CHECK(below{}(a, b) == T(a < b));
            CHECK(not_above{}(a, b) == T(a <= b));
            CHECK(above{}(a, b) == T(a > b));
            CHECK(not_below{}(a, b) == T(a >= b));
            CHECK(conjunction{}(a, b) == T(a != 0 && b != 0));
            CHECK(disjunction{}(a, b) == T(a != 0 || b != 0));
            CHECK(exclusive_disjunction{}(a, b) == T((a != 0) != (b != 0)));
        }
}

TEST_CASE("larger, smaller: NaN wins, of equals the first; the gradient goes with them") {
    using namespace bespoke::detail;
    const double nan = check::nan<double>;
    CHECK(std::isnan(larger{}(nan, 1.0)));
    CHECK(std::isnan(larger{}(1.0, nan)));
    CHECK(std::isnan(smaller{}(nan, 1.0)));
    CHECK(std::isnan(smaller{}(1.0, nan)));
    CHECK(std::signbit(larger{}(-0.0, 0.0)));
    CHECK_FALSE(std::signbit(smaller{}(0.0, -0.0)));
    const auto gradients = [](const auto& f, double a, double b) {
        return std::pair{f.template gradient<0>(10.0, 2.0, a, b), f.template gradient<1>(10.0, 2.0, a, b)};
    };
    using both = std::pair<double, double>;
    CHECK(gradients(larger{}, 1, 2) == both{10, 12});
    CHECK(gradients(larger{}, 2, 1) == both{12, 10});
    CHECK(gradients(larger{}, 3, 3) == both{12, 10});
    CHECK(gradients(larger{}, nan, 3) == both{12, 10});
    CHECK(gradients(larger{}, 3, nan) == both{10, 12});
    CHECK(gradients(smaller{}, 1, 2) == both{12, 10});
    CHECK(gradients(smaller{}, 2, 1) == both{10, 12});
    CHECK(gradients(smaller{}, 3, 3) == both{12, 10});
    CHECK(gradients(smaller{}, 3, nan) == both{10, 12});
}

TEST_CASE("power: slopes where the formula has none") {
    const detail::power f;
    CHECK(f.gradient<0>(1.0, 2.0, 0.0, 0.0) == 1);  // not 0 * infinity
    CHECK(f.gradient<1>(1.0, 2.0, 0.0, 0.5) == 1);  // not 0 * -infinity
    CHECK(f.gradient<1>(1.0, 2.0, 0.0, 0.0) == 1);
    CHECK(f.gradient<0>(1.0, 2.0, -3.0, 2.0) == -11);
    CHECK(std::isnan(f.gradient<1>(1.0, 2.0, -3.0, 2.0)));
}
