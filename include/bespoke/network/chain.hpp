#pragma once

#include "engine_state.hpp"

namespace bespoke::detail {

/// A step that begins an epilogue, or a part of one.
template <class T>
struct chain_head {
    const engine_state<T>& engine;
    std::size_t step;
    const T* near = nullptr;  ///< where the part of the result lies that blocks come of; null: all of it is in memory
    extent offset = 0;        ///< of that part in the result

    static void run(const void* context, const output_block<T>& block) noexcept {
        const auto& self = *static_cast<const chain_head*>(context);
        output_block<T> placed = block;
        if (self.near != nullptr) placed.offset = self.offset + (block.data - self.near);
        self.engine.finish(self.step, placed);
    }
    static row_product<T> multiply(const void* context, extent index) noexcept {
        const auto& self = *static_cast<const chain_head*>(context);
        return self.engine.multiply(self.engine.tail(self.step), index);
    }
};

/// The epilogue that begins at a step, as its layer runs it.
template <class T>
class chain {
public:
    chain(const engine_state<T>& e, std::size_t step)
        : head_{e, step}, behind_{e, e.gather(step, map_)}, after_{&head_.run, &head_}, rest_{&behind_.run, &behind_},
          then_{&head_.multiply, &head_}, whole_(map_) {
        if (behind_.step != step) after_.map = &map_;
        if (behind_.step != step && behind_.step != e.tail(step)) after_.rest = &rest_;
    }
    chain(const chain&) = delete;
    chain& operator=(const chain&) = delete;

    /// The layer is to run it; without one there is nothing to be done.
    void attach(workspace<T>& w) const {
        const std::size_t tail = head_.engine.tail(head_.step);
        if (tail != head_.step) w.after = &after_;
        if (head_.engine.plan().steps[tail].streams) w.then = &then_;
    }
    /// What comes are the channels from this one on.
    void begin_planes(extent channel) {
        map_.scale = whole_.scale != nullptr ? whole_.scale + channel : nullptr;
        map_.shift = whole_.shift != nullptr ? whole_.shift + channel : nullptr;
    }
    /// Likewise, of a result that is not in memory: at `near`, what lies at `offset` in it.
    void begin_planes(extent channel, const T* near, extent offset) {
        begin_planes(channel);
        map_.added = whole_.added != nullptr ? whole_.added + offset : nullptr;
        map_.result = head_.near = behind_.near = near;
        head_.offset = behind_.offset = offset;
    }

private:
    chain_head<T> head_;
    channel_map<T> map_;
    chain_head<T> behind_;
    epilogue<T> after_, rest_;
    row_products<T> then_;
    const channel_map<T> whole_;  ///< as `map_` is for all channels
};

/// Runs the layer at `step` together with the one whose planes it takes, and the epilogues of both.
template <class T>
void forward_planes(engine_state<T>& e, std::size_t step) {
    const plan_view& p = e.plan();
    const std::size_t giver = p.steps[step].takes_from, x = p.inputs_of(giver)[0], y = p.outputs_of(e.tail(step))[0];
    const shape &from = p.blobs[x].dimensions, &between = p.blobs[p.inputs_of(step)[0]].dimensions,
                &to = p.blobs[y].dimensions;
    const extent all = e.step_examples(step), channels = between[0], size = between[1] * between[2],
                 result = to[1] * to[2];
    const planes_together most(between, all);
    chain<T> gives(e, giver), takes(e, step);
    workspace<T> w = e.work(giver), v = e.work(step);
    gives.attach(w);
    takes.attach(v);
    T* const near = e.planes();
    for (extent example = 0; example < all; example += most.examples)
        for (extent channel = 0; channel < channels; channel += most.channels) {
            const extent examples = std::min(all - example, most.examples),
                         some = std::min(channels - channel, most.channels), before = example * channels + channel;
            gives.begin_planes(channel, near, before * size);
            takes.begin_planes(channel);
            e.run_planes(giver, {&from, examples, channel, some, e.window_value(x) + example * from.size(),
                                 from.size(), near, some * size}, w);
            e.run_planes(step, {&between, examples, channel, some, near, some * size,
                                e.window_value(y) + before * result, channels * result}, v);
        }
}

}  // namespace bespoke::detail
