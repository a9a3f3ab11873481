#include <bespoke/model/model_settings.hpp>

#include <catch2/catch.hpp>

using namespace bespoke;

TEST_CASE("model_settings: what is not said") {
    const model_settings settings;
    CHECK(settings.specification_version == 4);
    CHECK(settings.type == model_type::neural_network);
    CHECK(
        enumerators(settings.array_input_shape_mapping)[static_cast<std::size_t>(settings.array_input_shape_mapping)] ==
        "EXACT_ARRAY_MAPPING");
    CHECK(
        enumerators(settings.image_input_shape_mapping)[static_cast<std::size_t>(settings.image_input_shape_mapping)] ==
        "RANK5_IMAGE_MAPPING");
    CHECK_FALSE(settings.is_updatable);
    CHECK_FALSE(settings.update_parameters);
}

TEST_CASE("model_settings: every member counts in a comparison") {
    const model_settings one;
    CHECK(one == model_settings{});
    const auto differs = [&](auto change) {
        model_settings other;
        change(other);
        return !(one == other);
    };
    CHECK(differs([](auto& s) { s.specification_version = 5; }));
    CHECK(differs([](auto& s) { s.description.input.push_back({"x", "", {double_feature_type{}}}); }));
    CHECK(differs([](auto& s) { s.is_updatable = true; }));
    CHECK(differs([](auto& s) { s.type = model_type::neural_network_regressor; }));
    CHECK(differs([](auto& s) { s.array_input_shape_mapping = array_shape_mapping::rank5_array_mapping; }));
    CHECK(differs([](auto& s) { s.image_input_shape_mapping = image_shape_mapping::rank4_image_mapping; }));
    CHECK(differs([](auto& s) { s.preprocessing.push_back({"x", image_scaler{}}); }));
    CHECK(differs([](auto& s) { s.class_labels = string_sequence{"a"}; }));
    CHECK(differs([](auto& s) { s.label_probability_layer_name = "p"; }));
    CHECK(differs([](auto& s) { s.update_parameters.emplace().shuffle = true; }));
}

TEST_CASE("model_settings: the rank 5 mapping is one of arrays") {
    model_settings s{.array_input_shape_mapping = array_shape_mapping::rank5_array_mapping};
    CHECK_FALSE(s.takes_arrays_of_rank_5());
    s.description.input = {{"number", "", {double_feature_type{}}}, {"image", "", {image_feature_type{}}}};
    CHECK_FALSE(s.takes_arrays_of_rank_5());
    s.description.input.push_back({"array", "", {array_feature_type{}}});
    CHECK(s.takes_arrays_of_rank_5());
    s.array_input_shape_mapping = array_shape_mapping::exact_array_mapping;
    CHECK_FALSE(s.takes_arrays_of_rank_5());
}
