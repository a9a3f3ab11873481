#include <bespoke/kernels/convolution_backward.hpp>

#include "convolution_test.hpp"

using namespace convolution_test;

TEMPLATE_TEST_CASE("convolution_backward: all passes against the sum over products", "[convolution]", float,
                   double) {
    using run = run_of<TestType>;
    int number = 0;
    for (const geometry& g : cases()) {
        CAPTURE(number);
        for (auto pass : {run::pass::input, run::pass::weights, run::pass::sums}) {
            run(g, 1).compare(pass);
            run(g, 3, 1).compare(pass);
        }
        ++number;
    }
}

TEMPLATE_TEST_CASE(
    "convolution_backward: the chain to the input runs over kernel row, column, output channel",
    "[convolution]", float, double) {
    using T = TestType;
    for (const geometry& g : cases()) {
        if (kernels::detail::flips_depthwise(g)) continue;
        const run_of<T> run(g, 1);
        const array<T> got = run.result(run_of<T>::pass::input);
        const extent in = g.group_channels(), out = g.group_outputs();
        bool same = true;
        for (extent c = 0; c < g.channels; ++c)
            for (extent at = 0; at < g.plane(); ++at) {
                T chain = 0;
                for (extent i = 0; i < g.kernel_height; ++i)
                    for (extent j = 0; j < g.kernel_width; ++j) {
                        const extent y = at / g.width + g.pad_top - i * g.dilation_y;
                        const extent x = at % g.width + g.pad_left - j * g.dilation_x;
                        if (y % g.stride_y != 0 || x % g.stride_x != 0 || y < 0 || x < 0) continue;
                        const extent oy = y / g.stride_y, ox = x / g.stride_x;
                        if (oy >= g.output_height || ox >= g.output_width) continue;
                        for (extent o = c / in * out; o < (c / in + 1) * out; ++o)
                            chain = kernels::fma(
                                run.y[(o * g.output_height + oy) * g.output_width + ox],
                                run.w[((o * in + c % in) * g.kernel_height + i) * g.kernel_width + j], chain);
                    }
                same = same && got[c * g.plane() + at] == run.dx[c * g.plane() + at] + chain;
            }
        CHECK(same);
    }
}

TEMPLATE_TEST_CASE("convolution_backward: the chain to a depthwise input begins with what is there, taps descending",
                   "[convolution]", float, double) {
    using T = TestType;
    const extent w = kernels::lanes<T>;
    for (const extent width : {extent{1}, extent{3}, w - 1, w, w + 1, 2 * w, 2 * w + 1, 5 * w + 3})
        for (const auto& [before, after] : {std::pair{0, 0}, {0, 1}, {1, 1}, {1, 0}, {2, 2}, {3, 4}}) {
            if (width + before + after < 3) continue;
            const geometry g = make(3, 5, width, 3, 3, 3, 1, 1, 1, 1, before, before, after, after, 3);
            CAPTURE(width, before, after);
            REQUIRE(kernels::detail::flips_depthwise(g));
            const run_of<T> run(g, 2, 1);
            run.compare(run_of<T>::pass::input);
            const array<T> got = run.result(run_of<T>::pass::input);
            array<T> chain = run.dx;
            for (extent e = 0; e < run.examples; ++e)
                for (extent i = 0; i < g.channels * g.plane(); ++i)
                    for (extent tap = 8; tap >= 0; --tap) {
                        const extent y = i / g.width % g.height + g.pad_top - tap / 3;
                        const extent x = i % g.width + g.pad_left - tap % 3;
                        const bool inside = y >= 0 && y < g.output_height && x >= 0 && x < g.output_width;
                        const extent at = (i / g.plane() * g.output_height + y) * g.output_width + x;
                        const T slope = inside ? run.y[e * run.y_stride + at] : T(0);
                        T& to = chain[e * run.x_stride + i];
                        to = kernels::fma(run.w[i / g.plane() * 9 + tap], slope, to);
                    }
            CHECK(check::same_bits(got, chain));
        }
}

TEMPLATE_TEST_CASE("convolution_backward: the chain to the weights runs over example and pixel",
                   "[convolution]", float, double) {
    using T = TestType;
    for (const geometry& g : cases()) {
        if (kernels::detail::is_narrow<T>(g.group_outputs())) continue;
        const run_of<T> run(g, 2);
        const array<T> got = run.result(run_of<T>::pass::weights);
        array<T> chain = run.dw;
        // In the order of a pass over all products each weight meets its pixels in order.
        for (extent e = 0; e < 2; ++e)
            each_product(g, [&](extent out, extent in, extent tap) {
                chain[tap] = kernels::fma(in < 0 ? T(0) : run.x[e * run.x_stride + in],
                                          run.y[e * run.y_stride + out], chain[tap]);
            });
        bool same = true;
        for (extent i = 0; i < got.size(); ++i) same = same && got[i] == chain[i];
        CHECK(same);
    }
}

TEMPLATE_TEST_CASE("convolution_backward: examples do not depend on each other", "[convolution]", float, double) {
    require_independent_examples<TestType>(run_of<TestType>::pass::input);
}

TEMPLATE_TEST_CASE("convolution_backward: the number of threads does not change a bit", "[convolution]", float,
                   double) {
    using pass = typename run_of<TestType>::pass;
    require_same_bits_with_threads<TestType>({pass::input, pass::weights, pass::sums});
}

TEST_CASE("convolution_backward: a deconvolution is the backward pass to an input larger than the output",
          "[convolution]") {
    // 2 x 2 -> 5 x 5, stride 2, kernel 3: output (y, x) gets w(y - 2 iy, x - 2 ix).
    geometry g{1, 5, 5, 1, 2, 2, 3, 3, 2, 2, 1, 1, 0, 0, 1};
    const float in[] = {1, 2, 3, 4}, w[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    array<float> out(25, 1), scratch(kernels::convolution_scratch<float>(g, 1), 2);
    kernels::fill(extent{25}, 0.5f, out.data());
    kernels::convolution_backward_input(g, 1, in, 4, w, out.data(), 25, scratch.data());
    const float expected[] = {1,  2,  5,  4,  6,  4,  5,  14, 10, 12, 10, 14, 36,
                              24, 30, 12, 15, 34, 20, 24, 21, 24, 55, 32, 36};
    for (extent i = 0; i < 25; ++i) {
        CAPTURE(i);
        CHECK(out[i] == expected[i] + 0.5f);
    }
}

TEMPLATE_TEST_CASE("convolution_backward: weights packed before give the same bits", "[convolution]", float, double) {
    using run = run_of<TestType>;
    thread_pool three(3);
    std::vector<geometry> all = cases();
    all.push_back(make(130, 4, 4, 120, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1));  // enough for threads
    for (const geometry& g : all) {
        const run r(g, 2);
        CHECK(check::same_bits(r.result(run::pass::input), r.result(run::pass::input, nullptr, true)));
        CHECK(check::same_bits(r.result(run::pass::input), r.result(run::pass::input, &three, true)));
    }
}
