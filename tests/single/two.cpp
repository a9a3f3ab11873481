#include <bespoke.hpp>

const void* second_version();
const void* second_version() { return &bespoke::version_major; }
