#include <bespoke/kernels/selection.hpp>

#include <catch2/catch.hpp>

#include <cstring>
#include <limits>
#include <vector>

using namespace bespoke;
using kernels::ranking;

namespace {

template <class T>
struct ranks {
    std::vector<T> values, indices;
    friend bool operator==(const ranks& a, const ranks& b) {
        return a.indices == b.indices && a.values.size() == b.values.size() &&
               (a.values.empty() ||
                std::memcmp(a.values.data(), b.values.data(), a.values.size() * sizeof(T)) == 0);
    }
};

template <class T>
ranks<T> rank(extent outer, extent n, extent inner, extent k, ranking first, const std::vector<T>& x,
              std::size_t thread_count) {
    thread_pool threads(thread_count);
    const auto size = static_cast<std::size_t>(outer * k * inner);
    ranks<T> r{std::vector<T>(size), std::vector<T>(size)};
    std::vector<T> scratch(static_cast<std::size_t>(
        kernels::ranking_scratch<T>(inner, n, k, static_cast<extent>(thread_count))));
    kernels::rank_lines(outer, n, inner, k, first, x.data(), r.values.data(), r.indices.data(),
                        scratch.data(), &threads);
    return r;
}

/// The same by a stable sort of whole lines.
template <class T>
ranks<T> expected(extent outer, extent n, extent inner, extent k, ranking first, const std::vector<T>& x) {
    ranks<T> r{std::vector<T>(static_cast<std::size_t>(outer * k * inner)), {}};
    r.indices = r.values;
    for (extent o = 0; o < outer; ++o)
        for (extent l = 0; l < inner; ++l) {
            const auto at = [&](extent i) { return x[static_cast<std::size_t>((o * n + i) * inner + l)]; };
            std::vector<extent> order;
            for (extent i = 0; i < n; ++i) order.push_back(i);
            const auto smaller = [](T a, T b) { return a < b || (b != b && a == a); };
            std::stable_sort(order.begin(), order.end(), [&](extent a, extent b) {
                return first == ranking::smallest ? smaller(at(a), at(b)) : smaller(at(b), at(a));
            });
            for (extent i = 0; i < k; ++i) {
                const auto to = static_cast<std::size_t>((o * k + i) * inner + l);
                r.values[to] = at(order[static_cast<std::size_t>(i)]);
                r.indices[to] = static_cast<T>(order[static_cast<std::size_t>(i)]);
            }
        }
    return r;
}

/// Many equal numbers, both zeros, infinities and NaN among them.
template <class T>
std::vector<T> mixed(extent n, int kinds) {
    std::vector<T> v;
    std::uint64_t state = 7;
    using limits = std::numeric_limits<T>;
    for (extent i = 0; i < n; ++i) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        const auto draw = static_cast<int>(state >> 40) % kinds;
        const T special[] = {T(0),
                             T(-0.0),
                             limits::infinity(),
                             -limits::infinity(),
                             limits::quiet_NaN(),
                             limits::denorm_min()};
        v.push_back(draw < 6 && kinds < 1000 ? special[draw] : T(draw - kinds / 2) / 8);
    }
    return v;
}

template <class T>
void compare() {
    for (const auto& [outer, n, inner] : std::vector<std::array<extent, 3>>{{1, 1, 1},
                                                                            {3, 5, 1},
                                                                            {2, 7, 3},
                                                                            {1, 600, 1},
                                                                            {2, 300, 20},
                                                                            {1, 5000, 1},
                                                                            {2, 257, 1},
                                                                            {1, 256, 17},
                                                                            {0, 3, 1},
                                                                            {2, 3, 0}})
        for (int kinds : {8, 40, 1 << 20})
            for (ranking first : {ranking::largest, ranking::smallest})
                for (extent k : {extent{1}, extent{2}, extent{10}, extent{100}, n / 2 + 1, n - 1, n}) {
                    if (k < 1 || k > n) continue;
                    CAPTURE(outer, n, inner, k, kinds);
                    const auto x = mixed<T>(outer * n * inner, kinds);
                    const auto wanted = expected(outer, n, inner, k, first, x);
                    REQUIRE(rank(outer, n, inner, k, first, x, 1) == wanted);
                    REQUIRE(rank(outer, n, inner, k, first, x, 3) == wanted);
                }
}

}  // namespace

TEST_CASE("selection: the order of a stable sort, NaN as the largest") {
    compare<float>();
    compare<double>();
}

TEST_CASE("selection: numbers that come in order, all NaN, NaN late") {
    std::vector<float> up(3000), nans(3000, std::numeric_limits<float>::quiet_NaN()), late(3000, 1);
    for (std::size_t i = 0; i < up.size(); ++i) up[i] = static_cast<float>(i);
    for (std::size_t i = 2900; i < 3000; ++i) late[i] = nans[0];
    for (const auto& x : {up, std::vector<float>(up.rbegin(), up.rend()), nans, late})
        for (ranking first : {ranking::largest, ranking::smallest})
            for (extent k : {1, 64, 70, 1400, 2000, 3000})
                REQUIRE(rank<float>(1, 3000, 1, k, first, x, 1) == expected<float>(1, 3000, 1, k, first, x));
}
