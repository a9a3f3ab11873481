// conformance [DIR] [--only TEXT] [--summary]
//
// Runs the cases in DIR whose model is a neural network: what DIR/README.md says of their files. Prints each failure
// with its reason and last `N passed, N failed, N skipped`. Succeeds where every failure stands in known.txt. --only
// takes the cases with TEXT in their path, --summary counts failures by reason.

#include "compare.hpp"

#include <bespoke/model/update.hpp>

#include <cstdio>
#include <map>
#include <optional>
#include <string_view>

using namespace conformance;

namespace {

struct options {
    std::filesystem::path folder = BESPOKE_CASES;
    std::string only;
    bool summary = false;
};

bool read(options& o, int argc, char** argv) {
    bool has_folder = false;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        const bool more = i + 1 < argc;
        if (word == "--summary") {
            o.summary = true;
        } else if (word == "--only" && more) {
            o.only = argv[++i];
        } else if (!word.starts_with("-") && !has_folder) {
            o.folder = word;
            has_folder = true;
        } else {
            return false;
        }
    }
    return true;
}

/// The cases that may fail, each with the reason why what it expects is wrong: "name: reason" in each line.
std::map<std::string, std::string> read_known() {
    std::map<std::string, std::string> known;
    std::ifstream in(BESPOKE_SOURCE_DIR "/tests/conformance/known.txt");
    for (std::string line; std::getline(in, line);)
        if (const std::size_t colon = line.find(": "); colon != std::string::npos && line[0] != '#')
            known.emplace(line.substr(0, colon), line.substr(colon + 2));
    return known;
}

bool is_neural_network(const json& io) {
    const json types = io.value("modelTypes", json::array());
    return !types.empty() && types[0].get<std::string>().starts_with("neuralNetwork");
}

/// What an error of the library shares with its like: without file, place and numbers.
std::string reason_of(const bespoke::error& problem, const std::string& path) {
    std::string text = problem.what();
    if (text.starts_with(path + ": ")) text.erase(0, path.size() + 2);
    if (problem.code() == bespoke::errc::unknown_layer || problem.code() == bespoke::errc::unknown_name ||
        problem.code() == bespoke::errc::unsupported) {
        if (const std::size_t place = text.find(": "); text.starts_with("/") && place != std::string::npos)
            text.erase(0, place + 2);
        return text.substr(0, text.find(", did you mean"));
    }
    if (const std::size_t place = text.find(": "); place != std::string::npos) text.erase(0, place + 2);
    std::string plain;
    for (char c : text)
        if (c < '0' || c > '9')
            plain += c;
        else if (plain.empty() || plain.back() != 'N')
            plain += 'N';
    return plain;
}

void run(const std::filesystem::path& folder, const json& io) {
    bespoke::model m = bespoke::load(folder / "model.mlmodel");
    if (io.value("load_only", false)) {
        const auto reasons =
            io.value("isUpdatable", false) ? bespoke::check_updatable(m) : std::vector<std::string>{};
        if (!reasons.empty()) throw failure{"cannot be updated", reasons.front()};
        return;
    }
    const json rows = io.value("rows", json::array({io}));
    for (const json& row : rows) {
        const bespoke::features outputs = m.predict(inputs_of(row, m));
        for (const auto& [name, expected] : row.at("expected").items())
            check_output(io, name, expected, outputs);
    }
}

std::optional<failure> outcome(const std::filesystem::path& folder, const json& io) {
    try {
        run(folder, io);
        return std::nullopt;
    } catch (const failure& f) {
        return f;
    } catch (const bespoke::error& problem) {
        return failure{reason_of(problem, (folder / "model.mlmodel").string()), problem.what()};
    } catch (const std::exception& problem) {
        return failure{"an exception of another kind", problem.what()};
    }
}

}  // namespace

int main(int argc, char** argv) {
    options o;
    const bool asks = argc == 2 && (std::string_view(argv[1]) == "--help" || std::string_view(argv[1]) == "-h");
    if (asks || !read(o, argc, argv)) {
        std::fprintf(asks ? stdout : stderr, "usage: conformance [DIR] [--only TEXT] [--summary]\n\n"
                     "Runs the cases in DIR (unless given: " BESPOKE_CASES ").\n"
                     "  --only TEXT   those with TEXT in their path\n"
                     "  --summary     also counts failures by reason\n");
        return asks ? 0 : 2;
    }
    if (!std::filesystem::is_directory(o.folder)) {
        std::fprintf(stderr, "%s: no such folder\n", o.folder.string().c_str());
        return 2;
    }
    std::vector<std::filesystem::path> cases;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(o.folder))
        if (entry.path().filename() == "io.json") cases.push_back(entry.path().parent_path());
    std::sort(cases.begin(), cases.end());

    const auto known = read_known();
    std::size_t passed = 0, failed = 0, skipped = 0, unexpected = 0;
    std::map<std::string, std::size_t> reasons;
    for (const auto& folder : cases) {
        const std::string name = std::filesystem::relative(folder, o.folder).generic_string();
        if (name.find(o.only) == std::string::npos) continue;
        const json io = read_json(folder / "io.json");
        if (!is_neural_network(io)) {
            ++skipped;
            continue;
        }
        const auto problem = outcome(folder, io);
        const auto excuse = known.find(name);
        if (!problem) {
            ++passed;
            if (excuse != known.end()) {
                ++unexpected;
                std::printf("%s: passes, but is in known.txt\n", name.c_str());
            }
            continue;
        }
        ++failed;
        std::string reason = problem->reason;
        if (problem->details.empty() ||
            reason.find(' ') == std::string::npos) {  // says nothing of the layers
            for (const json& layer : io.value("layers", json::array()))
                reason += " " + layer.get<std::string>();
        }
        if (excuse == known.end()) ++unexpected;
        ++reasons[reason];
        std::printf("%s: %s%s%s\n", name.c_str(), problem->reason.c_str(),
                    problem->details.empty() ? "" : ": ", problem->details.c_str());
        if (excuse != known.end()) std::printf("  known: %s\n", excuse->second.c_str());
    }
    if (o.summary) {
        std::vector<std::pair<std::size_t, std::string>> sorted;
        for (const auto& [reason, count] : reasons) sorted.emplace_back(count, reason);
        std::sort(sorted.rbegin(), sorted.rend());
        for (const auto& [count, reason] : sorted) std::printf("%5zu %s\n", count, reason.c_str());
    }
    if (passed + failed + skipped == 0)
        std::printf("no case (a folder with an io.json)%s%s in %s\n", o.only.empty() ? "" : " of this name: ",
                    o.only.c_str(), o.folder.string().c_str());
    std::printf("%zu passed, %zu failed, %zu skipped\n", passed, failed, skipped);
    return unexpected == 0 && passed > 0 ? 0 : 1;
}
