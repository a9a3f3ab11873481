#pragma once

#include "../layers/add.hpp"
#include "sequence.hpp"

namespace bespoke {

/// y = x + part(x), both of one shape.
template <class Part>
struct residual_connection {
    Part part;
    static constexpr add sum{};  // an engine keeps its address

    static_assert(!may_stop<Part>, "a loop_break or loop_continue belongs into a loop, not into residual");
    static constexpr std::size_t steps = steps_of<Part> + 1;

    template <class Planner>
    constexpr void plan(Planner& p) const {
        if constexpr (!may_stop<Part>) {
            const std::size_t x = p.previous();
            part.plan(p);
            p.want_same_shape("residual", x, p.previous());
            p.add_on(sum, "", {x, p.previous()});
        }
    }
    template <class Engine, class Step>
    flow forward(Engine& e, Step step) const {
        part.forward(e, step);
        return e.forward(sum, advanced<steps_of<Part>>(step));
    }
    template <class Engine>
    void backward(Engine& e, std::size_t step) const {
        e.backward(sum, step + steps_of<Part>);
        part.backward(e, step);
    }
    template <class Visit>
    constexpr void each(std::size_t step, const Visit& visit) const {
        part.each(step, visit);
        visit(sum, step + steps_of<Part>);
    }
    friend bool operator==(const residual_connection&, const residual_connection&) = default;
};

/// `residual(compose(...))` or `residual(layer, layer, ...)`: adds what goes in to what comes out.
template <class... Parts>
constexpr auto residual(const Parts&... parts) {
    using part = decltype(compose(parts...));
    return residual_connection<part>{compose(parts...)};
}

}  // namespace bespoke
