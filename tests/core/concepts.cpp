#include <bespoke/core/concepts.hpp>

#include <catch2/catch.hpp>

#include <vector>

using namespace bespoke;

namespace {

/// y = x + 1, and nothing said beyond it.
struct plus_one {
    static constexpr auto key = "plusOne";
    constexpr void fields(auto&) {}
    template <class V>
    V operator()(const V& x) const {
        return x + V(1);
    }
    template <class V>
    V derivative(const V&, const V&) const {
        return V(1);
    }
    bool operator==(const plus_one&) const = default;
};

/// One input, two parameters.
struct scaled {
    bool with_bias = true;

    static constexpr auto key = "family", nested_key = "scaled";
    constexpr void fields(auto& field) { field("withBias", with_bias); }
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = true, .output = false};
    template <class T>
    struct parameters {
        T scale, bias;
    };
    template <class T>
    static constexpr auto parameter_fields =
        std::array{parameter_field{"scale", &parameters<T>::scale, initial::one},
                   parameter_field{"bias", &parameters<T>::bias, initial::zero, false}};
    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() == 0) return shape_fault("rank from 1 up wanted");
        return x;
    }
    /// Of vectors only.
    constexpr bool probabilities(const shape& x) const { return x.rank() == 1; }
    constexpr parameters<shape> parameter_shapes(const shape& x) const {
        return {.scale = {x[0]}, .bias = with_bias ? shape{x[0]} : absent};
    }
    bool operator==(const scaled&) const = default;
};

/// Two inputs, two outputs.
struct exchange {
    static constexpr auto key = "exchange";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{2, 2};
    static constexpr bool in_place = true, overwrites = true, differentiable = false;
    constexpr outcome output_shape(std::span<const shape> xs) const { return std::vector<shape>{xs[1], xs[0]}; }
    bool operator==(const exchange&) const = default;
};

/// `scaled` without a bias, in other words; matrices only.
struct rescaled {
    int unused = 0;

    static constexpr auto key = "rescaled";
    constexpr void fields(auto&) {}
    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() != 2) return shape_fault("rank 2 wanted");
        return x;
    }
    constexpr scaled equivalent(const shape& x) const { return {.with_bias = x.rank() != 2}; }
    bool operator==(const rescaled&) const = default;
};

/// A parameter and no input, in other words.
struct made {
    extent size = 2;

    static constexpr auto key = "made";
    constexpr void fields(auto& field) { field("size", size); }
    static constexpr input_count inputs{0, 0};
    static constexpr bool reads_values = false;
    template <class T>
    struct parameters {
        T data;
    };
    template <class T>
    static constexpr auto parameter_fields = std::array{parameter_field{"data", &parameters<T>::data}};
    constexpr outcome output_shape(std::span<const shape>) const { return shape{size}; }
    constexpr parameters<shape> parameter_shapes(std::span<const shape>) const { return {{size}}; }
    constexpr bool finishes(std::span<const shape> xs) const { return !xs.empty(); }
    bool operator==(const made&) const = default;
};
struct remade {
    static constexpr auto key = "remade";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{0, 0};
    constexpr outcome output_shape(std::span<const shape>) const { return shape{3}; }
    constexpr made equivalent(const shape& x) const { return {.size = x == absent ? 3 : 0}; }
    bool operator==(const remade&) const = default;
};

/// All elements as one row.
struct row {
    static constexpr auto key = "row";
    constexpr void fields(auto&) {}
    static constexpr bool same_elements = true;
    constexpr outcome output_shape(const shape& x) const { return shape{x.size()}; }
    bool operator==(const row&) const = default;
};

/// The same, which may also turn the row around.
struct turned {
    bool around = false;

    static constexpr auto key = "turned";
    constexpr void fields(auto& field) { field("around", around); }
    constexpr outcome output_shape(const shape& x) const { return shape{x.size()}; }
    constexpr bool same_elements() const { return !around; }
    bool operator==(const turned&) const = default;
};

struct no_key {
    constexpr outcome output_shape(const shape& x) const { return x; }
    bool operator==(const no_key&) const = default;
};

}  // namespace

TEST_CASE("each layer stands on its rung") {
    static_assert(layer<plus_one> && elementwise_layer<plus_one> && !unary_layer<plus_one> &&
                  !parametric_layer<plus_one>);
    static_assert(layer<scaled> && unary_layer<scaled> && parametric_layer<scaled> && !elementwise_layer<scaled>);
    static_assert(layer<exchange> && variadic_layer<exchange> && !unary_layer<exchange> && !control_layer<exchange>);
    static_assert(!layer<no_key> && !layer<int> && !layer<const char*>);
    CHECK(key_of<plus_one>().view() == "plusOne");
    CHECK(key_of<scaled>().view() == "family.scaled");
}

TEST_CASE("what a layer does not say has a default") {
    static_assert(is_batched<plus_one> && is_in_place<plus_one>);
    static_assert(is_batched<scaled> && !is_in_place<scaled> && !is_overwriting<scaled>);
    static_assert(is_differentiable<scaled> && !needs_of<scaled>.output && needs_of<scaled>.input);
    static_assert(!is_batched<exchange> && is_in_place<exchange> && is_overwriting<exchange>);
    static_assert(!is_differentiable<exchange>);
    static_assert(needs_of<exchange>.input && needs_of<exchange>.output);
    CHECK(inputs_of<scaled>.least == 1);
    CHECK(inputs_of<scaled>.most == 1);
    CHECK(inputs_of<exchange>.least == 2);
}

TEST_CASE("a layer without inputs is asked like the others") {
    static_assert(variadic_layer<remade> && rephrased_layer<remade> && parametric_layer<remade>);
    static_assert(!is_reading_values<made> && !is_reading_values<remade> && is_reading_values<exchange>);
    CHECK(parameter_shapes(made{4}, {})[0] == shape{4});
    CHECK(parameter_shapes(remade{}, {})[0] == shape{3});
    CHECK(output_shapes(remade{}, {}).shapes() == std::vector{shape{3}});
    CHECK_FALSE(can_finish(made{}, {}));
    CHECK_FALSE(can_finish(remade{}, {}));
}

TEST_CASE("the shape rule is asked alike on every rung, at both times") {
    const std::vector<shape> xs{{2, 3}, {4}};
    CHECK(output_shapes(plus_one{}, std::span(xs).first(1)).shapes() == std::vector{shape{2, 3}});
    CHECK(output_shapes(scaled{}, std::span(xs).first(1)).shapes() == std::vector{shape{2, 3}});
    CHECK(output_shapes(exchange{}, xs).shapes() == std::vector{shape{4}, shape{2, 3}});
    static_assert([] {
        const std::array<shape, 1> scalar{};
        return !output_shapes(scaled{}, scalar);
    }());
}

TEST_CASE("whether a layer gives probabilities may depend on the shape") {
    const std::vector<shape> vector{{4}}, matrix{{4, 5}}, both{{4}, {4}};
    CHECK(gives_probabilities(scaled{}, vector));
    CHECK_FALSE(gives_probabilities(scaled{}, matrix));
    CHECK_FALSE(gives_probabilities(scaled{}, both));
    CHECK_FALSE(gives_probabilities(plus_one{}, vector));
}

TEST_CASE("parameters are counted and shaped in the order of their fields") {
    static_assert(parameter_count<plus_one> == 0 && parameter_count<scaled> == 2);
    static_assert(std::is_same_v<parameters_t<plus_one, shape>, no_parameters>);
    static_assert(std::is_same_v<parameters_t<scaled, shape>, scaled::parameters<shape>>);
    const std::vector<shape> x{{2, 3}};
    CHECK(parameter_shapes(scaled{}, x) == std::array{shape{2}, shape{2}});
    CHECK(parameter_shapes(scaled{.with_bias = false}, x) == std::array{shape{2}, absent});
    constexpr auto fields = scaled::parameter_fields<shape>;
    static_assert(fields[0].start == initial::one && fields[0].learned && !fields[1].learned);
    CHECK(fields[1].name == "bias");
}

TEST_CASE("a layer in terms of another has all of it but names, fields and the shape rule") {
    static_assert(layer<rescaled> && unary_layer<rescaled> && rescaled{}.output_shape(shape{2, 3}));
    static_assert(rephrased_layer<rescaled> && !rephrased_layer<scaled> && !rephrased_layer<plus_one>);
    static_assert(std::is_same_v<performer_t<rescaled>, scaled> && std::is_same_v<performer_t<exchange>, exchange>);
    static_assert(parametric_layer<rescaled> && parameter_count<rescaled> == 2);
    static_assert(std::is_same_v<parameters_t<rescaled, shape>, scaled::parameters<shape>>);
    static_assert(is_batched<rescaled> && !is_in_place<rescaled> && is_differentiable<rescaled>);
    static_assert(needs_of<rescaled>.input && !needs_of<rescaled>.output);
    static_assert(performer(rescaled{}, shape{2, 3}) == scaled{.with_bias = false});
    static constexpr exchange other{};
    static_assert(&performer(other, shape{}) == &other);
    CHECK_FALSE(output_shapes(rescaled{}, std::vector<shape>{{4}}));
    CHECK(parameter_shapes(rescaled{}, std::vector<shape>{{4, 5}}) == std::array{shape{4}, absent});
    CHECK(key_of<rescaled>().view() == "rescaled");
}

TEST_CASE("a layer that gives the elements it takes says no more than that") {
    static_assert(layer<row> && same_elements_layer<row> && !same_elements_layer<turned> &&
                  !same_elements_layer<plus_one>);
    static_assert(is_batched<row> && is_in_place<row> && !needs_of<row>.input && !needs_of<row>.output);
    static_assert(!is_in_place<turned> && needs_of<turned>.input);
    static_assert(gives_same_elements(row{}) && !gives_same_elements(plus_one{}));
    static_assert(gives_same_elements(turned{}) && !gives_same_elements(turned{.around = true}));
}
