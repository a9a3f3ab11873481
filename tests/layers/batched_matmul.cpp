#include <bespoke/layers/batched_matmul.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

FLOAT_IN_IMPLEMENTATION(batched_matmul)

using namespace bespoke;
using namespace layer_test;

namespace {

constexpr batched_matmul matmul(bool transpose_a = false, bool transpose_b = false) {
    return {.transpose_a = transpose_a, .transpose_b = transpose_b};
}
shape transposed_if(bool transpose, shape s) {
    if (transpose) std::swap(s.from_end(1), s.from_end(2));
    return s;
}

/// The extent `back` axes from the end, 1 where there is none.
extent back_or_one(const shape& s, std::size_t back) { return s.rank() >= back ? s.from_end(back) : 1; }

/// Element [leading index of y, i, j] of a blob whose leading axes are repeated.
double element(const shape& s, const std::vector<double>& values, std::size_t first, const shape& y,
               extent leading, extent i, extent j) {
    const extent columns = s.from_end(1);
    extent at = i * columns + j, step = columns * s.from_end(2);
    for (std::size_t back = 3; back <= y.rank(); ++back) {
        const extent size = back_or_one(s, back);
        if (size != 1) at += leading % y.from_end(back) * step;
        leading /= y.from_end(back);
        step *= size;
    }
    return values[first + static_cast<std::size_t>(at)];
}

/// y = a b by the definition, for a and b of rank 2 or more. `once`: input that is stored once (2: none).
std::vector<double> by_definition(bool ta, bool tb, const shape& a, const std::vector<double>& x,
                                  const shape& b, const std::vector<double>& z, const shape& y,
                                  extent examples, std::size_t once) {
    const extent m = y.from_end(2), n = y.from_end(1), k = ta ? a.from_end(2) : a.from_end(1);
    std::vector<double> values;
    for (extent e = 0; e < examples; ++e) {
        const auto fa = static_cast<std::size_t>(once == 0 ? 0 : e * a.size());
        const auto fb = static_cast<std::size_t>(once == 1 ? 0 : e * b.size());
        for (extent l = 0; l < y.product(0, y.rank() - 2); ++l)
            for (extent i = 0; i < m; ++i)
                for (extent j = 0; j < n; ++j) {
                    double sum = 0;
                    for (extent p = 0; p < k; ++p)
                        sum += (ta ? element(a, x, fa, y, l, p, i) : element(a, x, fa, y, l, i, p)) *
                               (tb ? element(b, z, fb, y, l, j, p) : element(b, z, fb, y, l, p, j));
                    values.push_back(sum);
                }
    }
    return values;
}

struct pair_of_shapes {
    shape a, b;  ///< without transposition
};
const std::vector<pair_of_shapes> pairs{
    {{2, 3}, {3, 4}},
    {{1, 1}, {1, 1}},
    {{1, 37}, {37, 5}},
    {{5, 2, 3}, {3, 4}},
    {{2, 3}, {5, 3, 4}},
    {{5, 2, 3}, {5, 3, 1}},
    {{2, 1, 2, 3}, {5, 3, 4}},
    {{2, 2, 17, 3}, {2, 2, 3, 19}},
    {{2, 3, 1, 1, 2}, {1, 3, 4, 2, 1}},
    {{3, 0}, {0, 2}},
    {{0, 3}, {3, 2}},
    {{0, 2, 3}, {3, 2}},
};

template <class T>
void check_products() {
    constexpr extent examples = 3;
    for (const auto& [a0, b0] : pairs)
        for (bool ta : {false, true})
            for (bool tb : {false, true})
                for (std::size_t once = 0; once <= 2; ++once) {
                    const shape a = transposed_if(ta, a0), b = transposed_if(tb, b0);
                    const std::vector<T> x = numbers<T>(a.size() * (once == 0 ? 1 : examples), 1);
                    const std::vector<T> z = numbers<T>(b.size() * (once == 1 ? 1 : examples), 2);
                    // an empty input does not tell how many examples there are
                    if (a.size() * b.size() == 0) continue;
                    const auto got = evaluate<T>(matmul(ta, tb), {{a, x, once == 0}, {b, z, once == 1}});
                    CAPTURE(a.rank(), b.rank(), ta, tb, once);
                    REQUIRE(distance(got.first(),
                                     by_definition(ta, tb, a, {x.begin(), x.end()}, b, {z.begin(), z.end()},
                                                   got.dimensions(), examples, once)) <=
                            32 * static_cast<double>(std::numeric_limits<T>::epsilon()));
                }
}

}  // namespace

TEST_CASE("batched_matmul: two inputs, by the definition") {
    check_products<float>();
    check_products<double>();
}

TEST_CASE("batched_matmul: two inputs, by hand") {
    REQUIRE(evaluate<float>(matmul(), {{{2, 2}, {1, 2, 3, 4}}, {{2, 2}, {5, 6, 7, 8}}}).first() ==
            std::vector<float>{19, 22, 43, 50});
    REQUIRE(evaluate<float>(matmul(true, false), {{{2, 2}, {1, 2, 3, 4}}, {{2, 2}, {5, 6, 7, 8}}}).first() ==
            std::vector<float>{26, 30, 38, 44});
    REQUIRE(evaluate<float>(matmul(false, true), {{{2, 2}, {1, 2, 3, 4}}, {{2, 2}, {5, 6, 7, 8}}}).first() ==
            std::vector<float>{17, 23, 39, 53});
    // a sum of nothing
    REQUIRE(evaluate<float>(matmul(), {{{2, 0}, {}}, {{0, 2}, {}}}).first() ==
            std::vector<float>{0, 0, 0, 0});
    REQUIRE(evaluate<float>(matmul(), {{{1, 0}, {}}, {{0, 2}, {}}}).first() == std::vector<float>{0, 0});
}

TEST_CASE("batched_matmul: vectors") {
    for (bool transpose : {false, true}) {  // which does nothing to a vector
        const auto dot = evaluate<float>(matmul(transpose, transpose), {{{3}, {1, 2, 3}}, {{3}, {4, 5, 6}}});
        REQUIRE(dot.dimensions() == shape{1, 1});
        REQUIRE(dot.first() == std::vector<float>{32});
        const auto row = evaluate<float>(matmul(transpose, false),
                                         {{{2}, {1, 2}}, {{2, 2, 3}, {1, 2, 3, 4, 5, 6, 0, 0, 1, 1, 0, 0}}});
        REQUIRE(row.dimensions() == shape{2, 1, 3});
        REQUIRE(row.first() == std::vector<float>{9, 12, 15, 2, 0, 1});
        const auto column =
            evaluate<float>(matmul(false, transpose), {{{2, 3}, {1, 2, 3, 4, 5, 6}}, {{3}, {1, 0, 2}}});
        REQUIRE(column.dimensions() == shape{2, 1});
        REQUIRE(column.first() == std::vector<float>{7, 16});
    }
}

TEST_CASE("batched_matmul: one input and weights") {
    // W = [[1, 2, 3], [4, 5, 6]] of shape [X1, X2] = [2, 3], stored column after column
    const batched_matmul layer{
        .weight_matrix_first_dimension = 2, .weight_matrix_second_dimension = 3, .has_bias = true};
    for (const shape& s : {shape{2}, shape{1, 2}, shape{1, 1, 1, 2}}) {
        const auto got = evaluate<float>(layer, {{s, {10, 1, 0, 2}}}, {{1, 4, 2, 5, 3, 6}, {100, 200, 300}});
        REQUIRE(got.dimensions().from_end(1) == 3);
        REQUIRE(got.dimensions().rank() == s.rank());
        REQUIRE(got.first() == std::vector<float>{114, 225, 336, 108, 210, 312});
    }
    // what is for two inputs does nothing
    batched_matmul odd = layer;
    odd.has_bias = false;
    odd.transpose_a = odd.transpose_b = true;
    REQUIRE(evaluate<float>(odd, {{{2, 2}, {10, 1, 0, 2}}}, {{1, 4, 2, 5, 3, 6}, {}}).first() ==
            std::vector<float>{14, 25, 36, 8, 10, 12});
}

TEST_CASE("batched_matmul: gradients") {
    for (bool has_bias : {false, true})
        for (const shape& s : {shape{4}, shape{3, 4}, shape{2, 3, 4}})
            require_gradients(batched_matmul{.weight_matrix_second_dimension = 3, .has_bias = has_bias}, {s});
    for (bool ta : {false, true})
        for (bool tb : {false, true}) {
            for (const auto& [a, b] : pairs)
                if (a.size() + b.size() < 40)
                    require_gradients(matmul(ta, tb), {transposed_if(ta, a), transposed_if(tb, b)});
            require_gradients(matmul(ta, tb), {{2, 3, 3}}, {.arguments = {0, 0}});
            require_gradients(matmul(ta, tb), {{3}, {2, 3, 3}});
            require_gradients(matmul(ta, tb), {{2, 3, 3}, {3}});
            require_gradients(matmul(ta, tb), {{3}, {3}});
        }
}

TEST_CASE("batched_matmul: the same bits with threads where there is much to do") {
    evaluate<float>(matmul(), {{{4, 3, 30, 40}, numbers<float>(3 * 14400)},
                                {{4, 3, 40, 50}, numbers<float>(3 * 24000)}});
    evaluate<float>(matmul(false, true),
                    {{{300, 60}, numbers<float>(18000)}, {{70, 60}, numbers<float>(4200)}});
    evaluate<float>(batched_matmul{.weight_matrix_second_dimension = 200},
                    {{{100, 90}, numbers<float>(9000)}}, {numbers<float>(18000), {}});
}

TEST_CASE("batched_matmul: gradients are the same bits for any number of threads") {
    const shape a{6, 30, 20}, b{6, 20, 40}, y{6, 30, 40};
    const auto x = numbers<float>(2 * a.size(), 1), z = numbers<float>(2 * b.size(), 2),
               g = numbers<float>(2 * y.size(), 3);
    const auto run = [&](const shape& b_shape, extent b_stride, std::size_t count) {
        thread_pool threads(count);
        std::vector<float> da(x.size(), 0.5f), db(z.size(), 0.25f);
        const shape shapes[] = {a, b_shape};
        const auto threads_wanted = static_cast<extent>(count);
        std::vector<float> scratch(
            static_cast<std::size_t>(matmul().scratch_size<float>(shapes, 2, threads_wanted)));
        using in = dynamic_view<const float>;
        using out = dynamic_view<float>;
        const in xs[] = {{x.data(), a, 2, a.size()}, {z.data(), b_shape, 2, b_stride}},
                 dys[] = {{g.data(), y, 2, y.size()}};
        const out dxs[] = {{da.data(), a, 2, a.size()}, {db.data(), b_shape, 2, b_stride}};
        workspace<float> w{scratch.data(), nullptr, &threads};
        using none = batched_matmul::parameters<in>;
        matmul().backward(std::span<const in>(xs), std::span<const in>(dys), std::span<const in>(dys),
                           std::span<const out>(dxs), none{}, batched_matmul::parameters<out>{}, w);
        da.insert(da.end(), db.begin(), db.end());
        return da;
    };
    for (std::size_t count : {std::size_t{2}, std::size_t{5}}) {
        REQUIRE(same_bits(run(b, b.size(), 1), run(b, b.size(), count)));
        REQUIRE(same_bits(run(b, 0, 1), run(b, 0, count)));
        REQUIRE(same_bits(run({20, 40}, 800, 1), run({20, 40}, 800, count)));
    }
}

TEST_CASE("batched_matmul: shapes and faults") {
    const shape matrices[] = {{2, 1, 4, 3}, {5, 3, 6}};
    REQUIRE(matmul().output_shape(matrices).shapes()[0] == shape{2, 5, 4, 6});
    const shape rows{4, 2, 3};
    const auto from = [](const batched_matmul& layer, std::span<const shape> xs, std::size_t rank) {
        std::vector<std::size_t> axes;
        for (std::size_t back = 1; back <= rank; ++back) axes.push_back(layer.entries_from(xs, back));
        return axes;
    };
    using axes = std::vector<std::size_t>;
    REQUIRE(from(matmul(), matrices, 4) == axes{0, 2, 0, 0});
    REQUIRE(from(matmul(true), matrices, 4) == axes{0, 1, 0, 0});
    REQUIRE(from(matmul(), {&rows, 1}, 3) == axes{0, 2, 3});
    const std::string place = "layers/0 \"layer\" (batchedMatmul): ";
    REQUIRE(fault_of(matmul(), {{2, 3}, {4, 5}}) ==
            place + "a matrix of 3 rows wanted on the right, it has 4 (shapes [2, 3] and [4, 5])");
    REQUIRE(fault_of(matmul(true, true), {{1, 3}, {4, 5}}) ==
            place +
                "a matrix of 1 row wanted on the right, it has 5 (shapes [1, 3] transposed and [4, 5] "
                "transposed)");
    REQUIRE(fault_of(matmul(), {{2, 2, 3}, {3, 3, 5}}) ==
            place + "leading axes wanted that are equal or 1, the shapes are [2, 2, 3] and [3, 3, 5]");
    REQUIRE(fault_of(matmul(), {{}, {3}}) ==
            place + "inputs of rank 1 or more wanted, their shapes are [] and [3]");
    REQUIRE(fault_of(matmul(), {{}}) == place + "an input of rank 1 or more wanted, its shape is []");
    REQUIRE(fault_of(matmul(), {{4, 3}}) ==
            place + "weightMatrixSecondDimension from 1 up wanted, -1 given");
    REQUIRE(fault_of(batched_matmul{.weight_matrix_second_dimension = 2}, {{4, 0}}) ==
            place + "an input that is not empty wanted, its shape is [4, 0]");
    REQUIRE(fault_of(batched_matmul{.weight_matrix_first_dimension = 5, .weight_matrix_second_dimension = 2},
                     {{4, 3}}) ==
            place + "a last axis of 5 (weightMatrixFirstDimension) wanted, the shape of its input is [4, 3]");
    const shape one[] = {{7, 3}};
    REQUIRE(batched_matmul{.weight_matrix_second_dimension = 2}.resolved(one).weight_matrix_first_dimension ==
            3);
    ask_everything(matmul(true, false));
    for (extent first : hostile_extents())
        for (extent second : hostile_extents()) {
            const batched_matmul garbage{.weight_matrix_first_dimension = first,
                                         .weight_matrix_second_dimension = second};
            for (const shape& s : hostile_shapes()) plan_of(garbage, {s});
        }
}

namespace {
inline constexpr auto attention =
    compose(input{"x", {2, 3, 4}}, batched_matmul{.transpose_b = true} | from("x", "x") | named("scores"),
            batched_matmul{} | from("scores", "x"),
            batched_matmul{.weight_matrix_second_dimension = 5, .has_bias = true});
}

TEST_CASE("batched_matmul: the same bits composed and at run time") {
    network<attention> net;
    REQUIRE(net(numbers<float>(24)).shape(2) == 5);
    REQUIRE(same_bits_unrolled(net, numbers<float>(24)));
}
