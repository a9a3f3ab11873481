#pragma once

#include <bespoke/graph/planner.hpp>

#include <catch2/catch.hpp>

#include <string>
#include <vector>

/// Layers that only plan, and a shorter way to tell a planner of them.
namespace graph_test {

using bespoke::extent;
using bespoke::outcome;
using bespoke::planner;
using bespoke::shape;

/// One input to any shape.
struct reshaped {
    shape to;

    static constexpr auto key = "reshaped";
    constexpr void fields(auto&) {}
    constexpr outcome output_shape(const shape& x) const {
        if (x.size() == 1313)
            return bespoke::shape_fault("anything but 1313 elements wanted, its input has the shape ", x);
        return to;
    }
    friend bool operator==(const reshaped&, const reshaped&) = default;
};

/// Keeps its shape, may work in place.
struct smooth {
    static constexpr auto key = "smooth";
    constexpr void fields(auto&) {}
    template <class V>
    V operator()(const V& x) const {
        return x;
    }
    template <class V>
    V derivative(const V&, const V&) const {
        return V(1);
    }
    friend bool operator==(const smooth&, const smooth&) = default;
};

/// Two or three inputs, as many outputs as it is told.
struct joined {
    std::size_t outputs = 1;

    static constexpr auto key = "joined";
    constexpr void fields(auto&) {}
    static constexpr bespoke::input_count inputs{2, 3};
    constexpr outcome output_shape(std::span<const shape> xs) const { return std::vector<shape>(outputs, xs[0]); }
    friend bool operator==(const joined&, const joined&) = default;
};

/// No input: does not depend on an example.
struct given {
    shape of;

    static constexpr auto key = "given";
    constexpr void fields(auto&) {}
    static constexpr bespoke::input_count inputs{0, 0};
    constexpr outcome output_shape(std::span<const shape>) const { return of; }
    friend bool operator==(const given&, const given&) = default;
};

/// Looks at the shape of its input, and not at its values.
struct extents_of {
    static constexpr auto key = "extentsOf";
    constexpr void fields(auto&) {}
    static constexpr bool reads_values = false;
    constexpr outcome output_shape(const shape& x) const { return x; }
    friend bool operator==(const extents_of&, const extents_of&) = default;
};

/// One number that is known.
struct number {
    double value = 0;

    static constexpr auto key = "number";
    constexpr void fields(auto&) {}
    static constexpr bespoke::input_count inputs{0, 0};
    constexpr outcome output_shape(std::span<const shape>) const { return shape{1}; }
    constexpr std::vector<double> known_output(std::span<const shape>, std::span<const bespoke::known_values>) const {
        return {value};
    }
    friend bool operator==(const number&, const number&) = default;
};

/// As many elements as its input says; more by one in what it says itself, as far as it knows.
struct stretched {
    static constexpr auto key = "stretched";
    constexpr void fields(auto&) {}
    static constexpr bespoke::input_count inputs{1, 1};
    constexpr outcome planned_shape(std::span<const shape>, std::span<const bespoke::known_values> known) const {
        if (const auto x = bespoke::known_input(known, 0)) return shape{static_cast<extent>((*x)[0])};
        return shape{bespoke::unset};
    }
    constexpr outcome output_shape(std::span<const shape> xs) const { return planned_shape(xs, {}); }
    friend bool operator==(const stretched&, const stretched&) = default;
};
struct increased {
    static constexpr auto key = "increased";
    constexpr void fields(auto&) {}
    constexpr outcome output_shape(const shape& x) const { return x; }
    constexpr std::vector<double> known_output(std::span<const shape>,
                                               std::span<const bespoke::known_values> known) const {
        if (const auto x = bespoke::known_input(known, 0)) return {(*x)[0] + 1};
        return {};
    }
    friend bool operator==(const increased&, const increased&) = default;
};

/// Two parameters.
struct weighted {
    extent size = 3;

    static constexpr auto key = "weighted";
    constexpr void fields(auto&) {}
    template <class T>
    struct parameters {
        T weights, bias;
    };
    template <class T>
    static constexpr auto parameter_fields =
        std::array{bespoke::parameter_field{"weights", &parameters<T>::weights, bespoke::initial::glorot},
                   bespoke::parameter_field{"bias", &parameters<T>::bias, bespoke::initial::zero, false}};
    constexpr outcome output_shape(const shape& x) const { return x; }
    constexpr parameters<shape> parameter_shapes(const shape& x) const { return {{size, x.size()}, {size}}; }
    friend bool operator==(const weighted&, const weighted&) = default;
};

/// Writes over what is there.
struct copied {
    static constexpr auto key = "copied";
    constexpr void fields(auto&) {}
    static constexpr bool overwrites = true;
    constexpr outcome output_shape(const shape& x) const { return x; }
    friend bool operator==(const copied&, const copied&) = default;
};

/// Calls what it is given while it is planned: a control layer for these tests.
template <class Plan>
struct controlled {
    const Plan* what;

    static constexpr auto key = "controlled";
    constexpr void fields(auto&) {}
    static constexpr bool control = true;
    static constexpr bespoke::input_count inputs{0, 1};
    constexpr void plan(planner& p, std::size_t step) const { (*what)(p, step); }
    friend bool operator==(const controlled&, const controlled&) { return true; }
};

using names = std::vector<std::string_view>;

template <class L>
constexpr void append(planner& p, const L& layer, const names& from = {}, const names& to = {},
                   std::string_view name = "") {
    p.add(layer, name, from, to, false);
}
template <class If, class Else>
constexpr void add_branch(planner& p, std::string_view condition, const If& if_side, const Else& else_side) {
    const auto plan = [&](planner& q, std::size_t step) {
        q.branch([&] { q.nested(step, "if", [&] { if_side(); }); },
                 [&] { q.nested(step, "else", [&] { else_side(); }); });
    };
    append(p, controlled<decltype(plan)>{&plan}, {condition});
}
template <class Body>
constexpr void add_loop(planner& p, const Body& body) {
    const auto plan = [&](planner& q, std::size_t step) {
        q.loop([&] { q.nested(step, "body", [&] { body(step); }); });
    };
    append(p, controlled<decltype(plan)>{&plan});
}

template <class Tell>
planner planned_by_all(const Tell& tell) {
    return bespoke::planned_by("", [&](planner& p) {
        tell(p);
        p.finish();
    });
}
/// The sentence of the fault, or "" where there is none.
template <class Tell>
std::string problem(const Tell& tell) {
    const planner p = planned_by_all(tell);
    return p.failed() ? std::string(p.problem().what.view()) : std::string();
}
template <class Tell>
bespoke::plan planned(const Tell& tell) {
    const planner p = planned_by_all(tell);
    if (p.failed()) FAIL(p.problem().what.view());
    return p.result();
}

inline std::string name_of(const bespoke::plan& plan, std::size_t blob) {
    return std::string(plan.view()[plan.blobs[blob].name]);
}
inline const bespoke::blob_facts& blob(const bespoke::plan& plan, std::string_view name) {
    const std::size_t number = plan.view().find_blob(name);
    if (number == bespoke::blob_facts::npos) FAIL("no blob " << name);
    return plan.blobs[number];
}
inline bool overlap(const bespoke::blob_facts& a, const bespoke::blob_facts& b) {
    return a.per_example == b.per_example && a.offset < b.offset + b.dimensions.size() &&
           b.offset < a.offset + a.dimensions.size();
}

}  // namespace graph_test
