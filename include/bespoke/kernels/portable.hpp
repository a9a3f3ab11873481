#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#if defined(__aarch64__)
#include <arm_neon.h>
#endif

/// What bespoke uses of xsimd, over the vectors of 16 bytes that g++ and clang have for every machine, in its registers
/// where it has some, else in scalars. xsimd 8.1 serves x86 alone here: on ARM it divides and takes roots by
/// approximations and rounds -0.3 to 0, not -0, and for a machine that it does not know it has nothing.
namespace bespoke::kernels::portable {

inline constexpr std::size_t vector_bytes = 16;
#if defined(__aarch64__)
inline constexpr std::size_t vector_registers = 32;
#else
inline constexpr std::size_t vector_registers = 16;
#endif
#if defined(__aarch64__) || defined(__FP_FAST_FMAF)
inline constexpr bool has_fma = true;
#else
inline constexpr bool has_fma = false;
#endif

template <class T>
struct vector {
    typedef T type __attribute__((vector_size(vector_bytes)));  // g++ 12 overlooks it in a `using`
};

/// Stands where xsimd names an instruction set; there is one.
struct default_arch {};

template <class T, class = default_arch>
class batch_bool {
    using values = typename vector<T>::type;

public:
    using register_type = decltype(values{} < values{});  ///< 0 or -1 in each lane
    static constexpr std::size_t size = vector_bytes / sizeof(T);
    register_type data;

    batch_bool() = default;
    batch_bool(register_type v) : data(v) {}
    explicit batch_bool(bool v) : data(register_type{} - static_cast<int>(v)) {}

    bool get(std::size_t lane) const { return data[lane] != 0; }
    void store_unaligned(bool* to) const {
        for (std::size_t i = 0; i < size; ++i) to[i] = get(i);
    }

    friend batch_bool operator&(batch_bool a, batch_bool b) { return a.data & b.data; }
    friend batch_bool operator|(batch_bool a, batch_bool b) { return a.data | b.data; }
    friend batch_bool operator&&(batch_bool a, batch_bool b) { return a & b; }
    friend batch_bool operator||(batch_bool a, batch_bool b) { return a | b; }
    friend batch_bool operator!(batch_bool a) { return ~a.data; }
};

template <class T, class A = default_arch>
class batch {
public:
    using value_type = T;
    using register_type = typename vector<T>::type;
    using mask = batch_bool<T, A>;
    static constexpr std::size_t size = vector_bytes / sizeof(T);
    register_type data;

    batch() = default;
    batch(register_type v) : data(v) {}
    explicit batch(T v) : data(v - register_type{}) {}  // -0 - 0 is -0

    T get(std::size_t lane) const { return data[lane]; }
    static batch load_unaligned(const T* from) {
        batch v;
        std::memcpy(&v.data, from, sizeof(v.data));
        return v;
    }
    static batch load_aligned(const T* from) { return load_unaligned(from); }
    void store_unaligned(T* to) const { std::memcpy(to, &data, sizeof(data)); }
    void store_aligned(T* to) const { store_unaligned(to); }

    friend batch operator+(batch a, batch b) { return a.data + b.data; }
    friend batch operator-(batch a, batch b) { return a.data - b.data; }
    friend batch operator*(batch a, batch b) { return a.data * b.data; }
    friend batch operator/(batch a, batch b) { return a.data / b.data; }
    friend batch operator-(batch a) { return -a.data; }
    friend batch operator<<(batch a, int bits) { return a.data << bits; }
    friend batch operator>>(batch a, int bits) { return a.data >> bits; }

    friend batch operator&(batch a, batch b) { return from(a.bits() & b.bits()); }
    friend batch operator|(batch a, batch b) { return from(a.bits() | b.bits()); }
    friend batch operator^(batch a, batch b) { return from(a.bits() ^ b.bits()); }

    friend mask operator==(batch a, batch b) { return a.data == b.data; }
    friend mask operator!=(batch a, batch b) { return a.data != b.data; }
    friend mask operator<(batch a, batch b) { return a.data < b.data; }
    friend mask operator<=(batch a, batch b) { return a.data <= b.data; }
    friend mask operator>(batch a, batch b) { return a.data > b.data; }
    friend mask operator>=(batch a, batch b) { return a.data >= b.data; }

    batch& operator+=(batch b) { return *this = *this + b; }
    batch& operator-=(batch b) { return *this = *this - b; }
    batch& operator*=(batch b) { return *this = *this * b; }
    batch& operator/=(batch b) { return *this = *this / b; }

private:
    using bit_vector = typename mask::register_type;
    bit_vector bits() const { return reinterpret_cast<bit_vector>(data); }
    static batch from(bit_vector v) { return reinterpret_cast<register_type>(v); }
};

template <class T, class A>
[[gnu::always_inline]] inline batch<T, A> select(batch_bool<T, A> where, batch<T, A> a, batch<T, A> b) noexcept {
    return where.data ? a.data : b.data;
}
/// As the instructions of x86: b where either is NaN, and of zeros.
template <class T, class A>
[[gnu::always_inline]] inline batch<T, A> max(batch<T, A> a, batch<T, A> b) noexcept {
    return select(a > b, a, b);
}
template <class T, class A>
[[gnu::always_inline]] inline batch<T, A> min(batch<T, A> a, batch<T, A> b) noexcept {
    return select(a < b, a, b);
}
template <class T, class A>
[[gnu::always_inline]] inline batch<T, A> abs(batch<T, A> x) noexcept {
    const batch<T, A> sign(T(-0.0));
    return (x | sign) ^ sign;
}
template <class T, class A>
[[gnu::always_inline]] inline batch_bool<T, A> isnan(batch<T, A> x) noexcept {
    return x != x;
}

template <class T, class A>
[[gnu::always_inline]] inline bool any(batch_bool<T, A> v) noexcept {
    std::uint64_t bits[2];
    static_assert(sizeof(bits) == sizeof(v.data));
    std::memcpy(bits, &v.data, sizeof(bits));
    return (bits[0] | bits[1]) != 0;
}
template <class T, class A>
[[gnu::always_inline]] inline bool all(batch_bool<T, A> v) noexcept {
    return !any(!v);
}

/// The same bits as elements of another type.
template <class To, class T, class A>
[[gnu::always_inline]] inline To bitwise_cast(batch<T, A> v) noexcept {
    return reinterpret_cast<typename To::register_type>(v.data);
}

namespace detail {

/// Lane by lane, where the machine has no instruction.
template <class T, class A, class F>
[[gnu::always_inline]] inline batch<T, A> each_lane(batch<T, A> x, const F& f) noexcept {
    for (std::size_t i = 0; i < x.size; ++i) x.data[i] = f(x.data[i]);
    return x;
}

}  // namespace detail

template <class T, class A>
[[gnu::always_inline]] inline batch<T, A> sqrt(batch<T, A> x) noexcept {
#if defined(__aarch64__)
    if constexpr (sizeof(T) == sizeof(float)) return vsqrtq_f32(x.data);
    else return vsqrtq_f64(x.data);
#else
    return detail::each_lane(x, [](T v) { return std::sqrt(v); });
#endif
}
template <class T, class A>
[[gnu::always_inline]] inline batch<T, A> floor(batch<T, A> x) noexcept {
#if defined(__aarch64__)
    if constexpr (sizeof(T) == sizeof(float)) return vrndmq_f32(x.data);
    else return vrndmq_f64(x.data);
#else
    return detail::each_lane(x, [](T v) { return std::floor(v); });
#endif
}
template <class T, class A>
[[gnu::always_inline]] inline batch<T, A> ceil(batch<T, A> x) noexcept {
#if defined(__aarch64__)
    if constexpr (sizeof(T) == sizeof(float)) return vrndpq_f32(x.data);
    else return vrndpq_f64(x.data);
#else
    return detail::each_lane(x, [](T v) { return std::ceil(v); });
#endif
}
template <class T, class A>
[[gnu::always_inline]] inline batch<T, A> trunc(batch<T, A> x) noexcept {
#if defined(__aarch64__)
    if constexpr (sizeof(T) == sizeof(float)) return vrndq_f32(x.data);
    else return vrndq_f64(x.data);
#else
    return detail::each_lane(x, [](T v) { return std::trunc(v); });
#endif
}
template <class T, class A>
[[gnu::always_inline]] inline batch<T, A> nearbyint(batch<T, A> x) noexcept {
#if defined(__aarch64__)
    if constexpr (sizeof(T) == sizeof(float)) return vrndiq_f32(x.data);
    else return vrndiq_f64(x.data);
#else
    return detail::each_lane(x, [](T v) { return std::nearbyint(v); });
#endif
}

template <class T, class A>
[[gnu::always_inline]] inline batch<T, A> fma(batch<T, A> a, batch<T, A> b, batch<T, A> c) noexcept {
#if defined(__aarch64__)
    if constexpr (sizeof(T) == sizeof(float)) return vfmaq_f32(c.data, a.data, b.data);
    else return vfmaq_f64(c.data, a.data, b.data);
#else
    if constexpr (has_fma) {
        for (std::size_t i = 0; i < a.size; ++i) c.data[i] = std::fma(a.data[i], b.data[i], c.data[i]);
        return c;
    } else {
        const batch<T, A> product = a * b;
        return product + c;
    }
#endif
}

}  // namespace bespoke::kernels::portable
