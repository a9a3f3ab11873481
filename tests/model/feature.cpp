#include <bespoke/model/feature.hpp>

#include "failure.hpp"

#include <catch2/catch.hpp>

#include <limits>

using namespace bespoke;
using check::failure;

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
    tensor<double> deep = zeros<double>({1, 2, 1, 3, 1});
    deep(0, 1, 0, 2, 0) = 4;
    const double* const elements = deep.data();
    const multi_array taken = std::move(deep);
    CHECK(taken.shape() == shape{1, 2, 1, 3, 1});
    CHECK(taken.get_if<double>()->data() == elements);
    CHECK((*taken.get_if<double>())(0, 1, 0, 2, 0) == 4);
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
    const tensor<float> image = zeros<float>({1, 8, 8});
    const auto wide = std::int64_t{1} << 40;
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
                     {"by_id", int64_dictionary{{4, 0.75}}},
                     {"picture", bespoke::image(1, 1, pixel_layout::gray, {7})}};
    CHECK(f.size() == 13);
    CHECK(f.get<bespoke::image>("picture").pixels()[0] == 7);
    CHECK(f.get<multi_array>("image").shape() == shape{1, 8, 8});
    CHECK(f.get<tensor<float>>("fixed")(0, 1) == 2);
    CHECK(f.get<tensor<float>>("twice").dimension() == 3);
    CHECK(f.get<std::int64_t>("label") == 3);
    CHECK(f.get<std::int64_t>("wide") == std::int64_t{1} << 40);
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
    STATIC_REQUIRE(std::is_same_v<decltype(features().at("x")), feature_value>);
    // what is asked of a temporary outlives it
    STATIC_REQUIRE(std::is_same_v<decltype(features().get<std::string>("a")), std::string>);
    STATIC_REQUIRE(std::is_same_v<decltype(f.get<std::string>("a")), const std::string&>);
    const auto& kept = features{{"x", tensor<float>{1, 2}}}.get<tensor<float>>("x");
    CHECK(kept(1) == 2);
    double sum = 0;
    for (const auto& [name, p] : features{{"d", string_dictionary{{"a", 1}, {"b", 2}}}}.get<string_dictionary>("d"))
        sum += p;
    CHECK(sum == 3);
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
    const features none, one{{"a", 1}}, two{{"a", 1}, {"b", zeros<float>({2, 3})}};
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

TEST_CASE("features: values in words") {
    CHECK(to_text(feature_value(std::int64_t{1})) == "an int64");
    CHECK(to_text(feature_value(1.0)) == "a double");
    CHECK(to_text(feature_value("x")) == "a string");
    CHECK(to_text(feature_value(zeros<float>({}))) == "a multi-array FLOAT32 []");
    CHECK(to_text(feature_value(string_dictionary())) == "a dictionary of strings");
    CHECK(to_text(feature_value(int64_dictionary())) == "a dictionary of int64");
    CHECK(to_text(feature_value(int64_sequence(2))) == "a sequence of 2 int64");
    CHECK(to_text(feature_value(string_sequence(3))) == "a sequence of 3 strings");
    CHECK(to_text(feature_value(bespoke::image(3, 2, pixel_layout::gray, std::vector<std::uint8_t>(6)))) ==
          "an image GRAY 3 x 2");
    CHECK(to_text(image_size{20, 10}) == "20 x 10");
}

TEST_CASE("multi_array: copies share the elements, and a moved one keeps them") {
    multi_array a = tensor<float>{1, 2};
    const multi_array copy = a, moved = std::move(a);
    CHECK(&copy.values() == &moved.values());
    CHECK((*a.get_if<float>() == tensor<float>{1, 2}));
    a = tensor<double>{3};
    CHECK((*copy.get_if<float>() == tensor<float>{1, 2}));
    CHECK((*a.get_if<double>() == tensor<double>{3}));
}

TEST_CASE("features: copies are independent") {
    features a{{"x", 1}};
    features b = a;
    b.set("x", 2);
    CHECK(a.get<std::int64_t>("x") == 1);
    features c = std::move(b);
    CHECK(c.get<std::int64_t>("x") == 2);
    b = c;
    a = std::move(c);
    CHECK(a == b);
}
