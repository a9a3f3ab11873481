// expect: an optimizer has moments[(][)] and apply[(]slots, state, total, step[)]
#include <bespoke.hpp>

using namespace bespoke;

struct signs {
#ifdef FIXED
    extent moments() const { return 0; }
#endif
    template <class T>
    void apply(std::span<const update_slot<T>> slots, T*, extent, std::uint64_t) const {
        for (const auto& slot : slots)
            for (extent i = 0; i < slot.size; ++i) slot.step[i] = slot.step[i] < 0 ? T(-1) : T(1);
    }
};

inline constexpr auto d = compose(input{"x", {4}}, inner_product{.output_channels = 4} | updatable);

int main() {
    network<d> net;
    trainer training(net, {mean_squared_error{}}, signs{});
}
