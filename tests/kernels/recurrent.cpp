#include <bespoke/kernels/recurrent.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
using check::array;
namespace kernels = bespoke::kernels;

namespace {

struct hyperbolic {
    template <class V>
    V operator()(const V& v) const noexcept {
        return kernels::tanh(v);
    }
    template <class V>
    V derivative(const V&, const V& y) const noexcept {
        return kernels::fma(-y, y, V(1));
    }
};

/// y [all, outputs] of a simple cell, the state behind the last step at the end.
std::vector<double> naive(const kernels::recurrent_geometry& g, const double* x, const double* w, const double* r,
                          const double* b) {
    const extent n = g.outputs;
    std::vector<double> y(static_cast<std::size_t>((g.all() + g.rows) * n)), h(static_cast<std::size_t>(g.rows * n));
    for (extent s = 0; s < g.steps; ++s)
        for (extent row = 0; row < g.rows; ++row) {
            const extent t = g.reverse ? g.steps - 1 - s : s, out = g.reverse && g.in_place ? t : s;
            double* state = h.data() + row * n;
            std::vector<double> next;
            for (extent j = 0; j < n; ++j) {
                double sum = b[j];
                for (extent k = 0; k < g.inputs; ++k)
                    sum += x[(t * g.step_stride + row * g.row_stride) * g.inputs + k] * w[j * g.inputs + k];
                for (extent k = 0; k < n; ++k) sum += state[k] * r[j * n + k];
                next.push_back(std::tanh(sum));
            }
            std::copy(next.begin(), next.end(), state);
            std::copy(next.begin(), next.end(), y.begin() + (out * g.step_stride + row * g.row_stride) * n);
        }
    std::copy(h.begin(), h.end(), y.end() - g.rows * n);
    return y;
}

}  // namespace

TEST_CASE("recurrent: sequences and their gradients by the definition", "[recurrent]") {
    for (extent steps : {0, 1, 3})
        for (extent rows : {1, 2})
            for (int layout = 0; layout < 8; ++layout) {
                kernels::recurrent_geometry g{.steps = steps, .rows = rows, .step_stride = rows, .row_stride = 1,
                                              .inputs = 3, .outputs = 5, .gates = 1};
                if (layout % 2 == 1) g.step_stride = 1, g.row_stride = steps;
                g.reverse = layout / 2 % 2 == 1;
                g.in_place = layout / 4 == 1;
                CAPTURE(steps, rows, layout);
                const extent n = g.outputs, all = g.all();
                array<double> x(all * 3, 1), w(n * 3, 2), r(n * n, 3), b(n, 4);
                const kernels::recurrent_weights<double> l{3, n, 1, 0};
                std::vector<double> prepared(static_cast<std::size_t>(l.size()));
                const double *ws[] = {w.data()}, *rs[] = {r.data()}, *bs[] = {b.data()};
                kernels::recurrent_prepare(l, ws, rs, bs, prepared.data());
                std::vector<double> scratch(
                    static_cast<std::size_t>(kernels::recurrent_memory<double>::size(g, 0)));
                const kernels::recurrent_memory<double> m(g, 0, scratch.data());
                const kernels::simple_cell<hyperbolic> cell{};
                const double* const none = nullptr;

                array<double> y(all * n, 5);
                std::fill_n(m.h, rows * n, 0.0);
                kernels::recurrent_forward(g, cell, static_cast<const double*>(x.data()), prepared.data(), none, m,
                                           y.data(), n, nullptr);
                const auto expected = naive(g, x.data(), w.data(), r.data(), b.data());
                for (extent i = 0; i < all * n; ++i)
                    REQUIRE(std::abs(y[i] - expected[static_cast<std::size_t>(i)]) < 1e-13);
                for (extent i = 0; i < rows * n; ++i)
                    REQUIRE(std::abs(m.h[i] - expected[static_cast<std::size_t>(all * n + i)]) < 1e-13);
                REQUIRE(y.intact());

                const array<double> dy((all + rows) * n, 6);  // of y, and of the state behind the last step
                array<double> dx(all * 3, 7), dw(n * 3, 8), dr(n * n, 9), db(n, 10);
                const array<double> before[] = {dx, dw, dr, db};
                std::fill_n(m.h, rows * n, 0.0);
                kernels::recurrent_recall(g, cell, static_cast<const double*>(x.data()), prepared.data(), none, m,
                                          nullptr);
                std::copy_n(dy.data() + all * n, rows * n, m.h);
                kernels::recurrent_backward(g, cell, static_cast<const double*>(prepared.data()), none, m, dy.data(), n,
                                            nullptr);
                double *dws[] = {dw.data()}, *drs[] = {dr.data()}, *dbs[] = {db.data()};
                kernels::recurrent_gradients(g, 0, static_cast<const double*>(x.data()),
                                             static_cast<const double*>(prepared.data()), m, dws, drs, dbs, dx.data(),
                                             nullptr);
                const array<double>* came[] = {&dx, &dw, &dr, &db};
                array<double>* parts[] = {&x, &w, &r, &b};
                for (std::size_t part = 0; part < 4; ++part) {
                    REQUIRE(came[part]->intact());
                    for (extent i = 0; i < parts[part]->size(); ++i) {
                        double& v = (*parts[part])[i];
                        const double middle = v, h = 1e-5;
                        const auto value = [&](double at) {
                            v = at;
                            const auto values = naive(g, x.data(), w.data(), r.data(), b.data());
                            double sum = 0;
                            for (std::size_t k = 0; k < values.size(); ++k)
                                sum += values[k] * dy[static_cast<extent>(k)];
                            return sum;
                        };
                        const double slope = (value(middle + h) - value(middle - h)) / (2 * h);
                        v = middle;
                        REQUIRE(std::abs((*came[part])[i] - before[part][i] - slope) < 1e-7);
                    }
                }
            }
}

TEMPLATE_TEST_CASE("recurrent: peephole_gradient", "[recurrent]", float, double) {
    using T = TestType;
    for (extent n : check::sizes<T>())
        for (extent rows : {0, 1, 4}) {
            const array<T> a(rows * 2 * n, 1, 1), c(rows * n, 2, 1);
            array<T> to(n, 3, 1);
            const array<T> before = to;
            kernels::peephole_gradient(rows, n, a.data(), 2 * n, c.data(), to.data());
            REQUIRE(to.intact());
            for (extent j = 0; j < n; ++j) {
                T sum = before[j];
                for (extent r = 0; r < rows; ++r) sum = kernels::fma(a[r * 2 * n + j], c[r * n + j], sum);
                REQUIRE(to[j] == sum);
            }
        }
}
