#pragma once

#include "engine_state.hpp"

namespace bespoke {

/// Runs one layer over the memory of an engine, with extents that are known at run time. Everything that is compiled
/// once a layer type stands here.
template <class T, layer L>
struct layer_runner {
    /// Asks the layer for its working memory.
    static void measure(engine_state<T>& e, const L& layer, std::size_t step);
    /// Lets the layer bring its parameters into the order in which its kernel reads them.
    static void prepare(engine_state<T>& e, const L& layer, std::size_t step);
    static void forward(engine_state<T>& e, const L& layer, std::size_t step);
    static void backward(engine_state<T>& e, const L& layer, std::size_t step);

private:
    static parameters_t<L, dynamic_view<const T>> parameters(const engine_state<T>& e, std::size_t step) {
        parameters_t<L, dynamic_view<const T>> views;
        for (std::size_t i = 0; i < parameter_count<L>; ++i)
            if constexpr (parametric_layer<L>)
                views.*(L::template parameter_fields<dynamic_view<const T>>[i].member) =
                    e.parameter_view(e.plan().steps[step].first_parameter + i);
        return views;
    }
    static parameters_t<L, dynamic_view<T>> gradients(const engine_state<T>& e, std::size_t step) {
        parameters_t<L, dynamic_view<T>> views;
        for (std::size_t i = 0; i < parameter_count<L>; ++i)
            if constexpr (parametric_layer<L>)
                views.*(L::template parameter_fields<dynamic_view<T>>[i].member) =
                    e.parameter_gradient_view(e.plan().steps[step].first_parameter + i);
        return views;
    }

    /// Calls `body(example)`: once with -1 for all examples together, or for one after the other.
    template <class Body>
    static void each_call(const engine_state<T>& e, std::size_t step, const Body& body) {
        const bool together = is_batched<L> && (variadic_layer<L> || !e.spreads(step));
        const extent end = together ? 0 : e.step_examples(step);
        for (extent example = together ? -1 : 0; example < end; ++example) body(example);
    }
    /// Calls `body(x, y, size)` with the place of the first elements of an element-wise layer and their number.
    template <class Body>
    static void each_run(const engine_state<T>& e, std::size_t step, const Body& body) {
        const extent size = e.plan().blobs[e.plan().outputs_of(step)[0]].dimensions.size();
        const bool spreads = e.spreads(step);
        const extent runs = spreads ? e.step_examples(step) : 1;
        const extent length = spreads ? size : size * e.step_examples(step);
        for (extent i = 0; i < runs; ++i)
            parallel_for(e.threads(), length, 4096,
                         [&](extent begin, extent end) { body(begin, i * size + begin, end - begin); });
    }
};

// Not in the class: see memory.hpp.

template <class T, layer L>
void layer_runner<T, L>::measure(engine_state<T>& e, const L& layer, std::size_t step) {
    const std::vector<shape> shapes = e.input_shapes(step);
    const auto ask = [&](const auto& x) {
        extent prepared = 0, scratch = 0;
        if constexpr (requires { layer.template prepared_size<T>(x); }) prepared = layer.template prepared_size<T>(x);
        if constexpr (requires { layer.template scratch_size<T>(x, extent{}, extent{}); })
            scratch = layer.template scratch_size<T>(x, e.chunk(),
                                                     e.threads() ? static_cast<extent>(e.threads()->size()) : 1);
        e.add_work(step, prepared, scratch);
    };
    if constexpr (variadic_layer<L>)
        ask(std::span<const shape>(shapes));
    else
        ask(shapes[0]);
}

template <class T, layer L>
void layer_runner<T, L>::prepare(engine_state<T>& e, const L& layer, std::size_t step) {
    if constexpr (requires(T* to) { layer.prepare(parameters(e, step), to); })
        layer.prepare(parameters(e, step), e.prepared(step));
}

template <class T, layer L>
void layer_runner<T, L>::forward(engine_state<T>& e, const L& layer, std::size_t step) {
    if (!e.runs(step)) return;
    e.begin_forward(step);
    if constexpr (elementwise_layer<L>) {
        const T* x = e.window_value(e.plan().inputs_of(step)[0]);
        T* y = e.window_value(e.plan().outputs_of(step)[0]);
        each_run(e, step,
                 [&](extent in, extent out, extent size) { kernels::map(size, layer, x + in, y + out); });
    } else {
        const auto p = parameters(e, step);
        workspace<T> w = e.work(step);
        each_call(e, step, [&](extent example) {
            const auto v = e.look_forward(step, example);
            if constexpr (variadic_layer<L>)
                layer.forward(v.xs, v.outputs, p, w);
            else
                layer.forward(v.xs[0], v.outputs[0], p, w);
        });
    }
    e.end_forward(step);
}

template <class T, layer L>
void layer_runner<T, L>::backward(engine_state<T>& e, const L& layer, std::size_t step) {
    if (!e.runs(step)) return;
    e.begin_backward(step);
    if constexpr (is_differentiable<L> && elementwise_layer<L>) {
        const std::size_t in = e.plan().inputs_of(step)[0], out = e.plan().outputs_of(step)[0];
        const T *x = e.window_value(in), *y = e.window_value(out), *dy = e.window_gradient(out);
        T* dx = e.window_gradient(in);
        if (dx != nullptr && dy != nullptr)
            each_run(e, step, [&](extent at_x, extent at_y, extent size) {
                kernels::map_backward(size, layer, x + at_x, y + at_y, dy + at_y, dx + at_x);
            });
    } else if constexpr (is_differentiable<L>) {
        if (e.wants_backward(step)) {
            const auto p = parameters(e, step);
            const auto dp = gradients(e, step);
            workspace<T> w = e.work(step);
            each_call(e, step, [&](extent example) {
                const auto v = e.look_backward(step, example);
                if constexpr (variadic_layer<L>)
                    layer.backward(v.xs, v.ys, v.dys, v.dxs, p, dp, w);
                else
                    layer.backward(v.xs[0], v.ys[0], v.dys[0], v.dxs[0], p, dp, w);
            });
        }
    }
    e.end_backward(step);
}

}  // namespace bespoke
