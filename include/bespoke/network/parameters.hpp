#pragma once

#include "../core/buffer.hpp"
#include "../core/error.hpp"
#include "../core/random.hpp"
#include "../graph/plan.hpp"

#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace bespoke {

/// Where the parameters of a network lie. There is a block for all of them, but each is written there only when it has
/// to be: until then it is either not drawn yet, or read where another owner has it (a mapped file).
template <class T>
class network_parameters {
public:
    /// The list must outlive this, or be replaced.
    explicit network_parameters(std::span<const parameter_facts> facts, extent size)
        : facts_(facts), places_(facts.size()) {
        take_memory([&] { block_.allocate(size); }, "the parameters have ", size, " elements");
    }
    network_parameters(network_parameters&&) noexcept = default;
    network_parameters& operator=(network_parameters&&) noexcept = default;

    /// The same parameters, in the list of another plan.
    void describe(std::span<const parameter_facts> facts) { facts_ = facts; }

    /// From now on they are what each layer says, from numbers that depend on the seed alone. Each is drawn when it is
    /// first looked at.
    void draw(std::uint64_t seed);

    /// To be read.
    const T* read(std::size_t number) const {
        if (places_[number] == nullptr) draw_one(number);
        return places_[number];
    }
    /// The same, of one that was read or written before.
    const T* place(std::size_t number) const { return places_[number]; }
    /// To be read and written. It lies there as long as the network, whatever is loaded.
    T* write(std::size_t number) const;
    /// To be filled: what it holds is not defined.
    T* fill(std::size_t number) const;
    /// It is read at `values`, which `owner` keeps alive and nobody writes.
    void lend(std::size_t number, const T* values, const std::shared_ptr<const void>& owner);
    /// Elements of the block, whatever lies in it.
    extent block_size() const { return block_.size(); }
    /// The block, with all of them in it and zeros between them.
    const buffer<T>& block() const;

    /// Takes the values of a network of the same layers. What is lent to that one is lent to both, unless somebody may
    /// look at this network's own.
    void copy(const network_parameters& from);
    /// The same, and the memory of the values as well, unless somebody may look at this network's own.
    void take(network_parameters&& from);

    /// So many elements in all are worth to be left where they are; fewer are copied, to lie side by side.
    static constexpr extent least_lent = static_cast<extent>(large_memory / sizeof(T));

private:
    bool is_moved_from() const { return places_.size() != facts_.size(); }
    T* own(std::size_t number) const { return block_.data() + facts_[number].offset; }
    void draw_one(std::size_t number) const;

    std::span<const parameter_facts> facts_;
    std::uint64_t seed_ = 0;
    buffer<T> block_;
    mutable std::vector<const T*> places_;  ///< null: not drawn
    mutable bool is_shown_ = false;         ///< somebody may keep a pointer to one that may be written
    std::vector<std::shared_ptr<const void>> owners_;
};

// Not in the class: see memory.hpp.

template <class T>
void network_parameters<T>::draw(std::uint64_t seed) {
    seed_ = seed;
    std::fill(places_.begin(), places_.end(), nullptr);
    owners_.clear();
    if (is_shown_)  // whoever looks there sees them
        for (std::size_t i = 0; i < places_.size(); ++i) draw_one(i);
}

template <class T>
void network_parameters<T>::draw_one(std::size_t number) const {
    const parameter_facts& p = facts_[number];
    const std::span<T> values(fill(number), static_cast<std::size_t>(p.dimensions.size()));
    if (p.start == initial::glorot) {
        // [outputs, inputs, window...]: the window counts for both
        const extent window = p.dimensions.rank() > 2 ? p.dimensions.product(2, p.dimensions.rank()) : 1;
        const extent fans = p.dimensions.rank() > 1 ? p.dimensions[0] + p.dimensions[1] : p.dimensions[0];
        const double bound = std::sqrt(6.0 / static_cast<double>(std::max<extent>(fans * window, 1)));
        philox random(seed_, number);
        for (T& v : values) v = static_cast<T>((2 * random.uniform() - 1) * bound);
    } else {
        std::fill(values.begin(), values.end(), p.start == initial::one ? T(1) : T(0));
    }
}

template <class T>
T* network_parameters<T>::fill(std::size_t number) const {
    const extent size = facts_[number].dimensions.size();
    T* const to = own(number);
    std::fill(to + size, to + aligned_size<float>(size), T(0));  // what lies between them
    places_[number] = to;
    return to;
}

template <class T>
T* network_parameters<T>::write(std::size_t number) const {
    if (is_moved_from()) throw_moved_from("the network");
    is_shown_ = true;
    const T* const from = read(number);
    if (from != own(number)) std::copy_n(from, facts_[number].dimensions.size(), fill(number));
    return own(number);
}

template <class T>
void network_parameters<T>::lend(std::size_t number, const T* values, const std::shared_ptr<const void>& owner) {
    if (owners_.empty() || owners_.back() != owner) owners_.push_back(owner);
    places_[number] = values;
}

template <class T>
const buffer<T>& network_parameters<T>::block() const {
    for (std::size_t i = 0; i < places_.size(); ++i) write(i);
    return block_;
}

template <class T>
void network_parameters<T>::copy(const network_parameters& from) {
    if (from.is_moved_from()) throw_moved_from("the network");
    seed_ = from.seed_;
    owners_.clear();
    if (!is_shown_) owners_ = from.owners_;
    for (std::size_t i = 0; i < places_.size(); ++i) {
        const T* const values = from.places_[i];
        if (!is_shown_ && values != from.own(i))
            places_[i] = values;
        else
            std::copy_n(from.read(i), facts_[i].dimensions.size(), fill(i));
    }
}

template <class T>
void network_parameters<T>::take(network_parameters&& from) {
    if (is_moved_from()) throw_moved_from("the network");
    if (is_shown_) return copy(from);
    const auto facts = facts_;  // that of this network's plan
    *this = std::move(from);
    facts_ = facts;
}

}  // namespace bespoke
