#include <bespoke/layers/non_maximum_suppression.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

#include <algorithm>
#include <numeric>

using namespace bespoke;
using namespace layer_test;

namespace {

/// Area shared over area covered, in double.
double overlap(const double* a, const double* b) {
    const auto side = [&](int axis) {
        const double low = std::max(a[axis] - a[axis + 2] / 2, b[axis] - b[axis + 2] / 2);
        const double high = std::min(a[axis] + a[axis + 2] / 2, b[axis] + b[axis + 2] / 2);
        return std::max(0.0, high - low);
    };
    const double both = side(0) * side(1);
    return both / (a[2] * a[3] + b[2] * b[3] - both);
}

/// The indices that stay: every box is compared with every one that stays, in the order of a stable sort.
std::vector<extent> staying(const non_maximum_suppression& layer, extent n, extent classes,
                            const std::vector<double>& boxes, const std::vector<double>& scores) {
    std::vector<double> best;
    std::vector<extent> label, order(static_cast<std::size_t>(n)), kept;
    for (extent i = 0; i < n; ++i) {
        const auto begin = scores.begin() + i * classes;
        const auto at = std::max_element(begin, begin + classes);
        best.push_back(*at);
        label.push_back(at - begin);
    }
    const auto at = [](extent i) { return static_cast<std::size_t>(i); };
    std::iota(order.begin(), order.end(), extent{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](extent a, extent b) { return best[at(a)] > best[at(b)]; });
    for (extent i : order) {
        if (best[at(i)] < static_cast<double>(layer.score_threshold)) continue;
        bool free = static_cast<extent>(kept.size()) < layer.max_boxes;
        for (extent k : kept)
            if (!layer.per_class_suppression || label[at(k)] == label[at(i)])
                free = free && !(overlap(&boxes[at(4 * i)], &boxes[at(4 * k)]) >
                                 static_cast<double>(layer.iou_threshold));
        if (free) kept.push_back(i);
    }
    if (kept.empty()) kept.push_back(order[0]);
    return kept;
}

const std::vector<float> three_boxes{1, 1, 2, 2, 1, 1.5f, 2, 2, 5, 5, 2, 2};

}  // namespace

TEST_CASE("non_maximum_suppression: by hand") {
    // the first two share 3 of 5
    const std::vector<blob<float>> x{{{1, 3, 4}, three_boxes}, {{1, 3, 1}, {0.5f, 0.9f, 0.7f}}};
    auto got = evaluate<float>(non_maximum_suppression{.iou_threshold = 0.5f, .max_boxes = 3}, x);
    REQUIRE(got.shapes == std::vector<shape>{{1, 3, 4}, {1, 3, 1}, {1, 3}, {1}});
    REQUIRE(got.values[0] == std::vector<float>{1, 1.5f, 2, 2, 5, 5, 2, 2, 0, 0, 0, 0});
    REQUIRE(got.values[1] == std::vector<float>{0.9f, 0.7f, 0});
    REQUIRE(got.values[2] == std::vector<float>{1, 2, -1});
    REQUIRE(got.values[3] == std::vector<float>{2});
    // exactly the threshold's part is not too much
    got = evaluate<float>(non_maximum_suppression{.iou_threshold = 0.6f, .max_boxes = 3}, x);
    REQUIRE(got.values[2] == std::vector<float>{1, 2, 0});
    got = evaluate<float>(non_maximum_suppression{.iou_threshold = 0.6f, .max_boxes = 1}, x);
    REQUIRE(got.values[2] == std::vector<float>{1});
    // none is left: the best one all the same
    got = evaluate<float>(non_maximum_suppression{.score_threshold = 2, .max_boxes = 2}, x);
    REQUIRE(got.values[2] == std::vector<float>{1, -1});
    REQUIRE(got.values[3] == std::vector<float>{1});
    REQUIRE(got.values[0] == std::vector<float>{1, 1.5f, 2, 2, 0, 0, 0, 0});
}

TEST_CASE("non_maximum_suppression: classes, thresholds as inputs") {
    const blob<float> boxes{{1, 3, 4}, three_boxes}, scores{{1, 3, 2}, {0.5f, 0.1f, 0.2f, 0.9f, 0.7f, 0}};
    non_maximum_suppression layer{.iou_threshold = 0.5f, .max_boxes = 3};
    REQUIRE(evaluate<float>(layer, {boxes, scores}).values[2] == std::vector<float>{1, 2, -1});
    layer.per_class_suppression = true;
    const auto got = evaluate<float>(layer, {boxes, scores});
    REQUIRE(got.values[2] == std::vector<float>{1, 2, 0});
    REQUIRE(got.values[1] == std::vector<float>{0.2f, 0.9f, 0.7f, 0, 0.5f, 0.1f});
    layer = {.max_boxes = 3};
    REQUIRE(evaluate<float>(layer, {boxes, scores, {{1}, {0.7f}}}).values[3] == std::vector<float>{3});
    REQUIRE(evaluate<float>(layer, {boxes, scores, {{1}, {0.7f}}, {{1}, {0.6f}}}).values[2] ==
            std::vector<float>{1, 2, -1});
}

TEST_CASE("non_maximum_suppression: as a comparison of all with all") {
    for (const auto& [batch, n, classes, most] : std::vector<std::array<extent, 4>>{
             {1, 1, 1, 1}, {2, 30, 1, 7}, {3, 60, 4, 60}, {1, 200, 2, 100}, {2, 17, 3, 40}})
        for (bool per_class : {false, true})
            for (float threshold : {0.0f, 0.3f, 0.8f}) {
                CAPTURE(n, classes, most, per_class, threshold);
                const non_maximum_suppression layer{threshold, 0.1f, most, per_class};
                const extent examples = 2, count = examples * batch;
                std::vector<double> boxes = numbers<double>(count * n * 4),
                                    scores = numbers<double>(count * n * classes, 2);
                for (std::size_t i = 0; i < boxes.size(); ++i)
                    boxes[i] = i % 4 < 2 ? 3 * boxes[i] : std::abs(boxes[i]) + 0.2;
                for (double& s : scores) s = std::round(s * 50) / 50;  // some are equal
                const auto got =
                    evaluate<double>(layer, {{{batch, n, 4}, boxes}, {{batch, n, classes}, scores}});
                std::vector<double> chosen, counts;
                for (extent b = 0; b < count; ++b) {
                    const auto kept = staying(
                        layer, n, classes, {boxes.begin() + b * n * 4, boxes.begin() + (b + 1) * n * 4},
                        {scores.begin() + b * n * classes, scores.begin() + (b + 1) * n * classes});
                    for (extent k = 0; k < most; ++k)
                        chosen.push_back(k < static_cast<extent>(kept.size())
                                             ? static_cast<double>(kept[static_cast<std::size_t>(k)])
                                             : -1);
                    counts.push_back(static_cast<double>(kept.size()));
                }
                REQUIRE(got.values[2] == chosen);
                REQUIRE(got.values[3] == counts);
                for (extent b = 0; b < count; ++b)
                    for (extent k = 0; k < most; ++k) {
                        const auto i = static_cast<extent>(chosen[static_cast<std::size_t>(b * most + k)]);
                        for (extent c = 0; c < 4; ++c)
                            REQUIRE(got.values[0][static_cast<std::size_t>((b * most + k) * 4 + c)] ==
                                    (i < 0 ? 0 : boxes[static_cast<std::size_t>((b * n + i) * 4 + c)]));
                        for (extent c = 0; c < classes; ++c)
                            REQUIRE(
                                got.values[1][static_cast<std::size_t>((b * most + k) * classes + c)] ==
                                (i < 0 ? 0 : scores[static_cast<std::size_t>((b * n + i) * classes + c)]));
                    }
            }
}

TEST_CASE("non_maximum_suppression: max_boxes from a fifth input") {
    non_maximum_suppression layer{.iou_threshold = 0.5F};
    std::vector<float> boxes, scores;
    for (int i = 0; i < 5; ++i) {
        boxes.insert(boxes.end(), {static_cast<float>(3 * i), 0, 1, 1});
        scores.push_back(static_cast<float>(i + 1));
    }
    for (float most : {1.0F, 3.0F, 9.0F}) {
        layer.max_boxes = static_cast<extent>(most);
        const auto field = evaluate<float>(layer, {{{1, 5, 4}, boxes}, {{1, 5, 1}, scores}});
        layer.max_boxes = 0;
        REQUIRE(same_bits(field, evaluate<float>(layer, {{{1, 5, 4}, boxes},
                                                         {{1, 5, 1}, scores},
                                                         {{1}, {0.5F}},
                                                         {{1}, {0}},
                                                         {{1}, {most}}})));
    }
    REQUIRE(failure([&] {
                evaluate<float>(layer, {{{1, 5, 4}, boxes}, {{1, 5, 1}, scores}, {{1}, {0}}, {{1}, {0}}, {{1}, {-1}}});
            }) == "layers/0 \"layer\" (NonMaximumSuppression): maxBoxes from 1 up wanted, -1 given");
}

TEST_CASE("non_maximum_suppression: numbers that are none") {
    const float nan = std::numeric_limits<float>::quiet_NaN(),
                infinity = std::numeric_limits<float>::infinity();
    const non_maximum_suppression layer{.iou_threshold = 0.5f, .score_threshold = -infinity, .max_boxes = 3};
    const auto chosen = [&](const std::vector<float>& boxes, const std::vector<float>& scores) {
        return evaluate<float>(layer, {{{1, 3, 4}, boxes}, {{1, 3, 1}, scores}}).values[2];
    };
    REQUIRE(chosen(three_boxes, {nan, 0.1f, infinity}) == std::vector<float>{2, 1, -1});
    REQUIRE(chosen(three_boxes, {nan, nan, nan}) == std::vector<float>{0, -1, -1});
    REQUIRE(chosen(std::vector<float>(12, nan), {1, 2, 3}) == std::vector<float>{2, 1, 0});
    REQUIRE(chosen(std::vector<float>(12, 0), {1, 2, 3}) ==
            std::vector<float>{2, 1, 0});  // no area, no overlap
    REQUIRE(chosen(std::vector<float>(12, infinity), {1, 2, 3}) == std::vector<float>{2, 1, 0});
    REQUIRE(
        evaluate<float>(layer, {{{1, 3, 4}, three_boxes}, {{1, 3, 2}, {nan, 0.3f, 0.2f, nan, 0.1f, 0.1f}}})
            .values[2] == std::vector<float>{0, 2, -1});
}

TEST_CASE("non_maximum_suppression: gradients go to the boxes and scores that stay") {
    for (float score : {-1.0f, 0.2f, 2.0f})
        for (bool per_class : {false, true})
            require_gradients(non_maximum_suppression{0.3f, score, 4, per_class}, {{2, 6, 4}, {2, 6, 2}},
                              {.low = 0.1});
}

TEST_CASE("non_maximum_suppression: faults") {
    const std::string place = "layers/0 \"layer\" (NonMaximumSuppression): ";
    const non_maximum_suppression layer{.max_boxes = 2};
    for (const shape& s : {shape{3, 4}, shape{1, 3, 5}, shape{1, 0, 4}})
        REQUIRE(fault_of(layer, {s, {1, 3, 1}}) ==
                place + "boxes [B, N, 4], N from 1 up, wanted, their shape is " +
                    std::string(sentence(s).view()));
    for (const shape& s : {shape{1, 3}, shape{1, 2, 1}, shape{2, 3, 1}, shape{1, 3, 0}})
        REQUIRE(fault_of(layer, {{1, 3, 4}, s}) ==
                place + "scores [B, N, C] wanted for boxes of the shape [1, 3, 4], theirs is " +
                    std::string(sentence(s).view()));
    REQUIRE(fault_of(layer, {{1, 3, 4}, {1, 3, 1}, {1}, {2}}) ==
            place + "one number wanted as a threshold, input 3 has the shape [2]");
    REQUIRE(fault_of(layer, {{1, 3, 4}, {1, 3, 1}, {1}, {1}, {2}}) ==
            place + "an input of 1 number wanted for maxBoxes, its shape is [2]");
    REQUIRE(fault_of(layer, {{1, 1 << 25, 4}, {1, 1 << 25, 1}}) ==
            place + "at most 16777216 boxes wanted, their shape is [1, 33554432, 4]");
    REQUIRE(fault_of(non_maximum_suppression{}, {{1, 3, 4}, {1, 3, 1}}) ==
            place + "maxBoxes from 1 up wanted, 0 given");
    for (extent most : hostile_extents()) {
        ask_everything(non_maximum_suppression{.max_boxes = most});
        for (extent n : {1, 3})
            for (extent c : hostile_extents())
                plan_of(non_maximum_suppression{.max_boxes = most}, {{2, n, 4}, {2, n, c}});
    }
}

namespace {
inline constexpr auto picked = compose(input{"boxes", {1, 3, 4}}, input{"scores", {1, 3, 1}},
                                       non_maximum_suppression{.iou_threshold = 0.5f, .max_boxes = 2} |
                                           from("boxes", "scores") | to("b", "s", "i", "n"),
                                       output{"i"});
}  // namespace

TEST_CASE("non_maximum_suppression: composed") {
    network<picked> net;
    REQUIRE(net(three_boxes, std::vector<float>{0.5f, 0.9f, 0.7f})(0, 1) == 2);
}
