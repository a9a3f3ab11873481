#pragma once

#include <bespoke/control/branch.hpp>
#include <bespoke/control/loop.hpp>
#include <bespoke/core/random.hpp>
#include <bespoke/layers/activation.hpp>
#include <bespoke/layers/add.hpp>
#include <bespoke/layers/copy.hpp>
#include <bespoke/layers/inner_product.hpp>
#include <bespoke/layers/multiply.hpp>
#include <bespoke/network/program.hpp>

#include <memory>
#include <string>
#include <vector>

/// What tests of the training share.
namespace training_test {

using namespace bespoke;

/// A layer through which no gradient goes.
struct sign {
    static constexpr auto key = "sign";
    constexpr void fields(auto&) {}
    static constexpr bool differentiable = false;
    constexpr outcome output_shape(const shape& x) const { return x; }
    void forward(auto x, auto y, const auto&, auto&) const noexcept {
        for (extent i = 0; i < x.size(); ++i) y.data[i] = x.data[i] < 0 ? -1.0f : 1.0f;
    }
    friend bool operator==(const sign&, const sign&) = default;
};

/// A network drawn by lot: layers that read any blobs, copies that write over any, branches and loops of the same.
class lottery {
public:
    explicit lottery(std::uint64_t seed) : random_(seed) {}

    /// A number, for the conditions, and three vectors.
    static std::vector<program::named_shape> inputs() {
        return {{"c", {1}}, {"x0", {extent{4}}}, {"x1", {extent{4}}}, {"x2", {extent{4}}}};
    }
    layer_list draw() {
        blobs_ = {"x0", "x1", "x2"};
        return list(3 + random_.below(10), 2);
    }
    std::string last() const { return blobs_.back(); }
    const std::vector<std::string>& blobs() const { return blobs_; }
    std::string any() { return blobs_[random_.below(static_cast<std::uint32_t>(blobs_.size()))]; }
    bool chance(std::uint32_t in) { return random_.below(in) == 0; }

private:
    template <class L>
    std::shared_ptr<node_of<L>> node(const L& layer) {
        auto n = std::make_shared<node_of<L>>(layer);
        n->name = "s" + std::to_string(count_++);
        return n;
    }
    /// A layer with an output of its own.
    std::shared_ptr<any_node> plain() {
        std::shared_ptr<any_node> n;
        switch (random_.below(6)) {
            case 0:
                n = node(inner_product{.output_channels = 4});
                n->updatable = chance(2);
                break;
            case 1:
                n = node(bespoke::tanh{});
                break;
            case 2:
                n = node(relu{});
                break;
            case 3:
                n = node(sign{});
                break;
            case 4:
                n = node(add{});
                n->inputs = {any()};
                break;
            default:
                n = node(multiply{});
                n->inputs = {any()};
                break;
        }
        n->inputs.push_back(any());
        n->outputs = {n->name};
        return n;
    }
    layer_list list(std::uint32_t layers, int depth) {
        layer_list l;
        const std::size_t outside = blobs_.size();
        for (std::uint32_t i = 0; i < layers; ++i) {
            const std::uint32_t kind = random_.below(8);
            if (kind < 5 || (kind > 5 && depth == 0)) {
                l.add(plain());
                blobs_.push_back(l.nodes().back()->name);
            } else if (kind == 5) {
                const auto n = node(copy{});
                const std::string from = any(), to = any();
                if (from == to) continue;
                n->inputs = {from};
                n->outputs = {to};
                l.add(n);
            } else {
                const bool looped = kind == 6;
                layer_list first = list(1 + random_.below(4), depth - 1);
                layer_list second = looped ? layer_list{} : list(1 + random_.below(4), depth - 1);
                if (first.nodes().empty()) continue;
                std::shared_ptr<any_node> n;
                if (looped)
                    n = node(loop<layer_list>{.body_network = first, .max_loop_iterations = 2});
                else
                    n = node(branch<layer_list, layer_list>{first, second});
                n->inputs = {"c"};
                l.add(n);
            }
        }
        blobs_.resize(outside + (depth == 2 ? blobs_.size() - outside : 0));
        return l;
    }

    philox random_;
    std::vector<std::string> blobs_;
    std::size_t count_ = 0;
};

}  // namespace training_test
