#include <bespoke/kernels/suppression.hpp>

#include <catch2/catch.hpp>

#include <vector>

using namespace bespoke;

namespace {

/// Boxes on a line, each `step` further than the one before, of width 1; the first has the highest score.
template <class T>
std::vector<T> chosen(extent n, extent most, double step, double iou) {
    std::vector<T> boxes, scores, places(static_cast<std::size_t>(most)),
        scratch(static_cast<std::size_t>(kernels::suppression_scratch<T>(n, most)));
    for (extent i = 0; i < n; ++i) {
        boxes.insert(boxes.end(), {static_cast<T>(static_cast<double>(i) * step), T(0), T(1), T(1)});
        scores.push_back(static_cast<T>(n - i));
    }
    const extent count = kernels::suppress({.boxes = n, .classes = 1, .most = most, .iou_threshold = iou},
                                           boxes.data(), scores.data(), places.data(), scratch.data());
    places.resize(static_cast<std::size_t>(count));
    return places;
}

template <class T>
void compare_kept() {
    for (extent n : {1, 2, 15, 16, 17, 33, 300})
        for (extent most : {extent{1}, extent{3}, extent{16}, extent{17}, n, n + 5}) {
            CAPTURE(n, most);
            // a step of 0.25: neighbours share 3 of 5, the next ones 1 of 3, the ones after that 1 of 7
            for (const auto& [iou, every] :
                 std::vector<std::pair<double, extent>>{{0.65, 1}, {0.5, 2}, {0.2, 3}, {0.1, 4}, {0, 4}}) {
                std::vector<T> expected;
                for (extent i = 0; i < n && static_cast<extent>(expected.size()) < most; i += every)
                    expected.push_back(static_cast<T>(i));
                REQUIRE(chosen<T>(n, most, 0.25, iou) == expected);
            }
        }
}

}  // namespace

TEST_CASE("suppression: which boxes stay, for every number of them") {
    compare_kept<float>();
    compare_kept<double>();
}
