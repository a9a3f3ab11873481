#include <bespoke/core/random.hpp>
#include <bespoke/training/optimizers.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

using namespace bespoke;

namespace {

/// Parameter arrays, their gradients and the state of an optimizer.
template <class T, class Optimizer>
struct bench {
    Optimizer optimizer;
    std::vector<std::vector<T>> weights;
    extent total = 0;
    std::vector<extent> offsets;
    std::vector<T> steps, state;
    std::uint64_t count = 0;

    bench(Optimizer o, std::vector<std::vector<T>> w) : optimizer(std::move(o)), weights(std::move(w)) {
        for (const auto& array : weights) {
            offsets.push_back(total);
            total += aligned_size<T>(static_cast<extent>(array.size()));
        }
        steps.resize(static_cast<std::size_t>(total));
        state.resize(static_cast<std::size_t>(total * optimizer.moments()));
    }
    void update(const std::vector<std::vector<T>>& gradients) {
        std::vector<update_slot<T>> slots;
        for (std::size_t i = 0; i < weights.size(); ++i) {
            std::copy(gradients[i].begin(), gradients[i].end(), steps.begin() + offsets[i]);
            slots.push_back({weights[i].data(), steps.data() + offsets[i],
                             static_cast<extent>(weights[i].size()), offsets[i]});
        }
        optimizer.apply(std::span<const update_slot<T>>(slots), state.data(), total, ++count);
        for (std::size_t i = 0; i < weights.size(); ++i)
            for (std::size_t j = 0; j < weights[i].size(); ++j)
                weights[i][j] -= steps[static_cast<std::size_t>(offsets[i]) + j];
    }
};

/// The gradient of 20 updates, not of the weights: every optimizer sees the same.
std::vector<std::vector<double>> gradients(std::size_t step, const std::vector<std::size_t>& sizes) {
    std::vector<std::vector<double>> g;
    for (std::size_t a = 0; a < sizes.size(); ++a) {
        philox random(step, a);
        g.emplace_back(sizes[a]);
        for (double& v : g.back()) v = 2 * random.uniform() - 1;
    }
    return g;
}
const std::vector<std::size_t> sizes{1, 7, 33};

template <class T>
std::vector<std::vector<T>> as(const std::vector<std::vector<double>>& v) {
    std::vector<std::vector<T>> r;
    for (const auto& a : v) r.emplace_back(a.begin(), a.end());
    return r;
}

/// `formula(w, g, m, v, t)` updates one weight and its moments; compares with the optimizer after each step.
template <class T, class Optimizer, class Formula>
void compare(const Optimizer& optimizer, double tolerance, const Formula& formula) {
    bench<T, Optimizer> b(optimizer, as<T>(gradients(1000, sizes)));
    auto w = gradients(1000, sizes);
    for (auto& array : w)
        for (double& v : array) v = static_cast<double>(static_cast<T>(v));
    std::vector<std::vector<double>> m, v;
    for (std::size_t n : sizes) {
        m.emplace_back(n);
        v.emplace_back(n);
    }
    for (int t = 1; t <= 20; ++t) {
        const auto g = gradients(static_cast<std::size_t>(t), sizes);
        b.update(as<T>(g));
        for (std::size_t a = 0; a < w.size(); ++a)
            for (std::size_t i = 0; i < w[a].size(); ++i) {
                formula(w[a][i], g[a][i], m[a][i], v[a][i], t);
                INFO("step " << t << ", array " << a << ", element " << i);
                REQUIRE(std::abs(static_cast<double>(b.weights[a][i]) - w[a][i]) < tolerance);
            }
    }
}

template <class T>
constexpr double tolerance = std::is_same_v<T, float> ? 2e-6 : 1e-13;

}  // namespace

TEMPLATE_TEST_CASE("sgd: v = momentum v + g; w -= rate v", "", float, double) {
    compare<TestType>(sgd{.learning_rate = 0.05}, tolerance<TestType>,
                      [](double& w, double g, double&, double&, int) { w -= 0.05 * g; });
    compare<TestType>(sgd{.learning_rate = 0.05, .momentum = 0.9}, tolerance<TestType>,
                      [](double& w, double g, double& m, double&, int) {
                          m = 0.9 * m + g;
                          w -= 0.05 * m;
                      });
    REQUIRE(sgd{}.moments() == 0);
    REQUIRE(sgd{.momentum = 0.5}.moments() == 1);
}

TEMPLATE_TEST_CASE("adam", "", float, double) {
    for (const adam& o : {adam{}, adam{.learning_rate = 0.02, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3},
                          adam{.beta1 = 0, .beta2 = 0, .eps = 1}})
        compare<TestType>(o, tolerance<TestType>, [&](double& w, double g, double& m, double& v, int t) {
            m = o.beta1 * m + (1 - o.beta1) * g;
            v = o.beta2 * v + (1 - o.beta2) * g * g;
            w -= o.learning_rate * (m / (1 - std::pow(o.beta1, t))) /
                 (std::sqrt(v / (1 - std::pow(o.beta2, t))) + o.eps);
        });
    REQUIRE(adam{}.moments() == 2);
}

TEST_CASE("the numbers of PyTorch") {
    // torch 1.13 in float64: w = [0.5, -1.25, 2]; three steps with the gradients 0.3 w^2 - [0.1, 0.2, 0.3]
    const auto run = [](auto optimizer) {
        bench<double, decltype(optimizer)> b(optimizer, {{0.5, -1.25, 2}});
        for (int t = 0; t < 3; ++t) {
            std::vector<double> g(3);
            for (std::size_t i = 0; i < 3; ++i)
                g[i] = 0.3 * b.weights[0][i] * b.weights[0][i] - 0.1 * static_cast<double>(i + 1);
            b.update({g});
        }
        return b.weights[0];
    };
    const auto near = [](const std::vector<double>& a, const std::vector<double>& b,
                         double tolerance = 1e-12) {
        for (std::size_t i = 0; i < 3; ++i) REQUIRE(a[i] == Approx(b[i]).epsilon(tolerance));
    };
    near(run(sgd{.learning_rate = 0.05, .momentum = 0.9}),
         {0.50692254199726217, -1.3278506437618842, 1.7600470009284106});
    near(run(adam{.learning_rate = 0.05}), {0.62079022668814687, -1.4002349487700598, 1.8504385599252324});
    near(run(chain(adam{.learning_rate = 0.05}, decay_weights{0.05 * 0.1})),
         {0.61604517258070135, -1.3808409701811035, 1.8214537182197479});
    near(run(chain(clip_by_global_norm{.limit = 0.5},
                   sgd{.learning_rate = 0.05, .momentum = 0.9})),  // it divides by norm + 1e-6
         {0.50379594689795903, -1.2918385838086845, 1.8662090980820567}, 1e-5);
}

TEMPLATE_TEST_CASE("gradients are clipped together by their common norm", "", float, double) {
    using T = TestType;
    bench<T, clip_by_global_norm> b(clip_by_global_norm{.limit = 1}, {{0, 0}, {0}, std::vector<T>(40)});
    std::vector<T> zeros(40);
    b.update({{3, 0}, {4}, zeros});  // norm 5
    REQUIRE(b.weights[0][0] == Approx(-0.6));
    REQUIRE(b.weights[1][0] == Approx(-0.8));
    REQUIRE(b.weights[2][39] == 0);
    b.update({{T(0.25), 0}, {T(-0.5)}, zeros});  // below the limit: untouched
    REQUIRE(b.weights[0][0] == Approx(-0.85));
    REQUIRE(b.weights[1][0] == Approx(-0.3));
    // the square of the norm overflows a float
    b.weights = {{0, 0}, {0}, zeros};
    b.update({{T(3e25), 0}, {T(-4e25)}, zeros});
    REQUIRE(b.weights[0][0] == Approx(-0.6));
    REQUIRE(b.weights[1][0] == Approx(0.8));
}

TEMPLATE_TEST_CASE("weight decay behind adam is AdamW, before sgd it is L2 regularisation", "", float,
                   double) {
    const double rate = 1e-2, decay = 0.1;
    compare<TestType>(chain(adam{.learning_rate = rate}, decay_weights{rate * decay}), tolerance<TestType>,
                      [&](double& w, double g, double& m, double& v, int t) {
                          w -= rate * decay * w;
                          m = 0.9 * m + 0.1 * g;
                          v = 0.999 * v + 0.001 * g * g;
                          w -= rate * (m / (1 - std::pow(0.9, t))) /
                               (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8);
                      });
    compare<TestType>(chain(decay_weights{decay}, sgd{.learning_rate = rate, .momentum = 0.9}),
                      tolerance<TestType>, [&](double& w, double g, double& m, double&, int) {
                          m = 0.9 * m + (g + decay * w);
                          w -= rate * m;
                      });
}

TEST_CASE("each link of a chain has arrays of state of its own") {
    // two momenta, an Adam between them: 1 + 2 + 1 arrays
    const auto both = chain(sgd{.learning_rate = 1, .momentum = 0.5}, clip_by_global_norm{.limit = 1e9},
                            adam{}, chain(decay_weights{0.25}, sgd{.learning_rate = 0.5, .momentum = 0.25}));
    REQUIRE(both.moments() == 4);
    // m and v of the formula are Adam's; the two momenta of each weight are here
    std::vector<std::pair<double, double>> momenta(sizes[0] + sizes[1] + sizes[2]);
    std::size_t next = 0;
    compare<double>(both, 1e-13, [&](double& w, double g, double& m, double& v, int t) {
        auto& [a, b] = momenta[next];
        next = (next + 1) % momenta.size();
        a = 0.5 * a + g;
        m = 0.9 * m + 0.1 * a;
        v = 0.999 * v + 0.001 * a * a;
        b = 0.25 * b +
            1e-3 * (m / (1 - std::pow(0.9, t))) / (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8) + 0.25 * w;
        w -= 0.5 * b;
    });
}

TEST_CASE("an optimizer chosen at run time is that optimizer") {
    const auto run = [](auto optimizer) {
        bench<float, decltype(optimizer)> b(optimizer, as<float>(gradients(1000, sizes)));
        for (std::size_t t = 1; t <= 5; ++t) b.update(as<float>(gradients(t, sizes)));
        return b.weights;
    };
    const adam a{.learning_rate = 0.1};
    const sgd s{.learning_rate = 0.1, .momentum = 0.9};
    REQUIRE(run(any_optimizer<float>(a)) == run(a));
    REQUIRE(run(any_optimizer<float>(s)) == run(s));
    REQUIRE(run(chain(any_optimizer<float>(a), decay_weights{0.5})) == run(chain(a, decay_weights{0.5})));
    REQUIRE(run(a) != run(s));
    REQUIRE(any_optimizer<float>(a).moments() == 2);
    REQUIRE(any_optimizer<float>(sgd{}).moments() == 0);

    any_optimizer<float> one = a, other = one;
    *one.parameters()[0].learning_rate = 0.2;
    REQUIRE(*other.parameters()[0].learning_rate == 0.1);  // a copy is its own
    REQUIRE(run(one) == run(adam{.learning_rate = 0.2}));
    other = one;
    REQUIRE(run(other) == run(one));
}

TEST_CASE("update_weights: the bits of apply and a subtraction, in parts and on any number of threads; then zeros") {
    const std::vector<std::size_t> large{1, 4097, 70000, 33};
    const auto check = [&](const auto& chosen, bool parts) {
        std::vector<std::vector<float>> after;
        REQUIRE(any_optimizer<float>(chosen).elementwise() == parts);
        bench<float, std::remove_cvref_t<decltype(chosen)>> whole(chosen, as<float>(gradients(1000, large)));
        for (const std::size_t threads : {1U, 2U, 5U}) {
            thread_pool pool(threads);
            auto in_parts = whole;
            for (std::size_t t = 1; t <= 3; ++t) {
                const auto g = as<float>(gradients(t, large));
                if (threads == 1) whole.update(g);
                std::vector<update_slot<float>> slots;
                for (std::size_t i = 0; i < large.size(); ++i) {
                    float* step = in_parts.steps.data() + in_parts.offsets[i];
                    std::copy(g[i].begin(), g[i].end(), step);
                    slots.push_back({in_parts.weights[i].data(), step, static_cast<extent>(large[i]),
                                     in_parts.offsets[i]});
                }
                update_weights<float>(any_optimizer<float>(chosen), slots,
                                      [&](std::size_t k) { return in_parts.weights[k].data(); },
                                      in_parts.state.data(), in_parts.total, t, &pool);
                for (const auto& slot : slots)
                    CHECK(std::all_of(slot.step, slot.step + slot.size, [](float v) { return v == 0; }));
            }
            if (threads == 1) after = whole.weights;
            CHECK(in_parts.weights == after);
            whole = bench<float, std::remove_cvref_t<decltype(chosen)>>(chosen, as<float>(gradients(1000, large)));
        }
    };
    check(adam{.learning_rate = 0.1}, true);
    check(sgd{.learning_rate = 0.1}, true);
    check(chain(sgd{.learning_rate = 0.1, .momentum = 0.9}, decay_weights{0.01}), true);
    check(chain(clip_by_global_norm{.limit = 1}, adam{.learning_rate = 0.1}), false);
}

static_assert(optimizer<sgd> && optimizer<adam> && optimizer<clip_by_global_norm> &&
              optimizer<decay_weights> && optimizer<chain<adam, decay_weights>> &&
              optimizer<any_optimizer<float>> && !optimizer<int>);
