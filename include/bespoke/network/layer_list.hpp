#pragma once

#include "../control/node.hpp"
#include "../graph/planner.hpp"
#include "engine.hpp"

#include <memory>
#include <string>
#include <vector>

namespace bespoke {

/// Says which layer type hides behind an `any_node`, without run-time type information.
template <class L>
inline constexpr char layer_type_tag = 0;

/// A layer that was chosen at run time: the same layer type behind virtual calls, one a step.
class any_node {
public:
    std::string name;
    std::vector<std::string> inputs, outputs;
    bool updatable = false;

    virtual ~any_node() = default;
    virtual const void* type() const = 0;
    virtual bool can_stop() const = 0;
    virtual std::size_t step_count() const = 0;
    virtual void plan(planner& p) const = 0;
    virtual flow forward(engine<float>& e, std::size_t step) const = 0;
    virtual void backward(engine<float>& e, std::size_t step) const = 0;
    virtual void attach(engine<float>& e, std::size_t step) const = 0;
    /// Appends this node and those inside it, in the order of the plan's steps.
    virtual void flatten(std::vector<const any_node*>& into) const = 0;

    /// The layer, if it is an L.
    template <class L>
    const L* as() const;
};

/// Layers one after the other, chosen at run time. The nodes are shared and never change.
class layer_list {
public:
    std::vector<std::shared_ptr<const any_node>> nodes;

    bool can_stop() const {
        for (const auto& node : nodes)
            if (node->can_stop()) return true;
        return false;
    }
    std::size_t step_count() const {
        std::size_t count = 0;
        for (const auto& node : nodes) count += node->step_count();
        return count;
    }
    void plan(planner& p) const {
        for (const auto& node : nodes) node->plan(p);
    }
    flow forward(engine<float>& e, std::size_t step) const {
        flow result = flow::on;
        extent executed = 0;
        for (const auto& node : nodes) {
            if (result != flow::on) break;
            result = node->forward(e, step);
            step += node->step_count();
            ++executed;
        }
        if (can_stop()) e.record(executed);
        return result;
    }
    void backward(engine<float>& e, std::size_t step) const {
        auto executed = static_cast<extent>(nodes.size());
        if (can_stop()) executed = e.recorded();
        for (extent i = 0; i < executed; ++i) step += nodes[static_cast<std::size_t>(i)]->step_count();
        for (extent i = executed; i-- > 0;) {
            const auto& node = nodes[static_cast<std::size_t>(i)];
            step -= node->step_count();
            node->backward(e, step);
        }
    }
    template <class Visit>
    void each(std::size_t step, const Visit& visit) const {
        for (const auto& node : nodes) {
            visit(*node, step);
            step += node->step_count();
        }
    }
    std::vector<const any_node*> flatten() const {
        std::vector<const any_node*> all;
        for (const auto& node : nodes) node->flatten(all);
        return all;
    }
    friend bool operator==(const layer_list&, const layer_list&) = default;
};

/// The one implementation of `any_node`.
template <layer L>
class node_of final : public any_node {
public:
    L layer;

    explicit node_of(L value) : layer(std::move(value)) {}

    const void* type() const override { return &layer_type_tag<L>; }
    bool can_stop() const override { return bespoke::can_stop(layer); }
    std::size_t step_count() const override {
        std::size_t count = 1;
        if constexpr (control_layer<L>)
            layer.each(0, [&]<class Part>(const Part& part, std::size_t) {
                if constexpr (std::is_base_of_v<any_node, Part>) count += part.step_count();
            });
        return count;
    }
    void plan(planner& p) const override {
        const std::vector<std::string_view> in(inputs.begin(), inputs.end()), out(outputs.begin(), outputs.end());
        p.add(layer, name, in, out, updatable);
    }
    flow forward(engine<float>& e, std::size_t step) const override { return e.forward(layer, step); }
    void backward(engine<float>& e, std::size_t step) const override { e.backward(layer, step); }
    void attach(engine<float>& e, std::size_t step) const override {
        e.attach_part(layer, step);
        inner(step, [&](const any_node& node, std::size_t s) { node.attach(e, s); });
    }
    void flatten(std::vector<const any_node*>& into) const override {
        into.push_back(this);
        inner(0, [&](const any_node& node, std::size_t) { node.flatten(into); });
    }

private:
    template <class Visit>
    void inner(std::size_t step, const Visit& visit) const {
        if constexpr (control_layer<L>) layer.each(step, visit);
    }
};

template <class L>
const L* any_node::as() const {
    return type() == &layer_type_tag<L> ? &static_cast<const node_of<L>*>(this)->layer : nullptr;
}

}  // namespace bespoke
