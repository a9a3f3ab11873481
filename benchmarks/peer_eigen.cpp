/// Eigen's matrix products with the layers written by hand, as its users do. A column is an example. Eigen
/// has threads only inside large products, and only where this file is compiled with -fopenmp.
#include "peers.hpp"

#include <Eigen/Core>
#include <algorithm>
#include <array>
#include <memory>

namespace bespoke::benchmarks {
namespace {

using matrix = Eigen::MatrixXf;
using vector = Eigen::VectorXf;

matrix filled(const std::vector<float>& values, int rows, int columns) {
    return Eigen::Map<const Eigen::Matrix<float, -1, -1, Eigen::RowMajor>>(values.data(), rows, columns);
}

/// [size, batch]
matrix input_columns(int batch, int size) { return filled(input(batch, size), batch, size).transpose(); }

struct dense {
    matrix w;
    vector b;

    dense(int layer, int inputs, int outputs)
        : w(filled(weights(layer, outputs, inputs), outputs, inputs)),
          b(filled(biases(layer, outputs), outputs, 1)) {}
    void operator()(const matrix& x, matrix& y) const {
        if (x.cols() == 1) // one column does not take Eigen's matrix-vector path by itself
            y.col(0).noalias() = w * x.col(0);
        else
            y.noalias() = w * x;
        y.colwise() += b;
    }
};

/// y [outputs, rows] = W x
contestant product(const work& w) {
    return [weights = filled(weights(0, w.outputs, w.inputs), w.outputs, w.inputs),
            x = input_columns(w.batch, w.inputs), y = matrix(w.outputs, w.batch)]() mutable {
        if (x.cols() == 1)
            y.col(0).noalias() = weights * x.col(0);
        else
            y.noalias() = weights * x;
        return std::span<const float>(y.data(), static_cast<std::size_t>(y.size()));
    };
}

work_function mlp_forward(int batch) {
    struct state {
        dense layer1{0, 784, 256}, layer2{1, 256, 128}, layer3{2, 128, 10};
        matrix x, y1, y2, y3;
    };
    state s{.x = input_columns(batch, 784),
            .y1 = matrix(256, batch),
            .y2 = matrix(128, batch),
            .y3 = matrix(10, batch)};
    return [s]() mutable {
        s.layer1(s.x, s.y1);
        s.y1 = s.y1.cwiseMax(0.0F);
        s.layer2(s.y1, s.y2);
        s.y2 = s.y2.cwiseMax(0.0F);
        s.layer3(s.y2, s.y3);
        return std::span<const float>(s.y3.data(), static_cast<std::size_t>(s.y3.size()));
    };
}

/// Fixed sizes: the products unroll into code without a call.
work_function mlp32_tanh() {
    struct state {
        Eigen::Matrix<float, 64, 32> w1;
        Eigen::Matrix<float, 64, 64> w2;
        Eigen::Matrix<float, 8, 64> w3;
        Eigen::Matrix<float, 64, 1> b1, b2, y1, y2;
        Eigen::Matrix<float, 8, 1> b3, y3;
        Eigen::Matrix<float, 32, 1> x;
    };
    auto s = std::make_shared<state>();
    const dense layer1{0, 32, 64}, layer2{1, 64, 64}, layer3{2, 64, 8};
    s->w1 = layer1.w, s->w2 = layer2.w, s->w3 = layer3.w;
    s->b1 = layer1.b, s->b2 = layer2.b, s->b3 = layer3.b;
    s->x = input_columns(1, 32);
    return [s] {
        s->y1.noalias() = s->w1 * s->x;
        s->y1 = (s->y1 + s->b1).array().tanh();
        s->y2.noalias() = s->w2 * s->y1;
        s->y2 = (s->y2 + s->b2).array().tanh();
        s->y3.noalias() = s->w3 * s->y2;
        s->y3 += s->b3;
        return std::span<const float>(s->y3.data(), 8);
    };
}

/// m and v of Adam for one parameter, updated in one pass.
template <class Parameter> struct adam {
    Parameter m, v;

    explicit adam(const Parameter& p) : m(Parameter::Zero(p.rows(), p.cols())), v(m) {}
    void operator()(Parameter& p, const Parameter& g, float step_size, float correction2) {
        m = 0.9F * m + 0.1F * g;
        v.array() = 0.999F * v.array() + 0.001F * g.array().square();
        p.array() -= step_size * m.array() / ((v.array() * correction2).sqrt() + 1e-8F);
    }
};

struct trained_dense {
    dense layer;
    matrix dw;
    vector db;
    adam<matrix> w_moments;
    adam<vector> b_moments;

    trained_dense(int index, int inputs, int outputs)
        : layer(index, inputs, outputs), dw(outputs, inputs), db(outputs), w_moments(layer.w),
          b_moments(layer.b) {}
    void gradient(const matrix& x, const matrix& dy) {
        dw.noalias() = dy * x.transpose();
        db = dy.rowwise().sum();
    }
    void update(int step) {
        const auto step_size = static_cast<float>(1e-3 / (1 - std::pow(0.9, step)));
        const auto correction2 = static_cast<float>(1 / (1 - std::pow(0.999, step)));
        w_moments(layer.w, dw, step_size, correction2);
        b_moments(layer.b, db, step_size, correction2);
    }
};

struct trained_mlp {
    trained_dense layer1{0, 784, 512}, layer2{1, 512, 256}, layer3{2, 256, 10};
    matrix x, y1, y2, y3, d1, d2;
    int step = 0;
    float loss = 0;

    explicit trained_mlp(int batch)
        : x(input_columns(batch, 784)), y1(512, batch), y2(256, batch), y3(10, batch), d1(512, batch),
          d2(256, batch) {}

    void operator()() {
        layer1.layer(x, y1);
        y1 = y1.cwiseMax(0.0F);
        layer2.layer(y1, y2);
        y2 = y2.cwiseMax(0.0F);
        layer3.layer(y2, y3);

        const auto scale = 1.0F / static_cast<float>(x.cols());
        loss = 0;
        for (int i = 0; i < x.cols(); ++i) { // y3 becomes the gradient of the logits
            auto column = y3.col(i).array();
            const int wanted = label(i, step);
            const float largest = column.maxCoeff(), logit = column(wanted);
            column = (column - largest).exp();
            const float sum = column.sum();
            loss += std::log(sum) + largest - logit;
            column *= scale / sum;
            column(wanted) -= scale;
        }
        loss *= scale;

        layer3.gradient(y2, y3);
        d2.noalias() = layer3.layer.w.transpose() * y3;
        d2.array() *= (y2.array() > 0).cast<float>();
        layer2.gradient(y1, d2);
        d1.noalias() = layer2.layer.w.transpose() * d2;
        d1.array() *= (y1.array() > 0).cast<float>();
        layer1.gradient(x, d1);
        ++step;
        for (auto* layer : {&layer1, &layer2, &layer3}) layer->update(step);
    }
};

contestant make(const work& w, int threads) {
    Eigen::setNbThreads(threads);
    if (w.name == "sgemm") return product(w);
    if (w.name == "mlp784") return mlp_forward(w.batch);
    if (w.name == "mlp32_tanh") return mlp32_tanh();
    if (w.name == "train_mlp")
        return [net = trained_mlp(w.batch)]() mutable {
            net();
            return std::span<const float>(&net.loss, 1);
        };
    return {};
}

} // namespace

const peer eigen_peer{"Eigen", make};

} // namespace bespoke::benchmarks
