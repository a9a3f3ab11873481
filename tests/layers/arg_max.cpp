#include <bespoke/layers/arg_max.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

using namespace bespoke;
using namespace layer_test;

TEMPLATE_TEST_CASE("arg_max, arg_min: the first of the largest and smallest", "", float, double) {
    using T = TestType;
    for (const shape& s : {shape{1}, shape{5}, shape{100}, shape{3, 70}, shape{70, 3}, shape{4, 50, 37}})
        for (std::size_t axis = 0; axis < s.rank(); ++axis) {
            std::vector<T> x = numbers<T>(2 * s.size());
            for (T& v : x) v = std::round(3 * v);  // many are equal
            const extent n = s[axis], inner = s.product(axis + 1, s.rank());
            std::vector<T> most, least;
            for (extent o = 0; o < static_cast<extent>(x.size()) / (n * inner); ++o)
                for (extent i = 0; i < inner; ++i) {
                    extent high = 0, low = 0;
                    const auto at = [&](extent k) { return x[static_cast<std::size_t>((o * n + k) * inner + i)]; };
                    for (extent k = 1; k < n; ++k) {
                        if (at(k) > at(high)) high = k;
                        if (at(k) < at(low)) low = k;
                    }
                    most.push_back(static_cast<T>(high));
                    least.push_back(static_cast<T>(low));
                }
            INFO(sentence(s, " axis ", axis).view());
            REQUIRE(evaluate<T>(arg_max{.axis = static_cast<extent>(axis)}, {{s, x}}).first() == most);
            REQUIRE(evaluate<T>(arg_min{.axis = static_cast<extent>(axis) - static_cast<extent>(s.rank())}, {{s, x}})
                        .first() == least);
        }
}

TEST_CASE("arg_max: the specification's shapes") {
    constexpr shape x{45, 34, 10, 5};
    static_assert(arg_max{.axis = -3}.output_shape(x).shapes()[0] == shape{45, 1, 10, 5});
    static_assert(arg_max{.axis = -3, .remove_dim = true}.output_shape(x).shapes()[0] == shape{45, 10, 5});
    static_assert(arg_min{}.output_shape(shape{5}).shapes()[0] == shape{1});
    static_assert(arg_min{.remove_dim = true}.output_shape(shape{5}).shapes()[0] == shape{1});
    SUCCEED();
}

TEST_CASE("arg_max, arg_min: NaN, infinities and zeros") {
    constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
    const auto of = [](const auto& layer, const std::vector<float>& x) {
        return evaluate<float>(layer, {{{static_cast<extent>(x.size())}, x}}).first()[0];
    };
    CHECK(of(arg_max{}, {1, nan, 2, nan}) == 1);
    CHECK(of(arg_min{}, {1, 0, nan}) == 2);
    CHECK(of(arg_max{}, {-infinity, -infinity}) == 0);
    CHECK(of(arg_max{}, {-1, -0.0f, 0.0f}) == 1);
    CHECK(of(arg_min{}, {infinity, infinity}) == 0);
    CHECK(evaluate<float>(arg_max{.axis = 1}, {{{0, 3}, {}}}).dimensions() == shape{0, 1});
    CHECK(!check_gradients(arg_max{}, {{3}}));
}

namespace {
inline constexpr auto place = compose(input{"x", {3, 40}}, arg_max{.axis = 1, .remove_dim = true});
}

TEST_CASE("arg_max: composed and run-time networks give the same bits") {
    network<place> net;
    REQUIRE(same_bits_unrolled(net, numbers<float>(120)));
}

TEST_CASE("arg_max: faults") {
    const std::string where = "layers/0 \"layer\" (argMax): ";
    CHECK(fault_of(arg_max{}, {{}}) == where + "an axis of its input wanted, 0 given for the shape []");
    CHECK(fault_of(arg_max{.axis = 2}, {{1, 2}}) ==
          where + "an axis of its input wanted, 2 given for the shape [1, 2]");
    CHECK(fault_of(arg_max{.axis = -1}, {{1, 0}}) ==
          where + "an element or more along axis -1 wanted, its shape is [1, 0]");
    for (extent a : hostile_extents()) {
        ask_everything(arg_max{.axis = a});
        ask_everything(arg_min{.axis = a, .remove_dim = true});
    }
}
