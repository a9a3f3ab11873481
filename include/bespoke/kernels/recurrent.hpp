#pragma once

#include "map.hpp"
#include "recurrent_cells.hpp"
#include "reduction.hpp"

namespace bespoke::kernels {

/// What `recurrent_prepare` writes. The recurrent product of the last `late` gates waits for the others (GRU): then the
/// cell multiplies with R of all gates but the first.
template <class T>
struct recurrent_weights {
    extent inputs, outputs, gates, late;

    constexpr extent width() const { return gates * outputs; }
    /// Columns of the product that stands before the cell.
    constexpr extent first() const { return late > 0 ? outputs : width(); }
    constexpr extent w() const { return 0; }  ///< W of all gates, [width, inputs]
    constexpr extent r() const { return width() * inputs; }  ///< R of all gates, [width, outputs]
    constexpr extent bias() const { return r() + width() * outputs; }  ///< [width]
    constexpr extent packed_w() const { return bias() + width(); }
    constexpr extent packed_first() const { return packed_w() + packed_size<T>(inputs, width()); }
    constexpr extent packed_gate() const { return packed_size<T>(outputs, outputs); }
    /// R of the gates that the cell multiplies with, one after another.
    constexpr extent packed_rest() const { return packed_first() + packed_size<T>(outputs, first()); }
    constexpr extent size() const { return packed_rest() + (late > 0 ? (gates - 1) * packed_gate() : 0); }
};

/// Brings the matrices of the gates, in the order of the gates, together and packs them. Null: 0.
template <class T>
void recurrent_prepare(const recurrent_weights<T>& l, const T* const* w, const T* const* r, const T* const* bias,
                       T* to) noexcept {
    const auto put = [](extent size, const T* from, T* there) {
        from != nullptr ? copy(size, from, there) : fill(size, T(0), there);
    };
    for (extent g = 0; g < l.gates; ++g) {
        put(l.outputs * l.inputs, w[g], to + l.w() + g * l.outputs * l.inputs);
        put(l.outputs * l.outputs, r[g], to + l.r() + g * l.outputs * l.outputs);
        put(l.outputs, bias[g], to + l.bias() + g * l.outputs);
    }
    pack(to + l.w(), extent{1}, l.inputs, l.inputs, l.width(), to + l.packed_w());
    pack(to + l.r(), extent{1}, l.outputs, l.outputs, l.first(), to + l.packed_first());
    for (extent g = 1; l.late > 0 && g < l.gates; ++g)
        pack(to + l.r() + g * l.outputs * l.outputs, extent{1}, l.outputs, l.outputs, l.outputs,
             to + l.packed_rest() + (g - 1) * l.packed_gate());
}

/// Where the working memory of a sequence lies. Forward needs `a`, `h`, `memory` and `work` only.
template <class T>
struct recurrent_memory {
    T *a;                ///< [all, width]: a of all gates, afterwards its gradient
    T *h, *memory, *work;  ///< [rows, outputs]: the state and its second part, and room for a cell
    T *before_h, *before_c, *third;  ///< [all, outputs]: states before each step, and what else a cell keeps
    T *packed_early, *packed_late, *packed;

    recurrent_memory(const recurrent_geometry& g, extent late, T* scratch) noexcept
        : a(scratch), h(a + g.all() * g.width()), memory(h + state(g)), work(memory + state(g)),
          before_h(work + state(g)), before_c(before_h + g.all() * g.outputs),
          third(before_c + g.all() * g.outputs), packed_early(third + g.all() * g.outputs),
          packed_late(packed_early + packed_size<T>((g.gates - late) * g.outputs, g.outputs)),
          packed(packed_late + packed_size<T>(late * g.outputs, g.outputs)) {}
    static extent forward_size(const recurrent_geometry& g) { return g.all() * g.width() + 3 * state(g); }
    static extent size(const recurrent_geometry& g, extent late) {
        const extent sums = packed_size<T>(g.all(), std::max(g.inputs, g.outputs));
        return forward_size(g) + 3 * g.all() * g.outputs +
               packed_size<T>((g.gates - late) * g.outputs, g.outputs) + packed_size<T>(late * g.outputs, g.outputs) +
               std::max(sums, packed_size<T>(g.width(), g.inputs));
    }

private:
    static extent state(const recurrent_geometry& g) { return g.rows * g.outputs; }
};

/// A cell whose type is not known: what runs the steps of a sequence is compiled once for all cells. The cell must
/// outlive it.
template <class T>
struct any_cell {
    const void* cell;
    extent late;
    bool has_memory;
    void (*forward)(const void* cell, const recurrent_geometry& g, row_view<T> a, const T* late, const T* peepholes,
                    T* h, T* memory, T* work, row_view<T> y, thread_pool* threads) noexcept;
    void (*backward)(const void* cell, const recurrent_geometry& g, row_view<T> a, const T* late, const T* peepholes,
                     row_view<const T> before_h, row_view<const T> before_c, row_view<T> third, T* h, T* memory,
                     T* work, thread_pool* threads) noexcept;

    template <class Cell>
    any_cell(const Cell& known)
        : cell(&known),
          late(Cell::late),
          has_memory(Cell::has_memory),
          forward([](const void* c, const recurrent_geometry& g, auto... arguments) noexcept {
              static_cast<const Cell*>(c)->forward(g, arguments...);
          }),
          backward([](const void* c, const recurrent_geometry& g, auto... arguments) noexcept {
              static_cast<const Cell*>(c)->template backward<T>(g, arguments...);
          }) {}
};

namespace detail {

/// Runs the cell over the sequences; with `keeps` what `recurrent_backward` wants of them is kept.
template <class T>
[[gnu::noinline]] void run_sequence(const recurrent_geometry& g, const any_cell<T>& cell, const T* x, const T* prepared,
                                    const T* peepholes, const recurrent_memory<T>& m, T* y, extent y_width, bool keeps,
                                    thread_pool* threads) noexcept {
    const recurrent_weights<T> l{g.inputs, g.outputs, g.gates, cell.late};
    const T* const none = nullptr;
    const extent n = g.outputs;
    gemm(g.all(), g.width(), g.inputs, x, g.inputs, extent{1}, prepared + l.packed_w(), m.a, g.width(),
         prepared + l.bias(), false, threads);
    for (extent s = 0; s < g.steps; ++s) {
        for (extent r = 0; keeps && r < g.rows; ++r) {
            const extent at = (g.first_row(s) + r * g.row_stride) * n;
            copy(n, m.h + r * n, m.before_h + at);
            if (cell.has_memory) copy(n, m.memory + r * n, m.before_c + at);
        }
        const row_view<T> at{m.a + g.first_row(s) * g.width(), g.row_stride * g.width()};
        gemm(g.rows, l.first(), n, static_cast<const T*>(m.h), n, extent{1}, prepared + l.packed_first(), at.data,
             at.stride, none, true, threads);
        row_view<T> to;
        if (y != nullptr) to = {y + g.output_row(s) * y_width, g.row_stride * y_width};
        cell.forward(cell.cell, g, at, prepared + l.packed_rest(), peepholes, m.h, m.memory, m.work, to, threads);
    }
}

}  // namespace detail

/// `m.h` and, where the cell has one, `m.memory` hold the state before the first step, and afterwards that behind the
/// last one. y: the outputs of all steps, rows y_width elements apart; may be null.
template <class T>
void recurrent_forward(const recurrent_geometry& g, const std::type_identity_t<any_cell<T>>& cell, const T* x,
                       const T* prepared, const T* peepholes, const recurrent_memory<T>& m, T* y, extent y_width,
                       thread_pool* threads) noexcept {
    detail::run_sequence<T>(g, cell, x, prepared, peepholes, m, y, y_width, false, threads);
}

/// The same, and what `recurrent_backward` wants of it.
template <class T>
void recurrent_recall(const recurrent_geometry& g, const std::type_identity_t<any_cell<T>>& cell, const T* x,
                      const T* prepared, const T* peepholes, const recurrent_memory<T>& m,
                      thread_pool* threads) noexcept {
    detail::run_sequence<T>(g, cell, x, prepared, peepholes, m, nullptr, 0, true, threads);
}

/// After `recurrent_recall`: through the steps from the last processed to the first. `m.h` and `m.memory` hold the
/// gradient of the state behind the last step, and afterwards that of the state before the first one; m.a then holds
/// the gradient of a. dy: of the outputs of all steps, or null.
template <class T>
void recurrent_backward(const recurrent_geometry& g, const std::type_identity_t<any_cell<T>>& cell, const T* prepared,
                        const T* peepholes, const recurrent_memory<T>& m, const T* dy, extent dy_width,
                        thread_pool* threads) noexcept {
    const recurrent_weights<T> l{g.inputs, g.outputs, g.gates, cell.late};
    const extent n = g.outputs, early = (l.gates - l.late) * n;
    pack(prepared + l.r(), n, extent{1}, early, n, m.packed_early, threads);
    pack(prepared + l.r() + early * n, n, extent{1}, l.late * n, n, m.packed_late, threads);
    for (extent s = g.steps; s-- > 0;) {
        const extent first = g.first_row(s);
        if (dy != nullptr)
            for (extent r = 0; r < g.rows; ++r)
                accumulate(n, dy + (g.output_row(s) + r * g.row_stride) * dy_width, m.h + r * n);
        const row_view<T> a{m.a + first * g.width(), g.row_stride * g.width()};
        const auto kept = [&](T* data) { return row_view<T>{data + first * n, g.row_stride * n}; };
        const auto read = [&](T* data) { return row_view<const T>{data + first * n, g.row_stride * n}; };
        cell.backward(cell.cell, g, a, m.packed_late, peepholes, read(m.before_h), read(m.before_c), kept(m.third), m.h,
                      m.memory, m.work, threads);
        gemm(g.rows, n, early, static_cast<const T*>(a.data), a.stride, extent{1}, m.packed_early, m.h, n,
             static_cast<const T*>(nullptr), true, threads);
    }
}

/// The gradients that `m.a` holds now, added to those of the gates' weights, for each gate or null, and of x.
template <class T>
void recurrent_gradients(const recurrent_geometry& g, extent late, const T* x, const T* prepared,
                         const recurrent_memory<T>& m, T* const* dw, T* const* dr, T* const* dbias, T* dx,
                         thread_pool* threads) noexcept {
    const recurrent_weights<T> l{g.inputs, g.outputs, g.gates, late};
    const extent n = g.outputs, all = g.all(), width = g.width();
    const T *a = m.a, *const none = nullptr;
    const auto products = [&](const T* from, extent columns, extent first, extent last, T* const* to) {
        bool wanted = false;
        for (extent i = first; i < last; ++i) wanted |= to[i] != nullptr;
        if (!wanted) return;
        pack(from, columns, extent{1}, all, columns, m.packed, threads);
        for (extent i = first; i < last; ++i)
            if (to[i] != nullptr)
                gemm(n, columns, all, a + i * n, extent{1}, width, m.packed, to[i], columns, none, true, threads);
    };
    products(x, g.inputs, 0, g.gates, dw);
    products(m.before_h, n, 0, g.gates - late, dr);
    products(m.third, n, g.gates - late, g.gates, dr);
    for (extent i = 0; i < g.gates; ++i)
        if (dbias[i] != nullptr) column_sums(all, n, a + i * n, width, dbias[i], threads);
    if (dx == nullptr) return;
    pack(prepared + l.w(), g.inputs, extent{1}, width, g.inputs, m.packed, threads);
    gemm(all, g.inputs, width, a, width, extent{1}, m.packed, dx, g.inputs, none, true, threads);
}

/// to[j] += the sum over rows of a[row * a_stride + j] * c[row * n + j], j in [0, n): one chain, rows ascending.
template <class T>
void peephole_gradient(extent rows, extent n, const T* a, extent a_stride, const T* c, T* to) noexcept {
    for (extent r = 0; r < rows; ++r)
        for_each_batch<T>(n, [&](extent j, auto in, auto out) {
            out(to + j, kernels::fma<T>(in(a + r * a_stride + j), in(c + r * n + j), in(to + j)));
        });
}

}  // namespace bespoke::kernels
