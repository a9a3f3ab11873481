#pragma once

#include "gate.hpp"
#include "gemm.hpp"

namespace bespoke::kernels {

// One engine for recurrent layers. Every layer computes, for each step t of a sequence and each gate,
//     a = W x_t + R y_{t-1} + b
// and from a, clipped to +-gate_clip, its next state. The products with x stand in one gemm for all steps. Of each step
// there remains one with R, and a cell: one vectorised pass over the gates.
//
// Rows are vectors of one step of one sequence. Arrays of all steps have steps * rows rows; row r of step t is row
// t * step_stride + r * row_stride of them.

struct recurrent_geometry {
    extent steps, rows, step_stride, row_stride;
    extent inputs, outputs, gates;  ///< elements of x_t, elements of y_t, number of gates
    bool reverse = false;           ///< from the last step to the first
    bool in_place = false;          ///< then outputs stand where the inputs stood, else in the order they came in

    extent all() const { return steps * rows; }
    extent width() const { return gates * outputs; }
    /// The first row of what is processed as number s.
    extent first_row(extent s) const { return (reverse ? steps - 1 - s : s) * step_stride; }
    /// The first row of its output.
    extent output_row(extent s) const { return (reverse && in_place ? steps - 1 - s : s) * step_stride; }
};

/// One step of one sequence, with extents that the compiler knows.
template <extent Inputs, extent Outputs, extent Gates>
struct fixed_step_geometry {
    static constexpr constant<1> rows{};
    static constexpr constant<Inputs> inputs{};
    static constexpr constant<Outputs> outputs{};
    static constexpr constant<Gates * Outputs> width{};
};

/// The rows of one step in an array: row r begins at data + r * stride. Null data: there is no such array.
template <class T>
struct row_view {
    T* data = nullptr;
    extent stride = 0;

    T* row(extent r) const { return data + r * stride; }
    explicit operator bool() const { return data != nullptr; }
};

namespace detail {

/// body(row, offset, in, out) for all batches of all rows. Rows and n are `extent` or `constant<V>`.
template <class T, class Rows, class N, class Body>
[[gnu::always_inline]] inline void each_gate_batch(Rows rows, N n, thread_pool* threads, const Body& body) noexcept {
    const auto run = [&](extent r) __attribute__((always_inline)) {
        for_each_batch<T>(
            n, [&](extent j, auto in, auto out) __attribute__((always_inline)) { body(r, j, in, out); });
    };
    if constexpr (std::is_same_v<Rows, constant<1>>) {
        run(0);
    } else {
        if (rows * n < (1 << 13)) threads = nullptr;
        parallel_for(threads, rows, 1, [&](extent first, extent last) {
            for (extent r = first; r < last; ++r) run(r);
        });
    }
}

}  // namespace detail

/// y = f(a)
template <class F>
struct simple_cell {
    F f;

    static constexpr extent gates = 1, late = 0;
    static constexpr bool has_memory = false;

    template <class T, class Geometry>
    void forward(const Geometry& g, row_view<T> a, const T*, const T*, T* h, T*, T*, row_view<T> y,
                 thread_pool* threads) const noexcept {
        detail::each_gate_batch<T>(
            g.rows, g.outputs, threads, [&](extent r, extent j, auto in, auto out) __attribute__((always_inline)) {
            const batch<T> v = detail::gate<T>(f, in(a.row(r) + j));
            out(h + r * g.outputs + j, v);
            if (y) out(y.row(r) + j, v);
        });
    }
    /// Overwrites a by its gradient. dh: of y_t on the way in, what does not come through R on the way out.
    template <class T>
    void backward(const recurrent_geometry& g, row_view<T> a, const T*, const T*, row_view<const T>,
                  row_view<const T>, row_view<T>, T* dh, T*, T*, thread_pool* threads) const noexcept {
        detail::each_gate_batch<T>(g.rows, g.outputs, threads, [&](extent r, extent j, auto in, auto out) {
            T *to = a.row(r) + j, *d = dh + r * g.outputs + j;
            const batch<T> v = in(to);
            out(to, in(d) * detail::gate_slope<T>(f, v, detail::gate<T>(f, v)));
            out(d, batch<T>(T(0)));
        });
    }
};

/// Gates in the order r, z, o: r = f(a_r), z = f(a_z), o = g(W_o x + R_o (r y_{t-1}) + b_o),
/// y = (1 - z) o + z y_{t-1}. Cho et al., EMNLP 2014.
template <class F, class G>
struct gru_cell {
    F f;
    G g;

    static constexpr extent gates = 3, late = 1;
    static constexpr bool has_memory = false;

    /// `rest`: R_z and R_o as packed; `extra` [rows, outputs]: r y_{t-1} is left there.
    template <class T, class Geometry>
    void forward(const Geometry& s, row_view<T> a, const T* rest, const T*, T* h, T*, T* extra,
                 row_view<T> y, thread_pool* threads) const noexcept {
        const auto n = s.outputs;
        detail::each_gate_batch<T>(
            s.rows, n, threads, [&](extent r, extent j, auto in, auto out) __attribute__((always_inline)) {
            out(extra + r * n + j, detail::gate<T>(f, in(a.row(r) + j)) * in(h + r * n + j));
        });
        // What waits for nothing stands behind what all the rest waits for.
        const T *const none = nullptr, *const late = rest + packed_size<T>(n, n);
        gemm(s.rows, n, n, static_cast<const T*>(h), n, extent{1}, rest, a.data + n, a.stride, none, true, threads);
        gemm(s.rows, n, n, static_cast<const T*>(extra), n, extent{1}, late, a.data + 2 * n, a.stride, none, true,
             threads);
        detail::each_gate_batch<T>(
            s.rows, n, threads, [&](extent r, extent j, auto in, auto out) __attribute__((always_inline)) {
            const T* from = a.row(r) + n + j;
            const batch<T> z = detail::gate<T>(f, in(from)), o = detail::gate<T>(g, in(from + n));
            const batch<T> v = kernels::fma<T>(z, in(h + r * n + j) - o, o);
            out(h + r * n + j, v);
            if (y) out(y.row(r) + j, v);
        });
    }
    /// `late`: R_o packed for products from the left; `before`: y_{t-1}; `extra`: r y_{t-1} is written there;
    /// `work` [rows, outputs].
    template <class T>
    void backward(const recurrent_geometry& s, row_view<T> a, const T* late, const T*, row_view<const T> before,
                  row_view<const T>, row_view<T> extra, T* dh, T*, T* work, thread_pool* threads) const noexcept {
        const extent n = s.outputs;
        detail::each_gate_batch<T>(s.rows, n, threads, [&](extent r, extent j, auto in, auto out) {
            T *az = a.row(r) + n + j, *ao = az + n, *d = dh + r * n + j;
            const batch<T> pz = in(az), po = in(ao), dy = in(d), h = in(before.row(r) + j);
            const batch<T> z = detail::gate<T>(f, pz), o = detail::gate<T>(g, po);
            out(az, dy * (h - o) * detail::gate_slope<T>(f, pz, z));
            out(ao, kernels::fma<T>(-z, dy, dy) * detail::gate_slope<T>(g, po, o));
            out(d, dy * z);
        });
        gemm(s.rows, n, n, a.data + 2 * n, a.stride, extent{1}, late, work, n, static_cast<const T*>(nullptr), false,
             threads);
        detail::each_gate_batch<T>(s.rows, n, threads, [&](extent r, extent j, auto in, auto out) {
            T *ar = a.row(r) + j, *d = dh + r * n + j;
            const batch<T> pr = in(ar), h = in(before.row(r) + j), gate = detail::gate<T>(f, pr);
            const batch<T> dx = in(work + r * n + j);
            out(extra.row(r) + j, gate * h);
            out(ar, dx * h * detail::gate_slope<T>(f, pr, gate));
            out(d, kernels::fma<T>(dx, gate, in(d)));
        });
    }
};

/// Gates in the order i, f, z, o:
///     i = f(a_i + p_i c_{t-1})   f = f(a_f + p_f c_{t-1})   z = g(a_z)
///     c = clip(c_{t-1} f + i z), or clip(c_{t-1} (1 - i) + i z) where coupled
///     o = f(a_o + p_o c)         y = h(c) o
/// The peepholes p are one array [3, outputs] in the order i, f, o, or null.
/// Hochreiter and Schmidhuber, 1997; Gers and Schmidhuber, 2000.
template <class F, class G, class H>
struct lstm_cell {
    F f;
    G g;
    H h;
    bool coupled;
    float clip;

    static constexpr extent gates = 4, late = 0;
    static constexpr bool has_memory = true;

    template <class T, class Geometry>
    void forward(const Geometry& s, row_view<T> a, const T*, const T* peepholes, T* state, T* memory, T*,
                 row_view<T> y, thread_pool* threads) const noexcept {
        const auto n = s.outputs;
        detail::each_gate_batch<T>(
            s.rows, n, threads, [&](extent r, extent j, auto in, auto out) __attribute__((always_inline)) {
            const gate_values<T> v = values(n, j, a.row(r) + j, peepholes, in(memory + r * n + j), in);
            const batch<T> result = v.hc * v.o;
            out(memory + r * n + j, v.c);
            out(state + r * n + j, result);
            if (y) out(y.row(r) + j, result);
        });
    }
    /// `before_c`: c_{t-1}; dc: of c_t on the way in, of c_{t-1} on the way out.
    template <class T>
    void backward(const recurrent_geometry& s, row_view<T> a, const T*, const T* peepholes, row_view<const T>,
                  row_view<const T> before_c, row_view<T> after_c, T* dh, T* dc, T*,
                  thread_pool* threads) const noexcept {
        const extent n = s.outputs;
        detail::each_gate_batch<T>(s.rows, n, threads, [&](extent r, extent j, auto in, auto out) {
            T *to = a.row(r) + j, *dy_at = dh + r * n + j, *dc_at = dc + r * n + j;
            const batch<T> zero(T(0)), dy = in(dy_at), old = in(before_c.row(r) + j);
            const gate_values<T> v = values(n, j, to, peepholes, old, in);
            const batch<T> d_o = dy * v.hc * detail::gate_slope<T>(f, v.ao, v.o);
            batch<T> d = kernels::fma<T>(dy * v.o, h.derivative(v.c, v.hc), in(dc_at));
            if (peepholes) d = kernels::fma<T>(in(peepholes + 2 * n + j), d_o, d);
            d = detail::inside<T>(v.raw, T(clip), d);
            const batch<T> d_i = d * (coupled ? v.z - old : v.z) * detail::gate_slope<T>(f, v.ai, v.i);
            const batch<T> d_f = coupled ? zero : d * old * detail::gate_slope<T>(f, v.af, v.f);
            const batch<T> d_z = d * v.i * detail::gate_slope<T>(g, v.az, v.z);
            batch<T> back = d * (coupled ? batch<T>(T(1)) - v.i : v.f);
            if (peepholes) {
                back = kernels::fma<T>(in(peepholes + j), d_i, back);
                back = kernels::fma<T>(in(peepholes + n + j), d_f, back);
            }
            out(to, d_i);
            out(to + n, d_f);
            out(to + 2 * n, d_z);
            out(to + 3 * n, d_o);
            out(after_c.row(r) + j, v.c);
            out(dc_at, back);
            out(dy_at, zero);
        });
    }

private:
    template <class T>
    struct gate_values {
        batch<T> ai, af, az, ao;  ///< before clipping
        batch<T> i, f, z, o, raw, c, hc;
    };
    template <class T, class In>
    [[gnu::always_inline]] gate_values<T> values(extent n, extent j, const T* a, const T* peepholes,
                                                 const batch<T>& old, const In& in) const noexcept {
        gate_values<T> v;
        v.ai = in(a);
        v.af = in(a + n);
        v.az = in(a + 2 * n);
        v.ao = in(a + 3 * n);
        if (peepholes) {
            v.ai = kernels::fma<T>(in(peepholes + j), old, v.ai);
            v.af = kernels::fma<T>(in(peepholes + n + j), old, v.af);
        }
        v.i = detail::gate<T>(f, v.ai);
        v.z = detail::gate<T>(g, v.az);
        v.f = coupled ? batch<T>(T(1)) - v.i : detail::gate<T>(f, v.af);
        v.raw = kernels::fma<T>(v.i, v.z, old * v.f);
        v.c = detail::clipped<T>(v.raw, T(clip));
        if (peepholes) v.ao = kernels::fma<T>(in(peepholes + 2 * n + j), v.c, v.ao);
        v.o = detail::gate<T>(f, v.ao);
        v.hc = h(v.c);
        return v;
    }
};

}  // namespace bespoke::kernels
