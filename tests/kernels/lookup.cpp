#include <bespoke/kernels/lookup.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
using kernels::lanes;

TEMPLATE_TEST_CASE("lookup: lane i is the element that its index names", "[lookup]", float, double) {
    using T = TestType;
    constexpr extent n = 100;
    std::vector<T> x(n);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = T(3) * static_cast<T>(i) - T(7);
    alignas(64) T index[lanes<T>], y[lanes<T>];
    for (extent i = 0; i < lanes<T>; ++i) index[i] = static_cast<T>(i * 37 % n);
    index[0] = n - 1;
    kernels::gathered<T>(x.data(), kernels::batch<T>::load_aligned(index)).store_aligned(y);
    for (extent i = 0; i < lanes<T>; ++i) CHECK(y[i] == x[static_cast<std::size_t>(index[i])]);
}

TEMPLATE_TEST_CASE("lookup: whole numbers become places", "[lookup]", float, double) {
    using T = TestType;
    alignas(64) T whole[lanes<T>];
    for (const extent first : {-1, 0, (1 << 24) - 40}) {
        for (extent i = 0; i < lanes<T>; ++i) whole[i] = static_cast<T>(first + i);
        std::vector<extent> to(static_cast<std::size_t>(lanes<T>) + 1, extent{-5});
        kernels::store_places<T>(to.data(), kernels::batch<T>::load_aligned(whole));
        for (extent i = 0; i < lanes<T>; ++i) CHECK(to[static_cast<std::size_t>(i)] == first + i);
        CHECK(to.back() == -5);
    }
}

TEMPLATE_TEST_CASE("lookup: places, and 0 where there is none", "[lookup]", float, double) {
    using T = TestType;
    std::vector<T> x(50);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<T>(i + 1);
    for (const extent n : {0, 1, 7, 8, 9, 16, 40}) {
        std::vector<extent> places(static_cast<std::size_t>(n));
        for (std::size_t i = 0; i < places.size(); ++i)
            places[i] = i % 5 == 3 ? -1 : static_cast<extent>(i * 29 % x.size());
        std::vector<T> y(places.size() + 1, T(-5));
        kernels::gather_at(n, x.data(), places.data(), y.data());
        for (std::size_t i = 0; i < places.size(); ++i)
            CHECK(y[i] == (places[i] < 0 ? T(0) : x[static_cast<std::size_t>(places[i])]));
        CHECK(y.back() == T(-5));
    }
}
