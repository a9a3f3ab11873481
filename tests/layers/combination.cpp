#include <bespoke/layers/combination.hpp>

#include <catch2/catch.hpp>

#include <vector>

using namespace bespoke;

TEST_CASE("can_finish_binary: one of two has the shape of the result") {
    const auto of = [](std::initializer_list<shape> xs) {
        return detail::can_finish_binary(std::span<const shape>(xs.begin(), xs.size()));
    };
    REQUIRE(of({{2, 3}}));
    REQUIRE(of({{2, 3}, {2, 3}}));
    REQUIRE(of({{2, 3}, {3}}));
    REQUIRE(of({{1, 3}, {2, 3}}));
    REQUIRE(of({{2, 3}, {2, 1}}));
    REQUIRE(of({{2, 3}, {1}}));
    REQUIRE(of({{2, 3, 4}, {3, 1}}));
    REQUIRE_FALSE(of({{2, 1}, {1, 3}}));
    REQUIRE_FALSE(of({{3}, {3}, {3}}));
}

TEST_CASE("combination: of several blobs that are stored once only one is added to") {
    // y = x0 x1 x2: the gradient of x1, alone wanted
    const std::vector<float> x0{1, 2}, x1{3, 4}, x2{5, 6}, dy{1, 10};
    std::vector<float> dx1{100, 200}, scratch(4);
    using in = dynamic_view<const float>;
    using out = dynamic_view<float>;
    const std::array xs{in{x0.data(), {2}, 1, 2}, in{x1.data(), {2}, 1, 2}, in{x2.data(), {2}, 1, 2}};
    const std::array dxs{out{nullptr, {2}, 1, 2}, out{dx1.data(), {2}, 1, 2}, out{nullptr, {2}, 1, 2}};
    detail::combine_all_backward<detail::product, float>(xs, in{dy.data(), {2}, 1, 2}, dxs, scratch.data(),
                                                         nullptr);
    REQUIRE(dx1 == std::vector<float>{105, 320});
}

TEMPLATE_TEST_CASE("combine: any number of blobs from the left, as in steps of two of them", "", detail::addition,
                   detail::product, detail::averaging, detail::larger, detail::smaller) {
    const std::vector<shape> shapes{{3, 1, 50}, {40, 50}, {3, 40, 1}, {1}, {3, 40, 50}, {50}, {40, 1}};
    const shape y{3, 40, 50};
    std::vector<std::vector<float>> data;
    std::vector<dynamic_view<const float>> xs;
    for (std::size_t k = 0; k < shapes.size(); ++k) {
        std::vector<float>& x = data.emplace_back(static_cast<std::size_t>(shapes[k].size()));
        for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>((i * 37 + k * 11) % 101) / 64 - 0.7f;
        xs.push_back({x.data(), shapes[k], 1, shapes[k].size()});
    }
    std::vector<float> got(6000), wanted(6000), before(6000);
    const dynamic_view<float> result{got.data(), y, 1, 6000}, stepwise{wanted.data(), y, 1, 6000};
    for (std::size_t n = 2; n <= xs.size(); ++n) {
        TestType last{};
        if constexpr (TestType::averages) last.share = 1 / static_cast<double>(n);
        detail::combine<TestType, float>({}, std::span(xs.data(), n), result, nullptr);
        for (std::size_t k = 1; k < n; ++k) {
            const dynamic_view<const float> so_far{before.data(), y, 1, 6000}, left = k == 1 ? xs[0] : so_far;
            detail::map_blobs(k + 1 == n ? last : TestType{}, std::array{left, xs[k]}, stepwise, nullptr);
            before = wanted;
        }
        REQUIRE(got == wanted);
    }
}
