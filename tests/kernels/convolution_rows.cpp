#include "convolution_test.hpp"

using namespace convolution_test;

namespace {

template <class T>
std::vector<geometry> row_cases() {
    const extent w = kernels::lanes<T>, panel = kernels::panel_width<T>;
    std::vector<geometry> cases;
    // Widths about whole batches, on one row, on so many that a batch is left over, on several blocks of rows.
    for (const extent width : {w, w + 1, 2 * w - 1, 2 * w, 2 * w + 1, 3 * w + 2})
        for (const extent height : {1, 3, 20})
            cases.push_back(make(1, height + 2, width + 2, panel, 3, 3));
    // Channels about whole tiles and panels.
    for (const extent outputs :
         {std::max<extent>(panel / 2 - 1, 2), panel / 2, panel - 1, panel + 1, panel + 12, 2 * panel + 5})
        cases.push_back(make(2, 5, w + 3, outputs, 2, 3));
    cases.push_back(make(3, 23, 2 * w + 7, 12, 7, 7, 2, 2, 1, 1, 3, 3, 3, 3));           // strides, padding
    cases.push_back(make(3, 18, 4 * w, panel, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1));            // nothing to its right
    cases.push_back(make(2, 9, 5 * w, 9, 3, 2, 1, 3, 1, 1, 0, 2, 1, 0));                 // strides differ
    cases.push_back(make(2, 9, 3 * w, 9, 3, 3, 1, 2, 2, 3, 2, 1, 0, 4));                 // dilation
    cases.push_back(make(4, 9, 2 * w, 3 * panel, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2));      // groups
    cases.push_back(make(1, 8, w + 4, 20, 4, 5));                                        // even kernel
    cases.push_back(
        make(kernels::detail::most_row_products, 1, w, panel, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0));  // most products
    return cases;
}

}  // namespace

TEMPLATE_TEST_CASE("convolution_rows: against the sum over products, and the chain to the bit", "[convolution]", float,
                   double) {
    using T = TestType;
    using pass = typename run_of<T>::pass;
    int number = 0;
    for (const geometry& g : row_cases<T>()) {
        CAPTURE(number);
        REQUIRE(kernels::detail::suits_rows<T>(g));
        for (const extent examples : {1, 2}) {
            const run_of<T> run(g, examples, examples % 2);
            for (const pass p : {pass::forward, pass::plain, pass::accumulate}) {
                run.compare(p);
                CHECK(check::same_bits(run.result(p), run.chain(p)));  // and nothing between the examples
            }
        }
        ++number;
    }
}

TEMPLATE_TEST_CASE("convolution_rows: threads change no bit, the epilogue runs once on each element", "[convolution]",
                   float, double) {
    using T = TestType;
    thread_pool two(2), five(5);
    for (const geometry& g : row_cases<T>()) {
        const run_of<T> run(g, 40, 1);
        const array<T> one = run.result(run_of<T>::pass::forward);
        for (thread_pool* pool : {&two, &five})
            CHECK(check::same_bits(one, run.result(run_of<T>::pass::forward, pool)));
        run.compare_epilogues(run_of<T>::pass::forward, &five);
    }
}

TEST_CASE("convolution_rows: NaN and infinity stay within the windows that see them", "[convolution]") {
    const extent w = kernels::lanes<float>;
    const geometry g = make(1, 6, 2 * w + 3, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1);
    REQUIRE(kernels::detail::suits_rows<float>(g));
    run_of<float> r(g, 1);
    r.x[2 * g.width + w] = check::nan<float>;
    r.x[5 * g.width + g.width - 1] = check::infinity<float>;
    const auto y = r.result(run_of<float>::pass::forward);
    for (extent i = 0; i < y.size(); ++i) {
        const extent row = i % g.pixels() / g.width, column = i % g.width;
        CAPTURE(i, row, column);
        CHECK(std::isnan(y[i]) == (std::abs(row - 2) <= 1 && std::abs(column - w) <= 1));
        CHECK(std::isinf(y[i]) == (row >= 4 && column >= g.width - 2));
    }
}

TEST_CASE("convolution_rows: not for many products, narrow images, or few outputs", "[convolution]") {
    const extent w = kernels::lanes<float>, most = kernels::detail::most_row_products;
    CHECK(kernels::detail::suits_rows<float>(make(most, 2, w, 40, 1, 1)));
    CHECK_FALSE(kernels::detail::suits_rows<float>(make(most + 1, 2, w, 40, 1, 1)));
    CHECK_FALSE(kernels::detail::suits_rows<float>(make(1, 2, w - 1, 40, 1, 1)));
    CHECK_FALSE(kernels::detail::suits_rows<float>(make(1, 2, w, 1, 1, 1)));
}
