// A driver for fuzz targets without libFuzzer: runs every file of a corpus, every truncation of it (of a large file: an
// even selection) and a fixed set of mutations. The same inputs each time, so that a failure comes back.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr std::size_t bytes_per_file = 1'000'000;  // bounds the time that a file costs

std::size_t runs = 0;

/// On the heap and of the exact size, so that AddressSanitizer sees a read past the end.
void run(std::string_view input) {
    const auto copy = std::make_unique<std::uint8_t[]>(input.size());
    std::copy(input.begin(), input.end(), copy.get());
    LLVMFuzzerTestOneInput(copy.get(), input.size());
    ++runs;
}

std::uint64_t next(std::uint64_t& state) {  // splitmix64
    std::uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

void replay(const std::string& input) {
    run(input);
    if (input.empty()) return;
    const std::size_t count = std::clamp<std::size_t>(bytes_per_file / input.size(), 16, 1024);

    const std::size_t step = input.size() / count + 1;
    for (std::size_t size = 0; size < input.size(); size += step) run(std::string_view(input).substr(0, size));

    static constexpr std::string_view tokens[] = {
        "{", "}", "[", "]", "\"", ",", ":", "-", "0", "1e999", "NaN", "null", "true", "9223372036854775808",
        "\xff", std::string_view("\0", 1), std::string_view("\xff\xff\xff\xff\xff\xff\xff\x7f", 8)};
    std::uint64_t state = input.size();
    for (std::size_t i = 0; i < count; ++i) {
        std::string mutated = input;
        for (std::uint64_t edits = next(state) % 3 + 1; edits > 0; --edits) {
            const std::size_t at = next(state) % mutated.size();
            const std::size_t length = std::min<std::size_t>(next(state) % 16, mutated.size() - at);
            const std::string_view token = tokens[next(state) % std::size(tokens)];
            switch (next(state) % 5) {
                case 0: mutated[at] = static_cast<char>(mutated[at] ^ (1 << next(state) % 8)); break;
                case 1: mutated[at] = static_cast<char>(next(state)); break;
                case 2: mutated.replace(at, std::min(token.size(), mutated.size() - at), token); break;
                case 3: mutated.insert(at, token); break;
                case 4: mutated.insert(next(state) % mutated.size(), mutated.substr(at, length)); break;
            }
        }
        run(mutated);
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2 || !std::filesystem::is_directory(argv[1])) {
        std::fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
        return 2;
    }
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(argv[1])) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    if (files.empty()) {
        std::fprintf(stderr, "%s is empty\n", argv[1]);
        return 2;
    }
    run("");
    for (const auto& file : files) {
        std::ifstream stream(file, std::ios::binary);
        replay(std::string(std::istreambuf_iterator<char>(stream), {}));
    }
    std::printf("%zu inputs from %zu files\n", runs, files.size());
}
