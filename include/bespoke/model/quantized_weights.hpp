#pragma once

#include "../core/shape.hpp"
#include "feature.hpp"
#include "object_reader.hpp"
#include "object_writer.hpp"

#include <span>
#include <string_view>
#include <vector>

/// Weights that a document gives in fewer bits. They are read as floats: what computes with them and learns from them
/// knows no other. Core ML specification, WeightParams and QuantizationParams.
namespace bespoke {

/// What numbers of few bits stand for: number q for q scale + bias, or for element q of a table.
struct quantization {
    std::size_t bits = 0;            ///< of a number: 1 to 8
    bool is_int8 = false;            ///< numbers are from -128 to 127, and stand in "int8RawValue"
    std::vector<float> scale, bias;  ///< one for all, or one for each output channel; no bias: 0
    std::vector<float> table{};      ///< of 2^bits floats; empty: scale and bias say it
    std::size_t channel_axis = 0;    ///< which axis is that of the output channels
    friend bool operator==(const quantization&, const quantization&) = default;
};

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// How many numbers the member "rawValue" or "int8RawValue" of `in` holds; where it is one byte that has room for
/// several, minus the most that it may hold.
extent quantized_length(object_reader& in, std::string_view kind);

/// Reads the members `kind`, "rawValue" or "int8RawValue", and "quantization" of `in`. rawValue: numbers of 1 to 8
/// bits, one after the other from the highest bit of each byte on. int8RawValue: int8, with one scale and no bias.
/// `channel_axis`: which axis of `dimensions` is that of the output channels; of a vector its only one.
/// Without `to`, only checks the sizes.
quantization read_quantized(object_reader& in, std::string_view kind, const shape& dimensions,
                            std::size_t channel_axis, float* to);

/// Its counterpart. Writes nothing, and says false, where a value is none that a number stands for. Of several numbers
/// that stand for the same float it takes the least.
bool write_quantized(object_writer& out, const quantization& how, const shape& dimensions,
                     std::span<const float> values);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace bespoke {
namespace detail {

inline constexpr std::string_view quantizations[] = {"linearQuantization", "lookupTableQuantization"};

/// Number `i` of `bits` bits.
inline unsigned number_in_bits(std::span<const std::byte> bytes, std::size_t i, std::size_t bits) {
    unsigned number = 0;
    for (std::size_t at = i * bits; at < (i + 1) * bits; ++at)
        number = number << 1 | (std::to_integer<unsigned>(bytes[at / 8]) >> (7 - at % 8) & 1);
    return number;
}

inline void put_in_bits(std::span<std::byte> bytes, std::size_t i, std::size_t bits, std::size_t number) {
    for (std::size_t bit = 0; bit < bits; ++bit) {
        const std::size_t at = i * bits + bit;
        bytes[at / 8] |= static_cast<std::byte>((number >> (bits - 1 - bit) & 1) << (7 - at % 8));
    }
}
/// How many bytes that many numbers take.
inline std::size_t bytes_of_numbers(const shape& dimensions, std::size_t bits) {
    const auto count = static_cast<std::size_t>(dimensions.size());
    return count / 8 * bits + (count % 8 * bits + 7) / 8;
}

inline std::size_t read_number_of_bits(object_reader& quantization) {
    const std::int64_t bits = quantization.integer("numberOfBits");
    if (bits < 1 || bits > 8)
        quantization.fail(errc::bad_value, "numberOfBits", "1 to 8 wanted, " + std::to_string(bits) + " came");
    return static_cast<std::size_t>(bits);
}

/// The member of one element, or one for each channel; where it may be absent, it is empty then.
inline std::vector<float> read_channels(object_reader& in, std::string_view key, extent channels, bool by_channel,
                                        bool may_be_absent) {
    auto values = in.reals(key);
    const auto came = static_cast<extent>(values.size());
    if (came == 1 || (by_channel && came == channels) || (came == 0 && may_be_absent)) return values;
    in.fail(errc::shape_mismatch, key,
            (by_channel ? "1 number or " + std::to_string(channels) : std::string("1 number")) + " wanted, " +
                std::to_string(came) + " came");
}

/// Where the weights of a channel stand: `count` runs of `length`, each `step` behind the one before.
struct channel_weights {
    std::size_t first, length, step, count;

    /// Calls `body(i)` for each while it says true.
    template <class Body>
    void each(const Body& body) const {
        for (std::size_t run = 0; run < count; ++run)
            for (std::size_t i = 0; i < length; ++i)
                if (!body(first + run * step + i)) return;
    }
};

/// Calls `body(weights, values)` for all weights, not none, in parts in which number q stands for values[q].
template <class Body>
void each_channel(const quantization& how, const shape& dimensions, const Body& body) {
    const auto count = static_cast<std::size_t>(dimensions.size());
    if (count == 0) return;
    if (!how.table.empty()) return body(channel_weights{0, count, count, 1}, how.table);
    const std::size_t channels = std::max({how.scale.size(), how.bias.size(), std::size_t{1}});
    const auto runs = channels == 1 ? 1 : static_cast<std::size_t>(dimensions.product(0, how.channel_axis));
    const std::size_t length = count / runs / channels;
    std::vector<float> values(std::size_t{1} << how.bits);
    for (std::size_t channel = 0; channel < channels; ++channel) {
        const auto scale = static_cast<double>(how.scale[how.scale.size() == 1 ? 0 : channel]);
        const auto bias = static_cast<double>(how.bias.empty() ? 0 : how.bias[how.bias.size() == 1 ? 0 : channel]);
        // the product is exact: the same floats with a fused multiply-add and without
        for (std::size_t q = 0; q < values.size(); ++q)
            values[q] =
                static_cast<float>((how.is_int8 ? static_cast<std::int8_t>(q) : static_cast<int>(q)) * scale + bias);
        body(channel_weights{channel * length, length, channels * length, runs}, values);
    }
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

extent quantized_length(object_reader& in, std::string_view kind) {
    object_reader quantization = in.object("quantization");
    const auto bytes = static_cast<extent>(in.bytes(kind).size());
    const auto most = bytes * 8 / static_cast<extent>(detail::read_number_of_bits(quantization));
    return bytes == 1 && most > 1 ? -most : most;
}

quantization read_quantized(object_reader& in, std::string_view kind, const shape& dimensions,
                            std::size_t channel_axis, float* to) {
    quantization how;
    how.is_int8 = kind == "int8RawValue";
    how.channel_axis = channel_axis < dimensions.rank() ? channel_axis : 0;
    const auto bytes = in.bytes(kind);
    object_reader fields = in.object("quantization");
    how.bits = detail::read_number_of_bits(fields);
    const std::string_view type = fields.one_of(detail::quantizations);
    if (type.empty() || (how.is_int8 && (type != detail::quantizations[0] || how.bits != 8)))
        fields.fail(errc::bad_value, "",
                    how.is_int8 ? "a linearQuantization of 8 bits wanted"
                                : "a linearQuantization or a lookupTableQuantization wanted");
    const std::size_t wanted = detail::bytes_of_numbers(dimensions, how.bits);
    if (bytes.size() != wanted)
        in.fail(errc::shape_mismatch, kind,
                std::to_string(wanted) + " bytes wanted (shape " + bespoke::to_text(dimensions) + ", " +
                    std::to_string(how.bits) + " bits), " + std::to_string(bytes.size()) + " came");

    object_reader inner = fields.object(type);
    if (type == detail::quantizations[1]) {
        how.table = inner.reals("floatValue");
        if (how.table.size() != std::size_t{1} << how.bits)
            inner.fail(
                errc::shape_mismatch, "floatValue",
                std::to_string(1 << how.bits) + " numbers wanted, " + std::to_string(how.table.size()) + " came");
    } else {
        const extent channels = dimensions.rank() == 0 ? 1 : dimensions[how.channel_axis];
        const bool by_channel = !how.is_int8 && channels != 1;
        how.scale = detail::read_channels(inner, "scale", channels, by_channel, false);
        how.bias = detail::read_channels(inner, "bias", channels, by_channel, true);
        if (how.is_int8 && !how.bias.empty())
            inner.fail(errc::shape_mismatch, "bias", "no number wanted with int8RawValue, 1 came");
    }
    inner.finish();
    fields.finish();
    if (to != nullptr)
        detail::each_channel(how, dimensions, [&](const auto& weights, std::span<const float> values) {
            weights.each([&](std::size_t i) {
                to[i] = values[detail::number_in_bits(bytes, i, how.bits)];
                return true;
            });
        });
    return how;
}

bool write_quantized(object_writer& out, const quantization& how, const shape& dimensions,
                     std::span<const float> values) {
    std::vector<std::byte> bytes(detail::bytes_of_numbers(dimensions, how.bits));
    std::vector<std::pair<std::uint32_t, std::size_t>> numbers;  // for each float's bits, in order
    bool all = true;
    detail::each_channel(how, dimensions, [&](const auto& weights, std::span<const float> of) {
        if (!all) return;
        numbers.clear();
        for (std::size_t q = 0; q < of.size(); ++q) numbers.emplace_back(std::bit_cast<std::uint32_t>(of[q]), q);
        std::sort(numbers.begin(), numbers.end());
        weights.each([&](std::size_t i) {
            const auto wanted = std::bit_cast<std::uint32_t>(values[i]);
            const auto found = std::lower_bound(numbers.begin(), numbers.end(), std::pair(wanted, std::size_t{0}));
            all = found != numbers.end() && found->first == wanted;
            if (all) detail::put_in_bits(bytes, i, how.bits, found->second);
            return all;
        });
    });
    if (!all) return false;
    out.text(how.is_int8 ? "int8RawValue" : "rawValue", encode_base64(bytes));
    object_writer inner, fields;
    if (how.table.empty()) {
        inner.reals("scale", how.scale);
        inner.reals("bias", how.bias);
    } else {
        inner.reals("floatValue", how.table);
    }
    fields.integer("numberOfBits", static_cast<std::int64_t>(how.bits));
    fields.object(detail::quantizations[how.table.empty() ? 0 : 1], inner);
    out.object("quantization", fields);
    return true;
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif
