#pragma once

#include "mapped_epilogue.hpp"

#include <catch2/catch.hpp>
#include <utility>
#include <vector>

// What the products of low precision have in common. A `Kernel` has packed_size, pack, multiply and `expected`: the
// elements of C, row by row, from scalars.

namespace low_precision_test {

using namespace bespoke;
using check::array;

struct product {
    extent m, n, k, a_row, c_row;
    bool with_bias = true;
    array<float> a, b, bias, c;

    product(extent m_, extent n_, extent k_, extent offset = 0)
        : m(m_), n(n_), k(k_), a_row(k_ + 3), c_row(n_ + 5), a(m_ * (k_ + 3), 1, offset),
          b(k_ * n_, 2, offset), bias(n_, 3, offset), c(m_ * (n_ + 5), 4, offset) {}

    template <class Kernel>
    array<float> packed(thread_pool* threads = nullptr) const {
        array<float> to(Kernel::packed_size(k, n), 5);
        Kernel::pack(b.data(), k, n, to.data(), threads);
        REQUIRE(to.intact());
        return to;
    }
    template <class Kernel>
    array<float> run(thread_pool* threads = nullptr, const epilogue<float>* after = nullptr) const {
        array<float> out = c;
        Kernel::multiply(m, n, k, a.data(), a_row, packed<Kernel>().data(), out.data(), c_row,
                         with_bias ? bias.data() : nullptr, threads, after);
        REQUIRE(out.intact());
        return out;
    }
    /// Elements in their places, what lies between the rows as it was.
    array<float> whole(const std::vector<float>& elements) const {
        array<float> out = c;
        for (extent i = 0; i < m; ++i) std::copy_n(elements.data() + i * n, n, out.data() + i * c_row);
        return out;
    }
    /// One element in double, and the sum of the magnitudes of its terms.
    std::pair<double, double> exact(extent i, extent j) const {
        double sum = with_bias ? bias[j] : 0, size = std::abs(sum);
        for (extent p = 0; p < k; ++p) {
            const double term = static_cast<double>(a[i * a_row + p]) * b[j * k + p];
            sum += term;
            size += std::abs(term);
        }
        return {sum, size};
    }
};

template <class Kernel>
void compare(const product& p) {
    CAPTURE(p.m, p.n, p.k, p.with_bias);
    REQUIRE(check::same_bits(p.run<Kernel>(), p.whole(Kernel::expected(p))));
}

template <class Kernel>
void compare_sizes() {
    const extent w = check::lanes<float>;
    for (extent m : {0, 1, 2, 3, 4, 5, 7, 11, 12, 13, 29})
        for (extent n :
             {extent{0}, extent{1}, w - 1, w, w + 1, 2 * w - 1, 2 * w, 3 * w, 4 * w + 3, 9 * w + 1})
            for (extent k : {0, 1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 33, 63, 64, 65, 131}) {
                product p(m, n, k, n % 3);
                p.with_bias = (m + k) % 4 != 0;
                compare<Kernel>(p);
            }
    for (const auto& [m, n, k] :
         {std::tuple{13, 49, 3201}, {26, 529, 769}, {1, 641, 300}, {1, 97, 6500}, {800, 33, 35}})
        compare<Kernel>(product(m, n, k, 1));
}

template <class Kernel>
void compare_threads() {
    thread_pool two(2), five(5);
    for (const auto& [m, n, k] : {std::tuple{1, 2000, 700}, {64, 65, 301}, {400, 9, 500}, {2, 3000, 200}}) {
        const product p(m, n, k);
        const auto one = p.run<Kernel>();
        CHECK(check::same_bits(one, p.run<Kernel>(&two)));
        CHECK(check::same_bits(one, p.run<Kernel>(&five)));
        CHECK(check::same_bits(p.packed<Kernel>(), p.packed<Kernel>(&five)));
    }
}

/// 2 c + 1 of every element.
inline void double_and_add(const void*, const output_block<float>& block) noexcept {
    for (extent i = 0; i < block.rows; ++i)
        for (extent j = 0; j < block.columns; ++j) {
            float& c = block.data[i * block.stride + j];
            c = std::fma(2.0f, c, 1.0f);
        }
}

template <class Kernel>
void compare_epilogue() {
    thread_pool three(3);
    const epilogue<float> after{double_and_add, nullptr};
    for (const auto& [m, n, k] :
         {std::tuple{1, 70, 40}, {1, 300, 5000}, {30, 100, 7}, {25, 33, 7001}, {200, 129, 90}}) {
        const product p(m, n, k);
        auto expected = p.run<Kernel>();
        double_and_add(nullptr, {expected.data(), m, n, p.c_row});
        CHECK(check::same_bits(expected, p.run<Kernel>(nullptr, &after)));
        CHECK(check::same_bits(expected, p.run<Kernel>(&three, &after)));
    }
    for (const auto& [m, n, k] : {std::tuple{1, 48, 5}, {13, 32, 70}, {130, 49, 33}, {30, 80, 9000}, {200, 96, 700}}) {
        const product p(m, n, k);
        CAPTURE(m, n, k);
        check::mapped_epilogues<float>({m, n, p.c_row}, p.run<Kernel>(), [&](array<float>& c, const auto& end) {
            Kernel::multiply(p.m, p.n, p.k, p.a.data(), p.a_row, p.packed<Kernel>().data(), c.data(), p.c_row,
                             p.bias.data(), &three, &end);
        });
    }
}

}  // namespace low_precision_test
