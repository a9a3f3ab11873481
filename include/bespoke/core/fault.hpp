#pragma once

#include "shape.hpp"

#include <algorithm>
#include <bit>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace bespoke {

/// What kind of thing went wrong; the sentence beside it says where, what was wanted and what came.
enum class errc {
    bad_argument,    ///< a value given by the caller cannot be used
    bad_value,       ///< a field of a description or file has a value outside its range
    shape_mismatch,  ///< extents do not fit together
    unknown_name,    ///< a blob, feature, layer, parameter or tensor that nobody defines; in a file, an unknown field
    duplicate_name,  ///< two definitions of one name
    unknown_layer,   ///< a layer type outside the chosen set of layers
    malformed_file,  ///< the bytes do not follow their format
    unsupported,     ///< part of the specification that is not implemented
    not_updatable,   ///< the model cannot be trained as asked
    io,              ///< the operating system refused a read or a write
};

/// A short text that is built alike at compile time and at run time. Longer text is cut at the end.
class sentence {
public:
    static constexpr std::size_t capacity = 320;

    /// What it is made of: text, a number (of a float six digits) or a shape. Small, as a library of layers has
    /// hundreds of sentences.
    class part {
    public:
        constexpr part(std::string_view text)
            : text_(text.data() == nullptr ? "" : text.data()), number_(static_cast<extent>(text.size())) {}
        constexpr part(const char* text) : text_(text), number_(-1) {}
        constexpr part(const sentence& text) : part(text.view()) {}
        constexpr part(extent number) : number_(number) {}
        constexpr part(int number) : number_(number) {}
        constexpr part(std::size_t number) : number_(static_cast<extent>(number)) {}
        constexpr part(float number) : part(static_cast<double>(number)) {}
        constexpr part(double number) : number_(std::bit_cast<extent>(number)), real_(true) {}
        constexpr part(const shape& dimensions) : dimensions_(&dimensions) {}

    private:
        friend sentence;
        const char* text_ = nullptr;
        const shape* dimensions_ = nullptr;
        extent number_ = 0;  ///< or the length of the text; -1: it ends with a zero
        bool real_ = false;  ///< the number is a double with these bits
    };

    constexpr sentence() = default;
    /// By value: a literal is a pointer then, and its length makes no function of its own.
    template <class... Parts>
        requires(sizeof...(Parts) > 0)
    constexpr explicit sentence(Parts... parts) {
        append({part(parts)...});
    }

    /// Without a constructor for each list of types.
    constexpr explicit sentence(std::initializer_list<part> parts) { append(parts); }

    constexpr std::string_view view() const { return {text_, size_}; }

    // Not inline: none is in a hurry.
    [[gnu::noinline]] constexpr void append(std::initializer_list<part> parts) {
        for (const part& p : parts)
            if (p.text_ != nullptr)
                put(p.number_ < 0 ? std::string_view(p.text_)
                                  : std::string_view(p.text_, static_cast<std::size_t>(p.number_)));
            else if (p.dimensions_ != nullptr) put(*p.dimensions_);
            else if (p.real_) put(std::bit_cast<double>(p.number_));
            else put(p.number_);
    }
    constexpr void append(const part& one) { append({one}); }

private:
    constexpr void put(std::string_view text) {
        const std::size_t count = std::min(text.size(), capacity - size_);
        const char* from = text.data();
        for (std::size_t i = 0; i < count; ++i) text_[size_ + i] = from[i];
        size_ += count;
    }
    constexpr void put(extent value) {
        char digits[20]{};
        std::size_t count = 0;
        auto rest = value < 0 ? ~static_cast<std::uint64_t>(value) + 1 : static_cast<std::uint64_t>(value);
        do {
            digits[count++] = static_cast<char>('0' + rest % 10);
            rest /= 10;
        } while (rest != 0);
        if (value < 0) put(std::string_view("-"));
        while (count > 0) put(std::string_view(&digits[--count], 1));
    }
    constexpr void put(double value) {
        if (value != value) return put(std::string_view("NaN"));
        if (value < 0) put(std::string_view("-"));
        double rest = value < 0 ? -value : value;
        if (rest > std::numeric_limits<double>::max()) return put(std::string_view("Infinity"));
        if (rest == 0) return put(extent{0});
        int exponent = 0;
        for (; rest >= 10; rest /= 10) ++exponent;
        for (; rest < 1; rest *= 10) --exponent;
        auto digits = static_cast<extent>(rest * 100000 + 0.5);
        if (digits == 1000000) {
            digits = 100000;
            ++exponent;
        }
        const bool short_enough = exponent >= -5 && exponent <= 5;
        int point = short_enough ? exponent : 0;  // behind which digit it stands
        if (point < 0) put(std::string_view("0.0000", static_cast<std::size_t>(1 - point)));
        for (extent unit = 100000; digits > 0 || point >= 0; unit /= 10, --point) {
            put(digits / unit);
            digits %= unit;
            if (point == 0 && digits > 0) put(std::string_view("."));
        }
        if (short_enough) return;
        put(std::string_view("e"));
        put(extent{exponent});
    }
    constexpr void put(const shape& s) {
        put(std::string_view("["));
        for (std::size_t axis = 0; axis < s.rank(); ++axis) {
            if (axis > 0) put(std::string_view(", "));
            put(s[axis]);
        }
        put(std::string_view("]"));
    }

    char text_[capacity]{};
    std::size_t size_ = 0;
};

/// One thing that does not hold. The compiler prints it for a composed network, `error` carries it at
/// run time.
struct fault {
    errc code = errc::bad_argument;
    sentence what;
};

// Nor are these, nor the answers of shape rules.
template <class... Parts>
[[gnu::cold, gnu::noinline]] constexpr fault shape_fault(Parts... parts) {
    return {errc::shape_mismatch, sentence({sentence::part(parts)...})};
}
template <class... Parts>
[[gnu::cold, gnu::noinline]] constexpr fault value_fault(Parts... parts) {
    return {errc::bad_value, sentence({sentence::part(parts)...})};
}

/// What is wrong with an input of `came` elements in place of `examples` times the shape.
constexpr fault wrong_input(std::string_view name, const shape& dimensions, extent came, extent examples) {
    return shape_fault("input \"", name, "\": ", examples, " times the shape ", dimensions, " wanted (",
                       examples * dimensions.size(), " elements), ", came, " came");
}

/// The fault of the field `name` unless its value is finite and from 0 up.
constexpr std::optional<fault> unless_from_zero_up(std::string_view name, float value) {
    if (value >= 0 && value <= std::numeric_limits<float>::max()) return {};
    return value_fault("a finite ", name, " from 0 up wanted, ", value, " given");
}

/// The answer of a layer's shape rule: the shapes of its outputs, or a fault.
class outcome {
public:
    [[gnu::noinline]] constexpr outcome(const shape& only) : shapes_{only} {}
    [[gnu::noinline]] constexpr outcome(std::vector<shape> shapes) : shapes_(std::move(shapes)) {}
    [[gnu::cold, gnu::noinline]] constexpr outcome(const fault& problem) : problem_(problem) {}

    constexpr explicit operator bool() const { return !problem_; }
    constexpr const std::vector<shape>& shapes() const { return shapes_; }
    constexpr const fault& problem() const { return *problem_; }

private:
    std::vector<shape> shapes_;
    std::optional<fault> problem_;
};

}  // namespace bespoke
