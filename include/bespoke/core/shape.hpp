#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

namespace bespoke {

/// Number of elements along one axis. Signed, so that `unset` prints as -1.
using extent = std::int64_t;

/// A hyper-parameter that the planner infers from the shape that comes in.
inline constexpr extent unset = -1;

/// The Core ML specification speaks of ranks 0 to 5; a few layers insert axes on the way.
inline constexpr std::size_t max_rank = 8;

/// An extent that the compiler knows. Converts to `extent`, so one kernel source serves both.
template <extent Value>
using constant = std::integral_constant<extent, Value>;

/// Extents of a row-major array, outermost axis first. Rank 0 is a scalar of one element.
class shape {
public:
    // What has a loop is not inline: it stands in every layer.
    constexpr shape() = default;
    [[gnu::noinline]] constexpr shape(std::initializer_list<extent> extents) {
        for (extent e : extents) push_back(e);
    }
    [[gnu::noinline]] constexpr explicit shape(std::span<const extent> extents) {
        for (extent e : extents) push_back(e);
    }

    constexpr std::size_t rank() const { return rank_; }
    constexpr extent operator[](std::size_t axis) const { return extents_[axis]; }
    constexpr extent& operator[](std::size_t axis) { return extents_[axis]; }

    /// The extent `back` axes from the end: 1 is the last axis, 3 the channel axis of [.., C, H, W].
    constexpr extent from_end(std::size_t back) const { return extents_[rank_ - back]; }
    constexpr extent& from_end(std::size_t back) { return extents_[rank_ - back]; }

    /// Product of the extents of axes [first, last).
    [[gnu::noinline]] constexpr extent product(std::size_t first, std::size_t last) const {
        extent result = 1;
        for (std::size_t axis = first; axis < last; ++axis) result *= extents_[axis];
        return result;
    }
    /// Number of elements.
    constexpr extent size() const { return product(0, rank_); }

    /// Ignored beyond `max_rank`; readers of files check the rank before they build a shape.
    constexpr void push_back(extent e) {
        if (rank_ < max_rank) extents_[rank_++] = e;
    }

    constexpr const extent* begin() const { return extents_; }
    constexpr const extent* end() const { return extents_ + rank_; }
    constexpr extent* begin() { return extents_; }
    constexpr extent* end() { return extents_ + rank_; }

    [[gnu::noinline]] friend constexpr bool operator==(const shape& a, const shape& b) {
        if (a.rank_ != b.rank_) return false;
        for (std::size_t axis = 0; axis < a.rank_; ++axis)
            if (a.extents_[axis] != b.extents_[axis]) return false;
        return true;
    }

private:
    extent extents_[max_rank]{};
    std::size_t rank_ = 0;
};

/// A shape in the type: same reading interface as `shape`, no storage.
template <extent... Extents>
struct static_shape {
    static constexpr shape value{Extents...};

    static constexpr std::size_t rank() { return sizeof...(Extents); }
    constexpr extent operator[](std::size_t axis) const { return value[axis]; }
    static constexpr extent from_end(std::size_t back) { return value.from_end(back); }
    static constexpr extent product(std::size_t first, std::size_t last) {
        return value.product(first, last);
    }
    static constexpr extent size() { return value.size(); }
    constexpr const extent* begin() const { return value.begin(); }
    constexpr const extent* end() const { return value.end(); }
    constexpr operator shape() const { return value; }
};

/// The product of `a` and `b`, or -1 where it would exceed `limit`. For sizes that come from files.
constexpr extent checked_product(extent a, extent b, extent limit) {
    if (a < 0 || b < 0) return -1;
    if (a == 0 || b == 0) return 0;
    return a > limit / b ? -1 : a * b;
}

/// Number of elements of `s`, or -1 where an extent is negative or the product of some of the extents exceeds
/// `limit`: a layer may look at the axes behind one that is 0.
constexpr extent checked_size(const shape& s, extent limit) {
    extent size = 1;
    bool empty = false;
    for (extent e : s) {
        empty |= e == 0;
        size = checked_product(size, e == 0 ? 1 : e, limit);
        if (size < 0) return -1;
    }
    return empty ? 0 : size;
}

}  // namespace bespoke
