#include "documents.hpp"
#include "failure.hpp"

#include <bespoke/model/model.hpp>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace bespoke;
using check::layer_text;
using check::network_text;
using nlohmann::json;

namespace {

std::string written(const std::string& text) { return parse(text).write("w.safetensors").json; }

}  // namespace

TEST_CASE("what a document says beyond the layer is kept") {
    const std::string text = network_text(
        R"({"name": "l", "input": ["x"], "output": ["y"], "inputTensor": [{"rank": 1, "dimValue": ["2"]}],
            "outputTensor": [{"rank": 1, "dimValue": ["-1"]}], "isUpdatable": true,
            "innerProduct": {"inputChannels": "2", "outputChannels": "1",
                             "weights": {"floatValue": [1, 2], "isUpdatable": true}}})");
    CHECK(json::parse(written(text)) == json::parse(text));
    CHECK(parse(text).marked_updatable(0));
}

TEST_CASE("branches and loops go round") {
    const std::string text = network_text(R"(
        {"name": "c", "input": ["x"], "output": ["c"], "reshapeStatic": {"targetShape": ["1"]}},
        {"name": "b", "input": ["c"], "branch": {
            "ifBranch": {"layers": [{"name": "i", "input": ["x"], "output": ["z"], "add": {"alpha": 1}}]},
            "elseBranch": {"layers": [{"name": "e", "input": ["x"], "output": ["z"], "activation": {"ReLU": {}}}]}}},
        {"name": "b2", "input": ["c"], "branch": {"ifBranch": {"layers": []}}},
        {"name": "one", "input": ["c"], "output": ["one"], "multiply": {"alpha": 0.5}},
        {"name": "loop", "loop": {"maxLoopIterations": "3", "conditionVar": "more",
            "conditionNetwork": {"layers": [{"name": "n", "input": ["one"], "output": ["more"], "add": {"alpha": 1}}]},
            "bodyNetwork": {"layers": [
                {"name": "m", "input": ["one"], "output": ["next"], "add": {"alpha": -1}},
                {"name": "k", "input": ["next"], "output": ["one"], "copy": {}},
                {"name": "if", "input": ["more"], "branch": {
                    "ifBranch": {"layers": [{"name": "go", "loopContinue": {}}]},
                    "elseBranch": {"layers": [{"name": "stop", "loopBreak": {}}]}}}]}}},
        {"name": "y", "input": ["z"], "output": ["y"], "activation": {"tanh": {}}})", R"(["1"])");
    json root = json::parse(text);
    root["neuralNetwork"]["layers"][2]["branch"]["ifBranch"] = json::object();  // an empty list is left out
    CHECK(json::parse(written(text)) == root);
}

TEST_CASE("layers that do not fit say where and why") {
    const auto text = [](const std::string& layers, const std::string& shape = R"(["2"])") {
        return check::failure([&] { parse(network_text(layers, shape)); }).text;
    };
    const std::string place = R"(/neuralNetwork/layers/0 "l")";
    const auto inner = [&](const std::string& fields) {
        return text(layer_text(R"("innerProduct": {)" + fields + "}"));
    };

    CHECK(text(layer_text(R"("inerProduct": {})")) ==
          place + R"(: unknown layer "inerProduct", did you mean "innerProduct"?)");
    CHECK(text(layer_text(R"("activation": {"relu": {}})")) ==
          place + R"(: unknown layer "relu", did you mean "ReLU"?)");
    CHECK(text(layer_text(R"("activation": {})")) == "/neuralNetwork/layers/0/activation: one field wanted, none came");
    CHECK(text(layer_text(R"("activation": {"ReLU": {}, "tanh": {}})")) ==
          "/neuralNetwork/layers/0/activation: one field wanted, 2 came");
    CHECK(text(layer_text(R"("add": {}, "copy": {})")) == place + R"(: one layer type wanted, "add" and "copy" came)");
    CHECK(text(R"({"name": "l"})") == place + ": a layer type wanted, none came");
    CHECK(inner(R"("output_channels": 3)") ==
          R"(/neuralNetwork/layers/0/innerProduct: unknown field "output_channels", did you mean "outputChannels"?)");
    CHECK(inner(R"("outputChannels": "x")") ==
          R"(/neuralNetwork/layers/0/innerProduct/outputChannels: an integer of 64 bits wanted, "x" came)");
    CHECK(inner(R"("hasBias": 1)") == "/neuralNetwork/layers/0/innerProduct/hasBias: true or false wanted, 1 came");
    CHECK(inner(R"("inputChannels": 3, "outputChannels": 1)") ==
          place + " (innerProduct): 3 input channels declared, its input has 2 (shape [2])");
    CHECK(text(layer_text(R"("convolution": {"outputChannels": 1, "kernelSize": [3, 3, 3]})"), "[1, 8, 8]") ==
          "/neuralNetwork/layers/0/convolution/kernelSize: 2 elements wanted, 3 came");
    CHECK(text(layer_text(R"("convolution": {"kernelSize": [3, "x"]})"), "[1, 8, 8]") ==
          R"(/neuralNetwork/layers/0/convolution/kernelSize/1: an integer of 64 bits wanted, "x" came)");
    CHECK(text(layer_text(R"("convolution": {"valid": {}, "same": {}})"), "[1, 8, 8]") ==
          R"(/neuralNetwork/layers/0/convolution: "valid" and "same" exclude each other)");
    // as coremltools' validator, which has no default for them
    CHECK(text(layer_text(R"("convolution": {"outputChannels": 1, "kernelChannels": 1})"), "[1, 8, 8]") ==
          R"(/neuralNetwork/layers/0/convolution: "valid" or "same" wanted, none came)");
    CHECK(text(layer_text(R"("pooling": {"valid": null})"), "[1, 8, 8]") ==
          R"(/neuralNetwork/layers/0/pooling: "valid", "same" or "includeLastPixel" wanted, none came)");
    CHECK(text(layer_text(R"("padding": {})"), "[1, 8, 8]") ==
          R"(/neuralNetwork/layers/0/padding: "constant", "reflection" or "replication" wanted, none came)");
    CHECK(text(layer_text(R"("simpleRecurrent": {})"), "[1, 8]") ==
          R"(/neuralNetwork/layers/0/simpleRecurrent/activation: "sigmoid", "tanh", "sigmoidHard", "linear", "ReLU" )"
          R"(or "scaledTanh" wanted, none came)");
    CHECK(text(layer_text(R"("reshapeStatic": {"targetShape": [1, 1, 1, 1, 1, 1, 1, 1, 1]})")) ==
          "/neuralNetwork/layers/0/reshapeStatic/targetShape: at most 8 numbers wanted, 9 came");
    CHECK(
        text(layer_text(R"("gelu": {"mode": "FAST"})")) ==
        "/neuralNetwork/layers/0/gelu/mode: EXACT, TANH_APPROXIMATION or SIGMOID_APPROXIMATION wanted, \"FAST\" came");
    CHECK(text(layer_text(R"("branch": {})"), R"(["1"])") ==
          "/neuralNetwork/layers/0/branch/ifBranch: a network wanted, none came");
    CHECK(text(layer_text(R"("loop": {})"), R"(["1"])") ==
          "/neuralNetwork/layers/0/loop/bodyNetwork: a network wanted, none came");
    CHECK(text(R"({"name": "l", "loop": {"bodyNetwork": {"layers": [)" + layer_text(R"("copy": {})") + "]}}}") ==
          "/neuralNetwork/layers/0/loop: maxLoopIterations, a conditionNetwork or an input wanted, none came");
}

TEST_CASE("a document names what its layers read and write") {
    const auto text = [](const std::string& layer) {
        return check::failure([&] { parse(network_text(layer)); }).text;
    };
    const std::string place = "/neuralNetwork/layers/0";
    CHECK(text(R"({"name": "l", "output": ["y"], "activation": {"ReLU": {}}})") ==
          place + "/input: 1 name wanted, none came");
    CHECK(text(R"({"name": "l", "output": ["y"], "addBroadcastable": {}})") ==
          place + "/input: 2 names wanted, none came");
    CHECK(text(R"({"name": "l", "input": ["x"], "activation": {"ReLU": {}}})") ==
          place + "/output: 1 name wanted, none came");
    CHECK(text(R"({"name": "l", "branch": {"ifBranch": {}}})") == place + "/input: 1 name wanted, none came");
    CHECK(text(R"({"name": "l", "output": ["y"], "fillStatic": {"targetShape": ["2"]}})") == "nothing is thrown");
}

TEST_CASE("layers of version 4 want exact shapes") {
    json root = json::parse(network_text(layer_text(R"("softmaxND": {"axis": "-1"})")));
    CHECK(check::failure([&] { parse(root.dump()); }).text == "nothing is thrown");
    root["neuralNetwork"].erase("arrayInputShapeMapping");
    CHECK(check::failure([&] { parse(root.dump()); }).text ==
          R"(/neuralNetwork/layers/0 "l": a layer of version 3 or less wanted with RANK5_ARRAY_MAPPING, "softmaxND" )"
          R"(wants "arrayInputShapeMapping": "EXACT_ARRAY_MAPPING")");
    root["neuralNetwork"]["layers"][0] = json::parse(layer_text(R"("softmax": {})"));
    CHECK(check::failure([&] { parse(root.dump()); }).text == "nothing is thrown");

    // the mapping is one of arrays: an image has its own
    root["neuralNetwork"]["layers"][0] = json::parse(layer_text(R"("softmaxND": {"axis": "-1"})"));
    root["description"]["input"][0]["type"] =
        json::parse(R"({"imageType": {"width": "3", "height": "2", "colorSpace": "GRAYSCALE"}})");
    CHECK(parse(root.dump()).network().plan().blobs[1].dimensions == shape{1, 1, 1, 2, 3});
}

TEST_CASE("the rank of a note is kept or refused") {
    json root = json::parse(network_text(layer_text(R"("softmaxND": {"axis": "-1"})")));
    root["neuralNetwork"]["layers"][0]["inputTensor"] = json::parse(R"([{"rank": 2147483647}])");
    CHECK(json::parse(written(root.dump()))["neuralNetwork"]["layers"][0]["inputTensor"][0]["rank"] == 2147483647);
    root["neuralNetwork"]["layers"][0]["inputTensor"][0]["rank"] = 5000000000;
    CHECK(check::failure([&] { parse(root.dump()); }).text ==
          "/neuralNetwork/layers/0/inputTensor/0/rank: an integer of 32 bits wanted, 5000000000 came");
}
