#pragma once

#include "../control/branch.hpp"
#include "../control/loop.hpp"
#include "../layers/all.hpp"
#include "../network/layer_list.hpp"
#include "custom_layer.hpp"

#include <array>
#include <span>
#include <string_view>
#include <type_traits>

/// Layer types as a document names them: one codec over what each layer says about itself (`key`, `fields`,
/// `parameter_fields`), and the tables of those that a model may use.
namespace bespoke {

using branch_node = branch<layer_list, layer_list>;
using loop_node = loop<layer_list, layer_list>;

/// How one layer type is read and written: data, and a few functions that a line each would do for.
struct layer_codec {
    std::string_view key, nested_key;  ///< nested_key is empty where the layer is not one of a family
    const layer_operations* type = nullptr;  ///< what `any_node::type` gives
    const detail::field_table* fields = nullptr;
    /// Where the numbers of the weights decide a hyper-parameter; else null.
    void (*set_lengths)(void* layer, std::span<const extent> lengths) = nullptr;
    /// Of a recurrent layer, which gives its states also of x alone if a document names so many outputs; else null.
    void (*set_gives_states)(void* layer, bool gives) = nullptr;
    /// Calls `then` with the layer as the shapes of its inputs determine it. Null: they determine nothing.
    void (*resolve)(const void* layer, std::span<const shape> inputs, void (*then)(void* context, const void* layer),
                    void* context) = nullptr;

    constexpr bool is_custom() const { return key == custom_key; }
    constexpr std::span<const parameter_rule> parameters() const { return type->facts->parameters; }
};

namespace detail {

template <class L>
void set_lengths(void* layer, std::span<const extent> lengths) {
    static_cast<L*>(layer)->set_lengths(lengths);
}
template <class L>
void set_gives_states(void* layer, bool gives) {
    static_cast<L*>(layer)->gives_states = gives;
}
template <class L>
void resolve(const void* layer, std::span<const shape> inputs, void (*then)(void*, const void*), void* context) {
    const auto resolved = [&](const L& l) {
        if constexpr (requires { l.resolved(inputs); })
            return l.resolved(inputs);
        else
            return l.resolved(inputs[0]);
    }(*static_cast<const L*>(layer));
    then(context, &resolved);
}

}  // namespace detail

/// The codec of layer type L.
template <layer L>
constexpr layer_codec codec_of() {
    layer_codec codec{.key = facts_of<L>.key,
                      .nested_key = facts_of<L>.nested_key,
                      .type = &operations_of<L>,
                      .fields = &detail::table_of<L>::value};
    if constexpr (facts_of<L>.key == custom_key) {
        static_assert(!facts_of<L>.nested_key.empty(), "a custom layer has its className as nested_key");
        static_assert(detail::has_scalars_only(detail::table_of<L>::value),
                      "the fields of a custom layer are numbers, flags, strings and enumerations");
    }
    if constexpr (requires(L& l, std::span<const extent> lengths) { l.set_lengths(lengths); })
        codec.set_lengths = &detail::set_lengths<L>;
    if constexpr (requires(L& l) { l.gives_states; }) codec.set_gives_states = &detail::set_gives_states<L>;
    if constexpr (requires(const L& l, std::span<const shape> inputs) { l.resolved(inputs); } ||
                  requires(const L& l, const shape& input) { l.resolved(input); })
        codec.resolve = &detail::resolve<L>;
    return codec;
}

namespace detail {

/// T, but instantiated only where the others are known.
template <class T, class... Others>
using dependent = std::conditional_t<sizeof...(Others) + 1 != 0, T, void>;

}  // namespace detail

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

template <class Part>
inline constexpr bool is_layer_set = layer<Part>;
template <class... Ls>
inline constexpr bool is_layer_set<layer_set<Ls...>> = true;

template <class... Parts>
inline constexpr std::span<const layer_codec> codecs_in = [] {
    constexpr bool fits = (is_layer_set<Parts> && ...);
    static_assert(fits, "layers wanted, or core_layers; static_assert(unary_layer<my_layer>), or elementwise_layer, "
                        "shows what yours misses");
    if constexpr (fits)
        return joined_sets<layer_set<>, typename in_layer_set<Parts>::type...>::codecs;
    else
        return std::span<const layer_codec>();
}();

/// Null where the table has no such layer type.
constexpr const layer_codec* find_codec(std::span<const layer_codec> codecs, const any_node& node) {
    for (const layer_codec& codec : codecs)
        if (codec.type == node.type()) return &codec;
    return nullptr;
}

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// The codecs of the layers for control flow, which every table begins with.
std::span<const layer_codec> control_codecs();
/// All that this library knows.
std::span<const layer_codec> core_codecs();

/// The hyper-parameters of a node. With the shapes of the layer's inputs, what they determine is written out;
/// without, as it came.
void write_hyper_parameters(const layer_codec& codec, const any_node& node, std::span<const shape> inputs,
                            object_writer& fields, written_place& place);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

/// The table of these layers and sets; of none: of all that this library knows.
template <class... Layers>
std::span<const layer_codec> codecs_for() {
    if constexpr (sizeof...(Layers) > 0)
        return codecs_in<Layers...>;
    else
        return define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::core_codecs();
}

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

std::span<const layer_codec> control_codecs() { return codecs_of<>; }
std::span<const layer_codec> core_codecs() { return codecs_in<core_layers>; }

void write_hyper_parameters(const layer_codec& codec, const any_node& node, std::span<const shape> inputs,
                            object_writer& fields, written_place& place) {
    const auto write = [&](const void* layer) {
        if (codec.is_custom())
            write_custom_fields(*codec.fields, codec.nested_key, layer, fields);
        else
            write_fields(*codec.fields, layer, fields, place);
    };
    if (codec.resolve == nullptr || inputs.empty()) return write(node.erased());
    codec.resolve(
        node.erased(), inputs,
        [](void* context, const void* resolved) { (*static_cast<decltype(write)*>(context))(resolved); },
        const_cast<void*>(static_cast<const void*>(&write)));
}

}  // namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

#endif
