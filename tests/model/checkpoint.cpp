#include <bespoke/layers/activation.hpp>
#include <bespoke/layers/inner_product.hpp>
#include <bespoke/model/checkpoint.hpp>
#include <bespoke/model/network_files.hpp>

#include "failure.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>

using namespace bespoke;
using check::failure;

namespace {
namespace checkpoint_files_test {

constexpr auto pair_of_layers = compose(input{"x", {2}}, inner_product{.output_channels = 2} | named("stem"),
                                        inner_product{.output_channels = 1} | named("y") | updatable);
using net_type = network<pair_of_layers>;
using trainer_type = trainer<float>;

struct place {
    std::filesystem::path path = std::filesystem::temp_directory_path() / "bespoke_checkpoint_file";
    place() { std::filesystem::remove(path); }
    place(const place&) = delete;
    place& operator=(const place&) = delete;
    ~place() { std::filesystem::remove(path); }
};

const any_optimizer<float>& optimizer() {
    static const any_optimizer<float> it = chain(clip_by_global_norm{1}, sgd{.learning_rate = 0.25, .momentum = 0.5});
    return it;
}
/// One that has learned a little, from given numbers.
struct learned {
    net_type net{1};
    trainer_type training{net, {mean_squared_error{}}, optimizer()};
    const std::vector<float> x{1, 2, 3, -4}, y{1, 0};

    learned() {
        training.load(2, {{x}}, {{y}});
        const std::vector<std::size_t> both{0, 1};
        for (int i = 0; i < 3; ++i) training.step(both);
    }
    /// Weights, what the optimizer keeps, its numbers and the steps.
    std::string all() const {
        const training_state s = training.state();
        std::string text = std::to_string(s.steps);
        const auto add = [&](std::span<const std::byte> bytes) {
            text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        };
        for (const auto& h : s.hyper_parameters) add(std::as_bytes(std::span(&h.value, 1)));
        for (const auto& p : s.parameters) {
            add(p.bytes);
            for (const auto& m : p.moments) add(m);
        }
        return text;
    }
};

/// A trainer of other numbers, without examples.
struct fresh {
    net_type net{2};
    trainer_type training{net, {mean_squared_error{}}, optimizer()};
};

/// The number of a checkpoint that holds these.
std::string id_by_hand(const std::vector<tensor_entry>& sorted, const std::string& text) {
    std::uint64_t hash = 0xcbf29ce484222325;
    const auto add = [&](std::string bytes) {
        bytes.resize((bytes.size() + 7) / 8 * 8, '\0');
        for (std::size_t i = 0; i < bytes.size(); i += 8) {
            std::uint64_t word;
            std::memcpy(&word, bytes.data() + i, 8);
            hash = (hash ^ word) * 0x100000001b3;
            hash ^= hash >> 32;
        }
    };
    for (const auto& t : sorted) {
        add(t.name);
        add({reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size()});
    }
    add("checkpoint");
    add(text);
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
    return digits;
}

}  // namespace checkpoint_files_test
}  // namespace

TEST_CASE("a checkpoint is a safetensors file with a tensor for each parameter") {
    using namespace checkpoint_files_test;
    const place file;
    const learned from;
    from.training.save_checkpoint(file.path, {{"epoch", "3"}});
    const safetensors read = safetensors::load(file.path);
    std::vector<std::string> names;
    for (const auto& entry : read.entries()) names.push_back(entry.name);
    CHECK(names == std::vector<std::string>{"frozen.stem.bias", "frozen.stem.weights", "learning.y.bias",
                                            "learning.y.weights", "moment0.y.bias", "moment0.y.weights"});
    CHECK(read.find("learning.y.weights")->dimensions == shape{1, 2});
    CHECK(read.find("learning.y.weights")->dtype == "F32");
    const auto weights = from.net.parameter("y", "weights");
    CHECK(to_floats(*read.find("learning.y.weights")) == std::vector<float>(weights.begin(), weights.end()));
    CHECK(read.metadata().at("checkpoint") ==
          R"({"hyperParameters":{"0.limit":1.0,"1.learning_rate":0.25,"1.momentum":0.5},)"
          R"("layers":["innerProduct","innerProduct"],"losses":["meanSquaredErrorLossLayer"],"moments":1,)"
          R"("notes":{"epoch":"3"},"optimizer":"clip_by_global_norm, sgd","steps":3,"version":1})");
    CHECK(read.metadata().at("checkpointId").size() == 16);
    // the same state gives the same bytes
    const auto bytes = read_file(file.path);
    fresh to;
    CHECK(to.training.load_checkpoint(file.path).at("epoch") == "3");
    to.training.save_checkpoint(file.path, {{"epoch", "3"}});
    CHECK(read_file(file.path) == bytes);
}

TEST_CASE("a checkpoint with any byte changed, or cut anywhere, is an error or the same bits") {
    using namespace checkpoint_files_test;
    const place file;
    learned from;
    from.training.save_checkpoint(file.path, {{"epoch", "3"}});
    const std::string wanted = from.all();
    const auto bytes = read_file(file.path);
    fresh to;
    to.training.load_checkpoint(file.path);
    const auto state_of = [&] {
        const training_state s = to.training.state();
        std::vector<std::byte> all;
        for (const auto& p : s.parameters) {
            all.insert(all.end(), p.bytes.begin(), p.bytes.end());
            for (const auto& m : p.moments) all.insert(all.end(), m.begin(), m.end());
        }
        return all;
    };
    const auto before = state_of();
    std::size_t refused = 0, taken = 0;
    const auto put = [&](const std::vector<std::byte>& changed) {
        std::ofstream(file.path, std::ios::binary)
            .write(reinterpret_cast<const char*>(changed.data()), static_cast<std::streamsize>(changed.size()));
        try {
            const auto notes = to.training.load_checkpoint(file.path);
            ++taken;
            CHECK(notes == std::map<std::string, std::string>{{"epoch", "3"}});
        } catch (const error&) {
            ++refused;
        }
        CHECK(to.training.steps() == 3);
        CHECK(state_of() == before);
    };
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        auto changed = bytes;
        changed[i] ^= static_cast<std::byte>(1U << i % 8);
        put(changed);
    }
    CHECK(refused > bytes.size() * 9 / 10);
    const std::size_t so_far = refused, taken_so_far = taken;
    for (std::size_t size = 0; size < bytes.size(); size += size < 12 ? 1 : 7)
        put({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)});
    auto longer = bytes;
    longer.push_back(std::byte{0});
    put(longer);
    CHECK(refused > so_far + bytes.size() / 7);
    CHECK(taken == taken_so_far);
}

TEST_CASE("each field of a checkpoint is checked, also by who wrote it with its number") {
    using namespace checkpoint_files_test;
    const place file;
    const learned from;
    from.training.save_checkpoint(file.path);
    fresh to;
    const safetensors good = safetensors::load(file.path);
    const std::string facts = good.metadata().at("checkpoint");
    const auto before = read_file(file.path);
    const auto said = [&](std::vector<tensor_entry> tensors, const std::string& text) {
        std::ranges::sort(tensors, {}, &tensor_entry::name);
        write_file_atomically(
            file.path, to_safetensors(tensors, {{"checkpoint", text}, {"checkpointId", id_by_hand(tensors, text)}}));
        const failure f([&] { to.training.load_checkpoint(file.path); });
        CHECK(to.training.steps() == 0);
        const std::string begin = file.path.string() + ": ";
        return f.text.starts_with(begin) ? f.text.substr(begin.size()) : f.text;
    };
    const auto with = [&](const std::string& old, const std::string& now) {
        std::string text = facts;
        const auto at = text.find(old);
        REQUIRE(at != text.npos);
        return said(good.entries(), text.replace(at, old.size(), now));
    };
    const std::string count = "an integer from 0 to 18446744073709551615 wanted, ";
    CHECK(with("\"steps\":3", "\"steps\":-3") == "checkpoint/steps: " + count + "-3 came");
    CHECK(with("\"steps\":3", "\"steps\":3.5") == "checkpoint/steps: " + count + "3.5 came");
    CHECK(with("\"steps\":3", "\"steps\":null") == "checkpoint/steps: it is missing");
    CHECK(with("\"steps\":3", "\"steps\":\"NaN\"") == "checkpoint/steps: " + count + "\"NaN\" came");
    CHECK(with("\"steps\":3,", "") == "checkpoint/steps: it is missing");
    CHECK(with("\"steps\":3", "\"steps\":NaN").starts_with("checkpoint: not JSON at byte"));
    CHECK(with("\"steps\":3", "\"steps\":3,\"steps\":4") == "checkpoint: /steps: the key comes twice");
    CHECK(with("\"steps\":3", "\"steps\":3,\"stops\":4") ==
          "checkpoint: unknown field \"stops\", did you mean \"steps\"?");
    CHECK(with("\"version\":1", "\"version\":2") == "checkpoint/version: 1 wanted, 2 came");
    CHECK(with("\"moments\":1", "\"moments\":18446744073709551615") ==
          "tensor \"moment1.y.weights\": this training wants it, the checkpoint lacks it");
    CHECK(with("\"moments\":1", "\"moments\":0") == "tensor \"moment0.y.bias\": this training has no such tensor");
    CHECK(with("0.25", "true") == "checkpoint/hyperParameters/1.learning_rate: a number wanted, true came");
    CHECK(with("0.25", "\"NaN\"") == "checkpoint: a learning rate from 0 up wanted, NaN came");
    CHECK(with("0.25", "-0.25") == "checkpoint: a learning rate from 0 up wanted, -0.25 came");
    CHECK(with("0.25", "\"Infinity\"") == "checkpoint: a learning rate from 0 up wanted, Infinity came");
    CHECK(with("0.25", "1e999").starts_with("checkpoint: /hyperParameters/1.learning_rate: the number is too large"));
    CHECK(with("[\"innerProduct\",", "[") ==
          "checkpoint/layers/1: this training has \"innerProduct\", the checkpoint none");
    CHECK(with("[\"innerProduct\",", "[3,") == "checkpoint/layers/0: a string wanted, 3 came");
    CHECK(with("1.momentum", "1.moment") == "checkpoint/hyperParameters/1.momentum: it is missing");
    CHECK(with("\"1.momentum\"", "\"1.beta1\":0.5,\"1.momentum\"") ==
          "checkpoint/hyperParameters: unknown field \"1.beta1\"");
    CHECK(with("{}", "{\"a\":1}") == "checkpoint/notes/a: a string wanted, 1 came");
    CHECK(with("{}", "[]") == "checkpoint/notes: an object wanted, an array came");
    CHECK(with("{}", "{},\"task\":{}") == "checkpoint/task/begun.epochs: it is missing");
    CHECK(said(good.entries(), "[]") == "checkpoint: an object wanted, an array came");
    CHECK(said(good.entries(), "").starts_with("checkpoint: not JSON"));

    for (std::size_t i = 0; i < good.entries().size(); ++i) {
        auto fewer = good.entries(), other = fewer, wider = fewer, doubles = fewer;
        const std::string name = "tensor \"" + fewer[i].name + "\": ";
        fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
        CHECK(said(fewer, facts) == name + "this training wants it, the checkpoint lacks it");
        wider[i].dimensions = shape{1, 1, wider[i].dimensions.size()};
        CHECK(said(wider, facts).starts_with(name + "the shape "));
        doubles[i].dtype = "I32";
        CHECK(said(doubles, facts) == name + "F32 wanted, I32 came");
        other.push_back(other[i]);
        other.back().name += "x";
        CHECK(said(other, facts) == "tensor \"" + other.back().name + "\": this training has no such tensor");
    }
    write_file_atomically(file.path, to_safetensors(good.entries()));
    CHECK(failure([&] { to.training.load_checkpoint(file.path); }).text ==
          file.path.string() +
              ": a checkpoint wanted, this has no \"checkpoint\" and \"checkpointId\" in its metadata");
    write_file_atomically(file.path, before);
    to.training.load_checkpoint(file.path);
    CHECK(to.training.steps() == 3);
}
