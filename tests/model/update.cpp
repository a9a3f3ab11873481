#include <bespoke/layers/all.hpp>
#include <bespoke/model/network_files.hpp>
#include <bespoke/model/update.hpp>

#include <catch2/catch.hpp>

#include "failure.hpp"

#include <cstring>
#include <limits>

using namespace bespoke;

namespace {

constexpr auto description =
    compose(input{"x", {4, 1, 1}}, inner_product{.output_channels = 6} | named("stem"), bespoke::tanh{} | named("t"),
            inner_product{.output_channels = 3} | named("head") | updatable, softmax{} | named("p"));

/// A classifier of three names with everything that an update wants.
model_settings classifier_settings() {
    model_settings s{.is_updatable = true, .type = model_type::neural_network_classifier};
    const feature_type x{array_feature_type{.shape = {4, 1, 1}, .data_type = array_data_type::float32}};
    s.description.input = {{"x", "", x}};
    s.description.output = {{"name", "", {string_feature_type{}}}};
    s.description.training_input = {{"x", "", x}, {"name", "", {string_feature_type{}}}};
    s.description.predicted_feature_name = "name";
    s.class_labels = string_sequence{"ant", "bee", "cat"};
    s.label_probability_layer_name = "p";
    auto& u = s.update_parameters.emplace();
    u.loss_layers = {{"loss", categorical_cross_entropy{"p", "name"}}};
    u.optimizer = sgd_optimizer{.learning_rate = double_parameter{0.5, double_range{0, 1}},
                                .mini_batch_size = int64_parameter{5, int64_set{{5, 10}}},
                                .momentum = double_parameter{0.5, {}}};
    u.epochs = int64_parameter{8, int64_range{1, 50}};
    u.shuffle = true;
    u.seed = int64_parameter{3, {}};
    return s;
}
model learning_classifier() {
    network<description> net(1);
    model m = to_model(net);
    m.set_settings(classifier_settings());
    return m;
}

const char* const names[] = {"ant", "bee", "cat"};

tensor<float> point(std::size_t i) {
    philox random(9, i);
    tensor<float> x = zeros<float>({4, 1, 1});
    for (std::size_t j = 0; j < 4; ++j) x(j, 0, 0) = static_cast<float>(random.uniform() + (j == i % 3 ? 1 : 0));
    return x;
}
std::vector<features> examples(std::size_t count) {
    std::vector<features> all;
    for (std::size_t i = 0; i < count; ++i) all.push_back({{"x", point(i)}, {"name", std::string(names[i % 3])}});
    return all;
}
std::vector<float> parameters(const model& m) {
    return {m.network().core().parameters().block().begin(), m.network().core().parameters().block().end()};
}
bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}
int right(model& m) {
    int count = 0;
    for (std::size_t i = 0; i < 30; ++i)
        count += m.predict({{"x", point(i)}}).get<std::string>("name") == names[i % 3];
    return count;
}

}  // namespace

TEST_CASE("a model learns from features, and the one it was made from stays") {
    model m = learning_classifier();
    const auto before = parameters(m);
    std::vector<double> losses;
    update_handlers<model> handlers{.events = update_event::epoch_end};
    handlers.progress = [&](auto& context) { losses.push_back(context.metrics.loss); };
    update_task task{m, examples(30), {}, handlers};
    model learned = task.result();

    CHECK(losses.size() == 8);
    CHECK(losses.back() < losses.front() / 2);
    CHECK(right(learned) >= right(m) + 8);
    CHECK(same_bits(parameters(m), before));
    const auto stem = [](model& of) {
        return std::vector<float>(of.parameter("stem", "weights").begin(), of.parameter("stem", "weights").end());
    };
    const auto head = [](model& of) {
        return std::vector<float>(of.parameter("head", "weights").begin(), of.parameter("head", "weights").end());
    };
    CHECK(same_bits(stem(m), stem(learned)));
    CHECK_FALSE(same_bits(head(m), head(learned)));

    // what was learned goes through a file to the last bit
    model read = parse(learned.write("").json);
    CHECK(same_bits(parameters(read), parameters(learned)));
    CHECK(check_updatable(read).empty());
}

TEST_CASE("the target of a classifier's cross entropy may be its label, under another name") {
    // so coremltools writes it: the loss wants "p_true", the training input is the label
    const auto with_target = [](const std::string& target) {
        model m = learning_classifier();
        model_settings s = classifier_settings();
        s.update_parameters->loss_layers = {{"loss", categorical_cross_entropy{"p", target}}};
        m.set_settings(s);
        return m;
    };
    const auto wanted = parameters(update(learning_classifier(), examples(23)));
    model m = with_target("p_true");
    CHECK(check_updatable(m).empty());
    CHECK(same_bits(parameters(update(m, examples(23))), wanted));
    CHECK(parse(m.write("").json).settings() == m.settings());

    // what is described under the name of the target is the target
    model_settings s = m.settings();
    s.description.training_input.push_back({"p_true", "", {int64_feature_type{}}});
    m.set_settings(s);
    std::vector<features> both = examples(23);
    for (std::size_t i = 0; i < both.size(); ++i) {
        both[i].set("p_true", static_cast<std::int64_t>(i % 3));
        both[i].set("name", std::string("ant"));
    }
    CHECK(same_bits(parameters(update(m, both)), wanted));

    // without a name of the probabilities they are what the last layer gives
    s = with_target("p_true").settings();
    s.label_probability_layer_name = "";
    m.set_settings(s);
    CHECK(same_bits(parameters(update(m, examples(23))), wanted));
    s.description.training_input.pop_back();
    m.set_settings(s);
    CHECK(check_updatable(m) == std::vector<std::string>{
        "the loss wants the target \"p_true\", which \"trainingInput\" does not describe"});
}

TEST_CASE("the composed network learns the same bits, for any number of threads") {
    model m = learning_classifier();
    const model learned = update(m, examples(23), {.epochs = 4});

    network<description> net(1);
    std::vector<float> x, labels;
    for (std::size_t i = 0; i < 23; ++i) {
        const auto p = point(i);
        x.insert(x.end(), p.begin(), p.end());
        labels.push_back(static_cast<float>(i % 3));
    }
    const training_setup<float> setup{
        .examples = 23, .inputs = {x}, .losses = {categorical_cross_entropy{.input = "p"}}, .targets = {labels},
        .with = sgd{.learning_rate = 0.5, .momentum = 0.5}};
    const auto composed = update(net, setup, {.epochs = 4, .mini_batch_size = 5, .shuffle = true, .seed = 3});
    const auto& block = composed.core().parameters().block();
    CHECK(same_bits(parameters(learned), {block.begin(), block.end()}));

    for (std::size_t threads : {2U, 5U}) {
        m.network().use_threads(threads);
        CHECK(same_bits(parameters(update(m, examples(23), {.epochs = 4})), parameters(learned)));
    }
}

TEST_CASE("a loaded model goes on from the checkpoint of its update") {
    const model m = learning_classifier();
    const auto expected = parameters(update(m, examples(23), {.epochs = 6}));
    const auto file = std::filesystem::temp_directory_path() / "bespoke_checkpoint_of_a_model";
    std::filesystem::remove(file);
    int batches = 0;
    update_handlers<model> handlers{.events = update_event::mini_batch_end};
    handlers.progress = [&](auto& context) {
        if (++batches % 4 == 0) context.cancel();
    };
    const update_options options{.epochs = 6, .checkpoint = file};
    for (int i = 0; i < 7; ++i) update_task(m, examples(23), options, handlers).wait();
    CHECK(batches == 28);  // of 30
    CHECK(same_bits(parameters(update(m, examples(23), options)), expected));
    const check::failure other([&] { (void)update(m, examples(24), options); });
    CHECK(other.text == file.string() + ": it is not a checkpoint of this task: it has 23 examples, 24 came (without "
                                        "the file, a new training begins)");
    std::filesystem::remove(file);
}

TEST_CASE("an update takes other numbers where the model allows them") {
    const model m = learning_classifier();
    const auto base = parameters(update(m, examples(10)));
    CHECK(same_bits(parameters(update(m, examples(10), {.epochs = 8})), base));
    CHECK_FALSE(same_bits(parameters(update(m, examples(10), {.learning_rate = 0.25})), base));
    CHECK_FALSE(same_bits(parameters(update(m, examples(10), {.momentum = 0.25})), base));
    CHECK_FALSE(same_bits(parameters(update(m, examples(10), {.mini_batch_size = 10})), base));
    CHECK_FALSE(same_bits(parameters(update(m, examples(10), {.seed = 4})), base));

    const auto refused = [&](const update_options& options) {
        return check::failure([&] { (void)update(m, examples(10), options); }).text;
    };
    CHECK(refused({.epochs = 51}) == "update: number of epochs: a number from 1 to 50 wanted, 51 came");
    CHECK(refused({.mini_batch_size = 7}) == "update: mini-batch size: 5 or 10 wanted, 7 came");
    CHECK(refused({.learning_rate = 2}) == "update: learning rate: a number from 0.0 to 1.0 wanted, 2.0 came");
    CHECK(refused({.learning_rate = std::numeric_limits<double>::quiet_NaN()}) ==
          "update: learning rate: a number from 0.0 to 1.0 wanted, NaN came");
}

TEST_CASE("examples that do not fit are named") {
    const model m = learning_classifier();
    const auto refused = [&](const features& second) {
        return check::failure([&] { (void)update(m, std::vector<features>{examples(1)[0], second}); }).text;
    };
    CHECK(check::failure([&] { (void)update(m, std::vector<features>{}); }).text ==
          "update: at least one example wanted, none came");
    CHECK(refused({{"x", point(0)}, {"name", std::string("dog")}}) ==
          "example 1: target \"name\": a class label of the model wanted, \"dog\" came");
    CHECK(refused({{"x", point(0)}}) == "example 1: training input \"name\": a string wanted, but none is given");
    CHECK(refused({{"x", point(0)}, {"name", 3.5}}) ==
          "example 1: training input \"name\": a string wanted, but a double came");
    const tensor<float> small = zeros<float>({3, 1, 1});
    CHECK(refused({{"x", small}, {"name", std::string("ant")}}) ==
          "example 1: training input \"x\": a multi-array FLOAT32 [4, 1, 1] wanted, but a multi-array FLOAT32 "
          "[3, 1, 1] came");
}

TEST_CASE("a number for the label of a classifier is one of its labels, whatever its type") {
    const auto learner_of = [](const auto& labels, const feature_type& type) {
        model m = learning_classifier();
        model_settings s = classifier_settings();
        s.class_labels = labels;
        if (std::holds_alternative<int64_sequence>(s.class_labels))
            s.description.output[0].type = {int64_feature_type{}};
        s.description.training_input[1].type = type;
        m.set_settings(s);
        return m;
    };
    const auto labelled = [](const feature_value& label) {
        return std::vector<features>{{{"x", point(1)}, {"name", label}}};
    };
    const auto refused = [&](const model& m, const feature_value& label) {
        return check::failure([&] { (void)update(m, labelled(label)); }).text;
    };
    const int64_sequence tens{2, 10, 0};
    const model whole = learner_of(tens, {int64_feature_type{}}), real = learner_of(tens, {double_feature_type{}});
    const auto wanted = parameters(update(learning_classifier(), labelled(std::string("bee"))));
    CHECK(same_bits(parameters(update(whole, labelled(std::int64_t{10}))), wanted));
    CHECK(same_bits(parameters(update(real, labelled(std::int64_t{10}))), wanted));
    CHECK(same_bits(parameters(update(real, labelled(10.0))), wanted));
    const std::string place = "example 0: target \"name\": ";
    CHECK(refused(whole, std::int64_t{1}) == place + "a class label of the model wanted, 1 came");
    CHECK(refused(real, 1.0) == place + "a class label of the model wanted, 1.0 came");
    CHECK(refused(real, 0.5) == place + "a class label of the model wanted, 0.5 came");
    const model named = learner_of(string_sequence{"ant", "bee", "cat"}, {int64_feature_type{}});
    CHECK(refused(named, std::int64_t{1}) == place + "a class label of the model wanted, 1 came");
    CHECK(refused(learner_of(tens, {string_feature_type{}}), std::string("10")) ==
          place + "a class label of the model wanted, \"10\" came");

    // an optional target is wanted all the same
    model_settings s = classifier_settings();
    s.description.training_input[1].type.is_optional = true;
    model m = learning_classifier();
    m.set_settings(s);
    CHECK(check::failure([&] { (void)update(m, std::vector<features>{{{"x", point(0)}}}); }).text ==
          place + "a value wanted, but none is given");
}

TEST_CASE("every reason why a model cannot be updated is told at once") {
    network<description> net(1);
    model m = to_model(net);
    CHECK(check_updatable(m) == std::vector<std::string>{"the model is not marked updatable (\"isUpdatable\")",
                                                         "the model does not say how (\"updateParams\")"});
    model_settings s = classifier_settings();
    s.is_updatable = false;
    s.update_parameters->optimizer = {};
    s.update_parameters->loss_layers = {{"loss", categorical_cross_entropy{"t", "label"}}};
    m.set_settings(s);
    const auto reasons = check_updatable(m);
    REQUIRE(reasons.size() >= 4);
    CHECK(reasons[0] == "the model is not marked updatable (\"isUpdatable\")");
    CHECK(reasons[1] == "no optimizer: name one in \"updateParams\"");
    CHECK(reasons[2] == "the loss wants the target \"label\", which \"trainingInput\" does not describe");
    CHECK(reasons[3] == "the cross-entropy looks at \"t\", which is not the output of a softmax over a whole example");
    const check::failure refused([&] { (void)update(m, examples(3)); });
    CHECK(refused.is(errc::not_updatable));
    CHECK(refused.text.find("this model cannot be updated\n  the model is not marked updatable") == 0);
}

TEST_CASE("mean squared error takes arrays and numbers as targets") {
    static constexpr auto line = compose(input{"x", {2}}, inner_product{.output_channels = 2} | named("y") | updatable);
    network<line> net(4);
    model m = to_model(net);
    model_settings s = m.settings();
    s.is_updatable = true;
    const feature_type two{array_feature_type{.shape = {2}, .data_type = array_data_type::float64}};
    s.description.training_input = s.description.input;
    s.description.training_input.push_back({"want", "", two});
    auto& u = s.update_parameters.emplace();
    u.loss_layers = {{"loss", mean_squared_error{"y", "want"}}};
    u.optimizer = adam_optimizer{.learning_rate = double_parameter{0.05, {}}};
    u.epochs = int64_parameter{300, {}};
    m.set_settings(s);

    std::vector<features> pairs;
    for (int i = 0; i < 8; ++i) {
        const float a = static_cast<float>(i % 3) - 1, b = static_cast<float>(i % 5) - 2;
        pairs.push_back({{"x", tensor<float>{a, b}}, {"want", tensor<double>{2.0 * a - b, 0.5 + b}}});
    }
    model learned = update(m, pairs);
    const features answer = learned.predict({{"x", tensor<float>{3.0f, 1.0f}}});
    const auto& y = answer.get<tensor<float>>("y");
    CHECK(y(0) == Approx(5.0).margin(0.1));
    CHECK(y(1) == Approx(1.5).margin(0.1));
}

TEST_CASE("what the loss depends on is described as a training input") {
    static constexpr auto two =
        compose(input{"a", {2}}, input{"b", {2}},
                inner_product{.output_channels = 2} | named("y") | updatable | from("a"),
                relu{} | named("z") | from("b"), output{"y"}, output{"z"});
    network<two> net(4);
    model m = to_model(net);
    model_settings s = m.settings();
    s.is_updatable = true;
    const auto a = s.description.input[0], b = s.description.input[1];
    feature_description want = a;
    want.name = "want";
    auto& u = s.update_parameters.emplace();
    u.loss_layers = {{"loss", mean_squared_error{"y", "want"}}};
    u.optimizer = sgd_optimizer{.learning_rate = double_parameter{0.1, {}}};
    const auto reasons = [&](std::vector<feature_description> described) {
        s.description.training_input = std::move(described);
        m.set_settings(s);
        return check_updatable(m);
    };
    CHECK(reasons({a, b, want}).empty());
    CHECK(reasons({a, want}).empty());
    const std::vector<std::string> missing{
        "the loss depends on the input \"a\", which \"trainingInput\" does not describe"};
    CHECK(reasons({b, want}) == missing);
    CHECK(reasons({want}) == missing);
    s.description.input[0].type.is_optional = true;
    CHECK(reasons({b, want}).empty());
}

TEST_CASE("a model learns from images, of the kind that it predicts from") {
    static constexpr auto line = compose(input{"x", {1, 1, 1, 2}}, reshape_static{{2}},
                                         inner_product{.output_channels = 1} | named("y") | updatable);
    network<line> net(4);
    model_settings s;
    s.image_input_shape_mapping = image_shape_mapping::rank4_image_mapping;
    s.description.input = {{"x", "", {image_feature_type{2, 1, {}, image_color_space::grayscale}}}};
    s.preprocessing = {{"x", image_scaler{.channel_scale = 0.01F, .gray_bias = -1}}};
    s.is_updatable = true;
    s.description.training_input = s.description.input;
    s.description.training_input.push_back({"want", "", {double_feature_type{}}});
    auto& u = s.update_parameters.emplace();
    u.loss_layers = {{"loss", mean_squared_error{"y", "want"}}};
    u.optimizer = adam_optimizer{.learning_rate = double_parameter{0.05, {}}};
    u.epochs = int64_parameter{300, {}};
    model m = to_model(net, s);

    const auto picture = [](int left, int right) {
        return image(2, 1, pixel_layout::gray, {static_cast<std::uint8_t>(left), static_cast<std::uint8_t>(right)});
    };
    std::vector<features> pairs;
    for (int i = 0; i < 12; ++i) {
        const int left = 80 * (i % 3), right = 60 * (i % 4);
        pairs.push_back({{"x", picture(left, right)}, {"want", 0.02 * left - 0.01 * right}});
    }
    model learned = update(m, pairs);
    const auto y = learned.predict({{"x", picture(100, 50)}}).get<tensor<float>>("y");
    CHECK(y(0) == Approx(1.5).margin(0.05));

    s.description.training_input[0].type = {image_feature_type{2, 1, {}, image_color_space::rgb}};
    m.set_settings(s);
    CHECK(check_updatable(m) == std::vector<std::string>{
        "\"trainingInput\" describes \"x\" as an image RGB 2 x 1, \"input\" as an image GRAYSCALE 2 x 1"});
    s.description.training_input[0].type = {string_feature_type{}};
    m.set_settings(s);
    CHECK(check_updatable(m) ==
          std::vector<std::string>{
              "\"trainingInput\" describes \"x\" as a string, \"input\" as an image GRAYSCALE 2 x 1"});
}

TEST_CASE("a model learns with a loss that the specification lacks as a composed network does") {
    static constexpr auto line = compose(input{"x", {2}}, inner_product{.output_channels = 2} | named("y") | updatable);
    const auto check = [](const auto& loss) {
        network<line> net(4);
        model m = to_model(net);
        model_settings s = m.settings();
        s.is_updatable = true;
        s.description.training_input = s.description.input;
        s.description.training_input.push_back(
            {"want", "", {array_feature_type{.shape = {2}, .data_type = array_data_type::float32}}});
        auto& u = s.update_parameters.emplace();
        u.loss_layers = {{"loss", loss}};
        u.optimizer = sgd_optimizer{.learning_rate = double_parameter{0.1, {}},
                                    .mini_batch_size = int64_parameter{3, {}}};
        u.epochs = int64_parameter{5, {}};
        u.seed = int64_parameter{3, {}};
        m.set_settings(s);
        m = parse(m.write("w").json);

        std::vector<features> pairs;
        std::vector<float> xs, wanted;
        for (int i = 0; i < 7; ++i) {
            const tensor<float> x{static_cast<float>(i % 3) - 1, static_cast<float>(i % 5) - 2};
            const tensor<float> want{static_cast<float>(i % 2), static_cast<float>(i % 4) / 4};
            pairs.push_back({{"x", x}, {"want", want}});
            xs.insert(xs.end(), x.begin(), x.end());
            wanted.insert(wanted.end(), want.begin(), want.end());
        }
        model learned = update(m, pairs);
        const training_setup<float> setup{.examples = 7, .inputs = {xs}, .losses = {loss}, .targets = {wanted},
                                          .with = sgd{.learning_rate = 0.1}};
        auto also = update(net, setup, {.epochs = 5, .mini_batch_size = 3, .seed = 3});
        for (const char* field : {"weights", "bias"}) {
            const auto a = learned.parameter("y", field), b = also.parameter("y", field), c = net.parameter("y", field);
            CHECK(std::vector<float>(a.begin(), a.end()) == std::vector<float>(b.begin(), b.end()));
            CHECK(std::vector<float>(a.begin(), a.end()) != std::vector<float>(c.begin(), c.end()));
        }
    };
    check(binary_cross_entropy_with_logits{.input = "y", .target = "want"});
    check(huber{.input = "y", .target = "want", .delta = 0.25});
}
