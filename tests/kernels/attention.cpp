#include <bespoke/kernels/attention.hpp>
#include <bespoke/kernels/map.hpp>
#include <bespoke/kernels/softmax.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
using check::array;
using check::lanes;
namespace kernels = bespoke::kernels;

namespace {

/// v = softmax(v / 2) of whole rows; the block says where in the result of all products it lies.
template <class T>
struct shares {
    mutable extent rows = 0, from = -1, end = -1;

    static void run(const void* context, const output_block<T>& block) noexcept {
        const auto& self = *static_cast<const shares*>(context);
        if (self.from < 0) self.from = block.offset;
        self.end = block.offset + block.rows * block.columns;
        self.rows += block.rows;
        for (extent i = 0; i < block.rows; ++i) {
            T* const row = block.data + i * block.stride;
            kernels::scale(block.columns, T(0.5), row, row);
            kernels::softmax(extent{1}, block.columns, extent{1}, row, row);
        }
    }
};

template <class T>
struct problem {
    extent m, n, k, columns, gap = 3;
    array<T> a{m * (k + gap), 1}, b{n * (k + gap), 2}, c{n * (columns + gap), 3}, y{m * (columns + gap), 4};
    array<T> packed_b{kernels::packed_size<T>(k, n), 5}, packed_c{kernels::packed_size<T>(n, columns), 6};

    kernels::attention<T> packed() {
        kernels::pack(b.data(), extent{1}, k + gap, k, n, packed_b.data());
        kernels::pack(c.data(), columns + gap, extent{1}, n, columns, packed_c.data());
        return {m, n, k, columns, a.data(), k + gap, 1, packed_b.data(), packed_c.data(), y.data(), columns + gap};
    }
    void run() {
        const auto p = packed();
        array<T> scratch(kernels::attention_size<T>(n), 7);
        const shares<T> finish;
        const epilogue<T> f{&shares<T>::run, &finish};
        const extent some = kernels::attention_rows<T>(n), place = 1000;
        for (extent i = 0; i < m; i += some) kernels::attend(p, i, std::min(i + some, m), place, scratch.data(), f);
        CHECK(scratch.intact());
        CHECK(y.intact());
        CHECK(finish.rows == m);
        if (m > 0) {
            CHECK(finish.from == place);
            CHECK(finish.end == place + m * n);
        }
    }
};

}  // namespace

TEMPLATE_TEST_CASE("attention: a naive loop in double", "", float, double) {
    using T = TestType;
    for (extent m : {extent{0}, extent{1}, extent{2}, extent{13}, extent{131}})
        for (extent n : check::sizes<T>())
            for (extent k : {extent{0}, extent{1}, lanes<T> + 1, extent{64}})
                for (extent columns : {extent{0}, extent{1}, lanes<T> - 1, 2 * lanes<T>, 2 * lanes<T> + 1}) {
                    CAPTURE(m, n, k, columns);
                    problem<T> p{m, n, k, columns};
                    const array<T> before = p.y;
                    p.run();
                    double worst = 0;
                    for (extent i = 0; i < m; ++i) {
                        std::vector<double> share(static_cast<std::size_t>(n));
                        double most = -check::infinity<double>, sum = 0;
                        for (std::size_t j = 0; j < share.size(); ++j) {
                            for (extent l = 0; l < k; ++l)
                                share[j] += static_cast<double>(p.a[i * (k + p.gap) + l]) *
                                            static_cast<double>(p.b[static_cast<extent>(j) * (k + p.gap) + l]);
                            most = std::max(most, share[j] /= 2);
                        }
                        for (double& v : share) sum += v = std::exp(v - most);
                        for (extent l = 0; l < columns + p.gap; ++l) {
                            const extent at = i * (columns + p.gap) + l;
                            double wanted = l < columns ? 0 : static_cast<double>(before[at]);
                            for (std::size_t j = 0; j < share.size() && l < columns; ++j)
                                wanted += share[j] / sum *
                                          static_cast<double>(p.c[static_cast<extent>(j) * (columns + p.gap) + l]);
                            worst = std::max(worst, std::abs(wanted - static_cast<double>(p.y[at])));
                        }
                    }
                    CHECK(worst <= 20 * check::epsilon<T>);
                }
}

TEMPLATE_TEST_CASE("attention: the bits of two products", "", float, double) {
    using T = TestType;
    const extent m = GENERATE(extent{2}, extent{13}, extent{49});
    const extent n = GENERATE(extent{2}, extent{33}, extent{128}, extent{900});
    const extent k = GENERATE(extent{5}, extent{64}, kernels::detail::left_steps<TestType> + 1);
    CAPTURE(m, n, k);
    constexpr extent columns = 2 * lanes<T> + 1;
    problem<T> p{m, n, k, columns};
    p.a[3] = check::infinity<T>;
    p.a[(m - 1) * (k + p.gap)] = check::nan<T>;
    p.b[0] = -T(0);
    p.c[columns + p.gap] = -check::infinity<T>;
    p.run();
    array<T> scores(m * n, 8), y = problem<T>{m, n, k, columns}.y;
    kernels::gemm<T>(m, n, k, p.a.data(), k + p.gap, extent{1}, p.packed_b.data(), scores.data(), n);
    const shares<T> finish;
    shares<T>::run(&finish, {scores.data(), m, n, n});
    kernels::gemm<T>(m, columns, n, scores.data(), n, extent{1}, p.packed_c.data(), y.data(), columns + p.gap);
    CHECK(std::memcmp(y.data(), p.y.data(), static_cast<std::size_t>(y.size()) * sizeof(T)) == 0);
}

TEST_CASE("attention: rows in whole tiles, as many as stay near") {
    for (extent n : {extent{0}, extent{1}, extent{128}, extent{384}, extent{4096}, extent{1} << 20}) {
        const extent rows = kernels::attention_rows<float>(n);
        CHECK(rows >= kernels::detail::tile_rows);
        CHECK(rows % kernels::detail::tile_rows == 0);
        CHECK(kernels::attention_size<float>(n) == rows * n);
    }
    CHECK(kernels::attention_rows<float>(64) > kernels::attention_rows<float>(4096));
}
