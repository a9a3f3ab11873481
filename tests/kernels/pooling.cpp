#include <bespoke/kernels/pooling.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

namespace pooling_test {

using namespace bespoke;
using check::array;
namespace kernels = bespoke::kernels;
using geometry = kernels::pooling_geometry;
using kernels::pooling_kind;

namespace {

geometry make(extent channels, extent height, extent width, extent ky, extent kx, extent sy, extent sx,
              extent top = 0, extent left = 0, extent bottom = 0, extent right = 0, bool exclude = false) {
    return {channels,
            height,
            width,
            (height + top + bottom - ky) / sy + 1,
            (width + left + right - kx) / sx + 1,
            ky,
            kx,
            sy,
            sx,
            top,
            left,
            exclude};
}

/// The same with a third axis.
geometry deep(geometry g, extent depth, extent kernel, extent stride, extent front = 0, extent back = 0) {
    g.depth = depth;
    g.output_depth = (depth + front + back - kernel) / stride + 1;
    g.kernel_depth = kernel;
    g.stride_z = stride;
    g.pad_front = front;
    return g;
}

std::vector<geometry> cases() {
    std::vector<geometry> all{
        deep(make(2, 6, 38, 2, 2, 2, 2), 5, 1, 1),
        deep(make(2, 6, 38, 3, 3, 1, 1), 4, 2, 2),
        deep(make(1, 3, 41, 3, 41, 1, 1), 4, 4, 1),
        make(2, 8, 8, 2, 2, 2, 2),
        make(1, 9, 11, 2, 2, 2, 2),
        make(2, 6, 67, 2, 2, 2, 2),
        make(1, 12, 40, 2, 2, 2, 2),
        make(3, 7, 7, 7, 7, 1, 1),
        make(2, 3, 43, 3, 43, 1, 1),
        make(1, 1, 1, 1, 1, 1, 1),
        make(2, 9, 75, 3, 3, 1, 1),
        make(2, 10, 41, 3, 2, 2, 3),
        make(2, 7, 71, 3, 2, 1, 2),
        make(2, 6, 69, 2, 2, 2, 2, 1, 1, 1, 1),
        make(2, 5, 5, 1, 1, 3, 3),
        make(1, 20, 20, 4, 4, 1, 1),
        make(1, 5, 1, 3, 1, 2, 1),
        make(2, 9, 1300, 3, 3, 2, 2, 1, 1, 1, 1),  // columns for several lines
        make(1, 4, 1050, 2, 5, 1, 3, 0, 2, 1, 2),
        make(1, 2, 1400, 1, 600, 1, 2, 0, 9, 0, 9),  // a window is more than a line
        make(2, 61, 15, 3, 4, 1, 2, 1, 3, 1, 3),     // rows for several blocks
    };
    for (bool exclude : {false, true}) {
        all.push_back(make(2, 8, 40, 3, 3, 1, 1, 1, 1, 1, 1, exclude));
        all.push_back(make(2, 9, 9, 3, 3, 2, 2, 1, 0, 1, 2, exclude));
        all.push_back(make(1, 3, 3, 2, 2, 1, 1, 3, 3, 3, 3, exclude));  // windows wholly in the padding
        all.push_back(make(1, 2, 3, 5, 5, 1, 1, 2, 2, 2, 2, exclude));  // window larger than the image
        all.push_back(make(1, 4, 4, 6, 6, 1, 1, 1, 1, 1, 1, exclude));  // one window over everything
        all.push_back(deep(make(2, 6, 20, 3, 3, 2, 1, 1, 1, 1, 1, exclude), 3, 2, 1, 3, 2));
        all.push_back(deep(make(1, 6, 6, 2, 2, 2, 2, 0, 0, 0, 0, exclude), 1, 2, 1, 1, 0));
    }
    return all;
}

template <class T>
struct run_of {
    geometry g;
    extent examples, x_stride, y_stride;
    array<T> x, dy, dx;
    run_of(const geometry& geometry_, extent n, extent offset)
        : g(geometry_), examples(n), x_stride(g.channels * g.size() + 1),
          y_stride(g.channels * g.outputs() + 2), x(n * x_stride, 1, offset),
          dy(n * y_stride, 2, offset), dx(n * x_stride, 3, offset) {
        for (extent i = 0; i < x.size(); ++i) x[i] = std::round(4 * x[i]);  // ties
    }
    array<T> forward(pooling_kind kind, thread_pool* threads = nullptr) const {
        array<T> y(examples * y_stride, 4, 1);
        kernels::pooling_forward(kind, g, examples, x.data(), x_stride, y.data(), y_stride, threads);
        REQUIRE(y.intact());
        return y;
    }
    array<T> backward(pooling_kind kind, const array<T>& y, thread_pool* threads = nullptr) const {
        return backward(kind, y, dx, true, threads);
    }
    array<T> backward(pooling_kind kind, const array<T>& y, array<T> to, bool accumulates,
                      thread_pool* threads = nullptr) const {
        kernels::pooling_backward(kind, g, examples, x.data(), x_stride, y.data(), y_stride, dy.data(),
                                  y_stride, to.data(), x_stride, accumulates, threads);
        REQUIRE(to.intact());
        return to;
    }
    void compare(pooling_kind kind) const {
        const array<T> y = forward(kind);
        const array<T> gradient = backward(kind, y);
        std::vector<double> expected(static_cast<std::size_t>(dx.size()));
        for (extent i = 0; i < dx.size(); ++i)
            expected[static_cast<std::size_t>(i)] = static_cast<double>(dx[i]);
        for (extent e = 0; e < examples; ++e)
            for (extent c = 0; c < g.channels; ++c)
                for (extent row = 0; row < g.output_depth * g.output_height; ++row)
                    for (extent ox = 0; ox < g.output_width; ++ox) {
                        const extent oz = row / g.output_height, oy = row % g.output_height;
                        std::vector<extent> inside;
                        for (extent i = 0; i < g.kernel_depth * g.kernel_height; ++i)
                            for (extent j = 0; j < g.kernel_width; ++j) {
                                const extent iz = oz * g.stride_z + i / g.kernel_height - g.pad_front,
                                             iy = oy * g.stride_y + i % g.kernel_height - g.pad_top,
                                             ix = ox * g.stride_x + j - g.pad_left;
                                if (iz >= 0 && iz < g.depth && iy >= 0 && iy < g.height && ix >= 0 && ix < g.width)
                                    inside.push_back(e * x_stride +
                                                     ((c * g.depth + iz) * g.height + iy) * g.width + ix);
                            }
                        double sum = 0, squares = 0, most = -std::numeric_limits<double>::infinity();
                        extent first = -1;
                        for (extent at : inside) {
                            const double v = static_cast<double>(x[at]);
                            sum += v;
                            squares += v * v;
                            if (v > most) {
                                most = v;
                                first = at;
                            }
                        }
                        const auto count = static_cast<double>(
                            g.exclude_padding ? std::max<std::size_t>(inside.size(), 1)
                                              : static_cast<std::size_t>(g.kernel()));
                        const double result = kind == pooling_kind::max       ? most
                                              : kind == pooling_kind::average ? sum / count
                                                                              : std::sqrt(squares);
                        const extent out =
                            e * y_stride + (c * g.output_depth * g.output_height + row) * g.output_width + ox;
                        if (!(check::ulp(y[out], result) < (kind == pooling_kind::max ? 0.01 : 4)))
                            FAIL(y[out] << " in place of " << result << " at " << e << ", " << c << ", " << row << ", "
                                        << ox << " of kind " << static_cast<int>(kind));
                        const double d = static_cast<double>(dy[out]);
                        if (kind == pooling_kind::max && first >= 0)
                            expected[static_cast<std::size_t>(first)] += d;
                        for (extent at : inside) {
                            if (kind == pooling_kind::average)
                                expected[static_cast<std::size_t>(at)] += d / count;
                            if (kind == pooling_kind::l2 && result > 0)
                                expected[static_cast<std::size_t>(at)] +=
                                    d * static_cast<double>(x[at]) / result;
                        }
                    }
        for (extent i = 0; i < dx.size(); ++i)
            if (!(std::abs(static_cast<double>(gradient[i]) - expected[static_cast<std::size_t>(i)]) <=
                  60 * check::epsilon<T>))
                FAIL("gradient " << gradient[i] << " at " << i << " of kind " << static_cast<int>(kind));

        // Written, whatever was there, in place of added to zeros.
        array<T> zeros = dx, unknown = dx;
        for (extent e = 0; e < examples; ++e) {
            std::fill_n(zeros.data() + e * x_stride, x_stride - 1, T(0));
            std::fill_n(unknown.data() + e * x_stride, x_stride - 1, std::numeric_limits<T>::quiet_NaN());
        }
        const array<T> added = backward(kind, y, zeros, true), written = backward(kind, y, unknown, false);
        for (extent i = 0; i < dx.size(); ++i)
            if (!(written[i] == added[i]))
                FAIL("gradient " << written[i] << " in place of " << added[i] << " at " << i << " of kind "
                                 << static_cast<int>(kind));
    }
};

constexpr pooling_kind kinds[] = {pooling_kind::max, pooling_kind::average, pooling_kind::l2};

}  // namespace

TEMPLATE_TEST_CASE("pooling: forward and backward against the window", "[pooling]", float, double) {
    int number = 0;
    for (const geometry& g : cases()) {
        CAPTURE(number);
        for (pooling_kind kind : kinds) {
            run_of<TestType>(g, 1, 0).compare(kind);
            run_of<TestType>(g, 3, 1).compare(kind);
        }
        ++number;
    }
}

TEMPLATE_TEST_CASE("pooling: the number of threads does not change a bit", "[pooling]", float, double) {
    thread_pool two(2), five(5);
    for (const geometry& g : {make(30, 40, 42, 2, 2, 2, 2), make(7, 30, 30, 3, 3, 1, 1, 1, 1, 1, 1),
                              make(13, 60, 60, 60, 60, 1, 1)}) {
        const run_of<TestType> run(g, 3, 0);
        for (pooling_kind kind : kinds) {
            const auto y = run.forward(kind);
            const auto dx = run.backward(kind, y);
            for (thread_pool* pool : {&two, &five}) {
                CHECK(check::same_bits(y, run.forward(kind, pool)));
                CHECK(check::same_bits(dx, run.backward(kind, y, pool)));
            }
        }
    }
}

TEST_CASE("pooling: the mean of a large image is as precise as that of a small one", "[pooling]") {
    constexpr extent side = 513;
    for (const extent channels : {extent{1}, extent{4}}) {
        const auto g = make(channels, side, side, side, side, 1, 1);
        std::vector<float> x(static_cast<std::size_t>(channels * g.size()), 0.7F);
        std::vector<float> y(static_cast<std::size_t>(channels));
        x.back() = 0.75F;
        kernels::pooling_forward(pooling_kind::average, g, 1, x.data(), 0, y.data(), 0);
        CHECK(std::abs(y.back() - 0.7F) < 2e-6F);
        kernels::pooling_forward(pooling_kind::l2, g, 1, x.data(), 0, y.data(), 0);
        CHECK(std::abs(y.back() / static_cast<float>(side) - 0.7F) < 2e-6F);
        kernels::pooling_forward(pooling_kind::max, g, 1, x.data(), 0, y.data(), 0);
        CHECK(y.back() == 0.75F);
    }
}

TEST_CASE("pooling: the first largest element takes the gradient", "[pooling]") {
    const geometry g = make(1, 2, 2, 2, 2, 1, 1);
    const float x[] = {1, 5, 5, 5}, dy[] = {3};
    float y[1], dx[4] = {10, 10, 10, 10};
    kernels::pooling_forward(pooling_kind::max, g, 1, x, 4, y, 1);
    kernels::pooling_backward(pooling_kind::max, g, 1, x, 4, y, 1, dy, 1, dx, 4, true);
    CHECK(y[0] == 5);
    CHECK(dx[0] == 10);
    CHECK(dx[1] == 13);
    CHECK(dx[2] == 10);
    CHECK(dx[3] == 10);
}

TEMPLATE_TEST_CASE("pooling: NaN, infinities and padding", "[pooling]", float, double) {
    using T = TestType;
    for (const geometry& g :
         {make(1, 4, 80, 2, 2, 2, 2), make(1, 4, 80, 4, 80, 1, 1), make(1, 4, 80, 3, 3, 1, 1, 1, 1, 1, 1)}) {
        run_of<T> run(g, 1, 0);
        std::fill_n(run.x.data(), run.x.size(), T(-3));
        // Padding never wins a maximum.
        for (extent i = 0; i < g.output_height * g.output_width; ++i)
            CHECK(run.forward(pooling_kind::max)[i] == T(-3));
        run.x[81] = check::nan<T>;
        run.x[0] = check::infinity<T>;
        for (pooling_kind kind : kinds) CHECK(std::isnan(run.forward(kind)[0]));
        const auto y = run.forward(pooling_kind::max);
        const auto dx = run.backward(pooling_kind::max, y);
        CHECK(dx[81] != run.dx[81]);
        CHECK(dx[0] == run.dx[0]);
        run.x[81] = T(0);
        CHECK(run.forward(pooling_kind::max)[0] == check::infinity<T>);
    }
    // Nothing in sight: -infinity for a maximum, zero otherwise, and no gradient.
    const geometry nothing = make(1, 1, 1, 1, 1, 1, 1, 2, 2, 0, 0);
    const run_of<T> run(nothing, 1, 0);
    CHECK(run.forward(pooling_kind::max)[0] == -check::infinity<T>);
    CHECK(run.forward(pooling_kind::average)[0] == T(0));
    CHECK(run.forward(pooling_kind::l2)[0] == T(0));
}

}  // namespace pooling_test
