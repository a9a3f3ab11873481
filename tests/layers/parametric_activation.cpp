#include <bespoke/layers/parametric_activation.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

FLOAT_IN_IMPLEMENTATION(parametric_softplus)
FLOAT_IN_IMPLEMENTATION(prelu)

using namespace bespoke;
using namespace layer_test;

namespace {

/// y[example, leading, channel, pixel] by the formula, channel by channel.
template <class T, class F>
std::vector<double> by_channel(const shape& s, const std::vector<T>& x, const F& formula) {
    const extent channels = s.from_end(3), pixels = s.from_end(2) * s.from_end(1);
    std::vector<double> y;
    for (std::size_t i = 0; i < x.size(); ++i)
        y.push_back(formula(static_cast<std::size_t>(static_cast<extent>(i) / pixels % channels),
                            static_cast<double>(x[i])));
    return y;
}
template <class T>
double at(const std::vector<T>& parameter, std::size_t channel) {
    return static_cast<double>(parameter.size() == 1 ? parameter[0] : parameter[channel]);
}

const std::vector<shape> shapes{{1, 1, 1},    {5, 1, 1},     {19, 1, 1},     {3, 4, 7},
                                {2, 3, 1, 1}, {2, 3, 2, 17}, {2, 2, 3, 2, 1}};

template <class T>
void check_values() {
    for (const shape& s : shapes)
        for (bool shared : {false, true}) {
            CAPTURE(s.rank(), s.size(), shared);
            const std::vector<T> x = numbers<T>(3 * s.size());
            const std::vector<T> alpha = numbers<T>(shared ? 1 : s.from_end(3), 2),
                                 beta = numbers<T>(s.from_end(3), 3);
            REQUIRE(relative_distance(evaluate<T>(prelu{shared}, {{s, x}}, {alpha}).first(),
                                      by_channel(s, x, [&](std::size_t c, double v) {
                                          return v >= 0 ? v : at(alpha, c) * v;
                                      })) <= 1);
            const parametric_softplus layer{.shared_alpha = shared};
            REQUIRE(relative_distance(evaluate<T>(layer, {{s, x}}, {alpha, beta}).first(),
                                      by_channel(s, x, [&](std::size_t c, double v) {
                                          return at(alpha, c) * std::log1p(std::exp(at(beta, c) * v));
                                      })) <= 8);
        }
}

}  // namespace

TEST_CASE("parametric activations: values") {
    check_values<float>();
    check_values<double>();
}

TEST_CASE("parametric activations: special values") {
    const float infinity = std::numeric_limits<float>::infinity(),
                nan = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> x{infinity, -infinity, 100, -100, 0, nan};
    REQUIRE(distance(evaluate<float>(prelu{true}, {{{6, 1, 1}, x}}, {{0.5f}}).first(),
                     {infinity, -infinity, 100, -50, 0, nan}) == 0);
    REQUIRE(distance(evaluate<float>(parametric_softplus{true, true}, {{{6, 1, 1}, x}}, {{2}, {3}}).first(),
                     {infinity, 0, 600, 0, 2 * std::log(2.0), nan}) < 1e-6);
}

TEST_CASE("parametric activations: gradients") {
    for (const shape& s : shapes)
        for (bool a : {false, true}) {
            require_gradients(prelu{a}, {s}, {.examples = 3, .kinks = {0}});
            for (bool b : {false, true}) require_gradients(parametric_softplus{a, b}, {s}, {.examples = 3});
        }
}

TEST_CASE("parametric activations: many elements, the same bits with threads") {
    const shape wide{6, 50, 60}, flat{600, 1, 1};
    for (const shape& s : {wide, flat}) {
        const extent channels = s[0];
        evaluate<float>(prelu{}, {{s, numbers<float>(30 * s.size())}}, {numbers<float>(channels)});
        evaluate<float>(parametric_softplus{}, {{s, numbers<float>(30 * s.size())}},
                        {numbers<float>(channels), numbers<float>(channels, 2)});
    }
}

TEST_CASE("parametric activations: the lengths of a file's arrays say what is shared") {
    prelu p;
    const extent one[] = {1}, five[] = {5}, mixed[] = {1, 5};
    p.set_lengths(one);
    REQUIRE(p == prelu{.shared_alpha = true});
    p.set_lengths(five);
    REQUIRE(p == prelu{});
    parametric_softplus q;
    q.set_lengths(mixed);
    REQUIRE(q == parametric_softplus{.shared_alpha = true, .shared_beta = false});

    const extent up_to_two[] = {-2, -2};
    p.set_lengths(up_to_two);
    q.set_lengths(up_to_two);
    for (extent channels : {1, 2, 3, 4}) {
        const extent wanted = channels <= 2 ? channels : 1;
        CHECK(p.parameter_shapes({channels, 1, 1}).alpha == shape{wanted});
        CHECK(q.parameter_shapes({channels, 1, 1}).alpha == shape{wanted});
        CHECK(q.parameter_shapes({channels, 1, 1}).beta == shape{wanted});
    }
    const std::vector<float> x{-1, -1, -1, -1};
    CHECK(evaluate<float>(p, {{{4, 1, 1}, x}}, {{3}}).first() == std::vector<float>{-3, -3, -3, -3});
    CHECK(evaluate<float>(p, {{{2, 2, 1}, x}}, {{3, 2}}).first() == std::vector<float>{-3, -3, -2, -2});
    require_gradients(p, {{4, 1, 2}});
    require_gradients(q, {{4, 1, 2}});
}

TEST_CASE("parametric activations: shapes") {
    static_assert(prelu{}.parameter_shapes({2, 5, 3, 3}).alpha == shape{5});
    static_assert(prelu{true}.parameter_shapes({2, 5, 3, 3}).alpha == shape{1});
    static_assert(parametric_softplus{.shared_beta = true}.parameter_shapes({5, 3, 3}).beta == shape{1});
    static_assert(!prelu{}.output_shape(shape{5, 3}));
    REQUIRE(fault_of(prelu{}, {{5, 3}}) ==
            "layers/0 \"layer\" (activation.PReLU): an input of rank 3 or more wanted, its shape is [5, 3]");
    REQUIRE(fault_of(parametric_softplus{}, {{}}) ==
            "layers/0 \"layer\" (activation.parametricSoftplus): an input of "
            "rank 3 or more wanted, its shape is []");
    ask_everything(prelu{});
    ask_everything(parametric_softplus{.shared_alpha = true});
}

namespace {
inline constexpr auto small = compose(input{"x", {3, 2, 3}}, prelu{} | named("p"),
                                      parametric_softplus{.shared_beta = true} | named("s"));
}

TEST_CASE("parametric activations: the same bits composed and at run time") {
    network<small> net;
    const std::span<float> alpha = net.parameter("p", "alpha");
    REQUIRE(alpha.size() == 3);
    for (std::size_t i = 0; i < alpha.size(); ++i) alpha[i] = 0.1f * static_cast<float>(i + 1);
    REQUIRE(net.parameter("s", "beta").size() == 1);
    net.prepare();
    REQUIRE(same_bits_unrolled(net, numbers<float>(18)));
}
