#include <bespoke/layers/pad.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

using namespace bespoke;
using namespace layer_test;

namespace {

using kind = decltype(padding::padding_type);

constexpr padding around(const kind& what, extent top, extent bottom, extent left, extent right) {
    return {what, {{edge_sizes{top, bottom}, edge_sizes{left, right}}}};
}

/// The index that stands at i, by walking back from edge to edge; -1: none.
extent index_at(const kind& what, extent i, extent n) {
    if (std::holds_alternative<padding_constant>(what)) return i < 0 || i >= n ? -1 : i;
    if (std::holds_alternative<padding_replication>(what)) return std::clamp<extent>(i, 0, n - 1);
    extent at = 0, step = 1;
    if (n == 1) return 0;
    for (extent walked = 0; walked < std::abs(i); ++walked) {
        if (at + step < 0 || at + step >= n) step = -step;
        at += step;
    }
    return at;
}

template <class T>
void compare_with_elements(const kind& what, const shape& s, extent top, extent bottom, extent left,
                           extent right) {
    CAPTURE(what.index(), top, bottom, left, right);
    const extent examples = s.size() > 0 ? 2 : 1;  // nothing tells `evaluate` of a second one
    const std::vector<T> x = numbers<T>(examples * s.size());
    const auto got = evaluate<T>(around(what, top, bottom, left, right), {{s, x}});
    const extent rows = s.from_end(2), columns = s.from_end(1);
    REQUIRE(got.dimensions().from_end(2) == rows + top + bottom);
    REQUIRE(got.dimensions().from_end(1) == columns + left + right);
    std::vector<T> expected;
    for (extent image = 0; image < examples * s.product(0, s.rank() - 2); ++image)
        for (extent r = -top; r < rows + bottom; ++r)
            for (extent c = -left; c < columns + right; ++c) {
                const extent row = index_at(what, r, rows), column = index_at(what, c, columns);
                expected.push_back(
                    row < 0 || column < 0
                        ? T(7)
                        : x[static_cast<std::size_t>((image * rows + row) * columns + column)]);
            }
    REQUIRE(got.first() == expected);
}

}  // namespace

TEST_CASE("padding: the specification's examples") {
    const std::vector<blob<float>> x{{{1, 3, 4}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}}};
    auto got = evaluate<float>(around(padding_constant{}, 2, 0, 2, 0), x);
    REQUIRE(got.dimensions() == shape{1, 5, 6});
    REQUIRE(got.first() == std::vector<float>{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  0,  1,
                                              2, 3, 4, 0, 0, 5, 6, 7, 8, 0, 0, 9, 10, 11, 12});
    got = evaluate<float>(around(padding_reflection{}, 2, 0, 2, 0), x);
    REQUIRE(got.first() == std::vector<float>{11, 10, 9, 10, 11, 12, 7, 6, 5, 6,  7,  8, 3,  2,  1,
                                              2,  3,  4, 7,  6,  5,  6, 7, 8, 11, 10, 9, 10, 11, 12});
    got = evaluate<float>(around(padding_replication{}, 2, 0, 2, 0), x);
    REQUIRE(got.first() == std::vector<float>{1, 1, 1, 2, 3, 4, 1, 1, 1, 2, 3, 4, 1,  1,  1,
                                              2, 3, 4, 5, 5, 5, 6, 7, 8, 9, 9, 9, 10, 11, 12});
}

TEST_CASE("padding: element by element") {
    for (const kind& what :
         {kind{padding_constant{7}}, kind{padding_reflection{}}, kind{padding_replication{}}}) {
        for (const shape& s : {shape{4, 5}, shape{2, 4, 5}, shape{2, 1, 3, 4, 5}}) {
            compare_with_elements<float>(what, s, 3, 2, 4, 1);
            compare_with_elements<double>(what, s, 0, 1, 0, 0);
            compare_with_elements<double>(what, s, 0, 0, 2, 3);
        }
        compare_with_elements<float>(what, {2, 90, 110}, 5, 0, 0, 60);
    }
    compare_with_elements<float>(padding_constant{7}, {2, 0, 3}, 1, 1, 1, 0);
    compare_with_elements<float>(padding_constant{7}, {2, 3, 0}, 1, 1, 1, 0);
    compare_with_elements<float>(padding_replication{}, {1, 1, 1}, 2, 3, 4, 5);
}

TEST_CASE("padding: gradients") {
    for (const kind& what :
         {kind{padding_constant{7}}, kind{padding_reflection{}}, kind{padding_replication{}}}) {
        require_gradients(around(what, 2, 1, 1, 2), {{3, 3}});
        require_gradients(around(what, 0, 2, 3, 0), {{2, 1, 3, 4}});
        require_gradients(around(what, 0, 0, 0, 0), {{2, 2}});
    }
}

TEST_CASE("constant_pad: the specification's examples") {
    const auto shape_of = [](const constant_pad& layer, const shape& x) {
        return layer.output_shape(std::span<const shape>(&x, 1)).shapes().at(0);
    };
    REQUIRE(shape_of({.pad_amounts = {0, 1, 4, 0}}, {20, 10}) == shape{21, 14});
    REQUIRE(shape_of({.pad_amounts = {0, 0, 3, 4, 0, 9}}, {20, 10, 5}) == shape{20, 17, 14});
    REQUIRE(shape_of({0, {0, 21, 14, 0}, true}, {20, 10}) == shape{21, 14});
    REQUIRE(shape_of({0, {0, 0, 17, 0, 0, 14}, true}, {20, 10, 5}) == shape{20, 17, 14});
    REQUIRE(shape_of({0, {0, 3, 4, 0}, true}, {20, 10}) == shape{20, 10});
}

TEST_CASE("constant_pad: where the elements come to lie") {
    // np.pad(np.arange(6).reshape(2, 3), ((1, 0), (0, 2)), constant_values=9)
    auto got = evaluate<float>(constant_pad{9, {1, 0, 0, 2}}, {{{2, 3}, counted(6)}});
    REQUIRE(got.dimensions() == shape{3, 5});
    REQUIRE(got.first() == std::vector<float>{9, 9, 9, 9, 9, 0, 1, 2, 9, 9, 3, 4, 5, 9, 9});
    got = evaluate<float>(constant_pad{9, {3, 0, 0, 5}, true}, {{{2, 3}, counted(6)}});
    REQUIRE(got.first() == std::vector<float>{9, 9, 9, 9, 9, 0, 1, 2, 9, 9, 3, 4, 5, 9, 9});
    got = evaluate<float>(constant_pad{9, {0, 0, 0, 0}}, {{{2, 3}, counted(6)}});
    REQUIRE(got.first() == counted(6));
    got = evaluate<float>(constant_pad{9, {1, 2}}, {{{0}, {}}});
    REQUIRE(got.first() == std::vector<float>{9, 9, 9});

    const shape s{3, 20, 4, 50};
    const std::vector<double> x = numbers<double>(2 * s.size());
    const auto large = evaluate<double>(constant_pad{2, {1, 0, 0, 2, 1, 1, 3, 4}}, {{s, x}});
    REQUIRE(large.dimensions() == shape{4, 22, 6, 57});
    std::vector<double> expected;
    for (extent e = 0; e < 2; ++e)
        for (extent a = -1; a < 3; ++a)
            for (extent b = 0; b < 22; ++b)
                for (extent c = -1; c < 5; ++c)
                    for (extent d = -3; d < 54; ++d)
                        expected.push_back(
                            a < 0 || b >= 20 || c < 0 || c >= 4 || d < 0 || d >= 50
                                ? 2
                                : x[static_cast<std::size_t>((((e * 3 + a) * 20 + b) * 4 + c) * 50 + d)]);
    REQUIRE(large.first() == expected);
}

TEST_CASE("constant_pad: gradients") {
    require_gradients(constant_pad{3, {1, 2}}, {{3}});
    require_gradients(constant_pad{3, {0, 0, 2, 1, 0, 1}}, {{2, 3, 2}});
    require_gradients(constant_pad{3, {0, 0, 5, 0}, true}, {{2, 3}});
}

TEST_CASE("constant_pad: amounts from a second input") {
    const auto run = [](const constant_pad& layer, const std::vector<float>& amounts) {
        return evaluate<float>(layer, {{{1, 2}, {1, 2}}, {{4}, amounts}});
    };
    const auto came = run({.value = 9}, {0, 1, 2, 0});
    REQUIRE(came.dimensions() == shape{2, 4});
    REQUIRE(came.first() == std::vector<float>{9, 9, 1, 2, 9, 9, 9, 9});
    REQUIRE(run({.value = 9, .pad_to_given_output_size_mode = true}, {0, 0, 0, 3}).first() ==
            std::vector<float>{1, 2, 9});
    require_gradients(constant_pad{}, {{2, 3}, {4}}, {.known = {{}, {1, 0, 2, 1}}});
    REQUIRE(failure([&] { run({}, {0, -1, 0, 0}); }) ==
            "layers/0 \"layer\" (constantPad): padAmounts from 0 to 2147483647 wanted, [0, -1] given");
}

TEST_CASE("padding, constant_pad: faults") {
    const std::string place = "layers/0 \"layer\" (padding): ",
                      constant = "layers/0 \"layer\" (constantPad): ";
    REQUIRE(fault_of(padding{}, {{3}}) == place + "an input of rank 2 or more wanted, its shape is [3]");
    REQUIRE(fault_of(around(padding_constant{}, 0, 0, 0, -1), {{3, 4}}) ==
            place + "paddingAmounts from 0 to 2147483647 wanted, [0, -1] given");
    REQUIRE(fault_of(around(padding_reflection{}, 0, 3, 0, 0), {{3, 4}}) ==
            place +
                "paddingAmounts below 3 wanted, the extent of axis -2 in the shape [3, 4], which is "
                "reflected; 0 and 3 "
                "given");
    REQUIRE(fault_of(around(padding_replication{}, 0, 0, 1, 0), {{3, 0}}) ==
            place + "an element along axis -1 to replicate wanted, the shape of its input is [3, 0]");
    REQUIRE(fault_of(constant_pad{}, {{3, 4}}) ==
            constant + "two padAmounts for each axis wanted, 0 given for the shape [3, 4]");
    REQUIRE(fault_of(constant_pad{.pad_amounts = {0, 0, -1, 0}}, {{3, 4}}) ==
            constant + "padAmounts from 0 to 2147483647 wanted, [-1, 0] given");
    REQUIRE(fault_of(constant_pad{0, {0, 0, 5, 6}, true}, {{3, 4}}) ==
            constant + "a size on one side of axis 1 wanted, 5 and 6 given");
    REQUIRE(fault_of(constant_pad{}, {{3, 4}, {3}}) ==
            constant + "an input of 4 numbers wanted for padAmounts, its shape is [3]");
    for (extent a : hostile_extents())
        for (extent b : hostile_extents()) {
            ask_everything(constant_pad{0, {a, b}});
            ask_everything(constant_pad{0, {a, b, b, a}, true});
            for (const kind& what :
                 {kind{padding_constant{}}, kind{padding_reflection{}}, kind{padding_replication{}}})
                ask_everything(around(what, a, b, b, a));
        }
}

namespace {
inline constexpr auto framed = compose(input{"x", {2, 2}}, around(padding_reflection{}, 1, 1, 1, 1));
inline constexpr auto longer = compose(input{"x", {2}}, constant_pad{1, {0, 1}});
}  // namespace

TEST_CASE("padding, constant_pad: composed") {
    network<framed> net;
    REQUIRE(net(counted(4))(0, 0) == 3);
    REQUIRE(same_bits_unrolled(net, counted(4)));
    network<longer> other;
    REQUIRE(other(counted(2))(2) == 1);
}
