#pragma once

#include "layer_facts.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <vector>

// What a layer answers where shapes are decided in the run. The planner asks it for several extents in the place of the
// open ones: what it says each time is known.

namespace bespoke {

/// For which extents a layer is asked in the place of the open ones. 1 and a few small ones, which most layers take;
/// some that many divide; one that is enough for the window of a convolution.
inline constexpr std::array<extent, 6> open_extents{1, 2, 3, 5, 24, 840};

/// Opens what values that are not known decide: extents that are `unset`. The layer has so many `inputs`. Where there
/// are such values it has to be asked in the run, whether they are to its liking: all is open then, be it known or not.
constexpr void open_unset(layer_answers& answers, const layer_facts& facts, std::size_t inputs,
                          std::span<const known_values> known) {
    if (!answers.outputs || !facts.shaped_by_values) return;
    std::vector<shape> shapes = answers.outputs.shapes();
    bool any = false;
    for (std::size_t i = facts.values_from; i < inputs; ++i) any |= !known_input(known, i);
    answers.open.resize(shapes.size());
    for (std::size_t i = 0; i < shapes.size(); ++i) {
        for (std::size_t axis = 0; axis < shapes[i].rank(); ++axis)
            if (shapes[i][axis] == unset) answers.open[i].open(axis);
        shapes[i] = closed(shapes[i], answers.open[i], 1);
    }
    if (!any) return answers.open.clear();
    for (open_shape& o : answers.open) o.any = true;
    answers.outputs = shapes;
}

/// What is common to all of the answers that a layer gave for extents in the place of the open ones. Where it gave
/// none, `count` outputs of any shape. A parameter whose shape is not the same each time is a fault.
constexpr layer_answers common_answer(const layer_facts& facts, std::span<const layer_answers> given,
                                      std::size_t count) {
    const auto open_parameter = [](std::string_view name) {
        return fault{errc::unsupported, sentence("the shape of its ", name, " follows from that of an input, which is "
                                                 "decided in the run: it has to be known before")};
    };
    layer_answers common{shape{}};
    bool first = true;
    for (const layer_answers& answers : given) {
        if (!answers.outputs) continue;
        if (first) {
            common = answers;
            common.values.clear();
            common.open.resize(answers.outputs.shapes().size());
            for (open_shape& o : common.open) o.any = true;
            first = false;
        }
        for (std::size_t i = 0; i < answers.parameters.size(); ++i)
            if (!(answers.parameters[i] == common.parameters[i])) {
                common.outputs = open_parameter(facts.parameters[i].name);
                return common;
            }
        for (std::size_t i = 0; i < std::min(common.open.size(), answers.outputs.shapes().size()); ++i) {
            common.open[i].open(difference(common.outputs.shapes()[i], answers.outputs.shapes()[i]));
            if (i < answers.open.size()) common.open[i].open(answers.open[i]);
        }
    }
    if (!first) return common;
    if (!facts.parameters.empty()) {
        common.outputs = given.empty() ? open_parameter(facts.parameters[0].name) : given[0].outputs.problem();
        return common;
    }
    common.outputs = std::vector<shape>(count, shape{1});
    while (common.open.size() < count) common.open.push_back(open_shape::all());
    return common;
}

}  // namespace bespoke
