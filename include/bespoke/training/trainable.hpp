#pragma once

#include "../network/engine.hpp"

namespace bespoke {

/// A network of either door, as a trainer sees it: a composed `network<...>` or a loaded `program`. It must outlive
/// the trainer and must not run elsewhere meanwhile.
template <class T>
class trainable {
public:
    template <class Network>
        requires std::same_as<typename Network::engine_type, engine<T>>
    trainable(Network& network)
        : engine_(&network.core()), network_(&network),
          forward_([](void* n) { static_cast<Network*>(n)->forward(); }),
          backward_([](void* n) { static_cast<Network*>(n)->backward(); }) {}

    engine<T>& core() const { return *engine_; }
    const plan_view& plan() const { return engine_->plan(); }
    void forward() const { forward_(network_); }
    void backward() const { backward_(network_); }

private:
    engine<T>* engine_;
    void* network_;
    void (*forward_)(void*);
    void (*backward_)(void*);
};

/// While it lives, a network runs the steps of a trainer's pass; behind it, whatever has happened, predictions again.
template <class T>
class trainer_pass {
public:
    trainer_pass(engine<T>& e, pass which, std::span<const char> trained, std::span<const char> finished = {})
        : engine_(e) {
        engine_.select(which, trained, finished);
    }
    trainer_pass(const trainer_pass&) = delete;
    trainer_pass& operator=(const trainer_pass&) = delete;
    ~trainer_pass() { engine_.select(pass::all, {}); }

private:
    engine<T>& engine_;
};

}  // namespace bespoke
