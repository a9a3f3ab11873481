#include <bespoke/network/network.hpp>
#include <bespoke/training/kept_examples.hpp>
#include <bespoke/layers/all.hpp>

#include <catch2/catch.hpp>

using namespace bespoke;

namespace {

constexpr auto kept_network =
    compose(input{"x", {2}}, load_constant_nd{.shape = {3}} | named("c"), relu{} | from("x") | named("h"),
            add_broadcastable{} | from("c", "c") | named("y"));

struct kept_numbers {
    network<kept_network> net;
    const plan_view p = net.plan();
    const std::size_t x = p.find_blob("x"), c = p.find_blob("c"), h = p.find_blob("h");
    const std::vector<float> inputs{1, 2, 3, 4, 5, 6}, wanted{7, 8, 9};
    kept_examples<float> kept;

    /// Three examples.
    void take(bool complete) {
        const example_data<float> in(inputs), of(wanted);
        const std::array border{x, c, h};
        kept.take(p, border, 3, {&in, 1}, {&of, 1}, complete);
    }
    std::vector<float> written(std::size_t blob, std::vector<std::size_t> batch) const {
        std::vector<std::vector<float>> values(p.blobs.size(), std::vector<float>(9, -1));
        kept.write(batch, [&](std::size_t b) { return values[b].data(); });
        return values[blob];
    }
};

}  // namespace

TEST_CASE("kept_examples: inputs are there at once, in the order of the mini-batch", "[training]") {
    kept_numbers n;
    n.take(true);
    CHECK(n.kept.count() == 3);
    CHECK(n.kept.ready() == 3);
    CHECK(n.written(n.x, {2, 0, 2}) == std::vector<float>{5, 6, 1, 2, 5, 6, -1, -1, -1});
}

TEST_CASE("kept_examples: what frozen steps write comes in parts; what is no example's, once", "[training]") {
    kept_numbers n;
    n.take(false);
    CHECK(n.kept.ready() == 0);
    const std::vector<float> first{10, 11, 20, 21}, second{30, 31}, constant{0.5F, 1.5F, 2.5F};
    n.kept.keep(n.h, first.data(), 2);
    n.kept.keep(n.c, constant.data(), 2);
    n.kept.keep(n.p.find_blob("y"), first.data(), 2);  // not at the border
    n.kept.advance(2);
    CHECK(n.kept.ready() == 2);
    n.kept.keep(n.h, second.data(), 1);
    n.kept.keep(n.c, constant.data(), 1);
    n.kept.advance(1);
    CHECK(n.written(n.h, {2, 1}) == std::vector<float>{30, 31, 20, 21, -1, -1, -1, -1, -1});
    CHECK(n.written(n.c, {2, 1}) == std::vector<float>{0.5F, 1.5F, 2.5F, -1, -1, -1, -1, -1, -1});
    CHECK(n.written(n.p.find_blob("y"), {2, 1}) == std::vector<float>(9, -1));
}

TEST_CASE("kept_examples: targets of a mini-batch", "[training]") {
    kept_numbers n;
    n.take(true);
    CHECK(n.kept.target_size(0) == 1);
    const std::vector<std::size_t> batch{1, 1, 0};
    const float* const targets = n.kept.targets(0, batch);
    CHECK(std::vector<float>(targets, targets + 3) == std::vector<float>{8, 8, 7});
}

TEST_CASE("kept_examples: a mini-batch of examples that are ready", "[training]") {
    kept_numbers n;
    const auto check = [&](std::vector<std::size_t> batch) { n.kept.check(batch); };
    CHECK_THROWS_WITH(check({}), "a mini-batch of at least one example wanted");
    CHECK_THROWS_WITH(check({0}), "mini-batch: there are no examples yet, load some first");
    n.take(false);
    n.kept.advance(2);
    CHECK_NOTHROW(check({1, 0}));
    CHECK_THROWS_WITH(check({0, 2}), "mini-batch: an example below 2 wanted, 2 came");
}
