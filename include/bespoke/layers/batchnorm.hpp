#pragma once

#include "../core/concepts.hpp"
#include "../kernels/map.hpp"
#include "../kernels/normalization.hpp"
#include "../kernels/reduction.hpp"

namespace bespoke {

/// Batch normalisation over the channels: y = gamma (x - mean) / sqrt(variance + epsilon) + beta.
/// Ioffe and Szegedy, ICML 2015; Core ML specification, BatchnormLayerParams.
///
/// x [.., C, H, W] of rank 3 or more -> y of the same shape; gamma, beta, mean, variance [C].
/// Mean and variance are parameters that no training changes, unless compute_mean_var; with it they do not
/// exist (a file may give them all the same; they are kept, and not looked at), and mean and (biased) variance are
/// taken from x:
///   instance_normalization   for each channel over H and W; each example and each index of the leading axes
///                            for itself
///   otherwise                for each channel over H, W, the leading axes and all examples that run at once:
///                            the result of one example depends on the others, and the gradient knows of it
struct batchnorm {
    extent channels = unset;
    bool compute_mean_var = false;
    bool instance_normalization = false;
    float epsilon = 1e-5F;  ///< 0 means 1e-5
    bool spare_mean = false, spare_variance = false;  ///< there in spite of compute_mean_var

    static constexpr auto key = "batchnorm";
    constexpr void fields(auto& field) {
        field("channels", channels);
        field("computeMeanVar", compute_mean_var);
        field("instanceNormalization", instance_normalization);
        field("epsilon", epsilon);
    }
    static constexpr bool batched = true, in_place = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    template <class T>
    struct parameters {
        T gamma, beta, mean, variance;
    };
    template <class T>
    static constexpr auto parameter_fields =
        std::array{parameter_field{"gamma", &parameters<T>::gamma, initial::one},
                   parameter_field{"beta", &parameters<T>::beta, initial::zero},
                   parameter_field{"mean", &parameters<T>::mean, initial::zero, false},
                   parameter_field{"variance", &parameters<T>::variance, initial::one, false}};

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() < 3)
            return shape_fault("an input [.., channels, height, width] wanted, its shape is ", x);
        for (extent e : x)
            if (e < 1) return shape_fault("an input that is not empty wanted, its shape is ", x);
        if (channels != unset && channels != x.from_end(3))
            return shape_fault(channels, " channels declared, its input has ", x.from_end(3), " (shape ", x,
                               ")");
        if (const auto wrong = unless_from_zero_up("epsilon", epsilon)) return *wrong;
        return x;
    }
    constexpr bool mixes_examples() const { return compute_mean_var && !instance_normalization; }
    constexpr batchnorm resolved(const shape& x) const {
        batchnorm result = *this;
        if (channels == unset) result.channels = x.from_end(3);
        return result;
    }
    constexpr parameters<shape> parameter_shapes(const shape& x) const {
        const shape each{x.from_end(3)};
        return {.gamma = each,
                .beta = each,
                .mean = compute_mean_var && !spare_mean ? absent : each,
                .variance = compute_mean_var && !spare_variance ? absent : each};
    }
    /// Takes from the lengths of the arrays of a file, in the order of `parameter_fields`, what is given in vain.
    constexpr void set_lengths(std::span<const extent> lengths) {
        spare_mean = compute_mean_var && lengths[2] != 0;
        spare_variance = compute_mean_var && lengths[3] != 0;
    }

    /// Scale and shift of each channel.
    template <class T>
    extent prepared_size(const shape& x) const {
        return compute_mean_var ? 0 : 2 * x.from_end(3);
    }
    template <class P, class T>
    void prepare(const P& p, T* prepared) const noexcept {
        if (compute_mean_var) return;
        const extent groups = p.gamma.size();
        fixed_moments(p, prepared + groups, prepared);
        fold(p, groups, prepared + groups, prepared);
    }

    template <class T>
    extent scratch_size(const shape& x, extent examples, extent) const {
        return arrays * groups_of(x, x.size() * examples).groups;
    }
    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P& p, W& w) const noexcept {
        using T = typename X::value_type;
        const auto [rows, groups, inner] = groups_of(x.dimensions, x.total());
        const T* scale = w.prepared;
        if (compute_mean_var) {
            moments(x, p, w, w.scratch, w.scratch + groups);
            fold(p, groups, w.scratch, w.scratch + groups);
            scale = w.scratch + groups;
        }
        kernels::channel_affine(rows, groups, inner, x.data, scale, scale == w.prepared ? scale + groups : w.scratch,
                                y.data, w.threads);
    }
    /// With fixed mean and variance y = scale x + shift, so the layer folds into the one before it.
    constexpr bool finishes(std::span<const shape>) const { return !compute_mean_var; }
    template <class T>
    bool joins(channel_map<T>& map, const finishing<T>& with) const noexcept {
        if (map.scale != nullptr || map.added != nullptr || map.is_bounded()) return false;
        map.scale = with.prepared;
        map.shift = with.prepared + with.dimensions->from_end(3);
        return true;
    }
    template <class T>
    void finish(const output_block<T>& block, const finishing<T>& with) const noexcept {
        const extent groups = with.dimensions->from_end(3),
                     inner = with.dimensions->from_end(2) * with.dimensions->from_end(1);
        // Divisions take longer than the elements of a row: the channel and the place in it are carried along.
        extent channel = with.offset / inner % groups, place = with.offset % inner;
        const extent channel_step = block.stride / inner % groups, place_step = block.stride % inner;
        for (extent i = 0; i < block.rows; ++i) {
            T* const row = block.data + i * block.stride;
            for (extent j = 0, c = channel, first = place; j < block.columns; first = 0) {
                const extent some = std::min(block.columns - j, inner - first);
                const kernels::batch<T> scale(with.prepared[c]), shift(with.prepared[groups + c]);
                kernels::map(
                    some, [&](const kernels::batch<T>& x) { return kernels::fma<T>(x, scale, shift); }, row + j,
                    row + j);
                j += some;
                c = c + 1 < groups ? c + 1 : 0;
            }
            place += place_step;
            channel += channel_step + (place >= inner ? 1 : 0);
            if (place >= inner) place -= inner;
            if (channel >= groups) channel -= groups;
        }
    }

    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y, Dy dy, Dx dx, const P& p, const Dp& dp, W& w) const noexcept {
        using T = typename X::value_type;
        const auto [rows, groups, inner] = groups_of(x.dimensions, x.total());
        T *mean = w.scratch, *inverse = mean + groups, *gamma = inverse + groups, *sums = gamma + groups;
        moments(x, p, w, mean, inverse);
        const extent channel_count = p.gamma.size();
        if (dp.gamma || dp.beta) {
            kernels::fill(2 * groups, T(0), sums);
            kernels::batch_normalization_backward_parameters(rows, groups, inner, x.data, dy.data, mean,
                                                             inverse, sums, sums + groups, w.threads);
            const extent count = groups / channel_count;
            if (dp.gamma)
                kernels::column_sums(count, channel_count, sums, channel_count, dp.gamma.data, w.threads);
            if (dp.beta)
                kernels::column_sums(count, channel_count, sums + groups, channel_count, dp.beta.data,
                                     w.threads);
        }
        if (!dx) return;
        for (extent i = 0; i < groups; ++i) gamma[i] = p.gamma.data[i % channel_count];
        if (compute_mean_var)
            kernels::batch_normalization_backward_computed(rows, groups, inner, x.data, dy.data, mean,
                                                           inverse, gamma, dx.data, sums, w.threads);
        else
            kernels::batch_normalization_backward_fixed(rows, groups, inner, dy.data, inverse, gamma, dx.data,
                                                        w.threads);
    }
    friend bool operator==(const batchnorm&, const batchnorm&) = default;

private:
    /// Arrays of one element a group in the scratch: mean, inverse, gamma and two sums.
    static constexpr extent arrays = 5;

    /// x seen as [rows, groups, inner], where all elements of a group share mean and variance.
    struct grouping {
        extent rows, groups, inner;
    };
    constexpr grouping groups_of(const shape& x, extent total) const {
        const extent inner = x.from_end(2) * x.from_end(1), rows = total / (x.from_end(3) * inner);
        if (compute_mean_var && instance_normalization) return {1, rows * x.from_end(3), inner};
        return {rows, x.from_end(3), inner};
    }
    /// Mean and 1 / sqrt(variance + epsilon) of each group.
    template <class X, class P, class W, class T>
    void moments(const X& x, const P& p, W& w, T* mean, T* inverse) const noexcept {
        if (!compute_mean_var) return fixed_moments(p, mean, inverse);
        const auto [rows, groups, inner] = groups_of(x.dimensions, x.total());
        kernels::channel_moments(rows, groups, inner, x.data, mean, inverse, w.threads);
        invert(groups, inverse);
    }
    template <class P, class T>
    void fixed_moments(const P& p, T* mean, T* inverse) const noexcept {
        kernels::copy(p.gamma.size(), p.mean.data, mean);
        kernels::copy(p.gamma.size(), p.variance.data, inverse);
        invert(p.gamma.size(), inverse);
    }
    template <class T>
    void invert(extent groups, T* variance) const noexcept {
        const T offset = static_cast<T>(epsilon == 0 ? 1e-5F : epsilon);
        for (extent i = 0; i < groups; ++i) variance[i] = T(1) / kernels::sqrt(variance[i] + offset);
    }
    /// Turns mean and inverse into shift and scale.
    template <class P, class T>
    static void fold(const P& p, extent groups, T* mean, T* inverse) noexcept {
        for (extent i = 0; i < groups; ++i) {
            const extent c = i % p.gamma.size();
            inverse[i] *= p.gamma.data[c];
            mean[i] = kernels::fma(-mean[i], inverse[i], p.beta.data[c]);
        }
    }
};

}  // namespace bespoke
