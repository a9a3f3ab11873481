#pragma once

#include "node.hpp"

#include <array>
#include <utility>

namespace bespoke {

/// An input of a network: the shape of one example. How many examples run at once is the caller's.
struct input {
    std::string_view name;
    shape dimensions;

    static constexpr std::size_t steps = 0;
    template <class Planner>
    constexpr void plan(Planner& p) const {
        p.input(name, dimensions);
    }
    friend bool operator==(const input&, const input&) = default;
};

/// Declares an output of a network by its blob. A network without any gives the one blob that its last layer writes.
struct output {
    std::string_view name;

    static constexpr std::size_t steps = 0;
    template <class Planner>
    constexpr void plan(Planner& p) const {
        p.output(name);
    }
    friend bool operator==(const output&, const output&) = default;
};

namespace detail {

template <std::size_t Number, class Part>
struct placed_part {
    Part part;
    friend bool operator==(const placed_part&, const placed_part&) = default;
};

/// What std::tuple is, for aggregates: flat, so that a long sequence costs the compiler little.
template <class Numbers, class... Parts>
struct part_list;
template <std::size_t... Number, class... Parts>
struct part_list<std::index_sequence<Number...>, Parts...> : placed_part<Number, Parts>... {
    friend bool operator==(const part_list&, const part_list&) = default;
};

template <std::size_t Number, class Part>
constexpr const Part& part_at(const placed_part<Number, Part>& placed) {
    return placed.part;
}

}  // namespace detail

/// Layers one after the other.
template <class... Parts>
struct sequence {
    detail::part_list<std::index_sequence_for<Parts...>, Parts...> parts;

    static constexpr bool stops = (may_stop<Parts> || ...);
    static constexpr std::size_t steps = (steps_of<Parts> + ... + 0);

    template <class Planner>
    constexpr void plan(Planner& p) const {
        each_part([&](const auto& part) { part.plan(p); });
    }
    /// Calls `visit(part)` for each part.
    template <class Visit>
    constexpr void each_part(const Visit& visit) const {
        visit_parts(visit, std::index_sequence_for<Parts...>{});
    }

    template <class Engine, class Step>
    flow forward(Engine& e, Step step) const {
        return run_forward(e, step, std::index_sequence_for<Parts...>{});
    }
    template <class Engine>
    void backward(Engine& e, std::size_t step) const {
        extent executed = sizeof...(Parts);
        if constexpr (stops) executed = e.recorded();
        run_backward(e, step, executed, std::index_sequence_for<Parts...>{});
    }
    template <class Visit>
    constexpr void each(std::size_t step, const Visit& visit) const {
        run_each(step, visit, std::index_sequence_for<Parts...>{});
    }
    friend bool operator==(const sequence&, const sequence&) = default;

private:
    template <class Visit, std::size_t... I>
    constexpr void visit_parts([[maybe_unused]] const Visit& visit, std::index_sequence<I...>) const {
        (visit(detail::part_at<I>(parts)), ...);
    }

    static constexpr std::array<std::size_t, sizeof...(Parts)> counts{steps_of<Parts>...};
    /// How many steps the parts before each take.
    static constexpr std::array<std::size_t, sizeof...(Parts)> offsets = [] {
        std::array<std::size_t, sizeof...(Parts)> result = counts;
        std::size_t sum = 0;
        for (std::size_t& offset : result) sum += std::exchange(offset, sum);
        return result;
    }();

    template <class Engine, class Step, std::size_t... I>
    flow run_forward([[maybe_unused]] Engine& e, [[maybe_unused]] Step step, std::index_sequence<I...>) const {
        flow result = flow::on;
        if constexpr (stops) {
            extent executed = 0;
            (void)((result = forward_part<I>(e, step), ++executed, result == flow::on) && ...);
            e.record(executed);
        } else {
            (forward_part<I>(e, step), ...);
        }
        return result;
    }
    template <std::size_t I, class Engine, class Step>
    flow forward_part(Engine& e, Step step) const {
        if constexpr (counts[I] > 0)
            return detail::part_at<I>(parts).forward(e, advanced<offsets[I]>(step));
        else
            return flow::on;
    }
    template <class Engine, std::size_t... I>
    void run_backward([[maybe_unused]] Engine& e, [[maybe_unused]] std::size_t step,
                      [[maybe_unused]] extent executed, std::index_sequence<I...>) const {
        (backward_part<sizeof...(Parts) - 1 - I>(e, step, executed), ...);
    }
    template <std::size_t I, class Engine>
    void backward_part(Engine& e, std::size_t step, extent executed) const {
        if constexpr (counts[I] > 0)
            if (static_cast<extent>(I) < executed) detail::part_at<I>(parts).backward(e, step + offsets[I]);
    }
    template <class Visit, std::size_t... I>
    constexpr void run_each([[maybe_unused]] std::size_t step, [[maybe_unused]] const Visit& visit,
                            std::index_sequence<I...>) const {
        (each_in_part<I>(step, visit), ...);
    }
    template <std::size_t I, class Visit>
    constexpr void each_in_part(std::size_t step, const Visit& visit) const {
        if constexpr (counts[I] > 0)
            detail::part_at<I>(parts).each(step + offsets[I], visit);
    }
};

/// What `compose` takes: a layer, a layer with a name, or a part made of layers.
template <class Part>
concept composable = nodelike<Part> || requires { Part::steps; };

template <class Part>
constexpr auto as_part(const Part& part) {
    static_assert(composable<Part>, "not a layer, nor a part made of layers; static_assert(unary_layer<my_layer>), or "
                                    "elementwise_layer, shows what yours misses");
    if constexpr (layer<Part>)
        return node<Part>{.layer = part};
    else if constexpr (composable<Part>)
        return part;
    else
        return sequence<>{};
}

template <class Part>
    requires(composable<Part> && !nodelike<Part>)
constexpr Part operator|(const Part& part, const auto&) {
    static_assert(nodelike<Part>, "only a layer takes a name, blobs or `updatable`: say it of the layers inside");
    return part;
}

/// A network, or a part of one, as a value: its layers in the order of execution.
template <class... Parts>
constexpr auto compose(const Parts&... parts) {
    return sequence<decltype(as_part(parts))...>{{{as_part(parts)}...}};
}

}  // namespace bespoke
