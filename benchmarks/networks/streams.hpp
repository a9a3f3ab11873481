#pragma once

#include <bespoke.hpp>

/// Networks that take one sample of a signal a call. What they remember goes in and comes out.
namespace bespoke::benchmarks {

inline constexpr auto lstm20 =
    compose(bespoke::input{"x", {1, 1}}, bespoke::input{"h", {1, 20}}, bespoke::input{"c", {1, 20}},
            uni_directional_lstm{.output_vector_size = 20} | from("x", "h", "c") | to("y", "next_h", "next_c"),
            inner_product{.output_channels = 1} | from("y") | to("out"), bespoke::output{"out"},
            bespoke::output{"next_h"}, bespoke::output{"next_c"});

inline constexpr auto gru32 =
    compose(bespoke::input{"x", {1, 1}}, bespoke::input{"h", {1, 32}},
            gru{.output_vector_size = 32} | from("x", "h") | to("y", "next_h"),
            inner_product{.output_channels = 1} | from("y") | to("out"), bespoke::output{"out"},
            bespoke::output{"next_h"});

/// A causal convolution at one sample: its two older taps come from outside, channels of the older first.
constexpr auto tapped(std::string_view past, std::string_view x, std::string_view y) {
    return compose(concat{} | from(past, x), inner_product{.output_channels = 16}, bespoke::tanh{} | to(y),
                   bespoke::output{y});
}
inline constexpr auto conv1d_stack =
    compose(bespoke::input{"x", {1, 1, 1}}, bespoke::input{"past0", {2, 1, 1}}, bespoke::input{"past1", {32, 1, 1}},
            bespoke::input{"past2", {32, 1, 1}}, bespoke::input{"past3", {32, 1, 1}}, tapped("past0", "x", "y0"),
            tapped("past1", "y0", "y1"), tapped("past2", "y1", "y2"), tapped("past3", "y2", "y3"));

}  // namespace bespoke::benchmarks
