#pragma once

#include "shape.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <utility>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace bespoke {

/// Bytes to which blobs and parameters are aligned: one cache line, one AVX-512 register.
inline constexpr std::size_t alignment = 64;

/// Number of elements of T that fill up to the next aligned place.
template <class T>
constexpr extent aligned_size(extent elements) {
    constexpr extent step = static_cast<extent>(alignment / sizeof(T));
    return (elements + step - 1) / step * step;
}

/// Bytes of a large page, and so many that memory is asked for in whole ones: blobs that fit a cache of the second
/// level find room there side by side, which small pages, wherever they lie, may not; and a model of hundreds of
/// megabytes would spend more time in the page faults of small ones than on reading its file.
inline constexpr std::size_t large_page = std::size_t{2} << 20, large_memory = large_page / 2;

/// Aligned storage of trivial elements, zero at first where nothing else is said.
template <class T>
class buffer {
public:
    buffer() = default;
    explicit buffer(extent size) { resize(size); }
    buffer(const buffer& other) : buffer(other.size_) {
        std::copy_n(other.data(), other.size_, data());
    }
    buffer(buffer&& other) noexcept
        : memory_(std::move(other.memory_)), size_(std::exchange(other.size_, 0)) {}
    buffer& operator=(buffer other) noexcept {
        memory_.swap(other.memory_);
        std::swap(size_, other.size_);
        return *this;
    }

    T* data() const { return memory_.get(); }
    extent size() const { return size_; }
    T* begin() const { return data(); }
    T* end() const { return data() + size_; }
    T& operator[](extent i) const { return memory_.get()[i]; }
    /// Whether `place` is one in it.
    bool contains(const T* place) const {
        return !std::less<const T*>()(place, data()) && std::less<const T*>()(place, end());
    }

    /// Contents are zeros afterwards. Allocates only if the size changes.
    void resize(extent size) {
        allocate(size);
        std::fill_n(data(), size_, T{});
    }

    /// As `resize`, with contents that are not defined.
    void allocate(extent size) {
        if (size == size_) return;
        memory_.reset();
        size_ = 0;
        if (size == 0) return;
        if (size < 0 || size > most_elements) throw std::bad_alloc();
        std::size_t bytes = static_cast<std::size_t>(size) * sizeof(T);
        const std::align_val_t aligned{bytes < large_memory ? alignment : large_page};
        if (bytes >= large_memory) bytes = (bytes + large_page - 1) / large_page * large_page;
        memory_ = {static_cast<T*>(::operator new(bytes, aligned)), release{aligned}};
        size_ = size;
#ifdef __linux__
        if (bytes >= large_memory) madvise(data(), bytes, MADV_HUGEPAGE);  // a wish: it need not be granted
#endif
    }

    /// Few of the elements from `first` on are ever written: they lie in small pages, which come one by one.
    void scatter([[maybe_unused]] extent first, [[maybe_unused]] extent count) {
#ifdef __linux__
        if (static_cast<std::size_t>(size_) * sizeof(T) < large_memory) return;
        const auto page = [&](extent i) { return (static_cast<std::size_t>(i) * sizeof(T) + 4095) / 4096 * 4096; };
        const std::size_t begin = page(first), end = page(first + count);
        if (begin < end) madvise(reinterpret_cast<std::byte*>(data()) + begin, end - begin, MADV_NOHUGEPAGE);
#endif
    }

    /// Grows to at least `size` elements; contents are lost when it grows.
    void reserve(extent size) {
        if (size > size_) resize(size);
    }

private:
    static constexpr extent most_elements = std::numeric_limits<extent>::max() / 2 / static_cast<extent>(sizeof(T));

    struct release {
        std::align_val_t aligned{alignment};
        void operator()(T* memory) const { ::operator delete(memory, aligned); }
    };
    std::unique_ptr<T, release> memory_;
    extent size_ = 0;
};

/// A bool that is false behind a move, or a pointer that is null then.
template <class T>
class value_of_owner {
public:
    constexpr value_of_owner(T value) : value_(value) {}
    constexpr value_of_owner(value_of_owner&& other) noexcept : value_(std::exchange(other.value_, T{})) {}
    constexpr value_of_owner& operator=(value_of_owner&& other) noexcept {
        value_ = std::exchange(other.value_, T{});
        return *this;
    }
    constexpr operator T() const { return value_; }

private:
    T value_;
};

}  // namespace bespoke
