#pragma once

#include <string>

namespace check {

/// `{"floatValue": [...]}` of `count` numbers that differ.
inline std::string weights(int count) {
    std::string text = R"({"floatValue": [)";
    for (int i = 0; i < count; ++i) text += (i > 0 ? ", " : "") + std::to_string((i * 7 % 11) - 5) + ".25";
    return text + "]}";
}

/// A multi-array of FLOAT32 in a description.
inline std::string array(const std::string& name, const std::string& shape) {
    return R"({"name": ")" + name + R"(", "type": {"multiArrayType": {"shape": )" + shape +
           R"(, "dataType": "FLOAT32"}}})";
}

/// A neural network from "x" to "y".
inline std::string network_text(const std::string& layers, const std::string& shape = R"(["2"])") {
    return R"({"specificationVersion": 4, "description": {"input": [)" + array("x", shape) +
           R"(], "output": [{"name": "y", "type": {"multiArrayType": {"dataType": "FLOAT32"}}}]},)" +
           R"("neuralNetwork": {"arrayInputShapeMapping": "EXACT_ARRAY_MAPPING", "layers": [)" + layers + "]}}";
}

/// A layer "l" from "x" to "y".
inline std::string layer_text(const std::string& type) {
    return R"({"name": "l", "input": ["x"], "output": ["y"], )" + type + "}";
}

/// A classifier of three classes with everything around it.
inline const std::string classifier = R"({
  "specificationVersion": 4,
  "description": {
    "input": [)" + array("x", R"(["2"])") + R"(],
    "output": [{"name": "label", "type": {"stringType": {}}},
               {"name": "p", "type": {"dictionaryType": {"stringKeyType": {}}}},
               {"name": "fc", "type": {"multiArrayType": {"shape": ["3"], "dataType": "DOUBLE"}}}],
    "predictedFeatureName": "label", "predictedProbabilitiesName": "p"},
  "isUpdatable": true,
  "neuralNetworkClassifier": {
    "layers": [
      {"name": "fc", "input": ["x"], "output": ["fc"], "isUpdatable": true, "innerProduct": {"inputChannels": "2",
       "outputChannels": "3", "weights": {"floatValue": [1, 0, 0, 1, -1, -1], "isUpdatable": true}}},
      {"name": "soft", "input": ["fc"], "output": ["soft"], "softmaxND": {"axis": "-1"}}],
    "arrayInputShapeMapping": "EXACT_ARRAY_MAPPING",
    "updateParams": {"epochs": {"defaultValue": "3"}},
    "stringClassLabels": {"vector": ["left", "right", "none"]},
    "labelProbabilityLayerName": "soft"
  }
})";

}  // namespace check
