#include <bespoke/layers/sort.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

#include <algorithm>

using namespace bespoke;
using namespace layer_test;

namespace {

/// The indices of a line in the order wanted, by a stable sort.
template <class T>
std::vector<extent> sorted_line(const std::vector<T>& line, bool descending) {
    std::vector<extent> order;
    for (std::size_t i = 0; i < line.size(); ++i) order.push_back(static_cast<extent>(i));
    std::stable_sort(order.begin(), order.end(), [&](extent a, extent b) {
        const T x = line[static_cast<std::size_t>(a)], y = line[static_cast<std::size_t>(b)];
        return descending ? x > y : x < y;
    });
    return order;
}

template <class T>
void compare_with_lines(const shape& s, extent axis) {
    CAPTURE(axis);
    const extent examples = 2, n = s[static_cast<std::size_t>(axis)];
    std::vector<T> x = numbers<T>(examples * s.size());
    for (T& v : x) v = std::round(v * 20);  // some are equal
    const extent outer = examples * s.product(0, static_cast<std::size_t>(axis));
    const extent inner = s.product(static_cast<std::size_t>(axis) + 1, s.rank());
    for (bool descending : {false, true})
        for (extent k : {extent{1}, (n + 1) / 2, n}) {
            shape wanted = s;
            wanted[static_cast<std::size_t>(axis)] = k;
            std::vector<T> values(static_cast<std::size_t>(outer * k * inner)), indices(values);
            for (extent o = 0; o < outer; ++o)
                for (extent l = 0; l < inner; ++l) {
                    std::vector<T> line;
                    for (extent i = 0; i < n; ++i)
                        line.push_back(x[static_cast<std::size_t>((o * n + i) * inner + l)]);
                    const auto order = sorted_line(line, descending);
                    for (extent i = 0; i < k; ++i) {
                        const auto from = static_cast<std::size_t>(order[static_cast<std::size_t>(i)]);
                        values[static_cast<std::size_t>((o * k + i) * inner + l)] = line[from];
                        indices[static_cast<std::size_t>((o * k + i) * inner + l)] = static_cast<T>(from);
                    }
                }
            const auto got = evaluate<T>(top_k{.axis = axis, .k = k, .use_bottom_k = !descending}, {{s, x}});
            REQUIRE(got.shapes == std::vector<shape>{wanted, wanted});
            REQUIRE(got.values[0] == values);
            REQUIRE(got.values[1] == indices);
            if (k == n)
                REQUIRE(evaluate<T>(
                            arg_sort{.axis = axis - static_cast<extent>(s.rank()), .descending = descending},
                            {{s, x}})
                            .first() == indices);
        }
}

}  // namespace

TEST_CASE("arg_sort: the specification's examples") {
    const std::vector<float> x{3.1f, 5.4f, 32.9f, 3.2f, 77}, y{3, 5, 32, 3, 77, 6};
    REQUIRE(evaluate<float>(arg_sort{}, {{{5}, x}}).first() == std::vector<float>{0, 3, 1, 2, 4});
    REQUIRE(evaluate<float>(arg_sort{.descending = true}, {{{5}, x}}).first() ==
            std::vector<float>{4, 2, 1, 3, 0});
    const auto got = evaluate<float>(arg_sort{.axis = 1}, {{{2, 3}, y}});
    REQUIRE(got.dimensions() == shape{2, 3});
    REQUIRE(got.first() == std::vector<float>{0, 1, 2, 0, 2, 1});
    REQUIRE(evaluate<float>(arg_sort{.axis = 1, .descending = true}, {{{2, 3}, y}}).first() ==
            std::vector<float>{2, 1, 0, 1, 2, 0});
}

TEST_CASE("arg_sort, top_k: special values, equal ones in their order") {
    const std::vector<float> x{no_number, 1, -infinity, 0, infinity, -0.0f, no_number, 1};
    REQUIRE(evaluate<float>(arg_sort{}, {{{8}, x}}).first() == std::vector<float>{2, 3, 5, 1, 7, 4, 0, 6});
    REQUIRE(evaluate<float>(arg_sort{.descending = true}, {{{8}, x}}).first() ==
            std::vector<float>{0, 6, 4, 1, 7, 3, 5, 2});
    const auto top = evaluate<float>(top_k{.k = 4}, {{{8}, x}});
    REQUIRE(top.values[1] == std::vector<float>{0, 6, 4, 1});
    REQUIRE((std::isnan(top.values[0][0]) && std::isnan(top.values[0][1]) && top.values[0][2] == infinity));
    REQUIRE(evaluate<float>(top_k{.k = 3, .use_bottom_k = true}, {{{8}, x}}).values[1] ==
            std::vector<float>{2, 3, 5});
    REQUIRE(std::signbit(evaluate<float>(top_k{.k = 3, .use_bottom_k = true}, {{{8}, x}}).values[0][2]));
}

TEST_CASE("arg_sort, top_k: line by line") {
    for (const auto& [s, axis] : std::vector<std::pair<shape, extent>>{{{7}, 0},
                                                                       {{3, 6}, 1},
                                                                       {{6, 3}, 0},
                                                                       {{2, 5, 40}, 1},
                                                                       {{300}, 0},
                                                                       {{2, 400}, 1},
                                                                       {{300, 21}, 0},
                                                                       {{4, 1, 3}, 1}}) {
        compare_with_lines<float>(s, axis);
        compare_with_lines<double>(s, axis);
    }
    REQUIRE(evaluate_with<float>(nullptr, arg_sort{}, {{{0, 3}, {}}}).first().empty());
}

TEST_CASE("top_k: gradients go to the numbers that the values are") {
    require_gradients(top_k{.k = 2}, {{5}});
    require_gradients(top_k{.axis = 1, .k = 3}, {{2, 4, 3}});
    require_gradients(top_k{.axis = -1, .k = 4, .use_bottom_k = true}, {{3, 4}});
}

TEST_CASE("top_k: k from a second input") {
    const std::vector<float> x{3, 1, 2, 6, 5, 4};
    const auto run = [&](float k) { return evaluate<float>(top_k{.axis = 1, .k = 7}, {{{2, 3}, x}, {{1}, {k}}}); };
    REQUIRE(run(2).shapes == std::vector<shape>{{2, 2}, {2, 2}});
    REQUIRE(run(2).values == std::vector<std::vector<float>>{{3, 2, 6, 5}, {0, 2, 0, 1}});
    REQUIRE(run(1).values == std::vector<std::vector<float>>{{3, 6}, {0, 0}});
    REQUIRE(run(3).first() == std::vector<float>{3, 2, 1, 6, 5, 4});
    require_gradients(top_k{.axis = 0}, {{5, 2}, {1}}, {.known = {{}, {2}}});
    for (float k : {0.0F, 4.0F})
        REQUIRE(failure([&] { run(k); }) ==
                "layers/0 \"layer\" (topK): K from 1 to 3 wanted, the extent of axis 1 in the "
                "shape [2, 3], " +
                    std::to_string(static_cast<int>(k)) + " given");
}

TEST_CASE("arg_sort, top_k: faults") {
    const std::string top = "layers/0 \"layer\" (topK): ", sort = "layers/0 \"layer\" (argSort): ";
    REQUIRE(fault_of(top_k{.axis = 2, .k = 1}, {{3, 4}}) ==
            top + "an axis of its input wanted, 2 given for the shape [3, 4]");
    for (extent k : {extent{0}, extent{5}, extent{-1}})
        REQUIRE(fault_of(top_k{.axis = 1, .k = k}, {{3, 4}}) ==
                top + "K from 1 to 4 wanted, the extent of axis 1 in the shape [3, 4], " + std::to_string(k) +
                    " given");
    REQUIRE(fault_of(top_k{.k = 1}, {{3}, {2}}) == top + "an input of 1 number wanted for K, its shape is [2]");
    REQUIRE(fault_of(top_k{.k = 1}, {{extent{1} << 33}}) ==
            top + "an axis of at most 4294967295 elements wanted, the shape of its input is [8589934592]");
    REQUIRE(fault_of(arg_sort{.axis = -3}, {{3, 4}}) ==
            sort + "an axis of its input wanted, -3 given for the shape [3, 4]");
    REQUIRE(fault_of(arg_sort{}, {{extent{1} << 33}}) ==
            sort + "an axis of at most 4294967295 elements wanted, the shape of its input is [8589934592]");
    for (extent axis : hostile_extents()) {
        ask_everything(arg_sort{axis});
        for (extent k : hostile_extents()) ask_everything(top_k{axis, k});
    }
}

namespace {
inline constexpr auto best =
    compose(input{"x", {4, 3}}, top_k{.axis = -1, .k = 1} | to("value", "index"), output{"index"});
inline constexpr auto order = compose(input{"x", {5}}, arg_sort{.descending = true});
}  // namespace

TEST_CASE("arg_sort, top_k: composed") {
    network<best> net;
    REQUIRE(net(counted(12))(3, 0) == 2);
    network<order> sorted;
    REQUIRE(sorted(counted(5))(0) == 4);
    REQUIRE(same_bits_unrolled(sorted, counted(5)));
}
