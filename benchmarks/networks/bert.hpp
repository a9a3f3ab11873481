#pragma once

#include <bespoke.hpp>

namespace bespoke::benchmarks {

/// BERT, an encoder: Devlin et al., NAACL 2019. Exact GELU, layer normalisation with epsilon 1e-12, no dropout.
struct bert_size {
    extent hidden, heads, inner, tokens;
};
inline constexpr extent bert_vocabulary = 30522, bert_positions = 512, bert_types = 2;

/// A fully connected layer that learns or not.
constexpr auto dense(extent channels, bool learns) {
    auto part = as_node(inner_product{.output_channels = channels});
    part.updatable = learns;
    return part;
}
constexpr auto normalized(extent channels, bool learns) {
    auto part = as_node(layer_normalization{.normalized_shape = {channels}, .eps = 1e-12F});
    part.updatable = learns;
    return part;
}

/// Inputs "ids", "types", "positions" [tokens, 1] and "mask" [1, 1, tokens], which is added to the scores.
constexpr auto bert_embeddings(const bert_size& s) {
    const auto table = [&](extent rows, std::string_view from_blob, std::string_view name) {
        return embedding_nd{.vocab_size = rows, .embedding_size = s.hidden} | from(from_blob) | to(name);
    };
    return compose(bespoke::input{"ids", {s.tokens, 1}}, bespoke::input{"types", {s.tokens, 1}},
                   bespoke::input{"positions", {s.tokens, 1}}, bespoke::input{"mask", {1, 1, s.tokens}},
                   table(bert_vocabulary, "ids", "words"), table(bert_positions, "positions", "places"),
                   table(bert_types, "types", "kinds"), add{} | from("words", "places", "kinds"),
                   normalized(s.hidden, false));
}

/// One layer, [tokens, hidden] -> the same.
constexpr auto bert_layer(const bert_size& s, bool learns = false) {
    const extent size = s.hidden / s.heads;
    const auto heads_of = [&](std::string_view name) {
        return compose(dense(s.hidden, learns) | from("x"), reshape_static{{s.tokens, s.heads, size}},
                       transpose{{1, 0, 2}} | to(name));
    };
    constexpr float scale = 0.125F;  // 1 / sqrt(64), the size of a head in all sizes of BERT
    return compose(
        reshape_static{{s.tokens, s.hidden}} | to("x"), heads_of("query"), heads_of("key"), heads_of("value"),
        batched_matmul{.transpose_b = true} | from("query", "key"), multiply{.alpha = scale} | to("scores"),
        add{} | from("scores", "mask"), softmax_nd{} | to("shares"), batched_matmul{} | from("shares", "value"),
        transpose{{1, 0, 2}}, reshape_static{{s.tokens, s.hidden}}, dense(s.hidden, learns) | to("context"),
        add{} | from("context", "x"), normalized(s.hidden, learns) | to("attended"), dense(s.inner, learns), gelu{},
        dense(s.hidden, learns) | to("thought"), add{} | from("thought", "attended"), normalized(s.hidden, learns));
}

/// The first token -> probabilities of 10 classes.
constexpr auto bert_head(const bert_size& s) {
    return compose(slice_static{.begin_ids = {0, 0}, .end_ids = {1, s.hidden}}, reshape_static{{s.hidden}},
                   dense(s.hidden, true), bespoke::tanh{}, dense(10, true), softmax_nd{});
}

inline constexpr bert_size base_128{768, 12, 3072, 128}, base_384{768, 12, 3072, 384}, tiny_128{128, 2, 512, 128};

inline constexpr auto bert_base_128 = compose(bert_embeddings(base_128), repeat<12>(bert_layer(base_128), "layer"));
inline constexpr auto bert_base_384 = compose(bert_embeddings(base_384), repeat<12>(bert_layer(base_384), "layer"));
inline constexpr auto bert_tiny_128 = compose(bert_embeddings(tiny_128), repeat<2>(bert_layer(tiny_128), "layer"));
inline constexpr auto bert_tiny_classifier = compose(bert_tiny_128, bert_head(tiny_128));
inline constexpr auto bert_base_classifier =
    compose(bert_embeddings(base_128), repeat<10>(bert_layer(base_128), "frozen"),
            repeat<2>(bert_layer(base_128, true), "learning"), bert_head(base_128));

}  // namespace bespoke::benchmarks
