#define BESPOKE_IMPLEMENTATION
#include <bespoke.hpp>
