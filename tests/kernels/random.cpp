#include <bespoke/kernels/random.hpp>

#include <catch2/catch.hpp>

#include <vector>

using namespace bespoke;
namespace kernels = bespoke::kernels;

namespace {

/// k + u for the elements 4 j + k.
struct numbered {
    template <class T>
    void operator()(kernels::batch<T> (&v)[4]) const {
        for (int k = 0; k < 4; ++k) v[k] = v[k] + kernels::batch<T>(static_cast<T>(k));
    }
};

}  // namespace

TEMPLATE_TEST_CASE("draw: element i has number i of the generator, in any range", "", float, double) {
    using T = TestType;
    philox source(3, 5);
    std::vector<T> expected;
    for (int i = 0; i < 300; ++i) expected.push_back(static_cast<T>(source.uniform()) + static_cast<T>(i % 4));
    source.position = 0;
    for (extent first : {0, 1, 3, 4, 62, 64, 65, 130})
        for (extent size : {0, 1, 2, 5, 63, 64, 65, 129}) {
            std::vector<T> y(300, T(-1));
            kernels::draw(source, first, first + size, numbered{}, y.data());
            bool right = true;
            for (extent i = 0; i < 300; ++i) {
                const auto at = static_cast<std::size_t>(i);
                right = right && y[at] == (i >= first && i < first + size ? expected[at] : T(-1));
            }
            CAPTURE(first, size);
            CHECK(right);
        }
}
