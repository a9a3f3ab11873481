#pragma once

/// BESPOKE_SANITIZED, and `sanitized`: whether this is a build with sanitizers. They make all of it ten times slower,
/// and what they look for is the memory: where a test does the same in several ways, some of them are enough there.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)  // so says g++
#define BESPOKE_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BESPOKE_SANITIZED
#endif
#endif

#ifdef BESPOKE_SANITIZED
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
