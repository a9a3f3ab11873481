#include <bespoke/kernels/gemm.hpp>

#include "mapped_epilogue.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
using check::array;
namespace kernels = bespoke::kernels;

namespace {

enum class start { zero, bias, held };

template <class T>
struct product {
    extent m, n, k, a_row, a_column, c_row;
    array<T> a, b, bias, c, packed;

    product(extent m_, extent n_, extent k_, bool transposed = false, extent offset = 0)
        : m(m_), n(n_), k(k_), a_row(transposed ? 1 : k_ + 3), a_column(transposed ? m_ + 2 : 1),
          c_row(n_ + 5), a((m_ + 2) * (k_ + 3), 1, offset), b(k_ * n_, 2, offset), bias(n_, 3, offset),
          c(m_ * c_row, 4, offset), packed(kernels::packed_size<T>(k_, n_), 5, offset) {
        kernels::pack(b.data(), n, extent{1}, k, n, packed.data());
    }
    T start_of(start s, extent i, extent j) const {
        return s == start::zero ? T(0) : s == start::bias ? bias[j] : c[i * c_row + j];
    }
    /// The chain that the header documents, with scalars.
    T chain(start s, extent i, extent j) const {
        const auto chains = m == 1 ? static_cast<extent>(kernels::detail::row_chains<T>(n, k)) : extent{1};
        T sum[4] = {start_of(s, i, j), 0, 0, 0};
        for (extent p = 0; p < k; ++p)
            sum[p % chains] = kernels::fma(a[i * a_row + p * a_column], b[p * n + j], sum[p % chains]);
        return chains == 4 ? (sum[0] + sum[1]) + (sum[2] + sum[3]) : chains == 2 ? sum[0] + sum[1] : sum[0];
    }
    array<T> run(start s, thread_pool* threads = nullptr) const {
        array<T> out = c;
        kernels::gemm<T>(m, n, k, a.data(), a_row, a_column, packed.data(), out.data(), c_row,
                         s == start::bias ? bias.data() : nullptr, s == start::held, threads);
        return out;
    }
};

template <class T>
void compare(const product<T>& p, start s) {
    const array<T> got = p.run(s);
    CAPTURE(p.m, p.n, p.k);
    bool near = true, chain = true, kept = true;
    for (extent i = 0; i < p.m; ++i) {
        for (extent j = 0; j < p.n; ++j) {
            double exact = static_cast<double>(p.start_of(s, i, j)), size = std::abs(exact);
            for (extent q = 0; q < p.k; ++q) {
                const double term = static_cast<double>(p.a[i * p.a_row + q * p.a_column]) *
                                    static_cast<double>(p.b[q * p.n + j]);
                exact += term;
                size += std::abs(term);
            }
            const T element = got[i * p.c_row + j];
            near = near && std::abs(static_cast<double>(element) - exact) <=
                               check::epsilon<T> * (static_cast<double>(p.k) + 2) * size;
            chain = chain && element == p.chain(s, i, j);
        }
        const extent gap = i * p.c_row + p.n;
        kept = kept && check::same_bits(got.data() + gap, p.c.data() + gap, p.c_row - p.n);
    }
    REQUIRE(near);
    REQUIRE(chain);
    REQUIRE(kept);  // nothing is written between the rows of C
    REQUIRE(got.intact());
}

}  // namespace

TEMPLATE_TEST_CASE("gemm: every element is the documented chain", "[gemm]", float, double) {
    const extent w = kernels::lanes<TestType>;
    for (extent m : {0, 1, 2, 3, 5, 7, 11, 12, 13, 29})
        for (extent n :
             {extent{0}, extent{1}, w - 1, w, w + 1, 2 * w - 1, 2 * w, 3 * w, 4 * w + 3, 9 * w + 1})
            for (extent k : {0, 1, 2, 15, 16, 17, 70}) {
                const product<TestType> p(m, n, k, (m + n) % 2 == 0, n % 3);
                for (start s : {start::zero, start::bias, start::held}) compare(p, s);
            }
    constexpr extent steps = kernels::detail::left_steps<TestType>;
    for (const bool transposed : {false, true}) {
        compare(product<TestType>(13, 3 * w + 1, 2 * steps + 5, transposed, 1), start::bias);
        compare(product<TestType>(26, 33 * w + 1, steps + 1, transposed), start::bias);
        compare(product<TestType>(600, 3 * w, 200, transposed), start::held);
        compare(product<TestType>(14, w, 4096 / sizeof(TestType) - 3, transposed), start::zero);
        compare(product<TestType>(150, w, 4096 / sizeof(TestType) - 3, transposed), start::bias);
    }
    compare(product<TestType>(1, 40 * w + 1, 300), start::held);
}

TEMPLATE_TEST_CASE("gemm: the number of threads does not change a bit", "[gemm]", float, double) {
    thread_pool two(2), five(5);
    for (const auto& [m, n, k] :
         {std::tuple{1, 2000, 300}, {1, 70, 8000}, {1, 64, 9000}, {1, 32, 17000}, {64, 65, 300}, {400, 9, 200},
          {2, 3000, 100}}) {
        const product<TestType> p(m, n, k);
        const auto one = p.run(start::bias);
        CHECK(check::same_bits(one, p.run(start::bias, &two)));
        CHECK(check::same_bits(one, p.run(start::bias, &five)));
        array<TestType> packed = p.packed;
        std::fill_n(packed.data(), packed.size(), TestType(7));
        kernels::pack(p.b.data(), extent{n}, extent{1}, extent{k}, extent{n}, packed.data(), &five);
        CHECK(check::same_bits(packed, p.packed));
    }
}

namespace {

template <class T, extent M, extent N, extent K>
void static_sizes() {
    const product<T> p(M, N, K);
    for (start s : {start::zero, start::bias, start::held}) {
        array<T> out = p.c;
        kernels::gemm<T>(constant<M>{}, constant<N>{}, constant<K>{}, p.a.data(), p.a_row, p.a_column,
                         p.packed.data(), out.data(), p.c_row, s == start::bias ? p.bias.data() : nullptr,
                         s == start::held);
        CHECK(check::same_bits(out, p.run(s)));
    }
}

}  // namespace

TEMPLATE_TEST_CASE("gemm: an epilogue meets each element once, in the tile or behind it", "[gemm]", float, double) {
    using T = TestType;
    const extent w = kernels::lanes<T>;
    thread_pool two(2);
    for (const auto& [m, n, k] : {std::tuple{extent{1}, 3 * w, extent{5}}, {13, 2 * w, 70}, {130, 3 * w + 1, 33},
                                  {30, 5 * w, 2 * kernels::detail::left_steps<T> + 3}, {200, 6 * w, 700}}) {
        const product<T> p(m, n, k);
        CAPTURE(m, n, k);
        check::mapped_epilogues<T>({m, n, p.c_row}, p.run(start::bias), [&](array<T>& c, const epilogue<T>& after) {
            kernels::gemm<T>(p.m, p.n, p.k, p.a.data(), p.a_row, p.a_column, p.packed.data(), c.data(), p.c_row,
                             p.bias.data(), false, &two, &after);
        });
    }
}

TEMPLATE_TEST_CASE("gemm: static sizes give the bits of dynamic ones", "[gemm]", float, double) {
    static_sizes<TestType, 1, 64, 32>();
    static_sizes<TestType, 1, 8, 64>();
    static_sizes<TestType, 1, 37, 65>();
    static_sizes<TestType, 16, 10, 33>();
    static_sizes<TestType, 1, 1, 1>();
}

TEMPLATE_TEST_CASE("gemm: packs a transposed matrix alike", "[gemm]", float, double) {
    for (extent k : {1, 63, 64, 65, 130})
        for (extent n : {extent{1}, kernels::lanes<TestType>, 2 * kernels::lanes<TestType> + 1, extent{70}}) {
            const product<TestType> p(1, n, k);
            array<TestType> transposed(n * k, 9), packed(kernels::packed_size<TestType>(k, n), 10);
            for (extent i = 0; i < k; ++i)
                for (extent j = 0; j < n; ++j) transposed[j * k + i] = p.b[i * n + j];
            kernels::pack(transposed.data(), extent{1}, k, k, n, packed.data());
            CHECK(packed.intact());
            CHECK(check::same_bits(packed, p.packed));
            CHECK(packed.size() % (k * kernels::panel_width<TestType>) == 0);
        }
}

TEMPLATE_TEST_CASE("gemm: NaN and infinity reach their row or column only", "[gemm]", float, double) {
    using T = TestType;
    const extent n = 3 * kernels::lanes<T> + 1;
    for (extent m : {1, 14}) {
        product<T> p(m, n, 20);
        p.b[3 * n + n - 1] = check::nan<T>;
        p.b[4 * n] = check::infinity<T>;
        kernels::pack(p.b.data(), n, extent{1}, extent{20}, n, p.packed.data());
        const auto out = p.run(start::bias);
        for (extent i = 0; i < m; ++i) {
            CHECK(std::isnan(out[i * p.c_row + n - 1]));
            CHECK(std::isinf(out[i * p.c_row]));
            for (extent j = 1; j + 1 < n; ++j) CHECK(std::isfinite(out[i * p.c_row + j]));
        }
    }
}
