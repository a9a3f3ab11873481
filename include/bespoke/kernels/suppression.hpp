#pragma once

#include "selection.hpp"

namespace bespoke::kernels {

/// Their indices are then exact in float.
inline constexpr extent most_boxes = extent{1} << 24;

/// How boxes that cover the same thing are reduced to one.
struct suppression {
    extent boxes = 0, classes = 0;
    extent most = 0;  ///< boxes that may stay
    double iou_threshold = 0, score_threshold = 0;
    bool per_class = false;  ///< a box is in the way of those of its class only
};

namespace detail {

/// Boxes that stay, corner by corner, so that one is compared with many at once.
template <class T>
struct kept_boxes {
    T *left, *top, *right, *bottom, *area, *label;

    /// Elements of each list: whole batches.
    static constexpr extent room(extent most) { return (most + lanes<T> - 1) / lanes<T> * lanes<T>; }
    static constexpr std::size_t lists = 6;

    kept_boxes(T* memory, extent most) {
        for (T** list : {&left, &top, &right, &bottom, &area, &label}) {
            *list = memory;
            // No area, no overlap: such a lane suppresses nothing.
            fill(room(most), list == &area ? std::numeric_limits<T>::quiet_NaN() : T(0), memory);
            memory += room(most);
        }
    }
    /// box: centre x, y, width, height.
    void add(extent i, const T* box, T of_class) const {
        left[i] = box[0] - box[2] / 2;
        top[i] = box[1] - box[3] / 2;
        right[i] = box[0] + box[2] / 2;
        bottom[i] = box[1] + box[3] / 2;
        area[i] = box[2] * box[3];
        label[i] = of_class;
    }
    /// Whether one of the first n covers number n to more than `limit` of both.
    bool covers(extent n, T limit, bool per_class) const noexcept {
        const batch<T> l(left[n]), t(top[n]), r(right[n]), b(bottom[n]), own(area[n]), of_class(label[n]),
            most(limit), zero(T(0));
        for (extent i = 0; i < n; i += lanes<T>) {
            const batch<T> width =
                kernels::max(zero, kernels::min(r, load(right + i)) - kernels::max(l, load(left + i)));
            const batch<T> height =
                kernels::max(zero, kernels::min(b, load(bottom + i)) - kernels::max(t, load(top + i)));
            const batch<T> both = width * height;
            auto over = both / (load(area + i) + own - both) > most;
            if (per_class) over = over & (load(label + i) == of_class);
            if (!simd::any(over)) continue;
            for (extent j = i; j < std::min(i + lanes<T>, n); ++j)
                if (over.get(static_cast<std::size_t>(j - i))) return true;
        }
        return false;
    }
};

}  // namespace detail

/// Elements of `suppress`'s scratch.
template <class T>
constexpr extent suppression_scratch(extent boxes, extent most) {
    using kept = detail::kept_boxes<T>;
    return 6 * boxes + static_cast<extent>(kept::lists) * kept::room(std::min(boxes, most) + 1);
}

/// Writes the indices of the boxes that stay, the highest score first, and gives their number, 1 to `most`.
///
/// boxes [n, 4]: centre x, y, width, height. scores [n, classes]: a box's is its largest and names its class. A box
/// whose score is below the threshold goes; of the others one after the other, the highest score first, goes if the
/// area that it shares with one that stays is more than the threshold's part of what both cover. If none is left the
/// one with the highest score stays. NaN is no score. There is a box, and no more than `most_boxes`.
template <class T>
extent suppress(const suppression& how, const T* boxes, const T* scores, T* chosen, T* scratch) noexcept {
    const extent n = how.boxes, most = std::min(how.most, n);
    T *const candidates = scratch, *const numbers = scratch + n;
    auto* const order =
        ::new (static_cast<void*>(scratch + 2 * n)) ranked<T>[static_cast<std::size_t>(2 * n)];
    const auto best_class = [&](extent i) {
        extent best = 0;
        const T* of_box = scores + i * how.classes;
        for (extent c = 1; c < how.classes; ++c)
            if (of_box[c] > of_box[best] || (is_nan(of_box[best]) && !is_nan(of_box[c]))) best = c;
        return best;
    };
    extent left = 0, highest = 0;
    T top = std::numeric_limits<T>::quiet_NaN();
    for (extent i = 0; i < n; ++i) {
        const T score = scores[i * how.classes + best_class(i)];
        if (score > top || (is_nan(top) && !is_nan(score))) {
            top = score;
            highest = i;
        }
        if (!(score >= static_cast<T>(how.score_threshold))) continue;
        candidates[left] = score;
        numbers[left++] = static_cast<T>(i);
    }
    detail::rank_line(left, left, ranking::largest, candidates, order);
    const detail::kept_boxes<T> kept(scratch + 6 * n, most + 1);
    extent count = 0;
    for (extent k = 0; k < left && count < most; ++k) {
        const auto i = static_cast<extent>(numbers[order[k].index]);
        kept.add(count, boxes + 4 * i, static_cast<T>(best_class(i)));
        if (!kept.covers(count, static_cast<T>(how.iou_threshold), how.per_class))
            chosen[count++] = static_cast<T>(i);
    }
    if (count == 0) chosen[count++] = static_cast<T>(highest);
    return count;
}

}  // namespace bespoke::kernels
