#pragma once

#include "../core/shape.hpp"
#include "object_reader.hpp"
#include "object_writer.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

/// Weights of few bits. Core ML specification, WeightParams, QuantizationParams.
namespace bespoke {

/// What the numbers q of `bits` bits stand for: table[q], or q scale + bias where there is no table.
struct quantization {
    int bits = 0;                        ///< 1 to 8; 0: the weights are not quantized
    bool is_signed = false;              ///< q lies in [-128, 127], in two's complement; else in [0, 2^bits - 1]
    std::vector<float> scale{}, bias{};  ///< one for all, or one for each output channel; no bias means 0
    std::vector<float> table{};          ///< 2^bits numbers
    friend bool operator==(const quantization&, const quantization&) = default;
};

/// Which output channel a weight belongs to: the weights are [outer, repeat, inner, run], and those at [o, ., i, .]
/// belong to channel o inner + i.
struct channel_order {
    extent outer = 1, repeat = 1, inner = 1, run = 1;

    /// Weights [channels, ..], or, where transposed_groups is not 0, those of a deconvolution:
    /// [input channels, channels / transposed_groups, ..].
    channel_order(const shape& weights, extent transposed_groups);
    extent channels() const { return outer * inner; }
    extent size() const { return outer * repeat * inner * run; }
};

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// Reads "quantization" of the weights `in`, whose numbers stand in the member `raw`. Throws `error` with the place of
/// what does not fit.
quantization read_quantization(object_reader& in, std::string_view raw, extent channels);
object_writer write_quantization(const quantization& how);

/// The bytes that `count` numbers take: they follow one another without gaps, the most significant bit first.
std::size_t packed_bytes(const quantization& how, extent count);
/// The weights that `packed` stands for.
void dequantize(std::span<const std::byte> packed, const quantization& how, const channel_order& order, float* to);
/// The bytes that stand for exactly these weights, or nothing where there are none.
std::optional<std::vector<std::byte>> quantize(const float* weights, const quantization& how,
                                               const channel_order& order);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::dequantize;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::packed_bytes;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::quantize;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::write_quantization;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

namespace bespoke {
namespace detail {

/// The weight that q of a channel stands for. In double, where the product is exact: the same bits with and without
/// fused multiplication and addition.
inline float dequantized(const quantization& how, int q, extent channel) {
    if (!how.table.empty()) return how.table[static_cast<std::size_t>(q)];
    const auto of_channel = [&](const std::vector<float>& values) -> double {
        return values.empty() ? 0.0f : values[values.size() == 1 ? 0 : static_cast<std::size_t>(channel)];
    };
    return static_cast<float>(q * of_channel(how.scale) + of_channel(how.bias));
}

/// Calls body(index, channel) for each weight in order, until it says false. Whether it never did.
template <class Body>
bool each_weight(const channel_order& order, const Body& body) {
    extent index = 0;
    for (extent o = 0; o < order.outer; ++o)
        for (extent r = 0; r < order.repeat; ++r)
            for (extent i = 0; i < order.inner; ++i)
                for (extent k = 0; k < order.run; ++k)
                    if (!body(index++, o * order.inner + i)) return false;
    return true;
}

/// Which q stands for exactly this weight. One for the weights of a layer.
class quantizer {
public:
    explicit quantizer(const quantization& how)
        : how_(how), least_(how.is_signed ? -128 : 0), most_(how.is_signed ? 127 : (1 << how.bits) - 1) {
        for (std::size_t q = 0; q < how.table.size(); ++q) sorted_.emplace_back(how.table[q], static_cast<int>(q));
        std::ranges::sort(sorted_);
    }
    std::optional<int> operator()(float weight, extent channel) const {
        if (!how_.table.empty()) {
            const auto found = std::ranges::lower_bound(sorted_, weight, {}, &std::pair<float, int>::first);
            if (found == sorted_.end() || found->first != weight) return std::nullopt;
            return found->second;
        }
        const auto of_channel = [&](const std::vector<float>& values) -> double {
            return values.empty() ? 0.0f : values[values.size() == 1 ? 0 : static_cast<std::size_t>(channel)];
        };
        const double near = (static_cast<double>(weight) - of_channel(how_.bias)) / of_channel(how_.scale);
        const double limited = near > least_ ? std::min<double>(near, most_) : least_;  // also of NaN
        const int middle = static_cast<int>(std::lround(limited));
        for (int q : {middle, middle - 1, middle + 1})
            if (q >= least_ && q <= most_ && dequantized(how_, q, channel) == weight) return q;
        return std::nullopt;
    }

private:
    const quantization& how_;
    int least_, most_;
    std::vector<std::pair<float, int>> sorted_{};
};

}  // namespace detail

inline channel_order::channel_order(const shape& weights, extent transposed_groups) {
    if (weights.rank() == 0) return;
    if (transposed_groups == 0 || weights.rank() < 2) {
        outer = weights[0];
        run = weights.product(1, weights.rank());
    } else {
        outer = transposed_groups;
        repeat = weights[0] / transposed_groups;
        inner = weights[1];
        run = weights.product(2, weights.rank());
    }
}

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

quantization read_quantization(object_reader& in, std::string_view raw, extent channels) {
    static constexpr std::string_view types[] = {"linearQuantization", "lookupTableQuantization"};
    quantization how;
    how.is_signed = raw == "int8RawValue";
    if (!in.has("quantization"))
        in.fail(errc::bad_value, "quantization", "wanted beside " + in_quotes(raw) + ", none came");
    object_reader outer = in.object("quantization");
    const std::int64_t bits = outer.integer("numberOfBits");
    if (how.is_signed ? bits != 8 : bits < 1 || bits > 8)
        outer.fail(errc::bad_value, "numberOfBits",
                   (how.is_signed ? "8 bits wanted beside " + in_quotes(raw) : "1 to 8 bits wanted") + ", " +
                       std::to_string(bits) + " came");
    how.bits = static_cast<int>(bits);
    const std::string_view type = outer.one_of(types);
    if (type.empty() || (how.is_signed && type != types[0]))
        outer.fail(errc::bad_value, "",
                   (how.is_signed ? in_quotes(types[0]) + " wanted beside " + in_quotes(raw)
                                  : in_quotes(types[0]) + " or " + in_quotes(types[1]) + " wanted") +
                       ", " + (type.empty() ? "none" : in_quotes(type)) + " came");
    object_reader inner = outer.object(type);
    if (type == types[1]) {
        how.table = inner.reals("floatValue");
        if (how.table.size() != std::size_t{1} << bits)
            inner.fail(errc::bad_value, "floatValue",
                       std::to_string(1 << bits) + " numbers wanted for " + std::to_string(bits) +
                           (bits == 1 ? " bit, " : " bits, ") + std::to_string(how.table.size()) + " came");
    } else {
        const auto read = [&](std::string_view key, std::vector<float>& to, bool may_lack) {
            to = inner.reals(key);
            const auto came = static_cast<extent>(to.size());
            if (how.is_signed ? came == (may_lack ? 0 : 1) : came == 1 || came == channels || (may_lack && came == 0))
                return;
            inner.fail(
                errc::bad_value, key,
                (how.is_signed   ? (may_lack ? "no number wanted beside " : "1 number wanted beside ") + in_quotes(raw)
                 : channels == 1 ? std::string("1 number wanted")
                                 : "1 number wanted, or " + std::to_string(channels) + " for the output channels") +
                    ", " + (came == 0 ? "none" : std::to_string(came)) + " came");
        };
        read("scale", how.scale, false);
        read("bias", how.bias, true);
    }
    inner.finish();
    outer.finish();
    return how;
}

object_writer write_quantization(const quantization& how) {
    object_writer inner, outer;
    outer.integer("numberOfBits", how.bits);
    if (how.table.empty()) {
        inner.reals("scale", how.scale);
        inner.reals("bias", how.bias);
        outer.object("linearQuantization", inner);
    } else {
        inner.reals("floatValue", how.table);
        outer.object("lookupTableQuantization", inner);
    }
    return outer;
}

std::size_t packed_bytes(const quantization& how, extent count) {
    // in two steps: eight times the count may be too much
    return static_cast<std::size_t>(count / 8 * how.bits + (count % 8 * how.bits + 7) / 8);
}

void dequantize(std::span<const std::byte> packed, const quantization& how, const channel_order& order, float* to) {
    std::uint32_t held = 0;
    int held_bits = 0;
    std::size_t at = 0;
    detail::each_weight(order, [&](extent index, extent channel) {
        if (held_bits < how.bits) {
            held = held << 8 | std::to_integer<std::uint32_t>(packed[at++]);
            held_bits += 8;
        }
        held_bits -= how.bits;
        int q = static_cast<int>(held >> held_bits & ((1u << how.bits) - 1));
        if (how.is_signed && q > 127) q -= 256;
        to[index] = detail::dequantized(how, q, channel);
        return true;
    });
}

std::optional<std::vector<std::byte>> quantize(const float* weights, const quantization& how,
                                               const channel_order& order) {
    std::vector<std::byte> packed;
    packed.reserve(packed_bytes(how, order.size()));
    const detail::quantizer quantized(how);
    std::uint32_t held = 0;
    int held_bits = 0;
    const bool exact = detail::each_weight(order, [&](extent index, extent channel) {
        const std::optional<int> q = quantized(weights[index], channel);
        if (!q) return false;
        held = held << how.bits | (static_cast<std::uint32_t>(*q) & ((1u << how.bits) - 1));
        held_bits += how.bits;
        if (held_bits >= 8) {
            held_bits -= 8;
            packed.push_back(static_cast<std::byte>(held >> held_bits & 255));
        }
        return true;
    });
    if (!exact) return std::nullopt;
    if (held_bits > 0) packed.push_back(static_cast<std::byte>(held << (8 - held_bits) & 255));
    return packed;
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif
