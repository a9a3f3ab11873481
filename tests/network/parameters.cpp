#include <bespoke/network/parameters.hpp>

#include "../control/control_test.hpp"

using namespace control_test;

namespace {

const plan_view& two_layers() {
    static const planner p = planned(compose(input{"x", {30}}, inner_product{.output_channels = 20} | named("a"),
                                             inner_product{.output_channels = 20} | named("b")));
    static const plan_view view = p.result().view();
    return view;
}
network_parameters<double> parameters() {
    return network_parameters<double>(two_layers().parameters, two_layers().parameters_size);
}

/// Numbers that somebody lends, and a note when the last who needs them is gone.
struct lender {
    std::shared_ptr<std::vector<double>> numbers = std::make_shared<std::vector<double>>(600, 7.0);
    std::weak_ptr<const void> watch = numbers;

    void lend(network_parameters<double>& to, std::size_t number) { to.lend(number, numbers->data(), numbers); }
};

}  // namespace

TEST_CASE("parameters begin as each layer says") {
    auto p = parameters(), again = parameters();
    p.draw(4);
    again.draw(4);
    double largest = 0, sum = 0;
    for (extent i = 0; i < 600; ++i) {
        REQUIRE(p.read(0)[i] == again.read(0)[i]);
        largest = std::max(largest, std::abs(p.read(0)[i]));
        sum += p.read(0)[i];
    }
    const double bound = std::sqrt(6.0 / 50);
    CHECK(largest <= bound);
    CHECK(largest > 0.95 * bound);
    CHECK(std::abs(sum / 600) < 0.1 * bound);
    CHECK(p.read(1)[19] == 0);
    CHECK(p.read(0)[0] != p.read(2)[0]);
    again.draw(5);
    CHECK(p.read(0)[0] != again.read(0)[0]);
}

TEST_CASE("a parameter is drawn when it is looked at, in whatever order") {
    auto p = parameters(), other_way = parameters();
    p.draw(4);
    other_way.draw(4);
    CHECK(p.place(2) == nullptr);
    const double last = p.read(2)[5], first = p.write(0)[5];
    CHECK(p.place(2) == p.read(2));
    CHECK(p.place(1) == nullptr);
    CHECK(other_way.write(0)[5] == first);
    CHECK(other_way.read(2)[5] == last);
}

TEST_CASE("what is shown stays where it is, whatever comes") {
    auto p = parameters(), from = parameters();
    p.draw(1);
    from.draw(2);
    double* const held = p.write(0);
    lender l;
    l.lend(from, 0);
    p.copy(from);
    CHECK(held[3] == 7);
    CHECK(p.read(0) == held);
    CHECK(p.read(2)[0] == from.read(2)[0]);
    p.draw(3);
    CHECK(held[3] != 7);
    CHECK(p.write(0) == held);
    l.lend(from, 0);
    p.take(std::move(from));
    CHECK(held[3] == 7);
    CHECK(p.write(0) == held);
}

TEST_CASE("what is lent is read where it lies, until it is written") {
    lender l;
    auto p = parameters();
    p.draw(1);
    l.lend(p, 0);
    CHECK(p.read(0) == l.numbers->data());
    auto copied = parameters();
    copied.copy(p);
    CHECK(copied.read(0) == l.numbers->data());
    copied.write(0)[1] = 8;
    CHECK(copied.read(0)[1] == 8);
    CHECK(copied.read(0)[2] == 7);
    CHECK((*l.numbers)[1] == 7);
    CHECK(p.read(0)[1] == 7);
}

TEST_CASE("the owner of what is lent is kept as long as somebody reads there") {
    lender l;
    {
        auto p = parameters(), taken = parameters();
        l.lend(p, 0);
        l.lend(p, 2);
        taken.take(std::move(p));
        l.numbers.reset();
        CHECK_FALSE(l.watch.expired());
        auto copied = parameters();
        copied.copy(taken);
        taken.draw(1);
        CHECK_FALSE(l.watch.expired());
        CHECK(copied.read(2)[599] == 7);
    }
    CHECK(l.watch.expired());
}

TEST_CASE("the block has all of them, and zeros between") {
    lender l;
    auto p = parameters();
    p.draw(1);
    l.lend(p, 2);
    const double drawn = p.read(0)[7];
    std::fill_n(p.fill(1), 20, 3.0);
    const auto& block = p.block();
    const auto facts = two_layers().parameters;
    CHECK(block[facts[0].offset + 7] == drawn);
    CHECK(block[facts[1].offset + 19] == 3);
    CHECK(block[facts[2].offset + 5] == 7);
    CHECK(block[facts[3].offset + 5] == 0);
    for (std::size_t i = 0; i < facts.size(); ++i)
        for (extent e = facts[i].dimensions.size(); e < aligned_size<float>(facts[i].dimensions.size()); ++e)
            CHECK(block[facts[i].offset + e] == 0);
}

TEST_CASE("memory is taken over from one that is not needed any more") {
    auto p = parameters(), from = parameters();
    p.draw(1);
    from.draw(2);
    const double* const there = from.read(0);
    p.take(std::move(from));
    CHECK(p.read(0) == there);
    auto fresh = parameters();
    fresh.draw(2);
    CHECK(p.read(2)[0] == fresh.read(2)[0]);
}
