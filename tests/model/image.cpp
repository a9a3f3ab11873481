#include "failure.hpp"

#include <bespoke/model/image.hpp>

#include <catch2/catch.hpp>

#include <limits>

using namespace bespoke;

namespace {

using bytes = std::vector<std::uint8_t>;

std::vector<float> channels(const image& from, image_color_space space) {
    std::vector<float> values(static_cast<std::size_t>(channels_of(space) * from.width() * from.height()));
    read_pixels(from, space, values.data());
    return values;
}

}  // namespace

TEST_CASE("image: names and sizes") {
    CHECK(name_of(pixel_layout::gray) == "GRAY");
    CHECK(name_of(pixel_layout::rgb) == "RGB");
    CHECK(name_of(pixel_layout::bgr) == "BGR");
    CHECK(name_of(pixel_layout::rgba) == "RGBA");
    CHECK(name_of(pixel_layout::bgra) == "BGRA");
    CHECK(bytes_of(pixel_layout::gray) == 1);
    CHECK(bytes_of(pixel_layout::rgb) == 3);
    CHECK(bytes_of(pixel_layout::bgra) == 4);
    CHECK(name_of(image_color_space::invalid_color_space) == "INVALID_COLOR_SPACE");
    CHECK(name_of(image_color_space::grayscale) == "GRAYSCALE");
    CHECK(name_of(image_color_space::rgb) == "RGB");
    CHECK(name_of(image_color_space::bgr) == "BGR");
    CHECK(accepts(image_color_space::grayscale, pixel_layout::gray));
    CHECK_FALSE(accepts(image_color_space::grayscale, pixel_layout::rgb));
    CHECK(accepts(image_color_space::rgb, pixel_layout::bgra));
    CHECK(accepts(image_color_space::bgr, pixel_layout::rgb));
    CHECK_FALSE(accepts(image_color_space::bgr, pixel_layout::gray));
}

TEST_CASE("image: holds what it is given, and copies share it") {
    const image two(2, 1, pixel_layout::rgb, bytes{1, 2, 3, 4, 5, 6});
    CHECK(two.width() == 2);
    CHECK(two.height() == 1);
    CHECK(two.size() == image_size{2, 1});
    CHECK(two.layout() == pixel_layout::rgb);
    CHECK(two.pixels() == bytes{1, 2, 3, 4, 5, 6});
    const image copy = two;
    CHECK(copy.pixels().data() == two.pixels().data());
    CHECK(copy == two);
    CHECK(image(2, 1, pixel_layout::rgb, two.pixels()) == two);
    CHECK_FALSE(image(2, 1, pixel_layout::bgr, two.pixels()) == two);
    CHECK_FALSE(image(1, 2, pixel_layout::rgb, two.pixels()) == two);
    CHECK_FALSE(image(2, 1, pixel_layout::rgb, bytes{1, 2, 3, 4, 5, 7}) == two);
}

TEST_CASE("image: the number of bytes is checked") {
    const auto made = [](extent width, extent height, pixel_layout layout, std::size_t size) {
        return check::failure([&] { image(width, height, layout, bytes(size)); });
    };
    CHECK(made(2, 3, pixel_layout::gray, 6).text == "nothing is thrown");
    CHECK(made(2, 3, pixel_layout::rgba, 24).text == "nothing is thrown");
    const check::failure few = made(2, 3, pixel_layout::rgb, 6);
    CHECK(few.is(errc::bad_argument));
    CHECK(few.text == "image: the bytes of 2 x 3 pixels RGB wanted, 6 came");
    CHECK(made(0, 3, pixel_layout::gray, 0).text == "image: the bytes of 0 x 3 pixels GRAY wanted, 0 came");
    CHECK(made(-1, -1, pixel_layout::gray, 1).text == "image: the bytes of -1 x -1 pixels GRAY wanted, 1 came");
    CHECK(made(extent{1} << 62, 4, pixel_layout::bgra, 0).text ==
          "image: the bytes of 4611686018427387904 x 4 pixels BGRA wanted, 0 came");
}

TEST_CASE("image: pixels become channels in the order of the colour space") {
    using space = image_color_space;
    const std::vector<float> red_first{1, 4, 2, 5, 3, 6}, blue_first{3, 6, 2, 5, 1, 4};
    const image sources[] = {{2, 1, pixel_layout::rgb, bytes{1, 2, 3, 4, 5, 6}},
                             {2, 1, pixel_layout::bgr, bytes{3, 2, 1, 6, 5, 4}},
                             {2, 1, pixel_layout::rgba, bytes{1, 2, 3, 99, 4, 5, 6, 98}},
                             {2, 1, pixel_layout::bgra, bytes{3, 2, 1, 99, 6, 5, 4, 98}}};
    for (const image& source : sources) {
        CHECK(channels(source, space::rgb) == red_first);
        CHECK(channels(source, space::bgr) == blue_first);
    }
    CHECK(channels(image(2, 2, pixel_layout::gray, bytes{0, 255, 7, 8}), space::grayscale) ==
          std::vector<float>{0, 255, 7, 8});
    // rows stay rows: [channel, height, width]
    bytes pixels;
    for (std::uint8_t i = 0; i < 18; ++i) pixels.push_back(i);
    CHECK(channels(image(2, 3, pixel_layout::rgb, pixels), space::rgb) ==
          std::vector<float>{0, 3, 6, 9, 12, 15, 1, 4, 7, 10, 13, 16, 2, 5, 8, 11, 14, 17});
}

TEST_CASE("image: channels become pixels, rounded and within 0 and 255") {
    using space = image_color_space;
    const std::vector<float> values{1, 4, 2, 5, 3, 6};
    CHECK(make_image(values.data(), {2, 1}, space::rgb) == image(2, 1, pixel_layout::rgb, bytes{1, 2, 3, 4, 5, 6}));
    CHECK(make_image(values.data(), {2, 1}, space::bgr) == image(2, 1, pixel_layout::bgr, bytes{1, 2, 3, 4, 5, 6}));
    CHECK(make_image(values.data(), {2, 3}, space::grayscale) ==
          image(2, 3, pixel_layout::gray, bytes{1, 4, 2, 5, 3, 6}));
    const float infinity = std::numeric_limits<float>::infinity();
    const std::vector<float> odd{-1,    -0.0F,     0.49F,     0.51F, 1.5F, 254.4F, 254.6F, 255.4F,
                                 1e30F, infinity, -infinity, std::numeric_limits<float>::quiet_NaN()};
    CHECK(make_image(odd.data(), {12, 1}, space::grayscale).pixels() ==
          bytes{0, 0, 0, 1, 2, 254, 255, 255, 255, 255, 0, 0});

    const image there(3, 2, pixel_layout::bgr,
                      bytes{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 250, 251, 252, 253, 254, 255, 17});
    const auto between = channels(there, space::bgr);
    CHECK(make_image(between.data(), there.size(), space::bgr) == there);
}
