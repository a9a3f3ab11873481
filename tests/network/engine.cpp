#include <bespoke/network/engine.hpp>

#include "../control/control_test.hpp"

#include <numeric>

using namespace control_test;

namespace {

/// Says how it was called: y = x + its number of examples; 100 more where the examples are given together.
template <bool Batched>
struct witness {
    static constexpr auto key = "witness";
    constexpr void fields(auto&) {}
    static constexpr bool batched = Batched;
    constexpr outcome output_shape(const shape& x) const { return x; }
    void forward(auto x, auto y, const auto&, auto&) const noexcept {
        for (extent e = 0; e < x.examples; ++e)
            for (extent i = 0; i < x.size(); ++i)
                y.example(e)[i] = x.example(e)[i] + static_cast<double>(100 * x.examples);
    }
    void backward(auto, auto, auto dy, auto dx, const auto&, const auto&, auto&) const noexcept {
        for (extent i = 0; i < dy.total(); ++i) dx.data[i] += dy.data[i];
    }
    bool operator==(const witness&) const = default;
};

/// The sum of its inputs, which it asks how they are stored where there are several.
struct sum_of_some {
    static constexpr auto key = "sumOfSome";
    constexpr void fields(auto&) {}
    static constexpr bool batched = true;
    static constexpr input_count inputs{1, 2};
    constexpr outcome output_shape(std::span<const shape> xs) const { return xs[0]; }
    void forward(auto xs, auto ys, const auto&, auto&) const noexcept {
        if (xs.size() == 1) return kernels::copy(xs[0].total(), xs[0].data, ys[0].data);
        for (extent e = 0; e < ys[0].examples; ++e)
            for (extent i = 0; i < ys[0].size(); ++i)
                ys[0].example(e)[i] = xs[0].example(e)[i] + xs[1].example(e)[i];
    }
    void backward(auto xs, auto, auto dys, auto dxs, const auto&, const auto&, auto&) const noexcept {
        for (std::size_t k = 0; k < xs.size(); ++k)
            for (extent e = 0; dxs[k] && e < dys[0].examples; ++e)
                for (extent i = 0; i < dys[0].size(); ++i) dxs[k].example(e)[i] += dys[0].example(e)[i];
    }
    bool operator==(const sum_of_some&) const = default;
};

/// Wants working memory, and leaves its size there.
struct greedy {
    extent wanted = 0;

    static constexpr auto key = "greedy";
    constexpr void fields(auto&) {}
    static constexpr bool batched = true;
    constexpr outcome output_shape(const shape& x) const { return x; }
    template <class T>
    extent scratch_size(const shape& x, extent examples, extent threads) const {
        return wanted + x.size() * examples * threads;
    }
    template <class T>
    extent prepared_size(const shape&) const {
        return 3;
    }
    void prepare(const auto&, auto* to) const noexcept { std::fill_n(to, 3, static_cast<double>(wanted)); }
    void forward(auto x, auto y, const auto&, auto& w) const noexcept {
        const extent size =
            scratch_size<double>(x.dimensions, x.examples, w.threads ? static_cast<extent>(w.threads->size()) : 1);
        std::fill_n(w.scratch, size, 1.0);
        for (extent i = 0; i < y.total(); ++i) y.data[i] = w.prepared[i % 3];
    }
    void backward(auto...) const noexcept {}
    bool operator==(const greedy&) const = default;
};

/// y = the number of threads for which it was asked last how much working memory it wants.
struct counting_threads {
    static constexpr auto key = "countingThreads";
    static inline extent told = 0;
    constexpr void fields(auto&) {}
    static constexpr bool batched = true;
    constexpr outcome output_shape(const shape& x) const { return x; }
    template <class T>
    extent scratch_size(const shape&, extent, extent threads) const {
        return told = threads;
    }
    void forward(auto, auto y, const auto&, auto&) const noexcept {
        std::fill_n(y.data, y.total(), static_cast<double>(told));
    }
    void backward(auto...) const noexcept {}
    bool operator==(const counting_threads&) const = default;
};

/// y = 1 where it runs without what it prepares, else 2.
template <unprepared Runs>
struct patient {
    static constexpr auto key = "patient";
    constexpr void fields(auto&) {}
    static constexpr bool batched = true;
    constexpr outcome output_shape(const shape& x) const { return x; }
    template <class T>
    extent prepared_size(const shape&) const {
        return 1;
    }
    template <class T>
    unprepared can_wait(const shape&, const arithmetic&) const {
        return Runs;
    }
    void prepare(const auto&, auto* to) const noexcept { *to = 2; }
    void forward(auto, auto y, const auto&, auto& w) const noexcept {
        for (extent i = 0; i < y.total(); ++i) y.data[i] = w.prepared == nullptr ? 1 : *w.prepared;
    }
    void backward(auto...) const noexcept {}
    bool operator==(const patient&) const = default;
};

}  // namespace

TEST_CASE("a result becomes an input, unless an input before it was written over it") {
    const auto d = compose(input{"a", {2}}, input{"b", {2}}, sum_of_some{} | from("a", "b"));
    const planner p = planned(d);
    engine<double> e(p.result().view());
    e.attach(d);
    e.reserve(3);
    double *const a = e.value(e.plan().inputs[0]), *const b = e.value(e.plan().inputs[1]);
    std::iota(a, a + 6, 1);
    e.take_result(1, b, 3);
    CHECK_THROWS_WITH(e.take_result(1, a + 1, 3), "input \"b\": a result of the call before came, which lies where "
                                                  "input \"a\" lies now: copy it before the call");
    e.take_result(0, a + 2, 2);  // over its own place
    CHECK(values(a, a + 4) == values{3, 4, 5, 6});
}

TEST_CASE("what can wait is prepared for the second run, the others for the first") {
    const auto d = compose(input{"x", {2}}, patient<unprepared::in_first_run>{} | from("x") | named("waits"),
                           greedy{5} | from("x") | named("needs"), output{"waits"}, output{"needs"});
    const planner p = planned(d);
    const plan_view plan = p.result().view();
    engine<double> e(plan);
    e.attach(d);
    const auto run = [&](extent examples = 1) {
        e.reserve(examples);
        d.forward(e, std::size_t{0});
        return std::pair{e.value(plan.outputs[0])[0], e.value(plan.outputs[1])[0]};
    };
    CHECK(run() == std::pair{1.0, 5.0});
    CHECK(run() == std::pair{2.0, 5.0});
    CHECK(run() == std::pair{2.0, 5.0});
    e.change();
    CHECK(run(3) == std::pair{1.0, 5.0});
    e.make_place(3);  // no run
    CHECK(run(4) == std::pair{2.0, 5.0});
    e.change();
    e.prepare_needed();
    CHECK(run() == std::pair{1.0, 5.0});
    CHECK(run() == std::pair{2.0, 5.0});
    e.change();
    e.prepare();
    CHECK(run() == std::pair{2.0, 5.0});
    e.change();
    std::vector<values> arrays(plan.blobs.size(), values(2));
    std::vector<double*> at, to(plan.blobs.size());
    for (auto& a : arrays) at.push_back(a.data());
    e.place(1, at, to);
    d.forward(e, std::size_t{0});
    CHECK(e.value(plan.outputs[0])[0] == 2);
}

TEST_CASE("what a training changes is prepared before the next prediction, or at once") {
    const auto d = compose(input{"x", {2}}, patient<unprepared::never>{} | from("x") | named("never"),
                           patient<unprepared::in_training>{} | from("x") | named("training"),
                           patient<unprepared::in_first_run>{} | from("x") | named("first"), output{"never"},
                           output{"training"}, output{"first"});
    const planner p = planned(d);
    const plan_view plan = p.result().view();
    engine<double> e(plan);
    e.attach(d);
    std::vector<values> arrays(plan.blobs.size(), values(2));
    std::vector<double*> at, to(plan.blobs.size());
    for (auto& a : arrays) at.push_back(a.data());
    using three = std::array<double, 3>;
    const auto run = [&] {
        d.forward(e, std::size_t{0});
        return three{e.value(plan.outputs[0])[0], e.value(plan.outputs[1])[0], e.value(plan.outputs[2])[0]};
    };
    const auto train = [&] {
        e.place(1, at, to);
        return run();
    };
    const auto predict = [&](extent examples = 1) {
        e.reserve(examples);
        return run();
    };
    const auto step = [&] {
        for (std::size_t s = 0; s < 3; ++s) e.change(s);
    };
    CHECK(train() == three{2, 2, 2});
    step();
    CHECK(train() == three{2, 1, 1});
    CHECK(predict() == three{2, 2, 2});
    CHECK(predict() == three{2, 2, 2});
    step();
    CHECK(train() == three{2, 1, 1});
    e.make_place(3);  // no run
    CHECK(predict(3) == three{2, 2, 2});
    CHECK(train() == three{2, 2, 2});
    step();
    e.prepare_stale();
    CHECK(train() == three{2, 2, 2});
    step();
    e.prepare();
    CHECK(train() == three{2, 2, 2});
    step();
    e.change();  // of all parameters
    CHECK(predict() == three{2, 2, 1});
    CHECK(predict() == three{2, 2, 2});
    step();
    CHECK(train() == three{2, 1, 1});
    e.use_threads(2);  // asks all for their working memory again
    CHECK(train() == three{2, 1, 1});
    CHECK(predict() == three{2, 2, 2});
}

TEST_CASE("a batched layer takes all examples in one call, another one by one") {
    const auto d = compose(input{"x", {2}}, witness<true>{} | from("x") | named("all"),
                           witness<false>{} | from("x") | named("each"), output{"all"}, output{"each"});
    const auto got = lab(d).predict({{"x", values(6)}});
    CHECK(got.at("all") == values(6, 300));
    CHECK(got.at("each") == values(6, 100));
}

TEST_CASE("in a loop or a branch examples come together as long as they agree") {
    const auto d =
        compose(input{"n", {1}}, input{"x", {1}}, loop{compose(witness<true>{} | from("x") | named("y"))} | from("n"),
                branch{compose(witness<true>{} | from("x") | to("z")), compose(witness<true>{} | from("x") | to("z"))} |
                    from("n"),
                output{"y"}, output{"z"});
    lab net(d);
    for (const char* out : {"y", "z"}) {
        CHECK(net.predict({{"n", {1, 1, 1}}, {"x", values(3)}}).at(out) == values(3, 300));
        CHECK(net.predict({{"n", {1, 2, 1}}, {"x", values(3)}}).at(out) == values(3, 100));
    }
}

TEST_CASE("a layer of one input is not shown a blob stored once beside several examples") {
    const auto d = compose(input{"x", {2}}, filled{.value = 5, .of = {2}} | named("k"),
                           witness<true>{} | from("k") | named("once"), copy{} | from("x") | to("once"),
                           filled{.value = 7, .of = {2}} | named("m"), copy{} | from("m") | named("free"),
                           copy{} | from("once") | to("free"), output{"once"}, output{"free"});
    lab net(d);
    const values x = drawn(6);
    CHECK(net.predict_alike({{"x", x}}).at("once") == x);
    CHECK(net.predict_alike({{"x", x}}).at("free") == x);

    for (const bool both : {false, true}) {
        CAPTURE(both);
        const auto of_many = [&](const auto& sum) {
            return compose(input{"x", {2}}, filled{.value = 5, .of = {2}} | named("k"), sum | named("once"),
                           add{} | from("once", "x") | named("s"), copy{} | from("s") | to("once"), output{"once"});
        };
        const auto run = [&](auto network) {
            CHECK(network.predict_alike({{"x", {1, 2, 3, 4}}}).at("once") ==
                  (both ? values{11, 12, 13, 14} : values{6, 7, 8, 9}));
            network.require_gradients({{"x", {1, 2, 3, 4}}});
        };
        if (both)
            run(lab(of_many(sum_of_some{} | from("k", "k"))));
        else
            run(lab(of_many(sum_of_some{} | from("k"))));
    }

    const auto early =
        compose(input{"x", {2}}, filled{.value = 5, .of = {2}} | named("k"), witness<true>{} | from("k") | named("y"),
                add{} | from("y", "x") | named("s"), copy{} | from("s") | to("k"), output{"s"}, output{"y"});
    const auto got = lab(early).predict({{"x", {1, 2, 3, 4}}});
    CHECK(got.at("y") == values{105, 105});  // read before it was overwritten: still one for all
    CHECK(got.at("s") == values{106, 107, 108, 109});
    lab(early).require_gradients({{"x", {1, 2, 3, 4}}});
}

TEST_CASE("working memory is asked for once, for the largest") {
    const auto d = compose(input{"x", {4}}, greedy{10}, greedy{1000} | named("y"));
    lab net(d);
    CHECK(net.predict({{"x", values(4)}}).at("y")[0] == 1000);
    CHECK(net.predict({{"x", values(400)}}).at("y").back() == 1000);
    thread_pool threads(5);
    net.core().use(&threads);
    CHECK(net.predict({{"x", values(400)}}).at("y").back() == 1000);
    CHECK(net.core().threads() == &threads);
    net.core().use(nullptr);
}

TEST_CASE("working memory is asked for again where the threads change between two runs") {
    const auto d = compose(input{"x", {1}}, counting_threads{} | named("y"));
    const planner p = planned(d);
    engine<double> e(p.result().view());
    e.attach(d);
    const auto run = [&] {
        e.reserve(1);
        d.forward(e, std::size_t{0});
        return e.value(e.plan().outputs[0])[0];
    };
    CHECK(run() == 1);
    CHECK(run() == 1);
    thread_pool threads(4);
    e.use(&threads);
    CHECK(run() == 4);
    e.use_threads(2);
    CHECK(run() == 2);
    e.use(nullptr);
    CHECK(run() == 1);
}

TEST_CASE("frozen and trained steps run in passes of their own") {
    const auto d = compose(input{"x", {2}}, linear{2, 0} | named("a"), linear{3, 0} | named("b"),
                           linear{5, 0} | named("c"), output{"a"}, output{"b"}, output{"c"});
    const planner p = planned(d);
    engine<double> e(p.result().view());
    e.attach(d);
    e.reserve(1);
    const std::vector<char> trained{0, 1, 1};
    const plan_view plan = e.plan();
    const auto value = [&](const char* name) -> double& { return *e.value(plan.find_blob(name)); };
    value("x") = 1;
    std::vector<std::size_t> seen;
    const auto hook = [&](std::size_t step) { seen.push_back(step); };
    e.after_frozen(hook);
    e.select(pass::frozen, trained);
    d.forward(e, std::size_t{0});
    CHECK(value("a") == 2);
    CHECK(value("b") == 0);
    CHECK(seen == std::vector<std::size_t>{0});
    value("a") = 4;
    e.select(pass::trainable, trained);
    d.forward(e, std::size_t{0});
    CHECK(value("a") == 4);
    CHECK(value("c") == 60);
    CHECK(seen.size() == 1);
    value("x") = 10;
    e.select(pass::all, {});
    d.forward(e, std::size_t{0});
    CHECK(value("c") == 300);
}
