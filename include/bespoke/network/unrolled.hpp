#pragma once

#include "../control/node.hpp"
#include "../graph/fusion.hpp"
#include "engine_state.hpp"

namespace bespoke {

/// Up to so many parameters, inputs and outputs (`unrolled_elements`) a composed layer is compiled for its very
/// extents: it unrolls.
inline constexpr extent unrolled_parameters = 16384;

/// One layer of a composed network with its extents in the type. `Step` is a fixed_step.
template <class T, layer L, class Step>
class unrolled {
    static constexpr std::size_t step = Step::value;
    static constexpr plan_view plan() { return Step::plan_type::view(); }
    template <class View>
    using parameters = parameters_t<L, View>;

public:
    /// Whether the layer is small enough, and where the plan alone says where its blobs lie.
    static constexpr bool fits() {
        if constexpr (variadic_layer<L>) {
            return false;
        } else {
            constexpr plan_view p = plan();
            constexpr std::size_t x = p.inputs_of(step)[0], y = p.outputs_of(step)[0];
            extent elements = 0;
            for (const auto& facts : p.parameters_of(step)) elements += facts.dimensions.size();
            return p.blobs[x].dimensions.size() <= unrolled_elements &&
                   p.blobs[y].dimensions.size() <= unrolled_elements && elements <= unrolled_parameters &&
                   p.steps[step].parent == blob_facts::npos;
        }
    }

    /// Runs the layer for the one example of a prediction.
    [[gnu::always_inline]] static void forward(engine_state<T>& e, const L& layer) {
        constexpr std::size_t x = plan().inputs_of(step)[0], y = plan().outputs_of(step)[0];
        constexpr blob_facts x_facts = plan().blobs[x], y_facts = plan().blobs[y];
        using x_shape = blob_shape<x>;
        using y_shape = blob_shape<y>;
        const view<const T, x_shape, constant<1>> from{e.reserved(x_facts), {}, {}, x_shape::size()};
        const view<T, y_shape, constant<1>> to{e.reserved(y_facts), {}, {}, y_shape::size()};
        if constexpr (elementwise_layer<L>) {
            kernels::map(to.size(), layer, from.data, to.data);
        } else if constexpr (same_elements_layer<L>) {
            kernels::copy(to.size(), from.data, to.data);
        } else {
            workspace<T> w = e.work(step);
            performer(layer, x_facts.dimensions).forward(from, to, parameter_views(e), w);
        }
    }

private:
    template <std::size_t Blob, std::size_t... Axis>
    static static_shape<plan().blobs[Blob].dimensions[Axis]...> spelled(std::index_sequence<Axis...>);
    template <std::size_t Blob>
    using blob_shape = decltype(spelled<Blob>(std::make_index_sequence<plan().blobs[Blob].dimensions.rank()>{}));

    [[gnu::always_inline]] static parameters<dynamic_view<const T>> parameter_views(const engine_state<T>& e) {
        parameters<dynamic_view<const T>> views;
        if constexpr (parametric_layer<L>)
            kernels::unroll<parameter_count<L>>([&](auto i) __attribute__((always_inline)) {
                constexpr parameter_facts facts = plan().parameters[plan().steps[step].first_parameter + i];
                constexpr extent size = facts.dimensions.size();
                views.*(parameter_fields_of<L, dynamic_view<const T>>[i].member) = {
                    size == 0 ? nullptr : e.parameters().data() + facts.offset, facts.dimensions, 1, size};
            });
        return views;
    }
};

}  // namespace bespoke
