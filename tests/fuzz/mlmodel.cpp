// Any bytes are a .mlmodel file or a bespoke::error. What is accepted is written as JSON and read back as
// the same model, and predicts and learns, if it is small.
#include "exercise.hpp"

#include <bespoke/convert/mlmodel.hpp>

#include <optional>

using namespace bespoke;
using fuzz::check;

namespace {

bool same_parameters(const model& a, const model& b) {
    const plan_view &of_a = a.network().plan(), &of_b = b.network().plan();
    if (of_a.parameters.size() != of_b.parameters.size()) return false;
    for (std::size_t i = 0; i < of_a.parameters.size(); ++i) {
        const extent size = of_a.parameters[i].dimensions.size();
        if (!(of_a.parameters[i].dimensions == of_b.parameters[i].dimensions)) return false;
        if (!std::equal(a.network().core().parameter(i), a.network().core().parameter(i) + size,
                        b.network().core().parameter(i)))
            return false;
    }
    return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    fuzz::may_fail([&] {
        const model m = parse(bytes);
        const auto once = m.write("w");
        std::optional<safetensors> file;
        if (!once.weights.empty()) file = safetensors::parse(once.weights, "written");
        const model again = parse(once.json, file ? &*file : nullptr);
        check(same_parameters(m, again));
        const auto twice = again.write("w");
        check(once.json == twice.json && once.weights == twice.weights);
        model runs = bespoke::parse(bytes, fuzz::bounded);
        fuzz::exercise(runs);
    });
    return 0;
}
