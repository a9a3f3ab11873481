#pragma once

#include "feature_type.hpp"
#include "object_reader.hpp"
#include "object_writer.hpp"

#include <string>
#include <variant>
#include <vector>

/// What happens to an image before its network sees it.
/// Core ML specification, NeuralNetworkPreprocessing: for images only.
namespace bespoke {

/// y = channel_scale x + the bias of the channel: gray_bias of a gray image.
/// Core ML specification, NeuralNetworkImageScaler. A file that leaves channelScale out says 0.
struct image_scaler {
    float channel_scale = 1, blue_bias = 0, green_bias = 0, red_bias = 0, gray_bias = 0;
    friend bool operator==(const image_scaler&, const image_scaler&) = default;
};

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// y = x - values, number by number: [channels, height, width], the channels as the feature's colour space orders them.
/// Core ML specification, NeuralNetworkMeanImage.
struct mean_image {
    std::vector<float> values = {};
    friend bool operator==(const mean_image&, const mean_image&);
};

/// One step, for the input `feature_name`. Those of one input run in their order.
struct image_preprocessing {
    std::string feature_name = {};
    std::variant<image_scaler, mean_image> preprocessor = {};
    friend bool operator==(const image_preprocessing&, const image_preprocessing&);
};

/// Throws `error` with the place of what does not fit.
std::vector<image_preprocessing> read_preprocessing(object_reader& network);
void write_preprocessing(object_writer& network, const std::vector<image_preprocessing>& steps);

/// The steps of the input `name` for an image of this size that lies at `values`, channel after channel. Throws
/// errc::shape_mismatch where a mean image is of another size.
void preprocess(const std::vector<image_preprocessing>& steps, std::string_view name, image_size size,
                image_color_space space, float* values);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::image_preprocessing;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::mean_image;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

bool operator==(const mean_image&, const mean_image&) = default;
bool operator==(const image_preprocessing&, const image_preprocessing&) = default;

std::vector<image_preprocessing> read_preprocessing(object_reader& network) {
    std::vector<image_preprocessing> steps;
    for (object_reader& in : network.objects("preprocessing")) {
        image_preprocessing& step = steps.emplace_back();
        step.feature_name = in.text("featureName");
        static constexpr std::string_view kinds[] = {"scaler", "meanImage"};
        const std::string_view kind = in.one_of(kinds);
        if (kind.empty()) in.fail(errc::bad_value, "", "a scaler or a meanImage wanted, none came");
        object_reader inner = in.object(kind);
        if (kind == kinds[0])
            step.preprocessor = image_scaler{inner.real("channelScale"), inner.real("blueBias"),
                                             inner.real("greenBias"), inner.real("redBias"), inner.real("grayBias")};
        else
            step.preprocessor = mean_image{inner.reals("meanImage")};
        inner.finish();
        in.finish();
    }
    return steps;
}

void write_preprocessing(object_writer& network, const std::vector<image_preprocessing>& steps) {
    std::vector<object_writer> list;
    for (const image_preprocessing& step : steps) {
        object_writer& out = list.emplace_back();
        out.text("featureName", step.feature_name);
        object_writer inner;
        if (const auto* scaler = std::get_if<image_scaler>(&step.preprocessor)) {
            inner.real("channelScale", scaler->channel_scale);
            inner.real("blueBias", scaler->blue_bias);
            inner.real("greenBias", scaler->green_bias);
            inner.real("redBias", scaler->red_bias);
            inner.real("grayBias", scaler->gray_bias);
            out.object("scaler", inner);
        } else {
            inner.reals("meanImage", std::get<mean_image>(step.preprocessor).values);
            out.object("meanImage", inner);
        }
    }
    network.objects("preprocessing", list);
}

void preprocess(const std::vector<image_preprocessing>& steps, std::string_view name, image_size size,
                image_color_space space, float* values) {
    const extent pixels = size.width * size.height, channels = channels_of(space);
    for (const image_preprocessing& step : steps) {
        if (step.feature_name != name) continue;
        if (const auto* mean = std::get_if<mean_image>(&step.preprocessor)) {
            if (static_cast<extent>(mean->values.size()) != channels * pixels)
                throw error(errc::shape_mismatch, "input \"" + std::string(name) + "\": the mean image has " +
                                                      std::to_string(mean->values.size()) + " numbers, the image " +
                                                      std::to_string(channels * pixels));
            for (std::size_t i = 0; i < mean->values.size(); ++i) values[i] -= mean->values[i];
            continue;
        }
        const auto& scaler = std::get<image_scaler>(step.preprocessor);
        const bool blue_first = space == image_color_space::bgr;
        const float first = blue_first ? scaler.blue_bias : scaler.red_bias;
        const float last = blue_first ? scaler.red_bias : scaler.blue_bias;
        for (extent c = 0; c < channels; ++c) {
            const float bias = channels == 1 ? scaler.gray_bias : c == 0 ? first : c == 1 ? scaler.green_bias : last;
            for (extent i = 0; i < pixels; ++i) {
                float& v = values[c * pixels + i];
                v = scaler.channel_scale * v + bias;
            }
        }
    }
}

}  // namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

#endif
