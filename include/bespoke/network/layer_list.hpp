#pragma once

#include "../control/node.hpp"
#include "../graph/planner.hpp"
#include "engine.hpp"

#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

namespace bespoke {

class any_node;

/// What a layer for control flow does, where it comes as `const void*`.
struct control_operations {
    bool (*can_stop)(const void* layer);
    void (*plan)(const void* layer, planner& p, std::size_t step);
    flow (*forward)(const void* layer, engine<float>& e, std::size_t step);
    void (*backward)(const void* layer, engine<float>& e, std::size_t step);
    /// Calls `visit` with each of the nodes directly inside it.
    void (*each)(const void* layer, std::size_t step,
                 void (*visit)(void* context, const any_node& node, std::size_t step), void* context);
};

/// A layer type that was chosen at run time: what there is to know of it, and its functions. The address of this table
/// says which type it is.
struct layer_operations {
    const layer_facts* facts = nullptr;
    // Of most layers, which are numbers alone: one with defaults, whose bytes are copied.
    const void* defaults = nullptr;
    std::size_t size = 0;
    // Of the others:
    void* (*make)(const void* from) = nullptr;  ///< a copy of `from`; null: one with defaults
    void (*destroy)(void* layer) = nullptr;
    // Of all:
    const control_operations* control = nullptr;
    // Null for a layer for control flow:
    asking_function* ask = nullptr;
    const layer_functions<float>* functions = nullptr;
    const layer_gradients<float>* gradients = nullptr;
};

/// A layer that was chosen at run time, and its place in a network.
class any_node {
public:
    std::string name;
    std::vector<std::string> inputs, outputs;
    bool updatable = false;

    /// With a copy of the layer `from`, of the type that `operations` says; null: one with defaults.
    explicit any_node(const layer_operations& operations, const void* from = nullptr);
    any_node(const any_node&) = delete;
    any_node& operator=(const any_node&) = delete;
    ~any_node();

    const layer_operations* type() const { return operations_; }
    const void* erased() const { return layer_; }
    void* erased() { return layer_; }
    /// The layer, if it is an L.
    template <class L>
    const L* as() const;

    bool can_stop() const;
    std::size_t step_count() const;
    void plan(planner& p) const;
    flow forward(engine<float>& e, std::size_t step) const;
    void backward(engine<float>& e, std::size_t step) const;
    void attach(engine<float>& e, std::size_t step) const;
    /// Appends this node and those inside it, in the order of the plan's steps.
    void flatten(std::vector<const any_node*>& into) const;

private:
    const control_operations* control() const { return operations_->control; }
    template <class Visit>
    void inside(std::size_t step, Visit&& visit) const;

    const layer_operations* operations_;
    void* layer_;
};

/// Layers one after the other, chosen at run time. The nodes are shared and never change, and what is inside them is
/// counted once.
class layer_list {
public:
    /// Appends a node, which is whole.
    void add(std::shared_ptr<const any_node> node);
    const std::vector<std::shared_ptr<const any_node>>& nodes() const { return nodes_; }

    bool can_stop() const { return can_stop_; }
    std::size_t step_count() const { return ends_.empty() ? 0 : ends_.back(); }
    void plan(planner& p) const;
    flow forward(engine<float>& e, std::size_t step) const;
    void backward(engine<float>& e, std::size_t step) const;
    template <class Visit>
    void each(std::size_t step, const Visit& visit) const {
        for (std::size_t i = 0; i < nodes_.size(); ++i) visit(*nodes_[i], step + begin_of(i));
    }
    std::vector<const any_node*> flatten() const;
    friend bool operator==(const layer_list&, const layer_list&) = default;

private:
    std::size_t begin_of(std::size_t node) const { return node == 0 ? 0 : ends_[node - 1]; }

    std::vector<std::shared_ptr<const any_node>> nodes_;
    std::vector<std::size_t> ends_;  ///< of each node, the first step behind it
    bool can_stop_ = false;
};

namespace detail {

template <class L>
void* make_layer(const void* from) {
    return from == nullptr ? new L{} : new L(*static_cast<const L*>(from));
}
template <class L>
void destroy_layer(void* layer) {
    delete static_cast<L*>(layer);
}
template <class L>
inline constexpr bool is_numbers = std::is_trivially_copyable_v<L> && alignof(L) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__;

template <class L>
inline constexpr L default_layer{};

template <control_layer L>
inline constexpr control_operations control_operations_of{
    [](const void* layer) { return bespoke::can_stop(*static_cast<const L*>(layer)); },
    [](const void* layer, planner& p, std::size_t step) { static_cast<const L*>(layer)->plan(p, step); },
    [](const void* layer, engine<float>& e, std::size_t step) {
        return e.forward(*static_cast<const L*>(layer), step);
    },
    [](const void* layer, engine<float>& e, std::size_t step) { e.backward(*static_cast<const L*>(layer), step); },
    [](const void* layer, std::size_t first, void (*visit)(void*, const any_node&, std::size_t), void* context) {
        static_cast<const L*>(layer)->each(first, [&]<class Part>(const Part& part, std::size_t step) {
            if constexpr (std::is_same_v<any_node, Part>) visit(context, part, step);
        });
    }};

template <layer L>
constexpr layer_operations list_operations() {
    layer_operations o{.facts = &facts_of<L>};
    if constexpr (is_numbers<L>) {
        o.defaults = &default_layer<L>;
        o.size = sizeof(L);
    } else {
        o.make = &make_layer<L>;
        o.destroy = &destroy_layer<L>;
    }
    if constexpr (control_layer<L>) {
        o.control = &control_operations_of<L>;
    } else {
        o.ask = &ask_erased<L>;
        o.functions = &functions_of<float, L>::value;
        o.gradients = &gradients_of<float, L>::value;
    }
    return o;
}

}  // namespace detail

template <layer L>
inline constexpr layer_operations operations_of = detail::list_operations<L>();

template <class L>
const L* any_node::as() const {
    return operations_ == &operations_of<L> ? static_cast<const L*>(layer_) : nullptr;
}

/// A node whose layer is known to be an L.
template <layer L>
class node_of : public any_node {
public:
    explicit node_of(const L& value) : any_node(operations_of<L>, &value), layer(*static_cast<L*>(erased())) {}

    L& layer;
};

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

namespace bespoke {

any_node::any_node(const layer_operations& operations, const void* from) : operations_(&operations) {
    layer_ = operations.make != nullptr
                 ? operations.make(from)
                 : std::memcpy(::operator new(operations.size), from != nullptr ? from : operations.defaults,
                               operations.size);
}

any_node::~any_node() {
    if (operations_->destroy != nullptr)
        operations_->destroy(layer_);
    else
        ::operator delete(layer_);
}

bool any_node::can_stop() const { return control() != nullptr && control()->can_stop(layer_); }

template <class Visit>
void any_node::inside(std::size_t step, Visit&& visit) const {
    if (control() == nullptr) return;
    const auto call = [](void* context, const any_node& node, std::size_t s) {
        (*static_cast<std::remove_reference_t<Visit>*>(context))(node, s);
    };
    control()->each(layer_, step, call, &visit);
}

std::size_t any_node::step_count() const {
    std::size_t count = 1;
    inside(0, [&](const any_node& node, std::size_t) { count += node.step_count(); });
    return count;
}

void any_node::plan(planner& p) const {
    const std::vector<std::string_view> in(inputs.begin(), inputs.end()), out(outputs.begin(), outputs.end());
    const std::size_t step = p.begin(*operations_->facts, name, in, out);
    if (step == planner::npos) return;
    if (control() == nullptr)
        return p.end_asked(step, *operations_->facts,
                           [this](std::span<const shape> xs, std::span<const known_values> known) {
                               return ask_layer(operations_->ask, layer_, xs, known);
                           },
                           out, updatable);
    control()->plan(layer_, p, step);
    p.end_control(step);
}

flow any_node::forward(engine<float>& e, std::size_t step) const {
    if (control() != nullptr) return control()->forward(layer_, e, step);
    forward_layer<float>(e, *operations_->functions, layer_, step);
    return flow::on;
}

void any_node::backward(engine<float>& e, std::size_t step) const {
    if (control() != nullptr) return control()->backward(layer_, e, step);
    backward_layer<float>(e, *operations_->gradients, layer_, step);
}

void any_node::attach(engine<float>& e, std::size_t step) const {
    if (control() == nullptr) return e.attach_layer(layer_, *operations_->functions, step, operations_->ask);
    inside(step, [&](const any_node& node, std::size_t s) { node.attach(e, s); });
}

void any_node::flatten(std::vector<const any_node*>& into) const {
    into.push_back(this);
    inside(0, [&](const any_node& node, std::size_t) { node.flatten(into); });
}

void layer_list::add(std::shared_ptr<const any_node> node) {
    ends_.push_back(step_count() + node->step_count());
    can_stop_ = can_stop_ || node->can_stop();
    nodes_.push_back(std::move(node));
}

void layer_list::plan(planner& p) const {
    for (const auto& node : nodes_) node->plan(p);
}

flow layer_list::forward(engine<float>& e, std::size_t step) const {
    flow result = flow::on;
    std::size_t executed = 0;
    for (; executed < nodes_.size() && result == flow::on; ++executed)
        result = nodes_[executed]->forward(e, step + begin_of(executed));
    if (can_stop()) e.record(static_cast<extent>(executed));
    return result;
}

void layer_list::backward(engine<float>& e, std::size_t step) const {
    const std::size_t executed = can_stop() ? static_cast<std::size_t>(e.recorded()) : nodes_.size();
    for (std::size_t i = executed; i-- > 0;) nodes_[i]->backward(e, step + begin_of(i));
}

std::vector<const any_node*> layer_list::flatten() const {
    std::vector<const any_node*> all;
    for (const auto& node : nodes_) node->flatten(all);
    return all;
}

}  // namespace bespoke

#endif
