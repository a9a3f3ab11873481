#include <bespoke/layers/gelu.hpp>

#include "layer_test.hpp"

FLOAT_IN_IMPLEMENTATION(gelu)

using namespace bespoke;
using namespace layer_test;

namespace {

double formula(gelu_mode mode, double x) {
    if (std::isinf(x)) return x > 0 ? x : 0;
    if (mode == gelu_mode::exact) return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    if (mode == gelu_mode::tanh_approximation)
        return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
    return x / (1 + std::exp(-1.702 * x));
}

template <class T>
void check_values(gelu_mode mode) {
    std::vector<T> x;
    for (double v = -12; v <= 12; v += 0.0625) x.push_back(static_cast<T>(v));
    const T infinity = std::numeric_limits<T>::infinity();
    for (T v : {T(-0.0), T(1e-20), T(100), T(-100), T(1e30), T(-1e30), infinity, -infinity,
                std::numeric_limits<T>::quiet_NaN()})
        x.push_back(v);
    std::vector<double> y;
    for (T v : x) y.push_back(formula(mode, static_cast<double>(v)));
    const auto got = evaluate<T>(gelu{mode}, {{{static_cast<extent>(x.size())}, x}}).first();
    for (std::size_t i = 0; i < x.size(); ++i) {
        CAPTURE(x[i], got[i], y[i]);
        REQUIRE(distance<T>({got[i]}, {y[i]}) <= 8 * static_cast<double>(std::numeric_limits<T>::epsilon()));
    }
}

}  // namespace

TEST_CASE("gelu: values, special values and gradients") {
    for (gelu_mode mode :
         {gelu_mode::exact, gelu_mode::tanh_approximation, gelu_mode::sigmoid_approximation}) {
        INFO(enumerators(mode)[static_cast<std::size_t>(mode)]);
        check_values<float>(mode);
        check_values<double>(mode);
        for (const shape& s : {shape{}, shape{9}, shape{2, 3, 5}})
            require_gradients(gelu{mode}, {s}, {.low = -6, .high = 6});
        ask_everything(gelu{mode});
        const double far = std::numeric_limits<double>::infinity();
        REQUIRE(gelu{mode}.derivative(far, far) == 1);
        REQUIRE(std::abs(gelu{mode}.derivative(-far, -0.0)) < 1e-60);
    }
}

TEST_CASE("gelu: values from PyTorch") {
    // torch.nn.functional.gelu([-1, 0.5, 2]), and with approximate="tanh"
    REQUIRE(distance(evaluate<double>(gelu{}, {{{3}, {-1, 0.5, 2}}}).first(),
                     {-0.15865525393145702, 0.34573123063700656, 1.9544997361036416}) < 1e-15);
    REQUIRE(distance(evaluate<double>(gelu{gelu_mode::tanh_approximation}, {{{3}, {-1, 0.5, 2}}}).first(),
                     {-0.15880800939172324, 0.34571400982514394, 1.954597694087775}) < 1e-14);
}
