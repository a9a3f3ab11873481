#pragma once

#include "../peers.hpp"

#include <ATen/ATen.h>

#include <bespoke.hpp>

#include <chrono>
#include <memory>
#include <vector>

/// Works of one layer each, beside the operator of PyTorch's eager mode. Both find their inputs in their own memory, as
/// in a network, and write one result: PyTorch by `out=` where the operator has it, else into memory that the allocator
/// keeps; what is a view there is copied. Neither is timed while it gives its numbers for the comparison.
namespace bespoke::benchmarks {

/// An input or a parameter.
struct array {
    std::vector<float> values;
    shape dimensions;
    bool whole = false;  ///< numbers that PyTorch wants as int64
};
using arrays = std::vector<array>;

/// Uniform in [center - radius, center + radius).
array uniform(const shape& dimensions, double radius = 1, double center = 0);
/// Whole numbers from 0 up to below `end`; each of them once, in the order of a shuffle.
array indices(const shape& dimensions, extent end);
array shuffled(extent count);
/// 0 and 1, whether each is likely or not.
array truths(const shape& dimensions);

using tensors = std::vector<at::Tensor>;
/// Writes y, whose one tensor is an empty one before the first call, from the inputs and then the parameters.
using torch_function = std::function<void(const tensors& x, tensors& y)>;

struct layer_work {
    work it;
    std::function<contestant()> ours, theirs;
};

namespace detail {

/// `call()` is timed, `numbers()` gives its result.
template <class Call, class Numbers>
contestant apart(Call call, Numbers numbers) {
    return {[call, numbers]() -> std::span<const float> {
                call();
                return numbers();
            },
            [call](int calls) {
                const auto begin = std::chrono::steady_clock::now();
                for (int i = 0; i < calls; ++i) call();
                return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
            }};
}

/// A program of the one layer in `list`.
contestant run_layer(layer_list list, const arrays& inputs, const arrays& parameters, std::size_t outputs);
contestant run_torch(const torch_function& f, const arrays& inputs, const arrays& parameters);

}  // namespace detail

/// The works, in the order in which they are added.
class layer_works {
public:
    struct form {
        arrays parameters{};      ///< those of the layer that are not absent
        std::size_t outputs = 1;
        bool compared = true;     ///< false: random numbers
        double tolerance = 1e-4;
    };

    template <layer L>
    void add(std::string_view key, const arrays& inputs, const L& layer, torch_function f, const form& how) {
        layer_list list;
        list.add(named_node(layer, inputs.size(), how.outputs));
        const auto drop = [compared = how.compared](contestant c) {
            if (!compared)
                c.run = [run = std::move(c.run)]() -> std::span<const float> { return run().subspan(0, 0); };
            return c;
        };
        all_.push_back({{.key = key, .name = key, .tolerance = how.tolerance},
                        [=] { return drop(detail::run_layer(list, inputs, how.parameters, how.outputs)); },
                        [=] { return drop(detail::run_torch(f, inputs, how.parameters)); }});
    }
    template <layer L>
    void add(std::string_view key, const arrays& inputs, const L& layer, torch_function f) {
        add(key, inputs, layer, std::move(f), form{});
    }
    template <layer L>
    void add(std::string_view key, const array& x, const L& layer, at::Tensor& (*f)(at::Tensor&, const at::Tensor&)) {
        add(key, {x}, layer, [f](const tensors& xs, tensors& y) { f(y[0], xs[0]); });
    }
    template <layer L>
    void add(std::string_view key, const arrays& xs, const L& layer,
             at::Tensor& (*f)(at::Tensor&, const at::Tensor&, const at::Tensor&), at::ScalarType type = at::kFloat) {
        add(key, xs, layer, [f, type](const tensors& x, tensors& y) {
            if (y[0].scalar_type() != type) y[0] = at::empty({0}, type);
            f(y[0], x[0], x[1]);
        });
    }
    const std::vector<layer_work>& all() const { return all_; }

private:
    template <layer L>
    static std::shared_ptr<const any_node> named_node(const L& layer, std::size_t inputs, std::size_t outputs) {
        auto node = std::make_shared<node_of<L>>(layer);
        node->name = "layer";
        for (std::size_t i = 0; i < inputs; ++i) node->inputs.push_back("x" + std::to_string(i));
        for (std::size_t i = 0; i < outputs; ++i) node->outputs.push_back("y" + std::to_string(i));
        return node;
    }

    std::vector<layer_work> all_;
};

/// One for each file.
void add_functions(layer_works& works);
void add_activations(layer_works& works);
void add_broadcasts(layer_works& works);
void add_reductions(layer_works& works);
void add_normalizations(layer_works& works);
void add_pooling(layer_works& works);
void add_products(layer_works& works);
void add_recurrent(layer_works& works);
void add_indexing(layer_works& works);
void add_moves(layer_works& works);
void add_images(layer_works& works);
void add_random(layer_works& works);

}  // namespace bespoke::benchmarks
