#include <bespoke/control/repeat.hpp>
#include <bespoke/control/residual.hpp>
#include <bespoke/layers/batchnorm.hpp>
#include <bespoke/layers/convolution.hpp>
#include <bespoke/layers/flatten.hpp>
#include <bespoke/layers/pooling.hpp>
#include <bespoke/layers/softmax.hpp>
#include <bespoke/network/network.hpp>
#include <bespoke/training/trainer.hpp>

#include "../counted_allocations.hpp"
#include "../training_instances.hpp"
#include "lottery.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numeric>

using namespace bespoke;
using training_test::lottery;

namespace {

/// y = x, and counts the examples that pass. Each Tag counts for itself.
template <int Tag>
struct counted {
    static inline std::atomic<int> forwards = 0, backwards = 0;

    static constexpr auto key = "counted";
    constexpr void fields(auto&) {}
    constexpr outcome output_shape(const shape& x) const { return x; }
    void forward(auto x, auto y, const auto&, auto&) const noexcept {
        ++forwards;
        std::copy_n(x.data, static_cast<extent>(x.size()), y.data);
    }
    void backward(auto, auto, auto dy, auto dx, const auto&, const auto&, auto&) const noexcept {
        ++backwards;
        if (dx)
            for (extent i = 0; i < dy.size(); ++i) dx.data[i] += dy.data[i];
    }
    friend bool operator==(const counted&, const counted&) = default;
};

/// A number that does not depend on an input.
struct one {
    static constexpr auto key = "one";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{0, 0};
    constexpr outcome output_shape(std::span<const shape>) const { return shape{1}; }
    void forward(auto, auto ys, const auto&, auto&) const noexcept { ys[0].data[0] = 1; }
    void backward(auto, auto, auto, auto, const auto&, const auto&, auto&) const noexcept {}
    [[maybe_unused]] friend bool operator==(const one&, const one&) = default;
};

template <class T>
std::vector<T> numbers(std::size_t n, std::uint64_t seed = 1) {
    philox random(seed);
    std::vector<T> v(n);
    for (T& e : v) e = static_cast<T>(2 * random.uniform() - 1);
    return v;
}
template <class T>
std::vector<T> labels(std::size_t n, extent classes) {
    std::vector<T> v(n);
    for (std::size_t i = 0; i < n; ++i) v[i] = static_cast<T>(static_cast<extent>(i * 7 + i / 3) % classes);
    return v;
}
std::vector<std::size_t> all(std::size_t n, std::size_t first = 0) {
    std::vector<std::size_t> v(n);
    std::iota(v.begin(), v.end(), first);
    return v;
}

template <class T>
using arrays = std::vector<std::vector<T>>;

/// Hands over examples that live in vectors.
template <class Trainer, class T = typename Trainer::value_type>
void give(Trainer& t, std::size_t examples, const arrays<std::type_identity_t<T>>& inputs,
          const arrays<std::type_identity_t<T>>& targets) {
    const std::vector<example_data<T>> in(inputs.begin(), inputs.end()), out(targets.begin(), targets.end());
    t.load(examples, in, out);
}

template <class Network>
auto parameters(const Network& net) {
    using T = typename Network::value_type;
    std::vector<std::vector<T>> all;
    for (std::size_t i = 0; i < net.plan().parameters.size(); ++i)
        all.emplace_back(net.core().parameter(i),
                         net.core().parameter(i) + net.plan().parameters[i].dimensions.size());
    return all;
}
template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}
template <class T>
bool same_bits(const arrays<T>& a, const arrays<T>& b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (!same_bits(a[i], b[i])) return false;
    return true;
}

/// Parameters away from 0 and 1, so that nothing cancels: gamma is not 1, mean is not 0, a bias is not 0.
template <class Network>
void disturb(Network& net) {
    for (std::size_t i = 0; i < net.plan().parameters.size(); ++i) {
        philox random(99, i);
        for (extent e = 0; e < net.plan().parameters[i].dimensions.size(); ++e)
            net.core().parameter(i)[e] += static_cast<typename Network::value_type>(0.3 * random.uniform());
    }
    net.prepare();
}

/// Every learning parameter (at most 60 elements of each array) against central differences.
template <class Network, class Trainer>
void check_gradients(Network& net, Trainer& t, const std::vector<std::size_t>& batch,
                     double tolerance = 1e-8) {
    t.gradient(batch);
    std::vector<std::vector<double>> gradients;
    for (std::size_t k = 0; k < t.learning_parameters().size(); ++k)
        gradients.emplace_back(t.gradient_of(k).begin(), t.gradient_of(k).end());
    double largest = 0;
    for (std::size_t k = 0; k < gradients.size(); ++k) {
        double* values = net.core().parameter(t.learning_parameters()[k]);
        const std::size_t stride = std::max<std::size_t>(gradients[k].size() / 60, 1);
        for (std::size_t e = 0; e < gradients[k].size(); e += stride) {
            const double middle = values[e], h = 1e-5;
            values[e] = middle + h;
            net.prepare();
            const double right = t.evaluate(batch);
            values[e] = middle - h;
            net.prepare();
            const double left = t.evaluate(batch);
            values[e] = middle;
            const auto& facts = net.plan().parameters[t.learning_parameters()[k]];
            INFO(net.plan()[net.plan().steps[facts.step].name] << "." << facts.name << "[" << e << "]");
            const double expected = (right - left) / (2 * h);
            REQUIRE(std::abs(gradients[k][e] - expected) < tolerance * std::max(1.0, std::abs(expected)));
            largest = std::max(largest, std::abs(expected));
        }
    }
    net.prepare();
    REQUIRE(largest > 1e-3);  // something was compared
}

// --- networks ---------------------------------------------------------------------------------------------

constexpr auto convolutional =
    compose(input{"image", {2, 6, 6}},
            convolution{.output_channels = 4, .padding = same} | named("conv1") | updatable,
            batchnorm{} | named("norm") | updatable, bespoke::tanh{},
            residual(convolution{.output_channels = 4, .padding = same} | named("conv2") | updatable,
                     bespoke::tanh{}),
            pooling{.type = pooling_type::average, .kernel_size = {2, 2}, .stride = {2, 2}}, flatten{},
            inner_product{.output_channels = 5} | named("fc") | updatable, softmax{} | named("p"));

constexpr auto mixing =
    compose(input{"image", {3, 4, 4}}, convolution{.output_channels = 3} | named("conv") | updatable,
            batchnorm{.compute_mean_var = true} | named("norm") | updatable, bespoke::tanh{},
            inner_product{.output_channels = 2} | named("fc") | updatable);

constexpr auto branching = compose(
    input{"c", {1}}, input{"x", {6}},
    inner_product{.output_channels = 6} | named("stem") | from("x") | updatable,
    branch{
        compose(inner_product{.output_channels = 2} | named("i1") | from("stem") | updatable, bespoke::tanh{},
                inner_product{.output_channels = 9} | named("i2") | updatable, bespoke::tanh{},
                inner_product{.output_channels = 3} | named("i3") | to("z") | updatable),
        compose(inner_product{.output_channels = 11} | named("e1") | from("stem") | updatable,
                bespoke::tanh{}, inner_product{.output_channels = 3} | named("e2") | to("z") | updatable)} |
        from("c"),
    multiply{} | named("y") | from("z", "z"));

constexpr auto looping =
    compose(input{"n", {1}}, input{"x", {4}},
            inner_product{.output_channels = 5} | named("h") | from("x") | updatable,
            loop{compose(inner_product{.output_channels = 7} | named("wide") | from("h") | updatable,
                         bespoke::tanh{}, inner_product{.output_channels = 5} | named("narrow") | updatable,
                         bespoke::tanh{} | named("t"), copy{} | named("carry") | to("h"))} |
                from("n"),
            inner_product{.output_channels = 3} | named("y") | from("h") | updatable);

constexpr auto stopping = compose(
    input{"x", {3}}, inner_product{.output_channels = 3} | named("h") | updatable,
    inner_product{.output_channels = 1, .has_bias = false} | named("wish") | from("x"),
    loop{compose(inner_product{.output_channels = 3} | named("next") | from("h") | updatable,
                 bespoke::tanh{} | named("t"), copy{} | named("carry") | to("h"),
                 relu{} | named("enough") | from("wish"), branch{compose(loop_break{})} | from("enough"),
                 add{} | named("more") | from("h", "x"), copy{} | named("carry2") | to("h")),
         3},
    inner_product{.output_channels = 2} | named("y") | from("h") | updatable);

constexpr auto shared_reader =
    compose(input{"x", {4}}, inner_product{.output_channels = 4} | named("a") | updatable,
            bespoke::tanh{} | named("b"), multiply{} | named("square") | from("b", "b"),
            add{} | named("sum") | from("b", "square", "b"),
            residual(inner_product{.output_channels = 4} | named("c") | updatable),
            add{} | named("y") | from("c", "b"));

constexpr auto written_over =
    compose(input{"c", {1}}, input{"x", {4}}, inner_product{.output_channels = 4} | named("a") | to("v") | updatable,
            bespoke::tanh{} | named("y") | from("v"),
            branch{compose(inner_product{.output_channels = 4} | named("b") | from("x"), copy{} | to("v"))} | from("c"),
            output{"y"}, output{"v"});

constexpr auto two_outputs = compose(
    input{"x", {4}}, inner_product{.output_channels = 6} | named("stem") | updatable,
    bespoke::tanh{} | named("s"), inner_product{.output_channels = 3} | named("left") | from("s") | updatable,
    inner_product{.output_channels = 2} | named("right") | from("s") | updatable,
    inner_product{.output_channels = 5} | named("logits") | from("s") | updatable, softmax_nd{} | named("p"),
    output{"left"}, output{"right"}, output{"p"});

constexpr auto frozen_stem =
    compose(input{"x", {6}}, inner_product{.output_channels = 5} | named("stem"), counted<0>{},
            bespoke::tanh{}, counted<0>{}, inner_product{.output_channels = 4} | named("fc1") | updatable,
            counted<1>{}, bespoke::tanh{}, inner_product{.output_channels = 3} | named("fixed"),
            inner_product{.output_channels = 3} | named("fc2") | updatable, softmax_nd{});

constexpr auto stored_once =
    compose(input{"x", {3}}, one{} | named("one"),
            inner_product{.output_channels = 3} | named("w") | from("one") | updatable,
            bespoke::tanh{} | named("t"), multiply{} | named("y") | from("x", "t"));

constexpr auto not_whole =
    compose(input{"image", {3, 2, 2}},
            convolution{.output_channels = 4, .kernel_size = {1, 1}} | named("conv") | updatable,
            softmax{} | named("p"));

using entropy = categorical_cross_entropy;
using squares = mean_squared_error;

}  // namespace

TEST_CASE("gradients of whole networks against central differences") {
    SECTION("convolution, batch normalisation, residual, pooling") {
        network<convolutional, double> net(3);
        disturb(net);
        trainer t(net, {entropy{}}, sgd{});
        give(t, 7, {numbers<double>(7 * 72)}, {labels<double>(7, 5)});
        check_gradients(net, t, {1, 4, 6, 0, 5});
        check_gradients(net, t, {2});
    }
    SECTION("batch normalisation over the mini-batch") {
        network<mixing, double> net(3);
        disturb(net);
        trainer t(net, {squares{}}, sgd{});
        give(t, 5, {numbers<double>(5 * 48)}, {numbers<double>(60, 2)});
        check_gradients(net, t, all(5), 1e-7);
    }
    SECTION("a branch whose examples go different ways") {
        network<branching, double> net(3);
        disturb(net);
        trainer t(net, {squares{}}, sgd{});
        give(t, 6, {{1, 0, 1, 1, 0, 0}, numbers<double>(36)}, {numbers<double>(18, 2)});
        check_gradients(net, t, all(6));
        check_gradients(net, t, {0, 2, 3});  // all the same way
        check_gradients(net, t, {1, 4});
    }
    SECTION("a loop whose examples need different numbers of iterations") {
        network<looping, double> net(3);
        disturb(net);
        trainer t(net, {squares{}}, sgd{});
        give(t, 6, {{1, 0, 3, 2, 2, 0}, numbers<double>(24)}, {numbers<double>(18, 2)});
        check_gradients(net, t, all(6));
        check_gradients(net, t, {3, 4});
        check_gradients(net, t, {1, 5});
    }
    SECTION("a loop that breaks") {
        network<stopping, double> net(3);
        disturb(net);
        trainer t(net, {squares{}}, sgd{});
        give(t, 6, {numbers<double>(18)}, {numbers<double>(12, 2)});
        check_gradients(net, t, all(6));
    }
    SECTION("blobs that are read twice") {
        network<shared_reader, double> net(3);
        disturb(net);
        trainer t(net, {squares{}}, sgd{});
        give(t, 4, {numbers<double>(16)}, {numbers<double>(16, 2)});
        check_gradients(net, t, all(4));
    }
    SECTION("a blob that is written over behind its only reader") {
        network<written_over, double> net(3);
        disturb(net);
        trainer t(net, {squares{.input = "y"}}, sgd{});
        give(t, 4, {{1, 0, 1, 1}, numbers<double>(16)}, {numbers<double>(16, 2)});
        check_gradients(net, t, all(4));
    }
    SECTION("two squared errors and a cross-entropy") {
        network<two_outputs, double> net(3);
        disturb(net);
        trainer t(net,
                  {squares{.input = "left"}, entropy{.input = "p"},
                                              squares{.input = "right"}},
                  sgd{});
        give(t, 4, {numbers<double>(16)},
             {numbers<double>(12, 2), labels<double>(4, 5), numbers<double>(8, 3)});
        check_gradients(net, t, all(4));
    }
    SECTION("a squared error on what goes into the softmax of a cross-entropy, and on what comes out") {
        network<two_outputs, double> net(3);
        disturb(net);
        trainer t(net,
                  {squares{.input = "logits"}, entropy{.input = "p"},
                                              squares{.input = "p"}, squares{.input = "left"},
                                              squares{.input = "right"}},
                  sgd{}, train::all_layers);
        give(t, 4, {numbers<double>(16)},
             {numbers<double>(20, 2), labels<double>(4, 5), numbers<double>(20, 3), numbers<double>(12, 4),
              numbers<double>(8, 5)});
        check_gradients(net, t, all(4));
    }
    SECTION("a parameter behind a blob that is stored once, and a loss on such a blob") {
        network<stored_once, double> net(3);
        disturb(net);
        trainer t(net, {squares{.input = "y"}, squares{.input = "t"}}, sgd{});
        give(t, 4, {numbers<double>(12)}, {numbers<double>(12, 2), numbers<double>(12, 3)});
        check_gradients(net, t, all(4));
        check_gradients(net, t, {3});
    }
}

TEST_CASE("the loss is that of the predictions, summed over the losses") {
    network<two_outputs, double> net(3);
    const std::vector<double> x = numbers<double>(16), left = numbers<double>(12, 2),
                              right = numbers<double>(8, 3), label = labels<double>(4, 5);
    trainer t(net,
              {squares{.input = "left"}, squares{.input = "right"},
                                          entropy{.input = "p"}},
              sgd{});
    give(t, 4, {x}, {left, right, label});
    const double loss = t.gradient(all(4));
    REQUIRE(t.evaluate(all(4)) == loss);
    const auto outputs = net.predict_batch(x);
    const std::vector<double> y0(std::get<0>(outputs).begin(), std::get<0>(outputs).end()),
        y1(std::get<1>(outputs).begin(), std::get<1>(outputs).end()),
        p(std::get<2>(outputs).begin(), std::get<2>(outputs).end());
    double expected = 0;
    for (std::size_t i = 0; i < 12; ++i) expected += (y0[i] - left[i]) * (y0[i] - left[i]) / 12;
    for (std::size_t i = 0; i < 8; ++i) expected += (y1[i] - right[i]) * (y1[i] - right[i]) / 8;
    for (std::size_t i = 0; i < 4; ++i)
        expected -= std::log(p[i * 5 + static_cast<std::size_t>(label[i])]) / 4;
    REQUIRE(loss == Approx(expected).epsilon(1e-12));
}

TEST_CASE("frozen layers run once an example, trained ones once in every mini-batch") {
    network<frozen_stem> net(1);
    counted<0>::forwards = counted<1>::forwards = counted<0>::backwards = counted<1>::backwards = 0;
    trainer t(net, {entropy{}}, sgd{.learning_rate = 0.1});
    give(t, 100, {numbers<float>(600)}, {labels<float>(100, 3)});
    REQUIRE(counted<0>::forwards == 200);  // it stands there twice
    REQUIRE(counted<1>::forwards == 0);
    for (int epoch = 0; epoch < 3; ++epoch)
        for (std::size_t first = 0; first < 100; first += 30)
            t.step(all(std::min<std::size_t>(30, 100 - first), first));
    REQUIRE(counted<0>::forwards == 200);
    REQUIRE(counted<1>::forwards == 300);
    REQUIRE(counted<0>::backwards == 0);  // backward ends at the first updatable layer
    REQUIRE(counted<1>::backwards == 300);
}

TEST_CASE("only updatable layers change, by the gradient times the rate") {
    network<frozen_stem> net(1);
    const auto before = parameters(net);
    trainer t(net, {entropy{}}, sgd{.learning_rate = 0.5});
    give(t, 20, {numbers<float>(120)}, {labels<float>(20, 3)});
    t.gradient(all(20));
    std::vector<std::vector<float>> gradients;
    for (std::size_t k = 0; k < 4; ++k)
        gradients.emplace_back(t.gradient_of(k).begin(), t.gradient_of(k).end());
    REQUIRE(same_bits(parameters(net), before));
    t.step(all(20));
    const auto after = parameters(net);
    const std::vector<bool> learns{false, false, true, true,
                                   false, false, true, true};  // stem, fc1, fixed, fc2
    REQUIRE(after.size() == learns.size());
    std::size_t k = 0;
    for (std::size_t i = 0; i < after.size(); ++i) {
        INFO("parameter " << i);
        REQUIRE(same_bits(after[i], before[i]) != learns[i]);
        if (!learns[i]) continue;
        REQUIRE(t.learning_parameters()[k] == i);
        for (std::size_t e = 0; e < after[i].size(); ++e)
            REQUIRE(after[i][e] == before[i][e] - 0.5f * gradients[k][e]);
        ++k;
    }
    REQUIRE(k == 4);
    // batch normalisation: gamma and beta, never mean and variance
    network<convolutional> other(1);
    const auto start = parameters(other);
    trainer u(other, {entropy{}}, adam{});
    give(u, 4, {numbers<float>(4 * 72)}, {labels<float>(4, 5)});
    u.step(all(4));
    for (std::size_t i = 0; i < start.size(); ++i) {
        const std::string name(other.plan().parameters[i].name);
        REQUIRE(same_bits(parameters(other)[i], start[i]) == (name == "mean" || name == "variance"));
    }
}

TEST_CASE("a network that learns predicts with what it has learned") {
    network<convolutional> net(1);
    const std::vector<float> x = numbers<float>(4 * 72), image(x.begin(), x.begin() + 72);
    trainer t(net, {entropy{}}, sgd{.learning_rate = 0.1});
    give(t, 4, {x}, {labels<float>(4, 5)});
    for (int i = 0; i < 3; ++i) {
        const std::vector<float> before(net(image).begin(), net(image).end());
        t.step(all(4));
        const std::vector<float> after(net(image).begin(), net(image).end());
        REQUIRE_FALSE(same_bits(before, after));
        network<convolutional> copy(net);
        REQUIRE(same_bits(after, std::vector<float>(copy(image).begin(), copy(image).end())));
        const auto batch = net.predict_batch(x);  // between mini-batches, too
        for (std::size_t k = 0; k < 5; ++k)
            REQUIRE(*(batch.begin() + extent(k)) == Approx(after[k]).epsilon(1e-5));
    }
    REQUIRE(t.finite());
    net.core().parameter(t.learning_parameters()[1])[0] = std::numeric_limits<float>::infinity();
    REQUIRE_FALSE(t.finite());
}

TEST_CASE("mini-batches of any size: the loss is the mean over their examples") {
    network<convolutional, double> net(1);
    trainer t(net, {entropy{}}, sgd{});
    give(t, 7, {numbers<double>(7 * 72)}, {labels<double>(7, 5)});
    std::vector<std::vector<double>> sums(t.learning_parameters().size());
    double mean = 0;
    for (const auto& [first, count] : {std::pair<std::size_t, std::size_t>{0, 4}, {4, 2}, {6, 1}}) {
        mean += t.gradient(all(count, first)) * static_cast<double>(count) / 7;
        for (std::size_t k = 0; k < sums.size(); ++k) {
            sums[k].resize(t.gradient_of(k).size());
            for (std::size_t e = 0; e < sums[k].size(); ++e)
                sums[k][e] += t.gradient_of(k)[e] * static_cast<double>(count) / 7;
        }
    }
    REQUIRE(t.gradient(all(7)) == Approx(mean).epsilon(1e-13));
    for (std::size_t k = 0; k < sums.size(); ++k)
        for (std::size_t e = 0; e < sums[k].size(); ++e)
            REQUIRE(std::abs(t.gradient_of(k)[e] - sums[k][e]) < 1e-13);
}

TEST_CASE("a loss that is not finite updates nothing") {
    network<shared_reader> net(1);
    trainer t(net, {squares{}}, sgd{.learning_rate = 1, .momentum = 0.5});
    std::vector<float> x = numbers<float>(16);
    x[5] = std::numeric_limits<float>::quiet_NaN();
    give(t, 4, {x}, {numbers<float>(16, 2)});
    const auto before = parameters(net);
    REQUIRE(std::isnan(t.step(all(4))));
    REQUIRE(same_bits(parameters(net), before));
    REQUIRE(t.steps() == 0);
    REQUIRE(std::isfinite(t.step(all(1))));
    REQUIRE(t.steps() == 1);
    REQUIRE_FALSE(same_bits(parameters(net), before));
}

TEST_CASE("what does not fit is named") {
    network<two_outputs> net(1);
    const auto message = [](const auto& run, errc code) -> std::string {
        try {
            run();
        } catch (const error& e) {
            REQUIRE(e.code() == code);
            return e.what();
        }
        return "nothing was thrown";
    };
    const auto with = [&](std::vector<any_loss<float>> losses) {
        return message([&] { trainer(net, std::move(losses), sgd{}); }, errc::not_updatable);
    };
    const std::string head = "this network cannot be trained\n  ";
    REQUIRE(
        with({squares{.input = "left"}, squares{.input = "right"}}) ==
        head +
            "layers/4 \"logits\" (innerProduct): it is updatable, but no path of differentiable layers leads "
            "from it to a loss");
    REQUIRE(with({}) == head + "no loss: name one, with the blob that it looks at");
    const auto by = [&](any_optimizer<float> o) {
        const auto on = [](const char* blob) { return squares{.input = blob}; };
        return message([&] { trainer(net, {on("left"), on("right"), on("p")}, std::move(o)); }, errc::bad_argument);
    };
    REQUIRE(by(sgd{.learning_rate = -1}) == "trainer: a learning rate from 0 up wanted, -1 came");
    REQUIRE(by(chain(sgd{}, sgd{.learning_rate = -1})) == "trainer: a learning rate from 0 up wanted, -1 came");
    REQUIRE(by(chain(adam{.beta2 = 1})) == "trainer: a beta2 from 0 to below 1 wanted, 1 came");
    REQUIRE(by(adam{.eps = std::nan("")}) == "trainer: an eps from 0 up wanted, NaN came");
    REQUIRE(by(chain(clip_by_global_norm{-1}, sgd{})) == "trainer: a limit above 0 wanted, -1 came");
    REQUIRE(by(clip_by_global_norm{0}) == "trainer: a limit above 0 wanted, 0 came");
    REQUIRE(by(clip_by_global_norm{std::nan("")}) == "trainer: a limit above 0 wanted, NaN came");
    REQUIRE(by(chain(adam{}, decay_weights{-0.5})) == "trainer: a rate from 0 up wanted, -0.5 came");
    REQUIRE(by(chain(adam{}, decay_weights{std::nan("")})) == "trainer: a rate from 0 up wanted, NaN came");
    REQUIRE(with({squares{.input = "lef"}}) == head + "the loss looks at \"lef\", which no layer writes");
    REQUIRE(with({entropy{.input = "logits"}}) == head +
                                                      "the cross-entropy looks at \"logits\", which is not "
                                                      "the output of a softmax over a whole example");
    // the first output is looked at where none is named
    REQUIRE(
        with({entropy{}, squares{.input = "nobody"}}) ==
        head +
            "the cross-entropy looks at \"left\", which is not the output of a softmax over a whole example\n"
            "  the loss looks at \"nobody\", which no layer writes");
    network<not_whole> map(1);
    REQUIRE(
        message([&] { trainer(map, {entropy{}}, sgd{}); }, errc::not_updatable) ==
        head + "the cross-entropy looks at \"p\", which is not the output of a softmax over a whole example");

    trainer t(net,
              {squares{.input = "left"}, squares{.input = "right"},
                                          entropy{.input = "p"}},
              sgd{});
    const std::vector<float> x(8), left(6), right(4);
    const auto loading = [&](std::size_t n, const arrays<float>& inputs, const arrays<float>& targets,
                             errc code = errc::shape_mismatch) {
        return message([&] { give(t, n, inputs, targets); }, code);
    };
    REQUIRE(message([&] { t.step(all(1)); }, errc::bad_argument) ==
            "mini-batch: there are no examples yet, load some first");
    REQUIRE(loading(0, {}, {}, errc::bad_argument) == "at least one example wanted, none came");
    REQUIRE(loading(2, {}, {left, right, {0, 0}}) == "1 inputs wanted, 0 came");
    REQUIRE(loading(2, {left}, {left, right, {0, 0}}) ==
            "input \"x\": 2 times the shape [4] wanted (8 elements), 6 came");
    REQUIRE(loading(2, {x}, {left, right}) == "targets for 3 losses wanted, for 2 came");
    REQUIRE(loading(2, {x}, {left, left, {0, 0}}) == "target of loss 1: 4 elements wanted, 6 came");
    REQUIRE(loading(2, {x}, {left, right, {0}}) == "target of loss 2: 2 elements wanted, 1 came");
    REQUIRE(loading(2, {x}, {left, right, {4, 5}}, errc::bad_value) ==
            "target of loss 2, example 1: a class from 0 to 4 wanted, 5 came");
    REQUIRE(t.examples() == 0);
    give(t, 2, {x}, {left, right, {4, 0}});
    REQUIRE(t.examples() == 2);
    const std::vector<std::size_t> beyond{1, 2};
    REQUIRE(message([&] { t.step(beyond); }, errc::bad_value) ==
            "mini-batch: an example below 2 wanted, 2 came");
    REQUIRE(message([&] { t.step({}); }, errc::bad_argument) ==
            "a mini-batch of at least one example wanted");
    // what was loaded before a fault stays
    REQUIRE(loading(3, {x}, {left, right, {0, 0, 0}}) ==
            "input \"x\": 3 times the shape [4] wanted (12 elements), 8 came");
    REQUIRE(t.examples() == 2);
    REQUIRE(std::isfinite(t.step(all(2))));
}

TEST_CASE("a step allocates nothing after the first epoch") {
    const auto count = [](auto& net, const std::vector<any_loss<float>>& losses, const any_optimizer<float>& optimizer,
                          const arrays<float>& inputs, const arrays<float>& targets, std::size_t examples) {
        trainer t(net, losses, optimizer);
        give(t, examples, inputs, targets);
        const auto epoch = [&] {
            const auto order = all(examples);
            for (std::size_t first = 0; first < examples; first += 8)
                t.step(std::span(order).subspan(first, std::min<std::size_t>(8, examples - first)));
        };
        epoch();
        const std::size_t before = allocations;
        epoch();
        return static_cast<std::size_t>(allocations) - before - 1;  // `order`
    };
    network<convolutional> net(1);
    REQUIRE(count(net, {entropy{}}, chain(clip_by_global_norm{}, adam{}, decay_weights{1e-3}),
                  {numbers<float>(20 * 72)}, {labels<float>(20, 5)}, 20) == 0);
    network<convolutional> threaded(1, 3);
    REQUIRE(count(threaded, {entropy{}}, sgd{.momentum = 0.9},
                  {numbers<float>(20 * 72)}, {labels<float>(20, 5)}, 20) == 0);
    network<looping> loops(1);
    std::vector<float> times(20);
    for (std::size_t i = 0; i < 20; ++i) times[i] = static_cast<float>(i % 4);
    REQUIRE(count(loops, {squares{}}, adam{}, {times, numbers<float>(80)}, {numbers<float>(60)},
                  20) == 0);
    network<branching> branches(1);
    REQUIRE(count(branches, {squares{}}, adam{}, {times, numbers<float>(120)},
                  {numbers<float>(60)}, 20) == 0);
    network<frozen_stem> frozen(1);
    REQUIRE(count(frozen, {entropy{}}, sgd{}, {numbers<float>(120)}, {labels<float>(20, 3)}, 20) ==
            0);
}

namespace {

constexpr auto wide = compose(
    input{"image", {3, 16, 16}}, convolution{.output_channels = 16, .padding = same} | named("frozen"),
    relu{}, convolution{.output_channels = 24, .padding = same} | named("conv") | updatable,
    batchnorm{.compute_mean_var = true} | named("norm") | updatable, relu{},
    residual(convolution{.output_channels = 24, .padding = same} | named("conv2") | updatable),
    pooling{.kernel_size = {2, 2}, .stride = {2, 2}}, flatten{},
    inner_product{.output_channels = 130} | named("fc") | updatable, bespoke::tanh{},
    inner_product{.output_channels = 10} | named("fc2") | updatable, softmax{});

}  // namespace

TEMPLATE_TEST_CASE("any number of threads gives the same bits", "", float, double) {
    using T = TestType;
    const auto run = [](std::size_t threads) {
        network<wide, T> net(1, threads);
        trainer t(net, {entropy{}}, chain(clip_by_global_norm{0.5}, adam{.learning_rate = 1e-2}));
        give(t, 19, {numbers<T>(19 * 768)}, {labels<T>(19, 10)});
        std::vector<T> losses;
        for (std::size_t first : {std::size_t{0}, std::size_t{8}, std::size_t{16}})
            losses.push_back(static_cast<T>(t.step(all(std::min<std::size_t>(8, 19 - first), first))));
        auto result = parameters(net);
        result.push_back(losses);
        return result;
    };
    const auto alone = run(1);
    REQUIRE(std::isfinite(alone.back().back()));
    REQUIRE(same_bits(alone, run(2)));
    REQUIRE(same_bits(alone, run(5)));
}

TEST_CASE("weights that learn are prepared for predictions, and make no other bits in steps without") {
    constexpr std::size_t examples = 80;
    const auto x = numbers<float>(examples * 768), y = labels<float>(examples, 10);
    const auto run = [&](bool prepares, low_precision how) {
        network<wide> net(1);
        net.use_low_precision(how);
        trainer t(net, {entropy{}}, adam{.learning_rate = 1e-2});
        give(t, examples, {x}, {y});
        std::vector<float> seen;
        for (std::size_t count : {8u, 8u, 1u, 70u, 64u, 3u, 2u}) {
            if (prepares) net.prepare();
            seen.push_back(static_cast<float>(t.step(all(count, 5))));
            if (count == 8) continue;
            if (count == 70) seen.push_back(static_cast<float>(t.evaluate(all(3))));
            network<wide> copy(net);
            for (extent rows : {1, 3, 1}) {
                const std::vector<float> some(x.begin(), x.begin() + rows * 768);
                const auto mine = net.predict_batch(some), fresh = copy.predict_batch(some);
                REQUIRE(std::equal(mine.begin(), mine.end(), fresh.begin(), fresh.end()));
                seen.insert(seen.end(), mine.begin(), mine.end());
            }
        }
        auto result = parameters(net);
        result.push_back(seen);
        return result;
    };
    for (low_precision how : {low_precision::none, low_precision::bfloat16, low_precision::int8})
        REQUIRE(same_bits(run(false, how), run(true, how)));
}

TEST_CASE(
    "networks drawn by lot: frozen steps change no bit, and examples one by one give the same gradient") {
    constexpr std::size_t examples = 5;
    const std::vector<float> conditions{2, 0, 1, 0, 3};
    std::size_t compared = 0, with_frozen = 0;
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
        INFO("seed " << seed);
        lottery lot(seed);
        const layer_list layers = lot.draw();
        const std::string last = lot.last();
        program p(layers, lottery::inputs(), {last});
        p.core().initialize(seed);
        p.prepare();
        std::vector<any_loss<float>> losses;
        arrays<float> targets;
        for (const std::string& blob : lot.blobs()) {
            losses.push_back(squares{.input = blob});
            targets.push_back(numbers<float>(20, targets.size()));
        }
        const auto run = [&](train which, const auto& use) {
            try {
                trainer t(p, losses, sgd{}, which);
                give(t, examples,
                     {conditions, numbers<float>(20, 1), numbers<float>(20, 2), numbers<float>(20, 3)},
                     targets);
                use(t);
            } catch (const error& e) {
                if (e.code() != errc::not_updatable) throw;
            }
        };
        using gradients = std::vector<std::pair<std::size_t, std::vector<float>>>;
        const auto of = [](const auto& t, float share, gradients g) {
            g.resize(t.learning_parameters().size());
            for (std::size_t k = 0; k < g.size(); ++k) {
                g[k].first = t.learning_parameters()[k];
                g[k].second.resize(t.gradient_of(k).size());
                for (std::size_t e = 0; e < g[k].second.size(); ++e)
                    g[k].second[e] += share * t.gradient_of(k)[e];
            }
            return g;
        };
        gradients some;
        double loss = 0;
        run(train::updatable_layers, [&](auto& t) {
            loss = t.gradient(all(examples));
            some = of(t, 1, {});
            double sum = 0;
            gradients single;
            for (std::size_t i = 0; i < examples; ++i) {
                sum += t.gradient(all(1, i)) / examples;
                single = of(t, 1.0f / examples, std::move(single));
            }
            REQUIRE(sum == Approx(loss).epsilon(1e-5));
            for (std::size_t k = 0; k < some.size(); ++k)
                for (std::size_t e = 0; e < some[k].second.size(); ++e)
                    REQUIRE(single[k].second[e] == Approx(some[k].second[e]).epsilon(1e-4).margin(1e-4));
            REQUIRE(t.gradient(all(examples)) == loss);
            REQUIRE(of(t, 1, {}) == some);
        });
        if (some.empty()) continue;
        run(train::all_layers, [&](auto& t) {
            REQUIRE(t.gradient(all(examples)) == loss);
            const gradients whole = of(t, 1, {});
            with_frozen += whole.size() > some.size();
            for (const auto& [number, values] : some) {
                const auto same = std::find_if(whole.begin(), whole.end(),
                                               [&, wanted = number](const auto& g) { return g.first == wanted; });
                REQUIRE(same != whole.end());
                REQUIRE(same_bits(same->second, values));
                ++compared;
            }
        });
    }
    REQUIRE(compared > 100);
    REQUIRE(with_frozen > 20);
}

namespace {

/// As it is, but that it can be told to throw.
struct moody_loss : mean_squared_error {
    static inline bool throws = false;

    double operator()(auto x, auto y, const auto* target, auto dx) const {
        const double loss = mean_squared_error::operator()(x, y, target, dx);
        if (throws) throw std::string("a loss");
        return loss;
    }
};
struct moody_optimizer {
    static inline bool throws = false;

    sgd inner{.learning_rate = 0.1, .momentum = 0.5};
    extent moments() const { return inner.moments(); }
    template <class T>
    void apply(std::span<const update_slot<T>> slots, T* state, extent total, std::uint64_t step) const {
        if (throws) {
            std::fill_n(slots[0].step, slots[0].size, T(1000));
            throw std::string("an optimizer");
        }
        inner.apply(slots, state, total, step);
    }
};

}  // namespace

TEST_CASE("a step that throws changes nothing") {
    network<frozen_stem> net(1), undisturbed(1);
    const auto x = numbers<float>(8 * 6), wanted = numbers<float>(8 * 3);
    const std::vector<example_data<float>> in{x}, targets{wanted};
    const auto with = [&](network<frozen_stem>& n, const any_optimizer<float>& optimizer) {
        auto t = std::make_unique<trainer<float>>(n, std::vector<any_loss<float>>{moody_loss{}}, optimizer);
        t->load(8, in, targets);
        return t;
    };
    const bool moody = GENERATE(false, true);
    any_optimizer<float> optimizer = adam{};
    if (moody) optimizer = moody_optimizer{};
    const auto t = with(net, optimizer), quiet = with(undisturbed, optimizer);
    const auto same = [&] {
        const auto a = std::as_const(net).core().parameters().block();
        const auto b = std::as_const(undisturbed).core().parameters().block();
        return std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(float)) == 0;
    };
    const auto unchanged = [&] {
        CHECK(t->steps() == quiet->steps());
        CHECK(same());
    };
    std::uint64_t steps = 0;
    for (std::size_t size : {2u, 5u}) {
        const std::vector<std::size_t> batch = all(size);
        CHECK(with_scarce_memory([&] { t->step(batch); }, unchanged) > 0);
        quiet->step(batch);
        unchanged();
        CHECK(quiet->steps() == ++steps);
        moody_loss::throws = true;
        CHECK_THROWS_AS(t->step(batch), std::string);
        moody_loss::throws = false;
        unchanged();
        moody_optimizer::throws = true;
        if (moody) CHECK_THROWS_AS(t->step(batch), std::string);
        moody_optimizer::throws = false;
        unchanged();
    }
    // nor do examples for which there is no memory, or arithmetic behind a training
    const auto more = numbers<float>(9 * 6, 2), other = numbers<float>(9 * 3, 3);
    const std::vector<example_data<float>> many{more}, their{other};
    const double loss = quiet->evaluate(all(8));
    CHECK(with_scarce_memory([&] { t->take(9, many, their); },
                             [&] { CHECK(t->evaluate(all(8)) == loss); }) > 0);
    CHECK_THROWS_AS(t->step(all(1)), error);  // its frozen steps have not run yet
    t->load(9, many, their);
    const auto y = undisturbed(std::span(x).first(6));
    CHECK(with_scarce_memory([&] { net.use({.winograd = false}); },
                             [&] { CHECK(net(std::span(x).first(6))[0] == y[0]); }) > 0);
    CHECK(net(std::span(x).first(6))[0] == y[0]);
}

TEST_CASE("a trainer says that its network was moved from") {
    network<frozen_stem> net(1);
    trainer t(net, {squares{}}, sgd{});
    give(t, 2, {numbers<float>(12)}, {numbers<float>(6)});
    const network<frozen_stem> elsewhere = std::move(net);
    CHECK_THROWS_AS(t.step(all(2)), error);
    CHECK_THROWS_AS(t.evaluate(all(2)), error);
}

TEST_CASE("a trainer that is moved goes on where it was, and is not copied") {
    STATIC_REQUIRE(!std::is_copy_constructible_v<trainer<float>>);
    STATIC_REQUIRE(std::is_nothrow_move_constructible_v<trainer<float>>);
    network<frozen_stem> net(1), other(1);
    trainer t(net, {squares{}}, adam{}), stays(other, {squares{}}, adam{});
    for (trainer<float>* each : {&t, &stays}) give(*each, 2, {numbers<float>(12)}, {numbers<float>(6)});
    CHECK(t.step(all(2)) == stays.step(all(2)));
    const float* const place = t.gradient_of(0).data();
    trainer moved = std::move(t);
    CHECK(moved.gradient_of(0).data() == place);
    CHECK(moved.step(all(2)) == stays.step(all(2)));
    CHECK_THROWS_AS(t.step(all(2)), error);
    CHECK_THROWS_AS(t.gradient(all(2)), error);
    CHECK_THROWS_AS(t.evaluate(all(2)), error);
    CHECK_THROWS_AS(give(t, 2, {numbers<float>(12)}, {numbers<float>(6)}), error);
    CHECK_THROWS_AS(t.run_frozen({}), error);
    CHECK_THROWS_AS(t.chosen_optimizer(), error);
    t = std::move(moved);
    CHECK(t.step(all(2)) == stays.step(all(2)));
    CHECK(t.evaluate(all(2)) == stays.evaluate(all(2)));
}

TEST_CASE("a trainer goes on with the network that was assigned to its own") {
    const auto rule = chain(clip_by_global_norm{1e-3}, sgd{1}, decay_weights{0.5});  // it reads the weights
    network<frozen_stem> net(1);
    trainer t(net, {squares{}}, rule);
    give(t, 2, {numbers<float>(12)}, {numbers<float>(6)});
    t.step(all(2));
    const network<frozen_stem> best = net;
    network<frozen_stem> twin = best;
    trainer anew(twin, {squares{}}, rule);
    give(anew, 2, {numbers<float>(12)}, {numbers<float>(6)});
    t.step(all(2));
    net = best;
    CHECK(t.step(all(2)) == anew.step(all(2)));
    CHECK(t.finite());
    for (std::size_t k : t.learning_parameters()) {
        const auto size = static_cast<std::size_t>(net.plan().parameters[k].dimensions.size());
        CHECK(std::equal(net.core().parameter(k), net.core().parameter(k) + size, twin.core().parameter(k)));
    }
    net.core().parameter(t.learning_parameters()[0])[0] = std::numeric_limits<float>::infinity();
    CHECK(!t.finite());
    net = best;
    CHECK(t.finite());
}
