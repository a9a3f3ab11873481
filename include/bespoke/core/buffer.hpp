#pragma once

#include "shape.hpp"

#include <algorithm>
#include <memory>
#include <new>
#include <span>
#include <utility>

namespace bespoke {

/// Bytes to which blobs and parameters are aligned: one cache line, one AVX-512 register.
inline constexpr std::size_t alignment = 64;

/// Number of elements of T that fill up to the next aligned place.
template <class T>
constexpr extent aligned_size(extent elements) {
    constexpr extent step = static_cast<extent>(alignment / sizeof(T));
    return (elements + step - 1) / step * step;
}

/// Aligned, zero-initialised storage of trivial elements.
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

    /// Contents are zeros afterwards. Allocates only if the size changes.
    void resize(extent size) {
        if (size != size_) {
            memory_.reset(size == 0 ? nullptr
                                    : static_cast<T*>(::operator new(static_cast<std::size_t>(size) * sizeof(T),
                                                                     std::align_val_t(alignment))));
            size_ = size;
        }
        std::fill_n(data(), size_, T{});
    }

    /// Grows to at least `size` elements; contents are lost when it grows.
    void reserve(extent size) {
        if (size > size_) resize(size);
    }

private:
    struct release {
        void operator()(T* memory) const { ::operator delete(memory, std::align_val_t(alignment)); }
    };
    std::unique_ptr<T, release> memory_;
    extent size_ = 0;
};

}  // namespace bespoke
