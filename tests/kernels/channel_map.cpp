#include <bespoke/kernels/channel_map.hpp>

#include "check.hpp"

#include <catch2/catch.hpp>

using namespace bespoke;
using check::array;
namespace kernels = bespoke::kernels;
namespace inner = bespoke::kernels::detail;

namespace {

template <class T>
void negate(const void*, const output_block<T>& block) noexcept {
    for (extent i = 0; i < block.rows; ++i)
        for (extent j = 0; j < block.columns; ++j) block.data[i * block.stride + j] *= -1;
}

}  // namespace

TEMPLATE_TEST_CASE("channel_map: a block of any width, at any channel, the rest behind it", "[map]", float, double) {
    using T = TestType;
    constexpr extent rows = 3, channel = 2;
    const array<T> scale(channel + rows, 1), shift(channel + rows, 2);
    const T here = 0;
    const channel_map<T> maps[] = {{},
                                   {nullptr, nullptr, T(0)},
                                   {scale.data(), shift.data()},
                                   {scale.data(), shift.data(), T(-0.5), T(0.25)},
                                   {.added = &here},
                                   {scale.data(), shift.data(), T(0), T(0.75), &here}};
    const epilogue<T> rest{&negate<T>, nullptr};
    for (const extent columns : check::sizes<T>())
        for (channel_map<T> map : maps)
            for (const bool goes_on : {false, true}) {
                CAPTURE(columns, map.scale, map.low, map.added, goes_on);
                const extent stride = columns + 2;
                array<T> y(rows * stride, 3, 1), turned = y, more = y, from(columns * (rows + 1), 5);
                const array<T> x = y, added(rows * stride, 4);
                const bool adds = map.added != nullptr;
                if (adds) map.added = added.data();
                map.result = y.data();
                const epilogue<T> after{nullptr, nullptr, &map, goes_on ? &rest : nullptr};
                const inner::channel_epilogue<T> whole(&after);
                whole.finish({y.data(), rows, columns, stride}, channel);
                CHECK(y.intact());
                // What is transposed, or added to zeros, ends alike.
                for (extent i = 0; i < rows; ++i)
                    for (extent j = 0; j < columns; ++j) {
                        from[j * (rows + 1) + i] = x[i * stride + j];
                        more[i * stride + j] = 0;
                    }
                map.result = turned.data();
                whole.transposed(from.data(), rows + 1, {turned.data(), rows, columns, stride}, channel);
                CHECK(check::same_bits(turned, y));
                map.result = more.data();
                whole.transposed(from.data(), rows + 1, {more.data(), rows, columns, stride}, channel, true);
                CHECK(check::same_bits(more, y));
                bool right = true;
                for (extent i = 0; i < y.size(); ++i) {
                    T wanted = x[i];
                    if (i % stride < columns) {
                        const extent c = channel + i / stride;
                        if (map.scale != nullptr) wanted = kernels::fma(wanted, scale[c], shift[c]);
                        if (adds) wanted += added[i];
                        wanted = std::min(std::max(wanted, map.low), map.high) * T(goes_on ? -1 : 1);
                    }
                    right = right && y[i] == wanted;
                }
                CHECK(right);
            }
}

TEMPLATE_TEST_CASE("channel_map: NaN and the sign of zero stay as they are", "[map]", float, double) {
    using T = TestType;
    constexpr T inf = check::infinity<T>;
    for (const channel_map<T>& map : {channel_map<T>{}, channel_map<T>{nullptr, nullptr, T(0), T(6)}}) {
        array<T> y(5, 1);
        const T given[] = {check::nan<T>, T(-0.0), inf, -inf, T(2)};
        std::copy_n(given, 5, y.data());
        const epilogue<T> after{nullptr, nullptr, &map};
        inner::channel_epilogue<T>(&after).finish({y.data(), 1, 5, 5}, 0);
        CHECK(std::isnan(y[0]));
        CHECK((y[1] == 0 && std::signbit(y[1])));
        CHECK(y[2] == (map.is_bounded() ? T(6) : inf));
        CHECK(y[3] == (map.is_bounded() ? T(0) : -inf));
        CHECK(y[4] == 2);
    }
}

TEST_CASE("channel_map: a kernel that adds nothing leaves a map with a sum to the end") {
    const float other = 5;
    float y = 2;
    channel_map<float> map{nullptr, nullptr, 0};
    const epilogue<float> after{nullptr, nullptr, &map};
    const inner::channel_epilogue<float> last(&after);
    CHECK(last.without_added() == &map);
    last.finish_behind({&y, 1, 1, 1}, 0);
    CHECK(y == 2);  // the kernel has done it
    map.added = &other;
    map.result = &y;
    CHECK(last.without_added() == nullptr);
    last.finish_behind({&y, 1, 1, 1}, 0);
    CHECK(y == 7);
    CHECK(inner::channel_epilogue<float>().without_added() == nullptr);
}

TEST_CASE("channel_map: an epilogue without one is all rest, none at all is nothing") {
    const epilogue<float> whole{&negate<float>, nullptr};
    const inner::channel_epilogue<float> none, of_nothing(nullptr), all_rest(&whole);
    CHECK_FALSE(none);
    CHECK_FALSE(of_nothing);
    CHECK(all_rest);
    CHECK(all_rest.map == nullptr);
    CHECK(all_rest.rest == &whole);
    float y = 2;
    none.finish({&y, 1, 1, 1}, 0);
    CHECK(y == 2);
    all_rest.finish({&y, 1, 1, 1}, 0);
    CHECK(y == -2);
}
