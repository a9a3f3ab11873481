#include "failure.hpp"

#include <bespoke/model/preprocessing.hpp>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace bespoke;
using nlohmann::json;
namespace hidden = bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit;

namespace {

using space = image_color_space;

std::vector<image_preprocessing> read(const std::string& text) {
    const json root = json::parse(text);
    object_reader in(&root, "/neuralNetwork");
    auto steps = hidden::read_preprocessing(in);
    in.finish();
    return steps;
}
std::string failed(const std::string& text) {
    return check::failure([&] { read(text); }).text;
}

std::vector<float> after(const std::vector<image_preprocessing>& steps, space s, image_size size,
                         std::vector<float> values) {
    hidden::preprocess(steps, "x", size, s, values.data());
    return values;
}

}  // namespace

TEST_CASE("preprocessing: goes round") {
    const std::string text = R"({"preprocessing": [
        {"featureName": "x",
         "scaler": {"channelScale": 0.5, "blueBias": -1, "greenBias": 2, "redBias": -3, "grayBias": 4}},
        {"featureName": "z", "scaler": {}},
        {"featureName": "x", "meanImage": {"meanImage": [1, 2.5, -3]}},
        {"featureName": "z", "meanImage": {}}]})";
    const auto steps = read(text);
    REQUIRE(steps.size() == 4);
    CHECK(steps[0] == image_preprocessing{"x", image_scaler{.channel_scale = 0.5F, .blue_bias = -1, .green_bias = 2,
                                                            .red_bias = -3, .gray_bias = 4}});
    CHECK(steps[1] == image_preprocessing{"z", image_scaler{.channel_scale = 0}});
    CHECK(steps[2] == image_preprocessing{"x", mean_image{{1, 2.5F, -3}}});
    object_writer out;
    hidden::write_preprocessing(out, steps);
    CHECK(json::parse(out.dump()) == json::parse(text));
    object_writer none;
    hidden::write_preprocessing(none, {});
    CHECK(none.empty());
    CHECK(read("{}").empty());
}

TEST_CASE("preprocessing: what does not fit says where") {
    const std::string at = "/neuralNetwork/preprocessing/0";
    CHECK(failed(R"({"preprocessing": [{"featureName": "x"}]})") == at + ": a scaler or a meanImage wanted, none came");
    CHECK(failed(R"({"preprocessing": [{"scaler": {}, "meanImage": {}}]})") ==
          at + R"(: "scaler" and "meanImage" exclude each other)");
    CHECK(failed(R"({"preprocessing": [{"scaler": {"channelScale": "a"}}]})") ==
          at + R"(/scaler/channelScale: a number wanted, "a" came)");
    CHECK(failed(R"({"preprocessing": [{"scaler": {"scale": 1}}]})")
              .starts_with(at + R"(/scaler: unknown field "scale")"));
    CHECK(failed(R"({"preprocessing": [{"meanImage": {"meanImage": [1, true]}}]})") ==
          at + "/meanImage/meanImage/1: a number wanted, true came");
}

TEST_CASE("preprocessing: a scaler multiplies and adds the bias of the channel") {
    const std::vector<image_preprocessing> steps{
        {"x", image_scaler{.channel_scale = 10, .blue_bias = -2.5F, .green_bias = -6, .red_bias = -5, .gray_bias = 7}}};
    CHECK(after(steps, space::rgb, {1, 1}, {4, 2, 5}) == std::vector<float>{35, 14, 47.5F});
    CHECK(after(steps, space::bgr, {1, 1}, {5, 2, 4}) == std::vector<float>{47.5F, 14, 35});
    CHECK(after(steps, space::rgb, {2, 1}, {4, 1, 2, 1, 5, 1}) == std::vector<float>{35, 5, 14, 4, 47.5F, 7.5F});
    CHECK(after(steps, space::grayscale, {2, 2}, {0, 1, 2, 3}) == std::vector<float>{7, 17, 27, 37});
    // of another input
    CHECK(after({{"y", image_scaler{.channel_scale = 10}}}, space::grayscale, {1, 1}, {3}) == std::vector<float>{3});
    CHECK(after({}, space::rgb, {1, 1}, {4, 2, 5}) == std::vector<float>{4, 2, 5});
}

TEST_CASE("preprocessing: a mean image is subtracted, steps run in their order") {
    const image_preprocessing mean{"x", mean_image{{1, 2, 3, 4, 5, 6}}}, scaler{"x", image_scaler{.channel_scale = 2,
                                                                                                  .green_bias = 1}};
    CHECK(after({mean}, space::rgb, {2, 1}, {1, 1, 1, 1, 1, 1}) == std::vector<float>{0, -1, -2, -3, -4, -5});
    CHECK(after({mean, scaler}, space::bgr, {1, 2}, {1, 1, 1, 1, 1, 1}) == std::vector<float>{0, -2, -3, -5, -8, -10});
    CHECK(after({scaler, mean}, space::bgr, {1, 2}, {1, 1, 1, 1, 1, 1}) == std::vector<float>{1, 0, 0, -1, -3, -4});
    const check::failure other([&] { after({mean}, space::rgb, {1, 1}, {1, 1, 1}); });
    CHECK(other.is(errc::shape_mismatch));
    CHECK(other.text == "input \"x\": the mean image has 6 numbers, the image 3");
}
