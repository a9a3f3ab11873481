#pragma once

#include "allocate.hpp"
#include "plan.hpp"

#include <string>

namespace bespoke {

/// Bytes that a blob's values take for one example.
constexpr extent bytes_of(const blob_facts& blob) {
    return aligned_size<float>(blob.dimensions.size()) * static_cast<extent>(sizeof(float));
}

/// The most bytes of blobs that are alive at one step of a prediction of one example, each place counted once: no arena
/// can be smaller.
constexpr extent largest_live_set(const plan_view& p) {
    extent most = 0;
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        extent live = 0;
        for (std::size_t b = 0; b < p.blobs.size(); ++b) {
            const blob_facts& blob = p.blobs[b];
            if (blob.first > s || blob.last < s || blob.streamed) continue;
            extent counted = 0;  // of the same place, by blobs before it
            for (std::size_t other = 0; other < b; ++other)
                if (p.blobs[other].first <= s && s <= p.blobs[other].last && p.blobs[other].offset == blob.offset &&
                    p.blobs[other].per_example == blob.per_example && !p.blobs[other].streamed)
                    counted = std::max(counted, bytes_of(p.blobs[other]));
            live += std::max<extent>(0, bytes_of(blob) - counted);
        }
        most = std::max(most, live);
    }
    return most;
}

/// What the planner made of a network, as a table for a reader: for each step its place in the description, the shape of
/// what it writes, the bytes that this takes and where it lies, and the numbers of its parameters. Steps that run as
/// the epilogue of another one stand behind it with a "+"; what is only there a few rows at a time lies "nowhere".
inline std::string inspect(const plan_view& p) {
    const auto text_of = [](const auto& value) { return std::string(sentence(value).view()); };
    const auto padded = [](std::string text, std::size_t width) {
        if (text.size() < width) text.append(width - text.size(), ' ');
        return text + "  ";
    };
    std::size_t widest = 0;
    for (const step_facts& step : p.steps) widest = std::max(widest, p[step.place].size() + 2);
    std::string table = padded("step", widest) + padded("output", 20) + padded("bytes", 10) + padded("at", 10) + "parameters\n";
    const auto add = [&](std::size_t s) {
        extent parameters = 0;
        for (const parameter_facts& facts : p.parameters_of(s)) parameters += facts.dimensions.size();
        std::string shapes, bytes, places;
        for (std::size_t b : p.outputs_of(s)) {
            const blob_facts& blob = p.blobs[b];
            const std::string comma = shapes.empty() ? "" : ", ";
            shapes += comma + text_of(blob.dimensions);
            bytes += comma + text_of(bytes_of(blob));
            places += comma;
            places += blob.streamed ? "nowhere" : text_of(blob.offset * static_cast<extent>(sizeof(float)));
            if (!blob.per_example) places += " once";
        }
        const bool finishes = p.steps[s].head != blob_facts::npos;
        std::string line = padded((finishes ? "+ " : "") + std::string(p[p.steps[s].place]), widest) + padded(shapes, 20) +
                           padded(bytes, 10) + padded(places, 10) + (parameters > 0 ? text_of(parameters) : "");
        line.erase(line.find_last_not_of(' ') + 1);
        table += line + "\n";
    };
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        if (p.steps[s].head != blob_facts::npos) continue;
        for (std::size_t part = s; part != blob_facts::npos; part = p.steps[part].next) add(part);
    }
    const auto floats = [&](extent count) { return text_of(count * static_cast<extent>(sizeof(float))); };
    return table + floats(p.arena_size) + " bytes of blobs an example, " + floats(p.shared_size) +
           " once (at least " + text_of(largest_live_set(p)) + " are alive at one step), " + floats(p.parameters_size) +
           " of parameters\n";
}

}  // namespace bespoke
