#include <bespoke/core/buffer.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <new>

using bespoke::aligned_size;
using bespoke::buffer;
using bespoke::extent;

namespace {

template <class T>
bool all_zero(const buffer<T>& b) {
    return std::all_of(b.begin(), b.end(), [](T v) { return v == T(0); });
}

}  // namespace

TEST_CASE("sizes are rounded up to whole cache lines") {
    static_assert(aligned_size<float>(0) == 0 && aligned_size<float>(1) == 16 && aligned_size<float>(16) == 16 &&
                  aligned_size<float>(17) == 32);
    static_assert(aligned_size<double>(1) == 8 && aligned_size<double>(9) == 16);
}

TEST_CASE("a place is in a buffer from its first element to its last") {
    const buffer<float> b(3);
    const float other = 0;
    CHECK(b.contains(b.begin()));
    CHECK(b.contains(b.begin() + 2));
    CHECK_FALSE(b.contains(b.end()));
    CHECK_FALSE(b.contains(&other));
    CHECK_FALSE(buffer<float>().contains(&other));
    CHECK_FALSE(buffer<float>().contains(nullptr));
}

TEST_CASE("memory is aligned and zero") {
    for (bespoke::extent size : {1, 5, 100}) {
        const buffer<float> b(size);
        CHECK(b.size() == size);
        CHECK(reinterpret_cast<std::uintptr_t>(b.data()) % bespoke::alignment == 0);
        CHECK(all_zero(b));
    }
    constexpr auto large = static_cast<bespoke::extent>(bespoke::large_memory / sizeof(float));
    for (bespoke::extent size : {large - 1, large, large + 1, 5 * large}) {
        const buffer<float> b(size);
        CHECK(b.size() == size);
        CHECK(reinterpret_cast<std::uintptr_t>(b.data()) %
                  (size < large ? bespoke::alignment : bespoke::large_page) ==
              0);
        CHECK(all_zero(b));
    }
    const buffer<double> empty;
    CHECK(empty.size() == 0);
    CHECK(empty.data() == nullptr);
    CHECK(empty.begin() == empty.end());
}

TEST_CASE("resize clears, and keeps its memory where the size stays") {
    buffer<float> b(4);
    b[2] = 3;
    const float* before = b.data();
    b.resize(4);
    CHECK(b.data() == before);
    CHECK(all_zero(b));
    b.resize(0);
    CHECK(b.data() == nullptr);
    b.resize(8);
    CHECK(b.size() == 8);
    CHECK(all_zero(b));
}

TEST_CASE("reserve grows only") {
    buffer<float> b(4);
    b[3] = 7;
    b.reserve(2);
    CHECK(b.size() == 4);
    CHECK(b[3] == 7);
    b.reserve(9);
    CHECK(b.size() == 9);
    CHECK(all_zero(b));
}

TEST_CASE("a buffer is a value") {
    buffer<float> a(3);
    a[0] = 1;
    buffer<float> b = a;
    b[0] = 2;
    CHECK(a[0] == 1);
    CHECK(b[0] == 2);

    const float* memory = b.data();
    buffer<float> c = std::move(b);
    CHECK(c.data() == memory);
    CHECK(b.size() == 0);
    CHECK(b.data() == nullptr);

    a = c;
    CHECK(a[0] == 2);
    CHECK(a.data() != c.data());
    a = std::move(c);
    CHECK(a.data() == memory);
    buffer<float>& same = a;
    a = same;
    CHECK(a.size() == 3);
    CHECK(a[0] == 2);

    const buffer<float> none;
    const buffer<float> copy_of_none = none;
    CHECK(copy_of_none.size() == 0);
}

TEST_CASE("more elements than there can be are not there") {
    buffer<double> a(3);
    for (extent size : {extent{1} << 61, std::numeric_limits<extent>::max(), extent{-1}}) {
        CHECK_THROWS_AS(a.resize(size), std::bad_alloc);
        CHECK(a.size() == 0);
    }
    a.resize(2);
    CHECK(a[1] == 0);
}

TEST_CASE("what lies in small pages is memory like any other") {
    constexpr extent many = static_cast<extent>(3 * bespoke::large_page / sizeof(float));
    buffer<float> large(many), small(100);
    small.scatter(10, 50);
    std::fill_n(small.data(), 100, 1.0f);
    large[17] = 1;
    large.scatter(1, many - 2);
    CHECK(large[17] == 1);
    std::fill_n(large.data(), many, 2.0f);
    CHECK(std::count(large.begin(), large.end(), 2.0f) == many);
    CHECK(std::count(small.begin(), small.end(), 1.0f) == 100);
}
