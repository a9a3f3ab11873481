#include <bespoke/convert/schema.hpp>

#include <catch2/catch.hpp>

using namespace bespoke;

TEST_CASE("the layers of the specification") {
    const message_schema& layer = *find_message("NeuralNetworkLayer");
    std::size_t types = 0;
    for (const field_schema& f : layer.fields)
        if (f.number >= 100) {
            ++types;
            CHECK(f.type == schema_type::message);
        }
    CHECK(types == 158);
    CHECK(layer.find("convolution")->number == 100);
    CHECK(layer.find(1313u)->key == "whereNonZero");
    CHECK(layer.find("input")->repeated);
    CHECK_FALSE(layer.find("name")->repeated);
}

TEST_CASE("numbers of the specification, as they stand there") {
    const message_schema& convolution = *find_message("ConvolutionLayerParams");
    CHECK(convolution.find("kernelSize")->number == 20);
    CHECK(convolution.find("kernelSize")->type == schema_type::uint64);
    CHECK(convolution.find("weights")->message == find_message("WeightParams"));
    const message_schema& weights = *find_message("WeightParams");
    CHECK(weights.find("int8RawValue")->number == 31);
    CHECK(weights.find("int8RawValue")->type == schema_type::bytes);
    CHECK(weights.find("floatValue")->type == schema_type::real);
    const auto& kinds = find_message("PoolingLayerParams")->find("type")->enumeration->enumerators;
    REQUIRE(kinds.size() == 3);
    CHECK(kinds[2].name == "L2");
    CHECK(kinds[2].number == 2);
    CHECK(find_message("CustomLayerParams")->find("parameters")->type == schema_type::map);
}
