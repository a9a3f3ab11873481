#include <bespoke/convert/schema.hpp>

#include <catch2/catch.hpp>

using namespace bespoke;

TEST_CASE("the model around a network") {
    const message_schema& model = *find_message("Model");
    CHECK(model.find("neuralNetwork")->number == 500);
    CHECK(model.find("neuralNetworkClassifier")->number == 403);
    CHECK(model.find("mlProgram")->type == schema_type::any);
    CHECK(find_message("Pipeline")->find("models")->message == &model);
    const auto& types = find_message("ArrayFeatureType")->find("dataType")->enumeration->enumerators;
    REQUIRE(types.size() == 6);
    CHECK(types[1].name == "FLOAT32");
    CHECK(types[1].number == 65568);
    const field_schema& notes = *find_message("Metadata")->find("userDefined");
    CHECK(notes.type == schema_type::map);
    REQUIRE(notes.message->fields.size() == 2);
    CHECK(notes.message->find("key")->number == 1);
    CHECK(notes.message->find("value")->type == schema_type::text);
}
