// A model that learns its user: teaches a classifier of the digits 0 to 7 two symbols that it has never seen, 8
// and 9, with ten examples each beside ten kept examples of each digit that it knows.
//
//     personalize            shows what happens
//     personalize --json     prints one JSON object, for scripts
//
// Run it from the root of the repository.

#include "digits.hpp"

#include <chrono>
#include <cstdio>
#include <cstring>

#if __has_include(<unistd.h>)
#include <unistd.h>
#endif

namespace bs = bespoke;

namespace {

constexpr int seeds = 10;
constexpr std::size_t examples_a_class = 10;

bs::tensor<float> image_of(const digits_data& data, std::size_t row) {
    bs::tensor<float> image = bs::zeros<float>({1, 1, 8, 8});
    std::copy_n(data.image(row), pixels, image.begin());
    return image;
}

/// Ten images of each digit from the training rows, with their labels.
std::vector<bs::features> choose_examples(const digits_data& data, std::uint64_t seed) {
    std::vector<std::size_t> order(training_rows);
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    bs::philox random(seed);
    bs::shuffle(std::span(order), random);

    std::vector<bs::features> examples;
    std::array<std::size_t, 10> chosen{};
    for (std::size_t row : order) {
        const int label = data.labels[row];
        if (chosen[static_cast<std::size_t>(label)]++ < examples_a_class)
            examples.push_back({{"image", image_of(data, row)}, {"digit", std::int64_t{label}}});
    }
    return examples;
}

struct accuracies {
    double known = 0, taught = 0;
};

/// On the test rows: of the digits that the base model knows, and of the two that are taught.
accuracies measure(bs::model& m, const digits_data& data) {
    std::array<int, 2> right{}, all{};
    for (std::size_t row = training_rows; row < data.rows(); ++row) {
        const std::size_t group = data.labels[row] < known_classes ? 0 : 1;
        right[group] += m.predict({{"image", image_of(data, row)}}).get<std::int64_t>("digit") == data.labels[row];
        ++all[group];
    }
    return {static_cast<double>(right[0]) / all[0], static_cast<double>(right[1]) / all[1]};
}

/// The probabilities of all test images, for comparisons to the last bit.
std::vector<float> probabilities(bs::model& m, const digits_data& data) {
    std::vector<float> all;
    for (std::size_t row = training_rows; row < data.rows(); ++row) {
        const bs::features result = m.predict({{"image", image_of(data, row)}});
        for (const auto& [digit, p] : result.get<bs::int64_dictionary>("digit_probabilities"))
            all.push_back(static_cast<float>(p));
    }
    return all;
}
std::vector<float> probabilities(bs::network<digits_network>& net, const digits_data& data) {
    std::vector<float> all;
    for (std::size_t row = training_rows; row < data.rows(); ++row) {
        const auto result = net(std::span(data.image(row), pixels));
        all.insert(all.end(), result.begin(), result.end());
    }
    return all;
}
bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::string bar(double share, int width) {
    const int full = static_cast<int>(share * width + 0.5);
    std::string text;
    for (int i = 0; i < width; ++i) text += i < full ? "█" : "░";
    return text;
}

/// One line that moves on in a terminal; elsewhere a line a user.
void show_progress(int seed, const bs::update_context<bs::model>& context) {
#if __has_include(<unistd.h>)
    static const bool terminal = isatty(STDOUT_FILENO) != 0;
#else
    constexpr bool terminal = false;
#endif
    const auto epoch = context.metrics.epoch + 1, epochs = context.settings.epochs;
    if (!terminal && epoch < epochs) return;
    std::printf("%s  user %2d of %d  %s  epoch %2d  loss %.4f %s", terminal ? "\r" : "", seed + 1, seeds,
                bar(static_cast<double>(epoch) / static_cast<double>(epochs), 24).c_str(), static_cast<int>(epoch),
                context.metrics.loss, terminal ? "" : "\n");
    std::fflush(stdout);
}

void show_picture(const char* name, double before, double after) {
    std::printf("  %-10s before  %s  %.3f\n", name, bar(before, 40).c_str(), before);
    std::printf("  %-10s after   %s  %.3f\n", "", bar(after, 40).c_str(), after);
}

}  // namespace

int main(int argc, char** argv) try {
    const bool json = argc == 2 && std::strcmp(argv[1], "--json") == 0;
    if (argc > 1 && !json) {
        std::printf("usage: personalize [--json]\n");
        return std::strcmp(argv[1], "--help") == 0 ? 0 : 2;
    }
    const digits_data data = load_digits("examples/data");
    bs::model base = bs::load("examples/models/digits.json");
    const accuracies before = measure(base, data);

    if (!json)
        std::printf("A classifier that knows the digits 0 to 7 is taught 8 and 9: %zu examples of each digit,\n"
                    "two dense layers updated, %d users with examples of their own.\n\n",
                    examples_a_class, seeds);

    accuracies after;
    double seconds = 0;
    bs::model updated = base;
    for (int seed = 0; seed < seeds; ++seed) {
        const std::vector<bs::features> examples = choose_examples(data, static_cast<std::uint64_t>(seed));
        const auto start = std::chrono::steady_clock::now();
        bs::update_handlers<bs::model> handlers{.events = bs::update_event::epoch_end};
        if (!json) handlers.progress = [&](bs::update_context<bs::model>& context) { show_progress(seed, context); };
        bs::update_task task{base, examples, {.seed = static_cast<std::uint64_t>(seed)}, handlers};
        updated = task.result();
        seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

        const accuracies now = measure(updated, data);
        after.known += now.known / seeds;
        after.taught += now.taught / seeds;
    }

    // written, read again, and composed in code: the same bits
    const auto folder = std::filesystem::temp_directory_path() / "bespoke-personalize";
    std::filesystem::create_directories(folder);
    updated.save(folder / "digits.json");
    bs::model reloaded = bs::load(folder / "digits.json");
    const std::vector<float> expected = probabilities(updated, data);
    const bool reload_same_bits = same_bits(expected, probabilities(reloaded, data));

    bs::network<digits_network> composed;
    composed.load(folder / "digits.json");
    bool doors_same_bits = same_bits(expected, probabilities(composed, data));
    composed.load("examples/models/digits.json");
    doors_same_bits = doors_same_bits && same_bits(probabilities(base, data), probabilities(composed, data));

    if (json) {
        std::printf("{\"old_before\": %.6f, \"old_after\": %.6f, \"new_before\": %.6f, \"new_after\": %.6f, "
                    "\"update_seconds\": %.6f, \"reload_same_bits\": %s, \"doors_same_bits\": %s}\n",
                    before.known, after.known, before.taught, after.taught, seconds / seeds,
                    reload_same_bits ? "true" : "false", doors_same_bits ? "true" : "false");
    } else {
        std::printf("\n\n  accuracy on test images   before   after (mean of %d users)\n", seeds);
        std::printf("  digits 0 to 7             %.3f    %.3f\n", before.known, after.known);
        std::printf("  digits 8 and 9            %.3f    %.3f\n\n", before.taught, after.taught);
        show_picture("0 to 7", before.known, after.known);
        show_picture("8 and 9", before.taught, after.taught);
        std::printf("\n  one update takes %.3f s\n", seconds / seeds);
        std::printf("  written to %s and read again: %s\n", (folder / "digits.json").string().c_str(),
                    reload_same_bits ? "the same bits" : "DIFFERENT predictions");
        std::printf("  composed in code, with the same files:  %s\n",
                    doors_same_bits ? "the same bits" : "DIFFERENT predictions");
    }
    return reload_same_bits && doors_same_bits ? 0 : 1;
} catch (const std::exception& problem) {
    std::fprintf(stderr, "personalize: %s\n", problem.what());
    return 1;
}
