#include <bespoke/convert/schema.hpp>

#include <bespoke/model/layer_codec.hpp>

#include <catch2/catch.hpp>

#include <set>
#include <string>

using namespace bespoke;

namespace {

/// What the schema and a layer say differently of one another.
struct complaints {
    std::string text;

    void add(const message_schema& message, std::string_view key, std::string_view what) {
        text.append(message.name).append(".").append(key).append(": ").append(what).append("\n");
    }

    const field_schema* find(const message_schema& message, std::string_view key) {
        for (const field_schema& f : message.fields)
            if (f.key == key) return &f;
        add(message, key, "not in the schema");
        return nullptr;
    }

    void compare(const detail::field_entry& entry, const message_schema& message) {
        using detail::field_kind;
        if (entry.kind == field_kind::choice) {
            for (std::size_t i = 0; i < entry.names.size(); ++i)
                if (const field_schema* f = find(message, entry.names[i])) {
                    if (f->type != schema_type::message || f->repeated)
                        add(message, f->key, "a message wanted");
                    else
                        compare(*entry.messages[i], *f->message);
                }
            return;
        }
        const field_schema* f = find(message, entry.key);
        if (f == nullptr) return;
        const auto is = [&](bool repeated, std::initializer_list<schema_type> types) {
            for (schema_type type : types)
                if (f->type == type && f->repeated == repeated) return;
            add(message, entry.key, "another type in the layer");
        };
        switch (entry.kind) {
            case field_kind::boolean:
                return is(false, {schema_type::boolean});
            case field_kind::int64:
            case field_kind::int32:
                return is(false,
                          {schema_type::int32, schema_type::int64, schema_type::uint32, schema_type::uint64});
            case field_kind::real:
                return is(false, {schema_type::real});
            case field_kind::reals:
                return is(true, {schema_type::real});
            case field_kind::number:
                return is(false, {schema_type::number});
            case field_kind::text:
                return is(false, {schema_type::text});
            case field_kind::extents:
            case field_kind::pair:
            case field_kind::integers:
                return is(true,
                          {schema_type::int32, schema_type::int64, schema_type::uint32, schema_type::uint64});
            case field_kind::booleans:
                return is(true, {schema_type::boolean});
            case field_kind::message:
            case field_kind::messages:
                is(entry.kind == field_kind::messages, {schema_type::message});
                if (f->message != nullptr) compare(**entry.messages, *f->message);
                return;
            default:
                break;
        }
        is(false, {schema_type::enumerator});
        if (f->enumeration == nullptr) return;
        const auto& enumerators = f->enumeration->enumerators;
        for (std::size_t i = 0; i < std::max(entry.names.size(), enumerators.size()); ++i)
            if (i >= entry.names.size() || i >= enumerators.size() || entry.names[i] != enumerators[i].name ||
                enumerators[i].number != static_cast<std::int64_t>(i))
                return add(message, entry.key, "other enumerators in the layer");
    }
    void compare(const detail::field_table& table, const message_schema& message) {
        for (const auto& entry : table.entries) compare(entry, message);
    }

    /// "weightParams.1.biasVector": the member of a message inside the layer.
    void compare_parameter(std::string_view path, const message_schema& message) {
        const message_schema* inside = &message;
        for (std::size_t dot = path.find('.'); dot != std::string_view::npos; dot = path.find('.')) {
            const std::string_view step = path.substr(0, dot);
            path.remove_prefix(dot + 1);
            if (step[0] >= '0' && step[0] <= '9') continue;
            const field_schema* f = find(*inside, step);
            if (f == nullptr || f->message == nullptr) return;
            inside = f->message;
        }
        if (const field_schema* f = find(*inside, path); f != nullptr && f->type_name != "WeightParams")
            add(*inside, path, "no weights");
    }
};

}  // namespace

TEST_CASE("the schema knows every layer as the layer knows itself") {
    complaints c;
    const message_schema& layers = *find_message("NeuralNetworkLayer");
    for (const layer_codec& codec : codecs_in<core_layers>) {
        const field_schema* f = c.find(layers, codec.key);
        if (f != nullptr && !codec.nested_key.empty()) f = c.find(*f->message, codec.nested_key);
        if (f == nullptr) continue;
        c.compare(*codec.fields, *f->message);
        for (const parameter_rule& parameter : codec.parameters()) c.compare_parameter(parameter.name, *f->message);
    }
    CHECK(c.text == "");
}

TEST_CASE("the schema is whole") {
    std::set<std::string_view> reached{"Model"};
    for (const message_schema* message : all_messages()) {
        std::set<std::string_view> keys;
        std::set<std::uint32_t> numbers;
        for (const field_schema& f : message->fields) {
            INFO(message->name << "." << f.key);
            CHECK((f.number > 0 && f.number < 1u << 29));
            CHECK(keys.insert(f.key).second);
            CHECK(numbers.insert(f.number).second);
            CHECK(message->find(f.number) == &f);
            CHECK(message->find(f.key) == &f);
            CHECK((f.type == schema_type::message || f.type == schema_type::map) == (f.message != nullptr));
            CHECK((f.type == schema_type::enumerator) == (f.enumeration != nullptr));
            if (f.message != nullptr) reached.insert(f.message->name);
        }
        CHECK(message->find(0u) == nullptr);
        CHECK(message->find("no such field") == nullptr);
    }
    for (const message_schema* message : all_messages()) {
        INFO(message->name);
        CHECK(reached.contains(message->name));
    }
    CHECK(find_message("NoSuchMessage") == nullptr);
}
