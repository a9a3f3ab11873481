#pragma once

#include "../graph/plan.hpp"
#include "layer_codec.hpp"
#include "weight_codec.hpp"

/// The layers of a network between document and `layer_list`.

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bespoke {

/// What a converter noted of a blob: "inputTensor" and "outputTensor" of a layer. Kept, not looked at.
struct tensor_note {
    std::int32_t rank = 0;
    std::vector<std::int64_t> dimensions;
    friend bool operator==(const tensor_note&, const tensor_note&) = default;
};

/// What a document says of a layer beyond the layer itself.
struct layer_notes {
    std::vector<tensor_note> inputs, outputs;
    std::vector<weight_source> weights;  ///< one for each of the layer's parameters
    std::string description;             ///< of a custom layer
};

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// The state of reading the layers of one document.
class network_reader {
public:
    struct pending_weight {
        std::size_t step, number;  ///< parameter `number` of step `step`
        object_reader value;
        std::string layer;  ///< its name
        weights_role role;
    };

    explicit network_reader(std::span<const layer_codec> table, const safetensors* weights_file = nullptr);

    std::span<const layer_codec> codecs;
    const safetensors* tensors;
    std::vector<pending_weight> weights;
    std::vector<layer_notes> notes;  ///< in the order of the plan's steps
    bool rank_5 = false;             ///< RANK5_ARRAY_MAPPING of an array: layers of versions 1 to 3 only
    /// Places of fields with a default other than zero that the document leaves out.
    implied_fields implied;
};

/// The state of writing the layers of one document.
class network_writer {
public:
    std::span<const layer_codec> codecs;
    plan_view plan;
    written_place place;
    std::size_t step = 0;
    /// Writes the parameters of the current step, in the order of the plan.
    void (*write_weights)(void* context, std::size_t step, const layer_codec& codec, object_writer& fields) = nullptr;
    /// Writes what `layer_notes` keep.
    void (*write_notes)(void* context, std::size_t step, object_writer& layer) = nullptr;
    void* context = nullptr;
};

layer_list read_layers(network_reader& networks, object_reader& network);
layer_list read_subnetwork(network_reader& networks, object_reader& fields, std::string_view key);
std::vector<object_writer> write_layers(network_writer& networks, const layer_list& layers);
void write_subnetwork(network_writer& networks, const layer_list& layers, object_writer& fields,
                      std::string_view key, bool required);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::network_reader;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::network_writer;

namespace detail {

inline std::vector<tensor_note> read_tensor_notes(object_reader& layer, std::string_view key) {
    std::vector<tensor_note> notes;
    for (object_reader& in : layer.objects(key)) {
        notes.push_back({in.small_integer("rank"), in.integers("dimValue")});
        in.finish();
    }
    return notes;
}
inline void write_tensor_notes(object_writer& layer, std::string_view key, const std::vector<tensor_note>& notes) {
    std::vector<object_writer> list;
    for (const tensor_note& note : notes) {
        list.emplace_back().small_integer("rank", note.rank);
        list.back().integers("dimValue", note.dimensions);
    }
    layer.objects(key, list);
}

/// Whether a layer is one of the specification's versions 1 to 3, or a custom one.
inline bool is_of_rank_5(std::string_view key) {
    static constexpr std::string_view keys[] = {
        "convolution", "pooling", "activation", "innerProduct", "embedding", "batchnorm", "mvn", "l2normalize",
        "softmax", "lrn", "crop", "padding", "upsample", "resizeBilinear", "cropResize", "unary", "add", "multiply",
        "average", "scale", "bias", "max", "min", "dot", "reduce", "loadConstant", "reshape", "flatten", "permute",
        "concat", "split", "sequenceRepeat", "reorganizeData", "slice", "simpleRecurrent", "gru", "uniDirectionalLSTM",
        "biDirectionalLSTM", custom_key};
    return std::ranges::find(keys, key) != std::end(keys);
}
/// Throws where a layer does not go with it. `place` is the layer's.
inline void check_rank_5(std::string_view key, const std::string& place) {
    if (!is_of_rank_5(key))
        throw error(errc::bad_value, place + ": a layer of version 3 or less wanted with RANK5_ARRAY_MAPPING, " +
                                         in_quotes(key) + " wants \"arrayInputShapeMapping\": \"EXACT_ARRAY_MAPPING\"");
}

/// What the table calls its layers, for "did you mean".
inline std::vector<std::string> names_in(std::span<const layer_codec> codecs, std::string_view key = "") {
    std::vector<std::string> names;
    for (const layer_codec& codec : codecs)
        if (key.empty() || codec.key == key) names.emplace_back(key.empty() ? codec.key : codec.nested_key);
    return names;
}

/// A node and the strings that its layer looks at.
struct node_and_texts {
    text_pool texts;
    any_node node;

    explicit node_and_texts(const layer_operations& type) : node(type) {}
};

inline std::shared_ptr<any_node> read_node(const layer_codec& codec, object_reader& in,
                                           std::span<const object_reader> weights, network_reader& networks) {
    using namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit;
    auto both = std::make_shared<node_and_texts>(*codec.type);
    any_node* node = &both->node;
    void* layer = node->erased();
    if (codec.is_custom())
        read_custom_fields(*codec.fields, layer, in, both->texts);
    else
        read_fields(*codec.fields, layer, in, networks.implied, both->texts);
    if (codec.set_lengths != nullptr) codec.set_lengths(layer, weight_lengths(weights, networks.tensors));
    if (codec.type == &operations_of<branch_node>) {
        auto& branch = *static_cast<branch_node*>(layer);
        if (!in.has("ifBranch")) in.fail(errc::bad_value, "ifBranch", "a network wanted, none came");
        branch.if_branch = read_subnetwork(networks, in, "ifBranch");
        branch.else_branch = read_subnetwork(networks, in, "elseBranch");
    } else if (codec.type == &operations_of<loop_node>) {
        auto& loop = *static_cast<loop_node*>(layer);
        if (!in.has("bodyNetwork")) in.fail(errc::bad_value, "bodyNetwork", "a network wanted, none came");
        loop.condition_network = read_subnetwork(networks, in, "conditionNetwork");
        loop.body_network = read_subnetwork(networks, in, "bodyNetwork");
    }
    return {std::move(both), node};
}

/// "bias" and "weightParams.inputGateBiasVector", whose presence a field of the layer declares.
inline bool is_bias(std::string_view parameter) {
    return parameter.ends_with("ias") || parameter.ends_with("iasVector");
}

/// Where the document has each of the layer's parameters.
inline std::vector<object_reader> find_weights(const layer_codec& codec, object_reader& fields) {
    std::vector<object_reader> weights;
    if (codec.is_custom()) {
        weights = fields.objects("weights");
        check_most(codec.parameters().size(), weights.size(), "weights", fields);
        while (weights.size() < codec.parameters().size())
            weights.emplace_back(nullptr, fields.place("weights") + "/" + std::to_string(weights.size()));
        return weights;
    }
    define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::weights_reader reader(fields);
    for (const parameter_rule& parameter : codec.parameters()) weights.push_back(reader.find(parameter.name));
    reader.finish();
    return weights;
}

/// Reads the member of a layer object that says which layer it is.
inline std::shared_ptr<any_node> read_layer_of_table(network_reader& networks, object_reader& layer,
                                                     const std::string& name) {
    static constexpr std::string_view common[] = {"name",         "input",       "output", "inputTensor",
                                                  "outputTensor", "isUpdatable", "bespoke"};
    const std::string place = layer.place() + (name.empty() ? "" : " " + in_quotes(name));
    std::string_view key;
    for (std::string_view candidate : layer.keys()) {
        if (std::ranges::find(common, candidate) != std::end(common)) continue;
        if (!key.empty())
            throw error(errc::bad_value, place + ": one layer type wanted, " + in_quotes(key) + " and " +
                                             in_quotes(candidate) + " came");
        key = candidate;
    }
    if (key.empty()) throw error(errc::bad_value, place + ": a layer type wanted, none came");
    const auto unknown = [&](std::string_view what, std::string_view family) {
        const bool in_library = std::ranges::any_of(
            define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::core_codecs(), [&](const layer_codec& codec) {
                return family.empty() ? codec.key == what : codec.key == family && codec.nested_key == what;
            });
        if (in_library)
            throw error(errc::unknown_layer, place + ": " + in_quotes(what) +
                                                 " is none of the layers of what reads it: the network composed in "
                                                 "code, or the list given to load");
        const std::string near = suggestion(what, names_in(networks.codecs, family));
        if (family == custom_key)
            throw error(errc::unknown_layer,
                        place + ": unknown custom layer " + in_quotes(what) +
                            (near.empty() ? ", pass its type: load<core_layers, its_type>(path)" : near));
        throw error(errc::unknown_layer, place + ": unknown layer " + in_quotes(what) + near);
    };
    object_reader fields = layer.object(key);
    const layer_codec* found = nullptr;
    std::string nested;
    bool family = key == custom_key;
    for (const layer_codec& codec : networks.codecs) {
        if (codec.key != key) continue;
        family = !codec.nested_key.empty();
        if (!family) found = &codec;
    }
    if (found == nullptr && !family) unknown(key, "");
    if (key == custom_key) {
        nested = fields.text("className");
        if (nested.empty()) fields.fail(errc::bad_value, "className", "the name of a layer wanted, none came");
    } else if (family) {
        const auto keys = fields.keys();
        if (keys.size() != 1)
            throw error(errc::bad_value, fields.place() + ": one field wanted, " +
                                             (keys.empty() ? "none" : std::to_string(keys.size())) + " came");
        nested = keys[0];
        fields = fields.object(nested);
    }
    if (family) {
        for (const layer_codec& codec : networks.codecs)
            if (codec.key == key && codec.nested_key == nested) found = &codec;
        if (found == nullptr) unknown(nested, key);
    }
    if (networks.rank_5) check_rank_5(key, place);
    const std::size_t step = networks.notes.size();
    networks.notes.emplace_back().weights.resize(found->parameters().size());
    object_reader look = fields;
    define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::weights_role role{
        look.boolean("isDeconvolution") ? std::size_t{1} : 0, found->type->facts->may_be_infinite};
    if (found->is_custom()) networks.notes[step].description = fields.text("description");
    const auto weights = find_weights(*found, fields);
    for (std::size_t i = 0; i < weights.size(); ++i) {
        role.is_bias = !found->is_custom() && is_bias(found->parameters()[i].name);
        networks.weights.push_back({step, i, weights[i], name, role});
    }
    auto node = read_node(*found, fields, weights, networks);
    fields.finish();
    return node;
}

/// A document says how often a loop runs; only in code it may be left out. `place` is the loop's.
inline void check_loop(const any_node& node, const std::string& place) {
    const auto* loop = node.as<loop_node>();
    if (loop != nullptr && loop->max_loop_iterations == 0 && loop->condition_variable.empty() && node.inputs.empty() &&
        loop->condition_network.nodes().empty())
        throw error(errc::bad_value, place + ": maxLoopIterations, a conditionNetwork or an input wanted, none came");
}

/// A document names what a layer reads and writes; only in code it may be left out.
inline void check_blobs(const any_node& node, const object_reader& layer) {
    const layer_facts& facts = *node.type()->facts;
    const auto wants = [&](std::string_view key, std::size_t names, const std::vector<std::string>& came) {
        if (names > 0 && came.empty())
            layer.fail(errc::bad_value, key,
                       std::to_string(names) + (names == 1 ? " name wanted, none came" : " names wanted, none came"));
    };
    wants("input", facts.inputs.least, node.inputs);
    wants("output", facts.control ? 0 : 1, node.outputs);
    check_loop(node, layer.place() + "/loop");
}

/// The networks inside a branch or a loop.
inline void write_nested(const any_node& node, object_writer& out, network_writer& networks) {
    using namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit;
    if (const auto* branch = node.as<branch_node>()) {
        write_subnetwork(networks, branch->if_branch, out, "ifBranch", true);
        write_subnetwork(networks, branch->else_branch, out, "elseBranch", false);
    } else if (const auto* loop = node.as<loop_node>()) {
        write_subnetwork(networks, loop->condition_network, out, "conditionNetwork", false);
        write_subnetwork(networks, loop->body_network, out, "bodyNetwork", true);
    }
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

network_reader::network_reader(std::span<const layer_codec> table, const safetensors* weights_file)
    : codecs(table), tensors(weights_file) {}

layer_list read_layers(network_reader& networks, object_reader& network) {
    layer_list list;
    for (object_reader& layer : network.objects("layers")) {
        const std::string name = layer.text("name");
        const std::size_t step = networks.notes.size();
        auto node = detail::read_layer_of_table(networks, layer, name);
        node->name = name;
        node->inputs = layer.texts("input");
        node->outputs = layer.texts("output");
        if (const auto set = find_codec(networks.codecs, *node)->set_gives_states)
            set(node->erased(), node->inputs.size() == 1 && node->outputs.size() > 1);
        detail::check_blobs(*node, layer);
        node->updatable = layer.boolean("isUpdatable");
        networks.notes[step].inputs = detail::read_tensor_notes(layer, "inputTensor");
        networks.notes[step].outputs = detail::read_tensor_notes(layer, "outputTensor");
        layer.finish();
        list.add(std::move(node));
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

std::vector<object_writer> write_layers(network_writer& networks, const layer_list& layers) {
    std::vector<object_writer> list;
    const std::string outer = networks.place.text;
    for (const auto& node : layers.nodes()) {
        const layer_codec* codec = find_codec(networks.codecs, *node);
        if (codec == nullptr) throw error(errc::unknown_layer, "a layer that is in no set cannot be written");
        const std::size_t step = networks.step++;
        object_writer& layer = list.emplace_back();
        layer.text("name", node->name);
        layer.texts("input", node->inputs);
        layer.texts("output", node->outputs);
        if (networks.write_notes) networks.write_notes(networks.context, step, layer);
        layer.boolean("isUpdatable", node->updatable);

        networks.place.text = outer + "/layers/" + std::to_string(list.size() - 1) + "/" + std::string(codec->key);
        const bool in_family = !codec->nested_key.empty() && !codec->is_custom();
        if (in_family) networks.place.text.append("/").append(codec->nested_key);
        detail::check_loop(*node, networks.place.text);
        std::vector<shape> shapes;
        if (networks.place.implied == nullptr)
            for (std::size_t blob : networks.plan.inputs_of(step))
                shapes.push_back(networks.plan.blobs[blob].dimensions);
        object_writer fields;
        write_hyper_parameters(*codec, *node, shapes, fields, networks.place);
        detail::write_nested(*node, fields, networks);
        if (networks.write_weights) networks.write_weights(networks.context, step, *codec, fields);
        if (in_family) {
            object_writer family;
            family.object(codec->nested_key, fields);
            fields = std::move(family);
        }
        layer.object(codec->key, fields);
    }
    networks.place.text = outer;
    return list;
}

void write_subnetwork(network_writer& networks, const layer_list& layers, object_writer& fields, std::string_view key,
                      bool required) {
    if (layers.nodes().empty() && (networks.place.implied != nullptr ? networks.place.is_implied(key) : !required))
        return;
    const std::size_t outer = networks.place.text.size();
    networks.place.text.append("/").append(key);
    object_writer network;
    network.objects("layers", write_layers(networks, layers));
    networks.place.text.resize(outer);
    fields.object(key, network);
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif
