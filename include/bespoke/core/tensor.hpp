#pragma once

#if !__has_include(<xtensor/xadapt.hpp>)
#error bespoke wants <xtensor/xadapt.hpp> on the include path: xtensor 0.24.3 is tested, later ones moved their headers
#endif

#include "concepts.hpp"

#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xfunction.hpp>
#include <xtensor/xtensor.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <memory>
#include <type_traits>
#include <utility>

/// The only file that includes xtensor: arrays as users hand them in and get them back.
namespace bespoke {

/// An array that owns its elements, row-major, of any rank.
template <class T>
using tensor = xt::xarray<T, xt::layout_type::row_major>;

/// An xtensor expression of fixed rank that wants one index an axis. xtensor itself takes fewer as those of the last
/// axes: of the shape [1, 10, 1, 1] every y[i] would be the first element.
template <class Expression>
class every_axis : public Expression {
    template <std::size_t Count>
    static constexpr void check_count() {
        static_assert(Count >= Expression::rank,
                      "one index for each axis of the shape wanted; begin(), end() and flat(i) pass over all elements");
    }

public:
    every_axis(Expression&& e) : Expression(std::move(e)) {}

    using Expression::operator=, Expression::operator[];
    decltype(auto) operator[](std::size_t i) { return (*this)(i); }
    decltype(auto) operator[](std::size_t i) const { return (*this)(i); }
    template <class... Index>
    decltype(auto) operator()(Index... index) {
        check_count<sizeof...(Index)>();
        return Expression::operator()(index...);
    }
    template <class... Index>
    decltype(auto) operator()(Index... index) const {
        check_count<sizeof...(Index)>();
        return Expression::operator()(index...);
    }
};

/// A look at elements that live elsewhere.
template <class T, std::size_t Rank>
[[gnu::always_inline]] inline auto adapt(T* data, const std::array<std::size_t, Rank>& extents) {
    std::size_t size = 1;
    for (std::size_t e : extents) size *= e;
    return every_axis(xt::adapt<xt::layout_type::row_major>(data, size, xt::no_ownership(), extents));
}

/// The same of a rank that is known at run time.
template <class T>
auto adapt(T* data, const std::vector<std::size_t>& extents) {
    std::size_t size = 1;
    for (std::size_t e : extents) size *= e;
    return xt::adapt<xt::layout_type::row_major>(data, size, xt::no_ownership(), extents);
}

template <class T>
shape shape_of(const tensor<T>& t) {
    shape s;
    for (auto e : t.shape()) s.push_back(static_cast<extent>(e));
    return s;
}

/// An array of zeros.
template <class T>
tensor<T> zeros(const shape& s) {
    return tensor<T>(typename tensor<T>::shape_type(s.begin(), s.end()), T{});
}

/// The tensor that an expression is or, new, that it gives.
template <class E>
decltype(auto) as_tensor(E&& expression) {
    using result = tensor<typename std::decay_t<E>::value_type>;
    if constexpr (std::is_same_v<E, result>) return std::move(expression);
    else return result(std::forward<E>(expression));
}
/// `to = std::move(from)`, but throws where there is no memory. xtensor takes some to move more than four axes, in
/// functions that are noexcept.
template <class T>
void take(tensor<T>& to, tensor<T>&& from) {
    to.storage() = std::move(from.storage());
    to.resize(from.shape());
}

/// What can be handed to a network: the numbers in an xtensor expression, a span, an array, a vector.
template <class X>
concept array_like = requires(const X& x) {
    x.size();
    static_cast<float>(*x.begin());
    x.end();
};

/// How many elements every X has, as a std::array or a span of a fixed extent; -1: its type does not say.
template <array_like X>
inline constexpr extent size_of_type = [] {
    if constexpr (requires { std::tuple_size<X>::value; }) return static_cast<extent>(std::tuple_size_v<X>);
    else if constexpr (requires { X::extent; }) return static_cast<extent>(X::extent);  // -1: dynamic
    else return extent{-1};
}();

/// Whether the elements of an X are Ts in row-major order, one behind the other from std::to_address(x.begin()) on: not
/// from x.data() on, of a view of an xtensor that is where the whole tensor begins.
template <class X, class T>
concept row_of = requires(const X& x) {
    requires std::contiguous_iterator<decltype(x.begin())>;
    requires std::same_as<std::remove_cvref_t<decltype(*x.begin())>, T>;
};

/// Copies the `count` elements of `x` in row-major order: inline where the compiler knows how many.
template <array_like X, class T>
[[gnu::always_inline]] inline void copy_elements(const X& x, T* to, std::size_t count) {
    if constexpr (row_of<X, T>) {
        if (count > 0) std::memcpy(to, std::to_address(x.begin()), count * sizeof(T));
    } else {
        std::transform(x.begin(), x.end(), to, [](auto value) { return static_cast<T>(value); });
    }
}
template <array_like X, class T>
void copy_elements(const X& x, T* to) {
    copy_elements(x, to, x.size());
}

/// The layer f as an xtensor function: `apply(gelu{}, x + y)` is an expression, evaluated when assigned.
template <elementwise_layer F, class E>
auto apply(const F& f, E&& expression) {
    return xt::make_lambda_xfunction([f](const auto& v) { return f(v); }, std::forward<E>(expression));
}

}  // namespace bespoke
