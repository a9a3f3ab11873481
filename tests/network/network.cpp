#include <bespoke/network/network.hpp>

#include "../counted_allocations.hpp"
#include "network_test.hpp"

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <mutex>

#ifdef __linux__
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

using namespace network_test;

namespace {

inline constexpr auto tower =
    compose(input{"x", {24}}, repeat<2>(residual(inner_product{.output_channels = 24} | named("fc"), relu{}), "block"),
            inner_product{.output_channels = 5} | named("head"));
inline constexpr auto with_constants = compose(  // the weights of "fc" do not depend on an example
    input{"x", {4}}, linear{} | named("l"), inner_product{.output_channels = 4} | named("fc"), copy{} | to("l"),
    output{"l"});
inline constexpr auto large =
    compose(input{"x", {3001}}, bespoke::tanh{}, linear{2, 1}, inner_product{.output_channels = 301} | named("fc"));
inline constexpr auto shaped_by_values = compose(input{"s", {2}}, fill_dynamic{3});
inline constexpr auto scalar = compose(input{"x", {}}, linear{2, 1});
inline constexpr auto empty = compose(input{"x", {0, 3}}, relu{} | named("y"));

inline constexpr auto there_and_back =
    compose(input{"x", {100}}, inner_product{.output_channels = 32} | named("a"), bespoke::tanh{},
            inner_product{.output_channels = 32} | named("b"), inner_product{.output_channels = 100} | named("c"));
inline constexpr auto wider = compose(input{"x", {4}}, inner_product{.output_channels = 8} | named("fc"));
inline constexpr auto remembering =
    compose(input{"x", {1, 1}}, input{"a", {1, 8}}, input{"b", {1, 8}},
            gru{.output_vector_size = 8} | named("g1") | from("x", "a") | to("y1", "next_a"),
            gru{.output_vector_size = 8} | named("g2") | from("y1", "b") | to("y2", "next_b"),
            inner_product{.output_channels = 1} | named("y") | from("y2"), output{"y"}, output{"next_a"},
            output{"next_b"});

/// A call of one example gives the bits of a batch of one, and what it has in a batch of all but for rounding: a
/// product with a single row may be summed up in another order.
template <const auto& D>
void require_same_bits(const std::vector<std::vector<float>>& inputs, std::size_t examples) {
    network<D> net(3);
    const auto call = [&](auto&& how, const std::vector<std::vector<float>>& x) {
        return [&]<std::size_t... I>(std::index_sequence<I...>) {
            const auto y = how(x[I]...);
            std::vector<std::vector<float>> out;
            if constexpr (requires { y.begin(); })
                out.push_back(to_vector(y));
            else
                std::apply([&](const auto&... one) { (out.push_back(to_vector(one)), ...); }, y);
            return out;
        }(std::make_index_sequence<network<D>::plan().inputs.size()>{});
    };
    const auto all = call([&](const auto&... x) { return net.predict_batch(x...); }, inputs);
    for (std::size_t e = 0; e < examples; ++e) {
        std::vector<std::vector<float>> x;
        for (const auto& v : inputs) {
            const std::size_t size = v.size() / examples;
            x.emplace_back(v.begin() + static_cast<std::ptrdiff_t>(e * size),
                           v.begin() + static_cast<std::ptrdiff_t>((e + 1) * size));
        }
        const auto one = call([&](const auto&... in) { return net(in...); }, x);
        const auto batch_of_one = call([&](const auto&... in) { return net.predict_batch(in...); }, x);
        REQUIRE(one.size() == all.size());
        for (std::size_t o = 0; o < one.size(); ++o) {
            INFO("output " << o << ", example " << e);
            CHECK(same_bits(one[o], batch_of_one[o]));
            for (std::size_t i = 0; i < one[o].size(); ++i)
                CHECK(one[o][i] == Approx(all[o][e * one[o].size() + i]).margin(1e-6));
        }
    }
}

template <class Body>
std::string what_is_thrown(errc code, const Body& body) {
    try {
        body();
    } catch (const error& e) {
        CHECK(e.code() == code);
        return e.what();
    }
    return "";
}
template <class Body>
std::string error_of(const Body& body) {
    return what_is_thrown(errc::shape_mismatch, body);
}

}  // namespace

TEST_CASE("a network that was moved from says so, until another one is assigned to it") {
    const std::string text = "the network was moved from: assign another one to it before it is used";
    const auto failed = [](const auto& action) {
        try {
            action();
        } catch (const error& e) {
            return std::string(e.what());
        }
        return std::string("nothing is thrown");
    };
    const auto x = numbers(32);
    network<mlp> fresh(3);
    const auto expected = to_vector(fresh(x));
    for (int calls : {0, 1, 3}) {  // before the weights are packed, and after
        network<mlp> from(3);
        for (int i = 0; i < calls; ++i) from(x);
        network<mlp> to = std::move(from);
        CHECK(same_bits(to_vector(to(x)), expected));
        CHECK(failed([&] { from(x); }) == text);
        CHECK(failed([&] { from.predict_batch(x); }) == text);
        CHECK(failed([&] { from.parameter("a", "weights"); }) == text);
        CHECK(failed([&] { std::as_const(from).parameter("a", "weights"); }) == text);
        CHECK(failed([&] { network<mlp> copy = from; }) == text);
        from.prepare();
        from.use_threads(2);
        from.initialize(4);
        CHECK(failed([&] { from(x); }) == text);
        from = to;
        CHECK(same_bits(to_vector(from(x)), expected));
        to = network<mlp>(3);
        CHECK(same_bits(to_vector(to(x)), expected));
        network<mlp> last(7);
        last = std::move(to);
        CHECK(failed([&] { to(x); }) == text);
        CHECK(same_bits(to_vector(last(x)), expected));
    }
}

TEST_CASE("an MLP computes what its formula says") {
    network<mlp> net(5);
    const auto x = numbers(32);
    std::vector<double> h(x.begin(), x.end());
    for (const char* layer : {"a", "b", "c"}) {
        const auto w = net.parameter(layer, "weights"), b = net.parameter(layer, "bias");
        std::vector<double> next(b.begin(), b.end());
        for (std::size_t o = 0; o < next.size(); ++o)
            for (std::size_t i = 0; i < h.size(); ++i) next[o] += static_cast<double>(w[o * h.size() + i]) * h[i];
        if (*layer != 'c')
            for (double& v : next) v = std::tanh(v);
        h = next;
    }
    const auto y = net(x);
    REQUIRE(y.size() == 8);
    for (std::size_t i = 0; i < 8; ++i) CHECK(static_cast<double>(y(i)) == Approx(h[i]).margin(1e-5));
}

TEST_CASE("one by one, in a batch of one, and all at once") {
    require_same_bits<mlp>({numbers(32 * 7)}, 7);
    require_same_bits<lenet>({numbers(400 * 5)}, 5);
    require_same_bits<tower>({numbers(24 * 3)}, 3);
    require_same_bits<joined>({numbers(3 * 4), numbers(4 * 4, 2)}, 4);
    require_same_bits<with_constants>({numbers(4 * 3)}, 3);
    require_same_bits<winding>({{0, 1, 2, 3, 6, 6}, {1, 0, 1, 0, 1, 0}, numbers(36)}, 6);
    require_same_bits<winding>({{3, 3, 3}, {1, 1, 1}, numbers(18)}, 3);
    require_same_bits<scalar>({{1, 2, 3}}, 3);
}

TEST_CASE("any number of threads gives the same bits") {
    const auto image = numbers(400 * 9), x = numbers(3001 * 3);
    network<lenet> one(4);
    network<large> one_large(4);
    const auto y = to_vector(one.predict_batch(image)), z = to_vector(one_large.predict_batch(x)),
               single = to_vector(one_large(std::span(x).first(3001)));
    for (std::size_t threads : {2u, 5u}) {
        network<lenet> net(4, threads);
        CHECK(same_bits(to_vector(net.predict_batch(image)), y));
        network<large> net_large(4, threads);
        CHECK(same_bits(to_vector(net_large.predict_batch(x)), z));
        CHECK(same_bits(to_vector(net_large(std::span(x).first(3001))), single));
        one.use_threads(threads);
        CHECK(one.thread_count() == threads);
        CHECK(same_bits(to_vector(one.predict_batch(image)), y));
        one_large.use_threads(threads);  // between two single calls
        CHECK(same_bits(to_vector(one_large(std::span(x).first(3001))), single));
        one_large.use_threads(1);
        CHECK(same_bits(to_vector(one_large(std::span(x).first(3001))), single));
    }
}

TEST_CASE("the number of threads may change between two calls") {
    static constexpr auto heads = compose(input{"a", {12, 8, 16}}, input{"b", {12, 16, 8}},
                                          batched_matmul{} | from("a", "b") | named("y"));  // a scratch each thread
    network<heads> net;
    const auto a = numbers(12 * 8 * 16, 1), b = numbers(12 * 16 * 8, 2);
    const auto y = to_vector(net(a, b));
    CHECK(same_bits(to_vector(net(a, b)), y));
    for (std::size_t threads : {4u, 2u, 5u, 1u}) {
        net.core().use_threads(threads);
        CHECK(same_bits(to_vector(net(a, b)), y));
        CHECK(same_bits(to_vector(net(a, b)), y));
    }
}

TEST_CASE("several inputs and outputs, in the order of their declaration") {
    network<joined> net;
    const auto x = numbers(3), z = numbers(4, 2);
    const auto [sum, fc] = net(x, z);
    REQUIRE(sum.size() == 4);
    for (std::size_t i = 0; i < 4; ++i) CHECK(sum(i) == fc(i) + z[i]);
    const auto [sums, fcs] = net.predict_batch(numbers(6), numbers(8, 2));
    CHECK(sums.dimension() == 2);
    CHECK(sums.shape(0) == 2);
    CHECK(sums.shape(1) == 4);
    CHECK(fcs.size() == 8);
}

TEST_CASE("inputs may be any array of the right number of elements") {
    network<joined> net;
    const std::vector<float> x{1, 2, 3}, z{4, 5, 6, 7};
    const auto want = to_vector(std::get<0>(net(x, z)));
    CHECK(to_vector(std::get<0>(net(std::array<float, 3>{1, 2, 3}, xt::xarray<float>{{4, 5}, {6, 7}}))) == want);
    CHECK(to_vector(std::get<0>(net(std::span(x), xt::xtensor<double, 2>{{2, 3}, {4, 5}} + 2))) == want);
    CHECK(to_vector(std::get<0>(net(std::vector<int>{1, 2, 3}, std::vector<double>{4, 5, 6, 7}))) == want);
    network<scalar> number;
    CHECK(number(std::array{3.f})() == 7);
}

TEST_CASE("wrong sizes are an error that says what was wanted, and the network goes on") {
    network<joined> net;
    const std::vector<float> two(2), three(3), four(4), eight(8);
    const auto before = to_vector(std::get<0>(net(three, four)));
    CHECK(error_of([&] { net(two, four); }) == "input \"x\": 1 times the shape [3] wanted (3 elements), 2 came");
    CHECK(error_of([&] { net(three, eight); }) == "input \"z\": 1 times the shape [2, 2] wanted (4 elements), 8 came");
    CHECK(error_of([&] { net.predict_batch(two, four); }) ==
          "input \"x\": 1 times the shape [3] wanted (3 elements), 2 came");
    CHECK(error_of([&] { net.predict_batch(eight, eight); }) ==
          "input \"x\": 2 times the shape [3] wanted (6 elements), 8 came");
    CHECK(error_of([&] { net.predict_batch(std::vector<float>(6), four); }) ==
          "input \"z\": 2 times the shape [2, 2] wanted (8 elements), 4 came");
    CHECK(to_vector(std::get<0>(net(three, four))) == before);
}

TEST_CASE("a network that no memory holds is an error, and no other one suffers") {
    static constexpr auto huge = compose(
        input{"x", {1}}, fill_static{.target_shape = {extent{1} << 18, extent{1} << 19}} | named("f"),
        add_broadcastable{} | from("x", "f") | named("y"));
    try {
        network<huge> net;
        FAIL("no error");
    } catch (const error& e) {
        CHECK(e.code() == errc::bad_value);
        CHECK(e.what() == std::string("the blobs have 274877906960 elements (examples at a time: 1), there is no "
                                      "memory for them"));
    }
    network<scalar> small;
    CHECK(small(std::vector<float>{3})[0] == 7);
}

namespace {

/// Works with so many elements for each example.
struct spacious {
    extent scratch = 0, prepared = 0;

    static constexpr auto key = "spacious";
    constexpr void fields(auto&) {}
    static constexpr bool batched = true;
    constexpr outcome output_shape(const shape& x) const { return x; }
    template <class T>
    extent scratch_size(const shape&, extent examples, extent) const {
        return scratch * examples;
    }
    template <class T>
    extent prepared_size(const shape&) const {
        return prepared;
    }
    void prepare(const auto&, auto* to) const noexcept { std::fill_n(to, prepared, 1.0f); }
    void forward(auto x, auto y, const auto&, auto& w) const noexcept {
        std::fill_n(w.scratch, scratch * x.examples, 1.0f);
        std::copy_n(x.data, x.total(), y.data);
    }
    void backward(auto...) const noexcept {}
    bool operator==(const spacious&) const = default;
};

inline constexpr auto much_prepared = compose(input{"x", {2}}, spacious{.prepared = extent{1} << 40} | named("y"));
inline constexpr auto much_scratch = compose(input{"x", {2}}, spacious{.scratch = 1 << 20} | named("y"));

template <class Body>
std::string error_for_memory(const Body& body) {
    return what_is_thrown(errc::bad_value, body);
}

}  // namespace

TEST_CASE("working memory that is not there is an error, and fewer examples go on") {
    CHECK(error_for_memory([] { network<much_prepared>(); }) ==
          "the layers work with 1099511627776 elements (examples at a time: 1), there is no memory for them");
    network<much_scratch> net;
    const auto x = numbers(2 * 3);
    CHECK(same_bits(to_vector(net.predict_batch(x)), x));
    for (int i = 0; i < 2; ++i)
        CHECK(error_for_memory([&] { net.core().reserve(1 << 15, true); }) ==
              "the layers work with 34359738368 elements (examples at a time: 32768), there is no memory for them");
    CHECK(same_bits(to_vector(net.predict_batch(x)), x));
}

TEST_CASE("inputs and outputs that no memory holds are an error, and fewer examples go on") {
    network<mlp> net;
    const auto x = numbers(32 * 3);
    const auto y = to_vector(net.predict_batch(x));
    const extent many = extent{1} << 36;
    for (int i = 0; i < 2; ++i)
        CHECK(error_for_memory([&] { net.core().reserve(many); }) ==
              "the inputs and outputs have 2748779069440 elements (examples at a time: 68719476736), there is no "
              "memory for them");
    CHECK(same_bits(to_vector(net.predict_batch(x)), y));
}

TEST_CASE("no example, and examples without elements") {
    network<mlp> net;
    const auto y = net.predict_batch(std::vector<float>{});
    CHECK(y.size() == 0);
    CHECK(y.shape(0) == 0);
    CHECK(y.shape(1) == 8);
    network<winding> wound;
    const std::vector<float> none;
    CHECK(std::get<0>(wound.predict_batch(none, none, none)).size() == 0);
    network<empty> hollow;
    CHECK(hollow(none).size() == 0);
    CHECK_THROWS_AS(hollow.predict_batch(none), error);  // nobody can say how many examples that is
}

TEST_CASE("parameters are read and written by the name of their layer") {
    network<mlp> net;
    CHECK(net.parameter("a", "weights").size() == 64 * 32);
    CHECK(net.parameter("c", "bias").size() == 8);
    for (float v : net.parameter("c", "bias")) CHECK(v == 0);
    const double bound = std::sqrt(6.0 / (32 + 64));
    double largest = 0;
    for (float v : net.parameter("a", "weights")) largest = std::max(largest, std::abs(static_cast<double>(v)));
    CHECK(largest <= bound);
    CHECK(largest > 0.95 * bound);

    const auto x = numbers(32);
    const auto before = to_vector(net(x));
    for (float& v : net.parameter("c", "bias")) v = 1;
    net.prepare();
    const auto after = to_vector(net(x));
    for (std::size_t i = 0; i < 8; ++i) CHECK(after[i] == Approx(before[i] + 1).margin(1e-6));

    const auto message = [&](const char* layer, const char* field) {
        try {
            net.parameter(layer, field);
        } catch (const error& e) {
            CHECK(e.code() == errc::unknown_name);
            return std::string(e.what());
        }
        return std::string();
    };
    CHECK(message("d", "bias") == "no layer \"d\" with a parameter \"bias\" in this network");
    CHECK(message("a", "scale") ==
          "no layer \"a\" with a parameter \"scale\" in this network; it has \"weights\", \"bias\"");
    network<tower> blocks;
    CHECK(blocks.parameter("block.1.fc", "bias").size() == 24);
}

namespace {

/// The result for parameters that are written after so many calls, and read through a constant.
template <const auto& Description>
std::vector<float> written_after(int calls, const std::vector<float>& x, const char* layer, const char* field,
                                 bool prepares) {
    network<Description> net(3);
    for (int i = 0; i < calls; ++i) net(x);
    const auto values = net.parameter(layer, field);
    for (float& v : values) v = v / 2 + 0.25f;
    if (prepares) net.prepare();
    const auto y = to_vector(net(x));
    CHECK(to_vector(net(x)) == y);
    CHECK(to_vector(net(x)) == y);
    const auto read = std::as_const(net).parameter(layer, field);
    CHECK(std::ranges::equal(read, values));
    CHECK(to_vector(net(x)) == y);
    return y;
}

}  // namespace

TEST_CASE("parameters that are written after some calls count in the next one") {
    for (int calls : {0, 1, 2, 4}) {
        const auto x = numbers(32);
        const auto y = written_after<mlp>(0, x, "a", "weights", true);
        CHECK(written_after<mlp>(calls, x, "a", "weights", false) == y);
        const auto image = numbers(400);
        for (const char* layer : {"conv1", "fc2"}) {
            const auto p = written_after<lenet>(0, image, layer, "weights", true);
            CHECK(written_after<lenet>(calls, image, layer, "weights", false) == p);
        }
    }
}

TEST_CASE("the seed alone says how the parameters begin") {
    network<mlp> a(1), b(1), c(2);
    const auto x = numbers(32);
    CHECK(to_vector(a(x)) == to_vector(b(x)));
    CHECK(to_vector(a(x)) != to_vector(c(x)));
    c.initialize(1);
    CHECK(to_vector(a(x)) == to_vector(c(x)));
    const auto w = a.parameter("b", "weights"), v = a.parameter("a", "weights");
    CHECK(w[0] != v[0]);
}

TEST_CASE("a copy is a network of its own, a moved network is the same") {
    network<lenet> net(8, 2);
    const auto image = numbers(400);
    const auto y = to_vector(net(image));
    network<lenet> copied(net);
    CHECK(to_vector(copied(image)) == y);
    copied.parameter("fc2", "bias")[3] = 5;
    copied.prepare();
    CHECK(to_vector(copied(image)) != y);
    CHECK(to_vector(net(image)) == y);

    copied = std::as_const(net);
    CHECK(to_vector(copied(image)) == y);
    CHECK(copied.thread_count() == 2);
    copied.parameter("fc2", "bias")[3] = 5;
    copied.prepare();
    CHECK(to_vector(net(image)) == y);

    network<lenet> moved(std::move(net));
    CHECK(to_vector(moved(image)) == y);
    CHECK(to_vector(moved.predict_batch(numbers(800))).size() == 20);
    copied = std::move(moved);
    CHECK(to_vector(copied(image)) == y);
    std::vector<network<lenet>> several;
    several.push_back(std::move(copied));
    several.emplace_back(9);
    several.emplace_back(10);
    CHECK(to_vector(several.front()(image)) == y);
}

TEST_CASE("a call allocates nothing, nor do many examples after the first time") {
    const auto measure = [](const auto& body) {
        const std::size_t before = allocations;
        body();
        return allocations - before;
    };
    REQUIRE(measure([] { std::vector<int> v(3); }) == 1);

    const std::size_t threads = GENERATE(1u, 2u);
    network<mlp> small(1, threads);
    network<lenet> images(1, threads);
    network<winding> wound(1, threads);
    const auto x = numbers(32), image = numbers(400), batch = numbers(400 * 6), fewer = numbers(400 * 2);
    const std::vector<float> n{1, 4, 6}, c{1, 0, 1}, v = numbers(18), one{3}, w = numbers(6);
    CHECK(measure([&] { small(x); }) == 0);
    CHECK(measure([&] { images(image); }) == 0);
    CHECK(measure([&] { wound(one, one, w); }) == 0);
    CHECK(measure([&] { images.predict_batch(batch); }) > 0);
    CHECK(measure([&] { images.predict_batch(batch); }) == 0);
    CHECK(measure([&] { images.predict_batch(fewer); }) == 0);
    CHECK(measure([&] { images(image); }) == 0);
    CHECK(measure([&] { images.predict_batch(batch); }) == 0);
    wound.predict_batch(n, c, v);
    CHECK(measure([&] { wound.predict_batch(n, c, v); }) == 0);
}

TEST_CASE("a network says how many bytes it has taken") {
    network<mlp> net(1);
    const auto p = net.plan();
    const auto planned = static_cast<std::size_t>(p.arena_size + p.shared_size + p.parameters_size) * sizeof(float);
    net.prepare();
    net(numbers(32));
    const std::size_t one = net.memory_bytes();
    CHECK(one >= planned);  // and what the layers prepare
    CHECK(one < 10 * planned);
    net(numbers(32));
    CHECK(net.memory_bytes() == one);
    net.predict_batch(numbers(32 * 4));
    CHECK(net.memory_bytes() == one + 3 * static_cast<std::size_t>(p.arena_size) * sizeof(float));
    net.predict_batch(numbers(32 * 2));
    CHECK(net.memory_bytes() == one + 3 * static_cast<std::size_t>(p.arena_size) * sizeof(float));
    network<mlp> taken = std::move(net);
    CHECK(taken.memory_bytes() > one);
    network<shaped_by_values> open;
    const std::size_t before = open.memory_bytes();
    open(std::array{30.0f, 40.0f});
    CHECK(open.memory_bytes() >= before + 1200 * sizeof(float));
}

#ifdef __linux__
namespace {

/// Runs `body` in a child process that the kernel kills at its first system call. How the child ended.
template <class Body>
int end_of(const Body& body) {
    const pid_t child = fork();
    if (child == 0) {
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) _exit(2);
        syscall(SYS_exit, body() ? 0 : 1);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    return status;
}
bool well(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }

/// How often a mutex was taken.
std::atomic<std::size_t> locks = 0;

}  // namespace

// Stands before the one of the C library, which std::mutex calls.
extern "C" int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
    ++locks;
    while (true)
        if (const int result = pthread_mutex_trylock(mutex); result != EBUSY) return result;
}

TEST_CASE("on one thread, a composed network makes no system call and takes no lock") {
    network<mlp> small(1);
    network<lenet> images(1);
    network<winding> wound(1);
    const auto x = numbers(32), image = numbers(400);
    const std::vector<float> one{3}, w = numbers(6);
    const auto predict = [&] {
        for (int i = 0; i < 3; ++i) {
            small(x);
            images(image);
            wound(one, one, w);
        }
        return true;
    };
    predict();
    const int none = end_of([] { return true; });
    if (WIFEXITED(none) && WEXITSTATUS(none) == 2) {
        WARN("this machine does not let a process give up its system calls");
        return;
    }
    REQUIRE(well(none));
    REQUIRE_FALSE(well(end_of([] { return getppid() > 0; })));
    CHECK(well(end_of(predict)));

    std::mutex m;
    std::size_t before = locks;
    { const std::lock_guard hold(m); }
    REQUIRE(locks == before + 1);
    before = locks;
    predict();
    CHECK(locks == before);
}
#endif

TEST_CASE("a network in double") {
    network<mlp, double> fine(5);
    network<mlp> plain(5);
    const auto x = numbers(32);
    const auto y = fine(x);
    const auto z = plain(x);
    static_assert(std::is_same_v<std::remove_cvref_t<decltype(y(0))>, double>);
    for (std::size_t i = 0; i < 8; ++i) CHECK(y(i) == Approx(z(i)).margin(1e-5));
}

TEST_CASE("the plan of the compiler is the plan made at run time") {
    const auto compare = []<const auto& D>(network<D>*) {
        planner p;
        D.plan(p);
        p.finish();
        const plan_view a = network<D>::plan(), b = p.result().view();
        CHECK(a.arena_size == b.arena_size);
        CHECK(std::equal(a.text.begin(), a.text.end(), b.text.begin(), b.text.end()));
        CHECK(std::equal(a.links.begin(), a.links.end(), b.links.begin(), b.links.end()));
        REQUIRE(a.blobs.size() == b.blobs.size());
        for (std::size_t i = 0; i < a.blobs.size(); ++i) CHECK(a.blobs[i].offset == b.blobs[i].offset);
    };
    compare(static_cast<network<lenet>*>(nullptr));
    compare(static_cast<network<winding>*>(nullptr));
    compare(static_cast<network<tower>*>(nullptr));
}

namespace {
constexpr auto tall = compose(input{"n", {1}}, input{"x", {8, 20, 20}},
                              convolution{.output_channels = 12} | from("x") | named("conv"), relu{},
                              loop{compose(linear{.alpha = 0.5, .beta = 0.25} | from("conv") | named("half"),
                                           copy{} | from("half") | to("conv"))} | from("n"),
                              flatten{} | from("conv"), inner_product{.output_channels = 7} | named("y"), output{"y"});
}  // namespace

TEST_CASE("examples that do not fit the cache give the bits that they give two by two") {
    network<tall> net(1);
    constexpr std::size_t examples = 61, size = 8 * 20 * 20;
    std::vector<float> n(examples);
    for (std::size_t i = 0; i < examples; ++i) n[i] = static_cast<float>(i % 3);
    const std::vector<float> x = numbers(examples * size);
    const auto all = net.predict_batch(n, x);
    REQUIRE(net.core().chunk() < static_cast<extent>(examples));
    const std::vector<float> y(all.begin(), all.end());
    for (std::size_t i = 0; i + 2 <= examples; ++i) {
        const auto two = net.predict_batch(std::span(n).subspan(i, 2), std::span(x).subspan(i * size, 2 * size));
        REQUIRE(std::equal(two.begin(), two.end(), y.begin() + static_cast<std::ptrdiff_t>(7 * i)));
    }
}

namespace {
constexpr auto reading = compose(input{"x", {3, 8, 9}}, flatten{} | named("flat"), relu{} | named("positive"),
                                 concat{} | from("flat", "positive"), inner_product{.output_channels = 5});
}  // namespace

TEST_CASE("many examples are read where the caller has them, and stay as they are") {
    network<reading> net(1);
    constexpr std::size_t size = 3 * 8 * 9;
    const std::size_t input = net.plan().inputs[0];
    for (const std::size_t examples : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{700}}) {
        const std::vector<float> x = numbers(examples * size), before = x;
        const auto first = net.predict_batch(x);
        const std::vector<float> y(first.begin(), first.end());
        CHECK(x == before);
        CHECK(net.core().value(input) != x.data());
        const auto copied = net.predict_batch(std::vector<double>(x.begin(), x.end()));
        CHECK(std::equal(copied.begin(), copied.end(), y.begin(), y.end()));
    }
}

TEST_CASE("a result may be handed in again, or says that it cannot") {
    network<there_and_back> net(1), other(1);
    const auto copied = [](const auto& y) { return std::vector<float>(y.begin(), y.end()); };
    const auto twice = [&](const auto& call, const std::vector<float>& x) { return copied(call(copied(call(x)))); };
    const auto one = [&](const auto& x) { return other(x); };
    const auto many = [&](const auto& x) { return other.predict_batch(x); };
    const std::vector<float> x = numbers(100);
    CHECK(copied(net(net(x))) == twice(one, x));
    const auto y = net(x);
    CHECK(copied(net(std::span(y.data(), y.size()))) == twice(one, x));
    for (const std::size_t examples : {std::size_t{1}, std::size_t{3}, std::size_t{4000}}) {  // all at once, in chunks
        const std::vector<float> all = numbers(100 * examples);
        CHECK(copied(net.predict_batch(net.predict_batch(all))) == twice(many, all));
    }
    network<wider> grows(1);
    CHECK(what_is_thrown(errc::bad_argument, [&] { grows.predict_batch(grows.predict_batch(numbers(8))); }) ==
          "a result of the call before came, which had fewer examples and loses its place: copy it before the call");
}

TEST_CASE("a result that lies where another input was put is an error") {
    network<remembering> net(1), other(1);
    const std::array<float, 1> x{0.5F};
    const std::array<float, 8> zeros{};
    std::vector<float> a(8), b(8);
    const auto step = [&] {  // of the network whose states are copied
        const auto [y, next_a, next_b] = other(x, a, b);
        a.assign(next_a.begin(), next_a.end());
        b.assign(next_b.begin(), next_b.end());
        return y(0, 0);
    };
    const auto results = net(x, zeros, zeros);
    const auto& [y, next_a, next_b] = results;
    CHECK(y(0, 0) == step());
    CHECK(what_is_thrown(errc::bad_argument, [&] { net(x, std::get<1>(results), std::get<2>(results)); }) ==
          "input \"b\": a result of the call before came, which lies where input \"x\" lies now: copy it before the "
          "call");
    for (int i = 0; i < 3; ++i) {  // one of them is where no input is
        net(x, next_a, b);
        CHECK(y(0, 0) == step());
        CHECK(std::equal(a.begin(), a.end(), next_a.begin()));
    }
}

TEST_CASE("what finds no memory changes nothing") {
    network<lenet> net(8);
    const auto image = numbers(400), many = numbers(400 * 300);
    const auto y = to_vector(net(image));
    const auto unchanged = [&] {
        CHECK(net.core().how() == arithmetic{});
        CHECK(same_bits(to_vector(net(image)), y));
    };
    const auto failures = [&](const auto& action) { return with_scarce_memory(action, unchanged); };
    CHECK(failures([&] { net.predict_batch(many); }) > 0);
    unchanged();
    CHECK(failures([&] { net.use_threads(2); }) > 0);
    unchanged();
    // the working memory of the kernels is taken anew
    CHECK(failures([&] { network<lenet> copy(net); }) > 0);
    CHECK(failures([&] { net.use_threads(3), net.prepare(); }) > 0);
    CHECK(failures([&] { net.use_threads(2), net.initialize(9); }) > 0);
    CHECK_FALSE(same_bits(to_vector(net(image)), y));
    net.initialize(8);
    unchanged();
    CHECK(failures([&] { net.use({.winograd = false}); }) > 0);
    CHECK(net.core().how() == arithmetic{.winograd = false});
}

TEST_CASE("too many examples leave everything else as it was") {
    network<much_scratch> net;
    const auto x = numbers(2 * 3);
    CHECK(same_bits(to_vector(net.predict_batch(x)), x));
    CHECK(error_for_memory([&] { net.core().reserve(1 << 15, true); }) != "");
    net.prepare();
    CHECK(net.use_low_precision(low_precision::int8) == low_precision::none);
    CHECK(same_bits(to_vector(net.predict_batch(x)), x));

    network<mlp> small;
    const auto y = to_vector(small(numbers(32)));
    CHECK(error_for_memory([&] { small.core().reserve(extent{1} << 36); }) != "");
    small.use_threads(2);
    small.use({.winograd = false});
    small.prepare();
    CHECK(same_bits(to_vector(small(numbers(32))), y));
}

TEST_CASE("a network that was moved from has the threads of nobody") {
    network<mlp> from(3, 2);
    { const network<mlp> to = std::move(from); }
    CHECK(from.thread_count() == 1);
    CHECK_THROWS_AS(network<mlp>(from), error);
}

TEST_CASE("a program that finds no memory for other shapes goes on with those that it had") {
    program p = program_of(mlp);
    p.core().initialize(1);
    const auto x = numbers(32);
    const auto y = run(p, {x});
    const std::vector<program::named_shape> first{{"x", {32}}};
    const auto shaped = [&](extent rows) { return std::vector{program::named_shape{"x", {rows, 32}}}; };
    const auto unchanged = [&] {
        p.reshape(first);
        CHECK(run(p, {x}) == y);
    };
    CHECK(with_scarce_memory([&] { p.reshape(shaped(3)); }, [&] { CHECK(p.is_planned_for(first)); }) > 0);
    unchanged();
    CHECK(with_scarce_memory([&] { p.reshape(shaped(3)), run(p, {numbers(96)}); }, unchanged) > 0);
    for (extent rows = 4; rows < 24; ++rows) {
        CHECK(with_scarce_memory([&] { p.reshape(shaped(rows)); }, unchanged) > 0);
        CHECK(p.plan_count() <= program::most_plans);
    }
}
