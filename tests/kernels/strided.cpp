#include <bespoke/kernels/strided.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
using check::array;
using kernels::strided_walk;

namespace {

/// Axis by axis: elements, step in `from`, step in `to`.
struct axis {
    extent size, from, to;
};

strided_walk walk_of(const std::vector<axis>& axes) {
    strided_walk w;
    for (const axis& a : axes) w.add(a.size, a.from, a.to);
    return w;
}

/// The loops written out.
template <class T>
void naive(const std::vector<axis>& axes, std::size_t depth, const T* from, T* to, bool add) {
    if (depth == axes.size()) {
        *to = add ? *to + *from : *from;
        return;
    }
    for (extent i = 0; i < axes[depth].size; ++i)
        naive(axes, depth + 1, from + i * axes[depth].from, to + i * axes[depth].to, add);
}

/// Both operations against the loops, between guards, with 1, 2 and 5 threads. The first elements are at the offsets.
template <class T>
void compare(const std::vector<axis>& axes, extent from_size, extent to_size, extent from_at = 0, extent to_at = 0) {
    const strided_walk w = walk_of(axes);
    const array<T> from(from_size, 1, 1);
    for (const bool add : {false, true}) {
        array<T> expected(to_size, 2, 3);
        naive(axes, 0, from.data() + from_at, expected.data() + to_at, add);
        for (std::size_t count : {std::size_t{1}, std::size_t{2}, std::size_t{5}}) {
            CAPTURE(add, count);
            thread_pool threads(count);
            array<T> to(to_size, 2, 3);
            if (add)
                kernels::accumulate_strided(w, from.data() + from_at, to.data() + to_at, &threads);
            else
                kernels::copy_strided(w, from.data() + from_at, to.data() + to_at, &threads);
            CHECK(to.intact());
            CHECK(check::same_bits(to, expected));
        }
    }
}

}  // namespace

TEST_CASE("strided: neighbours that both arrays walk as one are joined", "[strided]") {
    strided_walk w = walk_of({{2, 60, 60}, {3, 20, 20}, {1, 7, 9}, {4, 5, 5}, {5, 1, 1}});
    CHECK(w.rank == 1);
    CHECK(w.extents[0] == 120);
    CHECK(w.size() == 120);
    w = walk_of({{2, 60, 60}, {3, 4, 20}, {5, 12, 4}, {4, 1, 1}});
    CHECK(w.rank == 4);
    CHECK(w.reversed().to[2] == 12);
    CHECK(w.reversed().from[2] == 4);
    CHECK(walk_of({}).size() == 1);
    CHECK(walk_of({{3, 0, 0}, {0, 1, 1}}).size() == 0);
}

TEMPLATE_TEST_CASE("strided: a matrix reflected", "[strided]", float, double) {
    using T = TestType;
    for (extent rows : check::sizes<T>())
        for (extent columns : check::sizes<T>()) {
            CAPTURE(rows, columns);
            compare<T>({{rows, columns, 1}, {columns, 1, rows}}, rows * columns, rows * columns);
        }
    compare<T>({{3, 35, 35}, {5, 7, 1}, {7, 1, 5}}, 105, 105);
    compare<T>({{70, 1, 130 * 3}, {3, 130 * 70, 130}, {130, 70, 1}}, 70 * 130 * 3, 70 * 130 * 3);
    // the columns of every second row, from the last one
    compare<T>({{9, -40, 1}, {20, 1, 9}}, 360, 180, 320);
}

TEMPLATE_TEST_CASE("strided: runs, gaps and steps backwards", "[strided]", float, double) {
    using T = TestType;
    for (extent n : check::sizes<T>()) {
        CAPTURE(n);
        compare<T>({{n, 1, 1}}, n, n);
        compare<T>({{n, 2, 1}}, 2 * n, n);
        compare<T>({{n, 1, 3}}, n, 3 * n);
        compare<T>({{n, -1, 1}}, n + 1, n, n);
        compare<T>({{n, 1, -1}}, n, n + 1, 0, n);
        compare<T>({{n, 2, 3}}, 2 * n, 3 * n);
        compare<T>({{4, n + 2, n}, {n, 1, 1}}, 4 * (n + 2), 4 * n);
        compare<T>({{3, n, 5 * n}, {5, 3 * n, n}, {n, 1, 1}}, 15 * n, 15 * n);
        compare<T>({{3, 2 * n, -n}, {n, 2, 1}}, 6 * n, 3 * n, 0, 2 * n);
    }
    compare<T>({}, 1, 1);
    compare<T>({{2, 0, 3}, {3, 1, 1}}, 3, 6);
}

TEMPLATE_TEST_CASE("strided: enough for threads", "[strided]", float, double) {
    using T = TestType;
    compare<T>({{300, 100, 1}, {100, 1, 300}}, 30000, 30000);
    compare<T>({{20, 3000, 3000}, {30, 50, 100}, {2, 1500, 50}, {50, 1, 1}}, 60000, 60000);
    compare<T>({{2, 20000, 10000}, {10000, 2, 1}}, 40000, 20000);
}
