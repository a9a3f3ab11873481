// Whole trainings against PyTorch, in both doors. The small trajectories are in trajectory_data/; those of the
// digits are read where they lie beside the checkout. Tolerances and formulas are in their README files.

#include <bespoke/control/residual.hpp>
#include <bespoke/layers/activation.hpp>
#include <bespoke/layers/batchnorm.hpp>
#include <bespoke/layers/convolution.hpp>
#include <bespoke/layers/flatten.hpp>
#include <bespoke/layers/inner_product.hpp>
#include <bespoke/layers/pooling.hpp>
#include <bespoke/layers/softmax.hpp>
#include <bespoke/model/update.hpp>
#include <bespoke/network/network.hpp>

#include "../sanitized.hpp"
#include "../training_instances.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <numeric>

using namespace bespoke;

namespace {

constexpr pooling average{.type = pooling_type::average, .kernel_size = {2, 2}, .stride = {2, 2}};
constexpr pooling largest{.kernel_size = {2, 2}, .stride = {2, 2}};

constexpr auto convolved(extent channels) {
    return convolution{.output_channels = channels, .padding = same};
}
constexpr auto units(extent channels) { return inner_product{.output_channels = channels}; }

constexpr auto plain = compose(input{"image", {1, 8, 8}}, convolved(4) | named("conv1") | updatable,
                               bespoke::tanh{}, average, flatten{}, units(10) | named("dense1") | updatable,
                               softmax{} | named("p"), output{"p"}, output{"dense1"});
constexpr auto with_residual =
    compose(input{"image", {1, 8, 8}}, convolved(4) | named("conv1") | updatable,
            batchnorm{.epsilon = 1e-3f} | named("batchnorm"), bespoke::tanh{},
            residual(convolved(4) | named("conv2") | updatable), average, flatten{},
            units(10) | named("dense1") | updatable, softmax{} | named("p"), output{"p"}, output{"dense1"});
template <class Activation>
constexpr auto digits(const Activation& f, const pooling& pool) {
    return compose(input{"image", {1, 8, 8}}, convolved(16) | named("conv1") | updatable, f,
                   convolved(32) | named("conv2") | updatable, f, pool, flatten{},
                   units(64) | named("dense1") | updatable, f, units(10) | named("dense2") | updatable,
                   softmax{} | named("p"), output{"p"}, output{"dense2"});
}
constexpr auto digits_relu = digits(relu{}, largest);
constexpr auto digits_smooth = digits(bespoke::tanh{}, average);

const sgd momentum{.learning_rate = 0.05, .momentum = 0.9};

/// Tensors by name, as numbers.
class reference {
public:
    explicit reference(const std::filesystem::path& path) : file_(safetensors::load(path)) {}
    std::vector<float> operator[](const std::string& name) const {
        const tensor_entry* entry = file_.find(name);
        if (entry == nullptr) FAIL("no tensor " << name);
        if (entry->dtype != "I64") return to_floats(*entry);
        std::vector<float> result(entry->bytes.size() / 8);
        for (std::size_t i = 0; i < result.size(); ++i) {
            std::int64_t value;
            std::memcpy(&value, entry->bytes.data() + 8 * i, 8);
            result[i] = static_cast<float>(value);
        }
        return result;
    }
    bool has(const std::string& name) const { return file_.find(name) != nullptr; }
    const safetensors& file() const { return file_; }

private:
    safetensors file_;
};

template <class T>
double distance(std::span<const T> came, const std::vector<float>& expected) {
    if (came.size() != expected.size()) return std::numeric_limits<double>::infinity();
    double worst = 0;
    for (std::size_t i = 0; i < came.size(); ++i) {
        const double d = std::abs(static_cast<double>(came[i]) - static_cast<double>(expected[i]));
        worst = d <= worst ? worst : d;  // NaN counts
    }
    return worst;
}

/// The parameter "conv1.weight", by PyTorch's name for it, of a network or program: to read where that is constant.
template <class Network>
auto parameter(Network& net, const std::string& name) {
    const std::size_t dot = name.find('.');
    const std::string layer = name.substr(0, dot),
                      field = name.substr(dot + 1) == "weight" ? "weights" : name.substr(dot + 1);
    const auto& p = net.plan();
    const std::size_t step = p.find_step(layer);
    REQUIRE(step != blob_facts::npos);
    for (const parameter_facts& facts : p.parameters_of(step))
        if (facts.name == field)
            return std::span(net.core().parameter(static_cast<std::size_t>(&facts - p.parameters.data())),
                             static_cast<std::size_t>(facts.dimensions.size()));
    FAIL("no parameter " << name);
    return std::span(net.core().parameter(0), std::size_t{0});
}
template <class Network>
void set(Network& net, const std::string& name, const std::vector<float>& values) {
    const auto to = parameter(net, name);
    REQUIRE(to.size() == values.size());
    std::copy(values.begin(), values.end(), to.begin());
}

/// The blob `name` for images of 8 x 8, one row after the other.
template <class Network, class T = typename Network::value_type>
std::vector<T> output_of(Network& net, const std::string& name, const std::vector<T>& images) {
    auto& e = net.core();
    const auto examples = static_cast<extent>(images.size() / 64);
    e.reserve(examples);
    std::copy(images.begin(), images.end(), e.value(net.plan().inputs[0]));
    net.forward();
    const std::size_t blob = net.plan().find_blob(name);
    return std::vector<T>(e.value(blob), e.value(blob) + e.elements(blob));
}

/// A training: what goes in, and what PyTorch made of it.
struct course {
    std::vector<std::string> learning;  ///< "conv1.weight", ...
    std::string initial;                ///< before the name of an initial weight
    std::string logits_layer;
    std::variant<sgd, adam> optimizer;
    std::size_t mini_batch, epochs;
    std::vector<float> images, labels, test_images;
};

/// What came of it, in the precision T.
template <class T>
struct trained {
    std::vector<double> losses;
    std::map<std::string, std::vector<T>> first_gradient, after1, after10, final;
    std::vector<T> logits;
};

template <class Network>
auto weights(const Network& net, const course& c) {
    std::map<std::string, std::vector<typename Network::value_type>> result;
    for (const auto& name : c.learning) {
        const auto values = parameter(net, name);
        result[name].assign(values.begin(), values.end());
    }
    return result;
}

/// The gradient of the first mini-batch, and with `steps` the whole training.
template <class Network, class T = typename Network::value_type>
trained<T> train_with(Network& net, const course& c, bool steps = true) {
    const std::vector<T> images(c.images.begin(), c.images.end()), labels(c.labels.begin(), c.labels.end()),
        test(c.test_images.begin(), c.test_images.end());
    trained<T> r;
    const auto optimizer = [](const auto& chosen) { return any_optimizer<T>(chosen); };
    trainer t(net, {categorical_cross_entropy{.input = "p"}}, std::visit(optimizer, c.optimizer));
    t.load(labels.size(), std::vector<example_data<T>>{images}, std::vector<example_data<T>>{labels});
    std::vector<std::size_t> order(labels.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    t.gradient(std::span(order).first(c.mini_batch));
    for (std::size_t k = 0; k < t.learning_parameters().size(); ++k)
        for (const auto& name : c.learning)
            if (parameter(net, name).data() == net.core().parameter(t.learning_parameters()[k]))
                r.first_gradient[name].assign(t.gradient_of(k).begin(), t.gradient_of(k).end());
    REQUIRE(r.first_gradient.size() == c.learning.size());
    if (!steps) return r;
    for (std::size_t epoch = 0; epoch < c.epochs; ++epoch)
        for (std::size_t first = 0; first < order.size(); first += c.mini_batch) {
            r.losses.push_back(
                t.step(std::span(order).subspan(first, std::min(c.mini_batch, order.size() - first))));
            if (r.losses.size() == 1) r.after1 = weights(net, c);
            if (r.losses.size() == 10) r.after10 = weights(net, c);
        }
    r.final = weights(net, c);
    r.logits = output_of(net, c.logits_layer, test);
    return r;
}

/// The door for composed networks.
template <const auto& Description, class T>
trained<T> composed(const course& c, const reference& data) {
    network<Description, T> net;
    for (const auto& name : c.learning) set(net, name, data[c.initial + name]);
    if (data.has("residual.batchnorm.gamma") && net.plan().find_step("batchnorm") != blob_facts::npos)
        for (const char* field : {"gamma", "beta", "mean", "variance"})
            set(net, std::string("batchnorm.") + field, data[std::string("residual.batchnorm.") + field]);
    net.prepare();
    return train_with(net, c);
}

// --- the same networks as documents -------------------------------------------------------------------------

std::string weight(const std::string& tensor) {
    return R"({"isUpdatable": true, "tensor": ")" + tensor + "\"}";
}
std::string document_layer(const std::string& name, const std::string& inputs, const std::string& kind,
                           bool learns = false) {
    return R"({"name": ")" + name + R"(", "input": [)" + inputs + R"(], "output": [")" + name + "\"]" +
           (learns ? R"(, "isUpdatable": true, )" : ", ") + kind + "},\n";
}
std::string quoted(const std::string& name) { return "\"" + name + "\""; }
std::string conv(const std::string& name, const std::string& in, int from, int to,
                 const std::string& initial) {
    return document_layer(
        name, quoted(in),
        R"("convolution": {"outputChannels": )" + std::to_string(to) + R"(, "kernelChannels": )" +
            std::to_string(from) + R"(, "kernelSize": [3, 3], "same": {}, "hasBias": true, "weights": )" +
            weight(initial + name + ".weight") + R"(, "bias": )" + weight(initial + name + ".bias") + "}",
        true);
}
std::string product(const std::string& name, const std::string& in, int from, int to,
                    const std::string& initial) {
    return document_layer(name, quoted(in),
                          R"("innerProduct": {"inputChannels": )" + std::to_string(from) +
                              R"(, "outputChannels": )" + std::to_string(to) +
                              R"(, "hasBias": true, "weights": )" + weight(initial + name + ".weight") +
                              R"(, "bias": )" + weight(initial + name + ".bias") + "}",
                          true);
}
std::string activation(const std::string& name, const std::string& in, const std::string& kind) {
    return document_layer(name, quoted(in), R"("activation": {")" + kind + R"(": {}})");
}
std::string pool(const std::string& name, const std::string& in, const std::string& type) {
    return document_layer(
        name, quoted(in),
        R"("pooling": {"type": ")" + type + R"(", "kernelSize": [2, 2], "stride": [2, 2], "valid": {}})");
}

std::string document(const course& c, const std::string& layers) {
    const std::string image =
        R"({"name": "image", "type": {"multiArrayType": {"shape": [1, 8, 8], "dataType": "FLOAT32"}}})";
    const auto parameter_of = [](const std::string& name, double value) {
        return "\"" + name + R"(": {"defaultValue": )" + std::to_string(value) +
               R"(, "range": {"maxValue": 1}})";
    };
    const std::string batch = R"("miniBatchSize": {"defaultValue": )" + std::to_string(c.mini_batch) +
                              R"(, "range": {"minValue": 1, "maxValue": 100}})";
    std::string optimizer;
    if (const auto* s = std::get_if<sgd>(&c.optimizer))
        optimizer = R"("sgdOptimizer": {)" + parameter_of("learningRate", s->learning_rate) + ", " +
                    parameter_of("momentum", s->momentum) + ", " + batch + "}";
    else
        optimizer = R"("adamOptimizer": {)" + parameter_of("learningRate", 1e-3) + ", " +
                    parameter_of("beta1", 0.9) + ", " + parameter_of("beta2", 0.999) +
                    R"(, "eps": {"defaultValue": 1e-8, "range": {"maxValue": 1}}, )" + batch + "}";
    std::string all = layers + document_layer("p", quoted(c.logits_layer), R"("softmax": {})");
    all.resize(all.size() - 2);  // the last comma
    return R"({"specificationVersion": 4, "isUpdatable": true, "weightsFile": "here.safetensors",
           "description": {"input": [)" +
           image + R"(], "output": [{"name": "p", "type": {"multiArrayType": {"dataType": "FLOAT32"}}},
           {"name": ")" +
           c.logits_layer + R"(", "type": {"multiArrayType": {"dataType": "FLOAT32"}}}],
           "trainingInput": [)" +
           image + R"(, {"name": "label", "type": {"int64Type": {}}}]},
           "neuralNetwork": {"arrayInputShapeMapping": "EXACT_ARRAY_MAPPING", "layers": [)" +
           "\n" + all +
           R"(], "updateParams": {
           "lossLayers": [{"name": "loss", "categoricalCrossEntropyLossLayer": {"input": "p", "target": "label"}}],
           "optimizer": {)" +
           optimizer + R"(}, "epochs": {"defaultValue": )" + std::to_string(c.epochs) +
           R"(, "range": {"minValue": 1, "maxValue": 100}}, "shuffle": {"defaultValue": false}}}})";
}

/// The door for documents: the model's own update parameters, through an update task.
trained<float> loaded(const course& c, const reference& data, const std::string& layers) {
    const model m = parse(document(c, layers), &data.file());
    trained<float> r;
    {
        model copy(m);
        r.first_gradient = train_with(copy.network(), c, false).first_gradient;
    }
    std::vector<features> examples(c.labels.size());
    for (std::size_t i = 0; i < examples.size(); ++i) {
        tensor<float> image = zeros<float>({1, 8, 8});
        std::copy_n(c.images.begin() + static_cast<std::ptrdiff_t>(64 * i), 64, image.begin());
        examples[i] = {{"image", multi_array(std::move(image))},
                       {"label", static_cast<std::int64_t>(c.labels[i])}};
    }
    update_handlers<model> handlers;
    handlers.events = update_event::mini_batch_end;
    handlers.progress = [&](update_context<model>& context) {
        r.losses.push_back(context.metrics.loss);
        if (r.losses.size() == 1) r.after1 = weights(context.model.network(), c);
        if (r.losses.size() == 10) r.after10 = weights(context.model.network(), c);
    };
    update_task task(m, examples, {}, handlers);
    model result = task.result();
    r.final = weights(result.network(), c);
    r.logits = output_of(result.network(), c.logits_layer, c.test_images);
    return r;
}

// --- comparisons ---------------------------------------------------------------------------------------------

struct tolerances {
    double losses, gradient, final, logits;
};

template <class T>
void near(const std::string& what, const std::map<std::string, std::vector<T>>& came,
          const reference& expected, const std::string& prefix, double tolerance) {
    for (const auto& [name, values] : came) {
        INFO(what << " of " << name);
        REQUIRE(distance(std::span<const T>(values), expected[prefix + name]) < tolerance);
    }
}

template <class T>
bool same_bits(const trained<T>& a, const trained<T>& b) {
    return a.losses == b.losses && a.first_gradient == b.first_gradient && a.final == b.final &&
           a.logits == b.logits;
}

template <class T>
void check_small(const trained<T>& r, const reference& data, const std::string& name,
                 const std::string& gradient) {
    const auto losses = data[name + ".losses"];
    REQUIRE(distance(std::span<const double>(r.losses), losses) < 1e-5);
    near("the first gradient", r.first_gradient, data, gradient + ".first_gradient.", 1e-6);
    near("the final weights", r.final, data, name + ".final.", 1e-5);
    REQUIRE(distance(std::span<const T>(r.logits), data[name + ".logits"]) < 1e-4);
}

}  // namespace

TEST_CASE("the small trajectories, in both doors") {
    const reference data(BESPOKE_SOURCE_DIR "/tests/training/trajectory_data/trajectory.safetensors");
    course c{.learning = {"conv1.weight", "conv1.bias", "dense1.weight", "dense1.bias"},
             .initial = "initial.",
             .logits_layer = "dense1",
             .optimizer = {momentum},
             .mini_batch = 16,
             .epochs = 10,
             .images = data["input.images"],
             .labels = data["input.labels"],
             .test_images = data["input.images"]};
    const std::string layers = conv("conv1", "image", 1, 4, "initial.") + activation("t", "conv1", "tanh") +
                               pool("pool", "t", "AVERAGE") +
                               document_layer("flat", quoted("pool"), R"("flatten": {})") +
                               product("dense1", "flat", 64, 10, "initial.");
    SECTION("sgd") {
        const auto single = composed<plain, float>(c, data);
        check_small(single, data, "sgd", "sgd");
        check_small(composed<plain, double>(c, data), data, "sgd", "sgd");
        REQUIRE(same_bits(single, loaded(c, data, layers)));
    }
    SECTION("adam") {
        c.optimizer = adam{};
        const auto single = composed<plain, float>(c, data);
        check_small(single, data, "adam", "sgd");
        check_small(composed<plain, double>(c, data), data, "adam", "sgd");
        REQUIRE(same_bits(single, loaded(c, data, layers)));
    }
    SECTION("residual, with a frozen batch normalisation") {
        c.initial = "residual.initial.";
        c.learning.insert(c.learning.begin() + 2, {"conv2.weight", "conv2.bias"});
        const auto single = composed<with_residual, float>(c, data);
        check_small(single, data, "residual.sgd", "residual.sgd");
        check_small(composed<with_residual, double>(c, data), data, "residual.sgd", "residual.sgd");
        const std::string fixed =
            R"("batchnorm": {"channels": 4, "epsilon": 0.001, "gamma": {"tensor": "residual.batchnorm.gamma"},
            "beta": {"tensor": "residual.batchnorm.beta"}, "mean": {"tensor": "residual.batchnorm.mean"},
            "variance": {"tensor": "residual.batchnorm.variance"}})";
        REQUIRE(same_bits(
            single, loaded(c, data,
                           conv("conv1", "image", 1, 4, c.initial) +
                               document_layer("batchnorm", quoted("conv1"), fixed) +
                               activation("t", "batchnorm", "tanh") + conv("conv2", "t", 4, 4, c.initial) +
                               document_layer("sum", R"("t", "conv2")", R"("add": {})") +
                               pool("pool", "sum", "AVERAGE") +
                               document_layer("flat", quoted("pool"), R"("flatten": {})") +
                               product("dense1", "flat", 64, 10, c.initial))));
    }
}

#if defined(BESPOKE_SHARED_DIR) && !defined(BESPOKE_SANITIZED)
// A minute each under sanitizers, and the same memory as the small ones.

namespace {

void check_digits(const trained<float>& r, const reference& expected, bool smooth, bool is_adam) {
    const auto losses = expected["expected.loss"], spread = expected["expected.loss_spread"];
    REQUIRE(r.losses.size() == losses.size());
    for (std::size_t i = 0; i < losses.size(); ++i) {
        INFO("step " << i);
        const double tolerance = smooth ? 1e-5 : i < 76 ? 1e-5 + 10 * static_cast<double>(spread[i]) : 5e-3;
        REQUIRE(std::abs(r.losses[i] - static_cast<double>(losses[i])) < tolerance);
    }
    near("the first gradient", r.first_gradient, expected, "expected.first_gradient.", 1e-6);
    near("the weights after 1 update", r.after1, expected, "expected.after_step1.", is_adam ? 2e-5 : 1e-6);
    near("the weights after 10 updates", r.after10, expected, "expected.after_step10.",
         is_adam ? 2e-5 : 1e-6);
    near("the final weights", r.final, expected, "expected.final.", smooth ? 5e-5 : 0.02);
    REQUIRE(distance(std::span<const float>(r.logits), expected["expected.test_logits"]) <
            (smooth ? 1e-4 : 0.3));
}

template <const auto& Description>
void run_digits(const std::string& name, const std::string& function, const std::string& pooling_name,
                const std::variant<sgd, adam>& optimizer) {
    const std::filesystem::path folder = BESPOKE_SHARED_DIR "/models/digits-trajectory";
    if (!std::filesystem::exists(folder / "reference.json")) {
        WARN("no trajectories of the digits beside this checkout");
        return;
    }
    const reference data(folder / "data.safetensors"), expected(folder / (name + ".safetensors"));
    std::vector<float> images = data["input.images"];
    for (float& v : images) v /= 16;
    const auto labels = data["input.labels"];
    const course c{.learning = {"conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", "dense1.weight",
                                "dense1.bias", "dense2.weight", "dense2.bias"},
                   .initial = "initial.",
                   .logits_layer = "dense2",
                   .optimizer = optimizer,
                   .mini_batch = 32,
                   .epochs = 3,
                   .images = {images.begin(), images.begin() + 1200 * 64},
                   .labels = {labels.begin(), labels.begin() + 1200},
                   .test_images = {images.begin() + 1200 * 64, images.end()}};
    const bool smooth = function == "tanh", is_adam = std::holds_alternative<adam>(optimizer);
    const auto single = composed<Description, float>(c, data);
    check_digits(single, expected, smooth, is_adam);
    REQUIRE(same_bits(
        single,
        loaded(c, data,
               conv("conv1", "image", 1, 16, c.initial) + activation("f1", "conv1", function) +
                   conv("conv2", "f1", 16, 32, c.initial) + activation("f2", "conv2", function) +
                   pool("pool", "f2", pooling_name) +
                   document_layer("flat", quoted("pool"), R"("flatten": {})") +
                   product("dense1", "flat", 512, 64, c.initial) + activation("f3", "dense1", function) +
                   product("dense2", "f3", 64, 10, c.initial))));
}

}  // namespace

TEST_CASE("the trajectories of the digits, in both doors") {
    SECTION("sgd") { run_digits<digits_relu>("sgd", "ReLU", "MAX", {momentum}); }
    SECTION("adam") { run_digits<digits_relu>("adam", "ReLU", "MAX", {adam{}}); }
    SECTION("sgd, smooth") { run_digits<digits_smooth>("sgd_smooth", "tanh", "AVERAGE", {momentum}); }
    SECTION("adam, smooth") { run_digits<digits_smooth>("adam_smooth", "tanh", "AVERAGE", {adam{}}); }
}

#endif
