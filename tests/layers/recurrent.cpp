#include <bespoke/layers/recurrent.hpp>

#include "recurrent_test.hpp"

using namespace recurrent_test;

TEST_CASE("recurrent_activation is the activation that it holds") {
    const auto same = [](const auto& f) {
        const recurrent_activation any = f;
        REQUIRE(any.is<std::remove_cvref_t<decltype(f)>>());
        for (double v : {-60.0, -1.0, 0.0, 0.3, 60.0}) {
            REQUIRE(any(v) == f(v));
            REQUIRE(any.derivative(v, f(v)) == f.derivative(v, f(v)));
            REQUIRE(std::abs(any(v) - activate(any, v)) < 1e-12);
        }
        REQUIRE(any == recurrent_activation(f));
    };
    same(sigmoid{});
    same(bespoke::tanh{});
    same(sigmoid_hard{});
    same(linear{.alpha = 2, .beta = 1});
    same(relu{});
    same(scaled_tanh{});
    REQUIRE_FALSE(recurrent_activation(sigmoid{}) == recurrent_activation(relu{}));
    REQUIRE_FALSE(recurrent_activation(linear{.alpha = 2}) == recurrent_activation(linear{}));
}

TEST_CASE("recurrent_form: which rows are taken together") {
    const detail::recurrent_form form{.input_size = unset, .output_size = 7, .gates = 4, .late = 0, .states = 2,
                                      .directions = 1, .sequence_output = true};
    const auto together = [](const shape& s, extent examples, extent stride) {
        return detail::recurrent_form::together(dynamic_view<float>{nullptr, s, examples, stride}, examples);
    };
    REQUIRE(together({5, 3}, 4, 15));
    REQUIRE(together({5, 3}, 1, 15));
    REQUIRE_FALSE(together({5, 3}, 4, 0));  // stored once
    REQUIRE(together({0, 3}, 4, 0));
    REQUIRE_FALSE(together({5, 2, 3}, 4, 30));
    const auto all = form.geometry({5, 3}, 4, true, false), one = form.geometry({5, 2, 3}, 4, false, true);
    REQUIRE((all.rows == 4 && all.step_stride == 1 && all.row_stride == 5 && all.first_row(1) == 1));
    REQUIRE((one.rows == 2 && one.step_stride == 2 && one.row_stride == 1 && one.first_row(1) == 6));
    REQUIRE(one.output_row(1) == 2);
}
