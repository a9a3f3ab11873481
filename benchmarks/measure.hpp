#pragma once

#include "peers.hpp"

#include <span>
#include <string>
#include <vector>

namespace bespoke::benchmarks {

/// How much is measured.
struct patience {
    int samples = 15;             ///< of each contestant, fewer (at least 3) where a call takes seconds
    double sample_seconds = 0.04; ///< a sample is as many calls as take that long
};

/// One row of the table.
struct line {
    std::string work, who;
    int threads;
    double median, minimum;  ///< seconds a call
    double limit_share;      ///< the least time that the machine allows / median
    bool ours;
};

/// Appends a line for everybody who can do the work. Samples of all are taken in turn, in random order. The first of
/// `who` gives the result that all others have to get. Returns whether they do; prints what is not so.
bool measure(const work& w, int threads, double multiply_add_rate, std::span<const peer* const> who,
             const patience& how, std::vector<line>& lines);

}  // namespace bespoke::benchmarks
