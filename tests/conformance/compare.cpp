#include "compare.hpp"

#include <catch2/catch.hpp>

using namespace conformance;
using bespoke::tensor;

namespace {

/// What `check_output` says of the output "y": its reason and details, or nothing where it fits.
std::string outcome(const char* io, const char* expected, const bespoke::feature_value& came) {
    bespoke::features outputs;
    outputs.set("y", came);
    try {
        check_output(json::parse(io), "y", json::parse(expected), outputs);
        return "";
    } catch (const failure& f) {
        return f.reason + ": " + f.details;
    }
}

bespoke::multi_array row(std::initializer_list<double> values) { return tensor<double>(values); }

constexpr const char* two = R"({"shape": [2], "data": [1, 100]})";

}  // namespace

TEST_CASE("shapes") {
    const bespoke::multi_array column = bespoke::zeros<float>({2, 1});
    const char* expected = R"({"shape": [2], "data": [0, 0]})";
    CHECK(outcome(R"({"shape_check": "exact, in words"})", expected, column) ==
          "shape: [2] expected, [2, 1] came");
    CHECK(outcome(R"({"shape_check": {"y": "squeeze"}})", expected, column) == "");
    CHECK(outcome(R"({"shape_check": {"y": [2, 1]}})", expected, column) == "");
    CHECK(outcome(R"({"shape_check": {"y": [1, 2]}})", expected, column) ==
          "shape: [1, 2] expected, [2, 1] came");
    CHECK(outcome(R"({"shape_check": "none"})", expected, column) == "");
    CHECK(outcome("{}", R"({"shape": [3], "data": [0, 0, 0]})", column) ==
          "shape: [3] expected, [2, 1] came");
    CHECK(outcome(R"({"shape_check": "squeeze"})", R"({"shape": [1, 2, 2], "data": [0, 0, 0, 0]})",
                  bespoke::zeros<float>({4})) == "shape: [1, 2, 2] expected, [4] came");
    CHECK(outcome(R"({"shape_check": "exact"})", R"({"shape": [], "data": [7]})", row({7})) == "");
    CHECK(outcome(R"({"shape_only": true})", expected, row({5, 6})) == "");
}

TEST_CASE("values") {
    CHECK(outcome("{}", two, row({1.00009, 100.009})) == "");
    CHECK(outcome("{}", two, row({1.00009, 100.011})) == "values: 100 expected at 1, 100.011 came");
    CHECK(outcome("{}", two, row({1.00011, 100})) == "values: 1 expected at 0, 1.00011 came");
    const auto fails = [](const char* io, std::initializer_list<double> came) {
        return outcome(io, two, row(came)) != "";
    };
    constexpr const char* close = R"({"tolerance": {"metric": "assert_allclose", "rtol": 0.1, "atol": 1}})";
    CHECK_FALSE(fails(close, {2.05, 110.9}));
    CHECK(fails(close, {2.2, 100}));
    CHECK(fails(close, {1, 111.1}));
    constexpr const char* relative = R"({"tolerance": {"metric": "rel_error", "delta": 0.1}})";
    CHECK_FALSE(fails(relative, {0.95, 109}));
    CHECK(fails(relative, {1, 111}));
    constexpr const char* larger = R"({"tolerance": {"metric": "rel_error_max", "delta": 0.1}})";
    CHECK_FALSE(fails(larger, {1, 111}));
    CHECK(fails(larger, {1, 112}));
    constexpr const char* absolute = R"({"tolerance": {"metric": "abs_error", "delta": 0.1}})";
    CHECK_FALSE(fails(absolute, {1.05, 100}));
    CHECK(fails(absolute, {1, 100.2}));
    constexpr const char* decimal =
        R"({"tolerance": {"metric": "numpy", "per_output": {"y": {"decimal": 1}}}})";
    CHECK_FALSE(fails(decimal, {1.14, 100}));
    CHECK(fails(decimal, {1.16, 100}));
    constexpr const char* equal = R"({"tolerance": {"metric": "numpy", "per_output": {"y": null}}})";
    CHECK_FALSE(fails(equal, {1, 100}));
    CHECK(fails(equal, {1, 100.0000001}));
    CHECK(outcome(R"({"tolerance": {"metric": "guess"}})", two, row({1, 100})) == "unknown metric guess: ");
}

TEST_CASE("special values") {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN(),
                     inf = std::numeric_limits<double>::infinity();
    const char* expected = R"({"shape": [3], "data": ["NaN", "Infinity", "-Infinity"]})";
    CHECK(outcome("{}", expected, row({nan, inf, -inf})) == "");
    CHECK(outcome("{}", expected, row({nan, -inf, -inf})) == "values: inf expected at 1, -inf came");
    CHECK(outcome("{}", expected, row({0, inf, -inf})) == "values: nan expected at 0, 0 came");
    CHECK(outcome("{}", R"({"shape": [1], "data": [1]})", row({nan})) == "values: 1 expected at 0, nan came");
    CHECK(outcome("{}", R"({"shape": [2], "data": [true, false]})", row({1, 0})) == "");
}

TEST_CASE("noise, moments and frequencies") {
    constexpr const char* noise = R"({"tolerance": {"metric": "SNR", "SNR": 40, "PSNR": 42}})";
    // signal 5000.5, peak 10000: with an error of 0.7 a noise of 0.245, which is 43.1 and 46.1 dB
    CHECK(outcome(noise, two, row({1.7, 100})) == "");
    CHECK(outcome(noise, two, row({1, 101.1})) == "noise: 39.1725806 dB, of the peak 42.1824463 dB");
    CHECK(outcome(noise, two, row({1, 100})) == "");

    constexpr const char* moments =
        R"({"tolerance": {"metric": "moments", "num_moments": 3, "decimal": 2}, "shape_only": true})";
    const char* coin = R"({"shape": [4], "data": [0, 1, 0, 1]})";
    CHECK(outcome(moments, coin, row({1, 1, 0, 0})) == "");
    CHECK(outcome(moments, coin, row({1, 1, 1, 0})) == "moments: moment 2: 0.25 expected, 0.1875 came");

    bespoke::features outputs{{"y", row({0, 0, 0, 1})}};
    const json io = json::parse(
        R"({"tolerance": {"metric": "class_frequencies", "atol": 0.01}, "shape_check": {"y": [4]}})");
    const auto checked = [&](const char* probabilities) {
        try {
            check_output(io, "class_probabilities_of_y", json::parse(probabilities), outputs);
            return std::string();
        } catch (const failure& f) {
            return f.reason + ": " + f.details;
        }
    };
    CHECK(checked(R"({"shape": [1, 2], "data": [0.745, 0.255]})") == "");
    CHECK(checked(R"({"shape": [1, 2], "data": [0.5, 0.5]})") ==
          "frequencies: class 0 in row 0: 0.5 expected, 0.75 came");
}

TEST_CASE("images") {
    using bespoke::pixel_layout;
    const char* wanted =
        R"({"kind": "image", "mode": "RGBA", "width": 1, "height": 2, "data": [1, 2, 3, 0, 4, 5, 6, 0]})";
    const char* exact = R"({"tolerance": {"metric": "exact"}})";
    const bespoke::image same(1, 2, pixel_layout::rgb, {1, 2, 3, 4, 5, 6});
    CHECK(outcome(exact, wanted, same) == "");
    CHECK(outcome(exact, wanted, bespoke::image(1, 2, pixel_layout::bgra, {3, 2, 1, 9, 6, 5, 4, 9})) == "");
    CHECK(outcome(exact, wanted, bespoke::image(1, 2, pixel_layout::bgr, same.pixels())) ==
          "values: 1 expected at 0, 3 came");
    CHECK(outcome(exact, wanted, bespoke::image(2, 1, pixel_layout::rgb, same.pixels())) ==
          "shape: [3, 2, 1] expected, [3, 1, 2] came");
    CHECK(outcome(exact, wanted, row({1})) == "an image expected: a multi-array DOUBLE [1] came");
    CHECK(outcome("{}", R"({"kind": "image", "mode": "L", "width": 1, "height": 1, "data": [7]})",
                  bespoke::image(1, 1, pixel_layout::gray, {7})) == "");
    CHECK(outcome("{}", R"({"kind": "image", "mode": "P", "width": 1, "height": 1, "data": [7]})", same) ==
          "images of the mode P: ");
}

TEST_CASE("values that are no arrays") {
    CHECK(outcome("{}", R"({"kind": "string", "value": "a"})", std::string("a")) == "");
    CHECK(outcome("{}", R"({"kind": "string", "value": "a"})", std::string("b")) != "");
    CHECK(outcome("{}", R"({"kind": "int64", "value": 7})", std::int64_t{7}) == "");
    CHECK(outcome("{}", R"({"kind": "int64", "value": 7})", std::int64_t{8}) != "");
    CHECK(outcome("{}", R"({"kind": "double", "value": 7.5})", 7.5) == "");
    CHECK(outcome("{}", R"({"kind": "double", "value": 7.5})", 7.6) != "");
    CHECK(outcome("{}", R"({"kind": "double", "value": 7.5})", std::int64_t{7}) ==
          "outputs of the kind double: ");
    CHECK(outcome("{}", two, 1.5) == "a multi-array expected: a double came");
}
