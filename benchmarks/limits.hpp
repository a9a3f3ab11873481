#pragma once

/// What the machine can do at most, measured in the same run as everything else.
namespace bespoke::benchmarks {

/// Multiply-adds of float32 in registers, by all threads together, in floating-point operations a second (a
/// multiply-add counts 2).
double multiply_add_rate(int threads);

/// Seconds of a loop without work on `threads` threads, the shortest: each loop of a prediction costs as much. What one
/// thread wrote and another one reads comes at that pace too: a cache line takes about half of it.
double empty_loop(int threads);

/// Bytes a second that `threads` threads read, each its part of an array of `bytes` bytes, over and over.
double read_rate(int threads, double bytes);

}  // namespace bespoke::benchmarks
