/// ONNX Runtime, in a child process of node that runs peer_onnxruntime.mjs. They speak through its input and output:
///
/// | line             | answer                                                                  |
/// |------------------|-------------------------------------------------------------------------|
/// | run              | a line with the number of results, and the results as float32 in binary |
/// | time CALLS       | a line with the seconds that they took                                  |
///
/// At the start the child says "ready", or "no" where it does not know the work.
#include "child.hpp"
#include "peers.hpp"

#include <filesystem>
#include <unistd.h>

namespace bespoke::benchmarks {
namespace {

std::vector<std::string> command(const work& w, int threads, const std::string& verb) {
    return {"node",
            BESPOKE_BENCH_SCRIPT,
            BESPOKE_ONNXRUNTIME_NODE,
            verb,
            std::string(w.name),
            std::to_string(w.batch),
            std::to_string(w.inputs),
            std::to_string(w.outputs),
            std::to_string(threads)};
}

/// The model lies in a file, and every call is a process that reads it.
contestant loading(const work& w, int threads) {
    const auto folder = std::make_shared<temporary_folder>("onnx");
    auto write = command(w, threads, "write"), read = command(w, threads, "load");
    for (auto* c : {&write, &read}) c->push_back(folder->path / "bert.onnx");
    if (child(write).line() != "ready") return {};
    return first_results(read, folder);
}

contestant make(const work& w, int threads) {
    if (w.name == "load_bert_base") return loading(w, threads);
    const auto process = std::make_shared<child>(command(w, threads, "serve"));
    if (process->line() != "ready") return {};
    return {[process, results = std::vector<float>()]() mutable -> std::span<const float> {
                process->say("run\n");
                process->numbers(results);
                return results;
            },
            [process](int calls) {
                process->say("time " + std::to_string(calls) + "\n");
                return std::stod(process->line());
            }};
}

}  // namespace

const peer onnxruntime_peer{"ONNX Runtime", make};

}  // namespace bespoke::benchmarks
