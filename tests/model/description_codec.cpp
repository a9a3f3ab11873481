#include "failure.hpp"

#include <bespoke/model/description_codec.hpp>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace bespoke;
using nlohmann::json;

namespace {

model_description read(const json& root) {
    object_reader in(&root, "/description");
    return define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::read_description(in);
}
json written(const model_description& description) {
    return json::parse(define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::write_description(description).dump());
}
std::string failure_of_type(const std::string& type) {
    const json root = json::parse(R"({"input": [{"name": "x", "type": )" + type + "}]}");
    return check::failure([&] { read(root); }).text;
}

}  // namespace

TEST_CASE("descriptions go round") {
    const json root = json::parse(R"({
      "input": [
        {"name": "image", "shortDescription": "a digit",
         "type": {"multiArrayType": {"shape": ["1", "8", "8"], "dataType": "FLOAT32",
                  "enumeratedShapes": {"shapes": [{"shape": ["1", "8", "8"]}, {"shape": ["1", "9", "9"]}]}}}},
        {"name": "range", "type": {"multiArrayType": {"dataType": "DOUBLE", "shape": ["2"],
                  "shapeRange": {"sizeRanges": [{"lowerBound": "1", "upperBound": "-1"}]}, "floatDefaultValue": 0},
                  "isOptional": true}},
        {"name": "whole", "type": {"multiArrayType": {"shape": ["3"], "dataType": "INT32", "intDefaultValue": 7}}},
        {"name": "n", "type": {"int64Type": {}}},
        {"name": "d", "type": {"doubleType": {}}},
        {"name": "s", "type": {"sequenceType": {"stringType": {}, "sizeRange": {"upperBound": "5"}}}}
      ],
      "output": [
        {"name": "label", "type": {"stringType": {}}},
        {"name": "p", "type": {"dictionaryType": {"stringKeyType": {}}}},
        {"name": "q", "type": {"dictionaryType": {"int64KeyType": {}}}}
      ],
      "predictedFeatureName": "label",
      "predictedProbabilitiesName": "p",
      "trainingInput": [{"name": "image", "type": {"multiArrayType": {"shape": ["1"], "dataType": "FLOAT32"}}}],
      "metadata": {"shortDescription": "d", "versionString": "1", "author": "a", "license": "l",
                   "userDefined": {"k/1": "v", "": "e"}}
    })");
    const auto description = read(root);
    CHECK(written(description) == root);
    const auto* image = description.input[0].type.multi_array_type();
    REQUIRE(image != nullptr);
    CHECK(image->accepts(shape{1, 9, 9}));
    CHECK_FALSE(image->accepts(shape{1, 9, 8}));
    CHECK(description.input[1].type.is_optional);
    CHECK(description.metadata.user_defined.at("k/1") == "v");
}

TEST_CASE("images go round") {
    const json root = json::parse(R"({
      "input": [
        {"name": "a", "type": {"imageType": {"width": "20", "height": "10", "colorSpace": "RGB"}}},
        {"name": "b", "type": {"imageType": {"colorSpace": "BGR", "enumeratedSizes":
            {"sizes": [{"width": "2", "height": "3"}, {"width": "4", "height": "5"}]}}, "isOptional": true}},
        {"name": "c", "type": {"imageType": {"colorSpace": "GRAYSCALE", "width": "2", "height": "8", "imageSizeRange":
            {"widthRange": {"lowerBound": "1", "upperBound": "3"}, "heightRange": {"upperBound": "-1"}}}}}],
      "output": [{"name": "y", "type": {"imageType": {"width": "1", "height": "1", "colorSpace": "GRAYSCALE"}}}]
    })");
    const auto description = read(root);
    CHECK(written(description) == root);
    CHECK(*description.input[0].type.image_type() == image_feature_type{20, 10, {}, image_color_space::rgb});
    CHECK(description.input[1].type.image_type()->default_size() == image_size{2, 3});
    CHECK(description.input[1].type.image_type()->accepts(image_size{4, 5}));
    CHECK(description.input[2].type.image_type()->accepts(image_size{3, 1000}));
    CHECK_FALSE(description.input[2].type.image_type()->accepts(image_size{4, 1000}));
    const json by_number = json::parse(
        R"({"input": [{"name": "x", "type": {"imageType": {"width": 1, "height": 1, "colorSpace": 30}}}]})");
    CHECK(read(by_number).input[0].type.image_type()->color_space == image_color_space::bgr);
}

TEST_CASE("data types by number") {
    const json root = json::parse(R"({"input": [{"name": "x", "type": {"multiArrayType": {"dataType": 65600}}}]})");
    CHECK(read(root).input[0].type.multi_array_type()->data_type == array_data_type::float64);
}

TEST_CASE("descriptions that do not fit") {
    CHECK(failure_of_type("{}") == "/description/input/0/type: a feature type wanted, none came");
    CHECK(failure_of_type(R"({"stateType": {}})") ==
          "/description/input/0/type/stateType: features of this type are not supported");
    CHECK(failure_of_type(R"({"imageType": {"width": 1, "height": 1, "colorSpace": "GRAYSCALE_FLOAT16"}})") ==
          "/description/input/0/type/imageType/colorSpace: images of this colour space are not supported");
    CHECK(
        failure_of_type(R"({"imageType": {"colorSpace": "CMYK"}})") ==
        "/description/input/0/type/imageType/colorSpace: INVALID_COLOR_SPACE, GRAYSCALE, RGB, BGR or GRAYSCALE_FLOAT16 "
        "wanted, \"CMYK\" came");
    CHECK(failure_of_type(R"({"imageType": {"enumeratedSizes": {}, "imageSizeRange": {}}})") ==
          R"(/description/input/0/type/imageType: "enumeratedSizes" and "imageSizeRange" exclude each other)");
    CHECK(failure_of_type(R"({"imageType": {"width": 1, "height": 1}})") ==
          "/description: input \"x\": an image GRAYSCALE, RGB or BGR wanted, but its colour space is not given");
    CHECK(failure_of_type(R"({"int64Type": {}, "doubleType": {}})") ==
          R"(/description/input/0/type: "int64Type" and "doubleType" exclude each other)");
    CHECK(failure_of_type(R"({"dictionaryType": {}})") ==
          "/description/input/0/type/dictionaryType: a key type wanted, none came");
    CHECK(failure_of_type(R"({"multiArrayType": {"dataType": "FLOAT16"}})") ==
          "/description/input/0/type/multiArrayType/dataType: INVALID_ARRAY_DATA_TYPE, FLOAT32, DOUBLE or INT32 "
          "wanted, \"FLOAT16\" came");
    CHECK(failure_of_type(R"({"multiArrayType": {"dataType": "FLOAT32", "shape": [1, 1, 1, 1, 1, 1, 1, 1, 1]}})") ==
          "/description/input/0/type/multiArrayType/shape: at most 8 numbers wanted, 9 came");
    CHECK(failure_of_type(R"({"multiArrayType": {"dataType": "INT32", "intDefaultValue": 3000000000}})") ==
          "/description/input/0/type/multiArrayType/intDefaultValue: an integer of 32 bits wanted, "
          "3000000000 came");
    const json root = json::parse(R"({"functions": [{}]})");
    CHECK(check::failure([&] { read(root); }).text ==
          "/description/functions: models with functions or states are not supported");
}
