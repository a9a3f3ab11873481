#pragma once

#include "../graph/layer_facts.hpp"
#include "../network/parameters.hpp"
#include "float16.hpp"
#include "object_reader.hpp"
#include "object_writer.hpp"
#include "quantized_weights.hpp"
#include "safetensors.hpp"

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The weights of layers as a document gives them. Core ML specification, WeightParams, and what goes beyond it: a
/// tensor in a safetensors file, and base64 of floats. Weights are written as they came, floats of `.mlmodel` files as
/// those of a network composed in code.
namespace bespoke {

/// Where a parameter array came from, and where it is written again.
struct weight_source {
    enum place {
        automatic,       ///< inline where all weights together are few, else in the safetensors file
        float_value,     ///< "floatValue": an array of numbers
        float16_value,   ///< "float16Value": base64; kept only while every weight is a float16
        float32_value,   ///< "bespoke": {"float32Value": base64 of little-endian floats}
        tensor,          ///< "tensor": a name in the safetensors file
        raw_value,       ///< "rawValue" or "int8RawValue"; kept only while every weight is one of the few numbers
    };
    place kind = automatic;
    std::string name;      ///< of the tensor
    quantization numbers;  ///< of the raw value
    bool updatable = false;
    friend bool operator==(const weight_source&, const weight_source&) = default;
};

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// Where the weights of one parameter array come to lie.
struct weights_target {
    network_parameters<float>& parameters;
    std::size_t number;
    bool lends;  ///< those of a safetensors file may stay there
    thread_pool* threads;
};
/// What a parameter array is to its layer.
struct weights_role {
    std::size_t channel_axis = 0;  ///< as for `read_quantized`
    bool may_be_infinite = false;
    bool is_bias = false;
};
/// The weights of one parameter array as a document gives them, for the shape that the plan asks for. Without
/// `target`, only compares how many there are. A bias that its layer does without (`hasBias` is false) is not looked
/// at, as Core ML does not.
void read_weights(object_reader in, const std::string& place, const shape& dimensions, const weights_role& role,
                  const safetensors* tensors, weight_source& source, const weights_target* target);
/// How many numbers the document gives for each of these parameters; below 0: up to so many, see `quantized_length`.
std::vector<extent> weight_lengths(std::span<const object_reader> parameters, const safetensors* tensors);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>

namespace bespoke {
namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// Finds the weights of a layer, of which some stand in messages inside it: parameter "weightParams.biasVector" in the
/// member "biasVector" of "weightParams", "weightParams.1.biasVector" in that of its second element.
class weights_reader {
public:
    explicit weights_reader(object_reader& fields) : fields_(fields) {}
    object_reader find(std::string_view parameter);
    /// Every member of the messages must have been read.
    void finish() const;

private:
    struct message {
        std::string_view prefix;  ///< "weightParams.1"
        object_reader reader;
        std::size_t elements;     ///< that came beside it; 0: it is not repeated, or none came
    };
    object_reader& add(message m) {
        messages_.push_back(std::move(m));
        return messages_.back().reader;
    }

    object_reader& fields_;
    std::vector<message> messages_;
};

/// Its counterpart. The parameters of a message follow one another. With `listed`, all are elements of "weights", in
/// their order.
class weights_writer {
public:
    weights_writer(object_writer& fields, bool listed) : fields_(fields), listed_(listed) {}
    void write(std::string_view parameter, const object_writer& weights);
    void skip(std::string_view parameter);
    /// Writes what is begun.
    void finish();

private:
    /// Begins the message of a parameter where it is not the one that is being written, and gives it; null: none.
    object_writer* enter(std::string_view parameter);

    object_writer& fields_;
    bool listed_;
    std::string_view key_{};                 ///< of the message that is being written
    bool repeated_ = false;
    std::vector<object_writer> elements_{};  ///< one where it is not repeated
};

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

namespace detail {

/// A document and its weights file both hold the id of the weights, so that one of them is not read with what another
/// document has put into the place of the other.
inline constexpr auto weights_id = "weightsId";
inline std::uint64_t hash_of(std::span<const std::byte> bytes, std::uint64_t hash) {
    for (std::size_t i = 0; i < bytes.size(); i += sizeof hash) {  // FNV-1a, of eight bytes at a time
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data() + i, std::min(sizeof word, bytes.size() - i));
        hash = (hash ^ word) * 0x100000001b3;
        hash ^= hash >> 32;  // the high bits reach the low ones
    }
    return hash;
}
inline std::string id_of(std::span<const tensor_entry> tensors) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const tensor_entry& tensor : tensors)
        hash = hash_of(tensor.bytes, hash_of(std::as_bytes(std::span(tensor.name)), hash));
    std::string digits;
    for (int shift = 60; shift >= 0; shift -= 4) digits += "0123456789abcdef"[hash >> shift & 15];
    return digits;
}

/// Where the weights are found that a document does not hold.
struct weights_place {
    const safetensors* file = nullptr;              ///< whatever its name
    const std::filesystem::path* folder = nullptr;  ///< null: none
    std::optional<safetensors> loaded{};
    bool loading = false;  ///< its errors begin with its own path

    /// The file called `name`, whose weights are those of the document: `id`, if it says one.
    const safetensors* find(const std::string& name, const std::string& id, const object_reader& top) {
        const safetensors* const found = find(name, top);
        if (found == nullptr || id.empty()) return found;
        const auto there = found->metadata().find(weights_id);
        if (there != found->metadata().end() && there->second != id)
            top.fail(errc::bad_value, weights_id,
                     "the weights " + in_quotes(id) + " wanted, " + in_quotes(name) + " has " +
                         in_quotes(there->second) + ", which another document has written");
        return found;
    }

private:
    const safetensors* find(const std::string& name, const object_reader& top) {
        if (folder == nullptr) return file;
        const std::filesystem::path relative(name);
        bool inside = relative.is_relative() && relative.has_filename();
        for (const auto& step : relative) inside = inside && step != "..";
        if (!inside)
            top.fail(errc::bad_value, "weightsFile",
                     "a file in the folder of the model wanted, " + in_quotes(name) + " came");
        loading = true;
        loaded = safetensors::load(*folder / relative);
        loading = false;
        return &*loaded;
    }
};

/// The parts of "weightParams.1.biasVector"; `message` and `index` may be empty.
struct weights_path {
    std::string_view prefix, message, index, key;

    explicit weights_path(std::string_view parameter) : key(parameter) {
        const std::size_t last = parameter.rfind('.');
        if (last == std::string_view::npos) return;
        key = parameter.substr(last + 1);
        message = prefix = parameter.substr(0, last);
        const std::size_t first = prefix.find('.');
        if (first == std::string_view::npos) return;
        message = prefix.substr(0, first);
        index = prefix.substr(first + 1);
    }
    std::size_t number() const { return static_cast<std::size_t>(index[0] - '0'); }  // a digit
    /// Of a prefix.
    std::size_t last_number() const { return static_cast<std::size_t>(key[0] - '0'); }
};

inline std::vector<std::byte> read_bytes(object_reader& in, std::string_view key, std::size_t size) {
    auto bytes = in.bytes(key);
    if (bytes.size() % size != 0)
        in.fail(errc::malformed_file, key, "a multiple of " + std::to_string(size) + " bytes wanted, " +
                                               std::to_string(bytes.size()) + " came");
    return bytes;
}
inline const tensor_entry& find_tensor(object_reader& in, const safetensors* tensors) {
    const std::string name = in.text("tensor");
    if (tensors == nullptr)
        in.fail(errc::unknown_name, "tensor", "tensor " + in_quotes(name) + " needs a \"weightsFile\" in the model");
    const tensor_entry* entry = tensors->find(name);
    if (entry == nullptr)
        in.fail(errc::unknown_name, "tensor", "no tensor " + in_quotes(name) + " in the weights file");
    return *entry;
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

object_reader weights_reader::find(std::string_view parameter) {
    const detail::weights_path path(parameter);
    if (path.message.empty()) return fields_.object(parameter);
    for (message& m : messages_)
        if (m.prefix == path.prefix) return m.reader.object(path.key);
    if (path.index.empty())
        return add({path.prefix, fields_.object(path.message), 0}).object(path.key);
    auto elements = fields_.objects(path.message);
    const std::size_t came = elements.size();
    elements.resize(std::max(came, path.number() + 1),
                    object_reader(nullptr, fields_.place(path.message) + "/" + std::string(path.index)));
    return add({path.prefix, elements[path.number()], came}).object(path.key);
}
void weights_reader::finish() const {
    std::size_t wanted = 0;
    for (const message& m : messages_) {
        m.reader.finish();
        const detail::weights_path path(m.prefix);  // "weightParams" and "1"
        if (!path.message.empty()) wanted = std::max(wanted, path.last_number() + 1);
    }
    for (const message& m : messages_)
        if (m.elements != 0 && m.elements != wanted)
            fields_.fail(errc::bad_value, detail::weights_path(m.prefix).message,
                         std::to_string(wanted) + " elements wanted, " + std::to_string(m.elements) + " came");
}

object_writer* weights_writer::enter(std::string_view parameter) {
    const detail::weights_path path(parameter);
    if (path.message != key_) finish();
    if (path.message.empty()) return nullptr;
    key_ = path.message;
    repeated_ = !path.index.empty();
    const std::size_t number = repeated_ ? path.number() : 0;
    if (elements_.size() <= number) elements_.resize(number + 1);
    return &elements_[number];
}
void weights_writer::skip(std::string_view parameter) {
    if (listed_)
        elements_.emplace_back();
    else
        enter(parameter);
}
void weights_writer::write(std::string_view parameter, const object_writer& weights) {
    if (listed_) return elements_.push_back(weights);
    object_writer* message = enter(parameter);
    (message != nullptr ? *message : fields_).object(detail::weights_path(parameter).key, weights);
}
void weights_writer::finish() {
    if (listed_) {
        while (!elements_.empty() && elements_.back().empty()) elements_.pop_back();
        return fields_.objects("weights", elements_);
    }
    if (repeated_)
        fields_.objects(key_, elements_);
    else if (!elements_.empty())
        fields_.object(key_, elements_[0]);
    key_ = {};
    repeated_ = false;
    elements_.clear();
}

void read_weights(object_reader in, const std::string& place, const shape& dimensions, const weights_role& role,
                  const safetensors* tensors, weight_source& source, const weights_target* target) {
    if (role.is_bias && dimensions == absent) in = object_reader(nullptr, place);
    const extent wanted = dimensions.size();
    const auto wrong_count = [&](extent came) {
        throw error(errc::shape_mismatch, place + ": " + std::to_string(wanted) +
                                              (wanted == 1 ? " number wanted" : " numbers wanted") +
                                              (wanted == 0 ? "" : " (shape " + bespoke::to_text(dimensions) + ")") +
                                              ", " + (came == 0 ? "none" : std::to_string(came)) + " came");
    };
    const auto check_count = [&](std::size_t came) {
        if (static_cast<extent>(came) != wanted) wrong_count(static_cast<extent>(came));
    };
    const auto room = [&] { return target == nullptr ? nullptr : target->parameters.fill(target->number); };
    source.updatable = in.boolean("isUpdatable");
    static constexpr std::string_view kinds[] = {"floatValue", "float16Value", "tensor", "bespoke",
                                                 "rawValue",   "int8RawValue"};
    const std::string_view kind = in.one_of(kinds);
    if (kind == "floatValue") {
        if (!in.is_binary(kind)) source.kind = weight_source::float_value;
        check_count(in.length(kind));
        if (target == nullptr) return;
        const auto values = in.reals(kind);
        check_count(values.size());
        std::copy(values.begin(), values.end(), room());
    } else if (kind == "float16Value") {
        source.kind = weight_source::float16_value;
        const auto bytes = detail::read_bytes(in, kind, 2);
        check_count(bytes.size() / 2);
        float* const to = room();
        for (extent i = 0; i < wanted && to != nullptr; ++i)
            to[i] = float16_to_float(detail::load_little_endian<std::uint16_t>(bytes.data() + 2 * i));
    } else if (kind == "bespoke") {
        source.kind = weight_source::float32_value;
        object_reader inner = in.object(kind);
        const auto bytes = detail::read_bytes(inner, "float32Value", 4);
        check_count(bytes.size() / 4);
        float* const to = room();
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
        static constexpr std::string_view floats[] = {"F32", "F64", "F16", "BF16"};
        if (std::ranges::find(floats, entry.dtype) == std::end(floats))
            in.fail(errc::bad_value, kind,
                    "F32, F64, F16 or BF16 wanted, tensor " + in_quotes(entry.name) + " has the dtype " +
                        std::string(entry.dtype));
        if (target == nullptr) return;
        check_count(static_cast<std::size_t>(entry.dimensions.size()));
        const float* const there = target->lends ? floats_in(entry) : nullptr;
        if (there != nullptr)
            target->parameters.lend(target->number, there, tensors->owner());
        else
            to_floats(entry, room());
    } else if (!kind.empty()) {
        source.kind = weight_source::raw_value;
        source.numbers = read_quantized(in, kind, dimensions, role.channel_axis, room());
    } else {
        check_count(0);
        room();
    }
    in.finish();
    if (target == nullptr) return;
    const float* const values = target->parameters.read(target->number);
    if (kernels::all_finite(wanted, values, target->threads)) return;
    for (extent i = 0; i < wanted; ++i)
        if (!std::isfinite(values[i]) && !(role.may_be_infinite && std::isinf(values[i])))
            throw error(errc::bad_value, place + ": number " + std::to_string(i) + " is " +
                                             detail::shown(static_cast<double>(values[i])));
}

std::vector<extent> weight_lengths(std::span<const object_reader> parameters, const safetensors* tensors) {
    std::vector<extent> lengths;
    for (object_reader in : parameters) {
        auto length = static_cast<extent>(in.length("floatValue"));
        if (in.has("quantization")) {
            const std::string_view kind = in.has("int8RawValue") ? "int8RawValue" : "rawValue";
            length = quantized_length(in, kind);
        } else if (in.has("float16Value")) {
            length = static_cast<extent>(detail::read_bytes(in, "float16Value", 2).size() / 2);
        } else if (in.has("bespoke")) {
            object_reader inner = in.object("bespoke");
            length = static_cast<extent>(detail::read_bytes(inner, "float32Value", 4).size() / 4);
        } else if (in.has("tensor")) {
            length = detail::find_tensor(in, tensors).dimensions.size();
        }
        lengths.push_back(length);
    }
    return lengths;
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif
