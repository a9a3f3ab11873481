#pragma once

#include "../core/error.hpp"
#include "../graph/plan.hpp"

#include <algorithm>
#include <span>
#include <vector>

namespace bespoke {

/// The values of one network input, or the targets of one loss, for all examples, one after the other.
template <class T>
using example_data = std::span<const T>;

/// What a trainer keeps of its examples: the values of the blobs at the border of what is trained, and the targets of
/// each loss.
template <class T>
class kept_examples {
public:
    /// Takes over so many examples, whose inputs and targets fit the plan. `complete`: no blob of the border is written
    /// by a frozen step, whose values are to come by `keep`.
    void take(const plan_view& p, std::span<const std::size_t> border, std::size_t examples,
              std::span<const example_data<T>> inputs, std::span<const example_data<T>> targets, bool complete) {
        std::vector<kept_blob> blobs;
        for (const std::size_t b : border) {
            const blob_facts& facts = p.blobs[b];
            const auto size = static_cast<std::size_t>(facts.dimensions.size());
            blobs.push_back({b, size, facts.per_example, std::vector<T>(size * (facts.per_example ? examples : 1))});
            for (std::size_t i = 0; i < inputs.size(); ++i)
                if (p.inputs[i] == b) blobs.back().values.assign(inputs[i].begin(), inputs[i].end());
        }
        std::vector<std::vector<T>> wanted;
        for (const auto& values : targets) wanted.emplace_back(values.begin(), values.end());
        blobs_.swap(blobs);
        targets_.swap(wanted);
        count_ = examples;
        ready_ = complete ? examples : 0;
    }

    std::size_t count() const { return count_; }
    /// How many of them all is known of: the first ones.
    std::size_t ready() const { return ready_; }

    /// The values of a blob for the next `examples` that are not ready yet, if it belongs to the border; `advance` says
    /// that all are there.
    void keep(std::size_t blob, const T* values, std::size_t examples) {
        for (kept_blob& kept : blobs_)
            if (kept.blob == blob)
                std::copy_n(values, kept.size * (kept.per_example ? examples : 1),
                            kept.values.data() + (kept.per_example ? ready_ * kept.size : 0));
    }
    void advance(std::size_t examples) { ready_ += examples; }

    /// Throws `error` where a mini-batch has no example, or one that is not ready.
    void check(std::span<const std::size_t> batch) const {
        if (batch.empty()) throw error(errc::bad_argument, "a mini-batch of at least one example wanted");
        if (count_ == 0) throw error(errc::bad_argument, "mini-batch: there are no examples yet, load some first");
        for (const std::size_t i : batch)
            if (i >= ready_)
                throw error(value_fault("mini-batch: an example below ", ready_, " wanted, ", i, " came"));
    }
    /// Writes the values of the border for a mini-batch to where `value_of(blob)` points.
    template <class ValueOf>
    void write(std::span<const std::size_t> batch, const ValueOf& value_of) const {
        for (const kept_blob& kept : blobs_) {
            T* to = value_of(kept.blob);
            if (!kept.per_example) std::copy_n(kept.values.data(), kept.size, to);
            for (std::size_t i = 0; kept.per_example && i < batch.size(); ++i)
                std::copy_n(kept.values.data() + batch[i] * kept.size, kept.size, to + i * kept.size);
        }
    }

    /// Targets of a loss for each example.
    std::size_t target_size(std::size_t loss) const { return targets_[loss].size() / count_; }
    /// Those for a mini-batch, until the next call.
    const T* targets(std::size_t loss, std::span<const std::size_t> batch) {
        const std::size_t size = target_size(loss);
        batch_targets_.resize(size * batch.size());
        for (std::size_t i = 0; i < batch.size(); ++i)
            std::copy_n(targets_[loss].data() + batch[i] * size, size, batch_targets_.data() + i * size);
        return batch_targets_.data();
    }

private:
    struct kept_blob {
        std::size_t blob, size;  ///< its number in the plan, and elements of an example
        bool per_example;
        std::vector<T> values;
    };

    std::vector<kept_blob> blobs_;
    std::vector<std::vector<T>> targets_;
    std::vector<T> batch_targets_;
    std::size_t count_ = 0, ready_ = 0;
};

}  // namespace bespoke
