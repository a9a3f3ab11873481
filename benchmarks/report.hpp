#pragma once

#include "measure.hpp"

namespace bespoke::benchmarks {

/// Median, minimum, ratio to the best peer and share of the limit of every line.
void print_table(std::span<const line> lines);
/// For each work the minimum of ours beside that of the other one, the slowest first, and the median of the ratios.
void print_ratios(std::span<const line> lines);
/// The lines as an array of objects. False: the file cannot be written.
bool write_json(const std::string& path, std::span<const line> lines);

}  // namespace bespoke::benchmarks
