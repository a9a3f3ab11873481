#include <bespoke/model/feature_type.hpp>

#include <catch2/catch.hpp>

using namespace bespoke;

namespace {

feature_type array_type(array_feature_type type) { return {std::move(type)}; }
feature_type image_type(image_feature_type type) { return {std::move(type)}; }
array_feature_type ranges(std::vector<size_range> r) {
    return {.data_type = array_data_type::float32, .shape_flexibility = shape_range{std::move(r)}};
}

std::string problem_of(const feature_type& type) {
    const auto problem = fault_of(type);
    return problem ? std::string(problem->what.view()) : "fine";
}

}  // namespace

TEST_CASE("feature_type: in words") {
    CHECK(to_text(feature_type{int64_feature_type()}) == "an int64");
    CHECK(to_text(feature_type{double_feature_type()}) == "a double");
    CHECK(to_text(feature_type{string_feature_type()}) == "a string");
    CHECK(to_text(array_type({.shape = {1, 8}, .data_type = array_data_type::int32})) ==
          "a multi-array INT32 [1, 8]");
    CHECK(to_text(array_type({.data_type = array_data_type::float64})) ==
          "a multi-array DOUBLE of any shape");
    CHECK(to_text(array_type(ranges({{1, 1}, {8, 32}, {8, -1}}))) == "a multi-array FLOAT32 [1, 8..32, 8..]");
    CHECK(to_text(array_type({.data_type = array_data_type::float32,
                              .shape_flexibility = enumerated_shapes{{{1}, {2, 2}}}})) ==
          "a multi-array FLOAT32 [1] or [2, 2]");
    using key = dictionary_feature_type::key;
    CHECK(to_text(feature_type{dictionary_feature_type{key::string_key_type}}) == "a dictionary of strings");
    CHECK(to_text(feature_type{dictionary_feature_type{key::int64_key_type}}) == "a dictionary of int64");
    using element = sequence_feature_type::element;
    CHECK(to_text(feature_type{sequence_feature_type{element::int64_type, {1, 8}}}) ==
          "a sequence of 1..8 int64");
    CHECK(to_text(feature_type{sequence_feature_type{element::string_type, {}}}) ==
          "a sequence of 0.. strings");
    CHECK(to_text(image_type({20, 10, {}, image_color_space::rgb})) == "an image RGB 20 x 10");
    CHECK(to_text(image_type({0, 0, enumerated_image_sizes{{{8, 9}, {10, 11}}}, image_color_space::bgr})) ==
          "an image BGR 8 x 9 or 10 x 11");
    CHECK(to_text(image_type({0, 0, image_size_range{{8, 9}, {10, -1}}, image_color_space::grayscale})) ==
          "an image GRAYSCALE 8..9 x 10..");
}

TEST_CASE("feature_type: images") {
    const auto picture = [](extent width, extent height, pixel_layout layout) {
        return feature_value(
            image(width, height, layout,
                  std::vector<std::uint8_t>(static_cast<std::size_t>(width * height * bytes_of(layout)))));
    };
    const auto fixed = image_type({2, 3, {}, image_color_space::rgb});
    CHECK(accepts(fixed, picture(2, 3, pixel_layout::rgb)));
    CHECK(accepts(fixed, picture(2, 3, pixel_layout::bgra)));
    CHECK_FALSE(accepts(fixed, picture(2, 3, pixel_layout::gray)));
    CHECK_FALSE(accepts(fixed, picture(3, 2, pixel_layout::rgb)));
    CHECK_FALSE(accepts(fixed, zeros<float>({3, 3, 2})));
    CHECK_FALSE(
        accepts(array_type({.shape = {2}, .data_type = array_data_type::float32}), picture(2, 1, pixel_layout::gray)));
    CHECK_FALSE(accepts({double_feature_type()}, picture(1, 1, pixel_layout::gray)));

    const image_feature_type one_of{0, 0, enumerated_image_sizes{{{8, 9}, {10, 11}}}, image_color_space::grayscale};
    CHECK(one_of.default_size() == image_size{8, 9});
    CHECK(accepts(image_type(one_of), picture(10, 11, pixel_layout::gray)));
    CHECK_FALSE(accepts(image_type(one_of), picture(8, 11, pixel_layout::gray)));
    CHECK_FALSE(accepts(image_type(one_of), picture(8, 9, pixel_layout::rgb)));

    image_feature_type range{0, 0, image_size_range{{2, 4}, {3, -1}}, image_color_space::bgr};
    CHECK(range.default_size() == image_size{2, 3});
    CHECK(range.accepts(image_size{4, 1000}));
    CHECK_FALSE(range.accepts(image_size{5, 3}));
    CHECK_FALSE(range.accepts(image_size{2, 2}));
    range.width = range.height = 4;
    CHECK(range.default_size() == image_size{4, 4});
    CHECK(image_type(range).image_type()->default_size() == image_size{4, 4});
    CHECK(image_type(range).multi_array_type() == nullptr);
    CHECK(feature_type{double_feature_type()}.image_type() == nullptr);
    CHECK(image_type(range) == image_type(range));
    CHECK_FALSE(image_type(range) == image_type(one_of));

    CHECK(problem_of(fixed) == "fine");
    CHECK(problem_of(image_type(one_of)) == "fine");
    CHECK(problem_of(image_type(range)) == "fine");
    CHECK(problem_of(image_type({2, 3, {}, {}})) ==
          "an image GRAYSCALE, RGB or BGR wanted, but its colour space is not given");
    CHECK(problem_of(image_type({0, 3, {}, image_color_space::rgb})) ==
          "an image of 1 x 1 or more wanted, but it is 0 x 3");
    CHECK(problem_of(image_type({0, 0, {}, image_color_space::rgb})) ==
          "an image of 1 x 1 or more wanted, but it is 0 x 0");
    CHECK(problem_of(image_type({2, 3, enumerated_image_sizes{}, image_color_space::rgb})) ==
          "enumerated sizes wanted, but there is none");
    CHECK(problem_of(image_type({2, 3, enumerated_image_sizes{{{2, 3}, {4, -1}}}, image_color_space::rgb})) ==
          "an image of 1 x 1 or more wanted, but it is 4 x -1");
    CHECK(problem_of(image_type({3, 2, enumerated_image_sizes{{{2, 3}}}, image_color_space::rgb})) ==
          "a default size that the flexibility allows wanted, but it is 3 x 2");
    CHECK(problem_of(image_type({0, 0, image_size_range{{3, 2}, {1, 2}}, image_color_space::rgb})) ==
          "a range from a lower bound of 0 or more up to an upper bound wanted, but it is 3 to 2");
    CHECK(problem_of(image_type({0, 0, image_size_range{{1, 2}, {-3, 2}}, image_color_space::rgb})) ==
          "a range from a lower bound of 0 or more up to an upper bound wanted, but it is -3 to 2");
    CHECK(problem_of(image_type({5, 1, image_size_range{{1, 2}, {1, 2}}, image_color_space::rgb})) ==
          "a default size that the flexibility allows wanted, but it is 5 x 1");
}

TEST_CASE("feature_type: which values it accepts") {
    const std::vector<feature_value> values{std::int64_t{1},     1.0,
                                            std::string("x"),    zeros<float>({2, 3}),
                                            string_dictionary(), int64_dictionary(),
                                            int64_sequence(2),   string_sequence(2)};
    const auto accepted = [&](const feature_type& type) {
        std::string result;
        for (std::size_t i = 0; i < values.size(); ++i) result += accepts(type, values[i]) ? '1' : '0';
        return result;
    };
    using key = dictionary_feature_type::key;
    using element = sequence_feature_type::element;
    CHECK(accepted({int64_feature_type()}) == "10000000");
    CHECK(accepted({double_feature_type()}) ==
          "11000000");  // as a number in JSON does, an int64 makes a double
    CHECK(accepted({string_feature_type()}) == "00100000");
    CHECK(accepted(array_type({.shape = {2, 3}, .data_type = array_data_type::float32})) == "00010000");
    CHECK(accepted(array_type({.shape = {3, 2}, .data_type = array_data_type::float32})) == "00000000");
    CHECK(accepted({dictionary_feature_type{key::string_key_type}}) == "00001000");
    CHECK(accepted({dictionary_feature_type{key::int64_key_type}}) == "00000100");
    CHECK(accepted({sequence_feature_type{element::int64_type, {2, 2}}}) == "00000010");
    CHECK(accepted({sequence_feature_type{element::string_type, {0, -1}}}) == "00000001");
    CHECK(accepted({sequence_feature_type{element::int64_type, {3, -1}}}) == "00000000");
    CHECK(accepted({sequence_feature_type{element::string_type, {0, 1}}}) == "00000000");
}

TEST_CASE("feature_type: element types are converted where that keeps the meaning") {
    const multi_array f = tensor<float>{1}, d = tensor<double>{1}, i = tensor<std::int32_t>{1};
    for (array_data_type type :
         {array_data_type::float32, array_data_type::float64, array_data_type::int32}) {
        const bool floating = type != array_data_type::int32;
        const feature_type wanted = array_type({.shape = {1}, .data_type = type});
        CHECK(accepts(wanted, f) == floating);
        CHECK(accepts(wanted, d) == floating);
        CHECK(accepts(wanted, i));
    }
}

TEST_CASE("feature_type: flexible shapes") {
    const array_feature_type any{.data_type = array_data_type::float32};
    CHECK(any.accepts(shape{}));
    CHECK(any.accepts(shape{1, 2, 3}));

    const array_feature_type range = ranges({{1, 1}, {8, 32}, {8, -1}});
    CHECK(range.accepts(shape{1, 8, 8}));
    CHECK(range.accepts(shape{1, 32, 100'000}));
    CHECK_FALSE(range.accepts(shape{1, 33, 8}));
    CHECK_FALSE(range.accepts(shape{1, 7, 8}));
    CHECK_FALSE(range.accepts(shape{1, 8}));
    CHECK_FALSE(range.accepts(shape{1, 8, 8, 8}));
    CHECK(range.default_shape() == shape{1, 8, 8});

    const array_feature_type enumerated{.data_type = array_data_type::float32,
                                        .shape_flexibility = enumerated_shapes{{{2, 2}, {4}}}};
    CHECK(enumerated.accepts(shape{4}));
    CHECK(enumerated.accepts(shape{2, 2}));
    CHECK_FALSE(enumerated.accepts(shape{2, 4}));
    CHECK(enumerated.default_shape() == shape{2, 2});

    array_feature_type both = range;
    both.shape = {1, 9, 9};
    CHECK(both.default_shape() == shape{1, 9, 9});
    CHECK(both.accepts(shape{1, 10, 10}));
}

TEST_CASE("feature_type: types that contradict themselves") {
    const auto f32 = array_data_type::float32;
    CHECK(problem_of({int64_feature_type()}) == "fine");
    CHECK(problem_of(array_type({.shape = {1, 8}, .data_type = f32})) == "fine");
    CHECK(problem_of(array_type({.data_type = f32})) == "fine");
    CHECK(problem_of(array_type(ranges({{1, 8}, {0, -1}}))) == "fine");
    CHECK(problem_of(array_type({.shape = {1, 8}})) ==
          "a multi-array of FLOAT32, DOUBLE or INT32 wanted, but its data type is not given");
    CHECK(problem_of(array_type({.shape = {1}, .data_type = static_cast<array_data_type>(7)})) ==
          "a multi-array of FLOAT32, DOUBLE or INT32 wanted, but its data type is not given");
    CHECK(problem_of(array_type({.shape = {1, 0}, .data_type = f32})) ==
          "a shape of extents of 1 or more wanted, but it is [1, 0]");
    CHECK(problem_of(array_type({.data_type = f32, .shape_flexibility = enumerated_shapes{}})) ==
          "enumerated shapes wanted, but there is none");
    CHECK(problem_of(array_type({.data_type = f32, .shape_flexibility = enumerated_shapes{{{1}, {-3}}}})) ==
          "a shape of extents of 1 or more wanted, but it is [-3]");
    CHECK(problem_of(array_type(
              {.shape = {3}, .data_type = f32, .shape_flexibility = enumerated_shapes{{{1}, {2}}}})) ==
          "a default shape that the flexibility allows wanted, but it is [3]");
    CHECK(problem_of(array_type(ranges({}))) == "size ranges of 1 to 8 axes wanted, but there are 0");
    CHECK(problem_of(array_type(ranges(std::vector<size_range>(9)))) ==
          "size ranges of 1 to 8 axes wanted, but there are 9");
    CHECK(problem_of(array_type(ranges({{1, 1}, {8, 7}}))) ==
          "a range from a lower bound of 0 or more up to an upper bound wanted, but it is 8 to 7");
    CHECK(problem_of(array_type(ranges({{-1, 1}}))) ==
          "a range from a lower bound of 0 or more up to an upper bound wanted, but it is -1 to 1");
    array_feature_type outside = ranges({{1, 8}});
    outside.shape = {9};
    CHECK(problem_of(array_type(outside)) ==
          "a default shape that the flexibility allows wanted, but it is [9]");
    CHECK(problem_of({sequence_feature_type{.size_range = {4, 2}}}) ==
          "a range from a lower bound of 0 or more up to an upper bound wanted, but it is 4 to 2");
    CHECK(problem_of({sequence_feature_type{.size_range = {4, 4}}}) == "fine");
}

TEST_CASE("feature_type: the shape of an output") {
    const array_feature_type fixed{.shape = {2, 3}};
    CHECK(fixed.shape_of({2, 3}) == shape{2, 3});
    CHECK(fixed.shape_of({1, 1, 6, 1, 1}) == shape{2, 3});
    CHECK_FALSE(fixed.shape_of({2, 2}));
    CHECK_FALSE(array_feature_type{}.shape_of({2, 3}));

    const array_feature_type images = ranges({{3, 3}, {1, -1}, {1, 8}});
    CHECK(images.shape_of({3, 1, 1}) == shape{3, 1, 1});
    CHECK(images.shape_of({3, 5, 8}) == shape{3, 5, 8});
    CHECK(images.shape_of({1, 1, 3, 5, 8}) == shape{3, 5, 8});
    CHECK_FALSE(images.shape_of({1, 2, 3, 5, 8}));
    CHECK_FALSE(images.shape_of({3, 5, 9}));
    const array_feature_type vectors = ranges({{1, -1}});
    CHECK(vectors.shape_of({1, 1, 7, 1, 1}) == shape{7});
    CHECK(vectors.shape_of({1, 1, 1, 1, 1}) == shape{1});
    CHECK_FALSE(vectors.shape_of({1, 1, 7, 2, 1}));
    CHECK_FALSE(vectors.shape_of({2, 1, 7, 1, 1}));
    CHECK(ranges({{1, -1}, {1, -1}}).shape_of({1, 1, 4}) == shape{1, 4});

    // what the flexibility does not allow may have as many elements as the default
    array_feature_type chosen{.shape = {2, 3}, .shape_flexibility = enumerated_shapes{{{2, 3}, {3, 2}, {4}}}};
    CHECK(chosen.shape_of({3, 2}) == shape{3, 2});
    CHECK(chosen.shape_of({1, 4}) == shape{4});
    CHECK(chosen.shape_of({6}) == shape{2, 3});
    CHECK_FALSE(chosen.shape_of({5}));
}
