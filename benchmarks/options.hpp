#pragma once

#include "measure.hpp"

#include <string>
#include <vector>

/// What is said on the command line of a program that measures.
namespace bespoke::benchmarks {

struct options {
    std::vector<std::string> only, who;
    std::vector<int> threads;
    patience how;
    std::string json;
};

/// What `main` does and returns: reads the command line and calls `run`, or says what there is or what is wrong.
/// `threaded`: whether the number of threads can be chosen.
int start(int argc, char** argv, const char* program, std::span<const work> works, bool threaded,
          int (*run)(const options& o));

bool is_wanted(const work& w, const options& o);
/// Prints who there is and returns false if nobody is left.
bool keep_wanted(std::vector<const peer*>& who, const options& o);

/// Writes the file that is asked for. Returns what `main` returns: 0 if all results were right and the file is there.
int finish(const options& o, std::span<const line> lines, bool right);

/// What libraries read when the program starts, before `main`: then it starts again. libtorch chooses its kernels and
/// glibc keeps freed memory by it. OpenMP's threads spin long enough to be there at the next call of a sample, and are
/// asleep when the next contestant runs.
void start_with_settings(char** argv);

}  // namespace bespoke::benchmarks
