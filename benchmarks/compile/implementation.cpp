// What one translation unit of a program that loads models pays.
#define BESPOKE_IMPLEMENTATION
#include <bespoke.hpp>
