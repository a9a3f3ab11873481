#pragma once

#include "../core/shape.hpp"
#include "base64.hpp"
#include "float16.hpp"
#include "object_reader.hpp"
#include "safetensors.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

/// The weights of layers as a document gives them. Core ML specification, WeightParams, and what goes beyond it: a
/// tensor in a safetensors file, and base64 of floats.
namespace bespoke {

/// Where a parameter array came from, and where it is written again.
struct weight_source {
    enum place {
        automatic,       ///< inline where all weights together are few, else in the safetensors file
        float_value,     ///< "floatValue": an array of numbers
        float16_value,   ///< "float16Value": base64; kept only while every weight is a float16
        float32_value,   ///< "bespoke": {"float32Value": base64 of little-endian floats}
        tensor,          ///< "tensor": a name in the safetensors file
    };
    place kind = automatic;
    std::string name;  ///< of the tensor
    bool updatable = false;
    friend bool operator==(const weight_source&, const weight_source&) = default;
};

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// The weights of one parameter array as a document gives them, for the shape that the plan asks for. Without
/// `to`, only compares how many there are.
void read_weights(object_reader in, const std::string& place, const shape& dimensions, const safetensors* tensors,
                  weight_source& source, float* to);
/// How many numbers the document gives for each of these parameters.
std::vector<extent> weight_lengths(object_reader& fields, std::span<const std::string_view> parameters,
                                   const safetensors* tensors);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace bespoke {
namespace detail {

inline std::vector<std::byte> read_bytes(object_reader& in, std::string_view key, std::size_t size) {
    auto bytes = decode_base64(in.text(key));
    if (!bytes) in.fail(errc::malformed_file, key, "base64 wanted");
    if (bytes->size() % size != 0)
        in.fail(errc::malformed_file, key, "a multiple of " + std::to_string(size) + " bytes wanted, " +
                                               std::to_string(bytes->size()) + " came");
    return *std::move(bytes);
}
inline const tensor_entry& find_tensor(object_reader& in, const safetensors* tensors) {
    const std::string name = in.text("tensor");
    if (tensors == nullptr)
        in.fail(errc::unknown_name, "tensor", "tensor " + in_quotes(name) + " needs a \"weightsFile\" in the model");
    const tensor_entry* entry = tensors->find(name);
    if (entry == nullptr) in.fail(errc::unknown_name, "tensor", "no tensor " + in_quotes(name) + " in the weights file");
    return *entry;
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

void read_weights(object_reader in, const std::string& place, const shape& dimensions, const safetensors* tensors,
                  weight_source& source, float* to) {
    const extent wanted = dimensions.size();
    const auto wrong_count = [&](extent came) {
        throw error(errc::shape_mismatch, place + ": " + std::to_string(wanted) +
                                              (wanted == 1 ? " number wanted" : " numbers wanted") +
                                              (wanted == 0 ? "" : " (shape " + bespoke::to_text(dimensions) + ")") + ", " +
                                              (came == 0 ? "none" : std::to_string(came)) + " came");
    };
    const auto check_count = [&](std::size_t came) {
        if (static_cast<extent>(came) != wanted) wrong_count(static_cast<extent>(came));
    };
    source.updatable = in.boolean("isUpdatable");
    static constexpr std::string_view kinds[] = {"floatValue", "float16Value", "tensor", "bespoke",
                                                 "rawValue",   "int8RawValue"};
    for (std::string_view quantized : {"rawValue", "int8RawValue", "quantization"})
        if (in.has(quantized)) in.fail(errc::unsupported, quantized, "quantized weights are not supported");
    const std::string_view kind = in.one_of(kinds);
    if (kind == "floatValue") {
        source.kind = weight_source::float_value;
        check_count(in.length(kind));
        if (to == nullptr) return;
        const auto values = in.reals(kind);
        check_count(values.size());
        if (to != nullptr) std::copy(values.begin(), values.end(), to);
    } else if (kind == "float16Value") {
        source.kind = weight_source::float16_value;
        const auto bytes = detail::read_bytes(in, kind, 2);
        check_count(bytes.size() / 2);
        for (extent i = 0; i < wanted && to != nullptr; ++i)
            to[i] = float16_to_float(detail::load_little_endian<std::uint16_t>(bytes.data() + 2 * i));
    } else if (kind == "bespoke") {
        source.kind = weight_source::float32_value;
        object_reader inner = in.object(kind);
        const auto bytes = detail::read_bytes(inner, "float32Value", 4);
        check_count(bytes.size() / 4);
        for (extent i = 0; i < wanted && to != nullptr; ++i)
            to[i] = std::bit_cast<float>(detail::load_little_endian<std::uint32_t>(bytes.data() + 4 * i));
        inner.finish();
    } else if (kind == "tensor") {
        source.kind = weight_source::tensor;
        const tensor_entry& entry = detail::find_tensor(in, tensors);
        source.name = entry.name;
        if (!(entry.dimensions == dimensions))
            in.fail(errc::shape_mismatch, kind,
                    "the shape " + bespoke::to_text(dimensions) + " wanted, tensor " + in_quotes(entry.name) + " has " +
                        bespoke::to_text(entry.dimensions));
        if (to == nullptr) return;
        const auto values = to_floats(entry);
        check_count(values.size());
        if (to != nullptr) std::copy(values.begin(), values.end(), to);
    } else {
        check_count(0);
    }
    in.finish();
    for (extent i = 0; i < wanted && to != nullptr; ++i)
        if (!std::isfinite(to[i]))
            throw error(errc::bad_value, place + ": number " + std::to_string(i) + " is " +
                                             (std::isnan(to[i]) ? "NaN" : to[i] > 0 ? "Infinity" : "-Infinity"));
}

std::vector<extent> weight_lengths(object_reader& fields, std::span<const std::string_view> parameters,
                                   const safetensors* tensors) {
    std::vector<extent> lengths;
    for (std::string_view key : parameters) {
        object_reader in = fields.object(key);
        std::size_t length = in.length("floatValue");
        if (in.has("float16Value")) {
            length = detail::read_bytes(in, "float16Value", 2).size() / 2;
        } else if (in.has("bespoke")) {
            object_reader inner = in.object("bespoke");
            length = detail::read_bytes(inner, "float32Value", 4).size() / 4;
        } else if (in.has("tensor")) {
            length = static_cast<std::size_t>(detail::find_tensor(in, tensors).dimensions.size());
        }
        lengths.push_back(static_cast<extent>(length));
    }
    return lengths;
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif
