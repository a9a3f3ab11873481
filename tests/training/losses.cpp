#include <bespoke/core/random.hpp>
#include <bespoke/training/losses.hpp>

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>
#include <vector>

using namespace bespoke;

namespace {

template <class T>
std::vector<T> numbers(std::size_t n, double scale, std::uint64_t seed = 1) {
    philox random(seed);
    std::vector<T> v(n);
    for (T& e : v) e = static_cast<T>(scale * (2 * random.uniform() - 1));
    return v;
}

template <class T>
dynamic_view<const T> look(const std::vector<T>& v, const shape& s, extent examples) {
    return {v.data(), s, examples, s.size()};
}

/// The loss and its gradient, added to `begin`.
template <class T>
struct outcome_of {
    double loss = 0;
    std::vector<T> dx{};
};
template <class T, class Loss>
outcome_of<T> run(const Loss& loss, const shape& s, const std::vector<T>& x, const std::vector<T>& p,
                  const std::vector<T>& target, T begin = 0) {
    const extent examples = static_cast<extent>(x.size()) / s.size();
    outcome_of<T> r;
    r.dx.assign(x.size(), begin);
    r.loss = loss(look(x, s, examples), look(p, s, examples), target.data(),
                  dynamic_view<T>{r.dx.data(), s, examples, s.size()});
    const double alone = loss(look(x, s, examples), look(p, s, examples), target.data(), dynamic_view<T>{});
    const bool same_without_gradient = alone == r.loss || (std::isnan(alone) && std::isnan(r.loss));
    REQUIRE(same_without_gradient);
    return r;
}

template <class T>
std::vector<T> shares_of(const std::vector<T>& x, std::size_t classes) {
    std::vector<T> p(x.size());
    for (std::size_t i = 0; i < x.size(); i += classes) {
        long double sum = 0, most = x[i];
        for (std::size_t c = 0; c < classes; ++c) most = std::max<long double>(most, x[i + c]);
        for (std::size_t c = 0; c < classes; ++c) sum += std::exp(x[i + c] - most);
        for (std::size_t c = 0; c < classes; ++c) p[i + c] = static_cast<T>(std::exp(x[i + c] - most) / sum);
    }
    return p;
}

}  // namespace

TEMPLATE_TEST_CASE("cross-entropy is the mean of -log p[target], with the gradient (p - onehot) / examples",
                   "", float, double) {
    using T = TestType;
    const double tolerance = std::is_same_v<T, float> ? 1e-6 : 1e-14;
    for (extent examples : {extent{1}, extent{2}, extent{5}, extent{16}})
        for (extent classes : {extent{1}, extent{2}, extent{10}, extent{37}}) {
            INFO(examples << " examples, " << classes << " classes");
            const auto n = static_cast<std::size_t>(examples * classes);
            const std::vector<T> x = numbers<T>(n, 4), p = shares_of(x, static_cast<std::size_t>(classes));
            std::vector<T> target;
            double expected = 0;
            std::vector<double> gradient(n);
            for (extent i = 0; i < examples; ++i) {
                const extent label = (i * 7 + 3) % classes;
                target.push_back(static_cast<T>(label));
                double sum = 0;
                for (extent c = 0; c < classes; ++c)
                    sum += std::exp(double(x[static_cast<std::size_t>(i * classes + c)]));
                for (extent c = 0; c < classes; ++c) {
                    const auto at = static_cast<std::size_t>(i * classes + c);
                    const double q = std::exp(double(x[at])) / sum;
                    if (c == label) expected -= std::log(q) / double(examples);
                    gradient[at] = 0.25 + (q - (c == label ? 1 : 0)) / double(examples);
                }
            }
            const auto r = run(categorical_cross_entropy{}, shape{classes}, x, p, target, T(0.25));
            REQUIRE(std::abs(r.loss - expected) < tolerance * 4);
            for (std::size_t i = 0; i < n; ++i) REQUIRE(std::abs(double(r.dx[i]) - gradient[i]) < tolerance);
        }
}

TEMPLATE_TEST_CASE("cross-entropy of huge logits is the difference to the largest, never NaN", "", float,
                   double) {
    using T = TestType;
    const std::vector<T> x{T(1e30), 0, T(-1e30), T(-1e30), 0, T(1e30), 1000, 999, -1000};
    const std::vector<T> p = shares_of(x, 3), right{0, 2, 0}, wrong{2, 0, 2};
    const auto good = run(categorical_cross_entropy{}, shape{3, 1, 1}, x, p, right);
    REQUIRE(good.loss == Approx(std::log1p(std::exp(-1.0)) / 3).margin(2e-4));  // ulp of 1000 in float: 6e-5
    const auto bad = run(categorical_cross_entropy{}, shape{3, 1, 1}, x, p, wrong);
    REQUIRE(bad.loss == Approx((2e30 + 2e30 + 2000) / 3));
    for (T g : good.dx) REQUIRE(std::isfinite(g));
    for (T g : bad.dx) REQUIRE(std::isfinite(g));
    REQUIRE(bad.dx[0] == Approx(1.0 / 3));
    REQUIRE(bad.dx[2] == Approx(-1.0 / 3));
}

TEST_CASE("cross-entropy of a probability that is zero is finite") {
    // p[1] underflows to 0; its logarithm would be infinite
    const std::vector<float> x{0, -200}, p = shares_of(x, 2), target{1};
    REQUIRE(p[1] == 0);
    REQUIRE(run(categorical_cross_entropy{}, shape{2}, x, p, target).loss == 200);
}

TEST_CASE("cross-entropy hands on NaN") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> x{0, nan}, p{nan, nan}, target{0};
    REQUIRE(std::isnan(run(categorical_cross_entropy{}, shape{2}, x, p, target).loss));
}

TEMPLATE_TEST_CASE("mean squared error is the mean over all elements", "", float, double) {
    using T = TestType;
    const double tolerance = std::is_same_v<T, float> ? 1e-6 : 1e-14;
    for (extent examples : {extent{1}, extent{3}, extent{16}})
        for (const shape& s : {shape{1}, shape{5}, shape{2, 3, 4}, shape{}}) {
            const auto n = static_cast<std::size_t>(examples * s.size());
            const std::vector<T> x = numbers<T>(n, 2), target = numbers<T>(n, 2, 2);
            double expected = 0;
            for (std::size_t i = 0; i < n; ++i)
                expected += std::pow(double(x[i]) - double(target[i]), 2) / double(n);
            const auto r = run(mean_squared_error{}, s, x, x, target, T(1));
            REQUIRE(std::abs(r.loss - expected) < tolerance * 4);
            for (std::size_t i = 0; i < n; ++i)
                REQUIRE(std::abs(double(r.dx[i]) - 1 - 2 * (double(x[i]) - double(target[i])) / double(n)) <
                        tolerance);
        }
}

TEST_CASE("mean squared error of values whose square overflows a float is finite") {
    const std::vector<float> x{3e25f}, target{0};
    REQUIRE(run(mean_squared_error{}, shape{1}, x, x, target).loss == Approx(9e50).epsilon(1e-6));
}

TEMPLATE_TEST_CASE("binary cross-entropy with logits and Huber's loss give PyTorch's numbers", "", float, double) {
    using T = TestType;  // torch_losses.py prints them
    const double tolerance = std::is_same_v<T, float> ? 1e-6 : 1e-11;
    std::vector<T> x, shares, target;
    for (int i = 0; i < 6; ++i) {
        x.push_back(static_cast<T>((37 * i + 1) % 17 - 8) / 2);
        shares.push_back(static_cast<T>((23 * i + 5) % 17) / 16);
        target.push_back(static_cast<T>((23 * i + 5) % 17 - 8) / 4);
    }
    const auto check = [&](const auto& loss, const std::vector<T>& wanted, double value,
                           const std::vector<double>& gradient) {
        for (const shape& s : {shape{6}, shape{3}, shape{1, 2}}) {  // one example, two, three
            const auto r = run(loss, s, x, x, wanted, T(0.5));
            REQUIRE(std::abs(r.loss - value) < tolerance * 4);
            for (std::size_t i = 0; i < 6; ++i) REQUIRE(std::abs(double(r.dx[i]) - 0.5 - gradient[i]) < tolerance);
        }
    };
    check(binary_cross_entropy_with_logits{}, shares, 1.418301127204,
          {-0.047197961541, -0.094716179663, 0.062923444800, 0.059343096438, 0.029023636663, 0.153252298340});
    check(huber{}, target, 2.125, {-1 / 6.0, -1 / 6.0, 1 / 6.0, 1 / 6.0, 1 / 6.0, 1 / 6.0});
    check(huber{.delta = 2.5}, target, 3.6875, {-5 / 12.0, -5 / 12.0, 0.25, 0.25, 0.25, 5 / 12.0});
}

TEST_CASE("binary cross-entropy and Huber's loss: gradients are differences, also where a formula changes") {
    const auto check = [](const auto& loss, double target) {
        const std::vector<double> wanted{target};
        for (double at : {-30.0, -2.0, -1.0001, -0.5, -1e-3, 0.0, 0.3, 0.9999, 1.0001, 4.0, 30.0}) {
            const double step = 1e-5;
            const auto value = [&](double x) { return run(loss, shape{1}, std::vector{x}, {x}, wanted).loss; };
            const double slope = run(loss, shape{1}, std::vector{at}, {at}, wanted).dx[0];
            INFO(at);
            REQUIRE(slope == Approx((value(at + step) - value(at - step)) / (2 * step)).margin(1e-7));
        }
    };
    for (double target : {0.0, 0.25, 1.0}) check(binary_cross_entropy_with_logits{}, target);
    check(huber{}, 0);
    check(huber{.delta = 0.5}, 0.5);
}

TEST_CASE("binary cross-entropy of huge logits is finite, and hands on NaN") {
    const std::vector<float> x{1e30f, -1e30f, 1e30f, -1e30f}, target{1, 0, 0, 1};
    const auto r = run(binary_cross_entropy_with_logits{}, shape{4}, x, x, target);
    REQUIRE(r.loss == Approx(5e29));
    REQUIRE(r.dx == std::vector<float>{0, 0, 0.25f, -0.25f});
    const std::vector<float> nan{std::numeric_limits<float>::quiet_NaN()}, one{1};
    REQUIRE(std::isnan(run(binary_cross_entropy_with_logits{}, shape{1}, nan, nan, one).loss));
    REQUIRE(std::isnan(run(huber{}, shape{1}, nan, nan, one).loss));
}

TEST_CASE("a blob that is stored once is the same for each example, and its gradient sums over them") {
    const std::vector<double> x{0.5, -1, 2}, p = shares_of(x, 3), labels{2, 0};
    std::vector<double> dx(3);
    const double loss = categorical_cross_entropy{}(
        dynamic_view<const double>{x.data(), {3}, 2, 0}, dynamic_view<const double>{p.data(), {3}, 2, 0},
        labels.data(), dynamic_view<double>{dx.data(), {3}, 2, 0});
    REQUIRE(loss == Approx(-(std::log(p[2]) + std::log(p[0])) / 2));
    REQUIRE(dx[0] == Approx(p[0] - 0.5));
    REQUIRE(dx[1] == Approx(p[1]));
    REQUIRE(dx[2] == Approx(p[2] - 0.5));
}

TEST_CASE("targets that do not fit are named") {
    const categorical_cross_entropy entropy;
    const auto problem = [&](auto value) {
        return std::string(entropy.check_target(shape{10}, &value).view());
    };
    REQUIRE(entropy.target_size(shape{10}) == 1);
    for (float label = 0; label < 10; ++label) REQUIRE(problem(label).empty());
    REQUIRE(problem(-0.0f).empty());
    REQUIRE(problem(10.0f) == "a class from 0 to 9 wanted, 10 came");
    REQUIRE(problem(-1.0f) == "a class from 0 to 9 wanted, -1 came");
    REQUIRE(problem(2.5) == "a class from 0 to 9 wanted, 2.5 came");
    REQUIRE(problem(1e30f) == "a class from 0 to 9 wanted, 1e+30 came");
    REQUIRE(problem(std::numeric_limits<float>::quiet_NaN()) == "a class from 0 to 9 wanted, nan came");
    REQUIRE(problem(std::numeric_limits<double>::infinity()) == "a class from 0 to 9 wanted, inf came");

    const mean_squared_error squares;
    REQUIRE(squares.target_size(shape{2, 3}) == 6);
    std::vector<float> target(6);
    REQUIRE(squares.check_target(shape{2, 3}, target.data()).view().empty());
    target[4] = std::numeric_limits<float>::infinity();
    REQUIRE(squares.check_target(shape{2, 3}, target.data()).view() ==
            "finite numbers wanted, element 4 is not");

    const auto refused = [](const auto& loss, std::vector<float> numbers) {
        return std::string(loss.check_target(shape{2}, numbers.data()).view());
    };
    REQUIRE(refused(binary_cross_entropy_with_logits{}, {0, 1}).empty());
    REQUIRE(refused(binary_cross_entropy_with_logits{}, {0.5, 1.5}) == "numbers from 0 to 1 wanted, element 1 is not");
    REQUIRE(refused(binary_cross_entropy_with_logits{}, {std::numeric_limits<float>::quiet_NaN(), 0}) ==
            "numbers from 0 to 1 wanted, element 0 is not");
    REQUIRE(refused(huber{}, {-3, 1e30f}).empty());
    REQUIRE(refused(huber{}, {0, std::numeric_limits<float>::infinity()}) ==
            "finite numbers wanted, element 1 is not");
    REQUIRE(refused(huber{.delta = 0}, {0, 1}) == "a finite delta above 0 wanted");
}

static_assert(loss<categorical_cross_entropy> && loss<mean_squared_error>);
static_assert(loss<binary_cross_entropy_with_logits> && loss<huber>);
static_assert(!loss<int>);

namespace {
struct loss_without_key {
    std::string input{};
    static constexpr bool from_softmax = false;
    static extent target_size(const shape&) { return 0; }
    static sentence check_target(const shape&, const float*) { return {}; }
    double operator()(dynamic_view<const float>, dynamic_view<const float>, const float*, dynamic_view<float>) const {
        return 0;
    }
};
}  // namespace

TEST_CASE("a loss is known by its key and its delta") {
    CHECK(any_loss<float>(mean_squared_error{}).name() == "meanSquaredErrorLossLayer");
    CHECK(any_loss<float>(huber{.delta = 0.25}).name() == "huberLossLayer, delta 0.25");
    CHECK(any_loss<float>(loss_without_key{}).name() == "own");
}
