#pragma once

#include "../core/entries.hpp"
#include "../core/open_shape.hpp"
#include "../core/planes.hpp"
#include "../core/rows.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace bespoke {

/// A number for a text, in which most differ (FNV-1a).
constexpr std::uint32_t hash_of(std::string_view text) {
    std::uint32_t hash = 0x811C9DC5U;
    const char* const end = text.data() + text.size();
    for (const char* c = text.data(); c != end; ++c) hash = (hash ^ static_cast<unsigned char>(*c)) * 0x01000193U;
    return hash;
}

/// A piece of the plan's text pool.
struct text_range {
    std::size_t begin = 0, size = 0;
    std::uint32_t hash = 0;
};

/// One array of the network: an input, or what a layer writes.
struct blob_facts {
    text_range name;
    shape dimensions;
    bool per_example = true;     ///< stored once an example; false: once for all
    std::size_t maker = npos;    ///< the first step that writes it; npos: an input
    std::size_t first = 0, last = 0;  ///< steps between which it is alive in a prediction
    extent offset = 0;           ///< place in the arena, in elements of one example
    extent single_offset = 0;    ///< likewise, where one example is predicted alone: see joins.hpp
    open_shape open{};           ///< of its shape; a blob of which anything is open lies beside the arena
    bool streamed = false;       ///< never whole in memory in a prediction: its place is behind the arena
    extent entries = 0;          ///< as its layer has them; 0: it has no others than those in `dimensions`
    std::size_t entries_along = 0;  ///< their axis, counted from the last one

    static constexpr std::size_t npos = static_cast<std::size_t>(-1);
};

/// One layer in the order of execution. Steps of nested networks follow their control step.
struct step_facts {
    text_range name;   ///< with the prefixes of `repeat`
    text_range place;  ///< "layers/3 "fc" (innerProduct)", for errors
    std::size_t first_link = 0, input_count = 0, output_count = 0;
    std::size_t first_parameter = 0, parameter_count = 0;
    std::size_t end = 0;      ///< one past the last step nested in this one
    std::size_t parent = blob_facts::npos;   ///< the control step around this one
    std::size_t watched = blob_facts::npos;  ///< the blob that a loop's condition network writes
    bool control = false;
    bool logged = false;      ///< overwrites values that a backward pass may still want
    bool in_place = false;
    bool concatenates = false;  ///< its output is its inputs, one behind the other
    bool gradient_in_place = false;  ///< the gradient of its input may be written over that of its output
    bool runs_epilogue = false;  ///< what its layer says
    bool can_finish = false;     ///< likewise
    row_answers rows{};          ///< likewise
    plane_answers planes{};      ///< likewise
    entry_answers entries{};     ///< likewise
    /// It reads only the first entries of inputs that have more than its output; the axis, counted from the last one.
    /// 0: there is no such input.
    std::size_t shortens = 0;
    std::size_t head = blob_facts::npos;  ///< the step whose epilogue does the work of this one in a prediction
    std::size_t next = blob_facts::npos;  ///< the next step in the epilogue that this one is part of, or begins
    /// The step whose planes it takes as they come: that one runs together with it in a prediction.
    std::size_t takes_from = blob_facts::npos;
    bool feeds = false;       ///< it is such a step for another one
    bool streams = false;     ///< it ends an epilogue of whole rows: it multiplies them as they come
    bool updatable = false;
    bool open = false;         ///< the shape of one of its blobs is decided in the run
    std::size_t values_from = blob_facts::npos;  ///< the first input whose values decide the shapes of its outputs
    bool differentiable = true;
    bool probabilities = false;
    bool mixes_examples = false;
    backward_needs needs;
};

/// One parameter array.
struct parameter_facts {
    std::size_t step = 0;  ///< of the plan p: its layer is called p[p.steps[step].name]
    std::string_view name;  ///< "weights"
    shape dimensions;
    extent offset = 0;  ///< place in the block of all parameters, in elements
    initial start = initial::zero;
    bool learned = true;
};

/// What the planner knows of a network, behind spans: the same for compile time and run time.
struct plan_view {
    std::span<const step_facts> steps;
    std::span<const blob_facts> blobs;
    std::span<const std::size_t> links;  ///< blob numbers: inputs, then outputs, step after step
    std::span<const parameter_facts> parameters;
    std::span<const std::size_t> inputs, outputs;
    std::span<const char> text;
    extent arena_size = 0;      ///< elements an example
    extent shared_size = 0;     ///< elements stored once
    extent parameters_size = 0;
    extent whole_size = 0;      ///< elements an example where the blobs behind the arena are wanted as well
    bool open = false;          ///< shapes of blobs are decided in the run

    /// The text of a name or a place.
    constexpr std::string_view operator[](text_range range) const {
        return {text.data() + range.begin, range.size};
    }
    constexpr std::span<const std::size_t> inputs_of(std::size_t step) const {
        return links.subspan(steps[step].first_link, steps[step].input_count);
    }
    constexpr std::span<const std::size_t> outputs_of(std::size_t step) const {
        return links.subspan(steps[step].first_link + steps[step].input_count, steps[step].output_count);
    }
    /// The shape of an input of the step as the step sees it.
    constexpr shape shape_read(std::size_t step, std::size_t input) const {
        shape x = blobs[inputs_of(step)[input]].dimensions;
        const std::size_t back = steps[step].shortens;
        if (back > 0 && back <= x.rank())
            x.from_end(back) = std::min(x.from_end(back), blobs[outputs_of(step)[0]].dimensions.from_end(back));
        return x;
    }
    /// The last step of the epilogue that begins at `step`; itself where there is none.
    constexpr std::size_t tail_of(std::size_t step) const {
        while (steps[step].next != blob_facts::npos) step = steps[step].next;
        return step;
    }
    constexpr std::span<const parameter_facts> parameters_of(std::size_t step) const {
        return parameters.subspan(steps[step].first_parameter, steps[step].parameter_count);
    }
    /// The number of the blob called `name`, or npos.
    constexpr std::size_t find_blob(std::string_view name) const {
        for (std::size_t i = 0; i < blobs.size(); ++i)
            if ((*this)[blobs[i].name] == name) return i;
        return blob_facts::npos;
    }
    /// The number of the step called `name`, or npos.
    constexpr std::size_t find_step(std::string_view name) const {
        for (std::size_t i = 0; i < steps.size(); ++i)
            if ((*this)[steps[i].name] == name) return i;
        return blob_facts::npos;
    }
};

/// A plan that owns its lists.
struct plan {
    std::vector<step_facts> steps;
    std::vector<blob_facts> blobs;
    std::vector<std::size_t> links;
    std::vector<parameter_facts> parameters;
    std::vector<std::size_t> inputs, outputs;
    std::vector<char> text;
    extent arena_size = 0, shared_size = 0, parameters_size = 0, whole_size = 0;
    bool open = false;

    /// For the compiler, which counts every element that a growing vector moves.
    constexpr void reserve() {
        text.reserve(std::size_t{1} << 20);
        steps.reserve(std::size_t{1} << 12);
        blobs.reserve(std::size_t{1} << 12);
        links.reserve(std::size_t{1} << 14);
    }
    constexpr plan_view view() const {
        // By pointers: to see that a vector is a range takes the compiler longer than all else in this file.
        return {{steps.data(), steps.size()},
                {blobs.data(), blobs.size()},
                {links.data(), links.size()},
                {parameters.data(), parameters.size()},
                {inputs.data(), inputs.size()},
                {outputs.data(), outputs.size()},
                {text.data(), text.size()},
                arena_size,
                shared_size,
                parameters_size,
                whole_size,
                open};
    }
};

/// A blob that was to be stored once is overwritten by what depends on an input: each example gets its own. All outputs
/// of a layer are stored alike, so those beside it follow.
constexpr void store_per_example(plan& p, std::size_t blob) {
    if (p.blobs[blob].per_example) return;
    p.blobs[blob].per_example = true;
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        const auto outputs = p.view().outputs_of(s);
        if (std::find(outputs.begin(), outputs.end(), blob) == outputs.end()) continue;
        for (std::size_t beside : outputs) store_per_example(p, beside);
    }
}

/// How long the lists of a plan are: what turns one into a `static_plan`.
struct plan_sizes {
    std::size_t steps, blobs, links, parameters, inputs, outputs, text;

    constexpr explicit plan_sizes(const plan& p)
        : steps(p.steps.size()), blobs(p.blobs.size()), links(p.links.size()), parameters(p.parameters.size()),
          inputs(p.inputs.size()), outputs(p.outputs.size()), text(p.text.size()) {}
};

/// A plan in arrays, which can be a constant of the program.
template <std::size_t Steps, std::size_t Blobs, std::size_t Links, std::size_t Parameters, std::size_t Inputs,
          std::size_t Outputs, std::size_t Text>
struct static_plan {
    std::array<step_facts, Steps> steps{};
    std::array<blob_facts, Blobs> blobs{};
    std::array<std::size_t, Links> links{};
    std::array<parameter_facts, Parameters> parameters{};
    std::array<std::size_t, Inputs> inputs{};
    std::array<std::size_t, Outputs> outputs{};
    std::array<char, Text> text{};
    extent arena_size, shared_size, parameters_size, whole_size;
    bool open;

    constexpr explicit static_plan(const plan& p)
        : arena_size(p.arena_size), shared_size(p.shared_size), parameters_size(p.parameters_size),
          whole_size(p.whole_size), open(p.open) {
        std::copy(p.steps.begin(), p.steps.end(), steps.begin());
        std::copy(p.blobs.begin(), p.blobs.end(), blobs.begin());
        std::copy(p.links.begin(), p.links.end(), links.begin());
        std::copy(p.parameters.begin(), p.parameters.end(), parameters.begin());
        std::copy(p.inputs.begin(), p.inputs.end(), inputs.begin());
        std::copy(p.outputs.begin(), p.outputs.end(), outputs.begin());
        std::copy(p.text.begin(), p.text.end(), text.begin());
    }
    constexpr plan_view view() const {
        return {steps,      blobs,       links,           parameters, inputs, outputs, text,
                arena_size, shared_size, parameters_size, whole_size, open};
    }
};

}  // namespace bespoke
