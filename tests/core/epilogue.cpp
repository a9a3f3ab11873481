#include <bespoke/kernels/convolution.hpp>
#include <bespoke/kernels/gemm.hpp>

#include "../kernels/check.hpp"

#include <catch2/catch.hpp>

#include <atomic>

using namespace bespoke;
using check::array;
namespace kernels = bespoke::kernels;

namespace {

/// Turns the sign of all that comes: what comes never or twice shows.
struct negation {
    mutable std::atomic<extent> elements = 0;

    static void run(const void* context, const output_block<float>& block) noexcept {
        const auto& self = *static_cast<const negation*>(context);
        for (extent i = 0; i < block.rows; ++i)
            for (extent j = 0; j < block.columns; ++j) block.data[i * block.stride + j] *= -1;
        self.elements += block.rows * block.columns;
    }
    bespoke::epilogue<float> after() const { return {&run, this}; }
};

void compare(const array<float>& plain, const array<float>& with, extent elements, extent size, extent gaps_after,
             extent row) {
    CHECK(elements == size);
    bool right = true;
    for (extent i = 0; i < plain.size(); ++i)
        right &= i % row < row - gaps_after ? with[i] == -plain[i] : with[i] == plain[i];
    CHECK(right);
}

}  // namespace

TEST_CASE("A map of channels is bounded where it has a bound, also one that nothing is within") {
    constexpr float inf = check::infinity<float>;
    const float scale = 2, shift = 1;
    CHECK_FALSE(channel_map<float>{}.is_bounded());
    CHECK_FALSE(channel_map<float>{&scale, &shift}.is_bounded());
    CHECK(channel_map<float>{nullptr, nullptr, 0}.is_bounded());
    CHECK(channel_map<float>{nullptr, nullptr, -inf, 6}.is_bounded());
    CHECK(channel_map<float>{nullptr, nullptr, inf, -inf}.is_bounded());
    CHECK(channel_map<float>{nullptr, nullptr, check::nan<float>, inf}.is_bounded());
}

TEST_CASE("A map of channels finds what it adds by the place in the result") {
    const float added[6] = {}, result[6] = {};
    channel_map<float> map;
    map.added = added;
    map.result = result;
    CHECK(map.added_to(result + 4) == added + 4);
}

TEST_CASE("A product runs its epilogue once on each element, whole sums only, on any number of threads") {
    thread_pool two(2);
    const auto m = GENERATE(extent{1}, extent{5}, extent{24}, extent{131});
    const auto n = GENERATE(extent{1}, extent{16}, extent{33}, extent{200});
    const auto k = GENERATE(extent{0}, extent{7}, kernels::detail::k_block<float> + 1);
    CAPTURE(m, n, k);
    constexpr extent gap = 3;
    array<float> a(m * k + 1, 1), b(k * n + 1, 2), bias(n, 3), packed(kernels::packed_size<float>(k, n), 4);
    kernels::pack(b.data(), n, extent{1}, k, n, packed.data());
    for (thread_pool* threads : {static_cast<thread_pool*>(nullptr), &two}) {
        array<float> plain(m * (n + gap), 5), with = plain;
        negation turned;
        const auto after = turned.after();
        const auto product = [&](array<float>& c, const bespoke::epilogue<float>* after) {
            kernels::gemm<float>(m, n, k, a.data(), k, extent{1}, packed.data(), c.data(), n + gap, bias.data(), false,
                                 threads, after);
        };
        product(plain, nullptr);
        product(with, &after);
        compare(plain, with, turned.elements, m * n, gap, n + gap);
    }
}

TEST_CASE("A convolution runs its epilogue once on each element, whole sums only, on any number of threads") {
    thread_pool two(2);
    const auto channels = GENERATE(extent{1}, extent{6}, extent{48});
    const auto outputs = GENERATE(extent{1}, extent{6}, extent{40});
    const auto groups = GENERATE(extent{1}, extent{2}, extent{6});
    if (channels % groups != 0 || outputs % groups != 0) return;
    const auto side = GENERATE(extent{3}, extent{13}, extent{30});
    const kernels::convolution_geometry g{channels, side, side, outputs, side, side, 3, 3, 1, 1, 1, 1, 1, 1, groups};
    CAPTURE(channels, outputs, groups, side);
    constexpr extent examples = 2, gap = 3;
    const extent image = channels * side * side, size = outputs * side * side;
    array<float> x(examples * image, 1), w(outputs * channels / groups * 9, 2), bias(outputs, 3);
    for (thread_pool* threads : {static_cast<thread_pool*>(nullptr), &two}) {
        array<float> plain(examples * (size + gap), 5), with = plain,
                                                        scratch(kernels::convolution_forward_scratch<float>(g, 2), 6);
        negation turned;
        const auto after = turned.after();
        const auto convolve = [&](array<float>& y, const bespoke::epilogue<float>* after) {
            kernels::convolution_forward<float>(g, examples, x.data(), image, w.data(), bias.data(), y.data(),
                                                size + gap, false, scratch.data(), threads, nullptr, after);
        };
        convolve(plain, nullptr);
        convolve(with, &after);
        compare(plain, with, turned.elements, examples * size, gap, size + gap);
    }
}
