#pragma once

#include <cstddef>
#include <initializer_list>

namespace bespoke {

/// Up to `Most` values, for the hyper-parameters that are neither a shape nor of one length: unlike std::vector it
/// can stand in a description that the compiler knows.
template <class T, std::size_t Most>
class list {
public:
    using value_type = T;
    static constexpr std::size_t most = Most;

    constexpr list() = default;
    constexpr list(std::initializer_list<T> values) {
        for (const T& v : values) push_back(v);
    }

    constexpr std::size_t size() const { return size_; }
    constexpr bool empty() const { return size_ == 0; }
    constexpr const T& operator[](std::size_t i) const { return values_[i]; }
    constexpr const T* begin() const { return values_; }
    constexpr const T* end() const { return values_ + size_; }

    /// Ignored beyond `Most`; readers of files check the number before.
    constexpr void push_back(const T& value) {
        if (size_ < Most) values_[size_++] = value;
    }

    friend constexpr bool operator==(const list& a, const list& b) {
        if (a.size_ != b.size_) return false;
        for (std::size_t i = 0; i < a.size_; ++i)
            if (!(a.values_[i] == b.values_[i])) return false;
        return true;
    }

private:
    T values_[Most]{};
    std::size_t size_ = 0;
};

}  // namespace bespoke
