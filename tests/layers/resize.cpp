#include <bespoke/layers/resize.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

#include <functional>

using namespace bespoke;
using namespace layer_test;

namespace {

using floats = std::vector<float>;
using points = std::vector<double>;

/// N points from start to end.
points linspace(double start, double end, extent n) {
    points all;
    for (extent i = 0; i < n; ++i)
        all.push_back(n == 1 ? start : start + (end - start) * static_cast<double>(i) / static_cast<double>(n - 1));
    return all;
}
/// As SamplingMode of the specification words it, on an axis of X elements.
points sampling_points(sampling_method method, double x, extent n) {
    const double spacing = std::max(1.0, x - 1) / static_cast<double>(n);
    switch (method) {
        case sampling_method::strict_align_endpoints_mode:
            return linspace(0, x - 1, n);
        case sampling_method::align_endpoints_mode:
            return n == 1 ? points{(x - 1) / 2} : linspace(0, x - 1, n);
        case sampling_method::upsample_mode:
            return linspace(0, x - x / static_cast<double>(n), n);
        default:
            return linspace(0.5 * spacing, 0.5 * spacing + static_cast<double>(n - 1) * spacing, n);
    }
}
/// As LinearUpsampleMode words it.
points upsample_points(linear_points mode, double x, extent n) {
    points all;
    for (extent i = 0; i < n; ++i) {
        const double at = static_cast<double>(i), last = static_cast<double>(n - 1), count = static_cast<double>(n);
        if (mode == linear_points::align_corners_false)
            all.push_back(at * (x / count) + 0.5 * (x / count) - 0.5);
        else if (n == 1)
            all.push_back(0);
        else
            all.push_back(at * (mode == linear_points::default_mode ? (x - x / count) / last : (x - 1) / last));
    }
    return all;
}
/// x [planes, h, w] at these points of its axes.
points interpolated(const floats& x, extent planes, extent h, extent w, const points& rows, const points& columns) {
    points y;
    for (extent p = 0; p < planes; ++p)
        for (double at_row : rows)
            for (double at_column : columns) {
                const auto inside = [](double at, extent size) {
                    return std::min(std::max(at, 0.0), static_cast<double>(size - 1));
                };
                const double r = inside(at_row, h), c = inside(at_column, w);
                double sum = 0;
                for (extent i = 0; i < h; ++i)
                    for (extent j = 0; j < w; ++j)
                        sum += std::max(0.0, 1 - std::abs(r - static_cast<double>(i))) *
                               std::max(0.0, 1 - std::abs(c - static_cast<double>(j))) *
                               static_cast<double>(x[static_cast<std::size_t>((p * h + i) * w + j)]);
                y.push_back(sum);
            }
    return y;
}

constexpr sampling_method all_methods[] = {sampling_method::strict_align_endpoints_mode,
                                           sampling_method::align_endpoints_mode, sampling_method::upsample_mode,
                                           sampling_method::roi_align_mode};
constexpr linear_points all_points[] = {linear_points::default_mode, linear_points::align_corners_true,
                                        linear_points::align_corners_false};
const std::vector<std::array<extent, 4>> sizes{{1, 1, 3, 4}, {3, 5, 1, 1}, {3, 5, 3, 5},    {2, 3, 7, 40},
                                               {9, 8, 4, 3}, {1, 6, 5, 2}, {50, 41, 60, 33}};

}  // namespace

TEST_CASE("resize_bilinear: values") {
    for (const auto& [h, w, to_h, to_w] : sizes)
        for (sampling_method method : all_methods) {
            CAPTURE(h, w, to_h, to_w, static_cast<int>(method));
            const resize_bilinear layer{.target_size = {to_h, to_w}, .mode = {method}};
            const floats x = numbers<float>(2 * 3 * h * w);
            const auto got = evaluate<float>(layer, {{{3, h, w}, x}});
            REQUIRE(got.dimensions() == shape{3, to_h, to_w});
            const points expected = interpolated(x, 6, h, w, sampling_points(method, static_cast<double>(h), to_h),
                                                 sampling_points(method, static_cast<double>(w), to_w));
            REQUIRE(distance(got.first(), expected) < 2e-5);
        }
    const floats x{1, 2, 3, 4};
    REQUIRE(evaluate<float>(resize_bilinear{}, {{{1, 2, 2}, x}}).first() == floats{1});
    REQUIRE(
        evaluate<float>(resize_bilinear{.mode = {sampling_method::align_endpoints_mode}}, {{{1, 2, 2}, x}}).first() ==
        floats{2.5f});
    REQUIRE(evaluate<float>(resize_bilinear{.target_size = {1, 3}}, {{{1, 1, 2, 2}, x}}).first() == floats{1, 1.5f, 2});
    REQUIRE(evaluate<float>(resize_bilinear{.target_size = {4, 5}}, {{{0, 2, 2}, {}}}).dimensions() == shape{0, 4, 5});
}

TEST_CASE("upsample: values") {
    const floats x{1, 2, 3, 4};
    const auto twice = [&](interpolation_mode mode, linear_points how) {
        return evaluate<float>(upsample{.scaling_factor = {2, 2}, .mode = mode, .linear_upsample_mode = how},
                               {{{1, 2, 2}, x}})
            .first();
    };
    REQUIRE(twice(interpolation_mode::nearest_neighbour, linear_points::default_mode) ==
            floats{1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4});
    // the documentation of torch.nn.Upsample
    REQUIRE(distance(twice(interpolation_mode::bilinear, linear_points::align_corners_false),
                     {1, 1.25, 1.75, 2, 1.5, 1.75, 2.25, 2.5, 2.5, 2.75, 3.25, 3.5, 3, 3.25, 3.75, 4}) < 1e-6);
    REQUIRE(distance(twice(interpolation_mode::bilinear, linear_points::align_corners_true),
                     {1, 1.3333, 1.6667, 2, 1.6667, 2, 2.3333, 2.6667, 2.3333, 2.6667, 3, 3.3333, 3, 3.3333, 3.6667,
                      4}) < 1e-4);
    REQUIRE(twice(interpolation_mode::bilinear, linear_points::default_mode) ==
            floats{1, 1.5f, 2, 2, 2, 2.5f, 3, 3, 3, 3.5f, 4, 4, 3, 3.5f, 4, 4});

    for (const auto& [height, width] : {std::pair<extent, extent>{1, 1}, {3, 5}, {7, 2}, {40, 33}})
        for (linear_points mode : all_points) {
            const extent h = height, w = width;
            CAPTURE(h, w, static_cast<int>(mode));
            const floats values = numbers<float>(2 * 2 * h * w);
            const auto compare = [&](const upsample& layer, extent to_h, extent to_w) {
                const auto got = evaluate<float>(layer, {{{2, h, w}, values}});
                REQUIRE(got.dimensions() == shape{2, to_h, to_w});
                REQUIRE(distance(got.first(),
                                 interpolated(values, 4, h, w, upsample_points(mode, static_cast<double>(h), to_h),
                                              upsample_points(mode, static_cast<double>(w), to_w))) < 2e-5);
            };
            const auto how = interpolation_mode::bilinear;
            compare({.scaling_factor = {3, 2}, .mode = how, .linear_upsample_mode = mode}, 3 * h, 2 * w);
            compare({.mode = how, .linear_upsample_mode = mode}, h, w);
            compare({.fractional_scaling_factor = {2.5f, 1}, .mode = how, .linear_upsample_mode = mode}, 5 * h / 2, w);
            if (w > 1)
                compare({.fractional_scaling_factor = {1, 0.75f}, .mode = how, .linear_upsample_mode = mode}, h,
                        3 * w / 4);
        }
    REQUIRE(evaluate<float>(upsample{.fractional_scaling_factor = {1, 1.5f}}, {{{1, 1, 4}, {1, 2, 3, 4}}}).first() ==
            floats{1, 1, 2, 3, 3, 4});  // floor(i 4 / 6)
}

TEST_CASE("crop_resize: values") {
    const floats x = numbers<float>(2 * 3 * 6 * 7);  // two images of three channels
    const shape images{1, 2, 3, 6, 7};
    const auto crop = [&](const crop_resize& layer, extent numbers_of_box, const floats& boxes) {
        return evaluate<float>(
            layer, {{images, x},
                    {{static_cast<extent>(boxes.size()) / numbers_of_box, 1, numbers_of_box, 1, 1}, boxes, true}});
    };
    const auto expected = [&](extent first_image, extent count, const points& rows, const points& columns) {
        const auto from = x.begin() + first_image * 3 * 6 * 7;
        return interpolated({from, from + count * 3 * 6 * 7}, count * 3, 6, 7, rows, columns);
    };
    const auto joined = [](points a, const points& b) {
        a.insert(a.end(), b.begin(), b.end());
        return a;
    };
    using box = box_coordinates;
    const auto ends = sampling_method::align_endpoints_mode;
    const crop_resize layer{.target_size = {3, 4}, .mode = {ends}};
    // rows 1 to 3, columns 0.5 to 5
    const points rows = linspace(1, 3, 3), columns = linspace(0.5, 5, 4);
    const auto both = crop(layer, 4, {1, 0.5f, 3, 5, 0, 0, 5, 6});
    REQUIRE(both.dimensions() == shape{2, 2, 3, 3, 4});
    REQUIRE(distance(both.first(), joined(expected(0, 2, rows, columns),
                                          expected(0, 2, linspace(0, 5, 3), linspace(0, 6, 4)))) < 1e-6);
    const auto with_image = crop(layer, 5, {1, 1, 0.5f, 3, 5, 0, 1, 0.5f, 3, 5});
    REQUIRE(with_image.dimensions() == shape{2, 1, 3, 3, 4});
    REQUIRE(distance(with_image.first(), joined(expected(1, 1, rows, columns), expected(0, 1, rows, columns))) < 1e-6);
    // images that are not there
    const auto far = crop(layer, 5, {7, 1, 0.5f, 3, 5, -3, 1, 0.5f, 3, 5, std::nanf(""), 1, 0.5f, 3, 5});
    REQUIRE(distance(far.first(), joined(joined(expected(1, 1, rows, columns), expected(0, 1, rows, columns)),
                                         expected(0, 1, rows, columns))) < 1e-6);

    const points first = expected(0, 2, rows, columns);
    const auto same_box = [&](box kind, const floats& numbers_of_box, bool normalized = false, float scale = 1) {
        crop_resize other = layer;
        other.box_indices_mode = {kind};
        other.normalized_coordinates = normalized;
        other.spatial_scale = scale;
        return distance(crop(other, 4, numbers_of_box).first(), first) < 2e-6;
    };
    REQUIRE(same_box(box::corners_width_first, {0.5f, 1, 5, 3}));
    REQUIRE(same_box(box::center_size_height_first, {2, 2.75f, 2, 4.5f}));
    REQUIRE(same_box(box::center_size_width_first, {2.75f, 2, 4.5f, 2}));
    REQUIRE(same_box(box::corners_height_first, {0.2f, 0.5f / 6, 0.6f, 5.0f / 6}, true));
    REQUIRE(same_box(box::center_size_height_first, {0.4f, 2.75f / 6, 0.4f, 4.5f / 6}, true));
    REQUIRE(same_box(box::corners_height_first, {2, 1, 6, 10}, false, 0.5f));
    REQUIRE(same_box(box::corners_height_first, {1, 0.5f, 3, 5}, false, 0));

    // the other points, of a region of 2 and 4.5
    const auto with = [&](sampling_method method, extent h, extent w) {
        return crop({.target_size = {h, w}, .mode = {method}}, 4, {1, 0.5f, 3, 5}).first();
    };
    const auto moved = [](points at, double by) {
        for (double& p : at) p += by;
        return at;
    };
    for (sampling_method method : all_methods)
        REQUIRE(distance(with(method, 3, 4), expected(0, 2, moved(sampling_points(method, 3, 3), 1),
                                                      moved(sampling_points(method, 5.5, 4), 0.5))) < 1e-6);
    for (sampling_method method : all_methods)  // one sample lies in the centre
        REQUIRE(distance(with(method, 1, 1), expected(0, 2, {2}, {2.75})) < 1e-6);
    // a smaller region than one element counts as one for region alignment
    REQUIRE(distance(
                crop({.target_size = {2, 2}, .mode = {sampling_method::roi_align_mode}}, 4, {1, 1, 1.5f, 1.5f}).first(),
                expected(0, 2, {1.25, 1.75}, {1.25, 1.75})) < 1e-6);
    // beyond the edges, and turned round
    REQUIRE(distance(crop(layer, 4, {-5, 9, 9, -3}).first(), expected(0, 2, linspace(-5, 9, 3), linspace(9, -3, 4))) <
            1e-6);
    REQUIRE(crop(layer, 4, {}).first().empty());
}

namespace {
/// crop_resize with these boxes.
struct crop_of_boxes {
    crop_resize cut{};
    shape box_shape{};
    std::array<double, 10> boxes{};

    static constexpr auto key = "cropOfBoxes";
    constexpr void fields(auto&) {}
    constexpr outcome output_shape(const shape& x) const {
        const shape xs[] = {x, box_shape};
        return cut.output_shape(xs);
    }
    template <class T>
    extent scratch_size(const shape&, extent examples, extent threads) const {
        return cut.scratch_size<T>({}, examples, threads);
    }
    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P& p, W& w) const noexcept {
        const X xs[] = {x, X{boxes.data(), box_shape, 1, 0}};
        const Y ys[] = {y};
        cut.forward(std::span<const X>(xs), std::span<const Y>(ys), p, w);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y, Dy dy, Dx dx, const P& p, const Dp& dp, W& w) const noexcept {
        const X xs[] = {x, X{boxes.data(), box_shape, 1, 0}}, dys[] = {dy};
        const Dx dxs[] = {dx, Dx{}};
        cut.backward(std::span<const X>(xs), std::span<const X>(), std::span<const X>(dys), std::span<const Dx>(dxs), p,
                     dp, w);
    }
    [[maybe_unused]] friend bool operator==(const crop_of_boxes&, const crop_of_boxes&) = default;
};
}  // namespace

TEST_CASE("resize_bilinear, upsample, crop_resize: gradients") {
    for (sampling_method method : all_methods) {
        require_gradients(resize_bilinear{.target_size = {5, 4}, .mode = {method}}, {{2, 3, 2}});
        require_gradients(resize_bilinear{.target_size = {2, 3}, .mode = {method}}, {{2, 1, 5, 4}});
        require_gradients(
            crop_of_boxes{{.target_size = {3, 2}, .mode = {method}}, {2, 1, 4, 1, 1}, {0, 1, 2.5, 3, 1, 0.5, 2, 9}},
            {{1, 2, 1, 4, 4}});
    }
    require_gradients(crop_of_boxes{{.target_size = {2, 2}}, {2, 1, 5, 1, 1}, {1, 0, 1, 2.5, 3, 0, 3, 3, 0, 0}},
                      {{1, 2, 2, 4, 4}});
    for (linear_points mode : all_points)
        require_gradients(
            upsample{.scaling_factor = {2, 3}, .mode = interpolation_mode::bilinear, .linear_upsample_mode = mode},
            {{2, 3, 2}});
    require_gradients(upsample{.scaling_factor = {3, 1}}, {{2, 2, 3}});
    require_gradients(upsample{.fractional_scaling_factor = {0.6f, 1.7f}, .mode = interpolation_mode::bilinear},
                      {{1, 4, 3}});
}

TEST_CASE("resize_bilinear, upsample, crop_resize: what does not fit") {
    const std::string resize = "layers/0 \"layer\" (resizeBilinear): ", up = "layers/0 \"layer\" (upsample): ",
                      crop = "layers/0 \"layer\" (cropResize): ";
    REQUIRE(fault_of(resize_bilinear{}, {{2, 3}}) ==
            resize + "an input [.., channels, height, width] wanted, its shape is [2, 3]");
    REQUIRE(fault_of(resize_bilinear{}, {{2, 3, 0}}) ==
            resize + "a height and a width from 1 to 16777216 wanted, the shape of its input is [2, 3, 0]");
    REQUIRE(fault_of(resize_bilinear{.target_size = {2}}, {{2, 3, 4}}) ==
            resize + "targetSize [H, W] wanted, [2] given");
    REQUIRE(fault_of(resize_bilinear{.target_size = {2, 0}}, {{2, 3, 4}}) ==
            resize + "targetSize from 1 to 16777216 wanted, [2, 0] given");
    REQUIRE(fault_of(upsample{.scaling_factor = {2}}, {{2, 3, 4}}) == up + "scalingFactor [H, W] wanted, [2] given");
    REQUIRE(fault_of(upsample{.scaling_factor = {2, 2}, .fractional_scaling_factor = {2, 2}}, {{2, 3, 4}}) ==
            up + "scalingFactor and fractionalScalingFactor exclude each other");
    REQUIRE(fault_of(upsample{.linear_upsample_mode = linear_points::align_corners_true}, {{2, 3, 4}}) ==
            up + "linearUpsampleMode ALIGN_CORNERS_TRUE wants the mode BILINEAR");
    REQUIRE(fault_of(upsample{.scaling_factor = {1, 0}}, {{2, 3, 4}}) ==
            up +
                "factors that give sides from 1 to 16777216 wanted, that of the width does not (the shape of the input "
                "is [2, 3, 4])");
    for (float factor : {0.3f, -1.0f, 1e30f, std::nanf(""), INFINITY})
        REQUIRE(fault_of(upsample{.fractional_scaling_factor = {factor, 1}}, {{2, 3, 4}}) ==
                up + "factors that give sides from 1 to 16777216 wanted, that of the height does not (the shape of the "
                     "input is [2, 3, 4])");
    REQUIRE(fault_of(crop_resize{}, {{2, 1, 3, 4, 5}, {1, 1, 4, 1, 1}}) ==
            crop + "images [1, batch, channels, height, width] wanted, their shape is [2, 1, 3, 4, 5]");
    REQUIRE(fault_of(crop_resize{}, {{1, 1, 3, 4, 5}, {1, 4}}) ==
            crop + "boxes [N, 1, 4, 1, 1] or [N, 1, 5, 1, 1] wanted, their shape is [1, 4]");
    REQUIRE(fault_of(crop_resize{}, {{1, 0, 3, 4, 5}, {1, 1, 5, 1, 1}}) ==
            crop + "an image for the boxes wanted, the shape of the images is [1, 0, 3, 4, 5]");
    ask_everything(resize_bilinear{.target_size = {3, 3}});
    ask_everything(crop_resize{.target_size = {3, 3}});
    for (extent a : hostile_extents())
        for (const shape& s : hostile_shapes()) {
            plan_of(resize_bilinear{.target_size = {a, 2}}, {s});
            plan_of(upsample{.scaling_factor = {2, a}}, {s});
            plan_of(crop_resize{.target_size = {a, a}}, {s, {1, 1, 4, 1, 1}});
        }
}

namespace {
inline constexpr auto sizes_of_images =
    compose(input{"x", {2, 3, 4}}, upsample{.scaling_factor = {2, 2}, .mode = interpolation_mode::bilinear},
            resize_bilinear{.target_size = {5, 3}});
}

TEST_CASE("upsample, resize_bilinear: the same bits composed and at run time") {
    network<sizes_of_images> net;
    REQUIRE(net(numbers<float>(24)).shape(2) == 3);
    REQUIRE(same_bits_unrolled(net, numbers<float>(24)));
}
