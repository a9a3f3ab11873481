#include <bespoke/core/error.hpp>

#include <catch2/catch.hpp>

TEST_CASE("an error has a code for programs and a sentence for people") {
    const bespoke::error e(bespoke::errc::io, "disk full");
    CHECK(e.code() == bespoke::errc::io);
    CHECK(std::string(e.what()) == "disk full");

    const bespoke::error f(bespoke::shape_fault("wanted ", bespoke::shape{1}, ", ", 3, " came"));
    CHECK(f.code() == bespoke::errc::shape_mismatch);
    CHECK(std::string(f.what()) == "wanted [1], 3 came");
    const bespoke::error g(bespoke::value_fault("a name \"", std::string_view("\0b\x1b\n\x7fé", 7), "\" came"));
    CHECK(std::string(g.what()) == "a name \"?b???é\" came");
    CHECK_THROWS_AS(throw e, std::runtime_error);
}
