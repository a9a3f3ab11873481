#pragma once

#include "node.hpp"

#include <tuple>
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

/// Declares an output of a network by its blob. A network without any gives what its last layer writes.
struct output {
    std::string_view name;

    static constexpr std::size_t steps = 0;
    template <class Planner>
    constexpr void plan(Planner& p) const {
        p.output(name);
    }
    friend bool operator==(const output&, const output&) = default;
};

/// Layers one after the other.
template <class... Parts>
struct sequence {
    std::tuple<Parts...> parts;

    static constexpr bool stops = (may_stop<Parts> || ...);
    static constexpr std::size_t steps = (steps_of<Parts> + ... + 0);

    template <class Planner>
    constexpr void plan(Planner& p) const {
        std::apply([&](const Parts&... part) { (part.plan(p), ...); }, parts);
    }

    template <class Engine, class Step>
    flow forward(Engine& e, Step step) const {
        flow result = flow::on;
        extent executed = 0;
        run(std::index_sequence_for<Parts...>{}, [&](auto index) {
            if (result != flow::on) return;
            const auto& part = std::get<index>(parts);
            if constexpr (requires { part.forward(e, step); }) result = part.forward(e, advanced<offset<index>()>(step));
            ++executed;
        });
        if constexpr (stops) e.record(executed);
        return result;
    }
    template <class Engine>
    void backward(Engine& e, std::size_t step) const {
        extent executed = sizeof...(Parts);
        if constexpr (stops) executed = e.recorded();
        run(std::index_sequence_for<Parts...>{}, [&](auto reversed) {
            constexpr std::size_t index = sizeof...(Parts) - 1 - reversed;
            if (static_cast<extent>(index) >= executed) return;
            const auto& part = std::get<index>(parts);
            if constexpr (requires { part.backward(e, step); }) part.backward(e, step + offset<index>());
        });
    }
    template <class Visit>
    constexpr void each(std::size_t step, const Visit& visit) const {
        run(std::index_sequence_for<Parts...>{}, [&](auto index) {
            const auto& part = std::get<index>(parts);
            if constexpr (requires { part.each(step, visit); }) part.each(step + offset<index>(), visit);
        });
    }
    friend bool operator==(const sequence&, const sequence&) = default;

private:
    template <std::size_t Index>
    static constexpr std::size_t offset() {
        constexpr std::size_t counts[] = {steps_of<Parts>...};
        std::size_t result = 0;
        for (std::size_t i = 0; i < Index; ++i) result += counts[i];
        return result;
    }
    template <std::size_t... Index, class Body>
    static constexpr void run(std::index_sequence<Index...>, const Body& body) {
        (body(std::integral_constant<std::size_t, Index>{}), ...);
    }
};

/// What `compose` takes: a layer, a layer with a name, or a part made of layers.
template <class Part>
concept composable = nodelike<Part> || requires { Part::steps; };

template <class Part>
constexpr auto as_part(const Part& part) {
    static_assert(composable<Part>, "not a layer, nor a part made of layers");
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
    return sequence<decltype(as_part(parts))...>{{as_part(parts)...}};
}

}  // namespace bespoke
