#pragma once

#include <filesystem>
#include <vector>

namespace bespoke::benchmarks {

/// The first result of the BERT-base in `file`, through one of the doors.
std::vector<float> load_and_predict(const std::filesystem::path& file, int token_count, int threads, bool composed);

}  // namespace bespoke::benchmarks
