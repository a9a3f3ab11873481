#include <bespoke/network/layer_functions.hpp>

#include <bespoke/layers/copy.hpp>
#include <bespoke/layers/fill.hpp>
#include <bespoke/layers/inner_product.hpp>

#include "../control/control_test.hpp"

using namespace control_test;

TEST_CASE("a table holds what a layer type can do, and null for what is nothing to do") {
    const layer_functions<double> none;
    CHECK(none.measure == nullptr);
    CHECK(none.forward == nullptr);
    const auto& moves = functions_of<double, bespoke::copy>::value;
    CHECK(moves.map == nullptr);
    CHECK(moves.forward == nullptr);
    CHECK(functions_of<double, linear>::value.map != nullptr);
    CHECK(functions_of<double, linear>::value.forward == nullptr);
    const auto& product = functions_of<double, inner_product>::value;
    CHECK(product.forward != nullptr);
    CHECK(product.measure != nullptr);
    CHECK(product.prepare != nullptr);
    const inner_product layer{.output_channels = 3};
    const shape x{4};
    CHECK(product.measure(&layer, {&x, 1}, {}, 1, 1).prepared > 0);
    CHECK_FALSE(working_memory{}.lowered);
}
