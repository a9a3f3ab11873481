#pragma once

#include "../core/concepts.hpp"
#include "../core/list.hpp"
#include "../kernels/indexing.hpp"

#include <optional>

/// Inputs that stand for a hyper-parameter: a few whole numbers.
namespace bespoke::detail {

using number_list = list<extent, 2 * max_rank>;

constexpr bool is_whole(double v) {
    return v >= -0x1p53 && v <= 0x1p53 && static_cast<double>(static_cast<extent>(v)) == v;
}
/// The fault of values, as far as they are known, that are no whole numbers.
constexpr std::optional<fault> check_whole(std::string_view name, const known_values& values) {
    if (values)
        for (double v : *values)
            if (!is_whole(v)) return value_fault(name, " of whole numbers wanted");
    return {};
}
/// The fault of an input of the shape `s` that is no vector of `least` to `most` whole numbers; one number may have any
/// rank.
constexpr std::optional<fault> check_numbers(std::string_view name, const shape& s, std::size_t least, std::size_t most,
                                             const known_values& values) {
    extent count = s.rank() == 1 ? s[0] : 1;
    for (extent e : s)
        if (s.rank() != 1 && e != 1) count = -1;
    if (count < static_cast<extent>(least) || count > static_cast<extent>(most)) {
        sentence range(least);
        if (most != least) range.append(sentence(" to ", most));
        return shape_fault("an input of ", range, most == 1 ? " number" : " numbers", " wanted for ", name,
                           ", its shape is ", s);
    }
    return check_whole(name, values);
}
/// Numbers that passed the check.
constexpr number_list numbers_of(std::span<const double> values) {
    number_list numbers;
    for (double v : values) numbers.push_back(static_cast<extent>(v));
    return numbers;
}
template <class X>
number_list numbers_of(const X& x) noexcept {
    number_list numbers;
    for (extent i = 0; i < x.size(); ++i) numbers.push_back(kernels::nearest_integer(x.data[i]));
    return numbers;
}
constexpr shape as_shape(const number_list& numbers) {
    return shape(std::span<const extent>(numbers.begin(), numbers.size()));
}

}  // namespace bespoke::detail
