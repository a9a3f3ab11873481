#pragma once

#include "../model/model.hpp"
#include "schema.hpp"

#include <cstddef>
#include <span>

/// Models in `.mlmodel` files: the protobuf of the Core ML specification. They become the document that a JSON file
/// of the same model spells, and one loader reads both; `load` tells them apart by the name of the file.
///
/// The document is protobuf's JSON mapping, with two things that JSON text has no room for: bytes, and repeated
/// floats as the bytes of little-endian floats. Stricter than protobuf: a field that the schema does not know is an
/// error, as it is in JSON, because it may say what the model computes; so are two members of a oneof. Memory: at most
/// some 40 times the file (messages without fields); weights take their own size.
namespace bespoke {

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {
model parse(std::span<const std::byte> mlmodel, std::span<const layer_codec> codecs, const load_options& options);
}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

/// Reads a model from memory: the bytes of a `.mlmodel` file. Throws `error` with the place in it.
template <class... Layers>
model parse(std::span<const std::byte> mlmodel, const load_options& options = {}) {
    return define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::parse(mlmodel, codecs_for<Layers...>(), options);
}

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <protozero/pbf_reader.hpp>

#include <algorithm>
#include <bit>
#include <string>
#include <string_view>
#include <vector>

namespace bespoke {
namespace detail {

/// How deep messages may nest. A model with loops and branches nests a few dozen.
inline constexpr std::size_t max_message_depth = 64;

/// Whether `text` is well-formed UTF-8. Unicode 15, table 3-7.
inline bool is_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto byte = [&](std::size_t at) {
            return at < text.size() ? static_cast<unsigned>(static_cast<unsigned char>(text[at])) : 0u;
        };
        const unsigned first = byte(i);
        const std::size_t more = first < 0x80 ? 0 : first < 0xc2 ? 4 : first < 0xe0 ? 1 : first < 0xf0 ? 2
                                 : first < 0xf5 ? 3 : 4;
        if (more == 4) return false;
        for (std::size_t j = 1; j <= more; ++j) {
            const unsigned least = j > 1 ? 0x80 : first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
            const unsigned most = j > 1 ? 0xbf : first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
            if (byte(i + j) < least || byte(i + j) > most) return false;
        }
        i += 1 + more;
    }
    return true;
}

/// Builds a document from protobuf by the schema.
class protobuf_reader {
public:
    json_document read(const message_schema& root, std::string_view bytes) && {
        json_document document(kind::object);
        // Nothing takes steps back from `path_` on the way here.
        try {
            read_message(root, bytes, *document);
        } catch (const protozero::end_of_buffer_exception&) {
            fail("it ends in the middle of a value");
        } catch (const protozero::varint_too_long_exception&) {
            fail("a varint of at most 10 bytes wanted, a longer one came");
        } catch (const protozero::unknown_pbf_wire_type_exception&) {
            fail("a field of a wire type that this format has not (0, 1, 2 and 5)");
        } catch (const protozero::exception&) {
            fail("a field with a number that protobuf does not allow");
        }
        return document;
    }

private:
    using wire = protozero::pbf_wire_type;
    using kind = json::value_t;  // not json::object() and the like, which compile initializer lists too
    struct step {
        std::string_view key;
        std::size_t index = none;
        static constexpr std::size_t none = static_cast<std::size_t>(-1);
    };

    [[noreturn]] void fail(const std::string& what, errc code = errc::malformed_file) const {
        std::string place;
        for (const step& s : path_) {
            place.append("/").append(s.key);
            if (s.index != step::none) place.append("/").append(std::to_string(s.index));
        }
        throw error(code, (place.empty() ? "/" : place) + ": " + what);
    }

    static std::uint64_t varint(const char*& from, const char* end) { return protozero::decode_varint(&from, end); }
    /// What the next varint is, without taking it: protozero cuts tags and sizes to 32 bits.
    static std::uint64_t peek(const protozero::pbf_reader& in) {
        const char* from = in.data().data();
        return varint(from, from + in.length());
    }

    bool next(protozero::pbf_reader& in) const {
        if (in.length() > 0 && peek(in) > 0xffff'ffff) fail("a field with a number that protobuf does not allow");
        return in.next();
    }
    /// The bytes of a field that has a length.
    std::string_view bytes_of(protozero::pbf_reader& in) const {
        const char* from = in.data().data();
        const char* end = from + in.length();
        const std::uint64_t size = varint(from, end);
        if (size > static_cast<std::uint64_t>(end - from))
            fail("a value of " + std::to_string(size) + " bytes wanted, " + std::to_string(end - from) + " are left");
        const auto view = in.get_view();
        return {view.data(), view.size()};
    }

    static wire wire_of(schema_type type) {
        if (type == schema_type::real) return wire::fixed32;
        if (type == schema_type::number) return wire::fixed64;
        return type <= schema_type::uint64 || type == schema_type::enumerator ? wire::varint : wire::length_delimited;
    }
    static std::string name_of_wire(wire type) {
        return type == wire::varint    ? "a varint"
               : type == wire::fixed32 ? "4 bytes"
               : type == wire::fixed64 ? "8 bytes"
                                       : "a size and so many bytes";
    }

    void read_message(const message_schema& message, std::string_view bytes, json& into) {
        if (path_.size() > max_message_depth)
            fail("messages nest deeper than " + std::to_string(max_message_depth));
        protozero::pbf_reader in(bytes.data(), bytes.size());
        while (next(in)) {
            const field_schema* f = message.find(in.tag());
            if (f == nullptr)
                fail("unknown field " + std::to_string(in.tag()) + " of " + std::string(message.name),
                     errc::unknown_name);
            path_.push_back({f->key});
            read_field(*f, in, into.get_ref<json::object_t&>());
            path_.pop_back();
        }
    }

    void read_field(const field_schema& f, protozero::pbf_reader& in, json::object_t& object) {
        const wire wanted = wire_of(f.type);
        const bool packed = f.repeated && wanted != wire::length_delimited && in.wire_type() == wire::length_delimited;
        if (in.wire_type() != wanted && !packed)
            fail(name_of_wire(wanted) + " wanted, " + name_of_wire(in.wire_type()) + " came");
        const auto [place, added] = object.emplace(std::string(f.key), nullptr);
        json& member = place->second;
        if (f.type == schema_type::map) {
            if (added) member = kind::object;
            read_entry(*f.message, bytes_of(in), member.get_ref<json::object_t&>());
        } else if (f.repeated && f.type == schema_type::real) {
            if (added) member = kind::binary;
            read_reals(packed ? bytes_of(in) : scalar_bytes(in), member.get_binary());
        } else if (f.repeated) {
            if (added) member = kind::array;
            auto& elements = member.get_ref<json::array_t&>();
            if (!packed) {
                path_.back().index = elements.size();
                read_value(f, in, elements.emplace_back());
            } else {
                const std::string_view values = bytes_of(in);
                const char* from = values.data();
                while (from != values.data() + values.size()) {
                    path_.back().index = elements.size();
                    elements.push_back(scalar(f, from, values.data() + values.size()));
                }
            }
        } else {
            read_value(f, in, member);
        }
    }

    /// One value; a message is merged into what came before, anything else replaces it, as protobuf asks for.
    void read_value(const field_schema& f, protozero::pbf_reader& in, json& value) {
        if (wire_of(f.type) != wire::length_delimited) {
            const char* from = in.data().data();
            value = scalar(f, from, from + in.length());
            in.skip();
            return;
        }
        const std::string_view bytes = bytes_of(in);
        if (f.type == schema_type::text) {
            if (!is_utf8(bytes)) fail("a text in UTF-8 wanted, other bytes came");
            value = bytes;
        } else if (f.type == schema_type::bytes) {
            value = kind::binary;  // json::binary leaves a null pointer to destroy where it finds no memory
            value.get_binary().assign(bytes.begin(), bytes.end());
        } else {
            if (value.is_null()) value = kind::object;
            if (f.type == schema_type::message) read_message(*f.message, bytes, value);
        }
    }

    static std::string_view scalar_bytes(protozero::pbf_reader& in) {
        const char* from = in.data().data();
        in.skip();
        return {from, static_cast<std::size_t>(in.data().data() - from)};
    }

    void read_reals(std::string_view bytes, json::binary_t& to) const {
        if (bytes.size() % 4 != 0)
            fail("a multiple of 4 bytes wanted, " + std::to_string(bytes.size()) + " came");
        to.insert(to.end(), bytes.begin(), bytes.end());
    }

    template <class T>
    static T fixed(const char*& from, const char* end) {
        if (static_cast<std::size_t>(end - from) < sizeof(T)) throw protozero::end_of_buffer_exception();
        const auto bits = load_little_endian<T>(reinterpret_cast<const std::byte*>(from));
        from += sizeof(T);
        return bits;
    }
    static json scalar(const field_schema& f, const char*& from, const char* end) {
        if (f.type == schema_type::real) return std::bit_cast<float>(fixed<std::uint32_t>(from, end));
        if (f.type == schema_type::number) return std::bit_cast<double>(fixed<std::uint64_t>(from, end));
        const std::uint64_t bits = varint(from, end);
        switch (f.type) {
            case schema_type::boolean:
                return bits != 0;
            case schema_type::int64:
                return static_cast<std::int64_t>(bits);
            case schema_type::uint32:
                return static_cast<std::uint32_t>(bits);
            case schema_type::uint64:
                return bits;
            default:
                break;
        }
        const auto number = static_cast<std::int32_t>(static_cast<std::uint32_t>(bits));
        if (f.type == schema_type::enumerator)
            for (const auto& e : f.enumeration->enumerators)
                if (e.number == number) return std::string(e.name);
        return number;
    }

    /// The next member of a map. Where a key comes twice the last one counts.
    void read_entry(const message_schema& entry, std::string_view bytes, json::object_t& object) {
        json_document pair(kind::object);
        read_message(entry, bytes, *pair);
        const auto part = [&](const char* name, const field_schema& f) -> json& {
            json& given = (*pair)[name];
            if (given.is_null())
                given = f.type == schema_type::text      ? kind::string
                        : f.type == schema_type::message ? kind::object
                                                         : kind::number_integer;
            return given;
        };
        const json& key = part("key", entry.fields[0]);
        json& value = part("value", entry.fields[1]);
        object[key.is_string() ? key.get<std::string>() : key.dump()].swap(value);
    }

    std::vector<step> path_;
};

json_document document_of_mlmodel(std::span<const std::byte> mlmodel) {
    const std::string_view bytes(reinterpret_cast<const char*>(mlmodel.data()), mlmodel.size());
    try {
        return protobuf_reader().read(*find_message("Model"), bytes);
    } catch (const error& problem) {
        const std::string kind = bytes.starts_with('{') ? "JSON, which wants another name" : kind_of_file(bytes);
        if (kind.empty() || bytes.starts_with('\x08')) throw;
        throw error(problem.code(), problem.what() + ("; a Core ML model wanted, this looks like " + kind));
    }
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

model parse(std::span<const std::byte> mlmodel, std::span<const layer_codec> codecs, const load_options& options) {
    detail::weights_place none;
    return detail::read_model(*detail::document_of_mlmodel(mlmodel), codecs, options, none);
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif
