#pragma once

#include "field_table.hpp"
#include "object_reader.hpp"
#include "object_writer.hpp"

#include <list>
#include <set>
#include <string>

/// The hyper-parameters of any layer between document and struct: one reader and one writer, which know no layer, work
/// through the layer's table.
namespace bespoke {

/// Strings that fields of type std::string_view look at; they live beside the layer.
using text_pool = std::list<std::string>;

/// The fields with a default other than zero that a document leaves out, by place: they are left out again.
using implied_fields = std::set<std::string>;

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// Where the writer is, and what it leaves out.
struct written_place {
    const implied_fields* implied = nullptr;  ///< null: the layers were composed in code
    std::string text{};

    bool is_implied(std::string_view key) const;
};

/// Throws `error` with the place of what does not fit.
void read_fields(const detail::field_table& table, void* owner, object_reader& in, implied_fields& implied,
                 text_pool& texts);
void write_fields(const detail::field_table& table, const void* owner, object_writer& out, written_place& place);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <cmath>
#include <cstring>

namespace bespoke {
namespace detail {

inline void check_most(std::size_t most, std::size_t came, std::string_view key, const object_reader& in) {
    if (came > most)
        in.fail(errc::bad_value, key,
                "at most " + std::to_string(most) + " elements wanted, " + std::to_string(came) + " came");
}
inline void check_elements(std::size_t wanted, std::size_t came, std::string_view key, const object_reader& in) {
    if (wanted != came)
        in.fail(errc::bad_value, key,
                std::to_string(wanted) + " elements wanted, " + std::to_string(came) + " came");
}

template <class T>
void check_finite(T number, std::string_view key, const object_reader& in) {
    if (!std::isfinite(number))
        in.fail(errc::bad_value, key, "a finite number wanted, " + shown(static_cast<double>(number)) + " came");
}

/// Reads one field into `member`. False: the document leaves it out, and its default is not zero, or there is none.
inline bool read_field(const field_entry& f, void* member, object_reader& in, implied_fields& implied,
                       text_pool& texts) {
    using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::read_fields;
    const auto element = [&](std::size_t i) { return static_cast<char*>(member) + i * f.stride; };
    switch (f.kind) {
        case field_kind::boolean:
            *static_cast<bool*>(member) = in.boolean(f.key);
            return true;
        case field_kind::int64:
            *static_cast<std::int64_t*>(member) = in.integer(f.key);
            return true;
        case field_kind::int32:
            *static_cast<std::int32_t*>(member) = in.small_integer(f.key);
            return true;
        case field_kind::real:
            *static_cast<float*>(member) = in.real(f.key);
            if (f.floats == field_floats::finite) check_finite(*static_cast<float*>(member), f.key, in);
            return true;
        case field_kind::number:
            *static_cast<double*>(member) = in.number(f.key);
            if (f.floats == field_floats::finite) check_finite(*static_cast<double*>(member), f.key, in);
            return true;
        case field_kind::text:
            *static_cast<std::string_view*>(member) = texts.emplace_back(in.text(f.key));
            return true;
        case field_kind::enumerator: {
            const int number = static_cast<int>(in.enumerator(f.key, f.names));
            std::memcpy(member, &number, sizeof number);
            return true;
        }
        case field_kind::extents: {
            const shape given = in.extents(f.key);
            if (given.rank() == 0) return false;
            *static_cast<shape*>(member) = given;
            return true;
        }
        case field_kind::pair: {
            const auto elements = in.integers(f.key);
            if (elements.empty()) return false;
            check_elements(f.count, elements.size(), f.key, in);
            for (std::size_t i = 0; i < f.count; ++i) static_cast<extent*>(member)[i] = elements[i];
            return true;
        }
        case field_kind::reals: {
            const auto elements = in.reals(f.key);
            if (elements.empty()) return true;
            check_elements(f.count, elements.size(), f.key, in);
            if (f.floats == field_floats::finite)
                for (const float element : elements) check_finite(element, f.key, in);
            std::copy(elements.begin(), elements.end(), static_cast<float*>(member));
            return true;
        }
        case field_kind::integers:
        case field_kind::booleans: {
            std::vector<std::int64_t> elements;
            if (f.kind == field_kind::integers)
                elements = in.integers(f.key);
            else
                for (bool flag : in.booleans(f.key)) elements.push_back(flag ? 1 : 0);
            check_most(f.count, elements.size(), f.key, in);
            if (elements.empty()) return false;
            f.assign(member, elements);
            return true;
        }
        case field_kind::message: {
            // One that is absent is one whose fields are.
            const bool given = in.has(f.key);
            object_reader inner = in.object(f.key);
            implied_fields inside_absent;
            read_fields(**f.messages, member, inner, given ? implied : inside_absent, texts);
            inner.finish();
            return given;
        }
        case field_kind::messages: {
            auto elements = in.objects(f.key);
            if (elements.empty()) return false;
            check_elements(f.count, elements.size(), f.key, in);
            for (std::size_t i = 0; i < f.count; ++i) {
                read_fields(**f.messages, element(i), elements[i], implied, texts);
                elements[i].finish();
            }
            return true;
        }
        default: {
            const std::string_view found = in.one_of(f.names);
            if (found.empty()) return false;
            std::size_t i = 0;
            while (f.names[i] != found) ++i;
            object_reader inner = in.object(found);
            read_fields(*f.messages[i], f.emplace(member, i), inner, implied, texts);
            inner.finish();
            return true;
        }
    }
}

/// A message as an object, with `key` appended to the place.
inline object_writer written_message(const field_table& table, const void* message, std::string_view key,
                                     define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::written_place& place) {
    object_writer inner;
    const std::size_t outer = place.text.size();
    place.text.append("/").append(key);
    write_fields(table, message, inner, place);
    place.text.resize(outer);
    return inner;
}

inline void write_field(const field_entry& f, const void* member, object_writer& out,
                        define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::written_place& place) {
    switch (f.kind) {
        case field_kind::boolean:
            return out.boolean(f.key, *static_cast<const bool*>(member));
        case field_kind::int64:
            return out.integer(f.key, *static_cast<const std::int64_t*>(member));
        case field_kind::int32:
            return out.small_integer(f.key, *static_cast<const std::int32_t*>(member));
        case field_kind::real:
            return out.real(f.key, *static_cast<const float*>(member));
        case field_kind::number:
            return out.number(f.key, *static_cast<const double*>(member));
        case field_kind::text:
            return out.text(f.key, *static_cast<const std::string_view*>(member));
        case field_kind::enumerator: {
            int number = 0;
            std::memcpy(&number, member, sizeof number);
            return out.enumerator(f.key, f.names, static_cast<std::size_t>(number));
        }
        case field_kind::reals: {
            const std::span<const float> elements(static_cast<const float*>(member), f.count);
            const auto is_set = [](float v) { return v != 0; };
            if (std::ranges::any_of(elements, is_set)) out.reals(f.key, elements);
            return;
        }
        default:
            break;
    }
    if (place.is_implied(f.key)) return;
    if (f.kind == field_kind::extents) {
        const shape& s = *static_cast<const shape*>(member);
        out.integers(f.key, std::span<const extent>(s.begin(), s.rank()));
    } else if (f.kind == field_kind::pair) {
        out.integers(f.key, std::span<const extent>(static_cast<const extent*>(member), f.count));
    } else if (f.kind == field_kind::integers) {
        out.integers(f.key, f.elements(member));
    } else if (f.kind == field_kind::booleans) {
        const auto elements = f.elements(member);
        out.booleans(f.key, {elements.begin(), elements.end()});
    } else if (f.kind == field_kind::message) {
        if (place.implied != nullptr || !f.is_default(member))
            out.object(f.key, written_message(**f.messages, member, f.key, place));
    } else if (f.kind == field_kind::messages) {
        std::vector<object_writer> elements;
        for (std::size_t i = 0; i < f.count; ++i)
            elements.push_back(written_message(**f.messages, static_cast<const char*>(member) + i * f.stride,
                                               std::string(f.key) + "/" + std::to_string(i), place));
        out.objects(f.key, elements);
    } else {
        const std::size_t i = f.index(member);
        out.object(f.names[i], written_message(*f.messages[i], f.alternative(member), f.names[i], place));
    }
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

bool written_place::is_implied(std::string_view key) const {
    return implied != nullptr && implied->contains(text + "/" + std::string(key));
}

void read_fields(const detail::field_table& table, void* owner, object_reader& in, implied_fields& implied,
                 text_pool& texts) {
    void* members[detail::field_table::most];
    table.locate(owner, members);
    const detail::field_entry* missing = nullptr;
    for (std::size_t i = 0; i < table.entries.size(); ++i) {
        const detail::field_entry& f = table.entries[i];
        if (detail::read_field(f, members[i], in, implied, texts)) continue;
        if (f.kind == detail::field_kind::choice)
            missing = &f;
        else
            implied.insert(in.place() + "/" + std::string(f.key));
    }
    if (missing == nullptr) return;
    in.finish();  // a name that is not known is the better reason
    std::vector<std::string> names;
    for (std::string_view name : missing->names) names.push_back(in_quotes(name));
    in.fail(errc::bad_value, "", detail::alternatives(names) + " wanted, none came");
}

void write_fields(const detail::field_table& table, const void* owner, object_writer& out, written_place& place) {
    void* members[detail::field_table::most];
    table.locate(const_cast<void*>(owner), members);
    for (std::size_t i = 0; i < table.entries.size(); ++i)
        detail::write_field(table.entries[i], members[i], out, place);
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif
