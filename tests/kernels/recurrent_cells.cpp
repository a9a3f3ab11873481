#include <bespoke/kernels/recurrent_cells.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
using check::array;
namespace kernels = bespoke::kernels;

namespace {

/// Twice v: with it the clip of a gate is met exactly.
struct twice {
    template <class V>
    V operator()(const V& v) const noexcept {
        return v + v;
    }
    template <class V>
    V derivative(const V&, const V&) const noexcept {
        return V(2);
    }
};
double clip(double v, double limit) { return std::clamp(v, -limit, limit); }

}  // namespace

TEMPLATE_TEST_CASE("recurrent_cells: one step by the definition, at all sizes", "[recurrent]", float, double) {
    using T = TestType;
    const auto real = [](T v) { return static_cast<double>(v); };
    for (extent n : check::sizes<T>())
        for (extent rows : {1, 3}) {
            CAPTURE(n, rows);
            const double limit = check::epsilon<T> * 64;
            kernels::recurrent_geometry g{.steps = 1, .rows = rows, .step_stride = rows, .row_stride = 1,
                                          .inputs = 1, .outputs = n, .gates = 1};
            array<T> a(rows * n * 4, 1, 1), p(3 * n, 2, 1), h(rows * n, 3, 1), c(rows * n, 4, 1), y(rows * n, 5, 1),
                extra(rows * n, 6, 1), r(n * n, 7);
            const array<T> old_h = h, old_c = c;
            T* const none = nullptr;

            kernels::simple_cell<twice>{}.forward(g, kernels::row_view<T>{a.data(), n}, none, none, h.data(), none,
                                                  none, kernels::row_view<T>{y.data(), n}, nullptr);
            for (extent i = 0; i < rows * n; ++i) REQUIRE((h[i] == a[i] + a[i] && y[i] == h[i]));
            REQUIRE((h.intact() && y.intact()));

            h = old_h;
            kernels::lstm_cell<twice, twice, twice>{{}, {}, {}, false, 0.5F}.forward(
                g, kernels::row_view<T>{a.data(), 4 * n}, none, p.data(), h.data(), c.data(), none,
                kernels::row_view<T>{y.data(), n}, nullptr);
            for (extent row = 0; row < rows; ++row)
                for (extent j = 0; j < n; ++j) {
                    const extent i = row * n + j;
                    const auto gate = [&](extent k) { return real(a[row * 4 * n + k * n + j]); };
                    const double old = real(old_c[i]);
                    const double in = 2 * (gate(0) + real(p[j]) * old), forget = 2 * (gate(1) + real(p[n + j]) * old);
                    const double next = clip(old * forget + in * 2 * gate(2), 0.5);
                    REQUIRE(std::abs(real(c[i]) - next) <= limit);
                    REQUIRE(std::abs(real(h[i]) - 2 * next * 2 * (gate(3) + real(p[2 * n + j]) * next)) <= limit);
                    REQUIRE(y[i] == h[i]);
                }
            REQUIRE((h.intact() && y.intact() && c.intact()));

            // R_z = 1 / 4 and R_o = 1 everywhere: what they add are the sums over y_{t-1} / 4 and r y_{t-1}
            h = old_h;
            g.gates = 3;
            const extent size = kernels::packed_size<T>(n, n);
            std::vector<T> packed(static_cast<std::size_t>(2 * size));
            for (extent i = 0; i < n * n; ++i) r[i] = T(0.25);
            kernels::pack<T>(r.data(), 1, n, n, n, packed.data());
            for (extent i = 0; i < n * n; ++i) r[i] = T(1);
            kernels::pack<T>(r.data(), 1, n, n, n, packed.data() + size);
            array<T> gates = a;
            kernels::gru_cell<twice, twice>{}.forward(g, kernels::row_view<T>{gates.data(), 3 * n}, packed.data(), none,
                                                      h.data(), none, extra.data(),
                                                      kernels::row_view<T>{y.data(), n}, nullptr);
            for (extent row = 0; row < rows; ++row) {
                double all = 0, sum = 0;
                for (extent j = 0; j < n; ++j) all += real(old_h[row * n + j]);
                for (extent j = 0; j < n; ++j)
                    sum += 2 * real(a[row * 3 * n + j]) * real(old_h[row * n + j]);
                for (extent j = 0; j < n; ++j) {
                    const double z = 2 * (real(a[row * 3 * n + n + j]) + all / 4);
                    const double o = 2 * clip(real(a[row * 3 * n + 2 * n + j]) + sum, 50);
                    const double wanted = (1 - z) * o + z * real(old_h[row * n + j]);
                    REQUIRE(std::abs(real(h[row * n + j]) - wanted) <= limit * static_cast<double>(n + 1) * 4);
                    REQUIRE(y[row * n + j] == h[row * n + j]);
                }
            }
            REQUIRE((h.intact() && y.intact() && extra.intact()));
        }
}

TEST_CASE("recurrent_cells: beyond the clip of a gate there is no slope", "[recurrent]") {
    const kernels::recurrent_geometry g{.steps = 1, .rows = 1, .step_stride = 1, .row_stride = 1, .inputs = 1,
                                        .outputs = 4, .gates = 1};
    double a[] = {49, 51, -51, check::nan<double>}, h[4], dh[] = {1, 1, 1, 1};
    double* const none = nullptr;
    const kernels::row_view<double> at{a, 4};
    kernels::simple_cell<twice>{}.forward(g, at, none, none, h, none, none, kernels::row_view<double>{}, nullptr);
    REQUIRE((h[0] == 98 && h[1] == 100 && h[2] == -100 && std::isnan(h[3])));
    kernels::simple_cell<twice>{}.backward<double>(g, at, none, none, {}, {}, {}, dh, none, none, nullptr);
    REQUIRE((a[0] == 2 && a[1] == 0 && a[2] == 0));
    for (double d : dh) REQUIRE(d == 0);
}
