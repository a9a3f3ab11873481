#pragma once

#include <bespoke/core/fault.hpp>
#include <bespoke/kernels/reduction.hpp>

#include <vector>

namespace check {

/// A shape, and which of its axes are gone.
struct reduction_case {
    bespoke::shape x;
    bool gone[bespoke::max_rank]{};

    bespoke::kernels::reduction_walk walk(bespoke::extent examples) const { return {examples, x, gone}; }
};
inline std::vector<reduction_case> reduction_cases() {
    return {
        {{}, {}},
        {{1}, {true}},
        {{5}, {}},
        {{700}, {true}},
        {{3, 133}, {false, true}},
        {{133, 3}, {true}},
        {{70, 71}, {true, false}},
        {{3, 4, 35}, {true, false, true}},
        {{3, 70, 35}, {false, true, false}},
        {{2, 3, 4, 5}, {false, true, false, true}},
        {{2, 3, 4, 5}, {true, false, true, false}},
        {{1, 3, 1}, {false, true, false}},
        {{2, 1, 3}, {false, true, false}},
        {{4, 3, 2}, {true, true, true}},
        {{0, 3}, {true, false}},
        {{0, 3}, {false, true}},
        {{2, 2, 2, 2, 2, 2, 2, 2}, {true, false, true, false, true, false, true, false}},
    };
}

/// For each output the places in x of what meets there, in their order.
inline std::vector<std::vector<bespoke::extent>> meeting(const reduction_case& c, bespoke::extent examples) {
    using bespoke::extent;
    extent outputs = examples;
    for (std::size_t a = 0; a < c.x.rank(); ++a) outputs *= c.gone[a] ? 1 : c.x[a];
    std::vector<std::vector<extent>> all(static_cast<std::size_t>(outputs));
    for (extent i = 0; i < examples * c.x.size(); ++i) {
        extent output = i / c.x.size(), rest = i % c.x.size();
        for (std::size_t a = 0; a < c.x.rank(); ++a) {
            const extent step = c.x.product(a + 1, c.x.rank());
            if (!c.gone[a]) output = output * c.x[a] + rest / step;
            rest %= step;
        }
        all[static_cast<std::size_t>(output)].push_back(i);
    }
    return all;
}

}  // namespace check
