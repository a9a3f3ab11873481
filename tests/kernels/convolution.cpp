#include <bespoke/kernels/convolution.hpp>

#include "convolution_test.hpp"

using namespace convolution_test;

TEMPLATE_TEST_CASE("convolution: forward against the sum over products", "[convolution]", float, double) {
    using run = run_of<TestType>;
    int number = 0;
    for (const geometry& g : cases()) {
        CAPTURE(number);
        for (auto pass : {run::pass::forward, run::pass::plain, run::pass::accumulate}) {
            run(g, 1).compare(pass);
            run(g, 3, 1).compare(pass);
        }
        ++number;
    }
}

TEMPLATE_TEST_CASE("convolution: the forward chain runs over channel, row, column", "[convolution]", float,
                   double) {
    using T = TestType;
    for (const geometry& g : cases()) {
        const run_of<T> run(g, 1);
        const auto pass = run_of<T>::pass::accumulate;
        CHECK(check::same_bits(run.result(pass), run.chain(pass)));
    }
}

TEMPLATE_TEST_CASE("convolution: examples do not depend on each other", "[convolution]", float, double) {
    require_independent_examples<TestType>(run_of<TestType>::pass::forward);
}

TEMPLATE_TEST_CASE("convolution: the number of threads does not change a bit", "[convolution]", float, double) {
    using pass = typename run_of<TestType>::pass;
    require_same_bits_with_threads<TestType>({pass::forward, pass::accumulate});
}

TEMPLATE_TEST_CASE("convolution: the epilogue runs once on each element", "[convolution]", float, double) {
    using run = run_of<TestType>;
    thread_pool three(3);
    std::vector<geometry> all = cases();
    all.push_back(make(130, 4, 4, 120, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1));  // enough for threads
    for (const geometry& g : all)
        for (auto pass : {run::pass::forward, run::pass::accumulate}) run(g, 2, 1).compare_epilogues(pass, three);
}

TEMPLATE_TEST_CASE("convolution: tiles of pieces of rows give the documented chain", "[convolution]", float, double) {
    using T = TestType;
    const extent k = kernels::detail::k_block<T>, w = kernels::lanes<T>;
    const std::vector<geometry> lines{
        make(k / 9 + 60, 5, 8, 17, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1),       // two parts of k
        make(k, 9, 14, 2 * w + 1, 3, 3, 1, 1, 2, 2, 2, 2, 2, 2),        // dilated, two panels
        make(k, 8, 16, 30, 3, 2, 1, 2, 1, 1, 0, 0, 0, 0),               // not padded
        make(k, 5, 24, 30, 3, 3, 1, 1, 1, 1, 0, 0, 0, 0),               // copied for the last tile
        make(3 * k, 3, 29, 21, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 3),        // groups
        make(2, 33, 40, 17, 28, 30, 1, 1, 1, 1, 0, 0, 0, 0),            // a channel in parts
        make(2 * k, 3, 130, 17, 1, 3, 1, 1, 1, 1, 0, 1, 0, 1),          // rows longer than a table
    };
    thread_pool five(5);
    int number = 0;
    for (const geometry& g : lines) {
        CAPTURE(g.channels, g.output_width);
        REQUIRE(kernels::detail::by_lines(g));
        const run_of<T> run(g, 2, 1);
        for (const auto pass : {run_of<T>::pass::plain, run_of<T>::pass::accumulate}) {
            const array<T> chain = run.chain(pass);
            CHECK(check::same_bits(run.result(pass), chain));
            CHECK(check::same_bits(run.result(pass, &five, true), chain));
            if (!sanitized || (number % 2 == 0) == (pass == run_of<T>::pass::plain)) run.compare_epilogues(pass);
        }
        ++number;
    }
}

TEST_CASE("convolution: NaN and infinity stay within the windows that see them", "[convolution]") {
    for (const extent groups : {1, 2}) {
        const geometry g = make(2, 20, 21, 2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, groups);
        run_of<float> r(g, 1);
        r.x[0 * 420 + 10 * 21 + 5] = check::nan<float>;
        r.x[1 * 420 + 2 * 21 + 20] = check::infinity<float>;
        const auto y = r.result(run_of<float>::pass::forward);
        for (extent o = 0; o < 2; ++o)
            for (extent oy = 0; oy < 20; ++oy)
                for (extent ox = 0; ox < 21; ++ox) {
                    const bool sees_nan =
                        (groups == 1 || o == 0) && std::abs(oy - 10) <= 1 && std::abs(ox - 5) <= 1;
                    const bool sees_infinity = (groups == 1 || o == 1) && std::abs(oy - 2) <= 1 && ox >= 19;
                    CAPTURE(o, oy, ox);
                    CHECK(std::isnan(y[(o * 20 + oy) * 21 + ox]) == sees_nan);
                    CHECK(std::isinf(y[(o * 20 + oy) * 21 + ox]) == sees_infinity);
                }
    }
}

TEMPLATE_TEST_CASE("convolution: weights packed before give the same bits", "[convolution]", float, double) {
    using run = run_of<TestType>;
    thread_pool three(3);
    std::vector<geometry> all = cases();
    all.push_back(make(130, 4, 4, 120, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1));  // enough for threads
    for (const geometry& g : all) {
        const run r(g, 2);
        CHECK(check::same_bits(r.result(run::pass::forward), r.result(run::pass::forward, nullptr, true)));
        CHECK(check::same_bits(r.result(run::pass::forward), r.result(run::pass::forward, &three, true)));
    }
}
