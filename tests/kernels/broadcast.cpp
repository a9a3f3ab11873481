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

/// The elements of the result in two parts, the second of which begins anywhere.
template <class T>
void in_two_parts(const shape& out, const T* a, const shape& a_shape, const T* b, const shape& b_shape, T* y,
                  extent cut) {
    kernels::broadcast_plan<2> plan;
    plan.add(out, {a_shape, b_shape});
    REQUIRE(plan.size() == out.size());
    kernels::broadcast_map(difference{}, plan, {a, b}, y, 0, cut);
    kernels::broadcast_map(difference{}, plan, {a, b}, y, cut, out.size());
}

template <class T>
void sum_products(const shape& out, const T* dy, const T* other, const shape& other_shape, const shape& to,
                  T* dx, thread_pool* threads = nullptr) {
    using kernels::batch;
    kernels::broadcast_plan<3> plan;
    plan.add(out, {out, other_shape, to});
    kernels::reduce_to(
        [](const batch<T>& sum, const batch<T>& g, const batch<T>& f) { return kernels::fma(g, f, sum); },
        plan, std::array{dy, other}, dx, threads);
}

}  // namespace

TEST_CASE("broadcast_plan: axes that all arrays walk as one are joined", "[broadcast]") {
    kernels::broadcast_plan<2> plan;
    plan.add(4, {6, 6});  // examples
    plan.add({2, 3}, {shape{2, 3}, shape{2, 3}});
    REQUIRE(plan.rank == 1);
    REQUIRE(plan.extents[0] == 24);
    kernels::broadcast_plan<2> row;
    row.add(4, {6, 0});
    row.add({2, 3}, {shape{2, 3}, shape{3}});
    REQUIRE(row.rank == 2);
    REQUIRE(row.extents[0] == 8);
    REQUIRE((row.moves(0) && row.moves(1)));
    kernels::broadcast_plan<2> channels;
    channels.add({5, 2, 3}, {shape{5, 2, 3}, shape{5, 1, 1}});
    REQUIRE(channels.rank == 2);
    REQUIRE(channels.extents[1] == 6);
    REQUIRE((channels.moves(0) && !channels.moves(1)));
    REQUIRE(kernels::broadcast_plan<1>{}.size() == 1);
}

TEMPLATE_TEST_CASE("broadcast_map: both ways round, in parts and in place", "[broadcast]", float, double) {
    using T = TestType;
    for (const auto& [left, right] : cases())
        for (bool swapped : {false, true})
            for (extent offset : {0, 1}) {
                const shape &a_shape = swapped ? right : left, &b_shape = swapped ? left : right;
                const shape out = joined(left, right);
                const array<T> a(a_shape.size(), 1, offset), b(b_shape.size(), 2, offset);
                array<T> y(out.size(), 3, offset);
                const extent cut = out.size() * 2 / 5;
                in_two_parts(out, a.data(), a_shape, b.data(), b_shape, y.data(), cut);
                REQUIRE(y.intact());
                for (extent i = 0; i < out.size(); ++i)
                    REQUIRE(y[i] == difference{}(a[index_of(out, i, a_shape)], b[index_of(out, i, b_shape)]));
                if (a_shape.size() == out.size()) {
                    array<T> in_place = a;
                    in_two_parts<T>(out, in_place.data(), a_shape, b.data(), b_shape, in_place.data(), 0);
                    REQUIRE(check::same_bits(in_place, y));
                }
                if (b_shape.size() == out.size()) {
                    array<T> in_place = b;
                    in_two_parts<T>(out, a.data(), a_shape, in_place.data(), b_shape, in_place.data(),
                                    out.size());
                    REQUIRE(check::same_bits(in_place, y));
                }
            }
}

TEST_CASE("broadcast_map: any part of a result, and nothing beside it", "[broadcast]") {
    for (const auto& [a_shape, b_shape] : std::vector<std::pair<shape, shape>>{{{2, 3, 2, 2, 3}, {2, 1, 2, 1, 3}},
                                                                               {{3, 1, 3, 1}, {1, 3, 1, 4}},
                                                                               {{5, 3, 1}, {1, 3, 2}},
                                                                               {{3, 20}, {3, 1}}}) {
        const shape out = joined(a_shape, b_shape);
        const array<float> a(a_shape.size(), 1), b(b_shape.size(), 2), before(out.size(), 3);
        kernels::broadcast_plan<2> plan;
        plan.add(out, {a_shape, b_shape});
        for (extent begin = 0; begin <= out.size(); ++begin)
            for (extent end = begin; end <= out.size(); ++end) {
                array<float> y = before, wanted = before;
                for (extent i = begin; i < end; ++i)
                    wanted[i] = difference{}(a[index_of(out, i, a_shape)], b[index_of(out, i, b_shape)]);
                kernels::broadcast_map(difference{}, plan, {a.data(), b.data()}, y.data(), begin, end);
                CAPTURE(out, begin, end);
                REQUIRE(check::same_bits(y, wanted));
            }
    }
}

TEST_CASE("broadcast_map: three arrays, each repeated in its own way", "[broadcast]") {
    const shape out{3, 4, 5}, a_shape{3, 1, 1}, b_shape{5}, c_shape{4, 1};
    const array<float> a(3, 1), b(5, 2), c(4, 3);
    array<float> y(60, 4);
    kernels::broadcast_plan<3> plan;
    plan.add(out, {a_shape, b_shape, c_shape});
    const auto f = [](const auto& u, const auto& v, const auto& w) { return u + v + v - w; };
    kernels::broadcast_map(f, plan, {a.data(), b.data(), c.data()}, y.data(), 0, 60);
    REQUIRE(y.intact());
    for (extent i = 0; i < 60; ++i) REQUIRE(y[i] == f(a[i / 20], b[i % 5], c[i / 5 % 4]));
}

TEMPLATE_TEST_CASE("reduce_to: sums over repeated axes", "[broadcast]", float, double) {
    using T = TestType;
    for (const auto& [left, right] : cases()) {
        const shape out = joined(left, right);
        const array<T> dy(out.size(), 1, 1);
        for (const auto& [to, other] : {std::pair{left, right}, {right, left}}) {
            const array<T> factor(other.size(), 2, 1);
            array<T> products(to.size(), 3, 1);
            std::vector<double> sum(static_cast<std::size_t>(to.size()));
            for (extent i = 0; i < to.size(); ++i)
                sum[static_cast<std::size_t>(i)] = static_cast<double>(products[i]);
            for (extent i = 0; i < out.size(); ++i)
                sum[static_cast<std::size_t>(index_of(out, i, to))] +=
                    static_cast<double>(dy[i]) * static_cast<double>(factor[index_of(out, i, other)]);
            sum_products(out, dy.data(), factor.data(), other, to, products.data());
            REQUIRE(products.intact());
            const double terms = static_cast<double>(out.size() + 2);
            for (extent i = 0; i < to.size(); ++i)
                REQUIRE(std::abs(static_cast<double>(products[i]) - sum[static_cast<std::size_t>(i)]) <=
                        check::epsilon<T> * terms * 2);
        }
    }
}

TEST_CASE("reduce_to: the same bits for any number of threads", "[broadcast]") {
    for (const auto& [out, to] : std::vector<std::pair<shape, shape>>{{{200, 300}, {300}},
                                                                      {{200, 300}, {200, 1}},
                                                                      {{200, 300}, {200, 300}},
                                                                      {{200, 300}, {1, 1}},
                                                                      {{30, 20, 50}, {20, 1}},
                                                                      {{30, 20, 50}, {30, 1, 50}}}) {
        const array<float> dy(out.size(), 1), factor(to.size(), 2);
        array<float> alone(to.size(), 3);
        sum_products(out, dy.data(), factor.data(), to, to, alone.data());
        for (std::size_t n : {2U, 3U, 5U}) {
            thread_pool threads(n);
            array<float> dx(to.size(), 3);
            sum_products(out, dy.data(), factor.data(), to, to, dx.data(), &threads);
            REQUIRE(check::same_bits(alone, dx));
        }
    }
}

TEST_CASE("reduce_to: what is computed beside the last element does not count", "[broadcast]") {
    // of the lanes that are not there dy is 0: 0 * infinity would be NaN
    const float infinity = check::infinity<float>;
    for (extent n : {1, 5, 37}) {
        array<float> dy(n, 1), sum(1, 2);
        for (extent i = 0; i < n; ++i) dy[i] = std::abs(dy[i]) + 1;
        sum_products<float>({n}, dy.data(), &infinity, {}, {}, sum.data());
        REQUIRE(sum[0] == infinity);
    }
}

TEST_CASE("broadcast_map: NaN and infinity stay in their element", "[broadcast]") {
    const shape out{3, 20}, row{20};
    array<float> a(60, 1), b(20, 2), y(60, 3);
    b[19] = check::nan<float>;
    a[17] = check::infinity<float>;
    in_two_parts(out, a.data(), out, b.data(), row, y.data(), 30);
    for (extent i = 0; i < 60; ++i) {
        CHECK(std::isnan(y[i]) == (i % 20 == 19));
        CHECK(std::isinf(y[i]) == (i == 17));
    }
}
