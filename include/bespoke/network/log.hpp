#pragma once

#include "engine_state.hpp"

// What is overwritten in a pass that is recorded, and how the backward pass gets it back.

namespace bespoke {

template <class T>
void engine_state<T>::clear_made_in(std::size_t step) {
    for (std::size_t blob = 0; blob < plan().blobs.size(); ++blob) {
        if (!made_in(step, blob)) continue;
        if (pass_ == pass::trainable) log_values(blob);
        if (plan().blobs[blob].open.any)
            this->run()->forget(blob);
        else
            kernels::fill(this->window_size(blob), T(0), this->window_value(blob));
    }
}

template <class T>
void engine_state<T>::restore_made_in(std::size_t step) {
    for (std::size_t blob = plan().blobs.size(); blob-- > 0;)
        if (made_in(step, blob)) undo_blob(blob);
}

template <class T>
void engine_state<T>::log_values(std::size_t blob) {
    if (plan().blobs[blob].open.any) {
        shape_log_.push_back({plan().blobs[blob].dimensions, has_shape(blob)});
        if (!has_shape(blob)) return;
    }
    const T* from = this->window_value(blob);
    log_.insert(log_.end(), from, from + this->window_size(blob));
}

template <class T>
void engine_state<T>::undo_blob(std::size_t blob) {
    if (plan().blobs[blob].open.any) {
        const logged_shape before = shape_log_.back();
        shape_log_.pop_back();
        if (!before.decided) return this->run()->forget(blob);
        this->place_decided(blob, before.dimensions);
    }
    const extent size = this->window_size(blob);
    if (this->gradient(blob) != nullptr) kernels::fill(size, T(0), this->window_gradient(blob));
    std::copy(log_.end() - size, log_.end(), this->window_value(blob));
    log_.resize(log_.size() - static_cast<std::size_t>(size));
}

template <class T>
bool engine_state<T>::made_in(std::size_t step, std::size_t blob) const {
    const blob_facts& facts = plan().blobs[blob];
    return facts.maker != none && facts.maker > step && facts.maker < plan().steps[step].end &&
           facts.last >= plan().steps[step].end;
}

}  // namespace bespoke
