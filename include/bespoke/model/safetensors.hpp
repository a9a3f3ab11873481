#pragma once

#include "../core/error.hpp"
#include "files.hpp"
#include "float16.hpp"
#include "json.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// The safetensors file format (github.com/huggingface/safetensors), read and written.
///
/// A file is the length n of its header (8 bytes, little-endian), n bytes of JSON, and the data:
///
///     {"__metadata__": {"key": "text"}, "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
///
/// Elements are row-major and little-endian. The tensors fill the data from its first byte to its last.
namespace bespoke {

/// One array of a safetensors file. `dtype` and `bytes` lie elsewhere and must outlive this.
struct tensor_entry {
    std::string name;
    std::string_view dtype;  ///< "F32", "F64", "F16", "BF16", "I64", "I32", "U8", ...
    shape dimensions;
    std::span<const std::byte> bytes;
};

/// An element type of the format and the bytes that one element takes.
struct known_dtype {
    std::string_view name;
    std::size_t size;
};
inline constexpr known_dtype known_dtypes[] = {
    {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"U16", 2}, {"I16", 2}, {"F16", 2},
    {"BF16", 2}, {"U32", 4}, {"I32", 4}, {"F32", 4},     {"U64", 8},     {"I64", 8}, {"F64", 8}, {"C64", 8}};

/// Null where no dtype has the name.
constexpr const known_dtype* find_dtype(std::string_view name) {
    for (const known_dtype& d : known_dtypes)
        if (d.name == name) return &d;
    return nullptr;
}

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// The tensors of one file. Copies share the bytes, so what `entries` refers to lives as long as any copy.
class safetensors {
public:
    /// Checks everything before it uses it; keeps `file` and allocates beside it some 30 times the header.
    /// Throws errc::malformed_file, errc::duplicate_name or errc::unsupported, with `name_for_errors` before
    /// the sentence.
    static safetensors parse(std::vector<std::byte> file, std::string_view name_for_errors);
    /// The file is mapped, see `mapped_file`. Throws what `parse` and `mapped_file` throw, with the path before the
    /// sentence.
    static safetensors load(const std::filesystem::path& path);

    /// Null where no tensor has the name.
    const tensor_entry* find(std::string_view name) const;
    /// Sorted by name, byte by byte.
    const std::vector<tensor_entry>& entries() const { return entries_; }
    const std::map<std::string, std::string>& metadata() const { return metadata_; }
    /// Whoever holds it may use the bytes of the entries.
    const std::shared_ptr<const void>& owner() const { return owner_; }

private:
    static safetensors parse(std::shared_ptr<const void> owner, std::span<const std::byte> file,
                             std::string_view name_for_errors);

    std::shared_ptr<const void> owner_;  ///< of the file's bytes
    std::vector<tensor_entry> entries_;
    std::map<std::string, std::string> metadata_;
};

/// The file that holds `entries`: larger elements first, so that each is aligned, then by name. The same
/// tensors give the same bytes in whatever order they come. Throws errc::bad_argument where `bytes` are not
/// what `dtype` and `dimensions` ask for or a name is not UTF-8, errc::duplicate_name where one comes twice.
std::vector<std::byte> to_safetensors(std::span<const tensor_entry> entries,
                                      const std::map<std::string, std::string>& metadata = {});

/// The elements of an F32 tensor where they lie; null where they cannot be read there, or are of another type.
const float* floats_in(const tensor_entry& entry);
/// The elements of an F32, F64, F16 or BF16 tensor. F64 is rounded, and is infinite where it is too large;
/// NaN and infinity are handed on. Throws errc::bad_value for any other dtype.
std::vector<float> to_floats(const tensor_entry& entry);
/// The same, to `to`, which has room for all elements.
void to_floats(const tensor_entry& entry, float* to);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::floats_in;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::safetensors;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::to_floats;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::to_safetensors;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <bit>
#include <limits>
#include <set>
#include <tuple>

namespace bespoke {
namespace detail {

/// An unsigned integer from its little-endian bytes, wherever they lie.
template <class U>
U load_little_endian(const std::byte* bytes) {
    U value = 0;
    for (std::size_t i = 0; i < sizeof(U); ++i)
        value = static_cast<U>(value | static_cast<U>(std::to_integer<U>(bytes[i]) << (8 * i)));
    return value;
}

template <class U, class F>
void convert_elements(std::span<const std::byte> bytes, float* to, F convert) {
    for (std::size_t i = 0; i < bytes.size() / sizeof(U); ++i)
        to[i] = convert(load_little_endian<U>(bytes.data() + i * sizeof(U)));
}

/// No product of a shape's extents that are not 0 may exceed this, so that later products cannot overflow.
inline constexpr extent max_elements = extent{1} << 59;

/// Reads the header of one file; `data` is what follows it.
class safetensors_header {
public:
    safetensors_header(std::string_view name, std::span<const std::byte> data) : name_(name), data_(data) {}

    tensor_entry entry(const std::string& tensor, const json& value) const {
        const std::string place = "tensor \"" + excerpt(tensor) + "\"";
        if (!value.is_object()) fail(place, "an object wanted, but it is " + kind(value));
        const json *dtype = nullptr, *shape = nullptr, *offsets = nullptr;
        for (const auto& [key, member] : value.items()) {
            if (key == "dtype")
                dtype = &member;
            else if (key == "shape")
                shape = &member;
            else if (key == "data_offsets")
                offsets = &member;
            else
                fail(place, "dtype, shape and data_offsets wanted, but \"" + excerpt(key) + "\" came");
        }
        if (!dtype) fail(place, "no dtype");
        if (!shape) fail(place, "no shape");
        if (!offsets) fail(place, "no data_offsets");

        const known_dtype& element = element_type(*dtype, place);
        tensor_entry result{tensor, element.name, dimensions(*shape, place), bytes(*offsets, place)};
        const extent wanted = checked_size(result.dimensions, max_elements) * static_cast<extent>(element.size);
        if (wanted != static_cast<extent>(result.bytes.size()))
            fail(place, std::string(result.dtype) + " " + std::string(sentence(result.dimensions).view()) +
                            " takes " + std::to_string(wanted) + " bytes, but data_offsets span " +
                            std::to_string(result.bytes.size()));
        return result;
    }

    std::map<std::string, std::string> metadata(const json& value) const {
        if (!value.is_object()) fail("__metadata__", "an object wanted, but it is " + kind(value));
        std::map<std::string, std::string> result;
        for (const auto& [key, text] : value.items()) {
            if (!text.is_string())
                fail("__metadata__", "\"" + excerpt(key) + "\": a string wanted, but it is " + kind(text));
            result.emplace(key, text.get_ref<const std::string&>());
        }
        return result;
    }

    /// Each byte of the data belongs to exactly one tensor.
    void check_cover(const std::vector<tensor_entry>& entries) const {
        std::vector<const tensor_entry*> order;
        for (const tensor_entry& e : entries) order.push_back(&e);
        const auto place = [](const tensor_entry* e) {
            return std::tuple(e->bytes.data(), e->bytes.size(), e);  // entries lie in the order of their names
        };
        std::sort(order.begin(), order.end(),
                  [&](const tensor_entry* a, const tensor_entry* b) { return place(a) < place(b); });
        std::size_t covered = 0;
        for (const tensor_entry* e : order) {
            const auto begin = static_cast<std::size_t>(e->bytes.data() - data_.data());
            if (begin < covered)
                fail("tensor \"" + excerpt(e->name) + "\"", "its data begins at byte " +
                                                                std::to_string(begin) +
                                                                ", inside the data of another tensor");
            if (begin > covered) fail_hole(covered, begin);
            covered = begin + e->bytes.size();
        }
        if (covered < data_.size()) fail_hole(covered, data_.size());
    }

private:
    [[noreturn]] void fail(const std::string& place, const std::string& what, errc code = errc::malformed_file) const {
        throw error(code, name_ + ": " + place + ": " + what);
    }
    [[noreturn]] void fail_hole(std::size_t begin, std::size_t end) const {
        fail("data", "bytes " + std::to_string(begin) + " to " + std::to_string(end) + " belong to no tensor");
    }
    static std::string kind(const json& value) {
        return value.is_number() ? "the number " + value.dump() : std::string("of type ") + value.type_name();
    }
    const known_dtype& element_type(const json& value, const std::string& place) const {
        if (!value.is_string()) fail(place, "dtype: a string wanted, but it is " + kind(value));
        const auto& name = value.get_ref<const std::string&>();
        const known_dtype* found = find_dtype(name);
        if (!found) fail(place, "dtype: no type is called \"" + excerpt(name) + "\"", errc::unsupported);
        return *found;
    }
    extent number(const json& value, const std::string& place) const {
        if (!value.is_number_unsigned() ||
            value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<extent>::max()))
            fail(place, "an integer from 0 to 2^63 - 1 wanted, but it is " + kind(value));
        return value.get<extent>();
    }
    shape dimensions(const json& value, const std::string& place) const {
        if (!value.is_array()) fail(place, "shape: an array wanted, but it is " + kind(value));
        if (value.size() > max_rank)
            fail(place, "shape: at most " + std::to_string(max_rank) + " axes wanted, but there are " +
                            std::to_string(value.size()), errc::unsupported);
        shape result, without_zeros;
        for (const json& e : value) {
            result.push_back(number(e, place + ": shape/" + std::to_string(result.rank())));
            without_zeros.push_back(std::max<extent>(result.from_end(1), 1));
        }
        if (checked_size(without_zeros, max_elements) < 0)
            fail(place, "shape: " + std::string(sentence(result).view()) + " has more than 2^59 elements");
        return result;
    }
    std::span<const std::byte> bytes(const json& value, const std::string& place) const {
        if (!value.is_array()) fail(place, "data_offsets: an array wanted, but it is " + kind(value));
        if (value.size() != 2)
            fail(place, "data_offsets: 2 numbers wanted, but there are " + std::to_string(value.size()));
        const auto begin = static_cast<std::size_t>(number(value[0], place + ": data_offsets/0"));
        const auto end = static_cast<std::size_t>(number(value[1], place + ": data_offsets/1"));
        if (begin > end || end > data_.size())
            fail(place, "data_offsets: a part of the " + std::to_string(data_.size()) +
                            " bytes of data wanted, but it is " + std::to_string(begin) + " to " +
                            std::to_string(end));
        return data_.subspan(begin, end - begin);
    }

    std::string name_;
    std::span<const std::byte> data_;
};

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

safetensors safetensors::parse(std::vector<std::byte> file, std::string_view name) {
    const auto owner = std::make_shared<const std::vector<std::byte>>(std::move(file));
    return parse(owner, *owner, name);
}
safetensors safetensors::load(const std::filesystem::path& path) {
    const auto owner = std::make_shared<const mapped_file>(path);
    return parse(owner, owner->bytes(), path.string());
}
safetensors safetensors::parse(std::shared_ptr<const void> owner, std::span<const std::byte> file,
                               std::string_view name) {
    constexpr std::size_t prefix = 8;
    const std::string place = std::string(name) + ": ";
    if (file.size() < prefix)
        throw error(errc::malformed_file, place +
                                              "a safetensors file has at least 8 bytes, but this one has " +
                                              std::to_string(file.size()));
    const auto length = detail::load_little_endian<std::uint64_t>(file.data());
    if (length > file.size() - prefix)
        throw error(errc::malformed_file, place + "the header should have " + std::to_string(length) +
                                              " bytes, but only " + std::to_string(file.size() - prefix) +
                                              " follow");

    safetensors result;
    result.owner_ = std::move(owner);
    const auto header = file.subspan(prefix, static_cast<std::size_t>(length));
    const auto data = file.subspan(prefix + header.size());
    const std::string_view text(reinterpret_cast<const char*>(header.data()), header.size());
    if (!text.starts_with('{'))
        throw error(errc::malformed_file, place + "the header should begin with '{', but it begins with '" +
                                              detail::excerpt(text.substr(0, 1)) + "'");

    const detail::json_document document = detail::parse_json(text, name);
    const detail::safetensors_header reader(name, data);
    for (const auto& [key, value] : (*document).items()) {
        if (key == "__metadata__")
            result.metadata_ = reader.metadata(value);
        else
            result.entries_.push_back(reader.entry(key, value));
    }
    reader.check_cover(result.entries_);
    return result;
}

const tensor_entry* safetensors::find(std::string_view name) const {
    const auto found = std::lower_bound(entries_.begin(), entries_.end(), name,
                                        [](const tensor_entry& entry, std::string_view n) { return entry.name < n; });
    return found != entries_.end() && found->name == name ? &*found : nullptr;
}

const float* floats_in(const tensor_entry& entry) {
    const bool fits = reinterpret_cast<std::uintptr_t>(entry.bytes.data()) % alignof(float) == 0;
    const bool as_here = entry.dtype == "F32" && std::endian::native == std::endian::little && fits;
    return as_here ? reinterpret_cast<const float*>(entry.bytes.data()) : nullptr;
}

std::vector<float> to_floats(const tensor_entry& entry) {
    std::vector<float> result(static_cast<std::size_t>(entry.dimensions.size()));
    to_floats(entry, result.data());
    return result;
}
void to_floats(const tensor_entry& entry, float* to) {
    if (entry.dtype == "F32" && std::endian::native == std::endian::little) {
        if (!entry.bytes.empty()) std::memcpy(to, entry.bytes.data(), entry.bytes.size());
    } else if (entry.dtype == "F32")
        detail::convert_elements<std::uint32_t>(entry.bytes, to,
                                                [](std::uint32_t bits) { return std::bit_cast<float>(bits); });
    else if (entry.dtype == "F64")
        detail::convert_elements<std::uint64_t>(entry.bytes, to, [](std::uint64_t bits) {
            return static_cast<float>(std::bit_cast<double>(bits));
        });
    else if (entry.dtype == "F16")
        detail::convert_elements<std::uint16_t>(entry.bytes, to, float16_to_float);
    else if (entry.dtype == "BF16")
        detail::convert_elements<std::uint16_t>(entry.bytes, to, bfloat16_to_float);
    else
        throw error(errc::bad_value, "tensor \"" + entry.name +
                                         "\": F32, F64, F16 or BF16 wanted, but the dtype is " +
                                         std::string(entry.dtype));
}

std::vector<std::byte> to_safetensors(std::span<const tensor_entry> entries,
                                      const std::map<std::string, std::string>& metadata) {
    const auto quoted = [](const std::string& text) {
        try {
            return detail::json(text).dump();
        } catch (const detail::json::exception&) {
            throw error(errc::bad_argument, "\"" + detail::excerpt(text) + "\" is not UTF-8");
        }
    };
    struct item {
        const tensor_entry* entry;
        std::size_t element_size;
    };
    std::vector<item> order;
    std::set<std::string_view> names{"__metadata__"};
    for (const tensor_entry& e : entries) {
        const std::string place = "tensor \"" + detail::excerpt(e.name) + "\": ";
        const known_dtype* element = find_dtype(e.dtype);
        if (!element)
            throw error(errc::bad_argument, place + "no type is called \"" + detail::excerpt(e.dtype) + "\"");
        const extent size = checked_size(e.dimensions, detail::max_elements);
        if (size < 0 || static_cast<std::size_t>(size) * element->size != e.bytes.size())
            throw error(errc::bad_argument, place + std::string(e.dtype) + " " +
                                                std::string(sentence(e.dimensions).view()) + " wanted, but " +
                                                std::to_string(e.bytes.size()) + " bytes came");
        if (!names.insert(e.name).second) throw error(errc::duplicate_name, place + "the name is taken");
        order.push_back({&e, element->size});
    }
    std::sort(order.begin(), order.end(), [](const item& a, const item& b) {
        return a.element_size != b.element_size ? a.element_size > b.element_size : a.entry->name < b.entry->name;
    });

    std::string header;
    std::size_t data_size = 0;
    if (!metadata.empty()) {
        for (const auto& [key, text] : metadata)
            header += (header.empty() ? "{\"__metadata__\":{" : ",") + quoted(key) + ":" + quoted(text);
        header += "}";
    }
    for (const auto& [entry, element_size] : order) {
        header += (header.empty() ? "{" : ",") + quoted(entry->name) + ":{\"dtype\":\"" +
                  std::string(entry->dtype) + "\",\"shape\":[";
        for (std::size_t axis = 0; axis < entry->dimensions.rank(); ++axis)
            header += (axis > 0 ? "," : "") + std::to_string(entry->dimensions[axis]);
        const std::size_t end = data_size + entry->bytes.size();
        header += "],\"data_offsets\":[" + std::to_string(data_size) + "," + std::to_string(end) + "]}";
        data_size = end;
    }
    header += header.empty() ? "{}" : "}";
    header.resize((header.size() + 7) / 8 * 8, ' ');

    std::vector<std::byte> file;
    file.reserve(8 + header.size() + data_size);
    for (std::size_t i = 0; i < 8; ++i) file.push_back(static_cast<std::byte>(header.size() >> (8 * i) & 255));
    const auto text = std::as_bytes(std::span(header));
    file.insert(file.end(), text.begin(), text.end());
    for (const item& i : order) file.insert(file.end(), i.entry->bytes.begin(), i.entry->bytes.end());
    return file;
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif
