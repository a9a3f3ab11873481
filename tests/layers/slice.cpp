#include <bespoke/layers/slice.hpp>

#include <bespoke/network/network.hpp>

#include "layer_test.hpp"

FLOAT_IN_IMPLEMENTATION(slice)
FLOAT_IN_IMPLEMENTATION(slice_static)

using namespace bespoke;
using namespace layer_test;

namespace {

/// The indices that Python's range(size)[begin:end:stride] holds, found by walking from element to element.
std::vector<extent> taken(extent size, extent begin, bool open_begin, extent end, bool open_end, extent stride) {
    std::vector<extent> indices;
    const auto place = [&](extent i) { return i < 0 ? i + size : i; };
    for (extent i = stride > 0 ? 0 : size - 1; i >= 0 && i < size; i += stride > 0 ? 1 : -1) {
        const bool begun = open_begin || (stride > 0 ? i >= place(begin) : i <= place(begin));
        const bool ended = !open_end && (stride > 0 ? i >= place(end) : i <= place(end));
        if (begun && !ended) indices.push_back(i);
    }
    std::vector<extent> strided;
    for (std::size_t i = 0; i < indices.size(); i += static_cast<std::size_t>(std::abs(stride)))
        strided.push_back(indices[i]);
    return strided;
}

}  // namespace

TEST_CASE("slice_static: the specification's examples, as numpy does them") {
    slice_static layer{.begin_ids = {1, 2, 3},
                       .begin_masks = {true, false, true},
                       .end_ids = {3, -3, 2},
                       .end_masks = {false, true, true},
                       .strides = {2, 2, 2},
                       .squeeze_masks = {false, false, false}};
    // np.arange(125).reshape(5, 5, 5)[:3:2, 2::2, ::2]
    auto got = evaluate<float>(layer, {{{5, 5, 5}, counted(125)}});
    REQUIRE(got.dimensions() == shape{2, 2, 3});
    REQUIRE(got.first() == std::vector<float>{10, 12, 14, 20, 22, 24, 60, 62, 64, 70, 72, 74});
    layer.squeeze_masks = {false, true, false};
    got = evaluate<float>(layer, {{{5, 5, 5}, counted(125)}});
    REQUIRE(got.dimensions() == shape{2, 3});
    REQUIRE(got.first() == std::vector<float>{10, 12, 14, 60, 62, 64});
}

TEST_CASE("slice_static: backwards, as numpy does it") {
    // np.arange(24).reshape(2, 3, 4)[1:2, ::-1, -1:0:-2]
    const auto got = evaluate<float>(slice_static{.begin_ids = {1, 0, -1},
                                                  .begin_masks = {false, true, false},
                                                  .end_ids = {2, 0, 0},
                                                  .end_masks = {false, true, false},
                                                  .strides = {1, -1, -2}},
                                     {{{2, 3, 4}, counted(24)}});
    REQUIRE(got.dimensions() == shape{1, 3, 2});
    REQUIRE(got.first() == std::vector<float>{23, 21, 19, 17, 15, 13});
    // np.arange(24).reshape(2, 3, 4)[:, -1, 1::2]
    const auto squeezed = evaluate<float>(slice_static{.begin_ids = {0, -1, 1},
                                                       .end_ids = {9, 0, 9},
                                                       .strides = {1, 0, 2},
                                                       .squeeze_masks = {false, true, false}},
                                          {{{2, 3, 4}, counted(24)}});
    REQUIRE(squeezed.dimensions() == shape{2, 2});
    REQUIRE(squeezed.first() == std::vector<float>{9, 11, 21, 23});
}

TEST_CASE("slice_static: every begin, end and stride along an axis") {
    for (extent size : {0, 1, 4})
        for (extent begin = -6; begin <= 6; ++begin)
            for (extent end = -6; end <= 6; ++end)
                for (extent stride : {-9, -3, -2, -1, 1, 2, 3, 9})
                    for (int open = 0; open < 4; ++open) {
                        CAPTURE(size, begin, end, stride, open);
                        const slice_static layer{.begin_ids = {0, begin, 0},
                                                 .begin_masks = {true, open % 2 == 1, true},
                                                 .end_ids = {0, end, 0},
                                                 .end_masks = {true, open / 2 == 1, true},
                                                 .strides = {1, stride, 1}};
                        const shape s{2, size, 3};
                        const auto got = evaluate_with<float>(nullptr, layer, {{s, counted(s.size())}});
                        std::vector<float> expected;
                        const auto indices = taken(size, begin, open % 2 == 1, end, open / 2 == 1, stride);
                        for (extent row = 0; row < 2; ++row)
                            for (extent i : indices)
                                for (extent k = 0; k < 3; ++k)
                                    expected.push_back(static_cast<float>((row * size + i) * 3 + k));
                        REQUIRE(got.dimensions() == shape{2, static_cast<extent>(indices.size()), 3});
                        REQUIRE(got.first() == expected);
                    }
}

TEST_CASE("slice_static: it makes the same of the entries that it reads") {
    int shorter = 0;
    for (extent begin = -6; begin <= 6; ++begin)
        for (extent end = -6; end <= 6; ++end)
            for (extent stride : {-2, -1, 1, 2, 9})
                for (int flags = 0; flags < 8; ++flags) {
                    CAPTURE(begin, end, stride, flags);
                    const bool squeezed = flags / 4 == 1;
                    if (squeezed && (begin < -4 || begin >= 4)) continue;
                    const slice_static layer{.begin_ids = {0, begin, 1},
                                             .begin_masks = {true, flags % 2 == 1, false},
                                             .end_ids = {1, end, 3},
                                             .end_masks = {true, flags / 2 % 2 == 1, false},
                                             .strides = {1, stride, 1},
                                             .squeeze_masks = {false, squeezed, false}};
                    const blob<float> x{{1, 4, 3}, counted(24)};
                    require_entries<float>(layer, {x}, {}, evaluate_with<float>(nullptr, layer, {x}));
                    const extent read = layer.entries_read({1, 4, 3});
                    REQUIRE(read >= 1);
                    REQUIRE(read <= 4);
                    shorter += read < 4;
                }
    REQUIRE(shorter > 500);
    const auto reads = [](const slice_static& layer, const shape& x) { return layer.entries_read(x); };
    REQUIRE(reads({.begin_ids = {0, 0}, .end_ids = {1, 9}}, {128, 9}) == 1);
    REQUIRE(reads({.begin_ids = {2, 0}, .end_ids = {9, 9}, .strides = {3, 1}}, {128, 9}) == 9);
    REQUIRE(reads({.begin_ids = {3, 0}, .end_ids = {0, 9}, .squeeze_masks = {true, false}}, {128, 9}) == 4);
    REQUIRE(reads({.begin_ids = {0, 0}, .end_ids = {-1, 9}}, {128, 9}) == 128);
    REQUIRE(reads({.begin_ids = {0}, .end_ids = {1}}, {1}) == 1);
    // in its terms
    const shape x[] = {{128, 1, 9}};
    REQUIRE(entries_of(slice{.start_index = 0, .end_index = 2}, x, {2, 1, 9}).read == 2);
    REQUIRE(entries_of(slice{.start_index = 0, .end_index = -2}, x, {126, 1, 9}).read == 128);
}

TEST_CASE("slice_static: all axes squeezed, an axis of no element") {
    const auto got =
        evaluate<float>(slice_static{.begin_ids = {1, -1}, .end_ids = {0, 0}, .squeeze_masks = {true, true}},
                        {{{2, 3}, counted(12)}});
    REQUIRE(got.dimensions() == shape{1});
    REQUIRE(got.first() == std::vector<float>{5, 11});
    REQUIRE(evaluate<float>(slice_static{}, {{{}, {7}}}).first() == std::vector<float>{7});
    REQUIRE(evaluate<float>(slice_static{.begin_ids = {0, 1}, .end_ids = {5, 2}}, {{{0, 3}, {}}}).dimensions() ==
            shape{0, 1});
}

TEST_CASE("slice_static, slice: with threads where there is much to do") {
    const shape s{40, 50, 30};
    const auto x = numbers<double>(2 * s.size());
    const slice_static layer{.begin_ids = {38, 3, 29}, .end_ids = {1, 45, 0}, .strides = {-2, 1, -3}};
    const auto got = evaluate<double>(layer, {{s, x}});
    std::vector<double> expected;
    for (std::size_t example = 0; example < 2; ++example)
        for (std::size_t i = 38; i > 1; i -= 2)
            for (std::size_t j = 3; j < 45; ++j)
                for (std::size_t k = 30; k > 1; k -= 3)
                    expected.push_back(x[((example * 40 + i) * 50 + j) * 30 + k - 1]);
    REQUIRE(got.first() == expected);
    evaluate<double>(slice{.start_index = 1, .end_index = -1, .axis = slice_axis::height}, {{s, x}});
}

TEST_CASE("slice_static: gradients") {
    require_gradients(slice_static{.begin_ids = {1, 0, -1}, .end_ids = {2, 3, 0}, .strides = {1, 2, -2}}, {{2, 3, 4}});
    require_gradients(
        slice_static{.begin_ids = {1, 0}, .end_ids = {2, 3}, .squeeze_masks = {true, false}}, {{2, 3}});
    require_gradients(slice_static{.begin_ids = {2}, .end_ids = {1}}, {{4}});  // nothing
}

TEST_CASE("slice_static: gradients are the same bits for any number of threads") {
    const slice_static layer{.begin_ids = {149, 1}, .end_ids = {0, 300}, .strides = {-1, 2}};
    const shape x{150, 300}, y{149, 150};
    REQUIRE(layer.output_shape(x).shapes()[0] == y);
    const auto dy = numbers<float>(y.size());
    const auto run = [&](std::size_t count) {
        thread_pool threads(count);
        std::vector<float> dx(45000, 0.25f);
        workspace<float> w{nullptr, nullptr, &threads};
        const dynamic_view<const float> g{dy.data(), y, 1, y.size()};
        layer.backward(g, g, g, dynamic_view<float>{dx.data(), x, 1, x.size()}, no_parameters{}, no_parameters{}, w);
        return dx;
    };
    const auto alone = run(1);
    std::vector<float> expected(45000, 0.25f);
    for (std::size_t i = 0; i < 149; ++i)
        for (std::size_t j = 0; j < 150; ++j) expected[(149 - i) * 300 + 1 + 2 * j] += dy[i * 150 + j];
    REQUIRE(same_bits(alone, expected));
    REQUIRE(same_bits(alone, run(2)));
    REQUIRE(same_bits(alone, run(5)));
}

TEST_CASE("slice_static: faults") {
    static_assert(slice_static{.begin_ids = {1}, .end_ids = {3}}.output_shape(shape{5}).shapes()[0] == shape{2});
    const std::string place = "layers/0 \"layer\" (sliceStatic): ";
    const auto missing = [&](const char* name, const char* came) {
        return place + "a value of " + name + " for each axis wanted, " + came + " given for the shape [2, 3]";
    };
    const slice_static good{.begin_ids = {0, 0}, .end_ids = {1, 1}};
    REQUIRE(fault_of(good, {{2, 3}}).empty());
    slice_static bad = good;
    bad.begin_ids = {0};
    REQUIRE(fault_of(bad, {{2, 3}}) == missing("beginIds", "1"));
    bad = good;
    bad.end_ids = {};
    REQUIRE(fault_of(bad, {{2, 3}}) == missing("endIds", "0"));
    bad = good;
    bad.strides = {1, 1, 1};
    REQUIRE(fault_of(bad, {{2, 3}}) == missing("strides", "3"));
    bad = good;
    bad.begin_masks = {true};
    REQUIRE(fault_of(bad, {{2, 3}}) == missing("beginMasks", "1"));
    bad = good;
    bad.end_masks = {true};
    REQUIRE(fault_of(bad, {{2, 3}}) == missing("endMasks", "1"));
    bad = good;
    bad.squeeze_masks = {true};
    REQUIRE(fault_of(bad, {{2, 3}}) == missing("squeezeMasks", "1"));
    bad = good;
    bad.strides = {1, 0};
    REQUIRE(fault_of(bad, {{2, 3}}) == place + "strides other than 0 wanted, [1, 0] given");
    bad.squeeze_masks = {false, true};
    REQUIRE(fault_of(bad, {{2, 3}}).empty());
    bad.begin_ids = {0, 3};
    REQUIRE(fault_of(bad, {{2, 3}}) ==
            place + "an element of axis 1 wanted, beginIds [0, 3] given for the shape [2, 3]");
    bad.begin_ids = {0, -4};
    REQUIRE(fault_of(bad, {{2, 3}}) ==
            place + "an element of axis 1 wanted, beginIds [0, -4] given for the shape [2, 3]");
    for (extent a : hostile_extents())
        for (extent b : hostile_extents())
            for (extent c : hostile_extents()) {
                const slice_static one{.begin_ids = {a}, .end_ids = {b}, .strides = {c}};
                const slice_static two{.begin_ids = {a, b}, .end_ids = {b, c}, .strides = {c, a}};
                for (const shape& s : hostile_shapes()) {
                    if (s.rank() == 1) plan_of(one, {s});
                    if (s.rank() == 2) plan_of(two, {s});
                }
            }
}

TEST_CASE("slice: along each axis") {
    const shape s{2, 3, 4};
    // np.arange(24).reshape(2, 3, 4)[1:], [:, 0:-1:2], [:, :, -2:]
    REQUIRE(evaluate<float>(slice{.start_index = 1}, {{s, counted(24)}}).first() ==
            std::vector<float>{12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23});
    const auto rows =
        evaluate<float>(slice{.end_index = -1, .stride = 2, .axis = slice_axis::height}, {{s, counted(24)}});
    REQUIRE(rows.dimensions() == shape{2, 1, 4});
    REQUIRE(rows.first() == std::vector<float>{0, 1, 2, 3, 12, 13, 14, 15});
    const auto columns = evaluate<float>(slice{.start_index = -2, .axis = slice_axis::width}, {{s, counted(24)}});
    REQUIRE(columns.dimensions() == shape{2, 3, 2});
    REQUIRE(columns.first() == std::vector<float>{2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23});
    require_gradients(slice{.start_index = 1, .stride = 2, .axis = slice_axis::height}, {{2, 5, 2}});
}

TEST_CASE("slice: an end of 0, which a document leaves out, is the end of the axis") {
    const slice last{.start_index = 2, .end_index = 0, .axis = slice_axis::width};
    const auto got = evaluate<float>(last, {{{1, 2, 4}, counted(8)}});
    REQUIRE(got.dimensions() == shape{1, 2, 2});
    REQUIRE(got.first() == std::vector<float>{2, 3, 6, 7});
    REQUIRE(slice{.start_index = 1}.output_shape(shape{2, 3, 4}).shapes()[0] == shape{1, 3, 4});
    REQUIRE(slice{}.output_shape(shape{0, 3, 4}).shapes()[0] == shape{0, 3, 4});
}

TEST_CASE("slice: faults") {
    const std::string place = "layers/0 \"layer\" (slice): ";
    REQUIRE(fault_of(slice{}, {{2, 3}}) == place + "an input of rank 3 or more wanted, its shape is [2, 3]");
    REQUIRE(fault_of(slice{.axis = slice_axis::width}, {{}}) ==
            place + "an input of rank 1 or more wanted, its shape is []");
    REQUIRE(fault_of(slice{.stride = 0}, {{2, 3, 4}}) == place + "a stride from 1 up wanted, 0 given");
    for (extent a : hostile_extents())
        for (extent b : hostile_extents())
            for (slice_axis axis : {slice_axis::channel, slice_axis::height, slice_axis::width})
                ask_everything(slice{a, b, 3, axis});
    for (extent stride : hostile_extents()) ask_everything(slice{.stride = stride});
}

namespace {
inline constexpr auto parts =
    compose(input{"x", {3, 4, 5}}, slice_static{.begin_ids = {0, 3, 1}, .end_ids = {3, 0, 5}, .strides = {1, -1, 2}},
            slice{.start_index = 1, .axis = slice_axis::height});
}

TEST_CASE("slice_static, slice: the same bits composed and at run time") {
    network<parts> net;
    const auto x = numbers<float>(60);
    const auto y = net(x);
    REQUIRE(y.shape(1) == 2);
    REQUIRE(y.shape(2) == 2);
    REQUIRE(y(0, 0, 0) == x[2 * 5 + 1]);
    REQUIRE(same_bits_unrolled(net, x));
}
