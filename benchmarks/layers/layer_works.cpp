#include "layer_works.hpp"

#include <algorithm>
#include <numeric>

namespace bespoke::benchmarks {
namespace {

std::uint32_t next_stream() {
    static std::uint32_t stream = 1000;
    return stream++;
}

std::vector<std::int64_t> sizes(const shape& s) { return {s.begin(), s.end()}; }

at::Tensor tensor_of(const array& a) {
    const at::Tensor look = at::from_blob(const_cast<float*>(a.values.data()), sizes(a.dimensions), at::kFloat);
    return a.whole ? look.to(at::kLong) : look.clone();
}

}  // namespace

array uniform(const shape& dimensions, double radius, double center) {
    return {numbers(next_stream(), static_cast<std::size_t>(dimensions.size()), radius, center), dimensions};
}

array indices(const shape& dimensions, extent end) {
    array a = uniform(dimensions, 0.5, 0.5);
    for (float& v : a.values) v = std::floor(v * static_cast<float>(end));
    a.whole = true;
    return a;
}

array shuffled(extent count) {
    const array keys = uniform({count});
    array a{std::vector<float>(static_cast<std::size_t>(count)), {count}, true};
    std::iota(a.values.begin(), a.values.end(), 0.0F);
    std::ranges::sort(a.values, {}, [&](float i) { return keys.values[static_cast<std::size_t>(i)]; });
    return a;
}

array truths(const shape& dimensions) {
    array a = uniform(dimensions);
    for (float& v : a.values) v = v > 0 ? 1.0F : 0.0F;
    return a;
}

namespace detail {

contestant run_layer(layer_list list, const arrays& inputs, const arrays& parameters, std::size_t outputs) {
    // The inputs are outputs as well, so that their memory stays theirs.
    std::vector<program::named_shape> shapes;
    std::vector<std::string> kept;
    for (std::size_t i = 0; i < outputs; ++i) kept.push_back("y" + std::to_string(i));
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        shapes.push_back({"x" + std::to_string(i), inputs[i].dimensions});
        kept.push_back(shapes.back().name);
    }
    const auto net = std::make_shared<program>(std::move(list), std::move(shapes), std::move(kept));
    auto& core = net->core();
    for (std::size_t i = 0, next = 0; i < net->plan().parameters.size(); ++i)
        if (const shape& s = net->plan().parameters[i].dimensions; s.size() != 0)
            std::ranges::copy(parameters.at(next++).values, core.parameter(i));
    net->prepare();
    core.reserve(1);
    for (std::size_t i = 0; i < inputs.size(); ++i)
        std::ranges::copy(inputs[i].values, core.value(net->plan().inputs[i]));
    return apart([net] { net->forward(); },
                 [net, outputs, all = std::make_shared<std::vector<float>>()]() -> std::span<const float> {
                     all->clear();
                     for (std::size_t i = 0; i < outputs; ++i) {
                         const std::size_t blob = net->plan().outputs[i];
                         const float* const y = net->core().value(blob);
                         all->insert(all->end(), y, y + net->core().elements(blob));
                     }
                     return *all;
                 });
}

contestant run_torch(const torch_function& f, const arrays& inputs, const arrays& parameters) {
    c10::InferenceMode guard;
    tensors x;
    for (const array& a : inputs) x.push_back(tensor_of(a));
    for (const array& a : parameters) x.push_back(tensor_of(a));
    const auto y = std::make_shared<tensors>(1, at::empty({0}));
    return apart(
        [f, x, y] {
            c10::InferenceMode inference;
            f(x, *y);
        },
        [y, all = std::make_shared<std::vector<float>>()]() -> std::span<const float> {
            c10::InferenceMode inference;
            all->clear();
            for (const at::Tensor& t : *y) {
                const at::Tensor whole = t.to(at::kFloat).contiguous();
                all->insert(all->end(), whole.data_ptr<float>(), whole.data_ptr<float>() + whole.numel());
            }
            return *all;
        });
}

}  // namespace detail
}  // namespace bespoke::benchmarks
