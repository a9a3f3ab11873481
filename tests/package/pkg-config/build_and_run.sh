#!/bin/sh
# Builds the consumer with the flags that pkg-config gives, into the folder $1, and runs it.
set -eu
test "$(pkg-config --modversion bespoke)" = "$VERSION"
# shellcheck disable=SC2046 # the flags are words
"$CXX" -std=c++20 -DBESPOKE_IMPLEMENTATION $(pkg-config --cflags bespoke) "$(dirname "$0")/../consumer.cpp" \
    $(pkg-config --libs bespoke) -o "$1/pkg-config-consumer"
"$1/pkg-config-consumer"
