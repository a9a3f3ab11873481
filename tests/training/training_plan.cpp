#include <bespoke/control/repeat.hpp>
#include <bespoke/control/residual.hpp>
#include <bespoke/graph/planner.hpp>
#include <bespoke/layers/activation.hpp>
#include <bespoke/layers/batchnorm.hpp>
#include <bespoke/layers/gelu.hpp>
#include <bespoke/layers/reshape_static.hpp>
#include <bespoke/layers/softmax.hpp>
#include <bespoke/training/training_plan.hpp>

#include "lottery.hpp"

#include <catch2/catch.hpp>

#include <set>
#include <string>
#include <vector>

using namespace bespoke;
using training_test::lottery;

namespace {

constexpr std::size_t npos = blob_facts::npos;

/// A number that does not depend on an input.
struct fixed_number {
    static constexpr auto key = "fixedNumber";
    constexpr void fields(auto&) {}
    static constexpr input_count inputs{0, 0};
    constexpr outcome output_shape(std::span<const shape>) const { return shape{1}; }
    [[maybe_unused]] friend bool operator==(const fixed_number&, const fixed_number&) = default;
};

template <class Description>
planner planned(const Description& description) {
    planner p;
    description.plan(p);
    p.finish();
    if (p.failed()) FAIL(p.problem().what.view());
    return p;
}

/// A loss on each of the blobs; one that begins with ~ is a cross-entropy.
std::vector<loss_site> losses_on(const plan_view& p, const std::vector<std::string>& blobs) {
    std::vector<loss_site> sites;
    for (const std::string& name : blobs) {
        const bool entropy = name[0] == '~';
        const std::size_t output = p.find_blob(entropy ? name.substr(1) : name);
        REQUIRE(output != npos);
        loss_site site{output, output};
        if (entropy) {
            REQUIRE(softmax_of(p, output) != npos);
            site.input = p.inputs_of(softmax_of(p, output))[0];
        }
        sites.push_back(site);
    }
    return sites;
}

/// Plays a mini-batch in memory cells that hold tags instead of numbers: which blob, value or gradient, and for
/// values which step wrote it. A loop or branch runs twice in a row, as if for two iterations or two examples.
class simulation {
public:
    simulation(const plan_view& p, const training_plan<float>& t, const std::vector<loss_site>& losses)
        : p_(p), t_(t), cells_{std::vector<tag>(static_cast<std::size_t>(t.shared_size)),
                               std::vector<tag>(static_cast<std::size_t>(t.arena_size))} {
        version_.assign(p.blobs.size(), npos);
        // what the frozen steps leave, as the trained steps must see it
        for (std::size_t s = 0; s < p.steps.size(); ++s)
            for (std::size_t b : p.outputs_of(s))
                if (!t.trained_steps[s]) version_[b] = s;
        const std::vector<std::size_t> kept = version_;
        for (std::size_t b : t.borders) write(b, false, version_[b]);

        each_unit([&](std::size_t first, std::size_t end, int times) {
            for (int i = 0; i < times; ++i)
                for (std::size_t s = first; s < end; ++s) forward(s, times > 1);
        });
        for (const auto& l : losses) {
            if (t.has_gradient[l.input]) write(l.input, true);
        }
        for (const auto& l : losses) {
            expect(l.input, false, true, "loss");
            expect(l.output, false, true, "loss");
            if (t.has_gradient[l.input]) expect(l.input, true, false, "loss");
        }
        std::vector<std::array<std::size_t, 3>> units;
        each_unit([&](std::size_t first, std::size_t end, int times) {
            units.push_back({first, end, static_cast<std::size_t>(times)});
        });
        for (std::size_t u = units.size(); u-- > 0;) {
            const auto [first, end, times] = units[u];
            for (std::size_t b : t.births[first]) {
                REQUIRE(t.has_gradient[b]);
                write(b, true);
            }
            for (std::size_t i = 0; i < times; ++i)
                for (std::size_t s = end; s-- > first;) backward(s, times > 1);
        }
    }

private:
    struct tag {
        std::size_t blob = npos;
        bool gradient = false;
        std::size_t version = npos;
        bool operator==(const tag&) const = default;
    };

    template <class Visit>
    void each_unit(const Visit& visit) {
        for (std::size_t s = 0; s < p_.steps.size(); s = p_.steps[s].end) {
            for (std::size_t i = s; i < p_.steps[s].end; ++i)
                REQUIRE(t_.trained_steps[i] == t_.trained_steps[s]);
            if (t_.trained_steps[s])
                visit(s, p_.steps[s].end, p_.steps[s].control ? 2 : 1);
            else
                REQUIRE(t_.births[s].empty());
        }
    }
    std::span<tag> place(std::size_t blob, bool gradient) {
        const extent offset = gradient ? t_.gradient_offset[blob] : t_.value_offset[blob];
        const extent size = p_.blobs[blob].dimensions.size();
        auto& memory = cells_[p_.blobs[blob].per_example ? 1 : 0];
        INFO("blob " << p_[p_.blobs[blob].name] << (gradient ? ", gradient" : ", value"));
        REQUIRE(offset >= 0);
        REQUIRE(offset % 16 == 0);
        REQUIRE(offset + size <= static_cast<extent>(memory.size()));
        return std::span(memory).subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
    }
    void write(std::size_t blob, bool gradient, std::size_t version = npos) {
        for (tag& cell : place(blob, gradient)) cell = {blob, gradient, version};
    }
    void expect(std::size_t blob, bool gradient, bool exact, const std::string& who) {
        for (const tag& cell : place(blob, gradient)) {
            INFO(who << " reads the " << (gradient ? "gradient" : "value") << " of "
                     << p_[p_.blobs[blob].name] << " and finds "
                     << (cell.gradient ? "the gradient" : "the value") << " of "
                     << (cell.blob == npos ? "nothing" : p_[p_.blobs[cell.blob].name]));
            REQUIRE(cell.blob == blob);
            REQUIRE(cell.gradient == gradient);
            if (!gradient && exact) REQUIRE(cell.version == version_[blob]);
        }
    }
    void forward(std::size_t s, bool again) {
        if (t_.finished[s]) return;
        read(s, npos, again);
        std::size_t last = s;
        for (std::size_t next = p_.steps[s].next; next != npos && t_.finished[next]; next = p_.steps[next].next) {
            REQUIRE(p_.steps[next].head == s);
            read(next, p_.outputs_of(last)[0], again);
            version_[p_.outputs_of(last)[0]] = last;
            last = next;
        }
        for (std::size_t b : p_.outputs_of(last)) {
            if (p_.steps[last].logged) log_.push_back(version_[b]);
            version_[b] = last;
            write(b, false, last);
        }
    }
    /// All inputs of step s are there, but for one that is between two steps of an epilogue.
    void read(std::size_t s, std::size_t between, bool again) {
        const std::string who = "forward pass of " + std::string(p_[p_.steps[s].place]);
        // the first time round, an inner step may read what a later one writes
        for (std::size_t b : p_.inputs_of(s)) {
            if (b == between) continue;
            if (!again) {
                // the last writer before this step, frozen or not
                std::size_t writer = npos;
                for (std::size_t before = 0; before < s; ++before)
                    for (std::size_t out : p_.outputs_of(before))
                        if (out == b) writer = before;
                INFO(who << ": " << p_[p_.blobs[b].name]);
                const bool in_control = writer != npos && p_.steps[writer].parent != npos;
                if (!in_control) REQUIRE(version_[b] == writer);
            }
            expect(b, false, !again, who);
        }
    }
    void backward(std::size_t s, bool again) {
        const step_facts& step = p_.steps[s];
        const std::string who = "backward pass of " + std::string(p_[step.place]);
        bool any = false;
        for (std::size_t b : p_.outputs_of(s)) any |= t_.has_gradient[b] != 0;
        if (step.differentiable && any) {
            if (step.needs.input)
                for (std::size_t b : p_.inputs_of(s)) expect(b, false, !again, who);
            if (step.needs.output)
                for (std::size_t b : p_.outputs_of(s)) expect(b, false, !again, who);
            for (std::size_t b : p_.outputs_of(s))
                if (t_.has_gradient[b]) expect(b, true, false, who);
            for (std::size_t b : p_.inputs_of(s)) {
                if (!t_.has_gradient[b]) continue;
                const std::size_t y = p_.outputs_of(s)[0];
                if (t_.gradient_offset[b] == t_.gradient_offset[y] &&
                    p_.blobs[b].per_example == p_.blobs[y].per_example && t_.has_gradient[y]) {
                    REQUIRE(step.gradient_in_place);
                    write(b, true);  // over that of y, instead of adding to what was zero
                }
                expect(b, true, false, who);
            }
        }
        if (!step.logged) return;
        for (std::size_t i = p_.outputs_of(s).size(); i-- > 0;) {
            const std::size_t b = p_.outputs_of(s)[i];
            version_[b] = log_.back();
            log_.pop_back();
            write(b, false, version_[b]);
            if (t_.has_gradient[b]) write(b, true);
        }
    }

    const plan_view& p_;
    const training_plan<float>& t_;
    std::array<std::vector<tag>, 2> cells_;
    std::vector<std::size_t> version_, log_;
};

struct planned_training {
    std::set<std::string> trained, borders;
    std::vector<std::string> reasons;
    training_plan<float> plan;
};

/// Plans the training, plays it, and gives names.
planned_training train_plan(const planner& planner, const std::vector<std::string>& losses,
                            train which = train::updatable_layers) {
    const plan_view p = planner.result().view();
    const auto sites = losses_on(p, losses);
    planned_training r{{}, {}, {}, training_plan<float>(p, which, sites)};
    for (std::size_t s = 0; s < p.steps.size(); ++s)
        if (r.plan.trained_steps[s]) r.trained.insert(std::string(p[p.steps[s].name]));
    for (std::size_t b : r.plan.borders) r.borders.insert(std::string(p[p.blobs[b].name]));
    r.reasons = r.plan.reasons;
    simulation(p, r.plan, sites);
    return r;
}

using names = std::set<std::string>;

constexpr auto dense = [](extent n) { return inner_product{.output_channels = n}; };

}  // namespace

TEST_CASE("in a chain everything before the first updatable layer is frozen") {
    const auto p = planned(compose(input{"x", {8}}, dense(6) | named("a"), bespoke::tanh{} | named("b"),
                                   dense(5) | named("c") | updatable, bespoke::tanh{} | named("d"),
                                   dense(3) | named("e"), softmax_nd{} | named("f")));
    const auto r = train_plan(p, {"~f"});
    REQUIRE(r.trained == names{"c", "d", "e", "f"});
    REQUIRE(r.borders == names{"b"});
    REQUIRE(r.reasons.empty());
    const plan_view v = p.result().view();
    REQUIRE_FALSE(r.plan.has_gradient[v.find_blob("b")]);
    REQUIRE(r.plan.has_gradient[v.find_blob("c")]);
    REQUIRE(r.plan.has_gradient[v.find_blob("e")]);
    REQUIRE_FALSE(r.plan.has_gradient[v.find_blob("f")]);  // the loss goes around the softmax
    // only c learns: weights and bias
    REQUIRE(r.plan.learning == std::vector<char>{0, 0, 1, 1, 0, 0});
    const auto all = train_plan(p, {"~f"}, train::all_layers);
    REQUIRE(all.trained == names{"a", "b", "c", "d", "e", "f"});
    REQUIRE(all.borders == names{"x"});
    REQUIRE_FALSE(all.plan.has_gradient[v.find_blob("x")]);
}

TEST_CASE("in a diamond the side without updatable layers is frozen, and crosses the border") {
    const auto p = planned(
        compose(input{"x", {4}}, dense(4) | named("stem"), dense(4) | named("left") | from("stem"),
                bespoke::tanh{} | named("left2"), dense(4) | named("right") | from("stem") | updatable,
                bespoke::tanh{} | named("right2"), add{} | named("sum") | from("left2", "right2"),
                multiply{} | named("y") | from("sum", "stem")));
    const auto r = train_plan(p, {"y"});
    REQUIRE(r.trained == names{"right", "right2", "sum", "y"});
    REQUIRE(r.borders == names{"stem", "left2"});
}

TEST_CASE("a frozen head beside the trained one is not run again") {
    const auto p =
        planned(compose(input{"x", {4}}, dense(4) | named("stem"), dense(2) | named("head") | updatable,
                        dense(3) | named("other") | from("stem"), output{"head"}, output{"other"}));
    const auto r = train_plan(p, {"head", "other"});  // a loss may look at a frozen blob
    REQUIRE(r.trained == names{"head"});
    REQUIRE(r.borders == names{"stem", "other"});
    REQUIRE(r.reasons.empty());
}

TEST_CASE("residual and repeat") {
    const auto p =
        planned(compose(input{"x", {4}}, repeat<3>(residual(dense(4) | named("a"), bespoke::tanh{}), "block"),
                        dense(2) | named("y") | updatable));
    REQUIRE(train_plan(p, {"y"}).trained == names{"y"});
    const auto all = train_plan(p, {"y"}, train::all_layers);
    REQUIRE(all.trained.size() == 10);
    REQUIRE(all.borders == names{"x"});
}

TEST_CASE("a branch is trained as a whole, and its memory is not shared") {
    const auto description = compose(
        input{"c", {1}}, input{"x", {4}}, dense(4) | named("before") | from("x"),
        branch{compose(dense(2) | named("i1") | from("before") | updatable, bespoke::tanh{} | named("i2"),
                       dense(8) | named("i3"), dense(3) | named("i4") | to("y")),
               compose(dense(9) | named("e1") | from("before"), bespoke::tanh{} | named("e2"),
                       dense(3) | named("e3") | to("y"))} |
            named("branch") | from("c"),
        bespoke::tanh{} | named("after") | from("y"));
    const auto r = train_plan(planned(description), {"after"});
    REQUIRE(r.trained == names{"branch", "i1", "i2", "i3", "i4", "e1", "e2", "e3", "after"});
    REQUIRE(r.borders == names{"c", "before"});
}

TEST_CASE("a loop is trained as a whole") {
    const auto body = compose(dense(4) | named("step") | from("h") | updatable,
                              bespoke::tanh{} | named("bounded"), copy{} | named("carry") | to("h"));
    const auto r =
        train_plan(planned(compose(input{"x", {4}}, dense(4) | named("h"), loop{body, 3} | named("loop"),
                                   dense(2) | named("y") | from("h"))),
                   {"y"});
    REQUIRE(r.trained == names{"loop", "step", "bounded", "carry", "y"});
    REQUIRE(r.borders == names{"h"});  // its value before the loop, though the loop writes over it
}

TEST_CASE("a loop before the first updatable layer is frozen, with the values that it carries") {
    const auto body = compose(dense(4) | named("step") | from("h"), bespoke::tanh{} | named("bounded"),
                              copy{} | named("carry") | to("h"));
    const auto r =
        train_plan(planned(compose(input{"x", {4}}, dense(4) | named("h"), loop{body, 3} | named("loop"),
                                   dense(2) | named("y") | from("h") | updatable)),
                   {"y"});
    REQUIRE(r.trained == names{"y"});
    REQUIRE(r.borders == names{"h"});
}

TEST_CASE("a loop with a trained condition is trained") {
    const auto condition = compose(bespoke::tanh{} | named("go") | from("gate"));
    const auto body = compose(bespoke::tanh{} | named("z") | from("x"));
    const auto r = train_plan(planned(compose(input{"x", {1}}, dense(1) | named("gate") | updatable,
                                              loop{body, 3, condition, "go"} | named("loop"),
                                              multiply{} | named("y") | from("z", "gate"))),
                              {"y"});
    REQUIRE(r.trained == names{"gate", "loop", "go", "z", "y"});
    // the condition variable may be any blob
    const auto direct = train_plan(
        planned(compose(
            input{"x", {1}}, dense(1) | named("gate") | updatable,
            loop{body, 3, compose(bespoke::tanh{} | named("unused") | from("x")), "gate"} | named("loop"),
            multiply{} | named("y") | from("z", "gate"))),
        {"y"});
    REQUIRE(direct.trained == names{"gate", "loop", "unused", "z", "y"});
}

TEST_CASE("what writes over a blob after a trained step has read it runs in every mini-batch") {
    const auto p =
        planned(compose(input{"x", {4}}, dense(4) | named("a") | to("v"),      // frozen
                        bespoke::tanh{} | named("early") | from("v"),          // frozen
                        dense(4) | named("first") | from("v") | updatable,     // reads the old v
                        bespoke::tanh{} | named("new value") | from("early"),  // frozen
                        copy{} | named("over") | from("new value") | to("v"),  // must not run before `first`
                        bespoke::tanh{} | named("late") | from("v"),           // reads the new v
                        add{} | named("y") | from("first", "late")));
    const auto r = train_plan(p, {"y"});
    REQUIRE(r.trained == names{"first", "over", "late", "y"});
    REQUIRE(r.borders == names{"v", "new value"});
    // before any trained step it may
    const auto frozen = train_plan(
        planned(compose(input{"x", {4}}, dense(4) | named("a") | to("v"),
                        bespoke::tanh{} | named("early") | from("v"),
                        copy{} | named("over") | from("early") | to("v"),
                        bespoke::tanh{} | named("late") | from("v"), dense(4) | named("y") | updatable)),
        {"y"});
    REQUIRE(frozen.trained == names{"y"});
    REQUIRE(frozen.borders == names{"late"});
}

TEST_CASE("an input that is written over keeps its value for the steps before") {
    const auto p = planned(compose(
        input{"x", {4}}, dense(4) | named("first") | updatable, bespoke::tanh{} | named("t") | from("x"),
        copy{} | named("over") | from("t") | to("x"), add{} | named("y") | from("first", "x")));
    const auto r = train_plan(p, {"y"});
    REQUIRE(r.trained == names{"first", "over", "y"});
    REQUIRE(r.borders == names{"x", "t"});
    // frozen: the border is the new value
    const auto q =
        planned(compose(input{"x", {4}}, bespoke::tanh{} | named("t") | from("x"),
                        copy{} | named("over") | from("t") | to("x"), dense(4) | named("y") | updatable));
    REQUIRE(train_plan(q, {"y"}).trained == names{"y"});
    REQUIRE(train_plan(q, {"y"}).borders == names{"x"});
}

TEST_CASE("a gradient begins at the last step that touches the blob, also where that writes over it") {
    // nobody reads v behind `over`, whose backward pass reads the gradient of v all the same
    const auto p = planned(compose(
        input{"x", {4}}, dense(4) | named("a") | to("v") | updatable, dense(4) | named("y") | from("v"),
        bespoke::tanh{} | named("t") | from("y"), copy{} | named("over") | from("t") | to("v"), output{"y"}));
    const auto r = train_plan(p, {"y"});
    const plan_view v = p.result().view();
    const auto& births = r.plan.births[v.find_step("over")];
    REQUIRE(std::find(births.begin(), births.end(), v.find_blob("v")) != births.end());
}

TEST_CASE("a gradient that a later step reads is not written over that of the only reader's output") {
    for (const bool again : {false, true}) {
        CAPTURE(again);
        const auto till_y = [](const auto&... behind) {
            return planned(compose(input{"x", {4}}, dense(4) | named("a") | to("v") | updatable,
                                   bespoke::tanh{} | named("y") | from("v"), behind..., output{"y"}));
        };
        const planner p = again ? till_y(copy{} | named("over") | from("x") | to("v")) : till_y();
        const auto r = train_plan(p, {"y"});
        const plan_view v = p.result().view();
        const auto at = [&](const char* name) { return r.plan.gradient_offset[v.find_blob(name)]; };
        REQUIRE((at("v") == at("y")) == !again);
    }
}

TEST_CASE("blobs that are stored once have places of their own") {
    const auto p = planned(compose(fixed_number{} | named("one"), dense(3) | named("w") | updatable,
                                   input{"x", {3}}, multiply{} | named("y") | from("x", "w")));
    const auto r = train_plan(p, {"y", "w"});
    REQUIRE(r.trained == names{"w", "y"});
    REQUIRE(r.borders == names{"one", "x"});
    REQUIRE(r.plan.shared_size >= 2 * 16);  // w and its gradient
}

TEST_CASE("batch normalisation over the mini-batch is never frozen") {
    const auto p = planned(compose(input{"x", {2, 3, 3}}, batchnorm{.compute_mean_var = true} | named("n"),
                                   dense(2) | named("y") | updatable));
    REQUIRE(train_plan(p, {"y"}).trained == names{"n", "y"});
    const auto q = planned(compose(input{"x", {2, 3, 3}},
                                   batchnorm{.compute_mean_var = true, .instance_normalization = true},
                                   batchnorm{}, dense(2) | named("y") | updatable));
    REQUIRE(train_plan(q, {"y"}).trained == names{"y"});
}

TEST_CASE("the softmax of a cross-entropy") {
    const auto maker = [](const auto& description, const char* blob) {
        const planner p = planned(description);
        const plan_view v = p.result().view();
        const std::size_t s = softmax_of(v, v.find_blob(blob));
        return s == npos ? std::string("none") : std::string(v[v.steps[s].name]);
    };
    REQUIRE(maker(compose(input{"x", {4}}, softmax_nd{} | named("p")), "p") == "p");
    REQUIRE(maker(compose(input{"x", {4, 1, 1}}, softmax{} | named("p")), "p") == "p");
    REQUIRE(maker(compose(input{"x", {1, 4, 1, 1}}, softmax{} | named("p")), "p") == "p");
    REQUIRE(maker(compose(input{"x", {1, 4}}, softmax_nd{} | named("p")), "p") == "p");
    // several distributions in one example
    REQUIRE(maker(compose(input{"x", {4, 2, 2}}, softmax{} | named("p")), "p") == "none");
    REQUIRE(maker(compose(input{"x", {2, 4, 1, 1}}, softmax{} | named("p")), "p") == "none");
    REQUIRE(maker(compose(input{"x", {2, 4}}, softmax_nd{} | named("p")), "p") == "none");
    REQUIRE(maker(compose(input{"x", {4, 1}}, softmax_nd{} | named("p")), "p") == "none");
    // no softmax
    REQUIRE(maker(compose(input{"x", {4}}, bespoke::tanh{} | named("p")), "p") == "none");
    REQUIRE(maker(compose(input{"x", {4}}, bespoke::tanh{} | named("p")), "x") == "none");
    // what went in, or what came out, is written over
    REQUIRE(maker(compose(input{"x", {4}}, softmax_nd{} | named("p"), bespoke::tanh{} | named("t"),
                          copy{} | named("c") | to("p")),
                  "p") == "none");
    REQUIRE(maker(compose(input{"x", {4}}, softmax_nd{} | named("p"), bespoke::tanh{} | named("t"),
                          copy{} | named("c") | to("x")),
                  "p") == "none");
    // two makers
    REQUIRE(maker(compose(input{"c", {1}}, input{"x", {4}},
                          branch{compose(softmax_nd{} | named("p1") | from("x") | to("p")),
                                 compose(softmax_nd{} | named("p2") | from("x") | to("p"))} |
                              from("c"),
                          output{"p"}),
                  "p") == "none");
}

TEST_CASE("every reason why a network cannot be trained") {
    const auto reasons = [](const auto& description, const std::vector<std::string>& losses,
                            train which = train::updatable_layers) {
        const planner p = planned(description);
        const plan_view v = p.result().view();
        const auto sites = losses_on(v, losses);
        return training_plan<float>(v, which, sites).reasons;
    };
    using strings = std::vector<std::string>;
    const auto nothing = compose(input{"x", {4}}, dense(3) | named("fc"), bespoke::tanh{} | named("y"));
    REQUIRE(reasons(nothing, {"y"}) == strings{"no layer is marked updatable"});
    REQUIRE(reasons(nothing, {"y"}, train::all_layers).empty());
    REQUIRE(reasons(nothing, {}) ==
            strings{"no loss: name one, with the blob that it looks at", "no layer is marked updatable"});
    REQUIRE(reasons(compose(input{"x", {4}}, bespoke::tanh{} | named("y")), {"y"}, train::all_layers) ==
            strings{"no layer has parameters to learn"});

    const auto blind = compose(input{"x", {4}}, dense(3) | named("fc") | updatable, training_test::sign{},
                               dense(3) | named("fc2") | updatable, bespoke::tanh{} | named("y"),
                               dense(2) | named("side") | from("fc2") | updatable, output{"y"});
    REQUIRE(
        reasons(blind, {"y"}) ==
        strings{
            "layers/0 \"fc\" (innerProduct): it is updatable, but no path of differentiable layers leads "
            "from it to a loss",
            "layers/4 \"side\" (innerProduct): it is updatable, but no path of differentiable layers leads "
            "from it to a loss"});
    REQUIRE(reasons(blind, {}) == strings{"no loss: name one, with the blob that it looks at"});
    // a loss that is not found is the reason, not the layers before it
    const planner p = planned(blind);
    const std::vector<loss_site> lost(1);
    REQUIRE(training_plan<float>(p.result().view(), train::updatable_layers, lost).reasons.empty());

    // statistics are never learned
    const auto fixed = compose(input{"x", {2, 3, 3}}, batchnorm{} | named("n") | updatable);
    REQUIRE(reasons(fixed, {"n"}).empty());
    const planner q = planned(fixed);
    REQUIRE(train_plan(q, {"n"}).plan.learning == std::vector<char>{1, 1, 0, 0});
    // nor what is not there
    REQUIRE(
        train_plan(planned(compose(input{"x", {4}}, inner_product{.output_channels = 2, .has_bias = false} |
                                                        named("y") | updatable)),
                   {"y"})
            .plan.learning == std::vector<char>{1, 0});
}

TEST_CASE("500 networks drawn by lot: every step finds the values and gradients that it reads") {
    std::size_t trained = 0, frozen = 0, reasons = 0;
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
        lottery lot(seed);
        const layer_list layers = lot.draw();
        planner p;
        for (const auto& in : lottery::inputs()) p.input(in.name, in.dimensions);
        layers.plan(p);
        p.output(lot.last());
        p.finish();
        if (p.failed()) FAIL(p.problem().what.view());
        std::vector<std::string> losses{lot.any()};
        if (lot.chance(3)) losses.push_back(lot.any());
        INFO("seed " << seed);
        const auto r = train_plan(p, losses);
        trained += r.trained.size();
        frozen += p.result().steps.size() - r.trained.size();
        reasons += r.reasons.size();
    }
    REQUIRE(trained > 500);
    REQUIRE(frozen > 500);
    REQUIRE(reasons > 100);
}

TEST_CASE("epilogues run in a training as well, where no backward pass wants what is between") {
    constexpr extent n = unrolled_elements + 88;
    const auto p =
        planned(compose(input{"x", {n}}, dense(n) | named("frozen"), bespoke::tanh{} | named("t"),
                        dense(n) | named("a") | updatable, relu{} | named("r"), bespoke::tanh{} | named("u"),
                        dense(n) | named("b"), gelu{} | named("g"), reshape_static{.target_shape = {n}} | named("same"),
                        dense(n) | named("c"), add{} | from("c", "r") | named("sum"), sigmoid{} | named("s"),
                        dense(3) | named("d"), softmax_nd{} | named("f")));
    const plan_view v = p.result().view();
    const auto r = train_plan(p, {"~f"});
    names finished;
    for (std::size_t s = 0; s < v.steps.size(); ++s)
        if (r.plan.finished[s]) finished.insert(std::string(v[v.steps[s].name]));
    // tanh "u" reads "r", which others read as well, gelu wants its input, and "t" is frozen
    REQUIRE(finished == names{"r", "sum", "s"});
    const auto value = [&](std::string_view name) { return r.plan.value_offset[v.find_blob(name)]; };
    const auto gradient = [&](std::string_view name) { return r.plan.gradient_offset[v.find_blob(name)]; };
    REQUIRE(value("a") == -1);
    REQUIRE(value("c") == -1);
    REQUIRE(value("sum") == -1);
    REQUIRE(value("b") >= 0);
    REQUIRE(gradient("a") == gradient("r"));
    REQUIRE(gradient("g") == gradient("same"));
    REQUIRE(gradient("b") == gradient("g"));
    REQUIRE(gradient("sum") == gradient("s"));
    REQUIRE(gradient("r") != gradient("u"));  // of two readers
    REQUIRE(gradient("c") != gradient("sum"));
}
