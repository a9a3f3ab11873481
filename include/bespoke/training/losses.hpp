#pragma once

#include "../core/concepts.hpp"
#include "../kernels/map.hpp"
#include "../kernels/softmax.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

namespace bespoke {

/// Categorical cross-entropy: the mean over the examples of the mini-batch of -log p[target].
///
/// `input` names the blob of the N probabilities, the output of a softmax (empty: the first output of the
/// network); `target` is one class index an example, from 0 to N - 1. Computed from what goes into the
/// softmax, as log sum exp(x) - x[target], with the gradient (p - onehot) / examples: no logarithm of 0.
/// Core ML specification, CategoricalCrossEntropyLossLayer.
struct categorical_cross_entropy {
    std::string input{}, target{};

    static constexpr auto key = "categoricalCrossEntropyLossLayer";  ///< in documents
    static constexpr bool from_softmax = true;

    static extent target_size(const shape&) { return 1; }

    /// What does not hold of this target, for inputs of the shape `x`: empty if all is well.
    template <class T>
    static sentence check_target(const shape& x, const T* target) {
        if (target[0] >= T(0) && target[0] < static_cast<T>(x.size()) && target[0] == std::floor(target[0]))
            return {};
        char came[32];
        std::snprintf(came, sizeof came, "%g", static_cast<double>(target[0]));
        return sentence("a class from 0 to ", x.size() - 1, " wanted, ", static_cast<const char*>(came),
                        " came");
    }

    /// The loss; adds its gradient with respect to x where dx is wanted. `p` is softmax(x).
    template <class T>
    double operator()(dynamic_view<const T> x, dynamic_view<const T> p, const T* target,
                      dynamic_view<T> dx) const {
        const extent n = x.size(), examples = x.examples;
        const T share = T(1) / static_cast<T>(examples);
        double sum = 0;
        for (extent i = 0; i < examples; ++i) {
            const auto label = static_cast<extent>(target[i]);
            sum += static_cast<double>(kernels::log_sum_exp(n, x.example(i), extent{1})) -
                   static_cast<double>(x.example(i)[label]);
            if (!dx) continue;
            kernels::accumulate_scaled(n, share, p.example(i), dx.example(i));
            dx.example(i)[label] -= share;
        }
        return sum / static_cast<double>(examples);
    }
    friend bool operator==(const categorical_cross_entropy&, const categorical_cross_entropy&) = default;
};

/// Mean squared error: the mean over all elements of the mini-batch of (x - target)².
///
/// `input` names the blob (empty: the first output of the network); `target` has its shape.
/// Core ML specification, MeanSquaredErrorLossLayer.
struct mean_squared_error {
    std::string input{}, target{};

    static constexpr auto key = "meanSquaredErrorLossLayer";  ///< in documents
    static constexpr bool from_softmax = false;

    static extent target_size(const shape& x) { return x.size(); }

    template <class T>
    static sentence check_target(const shape& x, const T* target) {
        for (extent i = 0; i < x.size(); ++i)
            if (!std::isfinite(target[i])) return sentence("finite numbers wanted, element ", i, " is not");
        return {};
    }

    template <class T>
    double operator()(dynamic_view<const T> x, dynamic_view<const T>, const T* target,
                      dynamic_view<T> dx) const {
        const extent n = x.size(), examples = x.examples;
        const double count = static_cast<double>(n) * static_cast<double>(examples);
        const T scale = static_cast<T>(2 / count);
        double sum = 0;
        for (extent i = 0; i < examples; ++i)
            for (extent j = 0; j < n; ++j) {
                const T difference = x.example(i)[j] - target[i * n + j];
                sum = std::fma(static_cast<double>(difference), static_cast<double>(difference), sum);
                if (dx) dx.example(i)[j] = kernels::fma(scale, difference, dx.example(i)[j]);
            }
        return sum / count;
    }
    friend bool operator==(const mean_squared_error&, const mean_squared_error&) = default;
};

namespace detail {

/// The mean over all elements of the mini-batch of what `f(x, target)` gives as loss and slope.
template <class T, class Function>
double mean_over_elements(dynamic_view<const T> x, const T* target, dynamic_view<T> dx, const Function& f) {
    const extent n = x.size(), examples = x.examples;
    const double count = static_cast<double>(n) * static_cast<double>(examples);
    double sum = 0;
    for (extent i = 0; i < examples; ++i)
        for (extent j = 0; j < n; ++j) {
            const auto [loss, slope] =
                f(static_cast<double>(x.example(i)[j]), static_cast<double>(target[i * n + j]));
            sum += loss;
            if (dx) dx.example(i)[j] += static_cast<T>(slope / count);
        }
    return sum / count;
}

}  // namespace detail

/// Binary cross-entropy with logits: the mean over all elements of the mini-batch of
/// -t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)), computed as max(x, 0) - x t + log(1 + exp(-|x|)), which never takes
/// the logarithm of 0. Its gradient is (sigmoid(x) - t) / elements.
///
/// `input` names the blob of the logits, which is not the output of a sigmoid (empty: the first output of the network);
/// `target` has its shape, and numbers from 0 to 1. The specification lacks it; PyTorch has it as BCEWithLogitsLoss,
/// TensorFlow as sigmoid_cross_entropy_with_logits.
struct binary_cross_entropy_with_logits {
    std::string input{}, target{};

    static constexpr auto key = "binaryCrossEntropyWithLogitsLossLayer";  ///< in documents
    static constexpr bool from_softmax = false;

    static extent target_size(const shape& x) { return x.size(); }

    template <class T>
    static sentence check_target(const shape& x, const T* target) {
        for (extent i = 0; i < x.size(); ++i)
            if (!(target[i] >= T(0) && target[i] <= T(1)))
                return sentence("numbers from 0 to 1 wanted, element ", i, " is not");
        return {};
    }

    template <class T>
    double operator()(dynamic_view<const T> x, dynamic_view<const T>, const T* target, dynamic_view<T> dx) const {
        return detail::mean_over_elements(x, target, dx, [](double logit, double t) {
            const double small = std::exp(-std::abs(logit)), share = 1 / (1 + small);
            return std::pair{std::max(logit, 0.0) - logit * t + std::log1p(small),
                             (logit < 0 ? small * share : share) - t};
        });
    }
    friend bool operator==(const binary_cross_entropy_with_logits&, const binary_cross_entropy_with_logits&) = default;
};

/// Huber's loss: the mean over all elements of the mini-batch of z² / 2 where |z| is at most delta, and of
/// delta (|z| - delta / 2) beyond, z = x - target. Outliers pull with the slope delta, no more.
///
/// `input` names the blob (empty: the first output of the network); `target` has its shape. The specification lacks it.
/// P. J. Huber, Robust Estimation of a Location Parameter, 1964.
struct huber {
    std::string input{}, target{};
    double delta = 1;

    static constexpr auto key = "huberLossLayer";  ///< in documents
    static constexpr bool from_softmax = false;

    static extent target_size(const shape& x) { return x.size(); }

    template <class T>
    sentence check_target(const shape& x, const T* numbers) const {
        if (!(delta > 0 && std::isfinite(delta))) return sentence("a finite delta above 0 wanted");
        return mean_squared_error::check_target(x, numbers);
    }

    template <class T>
    double operator()(dynamic_view<const T> x, dynamic_view<const T>, const T* numbers, dynamic_view<T> dx) const {
        return detail::mean_over_elements(x, numbers, dx, [this](double value, double wanted) {
            const double z = value - wanted, size = std::abs(z);
            return std::pair{size <= delta ? z * z / 2 : delta * (size - delta / 2), std::clamp(z, -delta, delta)};
        });
    }
    friend bool operator==(const huber&, const huber&) = default;
};

/// What a trainer asks of a loss; a loss of your own has these members (`static_assert(loss<my_loss>)` shows what is
/// missing).
///
/// `input`: the blob it looks at, empty for the first output of the network. `from_softmax`: that blob is the output of
/// a softmax, and x below what goes into it. `target_size(s)`: how many numbers an example's target has where x has the
/// shape s. `check_target(s, target)`: what does not hold of one example's target, empty if all is well; asked once,
/// when the examples come.
///
/// `l(x, y, target, dx)`: the loss, a mean over the x.examples examples of the mini-batch; x.example(i) are the values
/// of the i-th, y those of the blob itself (x where it is no softmax), and target has target_size numbers for each, one
/// example after the other. Adds the gradient with respect to x to dx, which is null where nobody wants it: `if (dx)`.
/// x has the stride 0 where the blob does not depend on an input: it is the same for every example, and dx sums over
/// them.
///
/// With a fifth one, `static constexpr std::string_view key`, the checkpoint of another loss is refused.
template <class L>
concept loss = requires(const L& l, const shape& s, const float* target, dynamic_view<const float> x,
                        dynamic_view<float> dx) {
    { l.input } -> std::convertible_to<std::string>;
    { L::from_softmax } -> std::convertible_to<bool>;
    { l.target_size(s) } -> std::convertible_to<extent>;
    { l.check_target(s, target) } -> std::convertible_to<sentence>;
    { l(x, x, target, dx) } -> std::convertible_to<double>;
} && std::copyable<L>;

/// A loss of any type, as a trainer keeps it: one virtual call a mini-batch.
template <class T>
class any_loss {
public:
    template <class L>
        requires(!std::same_as<L, any_loss> && single_object<L>)
    any_loss(L chosen) {
        static_assert(loss<L>, "a loss has input, from_softmax, target_size(shape), check_target(shape, target) and "
                               "operator()(x, y, target, dx): see the concept `loss`");
        if constexpr (loss<L>) self_ = hold(std::move(chosen));
    }

    const std::string& input() const { return self_->input; }
    /// For who compares losses: its key, if it says one, and its delta.
    const std::string& name() const { return self_->name; }
    bool from_softmax() const { return self_->from_softmax; }
    extent target_size(const shape& x) const { return self_->target_size(x); }
    sentence check_target(const shape& x, const T* target) const { return self_->check_target(x, target); }
    double operator()(dynamic_view<const T> x, dynamic_view<const T> y, const T* target, dynamic_view<T> dx) const {
        return self_->evaluate(x, y, target, dx);
    }

    /// What a loss of type L brings to it.
    template <class L>
    class holder;

private:
    struct interface {
        std::string input, name;
        bool from_softmax;

        interface(std::string blob, std::string called, bool softmax)
            : input(std::move(blob)), name(std::move(called)), from_softmax(softmax) {}
        virtual ~interface() = default;
        virtual extent target_size(const shape& x) const = 0;
        virtual sentence check_target(const shape& x, const T* target) const = 0;
        virtual double evaluate(dynamic_view<const T> x, dynamic_view<const T> y, const T* target,
                                dynamic_view<T> dx) const = 0;
    };
    template <class L>
    static std::shared_ptr<const interface> hold(L chosen);

    std::shared_ptr<const interface> self_;
};

// Not in the class: see network/memory.hpp.

template <class T>
template <class L>
class any_loss<T>::holder final : public interface {
public:
    explicit holder(L chosen) : interface(chosen.input, name_of(chosen), L::from_softmax), loss_(std::move(chosen)) {}
    extent target_size(const shape& x) const override { return loss_.target_size(x); }
    sentence check_target(const shape& x, const T* target) const override { return loss_.check_target(x, target); }
    double evaluate(dynamic_view<const T> x, dynamic_view<const T> y, const T* target,
                    dynamic_view<T> dx) const override {
        return loss_(x, y, target, dx);
    }

private:
    static std::string name_of(const L& chosen) {
        std::string name = "own";
        if constexpr (requires { std::string_view(L::key); }) name = L::key;
        if constexpr (requires { static_cast<double>(chosen.delta); }) {
            char digits[32];
            std::snprintf(digits, sizeof digits, "%.17g", static_cast<double>(chosen.delta));
            name.append(", delta ").append(digits);
        }
        return name;
    }

    L loss_;
};

template <class T>
template <class L>
std::shared_ptr<const typename any_loss<T>::interface> any_loss<T>::hold(L chosen) {
    return std::make_shared<const holder<L>>(std::move(chosen));
}

}  // namespace bespoke
