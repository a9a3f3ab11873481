// Weights that PyTorch trained, in a real-time thread that never waits: a state dict as `safetensors.torch.save_file(
// model.state_dict(), "amp.safetensors")` writes it is read into a second network, which the real-time thread takes
// over between two samples.
#include <bespoke.hpp>

#include <array>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <thread>
namespace bs = bespoke;

inline constexpr std::size_t units = 16;
// class Amp: self.rec = nn.LSTM(1, 16); self.lin = nn.Linear(16, 1)
inline constexpr auto amp_description = bs::compose(
    bs::input{"x", {1, 1}}, bs::input{"h", {1, units}}, bs::input{"c", {1, units}},
    bs::uni_directional_lstm{.output_vector_size = units} | bs::named("rec") | bs::from("x", "h", "c") |
        bs::to("y", "next_h", "next_c"),
    bs::inner_product{.output_channels = 1} | bs::named("lin") | bs::from("y") | bs::to("out"),
    bs::output{"out"}, bs::output{"next_h"}, bs::output{"next_c"});
using amp_network = bs::network<amp_description>;

std::vector<float> tensor_of(const bs::safetensors& file, const char* name) {
    const bs::tensor_entry* entry = file.find(name);
    if (entry == nullptr) throw bs::error(bs::errc::unknown_name, std::string("no tensor \"") + name + "\"");
    return bs::to_floats(*entry);
}
/// Throws where the file has another network's tensors.
void put(amp_network& net, const char* layer, const std::string& field, std::span<const float> values) {
    const std::span<float> to = net.parameter(layer, field);
    if (to.size() != values.size()) throw bs::error(bs::errc::shape_mismatch, field + " has another size");
    std::ranges::copy(values, to.begin());
}

/// Outside of the real-time thread. A matrix has a row for each output, a convolution [outputs, inputs, window], as in
/// PyTorch, whose LSTM has the gates one below the other, and two biases, which are added.
std::unique_ptr<amp_network> load_amp(const std::filesystem::path& path) {
    const bs::safetensors file = bs::safetensors::load(path);
    const auto w = tensor_of(file, "rec.weight_ih_l0"), r = tensor_of(file, "rec.weight_hh_l0");
    auto b = tensor_of(file, "rec.bias_ih_l0");
    const auto second = tensor_of(file, "rec.bias_hh_l0");
    if (w.size() != 4 * units || r.size() != 4 * units * units || b.size() != 4 * units || second.size() != b.size())
        throw bs::error(bs::errc::shape_mismatch, path.string() + ": not the LSTM that was expected");
    for (std::size_t i = 0; i < b.size(); ++i) b[i] += second[i];

    auto net = std::make_unique<amp_network>();
    std::size_t gate = 0;
    for (const std::string name : {"inputGate", "forgetGate", "blockInput", "outputGate"}) {  // PyTorch's i, f, g, o
        const std::string field = "weightParams." + name;
        put(*net, "rec", field + "WeightMatrix", std::span(w).subspan(gate * units, units));
        put(*net, "rec", field + "RecursionMatrix", std::span(r).subspan(gate * units * units, units * units));
        put(*net, "rec", field + "BiasVector", std::span(b).subspan(gate * units, units));
        ++gate;
    }
    put(*net, "lin", "weights", tensor_of(file, "lin.weight"));
    put(*net, "lin", "bias", tensor_of(file, "lin.bias"));
    net->prepare();
    constexpr std::array<float, units> zeros{};
    (*net)(std::array{0.F}, zeros, zeros);  // warms up
    return net;
}

class amp {
public:
    explicit amp(const std::filesystem::path& path) : net_(load_amp(path)) {}
    ~amp() {
        delete waiting_.load();
        delete used_.load();
    }
    /// From another thread, which frees what the call before it replaced.
    void load(const std::filesystem::path& path) {
        delete waiting_.exchange(load_amp(path).release());
        delete used_.exchange(nullptr);
    }
    /// The real-time thread.
    float next(float x) noexcept {
        if (used_.load() == nullptr)  // else the last one was not freed yet
            if (amp_network* other = waiting_.exchange(nullptr)) {
                used_ = net_.release();
                net_.reset(other);
                h_ = c_ = {};
            }
        const auto [out, h, c] = (*net_)(std::array{x}, h_, c_);
        std::copy(h.begin(), h.end(), h_.begin());
        std::copy(c.begin(), c.end(), c_.begin());
        return out(0, 0);
    }

private:
    std::unique_ptr<amp_network> net_;
    std::atomic<amp_network*> waiting_ = nullptr, used_ = nullptr;
    std::array<float, units> h_{}, c_{};
};

// What stands for PyTorch here: a file with its names and shapes, and what its LSTM and Linear compute.
struct state_dict {
    std::vector<float> w = std::vector<float>(4 * units), r = std::vector<float>(4 * units * units),
                       b = std::vector<float>(4 * units), second = std::vector<float>(4 * units),
                       lin = std::vector<float>(units), bias = std::vector<float>(1);

    explicit state_dict(std::uint64_t seed) {
        bs::philox random(seed);
        for (auto* values : {&w, &r, &b, &second, &lin, &bias})
            for (float& v : *values) v = static_cast<float>(random.uniform()) - 0.5F;
    }
    void save(const std::filesystem::path& path) const {
        const auto entry = [](const char* name, const bs::shape& s, const std::vector<float>& values) {
            return bs::tensor_entry{name, "F32", s, std::as_bytes(std::span(values))};
        };
        const bs::extent n = units;
        bs::write_file_atomically(path, bs::to_safetensors(std::array{
            entry("rec.weight_ih_l0", {4 * n, 1}, w), entry("rec.weight_hh_l0", {4 * n, n}, r),
            entry("rec.bias_ih_l0", {4 * n}, b), entry("rec.bias_hh_l0", {4 * n}, second),
            entry("lin.weight", {1, n}, lin), entry("lin.bias", {1}, bias)}));
    }
    std::vector<double> run(std::span<const float> xs) const {
        const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
        std::vector<double> h(units), c(units), gates(4 * units), ys;
        for (const float x : xs) {
            for (std::size_t g = 0; g < gates.size(); ++g) {
                gates[g] = w[g] * x + b[g] + second[g];
                for (std::size_t k = 0; k < units; ++k) gates[g] += r[g * units + k] * h[k];
            }
            ys.push_back(bias[0]);
            for (std::size_t k = 0; k < units; ++k) {
                c[k] = sigmoid(gates[units + k]) * c[k] + sigmoid(gates[k]) * std::tanh(gates[2 * units + k]);
                h[k] = sigmoid(gates[3 * units + k]) * std::tanh(c[k]);
                ys.back() += lin[k] * h[k];
            }
        }
        return ys;
    }
};

int main() try {
    const auto path = std::filesystem::temp_directory_path() / "bespoke-pytorch.safetensors";
    std::vector<float> signal(256);
    for (std::size_t i = 0; i < signal.size(); ++i) signal[i] = std::sin(0.05F * static_cast<float>(i));
    double difference = 0;
    const auto compare = [&](amp& effect, const state_dict& trained) {
        const std::vector<double> expected = trained.run(signal);
        for (std::size_t i = 0; i < signal.size(); ++i)
            difference = std::max(difference, std::abs(effect.next(signal[i]) - expected[i]));
    };
    const state_dict first(1), second(2);
    first.save(path);
    amp effect(path);
    compare(effect, first);
    second.save(path);
    std::thread(&amp::load, &effect, path).join();  // a real-time thread goes on meanwhile
    compare(effect, second);
    std::filesystem::remove(path);
    std::printf("two networks, %zu samples each: %s PyTorch's LSTM\n", signal.size(),
                difference < 1e-5 ? "as" : "NOT as");
    return difference < 1e-5 ? 0 : 1;
} catch (const std::exception& problem) {
    std::fprintf(stderr, "pytorch: %s\n", problem.what());
    return 1;
}
