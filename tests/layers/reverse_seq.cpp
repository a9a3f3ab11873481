#include <bespoke/layers/reverse_seq.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

using namespace bespoke;
using namespace layer_test;

TEST_CASE("reverse_seq: the specification's examples") {
    const reverse_seq layer{.batch_axis = 0, .sequence_axis = 1};
    REQUIRE(evaluate<float>(layer, {{{2, 4}, counted(8)}, {{2}, {3, 0}}}).first() ==
            std::vector<float>{2, 1, 0, 3, 4, 5, 6, 7});
    REQUIRE(evaluate<float>(layer, {{{2, 3, 2}, counted(12)}, {{2}, {2, 3}}}).first() ==
            std::vector<float>{2, 3, 0, 1, 4, 5, 10, 11, 8, 9, 6, 7});
}

TEST_CASE("reverse_seq: element by element") {
    for (const auto& [s, batch, along] :
         std::vector<std::tuple<shape, extent, extent>>{{{3, 5}, 0, 1},
                                                        {{3, 5}, -2, -1},
                                                        {{2, 3, 4, 5, 2}, 1, 3},
                                                        {{2, 3, 4}, 1, -1},
                                                        {{3, 40, 200}, 0, 1}}) {
        CAPTURE(batch, along);
        const auto rank = static_cast<extent>(s.rank());
        const auto b = static_cast<std::size_t>(batch < 0 ? batch + rank : batch);
        const auto t = static_cast<std::size_t>(along < 0 ? along + rank : along);
        const std::vector<double> x = numbers<double>(2 * s.size());
        std::vector<double> lengths;
        for (extent i = 0; i < 2 * s[b]; ++i) lengths.push_back(static_cast<double>(i * 7 % (s[t] + 1)));
        const auto got = evaluate<double>(reverse_seq{batch, along}, {{s, x}, {{s[b]}, lengths}});
        REQUIRE(got.dimensions() == s);
        const extent inner = s.product(t + 1, s.rank()), between = s.product(b + 1, t);
        std::vector<double> expected(x.size());
        for (extent i = 0; i < static_cast<extent>(x.size()); ++i) {
            const extent example = i / s.size(), step = i / inner % s[t],
                         row = i / inner / s[t] / between % s[b];
            const auto length = static_cast<extent>(lengths[static_cast<std::size_t>(example * s[b] + row)]);
            const extent from = step < length ? i + (length - 1 - 2 * step) * inner : i;
            expected[static_cast<std::size_t>(i)] = x[static_cast<std::size_t>(from)];
        }
        REQUIRE(got.first() == expected);
    }
}

TEST_CASE("reverse_seq: lengths that are none") {
    const float infinity = std::numeric_limits<float>::infinity();
    const std::vector<float> lengths{-1,  4, infinity, -infinity, std::numeric_limits<float>::quiet_NaN(),
                                     1.6f};
    REQUIRE(evaluate<float>(reverse_seq{0, 1}, {{{6, 3}, counted(18)}, {{6}, lengths}}).first() ==
            std::vector<float>{0, 1, 2, 5, 4, 3, 8, 7, 6, 9, 10, 11, 12, 13, 14, 16, 15, 17});
    REQUIRE(evaluate_with<float>(nullptr, reverse_seq{0, 1}, {{{2, 0}, {}}, {{2}, {1, 1}}}).first().empty());
}

TEST_CASE("reverse_seq: gradients") {
    for (const auto& [s, batch, along] : std::vector<std::tuple<shape, extent, extent>>{
             {{2, 4}, 0, 1}, {{2, 3, 2, 3}, 1, 2}, {{2, 2, 3}, 0, 2}}) {
        const auto report =
            check_gradients(reverse_seq{batch, along}, {s, {s[static_cast<std::size_t>(batch)]}}, {},
                            [](std::size_t input, philox& random) {
                                return input == 0 ? random.uniform() : std::floor(random.uniform() * 5);
                            });
        INFO(report.what);
        REQUIRE(report.ok);
    }
}

TEST_CASE("reverse_seq: faults") {
    const std::string place = "layers/0 \"layer\" (reverseSeq): ";
    REQUIRE(fault_of(reverse_seq{0, 2}, {{3, 4}, {3}}) ==
            place + "an axis of its input wanted, 2 given for the shape [3, 4]");
    REQUIRE(fault_of(reverse_seq{-3, 1}, {{3, 4}, {3}}) ==
            place + "an axis of its input wanted, -3 given for the shape [3, 4]");
    for (extent batch : {extent{1}, extent{-1}})
        REQUIRE(fault_of(reverse_seq{batch, 1}, {{3, 4}, {3}}) ==
                place + "a batchAxis before the sequenceAxis wanted, " + std::to_string(batch) +
                    " and 1 given for the shape [3, 4]");
    REQUIRE(fault_of(reverse_seq{0, 1}, {{3, 4}, {4}}) ==
            place + "lengths of the shape [3] wanted for the shape [3, 4], theirs is [4]");
    for (extent a : hostile_extents())
        for (extent b : hostile_extents()) ask_everything(reverse_seq{a, b});
}

namespace {
inline constexpr auto turned =
    compose(input{"x", {2, 3}}, input{"n", {2}}, reverse_seq{0, 1} | from("x", "n"));
}  // namespace

TEST_CASE("reverse_seq: composed") {
    network<turned> net;
    const auto y = net(counted(6), std::vector<float>{3, 1});
    REQUIRE(y(0, 0) == 2);
    REQUIRE(y(1, 0) == 3);
}
