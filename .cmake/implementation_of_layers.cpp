#define BESPOKE_IMPLEMENTATION_OF_LAYERS
#include <bespoke.hpp>
