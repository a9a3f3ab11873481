#pragma once

#include "../kernels/random.hpp"
#include "../kernels/trigonometry.hpp"
#include "fill.hpp"

#include <numbers>

/// Layers that draw numbers.
///
/// What is drawn depends on the seed alone: number i of an example is the same for one seed whatever the threads, the
/// examples that run together and the predictions before it; so all examples, and all turns of a loop, get the same
/// numbers. Two layers of one seed draw the same. The seed -1, the default, is no seed: such a layer draws numbers of
/// its own, by its place in the network.
///
/// The numbers are those of the stream 2^64 - 1 of `philox`, and for the seed -1 those of the seed 0 in the stream
/// 2^64 - 2 - the number of the layer.
namespace bespoke {
namespace detail {

constexpr philox numbers_for(extent seed, std::size_t step) {
    constexpr std::uint64_t last = ~std::uint64_t{0};
    return seed == -1 ? philox(0, last - 1 - step) : philox(static_cast<std::uint64_t>(seed), last);
}

// A distribution says what is wrong with it, and makes its numbers out of uniform ones, see kernels::draw.

/// Box and Muller, "A Note on the Generation of Random Normal Deviates", 1958: the words 0 and 2 of a block make two
/// numbers that are independent, 1 and 3 two more.
struct normal_distribution {
    float mean = 0, std_dev = 1;

    constexpr std::optional<fault> wrong() const {
        if (is_finite(mean) && is_finite(std_dev) && std_dev >= 0) return {};
        return value_fault("a finite mean and a finite stdDev from 0 up wanted, ", mean, " and ", std_dev, " given");
    }
    template <class T>
    void operator()(kernels::batch<T> (&v)[4]) const noexcept {
        using batch = kernels::batch<T>;
        const batch middle(static_cast<T>(mean)), width(static_cast<T>(std_dev));
        for (std::size_t k = 0; k < 2; ++k) {
            const batch radius = width * kernels::sqrt<T>(batch(T(-2)) * kernels::log<T>(batch(T(1)) - v[k]));
            const batch angle = batch(T(2 * std::numbers::pi)) * v[k + 2];
            v[k] = kernels::fma<T>(radius, kernels::cos<T>(angle), middle);
            v[k + 2] = kernels::fma<T>(radius, kernels::sin<T>(angle), middle);
        }
    }
    friend bool operator==(const normal_distribution&, const normal_distribution&) = default;
};

struct uniform_distribution {
    float min_val = 0, max_val = 1;

    constexpr std::optional<fault> wrong() const {
        const double width = static_cast<double>(max_val) - static_cast<double>(min_val);
        const double most = static_cast<double>(std::numeric_limits<float>::max());
        if (is_finite(min_val) && is_finite(max_val) && width >= 0 && width <= most) return {};
        return value_fault("a finite minVal, a finite maxVal from there up and a finite distance wanted, ", min_val,
                           " and ", max_val, " given");
    }
    template <class T>
    void operator()(kernels::batch<T> (&v)[4]) const noexcept {
        using batch = kernels::batch<T>;
        const T low = static_cast<T>(min_val), high = static_cast<T>(max_val);
        for (batch& u : v) u = kernels::fma<T>(batch(high - low), u, batch(low));
    }
    friend bool operator==(const uniform_distribution&, const uniform_distribution&) = default;
};

struct bernoulli_distribution {
    float prob = 0.5F;

    constexpr std::optional<fault> wrong() const {
        if (prob >= 0 && prob <= 1) return {};
        return value_fault("a prob from 0 to 1 wanted");
    }
    template <class T>
    void operator()(kernels::batch<T> (&v)[4]) const noexcept {
        using batch = kernels::batch<T>;
        const batch limit(static_cast<T>(prob)), one(T(1)), zero(T(0));
        for (batch& u : v) u = kernels::select<T>(u < limit, one, zero);
    }
    friend bool operator==(const bernoulli_distribution&, const bernoulli_distribution&) = default;
};

/// What runs for every layer that draws from a distribution: such a layer has names, fields and a shape rule of its
/// own.
template <class Distribution>
struct drawing {
    extent seed = -1;
    Distribution distribution{};

    static constexpr auto key = "drawing";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{0, 1};
    static constexpr bool batched = true;
    static constexpr bool differentiable = false;
    static constexpr bool reads_values = false;

    constexpr outcome output_shape(std::span<const shape> xs) const {
        if (const auto problem = distribution.wrong()) return *problem;
        return first_of(xs);
    }
    /// The rule of a layer that gives the shape in its field `outputShape`.
    constexpr outcome checked(const shape& given) const {
        if (const auto problem = distribution.wrong()) return *problem;
        return given_shape("an outputShape", given);
    }
    template <class Xs, class Ys, class P, class W>
    void forward(Xs, Ys ys, const P&, W& w) const noexcept {
        parallel_for(w.threads, ys[0].size(), 1024, [&](extent first, extent last) {
            kernels::draw(numbers_for(seed, w.step), first, last, distribution, ys[0].data);
        });
        repeat_first_example(ys[0]);
    }
    friend bool operator==(const drawing&, const drawing&) = default;
};

}  // namespace detail

/// y of the shape of x: numbers from the normal distribution of the mean `mean` and the standard deviation `std_dev`,
/// up to 5.8 of them away from it. The values of x do not matter, and no gradient passes to it.
/// Core ML specification, RandomNormalLikeLayerParams.
struct random_normal_like {
    extent seed = -1;
    float mean = 0, std_dev = 1;

    static constexpr auto key = "randomNormalLike";
    constexpr void fields(auto& field) {
        field("seed", seed);
        field("mean", mean);
        field("stdDev", std_dev);
    }
    static constexpr input_count inputs{1, 1};

    constexpr outcome output_shape(std::span<const shape> xs) const { return equivalent({}).output_shape(xs); }
    constexpr detail::drawing<detail::normal_distribution> equivalent(const shape&) const {
        return {seed, {mean, std_dev}};
    }
    friend bool operator==(const random_normal_like&, const random_normal_like&) = default;
};

/// y of the shape `output_size`: numbers from the normal distribution of the mean `mean` and the standard deviation
/// `std_dev`, up to 5.8 of them away from it. No input.
/// Core ML specification, RandomNormalStaticLayerParams (output_size is its outputShape).
struct random_normal_static {
    extent seed = -1;
    float mean = 0, std_dev = 1;
    shape output_size{};

    static constexpr auto key = "randomNormalStatic";
    constexpr void fields(auto& field) {
        field("seed", seed);
        field("mean", mean);
        field("stdDev", std_dev);
        field("outputShape", output_size);
    }
    static constexpr input_count inputs{0, 0};

    constexpr outcome output_shape(std::span<const shape>) const { return equivalent({}).checked(output_size); }
    constexpr detail::drawing<detail::normal_distribution> equivalent(const shape&) const {
        return {seed, {mean, std_dev}};
    }
    friend bool operator==(const random_normal_static&, const random_normal_static&) = default;
};

/// y of the shape of x: numbers uniform from `min_val` to `max_val`, 2^24 different ones; `max_val` itself is not
/// among them but for rounding. The values of x do not matter, and no gradient passes to it.
/// Core ML specification, RandomUniformLikeLayerParams.
struct random_uniform_like {
    extent seed = -1;
    float min_val = 0, max_val = 1;

    static constexpr auto key = "randomUniformLike";
    constexpr void fields(auto& field) {
        field("seed", seed);
        field("minVal", min_val);
        field("maxVal", max_val);
    }
    static constexpr input_count inputs{1, 1};

    constexpr outcome output_shape(std::span<const shape> xs) const { return equivalent({}).output_shape(xs); }
    constexpr detail::drawing<detail::uniform_distribution> equivalent(const shape&) const {
        return {seed, {min_val, max_val}};
    }
    friend bool operator==(const random_uniform_like&, const random_uniform_like&) = default;
};

/// y of the shape `output_size`: numbers uniform from `min_val` to `max_val`, 2^24 different ones; `max_val` itself
/// is not among them but for rounding. No input.
/// Core ML specification, RandomUniformStaticLayerParams (output_size is its outputShape).
struct random_uniform_static {
    extent seed = -1;
    float min_val = 0, max_val = 1;
    shape output_size{};

    static constexpr auto key = "randomUniformStatic";
    constexpr void fields(auto& field) {
        field("seed", seed);
        field("minVal", min_val);
        field("maxVal", max_val);
        field("outputShape", output_size);
    }
    static constexpr input_count inputs{0, 0};

    constexpr outcome output_shape(std::span<const shape>) const { return equivalent({}).checked(output_size); }
    constexpr detail::drawing<detail::uniform_distribution> equivalent(const shape&) const {
        return {seed, {min_val, max_val}};
    }
    friend bool operator==(const random_uniform_static&, const random_uniform_static&) = default;
};

/// y of the shape of x: numbers 1 with the probability `prob`, in steps of 2^-24, else 0. The values of x do not
/// matter, and no gradient passes to it.
/// Core ML specification, RandomBernoulliLikeLayerParams.
struct random_bernoulli_like {
    extent seed = -1;
    float prob = 0.5F;

    static constexpr auto key = "randomBernoulliLike";
    constexpr void fields(auto& field) {
        field("seed", seed);
        field("prob", prob);
    }
    static constexpr input_count inputs{1, 1};

    constexpr outcome output_shape(std::span<const shape> xs) const { return equivalent({}).output_shape(xs); }
    constexpr detail::drawing<detail::bernoulli_distribution> equivalent(const shape&) const {
        return {seed, {prob}};
    }
    friend bool operator==(const random_bernoulli_like&, const random_bernoulli_like&) = default;
};

/// y of the shape `output_size`: numbers 1 with the probability `prob`, in steps of 2^-24, else 0. No input.
/// Core ML specification, RandomBernoulliStaticLayerParams (output_size is its outputShape).
struct random_bernoulli_static {
    extent seed = -1;
    float prob = 0.5F;
    shape output_size{};

    static constexpr auto key = "randomBernoulliStatic";
    constexpr void fields(auto& field) {
        field("seed", seed);
        field("prob", prob);
        field("outputShape", output_size);
    }
    static constexpr input_count inputs{0, 0};

    constexpr outcome output_shape(std::span<const shape>) const { return equivalent({}).checked(output_size); }
    constexpr detail::drawing<detail::bernoulli_distribution> equivalent(const shape&) const {
        return {seed, {prob}};
    }
    friend bool operator==(const random_bernoulli_static&, const random_bernoulli_static&) = default;
};

}  // namespace bespoke
