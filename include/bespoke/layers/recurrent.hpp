#pragma once

#include "../core/concepts.hpp"
#include "../kernels/recurrent.hpp"
#include "activation.hpp"

#include <algorithm>
#include <optional>
#include <variant>

/// What simple_recurrent, gru, uni_directional_lstm, bi_directional_lstm of the Core ML specification share.
///
/// | x                   | y, with sequence_output | y, without and states |                                  |
/// |---------------------|-------------------------|-----------------------|----------------------------------|
/// | [steps, batch, C, 1, 1] | [steps, batch, n, 1, 1] | [1, batch, n, 1, 1] | of the specification          |
/// | [steps, batch, C]   | [steps, batch, n]       | [1, batch, n]         |                                  |
/// | [steps, C]          | [steps, n]              | [1, n]                | one sequence                     |
///
/// n is output_vector_size; y of bi_directional_lstm has 2 n. No step at all: the states stay what they are. A state of
/// rank 5 may also come in as [batch, n, 1, 1, 1].
/// Inputs: x, or x and the states before the first step, which else are 0. Outputs: y, or, where states come in or with
/// gives_states, y and the states behind the last step. With reverse_input the steps are taken from the last to the
/// first, and y has them in that order. What the gates' activations get is clipped to +-50.
namespace bespoke {

/// An activation of a gate: those that the specification allows. Core ML specification, ActivationParams.
struct recurrent_activation {
    using alternatives = std::variant<sigmoid, tanh, sigmoid_hard, linear, relu, scaled_tanh>;
    alternatives type{};

    constexpr void fields(auto& field) { field(type); }

    constexpr recurrent_activation() = default;
    constexpr recurrent_activation(const sigmoid& f) : type(f) {}
    constexpr recurrent_activation(const tanh& f) : type(f) {}
    constexpr recurrent_activation(const sigmoid_hard& f) : type(f) {}
    constexpr recurrent_activation(const linear& f) : type(f) {}
    constexpr recurrent_activation(const relu& f) : type(f) {}
    constexpr recurrent_activation(const scaled_tanh& f) : type(f) {}

    template <class F>
    constexpr bool is() const {
        return std::holds_alternative<F>(type);
    }
    /// What a gate computes. An alpha and a beta of 0, which is what a file has that leaves both out, stand for the
    /// customary ones: linear 1 and 0, sigmoid_hard 0.2 and 0.5, scaled_tanh 1 and 1. (For the last the specification
    /// names 1.71 and 2 / 3; the networks of its converter, which leave them out, want the plain tanh.)
    constexpr recurrent_activation with_constants() const {
        if (const auto* f = std::get_if<linear>(&type); f && f->alpha == 0 && f->beta == 0) return linear{1, 0};
        if (const auto* f = std::get_if<sigmoid_hard>(&type); f && f->alpha == 0 && f->beta == 0)
            return sigmoid_hard{0.2F, 0.5F};
        if (const auto* f = std::get_if<scaled_tanh>(&type); f && f->alpha == 0 && f->beta == 0)
            return scaled_tanh{1, 1};
        return *this;
    }
    template <class V>
    V operator()(const V& x) const noexcept {
        return std::visit([&](const auto& f) -> V { return f(x); }, type);
    }
    template <class V>
    V derivative(const V& x, const V& y) const noexcept {
        return std::visit([&](const auto& f) -> V { return f.derivative(x, y); }, type);
    }
    friend bool operator==(const recurrent_activation&, const recurrent_activation&) = default;
};

namespace detail {

/// The views of a layer's parameters, gate by gate.
template <class T>
struct gate_arrays {
    std::array<T*, 4> w{}, r{}, bias{};
    std::array<T*, 3> peepholes{};
};

/// What a recurrent layer looks like from outside.
struct recurrent_form {
    extent input_size, output_size;  ///< declared
    extent gates, late = 0;
    std::size_t states = 1, directions = 1;  ///< states of each direction
    bool sequence_output, reverse = false, has_peepholes = false, gives_states = false;
    extent raised_gate = -1;  ///< the gate to whose bias 1 is added; -1: none

    /// Elements of a sequence's working memory, so that no size can overflow.
    static constexpr extent most = extent{1} << 48;

    static constexpr std::size_t channel_axis(const shape& x) { return x.rank() == 2 ? 1 : 2; }
    static constexpr extent inputs(const shape& x) { return x[channel_axis(x)]; }
    static constexpr extent batch(const shape& x) { return x.rank() == 2 ? 1 : x[1]; }

    constexpr shape state_shape(const shape& x) const {
        shape y = x;
        y[0] = 1;
        y[channel_axis(x)] = output_size;
        return y;
    }
    constexpr outcome output_shape(std::span<const shape> xs) const {
        const shape& x = xs[0];
        const std::size_t all_states = states * directions;
        if (x.rank() != 2 && x.rank() != 3 && x.rank() != 5)
            return shape_fault("an input [steps, channels], [steps, batch, channels] or [steps, batch, channels, 1, 1] "
                               "wanted, its shape is ", x);
        if (x.rank() == 5 && (x[3] != 1 || x[4] != 1))
            return shape_fault("an input [steps, batch, channels, 1, 1] wanted, its shape is ", x);
        if (x[0] < 0 || batch(x) < 1 || inputs(x) < 1)
            return shape_fault("an input with a batch and channels wanted, its shape is ", x);
        if (output_size < 1) return value_fault("outputVectorSize from 1 up wanted, ", output_size, " given");
        if (input_size != unset && input_size != inputs(x))
            return shape_fault("an inputVectorSize of ", input_size, " declared, its input has ", inputs(x),
                               " channels (shape ", x, ")");
        const extent vectors = checked_product(std::max<extent>(x[0], 1), batch(x), most);
        const extent wide = checked_product(std::max(inputs(x), output_size), 64, most);
        if (vectors < 0 || wide < 0 || checked_product(vectors, wide, most) < 0)
            return shape_fault("a sequence of vectors of ", output_size, " is too much for an input of the shape ", x);
        if (xs.size() != 1 && xs.size() != 1 + all_states)
            return value_fault("1 or ", 1 + all_states, " inputs wanted, ", xs.size(), " named");
        for (std::size_t i = 1; i < xs.size(); ++i)
            if (!(xs[i] == state_shape(x)) && !(x.rank() == 5 && xs[i] == shape{batch(x), output_size, 1, 1, 1}))
                return shape_fault("a state of the shape ", state_shape(x), " wanted as input ", i, ", its shape is ",
                                   xs[i]);
        shape y = state_shape(x);
        if (sequence_output) y[0] = x[0];
        y[channel_axis(x)] *= static_cast<extent>(directions);
        std::vector<shape> ys{y};
        for (std::size_t i = 0; i < all_states && (gives_states || xs.size() > 1); ++i) ys.push_back(state_shape(x));
        return ys;
    }

    /// One sequence an example lie side by side: then all examples are the rows of one call.
    template <class X>
    static bool together(const X& x, extent examples) {
        return batch(x.dimensions) == 1 && (examples == 1 || x.stride != 0 || x.size() == 0);
    }
    constexpr kernels::recurrent_geometry geometry(const shape& x, extent examples, bool all_together,
                                                   bool reverse) const {
        const extent steps = x[0];
        return {.steps = steps,
                .rows = all_together ? examples : batch(x),
                .step_stride = all_together ? 1 : batch(x),
                .row_stride = all_together ? steps : 1,
                .inputs = inputs(x),
                .outputs = output_size,
                .gates = gates,
                .reverse = reverse,
                .in_place = directions == 2};
    }
    template <class T>
    extent scratch_size(const shape& x, extent examples) const {
        const auto size = [&](bool all_together) {
            return kernels::recurrent_memory<T>::size(geometry(x, examples, all_together, false), late);
        };
        return batch(x) == 1 ? std::max(size(true), size(false)) : size(false);
    }

    /// Elements that `prepare` writes for one direction; the peepholes stand last.
    template <class T>
    extent prepared_size(extent inputs) const {
        return weights<T>(inputs).size() + 3 * output_size;
    }
    template <class T>
    kernels::recurrent_weights<T> weights(extent inputs) const {
        return {inputs, output_size, gates, late};
    }
    template <class T>
    void prepare(extent inputs, const gate_arrays<const T>& p, T* prepared) const noexcept {
        const auto l = weights<T>(inputs);
        kernels::recurrent_prepare(l, p.w.data(), p.r.data(), p.bias.data(), prepared);
        for (extent i = 0; i < 3; ++i) {
            const T* const from = p.peepholes[static_cast<std::size_t>(i)];
            T* const there = prepared + l.size() + i * output_size;
            from != nullptr ? kernels::copy(output_size, from, there) : kernels::fill(output_size, T(0), there);
        }
        if (raised_gate < 0) return;
        T* const bias = prepared + l.bias() + raised_gate * output_size;
        for (extent i = 0; i < output_size; ++i) bias[i] += T(1);
    }
};

/// One direction of a recurrent layer in one call: all examples as rows, or one example with its batch as rows.
template <class T>
struct recurrent_call {
    const recurrent_form& form;
    kernels::recurrent_geometry g;
    extent first;                ///< example
    bool all_together;
    std::size_t direction;
    const T *prepared, *peepholes;
    kernels::recurrent_memory<T> m;
    thread_pool* threads;

    extent width() const { return static_cast<extent>(form.directions) * g.outputs; }
    extent offset() const { return static_cast<extent>(direction) * g.outputs; }
    std::size_t state(std::size_t i) const { return 1 + direction * form.states + i; }
    /// Row r of a blob of one vector a row.
    template <class View>
    auto* row(const View& v, extent r, extent size) const {
        return all_together ? v.example(r) : v.example(first) + r * size;
    }
    T* part(std::size_t i) const { return i == 0 ? m.h : m.memory; }

    using views = std::span<const dynamic_view<T>>;
    using const_views = std::span<const dynamic_view<const T>>;

    void load_states(const_views xs) const noexcept {
        for (std::size_t i = 0; i < form.states; ++i)
            for (extent r = 0; r < g.rows; ++r)
                if (xs.size() > 1)
                    kernels::copy(g.outputs, row(xs[state(i)], r, g.outputs), part(i) + r * g.outputs);
                else
                    kernels::fill(g.outputs, T(0), part(i) + r * g.outputs);
    }
    void store_results(views ys) const noexcept {
        for (extent r = 0; r < g.rows; ++r) {
            if (!form.sequence_output)
                kernels::copy(g.outputs, m.h + r * g.outputs, row(ys[0], r, width()) + offset());
            for (std::size_t i = 0; i < form.states && ys.size() > 1; ++i)
                kernels::copy(g.outputs, part(i) + r * g.outputs, row(ys[state(i)], r, g.outputs));
        }
    }
    void forward(const kernels::any_cell<T>& cell, const_views xs, views ys) const noexcept {
        load_states(xs);
        T* y = form.sequence_output ? ys[0].example(first) + offset() : nullptr;
        kernels::recurrent_forward(g, cell, xs[0].example(first), prepared, peepholes, m, y, width(), threads);
        store_results(ys);
    }
    /// The gradients of the states behind the last step.
    void load_gradients(const_views dys) const noexcept {
        for (std::size_t i = 0; i < form.states; ++i) kernels::fill(g.rows * g.outputs, T(0), part(i));
        for (extent r = 0; r < g.rows; ++r) {
            if (!form.sequence_output && dys[0])
                kernels::accumulate(g.outputs, row(dys[0], r, width()) + offset(), m.h + r * g.outputs);
            for (std::size_t i = 0; i < form.states && dys.size() > 1; ++i)
                if (dys[state(i)])
                    kernels::accumulate(g.outputs, row(dys[state(i)], r, g.outputs), part(i) + r * g.outputs);
        }
    }
    /// Those of the states before the first step, of x and of the parameters.
    void add_gradients(const_views xs, views dxs, const gate_arrays<T>& dp) const noexcept {
        for (std::size_t i = 0; i < form.states && dxs.size() > 1; ++i)
            for (extent r = 0; r < g.rows && dxs[state(i)]; ++r)
                kernels::accumulate(g.outputs, part(i) + r * g.outputs, row(dxs[state(i)], r, g.outputs));
        kernels::recurrent_gradients(g, form.late, xs[0].example(first), prepared, m, dp.w.data(), dp.r.data(),
                                     dp.bias.data(), dxs[0] ? dxs[0].example(first) : nullptr, threads);
        constexpr extent gate_of[] = {0, 1, 3};
        for (std::size_t i = 0; i < 3; ++i)
            if (dp.peepholes[i] != nullptr)
                kernels::peephole_gradient(g.all(), g.outputs, m.a + gate_of[i] * g.outputs, g.width(),
                                           i == 2 ? m.third : m.before_c, dp.peepholes[i]);
    }
    void backward(const kernels::any_cell<T>& cell, const_views xs, const_views dys, views dxs,
                  const gate_arrays<T>& dp) const noexcept {
        load_states(xs);
        kernels::recurrent_recall(g, cell, xs[0].example(first), prepared, peepholes, m, threads);
        load_gradients(dys);
        const T* dy = form.sequence_output && dys[0] ? dys[0].example(first) + offset() : nullptr;
        kernels::recurrent_backward(g, cell, prepared, peepholes, m, dy, width(), threads);
        add_gradients(xs, dxs, dp);
    }
};

/// Calls `body(call)` for all examples together or one by one.
template <class T, class Body>
void each_recurrent_call(const recurrent_form& form, const dynamic_view<const T>& x, extent examples,
                         std::size_t direction, const workspace<T>& w, const Body& body) noexcept {
    const bool all_together = recurrent_form::together(x, examples);
    const auto g = form.geometry(x.dimensions, examples, all_together, form.reverse || direction == 1);
    const T* from = w.prepared + static_cast<extent>(direction) * form.template prepared_size<T>(g.inputs);
    const kernels::recurrent_memory<T> m(g, form.late, w.scratch);
    for (extent first = 0; first < (all_together ? 1 : examples); ++first)
        body(recurrent_call<T>{form, g, first, all_together, direction, from,
                               form.has_peepholes ? from + form.template weights<T>(g.inputs).size() : nullptr, m,
                               w.threads});
}
template <class T>
[[gnu::noinline]] void recurrent_forward(const recurrent_form& form, const kernels::any_cell<T>& cell,
                                         std::size_t direction, std::span<const dynamic_view<const T>> xs,
                                         std::span<const dynamic_view<T>> ys, const workspace<T>& w) noexcept {
    each_recurrent_call<T>(form, xs[0], ys[0].examples, direction, w,
                           [&](const recurrent_call<T>& call) { call.forward(cell, xs, ys); });
}
template <class T>
[[gnu::noinline]] void recurrent_backward(const recurrent_form& form, const kernels::any_cell<T>& cell,
                                          std::size_t direction, std::span<const dynamic_view<const T>> xs,
                                          std::span<const dynamic_view<const T>> dys,
                                          std::span<const dynamic_view<T>> dxs, const gate_arrays<T>& dp,
                                          const workspace<T>& w) noexcept {
    each_recurrent_call<T>(form, xs[0], dys[0].examples, direction, w,
                           [&](const recurrent_call<T>& call) { call.backward(cell, xs, dys, dxs, dp); });
}

/// Whether views tell the compiler that there is one step of one sequence.
template <class X, class...>
inline constexpr bool one_step = [] {
    using S = std::remove_cvref_t<decltype(std::declval<X>().dimensions)>;
    constexpr shape s = S::value;
    return s[0] == 1 && recurrent_form::batch(s) == 1;
}();

/// One step of one sequence. xs: x and perhaps the states before it; ys: y and perhaps the states behind it.
template <class T, class Cell, class... X, class... Y>
[[gnu::always_inline]] inline void recurrent_step(const Cell& cell, const std::tuple<X...>& xs,
                                                  const std::tuple<Y...>& ys, const T* prepared,
                                                  bool has_peepholes) noexcept {
    constexpr extent inputs = decltype(std::get<0>(xs).size())::value, n = decltype(std::get<0>(ys).size())::value;
    constexpr bool has_states = sizeof...(X) > 1;
    constexpr kernels::fixed_step_geometry<inputs, n, Cell::gates> g;
    constexpr kernels::recurrent_weights<T> l{inputs, n, Cell::gates, Cell::late};
    constexpr constant<l.first()> first;
    alignas(64) T a[g.width], own[3 * n];
    T *h = own, *memory = own + n;
    const T* before = h;  // the product does not wait for copies
    if constexpr (has_states) before = std::get<1>(xs).data;
    else if constexpr (sizeof...(Y) > 1) before = std::get<1>(ys).data;
    const auto state = [&]<std::size_t I>(std::integral_constant<std::size_t, I>, T*& to)
                           __attribute__((always_inline)) {
                               if constexpr (sizeof...(Y) > 1) to = std::get<I>(ys).data;
                               if constexpr (has_states) kernels::copy(g.outputs, std::get<I>(xs).data, to);
                               else kernels::fill(g.outputs, T(0), to);
                           };
    state(std::integral_constant<std::size_t, 1>{}, h);
    if constexpr (Cell::has_memory) state(std::integral_constant<std::size_t, 2>{}, memory);
    kernels::gemm(g.rows, g.width, g.inputs, std::get<0>(xs).data, extent{inputs}, extent{1}, prepared + l.packed_w(),
                  a, extent{g.width}, prepared + l.bias());
    kernels::gemm(g.rows, first, g.outputs, before, n, extent{1}, prepared + l.packed_first(), a,
                  extent{g.width}, static_cast<const T*>(nullptr), true);
    cell.forward(g, kernels::row_view<T>{a}, prepared + l.packed_rest(), has_peepholes ? prepared + l.size() : nullptr,
                 h, memory, own + 2 * n, kernels::row_view<T>{std::get<0>(ys).data}, nullptr);
}

/// Runs a recurrent layer L, which says
/// - `form()`,
/// - `arrays<T>(p, D)`: the pointers of direction D, an integral constant, in its parameters,
/// - `with_cell(direction, body)`: calls body(cell) with a cell compiled for its activations, or with one for any.
template <class L>
struct recurrent_runner {
    L layer;  ///< resolved

    static constexpr auto key = L::key;
    constexpr void fields(auto&) {}
    static constexpr input_count inputs = L::inputs;
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = true, .output = false};
    static constexpr std::size_t directions = L{}.form().directions;

    template <class T>
    using parameters = typename L::template parameters<T>;
    template <class T>
    static constexpr decltype(L::template parameter_fields<T>) parameter_fields = L::template parameter_fields<T>;

    constexpr outcome output_shape(std::span<const shape> xs) const { return layer.output_shape(xs); }
    constexpr parameters<shape> parameter_shapes(std::span<const shape> xs) const {
        return layer.parameter_shapes(xs);
    }
    template <class T>
    extent prepared_size(std::span<const shape>) const {
        const recurrent_form form = layer.form();
        return static_cast<extent>(directions) * form.prepared_size<T>(form.input_size);
    }
    template <class P, class T>
    void prepare(const P& p, T* prepared) const noexcept {
        const recurrent_form form = layer.form();
        kernels::unroll<directions>([&](auto d) {
            form.prepare(form.input_size, layer.template arrays<const T>(p, d), prepared);
            prepared += form.prepared_size<T>(form.input_size);
        });
    }
    template <class T>
    extent scratch_size(std::span<const shape> xs, extent examples, extent) const {
        return layer.form().template scratch_size<T>(xs[0], examples);
    }

    template <class X, class Y, class P, class W>
    void forward(std::span<const X> xs, std::span<const Y> ys, const P&, W& w) const noexcept {
        for (std::size_t d = 0; d < directions; ++d)
            layer.with_cell(d, [&](const kernels::any_cell<typename X::value_type>& cell) {
                recurrent_forward(layer.form(), cell, d, xs, ys, w);
            });
    }
    template <class X, class Dx, class P, class Dp, class W>
    void backward(std::span<const X> xs, std::span<const X>, std::span<const X> dys, std::span<const Dx> dxs,
                  const P&, const Dp& dp, W& w) const noexcept {
        using T = typename X::value_type;
        kernels::unroll<directions>([&](auto d) {
            layer.with_cell(d, [&](const kernels::any_cell<T>& cell) {
                recurrent_backward<T>(layer.form(), cell, d, xs, dys, dxs, layer.template arrays<T>(dp, d), w);
            });
        });
    }
    template <class... X, class... Y, class P, class W>
        requires(directions == 1 && one_step<X...>)
    void forward_unrolled(const std::tuple<X...>& xs, const std::tuple<Y...>& ys, const P&, W& w) const noexcept {
        layer.with_cell(0, [&](const auto& cell) __attribute__((always_inline)) {
            recurrent_step(cell, xs, ys, w.prepared, layer.form().has_peepholes);
        });
    }
    friend bool operator==(const recurrent_runner&, const recurrent_runner&) = default;
};

}  // namespace detail
}  // namespace bespoke
