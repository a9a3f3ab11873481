#include <bespoke/network/program.hpp>

#include "network_test.hpp"

#include <functional>

using namespace network_test;

namespace {

std::string error_of(const std::function<void()>& body, errc code) {
    try {
        body();
    } catch (const error& e) {
        CHECK(e.code() == code);
        return e.what();
    }
    return "";
}

/// Both doors, with one example and with several.
template <const auto& D>
void require_same_answers(const std::vector<std::vector<float>>& inputs, std::size_t examples) {
    network<D> net(6);
    program loaded = program_of(D);
    copy_parameters(net, loaded);
    const auto outputs_of = [](const auto& y) {
        std::vector<std::vector<float>> out;
        if constexpr (requires { y.begin(); })
            out.push_back(to_vector(y));
        else
            std::apply([&](const auto&... one) { (out.push_back(to_vector(one)), ...); }, y);
        return out;
    };
    const auto call = [&](auto&& how, const auto& x) {
        return [&]<std::size_t... I>(std::index_sequence<I...>) {
            return outputs_of(how(x[I]...));
        }(std::make_index_sequence<network<D>::plan().inputs.size()>{});
    };
    const auto require_same = [&](const auto& a, const auto& b) {
        REQUIRE(a.size() == b.size());
        for (std::size_t o = 0; o < a.size(); ++o) {
            INFO("output " << o);
            REQUIRE(same_bits(a[o], b[o]));
        }
    };
    require_same(call([&](const auto&... x) { return net.predict_batch(x...); }, inputs), run(loaded, inputs));
    for (std::size_t e = 0; e < examples; ++e) {
        std::vector<std::vector<float>> x;
        for (const auto& v : inputs) {
            const auto size = static_cast<std::ptrdiff_t>(v.size() / examples), i = static_cast<std::ptrdiff_t>(e);
            x.emplace_back(v.begin() + i * size, v.begin() + (i + 1) * size);
        }
        require_same(call([&](const auto&... in) { return net(in...); }, x), run(loaded, x));
    }
    CHECK(loaded.plan().arena_size == net.plan().arena_size);
}

/// A fully connected layer over the last axis: rows may come in any number.
program rows_of(extent rows) {
    return program(list_of(compose(inner_product{.output_channels = 3} | named("fc"), relu{})), {{"x", {rows, 4}}}, {});
}

}  // namespace

TEST_CASE("both doors lead to the same bits") {
    require_same_answers<mlp>({numbers(32 * 5)}, 5);
    require_same_answers<lenet>({numbers(400 * 3)}, 3);
    require_same_answers<joined>({numbers(3 * 4), numbers(4 * 4, 2)}, 4);
    require_same_answers<winding>({{0, 1, 2, 3, 6, 6}, {1, 0, 1, 0, 1, 0}, numbers(36)}, 6);
    require_same_answers<winding>({{3, 3, 3}, {1, 1, 1}, numbers(18)}, 3);
}

TEST_CASE("a break inside of a branch leaves the loop of its own example only") {
    const auto d = compose(input{"c", {1}}, input{"x", {1}}, linear{} | from("x") | named("y"),
                           loop{compose(linear{2, 0} | from("y") | named("t"), copy{} | from("t") | to("y"),
                                        branch{compose(loop_break{})} | from("c")),
                                4},
                           output{"y"});
    program p = program_of(d);
    CHECK(run(p, {{0, 1, 0}, {1, 1, 3}})[0] == std::vector<float>{16, 2, 48});
}

TEST_CASE("programs: any number of threads gives the same bits") {
    const std::vector<std::vector<float>> wound{{0, 1, 2, 3, 6, 6}, {1, 0, 1, 0, 1, 0}, numbers(36)},
        image{numbers(400 * 7)};
    program a = program_of(winding), b = program_of(lenet);
    for (program* p : {&a, &b}) {
        p->core().initialize(3);
        p->prepare();
    }
    const auto y = run(a, wound), z = run(b, image);
    CHECK(a.thread_count() == 1);
    for (std::size_t threads : {2u, 5u, 1u}) {
        a.use_threads(threads);
        b.use_threads(threads);
        CHECK(b.thread_count() == threads);
        CHECK(run(a, wound) == y);
        CHECK(run(b, image) == z);
    }
}

TEST_CASE("another shape of input is another plan of the same layers") {
    program p = rows_of(2);
    p.core().initialize(1);
    p.prepare();
    const auto x = numbers(20);
    const auto wide = [&] {
        p.reshape({{"x", {5, 4}}});
        return run(p, {x})[0];
    };
    const auto narrow = [&] {
        p.reshape({{"x", {2, 4}}});
        return run(p, {{x.begin(), x.begin() + 8}})[0];
    };
    const auto y2 = run(p, {{x.begin(), x.begin() + 8}})[0];
    REQUIRE(y2.size() == 6);
    const auto y5 = wide();
    REQUIRE(y5.size() == 15);
    CHECK(std::vector<float>(y5.begin(), y5.begin() + 6) == y2);
    CHECK(narrow() == y2);
    CHECK(wide() == y5);
    CHECK(p.plan().blobs[0].dimensions == shape{5, 4});
    const auto before = p.plan().steps.data();
    p.reshape({{"x", {5, 4}}});
    CHECK(p.plan().steps.data() == before);
    CHECK(run(p, {x})[0] == y5);
}

TEST_CASE("a shape that does not fit leaves the program as it was") {
    program p(list_of(compose(inner_product{.output_channels = 3} | named("fc"))), {{"x", {2, 4}}}, {},
              "/neuralNetwork/");
    p.core().initialize(1);
    p.prepare();
    const auto y = run(p, {numbers(8)});
    CHECK(error_of(
              [&] {
                  p.reshape({{"x", {2, 5}}});
              },
              errc::shape_mismatch) ==
          "/neuralNetwork/layers/0 \"fc\" (innerProduct): its weights would have the shape [3, 5] for this input, it "
          "has [3, 4]");
    CHECK(error_of([&] { p.reshape({{"x", {0, 0}}}); }, errc::shape_mismatch) ==
          "/neuralNetwork/layers/0 \"fc\" (innerProduct): an input that is not empty wanted, its shape is [0, 0]");
    CHECK(error_of([&] { p.reshape({{"z", {2, 4}}, {"z", {2, 4}}}); }, errc::duplicate_name) ==
          "input \"z\": this name is taken already");
    CHECK(run(p, {numbers(8)}) == y);
}

TEST_CASE("faults of a program are errors with a place") {
    CHECK(error_of(
              [] {
                  program(list_of(compose(relu{} | from("y") | named("r"))), {{"x", {3}}}, {}, "/neuralNetwork/");
              },
              errc::unknown_name) ==
          "/neuralNetwork/layers/0 \"r\" (activation.ReLU): no layer before it writes its input \"y\"");
    CHECK(error_of([] { program(list_of(compose(relu{})), {{"x", {3}}}, {"z"}); }, errc::unknown_name) ==
          "output \"z\": no layer writes a blob of this name");
    CHECK(error_of([] { program({}, {{"x", {3}}}, {}); }, errc::bad_value) == "a network needs at least one layer");
    CHECK(
        error_of(
            [] {
                program(list_of(compose(loop{compose(relu{} | from("q")), 2})), {{"x", {3}}}, {"x"}, "/neuralNetwork/");
            },
            errc::unknown_name) ==
        "/neuralNetwork/layers/0/loop/bodyNetwork/layers/0 (activation.ReLU): no layer before it writes its input "
        "\"q\"");
}

TEST_CASE("copies are programs of their own, in the shape of the original") {
    program p = rows_of(2);
    p.core().initialize(1);
    p.reshape({{"x", {3, 4}}});
    p.prepare();
    p.use_threads(2);
    const auto x = numbers(12);
    const auto y = run(p, {x})[0];
    program q = p;
    CHECK(q.thread_count() == 2);
    CHECK(q.plan().blobs[0].dimensions == shape{3, 4});
    CHECK(run(q, {x})[0] == y);
    q.core().parameter(1)[0] = 7;
    CHECK(run(q, {x})[0] != y);
    CHECK(run(p, {x})[0] == y);

    const program moved_from_source = std::move(p);
    program r = moved_from_source;
    CHECK(run(r, {x})[0] == y);
    program s = std::move(q);
    s = std::move(r);
    CHECK(run(s, {x})[0] == y);
    s.reshape({{"x", {2, 4}}});
    CHECK(run(s, {{x.begin(), x.begin() + 8}})[0] == std::vector<float>(y.begin(), y.begin() + 6));
}

TEST_CASE("programs: no example at all goes through") {
    program p = program_of(winding);
    const auto y = run(p, {{}, {}, {}});
    CHECK(y[0].empty());
    CHECK(y[1].empty());
}

TEST_CASE("one layer may be prepared alone, those inside of others too") {
    program p = program_of(winding);
    p.core().initialize(4);
    p.prepare();
    const std::vector<std::vector<float>> in{{2, 3}, {1, 0}, numbers(12)};
    run(p, in);
    for (std::size_t i = 0; i < p.plan().parameters.size(); ++i)
        for (extent e = 0; e < p.plan().parameters[i].dimensions.size(); ++e) p.core().parameter(i)[e] *= 0.5f;
    program q = p;  // prepares all
    for (std::size_t s = 0; s < p.plan().steps.size(); ++s)
        if (p.plan().steps[s].parameter_count > 0) p.core().prepare(s);
    CHECK(run(p, in) == run(q, in));
}

TEST_CASE("programs: how a network computes is the same in both doors") {
    static constexpr auto deep =
        compose(input{"image", {16, 21, 18}}, convolution{.output_channels = 40, .padding = same} | named("c1"), relu{},
                convolution{.output_channels = 24} | named("c2"));
    network<deep> fast(3), direct(3);
    direct.use({.winograd = false});
    const auto x = network_test::numbers(std::size_t{3} * 16 * 21 * 18);
    const auto y = to_vector(fast.predict_batch(x)), z = to_vector(direct.predict_batch(x));
    CHECK_FALSE(same_bits(y, z));
    program loaded = program_of(deep);
    copy_parameters(fast, loaded);
    CHECK(same_bits(run(loaded, {x})[0], y));
    loaded.use({.winograd = false});
    CHECK(same_bits(run(loaded, {x})[0], z));
    program again = loaded;
    CHECK(same_bits(run(again, {x})[0], z));
}

TEST_CASE("programs: of many shapes the first plan and the last few are kept") {
    program p = rows_of(1);
    p.core().initialize(1);
    const auto plan_of = [&](extent rows) {
        p.reshape({{"x", {rows, 4}}});
        return p.plan().steps.data();
    };
    const auto first = plan_of(1), second = plan_of(2);
    for (extent rows = 3; rows < static_cast<extent>(program::most_plans); ++rows) plan_of(rows);
    CHECK(plan_of(2) == second);  // and now 3 was used the longest time ago
    const auto fourth = plan_of(4);
    plan_of(100);
    const auto newest = plan_of(101);
    CHECK(plan_of(2) == second);
    CHECK(plan_of(4) == fourth);
    CHECK(plan_of(1) == first);
    CHECK(plan_of(101) == newest);
    CHECK(p.planned().blobs[0].dimensions == shape{101, 4});
    CHECK(p.is_planned_for({{"x", {101, 4}}}));
    CHECK_FALSE(p.is_planned_for({{"x", {3, 4}}}));
    for (extent rows = 1; rows < 200; ++rows) {
        p.reshape({{"x", {rows, 4}}});
        REQUIRE(run(p, {numbers(static_cast<std::size_t>(rows) * 4)})[0].size() == static_cast<std::size_t>(rows) * 3);
    }
    CHECK(p.plan_count() == program::most_plans);
    CHECK(plan_of(1) == first);
}

TEST_CASE("programs: blobs of more elements than allowed are refused before there is memory for them") {
    const auto layers = list_of(compose(fill_static{.target_shape = {extent{1} << 40}} | named("f")));
    CHECK(error_of([&] { program(layers, {{"x", {1}}}, {}, "", extent{1} << 31); }, errc::bad_value) ==
          "the blobs of one example would take 1099511627792 elements, at most 2147483648 wanted");
    program p(list_of(compose(relu{})), {{"x", {16}}}, {}, "", 32);
    p.reshape({{"x", {32}}});
    CHECK(error_of([&] { p.reshape({{"x", {33}}}); }, errc::bad_value) ==
          "the blobs of one example would take 48 elements, at most 32 wanted");
    program q = p;
    CHECK(error_of([&] { q.reshape({{"x", {33}}}); }, errc::bad_value) != "");
}
