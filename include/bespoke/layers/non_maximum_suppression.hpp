#pragma once

#include "../core/concepts.hpp"
#include "../kernels/suppression.hpp"
#include "number_input.hpp"

namespace bespoke {

/// Of boxes that overlap the one with the highest score.
///
/// boxes [B, N, 4] (centre x, y, width, height) and scores [B, N, C] -> the boxes that stay [B, max_boxes, 4], the
/// highest score first, their scores [B, max_boxes, C], their indices [B, max_boxes], and how many they are [B];
/// behind them boxes and scores of 0 and the index -1.
///
/// A box has the score of its best class. One below score_threshold goes; one goes if the area that it shares with one
/// that stays is more than iou_threshold of the area that both cover, with per_class_suppression only if both have the
/// same best class. If none would stay, the one with the highest score does. NaN is no score; of equal scores the
/// first comes first. Gradients go to the boxes and scores that stay. Core ML specification,
/// NonMaximumSuppressionLayerParams. The thresholds may also come as one number each in a third and fourth input, and
/// max_boxes, which decides the shapes, in a fifth.
struct non_maximum_suppression {
    float iou_threshold = 0;
    float score_threshold = 0;
    extent max_boxes = 0;
    bool per_class_suppression = false;

    static constexpr auto key = "NonMaximumSuppression";
    constexpr void fields(auto& field) {
        field("iouThreshold", iou_threshold, field_floats::any);
        field("scoreThreshold", score_threshold, field_floats::any);
        field("maxBoxes", max_boxes);
        field("perClassSuppression", per_class_suppression);
    }
    static constexpr input_count inputs{2, 5};
    static constexpr std::size_t values_from = 4;
    static constexpr backward_needs needs{.input = false, .output = true};

    constexpr outcome planned_shape(std::span<const shape> xs, std::span<const known_values> known) const {
        const shape &boxes = xs[0], &scores = xs[1];
        if (boxes.rank() != 3 || boxes[1] < 1 || boxes[2] != 4)
            return shape_fault("boxes [B, N, 4], N from 1 up, wanted, their shape is ", boxes);
        if (scores.rank() != 3 || scores[0] != boxes[0] || scores[1] != boxes[1] || scores[2] < 1)
            return shape_fault("scores [B, N, C] wanted for boxes of the shape ", boxes, ", theirs is ",
                               scores);
        for (std::size_t i = 2; i < std::min<std::size_t>(xs.size(), 4); ++i)
            for (extent e : xs[i])
                if (e != 1)
                    return shape_fault("one number wanted as a threshold, input ", i, " has the shape ",
                                       xs[i]);
        if (boxes[1] > kernels::most_boxes)
            return shape_fault("at most ", kernels::most_boxes, " boxes wanted, their shape is ", boxes);
        extent most = max_boxes;
        const known_values value = known_input(known, 4);
        if (xs.size() > 4) {
            if (const auto wrong = detail::check_numbers("maxBoxes", xs[4], 1, 1, value)) return *wrong;
            most = value ? detail::numbers_of(*value)[0] : unset;
        }
        if (most < 1 && (xs.size() < 5 || value)) return value_fault("maxBoxes from 1 up wanted, ", most, " given");
        const extent batch = boxes[0];
        return std::vector<shape>{{batch, most, 4}, {batch, most, scores[2]}, {batch, most}, {batch}};
    }
    constexpr outcome output_shape(std::span<const shape> xs) const { return planned_shape(xs, {}); }
    template <class T>
    extent scratch_size(std::span<const shape> xs, extent, extent threads) const {
        return std::min(threads, xs[0][0]) *
               kernels::suppression_scratch<T>(xs[0][1], xs.size() > 4 ? xs[0][1] : max_boxes);
    }
    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        using T = typename Ys::value_type::value_type;
        const extent batch = xs[0][0], n = xs[0][1], classes = xs[1][2], most = ys[2][1];
        const kernels::suppression how{.boxes = n,
                                       .classes = classes,
                                       .most = most,
                                       .iou_threshold = xs.size() > 2 ? static_cast<double>(*xs[2].data)
                                                                      : static_cast<double>(iou_threshold),
                                       .score_threshold = xs.size() > 3
                                                              ? static_cast<double>(*xs[3].data)
                                                              : static_cast<double>(score_threshold),
                                       .per_class = per_class_suppression};
        const extent workers =
            w.threads == nullptr ? 1 : std::min(static_cast<extent>(w.threads->size()), batch);
        parallel_for(w.threads, workers, 1, [&](extent begin, extent end) {
            for (extent worker = begin; worker < end; ++worker)
                for (extent b = batch * worker / workers; b < batch * (worker + 1) / workers; ++b) {
                    const T *boxes = xs[0].data + b * n * 4, *scores = xs[1].data + b * n * classes;
                    T *to = ys[0].data + b * most * 4, *score_to = ys[1].data + b * most * classes,
                      *chosen = ys[2].data + b * most;
                    const extent count =
                        kernels::suppress(how, boxes, scores, chosen,
                                          w.scratch + worker * kernels::suppression_scratch<T>(n, most));
                    for (extent k = 0; k < count; ++k) {
                        const auto i = static_cast<extent>(chosen[k]);
                        kernels::copy(extent{4}, boxes + i * 4, to + k * 4);
                        kernels::copy(classes, scores + i * classes, score_to + k * classes);
                    }
                    const extent rest = most - count;
                    kernels::fill(rest * 4, T(0), to + count * 4);
                    kernels::fill(rest * classes, T(0), score_to + count * classes);
                    kernels::fill(rest, T(-1), chosen + count);
                    ys[3].data[b] = static_cast<T>(count);
                }
        });
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs, Ys ys, Dys dys, Dxs dxs, const P&, const Dp&, W&) const noexcept {
        const extent most = ys[2][1];
        for (std::size_t input = 0; input < 2; ++input) {
            const auto& dx = dxs[input];
            const auto& dy = dys[input];
            if (!dx || !dy) continue;
            const extent n = dx[1], size = dx[2];
            for (extent b = 0; b < dx[0]; ++b)
                for (extent k = 0; k < static_cast<extent>(ys[3].data[b]); ++k) {
                    const auto i = static_cast<extent>(ys[2].data[b * most + k]);
                    kernels::accumulate(size, dy.data + (b * most + k) * size,
                                        dx.data + (b * n + i) * size);
                }
        }
    }
    friend bool operator==(const non_maximum_suppression&, const non_maximum_suppression&) = default;
};

}  // namespace bespoke
