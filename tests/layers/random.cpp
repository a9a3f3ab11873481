#include <bespoke/layers/random.hpp>

#include <bespoke/layers/broadcastable.hpp>
#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

#include <numbers>

using namespace bespoke;
using namespace layer_test;

namespace {

using floats = std::vector<float>;
using doubles = std::vector<double>;

/// The uniform numbers of a seed, as philox itself gives them one by one.
doubles uniforms(extent n, std::uint64_t seed) {
    philox source(seed, ~std::uint64_t{0});
    doubles u;
    for (extent i = 0; i < n; ++i) u.push_back(source.uniform());
    return u;
}
/// Box and Muller's formula on them.
doubles normals(extent n, std::uint64_t seed) {
    const doubles u = uniforms((n + 3) / 4 * 4, seed);
    doubles z;
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
        const std::size_t block = i / 4 * 4, k = i % 4;
        const double radius = std::sqrt(-2 * std::log(1 - u[block + k % 2]));
        const double angle = 2 * std::numbers::pi * u[block + 2 + k % 2];
        z.push_back(radius * (k < 2 ? std::cos(angle) : std::sin(angle)));
    }
    return z;
}

double mean_of(const doubles& v, auto f) {
    double sum = 0;
    for (double e : v) sum += f(e);
    return sum / static_cast<double>(v.size());
}
double correlation(const doubles& a, const doubles& b, std::size_t lag, double mean) {
    double sum = 0;
    for (std::size_t i = 0; i + lag < a.size(); ++i) sum += (a[i] - mean) * (b[i + lag] - mean);
    return sum / static_cast<double>(a.size() - lag);
}

constexpr extent draws = 100000;
const double noise = 1 / std::sqrt(static_cast<double>(draws));  // of a mean of numbers of variance 1

}  // namespace

TEST_CASE("random numbers: those of the generator, for float and double") {
    for (std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{7}, ~std::uint64_t{0} - 1}) {
        const auto given = static_cast<extent>(seed);
        doubles z = normals(105, seed), u = uniforms(105, seed), b;
        for (double& v : z) v = 3 + 0.5 * v;
        for (double& v : u) {
            b.push_back(v < 0.25 ? 1 : 0);
            v = -2 + 5 * v;
        }
        REQUIRE(distance(evaluate<float>(random_normal_static{given, 3, 0.5F, {5, 21}}, {}).first(), z) < 1e-6);
        REQUIRE(distance(evaluate<double>(random_normal_static{given, 3, 0.5F, {105}}, {}).first(), z) < 1e-14);
        REQUIRE(distance(evaluate<float>(random_uniform_static{given, -2, 3, {5, 21}}, {}).first(), u) < 1e-6);
        REQUIRE(distance(evaluate<double>(random_uniform_static{given, -2, 3, {105}}, {}).first(), u) < 1e-15);
        REQUIRE(distance(evaluate<float>(random_bernoulli_static{given, 0.25F, {105}}, {}).first(), b) == 0);
        REQUIRE(distance(evaluate<double>(random_bernoulli_static{given, 0.25F, {105}}, {}).first(), b) == 0);
    }
}

TEST_CASE("random numbers: those of a shape alone, one set for all examples") {
    const floats x{1, no_number, infinity, 4, 5, 6, 7, 8, 9, 10, 11, 12};  // two examples
    const auto like = [&](const auto& layer) {
        REQUIRE_FALSE(plan_of(layer, {{2, 3}}).result().blobs[1].per_example);
        return evaluate<float>(layer, {{{2, 3}, x}});
    };
    const auto normal = like(random_normal_like{4, 1, 2});
    REQUIRE(normal.dimensions() == shape{2, 3});
    REQUIRE(normal.first() == evaluate<float>(random_normal_static{4, 1, 2, {2, 3}}, {}).first());
    REQUIRE(like(random_uniform_like{4, 1, 2}).first() ==
            evaluate<float>(random_uniform_static{4, 1, 2, {2, 3}}, {}).first());
    REQUIRE(like(random_bernoulli_like{4, 0.5F}).first() ==
            evaluate<float>(random_bernoulli_static{4, 0.5F, {2, 3}}, {}).first());
    REQUIRE(evaluate<float>(random_normal_static{1, 0, 1, {0, 4}}, {}).first().empty());
    REQUIRE(evaluate<float>(random_normal_static{1, 0, 1, {}}, {}).first().size() == 1);
}

TEST_CASE("random numbers: ends of the parameters") {
    REQUIRE(evaluate<float>(random_normal_static{1, 5, 0, {9}}, {}).first() == floats(9, 5));
    REQUIRE(evaluate<float>(random_uniform_static{1, 2, 2, {9}}, {}).first() == floats(9, 2));
    REQUIRE(evaluate<float>(random_bernoulli_static{1, 0, {99}}, {}).first() == floats(99, 0));
    REQUIRE(evaluate<float>(random_bernoulli_static{1, 1, {99}}, {}).first() == floats(99, 1));
}

TEST_CASE("random numbers: moments") {
    const doubles z = evaluate<double>(random_normal_static{11, 0, 1, {draws}}, {}).first();
    REQUIRE(std::abs(mean_of(z, [](double v) { return v; })) < 4 * noise);
    REQUIRE(std::abs(mean_of(z, [](double v) { return v * v; }) - 1) < 4 * noise * std::sqrt(2));
    REQUIRE(std::abs(mean_of(z, [](double v) { return v * v * v; })) < 4 * noise * std::sqrt(15));
    REQUIRE(std::abs(mean_of(z, [](double v) { return v * v * v * v; }) - 3) < 4 * noise * std::sqrt(96));
    // the normal distribution function at -2, -1, 0.5 and 2.5
    for (const auto& p : std::vector<std::pair<double, double>>{
             {-2, 0.02275013}, {-1, 0.15865525}, {0.5, 0.69146246}, {2.5, 0.99379033}})
        REQUIRE(std::abs(mean_of(z, [&](double v) { return v < p.first ? 1 : 0; }) - p.second) < 4 * noise * 0.5);

    const doubles u = evaluate<double>(random_uniform_static{12, 0, 1, {draws}}, {}).first();
    REQUIRE(std::abs(mean_of(u, [](double v) { return v; }) - 0.5) < 4 * noise * std::sqrt(1 / 12.0));
    REQUIRE(std::abs(mean_of(u, [](double v) { return (v - 0.5) * (v - 0.5); }) - 1 / 12.0) < 4 * noise * 0.075);
    for (double low : {0.0, 0.3, 0.9}) {
        const double share = mean_of(u, [&](double v) { return v >= low && v < low + 0.1 ? 1 : 0; });
        REQUIRE(std::abs(share - 0.1) < 4 * noise * 0.3);
    }
    REQUIRE(std::all_of(u.begin(), u.end(), [](double v) { return v >= 0 && v < 1; }));

    const doubles b = evaluate<double>(random_bernoulli_static{13, 0.3F, {draws}}, {}).first();
    REQUIRE(std::abs(mean_of(b, [](double v) { return v; }) - 0.3) < 4 * noise * std::sqrt(0.21));
}

TEST_CASE("random numbers: independent of their neighbours and of other seeds") {
    const doubles a = evaluate<double>(random_normal_static{1, 0, 1, {draws}}, {}).first();
    const doubles b = evaluate<double>(random_normal_static{2, 0, 1, {draws}}, {}).first();
    for (std::size_t lag : std::vector<std::size_t>{1, 2, 3, 4, 5, 64})
        REQUIRE(std::abs(correlation(a, a, lag, 0)) < 4 * noise);
    REQUIRE(std::abs(correlation(a, b, 0, 0)) < 4 * noise);
    doubles squares_of_a, squares_of_next;  // independent, not uncorrelated only
    for (std::size_t i = 0; i + 2 < a.size(); ++i) {
        squares_of_a.push_back(a[i] * a[i]);
        squares_of_next.push_back(a[i + 2] * a[i + 2]);
    }
    REQUIRE(std::abs(correlation(squares_of_a, squares_of_next, 0, 1)) < 4 * noise * 2);
}

TEST_CASE("random numbers: no gradient") {
    REQUIRE(check_gradients(random_normal_like{}, {{2}}).what ==
            "no gradient passes this layer: differentiable = false");
    static_assert(!is_differentiable<random_uniform_static> && !is_differentiable<random_bernoulli_like>);
}

TEST_CASE("random numbers: faults") {
    const std::string place = "layers/0 \"layer\" ";
    using two = std::pair<float, float>;
    for (const auto& [mean, deviation] : {two{0, -1}, two{no_number, 1}, two{0, no_number}, two{infinity, 1}})
        REQUIRE(fault_of(random_normal_like{0, mean, deviation}, {{2}}) ==
                place + "(randomNormalLike): a finite mean and a finite stdDev from 0 up wanted, " +
                    std::string(sentence(mean, " and ", deviation).view()) + " given");
    for (const auto& [low, high] : {two{0, -1}, two{no_number, 1}, two{0, infinity}, two{-3e38F, 3e38F}})
        REQUIRE(fault_of(random_uniform_static{0, low, high, {2}}, {}) ==
                place + "(randomUniformStatic): a finite minVal, a finite maxVal from there up and a finite distance "
                        "wanted, " +
                    std::string(sentence(low, " and ", high).view()) + " given");
    for (float p : {-0.1F, 1.1F, no_number})
        REQUIRE(fault_of(random_bernoulli_static{0, p, {2}}, {}) ==
                place + "(randomBernoulliStatic): a prob from 0 to 1 wanted");
    REQUIRE(fault_of(random_normal_static{0, 0, 1, {2, -1}}, {}) ==
            place + "(randomNormalStatic): an outputShape from 0 up wanted, [2, -1] given");
    REQUIRE(fault_of(random_normal_static{0, 0, 1, {2}}, {{2}}) ==
            place + "(randomNormalStatic): 0 inputs wanted, 1 named");
    ask_everything(random_normal_like{});
    ask_everything(random_uniform_like{});
    ask_everything(random_bernoulli_like{});
    for (extent e : hostile_extents()) plan_of(random_bernoulli_static{e, 0.5F, {e, 3}}, {});
}

namespace {
inline constexpr auto drawn =
    compose(input{"x", {40}}, random_normal_like{} | named("own"),
            random_normal_static{.output_size = {40}} | named("other"),
            random_normal_like{.seed = 9} | from("x") | named("nine"),
            random_normal_static{.seed = 9, .output_size = {40}} | named("again"),
            add_broadcastable{} | from("x", "own") | named("y"), output{"own"}, output{"other"}, output{"nine"},
            output{"again"}, output{"y"});
}

TEST_CASE("random numbers: a seed of -1 stands for numbers of the layer's own, the same in each prediction") {
    network<drawn> net, another(17);
    const floats x = numbers<float>(40);
    const auto [own, other, nine, again, y] = net(x);
    const auto list = [](const auto& v) { return floats(v.begin(), v.end()); };
    const floats first = list(own), second = list(other), third = list(nine);
    REQUIRE(first != second);
    REQUIRE(first != third);
    REQUIRE(second != third);
    REQUIRE(third == list(again));
    floats sum;
    for (std::size_t i = 0; i < 40; ++i) sum.push_back(x[i] + first[i]);
    REQUIRE(list(y) == sum);
    REQUIRE(list(std::get<0>(net(x))) == first);
    REQUIRE(list(std::get<0>(another(x))) == first);
}
