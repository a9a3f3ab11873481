#pragma once

#include "../core/error.hpp"
#include "../core/shape.hpp"

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

/// Images as values of features: numbers of 8 bits in memory. Nothing here reads a file of pictures.
namespace bespoke {

/// What the bytes of a pixel are, in their order. The `a` of rgba and bgra is not looked at.
enum class pixel_layout { gray, rgb, bgr, rgba, bgra };

constexpr std::string_view name_of(pixel_layout layout) {
    constexpr std::string_view names[] = {"GRAY", "RGB", "BGR", "RGBA", "BGRA"};
    return names[static_cast<std::size_t>(layout)];
}
constexpr extent bytes_of(pixel_layout layout) {
    return layout == pixel_layout::gray ? 1 : layout < pixel_layout::rgba ? 3 : 4;
}

/// What the channels of an image are to a network, in their order; with the specification's numbers.
/// Core ML specification, `ColorSpace` of ImageFeatureType, without the GRAYSCALE_FLOAT16 of later versions.
enum class image_color_space { invalid_color_space = 0, grayscale = 10, rgb = 20, bgr = 30 };

constexpr std::string_view name_of(image_color_space space) {
    switch (space) {
        case image_color_space::grayscale:
            return "GRAYSCALE";
        case image_color_space::rgb:
            return "RGB";
        case image_color_space::bgr:
            return "BGR";
        default:
            return "INVALID_COLOR_SPACE";
    }
}
constexpr extent channels_of(image_color_space space) { return space == image_color_space::grayscale ? 1 : 3; }
/// Whether an image of this layout can be given: gray for gray, any of the colours for colours.
constexpr bool accepts(image_color_space space, pixel_layout layout) {
    return (space == image_color_space::grayscale) == (layout == pixel_layout::gray);
}

struct image_size {
    extent width = 0, height = 0;
    friend constexpr bool operator==(const image_size&, const image_size&) = default;
};

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// Pixels: row after row from the top, the bytes of a pixel side by side. Copies share the bytes, which never change.
class image {
public:
    /// Throws errc::bad_argument unless `pixels` has as many bytes as width x height pixels, at least one.
    image(extent width, extent height, pixel_layout layout, std::vector<std::uint8_t> pixels);

    extent width() const { return size_.width; }
    extent height() const { return size_.height; }
    image_size size() const { return size_; }
    pixel_layout layout() const { return layout_; }
    const std::vector<std::uint8_t>& pixels() const { return *pixels_; }

    friend bool operator==(const image& a, const image& b) {
        return a.size_ == b.size_ && a.layout_ == b.layout_ && *a.pixels_ == *b.pixels_;
    }

private:
    image_size size_;
    pixel_layout layout_;
    std::shared_ptr<const std::vector<std::uint8_t>> pixels_;
};

/// Writes channel after channel, each [height, width], as `space` orders them, to `to`.
void read_pixels(const image& from, image_color_space space, float* to);
/// The other way round: an image gray, rgb or bgr of the channels at `from`. Numbers are rounded to the nearest from 0
/// to 255, NaN to 0; the specification does not say how.
image make_image(const float* from, image_size size, image_color_space space);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::image;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::make_image;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::read_pixels;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

image::image(extent width, extent height, pixel_layout layout, std::vector<std::uint8_t> pixels)
    : size_{width, height}, layout_(layout) {
    constexpr extent most = std::numeric_limits<extent>::max() / 4;
    const extent wanted = width < 1 || height < 1 ? -1 : checked_product(width, height, most);
    if (wanted < 0 || static_cast<std::size_t>(wanted * bytes_of(layout)) != pixels.size())
        throw error(errc::bad_argument, "image: the bytes of " + std::to_string(width) + " x " +
                                            std::to_string(height) + " pixels " + std::string(name_of(layout)) +
                                            " wanted, " + std::to_string(pixels.size()) + " came");
    pixels_ = std::make_shared<const std::vector<std::uint8_t>>(std::move(pixels));
}

void read_pixels(const image& from, image_color_space space, float* to) {
    const extent pixels = from.width() * from.height(), step = bytes_of(from.layout()), channels = channels_of(space);
    const bool from_blue = from.layout() == pixel_layout::bgr || from.layout() == pixel_layout::bgra;
    const bool turned = from_blue != (space == image_color_space::bgr);
    for (extent c = 0; c < channels; ++c) {
        const std::uint8_t* bytes = from.pixels().data() + (channels == 3 && turned ? 2 - c : c);
        for (extent i = 0; i < pixels; ++i) to[c * pixels + i] = static_cast<float>(bytes[i * step]);
    }
}

image make_image(const float* from, image_size size, image_color_space space) {
    const extent pixels = size.width * size.height, channels = channels_of(space);
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(pixels * channels));
    for (extent c = 0; c < channels; ++c)
        for (extent i = 0; i < pixels; ++i) {
            const float v = from[c * pixels + i];
            bytes[static_cast<std::size_t>(i * channels + c)] =
                static_cast<std::uint8_t>(v > 0 ? std::nearbyint(std::min(v, 255.0F)) : 0);
        }
    return {size.width, size.height,
            space == image_color_space::grayscale ? pixel_layout::gray
            : space == image_color_space::rgb     ? pixel_layout::rgb
                                                  : pixel_layout::bgr,
            std::move(bytes)};
}

}  // namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

#endif
