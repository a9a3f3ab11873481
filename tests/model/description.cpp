#include <bespoke/model/description.hpp>

#include "failure.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
using check::failure;

namespace {

feature_type array_type(const shape& s) {
    return {array_feature_type{.shape = s, .data_type = array_data_type::float32}};
}

model_description classifier() {
    return {
        .input = {{"image", "what is seen", array_type({1, 8, 8})}},
        .output = {{"label", "", {int64_feature_type()}}, {"probabilities", "", {dictionary_feature_type()}}},
        .training_input = {{"image", "", array_type({1, 8, 8})}, {"label", "", {int64_feature_type()}}},
        .predicted_feature_name = "label",
        .predicted_probabilities_name = "probabilities",
        .metadata = {.author = "a", .user_defined = {{"k", "v"}}}};
}

failure problem_of(const model_description& description) {
    return failure([&] {
        if (const auto problem = fault_of(description)) throw error(*problem);
    });
}

}  // namespace

TEST_CASE("description: a sound one") {
    CHECK(problem_of(classifier()).text == "nothing is thrown");
    CHECK(problem_of({}).text == "nothing is thrown");
    CHECK(classifier() == classifier());
    model_description other = classifier();
    other.metadata.user_defined["k"] = "w";
    CHECK_FALSE(other == classifier());
    const model_description d = classifier();
    CHECK(find_feature(d.output, "probabilities") == &d.output[1]);
    CHECK(find_feature(d.output, "image") == nullptr);
}

TEST_CASE("description: what contradicts itself") {
    model_description d = classifier();
    d.output[1].name = "label";
    CHECK(problem_of(d).text == "output \"label\": the name comes twice");
    CHECK(problem_of(d).is(errc::duplicate_name));

    d = classifier();
    d.training_input[1].name = "";
    CHECK(problem_of(d).text == "training input 1: the name is empty");
    CHECK(problem_of(d).is(errc::bad_value));

    d = classifier();
    d.input[0].type = array_type({1, 0});
    CHECK(problem_of(d).text == "input \"image\": a shape of extents of 1 or more wanted, but it is [1, 0]");
    CHECK(problem_of(d).is(errc::bad_value));

    d = classifier();
    d.predicted_feature_name = "image";
    CHECK(problem_of(d).text == "predicted feature: the name of an output wanted, but it is \"image\"");
    CHECK(problem_of(d).is(errc::unknown_name));

    d = classifier();
    d.predicted_probabilities_name = "p";
    CHECK(problem_of(d).text == "predicted probabilities: the name of an output wanted, but it is \"p\"");
    CHECK(problem_of(d).is(errc::unknown_name));

    d.predicted_probabilities_name = d.predicted_feature_name;
    CHECK(problem_of(d).text == "predicted probabilities: another output than the predicted feature wanted, but it is "
                                "\"label\" too");
    CHECK(problem_of(d).is(errc::bad_value));
}

TEST_CASE("description: the features that a model is given") {
    const model_description d = classifier();
    const multi_array image = zeros<float>({1, 8, 8});
    const auto given = [&](const features& values) {
        return failure([&] { check_features("training input", d.training_input, values); });
    };
    CHECK(given({{"image", image}, {"label", 3}}).text == "nothing is thrown");

    const failure missing = given({{"image", image}});
    CHECK(missing.is(errc::unknown_name));
    CHECK(missing.text == "training input \"label\": an int64 wanted, but none is given");

    CHECK(given({{"image", image}, {"Label", 3}, {"weight", 1.0}}).text ==
          "training input \"label\": an int64 wanted, but none is given (given, but not declared: \"Label\", "
          "\"weight\")");

    const failure kind = given({{"image", image}, {"label", "three"}});
    CHECK(kind.is(errc::bad_value));
    CHECK(kind.text == "training input \"label\": an int64 wanted, but a string came");

    const failure form = given({{"image", multi_array(zeros<float>({8, 8}))}, {"label", 3}});
    CHECK(form.is(errc::shape_mismatch));
    CHECK(form.text ==
          "training input \"image\": a multi-array FLOAT32 [1, 8, 8] wanted, but a multi-array FLOAT32 [8, "
          "8] came");

    const failure unknown = given({{"image", image}, {"label", 3}, {"weight", 1.0}});
    CHECK(unknown.is(errc::unknown_name));
    CHECK(unknown.text == "training input \"weight\": the model declares none of this name");
}

TEST_CASE("description: images that a model is given") {
    const std::vector<feature_description> wanted{
        {"picture", "", {image_feature_type{3, 2, {}, image_color_space::rgb}}}};
    const auto given = [&](extent width, extent height, pixel_layout layout) {
        const auto size = static_cast<std::size_t>(width * height * bytes_of(layout));
        const features values{{"picture", bespoke::image(width, height, layout, std::vector<std::uint8_t>(size))}};
        return failure([&] { check_features("input", wanted, values); });
    };
    CHECK(given(3, 2, pixel_layout::bgra).text == "nothing is thrown");
    const failure size = given(2, 3, pixel_layout::rgba);
    CHECK(size.is(errc::shape_mismatch));
    CHECK(size.text == "input \"picture\": an image RGB 3 x 2 wanted, but an image RGBA 2 x 3 came");
    const failure gray = given(3, 2, pixel_layout::gray);
    CHECK(gray.is(errc::bad_value));
    CHECK(gray.text == "input \"picture\": an image RGB 3 x 2 wanted, but an image GRAY 3 x 2 came");
    const failure array([&] { check_features("input", wanted, {{"picture", zeros<float>({3, 2, 3})}}); });
    CHECK(array.is(errc::bad_value));
    CHECK(array.text == "input \"picture\": an image RGB 3 x 2 wanted, but a multi-array FLOAT32 [3, 2, 3] came");
    const failure none([&] { check_features("input", wanted, {}); });
    CHECK(none.text == "input \"picture\": an image RGB 3 x 2 wanted, but none is given");
}

TEST_CASE("description: an optional feature may be left out, but not be wrong") {
    std::vector<feature_description> inputs{{"bias", "", {double_feature_type(), true}}};
    CHECK(failure([&] { check_features("input", inputs, {}); }).text == "nothing is thrown");
    CHECK(failure([&] {
              check_features("input", inputs, {{"bias", "x"}});
          }).text == "input \"bias\": a double wanted, but a string came");
    inputs[0].type.is_optional = false;
    CHECK(failure([&] { check_features("input", inputs, {}); }).text ==
          "input \"bias\": a double wanted, but none is given");
}
