#pragma once

#include "../kernels/map.hpp"
#include "activation.hpp"

/// The activations of the Core ML specification that have parameters: one a channel (axis -3), or one for
/// all. Which of the two is no field of the specification but the length of its arrays: `shared_alpha` and
/// `shared_beta` say it, and who reads a file sets them from the data with `set_lengths`.
/// Numbers of few bits end with the byte, so that one of them looks like up to eight: then the channels decide.
namespace bespoke {

namespace detail {

/// x [..., C, H, W] of all examples as runs of elements: H W of one channel, or C where H W = 1.
struct channel_runs {
    extent outer, channels, inner, runs, length;

    template <class X>
    explicit channel_runs(const X& x) noexcept {
        const shape s = x.dimensions;
        channels = s.from_end(3);
        inner = s.product(s.rank() - 2, s.rank());
        outer = s.product(0, s.rank() - 3) * x.examples;
        runs = inner == 1 ? outer : outer * channels;
        length = inner == 1 ? channels : inner;
    }
    extent channel(extent run) const { return inner == 1 ? 0 : run % channels; }
};

/// A parameter as it meets the elements of a run.
template <class T>
struct channel_parameter {
    const T* data;
    bool shared, moves;

    template <class P>
    channel_parameter(const P& p, bool is_shared, const channel_runs& r) noexcept
        : data(p.data), shared(is_shared), moves(!is_shared && r.inner == 1) {}
    /// What (i, in) gives is for the elements from i on in a run of `channel`.
    auto in_run(extent channel) const noexcept {
        const kernels::batch<T> one(moves ? T(0) : data[shared ? 0 : channel]);
        return [data = data, moves = moves, one](extent i, const auto& in) { return moves ? in(data + i) : one; };
    }
};

/// Calls body(channel, offset of the run in x); runs are spread over the threads.
template <class Body>
void each_channel_run(const channel_runs& r, thread_pool* threads, const Body& body) noexcept {
    if (r.runs * r.length < (1 << 14)) threads = nullptr;
    parallel_for(threads, r.runs, 1, [&](extent first, extent last) {
        for (extent run = first; run < last; ++run) body(r.channel(run), run * r.length);
    });
}

/// dp += the sum of value(channel, offset, i, in) over the elements that meet each parameter.
template <class T, class Value>
void sum_to_channels(const channel_runs& r, bool shared, T* dp, const Value& value) noexcept {
    using kernels::batch;
    const auto along_run = [&](extent channel, extent offset, T* to) {
        batch<T> sum(T(0));
        kernels::for_each_batch<T>(
            r.length, [&](extent i, auto in, auto) { sum = sum + value(channel, offset, i, in); });
        *to += kernels::sum_lanes<T>(sum);
    };
    for (extent run = 0; run < r.runs; ++run) {
        const extent channel = r.channel(run), offset = run * r.length;
        if (shared)
            along_run(channel, offset, dp);
        else if (r.inner != 1)
            along_run(channel, offset, dp + channel);
        else
            kernels::for_each_batch<T>(r.length, [&](extent i, auto in, auto out) {
                out(dp + i, in(dp + i) + value(channel, offset, i, in));
            });
    }
}

/// Whether the channels share one number, of which a file has `length`, or up to -length.
constexpr bool is_shared(bool shared, extent length, extent channels) {
    return shared || (length < 0 && channels > -length);
}

constexpr outcome channel_activation_shape(const shape& x) {
    if (x.rank() < 3) return shape_fault("an input of rank 3 or more wanted, its shape is ", x);
    return x;
}

}  // namespace detail

/// y = x for x >= 0, else alpha x; alpha [C], or [1] with `shared_alpha`. x [..., C, H, W].
/// At 0 the slope is alpha. He et al., ICCV 2015.
struct prelu {
    bool shared_alpha = false;  ///< one alpha for all channels
    extent alpha_length = 0;    ///< below 0: in a file there are up to so many

    static constexpr auto key = "activation", nested_key = "PReLU";
    constexpr void fields(auto&) {}
    static constexpr bool batched = true;
    static constexpr bool in_place = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    template <class T>
    struct parameters {
        T alpha;
    };
    template <class T>
    static constexpr auto parameter_fields = std::array{parameter_field{"alpha", &parameters<T>::alpha}};

    constexpr outcome output_shape(const shape& x) const { return detail::channel_activation_shape(x); }
    constexpr bool shares(extent channels) const { return detail::is_shared(shared_alpha, alpha_length, channels); }
    constexpr parameters<shape> parameter_shapes(const shape& x) const {
        return {.alpha = {shares(x.from_end(3)) ? 1 : x.from_end(3)}};
    }
    /// Takes from the lengths of the arrays of a file, in the order of `parameter_fields`, what is shared.
    constexpr void set_lengths(std::span<const extent> lengths) {
        shared_alpha = lengths[0] == 1;
        alpha_length = std::min<extent>(lengths[0], 0);
    }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P& p, W& w) const noexcept {
        using T = typename X::value_type;
        const detail::channel_runs r(x);
        const detail::channel_parameter<T> alpha(p.alpha, shares(r.channels), r);
        detail::each_channel_run(r, w.threads, [&](extent channel, extent offset) {
            const auto a = alpha.in_run(channel);
            kernels::for_each_batch<T>(
                r.length, [&](extent i, auto in, auto out) __attribute__((always_inline)) {
                    const auto v = in(x.data + offset + i);
                    out(y.data + offset + i, kernels::select(v >= kernels::batch<T>(T(0)), v, a(i, in) * v));
                });
        });
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y, Dy dy, Dx dx, const P& p, const Dp& dp, W& w) const noexcept {
        using T = typename X::value_type;
        using batch = kernels::batch<T>;
        const detail::channel_runs r(x);
        const detail::channel_parameter<T> alpha(p.alpha, shares(r.channels), r);
        if (dx)
            detail::each_channel_run(r, w.threads, [&](extent channel, extent offset) {
                const auto a = alpha.in_run(channel);
                kernels::for_each_batch<T>(r.length, [&](extent i, auto in, auto out) {
                    const batch slope =
                        kernels::select(in(x.data + offset + i) > batch(T(0)), batch(T(1)), a(i, in));
                    T* to = dx.data + offset + i;
                    out(to, kernels::fma<T>(in(dy.data + offset + i), slope, in(to)));
                });
            });
        if (dp.alpha)
            detail::sum_to_channels(
                r, shares(r.channels), dp.alpha.data, [&](extent, extent offset, extent i, auto in) {
                    return kernels::min<T>(batch(T(0)), in(x.data + offset + i)) * in(dy.data + offset + i);
                });
    }
    friend bool operator==(const prelu&, const prelu&) = default;
};

/// y = alpha log(1 + e^(beta x)); alpha, beta [C], or [1] with `shared_alpha`, `shared_beta`.
/// x [..., C, H, W].
struct parametric_softplus {
    bool shared_alpha = false, shared_beta = false;  ///< one for all channels
    extent alpha_length = 0, beta_length = 0;        ///< below 0: in a file there are up to so many

    static constexpr auto key = "activation", nested_key = "parametricSoftplus";
    constexpr void fields(auto&) {}
    static constexpr bool batched = true;
    static constexpr bool in_place = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    template <class T>
    struct parameters {
        T alpha, beta;
    };
    template <class T>
    static constexpr auto parameter_fields =
        std::array{parameter_field{"alpha", &parameters<T>::alpha, initial::one},
                   parameter_field{"beta", &parameters<T>::beta, initial::one}};

    constexpr outcome output_shape(const shape& x) const { return detail::channel_activation_shape(x); }
    constexpr bool shares_alpha(extent channels) const {
        return detail::is_shared(shared_alpha, alpha_length, channels);
    }
    constexpr bool shares_beta(extent channels) const { return detail::is_shared(shared_beta, beta_length, channels); }
    constexpr parameters<shape> parameter_shapes(const shape& x) const {
        const extent channels = x.from_end(3);
        return {.alpha = {shares_alpha(channels) ? 1 : channels}, .beta = {shares_beta(channels) ? 1 : channels}};
    }
    /// Takes from the lengths of the arrays of a file, in the order of `parameter_fields`, what is shared.
    constexpr void set_lengths(std::span<const extent> lengths) {
        shared_alpha = lengths[0] == 1;
        shared_beta = lengths[1] == 1;
        alpha_length = std::min<extent>(lengths[0], 0);
        beta_length = std::min<extent>(lengths[1], 0);
    }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P& p, W& w) const noexcept {
        using T = typename X::value_type;
        const detail::channel_runs r(x);
        const detail::channel_parameter<T> alpha(p.alpha, shares_alpha(r.channels), r),
            beta(p.beta, shares_beta(r.channels), r);
        detail::each_channel_run(r, w.threads, [&](extent channel, extent offset) {
            const auto a = alpha.in_run(channel), b = beta.in_run(channel);
            kernels::for_each_batch<T>(r.length, [&](extent i, auto in, auto out) {
                out(y.data + offset + i, a(i, in) * softplus{}(b(i, in) * in(x.data + offset + i)));
            });
        });
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y, Dy dy, Dx dx, const P& p, const Dp& dp, W& w) const noexcept {
        using T = typename X::value_type;
        const detail::channel_runs r(x);
        const detail::channel_parameter<T> alpha(p.alpha, shares_alpha(r.channels), r),
            beta(p.beta, shares_beta(r.channels), r);
        if (dx)
            detail::each_channel_run(r, w.threads, [&](extent channel, extent offset) {
                const auto alpha_of = alpha.in_run(channel), beta_of = beta.in_run(channel);
                kernels::for_each_batch<T>(r.length, [&](extent i, auto in, auto out) {
                    const auto b = beta_of(i, in);
                    const auto slope = alpha_of(i, in) * b * kernels::sigmoid(b * in(x.data + offset + i));
                    T* to = dx.data + offset + i;
                    out(to, kernels::fma<T>(in(dy.data + offset + i), slope, in(to)));
                });
            });
        if (dp.alpha)
            detail::sum_to_channels(r, shares_alpha(r.channels), dp.alpha.data,
                                    [&](extent channel, extent offset, extent i, auto in) {
                                        return softplus{}(beta.in_run(channel)(i, in) * in(x.data + offset + i)) *
                                               in(dy.data + offset + i);
                                    });
        if (dp.beta)
            detail::sum_to_channels(
                r, shares_beta(r.channels), dp.beta.data, [&](extent channel, extent offset, extent i, auto in) {
                    const auto v = in(x.data + offset + i);
                    return alpha.in_run(channel)(i, in) * v * kernels::sigmoid(beta.in_run(channel)(i, in) * v) *
                           in(dy.data + offset + i);
                });
    }
    friend bool operator==(const parametric_softplus&, const parametric_softplus&) = default;
};

}  // namespace bespoke
