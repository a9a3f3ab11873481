#define BESPOKE_IMPLEMENTATION
#define BESPOKE_LAYERS_ELSEWHERE
#include <bespoke.hpp>
