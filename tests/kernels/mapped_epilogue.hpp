#pragma once

#include "check.hpp"

#include <bespoke/core/epilogue.hpp>
#include <bespoke/kernels/math.hpp>

#include <catch2/catch.hpp>

namespace check {

using namespace bespoke;

/// An epilogue that begins with a map: the whole of it, and what is behind the map, which doubles each element.
template <class T>
struct mapped {
    channel_map<T> map;
    bool goes_on;

    static void finish_rest(const void*, const output_block<T>& block) noexcept {
        for (extent i = 0; i < block.rows; ++i)
            for (extent j = 0; j < block.columns; ++j) block.data[i * block.stride + j] *= 2;
    }
    static void finish(const void* context, const output_block<T>& block) noexcept {
        const auto& self = *static_cast<const mapped*>(context);
        for (extent i = 0; i < block.rows; ++i)
            for (extent j = 0; j < block.columns; ++j) {
                T& y = block.data[i * block.stride + j];
                if (self.map.scale != nullptr) y = kernels::fma(y, self.map.scale[j], self.map.shift[j]);
                if (self.map.added != nullptr) y += *self.map.added_to(&y);
                y = kernels::min(self.map.high, kernels::max(self.map.low, y));
            }
        if (self.goes_on) finish_rest(context, block);
    }
};

struct matrix {
    extent rows, columns, row;
};

/// A product without an epilogue gives `plain`; with one that begins with a map it has to give what that makes of each
/// element, once. `multiply(c, after)` is the product; between its rows c holds what `plain` does.
template <class T, class Multiply>
void mapped_epilogues(const matrix& c, const array<T>& plain, const Multiply& multiply) {
    for (const bool adds : {false, true})
        for (const bool bounded : {false, true})
            for (const bool goes_on : {false, true})
                for (const bool scaled : {false, true}) {
                    CAPTURE(adds, bounded, goes_on, scaled);
                    const array<T> added(plain.size(), 6);
                    array<T> got = plain, expected = plain;
                    for (extent i = 0; i < c.rows; ++i) std::fill_n(got.data() + i * c.row, c.columns, nan<T>);
                    mapped<T> f{{}, goes_on};
                    if (adds) f.map.added = added.data();
                    f.map.result = got.data();
                    if (bounded) f.map.low = T(-0.25), f.map.high = T(0.5);
                    // All alike: a block does not say where it begins.
                    array<T> scale(c.columns, 7), shift(c.columns, 8);
                    std::fill_n(scale.data(), c.columns, T(3));
                    std::fill_n(shift.data(), c.columns, T(1));
                    if (scaled) f.map.scale = scale.data(), f.map.shift = shift.data();
                    const epilogue<T> rest{&mapped<T>::finish_rest, &f};
                    const epilogue<T> after{&mapped<T>::finish, &f, &f.map, goes_on ? &rest : nullptr};
                    multiply(got, after);
                    f.map.result = expected.data();
                    mapped<T>::finish(&f, {expected.data(), c.rows, c.columns, c.row});
                    CHECK(same_bits(got, expected));
                }
}

}  // namespace check
