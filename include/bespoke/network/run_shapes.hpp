#pragma once

#include "../core/buffer.hpp"
#include "../core/error.hpp"
#include "../graph/plan.hpp"

#include <algorithm>
#include <new>
#include <vector>

namespace bespoke {

/// The blobs whose shapes are decided while a network runs: the shapes that they have at the moment, and their memory.
/// It grows where it has to and stays for the next time. Knows steps and blobs by number, and no layer.
template <class T>
class run_shapes {
public:
    /// More elements than a blob may have whose shape follows from values: numbers gone wrong must not ask for all the
    /// memory that there is.
    static constexpr extent largest = extent{1} << 31;

    explicit run_shapes(const plan_view& plan)
        : blobs_(plan.blobs.begin(), plan.blobs.end()), memory_(blobs_.size()), gradients_(blobs_.size()),
          decided_(blobs_.size()), wanted_(blobs_.size()), steps_(plan.steps.size()),
          inputs_(plan.inputs.begin(), plan.inputs.end()) {
        for (const blob_facts& blob : blobs_) planned_.push_back(blob.dimensions);
    }

    /// The facts of all blobs, with their shapes as they are now.
    std::span<const blob_facts> blobs() const { return blobs_; }
    T* value(std::size_t blob) const { return memory_[blob].data(); }
    /// Null where none is wanted.
    T* gradient(std::size_t blob) const { return wanted_[blob] ? gradients_[blob].data() : nullptr; }

    /// A run begins: the inputs are there, in the shapes that were planned. `gradients`: not null where that of a blob
    /// is wanted; empty: nowhere.
    void begin(std::span<T* const> gradients = {}) {
        elements_ = 0;
        for (std::size_t blob = 0; blob < blobs_.size(); ++blob) {
            blobs_[blob].dimensions = planned_[blob];
            decided_[blob] = 0;
            wanted_[blob] = blob < gradients.size() && gradients[blob] != nullptr;
        }
        for (std::size_t blob : inputs_)
            if (blobs_[blob].open.any) decide(blob, planned_[blob]);
    }
    /// From now on the blob has this shape; its contents are not defined. Throws `std::bad_alloc`.
    T* decide(std::size_t blob, const shape& dimensions) {
        const extent size = std::max<extent>(dimensions.size(), 1);  // there is a place for a blob of no element
        if (size > memory_[blob].size()) memory_[blob].allocate(size);
        if (wanted_[blob] && size > gradients_[blob].size()) gradients_[blob].allocate(size);
        elements_ = elements_with(blob, dimensions);
        blobs_[blob].dimensions = dimensions;
        decided_[blob] = 1;
        return value(blob);
    }
    bool is_decided(std::size_t blob) const { return decided_[blob] != 0; }
    /// Elements of all blobs whose shapes are decided, once the blob has this one.
    extent elements_with(std::size_t blob, const shape& dimensions) const {
        return elements_ - elements_of(blob) + dimensions.size();
    }
    void forget(std::size_t blob) {
        elements_ -= elements_of(blob);
        decided_[blob] = 0;
    }

    /// What a step has been asked for, and what came of it.
    struct step_shapes {
        std::vector<shape> inputs, outputs;
        buffer<T> prepared;
        bool asked = false;
    };
    step_shapes& of_step(std::size_t step) { return steps_[step]; }
    T* prepared(std::size_t step) const { return steps_[step].prepared.data(); }

    /// Elements of all memory that it has taken.
    extent memory_size() const {
        extent size = 0;
        for (const auto* list : {&memory_, &gradients_})
            for (const buffer<T>& b : *list) size += b.size();
        for (const step_shapes& step : steps_) size += step.prepared.size();
        return size;
    }

    std::vector<shape> shapes;     ///< those of the inputs of the step that runs
    std::vector<double> numbers;   ///< the values of those that decide shapes

private:
    /// 0 where the shape is not decided.
    extent elements_of(std::size_t blob) const { return decided_[blob] ? blobs_[blob].dimensions.size() : 0; }

    std::vector<blob_facts> blobs_;
    std::vector<shape> planned_;
    std::vector<buffer<T>> memory_, gradients_;
    std::vector<char> decided_, wanted_;
    std::vector<step_shapes> steps_;
    std::vector<std::size_t> inputs_;
    extent elements_ = 0;
};

}  // namespace bespoke
