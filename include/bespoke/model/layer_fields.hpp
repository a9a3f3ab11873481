#pragma once

#include "../core/concepts.hpp"
#include "../core/list.hpp"
#include "object_reader.hpp"
#include "object_writer.hpp"

#include <array>
#include <cstdint>
#include <list>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

/// The hyper-parameters of any layer between document and struct. What a layer says about itself (`fields`) becomes a
/// table; one reader and one writer, which know no layer, work through it. So a layer adds data and next to no code.
namespace bespoke {
namespace detail {

enum class field_kind : unsigned char {
    boolean,
    int64,
    int32,
    real,
    number,
    text,        ///< std::string_view
    enumerator,  ///< an enum over int
    extents,     ///< shape
    pair,        ///< std::array<extent, count>
    integers,    ///< list<extent, count>
    booleans,    ///< list<bool, count>
    message,     ///< a struct with `fields`
    messages,    ///< std::array of such, `count` of them
    choice,      ///< std::variant of such: a `oneof`
};

struct field_table;

struct field_entry {
    std::string_view key{};
    field_kind kind{};
    std::uint32_t count = 0, stride = 0;           ///< of an array: elements, and bytes from one to the next
    void (*assign)(void* list, std::span<const std::int64_t> values) = nullptr;
    std::vector<std::int64_t> (*elements)(const void* list) = nullptr;
    std::span<const std::string_view> names{};     ///< of enumerators, or keys of a choice
    const field_table* const* messages = nullptr;  ///< what stands in a message, or in each alternative of a choice
    bool (*is_default)(const void* message) = nullptr;
    std::size_t (*index)(const void* choice) = nullptr;
    void* (*alternative)(const void* choice) = nullptr;           ///< the one there is
    void* (*emplace)(void* choice, std::size_t index) = nullptr;  ///< another one
};

struct field_table {
    static constexpr std::size_t most = 32;

    std::span<const field_entry> entries;
    void (*locate)(void* owner, void** members) = nullptr;  ///< writes where each of the fields is
};

template <class Owner>
struct table_of;

/// A message of the specification inside a layer: a struct with `fields`.
template <class T>
concept message_value = requires { std::tuple_size_v<std::remove_cvref_t<decltype(T::fields)>>; };

template <class T>
inline constexpr bool is_array_of = false;
template <class T, std::size_t Count>
inline constexpr bool is_array_of<std::array<T, Count>> = true;

template <class T>
inline constexpr bool is_list = false;
template <class T, std::size_t Most>
inline constexpr bool is_list<list<T, Most>> = true;

template <class List>
void assign_list(void* list, std::span<const std::int64_t> values) {
    List given;
    for (std::int64_t v : values) given.push_back(static_cast<typename List::value_type>(v));
    *static_cast<List*>(list) = given;
}
template <class List>
std::vector<std::int64_t> elements_of_list(const void* list) {
    const List& values = *static_cast<const List*>(list);
    return {values.begin(), values.end()};
}

template <class... Messages>
inline constexpr std::array<const field_table*, sizeof...(Messages)> tables_of{&table_of<Messages>::value...};

template <class E>
inline constexpr auto enumerator_names = enumerators(E{});

template <class T>
bool is_default(const void* message) {
    return *static_cast<const T*>(message) == T{};
}

template <class T>
constexpr field_entry entry_for(std::string_view key) {
    field_entry entry{.key = key};
    if constexpr (std::is_same_v<T, bool>) {
        entry.kind = field_kind::boolean;
    } else if constexpr (std::is_same_v<T, std::int64_t>) {
        entry.kind = field_kind::int64;
    } else if constexpr (std::is_same_v<T, std::int32_t>) {
        entry.kind = field_kind::int32;
    } else if constexpr (std::is_same_v<T, float>) {
        entry.kind = field_kind::real;
    } else if constexpr (std::is_same_v<T, double>) {
        entry.kind = field_kind::number;
    } else if constexpr (std::is_same_v<T, std::string_view>) {
        entry.kind = field_kind::text;
    } else if constexpr (std::is_same_v<T, shape>) {
        entry.kind = field_kind::extents;
    } else if constexpr (specified_enum<T>) {
        static_assert(std::is_same_v<std::underlying_type_t<T>, int>, "an enumeration over int wanted");
        entry.kind = field_kind::enumerator;
        entry.names = enumerator_names<T>;
    } else if constexpr (message_value<T>) {
        entry.kind = field_kind::message;
        entry.messages = tables_of<T>.data();
        entry.is_default = &is_default<T>;
    } else if constexpr (is_list<T>) {
        constexpr bool flags = std::is_same_v<typename T::value_type, bool>;
        static_assert(flags || std::is_same_v<typename T::value_type, extent>,
                      "a list of a type that the codec does not know");
        entry.kind = flags ? field_kind::booleans : field_kind::integers;
        entry.count = T::most;
        entry.assign = &assign_list<T>;
        entry.elements = &elements_of_list<T>;
    } else {
        static_assert(is_array_of<T>, "a field of a type that the codec does not know");
        using element = typename T::value_type;
        entry.count = std::tuple_size_v<T>;
        entry.stride = sizeof(element);
        if constexpr (message_value<element>) {
            entry.kind = field_kind::messages;
            entry.messages = tables_of<element>.data();
        } else {
            static_assert(std::is_same_v<element, extent>, "an array of a type that the codec does not know");
            entry.kind = field_kind::pair;
        }
    }
    return entry;
}
template <class Owner, class Value>
constexpr field_entry entry_of(const field<Owner, Value>& f) {
    return entry_for<Value>(f.name);
}

/// What a document calls an alternative: of a family, the name inside it.
template <class T>
constexpr std::string_view alternative_key() {
    if constexpr (requires { T::nested_key; })
        return T::nested_key;
    else
        return T::key;
}

template <class Variant>
struct choice_of;
template <class... Alternatives>
struct choice_of<std::variant<Alternatives...>> {
    using type = std::variant<Alternatives...>;
    static constexpr std::array<std::string_view, sizeof...(Alternatives)> keys{alternative_key<Alternatives>()...};

    static std::size_t index(const void* choice) { return static_cast<const type*>(choice)->index(); }
    static void* alternative(const void* choice) {
        void* found = nullptr;
        auto& variant = *static_cast<type*>(const_cast<void*>(choice));
        ((found = std::holds_alternative<Alternatives>(variant) ? std::get_if<Alternatives>(&variant) : found), ...);
        return found;
    }
    static void* emplace(void* choice, std::size_t index) {
        std::size_t number = 0;
        void* made = nullptr;
        ((made = number++ == index ? &static_cast<type*>(choice)->template emplace<Alternatives>() : made), ...);
        return made;
    }
};
template <class Owner, class... Alternatives>
constexpr field_entry entry_of(const oneof<Owner, std::variant<Alternatives...>>&) {
    using choice = choice_of<std::variant<Alternatives...>>;
    return {.key = choice::keys[0],
            .kind = field_kind::choice,
            .names = choice::keys,
            .messages = tables_of<Alternatives...>.data(),
            .index = &choice::index,
            .alternative = &choice::alternative,
            .emplace = &choice::emplace};
}

template <class Owner>
struct table_of {
    static constexpr std::size_t count = std::tuple_size_v<std::remove_cvref_t<decltype(Owner::fields)>>;
    static_assert(count <= field_table::most, "a struct with more fields than the codec has room for");

    template <std::size_t... I>
    static constexpr std::array<field_entry, count> list(std::index_sequence<I...>) {
        return {entry_of(std::get<I>(Owner::fields))...};
    }
    template <std::size_t... I>
    static void locate_each(Owner& owner, void** members, std::index_sequence<I...>) {
        ((members[I] = &(owner.*std::get<I>(Owner::fields).member)), ...);
    }
    static void locate([[maybe_unused]] void* owner, [[maybe_unused]] void** members) {
        if constexpr (count > 0)
            locate_each(*static_cast<Owner*>(owner), members, std::make_index_sequence<count>{});
    }

    static constexpr std::array<field_entry, count> entries = list(std::make_index_sequence<count>{});
    static constexpr field_table value{entries, &locate};
};

}  // namespace detail

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

#include <cstring>

namespace bespoke {
namespace detail {

inline void check_most(std::size_t most, std::size_t came, std::string_view key, const object_reader& in) {
    if (came > most)
        in.fail(errc::bad_value, key,
                "at most " + std::to_string(most) + " elements wanted, " + std::to_string(came) + " came");
}
inline shape to_shape(std::span<const extent> extents, std::string_view key, const object_reader& in) {
    if (extents.size() > max_rank)
        in.fail(errc::bad_value, key,
                "at most " + std::to_string(max_rank) + " numbers wanted, " + std::to_string(extents.size()) + " came");
    return shape(extents);
}
inline void check_elements(std::size_t wanted, std::size_t came, std::string_view key, const object_reader& in) {
    if (wanted != came)
        in.fail(errc::bad_value, key,
                std::to_string(wanted) + " elements wanted, " + std::to_string(came) + " came");
}

/// Reads one field into `member`. False: the document leaves it out, and its default is not zero.
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
        case field_kind::int32: {
            const std::int64_t number = in.integer(f.key);
            if (!std::in_range<std::int32_t>(number)) in.fail(errc::bad_value, f.key, "the number is too large");
            *static_cast<std::int32_t*>(member) = static_cast<std::int32_t>(number);
            return true;
        }
        case field_kind::real:
            *static_cast<float*>(member) = in.real(f.key);
            return true;
        case field_kind::number:
            *static_cast<double*>(member) = in.number(f.key);
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
            const auto extents = in.integers(f.key);
            const shape given = to_shape(extents, f.key, in);
            if (extents.empty()) return false;
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
            object_reader inner = in.object(f.key);
            if (!in.has(f.key)) return false;
            read_fields(**f.messages, member, inner, implied, texts);
            inner.finish();
            return true;
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
            return out.integer(f.key, *static_cast<const std::int32_t*>(member));
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
    for (std::size_t i = 0; i < table.entries.size(); ++i) {
        const detail::field_entry& f = table.entries[i];
        if (!detail::read_field(f, members[i], in, implied, texts))
            implied.insert(in.place() + "/" + std::string(f.key));
    }
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
