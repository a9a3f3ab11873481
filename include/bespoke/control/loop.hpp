#pragma once

#include "sequence.hpp"

namespace bespoke {

/// Repeats `body_network`.
///
/// Without a condition network: as many times as the input says, or `max_loop_iterations` where there is no
/// input. With one, `condition_network` runs first and after each iteration, and the loop goes on while the
/// blob `condition_variable` is not near 0 (|x| > 1e-6) and the count, if any, is not reached; a
/// `max_loop_iterations` of 0 without an input is no limit. The input holds one number, rounded to the
/// nearest integer; negative or NaN is 0. A blob keeps its value from iteration to iteration; one that is
/// made inside and never written is 0. Examples that need different numbers of iterations run one by one.
/// Core ML specification, LoopLayerParams.
template <class Body, class Condition = sequence<>>
struct loop {
    Body body_network;
    extent max_loop_iterations = 0;
    Condition condition_network{};
    std::string_view condition_variable{};

    static constexpr auto key = "loop";
    constexpr void fields(auto& field) {
        field("maxLoopIterations", max_loop_iterations);
        field("conditionVar", condition_variable);
    }
    static constexpr bool control = true;
    static constexpr input_count inputs{0, 1};
    static constexpr std::size_t steps = 1 + steps_of<Condition> + steps_of<Body>;

    template <class Planner>
    constexpr void plan(Planner& p, std::size_t step) const {
        if (max_loop_iterations < 0)
            return p.fail(value_fault("maxLoopIterations from 0 up wanted, ", max_loop_iterations, " given"));
        if (can_stop(condition_network))
            return p.fail(value_fault("a loopBreak or loopContinue belongs into the bodyNetwork, not into the "
                                      "conditionNetwork"));
        if (p.input_count_of(step) == 1) p.want_scalar("", p.input_of(step));
        p.loop([&] {
            const std::size_t first = p.step_count();
            p.nested(step, "loop/conditionNetwork", [&] { condition_network.plan(p); });
            const bool has_network = p.step_count() > first;
            if (p.failed()) return;
            if (has_network != !condition_variable.empty())
                return p.fail(value_fault("conditionNetwork and conditionVar come together or not at all"));
            if (has_network) p.want_scalar(condition_variable, p.watch(step, condition_variable));
            if (!p.failed()) p.nested(step, "loop/bodyNetwork", [&] { body_network.plan(p); });
        });
    }

    template <class Engine, class Step>
    flow forward(Engine& e, Step step) const {
        const std::size_t condition = e.watched(step);
        const auto run = [&] {
            const extent most = limit(e, step);
            extent iterations = 0;
            bool broken = false;
            e.clear_made_in(step);
            for (;;) {
                if (condition != e.none) {
                    condition_network.forward(e, advanced<1>(step));
                    if (!e.truth(condition)) break;
                }
                if (most >= 0 && iterations == most) break;
                ++iterations;
                broken = body_network.forward(e, behind(condition_network, advanced<1>(step))) == flow::loop_break;
                if (broken) break;
            }
            e.record(iterations);
            e.record(broken);
        };
        const bool together = condition == e.none && !can_stop(body_network) &&
                              (e.input_count(step) == 0 || e.agrees(e.input_blob(step, 0)));
        if (together)
            run();
        else
            e.one_by_one(run);
        e.record(together);
        return flow::on;
    }
    template <class Engine>
    void backward(Engine& e, std::size_t step) const {
        const auto run = [&] {
            const bool broken = e.recorded() != 0;
            const extent iterations = e.recorded();
            const std::size_t inner = step + 1;
            if (!broken) condition_network.backward(e, inner);
            for (extent i = 0; i < iterations; ++i) {
                body_network.backward(e, behind(condition_network, inner));
                condition_network.backward(e, inner);
            }
            e.restore_made_in(step);
        };
        if (e.recorded())
            run();
        else
            e.one_by_one_backward(run);
    }
    template <class Visit>
    constexpr void each(std::size_t step, const Visit& visit) const {
        condition_network.each(step + 1, visit);
        body_network.each(behind(condition_network, step + 1), visit);
    }
    friend bool operator==(const loop&, const loop&) = default;

private:
    /// -1: no limit.
    template <class Engine, class Step>
    extent limit(Engine& e, Step step) const {
        if (e.input_count(step) == 1) return e.count(e.input_blob(step, 0));
        return max_loop_iterations > 0 || condition_variable.empty() ? max_loop_iterations : -1;
    }
};
template <class Body>
loop(Body) -> loop<Body>;
template <class Body>
loop(Body, extent) -> loop<Body>;
template <class Body, class Condition>
loop(Body, extent, Condition, std::string_view) -> loop<Body, Condition>;

namespace detail {

/// What leaves the iteration of the loop around it.
template <flow Result>
struct iteration_end {
    constexpr void fields(auto&) {}
    static constexpr bool control = true;
    static constexpr bool stops = true;
    static constexpr input_count inputs{0, 0};

    template <class Planner>
    constexpr void plan(Planner& p, std::size_t) const {
        if (!p.in_loop()) p.fail(value_fault("it belongs into the bodyNetwork of a loop"));
    }
    template <class Engine, class Step>
    flow forward(Engine&, Step) const {
        return Result;
    }
    template <class Engine>
    void backward(Engine&, std::size_t) const {}
    template <class Visit>
    constexpr void each(std::size_t, const Visit&) const {}
    friend bool operator==(const iteration_end&, const iteration_end&) = default;
};

}  // namespace detail

/// Ends the loop around it.
/// Core ML specification, LoopBreakLayerParams.
struct loop_break : detail::iteration_end<flow::loop_break> {
    static constexpr auto key = "loopBreak";
    friend bool operator==(const loop_break&, const loop_break&) = default;
};

/// Goes on with the next iteration of the loop around it.
/// Core ML specification, LoopContinueLayerParams.
struct loop_continue : detail::iteration_end<flow::loop_continue> {
    static constexpr auto key = "loopContinue";
    friend bool operator==(const loop_continue&, const loop_continue&) = default;
};

}  // namespace bespoke
