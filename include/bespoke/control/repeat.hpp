#pragma once

#include "sequence.hpp"

namespace bespoke {

/// `Count` copies of a part, one after the other, each with parameters of its own. Names inside copy i
/// become "<name>.<i>.<inner name>".
template <std::size_t Count, class Part>
struct repetition {
    Part part;
    std::string_view name;

    static_assert(!may_stop<Part>, "a loop_break or loop_continue belongs into a loop, not into repeat");
    static constexpr std::size_t steps = Count * steps_of<Part>;

    template <class Planner>
    constexpr void plan(Planner& p) const {
        if constexpr (!may_stop<Part>)
            for (std::size_t i = 0; i < Count; ++i)
                p.prefixed(sentence(name, name.empty() ? "" : ".", i), [&] { part.plan(p); });
    }
    template <class Engine, class Step>
    flow forward(Engine& e, Step step) const {
        if constexpr (std::is_same_v<Step, std::size_t>) {
            for (std::size_t i = 0; i < Count; ++i) part.forward(e, step + i * steps_of<Part>);
        } else {
            [&]<std::size_t... I>(std::index_sequence<I...>) {
                (part.forward(e, advanced<I * steps_of<Part>>(step)), ...);
            }(std::make_index_sequence<Count>{});
        }
        return flow::on;
    }
    template <class Engine>
    void backward(Engine& e, std::size_t step) const {
        for (std::size_t i = Count; i-- > 0;) part.backward(e, step + i * steps_of<Part>);
    }
    template <class Visit>
    constexpr void each(std::size_t step, const Visit& visit) const {
        for (std::size_t i = 0; i < Count; ++i) part.each(step + i * steps_of<Part>, visit);
    }
    friend bool operator==(const repetition&, const repetition&) = default;
};

/// `repeat<12>(compose(...), "encoder")`
template <std::size_t Count, class Part>
constexpr auto repeat(const Part& part, std::string_view name = "") {
    return repetition<Count, decltype(as_part(part))>{as_part(part), name};
}

}  // namespace bespoke
