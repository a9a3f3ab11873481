#pragma once

#include "peers.hpp"

#include <ATen/core/ivalue.h>  // before the others, or clang finds an incomplete type in them

#include <sstream>
#include <string>
#include <torch/csrc/jit/api/module.h>
#include <torch/types.h>

namespace bespoke::benchmarks {

/// The works of peer_torch_script.cpp and peer_torch_streams.cpp; empty where a work is none of them.
contestant torch_script(const work& w);
contestant torch_streams(const work& w);

inline torch::Tensor tensor(const std::vector<float>& values, at::IntArrayRef shape) {
    return torch::tensor(values).reshape(shape).contiguous();
}
inline std::span<const float> view(const torch::Tensor& x) {
    return {x.data_ptr<float>(), static_cast<std::size_t>(x.numel())};
}

/// A network as a TorchScript module, written line by line: what PyTorch can freeze and optimise. A value is the name
/// of a variable in the script.
class script {
public:
    using value = std::string;

    value line(const std::string& expression) {
        const value name = "y" + std::to_string(lines_++);
        body_ << "    " << name << " = " << expression << "\n";
        return name;
    }
    value relu(const value& x) { return line("torch.relu(" + x + ")"); }
    value add(const value& a, const value& b) { return line(a + " + " + b); }
    /// `learns` holds for the parameters of the layers that follow.
    bool learns = false;

    value linear(const value& x, int inputs, int outputs) {
        const value w = parameter(stream_.weights(size(outputs), size(inputs)), {outputs, inputs});
        return line("torch.linear(" + x + ", " + w + ", " + biases(outputs) + ")");
    }
    value layer_norm(const value& x, int channels) {
        const value gamma = parameter(stream_.scales(size(channels)), {channels});
        return line("torch.layer_norm(" + x + ", [" + std::to_string(channels) + "], " + gamma + ", " +
                    biases(channels) + ", 1e-12)");
    }
    value embedding(const value& indices, int rows, int columns) {
        const auto table = tensor(stream_.table(size(columns), size(rows)), {columns, rows}).t().contiguous();
        return line("torch.embedding(" + keep(table) + ", " + indices + ")");
    }
    /// A convolution and batch normalisation.
    value convolved(const value& x, int inputs, int outputs, int kernel, int stride = 1, int groups = 1) {
        const int each = inputs / groups;
        const value w = parameter(stream_.weights(size(outputs), size(each * kernel * kernel)),
                                  {outputs, each, kernel, kernel});
        std::ostringstream text;
        text << "torch.conv2d(" << x << ", " << w << ", None, [" << stride << ", " << stride << "], [" << kernel / 2
             << ", " << kernel / 2 << "], [1, 1], " << groups << ")";
        const value y = line(text.str()), gamma = parameter(stream_.scales(size(outputs)), {outputs});
        const value beta = biases(outputs), mean = biases(outputs);
        const value variance = parameter(stream_.scales(size(outputs)), {outputs});
        return line("torch.batch_norm(" + y + ", " + gamma + ", " + beta + ", " + mean + ", " + variance +
                    ", False, 0.1, 1e-5, False)");
    }

    /// The module of this script, with forward(inputs) -> result.
    torch::jit::Module module(const std::string& inputs, const value& result) {
        module_.register_attribute("training", c10::BoolType::get(), false);
        module_.define("def forward(self, " + inputs + "):\n" + body_.str() + "    return " + result + "\n");
        return module_;
    }
    std::vector<torch::Tensor> learning() const {
        std::vector<torch::Tensor> all;
        for (const auto& p : module_.parameters())
            if (p.requires_grad()) all.push_back(p);
        return all;
    }

private:
    static std::size_t size(int n) { return static_cast<std::size_t>(n); }
    value parameter(const std::vector<float>& values, at::IntArrayRef shape) { return keep(tensor(values, shape)); }
    value biases(int count) { return parameter(stream_.biases(size(count)), {count}); }
    value keep(torch::Tensor t) {
        const std::string name = "p" + std::to_string(parameters_++);
        if (learns) t.set_requires_grad(true);
        module_.register_parameter(name, t, false);
        return "self." + name;
    }

    torch::jit::Module module_{"network"};
    parameter_stream stream_;
    std::ostringstream body_;
    int lines_ = 0, parameters_ = 0;
};

}  // namespace bespoke::benchmarks
