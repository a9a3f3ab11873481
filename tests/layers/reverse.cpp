#include <bespoke/layers/reverse.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

FLOAT_IN_IMPLEMENTATION(reverse)

using namespace bespoke;
using namespace layer_test;

namespace {

/// The elements of one example after the other, index by index.
template <class T>
std::vector<T> turned(const shape& s, const std::vector<bool>& turns, const std::vector<T>& x) {
    std::vector<T> y(x.size());
    const auto size = static_cast<std::size_t>(s.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
        extent rest = static_cast<extent>(i % size), place = 1, from = 0;
        for (std::size_t axis = s.rank(); axis-- > 0; rest /= s[axis], place *= s[axis]) {
            const extent at = rest % s[axis];
            from += place * (turns[axis] ? s[axis] - 1 - at : at);
        }
        y[i] = x[i / size * size + static_cast<std::size_t>(from)];
    }
    return y;
}
reverse along(const std::vector<bool>& turns) {
    reverse layer;
    for (bool turn : turns) layer.reverse_dim.push_back(turn);
    return layer;
}

}  // namespace

TEST_CASE("reverse: as numpy does it") {
    // np.flip(np.arange(6).reshape(2, 3), 1), and along both axes
    REQUIRE(evaluate<float>(reverse{{false, true}}, {{{2, 3}, counted(6)}}).first() ==
            std::vector<float>{2, 1, 0, 5, 4, 3});
    REQUIRE(evaluate<float>(reverse{{true, true}}, {{{2, 3}, counted(6)}}).first() ==
            std::vector<float>{5, 4, 3, 2, 1, 0});
}

TEST_CASE("reverse: every choice of axes") {
    const shape s{3, 4, 2, 19};
    const auto x = numbers<float>(2 * s.size());
    for (int choice = 0; choice < 16; ++choice) {
        const std::vector<bool> turns{choice % 2 == 1, choice / 2 % 2 == 1, choice / 4 % 2 == 1,
                                      choice / 8 == 1};
        CAPTURE(choice);
        REQUIRE(evaluate<float>(along(turns), {{s, x}}).first() == turned(s, turns, x));
    }
    REQUIRE(evaluate<float>(reverse{}, {{{}, {7}}}).first() == std::vector<float>{7});
    REQUIRE(evaluate<float>(reverse{{true, true}}, {{{0, 3}, {}}}).dimensions() == shape{0, 3});
}

TEST_CASE("reverse: with threads where there is much to do") {
    const shape s{40, 30, 25};
    const auto x = numbers<float>(2 * s.size());
    REQUIRE(evaluate<float>(reverse{{true, false, true}}, {{s, x}}).first() ==
            turned(s, {true, false, true}, x));
}

TEST_CASE("reverse: gradients") {
    require_gradients(reverse{{true}}, {{19}});
    require_gradients(reverse{{false, true, false}}, {{2, 3, 4}});
    require_gradients(reverse{{true, false, true}}, {{2, 3, 4}});
}

TEST_CASE("reverse: faults") {
    static_assert(reverse{{true}}.output_shape(shape{3}).shapes()[0] == shape{3});
    REQUIRE(fault_of(reverse{{true}}, {{2, 3}}) ==
            "layers/0 \"layer\" (reverse): a value of reverseDim for each axis wanted, 1 given for the shape "
            "[2, 3]");
    for (std::size_t rank = 0; rank <= max_rank; ++rank) ask_everything(along(std::vector<bool>(rank, true)));
}

namespace {
inline constexpr auto both = compose(input{"x", {2, 3}}, reverse{{true, false}}, reverse{{false, true}});
}

TEST_CASE("reverse: the same bits composed and at run time") {
    network<both> net;
    const auto x = numbers<float>(6);
    REQUIRE(same_bits_unrolled(net, x));
    REQUIRE(net(x)(0, 0) == x[5]);
}
