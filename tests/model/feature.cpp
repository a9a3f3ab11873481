#include <bespoke/model/feature.hpp>

#include "failure.hpp"

#include <catch2/catch.hpp>

#include <limits>

using namespace bespoke;
using check::failure;

namespace {

tensor<float> floats(const shape& s) { return zeros<float>(s); }

feature_type array_type(array_feature_type type) { return {std::move(type)}; }
array_feature_type ranges(std::vector<size_range> r) {
    return {.data_type = array_data_type::float32, .shape_flexibility = shape_range{std::move(r)}};
}

std::string problem_of(const feature_type& type) {
    const auto problem = fault_of(type);
    return problem ? std::string(problem->what.view()) : "fine";
}

}  // namespace

TEST_CASE("multi_array: holds what it is given") {
    const tensor<float> a{{1, 2, 3}, {4, 5, 6}};
    const multi_array f = a, d = tensor<double>{1.5, 2.5}, i = tensor<std::int32_t>{7};
    CHECK(f.shape() == shape{2, 3});
    CHECK(f.data_type() == array_data_type::float32);
    CHECK(d.data_type() == array_data_type::float64);
    CHECK(i.data_type() == array_data_type::int32);
    REQUIRE(f.get_if<float>());
    CHECK((*f.get_if<float>() == a));
    CHECK(f.get_if<double>() == nullptr);
    CHECK(multi_array().shape() == shape{});

    const multi_array sum = a + a;
    CHECK((*sum.get_if<float>())(1, 2) == 12);
    const xt::xtensor<float, 2> fixed{{1, 2, 3}, {4, 5, 6}};
    CHECK(multi_array(fixed) == f);
    const xt::xtensor<float, 2, xt::layout_type::column_major> columns{{1, 2, 3}, {4, 5, 6}};
    CHECK(multi_array(columns) == f);
    CHECK(multi_array(xt::transpose(columns)).shape() == shape{3, 2});
    CHECK_FALSE(f == sum);
    CHECK_FALSE(f == d);
}

TEST_CASE("multi_array: nine axes are too many") {
    const failure f([] { multi_array a = tensor<float>(tensor<float>::shape_type(9, 1)); });
    CHECK(f.is(errc::bad_argument));
    CHECK(f.text == "multi-array: at most 8 axes wanted, but 9 came");
    CHECK(multi_array(tensor<float>(tensor<float>::shape_type(8, 1))).shape().rank() == 8);
}

TEST_CASE("multi_array: cast") {
    constexpr double inf = std::numeric_limits<double>::infinity();
    const multi_array d =
        tensor<double>{{1.9, -1.9, 0.1}, {inf, -inf, std::numeric_limits<double>::quiet_NaN()}};
    using limits = std::numeric_limits<std::int32_t>;
    CHECK((d.cast<std::int32_t>() == tensor<std::int32_t>{{1, -1, 0}, {limits::max(), limits::min(), 0}}));
    CHECK(d.cast<float>()(0, 2) == 0.1f);
    CHECK(d.cast<float>()(1, 1) == -std::numeric_limits<float>::infinity());
    const multi_array f = tensor<float>{3e9f, -3e9f};
    CHECK((f.cast<std::int32_t>() == tensor<std::int32_t>{limits::max(), limits::min()}));
    const multi_array i = tensor<std::int32_t>{-7};
    CHECK((i.cast<double>() == tensor<double>{-7.0}));
    CHECK((i.cast<std::int32_t>() == tensor<std::int32_t>{-7}));
}

TEST_CASE("features: written in braces") {
    const xt::xtensor<float, 2> fixed{{1, 2}};
    const tensor<float> image = floats({1, 8, 8});
    const long wide = 1L << 40;
    const features f{{"image", image},
                     {"fixed", fixed},
                     {"twice", image * 2.0f},
                     {"label", 3},
                     {"wide", wide},
                     {"rate", 0.5},
                     {"single", 0.5f},
                     {"title", "a"},
                     {"words", string_sequence{"b", "c"}},
                     {"ids", int64_sequence{1, 2, 3}},
                     {"by_name", string_dictionary{{"x", 0.25}}},
                     {"by_id", int64_dictionary{{4, 0.75}}}};
    CHECK(f.size() == 12);
    CHECK(f.get<multi_array>("image").shape() == shape{1, 8, 8});
    CHECK(f.get<tensor<float>>("fixed")(0, 1) == 2);
    CHECK(f.get<tensor<float>>("twice").dimension() == 3);
    CHECK(f.get<std::int64_t>("label") == 3);
    CHECK(f.get<std::int64_t>("wide") == 1L << 40);
    CHECK(f.get<double>("rate") == 0.5);
    CHECK(f.get<double>("single") == 0.5);
    CHECK(f.get<std::string>("title") == "a");
    CHECK(f.get<string_sequence>("words").back() == "c");
    CHECK(f.get<int64_sequence>("ids").size() == 3);
    CHECK(f.get<string_dictionary>("by_name").at("x") == 0.25);
    CHECK(f.get<int64_dictionary>("by_id").at(4) == 0.75);
    CHECK(f.begin()->first == "by_id");
    CHECK(features{{"a", 1}}.size() == 1);
    CHECK(features{{"a", "b"}}.get<std::string>("a") == "b");
    CHECK(features{}.empty());
    const auto count = [](const features& given) { return given.size(); };
    CHECK(count({{"image", image}}) == 1);
    CHECK(count({{"image", image}, {"label", 3}}) == 2);
    CHECK(count({}) == 0);
}

TEST_CASE("features: set, find, compare") {
    features f{{"a", 1}};
    f.set("b", 2.0);
    f.set("a", "one");
    CHECK(f == features{{"a", "one"}, {"b", 2.0}});
    CHECK_FALSE(f == features{{"a", "one"}, {"b", 3.0}});
    CHECK(f.contains("b"));
    CHECK_FALSE(f.contains("c"));
    REQUIRE(f.find("b"));
    CHECK(std::get<double>(*f.find("b")) == 2.0);
    CHECK(f.find("c") == nullptr);
}

TEST_CASE("features: errors") {
    const features none, one{{"a", 1}}, two{{"a", 1}, {"b", floats({2, 3})}};
    CHECK(failure([&] { none.at("x"); }).text == "no feature \"x\"; there is none");
    CHECK(failure([&] { one.at("x"); }).text == "no feature \"x\"; there is only \"a\"");
    const failure unknown([&] { two.get<double>("x"); });
    CHECK(unknown.is(errc::unknown_name));
    CHECK(unknown.text == "no feature \"x\"; there are \"a\", \"b\"");
    const failure other([&] { two.get<double>("a"); });
    CHECK(other.is(errc::bad_value));
    CHECK(other.text == "feature \"a\": a double wanted, but it is an int64");
    CHECK(failure([&] { two.get<tensor<double>>("b"); }).text ==
          "feature \"b\": a multi-array DOUBLE wanted, but it is a multi-array FLOAT32 [2, 3]");
    CHECK(failure([&] { two.get<tensor<float>>("a"); }).text ==
          "feature \"a\": a multi-array FLOAT32 wanted, but it is an int64");
    const failure twice([] { features{{"a", 1}, {"a", 2}}; });
    CHECK(twice.is(errc::duplicate_name));
    CHECK(twice.text == "feature \"a\" is given twice");
}

TEST_CASE("features: values and types in words") {
    CHECK(to_text(feature_value(std::int64_t{1})) == "an int64");
    CHECK(to_text(feature_value(1.0)) == "a double");
    CHECK(to_text(feature_value("x")) == "a string");
    CHECK(to_text(feature_value(floats({}))) == "a multi-array FLOAT32 []");
    CHECK(to_text(feature_value(string_dictionary())) == "a dictionary of strings");
    CHECK(to_text(feature_value(int64_dictionary())) == "a dictionary of int64");
    CHECK(to_text(feature_value(int64_sequence(2))) == "a sequence of 2 int64");
    CHECK(to_text(feature_value(string_sequence(3))) == "a sequence of 3 strings");

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
}

TEST_CASE("feature_type: which values it accepts") {
    const std::vector<feature_value> values{std::int64_t{1},     1.0,
                                            std::string("x"),    floats({2, 3}),
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
