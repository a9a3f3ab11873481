#include <bespoke/layers/scatter.hpp>

#include <bespoke/network/network.hpp>

#include "index_test.hpp"

using namespace bespoke;
using namespace index_test;

namespace {

constexpr std::array modes{scatter_mode::update, scatter_mode::add, scatter_mode::sub, scatter_mode::mul,
                           scatter_mode::div,    scatter_mode::max, scatter_mode::min};

template <class Body>
void with_layer(const trial& t, scatter_mode mode, const Body& body) {
    if (t.how == way::axis)
        body(scatter{t.axis, mode});
    else if (t.how == way::point)
        body(scatter_nd{mode});
    else
        body(scatter_along_axis{t.axis, mode});
}

template <class T>
T result_of(scatter_mode mode, T old, T update) {
    switch (mode) {
        case scatter_mode::update:
            return update;
        case scatter_mode::add:
            return old + update;
        case scatter_mode::sub:
            return old - update;
        case scatter_mode::mul:
            return old * update;
        case scatter_mode::div:
            return old / update;
        case scatter_mode::max:
            return update > old ? update : old;
        default:
            return update < old ? update : old;
    }
}

template <class T>
void compare_with_elements(scatter_mode mode) {
    for (const trial& t : trials())
        with_layer(t, mode, [&](const auto& layer) {
            const extent examples = 3, size = t.whole.size(), some = t.indices.size(), part = t.part.size();
            if (size == 0 || some == 0) return;
            const std::vector<T> x = numbers<T>(size * examples), updates = numbers<T>(part * examples, 2);
            const std::vector<T> indices = some_indices<T>(t, examples);
            const auto got = evaluate<T>(layer, {{t.whole, x}, {t.indices, indices}, {t.part, updates}});
            REQUIRE(got.dimensions() == t.whole);
            const std::size_t axis = detail::axis_among(t.axis, t.whole.rank());
            std::vector<T> expected(x);
            for (extent e = 0; e < examples; ++e) {
                const std::vector<T> own(indices.begin() + e * some, indices.begin() + (e + 1) * some);
                for (extent i = 0; i < part; ++i) {
                    const extent to = locate(t.how, axis, t.whole, t.indices, own, t.part, i);
                    if (to < 0) continue;
                    T& value = expected[static_cast<std::size_t>(e * size + to)];
                    value = result_of(mode, value, updates[static_cast<std::size_t>(e * part + i)]);
                }
            }
            REQUIRE(got.first() == expected);
        });
}

}  // namespace

TEST_CASE("scatter: as numpy does it") {
    // a = np.zeros((3, 2)); a[[2, 0, 2]] = [[1, 2], [3, 4], [5, 6]]: the last of the two that name row 2 stays
    auto got = evaluate<float>(
        scatter{}, {{{3, 2}, {0, 0, 0, 0, 0, 0}}, {{3}, {2, 0, -1}}, {{3, 2}, {1, 2, 3, 4, 5, 6}}});
    REQUIRE(got.first() == std::vector<float>{3, 4, 0, 0, 5, 6});
    // np.add.at(a, (slice(None), [1, 1, 0]), np.arange(6).reshape(2, 3)) with a = np.ones((2, 2))
    got = evaluate<float>(scatter{.axis = 1, .mode = scatter_mode::add},
                          {{{2, 2}, {1, 1, 1, 1}}, {{3}, {1, 1, 0}}, {{2, 3}, counted(6)}});
    REQUIRE(got.first() == std::vector<float>{3, 2, 6, 8});
    // np.multiply.at(a, ([0, 1, 0], [1, -1, 1]), [2, 3, 4]) with a = np.arange(1, 5).reshape(2, 2)
    got = evaluate<float>(scatter_nd{scatter_mode::mul},
                          {{{2, 2}, {1, 2, 3, 4}}, {{3, 2}, {0, 1, 1, -1, 0, 1}}, {{3}, {2, 3, 4}}});
    REQUIRE(got.first() == std::vector<float>{1, 16, 3, 12});
    // np.put_along_axis(a, np.array([[1, 0, 1]]), np.array([[7, 8, 9]]), axis=0) with a = np.arange(6).reshape(2, 3)
    got = evaluate<float>(scatter_along_axis{},
                          {{{2, 3}, counted(6)}, {{1, 3}, {1, 0, 1}}, {{1, 3}, {7, 8, 9}}});
    REQUIRE(got.first() == std::vector<float>{0, 8, 2, 7, 4, 9});
}

TEST_CASE("scatter: element by element, every mode") {
    for (scatter_mode mode : modes) {
        CAPTURE(static_cast<int>(mode));
        compare_with_elements<float>(mode);
        compare_with_elements<double>(mode);
    }
}

TEST_CASE("scatter: an update whose index names nothing is left out; NaN stays") {
    const float infinity = std::numeric_limits<float>::infinity(),
                nan = std::numeric_limits<float>::quiet_NaN();
    for (scatter_mode mode : modes) {
        const auto got = evaluate<float>(
            scatter{.mode = mode},
            {{{2}, {5, 6}}, {{6}, {2, -3, infinity, -infinity, nan, 1e30f}}, {{6}, counted(6)}});
        REQUIRE(got.first() == std::vector<float>{5, 6});
        for (std::size_t block : {std::size_t{1}, std::size_t{3}}) {
            const auto width = static_cast<extent>(block);
            std::vector<float> x(2 * block, 1), updates(3 * block, 1);
            for (std::size_t i = 0; i < block; ++i) x[i] = nan, updates[block + i] = nan;
            const auto y = evaluate<float>(scatter{.mode = mode},
                                           {{{2, width}, x}, {{3}, {0, 1, 1}}, {{3, width}, updates}});
            const bool replaced = mode == scatter_mode::update;
            for (std::size_t i = 0; i < 2 * block; ++i) REQUIRE(std::isnan(y.first()[i]) == !replaced);
        }
    }
    // 0 and -0 are equal: the one that was there stays
    REQUIRE(std::signbit(
        evaluate<float>(scatter{.mode = scatter_mode::max}, {{{1}, {-0.0f}}, {{1}, {0}}, {{1}, {0}}})
            .first()[0]));
    REQUIRE(!std::signbit(
        evaluate<float>(scatter{.mode = scatter_mode::min}, {{{1}, {0}}, {{1}, {0}}, {{1}, {-0.0f}}})
            .first()[0]));
}

TEST_CASE("scatter: gradients, every mode") {
    for (scatter_mode mode : modes)
        for (const trial& t : trials())
            with_layer(t, mode, [&](const auto& layer) {
                if (t.whole.size() == 0 || t.part.size() == 0) return;
                const gradient_report report = check_gradients(
                    layer, {t.whole, t.indices, t.part}, {}, [&](std::size_t input, philox& random) {
                        const double u = random.uniform();
                        return input == 1                  ? std::floor(u * 11) - 5
                               : mode == scatter_mode::div ? 0.7 + u
                                                           : 2 * u - 1;
                    });
                CAPTURE(static_cast<int>(mode), t.axis);
                INFO(report.what);
                REQUIRE(report.ok);
            });
}

TEST_CASE("scatter: a factor of 0 among several, container and updates from one blob") {
    const auto zero = [](std::size_t input, philox& random) {
        const double u = random.uniform();
        return input == 1 ? 0.0 : u < 0.4 ? 0.0 : u;
    };
    REQUIRE(
        check_gradients(scatter{.mode = scatter_mode::mul}, {{2, 2}, {3}, {3, 2}}, {.examples = 4}, zero));
    for (scatter_mode mode : modes) {
        const auto report =
            check_gradients(scatter{.mode = mode}, {{4}, {4}}, {.arguments = {0, 1, 0}},
                            [](std::size_t input, philox& random) {
                                return input == 1 ? std::floor(random.uniform() * 4) : 0.5 + random.uniform();
                            });
        INFO(report.what);
        REQUIRE(report.ok);
    }
}

TEST_CASE("scatter: an infinite gradient does not reach what was replaced") {
    const kernels::indexing how{.count = 2, .block = 1, .rows = {1}};
    const std::vector<float> whole{1}, part{2, 3}, indices{0, 0}, dy{std::numeric_limits<float>::infinity()};
    for (scatter_mode mode : {scatter_mode::update, scatter_mode::max}) {
        std::vector<float> dwhole(1), dpart(2), scratch(4);
        kernels::scatter_backward(how, mode, whole.data(), part.data(), indices.data(), dy.data(),
                                  dwhole.data(), dpart.data(), scratch.data(), nullptr);
        REQUIRE(dwhole[0] == 0);
        REQUIRE(dpart[0] == 0);
        REQUIRE(std::isinf(dpart[1]));
    }
}

TEST_CASE("scatter: faults") {
    REQUIRE(fault_of(scatter{.axis = -3}, {{3, 4}, {2}, {2, 4}}) ==
            "layers/0 \"layer\" (scatter): an axis of its input wanted, -3 given for the shape [3, 4]");
    REQUIRE(fault_of(scatter{.axis = 1}, {{3, 4}, {2}, {2, 4}}) ==
            "layers/0 \"layer\" (scatter): updates of the shape [3, 2] wanted, theirs is [2, 4]");
    REQUIRE(fault_of(scatter_nd{}, {{3, 4}, {5, 1}, {5}}) ==
            "layers/0 \"layer\" (scatterND): updates of the shape [5, 4] wanted, theirs is [5]");
    REQUIRE(fault_of(scatter_nd{}, {{3}, {5, 2}, {5}}) ==
            "layers/0 \"layer\" (scatterND): indices [.., k] wanted, k at most 1 for the shape [3], theirs "
            "is [5, 2]");
    REQUIRE(fault_of(scatter_along_axis{}, {{3, 4}, {2, 4}, {3, 4}}) ==
            "layers/0 \"layer\" (scatterAlongAxis): updates of the shape [2, 4] wanted, theirs is [3, 4]");
    for (extent axis : hostile_extents())
        for (const shape& a : hostile_shapes())
            for (const shape& b : hostile_shapes()) {
                plan_of(scatter{axis}, {a, b, a});
                plan_of(scatter_along_axis{axis}, {a, b, b});
                plan_of(scatter_nd{}, {a, b, b});
            }
}

namespace {
inline constexpr auto written = compose(input{"x", {3, 2}}, input{"i", {2}}, input{"u", {2, 2}},
                                        scatter{.mode = scatter_mode::add} | from("x", "i", "u"));
}  // namespace

TEST_CASE("scatter: composed") {
    network<written> net;
    const auto y = net(counted(6), std::vector<float>{-1, 2}, std::vector<float>{1, 2, 3, 4});
    REQUIRE(y(0, 1) == 1);
    REQUIRE(y(2, 0) == 8);
    REQUIRE(y(2, 1) == 11);
}
