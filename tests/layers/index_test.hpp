#pragma once

#include "layer_test.hpp"

#include <functional>

/// A gather and a scatter that go from element to element, to compare with.
namespace index_test {

using namespace layer_test;

enum class way { axis, point, own };

inline std::vector<extent> unravel(const shape& s, extent at) {
    std::vector<extent> place(s.rank());
    for (std::size_t axis = s.rank(); axis-- > 0; at /= s[axis]) place[axis] = at % s[axis];
    return place;
}
inline extent ravel(const shape& s, const std::vector<extent>& place) {
    extent at = 0;
    for (std::size_t axis = 0; axis < s.rank(); ++axis) at = at * s[axis] + place[axis];
    return at;
}
/// -1 outside.
inline extent wrapped(double index, extent n) {
    const auto at = static_cast<extent>(index < 0 ? index + static_cast<double>(n) : index);
    return index >= -static_cast<double>(n) && index < static_cast<double>(n) ? at : -1;
}

/// Where the element `at` of the part lies in the whole; -1 nowhere.
template <class T>
extent locate(way how, std::size_t axis, const shape& whole, const shape& indices_shape,
              const std::vector<T>& indices, const shape& part, extent at) {
    const std::vector<extent> p = unravel(part, at);
    std::vector<extent> place;
    const auto index = [&](const std::vector<extent>& of) {
        return static_cast<double>(indices[static_cast<std::size_t>(ravel(indices_shape, of))]);
    };
    const auto signed_of = [](std::size_t n) { return static_cast<std::ptrdiff_t>(n); };
    if (how == way::axis) {
        const auto first = p.begin() + signed_of(axis), last = first + signed_of(indices_shape.rank());
        place.assign(p.begin(), first);
        place.push_back(wrapped(index({first, last}), whole[axis]));
        place.insert(place.end(), last, p.end());
    } else if (how == way::own) {
        place = p;
        place[axis] = wrapped(index(p), whole[axis]);
    } else {
        const std::size_t back = indices_shape.rank() - 1;
        std::vector<extent> row(p.begin(), p.begin() + signed_of(back));
        for (extent d = 0; d < indices_shape.from_end(1); ++d) {
            row.push_back(d);
            place.push_back(wrapped(index(row), whole[static_cast<std::size_t>(d)]));
            row.pop_back();
        }
        place.insert(place.end(), p.begin() + signed_of(back), p.end());
    }
    for (extent i : place)
        if (i < 0) return -1;
    return ravel(whole, place);
}

/// What a test tries: shapes, and the numbers of `examples` examples.
struct trial {
    way how;
    extent axis;
    shape whole, indices, part;
};
inline std::vector<trial> trials() {
    return {{way::axis, 0, {5}, {3}, {3}},
            {way::axis, -1, {5}, {}, {}},
            {way::axis, 1, {2, 4, 3}, {2, 2}, {2, 2, 2, 3}},
            {way::axis, -1, {2, 4, 3}, {5}, {2, 4, 5}},
            {way::axis, -3, {4, 2, 40}, {6}, {6, 2, 40}},
            {way::axis, 0, {3, 2}, {0}, {0, 2}},
            {way::axis, 0, {0, 2}, {3}, {3, 2}},
            {way::point, 0, {4, 2, 3, 4}, {6, 2}, {6, 3, 4}},
            {way::point, 0, {6}, {1}, {}},
            {way::point, 0, {3, 2, 3}, {3}, {}},
            {way::point, 0, {3, 2}, {2, 3, 1}, {2, 3, 2}},
            {way::point, 0, {3, 2}, {2, 0}, {2, 3, 2}},
            {way::own, 0, {6}, {4}, {4}},
            {way::own, 1, {2, 4, 3}, {2, 5, 3}, {2, 5, 3}},
            {way::own, -1, {3, 4}, {3, 2}, {3, 2}},
            {way::own, -2, {3, 4}, {1, 4}, {1, 4}}};
}
/// Integers, of which some are outside.
template <class T>
std::vector<T> some_indices(const trial& t, extent examples, std::uint64_t seed = 5) {
    bespoke::philox random(seed);
    std::vector<T> v(static_cast<std::size_t>(t.indices.size() * examples));
    for (T& e : v) e = static_cast<T>(std::floor(random.uniform() * 11) - 5);
    return v;
}

}  // namespace index_test
