#pragma once

#include "../core/buffer.hpp"
#include "../core/concepts.hpp"
#include "../core/error.hpp"
#include "../core/threads.hpp"
#include "../kernels/map.hpp"
#include "../kernels/math.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace bespoke {

/// One parameter array while it is being updated: its weights, and the step to be subtracted from them,
/// which is the gradient at first.
template <class T>
struct update_slot {
    const T* weights;
    T* step;
    extent size;
    extent offset;  ///< place of its moments in each array of state
};

/// A gradient transformation turns gradients into steps, one after the other in a `chain`; what the last one
/// leaves is subtracted from the weights: w -= u. A transformation of your own has two members
/// (`static_assert(optimizer<my_optimizer>)` shows what is missing):
///
/// `moments()`: how many numbers it keeps for each weight, zero at first.
/// `apply(slots, state, total, step)`: turns slot.step into the next u, in place, for each slot, one for each parameter
/// array that learns. At first it is the gradient of the loss, which is a mean over the mini-batch. The k-th number of
/// slot.weights[i] is state[k * total + slot.offset + i]; `step` counts the updates, this one included.
///
/// A third one, `static constexpr bool elementwise = true`, promises that a step follows from its own weight and state
/// alone, and that `apply` does not throw: it then gets parts of arrays, from several threads. With a fourth one,
/// `static constexpr std::string_view name`, the checkpoint of another optimizer is refused. Checkpoints hold the
/// state, and doubles that are called as those of `optimizer_parameters`.
template <class O>
concept optimizer =
    requires(const O& o, std::span<const update_slot<float>> slots, float* state) {
        { o.moments() } -> std::convertible_to<extent>;
        o.apply(slots, state, extent{}, std::uint64_t{});
    } && std::copyable<O>;  // last: of an any_optimizer in a tuple it would ask about the tuple without end

template <class O>
inline constexpr bool is_elementwise_optimizer = [] {
    if constexpr (requires { O::elementwise; }) return O::elementwise;
    else return false;
}();

/// Stochastic gradient descent with momentum: v = momentum v + u; u = learning_rate v.
/// Sutskever et al., ICML 2013, in PyTorch's form; Core ML specification, SGDOptimizer.
struct sgd {
    static constexpr std::string_view name = "sgd";
    double learning_rate = 0.01;
    double momentum = 0;

    static constexpr bool elementwise = true;
    constexpr extent moments() const { return momentum == 0 ? 0 : 1; }

    template <class T>
    void apply(std::span<const update_slot<T>> slots, T* state, extent, std::uint64_t) const {
        using batch = kernels::batch<T>;
        const batch rate(static_cast<T>(learning_rate)), keep(static_cast<T>(momentum));
        for (const auto& slot : slots) {
            T* u = slot.step;
            if (momentum == 0) {
                kernels::for_each_batch<T>(
                    slot.size, [&](extent i, auto in, auto out) { out(u + i, rate * in(u + i)); });
                continue;
            }
            T* v = state + slot.offset;
            kernels::for_each_batch<T>(slot.size, [&](extent i, auto in, auto out) {
                const batch velocity = kernels::fma<T>(keep, in(v + i), in(u + i));
                out(v + i, velocity);
                out(u + i, rate * velocity);
            });
        }
    }
    friend bool operator==(const sgd&, const sgd&) = default;
};

/// Adam: m = beta1 m + (1 - beta1) u; v = beta2 v + (1 - beta2) u²;
/// u = learning_rate m / (1 - beta1ᵗ) / (sqrt(v / (1 - beta2ᵗ)) + eps).
/// Kingma and Ba, ICLR 2015; Core ML specification, AdamOptimizer.
struct adam {
    static constexpr std::string_view name = "adam";
    double learning_rate = 1e-3;
    double beta1 = 0.9, beta2 = 0.999;
    double eps = 1e-8;

    static constexpr bool elementwise = true;
    constexpr extent moments() const { return 2; }

    template <class T>
    void apply(std::span<const update_slot<T>> slots, T* state, extent total, std::uint64_t step) const {
        using batch = kernels::batch<T>;
        const auto t = static_cast<double>(step);
        const batch rate(static_cast<T>(learning_rate / (1 - std::pow(beta1, t))));
        const batch unbias(static_cast<T>(1 / std::sqrt(1 - std::pow(beta2, t))));
        const batch b1(static_cast<T>(beta1)), c1(static_cast<T>(1 - beta1));
        const batch b2(static_cast<T>(beta2)), c2(static_cast<T>(1 - beta2)), small(static_cast<T>(eps));
        for (const auto& slot : slots) {
            T *u = slot.step, *m = state + slot.offset, *v = m + total;
            kernels::for_each_batch<T>(slot.size, [&](extent i, auto in, auto out) {
                const batch g = in(u + i);
                const batch first = kernels::fma<T>(b1, in(m + i), c1 * g);
                const batch second = kernels::fma<T>(b2, in(v + i), (c2 * g) * g);
                out(m + i, first);
                out(v + i, second);
                out(u + i, rate * first / kernels::fma<T>(kernels::sqrt<T>(second), unbias, small));
            });
        }
    }
    friend bool operator==(const adam&, const adam&) = default;
};

/// Scales all gradients together so that their Euclidean norm is at most `limit`.
/// Pascanu et al., ICML 2013.
struct clip_by_global_norm {
    static constexpr std::string_view name = "clip_by_global_norm";
    double limit = 1;

    constexpr extent moments() const { return 0; }

    template <class T>
    void apply(std::span<const update_slot<T>> slots, T*, extent, std::uint64_t) const {
        double square = 0;
        for (const auto& slot : slots)
            for (extent i = 0; i < slot.size; ++i) {
                const auto g = static_cast<double>(slot.step[i]);
                square = std::fma(g, g, square);
            }
        const double norm = std::sqrt(square);
        if (!(norm > limit)) return;
        const kernels::batch<T> scale(static_cast<T>(limit / norm));
        for (const auto& slot : slots) {
            T* u = slot.step;
            kernels::for_each_batch<T>(slot.size,
                                       [&](extent i, auto in, auto out) { out(u + i, scale * in(u + i)); });
        }
    }
    friend bool operator==(const clip_by_global_norm&, const clip_by_global_norm&) = default;
};

/// Decoupled weight decay: u += rate w. Behind `adam`, AdamW with the product of its learning rate and its
/// decay as `rate`, which a schedule of the learning rate changes too; before, L2 regularisation.
/// Loshchilov and Hutter, ICLR 2019.
struct decay_weights {
    static constexpr std::string_view name = "decay_weights";
    double rate = 0;

    static constexpr bool elementwise = true;
    constexpr extent moments() const { return 0; }

    template <class T>
    void apply(std::span<const update_slot<T>> slots, T*, extent, std::uint64_t) const {
        const kernels::batch<T> share(static_cast<T>(rate));
        for (const auto& slot : slots) {
            T* u = slot.step;
            const T* w = slot.weights;
            kernels::for_each_batch<T>(slot.size, [&](extent i, auto in, auto out) {
                out(u + i, kernels::fma<T>(share, in(w + i), in(u + i)));
            });
        }
    }
    friend bool operator==(const decay_weights&, const decay_weights&) = default;
};

/// Transformations one after the other: `chain(clip_by_global_norm{1}, adam{}, decay_weights{1e-5})`.
template <optimizer... Links>
struct chain {
    std::tuple<Links...> links;

    constexpr explicit chain(const Links&... list) : links(list...) {}

    static constexpr bool elementwise = (is_elementwise_optimizer<Links> && ...);
    constexpr extent moments() const {
        return std::apply([](const Links&... link) { return (link.moments() + ... + extent{0}); }, links);
    }
    template <class T>
    void apply(std::span<const update_slot<T>> slots, T* state, extent total, std::uint64_t step) const {
        std::apply(
            [&](const Links&... link) {
                ((link.apply(slots, state, total, step), state += link.moments() * total), ...);
            },
            links);
    }
    friend bool operator==(const chain&, const chain&) = default;
};

/// Where a gradient transformation has the hyper-parameters of these names; null: it has none of this name.
struct optimizer_parameters {
    double *learning_rate = nullptr, *momentum = nullptr, *beta1 = nullptr, *beta2 = nullptr, *eps = nullptr;
    double *limit = nullptr, *rate = nullptr;
    std::string_view name = "own";  ///< of the transformation, if it says one

    /// Calls `visit(name, pointer)` for each that there is.
    template <class Visit>
    void each(const Visit& visit) const {
        const std::pair<const char*, double*> all[] = {{"learning_rate", learning_rate}, {"momentum", momentum},
                                                       {"beta1", beta1}, {"beta2", beta2}, {"eps", eps},
                                                       {"limit", limit}, {"rate", rate}};
        for (const auto& [called, value] : all)
            if (value != nullptr) visit(called, value);
    }
};

/// Appends those of each transformation of `o`, in order.
template <optimizer O>
void list_parameters(O& o, std::vector<optimizer_parameters>& list) {
    if constexpr (requires { o.links; }) {
        std::apply([&](auto&... link) { (list_parameters(link, list), ...); }, o.links);
    } else if constexpr (requires { o.parameters().data(); }) {
        for (const optimizer_parameters& inner : o.parameters()) list.push_back(inner);
    } else {
        optimizer_parameters own;
        if constexpr (requires { static_cast<double*>(&o.learning_rate); }) own.learning_rate = &o.learning_rate;
        if constexpr (requires { static_cast<double*>(&o.momentum); }) own.momentum = &o.momentum;
        if constexpr (requires { static_cast<double*>(&o.beta1); }) own.beta1 = &o.beta1;
        if constexpr (requires { static_cast<double*>(&o.beta2); }) own.beta2 = &o.beta2;
        if constexpr (requires { static_cast<double*>(&o.eps); }) own.eps = &o.eps;
        if constexpr (requires { static_cast<double*>(&o.limit); }) own.limit = &o.limit;
        if constexpr (requires { static_cast<double*>(&o.rate); }) own.rate = &o.rate;
        if constexpr (requires { std::string_view(O::name); }) own.name = O::name;
        list.push_back(own);
    }
}

/// The learning rate of a list: the first. Null: there is none.
inline double* learning_rate_of(std::span<const optimizer_parameters> list) {
    for (const auto& parameters : list)
        if (parameters.learning_rate != nullptr) return parameters.learning_rate;
    return nullptr;
}

/// Throws `error`, which begins with `who`, for values outside their range.
inline void check_parameters(std::span<const optimizer_parameters> list, const char* who) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    const auto check = [&](const double* value, double end, const char* wanted) {
        if (value != nullptr && !(*value >= 0 && *value < end))
            throw error(fault{errc::bad_argument, sentence(who, wanted, " wanted, ", *value, " came")});
    };
    for (const auto& parameters : list) {
        check(parameters.learning_rate, infinity, "a learning rate from 0 up");
        check(parameters.momentum, infinity, "a momentum from 0 up");
        check(parameters.beta1, 1, "a beta1 from 0 to below 1");
        check(parameters.beta2, 1, "a beta2 from 0 to below 1");
        check(parameters.eps, infinity, "an eps from 0 up");
        check(parameters.rate, infinity, "a rate from 0 up");
        if (const double* limit = parameters.limit; limit != nullptr && !(*limit > 0))  // infinity: gradients stay
            throw error(fault{errc::bad_argument, sentence(who, "a limit above 0 wanted, ", *limit, " came")});
    }
}

/// An optimizer of any type, as a trainer keeps it: one virtual call a mini-batch.
template <class T>
class any_optimizer {
public:
    template <class O>
        requires(!std::same_as<O, any_optimizer> && single_object<O>)
    any_optimizer(O chosen) {
        static_assert(optimizer<O>, "an optimizer has moments() and apply(slots, state, total, step): see the concept "
                                    "`optimizer`");
        if constexpr (optimizer<O>) self_ = hold(std::move(chosen));
    }
    any_optimizer(const any_optimizer& other) : self_(other.self_->clone()) {}
    any_optimizer(any_optimizer&&) noexcept = default;
    any_optimizer& operator=(any_optimizer other) noexcept {
        self_.swap(other.self_);
        return *this;
    }
    ~any_optimizer() = default;

    extent moments() const { return self_->moments(); }
    bool elementwise() const { return self_->elementwise(); }
    void apply(std::span<const update_slot<T>> slots, T* state, extent total, std::uint64_t step) const {
        self_->apply(slots, state, total, step);
    }
    /// Of each transformation, to read and to change as long as this object is there.
    std::vector<optimizer_parameters> parameters() { return self_->parameters(); }

    /// What an optimizer of type O brings to it.
    template <class O>
    class holder;

private:
    struct interface {
        virtual ~interface() = default;
        virtual std::unique_ptr<interface> clone() const = 0;
        virtual extent moments() const = 0;
        virtual bool elementwise() const = 0;
        virtual void apply(std::span<const update_slot<T>> slots, T* state, extent total, std::uint64_t step) const = 0;
        virtual std::vector<optimizer_parameters> parameters() = 0;
    };
    template <class O>
    static std::unique_ptr<interface> hold(O chosen);

    std::unique_ptr<interface> self_;
};

template <class T>
template <class O>
class any_optimizer<T>::holder final : public interface {
public:
    explicit holder(O chosen) : optimizer_(std::move(chosen)) {}
    std::unique_ptr<interface> clone() const override { return std::make_unique<holder>(*this); }
    extent moments() const override { return optimizer_.moments(); }
    bool elementwise() const override { return is_elementwise_optimizer<O>; }
    void apply(std::span<const update_slot<T>> slots, T* state, extent total, std::uint64_t step) const override {
        optimizer_.apply(slots, state, total, step);
    }
    std::vector<optimizer_parameters> parameters() override {
        std::vector<optimizer_parameters> list;
        list_parameters(optimizer_, list);
        return list;
    }

private:
    O optimizer_;
};

// Not in the class: see network/memory.hpp.
template <class T>
template <class O>
std::unique_ptr<typename any_optimizer<T>::interface> any_optimizer<T>::hold(O chosen) {
    return std::make_unique<holder<O>>(std::move(chosen));
}

/// Subtracts the steps that `chosen` makes of the gradients, which are zero then; `weights_of(k)` are those of the k-th
/// slot. Part by part, so that each stays in the caches meanwhile, where the optimizer lets it.
template <class T, class Weights>
void update_weights(const any_optimizer<T>& chosen, std::span<const update_slot<T>> slots, const Weights& weights_of,
                    T* state, extent total, std::uint64_t step, thread_pool* threads) {
    constexpr extent most = 4096;
    const bool parts = chosen.elementwise();
    if (!parts) chosen.apply(slots, state, total, step);
    for (std::size_t k = 0; k < slots.size(); ++k) {
        T* weights = weights_of(k);
        parallel_for(threads, slots[k].size, 8 * most, [&](extent first, extent last) {
            for (extent i = first; i < last; i += most) {
                const update_slot<T> part{weights + i, slots[k].step + i, std::min(most, last - i),
                                          slots[k].offset + i};
                if (parts) chosen.apply({&part, 1}, state, total, step);
                kernels::accumulate_scaled(part.size, T(-1), static_cast<const T*>(part.step), weights + i);
                kernels::fill(part.size, T(0), part.step);
            }
        });
    }
}

}  // namespace bespoke
