#include <bespoke/kernels/gate.hpp>

#include "math_test.hpp"

using namespace bespoke;
namespace kernels = bespoke::kernels;

namespace {

struct clipped_sigmoid_facts {
    template <class V>
    static V compute(const V& x) {
        return kernels::clipped_sigmoid(x);
    }
    static long double exact(long double x) { return 1 / (1 + std::exp(-x)); }
};

struct flat {
    static constexpr float saturation = 20;
    template <class V>
    V operator()(const V& v) const noexcept {
        return v;
    }
};
struct short_way {
    template <class V>
    V of_gate(const V& v) const noexcept {
        return v + v;
    }
};
struct plain {
    template <class V>
    V operator()(const V& v) const noexcept {
        return v;
    }
};

template <class T, class F>
T gate(const F& f, T a) {
    return kernels::first_lane<T>(kernels::detail::gate<T>(f, kernels::batch<T>(a)));
}

}  // namespace

TEMPLATE_TEST_CASE("gate: the sigmoid of what is clipped", "[gate]", float, double) {
    using T = TestType;
    constexpr auto w = static_cast<std::size_t>(kernels::lanes<T>);
    constexpr int count = 1 << 19;
    double most = 0;
    T at = 0;
    for (int i = 0; i < count; i += static_cast<int>(w)) {
        alignas(64) T x[w];
        for (std::size_t lane = 0; lane < w; ++lane)
            x[lane] = static_cast<T>((i + static_cast<int>(lane)) * (2.0 * kernels::gate_clip / count)) -
                      T(kernels::gate_clip);
        most = std::max(most, check::worst<clipped_sigmoid_facts>(x, at));
    }
    CAPTURE(at);
    REQUIRE(most <= 2.5);
    using B = kernels::batch<T>;
    CHECK(kernels::first_lane<T>(kernels::clipped_sigmoid(B(T(0)))) == T(0.5));
    CHECK(kernels::first_lane<T>(kernels::clipped_sigmoid(B(T(50)))) == T(1));
    CHECK(std::isnan(kernels::first_lane<T>(kernels::clipped_sigmoid(B(check::nan<T>)))));
}

TEMPLATE_TEST_CASE("gate: clips where the activation asks for it", "[gate]", float, double) {
    using T = TestType;
    CHECK(gate<T>(plain{}, 49) == 49);
    CHECK(gate<T>(plain{}, 51) == 50);
    CHECK(gate<T>(plain{}, -check::infinity<T>) == -50);
    CHECK(std::isnan(gate<T>(plain{}, check::nan<T>)));
    CHECK(gate<T>(short_way{}, 51) == 100);
    CHECK(std::isnan(gate<T>(short_way{}, check::nan<T>)));
    CHECK(gate<T>(flat{}, 51) == 51);
}
