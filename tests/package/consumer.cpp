#define BESPOKE_IMPLEMENTATION
#include <bespoke.hpp>

#include <cstdio>

int main() {
    std::printf("bespoke %d.%d.%d\n", bespoke::version_major, bespoke::version_minor, bespoke::version_patch);
}
