#include <bespoke/kernels/pooling_geometry.hpp>

#include <catch2/catch.hpp>

namespace kernels = bespoke::kernels;

TEST_CASE("pooling geometry: a window is what of it lies inside the image", "[pooling]") {
    const kernels::pooling_geometry g{2, 5, 7, 3, 4, 3, 3, 2, 2, 1, 1, false, 4, 2, 2, 2, 0};
    CHECK(g.size() == 140);
    CHECK(g.outputs() == 24);
    CHECK(g.kernel() == 18);
    const auto corner = kernels::detail::window_at(g, 0, 0, 0), middle = kernels::detail::window_at(g, 1, 1, 1),
               end = kernels::detail::window_at(g, 1, 2, 3);
    CHECK((corner.top == 0 && corner.bottom == 2 && corner.left == 0 && corner.right == 2));
    CHECK((corner.front == 0 && corner.back == 2 && corner.size() == 8));
    CHECK((middle.top == 1 && middle.bottom == 4 && middle.left == 1 && middle.right == 4));
    CHECK((middle.front == 2 && middle.back == 4 && middle.size() == 18));
    CHECK((end.top == 3 && end.bottom == 5 && end.left == 5 && end.right == 7 && end.size() == 8));
}

TEST_CASE("pooling geometry: a window in the padding is empty", "[pooling]") {
    const kernels::pooling_geometry g{1, 3, 3, 8, 8, 2, 2, 1, 1, 3, 3, true};
    CHECK(kernels::detail::window_at(g, 0, 0, 4).size() == 0);
    CHECK(kernels::detail::window_at(g, 0, 7, 7).size() == 0);
    CHECK(kernels::detail::pooling_divisor<float>(g, kernels::detail::window_at(g, 0, 0, 4)) == 1);
    CHECK(kernels::detail::pooling_divisor<float>(g, kernels::detail::window_at(g, 0, 2, 3)) == 2);
}

TEST_CASE("pooling geometry: one window over the whole image", "[pooling]") {
    const kernels::pooling_geometry whole{3, 4, 6, 1, 1, 4, 6, 1, 1, 0, 0, false},
        padded{3, 4, 6, 1, 1, 6, 8, 1, 1, 1, 1, false},
        part{3, 4, 6, 1, 1, 3, 6, 1, 1, 0, 0, false};
    CHECK(kernels::detail::is_global(whole));
    CHECK(kernels::detail::is_global(padded));
    CHECK_FALSE(kernels::detail::is_global(part));
    CHECK(kernels::detail::pooling_divisor<double>(padded, kernels::detail::window_at(padded, 0, 0, 0)) == 48);
}
