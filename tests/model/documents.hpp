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

}  // namespace check
