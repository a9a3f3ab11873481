#include <bespoke/layers/reduce.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

#include <algorithm>
#include <functional>
#include <numeric>

using namespace bespoke;
using namespace layer_test;

namespace {

using row = std::vector<double>;
using formula = std::function<double(const row&)>;

constexpr double infinite = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// The elements that meet in each output, in their order.
template <class T>
std::vector<row> groups(const shape& s, const std::vector<extent>& axes, const std::vector<T>& x) {
    std::vector<bool> gone(s.rank());
    for (extent a : axes) gone[static_cast<std::size_t>(a < 0 ? a + static_cast<extent>(s.rank()) : a)] = true;
    extent outputs = static_cast<extent>(x.size()) / std::max<extent>(s.size(), 1);
    for (std::size_t a = 0; a < s.rank(); ++a) outputs *= gone[a] ? 1 : s[a];
    std::vector<row> all(static_cast<std::size_t>(outputs));
    for (extent i = 0; i < static_cast<extent>(x.size()); ++i) {
        extent output = i / s.size(), rest = i % s.size();
        for (std::size_t a = 0; a < s.rank(); ++a) {
            const extent step = s.product(a + 1, s.rank());
            if (!gone[a]) output = output * s[a] + rest / step;
            rest %= step;
        }
        all[static_cast<std::size_t>(output)].push_back(static_cast<double>(x[static_cast<std::size_t>(i)]));
    }
    return all;
}

const std::vector<std::pair<shape, std::vector<extent>>>& cases_of_axes() {
    static const std::vector<std::pair<shape, std::vector<extent>>> all{
        {{1}, {0}},          {{5}, {-1}},           {{333}, {0}},           {{4, 3}, {0}},
        {{4, 3}, {1}},       {{4, 3}, {0, 1}},      {{3, 67}, {1}},         {{67, 70}, {0}},
        {{2, 3, 4}, {1}},    {{2, 3, 4}, {0, 2}},   {{2, 3, 4}, {-1, -2}},  {{3, 1, 5}, {1}},
        {{3, 1, 5}, {1, 2}}, {{5, 33, 37}, {1}},    {{5, 33, 37}, {0, -1}}, {{2, 3, 4, 5}, {3, 1}},
        {{2, 3, 1}, {1}},    {{2, 3, 2, 3, 2}, {0, 2, 4}}, {{1, 1}, {0, 1}}, {{9, 80, 70}, {1}},
    };
    return all;
}

/// Between low and high, the same each time.
template <class T>
std::vector<T> between(extent n, double low, double high) {
    std::vector<T> v = numbers<T>(n, 7);
    for (T& e : v) e = static_cast<T>(low + (high - low) * (static_cast<double>(e) + 1) / 2);
    return v;
}

template <class L>
void compare(const formula& f, double low, double high) {
    for (const auto& [s, axes] : cases_of_axes()) {
        const shape dimensions = s, named{std::span<const extent>(axes)};
        INFO(key_of<L>().view() << " " << sentence(dimensions, " along ", named).view());
        const L layer{.axes = named};
        row wanted;
        for (const row& g : groups(s, axes, between<double>(2 * s.size(), low, high))) wanted.push_back(f(g));
        REQUIRE(distance(evaluate<double>(layer, {{s, between<double>(2 * s.size(), low, high)}}).first(), wanted) <
                1e-12);
        if (s.size() > 400) continue;
        wanted.clear();
        for (const row& g : groups(s, axes, between<float>(2 * s.size(), low, high))) wanted.push_back(f(g));
        REQUIRE(distance(evaluate<float>(layer, {{s, between<float>(2 * s.size(), low, high)}}).first(), wanted) <
                1e-5);
    }
    ask_everything(L{.axes = {0}});
    ask_everything(L{.axes = {-1, 1}, .keep_dims = true});
    ask_everything(L{.reduce_all = true});
    for (const shape& s : {shape{3, 4}, shape{2, 3, 5}, shape{37}})
        for (const L& layer : {L{.axes = {-1}}, L{.axes = {0}, .keep_dims = true}, L{.reduce_all = true}})
            require_gradients(layer, {s}, {.low = low, .high = high});
}

double sum(const row& x) { return std::accumulate(x.begin(), x.end(), 0.0); }
double sum_of(const row& x, double (*f)(double)) {
    double total = 0;
    for (double v : x) total += f(v);
    return total;
}

template <class L>
double of(const row& x) {
    return evaluate<double>(L{.reduce_all = true}, {{{static_cast<extent>(x.size())}, x}}).first()[0];
}

/// dx of a layer, from 10 on, where dy = 2.
template <class L>
row gradient(const L& layer, const shape& s, const row& x) {
    const shape out = layer.output_shape(s).shapes()[0];
    row y(static_cast<std::size_t>(out.size())), dy(y.size(), 2), dx(x.size(), 10), scratch(y.size());
    workspace<double> w;
    w.scratch = scratch.data();
    const dynamic_view<const double> in{x.data(), s, 1, s.size()};
    layer.forward(in, dynamic_view<double>{y.data(), out, 1, out.size()}, no_parameters{}, w);
    layer.backward(in, dynamic_view<const double>{y.data(), out, 1, out.size()},
                   dynamic_view<const double>{dy.data(), out, 1, out.size()},
                   dynamic_view<double>{dx.data(), s, 1, s.size()}, no_parameters{}, no_parameters{}, w);
    return dx;
}

}  // namespace

TEST_CASE("reduce_sum, reduce_mean, reduce_sum_square: the formula and gradients") {
    compare<reduce_sum>(sum, -1, 1);
    compare<reduce_mean>([](const row& x) { return sum(x) / static_cast<double>(x.size()); }, -1, 1);
    compare<reduce_sum_square>([](const row& x) { return sum_of(x, [](double v) { return v * v; }); }, -1, 1);
}

TEST_CASE("reduce_l1, reduce_l2: the formula and gradients") {
    compare<reduce_l1>([](const row& x) { return sum_of(x, [](double v) { return std::abs(v); }); }, -2, -0.5);
    compare<reduce_l2>([](const row& x) { return std::sqrt(sum_of(x, [](double v) { return v * v; })); }, -1, 1);
}

TEST_CASE("reduce_log_sum, reduce_log_sum_exp: the formula and gradients") {
    compare<reduce_log_sum>([](const row& x) { return std::log(sum(x)); }, 0.5, 2);
    compare<reduce_log_sum_exp>([](const row& x) { return std::log(sum_of(x, [](double v) { return std::exp(v); })); },
                                -3, 3);
}

TEST_CASE("reduce_prod, reduce_max, reduce_min: the formula and gradients") {
    compare<reduce_prod>(
        [](const row& x) { return std::accumulate(x.begin(), x.end(), 1.0, std::multiplies<double>()); }, 0.8, 1.2);
    compare<reduce_max>([](const row& x) { return *std::max_element(x.begin(), x.end()); }, -1, 1);
    compare<reduce_min>([](const row& x) { return *std::min_element(x.begin(), x.end()); }, -1, 1);
}

TEST_CASE("reductions: shapes") {
    const auto given = [](const reduce_sum& layer, const shape& x) { return layer.output_shape(x).shapes()[0]; };
    static_assert(reduce_max{.axes = {0, -1}}.output_shape(shape{2, 3, 4}).shapes()[0] == shape{3});
    CHECK(given({.axes = {0, -1}, .keep_dims = true}, {2, 3, 4}) == shape{1, 3, 1});
    CHECK(given({.axes = {7}, .reduce_all = true}, {2, 3, 4}) == shape{1});  // axes mean nothing
    CHECK(given({.keep_dims = true, .reduce_all = true}, {2, 3, 4}) == shape{1, 1, 1});
    CHECK(given({.axes = {0}}, {5}) == shape{1});
    CHECK(given({.reduce_all = true}, {}) == shape{});
    CHECK(evaluate<float>(reduce_sum{.reduce_all = true}, {{{}, {3, 4}}}).first() == std::vector<float>{3, 4});
}

TEST_CASE("reductions: no element") {
    const auto empty = [](const auto& layer) { return evaluate<double>(layer, {{{2, 0}, {}}}).first(); };
    CHECK(empty(reduce_sum{.axes = {1}}) == row{0, 0});
    CHECK(empty(reduce_sum_square{.axes = {1}}) == row{0, 0});
    CHECK(empty(reduce_l1{.axes = {1}}) == row{0, 0});
    CHECK(empty(reduce_l2{.axes = {1}}) == row{0, 0});
    CHECK(empty(reduce_prod{.axes = {1}}) == row{1, 1});
    CHECK(empty(reduce_max{.axes = {1}}) == row{-infinite, -infinite});
    CHECK(empty(reduce_min{.axes = {1}}) == row{infinite, infinite});
    CHECK(empty(reduce_log_sum{.axes = {1}}) == row{-infinite, -infinite});
    CHECK(empty(reduce_log_sum_exp{.axes = {1}}) == row{-infinite, -infinite});
    CHECK(std::isnan(empty(reduce_mean{.axes = {1}})[0]));
    CHECK(empty(reduce_sum{.axes = {0}}).empty());
}

TEST_CASE("reductions: infinities and NaN") {
    CHECK(of<reduce_sum>({1, infinite}) == infinite);
    CHECK(std::isnan(of<reduce_sum>({-infinite, infinite})));
    CHECK(of<reduce_max>({-infinite, 1, infinite}) == infinite);
    CHECK(of<reduce_min>({-infinite, 1, infinite}) == -infinite);
    CHECK(of<reduce_l1>({-infinite, 1}) == infinite);
    CHECK(of<reduce_log_sum>({-2, 1, 1}) == -infinite);
    CHECK(std::isnan(of<reduce_log_sum>({-2, 1})));
    CHECK(std::isnan(of<reduce_prod>({0, infinite})));
    row x(40, 1);
    for (std::size_t at : {std::size_t{0}, std::size_t{17}, std::size_t{39}}) {
        row nan = x;
        nan[at] = not_a_number;
        for (double y : {of<reduce_sum>(nan), of<reduce_mean>(nan), of<reduce_sum_square>(nan), of<reduce_l1>(nan),
                         of<reduce_l2>(nan), of<reduce_log_sum>(nan), of<reduce_log_sum_exp>(nan),
                         of<reduce_prod>(nan), of<reduce_max>(nan), of<reduce_min>(nan)})
            CHECK(std::isnan(y));
    }
}

TEST_CASE("reduce_log_sum_exp: neither overflow nor underflow") {
    CHECK(of<reduce_log_sum_exp>({1000, 1000}) == Approx(1000 + std::log(2)).epsilon(1e-15));
    CHECK(of<reduce_log_sum_exp>({-1000, -1000, -1000}) == Approx(-1000 + std::log(3)).epsilon(1e-15));
    CHECK(of<reduce_log_sum_exp>({-infinite, 3}) == 3);
    CHECK(of<reduce_log_sum_exp>({-infinite, -infinite}) == -infinite);
    CHECK(of<reduce_log_sum_exp>({infinite, 1}) == infinite);
    CHECK(gradient(reduce_log_sum_exp{.axes = {0}}, {2}, {-infinite, -infinite}) == row{10, 10});
    const row halves = gradient(reduce_log_sum_exp{.axes = {1}}, {1, 2}, {800, 800});
    CHECK(halves[0] == Approx(11).epsilon(1e-14));
    CHECK(halves[1] == Approx(11).epsilon(1e-14));
}

TEST_CASE("reductions: gradients at zeros, kinks and equal elements") {
    // along rows, and along columns of three
    const auto both = [](auto layer, const row& x) {
        const auto n = static_cast<extent>(x.size());
        layer.axes = {0};
        const row narrow = gradient(layer, {n}, x);
        row wide;
        for (double v : x)
            for (int i = 0; i < 3; ++i) wide.push_back(v);
        const row columns = gradient(layer, {n, 3}, wide);
        for (std::size_t i = 0; i < columns.size(); ++i) CHECK(columns[i] == narrow[i / 3]);
        return narrow;
    };
    CHECK(both(reduce_prod{}, {2, 3, 4}) == row{34, 26, 22});
    CHECK(both(reduce_prod{}, {2, 0, 4}) == row{10, 26, 10});
    CHECK(both(reduce_prod{}, {0, 3, 0}) == row{10, 10, 10});
    CHECK(both(reduce_prod{}, {-0.0}) == row{12});
    CHECK(both(reduce_max{}, {1, 5, 5, 2, 5}) == row{10, 12, 10, 10, 10});
    CHECK(both(reduce_min{}, {1, 5, 1}) == row{12, 10, 10});
    CHECK(both(reduce_max{}, {-0.0, 0.0}) == row{12, 10});
    CHECK(both(reduce_max{}, {1, not_a_number, not_a_number, 7}) == row{10, 12, 10, 10});
    CHECK(both(reduce_l1{}, {0, -3, 2}) == row{10, 8, 12});
    CHECK(both(reduce_l2{}, {0, 0}) == row{10, 10});
    CHECK(both(reduce_l2{}, {0, -4}) == row{10, 8});
    row long_row(100, 1);
    long_row[77] = 9;
    row wanted(100, 10);
    wanted[77] = 12;
    CHECK(both(reduce_max{}, long_row) == wanted);
}

TEST_CASE("reduce: each mode along each axis") {
    const shape s{2, 3, 4, 5};
    const std::vector<std::vector<extent>> axes{{1, 2, 3}, {2, 3}, {1}, {2}, {3}};
    const std::vector<shape> shapes{{2, 1, 1, 1}, {2, 3, 1, 1}, {2, 1, 4, 5}, {2, 3, 1, 5}, {2, 3, 4, 1}};
    const std::vector<formula> formulas{
        sum,
        [](const row& x) { return sum(x) / static_cast<double>(x.size()); },
        [](const row& x) { return std::accumulate(x.begin(), x.end(), 1.0, std::multiplies<double>()); },
        [](const row& x) { return sum_of(x, [](double v) { return std::log(v + 0.25); }); },
        [](const row& x) { return sum_of(x, [](double v) { return v * v; }); },
        [](const row& x) { return sum_of(x, [](double v) { return std::abs(v); }); },
        [](const row& x) { return std::sqrt(sum_of(x, [](double v) { return v * v; })); },
        [](const row& x) { return *std::max_element(x.begin(), x.end()); },
        [](const row& x) { return *std::min_element(x.begin(), x.end()); },
        [](const row& x) { return static_cast<double>(std::max_element(x.begin(), x.end()) - x.begin()); }};
    const auto x = between<double>(2 * s.size(), 0.5, 1.5);
    for (int mode = 0; mode < 10; ++mode)
        for (int axis = mode == 9 ? 2 : 0; axis < 5; ++axis) {
            const reduce layer{.mode = static_cast<reduce_operation>(mode),
                               .epsilon = 0.25f,
                               .axis = static_cast<reduce_axis>(axis)};
            INFO(mode << " along " << axis);
            row wanted;
            for (const row& g : groups(s, axes[static_cast<std::size_t>(axis)], x))
                wanted.push_back(formulas[static_cast<std::size_t>(mode)](g));
            const auto got = evaluate<double>(layer, {{s, x}});
            REQUIRE(got.dimensions() == shapes[static_cast<std::size_t>(axis)]);
            REQUIRE(distance(got.first(), wanted) < 1e-12);
            require_gradients(layer, {{2, 2, 3}}, {.low = 0.5, .high = 1.5});
        }
    // epsilon 0 means 1e-6
    const double zero =
        evaluate<double>(reduce{.mode = reduce_operation::log_sum, .axis = reduce_axis::w}, {{{1}, {0}}}).first()[0];
    CHECK(zero == Approx(std::log(1e-6f)).epsilon(1e-7));
    CHECK(evaluate<double>(reduce{.axis = reduce_axis::hw}, {{{2, 3}, {1, 2, 3, 4, 5, 6}}}).dimensions() ==
          shape{1, 1});
}

namespace {
inline constexpr auto several =
    compose(input{"x", {5, 6, 7}}, reduce_log_sum_exp{.axes = {1}, .keep_dims = true} | named("a"),
            reduce_l2{.axes = {0}} | named("b"), reduce{.mode = reduce_operation::avg, .axis = reduce_axis::hw});
}

TEST_CASE("reductions: composed and run-time networks give the same bits") {
    network<several> net;
    static_assert(network<several>::plan().blobs[3].dimensions == shape{1, 1});
    REQUIRE(same_bits_unrolled(net, numbers<float>(210)));
}

TEST_CASE("reductions: faults") {
    const std::string place = "layers/0 \"layer\" (reduceMax): ";
    CHECK(fault_of(reduce_max{}, {{1, 2}}) == place + "axes or reduceAll wanted");
    CHECK(fault_of(reduce_max{.axes = {2}}, {{1, 2}}) ==
          place + "different axes of its input wanted, [2] given for the shape [1, 2]");
    CHECK(fault_of(reduce_max{.axes = {0, -2}}, {{1, 2}}) ==
          place + "different axes of its input wanted, [0, -2] given for the shape [1, 2]");
    for (extent a : hostile_extents())
        for (extent b : hostile_extents()) ask_everything(reduce_prod{.axes = {a, b}});
}

TEST_CASE("reduce: faults") {
    using enum reduce_operation;
    const std::string place = "layers/0 \"layer\" (reduce): ";
    CHECK(fault_of(reduce{}, {{1, 2}}) ==
          place + "an input of rank 3 or more wanted for the axis CHW, its shape is [1, 2]");
    CHECK(fault_of(reduce{.axis = reduce_axis::h}, {{2}}) ==
          place + "an input of rank 2 or more wanted for the axis H, its shape is [2]");
    CHECK(fault_of(reduce{.mode = arg_max, .axis = reduce_axis::hw}, {{1, 2}}) ==
          place + "ARGMAX along C, H or W wanted, the axis is HW");
    CHECK(fault_of(reduce{.mode = arg_max, .axis = reduce_axis::h}, {{0, 2}}) ==
          place + "an element or more along the axis wanted, its shape is [0, 2]");
    CHECK(fault_of(reduce{.epsilon = -1}, {{1, 2, 3}}) == place + "an epsilon from 0 up wanted, -1 given");
    CHECK(fault_of(reduce{.mode = static_cast<reduce_operation>(10)}, {{1, 2, 3}}) ==
          place + "mode 0 to 9 wanted, 10 given");
    CHECK(fault_of(reduce{.axis = static_cast<reduce_axis>(-1)}, {{1, 2, 3}}) ==
          place + "axis 0 to 4 wanted, -1 given");
    for (int mode : {0, 2, 9})
        for (int axis = 0; axis < 5; ++axis)
            ask_everything(
                reduce{.mode = static_cast<reduce_operation>(mode), .axis = static_cast<reduce_axis>(axis)});
}
