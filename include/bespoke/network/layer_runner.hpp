#pragma once

#include "../graph/fusion.hpp"
#include "engine_state.hpp"

// One layer over the memory of an engine, with extents that are known at run time. Everything that is compiled once a
// layer type stands here, as functions: an explicit instantiation of a class would have it instantiated wherever a
// network is composed.

namespace bespoke {
namespace detail {

/// The layer that runs at `step`.
template <layer L, class T>
decltype(auto) performer_at([[maybe_unused]] const engine_state<T>& e, const L& given,
                            [[maybe_unused]] std::size_t step) {
    if constexpr (rephrased_layer<L>)
        return given.equivalent(e.plan().blobs[e.plan().inputs_of(step)[0]].dimensions);
    else
        return (given);
}

template <layer L, class T>
parameters_t<L, dynamic_view<const T>> parameter_views(const engine_state<T>& e, std::size_t step) {
    parameters_t<L, dynamic_view<const T>> views;
    for (std::size_t i = 0; i < parameter_count<L>; ++i)
        if constexpr (parametric_layer<L>)
            views.*(parameter_fields_of<L, dynamic_view<const T>>[i].member) =
                e.parameter_view(e.plan().steps[step].first_parameter + i);
    return views;
}
template <layer L, class T>
parameters_t<L, dynamic_view<T>> parameter_gradient_views(const engine_state<T>& e, std::size_t step) {
    parameters_t<L, dynamic_view<T>> views;
    for (std::size_t i = 0; i < parameter_count<L>; ++i)
        if constexpr (parametric_layer<L>)
            views.*(parameter_fields_of<L, dynamic_view<T>>[i].member) =
                e.parameter_gradient_view(e.plan().steps[step].first_parameter + i);
    return views;
}

/// Calls `body(example)`: once with -1 for all examples together, or for one after the other.
template <layer L, class T, class Body>
void each_call(const engine_state<T>& e, std::size_t step, const Body& body) {
    const bool together = is_batched<L> && (variadic_layer<performer_t<L>> || !e.spreads(step));
    const extent end = together ? 0 : e.step_examples(step);
    for (extent example = together ? -1 : 0; example < end; ++example) body(example);
}
/// Calls `body(x, y, size)` with the place of the first elements and their number, for a layer that takes elements one by
/// one.
template <class T, class Body>
void each_run(const engine_state<T>& e, std::size_t step, const Body& body) {
    const extent size = e.plan().blobs[e.plan().outputs_of(step)[0]].dimensions.size();
    const bool spreads = e.spreads(step);
    const extent runs = spreads ? e.step_examples(step) : 1;
    const extent length = spreads ? size : size * e.step_examples(step);
    for (extent i = 0; i < runs; ++i)
        parallel_for(e.threads(), length, 4096,
                     [&](extent begin, extent end) { body(begin, i * size + begin, end - begin); });
}

/// A step that begins an epilogue.
template <class T>
struct chain_head {
    const engine_state<T>& engine;
    std::size_t step;

    static void run(const void* context, const output_block<T>& block) noexcept {
        const auto& self = *static_cast<const chain_head*>(context);
        self.engine.finish(self.step, block);
    }
};

}  // namespace detail

// Where a layer comes as `const void*`, it is an L.

/// Asks the layer for its working memory.
template <class T, layer L>
void measure_layer(engine_state<T>& e, const void* erased, std::size_t step) {
    const auto& layer = detail::performer_at(e, *static_cast<const L*>(erased), step);
    const std::vector<shape> shapes = e.input_shapes(step);
    constexpr bool many = variadic_layer<performer_t<L>>;
    constexpr bool lowers = lowers_precision<performer_t<L>, T, std::conditional_t<many, std::span<const shape>, shape>>;
    const auto ask = [&](const auto& x) {
        extent prepared = 0, scratch = 0;
        if constexpr (lowers)
            if (layer.template precision<T>(x, e.how()) != low_precision::none) e.add_lowered();
        if constexpr (requires { layer.template prepared_size<T>(x, e.how()); })
            prepared = layer.template prepared_size<T>(x, e.how());
        else if constexpr (requires { layer.template prepared_size<T>(x); })
            prepared = layer.template prepared_size<T>(x);
        if constexpr (requires { layer.template scratch_size<T>(x, extent{}, extent{}); })
            scratch = layer.template scratch_size<T>(x, e.chunk(),
                                                     e.threads() ? static_cast<extent>(e.threads()->size()) : 1);
        e.add_work(step, prepared, scratch);
    };
    if constexpr (many)
        ask(std::span<const shape>(shapes));
    else
        ask(shapes[0]);
}

/// Lets the layer bring its parameters into the order in which its kernel reads them.
template <class T, layer L>
void prepare_layer(engine_state<T>& e, const void* erased, std::size_t step) {
    const auto& layer = detail::performer_at(e, *static_cast<const L*>(erased), step);
    if constexpr (requires(T* to) { layer.prepare(detail::parameter_views<L>(e, step), to, e.how()); })
        layer.prepare(detail::parameter_views<L>(e, step), e.prepared(step), e.how());
    else if constexpr (requires(T* to) { layer.prepare(detail::parameter_views<L>(e, step), to); })
        layer.prepare(detail::parameter_views<L>(e, step), e.prepared(step));
}

/// Runs the layer, and the epilogue that begins with it.
template <class T, layer L>
void forward_layer(engine_state<T>& e, const L& given, std::size_t step) {
    if (!e.runs(step) || e.is_finished(step)) return;
    const auto& layer = detail::performer_at(e, given, step);
    e.begin_forward(step);
    const bool goes_on = e.tail(step) != step;
    if constexpr (elementwise_layer<L>) {
        const T* x = e.window_value(e.plan().inputs_of(step)[0]);
        T* y = e.window_value(e.plan().outputs_of(e.tail(step))[0]);
        detail::each_run(e, step, [&](extent in, extent out, extent size) {
            // As much as stays in a cache of the first level.
            for (extent done = 0; done < size; done += 2048) {
                const extent some = std::min<extent>(size - done, 2048);
                kernels::map(some, layer, x + in + done, y + out + done);
                if (goes_on) e.finish(step, {y + out + done, 1, some, some});
            }
        });
    } else if constexpr (same_elements_layer<L>) {
        const T* x = e.window_value(e.plan().inputs_of(step)[0]);
        T* y = e.window_value(e.plan().outputs_of(step)[0]);
        detail::each_run(e, step, [&](extent in, extent out, extent size) { kernels::copy(size, x + in, y + out); });
    } else {
        const auto p = detail::parameter_views<L>(e, step);
        workspace<T> w = e.work(step);
        const detail::chain_head<T> head{e, step};
        const epilogue<T> after{&head.run, &head};
        if (goes_on) w.after = &after;
        w.exact = !e.predicts();
        detail::each_call<L>(e, step, [&](extent example) {
            const auto v = e.look_forward(step, example);
            if constexpr (variadic_layer<performer_t<L>>)
                layer.forward(v.xs, v.outputs, p, w);
            else
                layer.forward(v.xs[0], v.outputs[0], p, w);
        });
    }
    e.end_forward(step);
}

/// Does the layer's part of an epilogue.
template <class T, layer L>
void finish_layer(const engine_state<T>& e, const void* erased, std::size_t step,
                  const output_block<T>& block) noexcept {
    const auto& layer = detail::performer_at(e, *static_cast<const L*>(erased), step);
    if constexpr (elementwise_layer<L>) {
        for (extent i = 0; i < block.rows; ++i)
            kernels::map(block.columns, layer, block.data + i * block.stride, block.data + i * block.stride);
    } else if constexpr (requires { layer.finish(block, finishing<T>{}); }) {
        const blob_facts& y = e.plan().blobs[e.plan().outputs_of(step)[0]];
        finishing<T> f{&y.dimensions, block.data - e.window_value(e.plan().outputs_of(e.tail(step))[0])};
        const std::size_t finished = finished_blob(e.plan(), step);
        for (std::size_t blob : e.plan().inputs_of(step))
            if (blob != finished) {
                f.other = e.window_value(blob);
                f.other_size = e.plan().blobs[blob].dimensions.size();
            }
        f.prepared = e.prepared(step);
        layer.finish(block, f);
    }
}

namespace detail {

/// The gradient of an element-wise layer, or of one that only moves on what it is given. It is added, or written over
/// that of the output where the plan has them in one place.
template <class T, layer L>
void backward_elements(engine_state<T>& e, [[maybe_unused]] const L& layer, std::size_t step) {
    const std::size_t in = e.plan().inputs_of(step)[0], out = e.plan().outputs_of(step)[0];
    const T *x = e.window_value(in), *y = e.window_value(out), *dy = e.window_gradient(out);
    T* dx = e.window_gradient(in);
    if (dx == nullptr || dy == nullptr) return;
    // What the derivative does not look at need not be there.
    if (x == nullptr) x = dy;
    if (y == nullptr) y = dy;
    each_run(e, step, [&](extent at_x, extent at_y, extent size) {
        if constexpr (elementwise_layer<L>) {
            if (dx == dy)
                kernels::map_slope(size, layer, x + at_x, y + at_y, dx + at_x);
            else
                kernels::map_backward(size, layer, x + at_x, y + at_y, dy + at_y, dx + at_x);
        } else if (dx != dy) {
            kernels::accumulate(size, dy + at_y, dx + at_x);
        }
    });
}

}  // namespace detail

template <class T, layer L>
void backward_layer(engine_state<T>& e, const L& given, std::size_t step) {
    if (!e.runs(step)) return;
    [[maybe_unused]] const auto& layer = detail::performer_at(e, given, step);
    e.begin_backward(step);
    if constexpr (is_differentiable<L> && (elementwise_layer<L> || same_elements_layer<L>)) {
        detail::backward_elements(e, given, step);
    } else if (is_differentiable<L> && gives_same_elements(given)) {
        detail::backward_elements(e, given, step);
    } else if constexpr (is_differentiable<L>) {
        if (e.wants_backward(step)) {
            const auto p = detail::parameter_views<L>(e, step);
            const auto dp = detail::parameter_gradient_views<L>(e, step);
            workspace<T> w = e.work(step);
            detail::each_call<L>(e, step, [&](extent example) {
                const auto v = e.look_backward(step, example);
                if constexpr (variadic_layer<performer_t<L>>)
                    layer.backward(v.xs, v.ys, v.dys, v.dxs, p, dp, w);
                else
                    layer.backward(v.xs[0], v.ys[0], v.dys[0], v.dxs[0], p, dp, w);
            });
        }
    }
    e.end_backward(step);
}

}  // namespace bespoke
