#include <bespoke/layers/broadcastable.hpp>

#include <bespoke/layers/inner_product.hpp>
#include <bespoke/network/network.hpp>

#include "arithmetic_test.hpp"

FLOAT_IN_IMPLEMENTATION(add_broadcastable)
FLOAT_IN_IMPLEMENTATION(divide_broadcastable)
FLOAT_IN_IMPLEMENTATION(floor_div_broadcastable)
FLOAT_IN_IMPLEMENTATION(inner_product)
FLOAT_IN_IMPLEMENTATION(max_broadcastable)
FLOAT_IN_IMPLEMENTATION(min_broadcastable)
FLOAT_IN_IMPLEMENTATION(mod_broadcastable)
FLOAT_IN_IMPLEMENTATION(multiply_broadcastable)
FLOAT_IN_IMPLEMENTATION(pow_broadcastable)
FLOAT_IN_IMPLEMENTATION(subtract_broadcastable)
FLOAT_IN_IMPLEMENTATION(where_broadcastable)

using namespace bespoke;
using namespace arithmetic_test;

namespace {

template <class L, class F>
void check_pairs(const L& layer, const F& f) {
    check_arithmetic<float>(layer, f, aligned_combinations);
    check_arithmetic<double>(layer, f, aligned_combinations);
}

/// The gradients where the inputs are drawn from [low, high), the first one with a sign.
template <class L>
void check_gradients_between(const L& layer, double low, double high, double sign = 1) {
    for (const auto& shapes : aligned_combinations) {
        const gradient_report r = check_gradients(layer, shapes, {}, [&](std::size_t input, philox& random) {
            return (low + (high - low) * random.uniform()) * (input == 0 ? sign : 1);
        });
        INFO(r.what);
        REQUIRE(r.ok);
    }
}

template <class L>
std::vector<float> of(const std::vector<float>& a, const std::vector<float>& b) {
    return evaluate<float>(L{}, {{{static_cast<extent>(a.size())}, a}, {{static_cast<extent>(b.size())}, b}})
        .first();
}
using floats = std::vector<float>;

}  // namespace

TEST_CASE("broadcastable: values with every way of broadcasting") {
    check_pairs(add_broadcastable{}, [](double a, double b) { return a + b; });
    check_pairs(subtract_broadcastable{}, [](double a, double b) { return a - b; });
    check_pairs(multiply_broadcastable{}, [](double a, double b) { return a * b; });
    check_pairs(max_broadcastable{}, [](double a, double b) { return a > b ? a : b; });
    check_pairs(min_broadcastable{}, [](double a, double b) { return a < b ? a : b; });
    check_pairs(pow_broadcastable{}, [](double a, double b) { return std::pow(a, b); });
}

TEST_CASE("broadcastable: by hand") {
    REQUIRE(of<divide_broadcastable>({1, -3, 5}, {2, 2, -4}) == floats{0.5f, -1.5f, -1.25f});
    // numpy.floor_divide, numpy.mod
    REQUIRE(of<floor_div_broadcastable>({7, -7, 7, -7, 1, 6}, {2, 2, -2, -2, 0.1f, 3}) ==
            floats{3, -4, -4, 3, 9, 2});
    REQUIRE(of<mod_broadcastable>({7, -7, 7, -7, 5.5f, 6}, {2, 2, -2, -2, 2, 3}) ==
            floats{1, 1, -1, -1, 1.5f, 0});
    REQUIRE(of<pow_broadcastable>({2, -2, 9, 0, 4}, {3, 3, 0.5f, 0, -1}) == floats{8, -8, 3, 1, 0.25f});
    const float nan = std::numeric_limits<float>::quiet_NaN(),
                infinity = std::numeric_limits<float>::infinity();
    REQUIRE(std::isnan(of<pow_broadcastable>({-1}, {0.5f})[0]));
    REQUIRE(std::isnan(of<max_broadcastable>({nan}, {1})[0]));
    REQUIRE(std::isnan(of<min_broadcastable>({1}, {nan})[0]));
    REQUIRE(of<divide_broadcastable>({1, -1}, {0, 0}) == floats{infinity, -infinity});
    REQUIRE(evaluate<float>(subtract_broadcastable{}, {{{2}, {1, 2}}, {{2, 1}, {10, 20}}}).first() ==
            floats{-9, -8, -19, -18});
    REQUIRE(evaluate<float>(add_broadcastable{}, {{{0, 3}, {}}, {{3}, {1, 2, 3}}}).dimensions() ==
            shape{0, 3});
}

TEST_CASE("broadcastable: gradients") {
    for (const auto& shapes : aligned_combinations) {
        require_gradients(add_broadcastable{}, shapes);
        require_gradients(subtract_broadcastable{}, shapes);
        require_gradients(multiply_broadcastable{}, shapes);
        require_gradients(max_broadcastable{}, shapes);
        require_gradients(min_broadcastable{}, shapes);
    }
    require_gradients(subtract_broadcastable{}, {{2, 3}}, {.arguments = {0, 0}});
    require_gradients(multiply_broadcastable{}, {{2, 3}}, {.arguments = {0, 0}});
    require_gradients(subtract_broadcastable{}, {{2, 3}, {3}}, {.arguments = {1, 0}});
    check_gradients_between(divide_broadcastable{}, 0.5, 2, -1);
    check_gradients_between(pow_broadcastable{}, 0.3, 2);
    check_gradients_between(mod_broadcastable{}, 1.4, 1.9,
                            -1);  // the quotient stays between -2 and -1, or there about
    REQUIRE_FALSE(is_differentiable<floor_div_broadcastable>);
    REQUIRE_FALSE(check_gradients(floor_div_broadcastable{}, {{2}, {2}}));
}

TEST_CASE("max_broadcastable: of equal inputs the first has the gradient") {
    const std::vector<double> a{1, 2, 3}, b{1, 5, 0}, dy{1, 1, 1};
    std::vector<double> da(3), db(3);
    using in = dynamic_view<const double>;
    using out = dynamic_view<double>;
    const std::vector<in> xs{{a.data(), {3}, 1, 3}, {b.data(), {3}, 1, 3}}, dys{{dy.data(), {3}, 1, 3}};
    const std::vector<out> dxs{{da.data(), {3}, 1, 3}, {db.data(), {3}, 1, 3}};
    workspace<double> w;
    max_broadcastable{}.equivalent({}).backward(std::span<const in>(xs), std::span<const in>(xs),
                                                std::span<const in>(dys), std::span<const out>(dxs),
                                                no_parameters{}, no_parameters{}, w);
    REQUIRE(da == std::vector<double>{1, 0, 1});
    REQUIRE(db == std::vector<double>{0, 1, 0});
}

TEST_CASE("broadcastable: the same bits with threads where there is much to do") {
    const shape s{8, 40, 60};
    for (const shape& other : {s, shape{60}, shape{8, 1, 1}, shape{}}) {
        evaluate<float>(divide_broadcastable{},
                        {{s, numbers<float>(3 * s.size())}, {other, numbers<float>(3 * other.size(), 2)}});
        evaluate<float>(pow_broadcastable{},
                        {{other, numbers<float>(other.size()), true}, {s, numbers<float>(3 * s.size(), 2)}});
    }
}

TEST_CASE("where_broadcastable: values") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    REQUIRE(evaluate<float>(where_broadcastable{},
                            {{{5}, {1, 0, -0.0f, nan, 0.5f}}, {{5}, {1, 2, 3, 4, 5}}, {{1}, {9}}})
                .first() == floats{1, 9, 9, 4, 5});
    const auto got =
        evaluate<float>(where_broadcastable{},
                        {{{2, 1}, {1, 0, 0, 1}}, {{3}, {1, 2, 3, 4, 5, 6}}, {{1, 1, 3}, {10, 20, 30}, true}});
    REQUIRE(got.dimensions() == shape{1, 2, 3});
    REQUIRE(got.first() == floats{1, 2, 3, 10, 20, 30, 10, 20, 30, 4, 5, 6});
    // what is not taken does not matter
    REQUIRE(evaluate<float>(where_broadcastable{}, {{{1}, {0}}, {{1}, {nan}}, {{1}, {3}}}).first() ==
            floats{3});
}

namespace {

/// where_broadcastable of a condition that is no input, as the result jumps where it changes.
struct chosen {
    static constexpr auto key = "chosen";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{2, 2};
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};
    static constexpr double condition[]{1, 0, 0.25};

    constexpr outcome output_shape(std::span<const shape> xs) const {
        const shape all[]{{3, 1}, xs[0], xs[1]};
        return where_broadcastable{}.output_shape(all);
    }
    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P& p, W& w) const noexcept {
        const std::array all{dynamic_view<const double>{condition, {3, 1}, ys[0].examples, 0}, xs[0], xs[1]};
        where_broadcastable{}.forward(std::span(all), ys, p, w);
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs xs, Ys ys, Dys dys, Dxs dxs, const P& p, const Dp& dp, W& w) const noexcept {
        const std::array all{dynamic_view<const double>{condition, {3, 1}, dys[0].examples, 0}, xs[0], xs[1]};
        const std::array to{dynamic_view<double>{}, dxs[0], dxs[1]};
        where_broadcastable{}.backward(std::span(all), ys, dys, std::span(to), p, dp, w);
    }
    [[maybe_unused]] friend bool operator==(const chosen&, const chosen&) = default;
};

}  // namespace

TEST_CASE("where_broadcastable: gradients") {
    for (const std::vector<shape>& shapes : std::vector<std::vector<shape>>{
             {{3, 4}, {3, 4}}, {{4}, {3, 1}}, {{}, {2, 3, 4}}, {{2, 1, 5}, {}}, {{1}, {1}}})
        require_gradients(chosen{}, shapes);
    require_gradients(chosen{}, {{3, 4}}, {.arguments = {0, 0}});
}

TEST_CASE("where_broadcastable: the gradient of each input, by hand") {
    const std::vector<double> condition{1, 0, 2}, a{1, 2, 3}, b{5}, dy{1, 10, 100};
    std::vector<double> none(3, 7), da(3, 0.5), db(1, 0.5);
    using in = dynamic_view<const double>;
    using out = dynamic_view<double>;
    const std::vector<in> xs{{condition.data(), {3}, 1, 3}, {a.data(), {3}, 1, 3}, {b.data(), {1}, 1, 1}},
        dys{{dy.data(), {3}, 1, 3}};
    const std::vector<out> dxs{{none.data(), {3}, 1, 3}, {da.data(), {3}, 1, 3}, {db.data(), {1}, 1, 1}};
    workspace<double> w;
    where_broadcastable{}.backward(std::span<const in>(xs), std::span<const in>(xs), std::span<const in>(dys),
                                   std::span<const out>(dxs), no_parameters{}, no_parameters{}, w);
    REQUIRE(none == std::vector<double>{7, 7, 7});
    REQUIRE(da == std::vector<double>{1.5, 0.5, 100.5});
    REQUIRE(db == std::vector<double>{10.5});
}

TEST_CASE("broadcastable: shapes and faults") {
    REQUIRE(fault_of(divide_broadcastable{}, {{2, 3}, {2}}) ==
            "layers/0 \"layer\" (divideBroadcastable): inputs wanted whose extents from the last axis on are "
            "equal or 1, "
            "input 1 has the shape [2], those before it have [2, 3]");
    REQUIRE(fault_of(where_broadcastable{}, {{2}, {3}, {3}}) ==
            "layers/0 \"layer\" (whereBroadcastable): inputs wanted whose extents from the last axis on are "
            "equal or 1, "
            "input 1 has the shape [3], those before it have [2]");
    ask_everything(add_broadcastable{});
    ask_everything(pow_broadcastable{});
    for (const shape& a : hostile_shapes())
        for (const shape& b : hostile_shapes()) plan_of(where_broadcastable{}, {a, b, {3, 1}});
}

namespace {
constexpr auto with_row(auto... outputs) {
    return compose(input{"x", {16, 40}}, input{"row", {40}},
                   inner_product{.output_channels = 40} | from("x") | named("fc"),
                   add_broadcastable{} | from("fc", "row") | named("sum"),
                   multiply_broadcastable{} | from("row", "sum") | named("product"),
                   subtract_broadcastable{} | from("product", "row") | named("y"), output{"y"}, outputs...);
}
inline constexpr auto fused = with_row();
inline constexpr auto apart = with_row(output{"fc"}, output{"sum"}, output{"product"});
}  // namespace

TEST_CASE("broadcastable: a row is added and multiplied in the epilogue of a product") {
    network<fused> together(1);
    network<apart> one_by_one(1);
    constexpr plan_view plan = network<fused>::plan();
    REQUIRE(plan.steps[1].head == 0);
    REQUIRE(plan.steps[2].head == 0);
    REQUIRE(plan.steps[3].head == blob_facts::npos);  // x - row is not row - x
    const auto x = numbers<float>(640), row = numbers<float>(40, 2);
    const auto y = together(x, row);
    const auto all = one_by_one(x, row);
    const auto& same = std::get<0>(all);
    REQUIRE(same_bits(std::vector<float>(y.begin(), y.end()), std::vector<float>(same.begin(), same.end())));
}
