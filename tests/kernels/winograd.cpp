#include "convolution_test.hpp"

using namespace convolution_test;

namespace {

geometry make_winograd(extent channels, extent height, extent width, extent outputs, extent top = 0, extent left = 0,
                       extent bottom = 0, extent right = 0) {
    geometry g = make(channels, height, width, outputs, 3, 3, 1, 1, 1, 1, top, left, bottom, right);
    g.winograd = true;
    return g;
}
geometry make_dilated(extent channels, extent height, extent width, extent outputs, extent dilation_y,
                      extent dilation_x, extent top, extent left, extent bottom, extent right) {
    geometry g = make(channels, height, width, outputs, 3, 3, 1, 1, dilation_y, dilation_x, top, left, bottom, right);
    g.winograd = true;
    return g;
}

std::vector<geometry> winograd_cases() {
    const extent w = kernels::lanes<float>;
    return {
        make_winograd(16, 6, 6, 16),                         // one tile
        make_winograd(16, 3, 3, 16),                         // one output
        make_winograd(17, 9, 11, 33, 1, 1, 1, 1),            // no side is whole
        make_winograd(w + 16, 8, 5, 2 * w + 17, 2, 0, 1, 2),  // paddings differ
        make_winograd(32, 13, 13, 64),                       // several examples in a block
        make_winograd(48, 56, 56, 32, 1, 1, 1, 1),           // several blocks
        make_winograd(130, 7, 7, 100, 1, 1, 1, 1),
        make_winograd(16, 1, 1, 16, 1, 1, 1, 1),             // nearly all is padding
        make_winograd(16, 2, 230, 20, 1, 1, 1, 1),           // a row of tiles is more than a block
        make_winograd(256, 6, 7, 256, 1, 1, 1, 1),           // narrow tiles, as are the next two
        make_winograd(257, 3, 4, 260),                       // one of them
        make_winograd(260, 9, 38, 256, 0, 1, 1, 0),          // several blocks
        make_winograd(370, 3, 4, 360, 1, 1, 1, 1),           // small tiles, as is the last one
        make_winograd(257, 5, 15, 511, 0, 1, 1, 0),          // several blocks
        make_dilated(16, 13, 11, 20, 2, 2, 2, 2, 2, 2),
        make_dilated(17, 9, 7, 33, 3, 1, 4, 0, 1, 2),        // images of different sizes in one
        make_dilated(16, 7, 5, 16, 4, 4, 4, 4, 2, 2),        // fewer outputs across than images
        make_dilated(48, 37, 30, 32, 4, 2, 3, 1, 5, 4),      // several blocks
        make_dilated(260, 9, 10, 256, 1, 3, 1, 2, 0, 3),     // narrow tiles
        make_dilated(370, 5, 7, 360, 2, 2, 2, 2, 2, 2),      // small ones
    };
}

/// Whose gradient with respect to the input is such a convolution.
std::vector<geometry> input_cases() {
    std::vector<geometry> cases = winograd_cases();
    cases.push_back(make_winograd(32, 9, 8, 16, 3, 5, 4, 3));  // padding beyond the kernel
    cases.push_back(make_winograd(16, 2, 1, 16, 7, 6, 7, 9));  // rows and columns of y that lie beside x
    return cases;
}

/// Whether a case is slow under sanitizers. Each of these is several blocks with one example.
bool is_large(const geometry& g) { return g.channels * g.output_channels * g.pixels() > 1 << 22; }

/// Whether the case is for so many examples: under sanitizers each large one and each of many channels has one number.
bool suits(const geometry& g, extent examples) {
    if (examples == 14 && (g.pixels() >= 300 || g.channels * g.output_channels > 1 << 17)) return false;
    if (!sanitized || (g.channels < 100 && !is_large(g))) return true;
    return examples == (is_large(g) ? 1 : g.pixels() < 10 && g.channels < 300 ? 14 : 3);
}

/// The sums in double of the magnitudes would be too strict a scale for single elements: the error of a tile is that
/// of its largest.
void compare(const geometry& g, extent examples, run_of<float>::pass p) {
    const run_of<float> r(g, examples, examples % 2);
    const array<float> got = r.result(p);
    if (!sanitized || examples > 1) CHECK(check::same_bits(got, r.result(p, nullptr, true)));
    geometry plain = g;
    plain.winograd = false;
    run_of<double> exact(plain, examples);
    for (const auto& [to, from] : {std::pair{&exact.x, &r.x},
                                   {&exact.w, &r.w},
                                   {&exact.bias, &r.bias},
                                   {&exact.y, &r.y},
                                   {&exact.dx, &r.dx}})
        for (extent i = 0; i < from->size(); ++i) (*to)[i] = static_cast<double>((*from)[i]);
    const array<double> wanted = exact.result(static_cast<run_of<double>::pass>(p));
    double size = 0, error = 0;
    for (extent i = 0; i < wanted.size(); ++i) {
        size = std::max(size, std::abs(wanted[i]));
        error = std::max(error, std::abs(wanted[i] - static_cast<double>(got[i])));
    }
    CAPTURE(error, size);
    CHECK(error <= 1e-5 * size);
    const bool input = p == run_of<float>::pass::input;
    const array<float>& held = input ? r.dx : r.y;
    const extent stride = input ? r.x_stride : r.y_stride, gap = input ? 2 : 3;
    for (extent e = 0; e + 1 < examples; ++e)  // nothing is written between the examples
        CHECK(check::same_bits(got.data() + (e + 1) * stride - gap, held.data() + (e + 1) * stride - gap, gap));
}

}  // namespace

TEST_CASE("winograd: forward against direct sums in double", "[convolution]") {
    using pass = run_of<float>::pass;
    int number = 0;
    for (const geometry& g : winograd_cases()) {
        CAPTURE(number);
        REQUIRE(kernels::suits_winograd(g));
        for (const auto& [examples, first] : {std::pair{1, pass::forward}, {3, pass::plain}, {14, pass::accumulate}})
            for (const pass p : {pass::forward, pass::plain, pass::accumulate})
                if (suits(g, examples) && (!sanitized || p == first)) compare(g, examples, p);
        ++number;
    }
}

TEST_CASE("winograd: backward to the input against direct sums in double", "[convolution]") {
    int number = 0;
    for (const geometry& g : input_cases()) {
        CAPTURE(number);
        const extent weights = g.channels < 256 ? 36 : g.channels * g.output_channels <= 1 << 17 ? 24 : 16;
        REQUIRE(kernels::convolution_backward_packed_size<float>(g) ==
                weights * kernels::packed_size<float>(g.output_channels, g.channels));
        for (const extent examples : {1, 3, 14})
            if (suits(g, examples)) compare(g, examples, run_of<float>::pass::input);
        ++number;
    }
}

TEST_CASE("winograd: the taps of the backward pass are turned round", "[convolution]") {
    const geometry g = make_winograd(16, 10, 10, 16);
    run_of<float> r(g, 1);
    std::fill_n(r.w.data(), r.w.size(), 0.f);
    std::fill_n(r.dx.data(), r.dx.size(), 0.f);
    for (extent c = 0; c < 16; ++c) r.w[((c + 1) % 16 * 16 + c) * 9 + 1] = 1;  // y[c + 1] is x[c], one column on
    const auto dx = r.result(run_of<float>::pass::input);
    for (extent c = 0; c < 16; ++c)
        for (extent i = 0; i < 10; ++i)
            for (extent j = 0; j < 10; ++j) {
                const bool inside = i < 8 && j >= 1 && j < 9;
                const float wanted = inside ? r.y[((c + 1) % 16 * 8 + i) * 8 + j - 1] : 0;
                CHECK(dx[(c * 10 + i) * 10 + j] == Approx(wanted).margin(2e-6));
            }
}

TEST_CASE("winograd: weights of one are the sum of the window, to the bit of the points", "[convolution]") {
    const geometry g = make_winograd(16, 10, 10, 16);
    run_of<float> r(g, 1);
    std::fill_n(r.w.data(), r.w.size(), 0.f);
    for (extent o = 0; o < 16; ++o) r.w[(o * 16 + o) * 9 + 4] = 1;  // y[o] is the middle of x[o]
    const auto y = r.result(run_of<float>::pass::plain);
    for (extent o = 0; o < 16; ++o)
        for (extent i = 0; i < 8; ++i)
            for (extent j = 0; j < 8; ++j)
                CHECK(y[(o * 8 + i) * 8 + j] == Approx(r.x[(o * 10 + i + 1) * 10 + j + 1]).margin(2e-6));
}

TEST_CASE("winograd: threads and other examples do not change a bit", "[convolution]") {
    using pass = run_of<float>::pass;
    thread_pool two(2), five(5);
    for (const geometry& g : winograd_cases()) {
        const run_of<float> r(g, sanitized && is_large(g) ? 2 : 7);
        const auto one = r.result(pass::forward), dx = r.result(pass::input);
        for (thread_pool* pool : {&two, &five})
            for (const bool packs : {false, true}) {
                if (sanitized && packs == (pool == &two)) continue;
                CHECK(check::same_bits(one, r.result(pass::forward, pool, packs)));
                CHECK(check::same_bits(dx, r.result(pass::input, pool, packs)));
            }
        if (sanitized) continue;
        run_of<float> alone(g, 1);
        alone.w = r.w;
        alone.bias = r.bias;
        for (const extent e : {0, 6}) {
            std::copy_n(r.x.data() + e * r.x_stride, alone.x.size(), alone.x.data());
            for (thread_pool* pool : {static_cast<thread_pool*>(nullptr), &two, &five})
                CHECK(check::same_bits(alone.result(pass::forward, pool).data(), one.data() + e * r.y_stride,
                                       alone.y.size()));
        }
    }
}

TEST_CASE("winograd: the epilogue runs once on each element", "[convolution]") {
    thread_pool two(2);
    for (const geometry& g : winograd_cases()) {
        const run_of<float> r(g, sanitized && is_large(g) ? 1 : 2);
        for (const auto pass : {run_of<float>::pass::forward, run_of<float>::pass::accumulate})
            if (!sanitized || (g.channels % 2 == 0) == (pass == run_of<float>::pass::forward))
                r.compare_epilogues(pass, &two);
    }
}

TEST_CASE("winograd: only where it was asked for, and where it suits", "[convolution]") {
    geometry g = make_winograd(32, 8, 8, 32);
    const extent transformed = kernels::convolution_packed_size<float>(g);
    CHECK(transformed == kernels::winograd_packed_size<float>(g));
    CHECK(kernels::convolution_packed_size<double>(g) == kernels::packed_size<double>(32 * 9, 32));
    g.winograd = false;
    CHECK(kernels::convolution_packed_size<float>(g) == kernels::packed_size<float>(32 * 9, 32));
    const auto refused = [](auto&& change) {
        geometry h = make_winograd(32, 9, 9, 32);
        change(h);
        return !kernels::suits_winograd(h);
    };
    CHECK(refused([](geometry& h) { h.stride_x = 2; }));
    CHECK(refused([](geometry& h) { h.dilation_y = 5; }));
    CHECK(refused([](geometry& h) { h.dilation_x = 5; }));
    CHECK_FALSE(refused([](geometry& h) { h.dilation_y = h.dilation_x = 4; }));
    CHECK(refused([](geometry& h) { h.groups = 2; }));
    CHECK(refused([](geometry& h) { h.kernel_width = 5; }));
    CHECK(refused([](geometry& h) { h.channels = 3; }));
    CHECK(refused([](geometry& h) { h.output_channels = 3; }));
    CHECK(refused([](geometry& h) { h.channels = h.output_channels = 1032; }));
}
