#pragma once

#include "../control/node.hpp"
#include "../graph/fusion.hpp"
#include "engine_state.hpp"

namespace bespoke {

/// Up to so many parameters, inputs and outputs (`unrolled_elements`) a composed layer is compiled for its very
/// extents: it unrolls.
inline constexpr extent unrolled_parameters = 16384;

namespace detail {

/// Whether a step is small enough, and the plan alone says where its blobs lie.
constexpr bool can_unroll(const plan_view& p, std::size_t step) {
    const step_facts& s = p.steps[step];
    extent elements = 0;
    for (const parameter_facts& facts : p.parameters_of(step)) elements += facts.dimensions.size();
    bool small = elements <= unrolled_parameters;
    for (std::size_t link = 0; link < s.input_count + s.output_count; ++link)
        small = small && p.blobs[p.links[s.first_link + link]].dimensions.size() <= unrolled_elements;
    return small && !s.open && s.shortens == 0 && s.parent == blob_facts::npos;
}

}  // namespace detail

/// One layer of a composed network with its extents in the type. `Step` is a fixed_step.
template <class T, layer L, class Step>
class unrolled {
    static constexpr std::size_t step = Step::value;
    static constexpr plan_view plan() { return Step::plan_type::view(); }
    template <class View>
    using parameters = parameters_t<L, View>;

public:
    /// Whether it can be unrolled. The layer is asked last: the compiler shall not make views for what is too large.
    static constexpr bool fits() {
        if constexpr (detail::can_unroll(plan(), step))
            return takes_fixed_extents;
        else
            return false;
    }

    /// Runs the layer for the one example of a prediction.
    [[gnu::always_inline]] static void forward(engine_state<T>& e, const L& layer) {
        const auto xs = inputs(e, std::make_index_sequence<plan().inputs_of(step).size()>{});
        const auto ys = outputs(e, std::make_index_sequence<plan().outputs_of(step).size()>{});
        const auto& from = std::get<0>(xs);
        const auto& to = std::get<0>(ys);
        if constexpr (elementwise_layer<L>) {
            kernels::map(to.size(), layer, from.data, to.data);
        } else if constexpr (same_elements_layer<L>) {
            kernels::detail::copy_run<T>(to.size(), from.data, to.data);
        } else {
            workspace<T> w = e.work(step);
            const auto& runs = performer(layer, from.dimensions);
            if constexpr (variadic_layer<performer_t<L>>)
                runs.forward_unrolled(xs, ys, parameter_views(e), w);
            else
                runs.forward(from, to, parameter_views(e), w);
        }
    }

private:
    template <std::size_t Blob, std::size_t... Axis>
    static static_shape<plan().blobs[Blob].dimensions[Axis]...> spelled(std::index_sequence<Axis...>);
    template <std::size_t Blob>
    using blob_shape = decltype(spelled<Blob>(std::make_index_sequence<plan().blobs[Blob].dimensions.rank()>{}));
    template <class U, std::size_t Blob>
    using blob_view = view<U, blob_shape<Blob>, constant<1>>;

    template <class U, std::size_t Blob>
    [[gnu::always_inline]] static blob_view<U, Blob> look(const engine_state<T>& e) {
        constexpr blob_facts facts = plan().blobs[Blob];
        return {e.reserved(facts), {}, {}, facts.dimensions.size()};
    }
    template <std::size_t... I>
    [[gnu::always_inline]] static auto inputs(const engine_state<T>& e, std::index_sequence<I...>) {
        return std::tuple<blob_view<const T, plan().inputs_of(step)[I]>...>{
            look<const T, plan().inputs_of(step)[I]>(e)...};
    }
    template <std::size_t... I>
    [[gnu::always_inline]] static auto outputs(const engine_state<T>& e, std::index_sequence<I...>) {
        return std::tuple<blob_view<T, plan().outputs_of(step)[I]>...>{look<T, plan().outputs_of(step)[I]>(e)...};
    }

    static constexpr bool takes_fixed_extents = [] {
        if constexpr (variadic_layer<performer_t<L>>)
            return []<std::size_t... I, std::size_t... O>(std::index_sequence<I...>, std::index_sequence<O...>) {
                using xs = std::tuple<blob_view<const T, plan().inputs_of(step)[I]>...>;
                using ys = std::tuple<blob_view<T, plan().outputs_of(step)[O]>...>;
                return requires(const performer_t<L>& runs, workspace<T>& w, const xs& from, const ys& to,
                                const parameters<dynamic_view<const T>>& p) { runs.forward_unrolled(from, to, p, w); };
            }(std::make_index_sequence<plan().inputs_of(step).size()>{},
              std::make_index_sequence<plan().outputs_of(step).size()>{});
        else
            return true;
    }();

    [[gnu::always_inline]] static parameters<dynamic_view<const T>> parameter_views(const engine_state<T>& e) {
        parameters<dynamic_view<const T>> views;
        if constexpr (parametric_layer<L>)
            kernels::unroll<parameter_count<L>>([&](auto i) __attribute__((always_inline)) {
                constexpr std::size_t number = plan().steps[step].first_parameter + i;
                constexpr parameter_facts facts = plan().parameters[number];
                constexpr extent size = facts.dimensions.size();
                views.*(parameter_fields_of<L, dynamic_view<const T>>[i].member) = {
                    size == 0 ? nullptr : e.parameters().place(number), facts.dimensions, 1, size};
            });
        return views;
    }
};

}  // namespace bespoke
