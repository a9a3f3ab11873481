// Any text is a model or a bespoke::error. What is accepted is written and read back as the same document, and
// predicts and learns, if it is small, whatever it says.
#include "exercise.hpp"

using namespace bespoke;
using fuzz::check;

namespace {

/// What "weightsFile" stands for: a few small tensors.
const safetensors& weights() {
    static const safetensors file = [] {
        static const float numbers[] = {0.5f, -1, 2, 0.25f, 1, 0, -2, 3, 1};
        const auto bytes = [](std::size_t count) { return std::as_bytes(std::span(numbers).first(count)); };
        const tensor_entry entries[] = {{"m", "F32", {2, 2}, bytes(4)},
                                        {"v", "F32", {2}, bytes(2)},
                                        {"k", "F32", {1, 1, 3, 3}, bytes(9)},
                                        {"h", "F16", {2, 2}, bytes(2)},
                                        {"i", "I32", {2}, bytes(2)}};
        return safetensors::parse(to_safetensors(entries), "weights");
    }();
    return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    fuzz::may_fail([&] {
        const model m = parse(text, &weights());
        const auto once = m.write("w");
        std::optional<safetensors> file;
        if (!once.weights.empty()) file = safetensors::parse(once.weights, "written");
        const auto twice = parse(once.json, file ? &*file : nullptr).write("w");
        check(once.json == twice.json && once.weights == twice.weights);
        model runs = bespoke::parse(text, &weights(), fuzz::bounded);
        fuzz::exercise(runs);
    });
    return 0;
}
