#pragma once

#include "../core/entries.hpp"
#include "../core/list.hpp"
#include "../kernels/strided.hpp"

#include <algorithm>

namespace bespoke {
namespace detail {

/// The elements begin, begin + stride, ... of an axis, `count` of them.
struct axis_slice {
    extent begin = 0, count = 0, stride = 1;
};

/// [begin:end:stride] of Python, along an axis of `size` elements: negative bounds count from the end, those outside
/// are brought to the edge. `open_begin` and `open_end`: the bound is left out.
constexpr axis_slice slice_of(extent size, extent begin, bool open_begin, extent end, bool open_end, extent stride) {
    const extent largest = std::max<extent>(size, 1);  // beyond it there is one element all the same
    stride = std::clamp(stride, -largest, largest);
    const extent least = stride > 0 ? 0 : -1, most = least + size;
    const auto bound = [&](extent at) { return std::clamp(at < 0 ? at + size : at, least, most); };
    begin = open_begin ? (stride > 0 ? 0 : size - 1) : bound(begin);
    end = open_end ? (stride > 0 ? size : -1) : bound(end);
    const extent length = stride > 0 ? end - begin : begin - end, step = stride > 0 ? stride : -stride;
    return {begin, length > 0 ? (length - 1) / step + 1 : 0, stride};
}

/// A box in x that y holds without gaps: the walk from the one to the other, and where in x it begins.
class sliced_box {
public:
    sliced_box(const shape& x, const shape& y, extent examples) : behind_x_(x.size()), behind_y_(y.size()) {
        walk_.add(examples, behind_x_, behind_y_);
    }
    /// The next axis of x, of `size` elements.
    void add(extent size, const axis_slice& part) {
        if (walk_empty_ || size == 0 || part.count == 0) {
            walk_empty_ = true;
            return;
        }
        behind_x_ /= size;
        behind_y_ /= part.count;
        offset_ += part.begin * behind_x_;
        walk_.add(part.count, part.stride * behind_x_, behind_y_);
    }
    template <class T>
    void forward(const T* x, T* y, thread_pool* threads) const noexcept {
        if (!walk_empty_) kernels::copy_strided(walk_, x + offset_, y, threads);
    }
    /// The other way round: y comes to lie in x, where what is besides the box stays.
    template <class T>
    void put(const T* y, T* x, thread_pool* threads) const noexcept {
        if (!walk_empty_) kernels::copy_strided(walk_.reversed(), y, x + offset_, threads);
    }
    template <class T>
    void put_backward(const T* dx, T* dy, thread_pool* threads) const noexcept {
        if (!walk_empty_) kernels::accumulate_strided(walk_, dx + offset_, dy, threads);
    }
    template <class T>
    void backward(const T* dy, T* dx, thread_pool* threads) const noexcept {
        if (!walk_empty_) kernels::accumulate_strided(walk_.reversed(), dy, dx + offset_, threads);
    }

private:
    kernels::strided_walk walk_;
    extent behind_x_, behind_y_, offset_ = 0;
    bool walk_empty_ = false;
};

}  // namespace detail

/// y = x[begin_ids[0]:end_ids[0]:strides[0], ...], as Python reads it: negative bounds count from the end, bounds
/// outside are brought to the edge, strides may be negative, and y may be empty.
///
/// One value an axis in each list. An axis whose begin_mask is true has no begin, one whose end_mask is true no end.
/// One whose squeeze_mask is true is taken at begin_ids alone, which must be in it, and is not an axis of y; where none
/// is left, y is [1]. Masks that are not given are false, strides 1.
/// Core ML specification, SliceStaticLayerParams.
struct slice_static {
    using flags = list<bool, max_rank>;

    shape begin_ids{};
    flags begin_masks{};
    shape end_ids{};
    flags end_masks{};
    shape strides{};
    flags squeeze_masks{};

    static constexpr auto key = "sliceStatic";
    constexpr void fields(auto& field) {
        field("beginIds", begin_ids);
        field("beginMasks", begin_masks);
        field("endIds", end_ids);
        field("endMasks", end_masks);
        field("strides", strides);
        field("squeezeMasks", squeeze_masks);
    }
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(const shape& x) const {
        const auto wrong = [&](std::string_view name, std::size_t size, bool optional) {
            return size != x.rank() && !(optional && size == 0)
                       ? value_fault("a value of ", name, " for each axis wanted, ", size, " given for the shape ", x)
                       : fault{};
        };
        for (const fault& f : {wrong("beginIds", begin_ids.rank(), false), wrong("endIds", end_ids.rank(), false),
                               wrong("strides", strides.rank(), true),
                               wrong("beginMasks", begin_masks.size(), true),
                               wrong("endMasks", end_masks.size(), true),
                               wrong("squeezeMasks", squeeze_masks.size(), true)})
            if (!f.what.view().empty()) return f;
        shape y;
        for (std::size_t axis = 0; axis < x.rank(); ++axis) {
            const extent size = x[axis];
            if (is(squeeze_masks, axis)) {
                if (begin_ids[axis] < -size || begin_ids[axis] >= size)
                    return value_fault("an element of axis ", axis, " wanted, beginIds ", begin_ids,
                                       " given for the shape ", x);
                continue;
            }
            if (strides.rank() > 0 && strides[axis] == 0)
                return value_fault("strides other than 0 wanted, ", strides, " given");
            y.push_back(part(axis, size).count);
        }
        if (y.rank() == 0 && x.rank() > 0) y.push_back(1);
        return y;
    }
    /// Where they are counted from the first.
    constexpr extent entries_read(const shape& x) const {
        const std::size_t axis = entry_axis(x);
        if (axis == x.rank()) return 1;
        const detail::axis_slice p = part(axis, x[axis]);
        const bool squeezed = is(squeeze_masks, axis), has_begin = squeezed || !is(begin_masks, axis),
                   has_end = squeezed || (!is(end_masks, axis) && end_ids[axis] >= 0);
        if ((has_begin && begin_ids[axis] < 0) || !has_end || p.stride < 0) return x[axis];
        return std::max<extent>(p.begin + (p.count - 1) * p.stride + 1, 1);
    }
    /// Of a vector.
    constexpr std::vector<double> known_output(std::span<const shape> xs, std::span<const known_values> known) const {
        std::vector<double> y;
        const known_values x = known_input(known, 0);
        if (!x || xs[0].rank() != 1) return y;
        const detail::axis_slice p = part(0, xs[0][0]);
        for (extent i = 0; i < p.count; ++i) y.push_back((*x)[static_cast<std::size_t>(p.begin + i * p.stride)]);
        return y;
    }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        box(x.dimensions, y.dimensions, x.examples).forward(x.data, y.data, w.threads);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X, Y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        if (dx) box(dx.dimensions, dy.dimensions, dx.examples).backward(dy.data, dx.data, w.threads);
    }
    friend bool operator==(const slice_static&, const slice_static&) = default;

private:
    static constexpr bool is(const flags& masks, std::size_t axis) { return !masks.empty() && masks[axis]; }
    constexpr detail::axis_slice part(std::size_t axis, extent size) const {
        const extent begin = begin_ids[axis];
        if (is(squeeze_masks, axis)) return {begin < 0 ? begin + size : begin, 1, 1};
        return detail::slice_of(size, begin, is(begin_masks, axis), end_ids[axis], is(end_masks, axis),
                                strides.rank() > 0 ? strides[axis] : 1);
    }
    detail::sliced_box box(const shape& x, const shape& y, extent examples) const {
        detail::sliced_box b(x, y, examples);
        for (std::size_t axis = 0; axis < x.rank(); ++axis) b.add(x[axis], part(axis, x[axis]));
        return b;
    }
};

enum class slice_axis { channel, height, width };
constexpr std::array<std::string_view, 3> enumerators(slice_axis) {
    return {"CHANNEL_AXIS", "HEIGHT_AXIS", "WIDTH_AXIS"};
}

/// Every stride-th element of [start_index, end_index) along one axis of x [.., C, H, W]; negative indices count from
/// the end, those outside are brought to the edge. `height` needs rank 2 only, `width` rank 1.
/// Core ML specification, SliceLayerParams. It does not say what an end_index of 0 means, which also is one that is not
/// given; Core ML's check of a model takes it, like the negative ones, as counted from the end.
struct slice {
    extent start_index = 0;
    extent end_index = 0;  ///< 0: to the end
    extent stride = 1;
    slice_axis axis = slice_axis::channel;

    static constexpr auto key = "slice";
    constexpr void fields(auto& field) {
        field("startIndex", start_index);
        field("endIndex", end_index);
        field("stride", stride);
        field("axis", axis);
    }

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() < back())
            return shape_fault("an input of rank ", back(), " or more wanted, its shape is ", x);
        if (stride < 1) return value_fault("a stride from 1 up wanted, ", stride, " given");
        return equivalent(x).output_shape(x);
    }
    constexpr slice_static equivalent(const shape& x) const {
        slice_static all;
        for (std::size_t a = 0; a < x.rank(); ++a) {
            const bool here = a + back() == x.rank();
            all.begin_ids.push_back(here ? start_index : 0);
            all.end_ids.push_back(here && end_index != 0 ? end_index : x[a]);
            all.strides.push_back(here ? stride : 1);
        }
        return all;
    }
    friend bool operator==(const slice&, const slice&) = default;

private:
    constexpr std::size_t back() const { return 3 - static_cast<std::size_t>(axis); }
};

}  // namespace bespoke
