// Trains the base model of personalize on the digits 0 to 7 and writes it with its update parameters:
//
//     train_digits [FOLDER]        default: examples/models
//
// The same compiler, flags and machine give the same bits, also where it is stopped and started again: it goes on from
// FOLDER/digits.checkpoint.

#include "digits.hpp"

#include <cstdio>
#include <cstring>
#include <numeric>

namespace bs = bespoke;

namespace {

constexpr int epochs = 40;
constexpr std::size_t mini_batch = 32;

/// `image` moved by (dy, dx) pixels; what comes in is 0.
void shift(const float* image, int dy, int dx, float* to) {
    for (int y = 0; y < 8; ++y)
        for (int x = 0; x < 8; ++x) {
            const int from_y = y - dy, from_x = x - dx;
            const bool inside = from_y >= 0 && from_y < 8 && from_x >= 0 && from_x < 8;
            to[y * 8 + x] = inside ? image[from_y * 8 + from_x] : 0.0f;
        }
}

double accuracy(bs::network<digits_network>& net, const digits_data& data, std::size_t first, std::size_t last) {
    int right = 0, all = 0;
    for (std::size_t row = first; row < last; ++row) {
        if (data.labels[row] >= known_classes) continue;
        const auto p = net(std::span(data.image(row), pixels));
        right += std::max_element(p.begin(), p.end()) - p.begin() == data.labels[row];
        ++all;
    }
    return static_cast<double>(right) / all;
}

/// What the document says beside the layers: the interface, and how the model wants to be updated.
bs::model_settings describe() {
    bs::model_settings settings{.is_updatable = true, .type = bs::model_type::neural_network_classifier};
    auto& d = settings.description;
    d.metadata = {.short_description = "Handwritten digits of 8 x 8 pixels. Knows 0 to 7; 8 and 9 can be taught.",
                  .version_string = "1.0",
                  .author = "The bespoke authors",
                  .license = "BSD-3-Clause; trained on the UCI digits, CC BY 4.0"};
    const bs::feature_type image{
        bs::array_feature_type{.shape = {1, 1, 8, 8}, .data_type = bs::array_data_type::float32}};
    const bs::feature_type number{bs::int64_feature_type{}};
    d.input = {{"image", "8 x 8 pixels from 0 (paper) to 16 (ink)", image}};
    d.output = {{"digit", "The most likely digit", number},
                {"digit_probabilities", "How likely each digit is", {bs::dictionary_feature_type{}}}};
    d.training_input = {{"image", "An image to learn from", image}, {"digit", "What it shows", number}};
    d.predicted_feature_name = "digit";
    d.predicted_probabilities_name = "digit_probabilities";

    bs::int64_sequence labels(10);
    std::iota(labels.begin(), labels.end(), 0);
    settings.class_labels = labels;
    settings.label_probability_layer_name = "probabilities";

    auto& update = settings.update_parameters.emplace();
    update.loss_layers = {{"loss", bs::categorical_cross_entropy{"probabilities", "digit"}}};
    update.optimizer = bs::adam_optimizer{.learning_rate = bs::double_parameter{1e-3, bs::double_range{0, 1}},
                                         .mini_batch_size = bs::int64_parameter{16, bs::int64_range{1, 1024}},
                                         .beta1 = bs::double_parameter{0.9, bs::double_range{0, 1}},
                                         .beta2 = bs::double_parameter{0.999, bs::double_range{0, 1}},
                                         .eps = bs::double_parameter{1e-8, bs::double_range{0, 1}}};
    update.epochs = bs::int64_parameter{20, bs::int64_range{1, 1000}};
    update.shuffle = true;
    return settings;
}

}  // namespace

int main(int argc, char** argv) try {
    if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
        std::printf("usage: train_digits [FOLDER]\n");
        return std::strcmp(argv[1], "--help") == 0 ? 0 : 2;
    }
    const std::filesystem::path folder = argc > 1 ? argv[1] : "examples/models";
    const digits_data data = load_digits("examples/data");

    std::vector<std::size_t> rows;  // what the base model may see
    for (std::size_t row = 0; row < training_rows; ++row)
        if (data.labels[row] < known_classes) rows.push_back(row);

    bs::network<digits_network> net(/*seed=*/1);
    bs::trainer training(net, {bs::categorical_cross_entropy{.input = "probabilities"}},
                         bs::adam{.learning_rate = 1e-3}, bs::train::all_layers);

    std::filesystem::create_directories(folder);
    const auto checkpoint = folder / "digits.checkpoint";
    int epoch = std::filesystem::exists(checkpoint) ? std::stoi(training.load_checkpoint(checkpoint)["epoch"]) : 0;

    std::vector<float> images(rows.size() * pixels), labels(rows.size());
    std::vector<std::size_t> order(rows.size());
    while (epoch < epochs) {
        // every epoch sees every image moved by up to one pixel each way
        bs::philox random(/*seed=*/2, static_cast<std::uint64_t>(epoch));
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const int dy = static_cast<int>(random.below(3)) - 1, dx = static_cast<int>(random.below(3)) - 1;
            shift(data.image(rows[i]), dy, dx, images.data() + i * pixels);
            labels[i] = static_cast<float>(data.labels[rows[i]]);
        }
        training.load(rows.size(), {{images}}, {{labels}});
        std::iota(order.begin(), order.end(), std::size_t{0});
        bs::shuffle(std::span(order), random);

        double loss = 0;
        for (std::size_t first = 0; first < order.size(); first += mini_batch) {
            const auto batch = std::span(order).subspan(first, std::min(mini_batch, order.size() - first));
            loss += training.step(batch) * static_cast<double>(batch.size());
        }
        training.save_checkpoint(checkpoint, {{"epoch", std::to_string(++epoch)}});
        if (epoch % 10 == 0)
            std::printf("epoch %2d  loss %.4f  accuracy on unseen images %.3f\n", epoch,
                        loss / static_cast<double>(order.size()),
                        accuracy(net, data, training_rows, data.rows()));
    }

    bs::model m = bs::to_model(net);
    m.set_settings(describe());
    m.save(folder / "digits.json");
    std::filesystem::remove(checkpoint);
    std::printf("written: %s\n", (folder / "digits.json").string().c_str());
} catch (const std::exception& problem) {
    std::fprintf(stderr, "train_digits: %s\n", problem.what());
    return 1;
}
