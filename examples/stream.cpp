// A network in a real-time thread: one sample a call. What a recurrent layer remembers goes in and comes out.
#include <bespoke.hpp>

#include <array>
#include <cmath>
#include <cstdio>
namespace bs = bespoke;

inline constexpr std::size_t units = 20, samples = 256;
inline constexpr bs::uni_directional_lstm lstm{.output_vector_size = units};
inline constexpr auto one_sample = bs::compose(
    bs::input{"x", {1, 1}}, bs::input{"h", {1, units}}, bs::input{"c", {1, units}},
    lstm | bs::named("lstm") | bs::from("x", "h", "c") | bs::to("y", "next_h", "next_c"),
    bs::inner_product{.output_channels = 1} | bs::named("dense") | bs::from("y") | bs::to("out"),
    bs::output{"out"}, bs::output{"next_h"}, bs::output{"next_c"});

/// What the audio thread calls: no allocation, no lock, no system call.
class effect {
public:
    /// Outside of that thread: takes memory, packs the weights, and runs once to warm up. A trained model comes from a
    /// file: `net_("effect.json")`.
    explicit effect(std::uint64_t seed) : net_(seed) {
        net_.prepare();
        next(0);
        reset();
    }
    void reset() {
        h_.fill(0);
        c_.fill(0);
    }
    float next(float x) noexcept {
        const auto [out, h, c] = net_(std::array{x}, h_, c_);  // views, valid until the next call
        std::copy(h.begin(), h.end(), h_.begin());
        std::copy(c.begin(), c.end(), c_.begin());
        return out(0, 0);
    }

private:
    bs::network<one_sample> net_;
    std::array<float, units> h_{}, c_{};
};

// The same layers over all samples at once, to compare with: the same seed gives them the same parameters.
inline constexpr auto whole_signal = bs::compose(
    bs::input{"x", {samples, 1}},
    bs::uni_directional_lstm{.output_vector_size = units, .params = {.sequence_output = true}} | bs::named("lstm"),
    bs::inner_product{.output_channels = 1} | bs::named("dense"));

int main() {
    std::array<float, samples> signal{};
    for (std::size_t i = 0; i < samples; ++i) signal[i] = std::sin(0.05F * static_cast<float>(i));
    bs::network<whole_signal> whole(/*seed=*/1);
    const auto expected = whole(signal);

    effect stream(/*seed=*/1);
    float difference = 0;
    for (std::size_t i = 0; i < samples; ++i)
        difference = std::max(difference, std::abs(stream.next(signal[i]) - expected(i, 0)));
    std::printf("%zu samples one by one: %s the whole signal at once\n", samples,
                difference < 1e-6F ? "as" : "NOT as");
    return difference < 1e-6F ? 0 : 1;
}
