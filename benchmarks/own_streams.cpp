#include "networks/streams.hpp"
#include "own.hpp"

#include <cstring>

namespace bespoke::benchmarks {
namespace {

/// Runs a network with several outputs, which are copied to where the caller says.
template <const auto& Description>
void predict(network<Description>& net, const input_values& x, const std::vector<std::span<float>>& to) {
    const auto results = [&]<std::size_t... I>(std::index_sequence<I...>) {
        return net(x[I]...);
    }(std::make_index_sequence<network<Description>::plan().inputs.size()>{});
    constexpr plan_view plan = network<Description>::plan();
    [&]<std::size_t... I>(std::index_sequence<I...>) {
        (std::memcpy(to[I].data(), std::get<I>(results).data(),
                     static_cast<std::size_t>(plan.blobs[plan.outputs[I]].dimensions.size()) * sizeof(float)),
         ...);
    }(std::make_index_sequence<plan.outputs.size()>{});
}
void predict(program& net, const input_values& x, const std::vector<std::span<float>>& to) {
    loaded_door::predict(net, x, 1);
    for (std::size_t i = 0; i < to.size(); ++i)
        std::copy_n(net.core().value(net.plan().outputs[i]), to[i].size(), to[i].data());
}

/// All units have the reset gate of the first, so that r (R y) = R (r y).
template <class Network>
void share_reset_gate(Network& net) {
    const plan_view plan = net.plan();
    for (std::size_t i = 0; i < plan.parameters.size(); ++i) {
        const parameter_facts& facts = plan.parameters[i];
        if (!facts.name.starts_with("resetGate")) continue;
        const extent units = facts.dimensions[0], row = facts.dimensions.size() / units;
        float* values = net.core().parameter(i);
        for (extent unit = 1; unit < units; ++unit) std::copy_n(values, row, values + unit * row);
    }
    net.prepare();
}

/// The outputs behind the first one are the inputs behind the first one of the next call.
template <class Door, const auto& Description>
contestant recurrent(int threads) {
    using network_type = decltype(Door::template make<Description>(1));
    struct run {
        network_type net;
        input_values x;
        std::vector<std::span<float>> to;
        float result = 0;
    };
    auto r = std::make_shared<run>(run{Door::template make<Description>(threads), {}, {}});
    fill_parameters(r->net);
    share_reset_gate(r->net);
    const plan_view plan = r->net.plan();
    for (const std::size_t blob : plan.inputs) r->x.emplace_back(plan.blobs[blob].dimensions.size());
    r->x[0] = input(1, 1);
    r->to.emplace_back(&r->result, 1);
    for (std::size_t i = 1; i < r->x.size(); ++i) r->to.emplace_back(r->x[i]);
    return [r] {
        predict(r->net, r->x, r->to);
        return std::span<const float>(&r->result, 1);
    };
}

/// Delay lines in front of the taps.
template <class Door>
contestant convolutions(int threads) {
    using network_type = decltype(Door::template make<conv1d_stack>(1));
    static constexpr std::size_t layers = 4, longest = 16;
    struct run {
        network_type net;
        input_values x{std::vector<float>(1), std::vector<float>(2), std::vector<float>(32), std::vector<float>(32),
                       std::vector<float>(32)};
        std::vector<float> line0 = std::vector<float>(longest);
        std::vector<std::vector<float>> lines =
            std::vector<std::vector<float>>(layers, std::vector<float>(longest * 16));  ///< what each layer gave
        std::vector<std::span<float>> to = std::vector<std::span<float>>(layers);
        std::size_t now = 0;

        explicit run(network_type n) : net(std::move(n)) {}
        std::span<const float> operator()() {
            now = (now + 1) % longest;
            kernels::unroll<layers>([&](auto layer) {
                constexpr std::size_t gap = std::size_t{1} << layer(), channels = layer() == 0 ? 1 : 16;
                const float* line = layer() == 0 ? line0.data() : lines[layer() - 1].data();
                for (const std::size_t tap : {std::size_t{0}, std::size_t{1}}) {
                    const std::size_t at = (now + longest - (2 - tap) * gap) % longest;
                    std::copy_n(line + at * channels, channels, x[layer() + 1].data() + tap * channels);
                }
                to[layer] = std::span(lines[layer]).subspan(now * 16, 16);
            });
            line0[now] = x[0][0];
            predict(net, x, to);
            return to.back();
        }
    };
    auto r = std::make_shared<run>(Door::template make<conv1d_stack>(threads));
    fill_parameters(r->net);
    r->x[0] = input(1, 1);
    return [r] { return (*r)(); };
}

template <class Door>
contestant make(const work& w, int threads) {
    if (w.name == "lstm20") return recurrent<Door, lstm20>(threads);
    if (w.name == "gru32") return recurrent<Door, gru32>(threads);
    if (w.name == "conv1d_stack") return convolutions<Door>(threads);
    return {};
}

}  // namespace

contestant own_streams(const work& w, int threads, bool composed) {
    return composed ? make<composed_door>(w, threads) : make<loaded_door>(w, threads);
}

}  // namespace bespoke::benchmarks
