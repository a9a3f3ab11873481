#pragma once

#include "../core/planes.hpp"
#include "../kernels/channel_map.hpp"

namespace bespoke {

template <class T>
class engine_state;

/// What a layer asks for besides its blobs and parameters, in elements.
struct working_memory {
    extent prepared = 0, scratch = 0;
    bool lowered = false;  ///< it multiplies in low precision
    unprepared runs = unprepared::never;  ///< as the layer's `can_wait` says
    bool scattered = false;  ///< `prepares_on_demand = true`: of what is prepared, forward writes what it needs
};

/// The blobs of a step as a layer sees them.
template <class T>
struct blob_views {
    std::span<const dynamic_view<const T>> xs, ys, dys;
    std::span<const dynamic_view<T>> outputs, dxs;
};

/// Which calls a layer takes: of all examples at once, of any number of inputs.
struct call_kind {
    bool batched = false, variadic = false;
};

/// What a layer type does in a forward pass, as layer_runner.hpp has it. A layer comes as `const void*`. Null: nothing
/// is to be done; without `map` and `forward` the output is a copy of the input.
template <class T>
struct layer_functions {
    working_memory (*measure)(const void* layer, std::span<const shape> xs, const arithmetic& how, extent chunk,
                              extent threads) = nullptr;
    void (*prepare)(engine_state<T>& e, const void* layer, std::size_t step) = nullptr;
    /// Of an element-wise layer: as `kernels::map_rows`.
    void (*map)(const void* layer, extent rows, extent columns, extent stride, const T* x, T* y) noexcept = nullptr;
    void (*forward)(const engine_state<T>& e, const void* layer, std::size_t step, const blob_views<T>& v,
                    workspace<T>& w) = nullptr;
    call_kind calls{};
    void (*finish)(const void* layer, const output_block<T>& block, const finishing<T>& with) noexcept = nullptr;
    bool (*joins)(const void* layer, channel_map<T>& map, const finishing<T>& with) noexcept = nullptr;
    // Of layers that give rows and of those that take them, see core/rows.hpp.
    extent (*measure_rows)(const void* layer, std::span<const shape> xs, extent columns, extent threads) = nullptr;
    row_product<T> (*multiply)(const engine_state<T>& e, const void* layer, std::size_t step,
                               extent index) noexcept = nullptr;
    /// Of layers that give planes and of those that take them, see core/planes.hpp.
    void (*planes)(const engine_state<T>& e, const void* layer, std::size_t step, const plane_block<T>& block,
                   workspace<T>& w) noexcept = nullptr;
};

}  // namespace bespoke
