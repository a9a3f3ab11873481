#include <bespoke/kernels/portable.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

// Each operation, lane by lane, against what the language says of one number; NaN, infinities and both zeros included.

namespace portable = bespoke::kernels::portable;

namespace {

template <class T>
using bits_of_type = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;

/// The same bits, or NaN both.
template <class T>
bool alike(T a, T b) {
    return std::bit_cast<bits_of_type<T>>(a) == std::bit_cast<bits_of_type<T>>(b) || (a != a && b != b);
}

template <class T>
const std::vector<T> numbers = {T(0),    T(-0.0), T(1),    T(-1),    T(0.5),  T(-0.5),  T(1.5),  T(2.5),
                                T(-0.3), T(3.7),  T(-3.7), T(1e-30), T(1e30), T(-1e30), T(12.1), T(0x1p23) + T(0.5),
                                std::numeric_limits<T>::infinity(), -std::numeric_limits<T>::infinity(),
                                std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::denorm_min(),
                                std::numeric_limits<T>::max()};

/// check(a, b, lane) for batches in which all pairs of numbers meet in all lanes.
template <class T, class Check>
void each_pair(const Check& check) {
    using B = portable::batch<T>;
    const std::vector<T>& all = numbers<T>;
    for (std::size_t i = 0; i < all.size(); ++i)
        for (std::size_t j = 0; j < all.size(); ++j) {
            std::array<T, B::size> a, b;
            for (std::size_t lane = 0; lane < B::size; ++lane) {
                a[lane] = all[(i + lane) % all.size()];
                b[lane] = all[(j + 2 * lane) % all.size()];
            }
            const B x = B::load_unaligned(a.data()), y = B::load_unaligned(b.data());
            for (std::size_t lane = 0; lane < B::size; ++lane) {
                INFO("a " << a[lane] << ", b " << b[lane] << ", lane " << lane);
                check(x, y, a[lane], b[lane], lane);
            }
        }
}

}  // namespace

TEMPLATE_TEST_CASE("portable: arithmetic is that of each lane", "[portable]", float, double) {
    using T = TestType;
    using B = portable::batch<T>;
    STATIC_REQUIRE(B::size * sizeof(T) == 16);
    each_pair<T>([](B x, B y, T a, T b, std::size_t i) {
        CHECK(alike((x + y).get(i), a + b));
        CHECK(alike((x - y).get(i), a - b));
        CHECK(alike((x * y).get(i), a * b));
        CHECK(alike((x / y).get(i), a / b));
        CHECK(alike((-x).get(i), -a));
        B sum = x, rest = x, product = x, quotient = x;
        CHECK(alike((sum += y).get(i), a + b));
        CHECK(alike((rest -= y).get(i), a - b));
        CHECK(alike((product *= y).get(i), a * b));
        CHECK(alike((quotient /= y).get(i), a / b));
        const T twice = a * b;
        CHECK(alike(portable::fma(x, y, x).get(i), portable::has_fma ? std::fma(a, b, a) : twice + a));
        CHECK(alike(B(a).get(i), a));
    });
}

TEMPLATE_TEST_CASE("portable: comparisons, choices, the larger and the smaller", "[portable]", float, double) {
    using T = TestType;
    using B = portable::batch<T>;
    each_pair<T>([](B x, B y, T a, T b, std::size_t i) {
        CHECK((x == y).get(i) == (a == b));
        CHECK((x != y).get(i) == (a != b));
        CHECK((x < y).get(i) == (a < b));
        CHECK((x <= y).get(i) == (a <= b));
        CHECK((x > y).get(i) == (a > b));
        CHECK((x >= y).get(i) == (a >= b));
        CHECK(((x < y) & (x == x)).get(i) == (a < b && a == a));
        CHECK(((x < y) | (x == x)).get(i) == (a < b || a == a));
        CHECK((x < y && x == x).get(i) == (a < b && a == a));
        CHECK((x < y || x == x).get(i) == (a < b || a == a));
        CHECK((!(x < y)).get(i) == !(a < b));
        CHECK(portable::isnan(x).get(i) == std::isnan(a));
        CHECK(alike(portable::select(x < y, x, y).get(i), a < b ? a : b));
        CHECK(alike(portable::max(x, y).get(i), a > b ? a : b));  // b: where either is NaN, and of two zeros
        CHECK(alike(portable::min(x, y).get(i), a < b ? a : b));
        CHECK(alike(portable::abs(x).get(i), std::abs(a)));
    });
    for (std::size_t marked = 0; marked <= B::size; ++marked) {
        std::array<T, B::size> v{};
        if (marked < B::size) v[marked] = T(1);
        const auto ones = B::load_unaligned(v.data()) == B(T(1));
        CHECK(portable::any(ones) == (marked < B::size));
        CHECK(portable::all(!ones) == (marked == B::size));
        CHECK_FALSE(portable::all(ones));
        std::array<bool, B::size> stored;
        ones.store_unaligned(stored.data());
        for (std::size_t i = 0; i < B::size; ++i) CHECK(stored[i] == (i == marked));
    }
    CHECK(portable::all(portable::batch_bool<T>(true)));
    CHECK_FALSE(portable::any(portable::batch_bool<T>(false)));
}

TEMPLATE_TEST_CASE("portable: roots and roundings, the sign of zero kept", "[portable]", float, double) {
    using T = TestType;
    using B = portable::batch<T>;
    each_pair<T>([](B x, B, T a, T, std::size_t i) {
        CHECK(alike(portable::sqrt(x).get(i), std::sqrt(a)));
        CHECK(alike(portable::floor(x).get(i), std::floor(a)));
        CHECK(alike(portable::ceil(x).get(i), std::ceil(a)));
        CHECK(alike(portable::trunc(x).get(i), std::trunc(a)));
        CHECK(alike(portable::nearbyint(x).get(i), std::nearbyint(a)));
    });
}

TEMPLATE_TEST_CASE("portable: bits", "[portable]", float, double) {
    using T = TestType;
    using B = portable::batch<T>;
    using Bits = portable::batch<bits_of_type<T>>;
    const auto bits = [](T v) { return std::bit_cast<bits_of_type<T>>(v); };
    const auto number = [](bits_of_type<T> v) { return std::bit_cast<T>(v); };
    each_pair<T>([&](B x, B y, T a, T b, std::size_t i) {
        CHECK(alike((x & y).get(i), number(bits(a) & bits(b))));
        CHECK(alike((x | y).get(i), number(bits(a) | bits(b))));
        CHECK(alike((x ^ y).get(i), number(bits(a) ^ bits(b))));
        const auto u = portable::bitwise_cast<Bits>(x), v = portable::bitwise_cast<Bits>(y);
        CHECK(u.get(i) == bits(a));
        CHECK(alike(portable::bitwise_cast<B>(u).get(i), a));
        CHECK((u + v).get(i) == bits_of_type<T>(bits(a) + bits(b)));
        CHECK((u - v).get(i) == bits_of_type<T>(bits(a) - bits(b)));
        CHECK((u << 3).get(i) == bits_of_type<T>(bits(a) << 3));
        CHECK((u >> 3).get(i) == bits(a) >> 3);  // zeros come in
        CHECK((u & v).get(i) == (bits(a) & bits(b)));
        CHECK((u == v).get(i) == (bits(a) == bits(b)));
    });
}

TEMPLATE_TEST_CASE("portable: at any address", "[portable]", float, double) {
    using T = TestType;
    using B = portable::batch<T>;
    std::array<T, 3 * B::size> from, to;
    for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<T>(i + 1);
    for (std::size_t offset = 0; offset <= B::size; ++offset) {
        to.fill(T(0));
        B::load_unaligned(from.data() + offset).store_unaligned(to.data() + offset);
        for (std::size_t i = 0; i < to.size(); ++i)
            CHECK(to[i] == (i >= offset && i < offset + B::size ? from[i] : T(0)));
    }
    alignas(64) std::array<T, B::size> aligned;
    B::load_unaligned(from.data() + 1).store_aligned(aligned.data());
    CHECK(std::equal(aligned.begin(), aligned.end(), from.begin() + 1));
    const B again = B::load_aligned(aligned.data());
    for (std::size_t i = 0; i < B::size; ++i) CHECK(again.get(i) == from[i + 1]);
}
