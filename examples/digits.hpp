#pragma once

#include <bespoke.hpp>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

// The classifier of handwritten digits that train_digits makes and personalize updates.

inline constexpr std::size_t pixels = 64;
inline constexpr int known_classes = 8;  // the base model has seen 0 to 7
inline constexpr std::size_t training_rows = 1200;

inline constexpr auto digits_network = bespoke::compose(
    bespoke::input{"image", {1, 1, 8, 8}},
    bespoke::linear{.alpha = 0.25f} | bespoke::named("scale"),
    bespoke::convolution{.output_channels = 16, .padding = bespoke::same} | bespoke::named("conv1"),
    bespoke::tanh{} | bespoke::named("conv1_tanh"),
    bespoke::convolution{.output_channels = 32, .padding = bespoke::same} | bespoke::named("conv2"),
    bespoke::tanh{} | bespoke::named("conv2_tanh"),
    bespoke::pooling{.type = bespoke::pooling_type::max, .kernel_size = {2, 2}, .stride = {2, 2}} |
        bespoke::named("pool"),
    bespoke::flatten{} | bespoke::named("flatten"),
    bespoke::inner_product{.output_channels = 128} | bespoke::named("dense1") | bespoke::updatable,
    bespoke::tanh{} | bespoke::named("dense1_tanh"),
    bespoke::inner_product{.output_channels = 10} | bespoke::named("dense2") | bespoke::updatable,
    bespoke::softmax{} | bespoke::named("probabilities"));

/// The images and labels of examples/data, row after row.
struct digits_data {
    std::vector<float> images;  // 64 pixels from 0 to 16 a row
    std::vector<int> labels;

    std::size_t rows() const { return labels.size(); }
    const float* image(std::size_t row) const { return images.data() + row * pixels; }
};

inline digits_data load_digits(const std::filesystem::path& folder) {
    if (!std::filesystem::is_directory(folder))
        throw bespoke::error(bespoke::errc::io, folder.string() + ": no such folder; start in the repository's root");
    const auto path = folder / "digits_images.safetensors";
    const auto file = bespoke::safetensors::load(path);
    const auto* images = file.find("images");
    const auto* labels = file.find("labels");
    if (!images || !labels || images->dtype != "U8" || labels->dtype != "U8" ||
        images->bytes.size() != labels->bytes.size() * pixels)
        throw bespoke::error(bespoke::errc::malformed_file, path.string() + ": not the digits that were expected");
    digits_data data;
    for (std::byte pixel : images->bytes) data.images.push_back(static_cast<float>(pixel));
    for (std::byte label : labels->bytes) data.labels.push_back(static_cast<int>(label));
    return data;
}
