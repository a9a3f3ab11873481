#!/bin/sh
# Builds a program with the flags that pkg-config gives, into the folder $1, and runs it.
set -eu
test "$(pkg-config --modversion bespoke)" = "$VERSION"
# shellcheck disable=SC2046 # the flags are words
"$CXX" -std=c++20 $(pkg-config --cflags bespoke) "$(dirname "$0")/../composed.cpp" \
    $(pkg-config --libs bespoke) -o "$1/pkg-config-consumer"
"$1/pkg-config-consumer"
# The flags lead to all that an implementation includes. Compiling it takes long, and package/find_package does it.
# shellcheck disable=SC2046
"$CXX" -std=c++20 -DBESPOKE_IMPLEMENTATION -E $(pkg-config --cflags bespoke) "$(dirname "$0")/../consumer.cpp" \
    -o "$1/pkg-config-consumer.ii"
