// Any bytes are a checkpoint or a bespoke::error, which changes nothing. So are those whose "checkpointId" was made to
// fit, as all others are refused at once. Text that begins with '{' stands for the facts beside sound tensors. What is
// accepted is written as the same file, and a task goes on from it.
#define BESPOKE_IMPLEMENTATION
#include <bespoke/layers/activation.hpp>
#include <bespoke/layers/inner_product.hpp>
#include <bespoke/model/checkpoint.hpp>
#include <bespoke/network/network.hpp>

#include "check.hpp"

#include <fstream>
#include <iterator>
#include <optional>

#include <unistd.h>

using namespace bespoke;
using fuzz::check;

namespace {

constexpr auto layers = compose(input{"x", {2}}, inner_product{.output_channels = 2} | named("stem"), bespoke::tanh{},
                                inner_product{.output_channels = 1} | named("y") | updatable);
using net_type = network<layers>;

const std::vector<float> x{1, 2, 3, -4, 0.5f, 1}, y{1, 0, -1};
const training_setup<float> setup{.examples = 3,
                                  .inputs = {x},
                                  .losses = {mean_squared_error{}},
                                  .targets = {y},
                                  .with = chain(clip_by_global_norm{1}, adam{.learning_rate = 0.25})};
const net_type begun(1);

/// In memory, where the system has such a folder: a fuzzer writes thousands of files a second.
const std::filesystem::path& file() {
    struct removed {
        std::filesystem::path path;
        ~removed() {
            std::error_code ignored;
            std::filesystem::remove(path, ignored);
        }
    };
    static const removed it{[] {
        const std::filesystem::path memory = "/dev/shm";
        const auto folder = std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
        return folder / ("bespoke_fuzz_checkpoint." + std::to_string(::getpid()));
    }()};
    return it.path;
}

void put(std::span<const std::byte> bytes) {
    std::ofstream(file(), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

/// A training that goes on after one that has run, with what it holds as bytes.
struct training {
    net_type net = begun;
    trainer<float> trains{net, setup.losses, setup.with};

    std::vector<std::byte> all() const {
        const training_state s = trains.state();
        std::vector<std::byte> result;
        const auto add = [&](std::span<const std::byte> bytes) {
            result.insert(result.end(), bytes.begin(), bytes.end());
        };
        add(std::as_bytes(std::span(&s.steps, 1)));
        for (const auto& h : s.hyper_parameters) add(std::as_bytes(std::span(&h.value, 1)));
        for (const auto& p : s.parameters) {
            add(p.bytes);
            for (const auto& m : p.moments) add(m);
        }
        return result;
    }
};

/// The file of a task that was told to stop in its first epoch.
const safetensors& sound() {
    static const safetensors it = [] {
        std::filesystem::remove(file());
        update_task<net_type> task(begun, setup, {.epochs = 3, .mini_batch_size = 1, .checkpoint = file()},
                                   {.events = update_event::mini_batch_end,
                                    .progress = [](auto& context) {
                                        if (context.metrics.mini_batch == 1) context.cancel();
                                    }});
        task.wait();
        return safetensors::parse(read_file(file()), "sound");
    }();
    return it;
}

std::vector<std::byte> with_fitting_id(const std::vector<tensor_entry>& tensors,
                                       std::map<std::string, std::string> metadata) {
    metadata["checkpointId"] = detail::checkpoint_id(tensors, metadata["checkpoint"]);
    return to_safetensors(tensors, metadata);
}

void check_says_something(const error& problem) { check(std::string_view(problem.what()).size() > 12); }

/// A trainer and a task take the file, or throw and stay as they are.
void take() {
    training here;
    const auto before = here.all();
    std::optional<std::map<std::string, std::string>> notes;
    try {
        notes = here.trains.load_checkpoint(file());
    } catch (const error& problem) {
        check_says_something(problem);
        check(here.all() == before);
    }
    if (notes) {
        const auto again = file().string() + ".again";
        here.trains.save_checkpoint(again, *notes);
        training there;
        check(there.trains.load_checkpoint(again) == *notes && there.all() == here.all());
        std::filesystem::remove(again);
        here.trains.load(setup.examples, setup.inputs, setup.targets);
        const std::vector<std::size_t> batch{0, 2};
        here.trains.step(batch);
    }
    try {
        int events = 0;
        update_task<net_type> task(begun, setup, {.epochs = 3, .mini_batch_size = 1, .checkpoint = file()},
                                   {.progress = [&events](auto& context) {
                                       if (++events > 5) context.cancel();
                                   }});
        const net_type learned = task.result();
    } catch (const error& problem) {
        check_says_something(problem);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    try {
        if (size > 0 && data[0] == '{') {
            auto metadata = sound().metadata();
            metadata["checkpoint"].assign(reinterpret_cast<const char*>(data), size);
            put(with_fitting_id(sound().entries(), metadata));
            take();
            return 0;
        }
        put(bytes);
        take();
        const safetensors read = safetensors::parse({bytes.begin(), bytes.end()}, "fuzz");
        put(with_fitting_id(read.entries(), read.metadata()));
        take();
    } catch (const error&) {  // not safetensors, or not UTF-8
    }
    return 0;
}
