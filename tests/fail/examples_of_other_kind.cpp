// expect: examples for this model wanted: std::vector<features> for a loaded one, training_setup<float>
#include <bespoke.hpp>

using namespace bespoke;

#ifndef FIXED
using examples = std::vector<float>;
#else
using examples = std::vector<features>;
#endif

int main() {
    const model m = load("digits.json");
    update(m, examples(), {.epochs = 1}).save("mine.json");
}
