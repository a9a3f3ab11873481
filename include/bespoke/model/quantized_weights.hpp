#pragma once

#include "../core/shape.hpp"
#include "feature.hpp"
#include "object_reader.hpp"

/// Weights that a document gives in fewer bits. They are read as floats: what computes with them, learns from them and
/// writes them knows no other. Core ML specification, WeightParams and QuantizationParams.
namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// How many numbers of `bits` bits there are room for in the member "rawValue" or "int8RawValue" of `in`.
extent quantized_length(object_reader& in, std::string_view kind);

/// Reads the members `kind`, "rawValue" or "int8RawValue", and "quantization" of `in`. rawValue: numbers of 1 to 8
/// bits, one after the other from the highest bit of each byte on. int8RawValue: int8. A number q stands for
/// q scale + bias, with one scale and bias for all or one for each element of the first axis of `dimensions`; or for
/// element q of a table. `by_first_axis`: whether that axis is the one of the output channels; if not, only one scale
/// and bias for all will do. Without `to`, only checks the sizes.
void read_quantized(object_reader& in, std::string_view kind, const shape& dimensions, bool by_first_axis, float* to);

}  // namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

#ifdef BESPOKE_IMPLEMENTATION

namespace bespoke {
namespace detail {

/// Number `i` of `bits` bits.
inline unsigned number_in_bits(std::span<const std::byte> bytes, std::size_t i, std::size_t bits) {
    unsigned number = 0;
    for (std::size_t at = i * bits; at < (i + 1) * bits; ++at)
        number = number << 1 | (std::to_integer<unsigned>(bytes[at / 8]) >> (7 - at % 8) & 1);
    return number;
}

inline std::size_t read_number_of_bits(object_reader& quantization) {
    const std::int64_t bits = quantization.integer("numberOfBits");
    if (bits < 1 || bits > 8)
        quantization.fail(errc::bad_value, "numberOfBits", "1 to 8 wanted, " + std::to_string(bits) + " came");
    return static_cast<std::size_t>(bits);
}

/// The member of one element, or one for each channel; where it may be absent, it is 0 then.
inline std::vector<float> read_channels(object_reader& in, std::string_view key, extent channels, bool by_channel,
                                        bool may_be_absent) {
    auto values = in.reals(key);
    if (values.empty() && may_be_absent) return {0};
    const auto came = static_cast<extent>(values.size());
    if (came == 1 || (by_channel && came == channels)) return values;
    in.fail(errc::shape_mismatch, key,
            (by_channel ? "1 number or " + std::to_string(channels) : std::string("1 number")) + " wanted, " +
                std::to_string(came) + " came");
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

extent quantized_length(object_reader& in, std::string_view kind) {
    object_reader quantization = in.object("quantization");
    return static_cast<extent>(in.bytes(kind).size() * 8 / detail::read_number_of_bits(quantization));
}

void read_quantized(object_reader& in, std::string_view kind, const shape& dimensions, bool by_first_axis, float* to) {
    static constexpr std::string_view types[] = {"linearQuantization", "lookupTableQuantization"};
    const bool is_int8 = kind == "int8RawValue";
    const auto bytes = in.bytes(kind);
    object_reader quantization = in.object("quantization");
    const std::size_t bits = detail::read_number_of_bits(quantization);
    const std::string_view type = quantization.one_of(types);
    if (type.empty() || (is_int8 && (type != types[0] || bits != 8)))
        quantization.fail(errc::bad_value, "",
                          is_int8 ? "a linearQuantization of 8 bits wanted"
                                  : "a linearQuantization or a lookupTableQuantization wanted");
    const auto count = static_cast<std::size_t>(dimensions.size());
    const std::size_t wanted = count / 8 * bits + (count % 8 * bits + 7) / 8;
    if (bytes.size() != wanted)
        in.fail(errc::shape_mismatch, kind,
                std::to_string(wanted) + " bytes wanted (shape " + bespoke::to_text(dimensions) + ", " +
                    std::to_string(bits) + " bits), " + std::to_string(bytes.size()) + " came");

    object_reader how = quantization.object(type);
    if (type == types[1]) {
        const auto table = how.reals("floatValue");
        if (table.size() != std::size_t{1} << bits)
            how.fail(errc::shape_mismatch, "floatValue",
                     std::to_string(1 << bits) + " numbers wanted, " + std::to_string(table.size()) + " came");
        if (to != nullptr)
            for (std::size_t i = 0; i < count; ++i) to[i] = table[detail::number_in_bits(bytes, i, bits)];
    } else {
        const extent channels = dimensions.rank() == 0 ? 1 : dimensions[0];
        const auto scale = detail::read_channels(how, "scale", channels, by_first_axis, false);
        const auto bias = detail::read_channels(how, "bias", channels, by_first_axis, true);
        const std::size_t row = count / static_cast<std::size_t>(std::max<extent>(channels, 1));
        if (to != nullptr)
            for (std::size_t i = 0; i < count; ++i) {
                const unsigned raw = detail::number_in_bits(bytes, i, bits);
                const int q = is_int8 ? static_cast<std::int8_t>(raw) : static_cast<int>(raw);
                const auto of_channel = [&](const auto& values) { return values[values.size() == 1 ? 0 : i / row]; };
                to[i] = static_cast<float>(q) * of_channel(scale) + of_channel(bias);
            }
    }
    how.finish();
    quantization.finish();
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif
