#include "../counted_allocations.hpp"
#include "../training_instances.hpp"
#include "documents.hpp"
#include "failure.hpp"

#include <bespoke/control/repeat.hpp>
#include <bespoke/control/residual.hpp>
#include <bespoke/model/checkpoint.hpp>
#include <bespoke/model/network_files.hpp>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

using namespace bespoke;
using nlohmann::json;

namespace {

constexpr auto convolutional = compose(
    input{"image", {2, 8, 8}}, convolution{.output_channels = 4, .n_groups = 2, .padding = same} | named("conv"),
    batchnorm{} | named("norm"), relu{}, pooling{.kernel_size = {2, 2}, .stride = {2, 2}},
    residual(convolution{.output_channels = 4, .padding = same}, bespoke::tanh{}),
    repeat<2>(compose(convolution{.output_channels = 4, .padding = same} | named("c"), gelu{}), "block"), flatten{},
    inner_product{.output_channels = 5} | named("fc") | updatable, softmax{} | named("p"), output{"p"}, output{"fc"});

constexpr auto looping =
    compose(input{"x", {4}}, input{"n", {1}}, input{"c", {1}},
            inner_product{.output_channels = 4} | named("start") | from("x"), copy{} | named("state"),
            loop{compose(inner_product{.output_channels = 4} | named("body") | from("state"),
                         bespoke::tanh{} | named("squashed"), copy{} | named("carry") | to("state"))} |
                from("n"),
            branch{compose(multiply{.alpha = 2} | from("state") | to("z")),
                   compose(layer_normalization{.normalized_shape = {4}} | from("state") | to("z"))} |
                from("c"),
            add{} | from("z", "x") | named("y"));

/// So large that its parameters are read where they lie, and that its first run does without packed weights.
constexpr auto wide = compose(input{"x", {64, 600}}, inner_product{.output_channels = 500} | named("big") | updatable,
                              bespoke::tanh{}, inner_product{.output_channels = 3} | named("y") | updatable);

constexpr auto colourful =
    compose(input{"picture", {1, 3, 3, 2}}, convolution{.output_channels = 2, .kernel_size = {2, 2}} | named("y"));

std::string bytes_of(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

/// Files that are gone at the end.
struct files {
    std::filesystem::path path;
    std::filesystem::path weights() const { return std::filesystem::path(path).replace_extension(".safetensors"); }
    explicit files(const std::string& name)
        : path(std::filesystem::temp_directory_path() / ("bespoke_" + name + ".json")) {}
    ~files() {
        std::filesystem::remove(path);
        std::filesystem::remove(weights());
    }
    json read() const {
        std::ifstream in(path);
        return json::parse(in);
    }
    void write(const json& root) const { std::ofstream(path) << root.dump(); }
};

tensor<float> ramp(const shape& s, float step) {
    tensor<float> x = zeros<float>(s);
    for (std::size_t i = 0; i < x.size(); ++i) x.flat(i) = step * static_cast<float>(i % 13) - 0.5f;
    return x;
}

template <class A, class B>
bool same_bits(const A& a, const B& b) {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](float x, float y) {
               return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y);
           });
}

}  // namespace

TEST_CASE("both doors give the same bits") {
    bespoke::network<convolutional> net(3);
    model m = to_model(net);
    for (float step : {0.1f, -0.7f}) {
        const auto x = ramp({2, 8, 8}, step);
        const auto result = m.predict({{"image", x}});
        const auto [p, fc] = net(x);
        CHECK(same_bits(p, result.get<tensor<float>>("p")));
        CHECK(same_bits(fc, result.get<tensor<float>>("fc")));
    }
}

TEST_CASE("both doors give the same bits through loops and branches") {
    bespoke::network<looping> net(5);
    model m = to_model(net);
    std::vector<features> examples;
    for (float n : {0.0f, 1.0f, 4.0f})
        for (float c : {0.0f, 1.0f})
            examples.push_back({{"x", ramp({4}, n + c)}, {"n", tensor<float>{n}}, {"c", tensor<float>{c}}});
    const auto together = m.predict_batch(std::span<const features>(examples));
    for (std::size_t i = 0; i < examples.size(); ++i) {
        const auto y = net(examples[i].get<tensor<float>>("x"), examples[i].get<tensor<float>>("n"),
                           examples[i].get<tensor<float>>("c"));
        CHECK(same_bits(y, together[i].get<tensor<float>>("y")));
    }
}

TEMPLATE_TEST_CASE("saved and loaded, a network computes the same bits", "", float, double) {
    const files f("network_round");
    bespoke::network<convolutional, TestType> net(3), other(4);
    net.save(f.path);
    const TestType* const held = other.core().parameter(0);
    other.load(f.path);
    CHECK(other.core().parameter(0) == held);  // a trainer may look there
    bespoke::network<convolutional, TestType> straight(f.path);
    const auto x = ramp({2, 8, 8}, 0.1f);
    CHECK(same_bits(std::get<0>(straight(x)), std::get<0>(other(x))));
    if constexpr (std::is_same_v<TestType, float>) {
        CHECK(same_bits(std::get<0>(net(x)), std::get<0>(other(x))));
        model m = load(f.path);
        CHECK(same_bits(std::get<0>(net(x)), m.predict({{"image", x}}).get<tensor<float>>("p")));
    } else {
        const double before = std::get<0>(net(x)).flat(0);
        CHECK(std::get<0>(other(x)).flat(0) == Approx(before).epsilon(1e-5));  // through floats
    }
}

TEMPLATE_TEST_CASE("a recurrent layer as it is by default is saved and loaded with its biases", "",
                   uni_directional_lstm, bi_directional_lstm, gru, simple_recurrent) {
    static constexpr auto recurrent =
        compose(input{"x", {3, 2}}, TestType{.output_vector_size = 2} | named("layer"));
    const files f("network_recurrent");
    bespoke::network<recurrent> net(3), other(4);
    for (std::size_t i = 0; i < net.plan().parameters.size(); ++i)
        for (float& v : net.parameter("layer", net.plan().parameters[i].name)) v += 0.5f;
    net.prepare();
    net.save(f.path);
    const auto x = ramp({3, 2}, 0.1f);
    const auto y = net(x);
    model loaded = load(f.path);
    CHECK(same_bits(y, loaded.predict({{"x", x}}).get<tensor<float>>("layer")));
    other.load(f.path);
    CHECK(same_bits(y, other(x)));
}

TEST_CASE("loops and branches are saved and loaded") {
    const files f("network_loops");
    bespoke::network<looping> net(3), other(4);
    net.save(f.path);
    other.load(f.path);
    const auto run = [](auto& n) {
        const auto y = n(ramp({4}, 0.2f), tensor<float>{3}, tensor<float>{0});
        return std::vector<float>(y.begin(), y.end());
    };
    CHECK(run(net) == run(other));
}

TEST_CASE("a loop of which no file could say how often it runs is not saved") {
    static constexpr auto idle = compose(
        input{"x", {1}},
        branch{compose(loop{compose(copy{} | named("y"))}), compose(loop{compose(copy{} | named("z"))})},
        copy{} | from("x") | named("out"));
    const network<idle> net;
    const files file("idle");
    const std::string wanted = ": maxLoopIterations, a conditionNetwork or an input wanted, none came";
    CHECK(check::failure([&] { net.save(file.path); }).text ==
          "/neuralNetwork/layers/0/branch/ifBranch/layers/0/loop" + wanted);
    CHECK(!std::filesystem::exists(file.path));
}

TEST_CASE("what layers declare of an input whose shape is decided in the run is saved and loaded") {
    static constexpr auto decided = compose(
        input{"s", {3}}, fill_dynamic{.value = 0.5f} | named("x"),
        convolution{.output_channels = 2, .kernel_channels = 3, .kernel_size = {1, 1}} | named("convolution"),
        batchnorm{.channels = 3} | from("x") | named("norm"),
        inner_product{.input_channels = 5, .output_channels = 2} | from("x") | named("product"),
        batched_matmul{.weight_matrix_first_dimension = 5, .weight_matrix_second_dimension = 2} | from("x") |
            named("matmul"),
        uni_directional_lstm{.input_vector_size = 5, .output_vector_size = 2} | from("x") | named("lstm"),
        bi_directional_lstm{.input_vector_size = 5, .output_vector_size = 2} | from("x") | named("both"),
        gru{.input_vector_size = 5, .output_vector_size = 2} | from("x") | named("gru"),
        simple_recurrent{.input_vector_size = 5, .output_vector_size = 2} | from("x") | named("simple"),
        expand_dims{.axes = {0, 2}} | from("x") | named("volume"),
        convolution3d{.output_channels = 2, .input_channels = 3, .kernel_depth = 1, .kernel_height = 1,
                      .kernel_width = 1} | named("convolution3d"),
        output{"convolution"}, output{"norm"}, output{"product"}, output{"matmul"}, output{"lstm"}, output{"both"},
        output{"gru"}, output{"simple"}, output{"convolution3d"});
    const files f("network_decided");
    bespoke::network<decided> net(3);
    net.save(f.path);
    model loaded = load(f.path);
    bespoke::network<decided> other(f.path);
    const tensor<float> s{3, 2, 5};
    const auto result = loaded.predict({{"s", s}});
    const auto came = net(s), again = other(s);
    [&]<std::size_t... I>(std::index_sequence<I...>) {
        const auto& outputs = loaded.description().output;
        CHECK((same_bits(std::get<I>(came), result.get<tensor<float>>(outputs[I].name)) && ...));
        CHECK((same_bits(std::get<I>(came), std::get<I>(again)) && ...));
    }(std::make_index_sequence<std::tuple_size_v<decltype(came)>>());
}

TEST_CASE("settings for the model of a network") {
    bespoke::network<convolutional> net;
    model_settings settings;
    settings.type = model_type::neural_network_classifier;
    settings.class_labels = int64_sequence{1, 2, 3, 4, 5};
    settings.label_probability_layer_name = "p";
    settings.description.output = {{"digit", "", {int64_feature_type{}}}};
    settings.description.predicted_feature_name = "digit";
    settings.is_updatable = true;
    model m = to_model(net, settings);
    CHECK(m.predict({{"image", ramp({2, 8, 8}, 0.1f)}}).size() == 1);
    const std::size_t step = m.network().plan().find_step("fc");
    CHECK(m.network().plan().steps[step].updatable);
    CHECK(m.marked_updatable(m.network().plan().steps[step].first_parameter));
    CHECK_FALSE(m.marked_updatable(0));
    // the network reads the classifier, too: its first output is the probabilities
    const files f("network_classifier");
    m.save(f.path);
    CHECK(check::failure([&] { net.load(f.path); }).text ==
          f.path.string() + R"(: the output "fc" of this network is no output in the file)");
}

TEST_CASE("a network whose input is an image to its model") {
    bespoke::network<colourful> net(5), other(6);
    model_settings settings;
    settings.description.input = {{"picture", "", {image_feature_type{2, 3, {}, image_color_space::bgr}}}};
    settings.preprocessing = {{"picture", image_scaler{.channel_scale = 0.5F, .blue_bias = -1}}};
    settings.image_input_shape_mapping = image_shape_mapping::rank4_image_mapping;
    model m = to_model(net, settings);
    std::vector<std::uint8_t> pixels(18);
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(5 * i);
    tensor<float> x = zeros<float>({1, 3, 3, 2});
    for (std::size_t c = 0; c < 3; ++c)
        for (std::size_t i = 0; i < 6; ++i) x.flat(6 * c + i) = 0.5F * pixels[3 * i + c] - (c == 0 ? 1.0F : 0.0F);
    const features inputs{{"picture", bespoke::image(2, 3, pixel_layout::bgr, pixels)}};
    CHECK(same_bits(net(x), m.predict(inputs).get<tensor<float>>("y")));

    const files f("network_image");
    m.save(f.path);
    other.load(f.path);
    CHECK(same_bits(net(x), other(x)));
    // any size that the file allows may be that of the network
    json root = f.read();
    json& type = root["description"]["input"][0]["type"]["imageType"];
    type = json::parse(R"({"width": 4, "height": 2, "colorSpace": "BGR", "imageSizeRange": {"widthRange":
        {"lowerBound": 1, "upperBound": 4}, "heightRange": {"lowerBound": 1, "upperBound": 4}}})");
    root["description"]["output"][0]["type"]["multiArrayType"].erase("shape");
    f.write(root);
    other.load(f.path);
    CHECK(same_bits(net(x), other(x)));
    type["imageSizeRange"]["heightRange"]["upperBound"] = 2;
    f.write(root);
    CHECK(check::failure([&] { other.load(f.path); }).text ==
          f.path.string() +
              R"(: /description/input/0 "picture": the shape [1, 3, 3, 2] wanted for this network, the file )"
              "has [1, 3, 2, 4]");
}

TEST_CASE("a file of another network is refused at the first difference") {
    const files f("network_other");
    bespoke::network<convolutional> net(3);
    net.save(f.path);
    const json root = f.read();
    const auto x = ramp({2, 8, 8}, 0.1f);
    const auto before = std::vector<float>(std::get<0>(net(x)).begin(), std::get<0>(net(x)).end());
    const auto text = [&](const char* pointer, const char* value) {
        json changed = root;
        changed[json::json_pointer(pointer)] = json::parse(value);
        f.write(changed);
        const auto failure = check::failure([&] { net.load(f.path); }).text;
        CHECK(std::equal(before.begin(), before.end(), std::get<0>(net(x)).begin()));
        const std::string at = f.path.string() + ": ";
        return failure.rfind(at, 0) == 0 ? failure.substr(at.size()) : failure;
    };
    const std::string layers = "/neuralNetwork/layers/";
    CHECK(text("/neuralNetwork/layers/0/name", R"("other")") ==
          layers + R"(0 "other" (convolution): this network calls the layer "conv")");
    CHECK(text("/neuralNetwork/layers/1/batchnorm/epsilon", "0.5") ==
          layers + R"(1 "norm" (batchnorm): epsilon is 0.5 in the file, 1e-05 in this network)");
    CHECK(text("/neuralNetwork/layers/2/activation", R"({"tanh": {}})") ==
          layers + R"(2 "activation.ReLU_2" (activation.tanh): this network has a layer activation.ReLU here)");
    CHECK(text("/neuralNetwork/layers/2/name", R"("anything")") == "nothing is thrown");
    CHECK(text("/neuralNetwork/layers/6/input", R"(["pooling_3", "pooling_3"])") ==
          layers + R"(6 "add_6" (add): its input "pooling_3" is another blob in this network: "activation.tanh_5")");
    CHECK(text("/description/input/0/name", R"("picture")").find("no layer before it") != std::string::npos);
    CHECK(text("/description/output", R"([{"name": "p", "type": {"multiArrayType": {"dataType": "FLOAT32"}}}])") ==
          R"(the output "fc" of this network is no output in the file)");
    CHECK(text("/description/input/0/type/multiArrayType/shape", "[2, 9, 9]") ==
          R"(/description/input/0 "image": the shape [2, 8, 8] wanted for this network, the file has [2, 9, 9])");
    json longer = root;
    longer["neuralNetwork"]["layers"].push_back(json::parse(R"({"name": "more", "input": ["fc"],
        "output": ["more"], "activation": {"tanh": {}}})"));
    f.write(longer);
    CHECK(check::failure([&] { net.load(f.path); }).text ==
          f.path.string() + ": the file has 15 layers, this network 14");
    f.write(root);
    CHECK_NOTHROW(net.load(f.path));
}

// --- large models, whose weights are read where they lie -------------------------------------------------------

namespace {

template <class Network>
std::vector<float> once(Network& net, const tensor<float>& x) {
    const auto y = net(x);
    return {y.begin(), y.end()};
}
std::vector<float> once(model& m, const tensor<float>& x) {
    const auto y = m.predict({{"x", x}}).get<tensor<float>>("y");
    return {y.begin(), y.end()};
}

}  // namespace

TEST_CASE("a large network gives the same bits through both doors, in its first run and in later ones") {
    const files f("network_wide");
    const auto x = ramp({64, 600}, 0.1f);
    bespoke::network<wide> net(3), same(3), other(4), used(4);
    net.save(f.path);
    const auto y = once(net, x);
    CHECK(same_bits(once(net, x), y));
    CHECK(same_bits(once(same, x), y));
    CHECK_FALSE(same_bits(once(used, x), y));
    other.load(f.path);
    used.load(f.path);
    bespoke::network<wide> straight(f.path, 3), copied(other);
    for (auto* loaded : {&other, &used, &straight, &copied})
        for (int run = 0; run < 3; ++run) CHECK(same_bits(once(*loaded, x), y));
    for (const std::size_t threads : {1U, 2U, 5U}) {
        model m = load(f.path, {.threads = threads});
        model copy = m;
        for (int run = 0; run < 3; ++run) CHECK(same_bits(once(m, x), y));
        CHECK(same_bits(once(copy, x), y));
    }
}

TEST_CASE("many examples of a large network, in its first run and in later ones") {
    bespoke::network<wide> net(3), fresh(3);
    const auto x = ramp({64, 600}, 0.1f), many = ramp({3, 64, 600}, 0.1f);
    const auto y = fresh.predict_batch(many);
    const std::vector<float> first(y.begin(), y.end());
    const auto again = fresh.predict_batch(many);
    CHECK(same_bits(std::vector<float>(again.begin(), again.end()), first));
    for (std::size_t e = 0; e < 3; ++e) {
        tensor<float> one = zeros<float>(shape{64, 600});
        std::copy_n(many.data() + e * one.size(), one.size(), one.data());
        CHECK(same_bits(once(net, one), std::vector<float>(first.begin() + static_cast<long>(192 * e),
                                                           first.begin() + static_cast<long>(192 * (e + 1)))));
    }
}

TEST_CASE("a refused file leaves a network as it was, whether or not it has run") {
    const files f("network_refused");
    const auto x = ramp({64, 600}, 0.1f);
    bespoke::network<wide> net(3), fresh(4), used(4), reference(4);
    net.save(f.path);
    const auto y = once(reference, x);
    once(used, x);
    const std::size_t size = std::filesystem::file_size(f.weights());
    {
        std::fstream file(f.weights(), std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(static_cast<std::streamoff>(size) - 4);
        file.write("\0\0\xC0\x7F", 4);
    }
    const std::string problem =
        f.path.string() + ": /neuralNetwork/layers/2/innerProduct/weights: number 1499 is NaN (layer \"y\")";
    for (auto* refuses : {&fresh, &used}) {
        CHECK_THROWS_WITH(refuses->load(f.path), problem);
        CHECK(same_bits(once(*refuses, x), y));
    }
    CHECK_THROWS_WITH(load(f.path), problem);
    std::filesystem::resize_file(f.weights(), size - 8);
    CHECK_THROWS_AS(fresh.load(f.path), error);
    CHECK_THROWS_AS(load(f.path), error);
    CHECK(same_bits(once(fresh, x), y));
}

TEST_CASE("a network takes over a model in memory") {
    bespoke::network<convolutional> net(3), other(4);
    const auto x = ramp({2, 8, 8}, 0.1f);
    const model m = to_model(net);
    other.load(m);
    CHECK(same_bits(std::get<0>(net(x)), std::get<0>(other(x))));

    // what a file names; the model keeps its values
    const files f("network_memory");
    net.save(f.path);
    model loaded = load(f.path);
    bespoke::network<convolutional, double> twice;
    twice.load(loaded);
    CHECK(twice.parameter("fc", "weights")[0] == static_cast<double>(net.parameter("fc", "weights")[0]));
    loaded.predict({{"image", x}});
    loaded.parameter("fc", "weights")[0] = 7;  // the next prediction prepares
    CHECK(std::as_const(loaded).parameter("fc", "weights")[0] == 7);
    other.load(loaded);
    CHECK(other.parameter("fc", "weights")[0] == 7);
    CHECK(net.parameter("fc", "weights")[0] != 7);
    CHECK(same_bits(std::get<0>(other(x)), loaded.predict({{"image", x}}).get<tensor<float>>("p")));

    // another one is refused, and changes nothing
    static constexpr auto narrow = compose(input{"image", {2, 8, 8}}, flatten{},
                                           inner_product{.output_channels = 5} | named("fc") | updatable);
    bespoke::network<narrow> third(5);
    const float before = third.parameter("fc", "weights")[0];
    CHECK(check::failure([&] { third.load(loaded); }).text ==
          "/neuralNetwork/layers/0 \"conv\" (convolution): this network has a layer flatten here");
    CHECK(third.parameter("fc", "weights")[0] == before);
    static constexpr auto wider =
        compose(input{"image", {2, 8, 8}}, flatten{} | named("f"), inner_product{.output_channels = 6} | named("fc"));
    CHECK(check::failure([&] { third.load(to_model(bespoke::network<wider>())); }).text ==
          "/neuralNetwork/layers/1 \"fc\" (innerProduct): outputChannels is \"6\" in the model, \"5\" in this network");
    model gone = std::move(loaded);
    CHECK(check::failure([&] { other.load(std::move(loaded)); }).text.find("moved from") != std::string::npos);
}

TEST_CASE("a file with layers of a type that a network has none of says so") {
    const files f("network_other_types");
    bespoke::network<convolutional>(3).save(f.path);
    bespoke::network<wide> net(4);
    CHECK_THROWS_WITH(net.load(f.path),
                      f.path.string() +
                          ": /neuralNetwork/layers/0 \"conv\": \"convolution\" is none of the layers of what reads "
                          "it: the network composed in code, or the list given to load");
}

TEST_CASE("what learns after loading writes neither the file nor another model of it") {
    const files f("network_learns");
    const auto x = ramp({64, 600}, 0.1f);
    bespoke::network<wide> net(3), other(4);
    net.save(f.path);
    const std::string bytes = bytes_of(f.weights());
    const auto y = once(net, x);
    other.load(f.path);
    model m = load(f.path), twin = load(f.path);

    const std::vector<float> target(192, 0.5f);
    const training_setup<float> setup{.examples = 1, .inputs = {x}, .losses = {mean_squared_error{}},
                                      .targets = {target}, .with = sgd{.learning_rate = 0.1}};
    const auto learned = update(other, setup, {.epochs = 2, .mini_batch_size = 1});
    const auto expected = update(net, setup, {.epochs = 2, .mini_batch_size = 1});
    auto from_file = learned, from_memory = expected;
    CHECK(same_bits(once(from_file, x), once(from_memory, x)));
    CHECK_FALSE(same_bits(once(from_file, x), y));
    m.parameter("big", "weights")[7] += 1;
    m.network().prepare();
    CHECK_FALSE(same_bits(once(m, x), y));
    CHECK(same_bits(once(twin, x), y));
    CHECK(same_bits(once(other, x), y));
    CHECK(bytes_of(f.weights()) == bytes);
}

TEST_CASE("a model is saved over the file that it reads") {
    const files f("network_over");
    const auto x = ramp({64, 600}, 0.1f);
    bespoke::network<wide> net(3), other(4);
    net.save(f.path);
    const auto y = once(net, x);
    const std::string bytes = bytes_of(f.weights());
    model m = load(f.path);
    other.load(f.path);
    m.save(f.path);
    CHECK(bytes_of(f.weights()) == bytes);
    other.parameter("y", "bias")[0] = 5;
    other.prepare();
    other.save(f.path);
    CHECK(bytes_of(f.weights()) != bytes);
    CHECK(same_bits(once(m, x), y));
    CHECK(once(other, x)[1] == y[1]);
    bespoke::network<wide> again(f.path);
    CHECK(same_bits(once(again, x), once(other, x)));
}

TEST_CASE("a small model is read into memory: its file may change afterwards") {
    const files f("network_small");
    bespoke::network<colourful> net(3), other(4);
    net.save(f.path);
    other.load(f.path);
    model m = load(f.path);
    const auto x = ramp({1, 3, 3, 2}, 0.1f);
    const auto y = once(net, x);
    if (std::filesystem::exists(f.weights())) std::filesystem::resize_file(f.weights(), 0);
    CHECK(same_bits(once(other, x), y));
    CHECK(m.parameter("y", "weights")[0] == net.parameter("y", "weights")[0]);
}

TEST_CASE("a load that finds no memory changes nothing, nor does one into a network that was moved from") {
    const files f("network_scarce");
    bespoke::network<looping>(3).save(f.path);
    bespoke::network<looping> net(4);
    const std::vector<float> x{1, -2, 3, 0.5f}, n{2}, c{1};
    const auto run = [&] {
        const auto y = net(x, n, c);
        return std::vector<float>(y.begin(), y.end());
    };
    const auto before = run();
    // the file is read and found right, and then the network wants working memory for its threads
    const auto load = [&] {
        net.use_threads(2);
        net.load(f.path);
    };
    std::size_t all = allocations;
    load();
    all = allocations - all;
    CHECK(run() != before);
    net.initialize(4);
    for (std::size_t more = 0; more < all; ++more) {
        try {
            const scarce_memory scarce(more);
            load();
        } catch (const std::bad_alloc&) {
            CHECK(run() == before);
        } catch (const error&) {
            CHECK(run() == before);
        }
        net.initialize(4);
    }

    const auto elsewhere = std::move(net);
    CHECK_THROWS_AS(net.load(f.path), error);
}

TEST_CASE("network_files: a document for which there is no memory throws") {
    static constexpr auto description =
        compose(input{"x", {2}}, inner_product{.output_channels = 2}, leaky_relu{.alpha = 0.25f} | named("y"));
    std::string text = to_model(bespoke::network<description>()).write("").json;
    CHECK(with_scarce_memory([&] { static_cast<void>(parse(text)); }, [] {}) > 0);

    const std::string number = "\"alpha\": 0.25", list = R"("alpha": "[[1], [2, {\"a\": [3]}]]")";
    text.replace(text.find(number), number.size(), list);
    const auto refused = [&] {
        try {
            static_cast<void>(parse(text));
        } catch (const error& problem) {
            if (problem.code() != errc::bad_value) throw;
        }
    };
    CHECK(with_scarce_memory(refused, [] {}) > 0);
}

TEST_CASE("network_files: an answer of five axes for which there is no memory throws") {
    static constexpr auto description = compose(input{"x", {1, 1, 2, 1, 1}}, bespoke::tanh{} | named("y"));
    model m = to_model(bespoke::network<description>());
    const features x{{"x", zeros<float>({1, 1, 2, 1, 1})}};
    const features y = m.predict(x);
    const auto failures = with_scarce_memory([&] { m.predict(x); }, [&] { CHECK(m.predict(x) == y); });
    CHECK(failures > 0);
}

TEST_CASE("network_files: a copy of class labels for which there is no memory throws") {
    model_settings some{.type = model_type::neural_network_classifier};
    some.class_labels = string_sequence{"a name that is too long to lie in its string", "b"};
    CHECK(with_scarce_memory([&] { model_settings copy = some; }, [] {}) > 1);
}

TEST_CASE("network_files: a checkpoint for which there is no memory throws, and changes neither file nor training") {
    static constexpr auto description = compose(
        input{"x", {2}}, inner_product{.output_channels = 2} | named("y") | updatable, bespoke::tanh{});
    const std::vector<float> x{1, 2, 3, 4}, y{0, 1, 1, 0};
    bespoke::network<description> net(3);
    trainer training(net, {mean_squared_error{}}, adam{});
    training.load(2, {{x}}, {{y}});
    const std::vector<std::size_t> both{0, 1};
    training.step(both);
    const files f("checkpoint_scarce");
    training.save_checkpoint(f.path, {{"epoch", "1"}});
    const auto written = read_file(f.path);
    const auto save = [&](const char* epoch) { training.save_checkpoint(f.path, {{"epoch", epoch}}); };
    CHECK(with_scarce_memory([&] { save("2"); }, [&] { CHECK(read_file(f.path) == written); }) > 0);
    save("1");
    CHECK(read_file(f.path) == written);
    training.step(both);
    save("2");
    const auto later = read_file(f.path);
    const auto unchanged = [&] {
        save("2");
        CHECK(read_file(f.path) == later);
        write_file_atomically(f.path, written);
    };
    write_file_atomically(f.path, written);
    CHECK(with_scarce_memory([&] { training.load_checkpoint(f.path); }, unchanged) > 0);
    save("1");
    CHECK(read_file(f.path) == written);

    const training_setup<float> setup{
        .examples = 2, .inputs = {x}, .losses = {mean_squared_error{}}, .targets = {y}, .with = adam{}};
    const auto task = [&] { static_cast<void>(update(net, setup, {.epochs = 1, .checkpoint = f.path})); };
    const auto begin = [&] { std::filesystem::remove(f.path); };
    begin();
    CHECK(with_scarce_memory(task, begin) > 0);
    CHECK(with_scarce_memory(task, [] {}) > 0);  // it goes on
}
