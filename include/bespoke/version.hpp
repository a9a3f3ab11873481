#pragma once

/// The version of the library. CMake reads these three lines, so that no other file repeats them.
namespace bespoke {

inline constexpr int version_major = 0;
inline constexpr int version_minor = 1;
inline constexpr int version_patch = 0;

}  // namespace bespoke
