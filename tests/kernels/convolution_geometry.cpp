#include <bespoke/kernels/convolution_geometry.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

#include <set>

using namespace bespoke;
using check::array;
namespace kernels = bespoke::kernels;
namespace inner = bespoke::kernels::detail;
using geometry = kernels::convolution_geometry;

namespace {

// channels, height, width, outputs, their height and width, kernel, stride, dilation, padding, groups
const geometry geometries[] = {
    {3, 7, 9, 5, 5, 7, 3, 3, 1, 1, 1, 1, 0, 0, 1},    // as it is
    {3, 7, 9, 5, 3, 4, 3, 3, 2, 2, 1, 1, 0, 0, 1},    // stride
    {2, 6, 50, 5, 6, 25, 3, 3, 1, 2, 1, 1, 1, 1, 1},  // stride of rows of several batches, padding
    {2, 6, 50, 5, 8, 17, 3, 2, 1, 3, 1, 3, 2, 4, 1},  // stride of 3, dilation, padding
    {2, 2, 2, 3, 8, 8, 1, 1, 1, 1, 1, 1, 3, 3, 1},    // windows wholly in the padding
    {1, 4, 4, 1, 2, 2, 3, 3, 3, 3, 1, 1, 2, 2, 1},    // stride larger than what is left
};

}  // namespace

TEMPLATE_TEST_CASE("convolution_geometry: tap and pixel lead to the element", "[convolution]", float,
                   double) {
    using T = TestType;
    for (const geometry& g : geometries)
        for (const bool consecutive : {false, true}) {
            const auto layout = inner::make_layout(g, consecutive);
            const array<T> x(g.channels * g.plane(), 1, 1);
            array<T> copy(g.channels * layout.channel_stride(), 2, 3);
            inner::copy_image(layout, g.channels, g.height, g.width, x.data(), copy.data());
            REQUIRE(copy.intact());
            const T* image = layout.direct ? x.data() : copy.data();
            CHECK(inner::image_size(layout, g.channels) == (layout.direct ? 0 : copy.size()));

            const extent size = g.channels * g.taps(), pixel_step = consecutive ? 1 : g.stride_x;
            std::vector<extent> taps(static_cast<std::size_t>(size)),
                pixels(static_cast<std::size_t>(g.pixels()));
            // In pieces that begin anywhere.
            for (extent k = 0; k < size; k += 5)
                inner::tap_offsets(g, layout, k, std::min<extent>(5, size - k), taps.data() + k);
            for (extent q = 0; q < g.pixels(); q += 7)
                inner::grid_offsets(g.output_width, g.stride_y * layout.row_stride(), pixel_step, q,
                                    std::min<extent>(7, g.pixels() - q), pixels.data() + q);
            bool same = true;
            for (extent k = 0; k < size; ++k)
                for (extent q = 0; q < g.pixels(); ++q) {
                    const extent c = k / g.taps(), i = k % g.taps() / g.kernel_width, j = k % g.kernel_width;
                    const extent iy = q / g.output_width * g.stride_y + i * g.dilation_y - g.pad_top;
                    const extent ix = q % g.output_width * g.stride_x + j * g.dilation_x - g.pad_left;
                    const bool inside = iy >= 0 && iy < g.height && ix >= 0 && ix < g.width;
                    const T expected = inside ? x[(c * g.height + iy) * g.width + ix] : T(0);
                    same = same &&
                           image[taps[static_cast<std::size_t>(k)] + pixels[static_cast<std::size_t>(q)]] ==
                               expected;
                }
            CHECK(same);
        }
}

TEST_CASE("convolution_geometry: a tap's rows are those that it puts into the image rows", "[convolution]") {
    for (const geometry& g : geometries)
        for (extent first = 0; first < g.height; ++first)
            for (extent last = first; last <= g.height; ++last)
                for (extent tap = 0; tap < g.kernel_height; ++tap) {
                    const auto rows = inner::rows_of_tap(g, tap, first, last);
                    std::set<extent> expected, got;
                    for (extent row = 0; row < g.output_height; ++row) {
                        const extent y = row * g.stride_y + tap * g.dilation_y - g.pad_top;
                        if (y >= first && y < last) expected.insert(row);
                        if (row >= rows.first && row < rows.last) got.insert(row);
                        CHECK(rows.image_row(g, row) == y);
                    }
                    CHECK(got == expected);
                }
}
