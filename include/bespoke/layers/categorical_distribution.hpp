#pragma once

#include "random.hpp"

namespace bespoke {

/// Along the last axis, y = `num_samples` indices drawn with the probabilities that x gives: x [.., n] -> y
/// [.., num_samples]. The weight of index i is exp(x_i / temperature) where `is_logits`, else
/// (x_i + eps)^(1 / temperature); they need not add up to 1. An eps of 0 means 1e-10, a temperature of 0 means 1.
///
/// The largest weight counts as 1, also where it is infinite or 0; NaN counts as 0, and among NaN alone the index is 0.
/// Seeds: see random.hpp; what is drawn for a row of x depends on its place in the example. No gradient passes to x.
/// Core ML specification, CategoricalDistributionLayerParams.
struct categorical_distribution {
    extent seed = -1;
    extent num_samples = 1;
    bool is_logits = false;
    float eps = 1e-10F, temperature = 1;

    static constexpr auto key = "categoricalDistribution";
    constexpr void fields(auto& field) {
        field("seed", seed);
        field("numSamples", num_samples);
        field("isLogits", is_logits);
        field("eps", eps);
        field("temperature", temperature);
    }
    static constexpr bool batched = true;
    static constexpr bool differentiable = false;

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() < 1 || x.from_end(1) < 1)
            return shape_fault("an input of one category or more along its last axis wanted, its shape is ", x);
        if (num_samples < 1) return value_fault("numSamples from 1 up wanted, ", num_samples, " given");
        if (const auto wrong = unless_from_zero_up("eps", eps)) return *wrong;
        if (const auto wrong = unless_from_zero_up("temperature", temperature)) return *wrong;
        shape y = x;
        y.from_end(1) = num_samples;
        return y;
    }

    /// For all rows: in double the sums of the weights, then the weights.
    template <class T>
    extent scratch_size(const shape& x, extent examples, extent) const {
        return x.size() * examples * (sum_size<T> + 1);
    }
    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        const extent n = x.dimensions.from_end(1), all = x.total() / n, rows = x.size() / n;
        parallel_for(all * (n + num_samples) < (1 << 12) ? nullptr : w.threads, all, 1, [&](extent first, extent last) {
            for (extent row = first; row < last; ++row) {
                philox numbers = detail::numbers_for(seed, w.step);
                numbers.position = static_cast<std::uint64_t>(row % rows * num_samples);
                using T = typename X::value_type;
                T* const weights = w.scratch + (all * sum_size<T> + row) * n;
                weigh(n, x.data + row * n, weights);
                auto* const sums = ::new (static_cast<void*>(w.scratch + row * n * sum_size<T>))
                    double[static_cast<std::size_t>(n)];
                sample(numbers, n, weights, sums, y.data + row * num_samples);
            }
        });
    }
    friend bool operator==(const categorical_distribution&, const categorical_distribution&) = default;

private:
    /// The weights of a row, the largest of them 1.
    template <class T>
    void weigh(extent n, const T* x, T* weights) const noexcept {
        using batch = kernels::batch<T>;
        const batch small(static_cast<T>(eps == 0 ? 1e-10F : eps)), zero(T(0)), one(T(1));
        const batch divisor(static_cast<T>(temperature == 0 ? 1 : temperature));
        if (is_logits)
            kernels::copy(n, x, weights);
        else
            kernels::map(
                n, [&](const batch& v) { return kernels::log<T>(v + small); }, x, weights);
        batch most(-std::numeric_limits<T>::infinity());
        kernels::for_each_batch<T>(n, [&](extent i, auto in, auto) {
            const auto there = kernels::first_lanes<T>(std::min(n - i, kernels::lanes<T>));
            const batch v = in(weights + i);
            most = kernels::select<T>(there & (v > most), v, most);
        });
        const batch top(
            kernels::fold_lanes<T>(most, [](const batch& a, const batch& b) { return kernels::max<T>(a, b); }));
        kernels::map(
            n,
            [&](const batch& v) {
                const batch e = kernels::select<T>(v == top, one, kernels::exp<T>((v - top) / divisor));
                return kernels::select<T>(e > zero, e, zero);
            },
            weights, weights);
    }
    /// Elements of T in the place of a double.
    template <class T>
    static constexpr auto sum_size = static_cast<extent>(sizeof(double) / sizeof(T));

    /// A sample is the first category up to which the weights have a larger sum than a number below that of all.
    template <class T>
    void sample(const philox& source, extent n, const T* weights, double* sums, T* y) const noexcept {
        double total = 0;
        extent last = 0;
        for (extent i = 0; i < n; ++i) {
            sums[i] = total += static_cast<double>(weights[i]);
            last = weights[i] > T(0) ? i : last;
        }
        constexpr extent together = 16;  // blocks of four numbers
        auto words = source.blocks<together>(source.position / 4);
        for (extent s = 0, used = static_cast<extent>(source.position % 4); s < num_samples; ++s, ++used) {
            if (used == 4 * together) {
                words = source.blocks<together>((source.position + static_cast<std::uint64_t>(s)) / 4);
                used = 0;
            }
            const auto number = static_cast<std::size_t>(used);
            const double target = words[number % 4][number / 4] * 0x1p-32 * total;
            // the number of sums up to `target`; no branch, which would be guessed wrong
            const double* at = sums;
            for (extent left = n; left > 1; left -= left / 2) at += left / 2 * extent{at[left / 2 - 1] <= target};
            y[s] = static_cast<T>(std::min(at - sums + (*at <= target ? 1 : 0), last));
        }
    }
};

}  // namespace bespoke
