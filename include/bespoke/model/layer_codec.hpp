#pragma once

#include "../control/branch.hpp"
#include "../control/loop.hpp"
#include "../layers/all.hpp"
#include "../network/layer_list.hpp"
#include "base64.hpp"
#include "document.hpp"
#include "feature.hpp"
#include "float16.hpp"
#include "safetensors.hpp"

#include <deque>
#include <memory>
#include <set>
#include <variant>

/// Layers between document and program: one codec over what each layer says about itself (`key`, `fields`,
/// `parameter_fields`), and the table of those that a model may use.
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

/// What a converter noted of a blob: "inputTensor" and "outputTensor" of a layer. Kept, not looked at.
struct tensor_note {
    std::int64_t rank = 0;
    std::vector<std::int64_t> dimensions;
    friend bool operator==(const tensor_note&, const tensor_note&) = default;
};

/// What a document says of a layer beyond the layer itself.
struct layer_notes {
    std::vector<tensor_note> inputs, outputs;
    std::vector<weight_source> weights;  ///< one for each of the layer's parameters
};

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {
class network_reader;
class network_writer;
}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::network_reader;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::network_writer;

/// How one layer type is read and written.
struct layer_codec {
    std::string_view key, nested_key;  ///< nested_key is empty where the layer is not one of a family
    const void* type = nullptr;        ///< what `any_node::type` gives
    std::span<const std::string_view> parameters;
    std::shared_ptr<any_node> (*read)(object_reader& fields, network_reader& networks) = nullptr;
    /// With the shapes of the layer's inputs, what they determine is written out; without, as it came.
    void (*write)(const any_node& node, std::span<const shape> inputs, object_writer& fields,
                  network_writer& networks) = nullptr;
};

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {
layer_list read_layers(network_reader& networks, object_reader& network);
layer_list read_subnetwork(network_reader& networks, object_reader& fields, std::string_view key);
std::vector<object_writer> write_layers(network_writer& networks, const layer_list& layers);
void write_subnetwork(network_writer& networks, const layer_list& layers, object_writer& fields,
                      std::string_view key, bool required);
/// How many numbers the document gives for each of these parameters.
std::vector<extent> weight_lengths(const network_reader& networks, object_reader& fields,
                                   std::span<const std::string_view> parameters);

/// The state of reading the layers of one document.
class network_reader {
public:
    struct pending_weight {
        std::size_t step, number;  ///< parameter `number` of step `step`
        object_reader value;
        std::string layer;  ///< place and name of the layer
    };

    explicit network_reader(std::span<const layer_codec> table, const safetensors* weights_file = nullptr);

    std::span<const layer_codec> codecs;
    const safetensors* tensors;
    std::vector<pending_weight> weights;
    std::vector<layer_notes> notes;  ///< in the order of the plan's steps
    /// Places of fields with a default other than zero that the document leaves out.
    std::set<std::string> implied;
};

/// The state of writing the layers of one document.
class network_writer {
public:
    std::span<const layer_codec> codecs;
    plan_view plan;
    const std::set<std::string>* implied = nullptr;  ///< null: the layers were composed in code
    std::string place;                               ///< of what is being written
    std::size_t step = 0;
    /// Writes the parameters of the current step, in the order of the plan.
    void (*write_weights)(void* context, std::size_t step, const layer_codec& codec, object_writer& fields) = nullptr;
    /// Writes what `layer_notes` keep.
    void (*write_notes)(void* context, std::size_t step, object_writer& layer) = nullptr;
    void* context = nullptr;

    bool is_implied(std::string_view key) const;
};

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

namespace detail {

template <class T>
inline constexpr bool is_array_of = false;
template <class T, std::size_t Count>
inline constexpr bool is_array_of<std::array<T, Count>> = true;

/// A message of the specification inside a layer: a struct with `fields`.
template <class T>
concept message_value = requires { std::tuple_size_v<std::remove_cvref_t<decltype(T::fields)>>; };

/// Strings that fields of type std::string_view look at; they live beside the layer.
using text_pool = std::deque<std::string>;

template <class Owner>
void read_fields(Owner& owner, object_reader& in, network_reader& networks, text_pool& texts);

template <class T>
void read_value(T& value, std::string_view key, object_reader& in, network_reader& networks, text_pool& texts) {
    if constexpr (std::is_same_v<T, bool>) {
        value = in.boolean(key);
    } else if constexpr (std::is_integral_v<T>) {
        const std::int64_t number = in.integer(key);
        if (!std::in_range<T>(number)) in.fail(errc::bad_value, key, "the number is too large");
        value = static_cast<T>(number);
    } else if constexpr (std::is_same_v<T, float>) {
        value = in.real(key);
    } else if constexpr (std::is_same_v<T, double>) {
        value = in.number(key);
    } else if constexpr (std::is_same_v<T, std::string_view>) {
        value = texts.emplace_back(in.text(key));
    } else if constexpr (specified_enum<T>) {
        constexpr auto names = enumerators(T{});
        value = static_cast<T>(in.enumerator(key, names));
    } else {
        if constexpr (message_value<T>) {
            if (in.has(key)) {
                object_reader inner = in.object(key);
                read_fields(value, inner, networks, texts);
                return inner.finish();
            }
            in.object(key);
        } else if constexpr (std::is_same_v<T, shape>) {
            const auto extents = in.integers(key);
            if (extents.size() > max_rank)
                in.fail(errc::bad_value, key, "at most " + std::to_string(max_rank) + " numbers wanted, " +
                                                  std::to_string(extents.size()) + " came");
            if (!extents.empty()) {
                value = shape(std::span<const extent>(extents));
                return;
            }
        } else {
            static_assert(is_array_of<T>, "a field of a type that the codec does not know");
            using element = typename T::value_type;
            const auto check = [&](std::size_t count) {
                if (count != value.size())
                    in.fail(errc::bad_value, key, std::to_string(value.size()) + " elements wanted, " +
                                                      std::to_string(count) + " came");
            };
            if constexpr (message_value<element>) {
                auto elements = in.objects(key);
                if (!elements.empty()) {
                    check(elements.size());
                    for (std::size_t i = 0; i < value.size(); ++i) {
                        read_fields(value[i], elements[i], networks, texts);
                        elements[i].finish();
                    }
                    return;
                }
            } else {
                static_assert(std::is_same_v<element, extent>, "an array of a type that the codec does not know");
                const auto elements = in.integers(key);
                if (!elements.empty()) {
                    check(elements.size());
                    std::copy(elements.begin(), elements.end(), value.begin());
                    return;
                }
            }
        }
        networks.implied.insert(in.place() + "/" + std::string(key));
    }
}

template <class Owner, class Value>
void read_field(Owner& owner, const field<Owner, Value>& f, object_reader& in, network_reader& networks,
                text_pool& texts) {
    read_value(owner.*f.member, f.name, in, networks, texts);
}
template <class Owner, class... Alternatives>
void read_field(Owner& owner, const oneof<Owner, std::variant<Alternatives...>>& f, object_reader& in,
                network_reader& networks, text_pool& texts) {
    constexpr std::array<std::string_view, sizeof...(Alternatives)> keys{Alternatives::key...};
    const std::string_view found = in.one_of(keys);
    const auto try_one = [&]<class Alternative>(std::type_identity<Alternative>) {
        if (found != Alternative::key) return;
        Alternative value{};
        object_reader inner = in.object(found);
        read_fields(value, inner, networks, texts);
        inner.finish();
        owner.*f.member = value;
    };
    (try_one(std::type_identity<Alternatives>{}), ...);
    if (found.empty()) networks.implied.insert(in.place() + "/" + std::string(keys[0]));
}

template <class Owner>
void read_fields(Owner& owner, object_reader& in, network_reader& networks, text_pool& texts) {
    std::apply([&](const auto&... f) { (read_field(owner, f, in, networks, texts), ...); }, Owner::fields);
}

template <class Owner>
void write_fields(const Owner& owner, object_writer& out, network_writer& networks);

/// Writes a message with `key` appended to the place.
template <class Message>
object_writer written_message(const Message& message, std::string_view key, network_writer& networks) {
    object_writer inner;
    const std::size_t outer = networks.place.size();
    networks.place.append("/").append(key);
    write_fields(message, inner, networks);
    networks.place.resize(outer);
    return inner;
}

template <class T>
void write_value(const T& value, std::string_view key, object_writer& out, network_writer& networks) {
    if constexpr (std::is_same_v<T, bool>) {
        out.boolean(key, value);
    } else if constexpr (std::is_integral_v<T>) {
        out.integer(key, value);
    } else if constexpr (std::is_same_v<T, float>) {
        out.real(key, value);
    } else if constexpr (std::is_same_v<T, double>) {
        out.number(key, value);
    } else if constexpr (std::is_same_v<T, std::string_view>) {
        out.text(key, value);
    } else if constexpr (specified_enum<T>) {
        constexpr auto names = enumerators(T{});
        out.enumerator(key, names, static_cast<std::size_t>(value));
    } else if (networks.is_implied(key)) {
        return;
    } else if constexpr (message_value<T>) {
        if (networks.implied != nullptr || !(value == T{})) out.object(key, written_message(value, key, networks));
    } else if constexpr (std::is_same_v<T, shape>) {
        out.integers(key, std::span<const extent>(value.begin(), value.rank()));
    } else if constexpr (message_value<typename T::value_type>) {
        std::vector<object_writer> elements;
        for (std::size_t i = 0; i < value.size(); ++i)
            elements.push_back(written_message(value[i], std::string(key) + "/" + std::to_string(i), networks));
        out.objects(key, elements);
    } else {
        out.integers(key, value);
    }
}

template <class Owner, class Value>
void write_field(const Owner& owner, const field<Owner, Value>& f, object_writer& out, network_writer& networks) {
    write_value(owner.*f.member, f.name, out, networks);
}
template <class Owner, class... Alternatives>
void write_field(const Owner& owner, const oneof<Owner, std::variant<Alternatives...>>& f, object_writer& out,
                 network_writer& networks) {
    constexpr std::array<std::string_view, sizeof...(Alternatives)> keys{Alternatives::key...};
    if (networks.is_implied(keys[0])) return;
    std::visit(
        [&]<class Alternative>(const Alternative& value) {
            out.object(Alternative::key, written_message(value, Alternative::key, networks));
        },
        owner.*f.member);
}

template <class Owner>
void write_fields(const Owner& owner, object_writer& out, network_writer& networks) {
    std::apply([&](const auto&... f) { (write_field(owner, f, out, networks), ...); }, Owner::fields);
}

template <class L>
inline constexpr auto parameter_names = [] {
    std::array<std::string_view, parameter_count<L>> names{};
    if constexpr (parametric_layer<L>)
        for (std::size_t i = 0; i < names.size(); ++i) names[i] = L::template parameter_fields<shape>[i].name;
    return names;
}();

/// A node and the strings that its layer looks at. No template: there are many layer types.
struct node_and_texts {
    text_pool texts;
    std::unique_ptr<any_node> node;
};

template <class L>
std::shared_ptr<any_node> read_layer(object_reader& in, network_reader& networks) {
    auto both = std::make_shared<node_and_texts>();
    auto* node = new node_of<L>(L{});
    both->node.reset(node);
    read_fields(node->layer, in, networks, both->texts);
    if constexpr (requires(L& l, std::span<const extent> lengths) { l.set_lengths(lengths); })
        node->layer.set_lengths(define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::weight_lengths(
            networks, in, parameter_names<L>));
    if constexpr (requires(L& l) { l.if_branch.nodes; }) {
        using namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit;
        if (!in.has("ifBranch")) in.fail(errc::bad_value, "ifBranch", "a network wanted, none came");
        node->layer.if_branch = read_subnetwork(networks, in, "ifBranch");
        node->layer.else_branch = read_subnetwork(networks, in, "elseBranch");
    } else if constexpr (requires(L& l) { l.body_network.nodes; }) {
        using namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit;
        if (!in.has("bodyNetwork")) in.fail(errc::bad_value, "bodyNetwork", "a network wanted, none came");
        node->layer.condition_network = read_subnetwork(networks, in, "conditionNetwork");
        node->layer.body_network = read_subnetwork(networks, in, "bodyNetwork");
    }
    return {std::move(both), node};
}

template <class L>
void write_layer(const any_node& node, std::span<const shape> inputs, object_writer& out, network_writer& networks) {
    const L& layer = *node.as<L>();
    if constexpr (requires { layer.resolved(inputs); })
        write_fields(inputs.empty() ? layer : layer.resolved(inputs), out, networks);
    else if constexpr (requires { layer.resolved(inputs[0]); })
        write_fields(inputs.empty() ? layer : layer.resolved(inputs[0]), out, networks);
    else
        write_fields(layer, out, networks);
    if constexpr (requires(const L& l) { l.if_branch.nodes; }) {
        using namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit;
        write_subnetwork(networks, layer.if_branch, out, "ifBranch", true);
        write_subnetwork(networks, layer.else_branch, out, "elseBranch", false);
    } else if constexpr (requires(const L& l) { l.body_network.nodes; }) {
        using namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit;
        write_subnetwork(networks, layer.condition_network, out, "conditionNetwork", false);
        write_subnetwork(networks, layer.body_network, out, "bodyNetwork", true);
    }
}

template <class L>
constexpr std::string_view nested_key_of() {
    if constexpr (requires { L::nested_key; })
        return L::nested_key;
    else
        return "";
}

/// T, but instantiated only where the others are known.
template <class T, class... Others>
using dependent = std::conditional_t<sizeof...(Others) + 1 != 0, T, void>;

}  // namespace detail

using branch_node = branch<layer_list, layer_list>;
using loop_node = loop<layer_list, layer_list>;

/// The codec of layer type L.
template <layer L>
constexpr layer_codec codec_of() {
    return {L::key,
            detail::nested_key_of<L>(),
            &layer_type_tag<L>,
            detail::parameter_names<L>,
            &detail::read_layer<L>,
            &detail::write_layer<L>};
}

/// The table of some layer types, and of those for control flow.
template <layer... Ls>
inline constexpr std::array codecs_of{codec_of<detail::dependent<branch_node, Ls...>>(),
                                      codec_of<detail::dependent<loop_node, Ls...>>(),
                                      codec_of<detail::dependent<loop_break, Ls...>>(),
                                      codec_of<detail::dependent<loop_continue, Ls...>>(), codec_of<Ls>()...};

template <class T>
struct in_layer_set {
    using type = layer_set<T>;
};
template <class... Ls>
struct in_layer_set<layer_set<Ls...>> {
    using type = layer_set<Ls...>;
};

/// One set out of sets and layers: `joined_set<core_layers, my_layer>`.
template <class... Parts>
struct joined_sets;
template <class... Ls>
struct joined_sets<layer_set<Ls...>> {
    static constexpr std::span<const layer_codec> codecs{codecs_of<Ls...>};
};
template <class... First, class... Second, class... Rest>
struct joined_sets<layer_set<First...>, layer_set<Second...>, Rest...>
    : joined_sets<layer_set<First..., Second...>, Rest...> {};

template <class... Parts>
inline constexpr std::span<const layer_codec> codecs_in =
    joined_sets<layer_set<>, typename in_layer_set<Parts>::type...>::codecs;

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {
/// The codecs of the layers for control flow, which every table begins with.
std::span<const layer_codec> control_codecs();
}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

/// Null where the table has no such layer type.
constexpr const layer_codec* find_codec(std::span<const layer_codec> codecs, const any_node& node) {
    for (const layer_codec& codec : codecs)
        if (codec.type == node.type()) return &codec;
    return nullptr;
}

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

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

/// The weights of one parameter array as a document gives them, for the shape that the plan asks for. Without
/// `to`, only compares how many there are.
inline void read_weights(object_reader in, const std::string& place, const shape& dimensions,
                         const safetensors* tensors, weight_source& source, float* to) {
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
        const auto bytes = read_bytes(in, kind, 2);
        check_count(bytes.size() / 2);
        for (extent i = 0; i < wanted && to != nullptr; ++i)
            to[i] = float16_to_float(load_little_endian<std::uint16_t>(bytes.data() + 2 * i));
    } else if (kind == "bespoke") {
        source.kind = weight_source::float32_value;
        object_reader inner = in.object(kind);
        const auto bytes = read_bytes(inner, "float32Value", 4);
        check_count(bytes.size() / 4);
        for (extent i = 0; i < wanted && to != nullptr; ++i)
            to[i] = std::bit_cast<float>(load_little_endian<std::uint32_t>(bytes.data() + 4 * i));
        inner.finish();
    } else if (kind == "tensor") {
        source.kind = weight_source::tensor;
        const tensor_entry& entry = find_tensor(in, tensors);
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

inline std::vector<tensor_note> read_tensor_notes(object_reader& layer, std::string_view key) {
    std::vector<tensor_note> notes;
    for (object_reader& in : layer.objects(key)) {
        notes.push_back({in.integer("rank"), in.integers("dimValue")});
        in.finish();
    }
    return notes;
}
inline void write_tensor_notes(object_writer& layer, std::string_view key, const std::vector<tensor_note>& notes) {
    std::vector<object_writer> list;
    for (const tensor_note& note : notes) {
        list.emplace_back().small_integer("rank", static_cast<std::int32_t>(note.rank));
        list.back().integers("dimValue", note.dimensions);
    }
    layer.objects(key, list);
}

/// What the table calls its layers, for "did you mean".
inline std::vector<std::string> names_in(std::span<const layer_codec> codecs, std::string_view key = "") {
    std::vector<std::string> names;
    for (const layer_codec& codec : codecs)
        if (key.empty() || codec.key == key) names.emplace_back(key.empty() ? codec.key : codec.nested_key);
    return names;
}

/// Reads the member of a layer object that says which layer it is.
inline std::shared_ptr<any_node> read_layer_of_table(network_reader& networks, object_reader& layer,
                                                     const std::string& name) {
    static constexpr std::string_view common[] = {"name",         "input",       "output", "inputTensor",
                                                  "outputTensor", "isUpdatable", "bespoke"};
    const std::string place = layer.place() + (name.empty() ? "" : " " + in_quotes(name));
    std::string_view key;
    for (std::string_view candidate : layer.keys()) {
        if (std::find(std::begin(common), std::end(common), candidate) != std::end(common)) continue;
        if (!key.empty())
            throw error(errc::bad_value, place + ": one layer type wanted, " + in_quotes(key) + " and " +
                                             in_quotes(candidate) + " came");
        key = candidate;
    }
    if (key.empty()) throw error(errc::bad_value, place + ": a layer type wanted, none came");
    const auto unknown = [&](std::string_view what, std::string_view family) {
        throw error(errc::unknown_layer, place + ": unknown layer " + in_quotes(what) +
                                             suggestion(what, names_in(networks.codecs, family)));
    };
    object_reader fields = layer.object(key);
    const layer_codec* found = nullptr;
    std::string_view nested;
    bool family = false;
    for (const layer_codec& codec : networks.codecs) {
        if (codec.key != key) continue;
        family = !codec.nested_key.empty();
        if (!family) found = &codec;
    }
    if (found == nullptr && !family) unknown(key, "");
    if (family) {
        const auto keys = fields.keys();
        if (keys.size() != 1)
            throw error(errc::bad_value, fields.place() + ": one field wanted, " +
                                             (keys.empty() ? "none" : std::to_string(keys.size())) + " came");
        nested = keys[0];
        for (const layer_codec& codec : networks.codecs)
            if (codec.key == key && codec.nested_key == nested) found = &codec;
        if (found == nullptr) unknown(nested, key);
        fields = fields.object(nested);
    }
    const std::size_t step = networks.notes.size();
    networks.notes.emplace_back().weights.resize(found->parameters.size());
    for (std::size_t i = 0; i < found->parameters.size(); ++i)
        networks.weights.push_back({step, i, fields.object(found->parameters[i]), place});
    auto node = found->read(fields, networks);
    fields.finish();
    return node;
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

network_reader::network_reader(std::span<const layer_codec> table, const safetensors* weights_file)
    : codecs(table), tensors(weights_file) {}
bool network_writer::is_implied(std::string_view key) const {
    return implied != nullptr && implied->contains(place + "/" + std::string(key));
}

std::span<const layer_codec> control_codecs() { return codecs_of<>; }

layer_list read_layers(network_reader& networks, object_reader& network) {
    layer_list list;
    for (object_reader& layer : network.objects("layers")) {
        const std::string name = layer.text("name");
        const std::size_t step = networks.notes.size();
        auto node = detail::read_layer_of_table(networks, layer, name);
        node->name = name;
        node->inputs = layer.texts("input");
        node->outputs = layer.texts("output");
        node->updatable = layer.boolean("isUpdatable");
        networks.notes[step].inputs = detail::read_tensor_notes(layer, "inputTensor");
        networks.notes[step].outputs = detail::read_tensor_notes(layer, "outputTensor");
        layer.finish();
        list.nodes.push_back(std::move(node));
    }
    return list;
}

layer_list read_subnetwork(network_reader& networks, object_reader& fields, std::string_view key) {
    object_reader network = fields.object(key);
    if (!fields.has(key)) networks.implied.insert(fields.place() + "/" + std::string(key));
    layer_list list = read_layers(networks, network);
    network.finish();
    return list;
}

std::vector<extent> weight_lengths(const network_reader& networks, object_reader& fields,
                                   std::span<const std::string_view> parameters) {
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
            length = static_cast<std::size_t>(detail::find_tensor(in, networks.tensors).dimensions.size());
        }
        lengths.push_back(static_cast<extent>(length));
    }
    return lengths;
}

std::vector<object_writer> write_layers(network_writer& networks, const layer_list& layers) {
    std::vector<object_writer> list;
    const std::string outer = networks.place;
    for (const auto& node : layers.nodes) {
        const layer_codec* codec = find_codec(networks.codecs, *node);
        if (codec == nullptr) throw error(errc::unknown_layer, "a layer that is in no set cannot be written");
        const std::size_t step = networks.step++;
        object_writer& layer = list.emplace_back();
        layer.text("name", node->name);
        layer.texts("input", node->inputs);
        layer.texts("output", node->outputs);
        if (networks.write_notes) networks.write_notes(networks.context, step, layer);
        layer.boolean("isUpdatable", node->updatable);

        networks.place = outer + "/layers/" + std::to_string(list.size() - 1) + "/" + std::string(codec->key);
        if (!codec->nested_key.empty()) networks.place.append("/").append(codec->nested_key);
        std::vector<shape> shapes;
        if (networks.implied == nullptr)
            for (std::size_t blob : networks.plan.inputs_of(step)) shapes.push_back(networks.plan.blobs[blob].dimensions);
        object_writer fields;
        codec->write(*node, shapes, fields, networks);
        if (networks.write_weights) networks.write_weights(networks.context, step, *codec, fields);
        if (!codec->nested_key.empty()) {
            object_writer family;
            family.object(codec->nested_key, fields);
            fields = std::move(family);
        }
        layer.object(codec->key, fields);
    }
    networks.place = outer;
    return list;
}

void write_subnetwork(network_writer& networks, const layer_list& layers, object_writer& fields, std::string_view key,
                      bool required) {
    if (layers.nodes.empty() && (networks.implied != nullptr ? networks.is_implied(key) : !required)) return;
    const std::size_t outer = networks.place.size();
    networks.place.append("/").append(key);
    object_writer network;
    network.objects("layers", write_layers(networks, layers));
    networks.place.resize(outer);
    fields.object(key, network);
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif
