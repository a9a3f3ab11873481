#include <bespoke/kernels/broadcast.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
using check::array;
namespace kernels = bespoke::kernels;

namespace {

/// Not symmetric, so that swapped operands show.
struct difference {
    template <class V>
    V operator()(const V& a, const V& b) const {
        return a - b - b;
    }
};

/// Index in an array of shape `s` of the element that meets element `i` of `out`.
extent index_of(const shape& out, extent i, const shape& s) {
    extent at = 0, step = 1;
    for (std::size_t back = 1; back <= out.rank(); ++back) {
        const extent position = i % out.from_end(back);
        i /= out.from_end(back);
        if (back > s.rank()) continue;
        if (s.from_end(back) != 1) at += position * step;
        step *= s.from_end(back);
    }
    return at;
}

shape joined(const shape& a, const shape& b) {
    shape out = a.rank() >= b.rank() ? a : b;
    for (std::size_t back = 1; back <= out.rank(); ++back)
        for (const shape* s : {&a, &b})
            if (back <= s->rank() && s->from_end(back) != 1) out.from_end(back) = s->from_end(back);
    return out;
}

std::vector<std::pair<shape, shape>> cases() {
    std::vector<std::pair<shape, shape>> all{
        {{}, {}},
        {{5}, {}},
        {{1}, {7}},
        {{2, 3, 4}, {2, 3, 4}},
        {{2, 3, 40}, {40}},
        {{2, 3, 40}, {1, 1, 40}},
        {{3, 5, 7}, {3, 1, 1}},
        {{4, 33}, {4, 1}},
        {{4, 1}, {1, 33}},
        {{2, 1, 3, 1, 5}, {1, 4, 1, 6, 1}},
        {{2, 1, 3, 1, 5}, {7, 1, 4, 3, 6, 5}},
        {{1, 1, 1}, {2, 3, 4}},
        {{0, 3}, {1, 3}},
        {{3, 0}, {3, 1}},
        {{2, 2, 2, 2, 2, 2, 2, 2}, {2, 1, 2, 1, 2, 1, 2, 1}},
    };
    for (extent n : check::sizes<float>()) {
        all.push_back({{n}, {n}});
        all.push_back({{3, n}, {n}});
        all.push_back({{3, n}, {3, 1}});
    }
    return all;
}

}  // namespace

TEMPLATE_TEST_CASE("broadcast: binary, both ways round and in place", "[broadcast]", float, double) {
    using T = TestType;
    for (const auto& [left, right] : cases())
        for (bool swapped : {false, true})
            for (extent offset : {0, 1}) {
                const shape &a_shape = swapped ? right : left, &b_shape = swapped ? left : right;
                const shape out = joined(left, right);
                const array<T> a(a_shape.size(), 1, offset), b(b_shape.size(), 2, offset);
                array<T> y(out.size(), 3, offset);
                kernels::binary(difference{}, out, a.data(), a_shape, b.data(), b_shape, y.data());
                REQUIRE(y.intact());
                for (extent i = 0; i < out.size(); ++i)
                    REQUIRE(y[i] == difference{}(a[index_of(out, i, a_shape)], b[index_of(out, i, b_shape)]));
                if (a_shape.size() == out.size()) {
                    array<T> in_place = a;
                    kernels::binary(difference{}, out, in_place.data(), a_shape, b.data(), b_shape,
                                    in_place.data());
                    REQUIRE(check::same_bits(in_place, y));
                }
                if (b_shape.size() == out.size()) {
                    array<T> in_place = b;
                    kernels::binary(difference{}, out, a.data(), a_shape, in_place.data(), b_shape,
                                    in_place.data());
                    REQUIRE(check::same_bits(in_place, y));
                }
            }
}

TEMPLATE_TEST_CASE("broadcast: sums over repeated axes", "[broadcast]", float, double) {
    using T = TestType;
    for (const auto& [left, right] : cases()) {
        const shape out = joined(left, right);
        const array<T> dy(out.size(), 1, 1);
        for (const auto& [to, other] : {std::pair{left, right}, {right, left}}) {
            const array<T> factor(other.size(), 2, 1);
            array<T> dx(to.size(), 3, 1), products = dx;
            std::vector<double> sum(static_cast<std::size_t>(to.size())), product(sum.size());
            for (extent i = 0; i < to.size(); ++i)
                sum[static_cast<std::size_t>(i)] = product[static_cast<std::size_t>(i)] =
                    static_cast<double>(dx[i]);
            for (extent i = 0; i < out.size(); ++i) {
                const auto at = static_cast<std::size_t>(index_of(out, i, to));
                sum[at] += static_cast<double>(dy[i]);
                product[at] +=
                    static_cast<double>(dy[i]) * static_cast<double>(factor[index_of(out, i, other)]);
            }
            kernels::reduce_to(out, dy.data(), to, dx.data());
            kernels::multiply_reduce_to(out, dy.data(), factor.data(), other, to, products.data());
            REQUIRE(dx.intact());
            REQUIRE(products.intact());
            const double terms = static_cast<double>(out.size() + 2);
            for (extent i = 0; i < to.size(); ++i) {
                REQUIRE(std::abs(static_cast<double>(dx[i]) - sum[static_cast<std::size_t>(i)]) <=
                        check::epsilon<T> * terms * 2);
                REQUIRE(std::abs(static_cast<double>(products[i]) - product[static_cast<std::size_t>(i)]) <=
                        check::epsilon<T> * terms * 2);
            }
        }
    }
}

TEST_CASE("broadcast: NaN and infinity stay in their element", "[broadcast]") {
    const shape out{3, 20}, row{20};
    array<float> a(60, 1), b(20, 2), y(60, 3);
    b[19] = check::nan<float>;
    a[17] = check::infinity<float>;
    kernels::binary(difference{}, out, a.data(), out, b.data(), row, y.data());
    for (extent i = 0; i < 60; ++i) {
        CHECK(std::isnan(y[i]) == (i % 20 == 19));
        CHECK(std::isinf(y[i]) == (i == 17));
    }
}
