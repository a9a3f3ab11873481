#pragma once

#include "../core/concepts.hpp"

#include <algorithm>
#include <array>

namespace bespoke {

/// Names of blobs, in a value that can be a constant of the program.
struct name_list {
    static constexpr std::size_t capacity = 8;

    std::array<std::string_view, capacity> names{};
    std::size_t count = 0, beyond = 0;  ///< names kept; names that were too many

    constexpr name_list() = default;
    template <std::convertible_to<std::string_view>... Names>
        requires(sizeof...(Names) > 0)
    constexpr explicit name_list(const Names&... list) {
        ((count < capacity ? void(names[count++] = list) : void(++beyond)), ...);
    }
    constexpr operator std::span<const std::string_view>() const { return {names.data(), count}; }
    /// Not defaulted: g++ 12 does not compare what is behind `count` in a constant expression.
    friend constexpr bool operator==(const name_list& a, const name_list& b) {
        return std::equal(a.names.begin(), a.names.begin() + a.count, b.names.begin(), b.names.begin() + b.count);
    }
};

/// What a layer run says to the sequence around it.
enum class flow { on, loop_break, loop_continue };

/// Whether running a part can end the sequence around it early (loop_break, loop_continue).
template <class Part>
inline constexpr bool may_stop = [] {
    if constexpr (requires { Part::stops; })
        return bool{Part::stops};
    else
        return false;
}();

/// How many steps of the plan a part takes, nested ones included.
template <class Part>
inline constexpr std::size_t steps_of = [] {
    if constexpr (requires { Part::steps; })
        return std::size_t{Part::steps};
    else
        return std::size_t{1};
}();

/// A step of a composed network as a type. `Plan::view()` is its plan, a constant of the program.
template <class Plan, std::size_t Number>
struct fixed_step {
    using plan_type = Plan;
    static constexpr std::size_t value = Number;
    constexpr operator std::size_t() const { return value; }
};

/// The step `Offset` after `step`, as a type where `step` is one.
template <std::size_t Offset>
constexpr std::size_t advanced(std::size_t step) {
    return step + Offset;
}
template <std::size_t Offset, class Plan, std::size_t Number>
constexpr fixed_step<Plan, Number + Offset> advanced(fixed_step<Plan, Number>) {
    return {};
}

/// The first step behind `part`, which begins at `step`. A part that was read from a file counts its steps
/// itself.
template <class Part, class Step>
constexpr auto behind(const Part& part, Step step) {
    if constexpr (requires { part.step_count(); })
        return step + part.step_count();
    else
        return advanced<steps_of<Part>>(step);
}

/// `may_stop` of a part that may have been read from a file.
template <class Part>
constexpr bool can_stop(const Part& part) {
    if constexpr (requires { part.can_stop(); })
        return part.can_stop();
    else
        return may_stop<Part>;
}

/// A layer and its place in a network: its name, what it reads, what it writes, whether it learns.
template <layer L>
struct node {
    L layer;
    std::string_view name{};
    name_list inputs{}, outputs{};
    bool updatable = false;

    static constexpr bool stops = may_stop<L>;
    static constexpr std::size_t steps = steps_of<L>;

    template <class Planner>
    constexpr void plan(Planner& p) const {
        p.add(layer, name, inputs, outputs, updatable);
        const std::size_t most = name_list::capacity;
        const std::size_t named = std::max(inputs.count + inputs.beyond, outputs.count + outputs.beyond);
        if (named > most)
            p.fail(value_fault("at most ", most, " blobs wanted in composed code, ", named,
                               " named; join them in steps"));
    }
    template <class Engine, class Step>
    flow forward(Engine& e, Step step) const {
        return e.forward(layer, step);
    }
    template <class Engine>
    void backward(Engine& e, std::size_t step) const {
        e.backward(layer, step);
    }
    /// Calls `visit(layer, step)` for this layer and those inside it.
    template <class Visit>
    constexpr void each(std::size_t step, const Visit& visit) const {
        visit(layer, step);
        if constexpr (control_layer<L>) layer.each(step, visit);
    }
    friend bool operator==(const node&, const node&) = default;
};

/// Gives a layer its name; its only output is called so as well, unless `to` says otherwise.
struct named {
    std::string_view name;
    constexpr explicit named(std::string_view text) : name(text) {}
};

/// Names the blobs that a layer reads, instead of what the layer before it writes, if that is one blob.
struct from : name_list {
    using name_list::name_list;
};

/// Names the blobs that a layer writes.
struct to : name_list {
    using name_list::name_list;
};

/// Marks a layer whose parameters an update may change.
struct updatable_mark {};
inline constexpr updatable_mark updatable{};

template <class Part>
inline constexpr bool is_node = false;
template <class L>
inline constexpr bool is_node<node<L>> = true;

template <class Part>
concept nodelike = is_node<Part> || layer<Part>;

template <nodelike Part>
constexpr auto as_node(const Part& part) {
    if constexpr (is_node<Part>)
        return part;
    else
        return node<Part>{.layer = part};
}

template <nodelike Part>
constexpr auto operator|(const Part& part, named name) {
    auto result = as_node(part);
    result.name = name.name;
    return result;
}
template <nodelike Part>
constexpr auto operator|(const Part& part, from blobs) {
    auto result = as_node(part);
    result.inputs = blobs;
    return result;
}
template <nodelike Part>
constexpr auto operator|(const Part& part, to blobs) {
    auto result = as_node(part);
    result.outputs = blobs;
    return result;
}
template <nodelike Part>
constexpr auto operator|(const Part& part, updatable_mark) {
    auto result = as_node(part);
    static_assert(parametric_layer<decltype(result.layer)>, "only a layer with parameters can be updatable");
    result.updatable = true;
    return result;
}
/// Says what is wanted instead.
template <nodelike Part, class Other>
constexpr Part operator|(const Part& part, const Other&) {
    static_assert(!std::is_same_v<Other, Other>,
                  "behind the | of a layer named(\"fc\"), from(\"x\"), to(\"y\") or updatable wanted; layers stand "
                  "side by side in compose");
    return part;
}

}  // namespace bespoke
