#include <bespoke/kernels/weighted_gemm.hpp>
#include <bespoke/layers/inner_product.hpp>
#include <bespoke/model/model.hpp>
#include <bespoke/model/network_files.hpp>

#include <catch2/catch.hpp>

#include <filesystem>

using namespace bespoke;

namespace {

inline constexpr auto wide =
    compose(input{"x", {200}}, inner_product{.output_channels = 100} | named("y"), output{"y"});

}  // namespace

TEST_CASE("low_precision: an option of loading, with the bits of the composed network") {
    network<wide> net(3);
    const model exact = to_model(net);
    const auto [json, weights] = exact.write("weights");
    const safetensors tensors = safetensors::parse(weights, "weights");
    std::vector<float> x(200);
    for (std::size_t i = 0; i < 200; ++i) x[i] = static_cast<float>(i % 17) / 8 - 1;
    for (low_precision p : {low_precision::none, low_precision::bfloat16, low_precision::int8}) {
        model m = bespoke::parse(json, &tensors, {.how = {.allow_low_precision_accumulation = p}});
        CHECK(m.network().precision_in_force() == net.use_low_precision(p));
        CHECK(m.network().precision_note() == net.precision_note());
        CHECK(m.network().precision_note().empty() == (m.network().precision_in_force() == p));
        const auto y = m.predict({{"x", xt::adapt(x)}});
        CHECK(y.get<tensor<float>>("y") == tensor<float>(net(x)));
        CHECK(m.write("weights").weights == weights);  // these stay as they are
        CHECK(m.precision_in_force() == m.network().precision_in_force());
    }
    model later = bespoke::parse(json, &tensors, {.threads = 2});
    CHECK(later.thread_count() == 2);
    later.use_threads(1);
    CHECK(later.thread_count() == 1);
    CHECK(later.use_low_precision(low_precision::int8) == net.use_low_precision(low_precision::int8));
    CHECK(later.precision_note() == net.precision_note());
    const auto y = later.predict({{"x", xt::adapt(x)}});
    CHECK(y.get<tensor<float>>("y") == tensor<float>(net(x)));
    later.use({});
    CHECK(later.precision_in_force() == low_precision::none);
    for (float& b : later.parameter("y", "bias")) b += 1;
    later.prepare();
    net.use_low_precision(low_precision::none);
    CHECK(later.predict({{"x", xt::adapt(x)}}).get<tensor<float>>("y")(7) == Approx(net(x)[7] + 1).margin(1e-6));
}
