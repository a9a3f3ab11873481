#include <bespoke/core/view.hpp>

#include <catch2/catch.hpp>

#include <vector>

using namespace bespoke;

TEST_CASE("a view of several examples") {
    std::vector<float> memory(24);
    const dynamic_view<float> v{memory.data(), {2, 3}, 4, 6};
    CHECK(v);
    CHECK(v.rank() == 2);
    CHECK(v[1] == 3);
    CHECK(v.size() == 6);
    CHECK(v.total() == 24);
    CHECK(v.example(3) == memory.data() + 18);
    CHECK(v.extents<0, 1>() == 2);
    CHECK(v.extents<1, 0>() == 3);
    CHECK_FALSE(dynamic_view<float>{});
}

TEST_CASE("stride 0: one for all examples") {
    float once = 0;
    const dynamic_view<const float> v{&once, {1}, 5, 0};
    CHECK(v.example(4) == &once);
}

TEST_CASE("extents in the type stay in the type") {
    std::vector<double> memory(6);
    const view<const double, static_shape<2, 3>, constant<1>> v{memory.data(), {}, {}, 6};
    static_assert(decltype(v.size())::value == 6);
    static_assert(decltype(v.total())::value == 6);
    static_assert(decltype(v.extents<0, 1>())::value == 2);
    static_assert(decltype(v.extents<0, 0>())::value == 6);
    static_assert(std::is_same_v<decltype(v)::value_type, double>);

    const dynamic_view<const double> plain = erased(v);
    CHECK(plain.data == memory.data());
    CHECK(plain.dimensions == shape{2, 3});
    CHECK(plain.examples == 1);
    CHECK(plain.stride == 6);
    CHECK(plain.total() == 6);

    const view<double, static_shape<2, 3>> batch{memory.data(), {}, 7, 6};
    CHECK(batch.total() == 42);
}
