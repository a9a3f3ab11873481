#include "child.hpp"
#include "networks/bert.hpp"
#include "own.hpp"
#include "own_load.hpp"

namespace bespoke::benchmarks {
namespace {

input_values tokens(int count) { return to_values(bert_inputs(1, count)); }

/// The file is the one that `save` writes.
contestant loading(const work& w, int threads, bool composed) {
    const auto folder = std::make_shared<temporary_folder>("bespoke");
    const std::filesystem::path file = folder->path / "bert.json";
    network<bert_base_128> net;
    fill_parameters(net);
    net.save(file);
    const auto program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "bespoke_bench_load";
    const std::string door = composed ? "composed" : "loaded";
    return first_results({program, file, std::to_string(w.batch), std::to_string(threads), door}, folder);
}

}  // namespace

std::vector<float> load_and_predict(const std::filesystem::path& file, int token_count, int threads, bool composed) {
    const auto values = [](std::span<const float> y) { return std::vector<float>(y.begin(), y.end()); };
    if (composed) {
        auto net = composed_door::make<bert_base_128>(threads);
        net.load(file);
        return values(composed_door::predict(net, tokens(token_count), 1));
    }
    model m = load(file, {.threads = static_cast<std::size_t>(threads)});
    return values(loaded_door::predict(m.network(), tokens(token_count), 1));
}

contestant own_bert(const work& w, int threads, bool composed) {
    if (w.key == "bert_base_128") return prediction<bert_base_128>(tokens(w.batch), 1, threads, composed);
    if (w.key == "load_bert_base") return loading(w, threads, composed);
    return {};
}

}  // namespace bespoke::benchmarks
