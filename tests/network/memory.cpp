#include <bespoke/network/memory.hpp>

#include "../control/control_test.hpp"

using namespace control_test;

TEST_CASE("blobs lie in the arena, example after example, or once for all") {
    const auto d = compose(input{"x", {3}}, linear{2, 0} | named("y"), filled{.value = 5, .of = {2}} | named("k"),
                           output{"y"}, output{"k"});
    const planner p = planned(d);
    network_memory<double> m(p.result().view());
    const std::size_t y = m.plan().find_blob("y"), k = m.plan().find_blob("k");
    m.reserve(4);
    CHECK(m.examples() == 4);
    CHECK(m.elements(y) == 12);
    CHECK(m.elements(k) == 2);
    CHECK(m.gradient(y) == nullptr);
    CHECK(m.value(y) != m.value(k));
    m.reserve(1);
    CHECK(m.value(y) == m.reserved(m.plan().blobs[y]));
    CHECK(m.value(k) == m.reserved(m.plan().blobs[k]));
    CHECK(m.holds(m.value(y)));
    CHECK(m.holds(m.value(y) + 2));

    std::vector<values> arrays(m.plan().blobs.size(), values(8)), slopes = arrays;
    std::vector<double*> at, to;
    for (auto& a : arrays) at.push_back(a.data());
    for (auto& g : slopes) to.push_back(g.data());
    m.place(2, at, to);
    CHECK(m.value(y) == arrays[y].data());
    CHECK_FALSE(m.holds(m.value(y)));
    CHECK(m.gradient(k) == slopes[k].data());
    CHECK(m.elements(y) == 6);
    m.reserve(1);  // what was placed elsewhere is back in the arena
    CHECK(m.value(y) == m.reserved(m.plan().blobs[y]));
}

TEST_CASE("parameters are seen with their shapes, an absent one not at all") {
    const auto d = compose(input{"x", {3}}, inner_product{.output_channels = 2, .has_bias = false});
    const planner p = planned(d);
    network_memory<double> m(p.result().view());
    m.parameter_gradients()[0] = m.parameter(0);
    dynamic_view<const double> weights, bias;
    m.view_parameter(0, weights);
    m.view_parameter(1, bias);
    CHECK(weights.dimensions == shape{2, 3});
    CHECK(weights.data == m.parameter(0));
    CHECK(weights.examples == 1);
    CHECK(weights.stride == 6);
    CHECK_FALSE(bias);
    dynamic_view<double> dweights, dbias;
    m.view_parameter_gradient(0, dweights);
    m.view_parameter_gradient(1, dbias);
    CHECK(dweights.dimensions == shape{2, 3});
    CHECK(dweights.data == m.parameter(0));
    CHECK_FALSE(dbias);
}

TEST_CASE("working memory is aligned, and scratch is for the largest") {
    const auto d = compose(input{"x", {3}}, relu{}, relu{});
    const planner p = planned(d);
    struct : network_memory<double> {
        using network_memory::network_memory;
        void ask() {
            begin_measure();
            add_work(0, 3, 100);
            add_work(1, 5, 20);
            end_measure();
        }
        bool enough() const { return is_measured(); }
    } m(p.result().view());
    CHECK_FALSE(m.enough());
    m.reserve(2);
    m.ask();
    CHECK(m.enough());
    CHECK(m.prepared(1) - m.prepared(0) == aligned_size<double>(3));
    CHECK(reinterpret_cast<std::uintptr_t>(m.prepared(1)) % alignment == 0);
    std::fill_n(m.work(1).scratch, 100, 1.0);
    m.reserve(3);
    CHECK_FALSE(m.enough());
}

TEST_CASE("many examples run in chunks of like length, inputs and outputs hold them all") {
    const auto d = compose(input{"x", {3}}, linear{2, 0} | named("middle"), linear{1, 0} | named("y"), output{"y"});
    const planner p = planned(d);
    network_memory<double> m(p.result().view());
    const std::size_t x = m.plan().find_blob("x"), y = m.plan().find_blob("y");
    const extent fit = (768 << 10) / (m.plan().arena_size * extent{8});
    for (const extent examples : {fit, fit + 1, 3 * fit + 1, 5 * fit}) {
        m.reserve(examples);
        CHECK(m.elements(y) == 3 * examples);
        for (extent i = 0; i < 3 * examples; ++i) m.value(x)[i] = static_cast<double>(i);
        extent seen = 0, least = examples, chunks = 0;
        m.each_chunk([&] {
            const extent size = m.window_size(x) / 3;
            CHECK(size <= m.chunk());
            CHECK(m.window_value(x) == m.value(x) + 3 * seen);
            std::copy_n(m.window_value(x), 3 * size, m.window_value(y));
            least = std::min(least, size);
            seen += size;
            ++chunks;
        });
        CHECK(seen == examples);
        CHECK(chunks == (examples + fit - 1) / fit);
        CHECK(least >= std::min(examples, fit) / 2);
        CHECK(std::equal(m.value(x), m.value(x) + 3 * examples, m.value(y)));
        m.reserve(examples, true);
        CHECK(m.chunk() == examples);
    }
}

TEST_CASE("chunks are as large as the parameters that each of them reads") {
    const auto d = compose(input{"x", {500}}, inner_product{.output_channels = 700} | named("y"));
    const planner p = planned(d);
    network_memory<float> m(p.result().view());
    const extent fit = m.plan().parameters_size / m.plan().arena_size;
    REQUIRE(fit * m.plan().arena_size * extent{4} > 768 << 10);
    m.reserve(fit);
    CHECK(m.chunk() == fit);
    m.reserve(fit + 1);
    CHECK(m.chunk() == (fit + 2) / 2);
}
