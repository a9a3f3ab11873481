#pragma once

#include "../core/error.hpp"
#include "../kernels/reduction.hpp"
#include "kept_examples.hpp"
#include "losses.hpp"
#include "optimizers.hpp"
#include "trainable.hpp"
#include "training_plan.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace bespoke {

struct training_state;

/// Throws errc::not_updatable with `what` and the reasons for it, if there are any.
inline void throw_reasons(std::string what, const std::vector<std::string>& reasons) {
    for (const auto& reason : reasons) what += "\n  " + reason;
    if (!reasons.empty()) throw error(errc::not_updatable, what);
}

/// Trains a network: keeps examples, runs mini-batches of them forward and backward, and lets an optimizer
/// change the parameters.
///
///     trainer training(net, {categorical_cross_entropy{}}, adam{.learning_rate = 1e-3});
///
/// Steps that no trained parameter has an influence on run once an example, in `load`, not once an epoch.
/// After the first mini-batch of the largest size a step allocates nothing. The same examples in the same
/// order give the same bits, whatever the number of threads. One that was moved from throws where it is used.
template <class T>
class trainer {
public:
    using value_type = T;

    /// Throws `error` (errc::not_updatable) with every reason why the network cannot be trained, or errc::bad_argument
    /// for a number of the optimizer that is out of range.
    trainer(trainable<T> network, std::vector<any_loss<T>> losses, any_optimizer<T> optimizer,
            train which = train::updatable_layers);
    /// What was meant otherwise.
    template <class Losses, class Optimizer>
        requires(!std::convertible_to<const Losses&, std::vector<any_loss<T>>>)
    trainer(trainable<T> network, const Losses&, const Optimizer& with, train which = train::updatable_layers)
        : trainer(network, {}, with, which) {
        static_assert(std::convertible_to<const Losses&, std::vector<any_loss<T>>>,
                      "losses in braces wanted: trainer(net, {mean_squared_error{}}, adam{})");
    }
    trainer(trainer&&) noexcept = default;  // of what it holds, one points to another: no copies
    trainer& operator=(trainer&&) noexcept = default;
    ~trainer();

    /// Every reason why a network of this plan cannot be trained so; none: it can.
    static std::vector<std::string> check_trainable(const plan_view& p, const std::vector<any_loss<T>>& losses,
                                                    train which);

    /// Takes over examples, in place of those before: for each input of the network and for each loss the values of all
    /// of them, `load(n, {{users, items}}, {{ratings}})` for two inputs and one loss. What the optimizer keeps stays:
    /// more examples than fit in memory come in parts, one `load` after the other. Throws `error` where sizes or
    /// targets do not fit; where a frozen step throws, those before it are there.
    void load(std::size_t examples, std::span<const example_data<T>> inputs, std::span<const example_data<T>> targets);
    /// `load` in parts: what checks and copies, and whether `run_frozen` is then to be called until it says false, with
    /// the same inputs: it runs frozen steps for some of the examples.
    bool take(std::size_t examples, std::span<const example_data<T>> inputs, std::span<const example_data<T>> targets);
    bool run_frozen(std::span<const example_data<T>> inputs);
    std::size_t examples() const { return examples_.count(); }
    /// One mini-batch of the given examples (from 0 to examples() - 1): forward, backward, update. Returns the loss
    /// before the update, summed over the losses. Not finite, it updates nothing, nor if a loss or optimizer throws.
    double step(std::span<const std::size_t> batch);
    /// The loss of the given examples and the gradient of every learning parameter, without an update.
    double gradient(std::span<const std::size_t> batch);
    /// The loss of the given examples.
    double evaluate(std::span<const std::size_t> batch);

    /// Writes what makes another trainer of the same network, losses and optimizer go on from here with the same bits:
    /// parameters, learning or not, what the optimizer keeps, its hyper-parameters and `steps`. The order of the
    /// examples is the caller's, as are `notes`, which `load_checkpoint` gives back ("epoch": "3"). Whoever looks finds
    /// the file whole, old or new. Throws errc::io with path and reason. Defined in training/checkpoint.hpp, as what
    /// follows.
    void save_checkpoint(const std::filesystem::path& path, const std::map<std::string, std::string>& notes = {}) const;
    /// Goes on from a checkpoint. Throws `error` with what the file has that this trainer has otherwise, or where it is
    /// not as it was written; nothing has changed then. Before `load`, if layers that do not learn may have other
    /// parameters there.
    std::map<std::string, std::string> load_checkpoint(const std::filesystem::path& path);
    /// What a checkpoint holds; it looks at this trainer and its network as they are until the next call.
    training_state state() const;
    void restore(const training_state& from);

    /// Whether every learning parameter is a finite number.
    bool finite() const;
    const plan_view& plan() const { return network_.plan(); }
    /// For a schedule: `*learning_rate_of(training.chosen_optimizer().parameters()) = 1e-4`.
    any_optimizer<T>& chosen_optimizer() { return core(), optimizer_; }
    /// By their numbers among `plan().parameters`.
    const std::vector<std::size_t>& learning_parameters() const { return slot_parameters_; }
    /// The gradient that `gradient` left for the k-th of `learning_parameters`.
    std::span<const T> gradient_of(std::size_t k) const {
        return {slots_[k].step, static_cast<std::size_t>(slots_[k].size)};
    }
    /// How many updates there have been.
    std::uint64_t steps() const { return steps_; }

private:
    static std::vector<loss_site> find_sites(const plan_view& p, const std::vector<any_loss<T>>& losses);
    static std::vector<std::string> reasons_of(const plan_view& p, const std::vector<any_loss<T>>& losses,
                                               const std::vector<loss_site>& sites, const training_plan<T>& plan);
    engine<T>& core() const {
        if (values_.empty()) throw_moved_from("the trainer");
        return network_.core();
    }
    void check(std::size_t examples, std::span<const example_data<T>> inputs,
               std::span<const example_data<T>> targets) const;
    void check_targets(std::size_t examples, std::size_t number, example_data<T> targets) const;
    /// The mean loss of the parts of a mini-batch that run at once: all of it, or, where shapes are decided in the run,
    /// one example after the other.
    template <class Run>
    double each_run(std::span<const std::size_t> batch, const Run& run) {
        const auto part = [&](std::span<const std::size_t> examples) {
            const trainer_pass<T> recorded(network_.core(), pass::trainable, plan_.trained_steps, plan_.finished);
            return run(examples);
        };
        if (!network_.plan().open || batch.size() <= 1) return part(batch);
        double sum = 0;
        for (std::size_t i = 0; i < batch.size(); ++i) sum += part(batch.subspan(i, 1));
        return sum / static_cast<double>(batch.size());
    }
    double forward(std::span<const std::size_t> batch, bool with_gradient);
    double evaluate_loss(std::size_t number, std::span<const std::size_t> batch, bool with_gradient);
    void place(extent examples);
    template <class U>
    dynamic_view<U> blob_view(U* data, std::size_t blob, extent examples) const {
        const blob_facts& facts = network_.plan().blobs[blob];
        return {data, facts.dimensions, examples, facts.per_example ? facts.dimensions.size() : 0};
    }
    std::size_t size_of(std::size_t blob) const {
        return static_cast<std::size_t>(network_.plan().blobs[blob].dimensions.size());
    }

    trainable<T> network_;
    std::vector<any_loss<T>> losses_;
    any_optimizer<T> optimizer_;
    std::vector<loss_site> sites_;
    training_plan<T> plan_;
    std::vector<update_slot<T>> slots_;
    std::vector<std::size_t> slot_parameters_;
    buffer<T> gradients_, state_, arena_, shared_;
    bool gradients_are_zero_ = true;
    std::vector<T*> values_, blob_gradients_;
    kept_examples<T> examples_;
    std::uint64_t steps_ = 0;
};
/// Losses that are no list.
template <class Network, class Losses, class Optimizer>
    requires(!std::convertible_to<const Losses&, std::vector<any_loss<typename Network::value_type>>>)
trainer(Network&, const Losses&, const Optimizer&, train = train::updatable_layers)
    -> trainer<typename Network::value_type>;
template <class Network>
trainer(Network&, std::vector<any_loss<typename Network::value_type>>, any_optimizer<typename Network::value_type>,
        train = train::updatable_layers) -> trainer<typename Network::value_type>;

// Not in the class: see network/memory.hpp.

template <class T>
trainer<T>::~trainer() = default;

template <class T>
trainer<T>::trainer(trainable<T> network, std::vector<any_loss<T>> losses, any_optimizer<T> optimizer, train which)
    : network_(network), losses_(std::move(losses)), optimizer_(std::move(optimizer)),
      sites_(find_sites(network.plan(), losses_)), plan_(network.plan(), which, sites_) {
    throw_reasons("this network cannot be trained", reasons_of(network.plan(), losses_, sites_, plan_));
    check_parameters(optimizer_.parameters(), "trainer: ");
    extent total = 0;
    const auto& facts = network_.plan().parameters;
    for (std::size_t i = 0; i < facts.size(); ++i)
        if (plan_.learning[i]) {
            slots_.push_back({network_.core().parameter(i), nullptr, facts[i].dimensions.size(), total});
            slot_parameters_.push_back(i);
            total += aligned_size<T>(facts[i].dimensions.size());
        }
    gradients_.resize(total);
    for (auto& slot : slots_) slot.step = gradients_.data() + slot.offset;
    values_.resize(network_.plan().blobs.size());
    blob_gradients_.resize(values_.size());
}

template <class T>
std::vector<std::string> trainer<T>::check_trainable(const plan_view& p, const std::vector<any_loss<T>>& losses,
                                                     train which) {
    const std::vector<loss_site> sites = find_sites(p, losses);
    return reasons_of(p, losses, sites, training_plan<T>(p, which, sites));
}

template <class T>
void trainer<T>::load(std::size_t examples, std::span<const example_data<T>> inputs,
                      std::span<const example_data<T>> targets) {
    for (bool more = take(examples, inputs, targets); more;) more = run_frozen(inputs);
}

template <class T>
bool trainer<T>::take(std::size_t examples, std::span<const example_data<T>> inputs,
                      std::span<const example_data<T>> targets) {
    const plan_view& p = core().plan();
    if (p.open) core().reserve(1);  // the shapes as they are planned
    check(examples, inputs, targets);
    examples_.take(p, plan_.borders, examples, inputs, targets, !plan_.has_frozen());
    return plan_.has_frozen();
}

template <class T>
double trainer<T>::step(std::span<const std::size_t> batch) {
    const double loss = gradient(batch);
    if (!std::isfinite(loss)) return loss;
    auto& engine = network_.core();
    const extent moments = optimizer_.moments() * gradients_.size();
    if (state_.size() != moments) state_ = buffer<T>(moments);
    update_weights<T>(optimizer_, slots_, [&](std::size_t k) { return engine.parameter(slot_parameters_[k]); },
                      state_.data(), gradients_.size(), steps_ + 1, engine.threads());
    ++steps_;
    gradients_are_zero_ = true;
    std::size_t last_step = blob_facts::npos;
    for (std::size_t number : slot_parameters_) {
        const std::size_t step = network_.plan().parameters[number].step;
        if (step != std::exchange(last_step, step)) engine.change(step);
    }
    return loss;
}

template <class T>
double trainer<T>::gradient(std::span<const std::size_t> batch) {
    auto& engine = core();
    for (auto& g : engine.parameter_gradients()) g = nullptr;
    for (std::size_t k = 0; k < slots_.size(); ++k) {
        slots_[k].weights = engine.parameter(slot_parameters_[k]);  // another network may have been assigned to it
        engine.parameter_gradients()[slot_parameters_[k]] = slots_[k].step;
    }
    if (!std::exchange(gradients_are_zero_, false)) kernels::fill(gradients_.size(), T(0), gradients_.data());
    const double loss = each_run(batch, [&](std::span<const std::size_t> part) {
        const double of_part = forward(part, true);
        engine.set_births(plan_.births);
        network_.backward();
        return of_part;
    });
    if (network_.plan().open && batch.size() > 1)
        for (T& g : gradients_) g /= static_cast<T>(batch.size());
    return loss;
}

template <class T>
double trainer<T>::evaluate(std::span<const std::size_t> batch) {
    core().prepare_stale();
    return each_run(batch, [&](std::span<const std::size_t> part) { return forward(part, false); });
}

template <class T>
bool trainer<T>::finite() const {
    const engine<T>& now = network_.core();
    for (std::size_t k = 0; k < slots_.size(); ++k)
        if (!kernels::all_finite(slots_[k].size, now.parameter(slot_parameters_[k]))) return false;
    return true;
}

template <class T>
std::vector<loss_site> trainer<T>::find_sites(const plan_view& p, const std::vector<any_loss<T>>& losses) {
    std::vector<loss_site> sites;
    for (const auto& loss : losses) {
        loss_site site;
        site.output = loss.input().empty() ? p.outputs[0] : p.find_blob(loss.input());
        site.input = site.output;
        if (loss.from_softmax() && site.output != blob_facts::npos) {
            const std::size_t softmax = softmax_of(p, site.output);
            site.input = softmax == blob_facts::npos ? softmax : p.inputs_of(softmax)[0];
        }
        sites.push_back(site);
    }
    return sites;
}

template <class T>
std::vector<std::string> trainer<T>::reasons_of(const plan_view& p, const std::vector<any_loss<T>>& losses,
                                                const std::vector<loss_site>& sites, const training_plan<T>& plan) {
    std::vector<std::string> reasons;
    for (std::size_t i = 0; i < losses.size(); ++i)
        if (sites[i].output == blob_facts::npos)
            reasons.push_back("the loss looks at \"" + losses[i].input() + "\", which no layer writes");
        else if (sites[i].input == blob_facts::npos)
            reasons.push_back("the cross-entropy looks at \"" + std::string(p[p.blobs[sites[i].output].name]) +
                              "\", which is not the output of a softmax over a whole example");
    reasons.insert(reasons.end(), plan.reasons.begin(), plan.reasons.end());
    return reasons;
}

template <class T>
void trainer<T>::check(std::size_t examples, std::span<const example_data<T>> inputs,
                       std::span<const example_data<T>> targets) const {
    const plan_view& p = network_.plan();
    const auto wrong = [](const auto&... parts) { throw error(shape_fault(parts...)); };
    if (examples == 0) throw error(errc::bad_argument, "at least one example wanted, none came");
    if (inputs.size() != p.inputs.size()) wrong(p.inputs.size(), " inputs wanted, ", inputs.size(), " came");
    if (targets.size() != losses_.size())
        wrong("targets for ", losses_.size(), " losses wanted, for ", targets.size(), " came");
    for (std::size_t i = 0; i < inputs.size(); ++i)
        if (inputs[i].size() != size_of(p.inputs[i]) * examples)
            network_.core().throw_wrong_input(i, static_cast<extent>(inputs[i].size()), static_cast<extent>(examples));
    for (std::size_t l = 0; l < targets.size(); ++l) check_targets(examples, l, targets[l]);
}

template <class T>
void trainer<T>::check_targets(std::size_t examples, std::size_t number, example_data<T> targets) const {
    const shape& x = network_.plan().blobs[sites_[number].input].dimensions;
    const auto size = static_cast<std::size_t>(losses_[number].target_size(x));
    if (targets.size() != size * examples)
        throw error(shape_fault("target of loss ", number, ": ", size * examples, " elements wanted, ",
                                targets.size(), " came"));
    for (std::size_t i = 0; i < examples; ++i) {
        const sentence problem = losses_[number].check_target(x, targets.data() + i * size);
        if (!problem.view().empty())
            throw error(value_fault("target of loss ", number, ", example ", i, ": ", problem));
    }
}

template <class T>
bool trainer<T>::run_frozen(std::span<const example_data<T>> inputs) {
    constexpr extent most_elements = 1 << 22;
    auto& engine = core();
    const plan_view& p = network_.plan();
    const extent most = std::clamp<extent>(most_elements / std::max<extent>(p.whole_size, 1), 1, 64);
    const std::size_t first = examples_.ready(),
                      count = std::min(static_cast<std::size_t>(most), examples_.count() - first);
    engine.reserve(static_cast<extent>(count), /*all_blobs=*/true);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        const std::size_t size = size_of(p.inputs[i]);
        std::copy_n(inputs[i].data() + first * size, count * size, engine.value(p.inputs[i]));
    }
    const trainer_pass<T> frozen(engine, pass::frozen, plan_.trained_steps);
    const auto hook = [&](std::size_t step) {
        for (std::size_t s = step; s < p.steps[step].end; ++s)
            for (std::size_t blob : p.outputs_of(s)) examples_.keep(blob, engine.value(blob), count);
    };
    engine.after_frozen(hook);
    network_.forward();
    examples_.advance(count);
    return examples_.ready() < examples_.count();
}

template <class T>
double trainer<T>::forward(std::span<const std::size_t> batch, bool with_gradient) {
    examples_.check(batch);
    auto& engine = network_.core();
    place(static_cast<extent>(batch.size()));
    examples_.write(batch, [&](std::size_t blob) { return engine.value(blob); });
    network_.forward();
    if (with_gradient)
        for (const auto& site : sites_)
            if (T* to = engine.gradient(site.input)) kernels::fill(engine.elements(site.input), T(0), to);
    double total = 0;
    for (std::size_t l = 0; l < losses_.size(); ++l) total += evaluate_loss(l, batch, with_gradient);
    return total;
}

template <class T>
double trainer<T>::evaluate_loss(std::size_t number, std::span<const std::size_t> batch, bool with_gradient) {
    const any_loss<T>& loss = losses_[number];
    const std::size_t x = sites_[number].input, y = sites_[number].output;
    const auto examples = static_cast<extent>(batch.size());
    const shape& dimensions = network_.plan().blobs[x].dimensions;
    const auto size = static_cast<std::size_t>(loss.target_size(dimensions));
    if (size != examples_.target_size(number))
        throw error(shape_fault("loss ", number, ": its input has the shape ", dimensions, " in this run, which wants ",
                                size, " elements of target, ", examples_.target_size(number), " came"));
    const auto& engine = network_.core();
    return loss(blob_view<const T>(engine.value(x), x, examples), blob_view<const T>(engine.value(y), y, examples),
                examples_.targets(number, batch),
                blob_view<T>(with_gradient ? engine.gradient(x) : nullptr, x, examples));
}

template <class T>
void trainer<T>::place(extent examples) {
    const plan_view& p = network_.plan();
    const extent arena = plan_.arena_size * examples;
    take_memory([&] { arena_.reserve(arena), shared_.reserve(plan_.shared_size); }, "the blobs of a training have ",
                arena + plan_.shared_size, " elements (examples at a time: ", examples, ")");
    for (std::size_t b = 0; b < values_.size(); ++b) {
        const auto at = [&](extent offset) -> T* {
            if (offset < 0) return nullptr;
            return p.blobs[b].per_example ? arena_.data() + offset * examples : shared_.data() + offset;
        };
        values_[b] = at(plan_.value_offset[b]);
        blob_gradients_[b] = at(plan_.gradient_offset[b]);
        if (p.blobs[b].open.any) blob_gradients_[b] = plan_.gradient_offset[b] < 0 ? nullptr : gradients_.data();
    }
    network_.core().place(examples, values_, blob_gradients_);
}

}  // namespace bespoke
