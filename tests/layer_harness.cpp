#include "layers/layer_test.hpp"

template bespoke::gradient_report bespoke::detail::check_erased(const checked_layer<double>&, const std::vector<shape>&,
                                                                const gradient_options&, const element_source&);

namespace layer_test {

using namespace bespoke;

planner plan_of(const erased_layer& layer, const std::vector<shape>& inputs, const std::vector<bool>& once) {
    return detail::plan_alone(layer, inputs, once);
}

std::string fault_of(const erased_layer& layer, const std::vector<shape>& inputs) {
    const planner p = plan_of(layer, inputs);
    return p.failed() ? std::string(p.problem().what.view()) : std::string();
}

template <class T>
result<T> evaluate_with(thread_pool* threads, const tested_layer<T>& layer, const std::vector<blob<T>>& inputs,
                        const std::vector<std::vector<T>>& parameters) {
    std::vector<shape> shapes;
    std::vector<bool> once;
    extent examples = 1;
    for (const auto& in : inputs) {
        shapes.push_back(in.dimensions);
        once.push_back(in.once);
        if (!in.once && in.dimensions.size() > 0)
            examples = static_cast<extent>(in.values.size()) / in.dimensions.size();
    }
    const planner planner = plan_of(layer, shapes, once);
    if (planner.failed()) FAIL(planner.problem().what.view());
    const plan_view plan = planner.result().view();
    const std::size_t step = plan.steps.size() - 1;
    engine<T> engine(plan);
    engine.use(threads);
    engine.reserve(examples);
    REQUIRE(plan.parameters.size() >= parameters.size());
    for (std::size_t i = 0; i < plan.parameters.size(); ++i) {
        const extent given = i < parameters.size() ? static_cast<extent>(parameters[i].size()) : 0;
        REQUIRE(given == plan.parameters[i].dimensions.size());
        if (given > 0) std::copy(parameters[i].begin(), parameters[i].end(), engine.parameter(i));
    }
    engine.attach_layer(layer.layer, *layer.functions, step, layer.asked);
    engine.prepare();
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        const std::size_t b = plan.find_blob("x" + std::to_string(i));
        REQUIRE(static_cast<extent>(inputs[i].values.size()) == engine.elements(b));
        std::copy(inputs[i].values.begin(), inputs[i].values.end(), engine.value(b));
    }
    forward_layer<T>(engine, *layer.functions, layer.layer, step);
    result<T> r;
    for (std::size_t b : plan.outputs) {
        r.shapes.push_back(engine.plan().blobs[b].dimensions);
        r.values.emplace_back(engine.value(b), engine.value(b) + engine.elements(b));
    }
    return r;
}

namespace {

/// The first `count` of the entries along the axis `back`, counted from the last one.
template <class T>
blob<T> first_entries(const blob<T>& b, std::size_t back, extent count) {
    blob<T> cut{b.dimensions, {}, b.once};
    cut.dimensions.from_end(back) = count;
    const std::size_t rank = b.dimensions.rank();
    const extent size = b.dimensions.product(rank - back, rank), some = cut.dimensions.product(rank - back, rank);
    for (extent i = 0; i < static_cast<extent>(b.values.size()); i += std::max<extent>(size, 1))
        cut.values.insert(cut.values.end(), b.values.begin() + i, b.values.begin() + i + some);
    return cut;
}

}  // namespace

template <class T>
void require_entries(const tested_layer<T>& layer, const std::vector<blob<T>>& inputs,
                     const std::vector<std::vector<T>>& parameters, const result<T>& whole) {
    std::vector<shape> shapes;
    for (const auto& in : inputs) shapes.push_back(in.dimensions);
    const entry_answers says = layer.ask(shapes).entries;
    if (whole.first().empty()) return;
    const auto require_same = [&](const std::vector<blob<T>>& cut, const blob<T>& wanted) {
        const result<T> got = evaluate_with<T>(nullptr, layer, cut, parameters);
        REQUIRE(got.dimensions() == wanted.dimensions);
        const std::vector<double> expected(wanted.values.begin(), wanted.values.end());
        REQUIRE(distance(got.first(), expected) < 1e-4);
    };
    if (const std::size_t axis = entry_axis(shapes.empty() ? shape{} : shapes[0]); says.read > 0) {
        std::vector<blob<T>> cut = inputs;
        if (axis < shapes[0].rank()) cut[0] = first_entries(inputs[0], shapes[0].rank() - axis, says.read);
        INFO(says.read << " entries");
        require_same(cut, {whole.dimensions(), whole.first()});
    }
    // What moves what is there does so whatever shape it is told.
    if (says.alike && inputs.size() == 1 && !layer.facts->elementwise) return;
    for (std::size_t back = 1; back <= whole.dimensions().rank(); ++back) {
        const extent all = whole.dimensions().from_end(back);
        if (says.from[back] == 0 || all == 1) continue;
        for (const extent count : {extent{1}, (all + 1) / 2}) {
            std::vector<blob<T>> cut = inputs;
            for (std::size_t i = 0; i < cut.size(); ++i) {
                const std::size_t place = i == 0 ? says.from[back] : says.alike ? 0 : back;
                if (place > 0 && place <= shapes[i].rank() && shapes[i].from_end(place) == all)
                    cut[i] = first_entries(cut[i], place, count);
            }
            INFO(count << " of " << all << " entries along the axis " << back << " from the last one");
            require_same(cut, first_entries(blob<T>{whole.dimensions(), whole.first()}, back, count));
        }
    }
}

template <class T>
result<T> evaluate(const tested_layer<T>& layer, const std::vector<blob<T>>& inputs,
                   const std::vector<std::vector<T>>& parameters) {
    const result<T> alone = evaluate_with<T>(nullptr, layer, inputs, parameters);
    for (std::size_t n : {std::size_t{2}, std::size_t{5}}) {
        thread_pool threads(n);
        INFO(n << " threads");
        REQUIRE(same_bits(alone, evaluate_with<T>(&threads, layer, inputs, parameters)));
    }
    require_entries(layer, inputs, parameters, alone);
    return alone;
}

#define LAYER_TEST_INSTANCES(T)                                                                                   \
    template result<T> evaluate_with(thread_pool*, const tested_layer<T>&, const std::vector<blob<T>>&,           \
                                     const std::vector<std::vector<T>>&);                                         \
    template result<T> evaluate(const tested_layer<T>&, const std::vector<blob<T>>&,                              \
                                const std::vector<std::vector<T>>&);                                              \
    template void require_entries(const tested_layer<T>&, const std::vector<blob<T>>&,                            \
                                  const std::vector<std::vector<T>>&, const result<T>&);
LAYER_TEST_INSTANCES(float)
LAYER_TEST_INSTANCES(double)

std::vector<shape> hostile_shapes() {
    constexpr extent huge = extent{1} << 40;
    return {{},
            {0},
            {1},
            {3},
            {huge},
            {0, huge},
            {huge, 0},
            {3, 0},
            {0, 3},
            {2, 3},
            {1 << 20, 1 << 20},
            {2, 3, 4},
            {0, 1, 1},
            {1, 0, 1},
            {3, 1, 1},
            {huge, 1, 1},
            {1, 1, huge},
            {1, 2, 3, 4},
            {2, 0, 3, 1},
            {2, 1, 3, 4},
            {1, 2, 3, 4, 5},
            {0, 0, 0, 0, 0},
            {1, 1, 1, 1, 1, 1, 1, 1},
            {2, 2, 2, 2, 2, 2, 2, 2}};
}

void ask_everything(const erased_layer& layer) {
    const input_count wanted = layer.facts->inputs;
    const std::vector<shape> shapes = hostile_shapes();
    for (const shape& a : shapes) {
        if (wanted.least <= 1) plan_of(layer, {a});
        if (wanted.most >= 2)
            for (const shape& b : shapes) plan_of(layer, {a, b});
    }
}

void require_gradients(const detail::checked_layer<double>& layer, const std::vector<shape>& inputs,
                       const gradient_options& options) {
    const gradient_report report = detail::check_erased<double>(layer, inputs, options, {});
    INFO(report.what);
    REQUIRE(report.ok);
}

}  // namespace layer_test
