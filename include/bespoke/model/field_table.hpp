#pragma once

#include "../core/concepts.hpp"
#include "../core/list.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

/// What a layer says about itself (`fields`) as a table, by which a reader and a writer that know no layer find their
/// way in its struct (layer_fields.hpp). So a layer adds data and next to no code.
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
    reals,       ///< std::array<float, count>; zeros where there are none
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
    field_floats floats = field_floats::finite;
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

/// What `fields` of a message is called with: makes it what one that a document leaves out is read as.
struct absent_fields {
    template <class T>
    void operator()(std::string_view, T& member, field_floats = field_floats::finite) {
        if constexpr (has_fields<T>)
            member.fields(*this);
        else if constexpr (std::is_scalar_v<T> || std::is_same_v<T, std::string_view>)
            member = T{};
    }
    void operator()(auto&) {}
};

/// Whether a document may leave it out.
template <class T>
bool is_default(const void* message) {
    T absent{};
    absent_fields none;
    absent.fields(none);
    return *static_cast<const T*>(message) == absent;
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
    } else if constexpr (has_fields<T>) {
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
        if constexpr (has_fields<element>) {
            entry.kind = field_kind::messages;
            entry.messages = tables_of<element>.data();
        } else if constexpr (std::is_same_v<element, float>) {
            entry.kind = field_kind::reals;
        } else {
            static_assert(std::is_same_v<element, extent>, "an array of a type that the codec does not know");
            entry.kind = field_kind::pair;
        }
    }
    return entry;
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
template <class... Alternatives>
constexpr field_entry entry_for(const std::variant<Alternatives...>&) {
    using choice = choice_of<std::variant<Alternatives...>>;
    return {.key = choice::keys[0],
            .kind = field_kind::choice,
            .names = choice::keys,
            .messages = tables_of<Alternatives...>.data(),
            .index = &choice::index,
            .alternative = &choice::alternative,
            .emplace = &choice::emplace};
}

/// What `fields` of each struct is called with: this one counts them, and writes down what there is to know of each,
/// when it compiles,
struct field_lister {
    field_entry* entries = nullptr;
    std::size_t count = 0;

    template <class T>
    constexpr void operator()(std::string_view key, T&, field_floats floats = field_floats::finite) {
        if (entries != nullptr) {
            entries[count] = entry_for<T>(key);
            entries[count].floats = floats;
        }
        ++count;
    }
    template <class... Alternatives>
    constexpr void operator()(std::variant<Alternatives...>& member) {
        if (entries != nullptr) entries[count] = entry_for(member);
        ++count;
    }
};
/// and this one, as the program runs, where they are.
struct field_locator {
    void** next;

    void operator()(std::string_view, auto& member, field_floats = field_floats::finite) { *next++ = &member; }
    void operator()(auto& member) { *next++ = &member; }
};

inline void locate_nothing(void*, void**) {}

template <class Owner>
struct table_of {
    static constexpr std::size_t count = [] {
        Owner owner{};
        field_lister lister;
        owner.fields(lister);
        return lister.count;
    }();
    static_assert(count <= field_table::most, "a struct with more fields than the codec has room for");

    static void locate(void* owner, void** members) {
        field_locator locator{members};
        static_cast<Owner*>(owner)->fields(locator);
    }

    static constexpr std::array<field_entry, count> entries = [] {
        std::array<field_entry, count> list{};
        Owner owner{};
        field_lister lister{list.data()};
        owner.fields(lister);
        return list;
    }();
    static constexpr field_table value{entries, count > 0 ? &locate : &locate_nothing};
};

}  // namespace detail
}  // namespace bespoke
