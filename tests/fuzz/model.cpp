// Any text is a model or a bespoke::error. What is accepted is written and read back as the same document, and
// predicts, if it is small, whatever it says.
#include <bespoke/model/model.hpp>

#include <cstdlib>

using namespace bespoke;

namespace {

void check(bool holds) {
    if (!holds) std::abort();
}

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

/// Whether a prediction ends soon and takes little memory.
bool is_small(const model& m) {
    const plan_view& plan = m.network().plan();
    if (plan.arena_size + plan.shared_size > 20'000 || plan.steps.size() > 50) return false;
    int loops = 0;
    for (const any_node* node : m.network().layers().flatten()) {
        if (const auto* loop = node->as<loop_node>())
            if (!loop->condition_variable.empty() || !node->inputs.empty() || loop->max_loop_iterations > 8 ||
                ++loops > 2)
                return false;
        if (const auto* pool = node->as<pooling>())
            if (pool->kernel_size[0] > 64 || pool->kernel_size[1] > 64) return false;
    }
    return true;
}

features zeros_for(const model& m) {
    features inputs;
    for (const auto& feature : m.description().input) {
        if (const auto* array = feature.type.multi_array_type()) {
            const shape s = array->default_shape();
            if (array->data_type == array_data_type::int32)
                inputs.set(feature.name, zeros<std::int32_t>(s));
            else
                inputs.set(feature.name, zeros<float>(s));
        } else if (const auto* picture = feature.type.image_type()) {
            const image_size size = picture->default_size();
            const auto layout =
                picture->color_space == image_color_space::grayscale ? pixel_layout::gray : pixel_layout::bgra;
            const extent bytes = size.width * size.height * bytes_of(layout);
            inputs.set(feature.name, image(size.width, size.height, layout,
                                           std::vector<std::uint8_t>(static_cast<std::size_t>(bytes), 200)));
        } else {
            inputs.set(feature.name, std::int64_t{0});
        }
    }
    return inputs;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    try {
        model m = parse(text, &weights());
        const auto once = m.write("w");
        std::optional<safetensors> file;
        if (!once.weights.empty()) file = safetensors::parse(once.weights, "written");
        model again = parse(once.json, file ? &*file : nullptr);
        const auto twice = again.write("w");
        check(once.json == twice.json && once.weights == twice.weights);
        if (!is_small(m)) return 0;
        const features inputs = zeros_for(m);
        try {
            const features outputs = m.predict(inputs);
            check(outputs.size() <= m.description().output.size());
        } catch (const error& problem) {
            check(problem.code() == errc::shape_mismatch || problem.code() == errc::bad_value);
        }
    } catch (const error& problem) {
        check(problem.what()[0] != '\0');
    }
    return 0;
}
