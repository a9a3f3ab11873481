#pragma once

#include "../kernels/power.hpp"
#include "../kernels/remainder.hpp"

#include <array>

/// Functions of two numbers for the layers that combine blobs element by element: f(a, b) for float, double and SIMD
/// batches of them, and the gradient, `f.gradient<0>(sum, dy, a, b)` for a and <1> for b: sum + dy times the slope.
/// Where that does not depend on a and b it is `f.slope[0]` and [1] instead.
namespace bespoke::detail {

/// What is so of most of them.
struct binary_function {
    static constexpr bool independent = false;  ///< the slopes do not depend on a and b: they need not be there
    static constexpr bool commutative = false;  ///< to the last bit, the gradient too
    static constexpr bool takes_many = false;   ///< a layer combines more than two blobs with it
    static constexpr bool differentiable = true;
    static constexpr bool averages = false;  ///< of several: the last step takes `share`, one by their number
    static constexpr bool folds = false;     ///< the compiler can compute it
};

struct addition : binary_function {
    static constexpr bool independent = true, commutative = true, takes_many = true, folds = true;
    template <class V>
    constexpr V operator()(const V& a, const V& b) const noexcept {
        return a + b;
    }
    static constexpr std::array slope{1, 1};
};

struct averaging : addition {
    static constexpr bool commutative = false, averages = true, folds = false;
    double share = 1;  ///< of the inputs, where b is the last one
    template <class V>
    V operator()(const V& a, const V& b) const noexcept {
        return (a + b) * kernels::number<V>(share);
    }
};

struct subtraction : binary_function {
    static constexpr bool independent = true, folds = true;
    template <class V>
    constexpr V operator()(const V& a, const V& b) const noexcept {
        return a - b;
    }
    static constexpr std::array slope{1, -1};
};

struct product : binary_function {
    static constexpr bool commutative = true, takes_many = true, folds = true;
    template <class V>
    constexpr V operator()(const V& a, const V& b) const noexcept {
        return a * b;
    }
    template <std::size_t Input, class V>
    V gradient(const V& sum, const V& dy, const V& a, const V& b) const noexcept {
        return kernels::fma(dy, Input == 0 ? b : a, sum);
    }
};

struct quotient : binary_function {
    template <class V>
    V operator()(const V& a, const V& b) const noexcept {
        return a / b;
    }
    template <std::size_t Input, class V>
    V gradient(const V& sum, const V& dy, const V& a, const V& b) const noexcept {
        if constexpr (Input == 0)
            return sum + dy / b;
        else
            return kernels::fma(-(dy / b), a / b, sum);
    }
};

struct floor_quotient : binary_function {
    static constexpr bool differentiable = false;
    template <class V>
    V operator()(const V& a, const V& b) const noexcept {
        return kernels::floor_divide(a, b);
    }
};

struct floor_remainder : binary_function {
    template <class V>
    V operator()(const V& a, const V& b) const noexcept {
        return kernels::floor_mod(a, b);
    }
    template <std::size_t Input, class V>
    V gradient(const V& sum, const V& dy, const V& a, const V& b) const noexcept {
        if constexpr (Input == 0)
            return sum + dy;
        else
            return kernels::fma(-dy, kernels::floor_divide(a, b), sum);
    }
};

/// The slope for a is b a^(b - 1), and 0 for b = 0; for b it is a^b log a, and 0 for a = 0 and b >= 0.
struct power : binary_function {
    template <class V>
    V operator()(const V& a, const V& b) const noexcept {
        return kernels::pow(a, b);
    }
    template <std::size_t Input, class V>
    V gradient(const V& sum, const V& dy, const V& a, const V& b) const noexcept {
        if constexpr (Input == 0) {
            const V slope = b * kernels::pow(a, b - V(1));
            return kernels::select(b == V(0), sum, kernels::fma(dy, slope, sum));
        } else {
            const V slope = kernels::pow(a, b) * kernels::log(a);
            const V none = kernels::select(b >= V(0), V(0), slope);
            return kernels::fma(dy, kernels::select(a == V(0), none, slope), sum);
        }
    }
};

/// NaN where either is. The input that is taken has the gradient, the first one where both are equal.
struct larger : binary_function {
    static constexpr bool takes_many = true;
    template <class V>
    V operator()(const V& a, const V& b) const noexcept {
        return kernels::select(b > a, b, kernels::select(kernels::is_nan(b), b, a));
    }
    template <std::size_t Input, class V>
    V gradient(const V& sum, const V& dy, const V& a, const V& b) const noexcept {
        const V if_first = Input == 0 ? sum + dy : sum, if_second = Input == 0 ? sum : sum + dy;
        return kernels::select(b > a, if_second, kernels::select(kernels::is_nan(b), if_second, if_first));
    }
};

/// As `larger`.
struct smaller : binary_function {
    static constexpr bool takes_many = true;
    template <class V>
    V operator()(const V& a, const V& b) const noexcept {
        return kernels::select(b < a, b, kernels::select(kernels::is_nan(b), b, a));
    }
    template <std::size_t Input, class V>
    V gradient(const V& sum, const V& dy, const V& a, const V& b) const noexcept {
        return larger{}.gradient<Input>(sum, dy, -a, -b);
    }
};

/// What gives 1 for true and 0 for false.
struct truth_function : binary_function {
    static constexpr bool differentiable = false;
};

struct equality : truth_function {
    static constexpr bool commutative = true;
    template <class V>
    V operator()(const V& a, const V& b) const noexcept {
        return kernels::select(a == b, V(1), V(0));
    }
};
struct inequality : truth_function {
    static constexpr bool commutative = true;
    template <class V>
    V operator()(const V& a, const V& b) const noexcept {
        return kernels::select(a == b, V(0), V(1));
    }
};
struct below : truth_function {
    template <class V>
    V operator()(const V& a, const V& b) const noexcept {
        return kernels::select(a < b, V(1), V(0));
    }
};
struct not_above : truth_function {
    template <class V>
    V operator()(const V& a, const V& b) const noexcept {
        return kernels::select(a <= b, V(1), V(0));
    }
};
struct above : truth_function {
    template <class V>
    V operator()(const V& a, const V& b) const noexcept {
        return kernels::select(a > b, V(1), V(0));
    }
};
struct not_below : truth_function {
    template <class V>
    V operator()(const V& a, const V& b) const noexcept {
        return kernels::select(a >= b, V(1), V(0));
    }
};

struct conjunction : truth_function {
    static constexpr bool commutative = true;
    template <class V>
    V operator()(const V& a, const V& b) const noexcept {
        return kernels::select(a == V(0), V(0), inequality{}(b, V(0)));
    }
};
struct disjunction : truth_function {
    static constexpr bool commutative = true;
    template <class V>
    V operator()(const V& a, const V& b) const noexcept {
        return kernels::select(a == V(0), inequality{}(b, V(0)), V(1));
    }
};
struct exclusive_disjunction : truth_function {
    static constexpr bool commutative = true;
    template <class V>
    V operator()(const V& a, const V& b) const noexcept {
        return kernels::select(a == V(0), inequality{}(b, V(0)), equality{}(b, V(0)));
    }
};

}  // namespace bespoke::detail
