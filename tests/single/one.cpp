#include <bespoke.hpp>

const void* second_version();

/// 0 if both translation units see the same inline variable: the single header obeys the one-definition rule.
int main() { return second_version() == &bespoke::version_major ? 0 : 1; }
