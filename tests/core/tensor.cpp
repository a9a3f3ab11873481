#include <bespoke/core/tensor.hpp>

#include <catch2/catch.hpp>

#include <xtensor/xview.hpp>

#include <numeric>
#include <span>
#include <vector>

namespace {

struct doubled {
    static constexpr auto key = "doubled";
    constexpr void fields(auto&) {}
    template <class V>
    V operator()(const V& x) const {
        return x + x;
    }
    template <class V>
    V derivative(const V&, const V&) const {
        return V(2);
    }
    bool operator==(const doubled&) const = default;
};

template <class X>
std::vector<float> elements(const X& x) {
    static_assert(bespoke::array_like<X>);
    std::vector<float> to(x.size());
    bespoke::copy_elements(x, to.data());
    return to;
}

}  // namespace

TEST_CASE("elements are copied in row-major order from whatever holds them") {
    const xt::xarray<float> a{{1, 2, 3}, {4, 5, 6}};
    const std::vector<float> in_order{1, 2, 3, 4, 5, 6};
    CHECK(elements(a) == in_order);
    CHECK(elements(xt::xtensor<float, 2>(a)) == in_order);
    CHECK(elements(xt::xtensor<float, 2, xt::layout_type::column_major>(a)) == in_order);
    CHECK(elements(xt::xarray<float, xt::layout_type::dynamic>(a)) == in_order);
    CHECK(elements(xt::transpose(a)) == std::vector<float>{1, 4, 2, 5, 3, 6});
    CHECK(elements(xt::view(a, 1)) == std::vector<float>{4, 5, 6});
    CHECK(elements(xt::view(a, xt::range(1, 2))) == std::vector<float>{4, 5, 6});
    CHECK(elements(xt::view(a, xt::all(), 1)) == std::vector<float>{2, 5});
    CHECK(elements(a + 1) == std::vector<float>{2, 3, 4, 5, 6, 7});
    CHECK(elements(in_order) == in_order);
    CHECK(elements(std::span(in_order).subspan(2)) == std::vector<float>{3, 4, 5, 6});
    CHECK(elements(std::array{1.5f, 2.5f}) == std::vector<float>{1.5f, 2.5f});
    CHECK(elements(std::vector<int>{7, 8}) == std::vector<float>{7, 8});
    CHECK(elements(std::vector<double>{0.1}) == std::vector<float>{0.1f});
    CHECK(elements(std::vector<bool>{true, false}) == std::vector<float>{1, 0});
    CHECK(elements(std::vector<float>{}).empty());
}

TEST_CASE("shapes and zeros") {
    const auto z = bespoke::zeros<double>({2, 3});
    CHECK(bespoke::shape_of(z) == bespoke::shape{2, 3});
    CHECK(elements(z) == std::vector<float>(6));
    CHECK(bespoke::shape_of(bespoke::zeros<float>({})) == bespoke::shape{});
}

TEST_CASE("a tensor takes over the elements of another one") {
    using bespoke::shape, bespoke::tensor;
    for (const shape& s : {shape{}, shape{3}, shape{0, 2}, shape{1, 2, 1, 3, 1, 2}}) {
        tensor<float> from = bespoke::zeros<float>(s), to;
        std::iota(from.begin(), from.end(), 1.0F);
        const tensor<float> wanted = from;
        const float* const elements = from.data();
        bespoke::take(to, bespoke::as_tensor(std::move(from)));
        CHECK((to == wanted));
        CHECK(to.data() == elements);
    }
    tensor<float> sum;
    bespoke::take(sum, bespoke::as_tensor(tensor<float>{1, 2} + 1.0F));
    CHECK((sum == tensor<float>{2, 3}));
}

TEST_CASE("adapt looks at memory as an array") {
    std::vector<float> memory{1, 2, 3, 4, 5, 6};
    auto look = bespoke::adapt(memory.data(), std::array<std::size_t, 2>{3, 2});
    CHECK(look(2, 0) == 5);
    look(2, 0) = 50;
    CHECK(memory[4] == 50);
    const auto fixed = bespoke::adapt(static_cast<const float*>(memory.data()), std::array<std::size_t, 1>{6});
    CHECK(fixed(1) == 2);
    CHECK(fixed[2] == 3);
    CHECK(look[{1, 0}] == 3);
    CHECK(look.flat(4) == 50);

    const bespoke::tensor<float> twice = look * 2;  // it is an expression still, in which those of more axes join
    CHECK(twice(2, 0) == 100);
    const bespoke::tensor<float> sums = look + bespoke::adapt(memory.data(), std::array<std::size_t, 1>{2});
    CHECK(sums(2, 1) == 8);
    look = twice;
    CHECK(memory[4] == 100);
}

TEST_CASE("an element-wise layer is a function of expressions") {
    const bespoke::tensor<float> a{{1, 2}, {3, 4}};
    const bespoke::tensor<float> y = bespoke::apply(doubled{}, a + 1);
    CHECK(y == bespoke::tensor<float>{{4, 6}, {8, 10}});
}
