#pragma once

/// Whether this is a build with sanitizers. They make all of it ten times slower, and what they look for is the memory:
/// where a test does the same in several ways, some of them are enough there.
#ifdef __SANITIZE_ADDRESS__
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
