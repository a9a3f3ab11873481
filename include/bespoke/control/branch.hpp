#pragma once

#include "sequence.hpp"

namespace bespoke {

/// Runs `if_branch` where |condition| > 1e-6, else `else_branch`. The condition is its only input and holds
/// one number; what the sides write is seen by the layers behind, if both sides write it.
/// Examples whose conditions differ run one by one.
/// Core ML specification, BranchLayerParams.
template <class If, class Else = sequence<>>
struct branch {
    If if_branch;
    Else else_branch{};

    static constexpr auto key = "branch";
    constexpr void fields(auto&) {}
    static constexpr bool control = true;
    static constexpr bool stops = may_stop<If> || may_stop<Else>;
    static constexpr std::size_t steps = 1 + steps_of<If> + steps_of<Else>;

    /// `stops` of sides that may have been read from a file.
    constexpr bool can_stop() const { return bespoke::can_stop(if_branch) || bespoke::can_stop(else_branch); }

    template <class Planner>
    constexpr void plan(Planner& p, std::size_t step) const {
        p.want_scalar("", p.input_of(step));
        p.branch([&] { p.nested(step, "branch/ifBranch", [&] { if_branch.plan(p); }); },
                 [&] { p.nested(step, "branch/elseBranch", [&] { else_branch.plan(p); }); });
    }

    template <class Engine, class Step>
    flow forward(Engine& e, Step step) const {
        flow result = flow::on;
        const auto side = [&] {
            const bool condition = e.truth(e.input_blob(step, 0));
            if (condition)
                result = if_branch.forward(e, advanced<1>(step));
            else
                result = else_branch.forward(e, behind(if_branch, advanced<1>(step)));
            e.record(condition);
        };
        const bool together = e.agrees(e.input_blob(step, 0));
        if (together)
            side();
        else
            e.one_by_one(side);
        e.record(together);
        return result;
    }
    template <class Engine>
    void backward(Engine& e, std::size_t step) const {
        const auto side = [&] {
            if (e.recorded())
                if_branch.backward(e, step + 1);
            else
                else_branch.backward(e, behind(if_branch, step + 1));
        };
        if (e.recorded())
            side();
        else
            e.one_by_one_backward(side);
    }
    template <class Visit>
    constexpr void each(std::size_t step, const Visit& visit) const {
        if_branch.each(step + 1, visit);
        else_branch.each(behind(if_branch, step + 1), visit);
    }
    friend bool operator==(const branch&, const branch&) = default;
};
template <class If>
branch(If) -> branch<If>;
template <class If, class Else>
branch(If, Else) -> branch<If, Else>;

}  // namespace bespoke
