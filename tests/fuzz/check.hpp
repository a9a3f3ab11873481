#pragma once

#include <cstdlib>

namespace fuzz {

/// Ends the program where something does not hold: that is what a fuzzer sees.
inline void check(bool holds) {
    if (!holds) std::abort();
}

}  // namespace fuzz
