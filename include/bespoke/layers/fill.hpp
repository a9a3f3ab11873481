#pragma once

#include "../core/concepts.hpp"
#include "../kernels/map.hpp"

#include <limits>

/// Layers whose outputs are known before the network runs: they look at the shapes of their inputs, at most.
namespace bespoke {
namespace detail {

/// The shape that a field, "a shape" or the like, gives to an output.
constexpr outcome given_shape(std::string_view name, const shape& given) {
    for (extent e : given)
        if (e < 0) return value_fault(name, " from 0 up wanted, ", given, " given");
    return given;
}

constexpr bool is_finite(float v) {
    return v >= std::numeric_limits<float>::lowest() && v <= std::numeric_limits<float>::max();
}

/// Equal numbers for an output of this shape, where they are few enough to be of interest: see core/known_values.hpp.
constexpr std::vector<double> few(const shape& y, double value) {
    const extent size = checked_size(y, 64);
    std::vector<double> values;  // no ?: of vectors: g++ 12 destroys them twice in a constant expression
    if (size > 0) values.assign(static_cast<std::size_t>(size), value);
    return values;
}

/// Copies the first example of y to the others, where it is stored for each.
template <class T>
void repeat_first_example(const dynamic_view<T>& y) noexcept {
    for (extent e = 1; e < y.examples; ++e) kernels::copy(y.size(), y.data, y.example(e));
}

/// What runs for `fill_static` and `fill_like`.
struct filling {
    float value = 0;

    static constexpr auto key = "filling";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{0, 1};
    static constexpr bool batched = true;
    static constexpr bool differentiable = false;
    static constexpr bool reads_values = false;

    constexpr outcome output_shape(std::span<const shape> xs) const { return first_of(xs); }
    template <class Xs, class Ys, class P, class W>
    void forward(Xs, Ys ys, const P&, W& w) const noexcept {
        using T = typename Ys::value_type::value_type;
        T* const y = ys[0].data;
        parallel_for(w.threads, ys[0].total(), 1 << 16, [&](extent first, extent last) {
            kernels::fill(last - first, static_cast<T>(value), y + first);
        });
    }
    friend bool operator==(const filling&, const filling&) = default;
};

}  // namespace detail

/// y of the shape of x, all elements `value`. The values of x do not matter, and no gradient passes to it.
/// Core ML specification, FillLikeLayerParams.
struct fill_like {
    float value = 0;

    static constexpr auto key = "fillLike";
    constexpr void fields(auto& field) { field("value", value, field_floats::any); }
    static constexpr input_count inputs{1, 1};

    constexpr outcome output_shape(std::span<const shape> xs) const { return xs[0]; }
    constexpr std::vector<double> known_output(std::span<const shape> xs, std::span<const known_values>) const {
        return detail::few(xs[0], static_cast<double>(value));
    }
    constexpr detail::filling equivalent(const shape&) const { return {value}; }
    friend bool operator==(const fill_like&, const fill_like&) = default;
};

/// y of the shape `target_shape`, all elements `value`. No input.
/// Core ML specification, FillStaticLayerParams.
struct fill_static {
    float value = 0;
    shape target_shape{};

    static constexpr auto key = "fillStatic";
    constexpr void fields(auto& field) {
        field("value", value, field_floats::any);
        field("targetShape", target_shape);
    }
    static constexpr input_count inputs{0, 0};

    constexpr outcome output_shape(std::span<const shape>) const {
        return detail::given_shape("a targetShape", target_shape);
    }
    constexpr std::vector<double> known_output(std::span<const shape>, std::span<const known_values>) const {
        return detail::few(target_shape, static_cast<double>(value));
    }
    constexpr detail::filling equivalent(const shape&) const { return {value}; }
    friend bool operator==(const fill_static&, const fill_static&) = default;
};

/// y = start_value, start_value + step_size_value, ... up to end_value, which is not in it: as many numbers as
/// (end_value - start_value) / step_size_value, rounded up; none where that is negative. No input. An element is
/// start_value + i step_size_value, computed in double and rounded once.
/// Core ML specification, RangeStaticLayerParams.
struct range_static {
    float end_value = 0, start_value = 0, step_size_value = 1;

    static constexpr auto key = "rangeStatic";
    constexpr void fields(auto& field) {
        field("endValue", end_value);
        field("startValue", start_value);
        field("stepSizeValue", step_size_value);
    }
    static constexpr input_count inputs{0, 0};
    static constexpr bool batched = true;
    static constexpr bool differentiable = false;
    static constexpr bool reads_values = false;

    constexpr outcome output_shape(std::span<const shape>) const {
        if (!detail::is_finite(end_value) || !detail::is_finite(start_value))
            return value_fault("a finite startValue and a finite endValue wanted, ", start_value, " and ", end_value,
                               " given");
        if (!detail::is_finite(step_size_value) || step_size_value == 0)
            return value_fault("a finite stepSizeValue other than 0 wanted, ", step_size_value, " given");
        const double steps = (double_of(end_value) - double_of(start_value)) / double_of(step_size_value);
        if (!(steps > 0)) return shape{0};
        if (steps > 0x1p62) return shape_fault("its output would be too large");
        const auto whole = static_cast<extent>(steps);
        return shape{static_cast<double>(whole) < steps ? whole + 1 : whole};
    }
    constexpr std::vector<double> known_output(std::span<const shape>, std::span<const known_values>) const {
        std::vector<double> values = detail::few(output_shape({}).shapes()[0], 0);
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = number(static_cast<double>(i));
        return values;
    }
    template <class Xs, class Ys, class P, class W>
    void forward(Xs, Ys ys, const P&, W&) const noexcept {
        using T = typename Ys::value_type::value_type;
        const range_static numbers = *this;  // which nobody writes to meanwhile, as the compiler can see
        const extent size = ys[0].size();
        T* const y = ys[0].data;
        constexpr int some = 16;
        extent i = 0;
        for (; i + some <= size; i += some) {
            const auto first = static_cast<double>(i);  // once: AVX2 cannot convert 64 bits
            for (int j = 0; j < some; ++j) y[i + j] = static_cast<T>(numbers.number(first + j));
        }
        for (; i < size; ++i) y[i] = static_cast<T>(numbers.number(static_cast<double>(i)));
        detail::repeat_first_example(ys[0]);
    }
    friend bool operator==(const range_static&, const range_static&) = default;

private:
    static constexpr double double_of(float value) { return static_cast<double>(value); }
    constexpr double number(double i) const { return double_of(start_value) + i * double_of(step_size_value); }
};

/// y = the extents of x: a vector of as many numbers as x has axes. The values of x do not matter, and no gradient
/// passes to it. In float an extent beyond 2^24 is rounded.
/// Core ML specification, GetShapeLayerParams.
struct get_shape {
    static constexpr auto key = "getShape";
    constexpr void fields(auto&) {}
    static constexpr bool batched = true;
    static constexpr bool differentiable = false;
    static constexpr bool reads_values = false;

    constexpr outcome output_shape(const shape& x) const { return shape{static_cast<extent>(x.rank())}; }
    constexpr std::vector<double> known_output(std::span<const shape> xs, std::span<const known_values>) const {
        return {xs[0].begin(), xs[0].end()};
    }
    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W&) const noexcept {
        using T = typename Y::value_type;
        for (std::size_t axis = 0; axis < x.rank(); ++axis) y.data[axis] = static_cast<T>(x.dimensions[axis]);
        detail::repeat_first_example(erased(y));
    }
    friend bool operator==(const get_shape&, const get_shape&) = default;
};

}  // namespace bespoke
