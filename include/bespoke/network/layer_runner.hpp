#pragma once

#include "chain.hpp"
#include "decide.hpp"
#include "log.hpp"

// One layer over the memory of an engine, with extents that are known at run time. What is compiled once a layer type
// are the functions in two tables, `functions_of` and `gradients_of`; the rest is compiled once an element type.

namespace bespoke {

/// What a layer type does in a backward pass. A layer comes as `const void*`.
template <class T>
struct layer_gradients {
    kernels::slope_function<T>* map_backward = nullptr;
    void (*backward)(const engine_state<T>& e, const void* layer, std::size_t step, const blob_views<T>& v,
                     workspace<T>& w) = nullptr;
    call_kind calls{};
    bool begins = false;  ///< see `begins_gradient`
};

namespace detail {

// --- once a layer type: a layer that comes as `const void*` is an L ---------------------------------------

/// The layer that runs at `step`.
template <layer L, class T>
decltype(auto) performer_at([[maybe_unused]] const engine_state<T>& e, const void* erased,
                            [[maybe_unused]] std::size_t step) {
    const L& given = *static_cast<const L*>(erased);
    if constexpr (rephrased_layer<L>)
        return given.equivalent(e.plan().inputs_of(step).empty() ? absent : e.plan().shape_read(step, 0));
    else
        return (given);
}

template <layer L, class T>
parameters_t<L, dynamic_view<const T>> parameter_views(const engine_state<T>& e, std::size_t step) {
    parameters_t<L, dynamic_view<const T>> views;
    if constexpr (parametric_layer<L>)
        for (std::size_t i = 0; i < parameter_count<L>; ++i)
            e.view_parameter(e.plan().steps[step].first_parameter + i,
                             views.*(parameter_fields_of<L, dynamic_view<const T>>[i].member));
    return views;
}
template <layer L, class T>
parameters_t<L, dynamic_view<T>> parameter_gradient_views(const engine_state<T>& e, std::size_t step) {
    parameters_t<L, dynamic_view<T>> views;
    if constexpr (parametric_layer<L>)
        for (std::size_t i = 0; i < parameter_count<L>; ++i)
            e.view_parameter_gradient(e.plan().steps[step].first_parameter + i,
                                      views.*(parameter_fields_of<L, dynamic_view<T>>[i].member));
    return views;
}

/// Asks the layer for its working memory.
template <class T, layer L>
working_memory measure_layer(const void* erased, std::span<const shape> xs, const arithmetic& how, extent chunk,
                             extent threads) {
    const auto& layer = performer(*static_cast<const L*>(erased), first_of(xs));
    const auto ask = [&](const auto& x) {
        working_memory wanted;
        if constexpr (requires { layer.template precision<T>(x, how); })
            wanted.lowered = layer.template precision<T>(x, how) != low_precision::none;
        if constexpr (requires { layer.prepares_on_demand; }) wanted.scattered = layer.prepares_on_demand;
        if constexpr (requires { layer.template can_wait<T>(x, how); })
            wanted.runs = layer.template can_wait<T>(x, how);
        if constexpr (requires { layer.template prepared_size<T>(x, how); })
            wanted.prepared = layer.template prepared_size<T>(x, how);
        else if constexpr (requires { layer.template prepared_size<T>(x); })
            wanted.prepared = layer.template prepared_size<T>(x);
        if constexpr (requires { layer.template scratch_size<T>(x, chunk, threads); })
            wanted.scratch = layer.template scratch_size<T>(x, chunk, threads);
        return wanted;
    };
    if constexpr (variadic_layer<performer_t<L>>)
        return ask(xs);
    else
        return ask(xs[0]);
}
template <class T, layer L>
inline constexpr bool is_measured = [] {
    using asked = std::conditional_t<variadic_layer<performer_t<L>>, std::span<const shape>, shape>;
    return requires(const performer_t<L>& layer, const asked& x, const arithmetic& how) {
        requires lowers_precision<performer_t<L>, T, asked> ||
                     requires { layer.template prepared_size<T>(x, how); } ||
                     requires { layer.template prepared_size<T>(x); } ||
                     requires { layer.template scratch_size<T>(x, extent{}, extent{}); };
    };
}();

/// Lets the layer bring its parameters into the order in which its kernel reads them.
template <class T, layer L>
void prepare_layer(engine_state<T>& e, const void* erased, std::size_t step) {
    const auto& layer = performer_at<L>(e, erased, step);
    if constexpr (requires(T* to) { layer.prepare(parameter_views<L>(e, step), to, e.how()); })
        layer.prepare(parameter_views<L>(e, step), e.prepared(step), e.how());
    else
        layer.prepare(parameter_views<L>(e, step), e.prepared(step));
}
template <class T, layer L>
inline constexpr bool is_prepared = requires(const performer_t<L>& layer,
                                             const parameters_t<L, dynamic_view<const T>>& p, T* to,
                                             const arithmetic& how) {
    requires requires { layer.prepare(p, to, how); } || requires { layer.prepare(p, to); };
};

/// Flattened, as g++ would call exp and its like for each batch and pass that through memory.
template <class T, layer L>
[[gnu::flatten]] void map_elements(const void* layer, extent rows, extent columns, extent stride, const T* x,
                                   T* y) noexcept {
    kernels::map_rows(rows, columns, stride, *static_cast<const L*>(layer), x, y);
}

template <class T, layer L>
void call_forward(const engine_state<T>& e, const void* erased, std::size_t step, const blob_views<T>& v,
                  workspace<T>& w) {
    const auto& layer = performer_at<L>(e, erased, step);
    const auto p = parameter_views<L>(e, step);
    if constexpr (variadic_layer<performer_t<L>>)
        layer.forward(v.xs, v.outputs, p, w);
    else
        layer.forward(v.xs[0], v.outputs[0], p, w);
}
template <class T, layer L>
void call_backward(const engine_state<T>& e, const void* erased, std::size_t step, const blob_views<T>& v,
                   workspace<T>& w) {
    const auto& layer = performer_at<L>(e, erased, step);
    const auto p = parameter_views<L>(e, step);
    const auto dp = parameter_gradient_views<L>(e, step);
    if constexpr (variadic_layer<performer_t<L>>)
        layer.backward(v.xs, v.ys, v.dys, v.dxs, p, dp, w);
    else
        layer.backward(v.xs[0], v.ys[0], v.dys[0], v.dxs[0], p, dp, w);
}
template <layer L>
inline constexpr call_kind calls_taken{is_batched<L>, variadic_layer<performer_t<L>>};

template <class T, layer L>
void finish_layer(const void* erased, const output_block<T>& block, const finishing<T>& with) noexcept {
    performer(*static_cast<const L*>(erased), *with.first_dimensions).finish(block, with);
}

template <class T, layer L>
bool joins_map(const void* erased, channel_map<T>& map, const finishing<T>& with) noexcept {
    return static_cast<const L*>(erased)->joins(map, with);
}

template <class T, layer L>
extent measure_rows(const void* erased, std::span<const shape> xs, extent columns, extent threads) {
    return static_cast<const L*>(erased)->template rows_scratch_size<T>(xs, columns, threads);
}
/// What the layer makes of the rows of matrix number `index` of its first input.
template <class T, layer L>
row_product<T> multiply_rows(const engine_state<T>& e, const void* erased, std::size_t step, extent index) noexcept {
    const extent examples = e.step_examples(step);
    dynamic_view<const T> x;
    dynamic_view<T> y;
    e.look(e.plan().inputs_of(step)[1], false, examples, -1, x);
    e.look(e.plan().outputs_of(step)[0], false, examples, -1, y);
    return static_cast<const L*>(erased)->row_product_of(x, y, index);
}

template <class T, layer L>
void call_planes(const engine_state<T>& e, const void* erased, std::size_t step, const plane_block<T>& block,
                 workspace<T>& w) noexcept {
    static_cast<const L*>(erased)->forward_planes(block, parameter_views<L>(e, step), w);
}

template <class T, layer L>
constexpr layer_functions<T> list_functions() {
    layer_functions<T> f;
    if constexpr (elementwise_layer<L>) {
        f.map = &map_elements<T, L>;
    } else if constexpr (!same_elements_layer<L>) {
        f.forward = &call_forward<T, L>;
        f.calls = calls_taken<L>;
        if constexpr (requires(const performer_t<L>& l, std::span<const shape> xs) { l.finishes(xs); } ||
                      requires(const L& l, std::span<const shape> xs) { l.finishes_rows(xs); })
            f.finish = &finish_layer<T, L>;
    }
    if constexpr (requires(const L& l, channel_map<T>& map) { l.joins(map, finishing<T>{}); })
        f.joins = &joins_map<T, L>;
    if constexpr (requires(const L& l, std::span<const shape> xs) { l.gives_rows(xs); })
        f.measure_rows = &measure_rows<T, L>;
    if constexpr (requires(const L& l, std::span<const shape> xs) { l.takes_rows(xs); })
        f.multiply = &multiply_rows<T, L>;
    if constexpr (plane_layer<L>) f.planes = &call_planes<T, L>;
    if constexpr (is_measured<T, L>) f.measure = &measure_layer<T, L>;
    if constexpr (is_prepared<T, L>) f.prepare = &prepare_layer<T, L>;
    return f;
}
template <class T, layer L>
constexpr layer_gradients<T> list_gradients() {
    layer_gradients<T> g;
    if constexpr (is_differentiable<L>) {
        if constexpr (elementwise_layer<L>)
            g.map_backward = &kernels::erased_slope<L, T>;
        else if constexpr (!same_elements_layer<L>)
            g = {.backward = &call_backward<T, L>, .calls = calls_taken<L>, .begins = begins_gradient<L>};
    }
    return g;
}

}  // namespace detail

// Not constexpr: where an explicit instantiation is declared, other files do not compile what is in the table. Nor do
// they ask whether each L of that list is a layer: `list_functions` does.

template <class T, class L>
struct functions_of {
    static const layer_functions<T> value;
};
template <class T, class L>
constinit const layer_functions<T> functions_of<T, L>::value = detail::list_functions<T, L>();

template <class T, class L>
struct gradients_of {
    static const layer_gradients<T> value;
};
template <class T, class L>
constinit const layer_gradients<T> gradients_of<T, L>::value = detail::list_gradients<T, L>();

// --- once an element type ---------------------------------------------------------------------------------

namespace detail {

/// Calls `body(x, y, size)` with the place of the first elements and their number, for a layer that takes elements one
/// by one.
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

/// The values of an element-wise layer, or of one that only moves on what it is given.
template <class T>
void forward_elements(engine_state<T>& e, const layer_functions<T>& f, const void* layer, std::size_t step) {
    const bool goes_on = e.tail(step) != step;
    const T* x = e.window_value(e.plan().inputs_of(step)[0]);
    T* y = e.window_value(e.plan().outputs_of(e.tail(step))[0]);
    each_run(e, step, [&](extent in, extent out, extent size) {
        if (f.map == nullptr) return kernels::copy(size, x + in, y + out);
        // As much as stays in a cache of the first level.
        for (extent done = 0; done < size; done += 2048) {
            const extent some = std::min<extent>(size - done, 2048);
            f.map(layer, 1, some, some, x + in + done, y + out + done);
            if (goes_on) e.finish(step, {y + out + done, 1, some, some});
        }
    });
}

/// Its gradient. It is added, or written over that of the output where the plan has them in one place.
template <class T>
void backward_elements(engine_state<T>& e, const layer_gradients<T>& g, const void* layer, std::size_t step) {
    const std::size_t in = e.plan().inputs_of(step)[0], out = e.plan().outputs_of(step)[0];
    const T *x = e.window_value(in), *y = e.window_value(out), *dy = e.window_gradient(out);
    T* dx = e.window_gradient(in);
    if (dx == nullptr || dy == nullptr) return;
    // What the derivative does not look at need not be there.
    if (x == nullptr) x = dy;
    if (y == nullptr) y = dy;
    each_run(e, step, [&](extent at_x, extent at_y, extent size) {
        if (g.map_backward != nullptr)
            kernels::map_backward<T>(g.map_backward, layer, size, x + at_x, y + at_y, dy + at_y, dx + at_x);
        else if (dx != dy)
            kernels::accumulate(size, dy + at_y, dx + at_x);
    });
}

template <class T>
void forward_calls(engine_state<T>& e, const layer_functions<T>& f, const void* layer, std::size_t step,
                   workspace<T>& w) {
    const auto calls = e.calls_of(step, f.calls);
    for (extent example = calls.first; example < calls.last; ++example)
        f.forward(e, layer, step, e.look_forward(step, example), w);
}

}  // namespace detail

/// Runs the layer, and the epilogue that begins with it.
template <class T>
void forward_layer(engine_state<T>& e, const layer_functions<T>& f, const void* layer, std::size_t step) {
    if (!e.runs(step) || e.is_finished(step) || e.feeds(step)) return;
    if (e.is_fed(step)) return detail::forward_planes(e, step);
    e.begin_forward(step);
    if (e.plan().steps[step].open) e.decide(step);
    if (f.forward == nullptr) {
        detail::forward_elements(e, f, layer, step);
    } else {
        workspace<T> w = e.work(step);
        w.exact = !e.predicts();
        if (e.tail(step) == step) {
            detail::forward_calls(e, f, layer, step, w);
        } else {
            const detail::chain<T> chain(e, step);
            chain.attach(w);
            detail::forward_calls(e, f, layer, step, w);
        }
    }
    e.end_forward(step);
}

template <class T>
void backward_layer(engine_state<T>& e, const layer_gradients<T>& g, const void* layer, std::size_t step) {
    if (!e.runs(step)) return;
    const step_facts& facts = e.plan().steps[step];
    const bool runs = facts.differentiable && e.wants_backward(step);
    const bool begins = e.begin_backward(step, g.begins && runs);
    if (facts.gradient_in_place) {
        detail::backward_elements(e, g, layer, step);
    } else if (runs) {
        if (facts.open) e.recall(step);
        workspace<T> w = e.work(step);
        w.begins = begins;
        const auto calls = e.calls_of(step, g.calls);
        for (extent example = calls.first; example < calls.last; ++example)
            g.backward(e, layer, step, e.look_backward(step, example), w);
    }
    e.end_backward(step);
}

}  // namespace bespoke
