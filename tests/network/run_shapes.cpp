#include <bespoke/network/run_shapes.hpp>

#include <catch2/catch.hpp>

using namespace bespoke;

namespace {

/// An input that may be overwritten with another shape, and a blob of one open extent.
plan two_blobs() {
    plan p;
    p.blobs.resize(2);
    p.blobs[0].dimensions = {4};
    p.blobs[1].dimensions = {1, 3};
    p.blobs[0].open.open(0);
    p.blobs[1].open.open(0);
    p.steps.resize(1);
    p.inputs = {0};
    p.open = true;
    return p;
}

}  // namespace

TEST_CASE("a blob has the shape that was decided last, and memory that grows") {
    const plan p = two_blobs();
    run_shapes<float> run(p.view());
    run.begin();
    CHECK(run.is_decided(0));
    CHECK(run.value(0) != nullptr);
    CHECK_FALSE(run.is_decided(1));
    float* const at = run.decide(1, {5, 3});
    CHECK(run.is_decided(1));
    CHECK(run.blobs()[1].dimensions == shape{5, 3});
    CHECK(run.decide(1, {2, 3}) == at);  // there is room enough
    CHECK(run.decide(1, {5, 3}) == at);
    CHECK(run.blobs()[1].dimensions == shape{5, 3});
    CHECK(run.decide(1, {0, 3}) == at);
    CHECK(run.memory_size() == 4 + 15);
    run.forget(1);
    CHECK_FALSE(run.is_decided(1));
    CHECK(p.blobs[1].dimensions == shape{1, 3});  // the plan itself stays
}

TEST_CASE("a run begins with the inputs as they are planned") {
    const plan p = two_blobs();
    run_shapes<double> run(p.view());
    run.decide(0, {9});
    run.decide(1, {5, 3});
    run.begin();
    CHECK(run.blobs()[0].dimensions == shape{4});
    CHECK_FALSE(run.is_decided(1));
}
