#include <bespoke/training/check_gradients.hpp>

#include <bespoke/layers/inner_product.hpp>
#include <bespoke/layers/multiply.hpp>

#include <catch2/catch.hpp>

using namespace bespoke;

// Not anonymous: clang warns of a comparison there that nobody calls.
namespace gradient_test {

/// y = a x² with one learned number a: right, or wrong in one of many ways.
enum class mistake {
    none,
    overwrites_input_gradient,
    overwrites_parameter_gradient,
    wrong_factor,
    misses_an_element,
    misses_an_example,
    needs_every_gradient,
    doubles_parameter_gradient,
};

struct square {
    mistake made = mistake::none;

    static constexpr auto key = "square";
    constexpr void fields(auto&) {}
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    template <class T>
    struct parameters {
        T a;
    };
    template <class T>
    static constexpr auto parameter_fields =
        std::array{parameter_field{"a", &parameters<T>::a, initial::one}};

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() == 0) return shape_fault("rank 1 wanted");
        return x;
    }
    constexpr parameters<shape> parameter_shapes(const shape&) const { return {.a = {1}}; }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P& p, W&) const noexcept {
        for (extent i = 0; i < x.total(); ++i) y.data[i] = p.a.data[0] * x.data[i] * x.data[i];
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y, Dy dy, Dx dx, const P& p, const Dp& dp, W&) const noexcept {
        const double factor = made == mistake::wrong_factor ? 2.001 : 2;
        extent count = made == mistake::misses_an_example ? x.size() : x.total();
        for (extent i = made == mistake::misses_an_element ? 1 : 0; i < count; ++i) {
            const double g = factor * p.a.data[0] * x.data[i] * dy.data[i];
            if (made == mistake::needs_every_gradient && !dp.a) return;
            if (!dx) continue;
            if (made == mistake::overwrites_input_gradient)
                dx.data[i] = g;
            else
                dx.data[i] += g;
        }
        if (!dp.a) return;
        double sum = 0;
        for (extent i = 0; i < x.total(); ++i) sum += x.data[i] * x.data[i] * dy.data[i];
        if (made == mistake::overwrites_parameter_gradient) dp.a.data[0] = 0;
        if (made == mistake::doubles_parameter_gradient) sum *= 2;
        dp.a.data[0] += sum;
    }
    friend bool operator==(const square&, const square&) = default;
};

/// Says that it does not need x, and reads it.
struct greedy_square : square {
    static constexpr backward_needs needs{.input = false, .output = false};
    friend bool operator==(const greedy_square&, const greedy_square&) = default;
};

/// Says that it begins its gradient, and adds to what is there.
struct late_square : square {
    static constexpr bool begins_gradient = true;
    friend bool operator==(const late_square&, const late_square&) = default;
};

template <class L>
std::string verdict(const L& layer) {
    const gradient_report r = check_gradients(layer, {{3, 2}});
    REQUIRE(r.ok == r.what.empty());
    REQUIRE(static_cast<bool>(r) == r.ok);
    return r.what;
}
bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// Two inputs; forgets that one of them may be stored once for all examples.
struct forgetful_sum {
    static constexpr auto key = "forgetfulSum";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{2, 2};
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};
    constexpr outcome output_shape(std::span<const shape> xs) const { return xs[0]; }
    void forward(auto xs, auto ys, const auto&, auto&) const noexcept {
        for (extent e = 0; e < ys[0].examples; ++e)
            for (extent i = 0; i < ys[0].size(); ++i)
                ys[0].example(e)[i] = xs[0].example(e)[i] + xs[1].example(e)[i];
    }
    void backward(auto, auto, auto dys, auto dxs, const auto&, const auto&, auto&) const noexcept {
        for (const auto& dx : dxs)
            for (extent e = 0; dx && e < (dx.stride == 0 ? 1 : dx.examples); ++e)  // only the first
                for (extent i = 0; i < dx.size(); ++i) dx.example(e)[i] += dys[0].example(e)[i];
    }
    friend bool operator==(const forgetful_sum&, const forgetful_sum&) = default;
};

/// No derivative at 0.
struct size_of {
    static constexpr auto key = "size";
    constexpr void fields(auto&) {}
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::abs(x);
    }
    template <class V>
    V derivative(const V& x, const V&) const noexcept {
        return kernels::select(x > V(0), V(1), V(-1));
    }
    friend bool operator==(const size_of&, const size_of&) = default;
};

/// A step, through which no gradient passes.
struct step {
    static constexpr auto key = "step";
    constexpr void fields(auto&) {}
    static constexpr bool differentiable = false;
    constexpr outcome output_shape(const shape& x) const { return x; }
    void forward(auto x, auto y, const auto&, auto&) const noexcept {
        for (extent i = 0; i < x.total(); ++i) y.data[i] = x.data[i] > 0;
    }
    friend bool operator==(const step&, const step&) = default;
};

}  // namespace gradient_test

using namespace gradient_test;

TEST_CASE("check_gradients: right layers pass") {
    REQUIRE(verdict(square{}) == "");
    REQUIRE(check_gradients(inner_product{.output_channels = 3}, {{2, 4}}, {.examples = 3, .seed = 7}));
    REQUIRE(check_gradients(multiply{}, {{2, 3}, {2, 1}}));
}

TEST_CASE("check_gradients: every mistake is found and named") {
    REQUIRE(contains(verdict(square{mistake::overwrites_input_gradient}),
                     "gradient of input 0, example 0, element 0: "));
    REQUIRE(contains(verdict(square{mistake::overwrites_parameter_gradient}), "gradient of a, element 0: "));
    REQUIRE(contains(verdict(square{mistake::wrong_factor}), "gradient of input 0, example 0, element "));
    REQUIRE(
        contains(verdict(square{mistake::misses_an_element}), "gradient of input 0, example 0, element 0: "));
    REQUIRE(
        contains(verdict(square{mistake::misses_an_example}), "gradient of input 0, example 1, element 0: "));
    REQUIRE(contains(verdict(greedy_square{}), "nan came"));
    REQUIRE(contains(verdict(late_square{}), " came where the input gradient in place of a sum is wanted"));
    REQUIRE(contains(verdict(square{mistake::needs_every_gradient}),
                     " came where no parameter gradient is wanted"));
    REQUIRE(contains(verdict(square{mistake::doubles_parameter_gradient}), "gradient of a, element 0: "));
}

TEST_CASE("check_gradients: says what was expected and what came") {
    // x = 0.5 everywhere and a missed element: the gradient is 0 where a dy was expected
    const gradient_report r = check_gradients(square{mistake::misses_an_element}, {{1}}, {.examples = 1},
                                              [](std::size_t, philox&) { return 0.0; });
    REQUIRE(r.ok);  // at x = 0 the mistake does not show
    const gradient_report s = check_gradients(square{mistake::misses_an_element}, {{1}}, {.examples = 1},
                                              [](std::size_t, philox&) { return 0.5; });
    REQUIRE(contains(s.what, "gradient of input 0, example 0, element 0: "));
    REQUIRE(contains(s.what, " expected, 0 came"));
}

TEST_CASE("check_gradients: an input stored once sums up the examples") {
    REQUIRE(contains(check_gradients(forgetful_sum{}, {{2}, {2}}).what,
                     " came (input 0 stored once for all examples)"));
    REQUIRE(check_gradients(forgetful_sum{}, {{2}, {2}}, {.examples = 1}));
}

TEST_CASE("check_gradients: inputs keep away from kinks") {
    const auto near_zero = [](std::size_t, philox& random) { return (random.uniform() - 0.5) * 1e-7; };
    REQUIRE_FALSE(check_gradients(size_of{}, {{20}}, {}, near_zero));
    REQUIRE(check_gradients(size_of{}, {{20}}, {.kinks = {0}}, near_zero));
}

TEST_CASE("check_gradients: one blob as several arguments") {
    REQUIRE(check_gradients(multiply{}, {{3}}, {.arguments = {0, 0, 0}}));
    REQUIRE(check_gradients(multiply{}, {{3}, {3}}, {.arguments = {1, 0, 1}}));
}

TEST_CASE("check_gradients: a layer that refuses its inputs, or has no gradient") {
    REQUIRE(check_gradients(square{}, {{}}).what == "layers/0 \"layer\" (square): rank 1 wanted");
    REQUIRE(check_gradients(square{}, {{2}, {2}}).what ==
            "layers/0 \"layer\" (square): 1 input wanted, 2 named");
    REQUIRE(check_gradients(step{}, {{2}}).what == "no gradient passes this layer: differentiable = false");
}
