#include <bespoke/training/trainable.hpp>

#include "../control/control_test.hpp"

using namespace control_test;

namespace {

/// Counts its passes.
struct counting_network {
    using engine_type = engine<double>;
    planner planned;
    engine_type engine_;
    int forwards = 0, backwards = 0;

    counting_network()
        : planned(control_test::planned(compose(input{"x", {2}}, linear{2, 0}))), engine_(planned.result().view()) {}
    engine_type& core() { return engine_; }
    void forward() { ++forwards; }
    void backward() { ++backwards; }
};

}  // namespace

TEST_CASE("a network of any type is run through one that does not know it") {
    counting_network net;
    const trainable<double> seen(net);
    CHECK(&seen.core() == &net.core());
    CHECK(seen.plan().steps.size() == 1);
    seen.forward();
    seen.forward();
    seen.backward();
    CHECK(net.forwards == 2);
    CHECK(net.backwards == 1);
}

TEST_CASE("a trainer's pass ends with it, whatever happens") {
    counting_network net;
    CHECK(net.core().predicts());
    {
        const std::vector<char> trained{1};
        const trainer_pass<double> recorded(net.core(), pass::trainable, trained);
        CHECK_FALSE(net.core().predicts());
        CHECK(net.core().runs(0));
    }
    CHECK(net.core().predicts());
    const std::vector<char> trained{1};
    try {
        const trainer_pass<double> frozen(net.core(), pass::frozen, trained);
        CHECK_FALSE(net.core().runs(0));
        throw 1;
    } catch (int) {
    }
    CHECK(net.core().runs(0));
}
