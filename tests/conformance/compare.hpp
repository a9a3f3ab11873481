#pragma once

#include "case.hpp"

#include <functional>
#include <numeric>
#include <sstream>

/// What a model gave beside what a case expects.
namespace conformance {

inline std::string text_of(const std::vector<std::int64_t>& shape) {
    std::string text = "[";
    for (std::size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
    return text + "]";
}
inline std::string text_of(double number) {
    std::ostringstream out;
    out.precision(9);
    out << number;
    return out.str();
}

inline std::vector<std::int64_t> squeezed(std::vector<std::int64_t> shape) {
    std::erase(shape, 1);
    return shape;
}

inline void check_shape(const json& check, const array& came, const array& expected) {
    const std::string word = check.is_string() ? check.get<std::string>() : "";
    auto wanted = expected.shape;
    bool fits = came.values.size() == expected.values.size();
    if (check.is_array()) {
        wanted = check.get<std::vector<std::int64_t>>();
        fits = came.shape == wanted;
    } else if (word.starts_with("exact")) {
        fits = came.shape == wanted;
    } else if (word == "squeeze") {
        fits = squeezed(came.shape) == squeezed(wanted);
    }
    if (!fits) throw failure{"shape", text_of(wanted) + " expected, " + text_of(came.shape) + " came"};
}

/// Fails with the element that is furthest from fitting: `excess(came, expected)` is how far an error goes beyond
/// what is allowed, at most 0 where it fits.
inline void check_elements(const array& came, const array& expected,
                           const std::function<double(double came, double expected)>& excess) {
    std::size_t worst = 0;
    double most = 0;
    for (std::size_t i = 0; i < expected.values.size(); ++i) {
        const double c = came.values[i], e = expected.values[i];
        if (c == e || (std::isnan(c) && std::isnan(e))) continue;
        double beyond = excess(c, e);
        if (!std::isfinite(c) || !std::isfinite(e) || std::isnan(beyond))
            beyond = std::numeric_limits<double>::infinity();
        if (beyond > most) {
            most = beyond;
            worst = i;
        }
    }
    if (most > 0)
        throw failure{"values", text_of(expected.values[worst]) + " expected at " + std::to_string(worst) +
                                    ", " + text_of(came.values[worst]) + " came"};
}

/// Signal beside noise, in decibels.
inline void check_noise(const array& came, const array& expected, double least, double least_of_peak) {
    double noise = 0, signal = 0, peak = 0;
    for (std::size_t i = 0; i < expected.values.size(); ++i) {
        const double e = expected.values[i], d = came.values[i] - e;
        noise += d * d;
        signal += e * e;
        peak = std::max(peak, e * e);
    }
    const auto count = static_cast<double>(expected.values.size());
    noise /= count;
    signal /= count;
    if (noise <= 1e-6 || signal <= 1e-6) return;
    const double ratio = 10 * std::log10(signal / noise), of_peak = 10 * std::log10(peak / noise);
    if (!(ratio >= least) || !(of_peak >= least_of_peak))
        throw failure{"noise", text_of(ratio) + " dB, of the peak " + text_of(of_peak) + " dB"};
}

/// Central moments, for values that are random.
inline void check_moments(const array& came, const array& expected, int moments, double allowed) {
    const auto moment = [](const array& a, int k) {
        const auto count = static_cast<double>(a.values.size());
        const double mean = std::accumulate(a.values.begin(), a.values.end(), 0.0) / count;
        double sum = 0;
        for (double v : a.values) sum += std::pow(v - mean, k);
        return sum / count;
    };
    for (int k = 0; k < moments; ++k)
        if (const double c = moment(came, k), e = moment(expected, k); !(std::abs(c - e) <= allowed))
            throw failure{"moments", "moment " + std::to_string(k) + ": " + text_of(e) + " expected, " +
                                         text_of(c) + " came"};
}

/// How often each class comes in each row beside its probability.
inline void check_frequencies(const array& came, const array& probabilities, double allowed) {
    const auto classes = static_cast<std::size_t>(probabilities.shape.back());
    const std::size_t rows = probabilities.values.size() / classes, columns = came.values.size() / rows;
    for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t k = 0; k < classes; ++k) {
            const auto begin = came.values.begin() + static_cast<std::ptrdiff_t>(r * columns);
            const auto hits =
                std::count(begin, begin + static_cast<std::ptrdiff_t>(columns), static_cast<double>(k));
            const double frequency = static_cast<double>(hits) / static_cast<double>(columns);
            const double probability = probabilities.values[r * classes + k];
            if (!(std::abs(frequency - probability) <= allowed))
                throw failure{"frequencies", "class " + std::to_string(k) + " in row " + std::to_string(r) +
                                                 ": " + text_of(probability) + " expected, " +
                                                 text_of(frequency) + " came"};
        }
}

inline void check_values(const json& tolerance, const array& came, const array& expected) {
    const std::string metric = tolerance.is_object() ? tolerance.value("metric", "") : "";
    const auto number = [&](const char* key) { return tolerance.at(key).get<double>(); };
    if (tolerance.is_null()) {
        check_elements(came, expected, [](double c, double e) {
            return std::abs(c - e) - 1e-4 * std::max(1.0, std::abs(e));
        });
    } else if (metric == "assert_allclose") {
        const double rtol = number("rtol"), atol = number("atol");
        check_elements(came, expected,
                       [=](double c, double e) { return std::abs(c - e) - (atol + rtol * std::abs(e)); });
    } else if (metric == "rel_error") {
        const double delta = number("delta");
        check_elements(came, expected, [=](double c, double e) {
            return std::abs(c - e) / std::max(std::abs(e), 1.0) - delta;
        });
    } else if (metric == "rel_error_max") {
        const double delta = number("delta");
        check_elements(came, expected, [=](double c, double e) {
            return std::abs(c - e) / std::max({c, e, 1.0}) - delta;
        });
    } else if (metric == "abs_error") {
        const double delta = number("delta");
        check_elements(came, expected, [=](double c, double e) { return std::abs(c - e) - delta; });
    } else if (metric == "decimal") {
        const double allowed = 1.5 * std::pow(10.0, -number("decimal"));
        check_elements(came, expected, [=](double c, double e) { return std::abs(c - e) - allowed; });
    } else if (metric == "equal" || metric == "exact") {
        check_elements(came, expected, [](double, double) { return 1.0; });
    } else if (metric == "SNR") {
        check_noise(came, expected, number("SNR"), number("PSNR"));
    } else if (metric == "moments") {
        check_moments(came, expected, tolerance.at("num_moments").get<int>(),
                      1.5 * std::pow(10.0, -number("decimal")));
    } else {
        throw failure{"unknown metric " + metric, ""};
    }
}

/// The channels of an image that say something, as numbers [channels, height, width].
inline array channels_in(const bespoke::image& picture) {
    const bool gray = picture.layout() == bespoke::pixel_layout::gray;
    const auto space = gray ? bespoke::image_color_space::grayscale : bespoke::image_color_space::rgb;
    array result(
        json{{"shape", {bespoke::channels_of(space), picture.height(), picture.width()}}, {"data", json::array()}});
    std::vector<float> values(
        static_cast<std::size_t>(bespoke::channels_of(space) * picture.height() * picture.width()));
    bespoke::read_pixels(picture, space, values.data());
    result.values.assign(values.begin(), values.end());
    return result;
}

/// One expected output of the case. Throws `failure`.
inline void check_output(const json& io, const std::string& name, const json& expected,
                         const bespoke::features& outputs) {
    static const std::string frequencies = "class_probabilities_of_";
    const bool is_frequencies = name.starts_with(frequencies);
    const std::string output = is_frequencies ? name.substr(frequencies.size()) : name;
    const bespoke::feature_value* value = outputs.find(output);
    if (value == nullptr) throw failure{"no output of this name", output};
    const auto differs = [&] {
        throw failure{"values", expected.dump() + " expected, " + bespoke::to_text(*value) + " came"};
    };
    if (expected.contains("kind")) {
        const auto kind = expected.at("kind").get<std::string>();
        if (const auto* picture = std::get_if<bespoke::image>(value); kind == "image" && picture != nullptr) {
            const array came = channels_in(*picture);
            const array wanted = channels_in(std::get<bespoke::image>(input_value(expected, {})));
            check_shape("exact", came, wanted);
            return check_values(tolerance_of(io, name), came, wanted);
        }
        if (kind == "image") throw failure{"an image expected", bespoke::to_text(*value) + " came"};
        const json& wanted = expected.at("value");
        if (const auto* text = std::get_if<std::string>(value); kind == "string" && text != nullptr) {
            if (*text != wanted.get<std::string>()) differs();
        } else if (const auto* whole = std::get_if<std::int64_t>(value);
                   kind == "int64" && whole != nullptr) {
            if (*whole != wanted.get<std::int64_t>()) differs();
        } else if (const auto* real = std::get_if<double>(value); kind == "double" && real != nullptr) {
            const array one(json{{"shape", {1}}, {"data", {wanted}}});
            array came = one;
            came.values = {*real};
            check_values(tolerance_of(io, name), came, one);
        } else {
            throw failure{"outputs of the kind " + kind, ""};
        }
        return;
    }
    const auto* array_value = std::get_if<bespoke::multi_array>(value);
    if (array_value == nullptr) throw failure{"a multi-array expected", bespoke::to_text(*value) + " came"};
    const array came(*array_value), wanted(expected);
    const json check = shape_check_of(io, output), tolerance = tolerance_of(io, output);
    if (is_frequencies) {
        if (check.is_array()) check_shape(check, came, came);
        return check_frequencies(came, wanted, tolerance.at("atol").get<double>());
    }
    check_shape(check, came, wanted);
    const bool random = tolerance.is_object() && tolerance.value("metric", "") == "moments";
    if (random || !io.value("shape_only", false)) check_values(tolerance, came, wanted);
}

}  // namespace conformance
