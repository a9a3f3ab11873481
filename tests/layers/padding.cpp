#include <bespoke/layers/padding.hpp>
#include <bespoke/model/field_table.hpp>

#include <catch2/catch.hpp>

using namespace bespoke;

// Every window of an axis, tried one by one.
static extent count_windows(extent padded, extent kernel, extent stride) {
    extent count = 0;
    for (extent at = 0; at + kernel <= padded; at += stride) ++count;
    return count;
}

TEST_CASE("valid windows are those that fit into the padded extent") {
    for (extent size = 1; size <= 9; ++size)
        for (extent start = 0; start <= 3; ++start)
            for (extent end = 0; end <= 3; ++end)
                for (extent kernel = 1; kernel <= 6; ++kernel)
                    for (extent stride = 1; stride <= 4; ++stride) {
                        const window_axis axis = valid_windows(size, {start, end}, kernel, stride);
                        INFO(size << " " << start << " " << end << " " << kernel << " " << stride);
                        REQUIRE(axis.outputs == count_windows(size + start + end, kernel, stride));
                        REQUIRE(axis.before == start);
                    }
}

TEST_CASE("same windows: as many as size / stride rounded up, over the least padding that gives so many") {
    for (extent size = 1; size <= 12; ++size)
        for (extent kernel = 1; kernel <= 6; ++kernel)
            for (extent stride = 1; stride <= 5; ++stride) {
                extent outputs = 0, total = 0;
                for (extent at = 0; at < size; at += stride) ++outputs;
                while (count_windows(size + total, kernel, stride) < outputs) ++total;
                const window_axis right =
                    same_windows(size, same_padding_mode::bottom_right_heavy, kernel, stride);
                const window_axis left =
                    same_windows(size, same_padding_mode::top_left_heavy, kernel, stride);
                INFO(size << " " << kernel << " " << stride);
                REQUIRE(right.outputs == outputs);
                REQUIRE(left.outputs == outputs);
                REQUIRE(right.before == total / 2);
                REQUIRE(left.before == (total + 1) / 2);
            }
}

TEST_CASE("values outside the range of windows are named") {
    CHECK(!check_window("stride", {1, largest_window}, 1));
    CHECK(check_window("stride", {0, 1}, 1)->what.view() ==
          "stride from 1 to 2147483647 wanted, [0, 1] given");
    CHECK(check_window("stride", {1, largest_window + 1}, 1)->what.view() ==
          "stride from 1 to 2147483647 wanted, [1, 2147483648] given");
    CHECK(!check_padding(valid));
    CHECK(!check_padding(same));
    CHECK(!check_padding(padded(0, 1, 2, largest_window)));
    CHECK(check_padding(padded(0, 0, 0, -1))->what.view() ==
          "paddingAmounts from 0 to 2147483647 wanted, [0, -1] given");
    CHECK(check_padding(padded(extent{1} << 62, 0, 0, 0))->code == errc::bad_value);
}

TEST_CASE("names are those of the specification") {
    using detail::table_of;
    CHECK(table_of<valid_padding>::entries[0].key == "paddingAmounts");
    CHECK(table_of<border_amounts>::entries[0].key == "borderAmounts");
    CHECK(table_of<edge_sizes>::entries[0].key == "startEdgeSize");
    CHECK(table_of<edge_sizes>::entries[1].key == "endEdgeSize");
    CHECK(table_of<same_padding>::entries[0].key == "asymmetryMode");
    CHECK(enumerators(same_padding_mode{})[static_cast<std::size_t>(same_padding_mode::top_left_heavy)] ==
          "TOP_LEFT_HEAVY");
    CHECK(enumerators(same_padding_mode{})[static_cast<std::size_t>(same_padding_mode::bottom_right_heavy)] ==
          "BOTTOM_RIGHT_HEAVY");
}

TEST_CASE("padded: rows above and below, columns to the left and to the right") {
    constexpr auto edges = padded(1, 2, 3, 4).padding_amounts.edges;
    static_assert(edges[0] == edge_sizes{1, 2} && edges[1] == edge_sizes{3, 4});
    static_assert(valid == padded(0, 0, 0, 0));
    SUCCEED();
}
