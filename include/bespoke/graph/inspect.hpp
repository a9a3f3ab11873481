#pragma once

#include "allocate.hpp"
#include "plan.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

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
            if (blob.first > s || blob.last < s || blob.streamed || blob.open.any) continue;
            extent counted = 0;  // of the same place, by blobs before it
            for (std::size_t other = 0; other < b; ++other)
                if (p.blobs[other].first <= s && s <= p.blobs[other].last && p.blobs[other].offset == blob.offset &&
                    p.blobs[other].per_example == blob.per_example && !p.blobs[other].streamed &&
                    !p.blobs[other].open.any)
                    counted = std::max(counted, bytes_of(p.blobs[other]));
            live += std::max<extent>(0, bytes_of(blob) - counted);
        }
        most = std::max(most, live);
    }
    return most;
}

namespace detail {

/// The shape of a blob for a reader: "[3, ?]" where an extent is decided in the run, "?" where all of it is, "[1 of 9,
/// 3]" where only 1 of 9 entries is read.
inline std::string shape_for_reader(const blob_facts& blob) {
    if (blob.open.rank) return "?";
    std::string text = "[";
    for (std::size_t axis = 0; axis < blob.dimensions.rank(); ++axis) {
        text += (axis > 0 ? ", " : "") + (blob.open.has(axis) ? "?" : std::to_string(blob.dimensions[axis]));
        if (axis + blob.entries_along == blob.dimensions.rank()) text += " of " + std::to_string(blob.entries);
    }
    return text + "]";
}
/// Where it lies. Where one example alone has it elsewhere, that place as well.
inline std::string place_for_reader(const blob_facts& blob) {
    const auto bytes = [](extent elements) { return std::to_string(elements * static_cast<extent>(sizeof(float))); };
    if (blob.open.any) return "beside";
    if (blob.streamed) return "nowhere";
    if (!blob.per_example) return bytes(blob.offset) + " once";
    return bytes(blob.offset) + (blob.single_offset == blob.offset ? "" : ", alone " + bytes(blob.single_offset));
}

}  // namespace detail

/// What the planner made of a network, as a table for a reader: for each input and each step its place in the
/// description, the shape of what it writes, the bytes that this takes for one example, where it lies, and how many
/// numbers its parameters are. Steps that run as the epilogue of another one stand behind it with a "+".
///
/// Bytes are those of floats, of which a plan speaks; a network of doubles takes twice as many.
/// Places are bytes from where the memory for all blobs begins; of n examples at once each is n times as far. "alone":
/// the place where one example is predicted alone, see joins.hpp. "once": in the memory of what is stored once.
/// "nowhere": it is only there a few rows at a time. "beside": its shape, "?" in the table, is decided in the run, and
/// it gets memory of its own then. "of": so many entries the layer would have, but nobody reads the others, see
/// live_entries.hpp.
template <class = void>  // only files that call it compile it
std::string inspect(const plan_view& p) {
    struct row {
        std::string step, output, bytes, at, parameters;
    };
    std::vector<row> rows{{"step", "output", "bytes", "at", "parameters"}};
    const auto add_blob = [&](row& r, std::size_t b) {
        const blob_facts& blob = p.blobs[b];
        const std::string apart = r.output.empty() ? "" : "; ";
        r.output += apart + detail::shape_for_reader(blob);
        r.bytes += apart + (blob.open.any ? "?" : std::to_string(bytes_of(blob)));
        r.at += apart + detail::place_for_reader(blob);
    };
    for (std::size_t b : p.inputs) {
        row r{"input \"" + std::string(p[p.blobs[b].name]) + "\"", {}, {}, {}, {}};
        add_blob(r, b);
        rows.push_back(r);
    }
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        if (p.steps[s].head != blob_facts::npos) continue;
        for (std::size_t part = s; part != blob_facts::npos; part = p.steps[part].next) {
            row r{(part == s ? "" : "+ ") + std::string(p[p.steps[part].place]), {}, {}, {}, {}};
            for (std::size_t b : p.outputs_of(part)) add_blob(r, b);
            extent parameters = 0;
            for (const parameter_facts& facts : p.parameters_of(part)) parameters += facts.dimensions.size();
            if (parameters > 0) r.parameters = std::to_string(parameters);
            rows.push_back(r);
        }
    }

    constexpr std::string row::*columns[] = {&row::step, &row::output, &row::bytes, &row::at, &row::parameters};
    for (const auto column : columns) {
        std::size_t widest = 0;
        for (const row& r : rows) widest = std::max(widest, (r.*column).size());
        for (row& r : rows) (r.*column).resize(widest + 2, ' ');
    }
    std::string table;
    for (const row& r : rows) {
        for (const auto column : columns) table += r.*column;
        table.erase(table.find_last_not_of(' ') + 1);
        table += "\n";
    }
    const auto bytes = [](extent elements) { return std::to_string(elements * static_cast<extent>(sizeof(float))); };
    return table + bytes(p.arena_size) + " bytes of blobs an example, " + bytes(p.shared_size) + " once (at least " +
           std::to_string(largest_live_set(p)) + " are alive at one step), " + bytes(p.parameters_size) +
           " of parameters\n";
}

}  // namespace bespoke
