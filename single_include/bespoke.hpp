#pragma once
// bespoke in one file, made by single_include/amalgamate.cmake: change include/bespoke/, then make it again with
// cmake --build build/release --target single_header
//
// BSD 3-Clause License
//
// Copyright (c) 2026, The bespoke authors
//
// Redistribution and use in source and binary forms, with or without
// modification, are permitted provided that the following conditions are met:
//
// 1. Redistributions of source code must retain the above copyright notice, this
//    list of conditions and the following disclaimer.
//
// 2. Redistributions in binary form must reproduce the above copyright notice,
//    this list of conditions and the following disclaimer in the documentation
//    and/or other materials provided with the distribution.
//
// 3. Neither the name of the copyright holder nor the names of its
//    contributors may be used to endorse or promote products derived from
//    this software without specific prior written permission.
//
// THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS"
// AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE
// IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE
// DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR CONTRIBUTORS BE LIABLE
// FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL
// DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR
// SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER
// CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY,
// OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE
// OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.


/// bespoke: neural networks, made to measure.
///
/// One header for everything. Composed networks need nothing more. Files and models that are loaded are
/// defined where one translation unit of the program says `#define BESPOKE_IMPLEMENTATION` before it
/// includes this.


/// The version of the library. CMake reads these three lines, so that no other file repeats them.
namespace bespoke {

inline constexpr int version_major = 0;
inline constexpr int version_minor = 1;
inline constexpr int version_patch = 0;

}  // namespace bespoke





#include <array>
#include <string_view>

namespace bespoke {

/// What the products of a prediction with the weights of a layer are computed in. Only who asks for it gets less than
/// the element type of the network.
enum class low_precision {
    none,
    bfloat16,  ///< factors rounded to 8 bits of precision, sums in float; kernels/gemm_bfloat16.hpp
    int8,      ///< factors quantised to 8 bits, as rows come and weights are prepared; kernels/gemm_int8.hpp
};
constexpr std::array<std::string_view, 3> enumerators(low_precision) { return {"none", "bfloat16", "int8"}; }

}  // namespace bespoke

namespace bespoke {

/// How a network computes where there is a choice. Both doors give the same bits for the same choice.
struct arithmetic {
    /// 3 x 3 convolutions of stride 1 in float, and the gradients of their inputs, by Winograd's minimal filtering where
    /// that is faster: some 1e-6 of the largest number away from the direct sums, and what is not finite reaches the
    /// neighbours of its output.
    bool winograd = true;
    /// In what predictions multiply with large matrices of weights, where the program is compiled for a machine that
    /// can: kernels/weighted_gemm.hpp. `precision_in_force` of a network says what came of it, `precision_note` why.
    low_precision allow_low_precision_accumulation = low_precision::none;

    friend bool operator==(const arithmetic&, const arithmetic&) = default;
};

}  // namespace bespoke


#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

namespace bespoke {

/// Number of elements along one axis. Signed, so that `unset` prints as -1.
using extent = std::int64_t;

/// A hyper-parameter that the planner infers from the shape that comes in.
inline constexpr extent unset = -1;

/// The Core ML specification speaks of ranks 0 to 5; a few layers insert axes on the way.
inline constexpr std::size_t max_rank = 8;

/// An extent that the compiler knows. Converts to `extent`, so one kernel source serves both.
template <extent Value>
using constant = std::integral_constant<extent, Value>;

/// Extents of a row-major array, outermost axis first. Rank 0 is a scalar of one element.
class shape {
public:
    constexpr shape() = default;
    constexpr shape(std::initializer_list<extent> extents) {
        for (extent e : extents) push_back(e);
    }
    constexpr explicit shape(std::span<const extent> extents) {
        for (extent e : extents) push_back(e);
    }

    constexpr std::size_t rank() const { return rank_; }
    constexpr extent operator[](std::size_t axis) const { return extents_[axis]; }
    constexpr extent& operator[](std::size_t axis) { return extents_[axis]; }

    /// The extent `back` axes from the end: 1 is the last axis, 3 the channel axis of [.., C, H, W].
    constexpr extent from_end(std::size_t back) const { return extents_[rank_ - back]; }
    constexpr extent& from_end(std::size_t back) { return extents_[rank_ - back]; }

    /// Product of the extents of axes [first, last).
    constexpr extent product(std::size_t first, std::size_t last) const {
        extent result = 1;
        for (std::size_t axis = first; axis < last; ++axis) result *= extents_[axis];
        return result;
    }
    /// Number of elements.
    constexpr extent size() const { return product(0, rank_); }

    /// Ignored beyond `max_rank`; readers of files check the rank before they build a shape.
    constexpr void push_back(extent e) {
        if (rank_ < max_rank) extents_[rank_++] = e;
    }

    constexpr const extent* begin() const { return extents_; }
    constexpr const extent* end() const { return extents_ + rank_; }
    constexpr extent* begin() { return extents_; }
    constexpr extent* end() { return extents_ + rank_; }

    friend constexpr bool operator==(const shape& a, const shape& b) {
        if (a.rank_ != b.rank_) return false;
        for (std::size_t axis = 0; axis < a.rank_; ++axis)
            if (a.extents_[axis] != b.extents_[axis]) return false;
        return true;
    }

private:
    extent extents_[max_rank]{};
    std::size_t rank_ = 0;
};

/// A shape in the type: same reading interface as `shape`, no storage.
template <extent... Extents>
struct static_shape {
    static constexpr shape value{Extents...};

    static constexpr std::size_t rank() { return sizeof...(Extents); }
    constexpr extent operator[](std::size_t axis) const { return value[axis]; }
    static constexpr extent from_end(std::size_t back) { return value.from_end(back); }
    static constexpr extent product(std::size_t first, std::size_t last) {
        return value.product(first, last);
    }
    static constexpr extent size() { return value.size(); }
    constexpr const extent* begin() const { return value.begin(); }
    constexpr const extent* end() const { return value.end(); }
    constexpr operator shape() const { return value; }
};

/// The product of `a` and `b`, or -1 where it would exceed `limit`. For sizes that come from files.
constexpr extent checked_product(extent a, extent b, extent limit) {
    if (a < 0 || b < 0) return -1;
    if (a == 0 || b == 0) return 0;
    return a > limit / b ? -1 : a * b;
}

/// Number of elements of `s`, or -1 where an extent is negative or the product of some of the extents exceeds
/// `limit`: a layer may look at the axes behind one that is 0.
constexpr extent checked_size(const shape& s, extent limit) {
    extent size = 1;
    bool empty = false;
    for (extent e : s) {
        empty |= e == 0;
        size = checked_product(size, e == 0 ? 1 : e, limit);
        if (size < 0) return -1;
    }
    return empty ? 0 : size;
}

}  // namespace bespoke

namespace bespoke {

/// A block of a result: element (i, j) is data[i * stride + j].
template <class T>
struct output_block {
    T* data;
    extent rows, columns, stride;
};

/// What is done to a result while it is near: a kernel calls it once for each block that it has finished. The blocks
/// cover the result, none twice; threads call it at the same time.
template <class T>
struct epilogue {
    void (*run)(const void* context, const output_block<T>& block) noexcept;
    const void* context;

    void operator()(const output_block<T>& block) const noexcept { run(context, block); }
};

}  // namespace bespoke


#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace bespoke {

/// What kind of thing went wrong; the sentence beside it says where, what was wanted and what came.
enum class errc {
    bad_argument,    ///< a value given by the caller cannot be used
    bad_value,       ///< a field of a description or file has a value outside its range
    shape_mismatch,  ///< extents do not fit together
    unknown_name,    ///< a blob, feature, layer or tensor that nobody defines
    duplicate_name,  ///< two definitions of one name
    unknown_layer,   ///< a layer type outside the chosen set of layers
    malformed_file,  ///< the bytes do not follow their format
    unsupported,     ///< part of the specification that is not implemented
    not_updatable,   ///< the model cannot be trained as asked
    io,              ///< the operating system refused a read or a write
};

/// A short text that is built alike at compile time and at run time. Longer text is cut at the end.
class sentence {
public:
    static constexpr std::size_t capacity = 320;

    constexpr sentence() = default;
    template <class... Parts>
    constexpr explicit sentence(const Parts&... parts) {
        (append(parts), ...);
    }

    constexpr std::string_view view() const { return {text_, size_}; }

    constexpr void append(std::string_view part) {
        const std::size_t count = std::min(part.size(), capacity - size_);
        const char* from = part.data();
        for (std::size_t i = 0; i < count; ++i) text_[size_ + i] = from[i];
        size_ += count;
    }
    constexpr void append(const char* part) { append(std::string_view(part)); }
    constexpr void append(const sentence& part) { append(part.view()); }
    constexpr void append(extent value) {
        char digits[20]{};
        std::size_t count = 0;
        auto rest = value < 0 ? ~static_cast<std::uint64_t>(value) + 1 : static_cast<std::uint64_t>(value);
        do {
            digits[count++] = static_cast<char>('0' + rest % 10);
            rest /= 10;
        } while (rest != 0);
        if (value < 0) append("-");
        while (count > 0) append(std::string_view(&digits[--count], 1));
    }
    constexpr void append(int value) { append(static_cast<extent>(value)); }
    constexpr void append(std::size_t value) { append(static_cast<extent>(value)); }
    constexpr void append(const shape& s) {
        append("[");
        for (std::size_t axis = 0; axis < s.rank(); ++axis) {
            if (axis > 0) append(", ");
            append(s[axis]);
        }
        append("]");
    }

private:
    char text_[capacity]{};
    std::size_t size_ = 0;
};

/// One thing that does not hold. The compiler prints it for a composed network, `error` carries it at
/// run time.
struct fault {
    errc code = errc::bad_argument;
    sentence what;
};

template <class... Parts>
constexpr fault shape_fault(const Parts&... parts) {
    return {errc::shape_mismatch, sentence(parts...)};
}
template <class... Parts>
constexpr fault value_fault(const Parts&... parts) {
    return {errc::bad_value, sentence(parts...)};
}

/// The answer of a layer's shape rule: the shapes of its outputs, or a fault.
class outcome {
public:
    constexpr outcome(const shape& only) : shapes_{only} {}
    constexpr outcome(std::vector<shape> shapes) : shapes_(std::move(shapes)) {}
    constexpr outcome(const fault& problem) : problem_(problem) {}

    constexpr explicit operator bool() const { return !problem_; }
    constexpr const std::vector<shape>& shapes() const { return shapes_; }
    constexpr const fault& problem() const { return *problem_; }

private:
    std::vector<shape> shapes_;
    std::optional<fault> problem_;
};

}  // namespace bespoke


#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace bespoke {

/// A fixed set of worker threads that run pieces of one loop.
///
/// Made once, before the first prediction; `run` makes no thread, allocates nothing and takes no lock. A worker waits
/// for the next loop without sleeping for some tens of microseconds, as the loops of one prediction follow each other
/// closely; then it sleeps until it is woken. A pool of one thread has no worker: everything runs on the caller. One
/// caller at a time.
class thread_pool {
public:
    explicit thread_pool(std::size_t threads = 1) {
        for (std::size_t i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
    }
    thread_pool(const thread_pool&) = delete;
    thread_pool& operator=(const thread_pool&) = delete;
    ~thread_pool() {
        task_ = nullptr;
        start();
        for (auto& worker : workers_) worker.join();
    }

    /// Number of threads that take part, the caller included.
    std::size_t size() const { return workers_.size() + 1; }

    /// Calls `task(context, i)` for each i in [0, size()), each on a thread of its own, and waits.
    void run(void (*task)(void*, std::size_t), void* context) {
        if (workers_.empty()) return task(context, 0);
        task_ = task;
        context_ = context;
        pending_.store(workers_.size(), std::memory_order_relaxed);
        start();
        task(context, 0);
        for (unsigned turn = 0; pending_.load(std::memory_order_acquire) != 0; ++turn) pause(turn);
    }

private:
    /// What was written before is seen by the workers.
    void start() {
        generation_.fetch_add(1, std::memory_order_release);
        generation_.notify_all();
    }

    void work(std::size_t index) {
        constexpr unsigned turns = 2000;
        for (unsigned seen = 0;; ++seen) {
            unsigned turn = 0;
            while (generation_.load(std::memory_order_acquire) == seen)
                if (++turn < turns)
                    pause(turn);
                else
                    generation_.wait(seen, std::memory_order_acquire);
            if (task_ == nullptr) return;
            task_(context_, index);
            pending_.fetch_sub(1, std::memory_order_release);
        }
    }

    /// Some ten nanoseconds; now and then whoever shares this core has a turn.
    static void pause(unsigned turn) {
        if (turn % 64 == 63) return std::this_thread::yield();
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#endif
    }

    std::vector<std::thread> workers_;
    void (*task_)(void*, std::size_t) = nullptr;  ///< null: the end
    void* context_ = nullptr;
    std::atomic<unsigned> generation_ = 0;  ///< loops begun
    std::atomic<std::size_t> pending_ = 0;  ///< workers that have not ended the loop
};

namespace detail {

/// `parallel_for` behind a function pointer, so that each loop adds little code.
inline void parallel_for(thread_pool* pool, extent count, extent grain,
                         void (*body)(const void* context, extent begin, extent end), const void* context) {
    struct job {
        void (*body)(const void*, extent, extent);
        const void* context;
        extent count, grain, pieces, threads;
    } work{body, context, count, grain, (count + grain - 1) / grain, 1};
    if (pool) work.threads = std::min<extent>(work.pieces, static_cast<extent>(pool->size()));
    if (work.threads <= 1) {
        if (count > 0) body(context, 0, count);
        return;
    }
    pool->run(
        [](void* pointer, std::size_t index) {
            const job& j = *static_cast<job*>(pointer);
            const extent i = static_cast<extent>(index);
            if (i >= j.threads) return;
            const extent begin = j.pieces * i / j.threads * j.grain;
            const extent end = std::min(j.pieces * (i + 1) / j.threads * j.grain, j.count);
            if (begin < end) j.body(j.context, begin, end);
        },
        &work);
}

}  // namespace detail

/// Calls `body(begin, end)` over disjoint ranges that cover [0, count), one range a thread.
///
/// Ranges split outputs, never a sum, and begin at multiples of `grain`: what is computed for an index
/// does not depend on the number of threads. `pool` may be null: then the caller does it all.
template <class Body>
void parallel_for(thread_pool* pool, extent count, extent grain, const Body& body) {
    detail::parallel_for(
        pool, count, grain,
        [](const void* context, extent begin, extent end) { (*static_cast<const Body*>(context))(begin, end); }, &body);
}

}  // namespace bespoke


#include <type_traits>

namespace bespoke {

/// What a layer sees of a blob: one example's shape, and how many examples lie behind it.
///
/// `Shape` is `shape` (known at run time) or `static_shape<...>`; `Count` is `extent` or `constant<1>`.
/// Example i begins at `example(i)`. A blob that does not depend on an input is stored once and has
/// stride 0; every other blob is contiguous over the examples.
template <class T, class Shape = shape, class Count = extent>
struct view {
    using value_type = std::remove_const_t<T>;

    T* data = nullptr;
    [[no_unique_address]] Shape dimensions{};
    [[no_unique_address]] Count examples{};
    extent stride = 0;

    constexpr explicit operator bool() const { return data != nullptr; }
    constexpr T* example(extent i) const { return data + i * stride; }
    constexpr std::size_t rank() const { return dimensions.rank(); }
    constexpr extent operator[](std::size_t axis) const { return dimensions[axis]; }
    /// Elements of one example.
    constexpr auto size() const {
        if constexpr (std::is_same_v<Shape, shape>)
            return dimensions.size();
        else
            return constant<Shape::size()>{};
    }
    /// Elements of all examples of a contiguous blob.
    constexpr auto total() const {
        if constexpr (std::is_same_v<Count, extent>)
            return static_cast<extent>(size()) * examples;
        else
            return size();
    }
    /// Product of the extents of axes [first, last), in the type where the shape is.
    template <std::size_t First, std::size_t Back>
    constexpr auto extents() const {
        if constexpr (std::is_same_v<Shape, shape>)
            return dimensions.product(First, dimensions.rank() - Back);
        else
            return constant<Shape::product(First, Shape::rank() - Back)>{};
    }
};

template <class T>
using dynamic_view = view<T, shape, extent>;

/// The same blob without what the compiler knows of it, as one type for all shapes.
template <class T, class Shape, class Count>
constexpr dynamic_view<T> erased(const view<T, Shape, Count>& v) {
    return {v.data, v.dimensions, v.examples, v.stride};
}

}  // namespace bespoke

#include <array>
#include <concepts>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

/// What a layer owes, and the vocabulary in which it says so. This is the reference page for whoever adds
/// a layer: the ones in layers/ have no other means than these.
namespace bespoke {

// --- hyper-parameters -------------------------------------------------------------------------------

/// A hyper-parameter and its name in the Core ML specification's JSON mapping.
template <class Owner, class Value>
struct field {
    std::string_view name;
    Value Owner::*member;
};
template <class Owner, class Value>
field(const char*, Value Owner::*) -> field<Owner, Value>;

/// A `oneof` of the specification: a std::variant whose alternatives each carry a `key`.
template <class Owner, class Variant>
struct oneof {
    Variant Owner::*member;
};

/// An enumeration of the specification declares `constexpr std::array<std::string_view, N>
/// enumerators(E)`: the names of the values 0 to N - 1.
template <class E>
concept specified_enum = std::is_enum_v<E> && requires(E e) { enumerators(e).size(); };

// --- layers in terms of others ------------------------------------------------------------------------

/// Every layer: a copyable aggregate with its JSON key and its fields.
template <class L>
concept described = std::copyable<L> && std::equality_comparable<L> && requires {
    { L::key } -> std::convertible_to<std::string_view>;
    std::tuple_size_v<std::remove_cvref_t<decltype(L::fields)>>;
};

/// A layer that says in other words what another one does: `equivalent(x)` is that one for x, the shape of its first
/// input, which passed the shape rule. Then only names, fields and the shape rule are its own. The other one gets the
/// views that this one would get: their shapes are by this one's rule.
template <class L>
concept rephrased_layer = described<L> && requires(const L& layer, const shape& x) {
    { layer.equivalent(x) } -> described;
};

/// The layer that runs: L, or that in whose terms it is put.
template <class L>
struct performer_of {
    using type = L;
};
template <rephrased_layer L>
struct performer_of<L> {
    using type = decltype(std::declval<const L&>().equivalent(shape{}));
    static_assert(!rephrased_layer<type>, "a layer in terms of one that is itself in terms of another");
};
template <class L>
using performer_t = typename performer_of<L>::type;

// --- parameters -------------------------------------------------------------------------------------

/// What a parameter holds before training or loading.
enum class initial {
    zero,
    one,
    glorot,  ///< uniform on +-sqrt(6 / (fan in + fan out)); Glorot and Bengio, AISTATS 2010
};

/// One array of a layer's `parameters<T>` and its name in the specification.
template <class Parameters, class T>
struct parameter_field {
    std::string_view name;
    T Parameters::*member;
    initial start = initial::zero;
    bool learned = true;  ///< false: never changed by training (running statistics)
};
template <class Parameters, class T>
parameter_field(const char*, T Parameters::*) -> parameter_field<Parameters, T>;
template <class Parameters, class T>
parameter_field(const char*, T Parameters::*, initial) -> parameter_field<Parameters, T>;
template <class Parameters, class T>
parameter_field(const char*, T Parameters::*, initial, bool) -> parameter_field<Parameters, T>;

/// The `parameters<T>` of a layer that has none.
struct no_parameters {};

/// The shape of an array that a layer does without (`has_bias = false`).
inline constexpr shape absent{0};

/// The parameters of most layers: a matrix, or a stack of filters, and a vector that is added.
template <class T>
struct weights_and_bias {
    T weights, bias;

    static constexpr auto fields =
        std::array{parameter_field{"weights", &weights_and_bias::weights, initial::glorot},
                   parameter_field{"bias", &weights_and_bias::bias, initial::zero}};
};

/// A layer with weights: `template <class T> struct parameters`, an aggregate of T such as `weights_and_bias`, serves
/// for the weights (views), their gradient (views) and their shapes; `parameter_fields<T>` lists the members and
/// `parameter_shapes(x)` gives their shapes for the input shape (or span of shapes) x.
template <class L>
concept parametric_layer = requires {
    typename performer_t<L>::template parameters<shape>;
    performer_t<L>::template parameter_fields<shape>.size();
};

/// Its `parameter_fields<T>`.
template <parametric_layer L, class T>
inline constexpr auto parameter_fields_of = performer_t<L>::template parameter_fields<T>;

template <class L>
inline constexpr std::size_t parameter_count = [] {
    if constexpr (parametric_layer<L>)
        return parameter_fields_of<L, shape>.size();
    else
        return std::size_t{0};
}();

template <class L, class T>
struct parameters_of {
    using type = no_parameters;
};
template <parametric_layer L, class T>
struct parameters_of<L, T> {
    using type = typename performer_t<L>::template parameters<T>;
};
template <class L, class T>
using parameters_t = typename parameters_of<L, T>::type;

// --- what a layer may say about itself ----------------------------------------------------------------

/// How many inputs a layer takes. Not declared: exactly one.
struct input_count {
    std::size_t least = 1, most = 1;
};
inline constexpr std::size_t any_number = static_cast<std::size_t>(-1);

/// Which values of the forward pass `backward` reads. Not declared: both.
struct backward_needs {
    bool input = true, output = true;
};

/// What a layer works with besides its blobs and parameters. A layer that computes in more than one way may take
/// `arithmetic` as the last argument of `prepared_size` and `prepare`, so that it prepares for that one.
template <class T>
struct workspace {
    T* scratch = nullptr;         ///< `scratch_size` elements, contents undefined
    T* prepared = nullptr;        ///< what `prepare` wrote for the parameters as they are now; forward may complete it
    thread_pool* threads = nullptr;
    const epilogue<T>* after = nullptr;  ///< only for a layer that says `runs_epilogue`
    arithmetic how{};
    bool exact = false;  ///< a pass of a training: in T, also where `prepare` was for low precision
};

/// A layer whose products may be computed in low precision: `precision<T>(x, how)` says in which one they are, for the
/// input shape (or span of shapes) x.
template <class L, class T, class X>
concept lowers_precision = requires(const L& layer, const X& x, const arithmetic& how) {
    { layer.template precision<T>(x, how) } -> std::same_as<low_precision>;
};

/// What a layer works with that finishes another one's result, see `finishes`.
template <class T>
struct finishing {
    const shape* dimensions = nullptr;  ///< of the result
    extent offset = 0;                  ///< of the block in the result, all examples
    const T* other = nullptr;           ///< the input that is not the result; null: there is none
    extent other_size = 0;              ///< its elements in one example
    const T* prepared = nullptr;
};

// --- the ladder of concepts ---------------------------------------------------------------------------

/// y = f(x) for each element: `f(v)` and `f.derivative(x, y)` for a float, a double or a SIMD batch of
/// them alike. Nothing else is needed: shapes, loops, gradients and fusion follow.
template <class L>
concept elementwise_layer = described<L> && requires(const L& f, float x) {
    { f(x) } -> std::convertible_to<float>;
    { f.derivative(x, x) } -> std::convertible_to<float>;
};

/// One input and a shape rule for it.
template <class L>
concept unary_layer = described<L> && requires(const L& layer, const shape& x) {
    { layer.output_shape(x) } -> std::convertible_to<outcome>;
};

/// y has the elements of x in their order: `static constexpr bool same_elements = true`. Nothing is needed but the
/// shape rule.
template <class L>
concept same_elements_layer = unary_layer<L> && requires {
    { L::same_elements } -> std::convertible_to<bool>;
    requires bool{L::same_elements};
};

/// Any number of inputs (`static constexpr input_count inputs`) and a shape rule for them.
template <class L>
concept variadic_layer = described<L> && requires(const L& layer, std::span<const shape> xs) {
    { layer.output_shape(xs) } -> std::convertible_to<outcome>;
    { L::inputs } -> std::convertible_to<input_count>;
};

/// Branches, loops and what leaves them: `plan`, `forward` and `backward` over an engine.
template <class L>
concept control_layer = described<L> && requires {
    { L::control } -> std::convertible_to<bool>;
};

/// What can stand in a network.
template <class L>
concept layer = elementwise_layer<L> || unary_layer<L> || variadic_layer<L> || control_layer<L>;

/// `batched = true`: forward and backward take all examples in one call. Else they run one by one.
template <class L>
inline constexpr bool is_batched = [] {
    if constexpr (elementwise_layer<L> || same_elements_layer<L>)
        return true;
    else if constexpr (requires { performer_t<L>::batched; })
        return bool{performer_t<L>::batched};
    else
        return false;
}();

/// `runs_epilogue = true`: forward calls `w.after`, where it is given, on each block of its one output.
template <class L>
inline constexpr bool runs_epilogue = [] {
    if constexpr (elementwise_layer<L>)
        return true;
    else if constexpr (requires { performer_t<L>::runs_epilogue; })
        return bool{performer_t<L>::runs_epilogue};
    else
        return false;
}();

/// `overwrites = true`: the output may be a blob that exists already (copy).
template <class L>
inline constexpr bool is_overwriting = [] {
    if constexpr (requires { L::overwrites; })
        return bool{L::overwrites};
    else
        return false;
}();

/// `in_place = true`: forward may write y over x.
template <class L>
inline constexpr bool is_in_place = [] {
    if constexpr (elementwise_layer<L>)
        return true;
    else if constexpr (same_elements_layer<L>)
        return !is_overwriting<L>;
    else if constexpr (requires { performer_t<L>::in_place; })
        return bool{performer_t<L>::in_place};
    else
        return false;
}();

template <class L>
inline constexpr input_count inputs_of = [] {
    if constexpr (requires { L::inputs; })
        return input_count{L::inputs};
    else
        return input_count{};
}();

template <class L>
inline constexpr backward_needs needs_of = [] {
    if constexpr (same_elements_layer<L>)
        return backward_needs{.input = false, .output = false};
    else if constexpr (requires { performer_t<L>::needs; })
        return backward_needs{performer_t<L>::needs};
    else
        return backward_needs{};
}();

/// `differentiable = false`: no gradient passes this layer.
template <class L>
inline constexpr bool is_differentiable = [] {
    if constexpr (requires { performer_t<L>::differentiable; })
        return bool{performer_t<L>::differentiable};
    else
        return true;
}();

// --- asking a layer, whatever rung it stands on ---------------------------------------------------------

/// The specification's key, with the nested one of a family behind a dot: "activation.ReLU".
template <class L>
constexpr sentence key_of() {
    sentence name(std::string_view{L::key});
    if constexpr (requires { L::nested_key; }) name.append(sentence(".", std::string_view{L::nested_key}));
    return name;
}

/// The layer that runs for inputs of which the first has the shape x.
template <class L>
constexpr decltype(auto) performer(const L& layer, [[maybe_unused]] const shape& x) {
    if constexpr (rephrased_layer<L>)
        return layer.equivalent(x);
    else
        return (layer);
}

/// The shape rule: the same question for the compiler and for the loader.
template <class L>
constexpr outcome output_shapes(const L& layer, std::span<const shape> inputs) {
    if constexpr (variadic_layer<L>)
        return layer.output_shape(inputs);
    else if constexpr (unary_layer<L>)
        return layer.output_shape(inputs[0]);
    else
        return inputs[0];
}

/// `constexpr bool probabilities(const shape& x) const`: whether y is a softmax of x over the whole example,
/// so that a cross-entropy loss may be taken from x directly. Asked for shapes that passed the shape rule.
template <class L>
constexpr bool gives_probabilities(const L& layer, std::span<const shape> inputs) {
    if constexpr (requires { layer.probabilities(inputs[0]); })
        return inputs.size() == 1 && layer.probabilities(inputs[0]);
    else
        return false;
}

/// Whether y has the elements of x in their order. A layer of which some do says `constexpr bool same_elements() const`.
template <class L>
constexpr bool gives_same_elements([[maybe_unused]] const L& layer) {
    if constexpr (requires { layer.same_elements(); })
        return layer.same_elements();
    else
        return same_elements_layer<L>;
}

/// `constexpr bool mixes_examples() const`: whether the result of one example depends on the others that run
/// with it, so that a training cannot run the layer once an example.
template <class L>
constexpr bool mixes_examples(const L& layer) {
    if constexpr (requires { layer.mixes_examples(); })
        return layer.mixes_examples();
    else
        return false;
}

/// `bool finishes(std::span<const shape> xs) const`: whether the layer can be the epilogue of the one that makes one of
/// its inputs, of the shape of y, by `finish(block, finishing)`: that turns a block of this input into y, in place. Of
/// several inputs it must not matter which. Element-wise layers need not say so.
template <class L>
constexpr bool can_finish(const L& layer, std::span<const shape> inputs) {
    if constexpr (elementwise_layer<L>)
        return true;
    else if constexpr (requires { layer.finishes(inputs); })
        return layer.finishes(inputs);
    else
        return false;
}

/// Shapes of the parameters, in the order of `parameter_fields`, for inputs that passed the shape rule.
template <parametric_layer L>
constexpr std::array<shape, parameter_count<L>> parameter_shapes(const L& layer, std::span<const shape> inputs) {
    parameters_t<L, shape> shapes;
    if constexpr (variadic_layer<performer_t<L>>)
        shapes = performer(layer, inputs[0]).parameter_shapes(inputs);
    else
        shapes = performer(layer, inputs[0]).parameter_shapes(inputs[0]);
    std::array<shape, parameter_count<L>> list{};
    for (std::size_t i = 0; i < list.size(); ++i) list[i] = shapes.*(parameter_fields_of<L, shape>[i].member);
    return list;
}

}  // namespace bespoke

#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xfunction.hpp>
#include <xtensor/xtensor.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <memory>
#include <type_traits>

/// The only file that includes xtensor: arrays as users hand them in and get them back.
namespace bespoke {

/// An array that owns its elements, row-major, of any rank.
template <class T>
using tensor = xt::xarray<T, xt::layout_type::row_major>;

/// A look at elements that live elsewhere, as an xtensor expression of fixed rank.
template <class T, std::size_t Rank>
[[gnu::always_inline]] inline auto adapt(T* data, const std::array<std::size_t, Rank>& extents) {
    std::size_t size = 1;
    for (std::size_t e : extents) size *= e;
    return xt::adapt<xt::layout_type::row_major>(data, size, xt::no_ownership(), extents);
}

template <class T>
shape shape_of(const tensor<T>& t) {
    shape s;
    for (auto e : t.shape()) s.push_back(static_cast<extent>(e));
    return s;
}

/// An array of zeros.
template <class T>
tensor<T> zeros(const shape& s) {
    return tensor<T>(typename tensor<T>::shape_type(s.begin(), s.end()), T{});
}

/// What can be handed to a network: an xtensor expression, a span, an array, a vector.
template <class X>
concept array_like = requires(const X& x) {
    x.size();
    *x.begin();
    x.end();
};

/// Copies the `count` elements of `x` in row-major order: inline where the compiler knows how many.
template <array_like X, class T>
[[gnu::always_inline]] inline void copy_elements(const X& x, T* to, std::size_t count) {
    // not x.data(): of a view of an xtensor that is where the whole tensor begins
    using value_type = std::remove_cvref_t<decltype(*x.begin())>;
    if constexpr (std::contiguous_iterator<decltype(x.begin())> && std::is_same_v<value_type, T>) {
        if (count > 0) std::memcpy(to, std::to_address(x.begin()), count * sizeof(T));
    } else {
        std::transform(x.begin(), x.end(), to, [](auto value) { return static_cast<T>(value); });
    }
}
template <array_like X, class T>
void copy_elements(const X& x, T* to) {
    copy_elements(x, to, x.size());
}

/// The layer f as an xtensor function: `apply(gelu{}, x + y)` is an expression, evaluated when assigned.
template <elementwise_layer F, class E>
auto apply(const F& f, E&& expression) {
    return xt::make_lambda_xfunction([f](const auto& v) { return f(v); }, std::forward<E>(expression));
}

}  // namespace bespoke





#include <algorithm>
#include <memory>
#include <new>
#include <span>
#include <utility>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace bespoke {

/// Bytes to which blobs and parameters are aligned: one cache line, one AVX-512 register.
inline constexpr std::size_t alignment = 64;

/// Number of elements of T that fill up to the next aligned place.
template <class T>
constexpr extent aligned_size(extent elements) {
    constexpr extent step = static_cast<extent>(alignment / sizeof(T));
    return (elements + step - 1) / step * step;
}

/// Bytes of a large page, and so many that memory is asked for in them: a model of hundreds of megabytes would spend
/// more time in the page faults of small ones than on reading its file.
inline constexpr std::size_t large_page = std::size_t{2} << 20, large_memory = 2 * large_page;

/// Aligned storage of trivial elements, zero at first where nothing else is said.
template <class T>
class buffer {
public:
    buffer() = default;
    explicit buffer(extent size) { resize(size); }
    buffer(const buffer& other) : buffer(other.size_) {
        std::copy_n(other.data(), other.size_, data());
    }
    buffer(buffer&& other) noexcept
        : memory_(std::move(other.memory_)), size_(std::exchange(other.size_, 0)) {}
    buffer& operator=(buffer other) noexcept {
        memory_.swap(other.memory_);
        std::swap(size_, other.size_);
        return *this;
    }

    T* data() const { return memory_.get(); }
    extent size() const { return size_; }
    T* begin() const { return data(); }
    T* end() const { return data() + size_; }
    T& operator[](extent i) const { return memory_.get()[i]; }

    /// Contents are zeros afterwards. Allocates only if the size changes.
    void resize(extent size) {
        allocate(size);
        std::fill_n(data(), size_, T{});
    }

    /// As `resize`, with contents that are not defined.
    void allocate(extent size) {
        if (size == size_) return;
        memory_.reset();
        size_ = 0;
        if (size == 0) return;
        const std::size_t bytes = static_cast<std::size_t>(size) * sizeof(T);
        const std::align_val_t aligned{bytes < large_memory ? alignment : large_page};
        memory_ = {static_cast<T*>(::operator new(bytes, aligned)), release{aligned}};
        size_ = size;
#ifdef __linux__
        if (bytes >= large_memory) madvise(data(), bytes, MADV_HUGEPAGE);  // a wish: it need not be granted
#endif
    }

    /// Grows to at least `size` elements; contents are lost when it grows.
    void reserve(extent size) {
        if (size > size_) resize(size);
    }

private:
    struct release {
        std::align_val_t aligned{alignment};
        void operator()(T* memory) const { ::operator delete(memory, aligned); }
    };
    std::unique_ptr<T, release> memory_;
    extent size_ = 0;
};

}  // namespace bespoke

#include <algorithm>
#include <vector>

namespace bespoke {

/// A piece of memory that is wanted from time `first` to time `last`, both included.
struct tenancy {
    extent size = 0;
    std::size_t first = 0, last = 0;
    extent offset = 0;  ///< filled in by `allocate`
};

/// Gives each tenancy an offset such that no two which overlap in time overlap in space, and returns the
/// size of the whole. Largest first, each at the lowest place that is free: within a few per cent of the
/// largest live set on real networks (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net
/// Inference", 2020).
constexpr extent allocate(std::vector<tenancy>& tenancies) {
    tenancy* const all = tenancies.data();  // and no operators: the compiler counts every call
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < tenancies.size(); ++i) order.push_back(i);
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return all[a].size != all[b].size ? all[a].size > all[b].size : a < b;
    });
    std::vector<std::size_t> placed;  // by offset
    extent total = 0;
    for (std::size_t i : order) {
        tenancy& mine = all[i];
        const extent size = aligned_size<float>(mine.size);
        extent offset = 0;
        const std::size_t* const end = placed.data() + placed.size();
        for (const std::size_t* other = placed.data(); other != end; ++other) {
            const tenancy& theirs = all[*other];
            if (theirs.last < mine.first || mine.last < theirs.first) continue;
            if (theirs.offset >= offset + size) break;
            const extent behind = theirs.offset + aligned_size<float>(theirs.size);
            if (behind > offset) offset = behind;
        }
        mine.offset = offset;
        total = std::max(total, offset + size);
        placed.insert(std::upper_bound(placed.begin(), placed.end(), i,
                                       [&](std::size_t a, std::size_t b) { return all[a].offset < all[b].offset; }),
                      i);
    }
    return total;
}

}  // namespace bespoke


#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace bespoke {

/// A number for a text, in which most differ (FNV-1a).
constexpr std::uint32_t hash_of(std::string_view text) {
    std::uint32_t hash = 0x811C9DC5U;
    const char* const end = text.data() + text.size();
    for (const char* c = text.data(); c != end; ++c) hash = (hash ^ static_cast<unsigned char>(*c)) * 0x01000193U;
    return hash;
}

/// A piece of the plan's text pool.
struct text_range {
    std::size_t begin = 0, size = 0;
    std::uint32_t hash = 0;
};

/// One array of the network: an input, or what a layer writes.
struct blob_facts {
    text_range name;
    shape dimensions;
    bool per_example = true;     ///< stored once an example; false: once for all
    std::size_t maker = npos;    ///< the first step that writes it; npos: an input
    std::size_t first = 0, last = 0;  ///< steps between which it is alive in a prediction
    extent offset = 0;           ///< place in the arena, in elements of one example

    static constexpr std::size_t npos = static_cast<std::size_t>(-1);
};

/// One layer in the order of execution. Steps of nested networks follow their control step.
struct step_facts {
    text_range name;   ///< with the prefixes of `repeat`
    text_range place;  ///< "layers/3 "fc" (innerProduct)", for errors
    std::size_t first_link = 0, input_count = 0, output_count = 0;
    std::size_t first_parameter = 0, parameter_count = 0;
    std::size_t end = 0;      ///< one past the last step nested in this one
    std::size_t parent = blob_facts::npos;   ///< the control step around this one
    std::size_t watched = blob_facts::npos;  ///< the blob that a loop's condition network writes
    bool control = false;
    bool loop = false;
    bool in_loop = false;
    bool logged = false;      ///< overwrites values that a backward pass may still want
    bool in_place = false;
    bool gradient_in_place = false;  ///< the gradient of its input may be written over that of its output
    bool runs_epilogue = false;  ///< what its layer says
    bool can_finish = false;     ///< likewise
    std::size_t head = blob_facts::npos;  ///< the step whose epilogue does the work of this one in a prediction
    std::size_t next = blob_facts::npos;  ///< the next step in the epilogue that this one is part of, or begins
    bool updatable = false;
    bool differentiable = true;
    bool probabilities = false;
    bool mixes_examples = false;
    backward_needs needs;
};

/// One parameter array.
struct parameter_facts {
    std::size_t step = 0;
    std::string_view name;
    shape dimensions;
    extent offset = 0;  ///< place in the block of all parameters, in elements
    initial start = initial::zero;
    bool learned = true;
};

/// What the planner knows of a network, behind spans: the same for compile time and run time.
struct plan_view {
    std::span<const step_facts> steps;
    std::span<const blob_facts> blobs;
    std::span<const std::size_t> links;  ///< blob numbers: inputs, then outputs, step after step
    std::span<const parameter_facts> parameters;
    std::span<const std::size_t> inputs, outputs;
    std::span<const char> text;
    extent arena_size = 0;      ///< elements an example
    extent shared_size = 0;     ///< elements stored once
    extent parameters_size = 0;

    constexpr std::string_view operator[](text_range range) const {
        return {text.data() + range.begin, range.size};
    }
    constexpr std::span<const std::size_t> inputs_of(std::size_t step) const {
        return links.subspan(steps[step].first_link, steps[step].input_count);
    }
    constexpr std::span<const std::size_t> outputs_of(std::size_t step) const {
        return links.subspan(steps[step].first_link + steps[step].input_count, steps[step].output_count);
    }
    /// The last step of the epilogue that begins at `step`; itself where there is none.
    constexpr std::size_t tail_of(std::size_t step) const {
        while (steps[step].next != blob_facts::npos) step = steps[step].next;
        return step;
    }
    constexpr std::span<const parameter_facts> parameters_of(std::size_t step) const {
        return parameters.subspan(steps[step].first_parameter, steps[step].parameter_count);
    }
    /// The number of the blob called `name`, or npos.
    constexpr std::size_t find_blob(std::string_view name) const {
        for (std::size_t i = 0; i < blobs.size(); ++i)
            if ((*this)[blobs[i].name] == name) return i;
        return blob_facts::npos;
    }
    /// The number of the step called `name`, or npos.
    constexpr std::size_t find_step(std::string_view name) const {
        for (std::size_t i = 0; i < steps.size(); ++i)
            if ((*this)[steps[i].name] == name) return i;
        return blob_facts::npos;
    }
};

/// A plan that owns its lists.
struct plan {
    std::vector<step_facts> steps;
    std::vector<blob_facts> blobs;
    std::vector<std::size_t> links;
    std::vector<parameter_facts> parameters;
    std::vector<std::size_t> inputs, outputs;
    std::vector<char> text;
    extent arena_size = 0, shared_size = 0, parameters_size = 0;

    constexpr plan_view view() const {
        return {steps, blobs, links, parameters, inputs, outputs, text, arena_size, shared_size, parameters_size};
    }
};

/// How long the lists of a plan are: what turns one into a `static_plan`.
struct plan_sizes {
    std::size_t steps, blobs, links, parameters, inputs, outputs, text;

    constexpr explicit plan_sizes(const plan& p)
        : steps(p.steps.size()), blobs(p.blobs.size()), links(p.links.size()), parameters(p.parameters.size()),
          inputs(p.inputs.size()), outputs(p.outputs.size()), text(p.text.size()) {}
};

/// A plan in arrays, which can be a constant of the program.
template <std::size_t Steps, std::size_t Blobs, std::size_t Links, std::size_t Parameters, std::size_t Inputs,
          std::size_t Outputs, std::size_t Text>
struct static_plan {
    std::array<step_facts, Steps> steps{};
    std::array<blob_facts, Blobs> blobs{};
    std::array<std::size_t, Links> links{};
    std::array<parameter_facts, Parameters> parameters{};
    std::array<std::size_t, Inputs> inputs{};
    std::array<std::size_t, Outputs> outputs{};
    std::array<char, Text> text{};
    extent arena_size, shared_size, parameters_size;

    constexpr explicit static_plan(const plan& p)
        : arena_size(p.arena_size), shared_size(p.shared_size), parameters_size(p.parameters_size) {
        std::copy(p.steps.begin(), p.steps.end(), steps.begin());
        std::copy(p.blobs.begin(), p.blobs.end(), blobs.begin());
        std::copy(p.links.begin(), p.links.end(), links.begin());
        std::copy(p.parameters.begin(), p.parameters.end(), parameters.begin());
        std::copy(p.inputs.begin(), p.inputs.end(), inputs.begin());
        std::copy(p.outputs.begin(), p.outputs.end(), outputs.begin());
        std::copy(p.text.begin(), p.text.end(), text.begin());
    }
    constexpr plan_view view() const {
        return {steps, blobs, links, parameters, inputs, outputs, text, arena_size, shared_size, parameters_size};
    }
};

}  // namespace bespoke

#include <string>

namespace bespoke {

/// Bytes that a blob's values take for one example.
constexpr extent bytes_of(const blob_facts& blob) {
    return aligned_size<float>(blob.dimensions.size()) * static_cast<extent>(sizeof(float));
}

/// The most bytes of blobs that are alive at one step of a prediction of one example, each place counted once: no arena
/// can be smaller.
constexpr extent largest_live_set(const plan_view& p) {
    extent most = 0;
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        extent live = 0;
        for (std::size_t b = 0; b < p.blobs.size(); ++b) {
            const blob_facts& blob = p.blobs[b];
            if (blob.first > s || blob.last < s) continue;
            extent counted = 0;  // of the same place, by blobs before it
            for (std::size_t other = 0; other < b; ++other)
                if (p.blobs[other].first <= s && s <= p.blobs[other].last && p.blobs[other].offset == blob.offset &&
                    p.blobs[other].per_example == blob.per_example)
                    counted = std::max(counted, bytes_of(p.blobs[other]));
            live += std::max<extent>(0, bytes_of(blob) - counted);
        }
        most = std::max(most, live);
    }
    return most;
}

/// What the planner made of a network, as a table for a reader: for each step its place in the description, the shape of
/// what it writes, the bytes that this takes and where it lies, and the numbers of its parameters. Steps that run as
/// the epilogue of another one stand behind it with a "+".
inline std::string inspect(const plan_view& p) {
    const auto text_of = [](const auto& value) { return std::string(sentence(value).view()); };
    const auto padded = [](std::string text, std::size_t width) {
        if (text.size() < width) text.append(width - text.size(), ' ');
        return text + "  ";
    };
    std::size_t widest = 0;
    for (const step_facts& step : p.steps) widest = std::max(widest, p[step.place].size() + 2);
    std::string table = padded("step", widest) + padded("output", 20) + padded("bytes", 10) + padded("at", 10) + "parameters\n";
    const auto add = [&](std::size_t s) {
        extent parameters = 0;
        for (const parameter_facts& facts : p.parameters_of(s)) parameters += facts.dimensions.size();
        std::string shapes, bytes, places;
        for (std::size_t b : p.outputs_of(s)) {
            const blob_facts& blob = p.blobs[b];
            const std::string comma = shapes.empty() ? "" : ", ";
            shapes += comma + text_of(blob.dimensions);
            bytes += comma + text_of(bytes_of(blob));
            places += comma + text_of(blob.offset * static_cast<extent>(sizeof(float))) + (blob.per_example ? "" : " once");
        }
        const bool finishes = p.steps[s].head != blob_facts::npos;
        std::string line = padded((finishes ? "+ " : "") + std::string(p[p.steps[s].place]), widest) + padded(shapes, 20) +
                           padded(bytes, 10) + padded(places, 10) + (parameters > 0 ? text_of(parameters) : "");
        line.erase(line.find_last_not_of(' ') + 1);
        table += line + "\n";
    };
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        if (p.steps[s].head != blob_facts::npos) continue;
        for (std::size_t part = s; part != blob_facts::npos; part = p.steps[part].next) add(part);
    }
    const auto floats = [&](extent count) { return text_of(count * static_cast<extent>(sizeof(float))); };
    return table + floats(p.arena_size) + " bytes of blobs an example, " + floats(p.shared_size) +
           " once (at least " + text_of(largest_live_set(p)) + " are alive at one step), " + floats(p.parameters_size) +
           " of parameters\n";
}

}  // namespace bespoke






#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>
#include <xsimd/xsimd.hpp>

namespace bespoke::kernels {

/// One register of elements, of the widest instruction set that the compiler was told to use.
template <class T>
using batch = xsimd::batch<T, xsimd::default_arch>;

/// Elements in one batch: 16 floats with AVX-512, 8 with AVX2, 4 with SSE2.
template <class T>
inline constexpr extent lanes = static_cast<extent>(batch<T>::size);

template <class Arch>
inline constexpr bool is_avx512 = std::is_base_of_v<xsimd::avx512f, Arch>;

/// Vector registers of the instruction set; tile sizes follow from it.
inline constexpr std::size_t vector_registers =
    is_avx512<xsimd::default_arch> || std::is_base_of_v<xsimd::neon64, xsimd::default_arch> ? 32 : 16;

/// Whether the machine rounds a multiply-add once.
inline constexpr bool has_fma = is_avx512<xsimd::default_arch> || XSIMD_WITH_FMA3_AVX2 ||
                                XSIMD_WITH_FMA3_AVX || XSIMD_WITH_FMA3_SSE || XSIMD_WITH_FMA4 ||
                                XSIMD_WITH_NEON64;

/// a * b + c; rounded once where the machine has the instruction, twice where not (SSE2).
///
/// xsimd 8.1 has no fma for AVX-512 and leaves it to the compiler whether to fuse: always call this one.
template <class T>
[[gnu::always_inline]] inline batch<T> fma(const batch<T>& a, const batch<T>& b, const batch<T>& c) noexcept {
#if XSIMD_WITH_AVX512F
    if constexpr (is_avx512<xsimd::default_arch> && std::is_same_v<T, float>)
        return _mm512_fmadd_ps(a, b, c);
    else if constexpr (is_avx512<xsimd::default_arch> && std::is_same_v<T, double>)
        return _mm512_fmadd_pd(a, b, c);
    else
#endif
        return xsimd::fma(a, b, c);
}
template <std::floating_point T>
[[gnu::always_inline]] inline T fma(T a, T b, T c) noexcept {
    if constexpr (has_fma)
        return std::fma(a, b, c);
    else {
        const T product = a * b;  // in a statement of its own: clang fuses within one
        return product + c;
    }
}

/// Calls f(integral_constant<size_t, 0>) ... f(integral_constant<size_t, Count - 1>), written out.
template <std::size_t Count, class F>
[[gnu::always_inline]] inline void unroll(const F& f) noexcept {
    [&]<std::size_t... I>(std::index_sequence<I...>) __attribute__((always_inline)) {
        (f(std::integral_constant<std::size_t, I>{}), ...);
    }
    (std::make_index_sequence<Count>{});
}

template <class T>
[[gnu::always_inline]] inline batch<T> load(const T* p) noexcept {
    return batch<T>::load_unaligned(p);
}

template <class T>
[[gnu::always_inline]] inline void store(T* p, const batch<T>& v) noexcept {
    v.store_unaligned(p);
}

/// v, which the compiler is to keep in a register: g++ would rather load it again for each use.
template <class T>
[[gnu::always_inline]] inline batch<T> in_register(batch<T> v) noexcept {
#if XSIMD_WITH_AVX512F
    asm("" : "+v"(v.data));
#elif XSIMD_WITH_SSE2
    asm("" : "+x"(v.data));
#endif
    return v;
}

/// The first `n` elements at `p`, zero in the other lanes; 0 <= n <= lanes. Reads nothing beyond them.
template <class T>
[[gnu::always_inline]] inline batch<T> load_partial(const T* p, extent n) noexcept {
#if XSIMD_WITH_AVX512F
    if constexpr (is_avx512<xsimd::default_arch> && std::is_same_v<T, float>)
        return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1u), p);
    else if constexpr (is_avx512<xsimd::default_arch> && std::is_same_v<T, double>)
        return _mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << n) - 1u), p);
    else
#endif
    {
        alignas(64) T copy[lanes<T>] = {};
        if (n > 0) std::memcpy(copy, p, static_cast<std::size_t>(n) * sizeof(T));
        return batch<T>::load_aligned(copy);
    }
}

/// Stores the first `n` lanes; 0 <= n <= lanes. Writes nothing beyond them.
template <class T>
[[gnu::always_inline]] inline void store_partial(T* p, const batch<T>& v, extent n) noexcept {
#if XSIMD_WITH_AVX512F
    if constexpr (is_avx512<xsimd::default_arch> && std::is_same_v<T, float>)
        _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1u), v);
    else if constexpr (is_avx512<xsimd::default_arch> && std::is_same_v<T, double>)
        _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << n) - 1u), v);
    else
#endif
    {
        alignas(64) T copy[lanes<T>];
        v.store_aligned(copy);
        if (n > 0) std::memcpy(p, copy, static_cast<std::size_t>(n) * sizeof(T));
    }
}

/// The lane that stands for a scalar, so that one element gets the bits that it gets in a batch.
template <class T>
[[gnu::always_inline]] inline T first_lane(const batch<T>& v) noexcept {
    alignas(64) T copy[lanes<T>];
    v.store_aligned(copy);
    return copy[0];
}

/// Calls body(offset, load, store) for each batch of [0, n): `load(p)` and `store(p, v)` move
/// the elements that are there. The last, partial batch runs the same code on a padded copy.
template <class T, class N, class Body>
[[gnu::always_inline]] inline void for_each_batch(N n, const Body& body) noexcept {
    const extent size = n;
    extent i = 0;
    for (; i + lanes<T> <= size; i += lanes<T>)
        body(
            i, [](const T* p) __attribute__((always_inline)) { return kernels::load(p); },
            [](T * p, const batch<T>& v) __attribute__((always_inline)) { kernels::store(p, v); });
    if (const extent rest = size - i; rest > 0)
        body(
            i, [rest](const T* p) __attribute__((always_inline)) { return load_partial(p, rest); },
            [rest](T * p, const batch<T>& v) __attribute__((always_inline)) { store_partial(p, v, rest); });
}

/// The lanes of `v`, added as a balanced tree: (0 + 1) + (2 + 3) and so on.
template <class T>
[[gnu::always_inline]] inline T sum_lanes(const batch<T>& v) noexcept {
    alignas(64) T copy[lanes<T>];
    v.store_aligned(copy);
    for (extent width = 1; width < lanes<T>; width *= 2)
        for (extent i = 0; i < lanes<T>; i += 2 * width) copy[i] += copy[i + width];
    return copy[0];
}

namespace detail {

/// Lanes of the two batches a, b taken as one of twice the length: lane i of the result is lane Index(i).
template <class T, class Index, std::size_t... I>
[[gnu::always_inline]] inline batch<T> pick(const batch<T>& a, const batch<T>& b, Index index,
                                            std::index_sequence<I...>) noexcept {
    using raw [[gnu::vector_size(sizeof(batch<T>))]] = T;
    return batch<T>(static_cast<typename batch<T>::register_type>(
        __builtin_shufflevector((raw)a.data, (raw)b.data, index(I)...)));
}

}  // namespace detail

/// Every second element of the 2 * lanes elements a, b, from the first on.
template <class T>
[[gnu::always_inline]] inline batch<T> even_lanes(const batch<T>& a, const batch<T>& b) noexcept {
    constexpr auto index = [](std::size_t i) { return static_cast<int>(2 * i); };
    return detail::pick<T>(a, b, index, std::make_index_sequence<batch<T>::size>{});
}

/// Every second element of the 2 * lanes elements a, b, from the second on.
template <class T>
[[gnu::always_inline]] inline batch<T> odd_lanes(const batch<T>& a, const batch<T>& b) noexcept {
    constexpr auto index = [](std::size_t i) { return static_cast<int>(2 * i + 1); };
    return detail::pick<T>(a, b, index, std::make_index_sequence<batch<T>::size>{});
}

/// a[0], b[0], a[1], b[1], ...: as many elements as one batch holds.
template <class T>
[[gnu::always_inline]] inline batch<T> interleave_low(const batch<T>& a, const batch<T>& b) noexcept {
    constexpr std::size_t n = batch<T>::size;
    constexpr auto index = [](std::size_t i) { return static_cast<int>(i / 2 + i % 2 * n); };
    return detail::pick<T>(a, b, index, std::make_index_sequence<n>{});
}

/// The rest of what `interleave_low` begins.
template <class T>
[[gnu::always_inline]] inline batch<T> interleave_high(const batch<T>& a, const batch<T>& b) noexcept {
    constexpr std::size_t n = batch<T>::size;
    constexpr auto index = [](std::size_t i) { return static_cast<int>(i / 2 + i % 2 * n + n / 2); };
    return detail::pick<T>(a, b, index, std::make_index_sequence<n>{});
}

/// The square v, lanes x lanes elements, reflected: lane i of v[j] and lane j of v[i] change places.
template <class T>
[[gnu::always_inline]] inline void transpose(batch<T> (&v)[static_cast<std::size_t>(lanes<T>)]) noexcept {
    constexpr std::size_t n = batch<T>::size;
    // Interleaving the halves of the list of rows rotates the bits of (row, lane) by one.
    for (std::size_t stage = 1; stage < n; stage *= 2) {
        batch<T> next[n];
        unroll<n / 2>([&](auto i) __attribute__((always_inline)) {
            next[2 * i] = interleave_low<T>(v[i], v[i + n / 2]);
            next[2 * i + 1] = interleave_high<T>(v[i], v[i + n / 2]);
        });
        unroll<n>([&](auto i) __attribute__((always_inline)) { v[i] = next[i]; });
    }
}

namespace detail {

/// `transpose` of one block of up to lanes x lanes elements.
template <class T>
[[gnu::noinline]] void transpose_part(const T* from, extent from_stride, extent rows, extent columns, T* to,
                                      extent to_stride, bool add) noexcept {
    constexpr auto n = batch<T>::size;
    batch<T> block[n];
    unroll<n>([&](auto r) __attribute__((always_inline)) {
        block[r] = batch<T>(T(0));
        if (static_cast<extent>(r()) < rows)
            block[r] = load_partial(from + static_cast<extent>(r()) * from_stride, columns);
    });
    transpose<T>(block);
    unroll<n>([&](auto c) __attribute__((always_inline)) {
        if (static_cast<extent>(c()) >= columns) return;
        T* p = to + static_cast<extent>(c()) * to_stride;
        store_partial<T>(p, add ? load_partial<T>(p, rows) + block[c] : block[c], rows);
    });
}

/// The lanes x lanes elements at `from`, transposed.
template <class T>
[[gnu::always_inline]] inline void load_transposed(const T* from, extent stride,
                                                   batch<T> (&block)[static_cast<std::size_t>(lanes<T>)]) noexcept {
#if XSIMD_WITH_AVX512F
    if constexpr (is_avx512<xsimd::default_arch> && std::is_same_v<T, float>) {
        // Quarters of registers are put together as they are loaded: that takes no shuffle.
        unroll<4>([&](auto q) __attribute__((always_inline)) {
            __m512 row[4];
            unroll<4>([&](auto i) __attribute__((always_inline)) {
                const T* p = from + static_cast<extent>(i()) * stride + 4 * static_cast<extent>(q());
                row[i] = _mm512_castps128_ps512(_mm_loadu_ps(p));
                row[i] = _mm512_insertf32x4(row[i], _mm_loadu_ps(p + 4 * stride), 1);
                row[i] = _mm512_insertf32x4(row[i], _mm_loadu_ps(p + 8 * stride), 2);
                row[i] = _mm512_insertf32x4(row[i], _mm_loadu_ps(p + 12 * stride), 3);
            });
            const __m512d low = _mm512_castps_pd(_mm512_unpacklo_ps(row[0], row[1])),
                          low2 = _mm512_castps_pd(_mm512_unpacklo_ps(row[2], row[3])),
                          high = _mm512_castps_pd(_mm512_unpackhi_ps(row[0], row[1])),
                          high2 = _mm512_castps_pd(_mm512_unpackhi_ps(row[2], row[3]));
            block[4 * q()] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, low2));
            block[4 * q() + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, low2));
            block[4 * q() + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high, high2));
            block[4 * q() + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high, high2));
        });
    } else
#endif
    {
        unroll<batch<T>::size>([&](auto r) __attribute__((always_inline)) {
            block[r] = load(from + static_cast<extent>(r()) * stride);
        });
        transpose<T>(block);
    }
}

}  // namespace detail

/// to[j * to_stride + i] = from[i * from_stride + j], i in [0, rows), j in [0, columns); with `add` += instead of =.
/// They may not overlap.
template <class T>
[[gnu::noinline]] void transpose(const T* from, extent from_stride, extent rows, extent columns, T* to,
                                 extent to_stride, bool add = false) noexcept {
    constexpr extent n = lanes<T>;
    for (extent left = 0; left < columns; left += n)
        for (extent top = 0; top < rows; top += n) {
            extent i = top, j = left;
            if (rows - i < n || columns - j < n) {
                if (add || rows < n || columns < n) {
                    detail::transpose_part(from + i * from_stride + j, from_stride, rows - i < n ? rows - i : n,
                                           columns - j < n ? columns - j : n, to + j * to_stride + i, to_stride, add);
                    continue;
                }
                // The last block begins where it is whole; what it shares with the one before is written again.
                i = i < rows - n ? i : rows - n;
                j = j < columns - n ? j : columns - n;
            }
            T* target = to + j * to_stride + i;
            batch<T> block[static_cast<std::size_t>(n)];
            detail::load_transposed<T>(from + i * from_stride + j, from_stride, block);
            if (add)
                unroll<static_cast<std::size_t>(n)>([&](auto c) __attribute__((always_inline)) {
                    block[c] = block[c] + load<T>(target + static_cast<extent>(c()) * to_stride);
                });
            unroll<static_cast<std::size_t>(n)>([&](auto c) __attribute__((always_inline)) {
                store<T>(target + static_cast<extent>(c()) * to_stride, block[c]);
            });
        }
}

}  // namespace bespoke::kernels

#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>

// g++ 12 reports the deliberately undefined operand inside its own AVX-512 header as uninitialized (its bug
// 105593). Through these wrappers it stays silent, so call kernels::max rather than xsimd::max.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace bespoke::kernels {

// Elementary functions for float, double and batches of them, under one name each: kernels::tanh(v).
// A scalar is computed in the first lane of a batch, so it gets the same bits as an element of an array.
//
// Largest error over the whole range, in units in the last place of the result (float is swept by
// tests/kernels/math.cpp, double sampled): exp 1.1, log 1, log1p 1, tanh 2.5, sigmoid 2.5, erf 3; square root
// and the arithmetic functions are correctly rounded. NaN gives NaN, and the ends saturate without a
// spurious overflow. The polynomials are weighted minimax fits made for this file.

namespace detail {

template <class T>
struct format;
template <>
struct format<float> {
    using bits = std::uint32_t;
    static constexpr int mantissa = 23;
    static constexpr bits bias = 127;
};
template <>
struct format<double> {
    using bits = std::uint64_t;
    static constexpr int mantissa = 52;
    static constexpr bits bias = 1023;
};

template <class T>
using bits_batch = batch<typename format<T>::bits>;

template <class T>
[[gnu::always_inline]] inline bits_batch<T> to_bits(const batch<T>& v) noexcept {
    return xsimd::bitwise_cast<bits_batch<T>>(v);
}
template <class T>
[[gnu::always_inline]] inline batch<T> from_bits(const bits_batch<T>& v) noexcept {
    return xsimd::bitwise_cast<batch<T>>(v);
}
template <class T>
constexpr typename format<T>::bits bits_of(T v) noexcept {
    return std::bit_cast<typename format<T>::bits>(v);
}

template <class T>
struct coefficients;
template <>
struct coefficients<float> {
    // (exp(r) - 1 - r) / r^2, |r| <= ln 2 / 2
    static constexpr float exponential[] = {0.5f, 0.16666542f, 0.0416662805f, 0.00836673845f, 0.00139464939f};
    static constexpr float exponential_low = -104.0f, exponential_high = 89.0f;
    // (log((1 + s) / (1 - s)) - 2 s) / s^3 in s^2, |s| <= 0.1716
    static constexpr float logarithm[] = {0.666666627f, 0.400003344f, 0.285373062f, 0.235822991f};
    static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    // erf(x) / x in x^2, |x| <= 1
    static constexpr float erf_small[] = {1.12837911f,    -0.37612626f,     0.112835854f,   -0.0268538166f,
                                          0.00518833799f, -0.000801029208f, 7.85420852e-05f};
    // -log(1 - erf(x)) in x - erf_centre, 1 <= x <= erf_end
    static constexpr float erf_large[] = {5.36494112f,     4.41815948f,     0.923753738f,    0.0164883733f,
                                          -0.00354447379f, 0.000710067688f, -0.000186951278f};
    static constexpr float erf_centre = 2.0f, erf_end = 4.0f;
};
template <>
struct coefficients<double> {
    static constexpr double exponential[] = {
        0.50000000000000056,    0.16666666666666682,    0.041666666666571324,   0.0083333333333160016,
        0.0013888888933149171,  0.00019841269900075943, 2.4801503496464809e-05, 2.7557230533975886e-06,
        2.7626713522534719e-07, 2.51136713989353e-08};
    static constexpr double exponential_low = -746.0, exponential_high = 710.0;
    static constexpr double logarithm[] = {0.66666666666667351, 0.39999999999413682, 0.28571428742615318,
                                           0.22222198547789901, 0.18183565780130076, 0.15314009640820511,
                                           0.14796396948700186};
    static constexpr double ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;
    static constexpr double erf_small[] = {
        1.1283791670955126,     -0.37612638903183748,    0.11283791670954857,    -0.02686617064507292,
        0.0052239776247811447,  -0.0008548326978760133,  0.00012055331037612707, -1.4925593525202056e-05,
        1.6460973126419775e-06, -1.6350028640321757e-07, 1.4657903596792e-08,    -1.1365760226651028e-09,
        5.945424596676009e-11};
    static constexpr double erf_large[] = {
        7.8068152727272544,      5.3526807509865177,      0.94389373352572892,     0.010858072740038449,
        -0.0021654769177155003,  0.00042093251554090483,  -7.7030777707292445e-05, 1.2756024670775486e-05,
        -1.7688682475210822e-06, 1.5574837161119697e-07,  1.232033557969463e-08,   -1.0892832178178304e-08,
        3.7275092938792062e-09,  -7.7610423262432527e-10, 1.0371049080091048e-10,  -5.6632435445762209e-11,
        5.2687981807464359e-12,  5.0134681136136232e-12};
    static constexpr double erf_centre = 2.5, erf_end = 6.0;
};

/// c[0] + c[1] x + c[2] x^2 + ..., as one chain of fma.
template <class T, std::size_t Count>
[[gnu::always_inline]] inline batch<T> polynomial(const batch<T>& x, const T (&c)[Count]) noexcept {
    batch<T> sum(c[Count - 1]);
    unroll<Count - 1>([&](auto i) __attribute__((always_inline)) {
        sum = kernels::fma(sum, x, batch<T>(c[Count - 2 - i]));
    });
    return sum;
}

/// x = k ln 2 + r, |r| <= ln 2 / 2: k, k in the low bits of `shifted`, and exp(r) - 1.
template <class T>
struct reduced {
    batch<T> k, shifted, expm1;
};
template <class T>
[[gnu::always_inline]] inline reduced<T> reduce_exp(const batch<T>& x) noexcept {
    using c = coefficients<T>;
    // Adding 1.5 * 2^mantissa leaves the nearest integer in the low bits.
    const batch<T> magic(static_cast<T>(typename format<T>::bits{3} << (format<T>::mantissa - 1)));
    const batch<T> shifted = kernels::fma(x, batch<T>(T(1.44269504088896340736)), magic);
    const batch<T> k = shifted - magic;
    const batch<T> r = kernels::fma(k, batch<T>(-c::ln2_low), kernels::fma(k, batch<T>(-c::ln2_high), x));
    return {k, shifted, kernels::fma(r * r, polynomial(r, c::exponential), r)};
}

/// v * 2^k, rounded once, where the result may overflow or be subnormal.
template <class T>
[[gnu::always_inline]] inline batch<T> scale_by_power(const batch<T>& v, const reduced<T>& x) noexcept {
#if XSIMD_WITH_AVX512F
    if constexpr (is_avx512<xsimd::default_arch> && std::is_same_v<T, float>)
        return _mm512_scalef_ps(v, x.k);
    else if constexpr (is_avx512<xsimd::default_arch> && std::is_same_v<T, double>)
        return _mm512_scalef_pd(v, x.k);
    else
#endif
    {
        // 2^k as a product of two powers that are both normal numbers; 2 * bias keeps all counts positive.
        constexpr typename format<T>::bits offset =
            bits_of(static_cast<T>(typename format<T>::bits{3} << (format<T>::mantissa - 1))) -
            2 * format<T>::bias;
        const bits_batch<T> sum = to_bits<T>(x.shifted) - bits_batch<T>(offset);
        const bits_batch<T> half = sum >> 1;
        return v * from_bits<T>(half << format<T>::mantissa) *
               from_bits<T>((sum - half) << format<T>::mantissa);
    }
}

/// k ln 2 + log(1 + f) + correction, 1 + f in [sqrt(1/2), sqrt(2)).
template <class T>
[[gnu::always_inline]] inline batch<T> log_reduced(const batch<T>& k, const batch<T>& f,
                                                   const batch<T>& correction) noexcept {
    using c = coefficients<T>;
    const batch<T> s = f / (f + batch<T>(T(2)));
    const batch<T> z = s * s;
    const batch<T> half_square = f * f * batch<T>(T(0.5));
    const batch<T> inner = kernels::fma(z, polynomial(z, c::logarithm), half_square);
    const batch<T> low = kernels::fma(s, inner, kernels::fma(k, batch<T>(c::ln2_low), correction));
    return kernels::fma(k, batch<T>(c::ln2_high), f - (half_square - low));
}

/// x = 2^k (1 + f), for positive normal x.
template <class T>
[[gnu::always_inline]] inline void split_exponent(const batch<T>& x, batch<T>& k, batch<T>& f) noexcept {
    using bits = typename format<T>::bits;
    constexpr bits root_half = bits_of(T(0.70710678118654752440));
    constexpr bits mask = (bits{1} << format<T>::mantissa) - 1;
    constexpr T magic = static_cast<T>(bits{1} << format<T>::mantissa);
    const bits_batch<T> u = to_bits<T>(x) + bits_batch<T>(bits_of(T(1)) - root_half);
    k = from_bits<T>((u >> format<T>::mantissa) | bits_batch<T>(bits_of(magic))) -
        batch<T>(magic + static_cast<T>(format<T>::bias));
    f = from_bits<T>((u & bits_batch<T>(mask)) + bits_batch<T>(root_half)) - batch<T>(T(1));
}

}  // namespace detail

/// where ? a : b, lane by lane.
template <class T>
[[gnu::always_inline]] inline batch<T> select(const xsimd::batch_bool<T, xsimd::default_arch>& where,
                                              const batch<T>& a, const batch<T>& b) noexcept {
    return xsimd::select(where, a, b);
}
template <std::floating_point T>
constexpr T select(bool where, T a, T b) noexcept {
    return where ? a : b;
}

/// The larger of both; `b` where either is NaN. So max(limit, x) keeps a NaN in x.
template <class T>
[[gnu::always_inline]] inline batch<T> max(const batch<T>& a, const batch<T>& b) noexcept {
    return xsimd::max(a, b);
}
template <std::floating_point T>
constexpr T max(T a, T b) noexcept {
    return a > b ? a : b;
}

/// The smaller of both; `b` where either is NaN. So min(limit, x) keeps a NaN in x.
template <class T>
[[gnu::always_inline]] inline batch<T> min(const batch<T>& a, const batch<T>& b) noexcept {
    return xsimd::min(a, b);
}
template <std::floating_point T>
constexpr T min(T a, T b) noexcept {
    return a < b ? a : b;
}

/// Whether x is NaN, lane by lane. Never x != x: xsimd 8.1 compares that as ordered on AVX, so it is false for NaN.
template <class T>
[[gnu::always_inline]] inline xsimd::batch_bool<T, xsimd::default_arch> is_nan(const batch<T>& x) noexcept {
    return xsimd::isnan(x);
}
template <std::floating_point T>
constexpr bool is_nan(T x) noexcept {
    return x != x;
}

/// The larger of both, NaN where either is: what a running maximum (`a`) becomes with the next element.
template <class T>
[[gnu::always_inline]] inline batch<T> running_max(const batch<T>& a, const batch<T>& next) noexcept {
    return xsimd::select(xsimd::isnan(next), next, xsimd::max(next, a));  // what waits for `a` is the maximum only
}
template <std::floating_point T>
constexpr T running_max(T a, T next) noexcept {
    return next > a || is_nan(next) ? next : a;
}

template <class T>
[[gnu::always_inline]] inline batch<T> abs(const batch<T>& x) noexcept {
    return xsimd::abs(x);
}
template <std::floating_point T>
inline T abs(T x) noexcept {
    return std::abs(x);
}

template <class T>
[[gnu::always_inline]] inline batch<T> sqrt(const batch<T>& x) noexcept {
    return xsimd::sqrt(x);
}
template <std::floating_point T>
inline T sqrt(T x) noexcept {
    return std::sqrt(x);
}

/// |x| with the sign of `sign`.
template <class T>
[[gnu::always_inline]] inline batch<T> copysign(const batch<T>& x, const batch<T>& sign) noexcept {
    const batch<T> mask(T(-0.0));
    return xsimd::abs(x) | (sign & mask);
}
template <std::floating_point T>
inline T copysign(T x, T sign) noexcept {
    return std::copysign(x, sign);
}

/// e^x. Infinite from the first overflow on, zero from the last subnormal on.
template <class T>
inline batch<T> exp(const batch<T>& x) noexcept {
    using c = detail::coefficients<T>;
    const auto r = detail::reduce_exp<T>(
        xsimd::min(batch<T>(c::exponential_high), xsimd::max(batch<T>(c::exponential_low), x)));
    return detail::scale_by_power<T>(r.expm1 + batch<T>(T(1)), r);
}

/// Natural logarithm; log(0) = -infinity, NaN below.
template <class T>
inline batch<T> log(const batch<T>& x) noexcept {
    using limits = std::numeric_limits<T>;
    constexpr T up = static_cast<T>(typename detail::format<T>::bits{1} << detail::format<T>::mantissa);
    const auto subnormal = x < batch<T>(limits::min());
    batch<T> k, f;
    detail::split_exponent<T>(xsimd::select(subnormal, x * batch<T>(up), x), k, f);
    k = xsimd::select(subnormal, k - batch<T>(static_cast<T>(detail::format<T>::mantissa)), k);
    batch<T> y = detail::log_reduced<T>(k, f, batch<T>(T(0)));
    y = xsimd::select(x == batch<T>(T(0)), batch<T>(-limits::infinity()), y);
    y = xsimd::select(x < batch<T>(T(0)), batch<T>(limits::quiet_NaN()), y);
    return xsimd::select(x < batch<T>(limits::infinity()), y, x);
}

/// log(1 + x), exact to the last places for small x too; log1p(-1) = -infinity, NaN below.
template <class T>
inline batch<T> log1p(const batch<T>& x) noexcept {
    using limits = std::numeric_limits<T>;
    const batch<T> one(T(1)), zero(T(0));
    const batch<T> u = one + x;
    batch<T> k, f;
    detail::split_exponent<T>(u, k, f);
    // What 1 + x lost in rounding.
    const batch<T> lost = xsimd::select(x > one, one - (u - x), x - (u - one)) / u;
    const auto small = x > batch<T>(T(-0.2928)) && x < batch<T>(T(0.4142));
    const batch<T> y0 = detail::log_reduced<T>(xsimd::select(small, zero, k), xsimd::select(small, x, f),
                                               xsimd::select(small, zero, lost));
    batch<T> y = xsimd::select(x == zero, x, y0);
    y = xsimd::select(x == -one, batch<T>(-limits::infinity()), y);
    y = xsimd::select(x < -one, batch<T>(limits::quiet_NaN()), y);
    return xsimd::select(x < batch<T>(limits::infinity()), y, x);
}

/// Hyperbolic tangent, as t / (t + 2) with t = exp(2 |x|) - 1.
template <class T>
inline batch<T> tanh(const batch<T>& x) noexcept {
    const batch<T> one(T(1)), two(T(2));
    const batch<T> a = xsimd::min(batch<T>(T(20)), xsimd::abs(x));
    const auto r = detail::reduce_exp<T>(a + a);
    constexpr auto offset = detail::bits_of(static_cast<T>(typename detail::format<T>::bits{3}
                                                           << (detail::format<T>::mantissa - 1))) -
                            detail::format<T>::bias;
    const batch<T> power = detail::from_bits<T>(
        (detail::to_bits<T>(r.shifted) - detail::bits_batch<T>(offset)) << detail::format<T>::mantissa);
    const batch<T> t = kernels::fma(power, r.expm1, power - one);
    return kernels::copysign<T>(t / (t + two), x);
}

/// 1 / (1 + e^-x), without overflow and with the subnormal end exact.
template <class T>
inline batch<T> sigmoid(const batch<T>& x) noexcept {
    const batch<T> one(T(1));
    const batch<T> e = kernels::exp<T>(-xsimd::abs(x));
    return xsimd::select(x < batch<T>(T(0)), e, one) / (one + e);
}

/// Gauss error function.
template <class T>
inline batch<T> erf(const batch<T>& x) noexcept {
    using c = detail::coefficients<T>;
    const batch<T> one(T(1));
    const batch<T> a = xsimd::abs(x);
    const batch<T> small = x * detail::polynomial<T>(x * x, c::erf_small);
    const batch<T> q =
        detail::polynomial<T>(xsimd::min(batch<T>(c::erf_end), a) - batch<T>(c::erf_centre), c::erf_large);
    const batch<T> large = kernels::copysign<T>(one - kernels::exp<T>(-q), x);
    return xsimd::select(a < one, small, large);
}

template <std::floating_point T>
inline T exp(T x) noexcept {
    return first_lane<T>(kernels::exp<T>(batch<T>(x)));
}
template <std::floating_point T>
inline T log(T x) noexcept {
    return first_lane<T>(kernels::log<T>(batch<T>(x)));
}
template <std::floating_point T>
inline T log1p(T x) noexcept {
    return first_lane<T>(kernels::log1p<T>(batch<T>(x)));
}
template <std::floating_point T>
inline T tanh(T x) noexcept {
    return first_lane<T>(kernels::tanh<T>(batch<T>(x)));
}
template <std::floating_point T>
inline T sigmoid(T x) noexcept {
    return first_lane<T>(kernels::sigmoid<T>(batch<T>(x)));
}
template <std::floating_point T>
inline T erf(T x) noexcept {
    return first_lane<T>(kernels::erf<T>(batch<T>(x)));
}

}  // namespace bespoke::kernels

#pragma GCC diagnostic pop

#include <limits>

/// The activations of the Core ML specification, ActivationParams. Each is a layer and a function: f(v) for
/// a float, a double or a SIMD batch. PReLU and parametric softplus, which have parameters, are in
/// parametric_activation.hpp.
///
/// NaN gives NaN. Where f has a kink, `derivative` is the slope on its left.
namespace bespoke {

/// y = alpha x + beta
struct linear {
    float alpha = 1, beta = 0;

    static constexpr auto key = "activation", nested_key = "linear";
    static constexpr auto fields = std::tuple{field{"alpha", &linear::alpha}, field{"beta", &linear::beta}};
    static constexpr backward_needs needs{.input = false, .output = false};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::fma(V(alpha), x, V(beta));
    }
    template <class V>
    V derivative(const V&, const V&) const noexcept {
        return V(alpha);
    }
    friend bool operator==(const linear&, const linear&) = default;
};

/// y = max(0, x)
struct relu {
    static constexpr auto key = "activation", nested_key = "ReLU";
    static constexpr auto fields = std::tuple{};
    static constexpr backward_needs needs{.input = false, .output = true};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::max(V(0), x);
    }
    template <class V>
    V derivative(const V&, const V& y) const noexcept {
        return kernels::select(y > V(0), V(1), V(0));
    }
    friend bool operator==(const relu&, const relu&) = default;
};

/// y = x for x >= 0, else alpha x
struct leaky_relu {
    float alpha = 0.01f;

    static constexpr auto key = "activation", nested_key = "leakyReLU";
    static constexpr auto fields = std::tuple{field{"alpha", &leaky_relu::alpha}};
    static constexpr backward_needs needs{.input = true, .output = false};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::select(x >= V(0), x, V(alpha) * x);
    }
    template <class V>
    V derivative(const V& x, const V&) const noexcept {
        return kernels::select(x > V(0), V(1), V(alpha));
    }
    friend bool operator==(const leaky_relu&, const leaky_relu&) = default;
};

/// y = x for x >= alpha, else 0. A jump, not a kink: at alpha the slope is that on its right, 1.
struct thresholded_relu {
    float alpha = 1;

    static constexpr auto key = "activation", nested_key = "thresholdedReLU";
    static constexpr auto fields = std::tuple{field{"alpha", &thresholded_relu::alpha}};
    static constexpr backward_needs needs{.input = true, .output = false};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::select(x < V(alpha), V(0), x);
    }
    template <class V>
    V derivative(const V& x, const V&) const noexcept {
        return kernels::select(x < V(alpha), V(0), V(1));
    }
    friend bool operator==(const thresholded_relu&, const thresholded_relu&) = default;
};

/// y = tanh x
struct tanh {
    static constexpr auto key = "activation", nested_key = "tanh";
    static constexpr auto fields = std::tuple{};
    static constexpr backward_needs needs{.input = false, .output = true};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::tanh(x);
    }
    template <class V>
    V derivative(const V&, const V& y) const noexcept {
        return kernels::fma(-y, y, V(1));
    }
    friend bool operator==(const tanh&, const tanh&) = default;
};

/// y = alpha tanh(beta x). The defaults are those of LeCun et al., "Efficient BackProp", 1998.
struct scaled_tanh {
    float alpha = 1.7159f, beta = 2.0f / 3.0f;

    static constexpr auto key = "activation", nested_key = "scaledTanh";
    static constexpr auto fields =
        std::tuple{field{"alpha", &scaled_tanh::alpha}, field{"beta", &scaled_tanh::beta}};
    static constexpr backward_needs needs{.input = false, .output = true};
    template <class V>
    V operator()(const V& x) const noexcept {
        return V(alpha) * kernels::tanh(V(beta) * x);
    }
    template <class V>
    V derivative(const V&, const V& y) const noexcept {
        const V t = alpha == 0 ? V(0) : y / V(alpha);
        return V(alpha) * V(beta) * kernels::fma(-t, t, V(1));
    }
    friend bool operator==(const scaled_tanh&, const scaled_tanh&) = default;
};

/// y = 1 / (1 + e^-x)
struct sigmoid {
    static constexpr auto key = "activation", nested_key = "sigmoid";
    static constexpr auto fields = std::tuple{};
    static constexpr backward_needs needs{.input = false, .output = true};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::sigmoid(x);
    }
    template <class V>
    V derivative(const V&, const V& y) const noexcept {
        return kernels::fma(-y, y, y);
    }
    friend bool operator==(const sigmoid&, const sigmoid&) = default;
};

/// y = min(max(alpha x + beta, 0), 1); flat at both ends.
struct sigmoid_hard {
    float alpha = 0.2f, beta = 0.5f;

    static constexpr auto key = "activation", nested_key = "sigmoidHard";
    static constexpr auto fields =
        std::tuple{field{"alpha", &sigmoid_hard::alpha}, field{"beta", &sigmoid_hard::beta}};
    static constexpr backward_needs needs{.input = false, .output = true};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::min(V(1), kernels::max(V(0), kernels::fma(V(alpha), x, V(beta))));
    }
    template <class V>
    V derivative(const V&, const V& y) const noexcept {
        return kernels::select(y > V(0), kernels::select(y < V(1), V(alpha), V(0)), V(0));
    }
    friend bool operator==(const sigmoid_hard&, const sigmoid_hard&) = default;
};

/// y = x for x >= 0, else alpha (e^x - 1). Clevert et al., ICLR 2016.
struct elu {
    float alpha = 1;

    static constexpr auto key = "activation", nested_key = "ELU";
    static constexpr auto fields = std::tuple{field{"alpha", &elu::alpha}};
    template <class V>
    V operator()(const V& x) const noexcept {
        // e^x - 1 = 2 t / (1 - t), t = tanh(x / 2): no cancellation where x is small
        const V t = kernels::tanh(kernels::min(V(0), x) * V(0.5f));
        return kernels::select(x >= V(0), x, V(alpha) * ((t + t) / (V(1) - t)));
    }
    template <class V>
    V derivative(const V& x, const V& y) const noexcept {
        return kernels::select(x > V(0), V(1), y + V(alpha));
    }
    friend bool operator==(const elu&, const elu&) = default;
};

/// y = x / (1 + |x|)
struct softsign {
    static constexpr auto key = "activation", nested_key = "softsign";
    static constexpr auto fields = std::tuple{};
    static constexpr backward_needs needs{.input = true, .output = false};
    template <class V>
    V operator()(const V& x) const noexcept {
        const V size = kernels::abs(x);
        const V infinite(std::numeric_limits<float>::infinity());
        return kernels::select(size < infinite, x / (V(1) + size),
                               kernels::min(V(1), kernels::max(V(-1), x)));
    }
    template <class V>
    V derivative(const V& x, const V&) const noexcept {
        const V d = V(1) / (V(1) + kernels::abs(x));
        return d * d;
    }
    friend bool operator==(const softsign&, const softsign&) = default;
};

/// y = log(1 + e^x), as max(0, x) + log(1 + e^-|x|), which neither overflows nor cancels.
struct softplus {
    static constexpr auto key = "activation", nested_key = "softplus";
    static constexpr auto fields = std::tuple{};
    static constexpr backward_needs needs{.input = true, .output = false};
    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::max(V(0), x) + kernels::log1p(kernels::exp(-kernels::abs(x)));
    }
    template <class V>
    V derivative(const V& x, const V&) const noexcept {
        return kernels::sigmoid(x);
    }
    friend bool operator==(const softplus&, const softplus&) = default;
};

}  // namespace bespoke



#include <array>

namespace bespoke::kernels {

// Element-wise operations between row-major arrays of different shapes. Shapes are aligned at their last
// axis; an axis of extent 1, or one that is missing, is repeated. Each shape must fit `out` in this way.

namespace detail {

/// The axes of `out`, neighbours joined where every array walks them as one, with the step of each array along
/// them: 0 where it is repeated. At least one axis; along the last one the steps are 0 or 1.
template <std::size_t Count>
struct broadcast_plan {
    std::size_t rank = 0;
    extent extents[max_rank]{};
    extent steps[Count][max_rank]{};
};

template <std::size_t Count>
constexpr broadcast_plan<Count> plan_broadcast(const shape& out, const std::array<shape, Count>& shapes) {
    broadcast_plan<Count> plan;
    for (std::size_t axis = 0; axis < out.rank(); ++axis) {
        const extent size = out[axis];
        if (size == 1) continue;
        extent steps[Count]{};
        for (std::size_t s = 0; s < Count; ++s) {
            const std::size_t missing = out.rank() - shapes[s].rank();
            if (axis >= missing && shapes[s][axis - missing] != 1)
                steps[s] = shapes[s].product(axis - missing + 1, shapes[s].rank());
        }
        bool joined = plan.rank > 0;
        for (std::size_t s = 0; s < Count && joined; ++s)
            joined = plan.steps[s][plan.rank - 1] == steps[s] * size;
        if (!joined) ++plan.rank;
        extent& total = plan.extents[plan.rank - 1];
        total = joined ? total * size : size;
        for (std::size_t s = 0; s < Count; ++s) plan.steps[s][plan.rank - 1] = steps[s];
    }
    if (plan.rank == 0) {
        plan.rank = 1;
        plan.extents[0] = 1;
        for (auto& steps : plan.steps) steps[0] = 1;
    }
    return plan;
}

/// Calls body(offsets of the arrays) for each run along the last axis, in row-major order.
template <std::size_t Count, class Body>
[[gnu::always_inline]] inline void each_run(const broadcast_plan<Count>& plan, const Body& body) noexcept {
    for (std::size_t axis = 0; axis < plan.rank; ++axis)
        if (plan.extents[axis] == 0) return;
    extent index[max_rank]{};
    extent offset[Count]{};
    for (;;) {
        body(offset);
        std::size_t axis = plan.rank - 1;
        for (; axis > 0; --axis) {
            const std::size_t a = axis - 1;
            for (std::size_t s = 0; s < Count; ++s) offset[s] += plan.steps[s][a];
            if (++index[a] < plan.extents[a]) break;
            for (std::size_t s = 0; s < Count; ++s) offset[s] -= plan.steps[s][a] * plan.extents[a];
            index[a] = 0;
        }
        if (axis == 0) return;
    }
}

}  // namespace detail

/// y = f(a, b), element by element with broadcasting; `f` maps two batches to one. y has the shape `out`, and may be
/// a or b where that has it too.
template <class F, class T>
void binary(const F& f, const shape& out, const T* a, const shape& a_shape, const T* b, const shape& b_shape,
            T* y) noexcept {
    const auto plan = detail::plan_broadcast<2>(out, {a_shape, b_shape});
    const std::size_t last = plan.rank - 1;
    const extent n = plan.extents[last];
    const bool a_moves = plan.steps[0][last] != 0, b_moves = plan.steps[1][last] != 0;
    detail::each_run(plan, [&](const extent(&offset)[2]) {
        const T *p = a + offset[0], *q = b + offset[1];
        if (a_moves && b_moves) {
            for_each_batch<T>(
                n, [&](extent i, auto in, auto put)
                       __attribute__((always_inline)) { put(y + i, f(in(p + i), in(q + i))); });
        } else if (a_moves) {
            const batch<T> right(*q);
            for_each_batch<T>(
                n, [&](extent i, auto in, auto put)
                       __attribute__((always_inline)) { put(y + i, f(in(p + i), right)); });
        } else {
            const batch<T> left(*p);
            for_each_batch<T>(
                n, [&](extent i, auto in, auto put) __attribute__((always_inline)) {
                    put(y + i, f(left, b_moves ? in(q + i) : batch<T>(*q)));
                });
        }
        y += n;
    });
}

/// dx += the sum of dy * other over the axes along which `to` is repeated in `out`.
///
/// dy has the shape `out`, other `other_shape` (broadcast to `out`), dx `to`. Order: runs along the last joined axis in
/// row-major order; an element that meets a whole run adds it as `dot` does (`lanes` chains), else one fma a run.
template <class T>
void multiply_reduce_to(const shape& out, const T* dy, const T* other, const shape& other_shape,
                        const shape& to, T* dx) noexcept {
    const auto plan = detail::plan_broadcast<3>(out, {out, other_shape, to});
    const std::size_t last = plan.rank - 1;
    const extent n = plan.extents[last];
    const bool other_moves = plan.steps[1][last] != 0, dx_moves = plan.steps[2][last] != 0;
    detail::each_run(plan, [&](const extent(&offset)[3]) {
        const T *g = dy + offset[0], *p = other + offset[1];
        T* d = dx + offset[2];
        batch<T> sum(T(0));
        for_each_batch<T>(
            n, [&](extent i, auto in, auto put) __attribute__((always_inline)) {
                const batch<T> factor = other_moves ? in(p + i) : batch<T>(*p);
                if (dx_moves)
                    put(d + i, kernels::fma<T>(in(g + i), factor, in(d + i)));
                else
                    sum = kernels::fma<T>(in(g + i), factor, sum);
            });
        if (!dx_moves) *d += sum_lanes<T>(sum);
    });
}

/// dx += the sum of dy over the axes along which `to` is repeated in `from`, the shape of dy. Order as in
/// `multiply_reduce_to`.
template <class T>
void reduce_to(const shape& from, const T* dy, const shape& to, T* dx) noexcept {
    const auto plan = detail::plan_broadcast<2>(from, {from, to});
    const std::size_t last = plan.rank - 1;
    const extent n = plan.extents[last];
    const bool dx_moves = plan.steps[1][last] != 0;
    detail::each_run(plan, [&](const extent(&offset)[2]) {
        const T* g = dy + offset[0];
        T* d = dx + offset[1];
        batch<T> sum(T(0));
        for_each_batch<T>(
            n, [&](extent i, auto in, auto put) __attribute__((always_inline)) {
                if (dx_moves)
                    put(d + i, in(d + i) + in(g + i));
                else
                    sum = sum + in(g + i);
            });
        if (!dx_moves) *d += sum_lanes<T>(sum);
    });
}

}  // namespace bespoke::kernels


namespace bespoke::kernels {

/// y[i] = f(x[i]), i in [0, n). `f` maps a batch to a batch; y may be x.
template <class F, class T, class N>
void map(N n, const F& f, const T* x, T* y) noexcept {
    for_each_batch<T>(
        n, [&](extent i, auto in, auto out) __attribute__((always_inline)) { out(y + i, f(in(x + i))); });
}

/// dx[i] += dy[i] * f.derivative(x[i], y[i]), i in [0, n). dx may not be dy.
template <class F, class T, class N>
void map_backward(N n, const F& f, const T* x, const T* y, const T* dy, T* dx) noexcept {
    for_each_batch<T>(
        n, [&](extent i, auto in, auto out) __attribute__((always_inline)) {
            const batch<T> slope = f.derivative(in(x + i), in(y + i));
            out(dx + i, kernels::fma<T>(in(dy + i), slope, in(dx + i)));
        });
}

/// d[i] *= f.derivative(x[i], y[i]), i in [0, n).
template <class F, class T, class N>
void map_slope(N n, const F& f, const T* x, const T* y, T* d) noexcept {
    for_each_batch<T>(
        n, [&](extent i, auto in, auto out) __attribute__((always_inline)) {
            out(d + i, in(d + i) * f.derivative(in(x + i), in(y + i)));
        });
}

/// y[i] += x[i].
template <class T, class N>
void accumulate(N n, const T* x, T* y) noexcept {
    for_each_batch<T>(
        n, [&](extent i, auto in, auto out)
               __attribute__((always_inline)) { out(y + i, in(y + i) + in(x + i)); });
}

/// y[i] += a * x[i], one fma.
template <class T, class N>
void accumulate_scaled(N n, T a, const T* x, T* y) noexcept {
    for_each_batch<T>(
        n, [&](extent i, auto in, auto out) __attribute__((always_inline)) {
            out(y + i, kernels::fma<T>(batch<T>(a), in(x + i), in(y + i)));
        });
}

/// y[i] = a * x[i]; y may be x.
template <class T, class N>
void scale(N n, T a, const T* x, T* y) noexcept {
    for_each_batch<T>(
        n, [&](extent i, auto in, auto out)
               __attribute__((always_inline)) { out(y + i, batch<T>(a) * in(x + i)); });
}

/// y[i] = a.
template <class T, class N>
void fill(N n, T a, T* y) noexcept {
    for_each_batch<T>(
        n, [&](extent i, auto, auto out) __attribute__((always_inline)) { out(y + i, batch<T>(a)); });
}

/// y[i] = x[i]; the arrays are equal or do not overlap.
template <class T, class N>
void copy(N n, const T* x, T* y) noexcept {
    if (n > 0 && x != y) std::memcpy(y, x, static_cast<std::size_t>(n) * sizeof(T));
}

}  // namespace bespoke::kernels


#include <algorithm>

/// What `add` and `multiply` share.
namespace bespoke {

/// The shape of an element-wise function of several blobs. All have the same rank; along each axis the
/// extents are equal, or 1 and repeated: [C, H, W] goes with [C, 1, 1], [1, H, W] and [1, 1, 1].
/// Core ML specification, AddLayerParams and MultiplyLayerParams.
constexpr outcome broadcast_shape(std::span<const shape> xs) {
    shape y = xs[0];
    for (std::size_t i = 1; i < xs.size(); ++i) {
        if (xs[i].rank() != y.rank())
            return shape_fault("inputs of one rank wanted, their shapes are ", xs[0], " and ", xs[i]);
        for (std::size_t axis = 0; axis < y.rank(); ++axis) {
            if (y[axis] == xs[i][axis] || xs[i][axis] == 1) continue;
            if (y[axis] != 1)
                return shape_fault("inputs wanted whose extents are equal or 1, input ", i, " has the shape ",
                                   xs[i], ", those before it have ", y);
            y[axis] = xs[i][axis];
        }
    }
    return y;
}

namespace detail {

/// Whether all blobs have y's shape and lie example after example, so that they are rows of numbers.
template <class Xs, class Y>
bool walk_together(const Xs& xs, const Y& y) noexcept {
    for (const auto& x : xs)
        if (!(x.dimensions == y.dimensions) || (x.stride != y.stride && y.examples > 1)) return false;
    return true;
}

/// Calls body(example) for all examples, on several threads if `apart`: they write to different places.
template <class Y, class Body>
void each_example(const Y& y, bool apart, thread_pool* threads, const Body& body) noexcept {
    if (y.total() < (1 << 14)) apart = false;
    parallel_for(apart ? threads : nullptr, y.examples, 1, [&](extent first, extent last) {
        for (extent i = first; i < last; ++i) body(i);
    });
}

/// Whether a layer of these inputs can finish one of the shape of y (see `finishes`): the other, if there is one, has
/// that shape too, or repeats along all axes but the last.
constexpr bool can_finish_binary(std::span<const shape> xs) {
    if (xs.size() != 2) return xs.size() == 1;
    const auto row_of = [](const shape& row, const shape& y) {
        return row.rank() > 0 && row.rank() <= y.rank() && row.size() == row.from_end(1) &&
               row.from_end(1) == y.from_end(1);
    };
    return xs[0] == xs[1] || row_of(xs[0], xs[1]) || row_of(xs[1], xs[0]);
}

/// v = f(v, other) in the block; f(v, alpha) where there is no other.
template <class T, class F>
void finish_binary(const output_block<T>& block, const finishing<T>& with, T alpha, const F& f) noexcept {
    using kernels::batch;
    const extent size = with.dimensions->size();
    for (extent i = 0; i < block.rows; ++i) {
        T* const row = block.data + i * block.stride;
        const extent at = with.offset + i * block.stride;
        if (with.other == nullptr)
            kernels::map(block.columns, [&](const batch<T>& v) { return f(v, batch<T>(alpha)); }, row, row);
        for (extent j = 0; j < block.columns && with.other != nullptr;) {
            extent some = block.columns - j;
            const T* other = with.other + at + j;
            if (with.other_size != size) {
                const extent column = (at + j) % with.other_size;
                other = with.other + (at + j) / size * with.other_size + column;
                some = std::min(some, with.other_size - column);
            }
            kernels::for_each_batch<T>(
                some, [&](extent k, auto in, auto out) { out(row + j + k, f(in(row + j + k), in(other + k))); });
            j += some;
        }
    }
}

}  // namespace detail

}  // namespace bespoke

namespace bespoke {

/// y = x1 + x2 + ..., from the left; of a single input, y = x + alpha.
/// Shapes: see `broadcast_shape`. Core ML specification, AddLayerParams.
struct add {
    float alpha = 0;

    static constexpr auto key = "add";
    static constexpr auto fields = std::tuple{field{"alpha", &add::alpha}};
    static constexpr input_count inputs{1, any_number};
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(std::span<const shape> xs) const { return broadcast_shape(xs); }
    constexpr bool finishes(std::span<const shape> xs) const { return detail::can_finish_binary(xs); }

    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        const auto& y = ys[0];
        using T = typename Ys::value_type::value_type;
        using kernels::batch;
        if (detail::walk_together(xs, y)) {
            parallel_for(w.threads, y.total(), 4096, [&](extent begin, extent end) {
                kernels::for_each_batch<T>(end - begin, [&](extent i, auto in, auto out) {
                    batch<T> sum = in(xs[0].data + begin + i);
                    if (xs.size() == 1) sum = sum + batch<T>(alpha);
                    for (std::size_t k = 1; k < xs.size(); ++k) sum = sum + in(xs[k].data + begin + i);
                    out(y.data + begin + i, sum);
                });
            });
            return;
        }
        const auto plus = [](const auto& a, const auto& b) { return a + b; };
        detail::each_example(y, true, w.threads, [&](extent e) {
            kernels::binary(plus, y.dimensions, xs[0].example(e), xs[0].dimensions, xs[1].example(e),
                            xs[1].dimensions, y.example(e));
            for (std::size_t k = 2; k < xs.size(); ++k)
                kernels::binary(plus, y.dimensions, static_cast<const T*>(y.example(e)), y.dimensions,
                                xs[k].example(e), xs[k].dimensions, y.example(e));
        });
    }
    template <class T>
    void finish(const output_block<T>& block, const finishing<T>& with) const noexcept {
        detail::finish_binary(block, with, static_cast<T>(alpha),
                              [](const auto& a, const auto& b) { return a + b; });
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs, Ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        const auto& dy = dys[0];
        for (const auto& dx : dxs) {
            if (!dx) continue;
            if (detail::walk_together(std::span(&dx, 1), dy))
                parallel_for(w.threads, dy.total(), 4096, [&](extent begin, extent end) {
                    kernels::accumulate(end - begin, dy.data + begin, dx.data + begin);
                });
            else
                detail::each_example(dy, dx.stride != 0, w.threads, [&](extent e) {
                    kernels::reduce_to(dy.dimensions, dy.example(e), dx.dimensions, dx.example(e));
                });
        }
    }
    friend bool operator==(const add&, const add&) = default;
};

}  // namespace bespoke



#include <algorithm>
#include <limits>

namespace bespoke::kernels {

/// The sum of x[0, n): `lanes` chains, element i in lane i mod lanes, then the lanes as in `sum_lanes`.
template <class T>
T sum(extent n, const T* x) noexcept {
    batch<T> total(T(0));
    for_each_batch<T>(
        n, [&](extent i, auto in, auto) __attribute__((always_inline)) { total = total + in(x + i); });
    return sum_lanes<T>(total);
}

/// The sum of x[i] * y[i], i in [0, n): chains of fma in the order of `sum`.
template <class T>
T dot(extent n, const T* x, const T* y) noexcept {
    batch<T> total(T(0));
    for_each_batch<T>(
        n, [&](extent i, auto in, auto)
               __attribute__((always_inline)) { total = kernels::fma<T>(in(x + i), in(y + i), total); });
    return sum_lanes<T>(total);
}

/// The largest of x[0, n), NaN where there is one; -infinity of nothing.
template <class T>
T running_max(extent n, const T* x) noexcept {
    batch<T> most(-std::numeric_limits<T>::infinity());
    for (; n >= lanes<T>; n -= lanes<T>, x += lanes<T>) most = kernels::running_max<T>(most, load(x));
    alignas(64) T lane[lanes<T>];
    most.store_aligned(lane);
    T result = lane[0];
    for (T v : lane) result = kernels::running_max(result, v);
    for (extent i = 0; i < n; ++i) result = kernels::running_max(result, x[i]);
    return result;
}

/// Whether none of x[0, n) is infinite or NaN.
template <class T>
bool all_finite(extent n, const T* x) noexcept {
    batch<T> differences(T(0));  // 0 of numbers, NaN of the others
    for_each_batch<T>(
        n, [&](extent i, auto in, auto) __attribute__((always_inline)) {
            const batch<T> v = in(x + i);
            differences = differences + (v - v);
        });
    return sum_lanes<T>(differences) == 0;
}

/// out[j] += sum over rows of x[row * stride + j], j in [0, n): one chain from out[j], rows ascending.
template <class T>
void column_sums(extent rows, extent n, const T* x, extent stride, T* out,
                 thread_pool* threads = nullptr) noexcept {
    if (rows * n < (1 << 15)) threads = nullptr;
    parallel_for(threads, n, lanes<T>, [&](extent first, extent last) {
        for_each_batch<T>(
            last - first, [&](extent j, auto in, auto put) __attribute__((always_inline)) {
                batch<T> total = in(out + first + j);
                for (extent row = 0; row < rows; ++row) total = total + in(x + row * stride + first + j);
                put(out + first + j, total);
            });
    });
}

}  // namespace bespoke::kernels







#include <algorithm>

// Loops over the rows and batches of a tile: so short that they are to be written out.
#ifdef __clang__
#define BESPOKE_UNROLL _Pragma("clang loop unroll(full)")
#else
#define BESPOKE_UNROLL _Pragma("GCC unroll 16")
#endif

namespace bespoke::kernels {

/// Columns of one packed panel: two batches.
template <class T>
inline constexpr extent panel_width = 2 * lanes<T>;

/// Elements that `pack` writes for a k x n matrix.
template <class T>
constexpr extent packed_size(extent k, extent n) {
    return (n + panel_width<T> - 1) / panel_width<T> * panel_width<T> * k;
}

namespace detail {

/// Rows of the larger register tile; with two batches of columns it leaves room for the operands. Of the smaller
/// tile just enough to hide the latency of a multiply-add.
inline constexpr extent tile_rows = vector_registers == 32 ? 12 : 6,
                        small_tile_rows = tile_rows == 12 ? 4 : 3;

/// Steps of k after which a tile goes back to C, so that a panel of B stays near.
template <class T>
inline constexpr extent k_block = 1536 / static_cast<extent>(sizeof(T));

/// The product that all matrix products and convolutions are made of: for each row i and column j of one panel
///     c[c_rows[i] + j] = start[j] + sum over p in [0, steps) of a[a_rows[i] + a_steps[p]] * b[p * panel_width + j],
/// one chain of fma over p ascending. The rows are given with the call. `start` null: the chain starts with what C
/// holds. Rows of C and `start` are whole batches.
template <class T>
struct panel_product {
    extent steps;
    const T* a;
    const extent* a_steps;
    const T* b;
    T* c;
    const T* start;
};

/// Rows 0 ... last of a product; those of the tile beyond repeat the last one.
///
/// Element I of `sum` is batch I % Batches of row I / Batches: all of them stay in registers.
template <class T, std::size_t Batches, std::size_t... I>
[[gnu::always_inline]] inline void tile_elements(const panel_product<T>& t, const extent* a_rows,
                                                 const extent* c_rows, extent last,
                                                 std::index_sequence<I...>) noexcept {
    const auto row = [last](std::size_t i) { return std::min(static_cast<extent>(i / Batches), last); };
    const auto column = [](std::size_t i) { return static_cast<extent>(i % Batches) * lanes<T>; };
    const T* a[] = {t.a + a_rows[row(I)]...};
    batch<T> sum[] = {load((t.start != nullptr ? t.start : t.c + c_rows[row(I)]) + column(I))...};
    const T* b = t.b;
    for (extent p = 0; p < t.steps; ++p, b += panel_width<T>) {
        const extent step = t.a_steps[p];
        batch<T> right[Batches];
        right[0] = in_register<T>(load(b));
        if constexpr (Batches == 2) right[1] = in_register<T>(load(b + lanes<T>));
        ((sum[I] = kernels::fma<T>(batch<T>(a[I / Batches * Batches][step]), right[I % Batches], sum[I])),
         ...);
    }
    (store<T>(t.c + c_rows[row(I)] + column(I), sum[I]), ...);
}
template <class T, std::size_t Rows, std::size_t Batches>
[[gnu::noinline]] void tile(const panel_product<T>& t, const extent* a_rows, const extent* c_rows,
                            extent last) noexcept {
    tile_elements<T, Batches>(t, a_rows, c_rows, last, std::make_index_sequence<Rows * Batches>{});
}

/// `rows` rows of a product; `columns` of the panel are wanted, what lies beyond their last batch is left alone.
template <class T>
[[gnu::noinline]] void multiply_panel(const panel_product<T>& t, extent rows, const extent* a_rows,
                                      const extent* c_rows, extent columns) noexcept {
    const bool wide = columns > lanes<T>;
    for (extent i = 0; i < rows;) {
        const extent rest = rows - i;
        if (3 * rest > 2 * tile_rows) {
            (wide ? tile<T, tile_rows, 2> : tile<T, tile_rows, 1>)(t, a_rows + i, c_rows + i,
                                                                   std::min(rest, tile_rows) - 1);
            i += tile_rows;
        } else {
            (wide ? tile<T, small_tile_rows, 2>
                  : tile<T, small_tile_rows, 1>)(t, a_rows + i, c_rows + i,
                                                 std::min(rest, small_tile_rows) - 1);
            i += small_tile_rows;
        }
    }
}

/// In how many interleaved sums a single row computes each element: k = 0, chains, 2 chains, ... goes to the
/// first, which also holds the start, k = 1, chains + 1, ... to the second; then (0 + 1) + (2 + 3).
/// With few columns one chain would wait for its own result; decided by n and k alone.
template <class T>
constexpr extent row_chains(extent n, extent k) {
    if (k < 16) return 1;
    return n <= 2 * lanes<T> ? 4 : n <= 4 * lanes<T> ? 2 : 1;
}

/// Batches of columns of a single row that are computed together.
template <class T>
constexpr extent row_batches(extent n, extent k) {
    const extent chains = row_chains<T>(n, k);
    return chains == 1 ? 8 : chains == 2 ? 4 : n <= lanes<T> ? 1 : 2;
}

/// c[0, Batches * lanes) = start + a B of one row; B's columns begin at b, the first of a panel. `valid` of the
/// columns are read from `start` (null: zero) and written to c.
template <class T, extent Batches, extent Chains, class K>
[[gnu::always_inline]] inline void row_product(K size, extent valid, const T* a, extent a_column, const T* b,
                                               const T* start, T* c) noexcept {
    const extent k = size;
    const auto count = [=](extent j) __attribute__((always_inline)) {
        return std::clamp(valid - j * lanes<T>, extent{0}, lanes<T>);
    };
    const bool whole = valid == Batches * lanes<T>;
    batch<T> sum[Chains][Batches];
    BESPOKE_UNROLL
    for (extent j = 0; j < Batches; ++j) {
        BESPOKE_UNROLL
        for (extent chain = 0; chain < Chains; ++chain) sum[chain][j] = batch<T>(T(0));
        if (start != nullptr)
            sum[0][j] = whole ? load(start + j * lanes<T>) : load_partial(start + j * lanes<T>, count(j));
    }
    const auto step = [&](extent chain) __attribute__((always_inline)) {
        const batch<T> left(a[chain * a_column]);
        BESPOKE_UNROLL
        for (extent j = 0; j < Batches; ++j) {
            const T* right = b + j / 2 * panel_width<T> * k + j % 2 * lanes<T> + chain * panel_width<T>;
            sum[chain][j] = kernels::fma<T>(left, load(right), sum[chain][j]);
        }
    };
    extent p = 0;
    for (; p + Chains <= k; p += Chains) {
        BESPOKE_UNROLL
        for (extent chain = 0; chain < Chains; ++chain) step(chain);
        a += Chains * a_column;
        b += Chains * panel_width<T>;
    }
    BESPOKE_UNROLL
    for (extent chain = 0; chain + 1 < Chains; ++chain)
        if (p + chain < k) step(chain);
    BESPOKE_UNROLL
    for (extent j = 0; j < Batches; ++j) {
        batch<T> total = sum[0][j];
        if constexpr (Chains == 2) total = total + sum[1][j];
        if constexpr (Chains == 4) total = (total + sum[1][j]) + (sum[2][j] + sum[3][j]);
        if (whole)
            store<T>(c + j * lanes<T>, total);
        else
            store_partial<T>(c + j * lanes<T>, total, count(j));
    }
}
/// The same for any size, all columns valid.
template <class T, extent Batches, extent Chains>
[[gnu::noinline]] void row_product_dynamic(extent k, const T* a, extent a_column, const T* b, const T* start,
                                           T* c) noexcept {
    row_product<T, Batches, Chains>(k, Batches * lanes<T>, a, a_column, b, start, c);
}

}  // namespace detail
}  // namespace bespoke::kernels

#undef BESPOKE_UNROLL

namespace bespoke::kernels::detail {

// Products whose left-hand rows were packed as well: what a tile reads follows each other in memory, so that its
// addresses cost nothing and rows that lie a power of two apart do not drive each other out of the cache.

/// Rows of the tiles, from the largest on; the smaller ones take what is left over.
inline constexpr extent middle_tile_rows = tile_rows == 12 ? 8 : small_tile_rows;

/// Elements of the left-hand side that are packed at a time, and the most steps of k of them.
template <class T>
inline constexpr extent left_size = 72 * 1024 / static_cast<extent>(sizeof(T));
template <class T>
inline constexpr extent left_steps = 3072 / static_cast<extent>(sizeof(T));

/// Elements that `pack_left` writes for `rows` rows of k elements. What it writes beyond the last strip are not used.
template <class T>
constexpr extent packed_left_size(extent rows, extent k) {
    return (rows + tile_rows - 1) / tile_rows * tile_rows * k + lanes<T>;
}

/// Rows as strips of `tile_rows`: to[strip][p][i] = a[(strip * tile_rows + i) * row + p * column]. Rows of the last
/// strip that are not there repeat the last one.
template <class T>
[[gnu::noinline]] void pack_left(const T* a, extent row, extent column, extent rows, extent k, T* to) noexcept {
    constexpr auto size = static_cast<std::size_t>(lanes<T>);
    constexpr auto blocks = (static_cast<std::size_t>(tile_rows) + size - 1) / size;
    for (extent first = 0; first < rows; first += tile_rows, a += tile_rows * row) {
        const extent last = std::min(tile_rows, rows - first) - 1;
        extent p = 0;
        if (column == 1)
            // Each store but the last of a step writes beyond what it has to; the next one mends it.
            for (; p + lanes<T> <= k; p += lanes<T>, to += lanes<T> * tile_rows) {
                batch<T> part[blocks][size];
                unroll<blocks>([&](auto block) __attribute__((always_inline)) {
                    unroll<size>([&](auto i) __attribute__((always_inline)) {
                        constexpr auto at = static_cast<extent>(block() * size + i());
                        if constexpr (at < tile_rows) part[block][i] = load(a + std::min(at, last) * row + p);
                        else part[block][i] = batch<T>(T(0));
                    });
                    transpose<T>(part[block]);
                });
                unroll<size>([&](auto i) __attribute__((always_inline)) {
                    unroll<blocks>([&](auto block) __attribute__((always_inline)) {
                        store<T>(to + static_cast<extent>(i()) * tile_rows + static_cast<extent>(block() * size),
                                 part[block][i]);
                    });
                });
            }
        for (; p < k; ++p, to += tile_rows)
            for (extent i = 0; i < tile_rows; ++i) to[i] = a[std::min(i, last) * row + p * column];
    }
}

/// For each row i and column j of a tile
///     c[i * c_row + j] = start[i * start_row + j]
///                        + sum over p in [0, steps) of a[i * a_row + p * a_column] * b[p * b_row + j],
/// one chain of fma over p ascending. Rows beyond `last` are read from A, but not written. From `coming` on,
/// `coming_step` elements a step of k, memory is brought near meanwhile; `next_c` are the rows of C that come then.
template <class T>
struct block_tile {
    extent steps;
    const T* a;
    extent a_row, a_column;
    const T* b;
    extent b_row;
    T* c;
    extent c_row;
    const T* start;
    extent start_row;  ///< negative: each row has one start, start[i] for all columns
    const T* coming;
    extent coming_step;
    const T* next_c;
    extent last;
};

/// The pointer, which the compiler is to keep as it is: g++ would rather keep one for each use.
template <class P>
[[gnu::always_inline]] inline P* in_register(P* p) noexcept {
    asm("" : "+r"(p));
    return p;
}

/// a * b + c: what a tile is made of, unless its elements are groups of smaller ones, see group_product.hpp.
template <class T>
struct multiply_add {
    [[gnu::always_inline]] static batch<T> run(const batch<T>& a, const batch<T>& b, const batch<T>& c) noexcept {
        return kernels::fma<T>(a, b, c);
    }
};

template <class T, extent Rows, extent Batches, class Step = multiply_add<T>>
[[gnu::noinline]] void multiply_tile(const block_tile<T>& t) noexcept {
    constexpr auto rows = static_cast<std::size_t>(Rows), batches = static_cast<std::size_t>(Batches);
    // Every third row has a pointer; the two behind it are as near as an instruction reaches.
    constexpr std::size_t pointers = (rows + 2) / 3;
    batch<T> sum[rows][batches];
    const extent last = t.last, start_row = t.start_row, c_row = t.c_row, a_row = t.a_row, a_column = t.a_column,
                 b_row = t.b_row;
    const T *start = t.start, *next = t.next_c, *a[pointers];
    if (start_row < 0)
        unroll<rows>([&](auto i) __attribute__((always_inline)) {
            const batch<T> value(*start);
            unroll<batches>([&](auto j) __attribute__((always_inline)) { sum[i][j] = value; });
            start += static_cast<extent>(i()) < last;
        });
    else
        unroll<rows>([&](auto i) __attribute__((always_inline)) {
            unroll<batches>([&](auto j) __attribute__((always_inline)) {
                sum[i][j] = load(start + static_cast<extent>(j()) * lanes<T>);
            });
            start += static_cast<extent>(i()) < last ? start_row : 0;
        });
    for (extent i = 0; i < Rows; ++i, next += c_row) {
        __builtin_prefetch(next);
        __builtin_prefetch(next + panel_width<T> - 1);
    }
    unroll<pointers>([&](auto j) __attribute__((always_inline)) { a[j] = t.a + static_cast<extent>(3 * j()) * a_row; });
    const T *b = t.b, *coming = t.coming;
    const extent coming_step = t.coming_step;
    for (extent p = t.steps; p > 0; --p) {
        batch<T> right[batches];
        unroll<batches>([&](auto j) __attribute__((always_inline)) {
            right[j] = kernels::in_register<T>(load(b + static_cast<extent>(j()) * lanes<T>));
            __builtin_prefetch(coming + static_cast<extent>(j()) * lanes<T>, 0, 2);
        });
        unroll<rows>([&](auto i) __attribute__((always_inline)) {
            const batch<T> element(a[i() / 3][static_cast<extent>(i() % 3) * a_row]);
            unroll<batches>([&](auto j) __attribute__((always_inline)) {
                sum[i][j] = Step::run(element, right[j], sum[i][j]);
            });
        });
        unroll<pointers>([&](auto j) __attribute__((always_inline)) { a[j] = in_register(a[j] + a_column); });
        b += b_row;
        coming += coming_step;
    }
    T* c = t.c;
    unroll<rows>([&](auto i) __attribute__((always_inline)) {
        unroll<batches>([&](auto j) __attribute__((always_inline)) {
            if (static_cast<extent>(i()) <= last) store<T>(c + static_cast<extent>(j()) * lanes<T>, sum[i][j]);
        });
        c += c_row;
    });
}

/// `rows` <= tile_rows rows by `columns` <= panel_width columns; `t.last` is set here. What lies beyond the last batch
/// of the columns is left alone. Up to small_tile_rows - 1 rows of A beyond are read.
template <class T, class Step = multiply_add<T>>
void multiply_strip(block_tile<T> t, extent rows, extent columns) noexcept {
    const bool wide = columns > lanes<T>;
    for (;;) {
        const extent size = rows > middle_tile_rows  ? tile_rows
                            : rows > small_tile_rows ? middle_tile_rows
                                                     : small_tile_rows;
        t.last = std::min(rows, size) - 1;
        if (size == tile_rows)
            (wide ? multiply_tile<T, tile_rows, 2, Step> : multiply_tile<T, tile_rows, 1, Step>)(t);
        else if (size == middle_tile_rows)
            (wide ? multiply_tile<T, middle_tile_rows, 2, Step> : multiply_tile<T, middle_tile_rows, 1, Step>)(t);
        else
            (wide ? multiply_tile<T, small_tile_rows, 2, Step> : multiply_tile<T, small_tile_rows, 1, Step>)(t);
        if ((rows -= size) <= 0) return;
        t.a += size * t.a_row;
        t.c += size * t.c_row;
        t.next_c += size * t.c_row;
        t.start += t.start_row < 0 ? size : size * t.start_row;
    }
}

}  // namespace bespoke::kernels::detail

namespace bespoke::kernels {

// Matrix products over a packed right-hand side.
//
// Order of arithmetic: every element of C is one chain of fma over k ascending,
//     c = start;  c = fma(a[i, 0], b[0, j], c);  c = fma(a[i, 1], b[1, j], c); ...
// where start is 0, the bias or what C held. Blocking over k stores the chain in C and reloads it, so that
// neither blocks, tiles, tails nor threads change a bit. The one exception: a single row (m = 1) with few
// columns, see `row_chains`.

namespace detail {

/// Below this many multiply-adds, or elements that are but moved or added, waking threads (about 5 us) costs more than
/// it brings.
inline constexpr extent threaded_work = 1 << 19, threaded_elements = 1 << 17;

template <class T>
struct matrix_product {
    extent m, n, k;
    const T* a;
    extent a_row, a_column;
    const T* packed;
    T* c;
    extent c_row;
    const T* bias;
    bool accumulate;
    const epilogue<T>* after;
};

/// table[i] = i * step.
inline void multiples(extent step, extent count, extent* table) noexcept {
    for (extent i = 0; i < count; ++i) table[i] = i * step;
}

template <class T>
void copy_rows(extent rows, extent columns, const T* from, extent from_row, T* to, extent to_row) noexcept {
    for (extent i = 0; i < rows; ++i)
        std::memcpy(to + i * to_row, from + i * from_row, static_cast<std::size_t>(columns) * sizeof(T));
}

/// Whether the rows of A are to be packed: where many panels read them, and where rows, a multiple of the distance at
/// which caches repeat apart, would drive each other out.
template <class T>
bool wants_left(const matrix_product<T>& p, extent panels) noexcept {
    return panels >= 16 || (p.a_column == 1 && p.a_row * static_cast<extent>(sizeof(T)) % 2048 == 0);
}

/// C in the rows [0, p.m) and the panels [first, last).
template <class T>
[[gnu::noinline]] void multiply_panels(const matrix_product<T>& p, extent first, extent last) noexcept {
    constexpr extent width = panel_width<T>;
    alignas(64) T left[left_size<T> + lanes<T>], start[width], edge[tile_rows * width];
    const bool packs = wants_left(p, last - first);
    const extent k_parts = std::max<extent>((p.k + left_steps<T> - 1) / left_steps<T>, 1);
    const extent strips = (p.m + tile_rows - 1) / tile_rows;
    const extent together = left_size<T> / (tile_rows * std::max<extent>((p.k + k_parts - 1) / k_parts, 1)),
                 blocks = (strips + together - 1) / together;
    for (extent part = 0; part < blocks * k_parts; ++part) {
        const extent block = part / k_parts, k_part = part % k_parts, k = p.k * k_part / k_parts;
        const extent steps = p.k * (k_part + 1) / k_parts - k, top = strips * block / blocks * tile_rows;
        const extent bottom = std::min(strips * (block + 1) / blocks * tile_rows, p.m);
        const bool goes_on = p.accumulate || k > 0, ends = p.after != nullptr && k_part + 1 == k_parts;
        const T* a = p.a + k * p.a_column;
        const extent in_block = (bottom - top + tile_rows - 1) / tile_rows;
        // Rows that do not fill a tile are packed in any case: a tile reads all of its rows.
        const extent from = packs ? top : bottom % small_tile_rows == 0 ? bottom : (bottom - 1) / tile_rows * tile_rows;
        pack_left(a + from * p.a_row, p.a_row, p.a_column, bottom - from, steps, left);
        for (extent panel = first; panel < last; ++panel) {
            const extent column = panel * width, columns = std::min(p.n - column, width);
            const bool whole = columns % lanes<T> == 0;
            std::fill_n(start, width, T(0));
            if (p.bias != nullptr) std::copy_n(p.bias + column, columns, start);
            for (extent i = top; i < bottom; i += tile_rows) {
                const extent rows = std::min(bottom - i, tile_rows);
                T* c = p.c + i * p.c_row + column;
                T* to = whole ? c : edge;
                const extent to_row = whole ? p.c_row : width;
                if (!whole && goes_on) copy_rows(rows, columns, c, p.c_row, edge, width);
                const T* b = p.packed + column * p.k + k * width;
                block_tile<T> tile{steps, left + (i - from) * steps, 1, tile_rows, b, width, to, to_row,
                                   goes_on ? to : start, goes_on ? to_row : 0, nullptr, 0, to + tile_rows * to_row, 0};
                if (i < from) {
                    tile.a = a + i * p.a_row;
                    tile.a_row = p.a_row;
                    tile.a_column = p.a_column;
                }
                // With the first panel the next rows of A come, else a share of the next panel.
                if (i < from && panel == first) {
                    tile.coming = tile.a + tile_rows * p.a_row;
                    tile.coming_step = p.a_column == 1 ? tile_rows : p.a_column;
                } else {
                    tile.coming_step = width / in_block;
                    tile.coming = b + width * p.k + (i - top) / tile_rows * steps * tile.coming_step;
                }
                multiply_strip<T>(tile, rows, columns);
                if (!whole) copy_rows(rows, columns, edge, width, c, p.c_row);
                if (ends) (*p.after)({c, rows, columns, p.c_row});
            }
        }
    }
}

/// C of a single row in the panels [first, last).
template <class T>
[[gnu::noinline]] void multiply_row(const matrix_product<T>& p, extent first, extent last) noexcept {
    const T* given = p.accumulate ? p.c : p.bias;
    const extent end = std::min(last * panel_width<T>, p.n), chains = row_chains<T>(p.n, p.k);
    alignas(64) T edge[8 * lanes<T>];
    for (extent j = first * panel_width<T>; j < end;) {
        // More than six batches are left: the panels hold eight.
        const extent batches = chains == 1 && end - j <= 6 * lanes<T> ? 2 : row_batches<T>(p.n, p.k);
        const auto product = batches == 8   ? row_product_dynamic<T, 8, 1>
                             : batches == 4 ? row_product_dynamic<T, 4, 2>
                             : batches == 1 ? row_product_dynamic<T, 1, 4>
                             : chains == 4  ? row_product_dynamic<T, 2, 4>
                                            : row_product_dynamic<T, 2, 1>;
        const extent valid = std::min(end - j, batches * lanes<T>);
        const T* start = given != nullptr ? given + j : nullptr;
        if (valid == batches * lanes<T>)
            product(p.k, p.a, p.a_column, p.packed + j * p.k, start, p.c + j);
        else {
            if (start != nullptr) start = std::copy_n(start, valid, edge) - valid;
            product(p.k, p.a, p.a_column, p.packed + j * p.k, start, edge);
            std::copy_n(edge, valid, p.c + j);
        }
        if (p.after != nullptr) (*p.after)({p.c + j, 1, valid, valid});
        j += batches * lanes<T>;
    }
}

template <class T>
[[gnu::noinline]] void multiply(const matrix_product<T>& p, thread_pool* threads) noexcept {
    if (p.m <= 0 || p.n <= 0) return;
    if (p.m * p.n * p.k < threaded_work) threads = nullptr;
    const extent panels = (p.n + panel_width<T> - 1) / panel_width<T>;
    if (p.m == 1) {
        // What has several chains is too narrow to be shared.
        parallel_for(row_chains<T>(p.n, p.k) == 1 ? threads : nullptr, panels, 1,
                     [&](extent first, extent last) { multiply_row(p, first, last); });
        return;
    }
    const extent size = threads ? static_cast<extent>(threads->size()) : 1;
    const bool by_panels = panels >= 2 * size || panels >= p.m / tile_rows;
    parallel_for(threads, by_panels ? panels : p.m, by_panels ? 1 : tile_rows,
                 [&](extent first, extent last) {
                     if (by_panels) return multiply_panels(p, first, last);
                     matrix_product<T> part = p;
                     part.m = last - first;
                     part.a += first * p.a_row;
                     part.c += first * p.c_row;
                     multiply_panels(part, 0, panels);
                 });
}

/// Panels [first, last) of the packed k x n matrix.
template <class T>
[[gnu::noinline]] void pack_panels(const T* b, extent row_stride, extent column_stride, extent k, extent n,
                                   extent first, extent last, T* packed) noexcept {
    constexpr extent width = panel_width<T>;
    for (extent panel = first; panel < last; ++panel) {
        const extent columns = std::min(n - panel * width, width);
        const T* from = b + panel * width * column_stride;
        T* to = packed + panel * width * k;
        if (columns < width) std::fill_n(to, k * width, T(0));
        if (column_stride == 1)
            copy_rows(k, columns, from, row_stride, to, width);
        else if (row_stride == 1)
            transpose(from, column_stride, columns, k, to, width);
        else
            for (extent i = 0; i < k; ++i)
                for (extent j = 0; j < columns; ++j)
                    to[i * width + j] = from[i * row_stride + j * column_stride];
    }
}

}  // namespace detail

/// Packs the k x n matrix B, B(i, j) = b[i * row_stride + j * column_stride], for `gemm`: panels of
/// `panel_width` columns one after another, each k rows of `panel_width` elements, zero beyond column n.
/// `packed` holds packed_size<T>(k, n) elements and may not overlap b.
template <class T>
[[gnu::noinline]] void pack(const T* b, extent row_stride, extent column_stride, extent k, extent n,
                            T* packed, thread_pool* threads = nullptr) noexcept {
    parallel_for(k * n < detail::threaded_elements ? nullptr : threads,
                 (n + panel_width<T> - 1) / panel_width<T>, 1, [&](extent first, extent last) {
                     detail::pack_panels(b, row_stride, column_stride, k, n, first, last, packed);
                 });
}

/// C = A B + bias, or C += A B where `accumulate` (then `bias` is null).
///
/// A [m, k], A(i, p) = a[i * a_row_stride + p * a_column_stride]; B [k, n] as `pack` left it;
/// C [m, n], C(i, j) = c[i * c_row_stride + j], overlapping neither; bias [n] or null.
/// `accumulate` starts each chain with what C holds. `after` is run on each block of C. Sizes are `extent` or
/// `constant<V>`: the bits are the same. A single row of constant sizes is compiled for them, without threads and
/// `after`.
template <class T, class M, class N, class K>
[[gnu::always_inline]] inline void gemm(M m, N n, K k, const T* a, extent a_row_stride,
                                        extent a_column_stride, const T* packed_b, T* c, extent c_row_stride,
                                        const T* bias = nullptr, bool accumulate = false,
                                        thread_pool* threads = nullptr,
                                        const epilogue<T>* after = nullptr) noexcept {
    if constexpr (std::is_same_v<M, constant<1>> && !std::is_integral_v<N> && !std::is_integral_v<K>) {
        constexpr extent chains = detail::row_chains<T>(N::value, K::value);
        constexpr extent batches = detail::row_batches<T>(N::value, K::value);
        constexpr extent all = (N::value + lanes<T> - 1) / lanes<T>;
        const T* start = accumulate ? c : bias;
        unroll<static_cast<std::size_t>((all + batches - 1) / batches)>([&](auto i) __attribute__((always_inline)) {
            constexpr extent first = static_cast<extent>(i()) * batches, j = first * lanes<T>;
            constexpr extent count = std::min(all - first, batches);
            detail::row_product<T, count, chains>(k, std::min(N::value - j, count * lanes<T>), a, a_column_stride,
                                                  packed_b + j * K::value, start != nullptr ? start + j : nullptr,
                                                  c + j);
        });
    } else
        detail::multiply<T>(
            {m, n, k, a, a_row_stride, a_column_stride, packed_b, c, c_row_stride, bias, accumulate, after},
            threads);
}

}  // namespace bespoke::kernels

#include <limits>

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)

namespace bespoke::kernels::detail {

// Products of numbers of few bits. As many of them as fill 32 bits, a group, follow each other in k and are multiplied
// by one instruction, so that a matrix of them is one of `float` for all that moves it: panels, strips and tiles are
// those of gemm.hpp, with groups in place of elements. What a group holds only its `Format` knows.

inline constexpr extent group_lanes = 16;

/// The columns of a matrix as groups: to[g * step + i] = convert(i, g), for rows i in [0, rows), at most 16, and groups
/// g in [0, groups). `convert(i, g)` gives 16 groups of row i, from g on. Of each step 16 groups are written, zero for
/// rows that are not there; a smaller step has the next one mend that.
template <class Convert>
[[gnu::always_inline]] inline void pack_groups(extent rows, extent groups, float* to, extent step,
                                               const Convert& convert) noexcept {
    for (extent g = 0; g < groups; g += group_lanes) {
        batch<float> block[static_cast<std::size_t>(group_lanes)];
        unroll<static_cast<std::size_t>(group_lanes)>([&](auto i) __attribute__((always_inline)) {
            block[i] = batch<float>(0.0f);
            if (static_cast<extent>(i()) < rows) block[i] = convert(static_cast<extent>(i()), g);
        });
        transpose<float>(block);
        unroll<static_cast<std::size_t>(group_lanes)>([&](auto i) __attribute__((always_inline)) {
            if (g + static_cast<extent>(i()) < groups)
                store<float>(to + static_cast<extent>(i()) * step, block[i]);
        });
        to += group_lanes * step;
    }
}

/// The 16 elements from p on of which `rest` are there; the others are zero.
[[gnu::always_inline]] inline __m512 load_rest(const float* p, extent rest) noexcept {
    if (rest >= group_lanes) return _mm512_loadu_ps(p);
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << std::max<extent>(rest, 0)) - 1u), p);
}

struct group_product {
    extent m, n, k;
    const float* a;
    extent a_row;
    const float* packed;
    float* c;
    extent c_row;
    const float* bias;
    const epilogue<float>* after;
};

/// C in the rows [0, p.m) and the panels [first, last). The `Format`, made for the product, says
///
///     group               how many elements make a group
///     start(j)            the panel_width sums with which the columns from j on begin; its panel is finished next
///     most_rows           how many rows of A it takes note of at a time
///     look(top, bottom)   that these rows come now
///     convert(i, g)       16 groups of row i of A, from g on
///     step::run(a, b, c)  c + a b, for groups of a and b
///     finish(...)         what turns sums into elements of C
template <class Format>
[[gnu::noinline]] void multiply_groups(const group_product& p, extent first, extent last) noexcept {
    constexpr extent width = panel_width<float>, size = left_size<float>, most = left_steps<float>;
    alignas(64) float left[size + lanes<float>], edge[tile_rows * width];
    Format format(p);
    const extent groups = (p.k + Format::group - 1) / Format::group,
                 strips = (p.m + tile_rows - 1) / tile_rows;
    const extent k_parts = std::max<extent>((groups + most - 1) / most, 1);
    const extent in_part = std::max<extent>((groups + k_parts - 1) / k_parts, 1);
    const extent together = std::min(size / (tile_rows * in_part), Format::most_rows / tile_rows);
    const extent blocks = (strips + together - 1) / together;
    for (extent part = 0; part < blocks * k_parts; ++part) {
        const extent block = part / k_parts, k_part = part % k_parts, at = groups * k_part / k_parts;
        const extent steps = groups * (k_part + 1) / k_parts - at, top = strips * block / blocks * tile_rows;
        const extent bottom = std::min(strips * (block + 1) / blocks * tile_rows, p.m);
        const extent in_block = (bottom - top + tile_rows - 1) / tile_rows;
        const bool goes_on = k_part > 0, ends = k_part + 1 == k_parts;
        if (!goes_on) format.look(top, bottom);
        for (extent i = top; i < bottom; i += tile_rows)
            pack_groups(
                std::min(bottom - i, tile_rows), steps, left + (i - top) * steps,
                tile_rows, [&](extent row, extent g) __attribute__((always_inline)) {
                    return format.convert(i + row, at + g);
                });
        for (extent panel = first; panel < last; ++panel) {
            const extent column = panel * width, columns = std::min(p.n - column, width);
            const bool whole = columns % lanes<float> == 0;
            const float* start = format.start(column);
            for (extent i = top; i < bottom; i += tile_rows) {
                const extent rows = std::min(bottom - i, tile_rows);
                float* c = p.c + i * p.c_row + column;
                float* to = whole ? c : edge;
                const extent to_row = whole ? p.c_row : width;
                if (!whole && goes_on) copy_rows(rows, columns, c, p.c_row, edge, width);
                const float* b = p.packed + column * groups + at * width;
                const extent coming_step = width / in_block;
                const float* coming = b + width * groups + (i - top) / tile_rows * steps * coming_step;
                multiply_strip<float, typename Format::step>(
                    {steps, left + (i - top) * steps, 1, tile_rows, b, width, to, to_row,
                     goes_on ? to : start, goes_on ? to_row : 0, coming, coming_step, to + tile_rows * to_row,
                     0},
                    rows, columns);
                if (ends) format.finish(i, column, rows, columns, to, to_row);
                if (!whole) copy_rows(rows, columns, edge, width, c, p.c_row);
                if (ends && p.after != nullptr) (*p.after)({c, rows, columns, p.c_row});
            }
        }
    }
}

/// C of a single row in `Panels` panels from `column` on: enough sums to hide the latency of a step.
template <class Format, std::size_t Panels>
[[gnu::noinline]] void multiply_row_panels(const group_product& p, Format& format, const float* left,
                                           extent groups, extent column) noexcept {
    constexpr extent width = panel_width<float>;
    batch<float> sum[2 * Panels];
    const float* b[Panels];
    unroll<Panels>([&](auto j) __attribute__((always_inline)) {
        const extent at = column + static_cast<extent>(j()) * width;
        const float* start = format.start(at);
        b[j] = p.packed + at * groups;
        sum[2 * j] = load(start);
        sum[2 * j + 1] = load(start + group_lanes);
    });
    for (extent g = 0; g < groups; ++g) {
        const batch<float> a(left[g]);
        unroll<Panels>([&](auto j) __attribute__((always_inline)) {
            sum[2 * j] = Format::step::run(a, load(b[j] + g * width), sum[2 * j]);
            sum[2 * j + 1] = Format::step::run(a, load(b[j] + g * width + group_lanes), sum[2 * j + 1]);
        });
    }
    alignas(64) float edge[width];
    unroll<Panels>([&](auto j) __attribute__((always_inline)) {
        const extent at = column + static_cast<extent>(j()) * width, columns = std::min(p.n - at, width);
        store<float>(edge, sum[2 * j]);
        store<float>(edge + group_lanes, sum[2 * j + 1]);
        format.start(at);  // finishes the panel that began last
        format.finish(0, at, 1, columns, edge, width);
        std::copy_n(edge, columns, p.c + at);
        if (p.after != nullptr) (*p.after)({p.c + at, 1, columns, columns});
    });
}

/// C of a single row, of up to left_size groups, in the panels [first, last).
template <class Format>
[[gnu::noinline]] void multiply_row_groups(const group_product& p, extent first, extent last) noexcept {
    alignas(64) float left[left_size<float> + lanes<float>];
    Format format(p);
    const extent groups = (p.k + Format::group - 1) / Format::group;
    format.look(0, 1);
    for (extent g = 0; g < groups; g += group_lanes) store<float>(left + g, format.convert(0, g));
    for (; last - first >= 4; first += 4)
        multiply_row_panels<Format, 4>(p, format, left, groups, first * panel_width<float>);
    for (; first < last; ++first)
        multiply_row_panels<Format, 1>(p, format, left, groups, first * panel_width<float>);
}

template <class Format>
[[gnu::noinline]] void multiply_low_precision(const group_product& p, thread_pool* threads) noexcept {
    if (p.m <= 0 || p.n <= 0) return;
    if (p.m * p.n * p.k < (p.m == 1 ? 1 : 2) * threaded_work) threads = nullptr;
    const extent panels = (p.n + panel_width<float> - 1) / panel_width<float>;
    if (p.m == 1 && p.k <= Format::group * left_size<float>)
        return parallel_for(threads, panels, 1,
                            [&](extent first, extent last) { multiply_row_groups<Format>(p, first, last); });
    const extent size = threads ? static_cast<extent>(threads->size()) : 1;
    const bool by_panels = panels >= 2 * size || panels >= p.m / tile_rows;
    parallel_for(threads, by_panels ? panels : p.m, by_panels ? 1 : tile_rows,
                 [&](extent first, extent last) {
                     if (by_panels) return multiply_groups<Format>(p, first, last);
                     group_product part = p;
                     part.m = last - first;
                     part.a += first * p.a_row;
                     part.c += first * p.c_row;
                     multiply_groups<Format>(part, 0, panels);
                 });
}

/// Panels of the k x n matrix B whose column j `convert(j, g)` gives as groups, from g on.
template <class Convert>
void pack_group_panels(extent groups, extent n, float* packed, thread_pool* threads,
                       const Convert& convert) noexcept {
    constexpr extent width = panel_width<float>;
    parallel_for(groups * n < threaded_elements ? nullptr : threads, (n + width - 1) / width, 1,
                 [&](extent first, extent last) {
                     for (extent j = first * width; j < last * width; j += group_lanes)
                         pack_groups(
                             std::clamp<extent>(n - j, 0, group_lanes), groups,
                             packed + j / width * width * groups + j % width,
                             width, [&](extent column, extent g) __attribute__((always_inline)) {
                                 return convert(j + column, g);
                             });
                 });
}

}  // namespace bespoke::kernels::detail

#endif

namespace bespoke::kernels {

// Matrix products in bfloat16: the upper 16 bits of a float, 8 bits of precision and the range of a float.
//
// Both factors are rounded to the nearest bfloat16, ties to even. Every element of C is one chain over pairs of k:
//     c = bias (or 0);  c = fma(a[i, 1], b[1, j], c);  c = fma(a[i, 0], b[0, j], c);
//                       c = fma(a[i, 3], b[3, j], c);  c = fma(a[i, 2], b[2, j], c);  ...
// each fma in float, rounded to nearest; an odd k ends with zeros. Subnormal numbers count as 0 wherever they appear.
// Intel 64 and IA-32 Architectures Software Developer's Manual, VDPBF16PS and VCVTNE2PS2BF16. The same bits for any
// number of rows, columns and threads.

/// Whether this program is compiled for a machine that has the instruction.
#if defined(__AVX512BF16__) && defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define BESPOKE_HAS_BFLOAT16 1
#else
#define BESPOKE_HAS_BFLOAT16 0
#endif
inline constexpr bool has_bfloat16 = BESPOKE_HAS_BFLOAT16;

#if BESPOKE_HAS_BFLOAT16

namespace detail {

struct bfloat16_step {
    [[gnu::always_inline]] static batch<float> run(const batch<float>& a, const batch<float>& b,
                                                   const batch<float>& c) noexcept {
        return _mm512_dpbf16_ps(c, (__m512bh)(__m512)a, (__m512bh)(__m512)b);
    }
};

/// 16 pairs of the row at `x` that has k elements, from pair g on.
[[gnu::always_inline]] inline batch<float> bfloat16_pairs(const float* x, extent k, extent g) noexcept {
    const extent rest = k - 2 * g;
    const __m512 low = load_rest(x + 2 * g, rest), high = load_rest(x + 2 * g + 16, rest - 16);
    return (__m512)_mm512_cvtne2ps_pbh(high, low);
}

class bfloat16_format {
public:
    using step = bfloat16_step;
    static constexpr extent group = 2, most_rows = std::numeric_limits<extent>::max();

    explicit bfloat16_format(const group_product& p) : p_(p) {}
    const float* start(extent j) noexcept {
        constexpr extent width = panel_width<float>;
        std::fill_n(start_, width, 0.0f);
        if (p_.bias != nullptr) std::copy_n(p_.bias + j, std::min(p_.n - j, width), start_);
        return start_;
    }
    void look(extent, extent) const noexcept {}
    [[gnu::always_inline]] batch<float> convert(extent i, extent g) const noexcept {
        return bfloat16_pairs(p_.a + i * p_.a_row, p_.k, g);
    }
    void finish(extent, extent, extent, extent, float*, extent) const noexcept {}

private:
    const group_product& p_;
    alignas(64) float start_[panel_width<float>];
};

}  // namespace detail

/// Floats that `pack_bfloat16` writes for a k x n matrix.
constexpr extent bfloat16_packed_size(extent k, extent n) { return packed_size<float>((k + 1) / 2, n); }

/// Packs the k x n matrix B, B(i, j) = weights[j * k + i], for `gemm_bfloat16`.
template <std::same_as<float> T>
void pack_bfloat16(const T* weights, extent k, extent n, float* packed,
                   thread_pool* threads = nullptr) noexcept {
    detail::pack_group_panels((k + 1) / 2, n, packed,
                              threads, [=](extent j, extent g) __attribute__((always_inline)) {
                                  return detail::bfloat16_pairs(weights + j * k, k, g);
                              });
}

/// C = A B + bias: A [m, k], A(i, p) = a[i * a_row + p]; B [k, n] as `pack_bfloat16` left it; C [m, n],
/// C(i, j) = c[i * c_row + j], overlapping neither; bias [n] or null. `after` is run on each block of C.
template <std::same_as<float> T>
void gemm_bfloat16(extent m, extent n, extent k, const T* a, extent a_row, const float* packed_b, float* c,
                   extent c_row, const float* bias = nullptr, thread_pool* threads = nullptr,
                   const epilogue<float>* after = nullptr) noexcept {
    detail::multiply_low_precision<detail::bfloat16_format>(
        {m, n, k, a, a_row, packed_b, c, c_row, bias, after}, threads);
}

#endif

}  // namespace bespoke::kernels


#include <cstdint>
#include <numeric>

namespace bespoke::kernels {

// Matrix products in integers of 8 bits, summed in 32: the weights are quantised when they are packed, the other factor
// row by row when it comes. All in float, each operation rounded to nearest, round() ties to even:
//
//     column j of B   t[j] = max |b[., j]| / 127;   v[p, j] = round(b[p, j] * (1 / t[j])), in [-127, 127]
//     row i of A      l = min(0, min a[i, .]), h = max(0, max a[i, .]);   s[i] = h / 255 - l / 255
//                     z[i] = round(-l * (1 / s[i]));   u[i, p] = round(fma(a[i, p], 1 / s[i], z[i])); both in [0, 255]
//     C               c[i, j] = fma(float(sum over p of (u[i, p] - z[i]) v[p, j]), s[i] * t[j], bias[j])
//
// A scale below 2^-126 counts as 0, and so does what it scales; that of a row or column with a number that is not
// finite is NaN. The sum is exact up to `int8_most_k` terms. The same bits for any number of rows, columns and threads.
// Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, 2018.

/// Whether this program is compiled for a machine that has the instruction.
#if defined(__AVX512VNNI__) && defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define BESPOKE_HAS_INT8 1
#else
#define BESPOKE_HAS_INT8 0
#endif
inline constexpr bool has_int8 = BESPOKE_HAS_INT8;

inline constexpr extent int8_most_k = 0x7fffffff / (255 * 127);

#if BESPOKE_HAS_INT8

namespace detail {

struct int8_step {
    [[gnu::always_inline]] static batch<float> run(const batch<float>& a, const batch<float>& b,
                                                   const batch<float>& c) noexcept {
        return _mm512_castsi512_ps(
            _mm512_dpbusd_epi32(_mm512_castps_si512(c), _mm512_castps_si512(a), _mm512_castps_si512(b)));
    }
};

/// Smallest and largest of `k` numbers and 0; NaN where one is not finite.
struct float_range {
    float low, high;

    float_range(const float* x, extent k) noexcept {
        const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
        __m512 lowest = _mm512_setzero_ps(), highest = lowest;
        __m512i largest = _mm512_setzero_si512();
        for (extent p = 0; p < k; p += 16) {
            const __m512 v = load_rest(x + p, k - p);
            lowest = _mm512_min_ps(lowest, v);
            highest = _mm512_max_ps(highest, v);
            largest = _mm512_max_epi32(largest, _mm512_and_si512(_mm512_castps_si512(v), magnitude));
        }
        // Not by the intrinsics that reduce a register: g++ 12 warns of what they are made of.
        alignas(64) float lows[16], highs[16];
        alignas(64) std::int32_t magnitudes[16];
        _mm512_store_ps(lows, lowest);
        _mm512_store_ps(highs, highest);
        _mm512_store_si512(magnitudes, largest);
        low = *std::min_element(lows, lows + 16);
        high = *std::max_element(highs, highs + 16);
        if (*std::max_element(magnitudes, magnitudes + 16) >= 0x7f800000)
            low = high = std::numeric_limits<float>::quiet_NaN();
    }
};

/// What a scale means, and by what to multiply instead of dividing by it.
inline float int8_scale(float scale) noexcept {
    return scale < std::numeric_limits<float>::min() ? 0.0f : scale;
}
inline float int8_inverse(float scale) noexcept { return scale > 0 ? 1 / scale : 0.0f; }

/// 16 groups of round(fma(x, scale, zero)) from group g on, of the row at `x` that has k elements.
template <bool Signed>
[[gnu::always_inline]] inline batch<float> int8_groups(const float* x, extent k, extent g, float scale,
                                                       float zero) noexcept {
    const extent rest = k - 4 * g;
    __m512i part[4];
    unroll<4>([&](auto i) __attribute__((always_inline)) {
        constexpr auto at = 16 * static_cast<extent>(i());
        part[i] = _mm512_cvtps_epi32(_mm512_fmadd_ps(load_rest(x + 4 * g + at, rest - at),
                                                     _mm512_set1_ps(scale), _mm512_set1_ps(zero)));
    });
    const __m512i low = _mm512_packs_epi32(part[0], part[1]), high = _mm512_packs_epi32(part[2], part[3]);
    const __m512i bytes = Signed ? _mm512_packs_epi16(low, high) : _mm512_packus_epi16(low, high);
    // Packing keeps to the quarters of a register: group 4 q + i of the result is group q of the quarter i.
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_castsi512_ps(_mm512_permutexvar_epi32(order, bytes));
}

class int8_format {
public:
    using step = int8_step;
    static constexpr extent group = 4, most_rows = 64 * tile_rows;

    explicit int8_format(const group_product& p) : p_(p) {}
    const float* start(extent j) noexcept {
        constexpr extent width = panel_width<float>;
        std::fill_n(bias_, width, 0.0f);
        if (p_.bias != nullptr) std::copy_n(p_.bias + j, std::min(p_.n - j, width), bias_);
        return none_;
    }
    void look(extent top, extent bottom) noexcept {
        top_ = top;
        for (extent i = 0; i < bottom - top; ++i) {
            const float_range range(p_.a + (top + i) * p_.a_row, p_.k);
            scale_[i] = int8_scale(range.high / 255 - range.low / 255);
            inverse_[i] = int8_inverse(scale_[i]);
            zero_[i] = inverse_[i] > 0 ? std::nearbyint(-range.low * inverse_[i]) : 0.0f;
        }
    }
    [[gnu::always_inline]] batch<float> convert(extent i, extent g) const noexcept {
        return int8_groups<false>(p_.a + i * p_.a_row, p_.k, g, inverse_[i - top_], zero_[i - top_]);
    }
    /// Of the tile that begins at row i and column j.
    void finish(extent i, extent j, extent rows, extent columns, float* sums, extent stride) const noexcept {
        const float* scales = p_.packed + packed_size<float>((p_.k + 3) / 4, p_.n);
        const float* totals = scales + packed_size<float>(1, p_.n);
        for (extent column = 0; column < columns; column += 16) {
            const __m512 scale = _mm512_loadu_ps(scales + j + column), bias = _mm512_load_ps(bias_ + column);
            const __m512i total = _mm512_loadu_si512(totals + j + column);
            for (extent row = 0; row < rows; ++row) {
                float* at = sums + row * stride + column;
                const extent number = i - top_ + row;
                const __m512i zero = _mm512_set1_epi32(static_cast<int>(zero_[number]));
                const __m512i sum = _mm512_sub_epi32(_mm512_loadu_si512(at), _mm512_mullo_epi32(zero, total));
                _mm512_storeu_ps(at,
                                 _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum),
                                                 _mm512_mul_ps(_mm512_set1_ps(scale_[number]), scale), bias));
            }
        }
    }

private:
    const group_product& p_;
    extent top_ = 0;
    alignas(64) float none_[panel_width<float>] = {}, bias_[panel_width<float>];
    float scale_[most_rows], inverse_[most_rows], zero_[most_rows];
};

}  // namespace detail

/// Floats that `pack_int8` writes for a k x n matrix: the panels, then a scale and a total for each of their columns.
constexpr extent int8_packed_size(extent k, extent n) {
    return packed_size<float>((k + 3) / 4, n) + 2 * packed_size<float>(1, n);
}

/// Packs the k x n matrix B, B(i, j) = weights[j * k + i], k <= int8_most_k, for `gemm_int8`.
template <std::same_as<float> T>
void pack_int8(const T* weights, extent k, extent n, float* packed, thread_pool* threads = nullptr) noexcept {
    const extent all = packed_size<float>(1, n);
    float *scales = packed + packed_size<float>((k + 3) / 4, n), *totals = scales + all;
    parallel_for(
        k * n < detail::threaded_elements ? nullptr : threads, all, panel_width<float>,
        [=](extent first, extent last) {
            for (extent j = first; j < last; ++j) {
                const detail::float_range range(weights + j * k, j < n ? k : 0);
                scales[j] = detail::int8_scale(std::max(range.high, -range.low) / 127);
                const float inverse = detail::int8_inverse(scales[j]);
                __m512i total = _mm512_setzero_si512();
                for (extent p = 0; j < n && p < k && inverse > 0; p += 16)
                    total = _mm512_add_epi32(
                        total, _mm512_cvtps_epi32(_mm512_mul_ps(detail::load_rest(weights + j * k + p, k - p),
                                                                _mm512_set1_ps(inverse))));
                alignas(64) std::int32_t parts[16];
                _mm512_store_si512(parts, total);
                const std::int32_t sum = std::accumulate(parts, parts + 16, std::int32_t{0});
                std::memcpy(totals + j, &sum, sizeof sum);
            }
        });
    detail::pack_group_panels(
        (k + 3) / 4, n, packed, threads, [=](extent j, extent g) __attribute__((always_inline)) {
            const float inverse = detail::int8_inverse(scales[j]);
            return inverse > 0 ? detail::int8_groups<true>(weights + j * k, k, g, inverse, 0.0f)
                               : batch<float>(0.0f);
        });
}

/// C = A B + bias: A [m, k], A(i, p) = a[i * a_row + p]; B [k, n] as `pack_int8` left it; C [m, n],
/// C(i, j) = c[i * c_row + j], overlapping neither; bias [n] or null. `after` is run on each block of C.
template <std::same_as<float> T>
void gemm_int8(extent m, extent n, extent k, const T* a, extent a_row, const float* packed_b, float* c,
               extent c_row, const float* bias = nullptr, thread_pool* threads = nullptr,
               const epilogue<float>* after = nullptr) noexcept {
    detail::multiply_low_precision<detail::int8_format>({m, n, k, a, a_row, packed_b, c, c_row, bias, after},
                                                        threads);
}

#endif

}  // namespace bespoke::kernels

namespace bespoke::kernels {

// y = x Wᵀ + bias with the weights W [n, k] of a layer: by `gemm`, or in low precision where the user asked for it.

/// Up to so many weights nothing is gained, and a product stays as it is.
inline constexpr extent least_low_precision_weights = 16384;

/// Whether this program is compiled for a machine that has instructions for it.
constexpr bool has_low_precision(low_precision p) {
    return p == low_precision::none || (p == low_precision::bfloat16 ? has_bfloat16 : has_int8);
}

/// What a product is computed in.
template <class T>
constexpr low_precision weighted_precision(const arithmetic& how, extent k, extent n) {
    const low_precision wanted = how.allow_low_precision_accumulation;
    if (!std::is_same_v<T, float> || !has_low_precision(wanted) || k * n <= least_low_precision_weights)
        return low_precision::none;
    return wanted == low_precision::int8 && k > int8_most_k ? low_precision::none : wanted;
}

/// Elements that `pack_weights` writes.
template <class T>
constexpr extent weights_size(const arithmetic& how, extent k, extent n) {
    switch (weighted_precision<T>(how, k, n)) {
#if BESPOKE_HAS_BFLOAT16
        case low_precision::bfloat16:
            return bfloat16_packed_size(k, n);
#endif
#if BESPOKE_HAS_INT8
        case low_precision::int8:
            return int8_packed_size(k, n);
#endif
        default:
            return packed_size<T>(k, n);
    }
}

/// Prepares W for `weighted_gemm`.
template <class T>
void pack_weights(const arithmetic& how, const T* weights, extent k, extent n, T* packed) noexcept {
    switch (weighted_precision<T>(how, k, n)) {
#if BESPOKE_HAS_BFLOAT16
        case low_precision::bfloat16:
            if constexpr (std::is_same_v<T, float>) pack_bfloat16(weights, k, n, packed);
            return;
#endif
#if BESPOKE_HAS_INT8
        case low_precision::int8:
            if constexpr (std::is_same_v<T, float>) pack_int8(weights, k, n, packed);
            return;
#endif
        default:
            pack(weights, extent{1}, k, k, n, packed);
    }
}

namespace detail {

template <class T>
[[gnu::noinline]] void low_precision_gemm([[maybe_unused]] low_precision precision, extent m, extent n,
                                          extent k, const T* x, const T* weights, T* y, const T* bias,
                                          const workspace<T>& w) noexcept {
    if (w.exact) {
        pack(weights, extent{1}, k, k, n, w.scratch, w.threads);
        return multiply<T>({m, n, k, x, k, 1, w.scratch, y, n, bias, false, w.after}, w.threads);
    }
#if BESPOKE_HAS_BFLOAT16
    if (precision == low_precision::bfloat16)
        gemm_bfloat16(m, n, k, x, k, w.prepared, y, n, bias, w.threads, w.after);
#endif
#if BESPOKE_HAS_INT8
    if (precision == low_precision::int8)
        gemm_int8(m, n, k, x, k, w.prepared, y, n, bias, w.threads, w.after);
#endif
}

}  // namespace detail

/// y = x Wᵀ + bias: x [m, k], W [n, k], y [m, n], bias [n] or null. `w.prepared` is what `pack_weights` left; where it
/// is of low precision and `w.exact`, W is packed anew, into `w.scratch`: packed_size<T>(k, n) elements.
template <class T, class M, class N, class K>
[[gnu::always_inline]] inline void weighted_gemm(M m, N n, K k, const T* x, const T* weights, T* y,
                                                 const T* bias, const workspace<T>& w) noexcept {
    constexpr bool small = [] {
        if constexpr (!std::is_same_v<T, float> || !(has_bfloat16 || has_int8))
            return true;
        else if constexpr (std::is_same_v<N, extent> || std::is_same_v<K, extent>)
            return false;
        else
            return N::value * K::value <= least_low_precision_weights;
    }();
    if constexpr (!small)
        if (w.how.allow_low_precision_accumulation != low_precision::none)
            if (const auto precision = weighted_precision<T>(w.how, k, n); precision != low_precision::none)
                return detail::low_precision_gemm<T>(precision, m, n, k, x, weights, y, bias, w);
    gemm(m, n, k, x, extent{k}, extent{1}, w.prepared, y, extent{n}, bias, false, w.threads, w.after);
}

}  // namespace bespoke::kernels

namespace bespoke {

/// Matrix products over the last two axes.
///
/// Two inputs: y = a b, a [..., m, k], b [..., k, n] -> y [..., m, n]. The leading axes are aligned at the
/// last one and repeated where they are 1 or missing. With `transpose_a`, a is [..., k, m]; with
/// `transpose_b`, b is [..., n, k]. A vector a [k] is a row [1, k], a vector b [k] a column [k, 1],
/// transposed or not; y has rank 2 or more.
///
/// One input: y = a Wᵀ + bias, a [..., X1] -> y [..., X2]. W [X2, X1] is the weight matrix of the
/// specification, [X1, X2] in column-major order. `transpose_a` and `transpose_b` do nothing.
///
/// Core ML specification, BatchedMatMulLayerParams.
struct batched_matmul {
    bool transpose_a = false, transpose_b = false;
    extent weight_matrix_first_dimension = unset;   ///< X1
    extent weight_matrix_second_dimension = unset;  ///< X2
    bool has_bias = false;
    bool int8_dynamic_quantize = false;

    static constexpr auto key = "batchedMatmul";
    static constexpr auto fields =
        std::tuple{field{"transposeA", &batched_matmul::transpose_a},
                   field{"transposeB", &batched_matmul::transpose_b},
                   field{"weightMatrixFirstDimension", &batched_matmul::weight_matrix_first_dimension},
                   field{"weightMatrixSecondDimension", &batched_matmul::weight_matrix_second_dimension},
                   field{"hasBias", &batched_matmul::has_bias},
                   field{"int8DynamicQuantize", &batched_matmul::int8_dynamic_quantize}};
    static constexpr input_count inputs{1, 2};
    static constexpr bool batched = true;
    static constexpr bool runs_epilogue = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    template <class T>
    using parameters = weights_and_bias<T>;
    template <class T>
    static constexpr auto parameter_fields = weights_and_bias<T>::fields;

    constexpr outcome output_shape(std::span<const shape> xs) const {
        if (xs.size() == 1) return weighted_shape(xs[0]);  // g++ 12 destroys the result of a ?: too early
        return product_shape(xs[0], xs[1]);
    }
    constexpr batched_matmul resolved(std::span<const shape> xs) const {
        batched_matmul result = *this;
        if (xs.size() == 1) result.weight_matrix_first_dimension = xs[0].from_end(1);
        return result;
    }
    constexpr parameters<shape> parameter_shapes(std::span<const shape> xs) const {
        if (xs.size() > 1) return {.weights = absent, .bias = absent};
        const extent outputs = weight_matrix_second_dimension;
        return {.weights = {outputs, xs[0].from_end(1)}, .bias = has_bias ? shape{outputs} : absent};
    }

    template <class T>
    low_precision precision(std::span<const shape> xs, const arithmetic& how) const {
        if (xs.size() > 1) return low_precision::none;
        return kernels::weighted_precision<T>(how, xs[0].from_end(1), weight_matrix_second_dimension);
    }
    template <class T>
    extent prepared_size(std::span<const shape> xs, const arithmetic& how) const {
        if (xs.size() > 1) return 0;
        return kernels::weights_size<T>(how, xs[0].from_end(1), weight_matrix_second_dimension);
    }
    template <class P, class T>
    void prepare(const P& p, T* prepared, const arithmetic& how) const noexcept {
        if (p.weights) kernels::pack_weights(how, p.weights.data, p.weights[1], p.weights[0], prepared);
    }

    template <class T>
    extent scratch_size(std::span<const shape> xs, extent examples, extent threads) const {
        using kernels::packed_size;
        if (xs.size() == 1) {
            const extent k = xs[0].from_end(1), rows = xs[0].size() / k * examples;
            const extent n = weight_matrix_second_dimension;
            return std::max({packed_size<T>(n, k), packed_size<T>(rows, k), packed_size<T>(k, n)});
        }
        return slot_size<T>(xs[0], xs[1]) * threads;
    }

    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P& p, W& w) const noexcept {
        const auto& a = xs[0];
        const auto& y = ys[0];
        if (xs.size() == 1) {
            const extent k = a.dimensions.from_end(1), n = weight_matrix_second_dimension;
            return kernels::weighted_gemm(a.total() / k, n, k, a.data, p.weights.data, y.data, p.bias.data, w);
        }
        using T = typename Ys::value_type::value_type;
        const auto& b = xs[1];
        const matrix left(a.dimensions, transpose_a, true), right(b.dimensions, transpose_b, false);
        const extent m = left.rows, k = left.columns, n = right.columns;
        each_product(a, b, y, true, w, slot_size<T>(a.dimensions, b.dimensions),
                     [&, packed_b = static_cast<const T*>(nullptr)](extent i, extent j, extent o, T* packed,
                                                                    thread_pool* threads) mutable {
                         if (packed_b != b.data + j) {  // once for all matrices that meet the same one
                             packed_b = b.data + j;
                             kernels::pack(packed_b, right.row_step, right.column_step, k, n, packed,
                                           threads);
                         }
                         kernels::gemm(m, n, k, a.data + i, left.row_step, left.column_step, packed,
                                       y.data + o, n, static_cast<const T*>(nullptr), false, threads, w.after);
                     });
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs xs, Ys, Dys dys, Dxs dxs, const P& p, const Dp& dp, W& w) const noexcept {
        using T = typename Dxs::value_type::value_type;
        constexpr const T* no_bias = nullptr;
        const auto& a = xs[0];
        const auto& dy = dys[0];
        if (xs.size() == 1) {
            const extent k = p.weights[1], n = p.weights[0], rows = dy.total() / n;
            if (dp.weights) {
                kernels::pack(a.data, k, extent{1}, rows, k, w.scratch, w.threads);
                kernels::gemm(n, k, rows, dy.data, extent{1}, n, w.scratch, dp.weights.data, k, no_bias, true,
                              w.threads);
            }
            if (dp.bias) kernels::column_sums(rows, n, dy.data, n, dp.bias.data, w.threads);
            if (dxs[0]) {
                kernels::pack(p.weights.data, k, extent{1}, n, k, w.scratch, w.threads);
                kernels::gemm(rows, k, n, dy.data, n, extent{1}, w.scratch, dxs[0].data, k, no_bias, true,
                              w.threads);
            }
            return;
        }
        const auto& b = xs[1];
        const matrix left(a.dimensions, transpose_a, true), right(b.dimensions, transpose_b, false);
        const extent m = left.rows, k = left.columns, n = right.columns;
        // a product whose gradients meet those of no other can run beside the others
        const bool apart = is_apart(a, dy, m * k) && is_apart(b, dy, k * n);
        each_product(a, b, dy, apart, w, slot_size<T>(a.dimensions, b.dimensions),
                     [&](extent i, extent j, extent o, T* packed, thread_pool* threads) {
                         const T *at = a.data + i, *bt = b.data + j, *g = dy.data + o;
                         if (dxs[0] && !left.transposed) {  // da += dy bᵀ
                             kernels::pack(bt, right.column_step, right.row_step, n, k, packed, threads);
                             kernels::gemm(m, k, n, g, n, extent{1}, packed, dxs[0].data + i, k, no_bias,
                                           true, threads);
                         } else if (dxs[0]) {  // daᵀ += b dyᵀ
                             kernels::pack(g, extent{1}, n, n, m, packed, threads);
                             kernels::gemm(k, m, n, bt, right.row_step, right.column_step, packed,
                                           dxs[0].data + i, m, no_bias, true, threads);
                         }
                         if (dxs[1] && !right.transposed) {  // db += aᵀ dy
                             kernels::pack(g, n, extent{1}, m, n, packed, threads);
                             kernels::gemm(k, n, m, at, left.column_step, left.row_step, packed,
                                           dxs[1].data + j, n, no_bias, true, threads);
                         } else if (dxs[1]) {  // dbᵀ += dyᵀ a
                             kernels::pack(at, left.row_step, left.column_step, m, k, packed, threads);
                             kernels::gemm(n, k, m, g, extent{1}, n, packed, dxs[1].data + j, k, no_bias,
                                           true, threads);
                         }
                     });
    }
    friend bool operator==(const batched_matmul&, const batched_matmul&) = default;

private:
    /// The last two axes of a blob, as the product reads them.
    struct matrix {
        extent rows, columns, row_step, column_step;
        bool transposed;

        constexpr matrix(const shape& s, bool transpose, bool is_left)
            : transposed(transpose && s.rank() > 1) {
            const bool vector = s.rank() == 1;
            const extent first = !vector ? s.from_end(2) : is_left ? 1 : s[0];
            const extent second = !vector ? s.from_end(1) : is_left ? s[0] : 1;
            rows = transposed ? second : first;
            columns = transposed ? first : second;
            row_step = transposed ? 1 : second;
            column_step = transposed ? second : 1;
        }
    };

    constexpr outcome weighted_shape(const shape& a) const {
        if (int8_dynamic_quantize)
            return fault{errc::unsupported, sentence("int8DynamicQuantize is not supported")};
        if (a.rank() < 1) return shape_fault("an input of rank 1 or more wanted, its shape is ", a);
        const extent k = a.from_end(1), n = weight_matrix_second_dimension;
        if (n < 1) return value_fault("weightMatrixSecondDimension from 1 up wanted, ", n, " given");
        if (k < 1) return shape_fault("an input that is not empty wanted, its shape is ", a);
        if (weight_matrix_first_dimension != unset && weight_matrix_first_dimension != k)
            return shape_fault("a last axis of ", weight_matrix_first_dimension,
                               " (weightMatrixFirstDimension) wanted, the shape of its input is ", a);
        shape y = a;
        y.from_end(1) = n;
        return y;
    }
    constexpr outcome product_shape(const shape& a, const shape& b) const {
        if (a.rank() < 1 || b.rank() < 1)
            return shape_fault("inputs of rank 1 or more wanted, their shapes are ", a, " and ", b);
        const matrix left(a, transpose_a, true), right(b, transpose_b, false);
        if (left.columns != right.rows)
            return shape_fault("a matrix of ", left.columns, left.columns == 1 ? " row" : " rows",
                               " wanted on the right, it has ", right.rows, " (shapes ", a,
                               transpose_a ? " transposed" : "", " and ", b, transpose_b ? " transposed" : "",
                               ")");
        shape y;
        const std::size_t rank = leading(a, b);
        for (std::size_t axis = 0; axis < rank; ++axis) {
            const extent s = leading_extent(a, rank - axis), t = leading_extent(b, rank - axis);
            if (s != t && s != 1 && t != 1)
                return shape_fault("leading axes wanted that are equal or 1, the shapes are ", a, " and ", b);
            y.push_back(s == 1 ? t : s);
        }
        y.push_back(left.rows);
        y.push_back(right.columns);
        return y;
    }
    /// Number of axes before the matrices.
    static constexpr std::size_t leading(const shape& a, const shape& b) {
        return std::max({a.rank(), b.rank(), std::size_t{2}}) - 2;
    }
    /// The extent `back` axes before the matrix; 1 where there is none.
    static constexpr extent leading_extent(const shape& s, std::size_t back) {
        return s.rank() >= back + 2 ? s.from_end(back + 2) : 1;
    }
    /// Elements of the largest packed matrix, in both directions.
    template <class T>
    extent slot_size(const shape& a, const shape& b) const {
        using kernels::packed_size;
        const matrix left(a, transpose_a, true), right(b, transpose_b, false);
        const extent m = left.rows, k = left.columns, n = right.columns;
        return std::max({packed_size<T>(k, n), left.transposed ? packed_size<T>(n, m) : packed_size<T>(n, k),
                         right.transposed ? packed_size<T>(m, k) : packed_size<T>(m, n)});
    }
    /// Whether each of y's matrices has one of x to itself.
    template <class X, class Y>
    static bool is_apart(const X& x, const Y& y, extent matrix_size) {
        const shape s = y.dimensions;
        return x.dimensions.size() == matrix_size * s.product(0, s.rank() - 2) &&
               (x.stride != 0 || y.examples == 1);
    }

    /// Calls body(offset of the matrix in a, in b, in y, scratch, threads) for each matrix of y in order,
    /// a copy of `body` for each thread; or one after the other, where each may use all threads.
    template <class A, class B, class Y, class W, class T, class Body>
    void each_product(const A& a, const B& b, const Y& y, bool apart, W& w, T slot,
                      const Body& body) const noexcept {
        const shape s = y.dimensions;
        const std::size_t rank = s.rank() - 2;
        const extent products = s.product(0, rank), all = products * y.examples;
        const extent matrix_size = s.from_end(2) * s.from_end(1);
        const extent count = w.threads && apart ? std::min(static_cast<extent>(w.threads->size()), all) : 1;
        const bool spread = count > 1 && all >= 2 * count;
        const extent slots = spread ? count : 1;
        parallel_for(spread ? w.threads : nullptr, slots, 1, [&](extent first, extent last) {
            for (extent slot_number = first; slot_number < last; ++slot_number) {
                Body mine = body;
                for (extent i = all * slot_number / slots; i < all * (slot_number + 1) / slots; ++i)
                    mine(i / products * a.stride + offset(a.dimensions, s, rank, i % products),
                         i / products * b.stride + offset(b.dimensions, s, rank, i % products),
                         i * matrix_size, w.scratch + slot_number * slot, spread ? nullptr : w.threads);
            }
        });
    }
    /// Where matrix number `index` of y finds its factor in a blob of shape x.
    static extent offset(const shape& x, const shape& y, std::size_t rank, extent index) noexcept {
        if (x.rank() < 3) return 0;
        extent result = 0, step = x.from_end(2) * x.from_end(1);
        for (std::size_t back = 1; back <= rank && x.rank() >= back + 2; ++back) {
            const extent size = leading_extent(x, back), mine = index % y.from_end(back + 2);
            index /= y.from_end(back + 2);
            if (size != 1) result += mine * step;
            step *= size;
        }
        return result;
    }
};

}  // namespace bespoke



#include <algorithm>

namespace bespoke::kernels {

// Normalization over the channels of x [outer, channels, inner] and over the rows of x [outer, n].
// Order of the sums over one channel: `lanes` chains (where inner > 1, element i of a run in lane i mod lanes, outer
// ascending), then the lanes as in `sum_lanes`; where inner = 1 one chain, outer ascending. Over one row: `lanes` chains.

namespace detail {

/// Threads for an element-wise pass over `size` elements.
inline thread_pool* worth_threads(thread_pool* threads, extent size) noexcept {
    return size < (1 << 15) ? nullptr : threads;
}

/// For each channel c in [first, last): `Count` sums over outer and inner. term(sums, offset, load, channel) adds the
/// elements at `offset`; load(p) reads them, channel(p) the value p[c]; put(sums, channel, store) gets the result.
/// Where inner = 1 a batch holds neighbouring channels.
template <std::size_t Count, class T, class Term, class Put>
[[gnu::always_inline]] inline void sum_channels(extent outer, extent channels, extent inner, extent first,
                                                extent last, const Term& term, const Put& put) noexcept {
    if (inner == 1) {
        for_each_batch<T>(
            last - first, [&](extent j, auto in, auto out) __attribute__((always_inline)) {
                const extent c = first + j;
                batch<T> sum[Count];
                for (auto& s : sum) s = batch<T>(T(0));
                for (extent o = 0; o < outer; ++o)
                    term(
                        sum, o * channels + c,
                        in, [&](const T* p) __attribute__((always_inline)) { return in(p + c); });
                put(
                    sum, [&](const T* p) __attribute__((always_inline)) { return in(p + c); },
                    [&](T * p, const batch<T>& v) __attribute__((always_inline)) { out(p + c, v); });
            });
        return;
    }
    for (extent c = first; c < last; ++c) {
        const auto of_channel = [&](const T* p) __attribute__((always_inline)) { return batch<T>(p[c]); };
        batch<T> sum[Count];
        for (auto& s : sum) s = batch<T>(T(0));
        for (extent o = 0; o < outer; ++o) {
            const extent start = (o * channels + c) * inner;
            extent i = 0;
            for (; i + lanes<T> <= inner; i += lanes<T>)
                term(
                    sum, start + i,
                    [](const T* p) __attribute__((always_inline)) { return kernels::load(p); }, of_channel);
            if (const extent rest = inner - i; rest > 0) {
                // A term of zeros may not be zero (x - mean), so the lanes beyond the run keep their sums.
                batch<T> kept[Count];
                std::copy(sum, sum + Count, kept);
                term(
                    sum, start + i,
                    [rest](const T* p) __attribute__((always_inline)) { return load_partial(p, rest); },
                    of_channel);
                for (std::size_t s = 0; s < Count; ++s) {
                    alignas(64) T merged[lanes<T>];
                    kept[s].store_aligned(merged);
                    store_partial<T>(merged, sum[s], rest);
                    sum[s] = batch<T>::load_aligned(merged);
                }
            }
        }
        for (auto& s : sum) s = batch<T>(sum_lanes<T>(s));
        put(
            sum, of_channel, [&](T * p, const batch<T>& v) __attribute__((always_inline)) {
                store_partial<T>(p + c, v, 1);
            });
    }
}

/// Calls body(offset, load, store, channel) for all elements of [outer, channels, inner]; channel(p) reads p[c].
template <class T, class Body>
[[gnu::always_inline]] inline void each_channel(extent outer, extent channels, extent inner,
                                                thread_pool* threads, const Body& body) noexcept {
    threads = worth_threads(threads, outer * channels * inner);
    if (inner == 1) {
        parallel_for(threads, outer, 1, [&](extent first, extent last) {
            for (extent o = first; o < last; ++o)
                for_each_batch<T>(
                    channels, [&](extent c, auto in, auto out) __attribute__((always_inline)) {
                        body(
                            o * channels + c, in,
                            out, [&](const T* p) __attribute__((always_inline)) { return in(p + c); });
                    });
        });
        return;
    }
    parallel_for(threads, outer * channels, 1, [&](extent first, extent last) {
        for (extent row = first; row < last; ++row) {
            const extent c = row % channels;
            for_each_batch<T>(
                inner, [&](extent i, auto in, auto out) __attribute__((always_inline)) {
                    body(
                        row * inner + i, in,
                        out, [&](const T* p) __attribute__((always_inline)) { return batch<T>(p[c]); });
                });
        }
    });
}

}  // namespace detail

/// y = scale_c * x + shift_c, one fma; scale, shift [channels]; y may be x.
template <class T>
void channel_affine(extent outer, extent channels, extent inner, const T* x, const T* scale, const T* shift,
                    T* y, thread_pool* threads = nullptr) noexcept {
    detail::each_channel<T>(
        outer, channels, inner,
        threads, [&](extent at, auto in, auto out, auto channel) __attribute__((always_inline)) {
            out(y + at, kernels::fma<T>(in(x + at), channel(scale), channel(shift)));
        });
}

/// mean and variance [channels] of x over outer and inner: mean first, then the mean of (x - mean)^2.
template <class T>
void channel_moments(extent outer, extent channels, extent inner, const T* x, T* mean, T* variance,
                     thread_pool* threads = nullptr) noexcept {
    const batch<T> count(static_cast<T>(outer * inner));
    parallel_for(detail::worth_threads(threads, outer * channels * inner), channels, lanes<T>,
                 [&](extent first, extent last) {
                     detail::sum_channels<1, T>(
                         outer, channels, inner, first, last,
                         [&](auto& sum, extent at, auto in, auto)
                             __attribute__((always_inline)) { sum[0] = sum[0] + in(x + at); },
                         [&](auto& sum, auto, auto out)
                             __attribute__((always_inline)) { out(mean, sum[0] / count); });
                     detail::sum_channels<1, T>(
                         outer, channels, inner, first, last,
                         [&](auto& sum, extent at, auto in, auto channel) __attribute__((always_inline)) {
                             const batch<T> d = in(x + at) - channel(mean);
                             sum[0] = kernels::fma<T>(d, d, sum[0]);
                         },
                         [&](auto& sum, auto, auto out)
                             __attribute__((always_inline)) { out(variance, sum[0] / count); });
                 });
}

/// dgamma_c += sum of dy * (x - mean_c) * inverse_c, dbeta_c += sum of dy; inverse = 1 / sqrt(variance + epsilon).
template <class T>
void batch_normalization_backward_parameters(extent outer, extent channels, extent inner, const T* x,
                                             const T* dy, const T* mean, const T* inverse, T* dgamma,
                                             T* dbeta, thread_pool* threads = nullptr) noexcept {
    parallel_for(detail::worth_threads(threads, outer * channels * inner), channels, lanes<T>,
                 [&](extent first, extent last) {
                     detail::sum_channels<2, T>(
                         outer, channels, inner, first, last,
                         [&](auto& sum, extent at, auto in, auto channel) __attribute__((always_inline)) {
                             const batch<T> g = in(dy + at);
                             sum[0] = kernels::fma<T>(g, in(x + at) - channel(mean), sum[0]);
                             sum[1] = sum[1] + g;
                         },
                         [&](auto& sum, auto channel, auto out) __attribute__((always_inline)) {
                             out(dgamma, kernels::fma<T>(sum[0], channel(inverse), channel(dgamma)));
                             out(dbeta, channel(dbeta) + sum[1]);
                         });
                 });
}

/// dx of y = gamma (x - mean) inverse + beta where mean and variance are constants: dx += dy * (gamma_c * inverse_c).
/// gamma may be null for 1.
template <class T>
void batch_normalization_backward_fixed(extent outer, extent channels, extent inner, const T* dy,
                                        const T* inverse, const T* gamma, T* dx,
                                        thread_pool* threads = nullptr) noexcept {
    detail::each_channel<T>(
        outer, channels, inner,
        threads, [&](extent at, auto in, auto out, auto channel) __attribute__((always_inline)) {
            const batch<T> scale = gamma ? channel(inverse) * channel(gamma) : channel(inverse);
            out(dx + at, kernels::fma<T>(in(dy + at), scale, in(dx + at)));
        });
}

/// dx of y = gamma (x - mean) inverse + beta where mean and variance are those of x:
/// dx += gamma_c inverse_c (dy - mean of dy - h * mean of dy h), h = (x - mean_c) inverse_c.
/// gamma may be null for 1; `sums` is scratch of 2 * channels elements.
template <class T>
void batch_normalization_backward_computed(extent outer, extent channels, extent inner, const T* x,
                                           const T* dy, const T* mean, const T* inverse, const T* gamma,
                                           T* dx, T* sums, thread_pool* threads = nullptr) noexcept {
    if (outer * channels * inner <= 0) return;
    std::fill(sums, sums + 2 * channels, T(0));
    T* of_products = sums;
    T* of_gradients = sums + channels;
    batch_normalization_backward_parameters(outer, channels, inner, x, dy, mean, inverse, of_products,
                                            of_gradients, threads);
    const batch<T> share(T(1) / static_cast<T>(outer * inner));
    detail::each_channel<T>(
        outer, channels, inner,
        threads, [&](extent at, auto in, auto out, auto channel) __attribute__((always_inline)) {
            const batch<T> factor = channel(inverse) * (channel(of_products) * share);
            const batch<T> centred =
                kernels::fma<T>(-(in(x + at) - channel(mean)), factor,
                                kernels::fma<T>(-channel(of_gradients), share, in(dy + at)));
            const batch<T> scale = gamma ? channel(inverse) * channel(gamma) : channel(inverse);
            out(dx + at, kernels::fma<T>(centred, scale, in(dx + at)));
        });
}

namespace detail {

/// Mean of x[0, n) and 1 / sqrt(variance + epsilon).
template <class T, class N>
[[gnu::always_inline]] inline void row_moments(N size, const T* x, T epsilon, T& mean, T& inverse) noexcept {
    const extent n = size;
    const T count = static_cast<T>(n);
    batch<T> sum(T(0));
    for_each_batch<T>(
        size, [&](extent i, auto in, auto) __attribute__((always_inline)) { sum = sum + in(x + i); });
    mean = sum_lanes<T>(sum) / count;
    const batch<T> centre(mean);
    batch<T> squares(T(0));
    extent i = 0;
    for (; i + lanes<T> <= n; i += lanes<T>) {
        const batch<T> d = load(x + i) - centre;
        squares = kernels::fma<T>(d, d, squares);
    }
    if (i < n) {
        alignas(64) T rest[lanes<T>];
        (load_partial(x + i, n - i) - centre).store_aligned(rest);
        const batch<T> d = load_partial(rest, n - i);
        squares = kernels::fma<T>(d, d, squares);
    }
    inverse = T(1) / kernels::sqrt(sum_lanes<T>(squares) / count + epsilon);
}

}  // namespace detail

/// y = gamma (x - mean) / sqrt(variance + epsilon) + beta over each row of x [outer, n]; gamma, beta [n], each may be
/// null (1, 0); y may be x.
template <class T, class N>
void layer_normalization(extent outer, N n, const T* x, const T* gamma, const T* beta, T epsilon, T* y,
                         thread_pool* threads = nullptr) noexcept {
    const extent size = n;
    parallel_for(detail::worth_threads(threads, outer * size), outer, 1, [&](extent first, extent last) {
        for (extent row = first; row < last; ++row) {
            const T* from = x + row * size;
            T* to = y + row * size;
            T mean, inverse;
            detail::row_moments<T>(n, from, epsilon, mean, inverse);
            for_each_batch<T>(
                n, [&](extent i, auto in, auto out) __attribute__((always_inline)) {
                    const batch<T> h = (in(from + i) - batch<T>(mean)) * batch<T>(inverse);
                    const batch<T> offset = beta ? in(beta + i) : batch<T>(T(0));
                    out(to + i, kernels::fma<T>(h, gamma ? in(gamma + i) : batch<T>(T(1)), offset));
                });
        }
    });
}

/// dx += the gradient of `layer_normalization`, dgamma += sum over rows of dy h, dbeta += sum over rows of dy, with
/// h = (x - mean) / sqrt(variance + epsilon). Each of gamma, dx, dgamma, dbeta may be null. `moments` is scratch of
/// 2 * outer elements. The sums over rows are one chain for each column, rows ascending.
template <class T, class N>
void layer_normalization_backward(extent outer, N n, const T* x, const T* gamma, T epsilon, const T* dy,
                                  T* dx, T* dgamma, T* dbeta, T* moments,
                                  thread_pool* threads = nullptr) noexcept {
    const extent size = n;
    threads = detail::worth_threads(threads, outer * size);
    parallel_for(threads, outer, 1, [&](extent first, extent last) {
        for (extent row = first; row < last; ++row) {
            const T *from = x + row * size, *g = dy + row * size;
            T &mean = moments[2 * row], &inverse = moments[2 * row + 1];
            detail::row_moments<T>(n, from, epsilon, mean, inverse);
            if (!dx) continue;
            const batch<T> centre(mean), factor(inverse);
            batch<T> of_gradients(T(0)), of_products(T(0));
            for_each_batch<T>(
                n, [&](extent i, auto in, auto) __attribute__((always_inline)) {
                    const batch<T> d = in(g + i), weight = gamma ? in(gamma + i) : batch<T>(T(1));
                    of_products = kernels::fma<T>(d * weight, in(from + i) - centre, of_products);
                    of_gradients = kernels::fma<T>(d, weight, of_gradients);
                });
            const T share = T(1) / static_cast<T>(size);
            const batch<T> gradient(sum_lanes<T>(of_gradients) * share);
            const batch<T> product(sum_lanes<T>(of_products) * share * inverse * inverse);
            T* to = dx + row * size;
            for_each_batch<T>(
                n, [&](extent i, auto in, auto out) __attribute__((always_inline)) {
                    const batch<T> weight = gamma ? in(gamma + i) : batch<T>(T(1));
                    const batch<T> inner = kernels::fma<T>(centre - in(from + i), product,
                                                           kernels::fma<T>(in(g + i), weight, -gradient));
                    out(to + i, kernels::fma<T>(inner, factor, in(to + i)));
                });
        }
    });
    if (!dgamma && !dbeta) return;
    parallel_for(threads, size, lanes<T>, [&](extent first, extent last) {
        for_each_batch<T>(
            last - first, [&](extent j, auto in, auto out) __attribute__((always_inline)) {
                const extent c = first + j;
                batch<T> scale = dgamma ? in(dgamma + c) : batch<T>(T(0)),
                         shift = dbeta ? in(dbeta + c) : batch<T>(T(0));
                for (extent row = 0; row < outer; ++row) {
                    const batch<T> g = in(dy + row * size + c);
                    const batch<T> h = (in(x + row * size + c) - batch<T>(moments[2 * row])) *
                                       batch<T>(moments[2 * row + 1]);
                    scale = kernels::fma<T>(g, h, scale);
                    shift = shift + g;
                }
                if (dgamma) out(dgamma + c, scale);
                if (dbeta) out(dbeta + c, shift);
            });
    });
}

}  // namespace bespoke::kernels

#include <limits>

namespace bespoke {

/// Batch normalisation over the channels: y = gamma (x - mean) / sqrt(variance + epsilon) + beta.
/// Ioffe and Szegedy, ICML 2015; Core ML specification, BatchnormLayerParams.
///
/// x [.., C, H, W] of rank 3 or more -> y of the same shape; gamma, beta, mean, variance [C].
/// Mean and variance are parameters that no training changes, unless compute_mean_var; with it they do not
/// exist, and mean and (biased) variance are taken from x:
///   instance_normalization   for each channel over H and W; each example and each index of the leading axes
///                            for itself
///   otherwise                for each channel over H, W, the leading axes and all examples that run at once:
///                            the result of one example depends on the others, and the gradient knows of it
struct batchnorm {
    extent channels = unset;
    bool compute_mean_var = false;
    bool instance_normalization = false;
    float epsilon = 1e-5F;  ///< 0 means 1e-5

    static constexpr auto key = "batchnorm";
    static constexpr auto fields = std::tuple{
        field{"channels", &batchnorm::channels}, field{"computeMeanVar", &batchnorm::compute_mean_var},
        field{"instanceNormalization", &batchnorm::instance_normalization},
        field{"epsilon", &batchnorm::epsilon}};
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    template <class T>
    struct parameters {
        T gamma, beta, mean, variance;
    };
    template <class T>
    static constexpr auto parameter_fields =
        std::array{parameter_field{"gamma", &parameters<T>::gamma, initial::one},
                   parameter_field{"beta", &parameters<T>::beta, initial::zero},
                   parameter_field{"mean", &parameters<T>::mean, initial::zero, false},
                   parameter_field{"variance", &parameters<T>::variance, initial::one, false}};

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() < 3)
            return shape_fault("an input [.., channels, height, width] wanted, its shape is ", x);
        for (extent e : x)
            if (e < 1) return shape_fault("an input that is not empty wanted, its shape is ", x);
        if (channels != unset && channels != x.from_end(3))
            return shape_fault(channels, " channels declared, its input has ", x.from_end(3), " (shape ", x,
                               ")");
        if (!(epsilon >= 0) || epsilon > std::numeric_limits<float>::max())
            return value_fault("a finite epsilon from 0 up wanted");
        return x;
    }
    constexpr bool mixes_examples() const { return compute_mean_var && !instance_normalization; }
    constexpr batchnorm resolved(const shape& x) const {
        batchnorm result = *this;
        result.channels = x.from_end(3);
        return result;
    }
    constexpr parameters<shape> parameter_shapes(const shape& x) const {
        const shape each{x.from_end(3)}, fixed = compute_mean_var ? absent : each;
        return {.gamma = each, .beta = each, .mean = fixed, .variance = fixed};
    }

    /// Scale and shift of each channel.
    template <class T>
    extent prepared_size(const shape& x) const {
        return compute_mean_var ? 0 : 2 * x.from_end(3);
    }
    template <class P, class T>
    void prepare(const P& p, T* prepared) const noexcept {
        if (compute_mean_var) return;
        const extent groups = p.gamma.size();
        fixed_moments(p, prepared + groups, prepared);
        fold(p, groups, prepared + groups, prepared);
    }

    template <class T>
    extent scratch_size(const shape& x, extent examples, extent) const {
        return arrays * groups_of(x, x.size() * examples).groups;
    }
    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P& p, W& w) const noexcept {
        using T = typename X::value_type;
        const auto [rows, groups, inner] = groups_of(x.dimensions, x.total());
        const T* scale = w.prepared;
        if (compute_mean_var) {
            moments(x, p, w, w.scratch, w.scratch + groups);
            fold(p, groups, w.scratch, w.scratch + groups);
            scale = w.scratch + groups;
        }
        kernels::channel_affine(rows, groups, inner, x.data, scale, scale == w.prepared ? scale + groups : w.scratch,
                                y.data, w.threads);
    }
    /// With fixed mean and variance y = scale x + shift, so the layer folds into the one before it.
    constexpr bool finishes(std::span<const shape>) const { return !compute_mean_var; }
    template <class T>
    void finish(const output_block<T>& block, const finishing<T>& with) const noexcept {
        const extent groups = with.dimensions->from_end(3),
                     inner = with.dimensions->from_end(2) * with.dimensions->from_end(1);
        // Divisions take longer than the elements of a row: the channel and the place in it are carried along.
        extent channel = with.offset / inner % groups, place = with.offset % inner;
        const extent channel_step = block.stride / inner % groups, place_step = block.stride % inner;
        for (extent i = 0; i < block.rows; ++i) {
            T* const row = block.data + i * block.stride;
            for (extent j = 0, c = channel, first = place; j < block.columns; first = 0) {
                const extent some = std::min(block.columns - j, inner - first);
                const kernels::batch<T> scale(with.prepared[c]), shift(with.prepared[groups + c]);
                kernels::map(
                    some, [&](const kernels::batch<T>& x) { return kernels::fma<T>(x, scale, shift); }, row + j,
                    row + j);
                j += some;
                c = c + 1 < groups ? c + 1 : 0;
            }
            place += place_step;
            channel += channel_step + (place >= inner ? 1 : 0);
            if (place >= inner) place -= inner;
            if (channel >= groups) channel -= groups;
        }
    }

    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y, Dy dy, Dx dx, const P& p, const Dp& dp, W& w) const noexcept {
        using T = typename X::value_type;
        const auto [rows, groups, inner] = groups_of(x.dimensions, x.total());
        T *mean = w.scratch, *inverse = mean + groups, *gamma = inverse + groups, *sums = gamma + groups;
        moments(x, p, w, mean, inverse);
        const extent channel_count = p.gamma.size();
        if (dp.gamma || dp.beta) {
            kernels::fill(2 * groups, T(0), sums);
            kernels::batch_normalization_backward_parameters(rows, groups, inner, x.data, dy.data, mean,
                                                             inverse, sums, sums + groups, w.threads);
            const extent count = groups / channel_count;
            if (dp.gamma)
                kernels::column_sums(count, channel_count, sums, channel_count, dp.gamma.data, w.threads);
            if (dp.beta)
                kernels::column_sums(count, channel_count, sums + groups, channel_count, dp.beta.data,
                                     w.threads);
        }
        if (!dx) return;
        for (extent i = 0; i < groups; ++i) gamma[i] = p.gamma.data[i % channel_count];
        if (compute_mean_var)
            kernels::batch_normalization_backward_computed(rows, groups, inner, x.data, dy.data, mean,
                                                           inverse, gamma, dx.data, sums, w.threads);
        else
            kernels::batch_normalization_backward_fixed(rows, groups, inner, dy.data, inverse, gamma, dx.data,
                                                        w.threads);
    }
    friend bool operator==(const batchnorm&, const batchnorm&) = default;

private:
    /// Arrays of one element a group in the scratch: mean, inverse, gamma and two sums.
    static constexpr extent arrays = 5;

    /// x seen as [rows, groups, inner], where all elements of a group share mean and variance.
    struct grouping {
        extent rows, groups, inner;
    };
    constexpr grouping groups_of(const shape& x, extent total) const {
        const extent inner = x.from_end(2) * x.from_end(1), rows = total / (x.from_end(3) * inner);
        if (compute_mean_var && instance_normalization) return {1, rows * x.from_end(3), inner};
        return {rows, x.from_end(3), inner};
    }
    /// Mean and 1 / sqrt(variance + epsilon) of each group.
    template <class X, class P, class W, class T>
    void moments(const X& x, const P& p, W& w, T* mean, T* inverse) const noexcept {
        if (!compute_mean_var) return fixed_moments(p, mean, inverse);
        const auto [rows, groups, inner] = groups_of(x.dimensions, x.total());
        kernels::channel_moments(rows, groups, inner, x.data, mean, inverse, w.threads);
        invert(groups, inverse);
    }
    template <class P, class T>
    void fixed_moments(const P& p, T* mean, T* inverse) const noexcept {
        kernels::copy(p.gamma.size(), p.mean.data, mean);
        kernels::copy(p.gamma.size(), p.variance.data, inverse);
        invert(p.gamma.size(), inverse);
    }
    template <class T>
    void invert(extent groups, T* variance) const noexcept {
        const T offset = static_cast<T>(epsilon == 0 ? 1e-5F : epsilon);
        for (extent i = 0; i < groups; ++i) variance[i] = T(1) / kernels::sqrt(variance[i] + offset);
    }
    /// Turns mean and inverse into shift and scale.
    template <class P, class T>
    static void fold(const P& p, extent groups, T* mean, T* inverse) noexcept {
        for (extent i = 0; i < groups; ++i) {
            const extent c = i % p.gamma.size();
            inverse[i] *= p.gamma.data[c];
            mean[i] = kernels::fma(-mean[i], inverse[i], p.beta.data[c]);
        }
    }
};

}  // namespace bespoke


namespace bespoke {

/// y = min(max(x, min_val), max_val): ReLU6 with 0 and 6. NaN gives NaN; the slope is 0 at both ends.
/// Core ML specification, ClipLayerParams.
struct clip {
    float min_val = 0, max_val = 1;

    static constexpr auto key = "clip";
    static constexpr auto fields = std::tuple{field{"minVal", &clip::min_val}, field{"maxVal", &clip::max_val}};
    static constexpr backward_needs needs{.input = false, .output = true};

    template <class V>
    V operator()(const V& x) const noexcept {
        return kernels::min(V(max_val), kernels::max(V(min_val), x));
    }
    template <class V>
    V derivative(const V&, const V& y) const noexcept {
        return kernels::select(y > V(min_val), kernels::select(y < V(max_val), V(1), V(0)), V(0));
    }
    friend bool operator==(const clip&, const clip&) = default;
};

}  // namespace bespoke


#include <limits>

namespace bespoke {

/// Joins blobs along axis -3 (channels), or -5 (sequence) with `sequence_concat`. All other extents are
/// equal.
/// Core ML specification, ConcatLayerParams.
struct concat {
    bool sequence_concat = false;

    static constexpr auto key = "concat";
    static constexpr auto fields = std::tuple{field{"sequenceConcat", &concat::sequence_concat}};
    static constexpr input_count inputs{2, any_number};
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(std::span<const shape> xs) const {
        shape y = xs[0];
        if (y.rank() < back())
            return shape_fault("inputs of rank ", back(), " or more wanted, the first has the shape ", y);
        for (std::size_t i = 1; i < xs.size(); ++i) {
            shape rest = xs[i];
            bool fits = rest.rank() == y.rank();
            if (fits) {
                const extent more = rest.from_end(back());
                if (more > std::numeric_limits<extent>::max() - y.from_end(back()))
                    return shape_fault("its output would be too large");
                rest.from_end(back()) = y.from_end(back());
                fits = rest == y;
                y.from_end(back()) += more;
            }
            if (!fits)
                return shape_fault("shapes wanted that differ in axis -", back(), " only, the first is ",
                                   xs[0], ", input ", i, " has ", xs[i]);
        }
        return y;
    }

    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        each_row(xs, ys[0], w.threads,
                 [](extent n, const auto* from, auto* to) { kernels::copy(n, from, to); });
    }
    template <class... X, class Y, class P, class W>
    [[gnu::always_inline]] void forward_unrolled(const std::tuple<X...>& xs, const std::tuple<Y>& ys,
                                                 const P&, W&) const noexcept {
        constexpr std::size_t rank = decltype(Y::dimensions)::rank();
        const auto join = [&]<std::size_t Axis>(std::integral_constant<std::size_t, Axis>)
            __attribute__((always_inline)) {
            constexpr extent outer = decltype(Y::dimensions)::product(0, Axis);
            auto* at = std::get<0>(ys).data;
            const auto part = [&]<class One>(const One& x, extent r) __attribute__((always_inline)) {
                constexpr extent n = decltype(One::dimensions)::product(Axis, rank);
                kernels::copy(n, x.data + r * n, at);
                at += n;
            };
            for (extent r = 0; r < outer; ++r) std::apply([&](const X&... x) { (part(x, r), ...); }, xs);
        };
        if (!sequence_concat)
            join(std::integral_constant<std::size_t, rank - 3>{});
        else if constexpr (rank >= 5)
            join(std::integral_constant<std::size_t, rank - 5>{});
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs, Ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        bool apart = true;
        for (const auto& dx : dxs) apart &= dx.stride != 0;
        for (std::size_t i = 0; i < dxs.size(); ++i)  // the same blob may come twice
            for (std::size_t k = 0; k < i; ++k) apart &= dxs[i].data != dxs[k].data;
        each_row(dxs, dys[0], apart ? w.threads : nullptr,
                 [](extent n, auto* to, const auto* from) { kernels::accumulate(n, from, to); });
    }
    friend bool operator==(const concat&, const concat&) = default;

private:
    constexpr std::size_t back() const { return sequence_concat ? 5 : 3; }

    /// Calls body(elements, part of xs[i], part of y) for each contiguous piece.
    template <class Xs, class Y, class Body>
    void each_row(const Xs& xs, const Y& y, thread_pool* threads, const Body& body) const noexcept {
        const shape& s = y.dimensions;
        const std::size_t axis = s.rank() - back();
        const extent outer = s.product(0, axis), row = s.product(axis, s.rank());
        if (y.total() < (1 << 14)) threads = nullptr;
        parallel_for(threads, outer * y.examples, 1, [&](extent first, extent last) {
            for (extent r = first; r < last; ++r) {
                auto* at = y.data + r * row;
                for (const auto& x : xs) {
                    const extent n = x.dimensions.product(axis, s.rank());
                    if (x) body(n, x.example(r / outer) + r % outer * n, at);
                    at += n;
                }
            }
        });
    }
};

}  // namespace bespoke






#include <algorithm>

namespace bespoke::kernels {

/// Sizes of a two-dimensional convolution of one example.
///
/// x [channels, height, width], weights [output_channels, channels / groups, kernel_height, kernel_width],
/// y [output_channels, output_height, output_width]; channel counts are totals over the groups.
/// y[o, oy, ox] = bias[o] + sum over c, ky, kx of
///     weights[o, c, ky, kx] * x[c, oy * stride_y + ky * dilation_y - pad_top, ox * stride_x + kx * dilation_x - pad_left],
/// where x is zero outside the image. What is padded below and to the right follows from the output size.
struct convolution_geometry {
    extent channels, height, width;
    extent output_channels, output_height, output_width;
    extent kernel_height, kernel_width;
    extent stride_y, stride_x;
    extent dilation_y, dilation_x;
    extent pad_top, pad_left;
    extent groups;
    bool winograd = false;  ///< the forward pass may take `winograd_forward` where that suits; float only

    constexpr extent plane() const { return height * width; }
    constexpr extent pixels() const { return output_height * output_width; }
    constexpr extent taps() const { return kernel_height * kernel_width; }
    constexpr extent group_channels() const { return channels / groups; }
    constexpr extent group_outputs() const { return output_channels / groups; }
    /// Rows and columns of the image that the windows cover, padding included.
    constexpr extent covered_rows() const {
        return (output_height - 1) * stride_y + (kernel_height - 1) * dilation_y + 1;
    }
    constexpr extent covered_columns() const {
        return (output_width - 1) * stride_x + (kernel_width - 1) * dilation_x + 1;
    }
};

namespace detail {

/// A copy of the image with its padding, or the image itself, in which tap and pixel give an offset each.
/// A row holds its columns sorted by their remainder modulo `phases`.
struct image_layout {
    extent before_y, before_x;  ///< zeros above and to the left
    extent rows, phases, phase_stride;
    bool direct;  ///< the image can be read as it is

    constexpr extent row_stride() const { return phases * phase_stride; }
    constexpr extent channel_stride() const { return rows * row_stride(); }
    /// Of column `x` (counted from the first zero) in a row.
    constexpr extent column(extent x) const { return x % phases * phase_stride + x / phases; }
};

/// With `consecutive` the elements that one tap reads for the pixels of a row lie side by side.
constexpr image_layout make_layout(const convolution_geometry& g, bool consecutive) {
    const extent rows = g.covered_rows(), columns = g.covered_columns(),
                 phases = consecutive ? g.stride_x : 1;
    if (g.pad_top == 0 && g.pad_left == 0 && phases == 1 && rows <= g.height && columns <= g.width)
        return {0, 0, g.height, 1, g.width, true};
    return {g.pad_top, g.pad_left, rows, phases, (columns + phases - 1) / phases, false};
}

/// Copies `channels` images [height, width] into `layout`.
template <class T>
[[gnu::noinline]] void copy_image(const image_layout& layout, extent channels, extent height, extent width,
                                  const T* x, T* to) noexcept {
    for (extent c = 0; c < channels; ++c)
        for (extent r = 0; r < layout.rows; ++r) {
            const extent y = r - layout.before_y;
            const bool inside = y >= 0 && y < height;
            const T* from = x + (c * height + y) * width;
            for (extent phase = 0; phase < layout.phases; ++phase, to += layout.phase_stride) {
                // Element j is column j * phases + phase - before_x of the image.
                const extent shift = phase - layout.before_x;
                const auto count = [&](extent column) {
                    return std::clamp<extent>((column - shift + layout.phases - 1) / layout.phases, 0,
                                              layout.phase_stride);
                };
                const extent begin = !inside ? layout.phase_stride : shift < 0 ? count(0) : 0;
                const extent end = !inside ? begin : width <= shift ? begin : std::max(begin, count(width));
                std::fill(to, to + begin, T(0));
                extent j = begin;
                if (layout.phases == 1) {
                    kernels::copy(end - begin, from + begin + shift, to + begin);
                    j = end;
                } else if (layout.phases == 2)
                    for (const T* p = from + 2 * j + shift; j + lanes<T> < end;
                         j += lanes<T>, p += 2 * lanes<T>)
                        store<T>(to + j, even_lanes<T>(load(p), load(p + lanes<T>)));
                for (; j < end; ++j) to[j] = from[j * layout.phases + shift];
                std::fill(to + end, to + layout.phase_stride, T(0));
            }
        }
}

/// Elements of a copy of one group's images.
constexpr extent image_size(const image_layout& layout, extent channels) {
    return layout.direct ? 0 : channels * layout.channel_stride();
}

/// Offsets in the layout of the taps [first, first + count); tap k = (c * kernel_height + i) * kernel_width + j.
inline void tap_offsets(const convolution_geometry& g, const image_layout& layout, extent first, extent count,
                        extent* to) noexcept {
    extent j = first % g.kernel_width, i = first / g.kernel_width % g.kernel_height, c = first / g.taps();
    for (extent k = 0; k < count; ++k) {
        to[k] = c * layout.channel_stride() + i * g.dilation_y * layout.row_stride() +
                layout.column(j * g.dilation_x);
        if (++j < g.kernel_width) continue;
        j = 0;
        if (++i < g.kernel_height) continue;
        i = 0;
        ++c;
    }
}

/// Offsets y * row_step + x * column_step of the pixels [first, first + count) of a grid `width` wide, in row-major
/// order.
inline void grid_offsets(extent width, extent row_step, extent column_step, extent first, extent count,
                         extent* to) noexcept {
    extent x = first % width, row = first / width * row_step;
    for (extent q = 0; q < count; ++q) {
        to[q] = row + x * column_step;
        if (++x < width) continue;
        x = 0;
        row += row_step;
    }
}

/// Output rows [first, last) whose tap i falls into some rows of the image.
struct row_range {
    extent tap, first, last;
    constexpr extent image_row(const convolution_geometry& g, extent row) const {
        return row * g.stride_y + tap * g.dilation_y - g.pad_top;
    }
};
constexpr row_range rows_of_tap(const convolution_geometry& g, extent tap, extent first, extent last) {
    // The least row with row * stride >= from.
    const auto from = [&](extent image_row) {
        const extent distance = image_row + g.pad_top - tap * g.dilation_y;
        return distance <= 0 ? 0 : std::min((distance + g.stride_y - 1) / g.stride_y, g.output_height);
    };
    return {tap, from(first), from(last)};
}

constexpr extent convolution_work(const convolution_geometry& g, extent examples) {
    return examples * g.output_channels * g.pixels() * g.group_channels() * g.taps();
}

/// Pixels or taps whose offsets are in one table.
inline constexpr extent table_size = 96;

}  // namespace detail
}  // namespace bespoke::kernels

namespace bespoke::kernels::detail {

// Convolutions whose groups have few outputs, depthwise ones above all: there is no batch of channels to compute
// with, so these kernels compute with batches of pixels of a row.

/// Whether a group has so few channels on the side that is computed.
template <class T>
constexpr bool is_narrow(extent channels) {
    return channels <= std::max<extent>(lanes<T> / 4, 1);
}

/// Calls body(part, first, last) for ranges that cover [0, items), one for each thread of the pool.
template <class Body>
void split(thread_pool* threads, extent items, const Body& body) noexcept {
    const extent parts = std::min(threads ? static_cast<extent>(threads->size()) : extent{1}, items);
    parallel_for(threads, parts, 1, [&](extent first, extent last) {
        for (extent part = first; part < last; ++part)
            body(part, items * part / parts, items * (part + 1) / parts);
    });
}

/// y[q] = start + sum over p of weights[p * weight_step] * image[offsets[p] + q] for the pixels q in [0, count),
/// count <= Batches * lanes; one chain over p. The start is `*start`, or y[q] where that is null. Reads
/// nothing from `end` on.
template <class T, extent Batches>
[[gnu::noinline]] void narrow_pixels(extent steps, const T* weights, extent weight_step, const T* image,
                                     const T* end, const extent* offsets, extent count, const T* start,
                                     T* y) noexcept {
    constexpr auto batches = static_cast<std::size_t>(Batches);
    batch<T> sum[batches];
    unroll<batches>([&](auto j) __attribute__((always_inline)) {
        T* p = y + static_cast<extent>(j()) * lanes<T>;
        sum[j] = start != nullptr ? batch<T>(*start) : Batches > 1 ? load<T>(p) : load_partial<T>(p, count);
    });
    for (extent k = 0; k < steps; ++k) {
        const batch<T> w(weights[k * weight_step]);
        const T* p = image + offsets[k];
        if constexpr (Batches > 1)
            unroll<batches>([&](auto j) __attribute__((always_inline)) {
                sum[j] = kernels::fma<T>(w, load(p + static_cast<extent>(j()) * lanes<T>), sum[j]);
            });
        else
            sum[0] = kernels::fma<T>(w, end - p >= lanes<T> ? load(p) : load_partial(p, count), sum[0]);
    }
    unroll<batches>([&](auto j) __attribute__((always_inline)) {
        T* p = y + static_cast<extent>(j()) * lanes<T>;
        if (Batches > 1 || count == lanes<T>)
            store<T>(p, sum[j]);
        else
            store_partial<T>(p, sum[j], count);
    });
}

template <class T>
void narrow_row(extent steps, const T* weights, extent weight_step, const T* image, const T* end,
                const extent* offsets, extent count, const T* start, T* y) noexcept {
    for (extent x = 0; x < count;) {
        const bool many = count - x >= 4 * lanes<T>;
        const extent some = many ? 4 * lanes<T> : std::min(count - x, lanes<T>);
        (many ? narrow_pixels<T, 4> : narrow_pixels<T, 1>)(steps, weights, weight_step, image + x, end,
                                                           offsets, some, start, y + x);
        x += some;
    }
}

/// Output rows that are computed with one table of offsets.
inline constexpr extent narrow_rows = 8;

/// y of one group in the output rows [first, last); `y` and `bias` begin at the group.
template <class T>
[[gnu::noinline]] void narrow_forward(const convolution_geometry& g, const image_layout& layout,
                                      const T* image, const T* weights, const T* bias, bool accumulate,
                                      extent first, extent last, T* y) noexcept {
    const extent size = g.group_channels() * g.taps();
    const T* end = image + g.group_channels() * layout.channel_stride();
    extent offsets[k_block<T>];
    const T zero = 0;
    for (extent k = 0; k < size; k += k_block<T>) {
        const extent steps = std::min(size - k, k_block<T>);
        tap_offsets(g, layout, k, steps, offsets);
        for (extent o = 0; o < g.group_outputs(); ++o) {
            const T* start = accumulate || k > 0 ? nullptr : bias != nullptr ? bias + o : &zero;
            for (extent row = first; row < last; ++row)
                narrow_row(steps, weights + o * size + k, extent{1},
                           image + row * g.stride_y * layout.row_stride(), end, offsets, g.output_width,
                           start, y + o * g.pixels() + row * g.output_width);
        }
    }
}

/// dx of one group in the image rows [first, last), by way of `sums`, rows of the layout. `dy`, `weights` and `dx`
/// begin at the group.
template <class T>
[[gnu::noinline]] void narrow_backward_input(const convolution_geometry& g, const image_layout& layout,
                                             const T* dy, const T* weights, extent first, extent last,
                                             T* sums, T* dx) noexcept {
    const extent size = g.group_channels() * g.taps(), outputs = g.group_outputs(),
                 row_size = layout.row_stride();
    extent offsets[k_block<T>];
    for (extent c = 0; c < g.group_channels(); ++c) {
        std::fill_n(sums, (last - first) * row_size, T(0));
        for (extent tap = 0; tap < g.taps(); ++tap) {
            const extent column = layout.column(tap % g.kernel_width * g.dilation_x);
            const row_range rows = rows_of_tap(g, tap / g.kernel_width, first, last);
            for (extent o = 0; o < outputs; o += k_block<T>) {
                const extent steps = std::min(outputs - o, k_block<T>);
                for (extent p = 0; p < steps; ++p) offsets[p] = p * g.pixels();
                for (extent row = rows.first; row < rows.last; ++row)
                    narrow_row(steps, weights + o * size + c * g.taps() + tap, size,
                               dy + o * g.pixels() + row * g.output_width, dy + outputs * g.pixels(), offsets,
                               g.output_width, static_cast<const T*>(nullptr),
                               sums + (rows.image_row(g, row) - first) * row_size + column);
            }
        }
        for (extent row = first; row < last; ++row) {
            T* to = dx + c * g.plane() + row * g.width;
            const T* from = sums + (row - first) * row_size;
            const extent columns = std::min(g.width, g.covered_columns() - g.pad_left);
            for (extent x = std::max<extent>(0, -g.pad_left); x < columns; ++x)
                to[x] += from[layout.column(x + g.pad_left)];
        }
    }
}

/// dW of one channel and the outputs of its group; `dy` and `dweights` begin at the group and the channel. For each
/// tap the products are added in `lanes` chains over the output rows and the batches of a row, then the lanes
/// as in `sum_lanes`, then what dW holds.
template <class T>
[[gnu::noinline]] void narrow_weights(const convolution_geometry& g, const image_layout& layout,
                                      const T* image, const T* dy, T* dweights) noexcept {
    for (extent o = 0; o < g.group_outputs(); ++o)
        for (extent tap = 0; tap < g.taps(); ++tap) {
            const T* from = image + tap / g.kernel_width * g.dilation_y * layout.row_stride() +
                            layout.column(tap % g.kernel_width * g.dilation_x);
            const T* slope = dy + o * g.pixels();
            batch<T> sum(T(0));
            for (extent row = 0; row < g.output_height; ++row, slope += g.output_width)
                for_each_batch<T>(
                    g.output_width, [&](extent x, auto in, auto) __attribute__((always_inline)) {
                        sum = kernels::fma<T>(in(slope + x),
                                              in(from + row * g.stride_y * layout.row_stride() + x), sum);
                    });
            dweights[o * g.group_channels() * g.taps() + tap] += sum_lanes<T>(sum);
        }
}

}  // namespace bespoke::kernels::detail


namespace bespoke::kernels::detail {

// Convolutions with few products for each output, those of an image of one or three channels above all: batches of
// pixels of a row are computed for several output channels at once. What comes out stands where y wants it; a tile of
// pixels times a panel of channels would have to be transposed, which costs as much as so few products. The last batch
// of a row begins where it is whole, and computes again what it shares with the one before.

/// Whether `rows_forward` is for this geometry.
template <class T>
constexpr bool suits_rows(const convolution_geometry& g) noexcept {
    return g.group_channels() * g.taps() <= k_block<T> && g.output_width >= lanes<T> &&
           !is_narrow<T>(g.group_outputs());
}

/// Where the pixels of one batch stand.
template <class T>
struct row_batch {
    const T* x;
    T* y;
};

/// y[i * pixels + q] = start[i] + sum over k in [0, steps) of weights[k * panel_width + i] * x[offsets[k] + q] of two
/// batches of pixels and the output channels i in [0, count), count <= Rows; one chain of fma over k ascending.
template <class T, std::size_t Rows>
[[gnu::noinline]] void rows_tile(extent steps, const T* weights, const extent* offsets, const row_batch<T>& low,
                                 const row_batch<T>& high, const T* start, extent count, extent pixels) noexcept {
    batch<T> sum[2 * Rows];
    unroll<Rows>([&](auto i) __attribute__((always_inline)) { sum[2 * i] = sum[2 * i + 1] = batch<T>(start[i]); });
    for (extent k = 0; k < steps; ++k, weights += panel_width<T>) {
        const batch<T> left = kernels::in_register<T>(load(low.x + offsets[k])),
                       right = kernels::in_register<T>(load(high.x + offsets[k]));
        unroll<Rows>([&](auto i) __attribute__((always_inline)) {
            const batch<T> w(weights[i()]);
            sum[2 * i] = kernels::fma<T>(w, left, sum[2 * i]);
            sum[2 * i + 1] = kernels::fma<T>(w, right, sum[2 * i + 1]);
        });
    }
    unroll<Rows>([&](auto i) __attribute__((always_inline)) {
        if (static_cast<extent>(i()) >= count) return;
        store<T>(low.y + static_cast<extent>(i()) * pixels, sum[2 * i]);
        store<T>(high.y + static_cast<extent>(i()) * pixels, sum[2 * i + 1]);
    });
}

/// y of one group in the output rows [first, last); `image`, in a layout where the pixels of a row are consecutive, the
/// packed weights, `bias` and `y` begin at the group.
template <class T>
[[gnu::noinline]] void rows_forward(const convolution_geometry& g, const image_layout& layout, const T* image,
                                    const T* packed, const T* bias, extent first, extent last, T* y) noexcept {
    constexpr extent width = panel_width<T>;
    const extent size = g.group_channels() * g.taps(), outputs = g.group_outputs();
    const extent across = (g.output_width + lanes<T> - 1) / lanes<T>, batches = (last - first) * across;
    extent offsets[k_block<T>];
    tap_offsets(g, layout, 0, size, offsets);
    const auto place = [&](extent i, extent output) -> row_batch<T> {
        const extent row = first + i / across,
                     column = std::min(i % across * lanes<T>, g.output_width - lanes<T>);
        return {image + row * g.stride_y * layout.row_stride() + column,
                y + output * g.pixels() + row * g.output_width + column};
    };
    for (extent o = 0; o < outputs;) {
        // Panels of weights are cut into tiles; where the last one would leave its panel it begins earlier.
        const extent inside = o % width, left = std::min(outputs - o, width - inside);
        const bool large = 3 * left > 2 * tile_rows;
        const extent rows = large ? tile_rows : small_tile_rows, begin = std::min(inside, width - rows);
        o += begin - inside;
        const extent count = std::min(outputs - o, rows);
        T start[tile_rows] = {};
        if (bias != nullptr) std::copy_n(bias + o, count, start);
        for (extent i = 0; i < batches; i += 2)
            (large ? rows_tile<T, tile_rows> : rows_tile<T, small_tile_rows>)(
                size, packed + (o - begin) * size + begin, offsets, place(i, o), place(std::min(i + 1, batches - 1), o),
                start, count, g.pixels());
        o += count;
    }
}

}  // namespace bespoke::kernels::detail


namespace bespoke::kernels::detail {

// Depthwise convolutions with a 3 x 3 kernel: each channel is an image of its own. Batches of pixels go down the image;
// the three rows that a batch sees stay in registers. Nothing is copied: what lies beside the image is masked out.

/// Whether `depthwise_forward` is for this geometry.
constexpr bool suits_depthwise(const convolution_geometry& g) noexcept {
    return g.groups == g.channels && g.groups == g.output_channels && g.kernel_height == 3 && g.kernel_width == 3 &&
           g.dilation_y == 1 && g.dilation_x == 1 && g.stride_y == g.stride_x && (g.stride_x == 1 || g.stride_x == 2);
}

/// The lanes [first, last) of a batch whose first element is `begin` of a row of `size`: those within the row.
template <class T>
struct row_window {
    unsigned first, last, mask;

    row_window() = default;
    row_window(extent begin, extent size)
        : first(static_cast<unsigned>(std::clamp<extent>(-begin, 0, lanes<T>))),
          last(static_cast<unsigned>(std::clamp<extent>(size - begin, 0, lanes<T>))),
          mask(((1u << last) - 1u) & ~((1u << first) - 1u)) {}

    /// Zero in the other lanes; reads nothing beside them.
    [[gnu::always_inline]] batch<T> load(const T* p) const noexcept {
#if XSIMD_WITH_AVX512F
        if constexpr (is_avx512<xsimd::default_arch> && std::is_same_v<T, float>)
            return _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), p);
        else if constexpr (is_avx512<xsimd::default_arch> && std::is_same_v<T, double>)
            return _mm512_maskz_loadu_pd(static_cast<__mmask8>(mask), p);
        else
#endif
        {
            if (first == 0 && last == static_cast<unsigned>(lanes<T>)) return kernels::load(p);
            alignas(64) T copy[lanes<T>] = {};
            for (unsigned i = first; i < last; ++i) copy[i] = p[i];
            return batch<T>::load_aligned(copy);
        }
    }
};

/// Some channels of a depthwise convolution; x, weights, bias and y are those of the first.
template <class T>
struct depthwise_images {
    const convolution_geometry& g;
    const T* x;
    const T* weights;
    const T* bias;  ///< or null
    T* y;
    bool accumulate;
};

/// The output rows [first, last) of `Batches` batches of pixels: side by side from `column` on, or with `Planes` those
/// at `column` of as many channels. `Edge`: pixels may be missing, or see what is beside the image.
template <class T, extent Stride, std::size_t Batches, bool Planes, bool Edge>
[[gnu::noinline]] void depthwise_rows(const depthwise_images<T>& images, extent column, extent first,
                                      extent last) noexcept {
    const convolution_geometry& g = images.g;
    const extent height = g.height, width = g.width, output_width = g.output_width;
    const extent x_step = Planes ? g.plane() : Stride * lanes<T>, y_step = Planes ? g.pixels() : lanes<T>;
    // What the loads of a batch see: of the three taps, or of the even and odd elements and those two further.
    constexpr extent shifts[4] = {0, Stride == 1 ? 1 : lanes<T>, 2, lanes<T> + 2};
    row_window<T> windows[4][Batches];
    extent valid[Batches];
    batch<T> start[Batches];
    unroll<Batches>([&](auto j) __attribute__((always_inline)) {
        const extent at = column + (Planes ? 0 : static_cast<extent>(j()) * lanes<T>);
        start[j] = batch<T>(images.bias != nullptr ? images.bias[Planes ? j() : 0] : T(0));
        valid[j] = std::clamp<extent>(output_width - at, 0, lanes<T>);
        unroll<4>([&](auto k) __attribute__((always_inline)) {
            windows[k][j] = row_window<T>(at * Stride - g.pad_left + shifts[k], width);
        });
    });
    const T* x = images.x + column * Stride - g.pad_left;
    T* y = images.y + first * output_width + column;
    batch<T> row[3][3][Batches];  // taps of the rows that are seen
    const auto read = [&](extent r, batch<T>(&taps)[3][Batches]) __attribute__((always_inline)) {
        if (r < 0 || r >= height) {
            unroll<3 * Batches>([&](auto i) __attribute__((always_inline)) {
                taps[i() / Batches][i() % Batches] = batch<T>(T(0));
            });
            return;
        }
        unroll<Batches>([&](auto j) __attribute__((always_inline)) {
            const T* p = x + r * width + static_cast<extent>(j()) * x_step;
            const auto at = [&](auto k) __attribute__((always_inline)) {
                if constexpr (Edge)
                    return windows[k][j].load(p + shifts[k]);
                else
                    return load(p + shifts[k]);
            };
            constexpr std::integral_constant<std::size_t, 0> zero;
            constexpr std::integral_constant<std::size_t, 1> one;
            constexpr std::integral_constant<std::size_t, 2> two;
            constexpr std::integral_constant<std::size_t, 3> three;
            if constexpr (Stride == 1) {
                taps[0][j] = at(zero);
                taps[1][j] = at(one);
                taps[2][j] = at(two);
            } else {
                const batch<T> a = at(zero), b = at(one);
                taps[0][j] = even_lanes<T>(a, b);
                taps[1][j] = odd_lanes<T>(a, b);
                taps[2][j] = even_lanes<T>(at(two), at(three));
            }
        });
    };
    const T* weights = images.weights;
    const bool accumulate = images.accumulate;
    extent r = first * Stride - g.pad_top;
    read(r, row[0]);
    if constexpr (Stride == 1) read(r + 1, row[1]);
    r += Stride == 1 ? 2 : 1;
    for (extent o = first; o < last; ++o, r += Stride, y += output_width) {
        if constexpr (Stride == 2) read(r, row[1]);
        read(Stride == 1 ? r : r + 1, row[2]);
        unroll<Batches>([&](auto j) __attribute__((always_inline)) {
            T* to = y + static_cast<extent>(j()) * y_step;
            batch<T> sum = start[j];
            if (accumulate) sum = Edge ? load_partial<T>(to, valid[j]) : load<T>(to);
            unroll<9>([&](auto k) __attribute__((always_inline)) {
                sum = kernels::fma<T>(batch<T>(weights[k() + (Planes ? 9 * j() : 0)]), row[k() / 3][k() % 3][j], sum);
            });
            if constexpr (Edge)
                store_partial<T>(to, sum, valid[j]);
            else
                store<T>(to, sum);
        });
        unroll<3 * Batches>([&](auto i) __attribute__((always_inline)) {
            constexpr std::size_t k = i() / Batches, j = i() % Batches;
            row[0][k][j] = row[Stride == 1 ? 1 : 2][k][j];
            if constexpr (Stride == 1) row[1][k][j] = row[2][k][j];
        });
    }
}

/// One channel, or two of at most one batch of columns, in the output rows [first, last).
template <class T, extent Stride>
[[gnu::noinline]] void depthwise_channels(const depthwise_images<T>& images, extent channels, extent first,
                                          extent last) noexcept {
    const convolution_geometry& g = images.g;
    if (channels == 2) return depthwise_rows<T, Stride, 2, true, true>(images, 0, first, last);
    for (extent column = 0; column < g.output_width; column += 2 * lanes<T>) {
        const extent begin = column * Stride - g.pad_left, end = begin + 2 * Stride * lanes<T> + 2;
        if (g.output_width - column <= lanes<T>)
            depthwise_rows<T, Stride, 1, false, true>(images, column, first, last);
        else if (begin >= 0 && end <= g.width && column + 2 * lanes<T> <= g.output_width)
            depthwise_rows<T, Stride, 2, false, false>(images, column, first, last);
        else
            depthwise_rows<T, Stride, 2, false, true>(images, column, first, last);
    }
}

/// y = conv(x) + bias of the channels [first, last), counted over the examples, in the order of arithmetic of all
/// forward passes; `flipped`: with the taps of the kernel in reverse. `after` is run on some rows of one or two
/// channels at a time.
template <class T>
[[gnu::noinline]] void depthwise_forward(const convolution_geometry& g, extent first, extent last, const T* x,
                                         extent x_stride, const T* weights, const T* bias, T* y, extent y_stride,
                                         bool accumulate, const epilogue<T>* after, bool flipped = false) noexcept {
    T taps[18];
    const extent rows = std::max<extent>(4096 / g.output_width, 8);
    for (extent item = first; item < last;) {
        const extent example = item / g.channels, channel = item % g.channels;
        const extent channels =
            g.output_width <= lanes<T> && item + 1 < last && channel + 1 < g.channels ? 2 : 1;
        for (extent tap = 0; tap < 9 * channels; ++tap)
            taps[tap] = weights[9 * channel + (flipped ? tap / 9 * 9 + 8 - tap % 9 : tap)];
        const depthwise_images<T> images{g,
                                         x + example * x_stride + channel * g.plane(),
                                         taps,
                                         bias != nullptr ? bias + channel : nullptr,
                                         y + example * y_stride + channel * g.pixels(),
                                         accumulate};
        for (extent row = 0; row < g.output_height; row += rows) {
            const extent end = std::min(row + rows, g.output_height);
            (g.stride_x == 1 ? depthwise_channels<T, 1> : depthwise_channels<T, 2>)(images, channels, row, end);
            if (after != nullptr)
                (*after)({images.y + row * g.output_width, channels, (end - row) * g.output_width, g.pixels()});
        }
        item += channels;
    }
}

}  // namespace bespoke::kernels::detail


namespace bespoke::kernels::detail {

// Convolutions with a 1 x 1 kernel: products of the weights with images, whose rows are channels. Large images are the
// right-hand side as they stand, and the result has the order of y. Of small ones, where the last batch of pixels would
// be half empty, the pixels are the rows and the result is transposed. Both read the same packed weights.

template <class T>
struct pointwise_job {
    const convolution_geometry& g;
    const T* x;
    extent x_stride;
    const T* packed;
    const T* bias;
    T* y;
    extent y_stride;
    bool accumulate;
    const epilogue<T>* after;
};

/// Whether `pointwise_forward` is for this geometry.
template <class T>
constexpr bool suits_pointwise(const convolution_geometry& g) noexcept {
    return g.kernel_height == 1 && g.kernel_width == 1 && g.pad_top == 0 && g.pad_left == 0 &&
           g.covered_rows() <= g.height && g.covered_columns() <= g.width && !is_narrow<T>(g.group_outputs());
}

/// Whether the kernel sees each pixel as it stands in x.
constexpr bool sees_all_pixels(const convolution_geometry& g) noexcept {
    return g.output_height == g.height && g.output_width == g.width;
}

/// Whether the pixels are the rows.
template <class T>
constexpr bool pixels_as_rows(const convolution_geometry& g) noexcept {
    constexpr extent most = 256, transposing = 8;  // a transposition costs as much as so many channels
    const extent batches = (g.pixels() + lanes<T> - 1) / lanes<T> * lanes<T>;
    const extent rows = (g.pixels() + small_tile_rows - 1) / small_tile_rows * small_tile_rows;
    return g.pixels() <= most && rows * (g.group_channels() + transposing) < batches * g.group_channels();
}

/// Steps of k that are computed together.
template <class T>
constexpr extent pointwise_steps(const convolution_geometry& g) noexcept {
    const extent parts = std::max<extent>((g.group_channels() + left_steps<T> - 1) / left_steps<T>, 1);
    return (g.group_channels() + parts - 1) / parts;
}

/// The elements of scratch that each thread has for itself: pixels that do not fill a batch or tile, and results.
template <class T>
constexpr extent pointwise_part(const convolution_geometry& g) noexcept {
    if (!pixels_as_rows<T>(g)) return (pointwise_steps<T>(g) + tile_rows) * panel_width<T>;
    const extent parts = (g.group_channels() + left_steps<T> - 1) / left_steps<T>;
    return packed_left_size<T>(1, parts * pointwise_steps<T>(g)) + (g.pixels() + tile_rows) * panel_width<T>;
}

/// Elements of scratch besides: the pixels of one example that are seen.
constexpr extent pointwise_copy(const convolution_geometry& g) noexcept {
    return sees_all_pixels(g) ? 0 : g.channels * g.pixels();
}

/// The pixels of the channels [first, last) that are seen, side by side.
template <class T>
[[gnu::noinline]] void gather_pixels(const convolution_geometry& g, extent first, extent last, const T* x,
                                     T* to) noexcept {
    to += first * g.pixels();
    for (extent channel = first; channel < last; ++channel)
        for (extent row = 0; row < g.output_height; ++row, to += g.output_width) {
            const T* from = x + channel * g.plane() + row * g.stride_y * g.width;
            extent j = 0;
            if (g.stride_x == 2)
                for (; 2 * (j + lanes<T>) <= g.width && j + lanes<T> <= g.output_width; j += lanes<T>)
                    store<T>(to + j, even_lanes<T>(load(from + 2 * j), load(from + 2 * j + lanes<T>)));
            for (; j < g.output_width; ++j) to[j] = from[j * g.stride_x];
        }
}

/// Items are (example, group, panel of pixels).
template <class T>
[[gnu::noinline]] void pointwise_columns(const pointwise_job<T>& job, extent first, extent last, T* space) noexcept {
    constexpr extent width = panel_width<T>;
    constexpr T zeros[tile_rows] = {};
    const convolution_geometry& g = job.g;
    const extent pixels = g.pixels(), outputs = g.group_outputs(), size = g.group_channels();
    const extent panels = (pixels + width - 1) / width, together = pointwise_steps<T>(g);
    T *copy = space, *edge = space + together * width;
    for (extent item = first; item < last; ++item) {
        const extent pixel = item % panels * width, where = item / panels, example = where / g.groups,
                     group = where % g.groups, columns = std::min(pixels - pixel, width);
        const bool whole = columns == width;
        const T* x = job.x + example * job.x_stride + group * size * pixels + pixel;
        T* y = job.y + example * job.y_stride + group * outputs * pixels + pixel;
        for (extent k = 0; k == 0 || k < size; k += together) {
            const extent steps = std::min(size - k, together);
            const bool goes_on = job.accumulate || k > 0, ends = job.after != nullptr && k + together >= size;
            const T* b = x + k * pixels;
            if (!whole) {
                if (steps > 0) std::fill_n(copy, steps * width, T(0));
                copy_rows(steps, columns, b, pixels, copy, width);
                b = copy;
            }
            for (extent o = 0; o < outputs;) {
                // Panels of weights are cut into tiles.
                const extent inside = o % width, rows = std::min({outputs - o, width - inside, tile_rows});
                const T* a =
                    job.packed + group * packed_size<T>(size, outputs) + (o - inside) * size + k * width + inside;
                T* to = y + o * pixels;
                if (!whole && goes_on) copy_rows(rows, columns, to, pixels, edge, width);
                T* c = whole ? to : edge;
                const extent c_row = whole ? pixels : width;
                const T* start = goes_on ? c : job.bias != nullptr ? job.bias + group * outputs + o : zeros;
                // With the first tile the next pixels come, else the next weights.
                multiply_strip<T>({steps, a, 1, width, b, whole ? pixels : width, c, c_row, start, goes_on ? c_row : -1,
                                   o == 0 ? x + k * pixels + width : a + size * width, o == 0 ? pixels : width,
                                   c + rows * c_row, 0},
                                  rows, columns);
                if (!whole) copy_rows(rows, columns, edge, width, to, pixels);
                o += rows;
                // A panel of channels at a time: calls are dear, and more of them would not stay in the first cache.
                if (const extent done = inside + rows; ends && (done == width || o == outputs))
                    (*job.after)({y + (o - done) * pixels, done, columns, pixels});
            }
        }
    }
}

/// Items are (example, group, panel of outputs).
template <class T>
[[gnu::noinline]] void pointwise_rows(const pointwise_job<T>& job, extent first, extent last, T* space) noexcept {
    constexpr extent width = panel_width<T>;
    const convolution_geometry& g = job.g;
    const extent pixels = g.pixels(), outputs = g.group_outputs(), size = g.group_channels();
    const extent panels = (outputs + width - 1) / width, together = pointwise_steps<T>(g);
    const extent filled = pixels % small_tile_rows == 0 ? pixels : pixels / tile_rows * tile_rows;
    T *sums = space, *left = space + (pixels + tile_rows) * width;
    alignas(64) T start[width];
    extent held = -1;
    for (extent item = first; item < last; ++item) {
        const extent panel = item % panels, where = item / panels, example = where / g.groups, group = where % g.groups,
                     columns = std::min(outputs - panel * width, width), channel = group * outputs + panel * width;
        const T* x = job.x + example * job.x_stride + group * size * pixels;
        const T* weights = job.packed + group * packed_size<T>(size, outputs) + panel * width * size;
        T* y = job.y + example * job.y_stride + channel * pixels;
        if (std::exchange(held, where) != where && filled < pixels)
            for (extent k = 0; k < size; k += together)
                pack_left(x + k * pixels + filled, extent{1}, pixels, pixels - filled, std::min(size - k, together),
                          left + k * tile_rows);
        std::fill_n(start, width, T(0));
        if (job.accumulate)
            transpose(y, pixels, columns, pixels, sums, width);
        else if (job.bias != nullptr)
            std::copy_n(job.bias + channel, columns, start);
        for (extent k = 0; k == 0 || k < size; k += together) {
            const extent steps = std::min(size - k, together);
            const bool goes_on = job.accumulate || k > 0;
            const extent near = width * tile_rows / std::max(pixels, tile_rows) + 1;
            const T* b = weights + k * width;
            for (extent i = 0; i < pixels; i += tile_rows) {
                const bool packed = i >= filled;
                T* c = sums + i * width;
                multiply_strip<T>({steps, packed ? left + k * tile_rows : x + k * pixels + i, 1,
                                   packed ? tile_rows : pixels, b, width, c, width, goes_on ? c : start,
                                   goes_on ? width : 0, b + size * width + i / tile_rows * steps * near, near,
                                   c + tile_rows * width, 0},
                                  std::min(pixels - i, tile_rows), columns);
            }
        }
        transpose(sums, width, pixels, columns, y, pixels);
        if (job.after != nullptr) (*job.after)({y, columns, pixels, pixels});
    }
}

/// The whole pass; `scratch` holds pointwise_copy(g) elements and then pointwise_part<T>(g) for each thread.
template <class T>
[[gnu::noinline]] void pointwise_forward(pointwise_job<T> job, extent examples, T* scratch,
                                         thread_pool* threads) noexcept {
    const convolution_geometry& g = job.g;
    const bool by_rows = pixels_as_rows<T>(g), copies = !sees_all_pixels(g);
    const extent panels = ((by_rows ? g.group_outputs() : g.pixels()) + panel_width<T> - 1) / panel_width<T>;
    for (extent e = 0; e < (copies ? examples : 1); ++e) {
        pointwise_job<T> part = job;
        if (copies) {
            parallel_for(threads, g.channels, 1, [&](extent first, extent last) {
                gather_pixels(g, first, last, job.x + e * job.x_stride, scratch);
            });
            part.x = scratch;
            part.y += e * job.y_stride;
        }
        split(threads, (copies ? 1 : examples) * g.groups * panels, [&](extent thread, extent first, extent last) {
            (by_rows ? pointwise_rows<T> : pointwise_columns<T>)(
                part, first, last, scratch + pointwise_copy(g) + thread * pointwise_part<T>(g));
        });
    }
}

}  // namespace bespoke::kernels::detail


namespace bespoke::kernels {

// Convolutions with a 3 x 3 kernel by Winograd's minimal filtering F(4 x 4, 3 x 3): a tile of 4 x 4 outputs comes from
// 6 x 6 inputs with 36 multiplications a channel, where the sums over the taps take 144,
//     y = Aᵀ [(G w Gᵀ) ∘ (Bᵀ x B)] A,
// the products ∘ added up over the channels. A. Lavin, S. Gray: Fast algorithms for convolutional neural networks
// (2015). The points are 0, ±3/4, ±3/2 and infinity: with them the error is about one and a half times that of the
// direct sums, with 0, ±1, ±2 it is four times as large.
//
// What is not finite reaches all 16 outputs of its tiles. Each output is computed alike wherever its tile is
// computed: neither threads nor examples beside it change a bit.
//
// How: rows of tiles are transformed, their channels side by side, into 36 matrices [tiles, channels]; for each panel
// of output channels these are multiplied with the transformed weights and transformed back while all that is near.

namespace detail {

inline constexpr extent winograd_tile = 4, winograd_window = 6, winograd_positions = 36;

/// Bᵀ d.
template <class T>
[[gnu::always_inline]] inline void winograd_input(const batch<T> (&d)[6], batch<T> (&v)[6]) noexcept {
    const auto number = [](double value) __attribute__((always_inline)) { return batch<T>(static_cast<T>(value)); };
    v[0] = kernels::fma<T>(number(81. / 64), d[0], kernels::fma<T>(number(-45. / 16), d[2], d[4]));
    v[5] = kernels::fma<T>(number(81. / 64), d[1], kernels::fma<T>(number(-45. / 16), d[3], d[5]));
    const batch<T> inner_even = kernels::fma<T>(number(-9. / 4), d[2], d[4]),
                   inner_odd = kernels::fma<T>(number(-27. / 16), d[1], number(3. / 4) * d[3]),
                   outer_even = kernels::fma<T>(number(-9. / 16), d[2], d[4]),
                   outer_odd = kernels::fma<T>(number(-27. / 32), d[1], number(3. / 2) * d[3]);
    v[1] = inner_even + inner_odd;
    v[2] = inner_even - inner_odd;
    v[3] = outer_even + outer_odd;
    v[4] = outer_even - outer_odd;
}
/// Aᵀ m.
template <class T>
[[gnu::always_inline]] inline void winograd_output(const batch<T> (&m)[6], batch<T> (&y)[4]) noexcept {
    const auto number = [](double value) __attribute__((always_inline)) { return batch<T>(static_cast<T>(value)); };
    const batch<T> inner_even = m[1] + m[2], inner_odd = m[1] - m[2], outer_even = m[3] + m[4],
                   outer_odd = m[3] - m[4];
    y[0] = m[0] + (inner_even + outer_even);
    y[1] = kernels::fma<T>(number(3. / 2), outer_odd, number(3. / 4) * inner_odd);
    y[2] = kernels::fma<T>(number(9. / 4), outer_even, number(9. / 16) * inner_even);
    y[3] = kernels::fma<T>(number(27. / 8), outer_odd, kernels::fma<T>(number(27. / 64), inner_odd, m[5]));
}
/// G w.
template <class T>
[[gnu::always_inline]] inline void winograd_weights(const batch<T> (&w)[3], batch<T> (&u)[6]) noexcept {
    const auto number = [](double value) __attribute__((always_inline)) { return batch<T>(static_cast<T>(value)); };
    u[0] = number(64. / 81) * w[0];
    u[5] = w[2];
    // 1 / (2 a² (a² - b²)) of the points a, b.
    const batch<T> inner = number(-128. / 243), outer = number(32. / 243);
    const batch<T> inner_even = kernels::fma<T>(number(9. / 16), w[2], w[0]),
                   outer_even = kernels::fma<T>(number(9. / 4), w[2], w[0]);
    const batch<T> inner_odd = number(3. / 4) * w[1], outer_odd = number(3. / 2) * w[1];
    u[1] = inner * (inner_even + inner_odd);
    u[2] = inner * (inner_even - inner_odd);
    u[3] = outer * (outer_even + outer_odd);
    u[4] = outer * (outer_even - outer_odd);
}

/// How the tiles of images are laid out.
template <class T>
struct winograd_plan {
    extent tiles_y, tiles_x;  ///< of one image
    extent columns;           ///< of the image that a row of tiles reads, padding included
    extent channel_row;       ///< elements of one tile's channels: whole batches, not a power of two
    extent rows;              ///< most rows of tiles that are computed together
    extent position;          ///< elements between the matrices of transformed inputs
    extent product;           ///< and of the products

    constexpr explicit winograd_plan(const convolution_geometry& g)
        : tiles_y((g.output_height + winograd_tile - 1) / winograd_tile),
          tiles_x((g.output_width + winograd_tile - 1) / winograd_tile),
          columns(tiles_x * winograd_tile + winograd_window - winograd_tile),
          channel_row((g.channels + lanes<T> - 1) / lanes<T> * lanes<T> + lanes<T>), rows(0), position(0), product(0) {
        constexpr extent most_tiles = 4 * tile_rows, most_elements = (1 << 19) / static_cast<extent>(sizeof(T));
        const extent tiles = std::min(most_tiles, most_elements / (winograd_positions * channel_row));
        rows = std::max<extent>(tiles / std::max<extent>(tiles_x, 1), 1);
        const extent padded = (rows * tiles_x + small_tile_rows - 1) / small_tile_rows * small_tile_rows;
        position = padded * channel_row;
        product = (padded + 1) * panel_width<T>;
    }
    /// Elements for the transformed inputs.
    constexpr extent inputs() const { return winograd_positions * position; }
    /// Elements that each thread needs besides: a strip of the image, or products and a strip of the result.
    constexpr extent part(const convolution_geometry& g) const {
        return std::max(winograd_window * columns * lanes<T>,
                        winograd_positions * product + winograd_tile * g.output_width * panel_width<T>);
    }
};

template <class T>
struct winograd_job {
    const convolution_geometry& g;
    const winograd_plan<T>& plan;
    const T* x;
    extent x_stride;
    const T* packed;
    const T* bias;
    T* y;
    extent y_stride;
    bool accumulate;
    const epilogue<T>* after;
};

/// The inputs of one row of tiles (counted over the examples), one batch of channels, transformed to `to`, the place of
/// its first tile and channel.
template <class T>
[[gnu::noinline]] void winograd_transform(const winograd_job<T>& job, extent row, extent group, T* strip,
                                          T* to) noexcept {
    const convolution_geometry& g = job.g;
    const winograd_plan<T>& plan = job.plan;
    const extent channels = std::min(g.channels - group * lanes<T>, lanes<T>), line = plan.columns * lanes<T>;
    const extent begin = std::max<extent>(g.pad_left, 0), skipped = begin - g.pad_left,
                 inside = std::clamp<extent>(plan.columns - begin, 0, std::max<extent>(g.width - skipped, 0));
    const T* x = job.x + row / plan.tiles_y * job.x_stride + group * lanes<T> * g.plane() + skipped;
    for (extent i = 0; i < winograd_window; ++i) {
        const extent y = row % plan.tiles_y * winograd_tile - g.pad_top + i;
        T* at = strip + i * line;
        if (y < 0 || y >= g.height || channels < lanes<T>) std::fill_n(at, line, T(0));
        if (y < 0 || y >= g.height) continue;
        std::fill_n(at, begin * lanes<T>, T(0));
        transpose(x + y * g.width, g.plane(), channels, inside, at + begin * lanes<T>, lanes<T>);
        std::fill(at + (begin + inside) * lanes<T>, at + line, T(0));
    }
    batch<T> d[6], v[6];
    for (extent column = 0; column < line; column += lanes<T>) {
        unroll<6>([&](auto i) __attribute__((always_inline)) {
            d[i] = load(strip + static_cast<extent>(i()) * line + column);
        });
        winograd_input<T>(d, v);
        unroll<6>([&](auto i) __attribute__((always_inline)) {
            store<T>(strip + static_cast<extent>(i()) * line + column, v[i]);
        });
    }
    for (extent tile = 0; tile < plan.tiles_x; ++tile, to += plan.channel_row)
        for (extent i = 0; i < winograd_window; ++i) {
            const T* from = strip + i * line + tile * winograd_tile * lanes<T>;
            unroll<6>([&](auto j) __attribute__((always_inline)) {
                d[j] = load(from + static_cast<extent>(j()) * lanes<T>);
            });
            winograd_input<T>(d, v);
            unroll<6>([&](auto j) __attribute__((always_inline)) {
                store<T>(to + (i * winograd_window + static_cast<extent>(j())) * plan.position, v[j]);
            });
        }
}

/// One tile and batch of output channels: from the products m to `to`, `rows` x `columns` pixels of whole panels.
template <class T>
[[gnu::noinline]] void winograd_back(const T* m, extent product, const batch<T>& bias, extent rows, extent columns,
                                     T* to, extent line) noexcept {
    batch<T> half[4][6], y[4];
    unroll<6>([&](auto j) __attribute__((always_inline)) {
        batch<T> column[6];
        unroll<6>([&](auto i) __attribute__((always_inline)) {
            column[i] = load(m + static_cast<extent>(i() * 6 + j()) * product);
        });
        winograd_output<T>(column, y);
        unroll<4>([&](auto i) __attribute__((always_inline)) { half[i][j] = y[i]; });
    });
    unroll<4>([&](auto i) __attribute__((always_inline)) {
        if (static_cast<extent>(i()) >= rows) return;
        winograd_output<T>(half[i], y);
        unroll<4>([&](auto j) __attribute__((always_inline)) {
            if (static_cast<extent>(j()) < columns)
                store<T>(to + static_cast<extent>(i()) * line + static_cast<extent>(j()) * panel_width<T>, y[j] + bias);
        });
    });
}

/// The outputs of one panel of channels in the rows of tiles [first, last), whose inputs stand transformed.
template <class T>
[[gnu::noinline]] void winograd_panel(const winograd_job<T>& job, extent first, extent last, extent panel,
                                      const T* inputs, T* products) noexcept {
    constexpr extent width = panel_width<T>;
    const convolution_geometry& g = job.g;
    const winograd_plan<T>& plan = job.plan;
    const extent columns = std::min(g.output_channels - panel * width, width), tiles = (last - first) * plan.tiles_x,
                 strips = (tiles + tile_rows - 1) / tile_rows, near = width / strips;
    T* strip = products + winograd_positions * plan.product;
    alignas(64) T start[width] = {};
    const T* b = job.packed + panel * winograd_positions * g.channels * width;
    for (extent position = 0; position < winograd_positions; ++position, b += g.channels * width)
        for (extent i = 0; i < tiles; i += tile_rows) {
            T* c = products + position * plan.product + i * width;
            multiply_strip<T>({g.channels, inputs + position * plan.position + i * plan.channel_row, plan.channel_row,
                               1, b, width, c, width, start, 0,
                               b + g.channels * (width + i / tile_rows * near), near, c + tile_rows * width, 0},
                              std::min(tiles - i, tile_rows), columns);
        }
    if (job.bias != nullptr) std::copy_n(job.bias + panel * width, columns, start);
    const T* m = products;
    for (extent row = first; row < last; ++row) {
        const extent top = row % plan.tiles_y * winograd_tile, lines = std::min(winograd_tile, g.output_height - top);
        for (extent tile = 0; tile < plan.tiles_x; ++tile, m += width) {
            const extent left = tile * winograd_tile;
            for (extent j = 0; j < columns; j += lanes<T>)
                winograd_back<T>(m + j, plan.product, load(start + j), lines, g.output_width - left,
                                 strip + left * width + j, g.output_width * width);
        }
        T* y = job.y + row / plan.tiles_y * job.y_stride + panel * width * g.pixels() + top * g.output_width;
        transpose(strip, width, lines * g.output_width, columns, y, g.pixels(), job.accumulate);
        if (job.after != nullptr) (*job.after)({y, columns, lines * g.output_width, g.pixels()});
    }
}

}  // namespace detail

/// Whether `winograd_forward` is for this kernel and faster than the direct sums: not for few channels, whose
/// transformations cost more than they save, nor for so many that the transformed weights, four times as large, do not
/// stay near. Of the geometry the channels, kernel sizes, strides, dilations and groups matter.
constexpr bool suits_winograd(const convolution_geometry& g) noexcept {
    return g.kernel_height == 3 && g.kernel_width == 3 && g.stride_y == 1 && g.stride_x == 1 && g.dilation_y == 1 &&
           g.dilation_x == 1 && g.groups == 1 && g.channels >= 16 && g.output_channels >= 16 &&
           g.channels * g.output_channels <= 1 << 17;
}

/// Elements that `winograd_pack` writes.
template <class T>
constexpr extent winograd_packed_size(const convolution_geometry& g) noexcept {
    return detail::winograd_positions * packed_size<T>(g.channels, g.output_channels);
}

/// The weights transformed, in the order in which `winograd_forward` reads them: [panel][position][channel][column].
/// Computed in double. `turned`: `weights` are [channels, output_channels, 3, 3] and their kernels are turned round.
template <class T>
[[gnu::noinline]] void winograd_pack(const convolution_geometry& g, const T* weights, T* packed,
                                     thread_pool* threads = nullptr, bool turned = false) noexcept {
    constexpr extent width = panel_width<T>, together = lanes<double>;
    const extent output_step = 9 * (turned ? 1 : g.channels), channel_step = 9 * (turned ? g.output_channels : 1);
    parallel_for(threads, (g.output_channels + width - 1) / width, 1, [&](extent first, extent last) {
        for (extent panel = first; panel < last; ++panel)
            for (extent c = 0; c < g.channels; ++c)
                for (extent o = 0; o < width; o += together) {
                    const extent count = std::min(g.output_channels - panel * width - o, together);
                    alignas(64) double w[9][lanes<double>] = {};
                    for (extent i = 0; i < count; ++i) {
                        const T* from = weights + (panel * width + o + i) * output_step + c * channel_step;
                        unroll<9>([&](auto tap) __attribute__((always_inline)) {
                            w[tap][i] = from[turned ? 8 - tap() : tap()];
                        });
                    }
                    T* to = packed + (panel * detail::winograd_positions * g.channels + c) * width + o;
                    batch<double> half[6][3], u[6];
                    unroll<3>([&](auto j) __attribute__((always_inline)) {
                        const batch<double> column[3] = {load(w[j]), load(w[3 + j]), load(w[6 + j])};
                        detail::winograd_weights<double>(column, u);
                        unroll<6>([&](auto i) __attribute__((always_inline)) { half[i][j] = u[i]; });
                    });
                    unroll<36>([&](auto p) __attribute__((always_inline)) {
                        if constexpr (p() % 6 == 0) detail::winograd_weights<double>(half[p() / 6], u);
                        alignas(64) double values[lanes<double>];
                        u[p() % 6].store_aligned(values);
                        T* row = to + static_cast<extent>(p()) * g.channels * width;
                        for (extent i = 0; i < together; ++i) row[i] = static_cast<T>(values[i]);
                    });
                }
    });
}

/// Elements of scratch that `winograd_forward` needs, for a pool of `threads` threads (1 for none).
template <class T>
constexpr extent winograd_scratch(const convolution_geometry& g, extent threads) noexcept {
    const detail::winograd_plan<T> plan(g);
    return threads * (plan.inputs() + plan.part(g));
}

/// As `convolution_forward`, for what `suits_winograd`; `packed` is what `winograd_pack` made of the weights, `scratch`
/// holds winograd_scratch<T>(g, threads of the pool) elements.
template <class T>
[[gnu::noinline]] void winograd_forward(const convolution_geometry& g, extent examples, const T* x, extent x_stride,
                                        const T* packed, const T* bias, T* y, extent y_stride, bool accumulate,
                                        T* scratch, thread_pool* threads = nullptr,
                                        const epilogue<T>* after = nullptr) noexcept {
    if (examples <= 0 || g.pixels() <= 0) return;
    if (detail::convolution_work(g, examples) < detail::threaded_work) threads = nullptr;
    const detail::winograd_plan<T> plan(g);
    const detail::winograd_job<T> job{g, plan, x, x_stride, packed, bias, y, y_stride, accumulate, after};
    const extent size = threads ? static_cast<extent>(threads->size()) : 1, rows = examples * plan.tiles_y;
    const extent groups = (g.channels + lanes<T> - 1) / lanes<T>,
                 panels = (g.output_channels + panel_width<T> - 1) / panel_width<T>;
    extent blocks = (rows + plan.rows - 1) / plan.rows;
    // Many blocks: each thread has its own. Few: the threads share the work in each.
    const bool apart = blocks >= size;
    if (apart) blocks = std::min((blocks + size - 1) / size * size, rows);
    T* parts = scratch + size * plan.inputs();
    const auto compute = [&](extent block, extent self, thread_pool* together) {
        const extent first = rows * block / blocks, last = rows * (block + 1) / blocks;
        T* inputs = scratch + self * plan.inputs();
        detail::split(together, (last - first) * groups, [&](extent part, extent begin, extent end) {
            for (extent item = begin; item < end; ++item)
                detail::winograd_transform(
                    job, first + item / groups, item % groups, parts + (self + part) * plan.part(g),
                    inputs + item / groups * plan.tiles_x * plan.channel_row + item % groups * lanes<T>);
        });
        detail::split(together, panels, [&](extent part, extent begin, extent end) {
            for (extent panel = begin; panel < end; ++panel)
                detail::winograd_panel(job, first, last, panel, inputs, parts + (self + part) * plan.part(g));
        });
    };
    detail::split(apart ? threads : nullptr, apart ? size : 1, [&](extent, extent begin, extent end) {
        for (extent self = begin; self < end; ++self)
            for (extent block = blocks * self / size; apart && block < blocks * (self + 1) / size; ++block)
                compute(block, self, nullptr);
        for (extent block = 0; !apart && block < blocks; ++block) compute(block, extent{0}, threads);
    });
}

}  // namespace bespoke::kernels

namespace bespoke::kernels {

// Order of arithmetic of a forward pass: each element is one chain of fma from its start (bias, or what is there)
// over channel, kernel row, kernel column, ascending. Taps in the padding take part as zeros. Threads split outputs
// only.
//
// That holds for the direct sums; 3 x 3 kernels may take another way, see winograd.hpp.
//
// How: a tile multiplies a few pixels with a panel of output channels. It reads the image through two tables of
// offsets, one of the pixels and one of the taps, so nothing is copied but images that need padding. What comes out
// has its channels last and is transposed into y, a block of pixels at a time. Where an output is the sum of few
// products the pixels are the columns instead, see convolution_rows.hpp.

namespace detail {

template <class T>
struct forward_job {
    const convolution_geometry& g;
    image_layout layout;
    const T* x;
    extent x_stride;
    const T* weights;  ///< packed, or as they are for narrow groups
    const T* bias;
    T* y;
    extent y_stride;
    bool accumulate;
    const epilogue<T>* after;
};

/// The images of one group, copied where the layout is not theirs.
template <class T>
const T* group_image(const convolution_geometry& g, const image_layout& layout, const T* x, extent group,
                     T* copy) noexcept {
    const T* from = x + group * g.group_channels() * g.plane();
    if (layout.direct) return from;
    copy_image(layout, g.group_channels(), g.height, g.width, from, copy);
    return copy;
}

/// Items are (example, group, block of pixels, panel of output channels).
template <class T>
[[gnu::noinline]] void forward_items(const forward_job<T>& job, extent first, extent last, T* image_space,
                                     T* sums) noexcept {
    constexpr extent width = panel_width<T>;
    const convolution_geometry& g = job.g;
    const extent size = g.group_channels() * g.taps(), outputs = g.group_outputs();
    const extent blocks = (g.pixels() + table_size - 1) / table_size, panels = (outputs + width - 1) / width;
    extent pixels[table_size], sums_rows[table_size], taps[k_block<T>];
    alignas(64) T start[width];
    multiples(width, table_size, sums_rows);
    const T* image = nullptr;
    extent held_image = -1, held_block = -1, held_taps = -1;
    for (extent item = first; item < last; ++item) {
        const extent panel = item % panels, block = item / panels % blocks, where = item / panels / blocks;
        const extent example = where / g.groups, group = where % g.groups,
                     channel = group * outputs + panel * width;
        const extent columns = std::min(outputs - panel * width, width);
        const extent pixel = block * table_size, count = std::min(g.pixels() - pixel, table_size);
        if (std::exchange(held_image, where) != where)
            image = group_image(g, job.layout, job.x + example * job.x_stride, group, image_space);
        if (std::exchange(held_block, block) != block)
            grid_offsets(g.output_width, g.stride_y * job.layout.row_stride(), g.stride_x, pixel, count,
                         pixels);
        T* y = job.y + example * job.y_stride + channel * g.pixels() + pixel;
        if (job.accumulate)
            transpose(y, g.pixels(), columns, count, sums, width);
        else {
            std::fill_n(start, width, T(0));
            if (job.bias != nullptr) std::copy_n(job.bias + channel, columns, start);
        }
        for (extent k = 0; k == 0 || k < size; k += k_block<T>) {
            const extent steps = std::min(size - k, k_block<T>);
            if (std::exchange(held_taps, k) != k) tap_offsets(g, job.layout, k, steps, taps);
            multiply_panel<T>(
                {steps, image, taps, job.weights + (group * panels + panel) * width * size + k * width, sums,
                 job.accumulate || k > 0 ? nullptr : start},
                count, pixels, sums_rows, columns);
        }
        transpose(sums, width, count, columns, y, g.pixels());
        if (job.after != nullptr) (*job.after)({y, columns, count, g.pixels()});
    }
}

/// Items are (example, group, block of output rows), for narrow groups and what `suits_rows`.
template <class T>
[[gnu::noinline]] void row_items(const forward_job<T>& job, extent first, extent last, T* image_space) noexcept {
    const convolution_geometry& g = job.g;
    const extent blocks = (g.output_height + narrow_rows - 1) / narrow_rows, outputs = g.group_outputs();
    const T* image = nullptr;
    extent held_image = -1;
    for (extent item = first; item < last; ++item) {
        const extent block = item % blocks, where = item / blocks, example = where / g.groups,
                     group = where % g.groups, row = block * narrow_rows,
                     last_row = std::min(row + narrow_rows, g.output_height);
        if (std::exchange(held_image, where) != where)
            image = group_image(g, job.layout, job.x + example * job.x_stride, group, image_space);
        T* y = job.y + example * job.y_stride + group * outputs * g.pixels();
        const extent size = g.group_channels() * g.taps();
        const T* bias = job.bias != nullptr ? job.bias + group * outputs : nullptr;
        if (is_narrow<T>(outputs))
            narrow_forward(g, job.layout, image, job.weights + group * outputs * size, bias, job.accumulate, row,
                           last_row, y);
        else
            rows_forward(g, job.layout, image, job.weights + group * packed_size<T>(size, outputs), bias, row,
                         last_row, y);
        if (job.after != nullptr)
            (*job.after)({y + row * g.output_width, outputs, (last_row - row) * g.output_width, g.pixels()});
    }
}

/// The elements of scratch that each thread has for itself.
template <class T>
constexpr extent forward_part(const convolution_geometry& g) {
    if (suits_depthwise(g)) return 0;
    if (suits_pointwise<T>(g)) return pointwise_part<T>(g);
    const auto image = [&](bool by_rows) { return image_size(make_layout(g, by_rows), g.group_channels()); };
    if (is_narrow<T>(g.group_outputs())) return image(true);
    return std::max(packed_size<T>(1, image(false)) + table_size * panel_width<T>, suits_rows<T>(g) ? image(true) : 0);
}
template <class T>
constexpr bool uses_winograd(const convolution_geometry& g) {
    return std::is_same_v<T, float> && g.winograd && suits_winograd(g);
}

}  // namespace detail

/// Elements that `convolution_pack` writes.
template <class T>
constexpr extent convolution_packed_size(const convolution_geometry& g) noexcept {
    if (detail::uses_winograd<T>(g)) return winograd_packed_size<T>(g);
    if (detail::is_narrow<T>(g.group_outputs())) return 0;
    return g.groups * packed_size<T>(g.group_channels() * g.taps(), g.group_outputs());
}

/// The weights in the order in which `convolution_forward` reads them. Of the geometry the channels, kernel sizes and
/// groups matter, and with `winograd` strides and dilations.
template <class T>
[[gnu::noinline]] void convolution_pack(const convolution_geometry& g, const T* weights, T* packed,
                                        thread_pool* threads = nullptr) noexcept {
    if constexpr (std::is_same_v<T, float>)
        if (detail::uses_winograd<T>(g)) return winograd_pack(g, weights, packed, threads);
    const extent outputs = g.group_outputs(), size = g.group_channels() * g.taps();
    if (detail::is_narrow<T>(outputs)) return;
    for (extent group = 0; group < g.groups; ++group)
        pack(weights + group * outputs * size, extent{1}, size, size, outputs,
             packed + group * packed_size<T>(size, outputs), threads);
}

/// Elements of scratch that `convolution_forward` needs, for a pool of `threads` threads (1 for none).
template <class T>
constexpr extent convolution_forward_scratch(const convolution_geometry& g, extent threads) noexcept {
    if (std::min({g.channels, g.output_channels, g.pixels()}) <= 0) return 0;
    return convolution_packed_size<T>(g) + (detail::suits_pointwise<T>(g) ? detail::pointwise_copy(g) : 0) +
           (detail::uses_winograd<T>(g) ? winograd_scratch<T>(g, threads) : threads * detail::forward_part<T>(g));
}

/// y = conv(x) + bias, or y += conv(x) where `accumulate` (then `bias` is null); `bias` may be null.
///
/// `x_stride` and `y_stride` are the elements between examples. `scratch` holds
/// convolution_forward_scratch<T>(g, threads of the pool) elements. `packed` is what `convolution_pack` made of the
/// weights; null: it is made here. `after` is run on each block of y; its rows are channels, its columns pixels that
/// follow each other.
template <class T>
[[gnu::noinline]] void convolution_forward(const convolution_geometry& g, extent examples, const T* x,
                                           extent x_stride, const T* weights, const T* bias, T* y,
                                           extent y_stride, bool accumulate, T* scratch,
                                           thread_pool* threads = nullptr,
                                           const T* packed = nullptr,
                                           const epilogue<T>* after = nullptr) noexcept {
    if (examples <= 0 || g.pixels() <= 0 || g.output_channels <= 0) return;
    if (detail::convolution_work(g, examples) < detail::threaded_work) threads = nullptr;
    T* parts = scratch + convolution_packed_size<T>(g);
    if constexpr (std::is_same_v<T, float>)
        if (detail::uses_winograd<T>(g)) {
            if (packed == nullptr) winograd_pack(g, weights, scratch, threads);
            return winograd_forward(g, examples, x, x_stride, packed != nullptr ? packed : scratch, bias, y, y_stride,
                                    accumulate, parts, threads, after);
        }
    if (detail::suits_depthwise(g))
        return parallel_for(threads, examples * g.channels, 1, [&](extent first, extent last) {
            detail::depthwise_forward(g, first, last, x, x_stride, weights, bias, y, y_stride, accumulate, after);
        });
    const extent outputs = g.group_outputs();
    const bool narrow = detail::is_narrow<T>(outputs), by_rows = narrow || (detail::suits_rows<T>(g) && !accumulate);
    const auto layout = detail::make_layout(g, by_rows);
    detail::forward_job<T> job{g, layout, x, x_stride, weights, bias, y, y_stride, accumulate, after};
    extent items = examples * g.groups;
    if (by_rows)
        items *= (g.output_height + detail::narrow_rows - 1) / detail::narrow_rows;
    else
        items *= (outputs + panel_width<T> - 1) / panel_width<T> *
                 ((g.pixels() + detail::table_size - 1) / detail::table_size);
    if (!narrow) {
        if (packed == nullptr) convolution_pack(g, weights, scratch, threads);
        job.weights = packed != nullptr ? packed : scratch;
    }
    if (detail::suits_pointwise<T>(g))
        return detail::pointwise_forward<T>({g, x, x_stride, job.weights, bias, y, y_stride, accumulate, after},
                                            examples, parts, threads);
    detail::split(threads, items, [&](extent part, extent first, extent last) {
        T* space = parts + part * detail::forward_part<T>(g);
        if (by_rows)
            detail::row_items(job, first, last, space);
        else
            detail::forward_items(job, first, last, space + detail::table_size * panel_width<T>, space);
    });
}

}  // namespace bespoke::kernels

namespace bespoke::kernels {

// Order of arithmetic of the backward passes, threads split outputs only:
//   input    each element of dx gets one chain of fma from 0 over kernel row, kernel column, output channel,
//            ascending, of the taps that lie on an output; then it is added to what is there;
//            In depthwise convolutions of stride 1 (`flips_depthwise`) the chain begins with what is there and runs
//            over kernel row and column descending; taps beside the outputs take part as zeros.
//            3 x 3 kernels of stride 1 may take the way of winograd.hpp, what it gives is added to what is there;
//   weights  one chain of fma from what is there over example, output row, output column, ascending; in narrow groups
//            `lanes` chains for each example, see `narrow_weights`.
//
// How: dx of some rows of the image is summed up with its channels last. For each tap, tiles of pixels of dy times a
// panel of the weights are added where the tap puts them. dW is a product as well, of rows of taps that read the image
// through two tables of offsets, and panels of dy transposed.

namespace detail {

/// Rows of the image whose gradient is summed up together: such that the sums stay near.
inline extent backward_rows(const convolution_geometry& g) noexcept {
    return std::clamp<extent>(512 / g.covered_columns(), 1, g.height);
}

/// Whether dx is a depthwise convolution of dy with the kernel turned round.
constexpr bool flips_depthwise(const convolution_geometry& g) noexcept {
    return suits_depthwise(g) && g.stride_x == 1;
}
/// The convolution of dy, with the kernel turned round, that gives dx; of one with stride and dilation 1.
constexpr convolution_geometry turned_round(convolution_geometry g) noexcept {
    std::swap(g.channels, g.output_channels);
    std::swap(g.height, g.output_height);
    std::swap(g.width, g.output_width);
    g.pad_top = g.kernel_height - 1 - g.pad_top;
    g.pad_left = g.kernel_width - 1 - g.pad_left;
    return g;
}
template <class T>
constexpr bool turns_winograd(const convolution_geometry& g) noexcept {
    return uses_winograd<T>(turned_round(g));
}

template <class T>
struct backward_input_job {
    const convolution_geometry& g;
    const T* dy;
    extent dy_stride;
    const T* weights;
    T* dx;
    extent dx_stride;
};

/// The weights as [group][tap][panel of channels][output channel][channel], for output channels [first, last) of all
/// groups together.
template <class T>
[[gnu::noinline]] void pack_backward_weights(const convolution_geometry& g, const T* weights, extent first,
                                             extent last, T* to) noexcept {
    constexpr extent width = panel_width<T>;
    const extent channels = g.group_channels(), outputs = g.group_outputs(), taps = g.taps();
    const extent panels = (channels + width - 1) / width, tap_size = packed_size<T>(outputs, channels);
    for (extent channel = first; channel < last; ++channel)
        for (extent panel = 0; panel < panels; ++panel) {
            const extent columns = std::min(channels - panel * width, width);
            T* row = to + channel / outputs * taps * tap_size + (panel * outputs + channel % outputs) * width;
            transpose(weights + (channel * channels + panel * width) * taps, taps, columns, taps, row,
                      tap_size);
            for (extent tap = 0; tap < taps && columns < width; ++tap)
                std::fill_n(row + tap * tap_size + columns, width - columns, T(0));
        }
}

/// dx of some channels: dx[c, q] += sums[q, c] in the rows [first, last).
template <class T>
void add_sums(const convolution_geometry& g, const T* sums, extent channels, extent first, extent last,
              T* dx) noexcept {
    const extent row_size = g.covered_columns(), begin = std::max<extent>(0, -g.pad_left);
    const extent columns = std::min(g.width, row_size - g.pad_left) - begin;
    const bool whole = columns == g.width && row_size == g.width;  // then all rows are one
    for (extent row = first; row < last; row = whole ? last : row + 1)
        transpose(sums + ((row - first) * row_size + g.pad_left + begin) * panel_width<T>, panel_width<T>,
                  whole ? (last - first) * g.width : columns, channels, dx + row * g.width + begin, g.plane(),
                  true);
}

/// Items are (example, group, block of image rows, panel of channels).
template <class T>
[[gnu::noinline]] void backward_input_items(const backward_input_job<T>& job, extent first, extent last,
                                            T* sums) noexcept {
    constexpr extent width = panel_width<T>;
    const convolution_geometry& g = job.g;
    const extent channels = g.group_channels(), outputs = g.group_outputs(), height = backward_rows(g);
    const extent blocks = (g.height + height - 1) / height, panels = (channels + width - 1) / width;
    const extent tap_size = packed_size<T>(outputs, channels), row_size = g.covered_columns();
    extent dy_rows[table_size], sums_rows[table_size], steps[k_block<T>];
    multiples(1, table_size, dy_rows);
    multiples(g.pixels(), std::min(outputs, k_block<T>), steps);
    extent held = -1;
    for (extent item = first; item < last; ++item) {
        const extent panel = item % panels, block = item / panels % blocks, where = item / panels / blocks;
        const extent example = where / g.groups, group = where % g.groups;
        const extent top = block * height, bottom = std::min(top + height, g.height);
        const extent columns = std::min(channels - panel * width, width);
        std::fill_n(sums, (bottom - top) * row_size * width, T(0));
        for (extent tap = 0; tap < g.taps(); ++tap) {
            const row_range rows = rows_of_tap(g, tap / g.kernel_width, top, bottom);
            if (rows.first >= rows.last) continue;
            const extent pixels = (rows.last - rows.first) * g.output_width;
            const T* dy =
                job.dy + example * job.dy_stride + group * outputs * g.pixels() + rows.first * g.output_width;
            T* to = sums +
                    ((rows.image_row(g, rows.first) - top) * row_size + tap % g.kernel_width * g.dilation_x) *
                        width;
            const T* weights = job.weights + (group * g.taps() + tap) * tap_size + panel * width * outputs;
            for (extent q = 0; q < pixels; q += table_size) {
                if (std::exchange(held, q) != q)
                    grid_offsets(g.output_width, g.stride_y * row_size * width, g.stride_x * width, q,
                                 table_size, sums_rows);
                for (extent k = 0; k < outputs; k += k_block<T>)
                    multiply_panel<T>({std::min(outputs - k, k_block<T>), dy + q + k * g.pixels(), steps,
                                       weights + k * width, to, nullptr},
                                      std::min(pixels - q, table_size), dy_rows, sums_rows, columns);
            }
        }
        add_sums(g, sums, columns, top, bottom,
                 job.dx + example * job.dx_stride + (group * channels + panel * width) * g.plane());
    }
}

/// Items are (example, group, block of image rows).
template <class T>
[[gnu::noinline]] void narrow_backward_input_items(const backward_input_job<T>& job, extent first,
                                                   extent last, T* sums) noexcept {
    const convolution_geometry& g = job.g;
    const extent height = backward_rows(g), blocks = (g.height + height - 1) / height;
    const image_layout layout = make_layout(g, true);
    for (extent item = first; item < last; ++item) {
        const extent top = item % blocks * height, where = item / blocks;
        const extent example = where / g.groups, group = where % g.groups, channels = g.group_channels(),
                     outputs = g.group_outputs();
        narrow_backward_input(g, layout, job.dy + example * job.dy_stride + group * outputs * g.pixels(),
                              job.weights + group * outputs * channels * g.taps(), top,
                              std::min(top + height, g.height), sums,
                              job.dx + example * job.dx_stride + group * channels * g.plane());
    }
}

/// The elements of scratch that each thread has for itself.
template <class T>
extent backward_input_part(const convolution_geometry& g) noexcept {
    // A row of a layout is up to a stride longer than what is covered.
    if (is_narrow<T>(g.group_channels()))
        return backward_rows(g) * (g.covered_columns() + g.width + g.stride_x);
    return backward_rows(g) * g.covered_columns() * panel_width<T>;
}
template <class T>
struct backward_weights_job {
    const convolution_geometry& g;
    image_layout layout;
    extent examples;
    const T* x;
    extent x_stride;
    const T* dy;
    extent dy_stride;
    T* dweights;
};

/// Rows of dW transposed, taps of all channels, that are computed together.
inline constexpr extent tap_rows = small_tile_rows;

/// Items are (group, panel of output channels, block of `tap_rows` taps). `sums` holds dW transposed of one panel.
template <class T>
[[gnu::noinline]] void backward_weights_items(const backward_weights_job<T>& job, extent first, extent last,
                                              T* space) noexcept {
    constexpr extent width = panel_width<T>;
    const convolution_geometry& g = job.g;
    const extent size = g.group_channels() * g.taps(), outputs = g.group_outputs();
    const extent blocks = (size + tap_rows - 1) / tap_rows, panels = (outputs + width - 1) / width;
    T *packed = space, *sums = packed + k_block<T> * width, *image_space = sums + size * width;
    extent pixels[k_block<T>], taps[table_size], sums_rows[table_size];
    multiples(width, table_size, sums_rows);
    extent held = -1;
    for (extent item = first; item < last;) {
        // All items of one panel together.
        const extent where = item / blocks, group = where / panels, panel = where % panels;
        const extent begin = item % blocks * tap_rows, next = std::min(last, (where + 1) * blocks);
        const extent end = std::min((next - where * blocks) * tap_rows, size);
        const extent columns = std::min(outputs - panel * width, width),
                     channel = group * outputs + panel * width;
        T* target = job.dweights + channel * size + begin;
        std::fill_n(sums, (end - begin) * width, T(0));
        transpose(target, size, columns, end - begin, sums, width);
        for (extent e = 0; e < job.examples; ++e) {
            const T* image = group_image(g, job.layout, job.x + e * job.x_stride, group, image_space);
            for (extent q = 0; q < g.pixels(); q += k_block<T>) {
                const extent steps = std::min(g.pixels() - q, k_block<T>);
                if (std::exchange(held, q) != q)
                    grid_offsets(g.output_width, g.stride_y * job.layout.row_stride(), g.stride_x, q, steps,
                                 pixels);
                pack(job.dy + e * job.dy_stride + channel * g.pixels() + q, extent{1}, g.pixels(), steps,
                     columns, packed);
                for (extent k = begin; k < end; k += table_size) {
                    const extent rows = std::min(end - k, table_size);
                    tap_offsets(g, job.layout, k, rows, taps);
                    multiply_panel<T>({steps, image, pixels, packed, sums + (k - begin) * width, nullptr},
                                      rows, taps, sums_rows, columns);
                }
            }
        }
        transpose(sums, width, end - begin, columns, target, size);
        item = next;
    }
}

/// Items are (group, channel of the group).
template <class T>
[[gnu::noinline]] void narrow_weights_items(const backward_weights_job<T>& job, extent first, extent last,
                                            T* space) noexcept {
    const convolution_geometry& g = job.g;
    for (extent e = 0; e < job.examples; ++e)
        for (extent item = first; item < last; ++item) {
            const extent group = item / g.group_channels();
            const T* image = job.x + e * job.x_stride + item * g.plane();
            if (!job.layout.direct) {
                copy_image(job.layout, extent{1}, g.height, g.width, image, space);
                image = space;
            }
            narrow_weights(
                g, job.layout, image, job.dy + e * job.dy_stride + group * g.group_outputs() * g.pixels(),
                job.dweights +
                    (group * g.group_outputs() * g.group_channels() + item % g.group_channels()) * g.taps());
        }
}

template <class T>
constexpr extent backward_weights_part(const convolution_geometry& g) {
    const bool narrow = is_narrow<T>(g.group_outputs());
    const image_layout layout = make_layout(g, narrow);
    if (narrow) return image_size(layout, 1);
    return (k_block<T> + g.group_channels() * g.taps()) * panel_width<T> +
           packed_size<T>(1, image_size(layout, g.group_channels()));
}

}  // namespace detail

/// Elements that `convolution_backward_pack` writes.
template <class T>
constexpr extent convolution_backward_packed_size(const convolution_geometry& g) noexcept {
    if (detail::turns_winograd<T>(g)) return winograd_packed_size<T>(detail::turned_round(g));
    if (detail::is_narrow<T>(g.group_channels())) return 0;
    return g.groups * g.taps() * packed_size<T>(g.group_outputs(), g.group_channels());
}

/// The weights in the order in which `convolution_backward_input` reads them. Of the geometry the channels, kernel
/// sizes and groups matter, and with `winograd` strides and dilations.
template <class T>
[[gnu::noinline]] void convolution_backward_pack(const convolution_geometry& g, const T* weights, T* packed,
                                                 thread_pool* threads = nullptr) noexcept {
    if constexpr (std::is_same_v<T, float>)
        if (detail::turns_winograd<T>(g))
            return winograd_pack(detail::turned_round(g), weights, packed, threads, true);
    if (detail::is_narrow<T>(g.group_channels())) return;
    if (g.channels * g.group_outputs() * g.taps() < detail::threaded_elements) threads = nullptr;
    parallel_for(threads, g.output_channels, 1, [&](extent first, extent last) {
        detail::pack_backward_weights(g, weights, first, last, packed);
    });
}

/// Elements of scratch that the backward passes need, for a pool of `threads` threads (1 for none).
template <class T>
extent convolution_backward_scratch(const convolution_geometry& g, extent threads) noexcept {
    if (std::min({g.channels, g.output_channels, g.pixels(), g.plane()}) <= 0) return 0;
    const extent input = detail::turns_winograd<T>(g) ? winograd_scratch<T>(detail::turned_round(g), threads)
                                                      : threads * detail::backward_input_part<T>(g);
    return std::max(convolution_backward_packed_size<T>(g) + input,
                    threads * detail::backward_weights_part<T>(g));
}

/// Elements of scratch for all three passes.
template <class T>
extent convolution_scratch(const convolution_geometry& g, extent threads) noexcept {
    return std::max(convolution_forward_scratch<T>(g, threads), convolution_backward_scratch<T>(g, threads));
}

/// dx += the gradient with respect to x, given dy. Also the forward pass of a deconvolution, whose input is dy.
/// `scratch` holds convolution_backward_scratch<T>(g, threads of the pool) elements. `packed` is what
/// `convolution_backward_pack` made of the weights; null: it is made here.
template <class T>
[[gnu::noinline]] void convolution_backward_input(const convolution_geometry& g, extent examples, const T* dy,
                                                  extent dy_stride, const T* weights, T* dx, extent dx_stride,
                                                  T* scratch, thread_pool* threads = nullptr,
                                                  const T* packed = nullptr) noexcept {
    if (examples <= 0 || std::min({g.channels, g.output_channels, g.pixels(), g.plane()}) <= 0) return;
    if (detail::convolution_work(g, examples) < detail::threaded_work) threads = nullptr;
    if (detail::flips_depthwise(g)) {
        const convolution_geometry flipped = detail::turned_round(g);
        return parallel_for(threads, examples * g.channels, 1, [&](extent first, extent last) {
            detail::depthwise_forward<T>(flipped, first, last, dy, dy_stride, weights, nullptr, dx, dx_stride, true,
                                         nullptr, true);
        });
    }
    if (packed == nullptr) convolution_backward_pack(g, weights, scratch, threads);
    T* parts = scratch + convolution_backward_packed_size<T>(g);
    if constexpr (std::is_same_v<T, float>)
        if (detail::turns_winograd<T>(g))
            return winograd_forward<T>(detail::turned_round(g), examples, dy, dy_stride,
                                       packed != nullptr ? packed : scratch, nullptr, dx, dx_stride, true, parts,
                                       threads);
    const bool narrow = detail::is_narrow<T>(g.group_channels());
    const extent height = detail::backward_rows(g);
    const extent items = examples * g.groups * ((g.height + height - 1) / height) *
                         (narrow ? 1 : (g.group_channels() + panel_width<T> - 1) / panel_width<T>);
    const detail::backward_input_job<T> job{
        g, dy, dy_stride, narrow ? weights : packed != nullptr ? packed : scratch, dx, dx_stride};
    detail::split(threads, items, [&](extent part, extent first, extent last) {
        T* space = parts + part * detail::backward_input_part<T>(g);
        (narrow ? detail::narrow_backward_input_items<T> : detail::backward_input_items<T>)(job, first, last,
                                                                                            space);
    });
}

/// dweights += the gradient with respect to the weights, given x and dy, summed over the examples.
/// `scratch` as in `convolution_backward_input`.
template <class T>
[[gnu::noinline]] void convolution_backward_weights(const convolution_geometry& g, extent examples,
                                                    const T* x, extent x_stride, const T* dy,
                                                    extent dy_stride, T* dweights, T* scratch,
                                                    thread_pool* threads = nullptr) noexcept {
    if (examples <= 0 || std::min({g.channels, g.output_channels, g.pixels(), g.plane()}) <= 0) return;
    if (detail::convolution_work(g, examples) < detail::threaded_work) threads = nullptr;
    const bool narrow = detail::is_narrow<T>(g.group_outputs());
    const extent taps = g.group_channels() * g.taps();
    const extent items = narrow ? g.channels
                                : g.groups * ((taps + detail::tap_rows - 1) / detail::tap_rows) *
                                      ((g.group_outputs() + panel_width<T> - 1) / panel_width<T>);
    const detail::backward_weights_job<T> job{
        g, detail::make_layout(g, narrow), examples, x, x_stride, dy, dy_stride, dweights};
    detail::split(threads, items, [&](extent part, extent first, extent last) {
        T* space = scratch + part * detail::backward_weights_part<T>(g);
        (narrow ? detail::narrow_weights_items<T> : detail::backward_weights_items<T>)(job, first, last,
                                                                                       space);
    });
}

/// dbias[c] += sum of dy [examples, channels, inner] over examples and the inner axis: for each channel and
/// example `lanes` chains, then the lanes as in `sum_lanes`, examples ascending.
template <class T>
void channel_sums(extent examples, extent channels, extent inner, const T* dy, extent dy_stride, T* dbias,
                  thread_pool* threads = nullptr) noexcept {
    if (examples * channels * inner < detail::threaded_elements) threads = nullptr;
    parallel_for(threads, channels, 1, [&](extent first, extent last) {
        for (extent c = first; c < last; ++c)
            for (extent e = 0; e < examples; ++e) dbias[c] += sum(inner, dy + e * dy_stride + c * inner);
    });
}

}  // namespace bespoke::kernels


#include <algorithm>
#include <array>
#include <optional>
#include <tuple>
#include <variant>

/// How windows (of a convolution, a deconvolution or a pooling) lie on an image that is padded.
/// Core ML specification, ValidPadding, SamePadding, BorderAmounts.
namespace bespoke {

/// Which edge takes the odd one of an odd number of padded rows or columns.
enum class same_padding_mode { bottom_right_heavy, top_left_heavy };
constexpr std::array<std::string_view, 2> enumerators(same_padding_mode) {
    return {"BOTTOM_RIGHT_HEAVY", "TOP_LEFT_HEAVY"};
}

/// Rows (columns) added above and below (to the left and to the right).
struct edge_sizes {
    extent start_edge_size = 0, end_edge_size = 0;

    static constexpr auto fields = std::tuple{field{"startEdgeSize", &edge_sizes::start_edge_size},
                                              field{"endEdgeSize", &edge_sizes::end_edge_size}};
    friend bool operator==(const edge_sizes&, const edge_sizes&) = default;
};

/// Edges in the order [H, W].
struct border_amounts {
    std::array<edge_sizes, 2> edges{};

    static constexpr auto fields = std::tuple{field{"borderAmounts", &border_amounts::edges}};
    friend bool operator==(const border_amounts&, const border_amounts&) = default;
};

/// Windows lie wholly inside the image that `padding_amounts` (none unless said) have made larger; a rest at
/// the end that takes no window is left out. A deconvolution crops its result by the same amounts.
struct valid_padding {
    border_amounts padding_amounts{};

    static constexpr auto key = "valid";
    static constexpr auto fields = std::tuple{field{"paddingAmounts", &valid_padding::padding_amounts}};
    friend bool operator==(const valid_padding&, const valid_padding&) = default;
};
inline constexpr valid_padding valid{};

/// `valid` after rows and columns were added: `.padding = padded(1, 1, 2, 2)`.
constexpr valid_padding padded(extent top, extent bottom, extent left, extent right) {
    valid_padding padding;
    padding.padding_amounts.edges = {edge_sizes{top, bottom}, edge_sizes{left, right}};
    return padding;
}

/// Windows: extent / stride, rounded up. A deconvolution gives extent times stride.
struct same_padding {
    same_padding_mode asymmetry_mode = same_padding_mode::bottom_right_heavy;

    static constexpr auto key = "same";
    static constexpr auto fields = std::tuple{field{"asymmetryMode", &same_padding::asymmetry_mode}};
    friend bool operator==(const same_padding&, const same_padding&) = default;
};
inline constexpr same_padding same{};

/// The alternative A of `choice`, if it is that one. A copy, since g++'s UBSan takes no comparison of a pointer with
/// null for a constant expression.
template <class A, class... All>
constexpr std::optional<A> alternative(const std::variant<All...>& choice) {
    if (std::holds_alternative<A>(choice)) return std::get<A>(choice);
    return std::nullopt;
}

// --- arithmetic of windows ----------------------------------------------------------------------------

/// Kernels, strides, dilations and paddings go up to here: their products then fit an `extent`.
inline constexpr extent largest_window = (extent{1} << 31) - 1;
/// No image has more elements, padding included: a size gone wrong.
inline constexpr extent largest_image = extent{1} << 40;

/// Windows along one axis: `outputs` of them, number i covering [0, kernel) + i * stride - before.
struct window_axis {
    extent outputs = 0, before = 0;
};

/// The fault of a pair [H, W] that is not in [least, largest_window].
constexpr std::optional<fault> check_window(std::string_view name, const std::array<extent, 2>& pair,
                                            extent least) {
    if (std::min(pair[0], pair[1]) >= least && std::max(pair[0], pair[1]) <= largest_window) return {};
    return value_fault(name, " from ", least, " to ", largest_window, " wanted, ", shape{pair[0], pair[1]},
                       " given");
}
constexpr std::optional<fault> check_padding(const valid_padding& padding) {
    for (const edge_sizes& e : padding.padding_amounts.edges)
        if (const auto wrong = check_window("paddingAmounts", {e.start_edge_size, e.end_edge_size}, 0))
            return wrong;
    return {};
}
constexpr std::optional<fault> check_padding(const same_padding&) { return {}; }

/// How much of `total` lies at the start.
constexpr extent padding_before(extent total, same_padding_mode mode) {
    return mode == same_padding_mode::top_left_heavy ? total - total / 2 : total / 2;
}

/// outputs = floor((size + start + end - kernel) / stride) + 1, or 0 where no window fits.
constexpr window_axis valid_windows(extent size, const edge_sizes& edges, extent kernel, extent stride) {
    const extent room = size + edges.start_edge_size + edges.end_edge_size - kernel;
    return {room < 0 ? 0 : room / stride + 1, edges.start_edge_size};
}

/// outputs = ceil(size / stride), over max(0, (outputs - 1) stride + kernel - size) padded elements.
constexpr window_axis same_windows(extent size, same_padding_mode mode, extent kernel, extent stride) {
    const extent outputs = size / stride + (size % stride != 0);
    return {outputs, padding_before(std::max<extent>(0, (outputs - 1) * stride + kernel - size), mode)};
}

}  // namespace bespoke

#include <variant>

namespace bespoke {

/// Two-dimensional convolution (a correlation, as everywhere in this field) or deconvolution.
///
/// Convolution: y[o, i, j] = bias[o] + sum over c, u, v of
///     weights[o, c, u, v] x[c, i stride + u dilation - top, j stride + v dilation - left], x zero outside.
/// Deconvolution: the transposed map, plus bias: x[c, i, j] weights[c, o, u, v] is added to
///     y[o, i stride + u - top, j stride + v - left] where that lies inside; dilation_factor is ignored.
/// With groups, each n_groups-th of the output channels sees the same part of the input channels only.
///
/// x [.., C, H, W], leading axes are rows -> y [.., output_channels, H', W']
/// weights [output_channels, C / n_groups, kernel height, kernel width],
///     of a deconvolution [C, output_channels / n_groups, kernel height, kernel width]
/// bias [output_channels]
/// A second input, if there is one, is the weights of a convolution; then only the bias is a parameter.
///
/// H' of a convolution as in padding.hpp, with kernel = (kernel_size - 1) dilation + 1.
/// H' of a deconvolution: (H - 1) stride + kernel - start - end with valid padding, H stride with `same`,
/// output_size where that is given (the padding is ignored then). What it crops for `same` and output_size is
/// split as `same` splits padding; what lies behind the last window is the bias.
///
/// Core ML specification, ConvolutionLayerParams (output_size is its outputShape).
struct convolution {
    extent output_channels = unset;
    extent kernel_channels = unset;  ///< extent 1 of the weights; of a deconvolution extent 0
    extent n_groups = 1;             ///< 0 means 1
    std::array<extent, 2> kernel_size{3, 3};
    std::array<extent, 2> stride{1, 1};
    std::array<extent, 2> dilation_factor{1, 1};
    std::variant<valid_padding, same_padding> padding{};
    bool is_deconvolution = false;
    bool has_bias = true;
    shape output_size{};  ///< [H', W'] of a deconvolution; empty: from the padding

    static constexpr auto key = "convolution";
    static constexpr auto fields =
        std::tuple{field{"outputChannels", &convolution::output_channels},
                   field{"kernelChannels", &convolution::kernel_channels},
                   field{"nGroups", &convolution::n_groups},
                   field{"kernelSize", &convolution::kernel_size},
                   field{"stride", &convolution::stride},
                   field{"dilationFactor", &convolution::dilation_factor},
                   oneof<convolution, std::variant<valid_padding, same_padding>>{&convolution::padding},
                   field{"isDeconvolution", &convolution::is_deconvolution},
                   field{"hasBias", &convolution::has_bias},
                   field{"outputShape", &convolution::output_size}};
    static constexpr input_count inputs{1, 2};
    static constexpr bool batched = true;
    static constexpr bool runs_epilogue = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    template <class T>
    using parameters = weights_and_bias<T>;
    template <class T>
    static constexpr auto parameter_fields = weights_and_bias<T>::fields;

    constexpr outcome output_shape(std::span<const shape> xs) const {
        const shape& x = xs[0];
        if (x.rank() < 3)
            return shape_fault("an input [.., channels, height, width] wanted, its shape is ", x);
        if (checked_size(x, largest_image) < 1)
            return shape_fault("an input that is not empty wanted, its shape is ", x);
        if (output_channels < 1)
            return value_fault("outputChannels from 1 up wanted, ", output_channels, " given");
        if (n_groups < 0) return value_fault("nGroups from 0 up wanted, ", n_groups, " given");
        if (const auto wrong = check_window("kernelSize", kernel_size, 1)) return *wrong;
        if (const auto wrong = check_window("stride", stride, 1)) return *wrong;
        if (!is_deconvolution)
            if (const auto wrong = check_window("dilationFactor", dilation_factor, 1)) return *wrong;
        if (const auto valid_edges = alternative<valid_padding>(padding))
            if (const auto wrong = check_padding(*valid_edges)) return *wrong;

        const extent channels = x.from_end(3);
        if (channels % groups() != 0 || output_channels % groups() != 0)
            return shape_fault("channels that ", groups(), " groups divide wanted, the input has ", channels,
                               " (shape ", x, "), the output ", output_channels);
        if (kernel_channels != unset && kernel_channels != wanted_kernel_channels(x))
            return shape_fault(kernel_channels, " kernel channels declared, ", wanted_kernel_channels(x),
                               " wanted for an input of the shape ", x, is_deconvolution ? " in " : " and ",
                               groups(), groups() == 1 ? " group" : " groups");
        if (xs.size() == 2) {
            if (is_deconvolution) return value_fault("a deconvolution takes one input, 2 given");
            if (!(xs[1] == weights_shape(x)))
                return shape_fault("weights of the shape ", weights_shape(x),
                                   " wanted as second input, their shape is ", xs[1]);
        }
        for (std::size_t axis : {std::size_t{0}, std::size_t{1}})
            if (const auto wrong = check_axis(x, axis)) return *wrong;
        if (!is_deconvolution && padded_elements(x) < 0)
            return shape_fault("a padded input of up to ", largest_image, " elements wanted, its shape is ",
                               x);

        shape y = x;
        y.from_end(3) = output_channels;
        y.from_end(2) = axis_of(x, 0).outputs;
        y.from_end(1) = axis_of(x, 1).outputs;
        return y;
    }
    constexpr convolution resolved(std::span<const shape> xs) const {
        convolution result = *this;
        result.kernel_channels = wanted_kernel_channels(xs[0]);
        result.n_groups = groups();
        return result;
    }
    constexpr parameters<shape> parameter_shapes(std::span<const shape> xs) const {
        return {.weights = xs.size() == 2 ? absent : weights_shape(xs[0]),
                .bias = has_bias ? shape{output_channels} : absent};
    }

    template <class T>
    extent scratch_size(std::span<const shape> xs, extent, extent threads) const {
        return std::max(kernels::convolution_scratch<T>(geometry(xs[0], {.winograd = true}), threads),
                        kernels::convolution_scratch<T>(geometry(xs[0], {.winograd = false}), threads));
    }

    template <class T>
    extent prepared_size(std::span<const shape> xs, const arithmetic& how) const {
        if (xs.size() == 2) return 0;  // the weights come with each example
        const auto g = geometry(xs[0], how);
        return is_deconvolution ? kernels::convolution_backward_packed_size<T>(g)
                                : kernels::convolution_packed_size<T>(g);
    }
    template <class P, class T>
    void prepare(const P& p, T* prepared, const arithmetic& how) const noexcept {
        if (!p.weights) return;
        kernels::convolution_geometry g{};
        g.groups = groups();
        g.output_channels = p.weights[0];
        g.channels = p.weights[1] * groups();
        g.kernel_height = kernel_size[0];
        g.kernel_width = kernel_size[1];
        set_steps(g, how);
        if (is_deconvolution)
            kernels::convolution_backward_pack<T>(g, p.weights.data, prepared);
        else
            kernels::convolution_pack<T>(g, p.weights.data, prepared);
    }

    template <class X, class Y, class P, class W>
    void forward(std::span<const X> xs, std::span<const Y> ys, const P& p, W& w) const noexcept {
        const X& x = xs[0];
        const Y& y = ys[0];
        const auto g = geometry(x.dimensions, w.how);
        if (is_deconvolution) {
            const extent plane = g.height * g.width;
            each_call(xs, y.examples, [&](extent example, extent examples) {
                const extent rows = examples * rows_of(x.dimensions), size = x.size() / rows_of(x.dimensions);
                auto* out = y.example(example);
                for (extent i = 0; i < rows * output_channels; ++i)
                    kernels::fill(plane, p.bias ? p.bias.data[i % output_channels] : value_of<X>(0),
                                  out + i * plane);
                kernels::convolution_backward_input(g, rows, x.example(example), size, p.weights.data, out,
                                                    output_channels * plane, w.scratch, w.threads, w.prepared);
                if (w.after != nullptr) (*w.after)({out, rows * output_channels, plane, plane});
            });
            return;
        }
        each_call(xs, y.examples, [&](extent example, extent examples) {
            const extent rows = rows_of(x.dimensions);
            const auto* weights = xs.size() == 2 ? xs[1].example(example) : p.weights.data;
            kernels::convolution_forward(g, examples * rows, x.example(example), x.size() / rows, weights,
                                         p.bias.data, y.example(example), y.size() / rows, false, w.scratch,
                                         w.threads, xs.size() == 2 ? nullptr : w.prepared, w.after);
        });
    }

    template <class X, class Dx, class P, class Dp, class W>
    void backward(std::span<const X> xs, std::span<const X>, std::span<const X> dys, std::span<const Dx> dxs,
                  const P& p, const Dp& dp, W& w) const noexcept {
        const X &x = xs[0], &dy = dys[0];
        const Dx& dx = dxs[0];
        const auto g = geometry(x.dimensions, w.how);
        const extent x_size = x.size() / rows_of(x.dimensions), y_size = dy.size() / rows_of(x.dimensions);
        if (dp.bias) {
            const extent rows = dy.examples * rows_of(x.dimensions);
            kernels::channel_sums(rows, output_channels, y_size / output_channels, dy.data, y_size,
                                  dp.bias.data, w.threads);
        }
        each_call(xs, dy.examples, [&](extent example, extent examples) {
            const extent rows = examples * rows_of(x.dimensions);
            const auto *from = x.example(example), *slope = dy.example(example);
            const auto* weights = xs.size() == 2 ? xs[1].example(example) : p.weights.data;
            auto* dweights = xs.size() == 1 ? dp.weights.data : dxs[1] ? dxs[1].example(example) : nullptr;
            if (dweights != nullptr) {
                if (is_deconvolution)
                    kernels::convolution_backward_weights(g, rows, slope, y_size, from, x_size, dweights,
                                                          w.scratch, w.threads);
                else
                    kernels::convolution_backward_weights(g, rows, from, x_size, slope, y_size, dweights,
                                                          w.scratch, w.threads);
            }
            if (!dx) return;
            if (is_deconvolution)
                kernels::convolution_forward(g, rows, slope, y_size, weights, no_bias<X>, dx.example(example),
                                             x_size, true, w.scratch, w.threads);
            else
                kernels::convolution_backward_input(g, rows, slope, y_size, weights, dx.example(example),
                                                    x_size, w.scratch, w.threads);
        });
    }
    friend bool operator==(const convolution&, const convolution&) = default;

private:
    template <class View>
    using value_of = typename View::value_type;
    template <class View>
    static constexpr const value_of<View>* no_bias = nullptr;

    constexpr extent groups() const { return n_groups == 0 ? 1 : n_groups; }
    constexpr extent wanted_kernel_channels(const shape& x) const {
        return is_deconvolution ? x.from_end(3) : x.from_end(3) / groups();
    }
    constexpr shape weights_shape(const shape& x) const {
        if (is_deconvolution)
            return {x.from_end(3), output_channels / groups(), kernel_size[0], kernel_size[1]};
        return {output_channels, x.from_end(3) / groups(), kernel_size[0], kernel_size[1]};
    }
    /// Number of images in one example.
    static constexpr extent rows_of(const shape& x) { return x.product(0, x.rank() - 3); }

    constexpr extent dilation(std::size_t axis) const { return is_deconvolution ? 1 : dilation_factor[axis]; }
    /// The kernel with its holes.
    constexpr extent reach(std::size_t axis) const { return (kernel_size[axis] - 1) * dilation(axis) + 1; }
    /// Extent of a deconvolution before anything is cropped.
    constexpr extent uncropped(const shape& x, std::size_t axis) const {
        return (x.from_end(2 - axis) - 1) * stride[axis] + kernel_size[axis];
    }
    constexpr const edge_sizes& edges(std::size_t axis) const {
        return std::get<valid_padding>(padding).padding_amounts.edges[axis];
    }

    constexpr std::optional<fault> check_axis(const shape& x, std::size_t axis) const {
        const std::string_view side = axis == 0 ? "height" : "width";
        if (is_deconvolution) {
            if (checked_product(x.from_end(2 - axis), stride[axis], largest_image) < 0)
                return shape_fault("a stride of ", stride[axis], " is too much for an input of the shape ",
                                   x);
            if (output_size.rank() != 0) {
                if (output_size.rank() != 2)
                    return value_fault("outputShape [H, W] wanted, ", output_size, " given");
                const extent most = uncropped(x, axis) + stride[axis] - 1;
                if (output_size[axis] < 1 || output_size[axis] > most)
                    return value_fault("an output ", side, " from 1 to ", most, " wanted, outputShape is ",
                                       output_size);
                return {};
            }
        }
        if (axis_of(x, axis).outputs < 1) {
            if (is_deconvolution)
                return shape_fault("nothing is left of the output ", side, " of ", uncropped(x, axis),
                                   " after cropping ", edges(axis).start_edge_size, " and ",
                                   edges(axis).end_edge_size);
            return shape_fault("the kernel covers a ", side, " of ", reach(axis), ", the padded input has ",
                               x.from_end(2 - axis) + edges(axis).start_edge_size + edges(axis).end_edge_size,
                               " (shape ", x, ")");
        }
        return {};
    }
    /// Outputs and padding (cropping) along an axis of an input whose hyper-parameters are checked.
    constexpr window_axis axis_of(const shape& x, std::size_t axis) const {
        const extent size = x.from_end(2 - axis);
        const auto mode = alternative<same_padding>(padding);
        if (!is_deconvolution)
            return mode ? same_windows(size, mode->asymmetry_mode, reach(axis), stride[axis])
                        : valid_windows(size, edges(axis), reach(axis), stride[axis]);
        const extent whole = uncropped(x, axis);
        const auto crop_to = [&](extent outputs, same_padding_mode heavy) -> window_axis {
            return {outputs, padding_before(std::max<extent>(0, whole - outputs), heavy)};
        };
        if (output_size.rank() == 2) return crop_to(output_size[axis], same_padding_mode::bottom_right_heavy);
        if (mode) return crop_to(size * stride[axis], mode->asymmetry_mode);
        return {whole - edges(axis).start_edge_size - edges(axis).end_edge_size, edges(axis).start_edge_size};
    }
    /// Elements of the padded image that the kernel works on, or -1 where there are too many.
    constexpr extent padded_elements(const shape& x) const {
        const auto covered = [&](std::size_t axis) {
            return std::max((axis_of(x, axis).outputs - 1) * stride[axis] + reach(axis),
                            x.from_end(2 - axis));
        };
        return checked_size({x.from_end(3), covered(0), covered(1)}, largest_image);
    }

    /// What does not depend on the input, and how the weights are prepared.
    constexpr void set_steps(kernels::convolution_geometry& g, const arithmetic& how) const {
        g.stride_y = stride[0];
        g.stride_x = stride[1];
        g.dilation_y = dilation(0);
        g.dilation_x = dilation(1);
        g.winograd = how.winograd && !is_deconvolution && stride[0] == 1 && stride[1] == 1;
    }
    /// What the kernels are told: of a deconvolution, the convolution whose transpose it is.
    constexpr kernels::convolution_geometry geometry(const shape& x, const arithmetic& how) const {
        const window_axis y_axis = axis_of(x, 0), x_axis = axis_of(x, 1);
        const extent channels = x.from_end(3), height = x.from_end(2), width = x.from_end(1);
        kernels::convolution_geometry g{};
        g.channels = is_deconvolution ? output_channels : channels;
        g.height = is_deconvolution ? y_axis.outputs : height;
        g.width = is_deconvolution ? x_axis.outputs : width;
        g.output_channels = is_deconvolution ? channels : output_channels;
        g.output_height = is_deconvolution ? height : y_axis.outputs;
        g.output_width = is_deconvolution ? width : x_axis.outputs;
        g.kernel_height = kernel_size[0];
        g.kernel_width = kernel_size[1];
        set_steps(g, how);
        // a single window makes no step: a large stride would only cost the kernel memory
        if (g.output_height == 1) g.stride_y = 1;
        if (g.output_width == 1) g.stride_x = 1;
        g.pad_top = y_axis.before;
        g.pad_left = x_axis.before;
        g.groups = groups();
        return g;
    }

    /// Calls body(first example, examples): once where all examples lie side by side and share their weights.
    template <class X, class Body>
    static void each_call(std::span<const X> xs, extent examples, const Body& body) {
        const bool side_by_side = xs[0].stride == xs[0].size() && (xs.size() == 1 || xs[1].stride == 0);
        if (side_by_side || examples == 1) return body(0, examples);
        for (extent i = 0; i < examples; ++i) body(i, 1);
    }
};

}  // namespace bespoke


namespace bespoke {

/// y = x. The only layer that may write a blob which exists already; so loops carry values on.
/// Core ML specification, CopyLayerParams.
struct copy {
    static constexpr auto key = "copy";
    static constexpr auto fields = std::tuple{};
    static constexpr bool same_elements = true;
    static constexpr bool overwrites = true;

    constexpr outcome output_shape(const shape& x) const { return x; }
    friend bool operator==(const copy&, const copy&) = default;
};

}  // namespace bespoke


namespace bespoke {
namespace detail {

/// The row that x names: the nearest integer, at the edge where it lies outside [0, rows), 0 for NaN.
template <class T>
extent table_row(T x, extent rows) {
    const double at = static_cast<double>(x);
    if (!(at > 0)) return 0;
    if (at >= static_cast<double>(rows - 1)) return rows - 1;
    return static_cast<extent>(at + 0.5);
}

/// The vectors that were looked up since the weights changed, where they lie side by side: in the weights
/// [columns, rows] an element of a vector lies a whole row behind the one before it.
template <class T>
struct vector_table {
    static constexpr extent block = 16;  ///< columns that share a cache line

    extent rows, columns;
    T* memory;  ///< the vectors [rows, columns], and for each whether it is there: 0 or 1

    static constexpr extent size(extent rows, extent columns) { return rows * (columns + 1); }
    const T* vector(extent row) const { return memory + row * columns; }
    T& present(extent row) const { return memory[rows * columns + row]; }

    void clear() const noexcept { kernels::fill(rows, T(0), &present(0)); }
    /// Fetches the vectors that x names: columns of weights, plus the bias (null: none).
    void fetch(extent count, const T* x, const T* weights, const T* bias, thread_pool* threads) const noexcept {
        bool complete = true;
        for (extent i = 0; i < count; ++i) complete = complete && present(table_row(x[i], rows)) != T(0);
        if (complete) return;
        parallel_for(threads, columns, block, [&](extent first, extent last) {
            for (extent begin = first; begin < last; begin += block) {
                const extent end = std::min(begin + block, last);
                for (extent i = 0; i < count; ++i) {
                    const extent row = table_row(x[i], rows);
                    if (present(row) != T(0)) continue;
                    T* to = memory + row * columns;
                    for (extent c = begin; c < end; ++c)
                        to[c] = bias == nullptr ? weights[c * rows + row] : weights[c * rows + row] + bias[c];
                }
            }
        });
        for (extent i = 0; i < count; ++i) present(table_row(x[i], rows)) = T(1);
    }
};

}  // namespace detail

/// Looks vectors up: y is column x of W, plus b.
///
/// W [embedding_size, vocab_size], b [embedding_size]. x [.., 1] -> y [.., embedding_size]; rank 1 goes beyond the
/// specification. x holds indices from 0 to vocab_size - 1: another number means the nearest of them, NaN means 0.
/// No gradient passes to x.
/// Core ML specification, EmbeddingNDLayerParams.
struct embedding_nd {
    extent vocab_size = unset;
    extent embedding_size = unset;
    bool has_bias = false;

    static constexpr auto key = "embeddingND";
    static constexpr auto fields = std::tuple{field{"vocabSize", &embedding_nd::vocab_size},
                                              field{"embeddingSize", &embedding_nd::embedding_size},
                                              field{"hasBias", &embedding_nd::has_bias}};
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    template <class T>
    using parameters = weights_and_bias<T>;
    template <class T>
    static constexpr auto parameter_fields = weights_and_bias<T>::fields;

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() < 1 || x.from_end(1) != 1)
            return shape_fault("an input [.., 1] of indices wanted, its shape is ", x);
        if (vocab_size < 1) return value_fault("vocabSize from 1 up wanted, ", vocab_size, " given");
        if (embedding_size < 1) return value_fault("embeddingSize from 1 up wanted, ", embedding_size, " given");
        shape y = x;
        y.from_end(1) = embedding_size;
        return y;
    }
    constexpr parameters<shape> parameter_shapes(const shape&) const {
        return {.weights = {embedding_size, vocab_size}, .bias = has_bias ? shape{embedding_size} : absent};
    }

    template <class T>
    extent prepared_size(const shape&) const {
        return detail::vector_table<T>::size(vocab_size, embedding_size);
    }
    template <class P, class T>
    void prepare(const P&, T* prepared) const noexcept {
        detail::vector_table<T>{vocab_size, embedding_size, prepared}.clear();
    }
    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P& p, W& w) const noexcept {
        using T = typename X::value_type;
        const extent count = x.total(), columns = embedding_size;
        thread_pool* threads = count * columns < (1 << 14) ? nullptr : w.threads;
        const detail::vector_table<T> table{vocab_size, columns, w.prepared};
        table.fetch(count, x.data, p.weights.data, p.bias.data, threads);
        parallel_for(threads, count, 1, [&](extent first, extent last) {
            for (extent i = first; i < last; ++i)
                kernels::copy(columns, table.vector(detail::table_row(x.data[i], vocab_size)), y.data + i * columns);
        });
    }
    /// An element is summed up in the order of the indices: threads split the columns.
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y, Dy dy, Dx, const P&, const Dp& dp, W& w) const noexcept {
        const extent count = x.total(), columns = embedding_size;
        if (dp.bias) kernels::column_sums(count, columns, dy.data, columns, dp.bias.data, w.threads);
        if (!dp.weights) return;
        constexpr extent block = detail::vector_table<typename X::value_type>::block;
        thread_pool* threads = count * columns < (1 << 14) ? nullptr : w.threads;
        parallel_for(threads, columns, block, [&](extent first, extent last) {
            for (extent begin = first; begin < last; begin += block) {
                const extent end = std::min(begin + block, last);
                for (extent i = 0; i < count; ++i) {
                    auto* to = dp.weights.data + detail::table_row(x.data[i], vocab_size);
                    for (extent c = begin; c < end; ++c) to[c * vocab_size] += dy.data[i * columns + c];
                }
            }
        });
    }
    friend bool operator==(const embedding_nd&, const embedding_nd&) = default;
};

/// `embedding_nd` for indices that stand alone on three axes: W [output_channels, input_dim], b [output_channels];
/// x [.., n, 1, 1, 1] of rank 4 or 5 -> y [.., n, output_channels, 1, 1]. One index [1, 1, 1] goes beyond the
/// specification.
/// Core ML specification, EmbeddingLayerParams.
struct embedding {
    extent input_dim = unset;
    extent output_channels = unset;
    bool has_bias = false;

    static constexpr auto key = "embedding";
    static constexpr auto fields = std::tuple{field{"inputDim", &embedding::input_dim},
                                              field{"outputChannels", &embedding::output_channels},
                                              field{"hasBias", &embedding::has_bias}};

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() < 3 || x.rank() > 5 || x.from_end(3) != 1 || x.from_end(2) != 1 || x.from_end(1) != 1)
            return shape_fault("an input [n, 1, 1, 1] or [m, n, 1, 1, 1] of indices wanted, its shape is ", x);
        if (input_dim < 1) return value_fault("inputDim from 1 up wanted, ", input_dim, " given");
        if (output_channels < 1)
            return value_fault("outputChannels from 1 up wanted, ", output_channels, " given");
        shape y = x;
        y.from_end(3) = output_channels;
        return y;
    }
    constexpr embedding_nd equivalent(const shape&) const {
        return {.vocab_size = input_dim, .embedding_size = output_channels, .has_bias = has_bias};
    }
    friend bool operator==(const embedding&, const embedding&) = default;
};

}  // namespace bespoke




namespace bespoke::kernels {

/// A box of elements that two arrays hold in different places: element (i0, i1, ...) lies at the sum of ik from[k]
/// in the one and at the sum of ik to[k] in the other. Steps may be negative.
///
/// Axes are added from the outermost to the innermost. Those of one element are left out, and neighbours that both
/// arrays walk as one are joined.
struct strided_walk {
    static constexpr std::size_t most = max_rank + 1;  ///< the examples are an axis too

    std::size_t rank = 0;
    extent extents[most]{}, from[most]{}, to[most]{};

    constexpr void add(extent size, extent from_step, extent to_step) {
        if (size == 1) return;
        const std::size_t outer = rank - 1;
        if (rank > 0 && from[outer] == from_step * size && to[outer] == to_step * size)
            extents[outer] *= size;
        else
            extents[rank++] = size;
        from[rank - 1] = from_step;
        to[rank - 1] = to_step;
    }
    constexpr strided_walk reversed() const {
        strided_walk w = *this;
        for (std::size_t axis = 0; axis < rank; ++axis) {
            w.from[axis] = to[axis];
            w.to[axis] = from[axis];
        }
        return w;
    }
    constexpr extent size() const {
        extent elements = 1;
        for (std::size_t axis = 0; axis < rank; ++axis) elements *= extents[axis];
        return elements;
    }
};

namespace detail {

/// Elements along one side of the tiles in which a matrix is transposed.
inline constexpr extent transposed_tile = 64;

/// The first axis along which the steps are 1; none: rank.
constexpr std::size_t contiguous_axis(const strided_walk& w, const extent (&steps)[strided_walk::most]) {
    std::size_t axis = 0;
    while (axis < w.rank && steps[axis] != 1) ++axis;
    return axis;
}

/// Makes `axis` the innermost one.
constexpr void move_inwards(strided_walk& w, std::size_t axis) {
    for (; axis + 1 < w.rank; ++axis) {
        std::swap(w.extents[axis], w.extents[axis + 1]);
        std::swap(w.from[axis], w.from[axis + 1]);
        std::swap(w.to[axis], w.to[axis + 1]);
    }
}

/// Calls body(offset in from, offset in to, index along the last of them) for the elements [first, last) of the box
/// of the outer `axes` axes.
template <class Body>
void each_outer(const strided_walk& w, std::size_t axes, extent first, extent last, const Body& body) noexcept {
    extent index[strided_walk::most]{}, from = 0, to = 0;
    extent rest = first;
    for (std::size_t axis = axes; axis-- > 0; rest /= w.extents[axis]) {
        index[axis] = rest % w.extents[axis];
        from += index[axis] * w.from[axis];
        to += index[axis] * w.to[axis];
    }
    for (extent i = first; i < last; ++i) {
        body(from, to, axes > 0 ? index[axes - 1] : 0);
        for (std::size_t axis = axes; axis-- > 0;) {
            from += w.from[axis];
            to += w.to[axis];
            if (++index[axis] < w.extents[axis]) break;
            from -= w.extents[axis] * w.from[axis];
            to -= w.extents[axis] * w.to[axis];
            index[axis] = 0;
        }
    }
}

/// The innermost loop.
template <class T>
void move_run(extent n, const T* from, extent from_step, T* to, extent to_step, bool add) noexcept {
    if (from_step == 1 && to_step == 1) {
        if (add)
            accumulate(n, from, to);
        else
            copy(n, from, to);
    } else if (add) {
        for (extent i = 0; i < n; ++i) to[i * to_step] += from[i * from_step];
    } else {
        for (extent i = 0; i < n; ++i) to[i * to_step] = from[i * from_step];
    }
}

template <class T>
[[gnu::noinline]] void move_strided(strided_walk w, const T* from, T* to, bool add, thread_pool* threads) noexcept {
    const extent elements = w.size();
    if (elements == 0) return;
    if (elements < (1 << 14)) threads = nullptr;
    if (w.rank == 0) return move_run<T>(1, from, 1, to, 1, add);
    const std::size_t reads = contiguous_axis(w, w.from), writes = contiguous_axis(w, w.to);
    const bool reflected = reads < w.rank && writes < w.rank && reads != writes;
    if (!reflected) {
        move_inwards(w, writes < w.rank ? writes : reads < w.rank ? reads : w.rank - 1);
        const std::size_t last = w.rank - 1;
        parallel_for(threads, elements / w.extents[last], 1, [&](extent first, extent end) {
            each_outer(w, last, first, end, [&](extent i, extent o, extent) {
                move_run(w.extents[last], from + i, w.from[last], to + o, w.to[last], add);
            });
        });
        return;
    }
    // a matrix of rows that are contiguous in `from`, and of columns that are in `to`
    move_inwards(w, reads);
    move_inwards(w, writes - (writes > reads ? 1 : 0));
    const std::size_t last = w.rank - 1, tiles = w.rank - 2;
    const extent rows = w.extents[last], columns = w.extents[tiles];
    const extent row_step = w.from[last], column_step = w.to[tiles];
    w.extents[tiles] = (columns + transposed_tile - 1) / transposed_tile;
    w.from[tiles] *= transposed_tile;
    w.to[tiles] *= transposed_tile;
    parallel_for(threads, elements / (rows * columns) * w.extents[tiles], 1, [&](extent first, extent end) {
        each_outer(w, last, first, end, [&](extent i, extent o, extent tile) {
            const extent width = std::min(transposed_tile, columns - tile * transposed_tile);
            for (extent row = 0; row < rows; row += transposed_tile)
                transpose(from + i + row * row_step, row_step, std::min(transposed_tile, rows - row), width,
                          to + o + row, column_step, add);
        });
    });
}

}  // namespace detail

/// to = from for every element of the box, whose places in `to` differ. The arrays do not overlap.
template <class T>
void copy_strided(const strided_walk& w, const T* from, T* to, thread_pool* threads = nullptr) noexcept {
    detail::move_strided(w, from, to, false, threads);
}

/// to += from for every element of the box, whose places in `to` differ. The arrays do not overlap.
template <class T>
void accumulate_strided(const strided_walk& w, const T* from, T* to, thread_pool* threads = nullptr) noexcept {
    detail::move_strided(w, from, to, true, threads);
}

}  // namespace bespoke::kernels

namespace bespoke {
namespace detail {

/// Whether `axes` holds each of 0 to rank - 1 once.
constexpr bool is_permutation(const shape& axes, std::size_t rank) {
    bool met[max_rank]{};
    for (extent axis : axes) {
        if (axis < 0 || axis >= static_cast<extent>(rank) || met[axis]) return false;
        met[axis] = true;
    }
    return axes.rank() == rank;
}

/// From x to y, whose axis i is axis axes[i] of x, for all examples.
constexpr kernels::strided_walk transposition(const shape& x, const shape& axes, extent examples) {
    kernels::strided_walk w;
    w.add(examples, x.size(), x.size());
    extent behind = x.size();
    for (extent a : axes) {
        const auto axis = static_cast<std::size_t>(a);
        if (x[axis] > 0) behind /= x[axis];
        w.add(x[axis], x.product(axis + 1, x.rank()), behind);
    }
    return w;
}

}  // namespace detail

/// y of which axis i is axis axes[i] of x: x [6, 7, 8, 9] with axes [3, 1, 2, 0] -> y [9, 7, 8, 6].
/// Core ML specification, TransposeLayerParams.
struct transpose {
    shape axes;

    static constexpr auto key = "transpose";
    static constexpr auto fields = std::tuple{field{"axes", &transpose::axes}};
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(const shape& x) const {
        if (!detail::is_permutation(axes, x.rank()))
            return value_fault("a permutation of the axes of its input wanted, axes ", axes, " given for the shape ",
                               x);
        shape y;
        for (extent axis : axes) y.push_back(x[static_cast<std::size_t>(axis)]);
        return y;
    }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        kernels::copy_strided(detail::transposition(x.dimensions, axes, x.examples), x.data, y.data, w.threads);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X, Y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        if (!dx) return;
        const auto walk = detail::transposition(dx.dimensions, axes, dx.examples);
        kernels::accumulate_strided(walk.reversed(), dy.data, dx.data, w.threads);
    }
    friend bool operator==(const transpose&, const transpose&) = default;
};

/// `transpose` in the older words of the specification: `axis` is a permutation of 0 to 3, which count the axes of
/// x [sequence, B, C, H, W] but for B, which stays. Not given: y = x.
/// x without B is [sequence, C, H, W]; x [C, H, W] has no sequence either, and axis begins with 0.
/// Core ML specification, PermuteLayerParams; the ranks 3 and 4 go beyond it.
struct permute {
    shape axis;

    static constexpr auto key = "permute";
    static constexpr auto fields = std::tuple{field{"axis", &permute::axis}};

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() < 3 || x.rank() > 5)
            return shape_fault("an input [sequence, batch, channels, height, width] wanted, its shape is ", x);
        if (axis.rank() > 0 && !detail::is_permutation(axis, 4))
            return value_fault("a permutation of 0 to 3 wanted, axis ", axis, " given");
        if (x.rank() == 3 && axis.rank() > 0 && axis[0] != 0)
            return value_fault("an axis that begins with 0 wanted for an input without a sequence, ", axis,
                               " given for the shape ", x);
        return equivalent(x).output_shape(x);
    }
    constexpr transpose equivalent(const shape& x) const {
        const extent missing = x.rank() == 3 ? 1 : 0, batch = x.rank() == 5 ? 1 : 0;
        shape axes;
        for (extent i = missing; i < 4; ++i) {
            const extent a = axis.rank() > 0 ? axis[static_cast<std::size_t>(i)] : i;
            axes.push_back(a > 0 ? a + batch - missing : a);
            if (i == 0 && batch == 1) axes.push_back(1);
        }
        return {axes};
    }
    friend bool operator==(const permute&, const permute&) = default;
};

}  // namespace bespoke

#include <limits>

namespace bespoke {

enum class flatten_order { channel_first, channel_last };
constexpr std::array<std::string_view, 2> enumerators(flatten_order) {
    return {"CHANNEL_FIRST", "CHANNEL_LAST"};
}

/// x [..., C, H, W] -> y [..., C H W, 1, 1], in the order C, H, W (`channel_first`) or H, W, C
/// (`channel_last`).
/// Core ML specification, FlattenLayerParams.
struct flatten {
    flatten_order mode = flatten_order::channel_first;

    static constexpr auto key = "flatten";
    static constexpr auto fields = std::tuple{field{"mode", &flatten::mode}};

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() < 3) return shape_fault("an input of rank 3 or more wanted, its shape is ", x);
        const extent columns =
            checked_size({x.from_end(3), x.from_end(2), x.from_end(1)}, std::numeric_limits<extent>::max());
        if (columns < 0) return shape_fault("an input of fewer elements wanted, its shape is ", x);
        shape y = x;
        y.from_end(3) = columns;
        y.from_end(2) = y.from_end(1) = 1;
        return y;
    }

    constexpr bool same_elements() const { return mode == flatten_order::channel_first; }
    constexpr transpose equivalent(const shape& x) const {
        shape axes;
        for (std::size_t axis = 0; axis < x.rank(); ++axis) axes.push_back(static_cast<extent>(axis));
        if (!same_elements()) {
            axes.from_end(3) += 1;
            axes.from_end(2) += 1;
            axes.from_end(1) -= 2;
        }
        return {axes};
    }
    friend bool operator==(const flatten&, const flatten&) = default;
};

}  // namespace bespoke


#include <array>
#include <limits>
#include <numbers>

namespace bespoke {

enum class gelu_mode { exact, tanh_approximation, sigmoid_approximation };
constexpr std::array<std::string_view, 3> enumerators(gelu_mode) {
    return {"EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"};
}

/// Gaussian error linear unit: y = x P(X <= x) for a standard normal X, or an approximation of it.
///
/// | mode                  | y                                                |
/// |-----------------------|--------------------------------------------------|
/// | exact                 | x / 2 (1 + erf(x / sqrt 2))                      |
/// | tanh_approximation    | x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x³))) |
/// | sigmoid_approximation | x sigmoid(1.702 x)                               |
///
/// Infinity gives infinity, -infinity gives 0. Below about -5 (float) the first two are correct to one unit
/// in the last place of 1, not of y.
/// Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016. Core ML specification, GeluLayerParams.
struct gelu {
    gelu_mode mode = gelu_mode::exact;

    static constexpr auto key = "gelu";
    static constexpr auto fields = std::tuple{field{"mode", &gelu::mode}};

    template <class V>
    V operator()(const V& x) const noexcept {
        const V a = kernels::max(V(std::numeric_limits<float>::lowest()), x);  // or -infinity times 0
        if (mode == gelu_mode::sigmoid_approximation) return a * kernels::sigmoid(number<V>(1.702) * a);
        const V bell =
            mode == gelu_mode::exact ? kernels::erf(a * number<V>(root_half)) : kernels::tanh(bent(a));
        return V(0.5f) * a * (V(1) + bell);
    }
    template <class V>
    V derivative(const V& x, const V&) const noexcept {
        const V a = kernels::min(V(100), kernels::max(V(-100), x));  // the slope is 0 or 1 long before
        if (mode == gelu_mode::sigmoid_approximation) {
            const V s = kernels::sigmoid(number<V>(1.702) * a);
            return kernels::fma(number<V>(1.702) * a, kernels::fma(-s, s, s), s);
        }
        if (mode == gelu_mode::exact) {
            const V density = kernels::exp(a * a * V(-0.5f)) * number<V>(scale / 2);
            return kernels::fma(a, density,
                                kernels::fma(V(0.5f), kernels::erf(a * number<V>(root_half)), V(0.5f)));
        }
        const V t = kernels::tanh(bent(a));
        const V slope = number<V>(scale) * kernels::fma(number<V>(3 * cubic) * a, a, V(1));
        return V(0.5f) * kernels::fma(a * slope, kernels::fma(-t, t, V(1)), V(1) + t);
    }
    friend bool operator==(const gelu&, const gelu&) = default;

private:
    static constexpr double scale = std::numbers::inv_sqrtpi * std::numbers::sqrt2, cubic = 0.044715;
    static constexpr double root_half = std::numbers::sqrt2 / 2;
    template <class V>
    static V number(double v) noexcept {
        if constexpr (std::floating_point<V>)
            return static_cast<V>(v);
        else
            return V(static_cast<typename V::value_type>(v));
    }
    template <class V>
    static V bent(const V& x) noexcept {
        return number<V>(scale) * x * kernels::fma(number<V>(cubic) * x, x, V(1));
    }
};

}  // namespace bespoke





namespace bespoke::kernels {

// One engine for recurrent layers. Every layer computes, for each step t of a sequence and each gate,
//     a = W x_t + R y_{t-1} + b
// and from a, clipped to +-gate_clip, its next state. The products with x stand in one gemm for all steps. Of each step
// there remains one with R, and a cell: one vectorised pass over the gates.
//
// Rows are vectors of one step of one sequence. Arrays of all steps have steps * rows rows; row r of step t is row
// t * step_stride + r * row_stride of them.

inline constexpr float gate_clip = 50;

struct recurrent_geometry {
    extent steps, rows, step_stride, row_stride;
    extent inputs, outputs, gates;  ///< elements of x_t, elements of y_t, number of gates
    bool reverse = false;           ///< from the last step to the first
    bool in_place = false;          ///< then outputs stand where the inputs stood, else in the order they came in

    extent all() const { return steps * rows; }
    extent width() const { return gates * outputs; }
    /// The first row of what is processed as number s.
    extent first_row(extent s) const { return (reverse ? steps - 1 - s : s) * step_stride; }
    /// The first row of its output.
    extent output_row(extent s) const { return (reverse && in_place ? steps - 1 - s : s) * step_stride; }
};

/// One step of one sequence, with extents that the compiler knows.
template <extent Inputs, extent Outputs, extent Gates>
struct fixed_step_geometry {
    static constexpr constant<1> rows{};
    static constexpr constant<Inputs> inputs{};
    static constexpr constant<Outputs> outputs{};
    static constexpr constant<Gates * Outputs> width{};
};

/// The rows of one step in an array: row r begins at data + r * stride. Null data: there is no such array.
template <class T>
struct row_view {
    T* data = nullptr;
    extent stride = 0;

    T* row(extent r) const { return data + r * stride; }
    explicit operator bool() const { return data != nullptr; }
};

namespace detail {

/// body(row, offset, in, out) for all batches of all rows. Rows and n are `extent` or `constant<V>`.
template <class T, class Rows, class N, class Body>
[[gnu::always_inline]] inline void each_gate_batch(Rows rows, N n, thread_pool* threads, const Body& body) noexcept {
    const auto run = [&](extent r) __attribute__((always_inline)) {
        for_each_batch<T>(
            n, [&](extent j, auto in, auto out) __attribute__((always_inline)) { body(r, j, in, out); });
    };
    if constexpr (std::is_same_v<Rows, constant<1>>) {
        run(0);
    } else {
        if (rows * n < (1 << 13)) threads = nullptr;
        parallel_for(threads, rows, 1, [&](extent first, extent last) {
            for (extent r = first; r < last; ++r) run(r);
        });
    }
}
template <class T>
[[gnu::always_inline]] inline batch<T> clipped(const batch<T>& v, T limit) noexcept {
    return kernels::max<T>(batch<T>(-limit), kernels::min<T>(batch<T>(limit), v));
}
/// `slope` where |v| < limit, else 0.
template <class T>
[[gnu::always_inline]] inline batch<T> inside(const batch<T>& v, T limit, const batch<T>& slope) noexcept {
    return kernels::select(kernels::abs(v) < batch<T>(limit), slope, batch<T>(T(0)));
}
template <class T, class F>
[[gnu::always_inline]] inline batch<T> gate(const F& f, const batch<T>& a) noexcept {
    return f(clipped<T>(a, T(gate_clip)));
}
/// d gate / d a where the gate gave y.
template <class T, class F>
[[gnu::always_inline]] inline batch<T> gate_slope(const F& f, const batch<T>& a, const batch<T>& y) noexcept {
    return inside<T>(a, T(gate_clip), f.derivative(clipped<T>(a, T(gate_clip)), y));
}

}  // namespace detail

/// y = f(a)
template <class F>
struct simple_cell {
    F f;

    static constexpr extent gates = 1, late = 0;
    static constexpr bool has_memory = false;

    template <class T, class Geometry>
    void forward(const Geometry& g, row_view<T> a, const T*, const T*, T* h, T*, T*, row_view<T> y,
                 thread_pool* threads) const noexcept {
        detail::each_gate_batch<T>(
            g.rows, g.outputs, threads, [&](extent r, extent j, auto in, auto out) __attribute__((always_inline)) {
            const batch<T> v = detail::gate<T>(f, in(a.row(r) + j));
            out(h + r * g.outputs + j, v);
            if (y) out(y.row(r) + j, v);
        });
    }
    /// Overwrites a by its gradient. dh: of y_t on the way in, what does not come through R on the way out.
    template <class T>
    void backward(const recurrent_geometry& g, row_view<T> a, const T*, const T*, row_view<const T>,
                  row_view<const T>, row_view<T>, T* dh, T*, T*, thread_pool* threads) const noexcept {
        detail::each_gate_batch<T>(g.rows, g.outputs, threads, [&](extent r, extent j, auto in, auto out) {
            T *to = a.row(r) + j, *d = dh + r * g.outputs + j;
            const batch<T> v = in(to);
            out(to, in(d) * detail::gate_slope<T>(f, v, detail::gate<T>(f, v)));
            out(d, batch<T>(T(0)));
        });
    }
};

/// Gates in the order z, r, o: z = f(a_z), r = f(a_r), o = g(W_o x + R_o (r y_{t-1}) + b_o),
/// y = (1 - z) o + z y_{t-1}. Cho et al., EMNLP 2014.
template <class F, class G>
struct gru_cell {
    F f;
    G g;

    static constexpr extent gates = 3, late = 1;
    static constexpr bool has_memory = false;

    /// `late`: R_o as packed; `extra` [rows, outputs]: r y_{t-1} is left there.
    template <class T, class Geometry>
    void forward(const Geometry& s, row_view<T> a, const T* late, const T*, T* h, T*, T* extra,
                 row_view<T> y, thread_pool* threads) const noexcept {
        const auto n = s.outputs;
        detail::each_gate_batch<T>(
            s.rows, n, threads, [&](extent r, extent j, auto in, auto out) __attribute__((always_inline)) {
            out(extra + r * n + j, detail::gate<T>(f, in(a.row(r) + n + j)) * in(h + r * n + j));
        });
        gemm(s.rows, n, n, extra, n, extent{1}, late, a.data + 2 * n, a.stride, static_cast<const T*>(nullptr), true,
             threads);
        detail::each_gate_batch<T>(
            s.rows, n, threads, [&](extent r, extent j, auto in, auto out) __attribute__((always_inline)) {
            const batch<T> z = detail::gate<T>(f, in(a.row(r) + j)), o = detail::gate<T>(g, in(a.row(r) + 2 * n + j));
            const batch<T> v = kernels::fma<T>(z, in(h + r * n + j) - o, o);
            out(h + r * n + j, v);
            if (y) out(y.row(r) + j, v);
        });
    }
    /// `late`: R_o packed for products from the left; `before`: y_{t-1}; `extra`: r y_{t-1} is written there;
    /// `work` [rows, outputs].
    template <class T>
    void backward(const recurrent_geometry& s, row_view<T> a, const T* late, const T*, row_view<const T> before,
                  row_view<const T>, row_view<T> extra, T* dh, T*, T* work, thread_pool* threads) const noexcept {
        const extent n = s.outputs;
        detail::each_gate_batch<T>(s.rows, n, threads, [&](extent r, extent j, auto in, auto out) {
            T *az = a.row(r) + j, *ao = az + 2 * n, *d = dh + r * n + j;
            const batch<T> pz = in(az), po = in(ao), dy = in(d), h = in(before.row(r) + j);
            const batch<T> z = detail::gate<T>(f, pz), o = detail::gate<T>(g, po);
            out(az, dy * (h - o) * detail::gate_slope<T>(f, pz, z));
            out(ao, kernels::fma<T>(-z, dy, dy) * detail::gate_slope<T>(g, po, o));
            out(d, dy * z);
        });
        gemm(s.rows, n, n, a.data + 2 * n, a.stride, extent{1}, late, work, n, static_cast<const T*>(nullptr), false,
             threads);
        detail::each_gate_batch<T>(s.rows, n, threads, [&](extent r, extent j, auto in, auto out) {
            T *ar = a.row(r) + n + j, *d = dh + r * n + j;
            const batch<T> pr = in(ar), h = in(before.row(r) + j), gate = detail::gate<T>(f, pr);
            const batch<T> dx = in(work + r * n + j);
            out(extra.row(r) + j, gate * h);
            out(ar, dx * h * detail::gate_slope<T>(f, pr, gate));
            out(d, kernels::fma<T>(dx, gate, in(d)));
        });
    }
};

/// Gates in the order i, f, z, o:
///     i = f(a_i + p_i c_{t-1})   f = f(a_f + p_f c_{t-1})   z = g(a_z)
///     c = clip(c_{t-1} f + i z), or clip(c_{t-1} (1 - i) + i z) where coupled
///     o = f(a_o + p_o c)         y = h(c) o
/// The peepholes p are one array [3, outputs] in the order i, f, o, or null.
/// Hochreiter and Schmidhuber, 1997; Gers and Schmidhuber, 2000.
template <class F, class G, class H>
struct lstm_cell {
    F f;
    G g;
    H h;
    bool coupled;
    float clip;

    static constexpr extent gates = 4, late = 0;
    static constexpr bool has_memory = true;

    template <class T, class Geometry>
    void forward(const Geometry& s, row_view<T> a, const T*, const T* peepholes, T* state, T* memory, T*,
                 row_view<T> y, thread_pool* threads) const noexcept {
        const auto n = s.outputs;
        detail::each_gate_batch<T>(
            s.rows, n, threads, [&](extent r, extent j, auto in, auto out) __attribute__((always_inline)) {
            const gate_values<T> v = values(n, j, a.row(r) + j, peepholes, in(memory + r * n + j), in);
            const batch<T> result = v.hc * v.o;
            out(memory + r * n + j, v.c);
            out(state + r * n + j, result);
            if (y) out(y.row(r) + j, result);
        });
    }
    /// `before_c`: c_{t-1}; dc: of c_t on the way in, of c_{t-1} on the way out.
    template <class T>
    void backward(const recurrent_geometry& s, row_view<T> a, const T*, const T* peepholes, row_view<const T>,
                  row_view<const T> before_c, row_view<T> after_c, T* dh, T* dc, T*,
                  thread_pool* threads) const noexcept {
        const extent n = s.outputs;
        detail::each_gate_batch<T>(s.rows, n, threads, [&](extent r, extent j, auto in, auto out) {
            T *to = a.row(r) + j, *dy_at = dh + r * n + j, *dc_at = dc + r * n + j;
            const batch<T> zero(T(0)), dy = in(dy_at), old = in(before_c.row(r) + j);
            const gate_values<T> v = values(n, j, to, peepholes, old, in);
            const batch<T> d_o = dy * v.hc * detail::gate_slope<T>(f, v.ao, v.o);
            batch<T> d = kernels::fma<T>(dy * v.o, h.derivative(v.c, v.hc), in(dc_at));
            if (peepholes) d = kernels::fma<T>(in(peepholes + 2 * n + j), d_o, d);
            d = detail::inside<T>(v.raw, T(clip), d);
            const batch<T> d_i = d * (coupled ? v.z - old : v.z) * detail::gate_slope<T>(f, v.ai, v.i);
            const batch<T> d_f = coupled ? zero : d * old * detail::gate_slope<T>(f, v.af, v.f);
            const batch<T> d_z = d * v.i * detail::gate_slope<T>(g, v.az, v.z);
            batch<T> back = d * (coupled ? batch<T>(T(1)) - v.i : v.f);
            if (peepholes) {
                back = kernels::fma<T>(in(peepholes + j), d_i, back);
                back = kernels::fma<T>(in(peepholes + n + j), d_f, back);
            }
            out(to, d_i);
            out(to + n, d_f);
            out(to + 2 * n, d_z);
            out(to + 3 * n, d_o);
            out(after_c.row(r) + j, v.c);
            out(dc_at, back);
            out(dy_at, zero);
        });
    }

private:
    template <class T>
    struct gate_values {
        batch<T> ai, af, az, ao;  ///< before clipping
        batch<T> i, f, z, o, raw, c, hc;
    };
    template <class T, class In>
    [[gnu::always_inline]] gate_values<T> values(extent n, extent j, const T* a, const T* peepholes,
                                                 const batch<T>& old, const In& in) const noexcept {
        gate_values<T> v;
        v.ai = in(a);
        v.af = in(a + n);
        v.az = in(a + 2 * n);
        v.ao = in(a + 3 * n);
        if (peepholes) {
            v.ai = kernels::fma<T>(in(peepholes + j), old, v.ai);
            v.af = kernels::fma<T>(in(peepholes + n + j), old, v.af);
        }
        v.i = detail::gate<T>(f, v.ai);
        v.z = detail::gate<T>(g, v.az);
        v.f = coupled ? batch<T>(T(1)) - v.i : detail::gate<T>(f, v.af);
        v.raw = kernels::fma<T>(v.i, v.z, old * v.f);
        v.c = detail::clipped<T>(v.raw, T(clip));
        if (peepholes) v.ao = kernels::fma<T>(in(peepholes + 2 * n + j), v.c, v.ao);
        v.o = detail::gate<T>(f, v.ao);
        v.hc = h(v.c);
        return v;
    }
};

}  // namespace bespoke::kernels

namespace bespoke::kernels {

/// What `recurrent_prepare` writes. The recurrent product of the last `late` gates waits for the others (GRU).
template <class T>
struct recurrent_weights {
    extent inputs, outputs, gates, late;

    constexpr extent width() const { return gates * outputs; }
    constexpr extent early() const { return (gates - late) * outputs; }
    constexpr extent w() const { return 0; }  ///< W of all gates, [width, inputs]
    constexpr extent r() const { return width() * inputs; }  ///< R of all gates, [width, outputs]
    constexpr extent bias() const { return r() + width() * outputs; }  ///< [width]
    constexpr extent packed_w() const { return bias() + width(); }
    constexpr extent packed_early() const { return packed_w() + packed_size<T>(inputs, width()); }
    constexpr extent packed_late() const { return packed_early() + packed_size<T>(outputs, early()); }
    constexpr extent size() const { return packed_late() + packed_size<T>(outputs, late * outputs); }
};

/// Brings the matrices of the gates, in the order of the gates, together and packs them. bias[g] null: 0.
template <class T>
void recurrent_prepare(const recurrent_weights<T>& l, const T* const* w, const T* const* r, const T* const* bias,
                       T* to) noexcept {
    for (extent g = 0; g < l.gates; ++g) {
        copy(l.outputs * l.inputs, w[g], to + l.w() + g * l.outputs * l.inputs);
        copy(l.outputs * l.outputs, r[g], to + l.r() + g * l.outputs * l.outputs);
        if (bias[g] != nullptr)
            copy(l.outputs, bias[g], to + l.bias() + g * l.outputs);
        else
            fill(l.outputs, T(0), to + l.bias() + g * l.outputs);
    }
    pack(to + l.w(), extent{1}, l.inputs, l.inputs, l.width(), to + l.packed_w());
    pack(to + l.r(), extent{1}, l.outputs, l.outputs, l.early(), to + l.packed_early());
    pack(to + l.r() + l.early() * l.outputs, extent{1}, l.outputs, l.outputs, l.late * l.outputs,
         to + l.packed_late());
}

/// Where the working memory of a sequence lies. Forward needs `a`, `h`, `memory` and `work` only.
template <class T>
struct recurrent_memory {
    T *a;                ///< [all, width]: a of all gates, afterwards its gradient
    T *h, *memory, *work;  ///< [rows, outputs]: the state and its second part, and room for a cell
    T *before_h, *before_c, *third;  ///< [all, outputs]: states before each step, and what else a cell keeps
    T *packed_early, *packed_late, *packed;

    recurrent_memory(const recurrent_geometry& g, extent late, T* scratch) noexcept
        : a(scratch), h(a + g.all() * g.width()), memory(h + state(g)), work(memory + state(g)),
          before_h(work + state(g)), before_c(before_h + g.all() * g.outputs),
          third(before_c + g.all() * g.outputs), packed_early(third + g.all() * g.outputs),
          packed_late(packed_early + packed_size<T>((g.gates - late) * g.outputs, g.outputs)),
          packed(packed_late + packed_size<T>(late * g.outputs, g.outputs)) {}
    static extent forward_size(const recurrent_geometry& g) { return g.all() * g.width() + 3 * state(g); }
    static extent size(const recurrent_geometry& g, extent late) {
        const extent sums = packed_size<T>(g.all(), std::max(g.inputs, g.outputs));
        return forward_size(g) + 3 * g.all() * g.outputs +
               packed_size<T>((g.gates - late) * g.outputs, g.outputs) + packed_size<T>(late * g.outputs, g.outputs) +
               std::max(sums, packed_size<T>(g.width(), g.inputs));
    }

private:
    static extent state(const recurrent_geometry& g) { return g.rows * g.outputs; }
};

namespace detail {

/// Runs the cell over the sequences; `keep(s)` is called before what is processed as number s.
template <class T, class Cell, class Keep>
void run_sequence(const recurrent_geometry& g, const Cell& cell, const T* x, const T* prepared, const T* peepholes,
                  const recurrent_memory<T>& m, T* y, extent y_width, thread_pool* threads,
                  const Keep& keep) noexcept {
    const recurrent_weights<T> l{g.inputs, g.outputs, g.gates, Cell::late};
    const T* const none = nullptr;
    gemm(g.all(), g.width(), g.inputs, x, g.inputs, extent{1}, prepared + l.packed_w(), m.a, g.width(),
         prepared + l.bias(), false, threads);
    for (extent s = 0; s < g.steps; ++s) {
        keep(s);
        const row_view<T> at{m.a + g.first_row(s) * g.width(), g.row_stride * g.width()};
        gemm(g.rows, l.early(), g.outputs, static_cast<const T*>(m.h), g.outputs, extent{1},
             prepared + l.packed_early(), at.data, at.stride, none, true, threads);
        row_view<T> to;
        if (y != nullptr) to = {y + g.output_row(s) * y_width, g.row_stride * y_width};
        cell.forward(g, at, prepared + l.packed_late(), peepholes, m.h, m.memory, m.work, to, threads);
    }
}

}  // namespace detail

/// `m.h` and, where the cell has one, `m.memory` hold the state before the first step, and afterwards that behind the
/// last one. y: the outputs of all steps, rows y_width elements apart; may be null.
template <class T, class Cell>
void recurrent_forward(const recurrent_geometry& g, const Cell& cell, const T* x, const T* prepared,
                       const T* peepholes, const recurrent_memory<T>& m, T* y, extent y_width,
                       thread_pool* threads) noexcept {
    detail::run_sequence(g, cell, x, prepared, peepholes, m, y, y_width, threads, [](extent) {});
}

/// The same, and what `recurrent_backward` wants of it.
template <class T, class Cell>
void recurrent_recall(const recurrent_geometry& g, const Cell& cell, const T* x, const T* prepared,
                      const T* peepholes, const recurrent_memory<T>& m, thread_pool* threads) noexcept {
    const extent n = g.outputs;
    detail::run_sequence(g, cell, x, prepared, peepholes, m, static_cast<T*>(nullptr), n, threads, [&](extent s) {
        for (extent r = 0; r < g.rows; ++r) {
            const extent at = (g.first_row(s) + r * g.row_stride) * n;
            copy(n, m.h + r * n, m.before_h + at);
            if (Cell::has_memory) copy(n, m.memory + r * n, m.before_c + at);
        }
    });
}

/// After `recurrent_recall`: through the steps from the last processed to the first. `m.h` and `m.memory` hold the
/// gradient of the state behind the last step, and afterwards that of the state before the first one; m.a then holds
/// the gradient of a. dy: of the outputs of all steps, or null.
template <class T, class Cell>
void recurrent_backward(const recurrent_geometry& g, const Cell& cell, const T* prepared, const T* peepholes,
                        const recurrent_memory<T>& m, const T* dy, extent dy_width, thread_pool* threads) noexcept {
    const recurrent_weights<T> l{g.inputs, g.outputs, g.gates, Cell::late};
    const extent n = g.outputs;
    pack(prepared + l.r(), n, extent{1}, l.early(), n, m.packed_early, threads);
    pack(prepared + l.r() + l.early() * n, n, extent{1}, l.late * n, n, m.packed_late, threads);
    for (extent s = g.steps; s-- > 0;) {
        const extent first = g.first_row(s);
        if (dy != nullptr)
            for (extent r = 0; r < g.rows; ++r)
                accumulate(n, dy + (g.output_row(s) + r * g.row_stride) * dy_width, m.h + r * n);
        const row_view<T> a{m.a + first * g.width(), g.row_stride * g.width()};
        const auto kept = [&](T* data) { return row_view<T>{data + first * n, g.row_stride * n}; };
        const auto read = [&](T* data) { return row_view<const T>{data + first * n, g.row_stride * n}; };
        cell.template backward<T>(g, a, m.packed_late, peepholes, read(m.before_h), read(m.before_c), kept(m.third),
                                  m.h, m.memory, m.work, threads);
        gemm(g.rows, n, l.early(), static_cast<const T*>(a.data), a.stride, extent{1}, m.packed_early, m.h, n,
             static_cast<const T*>(nullptr), true, threads);
    }
}

/// The gradients that `m.a` holds now, added to those of the gates' weights, for each gate or null, and of x.
template <class T>
void recurrent_gradients(const recurrent_geometry& g, extent late, const T* x, const T* prepared,
                         const recurrent_memory<T>& m, T* const* dw, T* const* dr, T* const* dbias, T* dx,
                         thread_pool* threads) noexcept {
    const recurrent_weights<T> l{g.inputs, g.outputs, g.gates, late};
    const extent n = g.outputs, all = g.all(), width = g.width();
    const T *a = m.a, *const none = nullptr;
    const auto products = [&](const T* from, extent columns, extent first, extent last, T* const* to) {
        bool wanted = false;
        for (extent i = first; i < last; ++i) wanted |= to[i] != nullptr;
        if (!wanted) return;
        pack(from, columns, extent{1}, all, columns, m.packed, threads);
        for (extent i = first; i < last; ++i)
            if (to[i] != nullptr)
                gemm(n, columns, all, a + i * n, extent{1}, width, m.packed, to[i], columns, none, true, threads);
    };
    products(x, g.inputs, 0, g.gates, dw);
    products(m.before_h, n, 0, g.gates - late, dr);
    products(m.third, n, g.gates - late, g.gates, dr);
    for (extent i = 0; i < g.gates; ++i)
        if (dbias[i] != nullptr) column_sums(all, n, a + i * n, width, dbias[i], threads);
    if (dx == nullptr) return;
    pack(prepared + l.w(), g.inputs, extent{1}, width, g.inputs, m.packed, threads);
    gemm(all, g.inputs, width, a, width, extent{1}, m.packed, dx, g.inputs, none, true, threads);
}

/// to[j] += the sum over rows of a[row * a_stride + j] * c[row * n + j], j in [0, n): one chain, rows ascending.
template <class T>
void peephole_gradient(extent rows, extent n, const T* a, extent a_stride, const T* c, T* to) noexcept {
    for (extent r = 0; r < rows; ++r)
        for_each_batch<T>(n, [&](extent j, auto in, auto out) {
            out(to + j, kernels::fma<T>(in(a + r * a_stride + j), in(c + r * n + j), in(to + j)));
        });
}

}  // namespace bespoke::kernels

#include <algorithm>
#include <optional>
#include <variant>

/// What the recurrent layers of the Core ML specification share: simple_recurrent, gru, uni_directional_lstm,
/// bi_directional_lstm.
///
/// | x                   | y, with sequence_output | y, without and states |                                  |
/// |---------------------|-------------------------|-----------------------|----------------------------------|
/// | [steps, batch, C, 1, 1] | [steps, batch, n, 1, 1] | [1, batch, n, 1, 1] | of the specification          |
/// | [steps, batch, C]   | [steps, batch, n]       | [1, batch, n]         |                                  |
/// | [steps, C]          | [steps, n]              | [1, n]                | one sequence                     |
///
/// n is output_vector_size; y of bi_directional_lstm has 2 n. No step at all: the states stay what they are.
/// Inputs: x, or x and the states before the first step, which else are 0. Outputs: y, or, where states come in, y and
/// the states behind the last step.
/// With reverse_input the steps are taken from the last to the first, and y has them in that order.
/// What the gates' activations get is clipped to +-50.
namespace bespoke {

/// An activation of a gate: those that the specification allows. Core ML specification, ActivationParams.
struct recurrent_activation {
    using alternatives = std::variant<sigmoid, tanh, sigmoid_hard, linear, relu, scaled_tanh>;
    alternatives type{};

    static constexpr auto fields =
        std::tuple{oneof<recurrent_activation, alternatives>{&recurrent_activation::type}};

    constexpr recurrent_activation() = default;
    constexpr recurrent_activation(const sigmoid& f) : type(f) {}
    constexpr recurrent_activation(const tanh& f) : type(f) {}
    constexpr recurrent_activation(const sigmoid_hard& f) : type(f) {}
    constexpr recurrent_activation(const linear& f) : type(f) {}
    constexpr recurrent_activation(const relu& f) : type(f) {}
    constexpr recurrent_activation(const scaled_tanh& f) : type(f) {}

    template <class F>
    constexpr bool is() const {
        return std::holds_alternative<F>(type);
    }
    template <class V>
    V operator()(const V& x) const noexcept {
        return std::visit([&](const auto& f) -> V { return f(x); }, type);
    }
    template <class V>
    V derivative(const V& x, const V& y) const noexcept {
        return std::visit([&](const auto& f) -> V { return f.derivative(x, y); }, type);
    }
    friend bool operator==(const recurrent_activation&, const recurrent_activation&) = default;
};

namespace detail {

/// The views of a layer's parameters, gate by gate.
template <class T>
struct gate_arrays {
    std::array<T*, 4> w{}, r{}, bias{};
    std::array<T*, 3> peepholes{};
};

/// What a recurrent layer looks like from outside.
struct recurrent_form {
    extent input_size, output_size;  ///< declared
    extent gates, late = 0;
    std::size_t states = 1, directions = 1;  ///< states of each direction
    bool sequence_output, reverse = false, has_peepholes = false;
    extent raised_gate = -1;  ///< the gate to whose bias 1 is added; -1: none

    /// Elements of a sequence's working memory, so that no size can overflow.
    static constexpr extent most = extent{1} << 48;

    static constexpr std::size_t channel_axis(const shape& x) { return x.rank() == 2 ? 1 : 2; }
    static constexpr extent inputs(const shape& x) { return x[channel_axis(x)]; }
    static constexpr extent batch(const shape& x) { return x.rank() == 2 ? 1 : x[1]; }

    constexpr shape state_shape(const shape& x) const {
        shape y = x;
        y[0] = 1;
        y[channel_axis(x)] = output_size;
        return y;
    }
    constexpr outcome output_shape(std::span<const shape> xs) const {
        const shape& x = xs[0];
        const std::size_t all_states = states * directions;
        if (x.rank() != 2 && x.rank() != 3 && x.rank() != 5)
            return shape_fault("an input [steps, channels], [steps, batch, channels] or [steps, batch, channels, 1, 1] "
                               "wanted, its shape is ", x);
        if (x.rank() == 5 && (x[3] != 1 || x[4] != 1))
            return shape_fault("an input [steps, batch, channels, 1, 1] wanted, its shape is ", x);
        if (x[0] < 0 || batch(x) < 1 || inputs(x) < 1)
            return shape_fault("an input with a batch and channels wanted, its shape is ", x);
        if (output_size < 1) return value_fault("outputVectorSize from 1 up wanted, ", output_size, " given");
        if (input_size != unset && input_size != inputs(x))
            return shape_fault("an inputVectorSize of ", input_size, " declared, its input has ", inputs(x),
                               " channels (shape ", x, ")");
        const extent vectors = checked_product(std::max<extent>(x[0], 1), batch(x), most);
        const extent wide = checked_product(std::max(inputs(x), output_size), 64, most);
        if (vectors < 0 || wide < 0 || checked_product(vectors, wide, most) < 0)
            return shape_fault("a sequence of vectors of ", output_size, " is too much for an input of the shape ", x);
        if (xs.size() != 1 && xs.size() != 1 + all_states)
            return value_fault("1 or ", 1 + all_states, " inputs wanted, ", xs.size(), " named");
        for (std::size_t i = 1; i < xs.size(); ++i)
            if (!(xs[i] == state_shape(x)))
                return shape_fault("a state of the shape ", state_shape(x), " wanted as input ", i, ", its shape is ",
                                   xs[i]);
        shape y = state_shape(x);
        if (sequence_output) y[0] = x[0];
        y[channel_axis(x)] *= static_cast<extent>(directions);
        std::vector<shape> ys{y};
        for (std::size_t i = 1; i < xs.size(); ++i) ys.push_back(state_shape(x));
        return ys;
    }

    /// One sequence an example lie side by side: then all examples are the rows of one call.
    template <class X>
    static bool together(const X& x, extent examples) {
        return batch(x.dimensions) == 1 && (examples == 1 || x.stride != 0 || x.size() == 0);
    }
    constexpr kernels::recurrent_geometry geometry(const shape& x, extent examples, bool all_together,
                                                   bool reverse) const {
        const extent steps = x[0];
        return {.steps = steps,
                .rows = all_together ? examples : batch(x),
                .step_stride = all_together ? 1 : batch(x),
                .row_stride = all_together ? steps : 1,
                .inputs = inputs(x),
                .outputs = output_size,
                .gates = gates,
                .reverse = reverse,
                .in_place = directions == 2};
    }
    template <class T>
    extent scratch_size(const shape& x, extent examples) const {
        const auto size = [&](bool all_together) {
            return kernels::recurrent_memory<T>::size(geometry(x, examples, all_together, false), late);
        };
        return batch(x) == 1 ? std::max(size(true), size(false)) : size(false);
    }

    /// Elements that `prepare` writes for one direction; the peepholes stand last.
    template <class T>
    extent prepared_size(extent inputs) const {
        return weights<T>(inputs).size() + 3 * output_size;
    }
    template <class T>
    kernels::recurrent_weights<T> weights(extent inputs) const {
        return {inputs, output_size, gates, late};
    }
    template <class T>
    void prepare(extent inputs, const gate_arrays<const T>& p, T* prepared) const noexcept {
        const auto l = weights<T>(inputs);
        kernels::recurrent_prepare(l, p.w.data(), p.r.data(), p.bias.data(), prepared);
        for (extent i = 0; i < 3; ++i)
            if (const T* from = p.peepholes[static_cast<std::size_t>(i)])
                kernels::copy(output_size, from, prepared + l.size() + i * output_size);
        if (raised_gate < 0) return;
        T* const bias = prepared + l.bias() + raised_gate * output_size;
        for (extent i = 0; i < output_size; ++i) bias[i] += T(1);
    }
};

/// One direction of a recurrent layer in one call: all examples as rows, or one example with its batch as rows.
template <class T, class Cell>
struct recurrent_call {
    const recurrent_form& form;
    const Cell& cell;
    kernels::recurrent_geometry g;
    extent first;                ///< example
    bool all_together;
    std::size_t direction;
    const T *prepared, *peepholes;
    kernels::recurrent_memory<T> m;
    thread_pool* threads;

    extent width() const { return static_cast<extent>(form.directions) * g.outputs; }
    extent offset() const { return static_cast<extent>(direction) * g.outputs; }
    std::size_t state(std::size_t i) const { return 1 + direction * form.states + i; }
    /// Row r of a blob of one vector a row.
    template <class View>
    auto* row(const View& v, extent r, extent size) const {
        return all_together ? v.example(r) : v.example(first) + r * size;
    }
    T* part(std::size_t i) const { return i == 0 ? m.h : m.memory; }

    template <class X>
    void load_states(std::span<const X> xs) const noexcept {
        for (std::size_t i = 0; i < form.states; ++i)
            for (extent r = 0; r < g.rows; ++r)
                if (xs.size() > 1)
                    kernels::copy(g.outputs, row(xs[state(i)], r, g.outputs), part(i) + r * g.outputs);
                else
                    kernels::fill(g.outputs, T(0), part(i) + r * g.outputs);
    }
    template <class X, class Y>
    void forward(std::span<const X> xs, std::span<const Y> ys) const noexcept {
        load_states(xs);
        T* y = form.sequence_output ? ys[0].example(first) + offset() : nullptr;
        kernels::recurrent_forward(g, cell, xs[0].example(first), prepared, peepholes, m, y, width(), threads);
        for (extent r = 0; r < g.rows; ++r) {
            if (!form.sequence_output)
                kernels::copy(g.outputs, m.h + r * g.outputs, row(ys[0], r, width()) + offset());
            for (std::size_t i = 0; i < form.states && ys.size() > 1; ++i)
                kernels::copy(g.outputs, part(i) + r * g.outputs, row(ys[state(i)], r, g.outputs));
        }
    }
    template <class X, class Dx>
    void backward(std::span<const X> xs, std::span<const X> dys, std::span<const Dx> dxs,
                  const gate_arrays<T>& dp) const noexcept {
        const T* x = xs[0].example(first);
        load_states(xs);
        kernels::recurrent_recall(g, cell, x, prepared, peepholes, m, threads);
        for (std::size_t i = 0; i < form.states; ++i) kernels::fill(g.rows * g.outputs, T(0), part(i));
        for (extent r = 0; r < g.rows; ++r) {
            if (!form.sequence_output && dys[0])
                kernels::accumulate(g.outputs, row(dys[0], r, width()) + offset(), m.h + r * g.outputs);
            for (std::size_t i = 0; i < form.states && dys.size() > 1; ++i)
                if (dys[state(i)])
                    kernels::accumulate(g.outputs, row(dys[state(i)], r, g.outputs), part(i) + r * g.outputs);
        }
        const T* dy = form.sequence_output && dys[0] ? dys[0].example(first) + offset() : nullptr;
        kernels::recurrent_backward(g, cell, prepared, peepholes, m, dy, width(), threads);
        for (std::size_t i = 0; i < form.states && dxs.size() > 1; ++i)
            for (extent r = 0; r < g.rows && dxs[state(i)]; ++r)
                kernels::accumulate(g.outputs, part(i) + r * g.outputs, row(dxs[state(i)], r, g.outputs));
        kernels::recurrent_gradients(g, Cell::late, x, prepared, m, dp.w.data(), dp.r.data(), dp.bias.data(),
                                     dxs[0] ? dxs[0].example(first) : nullptr, threads);
        const extent n = g.outputs;
        constexpr extent gate_of[] = {0, 1, 3};
        for (std::size_t i = 0; i < 3; ++i)
            if (dp.peepholes[i] != nullptr)
                kernels::peephole_gradient(g.all(), n, m.a + gate_of[i] * n, g.width(), i == 2 ? m.third : m.before_c,
                                           dp.peepholes[i]);
    }
};

/// Calls `body(call)` for all examples together or one by one.
template <class T, class Cell, class X, class Body>
void each_recurrent_call(const recurrent_form& form, const Cell& cell, const X& x, extent examples,
                         std::size_t direction, const T* prepared, T* scratch, thread_pool* threads,
                         const Body& body) noexcept {
    const bool all_together = recurrent_form::together(x, examples);
    const auto g = form.geometry(x.dimensions, examples, all_together, form.reverse || direction == 1);
    const auto l = form.template weights<T>(g.inputs);
    const T* from = prepared + static_cast<extent>(direction) * form.template prepared_size<T>(g.inputs);
    const kernels::recurrent_memory<T> m(g, Cell::late, scratch);
    for (extent first = 0; first < (all_together ? 1 : examples); ++first)
        body(recurrent_call<T, Cell>{form, cell, g, first, all_together, direction, from,
                                     form.has_peepholes ? from + l.size() : nullptr, m, threads});
}

/// Whether views tell the compiler that there is one step of one sequence.
template <class X, class...>
inline constexpr bool one_step = [] {
    using S = std::remove_cvref_t<decltype(std::declval<X>().dimensions)>;
    constexpr shape s = S::value;
    return s[0] == 1 && recurrent_form::batch(s) == 1;
}();

/// One step of one sequence. xs: x and perhaps the states before it; ys: y and perhaps the states behind it.
template <class T, class Cell, class... X, class... Y>
[[gnu::always_inline]] inline void recurrent_step(const Cell& cell, const std::tuple<X...>& xs,
                                                  const std::tuple<Y...>& ys, const T* prepared,
                                                  bool has_peepholes) noexcept {
    constexpr extent inputs = decltype(std::get<0>(xs).size())::value, n = decltype(std::get<0>(ys).size())::value;
    constexpr bool has_states = sizeof...(X) > 1;
    constexpr kernels::fixed_step_geometry<inputs, n, Cell::gates> g;
    constexpr constant<(Cell::gates - Cell::late) * n> early;
    constexpr kernels::recurrent_weights<T> l{inputs, n, Cell::gates, Cell::late};
    alignas(64) T a[g.width], own[3 * n];
    T *h = own, *memory = own + n;
    const auto state = [&]<std::size_t I>(std::integral_constant<std::size_t, I>, T*& to)
                           __attribute__((always_inline)) {
                               if constexpr (has_states) {
                                   to = std::get<I>(ys).data;
                                   kernels::copy(g.outputs, std::get<I>(xs).data, to);
                               } else {
                                   kernels::fill(g.outputs, T(0), to);
                               }
                           };
    state(std::integral_constant<std::size_t, 1>{}, h);
    if constexpr (Cell::has_memory) state(std::integral_constant<std::size_t, 2>{}, memory);
    kernels::gemm(g.rows, g.width, g.inputs, std::get<0>(xs).data, extent{inputs}, extent{1}, prepared + l.packed_w(),
                  a, extent{g.width}, prepared + l.bias());
    kernels::gemm(g.rows, early, g.outputs, static_cast<const T*>(h), n, extent{1}, prepared + l.packed_early(), a,
                  extent{g.width}, static_cast<const T*>(nullptr), true);
    cell.forward(g, kernels::row_view<T>{a}, prepared + l.packed_late(), has_peepholes ? prepared + l.size() : nullptr,
                 h, memory, own + 2 * n, kernels::row_view<T>{std::get<0>(ys).data}, nullptr);
}

/// Runs a recurrent layer L, which says
/// - `form()`,
/// - `arrays<T>(p, D)`: the pointers of direction D, an integral constant, in its parameters,
/// - `with_cell(direction, body)`: calls body(cell) with a cell compiled for its activations, or with one for any.
template <class L>
struct recurrent_runner {
    L layer;  ///< resolved

    static constexpr auto key = L::key;
    static constexpr auto fields = std::tuple{};
    static constexpr input_count inputs = L::inputs;
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = true, .output = false};
    static constexpr std::size_t directions = L{}.form().directions;

    template <class T>
    using parameters = typename L::template parameters<T>;
    template <class T>
    static constexpr decltype(L::template parameter_fields<T>) parameter_fields = L::template parameter_fields<T>;

    constexpr outcome output_shape(std::span<const shape> xs) const { return layer.output_shape(xs); }
    constexpr parameters<shape> parameter_shapes(std::span<const shape> xs) const {
        return layer.parameter_shapes(xs);
    }
    template <class T>
    extent prepared_size(std::span<const shape>) const {
        const recurrent_form form = layer.form();
        return static_cast<extent>(directions) * form.prepared_size<T>(form.input_size);
    }
    template <class P, class T>
    void prepare(const P& p, T* prepared) const noexcept {
        const recurrent_form form = layer.form();
        kernels::unroll<directions>([&](auto d) {
            form.prepare(form.input_size, layer.template arrays<const T>(p, d), prepared);
            prepared += form.prepared_size<T>(form.input_size);
        });
    }
    template <class T>
    extent scratch_size(std::span<const shape> xs, extent examples, extent) const {
        return layer.form().template scratch_size<T>(xs[0], examples);
    }

    template <class X, class Y, class P, class W>
    void forward(std::span<const X> xs, std::span<const Y> ys, const P&, W& w) const noexcept {
        kernels::unroll<directions>([&](auto d) {
            each_call<typename X::value_type>(d, xs[0], ys[0].examples, w,
                                              [&](const auto& call) { call.forward(xs, ys); });
        });
    }
    template <class X, class Dx, class P, class Dp, class W>
    void backward(std::span<const X> xs, std::span<const X>, std::span<const X> dys, std::span<const Dx> dxs,
                  const P&, const Dp& dp, W& w) const noexcept {
        using T = typename X::value_type;
        kernels::unroll<directions>([&](auto d) {
            const auto to = layer.template arrays<T>(dp, d);
            each_call<T>(d, xs[0], dys[0].examples, w, [&](const auto& call) { call.backward(xs, dys, dxs, to); });
        });
    }
    template <class... X, class... Y, class P, class W>
        requires(directions == 1 && one_step<X...>)
    void forward_unrolled(const std::tuple<X...>& xs, const std::tuple<Y...>& ys, const P&, W& w) const noexcept {
        layer.with_cell(0, [&](const auto& cell) __attribute__((always_inline)) {
            recurrent_step(cell, xs, ys, w.prepared, layer.form().has_peepholes);
        });
    }
    friend bool operator==(const recurrent_runner&, const recurrent_runner&) = default;

private:
    template <class T, class X, class W, class Body>
    void each_call(std::size_t direction, const X& x, extent examples, W& w, const Body& body) const noexcept {
        const recurrent_form form = layer.form();
        layer.with_cell(direction, [&](const auto& cell) {
            each_recurrent_call<T>(form, cell, x, examples, direction, w.prepared, w.scratch, w.threads, body);
        });
    }
};

}  // namespace detail
}  // namespace bespoke

namespace bespoke {

/// Gated recurrent unit, for each step t, with f, g = activations:
///     z = f(W_z x_t + R_z y_{t-1} + b_z)    r = f(W_r x_t + R_r y_{t-1} + b_r)
///     o = g(W_o x_t + R_o (r y_{t-1}) + b_o)    y_t = (1 - z) o + z y_{t-1}
/// W [output_vector_size, input_vector_size], R [output_vector_size, output_vector_size], b [output_vector_size].
/// Shapes: see recurrent.hpp; the state is y. Cho et al., EMNLP 2014; Core ML specification, GRULayerParams.
struct gru {
    extent input_vector_size = unset;
    extent output_vector_size = unset;
    std::array<recurrent_activation, 2> activations{sigmoid{}, tanh{}};
    bool sequence_output = false;  ///< y of all steps, not only of the last
    bool has_bias_vectors = true;
    bool reverse_input = false;

    static constexpr auto key = "gru";
    static constexpr auto fields = std::tuple{field{"inputVectorSize", &gru::input_vector_size},
                                              field{"outputVectorSize", &gru::output_vector_size},
                                              field{"activations", &gru::activations},
                                              field{"sequenceOutput", &gru::sequence_output},
                                              field{"hasBiasVectors", &gru::has_bias_vectors},
                                              field{"reverseInput", &gru::reverse_input}};
    static constexpr input_count inputs{1, 2};

    template <class T>
    struct parameters {
        T update_gate_weight_matrix, reset_gate_weight_matrix, output_gate_weight_matrix;
        T update_gate_recursion_matrix, reset_gate_recursion_matrix, output_gate_recursion_matrix;
        T update_gate_bias_vector, reset_gate_bias_vector, output_gate_bias_vector;
    };
    template <class T>
    static constexpr auto parameter_fields = std::array{
        parameter_field{"updateGateWeightMatrix", &parameters<T>::update_gate_weight_matrix, initial::glorot},
        parameter_field{"resetGateWeightMatrix", &parameters<T>::reset_gate_weight_matrix, initial::glorot},
        parameter_field{"outputGateWeightMatrix", &parameters<T>::output_gate_weight_matrix, initial::glorot},
        parameter_field{"updateGateRecursionMatrix", &parameters<T>::update_gate_recursion_matrix, initial::glorot},
        parameter_field{"resetGateRecursionMatrix", &parameters<T>::reset_gate_recursion_matrix, initial::glorot},
        parameter_field{"outputGateRecursionMatrix", &parameters<T>::output_gate_recursion_matrix, initial::glorot},
        parameter_field{"updateGateBiasVector", &parameters<T>::update_gate_bias_vector},
        parameter_field{"resetGateBiasVector", &parameters<T>::reset_gate_bias_vector},
        parameter_field{"outputGateBiasVector", &parameters<T>::output_gate_bias_vector}};

    constexpr outcome output_shape(std::span<const shape> xs) const { return form().output_shape(xs); }
    constexpr gru resolved(std::span<const shape> xs) const {
        gru result = *this;
        result.input_vector_size = detail::recurrent_form::inputs(xs[0]);
        return result;
    }
    constexpr parameters<shape> parameter_shapes(std::span<const shape> xs) const {
        const extent n = output_vector_size;
        const shape w{n, detail::recurrent_form::inputs(xs[0])}, r{n, n}, b = has_bias_vectors ? shape{n} : absent;
        return {w, w, w, r, r, r, b, b, b};
    }

    constexpr detail::recurrent_runner<gru> equivalent(const shape& x) const { return {resolved(std::span(&x, 1))}; }
    friend bool operator==(const gru&, const gru&) = default;

    // For recurrent_runner.
    constexpr detail::recurrent_form form() const {
        return {.input_size = input_vector_size,
                .output_size = output_vector_size,
                .gates = 3,
                .late = 1,
                .sequence_output = sequence_output,
                .reverse = reverse_input};
    }
    template <class T, class P>
    static detail::gate_arrays<T> arrays(const P& p, std::size_t) noexcept {
        return {.w = {p.update_gate_weight_matrix.data, p.reset_gate_weight_matrix.data,
                      p.output_gate_weight_matrix.data},
                .r = {p.update_gate_recursion_matrix.data, p.reset_gate_recursion_matrix.data,
                      p.output_gate_recursion_matrix.data},
                .bias = {p.update_gate_bias_vector.data, p.reset_gate_bias_vector.data,
                         p.output_gate_bias_vector.data}};
    }
    template <class Body>
    [[gnu::always_inline]] void with_cell(std::size_t, const Body& body) const noexcept {
        if (activations[0].is<sigmoid>() && activations[1].is<tanh>())
            body(kernels::gru_cell<sigmoid, tanh>{});
        else
            body(kernels::gru_cell<recurrent_activation, recurrent_activation>{activations[0], activations[1]});
    }
};

}  // namespace bespoke


namespace bespoke {

/// Fully connected layer: y = x Wᵀ + b.
///
/// W [output_channels, input_channels], b [output_channels]. x is a matrix of rows of input_channels:
///
/// | x                | y                        |
/// |------------------|--------------------------|
/// | [C]              | [output_channels]        |
/// | [n, C]           | [n, output_channels]     |
/// | [m, n, C]        | [m, n, output_channels]  |
/// | [C, 1, 1]        | [output_channels, 1, 1], what `flatten` gives of one [C, H, W] |
/// | [n, C, H, W]     | [n, output_channels, 1, 1]; C H W = input_channels |
/// | [m, n, C, H, W]  | [m, n, output_channels, 1, 1] |
///
/// Core ML specification, InnerProductLayerParams; [C, 1, 1] goes beyond it.
struct inner_product {
    extent input_channels = unset;
    extent output_channels = unset;
    bool has_bias = true;

    static constexpr auto key = "innerProduct";
    static constexpr auto fields = std::tuple{field{"inputChannels", &inner_product::input_channels},
                                              field{"outputChannels", &inner_product::output_channels},
                                              field{"hasBias", &inner_product::has_bias}};
    static constexpr bool batched = true;
    static constexpr bool runs_epilogue = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    template <class T>
    using parameters = weights_and_bias<T>;
    template <class T>
    static constexpr auto parameter_fields = weights_and_bias<T>::fields;

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() < 1 || x.rank() > 5)
            return shape_fault("an input of rank 1 to 5 wanted, its shape is ", x);
        if (output_channels < 1) return value_fault("outputChannels from 1 up wanted, ", output_channels, " given");
        const extent channels = columns(x);
        if (channels < 1) return shape_fault("an input that is not empty wanted, its shape is ", x);
        if (input_channels != unset && input_channels != channels)
            return shape_fault(input_channels, " input channels declared, its input has ", channels, " (shape ", x, ")");
        shape y;
        for (std::size_t axis = 0; axis < leading(x); ++axis) y.push_back(x[axis]);
        y.push_back(output_channels);
        while (y.rank() < x.rank()) y.push_back(1);
        return y;
    }
    constexpr inner_product resolved(const shape& x) const {
        return {.input_channels = columns(x), .output_channels = output_channels, .has_bias = has_bias};
    }
    constexpr parameters<shape> parameter_shapes(const shape& x) const {
        return {.weights = {output_channels, columns(x)}, .bias = has_bias ? shape{output_channels} : absent};
    }

    template <class T>
    low_precision precision(const shape& x, const arithmetic& how) const {
        return kernels::weighted_precision<T>(how, columns(x), output_channels);
    }
    template <class T>
    extent prepared_size(const shape& x, const arithmetic& how) const {
        return kernels::weights_size<T>(how, columns(x), output_channels);
    }
    template <class P, class T>
    void prepare(const P& p, T* prepared, const arithmetic& how) const noexcept {
        kernels::pack_weights(how, p.weights.data, p.weights[1], output_channels, prepared);
    }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P& p, W& w) const noexcept {
        const auto k = columns_of(x);
        const auto n = columns_of(y);
        const auto rows = rows_of(x, k);
        kernels::weighted_gemm(rows, n, k, x.data, p.weights.data, y.data, p.bias.data, w);
    }

    template <class T>
    extent scratch_size(const shape& x, extent examples, extent) const {
        const extent k = columns(x), rows = x.size() / k * examples;
        return std::max({kernels::packed_size<T>(output_channels, k), kernels::packed_size<T>(rows, k),
                         kernels::packed_size<T>(k, output_channels)});
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y, Dy dy, Dx dx, const P& p, const Dp& dp, W& w) const noexcept {
        using T = typename X::value_type;
        const extent k = p.weights[1], n = output_channels, rows = dy.total() / n;
        T* packed = w.scratch;
        if (dp.weights) {
            kernels::pack(x.data, k, extent{1}, rows, k, packed, w.threads);
            kernels::gemm(n, k, rows, dy.data, extent{1}, n, packed, dp.weights.data, k,
                          static_cast<const T*>(nullptr), true, w.threads);
        }
        if (dp.bias) kernels::column_sums(rows, n, dy.data, n, dp.bias.data, w.threads);
        if (dx) {
            kernels::pack(p.weights.data, k, extent{1}, n, k, packed, w.threads);
            kernels::gemm(rows, k, n, dy.data, n, extent{1}, packed, dx.data, k, static_cast<const T*>(nullptr), true,
                          w.threads);
        }
    }
    friend bool operator==(const inner_product&, const inner_product&) = default;

private:
    template <class S>
    static constexpr bool one_example(const S& x) {
        return x.rank() == 3 && x[1] == 1 && x[2] == 1;
    }
    /// Number of leading axes that count rows.
    template <class S>
    static constexpr std::size_t leading(const S& x) {
        return x.rank() > 3 ? x.rank() - 3 : one_example(x) ? 0 : x.rank() - 1;
    }
    static constexpr extent columns(const shape& x) { return x.product(leading(x), x.rank()); }

    template <class View>
    static constexpr auto columns_of(const View& x) {
        using S = std::remove_cvref_t<decltype(x.dimensions)>;
        if constexpr (std::is_same_v<S, shape>)
            return columns(x.dimensions);
        else
            return constant<columns(S::value)>{};
    }
    template <class View, class K>
    static constexpr auto rows_of(const View& x, K k) {
        if constexpr (std::is_same_v<K, extent> || std::is_same_v<std::remove_cvref_t<decltype(x.total())>, extent>)
            return static_cast<extent>(x.total()) / extent{k};
        else
            return constant<decltype(x.total())::value / K::value>{};
    }
};

}  // namespace bespoke


#include <limits>

namespace bespoke {

/// Layer normalisation: y = gamma (x - mean) / sqrt(variance + eps) + beta, mean and (biased) variance over
/// the last axes, whose extents are normalized_shape; the axes before them are rows.
/// x [.., normalized_shape] -> y of the same shape; gamma, beta [normalized_shape].
/// Ba, Kiros and Hinton, 2016 (arXiv 1607.06450); Core ML specification, LayerNormalizationLayerParams.
struct layer_normalization {
    shape normalized_shape{};
    float eps = 1e-5F;

    static constexpr auto key = "layerNormalization";
    static constexpr auto fields =
        std::tuple{field{"normalizedShape", &layer_normalization::normalized_shape},
                   field{"eps", &layer_normalization::eps}};
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    template <class T>
    struct parameters {
        T gamma, beta;
    };
    template <class T>
    static constexpr auto parameter_fields =
        std::array{parameter_field{"gamma", &parameters<T>::gamma, initial::one},
                   parameter_field{"beta", &parameters<T>::beta, initial::zero}};

    constexpr outcome output_shape(const shape& x) const {
        const std::size_t rank = normalized_shape.rank();
        if (rank < 1) return value_fault("normalizedShape of one extent or more wanted, [] given");
        bool fits = rank <= x.rank();
        for (std::size_t i = 1; fits && i <= rank; ++i) fits = x.from_end(i) == normalized_shape.from_end(i);
        if (!fits)
            return shape_fault("an input whose last extents are ", normalized_shape, " wanted, its shape is ",
                               x);
        for (extent e : x)
            if (e < 1) return shape_fault("an input that is not empty wanted, its shape is ", x);
        if (!(eps >= 0) || eps > std::numeric_limits<float>::max())
            return value_fault("a finite eps from 0 up wanted");
        return x;
    }
    constexpr parameters<shape> parameter_shapes(const shape&) const {
        return {.gamma = normalized_shape, .beta = normalized_shape};
    }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P& p, W& w) const noexcept {
        using T = typename X::value_type;
        const extent n = normalized_shape.size(), rows = x.total() / n;
        kernels::layer_normalization(rows, n, x.data, p.gamma.data, p.beta.data, static_cast<T>(eps), y.data,
                                     w.threads);
    }

    template <class T>
    extent scratch_size(const shape& x, extent examples, extent) const {
        return 2 * (x.size() / normalized_shape.size()) * examples;
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y, Dy dy, Dx dx, const P& p, const Dp& dp, W& w) const noexcept {
        using T = typename X::value_type;
        const extent n = normalized_shape.size(), rows = x.total() / n;
        kernels::layer_normalization_backward(rows, n, x.data, p.gamma.data, static_cast<T>(eps), dy.data,
                                              dx.data, dp.gamma.data, dp.beta.data, w.scratch, w.threads);
    }
    friend bool operator==(const layer_normalization&, const layer_normalization&) = default;
};

}  // namespace bespoke


#include <limits>

namespace bespoke {

/// What both LSTM layers have in common. Core ML specification, LSTMParams.
struct lstm_params {
    bool sequence_output = false;  ///< y of all steps, not only of the last
    bool has_bias_vectors = true;
    bool forget_bias = false;  ///< 1 is added to the bias of the forget gate
    bool has_peephole_vectors = false;
    bool coupled_input_and_forget_gate = false;  ///< f = 1 - i; the forget gate's weights are not used
    float cell_clip_threshold = 50;              ///< 0 means 50

    static constexpr auto fields =
        std::tuple{field{"sequenceOutput", &lstm_params::sequence_output},
                   field{"hasBiasVectors", &lstm_params::has_bias_vectors},
                   field{"forgetBias", &lstm_params::forget_bias},
                   field{"hasPeepholeVectors", &lstm_params::has_peephole_vectors},
                   field{"coupledInputAndForgetGate", &lstm_params::coupled_input_and_forget_gate},
                   field{"cellClipThreshold", &lstm_params::cell_clip_threshold}};
    friend bool operator==(const lstm_params&, const lstm_params&) = default;
};

/// The weights of one direction. Core ML specification, LSTMWeightParams.
template <class T, std::size_t Direction = 0>
struct lstm_weights {
    T input_gate_weight_matrix, forget_gate_weight_matrix, block_input_weight_matrix, output_gate_weight_matrix;
    T input_gate_recursion_matrix, forget_gate_recursion_matrix, block_input_recursion_matrix,
        output_gate_recursion_matrix;
    T input_gate_bias_vector, forget_gate_bias_vector, block_input_bias_vector, output_gate_bias_vector;
    T input_gate_peephole_vector, forget_gate_peephole_vector, output_gate_peephole_vector;
};

namespace detail {

/// The arrays of one direction in the order of the specification: W, R and b of i, f, z, o; p of i, f, o.
template <class T, std::size_t D>
inline constexpr std::array lstm_members{
    &lstm_weights<T, D>::input_gate_weight_matrix,     &lstm_weights<T, D>::forget_gate_weight_matrix,
    &lstm_weights<T, D>::block_input_weight_matrix,    &lstm_weights<T, D>::output_gate_weight_matrix,
    &lstm_weights<T, D>::input_gate_recursion_matrix,  &lstm_weights<T, D>::forget_gate_recursion_matrix,
    &lstm_weights<T, D>::block_input_recursion_matrix, &lstm_weights<T, D>::output_gate_recursion_matrix,
    &lstm_weights<T, D>::input_gate_bias_vector,       &lstm_weights<T, D>::forget_gate_bias_vector,
    &lstm_weights<T, D>::block_input_bias_vector,      &lstm_weights<T, D>::output_gate_bias_vector,
    &lstm_weights<T, D>::input_gate_peephole_vector,   &lstm_weights<T, D>::forget_gate_peephole_vector,
    &lstm_weights<T, D>::output_gate_peephole_vector};

/// "weightParams.inputGateWeightMatrix"; with two directions "weightParams.0.inputGateWeightMatrix".
template <std::size_t Directions>
inline constexpr auto lstm_names = [] {
    constexpr std::string_view gates[] = {"inputGate", "forgetGate", "blockInput", "outputGate"};
    constexpr std::string_view kinds[] = {"WeightMatrix", "RecursionMatrix", "BiasVector", "PeepholeVector"};
    std::array<sentence, 15 * Directions> names;
    std::size_t i = 0;
    for (std::size_t direction = 0; direction < Directions; ++direction)
        for (std::size_t kind = 0; kind < 4; ++kind)
            for (std::size_t gate = 0; gate < 4; ++gate)
                if (kind < 3 || gate != 2) {
                    sentence name("weightParams.");
                    if (Directions == 2) name.append(sentence(direction, "."));
                    name.append(sentence(gates[gate], kinds[kind]));
                    names[i++] = name;
                }
    return names;
}();

/// `parameter_fields` of a layer whose Parameters hold the weights of some directions.
template <class T, class Parameters, std::size_t... D>
constexpr auto lstm_fields(std::index_sequence<D...>) {
    std::array<parameter_field<Parameters, T>, 15 * sizeof...(D)> fields{};
    std::size_t i = 0;
    const auto add = [&](const auto& members) {
        for (const auto member : members) {
            fields[i] = {lstm_names<sizeof...(D)>[i].view(), member,
                         i % 15 < 8 ? initial::glorot : initial::zero};
            ++i;
        }
    };
    (add(lstm_members<T, D>), ...);
    return fields;
}

constexpr recurrent_form lstm_form(extent input_size, extent output_size, const lstm_params& params,
                                   std::size_t directions) {
    return {.input_size = input_size,
            .output_size = output_size,
            .gates = 4,
            .states = 2,
            .directions = directions,
            .sequence_output = params.sequence_output,
            .has_peepholes = params.has_peephole_vectors,
            .raised_gate = params.forget_bias ? 1 : -1};
}
constexpr outcome lstm_output_shape(const recurrent_form& form, const lstm_params& params,
                                    std::span<const shape> xs) {
    if (!(params.cell_clip_threshold >= 0) || params.cell_clip_threshold > std::numeric_limits<float>::max())
        return value_fault("a finite cellClipThreshold from 0 up wanted");
    return form.output_shape(xs);
}
template <std::size_t D>
constexpr void lstm_shapes(lstm_weights<shape, D>& shapes, extent inputs, extent outputs, const lstm_params& params) {
    for (std::size_t i = 0; i < 15; ++i) {
        shape& s = shapes.*lstm_members<shape, D>[i];
        s = {outputs};
        if (i < 4) s = {outputs, inputs};
        else if (i < 8) s = {outputs, outputs};
        else if (i < 12 ? !params.has_bias_vectors : !params.has_peephole_vectors) s = absent;
    }
}
/// The pointers of views of type View on T.
template <class T, std::size_t D, class View>
gate_arrays<T> lstm_arrays(const lstm_weights<View, D>& p) noexcept {
    gate_arrays<T> a;
    for (std::size_t i = 0; i < 15; ++i) {
        T* const data = (p.*lstm_members<View, D>[i]).data;
        (i < 4 ? a.w[i] : i < 8 ? a.r[i - 4] : i < 12 ? a.bias[i - 8] : a.peepholes[i - 12]) = data;
    }
    return a;
}

/// Calls `body(cell)` with a cell compiled for these activations, or with one for any.
template <class Body>
[[gnu::always_inline]] inline void with_lstm_cell(const lstm_params& params,
                                                  const std::array<recurrent_activation, 3>& activations,
                                                  const Body& body) noexcept {
    const auto& [f, g, h] = activations;
    const float clip = params.cell_clip_threshold == 0 ? 50.0F : params.cell_clip_threshold;
    const bool coupled = params.coupled_input_and_forget_gate;
    if (f.is<sigmoid>() && g.is<tanh>() && h.is<tanh>())
        body(kernels::lstm_cell<sigmoid, tanh, tanh>{{}, {}, {}, coupled, clip});
    else
        body(kernels::lstm_cell<recurrent_activation, recurrent_activation, recurrent_activation>{f, g, h, coupled,
                                                                                                    clip});
}

}  // namespace detail

/// Long short-term memory, for each step t, with f, g, h = activations:
///     i = f(W_i x_t + R_i y_{t-1} + p_i c_{t-1} + b_i)    z = g(W_z x_t + R_z y_{t-1} + b_z)
///     f = f(W_f x_t + R_f y_{t-1} + p_f c_{t-1} + b_f)    c_t = clip(c_{t-1} f + i z), c_{t-1} (1 - i) + i z if coupled
///     o = f(W_o x_t + R_o y_{t-1} + p_o c_t + b_o)        y_t = h(c_t) o
/// W [output_vector_size, input_vector_size], R [output_vector_size, output_vector_size], p, b [output_vector_size].
/// Shapes: see recurrent.hpp; the states are y and c.
/// Hochreiter and Schmidhuber, 1997; Gers and Schmidhuber, 2000; Core ML specification,
/// UniDirectionalLSTMLayerParams.
struct uni_directional_lstm {
    extent input_vector_size = unset;
    extent output_vector_size = unset;
    std::array<recurrent_activation, 3> activations{sigmoid{}, tanh{}, tanh{}};
    lstm_params params{};
    bool reverse_input = false;

    static constexpr auto key = "uniDirectionalLSTM";
    static constexpr auto fields =
        std::tuple{field{"inputVectorSize", &uni_directional_lstm::input_vector_size},
                   field{"outputVectorSize", &uni_directional_lstm::output_vector_size},
                   field{"activations", &uni_directional_lstm::activations},
                   field{"params", &uni_directional_lstm::params},
                   field{"reverseInput", &uni_directional_lstm::reverse_input}};
    static constexpr input_count inputs{1, 3};

    template <class T>
    using parameters = lstm_weights<T>;
    template <class T>
    static constexpr auto parameter_fields = detail::lstm_fields<T, lstm_weights<T>>(std::index_sequence<0>{});

    constexpr outcome output_shape(std::span<const shape> xs) const {
        return detail::lstm_output_shape(form(), params, xs);
    }
    constexpr uni_directional_lstm resolved(std::span<const shape> xs) const {
        uni_directional_lstm result = *this;
        result.input_vector_size = detail::recurrent_form::inputs(xs[0]);
        return result;
    }
    constexpr lstm_weights<shape> parameter_shapes(std::span<const shape> xs) const {
        lstm_weights<shape> shapes;
        detail::lstm_shapes(shapes, detail::recurrent_form::inputs(xs[0]), output_vector_size, params);
        return shapes;
    }

    constexpr detail::recurrent_runner<uni_directional_lstm> equivalent(const shape& x) const {
        return {resolved(std::span(&x, 1))};
    }
    friend bool operator==(const uni_directional_lstm&, const uni_directional_lstm&) = default;

    // For recurrent_runner.
    constexpr detail::recurrent_form form() const {
        detail::recurrent_form f = detail::lstm_form(input_vector_size, output_vector_size, params, 1);
        f.reverse = reverse_input;
        return f;
    }
    template <class T, class P>
    static detail::gate_arrays<T> arrays(const P& p, std::size_t) noexcept {
        return detail::lstm_arrays<T>(p);
    }
    template <class Body>
    [[gnu::always_inline]] void with_cell(std::size_t, const Body& body) const noexcept {
        detail::with_lstm_cell(params, activations, body);
    }
};

/// Two LSTMs over the same sequence, the second from the last step to the first; y_t holds both, one behind the other,
/// for the same x_t. Without sequence_output: what each has after all steps.
/// Shapes: see recurrent.hpp; the states are y and c of the first, then y and c of the second.
/// Core ML specification, BiDirectionalLSTMLayerParams.
struct bi_directional_lstm {
    extent input_vector_size = unset;
    extent output_vector_size = unset;  ///< of each direction
    std::array<recurrent_activation, 3> activations_forward_lstm{sigmoid{}, tanh{}, tanh{}};
    std::array<recurrent_activation, 3> activations_backward_lstm{sigmoid{}, tanh{}, tanh{}};
    lstm_params params{};

    static constexpr auto key = "biDirectionalLSTM";
    static constexpr auto fields =
        std::tuple{field{"inputVectorSize", &bi_directional_lstm::input_vector_size},
                   field{"outputVectorSize", &bi_directional_lstm::output_vector_size},
                   field{"activationsForwardLSTM", &bi_directional_lstm::activations_forward_lstm},
                   field{"activationsBackwardLSTM", &bi_directional_lstm::activations_backward_lstm},
                   field{"params", &bi_directional_lstm::params}};
    static constexpr input_count inputs{1, 5};

    template <class T>
    struct parameters : lstm_weights<T, 0>, lstm_weights<T, 1> {};
    template <class T>
    static constexpr auto parameter_fields = detail::lstm_fields<T, parameters<T>>(std::index_sequence<0, 1>{});

    constexpr outcome output_shape(std::span<const shape> xs) const {
        return detail::lstm_output_shape(form(), params, xs);
    }
    constexpr bi_directional_lstm resolved(std::span<const shape> xs) const {
        bi_directional_lstm result = *this;
        result.input_vector_size = detail::recurrent_form::inputs(xs[0]);
        return result;
    }
    constexpr parameters<shape> parameter_shapes(std::span<const shape> xs) const {
        const extent channels = detail::recurrent_form::inputs(xs[0]);
        parameters<shape> shapes;
        detail::lstm_shapes<0>(shapes, channels, output_vector_size, params);
        detail::lstm_shapes<1>(shapes, channels, output_vector_size, params);
        return shapes;
    }

    constexpr detail::recurrent_runner<bi_directional_lstm> equivalent(const shape& x) const {
        return {resolved(std::span(&x, 1))};
    }
    friend bool operator==(const bi_directional_lstm&, const bi_directional_lstm&) = default;

    // For recurrent_runner.
    constexpr detail::recurrent_form form() const {
        return detail::lstm_form(input_vector_size, output_vector_size, params, 2);
    }
    template <class T, class View, std::size_t D>
    static detail::gate_arrays<T> arrays(const parameters<View>& p, std::integral_constant<std::size_t, D>) noexcept {
        return detail::lstm_arrays<T, D, View>(p);
    }
    template <class Body>
    void with_cell(std::size_t direction, const Body& body) const noexcept {
        detail::with_lstm_cell(params, direction == 0 ? activations_forward_lstm : activations_backward_lstm, body);
    }
};

}  // namespace bespoke


namespace bespoke {

/// y = x1 x2 ..., element by element, from the left; of a single input, y = alpha x.
/// Shapes: see `broadcast_shape`. Core ML specification, MultiplyLayerParams.
struct multiply {
    float alpha = 1;

    static constexpr auto key = "multiply";
    static constexpr auto fields = std::tuple{field{"alpha", &multiply::alpha}};
    static constexpr input_count inputs{1, any_number};
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    constexpr outcome output_shape(std::span<const shape> xs) const { return broadcast_shape(xs); }
    constexpr bool finishes(std::span<const shape> xs) const { return detail::can_finish_binary(xs); }

    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        const auto& y = ys[0];
        using T = typename Ys::value_type::value_type;
        using kernels::batch;
        if (detail::walk_together(xs, y)) {
            parallel_for(w.threads, y.total(), 4096, [&](extent begin, extent end) {
                kernels::for_each_batch<T>(end - begin, [&](extent i, auto in, auto out) {
                    batch<T> product = in(xs[0].data + begin + i);
                    if (xs.size() == 1) product = product * batch<T>(alpha);
                    for (std::size_t k = 1; k < xs.size(); ++k)
                        product = product * in(xs[k].data + begin + i);
                    out(y.data + begin + i, product);
                });
            });
            return;
        }
        detail::each_example(y, true, w.threads, [&](extent e) {
            product_without(xs.size(), xs, e, y.dimensions, y.example(e));
        });
    }

    template <class T>
    void finish(const output_block<T>& block, const finishing<T>& with) const noexcept {
        detail::finish_binary(block, with, static_cast<T>(alpha),
                              [](const auto& a, const auto& b) { return a * b; });
    }
    template <class T>
    extent scratch_size(std::span<const shape> xs, extent examples, extent) const {
        return xs.size() > 2 ? output_shape(xs).shapes()[0].size() * examples : 0;
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs xs, Ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        const auto& dy = dys[0];
        using T = typename Dxs::value_type::value_type;
        for (std::size_t k = 0; k < xs.size(); ++k) {
            const auto& dx = dxs[k];
            if (!dx) continue;
            if (xs.size() == 1) {
                parallel_for(w.threads, dy.total(), 4096, [&](extent begin, extent end) {
                    kernels::accumulate_scaled(end - begin, T(alpha), dy.data + begin, dx.data + begin);
                });
            } else if (xs.size() == 2 && detail::walk_together(xs, dy)) {
                const T* other = xs[1 - k].data;
                parallel_for(w.threads, dy.total(), 4096, [&](extent begin, extent end) {
                    const shape part{end - begin};
                    kernels::multiply_reduce_to(part, dy.data + begin, other + begin, part, part,
                                                dx.data + begin);
                });
            } else {
                detail::each_example(dy, dx.stride != 0, w.threads, [&](extent e) {
                    const auto& other = xs[k == 0 ? 1 : 0];
                    const T* others = other.example(e);
                    shape others_shape = other.dimensions;
                    if (xs.size() > 2) {
                        T* product = w.scratch + e * dy.dimensions.size();
                        product_without(k, xs, e, dy.dimensions, product);
                        others = product;
                        others_shape = dy.dimensions;
                    }
                    kernels::multiply_reduce_to(dy.dimensions, dy.example(e), others, others_shape,
                                                dx.dimensions, dx.example(e));
                });
            }
        }
    }
    friend bool operator==(const multiply&, const multiply&) = default;

private:
    /// y = the product of all inputs but `left_out`, of which at least two remain, in example e.
    template <class Xs, class T>
    static void product_without(std::size_t left_out, const Xs& xs, extent e, const shape& y_shape,
                                T* y) noexcept {
        const auto times = [](const auto& a, const auto& b) { return a * b; };
        const std::size_t first = left_out == 0 ? 1 : 0, second = left_out == 1 ? 2 : first + 1;
        kernels::binary(times, y_shape, xs[first].example(e), xs[first].dimensions, xs[second].example(e),
                        xs[second].dimensions, y);
        for (std::size_t k = second + 1; k < xs.size(); ++k)
            if (k != left_out)
                kernels::binary(times, y_shape, static_cast<const T*>(y), y_shape, xs[k].example(e),
                                xs[k].dimensions, y);
    }
};

}  // namespace bespoke


/// The activations of the Core ML specification that have parameters: one a channel (axis -3), or one for
/// all. Which of the two is no field of the specification but the length of its arrays: `shared_alpha` and
/// `shared_beta` say it, and who reads a file sets them from the data with `set_lengths`.
namespace bespoke {

namespace detail {

/// x [..., C, H, W] of all examples as runs of elements: H W of one channel, or C where H W = 1.
struct channel_runs {
    extent outer, channels, inner, runs, length;

    template <class X>
    explicit channel_runs(const X& x) noexcept {
        const shape s = x.dimensions;
        channels = s.from_end(3);
        inner = s.product(s.rank() - 2, s.rank());
        outer = s.product(0, s.rank() - 3) * x.examples;
        runs = inner == 1 ? outer : outer * channels;
        length = inner == 1 ? channels : inner;
    }
    extent channel(extent run) const { return inner == 1 ? 0 : run % channels; }
};

/// A parameter as it meets the elements of a run.
template <class T>
struct channel_parameter {
    const T* data;
    bool shared, moves;

    template <class P>
    channel_parameter(const P& p, bool is_shared, const channel_runs& r) noexcept
        : data(p.data), shared(is_shared), moves(!is_shared && r.inner == 1) {}
    /// For the elements from i on in a run of `channel`.
    template <class In>
    kernels::batch<T> operator()(extent channel, extent i, const In& in) const noexcept {
        return moves ? in(data + i) : kernels::batch<T>(shared ? data[0] : data[channel]);
    }
};

/// Calls body(channel, offset of the run in x); runs are spread over the threads.
template <class Body>
void each_channel_run(const channel_runs& r, thread_pool* threads, const Body& body) noexcept {
    if (r.runs * r.length < (1 << 14)) threads = nullptr;
    parallel_for(threads, r.runs, 1, [&](extent first, extent last) {
        for (extent run = first; run < last; ++run) body(r.channel(run), run * r.length);
    });
}

/// dp += the sum of value(channel, offset, i, in) over the elements that meet each parameter.
template <class T, class Value>
void sum_to_channels(const channel_runs& r, bool shared, T* dp, const Value& value) noexcept {
    using kernels::batch;
    const auto along_run = [&](extent channel, extent offset, T* to) {
        batch<T> sum(T(0));
        kernels::for_each_batch<T>(
            r.length, [&](extent i, auto in, auto) { sum = sum + value(channel, offset, i, in); });
        *to += kernels::sum_lanes<T>(sum);
    };
    for (extent run = 0; run < r.runs; ++run) {
        const extent channel = r.channel(run), offset = run * r.length;
        if (shared)
            along_run(channel, offset, dp);
        else if (r.inner != 1)
            along_run(channel, offset, dp + channel);
        else
            kernels::for_each_batch<T>(r.length, [&](extent i, auto in, auto out) {
                out(dp + i, in(dp + i) + value(channel, offset, i, in));
            });
    }
}

constexpr outcome channel_activation_shape(const shape& x) {
    if (x.rank() < 3) return shape_fault("an input of rank 3 or more wanted, its shape is ", x);
    return x;
}

}  // namespace detail

/// y = x for x >= 0, else alpha x; alpha [C], or [1] with `shared_alpha`. x [..., C, H, W].
/// At 0 the slope is alpha. He et al., ICCV 2015.
struct prelu {
    bool shared_alpha = false;  ///< one alpha for all channels

    static constexpr auto key = "activation", nested_key = "PReLU";
    static constexpr auto fields = std::tuple{};
    static constexpr bool batched = true;
    static constexpr bool in_place = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    template <class T>
    struct parameters {
        T alpha;
    };
    template <class T>
    static constexpr auto parameter_fields = std::array{parameter_field{"alpha", &parameters<T>::alpha}};

    constexpr outcome output_shape(const shape& x) const { return detail::channel_activation_shape(x); }
    constexpr parameters<shape> parameter_shapes(const shape& x) const {
        return {.alpha = {shared_alpha ? 1 : x.from_end(3)}};
    }
    /// Takes from the lengths of the arrays of a file, in the order of `parameter_fields`, what is shared.
    constexpr void set_lengths(std::span<const extent> lengths) { shared_alpha = lengths[0] == 1; }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P& p, W& w) const noexcept {
        using T = typename X::value_type;
        const detail::channel_runs r(x);
        const detail::channel_parameter<T> alpha(p.alpha, shared_alpha, r);
        detail::each_channel_run(r, w.threads, [&](extent channel, extent offset) {
            kernels::for_each_batch<T>(r.length, [&](extent i, auto in, auto out) {
                const auto v = in(x.data + offset + i);
                out(y.data + offset + i,
                    kernels::select(v >= kernels::batch<T>(T(0)), v, alpha(channel, i, in) * v));
            });
        });
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y, Dy dy, Dx dx, const P& p, const Dp& dp, W& w) const noexcept {
        using T = typename X::value_type;
        using batch = kernels::batch<T>;
        const detail::channel_runs r(x);
        const detail::channel_parameter<T> alpha(p.alpha, shared_alpha, r);
        if (dx)
            detail::each_channel_run(r, w.threads, [&](extent channel, extent offset) {
                kernels::for_each_batch<T>(r.length, [&](extent i, auto in, auto out) {
                    const batch slope = kernels::select(in(x.data + offset + i) > batch(T(0)), batch(T(1)),
                                                        alpha(channel, i, in));
                    T* to = dx.data + offset + i;
                    out(to, kernels::fma<T>(in(dy.data + offset + i), slope, in(to)));
                });
            });
        if (dp.alpha)
            detail::sum_to_channels(
                r, shared_alpha, dp.alpha.data, [&](extent, extent offset, extent i, auto in) {
                    return kernels::min<T>(batch(T(0)), in(x.data + offset + i)) * in(dy.data + offset + i);
                });
    }
    friend bool operator==(const prelu&, const prelu&) = default;
};

/// y = alpha log(1 + e^(beta x)); alpha, beta [C], or [1] with `shared_alpha`, `shared_beta`.
/// x [..., C, H, W].
struct parametric_softplus {
    bool shared_alpha = false, shared_beta = false;  ///< one for all channels

    static constexpr auto key = "activation", nested_key = "parametricSoftplus";
    static constexpr auto fields = std::tuple{};
    static constexpr bool batched = true;
    static constexpr bool in_place = true;
    static constexpr backward_needs needs{.input = true, .output = false};

    template <class T>
    struct parameters {
        T alpha, beta;
    };
    template <class T>
    static constexpr auto parameter_fields =
        std::array{parameter_field{"alpha", &parameters<T>::alpha, initial::one},
                   parameter_field{"beta", &parameters<T>::beta, initial::one}};

    constexpr outcome output_shape(const shape& x) const { return detail::channel_activation_shape(x); }
    constexpr parameters<shape> parameter_shapes(const shape& x) const {
        return {.alpha = {shared_alpha ? 1 : x.from_end(3)}, .beta = {shared_beta ? 1 : x.from_end(3)}};
    }
    /// Takes from the lengths of the arrays of a file, in the order of `parameter_fields`, what is shared.
    constexpr void set_lengths(std::span<const extent> lengths) {
        shared_alpha = lengths[0] == 1;
        shared_beta = lengths[1] == 1;
    }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P& p, W& w) const noexcept {
        using T = typename X::value_type;
        const detail::channel_runs r(x);
        const detail::channel_parameter<T> alpha(p.alpha, shared_alpha, r), beta(p.beta, shared_beta, r);
        detail::each_channel_run(r, w.threads, [&](extent channel, extent offset) {
            kernels::for_each_batch<T>(r.length, [&](extent i, auto in, auto out) {
                const auto v = beta(channel, i, in) * in(x.data + offset + i);
                out(y.data + offset + i, alpha(channel, i, in) * softplus{}(v));
            });
        });
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y, Dy dy, Dx dx, const P& p, const Dp& dp, W& w) const noexcept {
        using T = typename X::value_type;
        const detail::channel_runs r(x);
        const detail::channel_parameter<T> alpha(p.alpha, shared_alpha, r), beta(p.beta, shared_beta, r);
        if (dx)
            detail::each_channel_run(r, w.threads, [&](extent channel, extent offset) {
                kernels::for_each_batch<T>(r.length, [&](extent i, auto in, auto out) {
                    const auto b = beta(channel, i, in);
                    const auto slope =
                        alpha(channel, i, in) * b * kernels::sigmoid(b * in(x.data + offset + i));
                    T* to = dx.data + offset + i;
                    out(to, kernels::fma<T>(in(dy.data + offset + i), slope, in(to)));
                });
            });
        if (dp.alpha)
            detail::sum_to_channels(r, shared_alpha, dp.alpha.data,
                                    [&](extent channel, extent offset, extent i, auto in) {
                                        return softplus{}(beta(channel, i, in) * in(x.data + offset + i)) *
                                               in(dy.data + offset + i);
                                    });
        if (dp.beta)
            detail::sum_to_channels(
                r, shared_beta, dp.beta.data, [&](extent channel, extent offset, extent i, auto in) {
                    const auto v = in(x.data + offset + i);
                    return alpha(channel, i, in) * v * kernels::sigmoid(beta(channel, i, in) * v) *
                           in(dy.data + offset + i);
                });
    }
    friend bool operator==(const parametric_softplus&, const parametric_softplus&) = default;
};

}  // namespace bespoke



#include <limits>

namespace bespoke::kernels {

enum class pooling_kind { max, average, l2 };

/// Sizes of a two-dimensional pooling of one example: x [channels, height, width],
/// y [channels, output_height, output_width]; `channels` stands for all leading axes.
/// Window (oy, ox) covers x rows oy * stride_y - pad_top + [0, kernel_height), columns likewise.
struct pooling_geometry {
    extent channels, height, width;
    extent output_height, output_width;
    extent kernel_height, kernel_width;
    extent stride_y, stride_x;
    extent pad_top, pad_left;
    bool exclude_padding;
};

// What lies outside the image takes no part: it never wins a maximum and adds nothing to a sum.
//   max      the largest element, NaN where there is one; backward: the first largest in row-major order
//            (the first NaN) takes the gradient
//   average  sum / (kernel_height * kernel_width), or / elements inside the image with `exclude_padding`
//   l2       square root of the sum of squares (not of their mean); backward where y = 0: nothing
// A window wholly outside gives -infinity (max) or 0, and takes no gradient.
// Sums run over the window in row-major order, except where one window covers the image (global pooling):
// then in `lanes` chains, element i in lane i mod lanes, and the lanes as in `sum_lanes`.

namespace detail {

struct window {
    extent top, bottom, left, right;
    constexpr extent size() const {
        return std::max<extent>(0, bottom - top) * std::max<extent>(0, right - left);
    }
};

constexpr window window_at(const pooling_geometry& g, extent oy, extent ox) {
    const extent y = oy * g.stride_y - g.pad_top, x = ox * g.stride_x - g.pad_left;
    return {std::max<extent>(y, 0), std::min(y + g.kernel_height, g.height), std::max<extent>(x, 0),
            std::min(x + g.kernel_width, g.width)};
}

/// Whether the output is one window over the whole image.
constexpr bool is_global(const pooling_geometry& g) {
    if (g.output_height != 1 || g.output_width != 1) return false;
    const window w = window_at(g, 0, 0);
    return w.top == 0 && w.left == 0 && w.bottom == g.height && w.right == g.width;
}

template <class T>
constexpr T pooling_divisor(const pooling_geometry& g, const window& w) {
    const extent inside = std::max<extent>(w.size(), 1);
    return static_cast<T>(g.exclude_padding ? inside : g.kernel_height * g.kernel_width);
}

/// One step of the running result: `v` joins `sum`.
template <class V>
[[gnu::always_inline]] inline V pooling_step(pooling_kind kind, const V& sum, const V& v) noexcept {
    if (kind == pooling_kind::max) return kernels::running_max(sum, v);
    return kernels::fma(v, kind == pooling_kind::average ? V(1) : v, sum);
}

/// What is made of the running result in the end.
template <class V>
[[gnu::always_inline]] inline V pooling_end(pooling_kind kind, const V& sum, const V& divisor) noexcept {
    return kind == pooling_kind::average ? sum / divisor
           : kind == pooling_kind::l2    ? kernels::sqrt(sum)
                                         : sum;
}

template <class T>
constexpr T pooling_start(pooling_kind kind) {
    return kind == pooling_kind::max ? -std::numeric_limits<T>::infinity() : T(0);
}

template <class T>
[[gnu::noinline]] T pool_window(pooling_kind kind, const pooling_geometry& g, const window& w,
                                const T* x) noexcept {
    T sum = pooling_start<T>(kind);
    for (extent iy = w.top; iy < w.bottom; ++iy)
        for (extent ix = w.left; ix < w.right; ++ix) sum = pooling_step(kind, sum, x[iy * g.width + ix]);
    return pooling_end(kind, sum, pooling_divisor<T>(g, w));
}

template <class T>
[[gnu::noinline]] T pool_image(pooling_kind kind, const pooling_geometry& g, const T* x) noexcept {
    const extent n = g.height * g.width;
    if (kind == pooling_kind::max) return running_max(n, x);
    return pooling_end(kind, kind == pooling_kind::l2 ? dot(n, x, x) : sum(n, x),
                       pooling_divisor<T>(g, window_at(g, 0, 0)));
}

/// Outputs whose windows lie inside the image.
struct outputs_inside {
    extent top, bottom, left, right;
    constexpr bool all(const pooling_geometry& g) const {
        return top == 0 && left == 0 && bottom == g.output_height && right == g.output_width;
    }
};
constexpr outputs_inside inside(const pooling_geometry& g) {
    const auto begin = [](extent pad, extent stride, extent outputs) {
        return std::min((pad + stride - 1) / stride, outputs);
    };
    const auto end = [](extent first, extent size, extent pad, extent kernel, extent stride, extent outputs) {
        const extent room = size + pad - kernel;
        return std::max(first, std::min(room < 0 ? extent{0} : room / stride + 1, outputs));
    };
    const extent top = begin(g.pad_top, g.stride_y, g.output_height);
    const extent left = begin(g.pad_left, g.stride_x, g.output_width);
    return {top, end(top, g.height, g.pad_top, g.kernel_height, g.stride_y, g.output_height), left,
            end(left, g.width, g.pad_left, g.kernel_width, g.stride_x, g.output_width)};
}

/// One row of `count` neighbouring windows inside the image, two apart, count <= lanes; x points to the first. The
/// elements in column j join `sum`, with `Both` those in column j + 1 as well.
template <pooling_kind Kind, bool Both, class T>
[[gnu::always_inline]] inline batch<T> pool_pair(batch<T> sum, const T* x, extent count) noexcept {
    const extent size = 2 * count - !Both, low = std::min(size, lanes<T>);
    const batch<T> first = load_partial(x, low), second = load_partial(x + low, size - low);
    sum = pooling_step<batch<T>>(Kind, sum, even_lanes<T>(first, second));
    return Both ? pooling_step<batch<T>>(Kind, sum, odd_lanes<T>(first, second)) : sum;
}

/// The outputs whose windows lie inside the image, a batch at a time, down the image.
template <pooling_kind Kind, class T>
[[gnu::noinline]] void pool_inside(const pooling_geometry& g, const outputs_inside& in, const T* x, T* y) noexcept {
    const batch<T> divisor(static_cast<T>(g.kernel_height * g.kernel_width)), start(pooling_start<T>(Kind));
    for (extent ox = in.left; ox < in.right; ox += lanes<T>) {
        const extent count = std::min(in.right - ox, lanes<T>);
        const T* column = x - g.pad_top * g.width + ox * g.stride_x - g.pad_left;
        for (extent oy = in.top; oy < in.bottom; ++oy) {
            const T* window = column + oy * g.stride_y * g.width;
            batch<T> sum = start;
            for (extent i = 0; i < g.kernel_height; ++i, window += g.width) {
                extent j = 0;
                for (; g.stride_x == 2 && j + 2 <= g.kernel_width; j += 2)
                    sum = pool_pair<Kind, true>(sum, window + j, count);
                for (; j < g.kernel_width; ++j) {
                    const T* p = window + j;
                    if (g.stride_x == 2)
                        sum = pool_pair<Kind, false>(sum, p, count);
                    else if (g.stride_x == 1)
                        sum = pooling_step<batch<T>>(Kind, sum, load_partial(p, count));
                    else {
                        alignas(64) T gathered[lanes<T>] = {};
                        for (extent l = 0; l < count; ++l) gathered[l] = p[l * g.stride_x];
                        sum = pooling_step<batch<T>>(Kind, sum, batch<T>::load_aligned(gathered));
                    }
                }
            }
            store_partial<T>(y + oy * g.output_width + ox, pooling_end(Kind, sum, divisor), count);
        }
    }
}

template <class T>
[[gnu::noinline]] void pool_channel(pooling_kind kind, const pooling_geometry& g, const T* x, T* y) noexcept {
    if (is_global(g)) {
        *y = pool_image(kind, g, x);
        return;
    }
    const outputs_inside in = inside(g);
    for (extent oy = 0; oy < g.output_height && !in.all(g); ++oy)
        for (extent ox = 0; ox < g.output_width; ++ox) {
            if (oy >= in.top && oy < in.bottom && ox == in.left) ox = in.right;
            if (ox < g.output_width)
                y[oy * g.output_width + ox] = pool_window(kind, g, window_at(g, oy, ox), x);
        }
    using enum pooling_kind;
    (kind == max ? pool_inside<max, T> : kind == average ? pool_inside<average, T> : pool_inside<l2, T>)(g, in, x, y);
}

/// dx of one window; y and dy are its result and its gradient.
template <class T>
[[gnu::noinline]] void pool_window_backward(pooling_kind kind, const pooling_geometry& g, const window& w,
                                            const T* x, T y, T dy, T* dx) noexcept {
    if (w.size() == 0) return;
    if (kind == pooling_kind::max) {
        // The first element equal to the result, or the first NaN where that is the result. No way out of the loops
        // before their end: it would be guessed wrong.
        const bool nan = is_nan(y);
        extent at = -1;
        for (extent iy = w.bottom; iy-- > w.top;)
            for (extent ix = w.right; ix-- > w.left;) {
                const T v = x[iy * g.width + ix];
                const bool taken = nan ? is_nan(v) : v == y;
                at = taken ? iy * g.width + ix : at;
            }
        if (at >= 0) dx[at] += dy;
        return;
    }
    if (kind == pooling_kind::l2 && y == T(0)) return;
    const T slope = dy / (kind == pooling_kind::l2 ? y : pooling_divisor<T>(g, w));
    for (extent iy = w.top; iy < w.bottom; ++iy)
        for (extent ix = w.left; ix < w.right; ++ix) {
            T& to = dx[iy * g.width + ix];
            to = kind == pooling_kind::average ? to + slope : kernels::fma(slope, x[iy * g.width + ix], to);
        }
}

/// Elements of the image whose gradients are collected before they are added.
inline constexpr extent strip_size = 1024;

/// The gradients of the output rows [first, last), whose windows are two wide and two apart and lie inside the image in
/// the columns of `in`. x and strip point to the first window's row; each element of the strip belongs to one window.
template <class T>
[[gnu::noinline]] void pool_pairs_backward(const pooling_geometry& g, bool most, const outputs_inside& in,
                                           extent first, extent last, const T* x, const T* y, const T* dy,
                                           T* strip) noexcept {
    const batch<T> zero(T(0)), divisor(static_cast<T>(g.kernel_height * 2));
    for (extent oy = first; oy < last; ++oy)
        for (extent ox = in.left; ox < in.right; ox += lanes<T>) {
            const extent count = std::min(in.right - ox, lanes<T>), low = std::min(2 * count, lanes<T>);
            const extent high = 2 * count - low, at = oy * g.output_width + ox;
            const extent corner = (oy - first) * g.stride_y * g.width + 2 * ox - g.pad_left;
            const batch<T> result = load_partial(y + at, count);
            batch<T> left = load_partial(dy + at, count);
            if (!most) left = left / divisor;
            const auto result_is_nan = is_nan<T>(result);
            for (extent i = 0; i < g.kernel_height; ++i) {
                const T* from = x + corner + i * g.width;
                T* to = strip + corner + i * g.width;
                batch<T> even = left, odd = left;
                if (most) {
                    const batch<T> v = load_partial(from, low), w = load_partial(from + low, high);
                    // What an element takes is not left for those behind it.
                    const auto take = [&](const batch<T>& element) __attribute__((always_inline)) {
                        const auto taken = element == result || (is_nan<T>(element) && result_is_nan);
                        const batch<T> part = xsimd::select(taken, left, zero);
                        left = xsimd::select(taken, zero, left);
                        return part;
                    };
                    even = take(even_lanes<T>(v, w));
                    odd = take(odd_lanes<T>(v, w));
                }
                store_partial<T>(to, interleave_low<T>(even, odd), low);
                store_partial<T>(to + low, interleave_high<T>(even, odd), high);
            }
        }
}

template <class T>
[[gnu::noinline]] void pool_channel_backward(pooling_kind kind, const pooling_geometry& g, const T* x,
                                             const T* y, const T* dy, T* dx) noexcept {
    outputs_inside in = inside(g);
    // Output rows whose share of dx is collected in the strip.
    const extent together = strip_size / std::max<extent>(g.stride_y * g.width, 1);
    if (kind == pooling_kind::l2 || g.kernel_width != 2 || g.stride_x != 2 || g.stride_y < g.kernel_height ||
        together == 0)
        in = {};
    for (extent oy = 0; oy < g.output_height && !in.all(g); ++oy)
        for (extent ox = 0; ox < g.output_width; ++ox) {
            if (oy >= in.top && oy < in.bottom && ox == in.left) ox = in.right;
            if (ox < g.output_width)
                pool_window_backward(kind, g, window_at(g, oy, ox), x, y[oy * g.output_width + ox],
                                     dy[oy * g.output_width + ox], dx);
        }
    alignas(64) T strip[strip_size];
    for (extent first = in.top; first < in.bottom; first += together) {
        const extent last = std::min(first + together, in.bottom);
        const extent start = (first * g.stride_y - g.pad_top) * g.width;
        const extent size = ((last - 1 - first) * g.stride_y + g.kernel_height) * g.width;
        std::fill_n(strip, size, T(0));
        pool_pairs_backward(g, kind == pooling_kind::max, in, first, last, x + start, y, dy, strip);
        accumulate(size, strip, dx + start);
    }
}

}  // namespace detail

/// y = pool(x); `x_stride` and `y_stride` are the elements between examples.
template <class T>
void pooling_forward(pooling_kind kind, const pooling_geometry& g, extent examples, const T* x,
                     extent x_stride, T* y, extent y_stride, thread_pool* threads = nullptr) noexcept {
    const extent outputs = g.output_height * g.output_width;
    if (outputs <= 0) return;
    if (examples * g.channels * outputs * g.kernel_height * g.kernel_width < (1 << 17)) threads = nullptr;
    parallel_for(threads, examples * g.channels, 1, [&](extent first, extent last) {
        for (extent i = first; i < last; ++i) {
            const extent example = i / g.channels, channel = i % g.channels;
            detail::pool_channel(kind, g, x + example * x_stride + channel * g.height * g.width,
                                 y + example * y_stride + channel * outputs);
        }
    });
}

/// dx += the gradient with respect to x, given x, y = pool(x) and dy.
template <class T>
void pooling_backward(pooling_kind kind, const pooling_geometry& g, extent examples, const T* x,
                      extent x_stride, const T* y, extent y_stride, const T* dy, extent dy_stride, T* dx,
                      extent dx_stride, thread_pool* threads = nullptr) noexcept {
    const extent outputs = g.output_height * g.output_width;
    if (outputs <= 0) return;
    if (examples * g.channels * outputs * g.kernel_height * g.kernel_width < (1 << 17)) threads = nullptr;
    parallel_for(threads, examples * g.channels, 1, [&](extent first, extent last) {
        for (extent i = first; i < last; ++i) {
            const extent example = i / g.channels, channel = i % g.channels;
            const extent plane = channel * g.height * g.width;
            detail::pool_channel_backward(
                kind, g, x + example * x_stride + plane, y + example * y_stride + channel * outputs,
                dy + example * dy_stride + channel * outputs, dx + example * dx_stride + plane);
        }
    });
}

}  // namespace bespoke::kernels

#include <variant>

namespace bespoke {

enum class pooling_type { max, average, l2 };
constexpr std::array<std::string_view, 3> enumerators(pooling_type) { return {"MAX", "AVERAGE", "L2"}; }

/// As `valid` with as much padding at the end as at the start, but the last window may reach beyond the
/// padded image, so that no rest is left out: outputs = ceil((size + 2 padding - kernel) / stride) + 1.
/// Where any padding is given, a last window that would begin at size + padding or later is dropped; without
/// padding it stays, empty.
/// Core ML specification, PoolingLayerParams.ValidCompletePadding.
struct valid_complete_padding {
    std::array<extent, 2> padding_amounts{0, 0};

    static constexpr auto key = "includeLastPixel";
    static constexpr auto fields =
        std::tuple{field{"paddingAmounts", &valid_complete_padding::padding_amounts}};
    friend bool operator==(const valid_complete_padding&, const valid_complete_padding&) = default;
};
inline constexpr valid_complete_padding include_last_pixel{};

/// Spatial pooling: each window of each channel gives one number.
///
/// MAX      the largest element inside the image (a window wholly outside gives -infinity)
/// AVERAGE  the sum / elements of the window, or / those inside the image with avg_pool_exclude_padding
/// L2       the square root of the sum of squares
///
/// x [.., H, W] of rank 3 or more -> y [.., H', W'], see padding.hpp; [.., 1, 1] with global_pooling, whose
/// only window is the image, whatever kernel, stride and padding say.
/// Gradient: MAX to the first largest element, L2 none where y = 0.
/// Core ML specification, PoolingLayerParams.
struct pooling {
    pooling_type type = pooling_type::max;
    std::array<extent, 2> kernel_size{3, 3};
    std::array<extent, 2> stride{1, 1};
    std::variant<valid_padding, same_padding, valid_complete_padding> padding{};
    bool avg_pool_exclude_padding = false;
    bool global_pooling = false;

    static constexpr auto key = "pooling";
    static constexpr auto fields = std::tuple{
        field{"type", &pooling::type},
        field{"kernelSize", &pooling::kernel_size},
        field{"stride", &pooling::stride},
        oneof<pooling, std::variant<valid_padding, same_padding, valid_complete_padding>>{&pooling::padding},
        field{"avgPoolExcludePadding", &pooling::avg_pool_exclude_padding},
        field{"globalPooling", &pooling::global_pooling}};
    static constexpr bool batched = true;

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() < 3)
            return shape_fault("an input [.., channels, height, width] wanted, its shape is ", x);
        if (checked_size(x, largest_image) < 1)
            return shape_fault("an input that is not empty wanted, its shape is ", x);
        if (static_cast<int>(type) < 0 || static_cast<int>(type) > 2)
            return value_fault("type 0 to 2 wanted, ", static_cast<int>(type), " given");
        if (!global_pooling) {
            if (const auto wrong = check_window("kernelSize", kernel_size, 1)) return *wrong;
            if (const auto wrong = check_window("stride", stride, 1)) return *wrong;
            if (const auto edges = alternative<valid_padding>(padding))
                if (const auto wrong = check_padding(*edges)) return *wrong;
            if (const auto complete = alternative<valid_complete_padding>(padding))
                if (const auto wrong = check_window("paddingAmounts", complete->padding_amounts, 0))
                    return *wrong;
        }
        shape y = x;
        for (std::size_t axis : {std::size_t{0}, std::size_t{1}}) {
            y.from_end(2 - axis) = axis_of(x, axis).outputs;
            if (y.from_end(2 - axis) < 1)
                return shape_fault("the kernel covers a ", axis == 0 ? "height" : "width", " of ",
                                   kernel_size[axis], ", the padded input has ", padded_extent(x, axis),
                                   " (shape ", x, ")");
        }
        return y;
    }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        kernels::pooling_forward(kind(), geometry(x), 1, x.data, 0, y.data, 0, w.threads);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X x, Y y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        if (dx)
            kernels::pooling_backward(kind(), geometry(x), 1, x.data, 0, y.data, 0, dy.data, 0, dx.data, 0,
                                      w.threads);
    }
    friend bool operator==(const pooling&, const pooling&) = default;

private:
    constexpr extent padded_extent(const shape& x, std::size_t axis) const {
        const extent size = x.from_end(2 - axis);
        if (const auto edges = alternative<valid_padding>(padding)) {
            const edge_sizes& e = edges->padding_amounts.edges[axis];
            return size + e.start_edge_size + e.end_edge_size;
        }
        if (const auto complete = alternative<valid_complete_padding>(padding))
            return size + 2 * complete->padding_amounts[axis];
        return size;
    }
    constexpr window_axis axis_of(const shape& x, std::size_t axis) const {
        const extent size = x.from_end(2 - axis);
        if (global_pooling) return {1, 0};
        if (const auto edges = alternative<valid_padding>(padding))
            return valid_windows(size, edges->padding_amounts.edges[axis], kernel_size[axis], stride[axis]);
        if (const auto mode = alternative<same_padding>(padding))
            return same_windows(size, mode->asymmetry_mode, kernel_size[axis], stride[axis]);
        const auto& amounts = std::get<valid_complete_padding>(padding).padding_amounts;
        const extent before = amounts[axis], room = size + 2 * before - kernel_size[axis];
        if (room < 0) return {0, before};
        extent outputs = room / stride[axis] + (room % stride[axis] != 0) + 1;
        if ((amounts[0] > 0 || amounts[1] > 0) && (outputs - 1) * stride[axis] >= size + before) --outputs;
        return {outputs, before};
    }
    /// All leading axes and examples are channels.
    template <class View>
    constexpr kernels::pooling_geometry geometry(const View& view) const {
        const shape x = view.dimensions;
        const window_axis y_axis = axis_of(x, 0), x_axis = axis_of(x, 1);
        kernels::pooling_geometry g{};
        g.height = x.from_end(2);
        g.width = x.from_end(1);
        g.channels = static_cast<extent>(view.total()) / (g.height * g.width);
        g.output_height = y_axis.outputs;
        g.output_width = x_axis.outputs;
        g.kernel_height = global_pooling ? g.height : kernel_size[0];
        g.kernel_width = global_pooling ? g.width : kernel_size[1];
        g.stride_y = global_pooling ? 1 : stride[0];
        g.stride_x = global_pooling ? 1 : stride[1];
        g.pad_top = y_axis.before;
        g.pad_left = x_axis.before;
        g.exclude_padding = avg_pool_exclude_padding;
        return g;
    }
    constexpr kernels::pooling_kind kind() const {
        return type == pooling_type::max       ? kernels::pooling_kind::max
               : type == pooling_type::average ? kernels::pooling_kind::average
                                               : kernels::pooling_kind::l2;
    }
};

}  // namespace bespoke


#include <limits>

namespace bespoke {

/// The same elements in the same order under the shape `target_shape`, in which one extent may be -1: it is
/// what remains. Core ML specification, ReshapeStaticLayerParams.
struct reshape_static {
    shape target_shape;

    static constexpr auto key = "reshapeStatic";
    static constexpr auto fields = std::tuple{field{"targetShape", &reshape_static::target_shape}};
    static constexpr bool same_elements = true;

    constexpr outcome output_shape(const shape& x) const {
        constexpr extent largest = std::numeric_limits<extent>::max();
        const extent size = checked_size(x, largest);
        if (size < 0) return shape_fault("an input of fewer elements wanted, its shape is ", x);
        shape y = target_shape, known;
        std::size_t open = y.rank();
        for (std::size_t axis = 0; axis < y.rank(); ++axis) {
            if (y[axis] == -1 && open == y.rank())
                open = axis;
            else if (y[axis] < 0)
                return value_fault("a targetShape of extents from 0 up and one -1 at most wanted, ", y,
                                   " given");
            else
                known.push_back(y[axis]);
        }
        const extent elements = checked_size(known, largest);
        if (open < y.rank() && elements > 0 && size % elements == 0)
            y[open] = size / elements;
        else if (open < y.rank() || elements != size)
            return shape_fault("targetShape ", y, " does not fit its input of shape ", x, ", which has ",
                               size, size == 1 ? " element" : " elements");
        return y;
    }
    friend bool operator==(const reshape_static&, const reshape_static&) = default;
};

}  // namespace bespoke


namespace bespoke {

/// Recurrent layer without gates: y_t = activation(W x_t + R y_{t-1} + b).
/// W [output_vector_size, input_vector_size], R [output_vector_size, output_vector_size], b [output_vector_size].
/// Shapes: see recurrent.hpp; the state is y. Core ML specification, SimpleRecurrentLayerParams.
struct simple_recurrent {
    extent input_vector_size = unset;
    extent output_vector_size = unset;
    recurrent_activation activation = tanh{};
    bool sequence_output = false;  ///< y of all steps, not only of the last
    bool has_bias_vector = true;
    bool reverse_input = false;

    static constexpr auto key = "simpleRecurrent";
    static constexpr auto fields =
        std::tuple{field{"inputVectorSize", &simple_recurrent::input_vector_size},
                   field{"outputVectorSize", &simple_recurrent::output_vector_size},
                   field{"activation", &simple_recurrent::activation},
                   field{"sequenceOutput", &simple_recurrent::sequence_output},
                   field{"hasBiasVector", &simple_recurrent::has_bias_vector},
                   field{"reverseInput", &simple_recurrent::reverse_input}};
    static constexpr input_count inputs{1, 2};

    template <class T>
    struct parameters {
        T weight_matrix, recursion_matrix, bias_vector;
    };
    template <class T>
    static constexpr auto parameter_fields =
        std::array{parameter_field{"weightMatrix", &parameters<T>::weight_matrix, initial::glorot},
                   parameter_field{"recursionMatrix", &parameters<T>::recursion_matrix, initial::glorot},
                   parameter_field{"biasVector", &parameters<T>::bias_vector}};

    constexpr outcome output_shape(std::span<const shape> xs) const { return form().output_shape(xs); }
    constexpr simple_recurrent resolved(std::span<const shape> xs) const {
        simple_recurrent result = *this;
        result.input_vector_size = detail::recurrent_form::inputs(xs[0]);
        return result;
    }
    constexpr parameters<shape> parameter_shapes(std::span<const shape> xs) const {
        const extent n = output_vector_size;
        return {.weight_matrix = {n, detail::recurrent_form::inputs(xs[0])},
                .recursion_matrix = {n, n},
                .bias_vector = has_bias_vector ? shape{n} : absent};
    }

    constexpr detail::recurrent_runner<simple_recurrent> equivalent(const shape& x) const {
        return {resolved(std::span(&x, 1))};
    }
    friend bool operator==(const simple_recurrent&, const simple_recurrent&) = default;

    // For recurrent_runner.
    constexpr detail::recurrent_form form() const {
        return {.input_size = input_vector_size,
                .output_size = output_vector_size,
                .gates = 1,
                .sequence_output = sequence_output,
                .reverse = reverse_input};
    }
    template <class T, class P>
    static detail::gate_arrays<T> arrays(const P& p, std::size_t) noexcept {
        return {.w = {p.weight_matrix.data}, .r = {p.recursion_matrix.data}, .bias = {p.bias_vector.data}};
    }
    template <class Body>
    [[gnu::always_inline]] void with_cell(std::size_t, const Body& body) const noexcept {
        if (activation.is<tanh>())
            body(kernels::simple_cell<tanh>{});
        else
            body(kernels::simple_cell<recurrent_activation>{activation});
    }
};

}  // namespace bespoke


#include <cstddef>
#include <initializer_list>

namespace bespoke {

/// Up to `Most` values, for the hyper-parameters that are neither a shape nor of one length: unlike std::vector it
/// can stand in a description that the compiler knows.
template <class T, std::size_t Most>
class list {
public:
    using value_type = T;
    static constexpr std::size_t most = Most;

    constexpr list() = default;
    constexpr list(std::initializer_list<T> values) {
        for (const T& v : values) push_back(v);
    }

    constexpr std::size_t size() const { return size_; }
    constexpr bool empty() const { return size_ == 0; }
    constexpr const T& operator[](std::size_t i) const { return values_[i]; }
    constexpr const T* begin() const { return values_; }
    constexpr const T* end() const { return values_ + size_; }

    /// Ignored beyond `Most`; readers of files check the number before.
    constexpr void push_back(const T& value) {
        if (size_ < Most) values_[size_++] = value;
    }

    friend constexpr bool operator==(const list& a, const list& b) {
        if (a.size_ != b.size_) return false;
        for (std::size_t i = 0; i < a.size_; ++i)
            if (!(a.values_[i] == b.values_[i])) return false;
        return true;
    }

private:
    T values_[Most]{};
    std::size_t size_ = 0;
};

}  // namespace bespoke

#include <algorithm>

namespace bespoke {
namespace detail {

/// The elements begin, begin + stride, ... of an axis, `count` of them.
struct axis_slice {
    extent begin = 0, count = 0, stride = 1;
};

/// [begin:end:stride] of Python, along an axis of `size` elements: negative bounds count from the end, those outside
/// are brought to the edge. `open_begin` and `open_end`: the bound is left out.
constexpr axis_slice slice_of(extent size, extent begin, bool open_begin, extent end, bool open_end, extent stride) {
    const extent largest = std::max<extent>(size, 1);  // beyond it there is one element all the same
    stride = std::clamp(stride, -largest, largest);
    const extent least = stride > 0 ? 0 : -1, most = least + size;
    const auto bound = [&](extent at) { return std::clamp(at < 0 ? at + size : at, least, most); };
    begin = open_begin ? (stride > 0 ? 0 : size - 1) : bound(begin);
    end = open_end ? (stride > 0 ? size : -1) : bound(end);
    const extent length = stride > 0 ? end - begin : begin - end, step = stride > 0 ? stride : -stride;
    return {begin, length > 0 ? (length - 1) / step + 1 : 0, stride};
}

/// A box in x that y holds without gaps: the walk from the one to the other, and where in x it begins.
class sliced_box {
public:
    sliced_box(const shape& x, const shape& y, extent examples) : behind_x_(x.size()), behind_y_(y.size()) {
        walk_.add(examples, behind_x_, behind_y_);
    }
    /// The next axis of x, of `size` elements.
    void add(extent size, const axis_slice& part) {
        if (walk_empty_ || size == 0 || part.count == 0) {
            walk_empty_ = true;
            return;
        }
        behind_x_ /= size;
        behind_y_ /= part.count;
        offset_ += part.begin * behind_x_;
        walk_.add(part.count, part.stride * behind_x_, behind_y_);
    }
    template <class T>
    void forward(const T* x, T* y, thread_pool* threads) const noexcept {
        if (!walk_empty_) kernels::copy_strided(walk_, x + offset_, y, threads);
    }
    template <class T>
    void backward(const T* dy, T* dx, thread_pool* threads) const noexcept {
        if (!walk_empty_) kernels::accumulate_strided(walk_.reversed(), dy, dx + offset_, threads);
    }

private:
    kernels::strided_walk walk_;
    extent behind_x_, behind_y_, offset_ = 0;
    bool walk_empty_ = false;
};

}  // namespace detail

/// y = x[begin_ids[0]:end_ids[0]:strides[0], ...], as Python reads it: negative bounds count from the end, bounds
/// outside are brought to the edge, strides may be negative, and y may be empty.
///
/// One value an axis in each list. An axis whose begin_mask is true has no begin, one whose end_mask is true no end.
/// One whose squeeze_mask is true is taken at begin_ids alone, which must be in it, and is not an axis of y. Masks
/// that are not given are false, strides 1.
/// Core ML specification, SliceStaticLayerParams.
struct slice_static {
    using flags = list<bool, max_rank>;

    shape begin_ids{};
    flags begin_masks{};
    shape end_ids{};
    flags end_masks{};
    shape strides{};
    flags squeeze_masks{};

    static constexpr auto key = "sliceStatic";
    static constexpr auto fields = std::tuple{field{"beginIds", &slice_static::begin_ids},
                                              field{"beginMasks", &slice_static::begin_masks},
                                              field{"endIds", &slice_static::end_ids},
                                              field{"endMasks", &slice_static::end_masks},
                                              field{"strides", &slice_static::strides},
                                              field{"squeezeMasks", &slice_static::squeeze_masks}};
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(const shape& x) const {
        const auto wrong = [&](std::string_view name, std::size_t size, bool optional) {
            return size != x.rank() && !(optional && size == 0)
                       ? value_fault("a value of ", name, " for each axis wanted, ", size, " given for the shape ", x)
                       : fault{};
        };
        for (const fault& f : {wrong("beginIds", begin_ids.rank(), false), wrong("endIds", end_ids.rank(), false),
                               wrong("strides", strides.rank(), true),
                               wrong("beginMasks", begin_masks.size(), true),
                               wrong("endMasks", end_masks.size(), true),
                               wrong("squeezeMasks", squeeze_masks.size(), true)})
            if (!f.what.view().empty()) return f;
        shape y;
        for (std::size_t axis = 0; axis < x.rank(); ++axis) {
            const extent size = x[axis];
            if (is(squeeze_masks, axis)) {
                if (begin_ids[axis] < -size || begin_ids[axis] >= size)
                    return value_fault("an element of axis ", axis, " wanted, beginIds ", begin_ids,
                                       " given for the shape ", x);
                continue;
            }
            if (strides.rank() > 0 && strides[axis] == 0)
                return value_fault("strides other than 0 wanted, ", strides, " given");
            y.push_back(part(axis, size).count);
        }
        return y;
    }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        box(x.dimensions, y.dimensions, x.examples).forward(x.data, y.data, w.threads);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X, Y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        if (dx) box(dx.dimensions, dy.dimensions, dx.examples).backward(dy.data, dx.data, w.threads);
    }
    friend bool operator==(const slice_static&, const slice_static&) = default;

private:
    static constexpr bool is(const flags& masks, std::size_t axis) { return !masks.empty() && masks[axis]; }
    constexpr detail::axis_slice part(std::size_t axis, extent size) const {
        const extent begin = begin_ids[axis];
        if (is(squeeze_masks, axis)) return {begin < 0 ? begin + size : begin, 1, 1};
        return detail::slice_of(size, begin, is(begin_masks, axis), end_ids[axis], is(end_masks, axis),
                                strides.rank() > 0 ? strides[axis] : 1);
    }
    detail::sliced_box box(const shape& x, const shape& y, extent examples) const {
        detail::sliced_box b(x, y, examples);
        for (std::size_t axis = 0; axis < x.rank(); ++axis) b.add(x[axis], part(axis, x[axis]));
        return b;
    }
};

enum class slice_axis { channel, height, width };
constexpr std::array<std::string_view, 3> enumerators(slice_axis) {
    return {"CHANNEL_AXIS", "HEIGHT_AXIS", "WIDTH_AXIS"};
}

/// Every stride-th element of [start_index, end_index) along one axis of x [.., C, H, W]; negative indices count from
/// the end, those outside are brought to the edge. `height` needs rank 2 only, `width` rank 1.
/// Core ML specification, SliceLayerParams. It does not say what an end_index of 0 means, which also is one that is not
/// given; Core ML's check of a model takes it, like the negative ones, as counted from the end.
struct slice {
    extent start_index = 0;
    extent end_index = 0;  ///< 0: to the end
    extent stride = 1;
    slice_axis axis = slice_axis::channel;

    static constexpr auto key = "slice";
    static constexpr auto fields =
        std::tuple{field{"startIndex", &slice::start_index}, field{"endIndex", &slice::end_index},
                   field{"stride", &slice::stride}, field{"axis", &slice::axis}};

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() < back())
            return shape_fault("an input of rank ", back(), " or more wanted, its shape is ", x);
        if (stride < 1) return value_fault("a stride from 1 up wanted, ", stride, " given");
        return equivalent(x).output_shape(x);
    }
    constexpr slice_static equivalent(const shape& x) const {
        slice_static all;
        for (std::size_t a = 0; a < x.rank(); ++a) {
            const bool here = a + back() == x.rank();
            all.begin_ids.push_back(here ? start_index : 0);
            all.end_ids.push_back(here && end_index != 0 ? end_index : x[a]);
            all.strides.push_back(here ? stride : 1);
        }
        return all;
    }
    friend bool operator==(const slice&, const slice&) = default;

private:
    constexpr std::size_t back() const { return 3 - static_cast<std::size_t>(axis); }
};

}  // namespace bespoke



#include <algorithm>
#include <limits>

namespace bespoke::kernels {

// Over the middle axis of x [outer, n, inner]. Order of arithmetic: with inner = 1 the sums over n run in
// `lanes` chains (element i in lane i mod lanes), then the lanes as in `sum_lanes`; otherwise n ascending.
// It depends on n and inner alone.

namespace detail {

/// The largest of x[0, n), NaN where there is one; -infinity for n = 0.
template <class T, class N>
[[gnu::always_inline]] inline T largest(N size, const T* x) noexcept {
    const extent n = size;
    constexpr T low = -std::numeric_limits<T>::infinity();
    batch<T> most(low);
    extent i = 0;
    for (; i + lanes<T> <= n; i += lanes<T>) {
        const batch<T> v = load(x + i);
        most = kernels::running_max<T>(most, v);
    }
    if (i < n) {
        alignas(64) T copy[lanes<T>];
        std::fill(copy, copy + lanes<T>, low);
        std::copy(x + i, x + n, copy);
        const batch<T> v = batch<T>::load_aligned(copy);
        most = kernels::running_max<T>(most, v);
    }
    alignas(64) T lane[lanes<T>];
    most.store_aligned(lane);
    T result = lane[0];
    for (extent l = 1; l < lanes<T>; ++l) result = kernels::running_max(result, lane[l]);
    return result;
}

/// One contiguous row.
template <class T, class N>
[[gnu::always_inline]] inline void softmax_row(N size, const T* x, T* y) noexcept {
    const extent n = size;
    const batch<T> most(largest<T>(size, x));
    batch<T> sum(T(0));
    extent i = 0;
    for (; i + lanes<T> <= n; i += lanes<T>) {
        const batch<T> e = kernels::exp<T>(load(x + i) - most);
        store<T>(y + i, e);
        sum = sum + e;
    }
    if (const extent rest = n - i; rest > 0) {
        store_partial<T>(y + i, kernels::exp<T>(load_partial(x + i, rest) - most), rest);
        sum = sum + load_partial(y + i, rest);
    }
    const batch<T> total(sum_lanes<T>(sum));
    for_each_batch<T>(
        size, [&](extent j, auto in, auto out)
                  __attribute__((always_inline)) { out(y + j, in(y + j) / total); });
}

}  // namespace detail

/// y = exp(x - max) / sum of exp(x - max) over the middle axis; y may be x. A row with NaN or +infinity is NaN.
template <class T, class N>
void softmax(extent outer, N n, extent inner, const T* x, T* y, thread_pool* threads = nullptr) noexcept {
    const extent size = n;
    if (size <= 0) return;
    if (outer * size * inner < (1 << 14)) threads = nullptr;
    if (inner == 1) {
        const auto rows = [&](extent first, extent last) {
            for (extent row = first; row < last; ++row)
                detail::softmax_row<T>(n, x + row * size, y + row * size);
        };
        if (threads)
            parallel_for(threads, outer, 1, rows);
        else
            rows(0, outer);
        return;
    }
    const extent pieces = (inner + lanes<T> - 1) / lanes<T>;
    parallel_for(threads, outer * pieces, 1, [&](extent first, extent last) {
        for (extent piece = first; piece < last; ++piece) {
            const extent start = piece / pieces * size * inner + piece % pieces * lanes<T>;
            const extent count = std::min(inner - piece % pieces * lanes<T>, lanes<T>);
            const T* from = x + start;
            T* to = y + start;
            batch<T> most = load_partial(from, count);
            for (extent i = 1; i < size; ++i) {
                const batch<T> v = load_partial(from + i * inner, count);
                most = kernels::running_max<T>(most, v);
            }
            batch<T> sum(T(0));
            for (extent i = 0; i < size; ++i) {
                const batch<T> e = kernels::exp<T>(load_partial(from + i * inner, count) - most);
                store_partial<T>(to + i * inner, e, count);
                sum = sum + e;
            }
            for (extent i = 0; i < size; ++i)
                store_partial<T>(to + i * inner, load_partial(to + i * inner, count) / sum, count);
        }
    });
}

/// dx += y * (dy - sum over the middle axis of y * dy).
template <class T, class N>
void softmax_backward(extent outer, N n, extent inner, const T* y, const T* dy, T* dx,
                      thread_pool* threads = nullptr) noexcept {
    const extent size = n;
    if (size <= 0) return;
    if (outer * size * inner < (1 << 14)) threads = nullptr;
    if (inner == 1) {
        parallel_for(threads, outer, 1, [&](extent first, extent last) {
            for (extent row = first; row < last; ++row) {
                const T *p = y + row * size, *g = dy + row * size;
                T* to = dx + row * size;
                batch<T> sum(T(0));
                for_each_batch<T>(
                    n, [&](extent i, auto in, auto) __attribute__((always_inline)) {
                        sum = kernels::fma<T>(in(p + i), in(g + i), sum);
                    });
                const batch<T> total(sum_lanes<T>(sum));
                for_each_batch<T>(
                    n, [&](extent i, auto in, auto out) __attribute__((always_inline)) {
                        out(to + i, kernels::fma<T>(in(p + i), in(g + i) - total, in(to + i)));
                    });
            }
        });
        return;
    }
    const extent pieces = (inner + lanes<T> - 1) / lanes<T>;
    parallel_for(threads, outer * pieces, 1, [&](extent first, extent last) {
        for (extent piece = first; piece < last; ++piece) {
            const extent start = piece / pieces * size * inner + piece % pieces * lanes<T>;
            const extent count = std::min(inner - piece % pieces * lanes<T>, lanes<T>);
            batch<T> sum(T(0));
            for (extent i = 0; i < size; ++i)
                sum = kernels::fma<T>(load_partial(y + start + i * inner, count),
                                      load_partial(dy + start + i * inner, count), sum);
            for (extent i = 0; i < size; ++i) {
                const extent at = start + i * inner;
                store_partial<T>(
                    dx + at,
                    kernels::fma<T>(load_partial(y + at, count), load_partial(dy + at, count) - sum,
                                    load_partial(dx + at, count)),
                    count);
            }
        }
    });
}

/// log(sum of exp(x[i * stride])), i in [0, n), without overflow; the sum runs over i ascending.
/// -infinity for n = 0, and where every element is -infinity.
template <class T>
T log_sum_exp(extent n, const T* x, extent stride) noexcept {
    T most = -std::numeric_limits<T>::infinity();
    for (extent i = 0; i < n; ++i) most = kernels::running_max(most, x[i * stride]);
    // NaN, all -infinity, or +infinity: the answer, and x - most would be NaN.
    if (!(most - most == T(0))) return most;
    alignas(64) T copy[lanes<T>];
    T sum = 0;
    for (extent i = 0; i < n; i += lanes<T>) {
        const extent count = std::min(n - i, lanes<T>);
        for (extent l = 0; l < lanes<T>; ++l) copy[l] = l < count ? x[(i + l) * stride] : most;
        kernels::exp<T>(batch<T>::load_aligned(copy) - batch<T>(most)).store_aligned(copy);
        for (extent l = 0; l < count; ++l) sum += copy[l];
    }
    return most + kernels::log(sum);
}

}  // namespace bespoke::kernels

namespace bespoke {

namespace detail {

/// y = e^x / (sum of e^x along one axis).
template <class X, class Y, class W>
void softmax_along(std::size_t axis, X x, Y y, W& w) noexcept {
    const shape s = x.dimensions;
    kernels::softmax(s.product(0, axis) * x.examples, s[axis], s.product(axis + 1, s.rank()), x.data, y.data,
                     w.threads);
}
template <class Y, class Dy, class Dx, class W>
void softmax_along_backward(std::size_t axis, Y y, Dy dy, Dx dx, W& w) noexcept {
    const shape s = y.dimensions;
    if (dx)
        kernels::softmax_backward(s.product(0, axis) * y.examples, s[axis], s.product(axis + 1, s.rank()),
                                  y.data, dy.data, dx.data, w.threads);
}

}  // namespace detail

/// y_c = e^(x_c) / sum of e^(x_c) over the channels c, axis -3. x [..., C, H, W].
/// A row with NaN or +infinity is NaN. Core ML specification, SoftmaxLayerParams.
struct softmax {
    static constexpr auto key = "softmax";
    static constexpr auto fields = std::tuple{};
    static constexpr bool batched = true;
    static constexpr bool in_place = true;
    static constexpr backward_needs needs{.input = false, .output = true};

    constexpr outcome output_shape(const shape& x) const {
        if (x.rank() < 3)
            return shape_fault("an input of rank 3 or more wanted, its shape is ", x,
                               "; softmax_nd takes any rank");
        return x;
    }
    /// Where C is the whole example.
    constexpr bool probabilities(const shape& x) const { return x.size() == x.from_end(3); }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        detail::softmax_along(x.rank() - 3, x, y, w);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X, Y y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        detail::softmax_along_backward(y.rank() - 3, y, dy, dx, w);
    }
    friend bool operator==(const softmax&, const softmax&) = default;
};

/// y = e^x / (sum of e^x along `axis`), which counts from the end where it is negative.
/// A row with NaN or +infinity is NaN. Core ML specification, SoftmaxNDLayerParams.
struct softmax_nd {
    extent axis = -1;

    static constexpr auto key = "softmaxND";
    static constexpr auto fields = std::tuple{field{"axis", &softmax_nd::axis}};
    static constexpr bool batched = true;
    static constexpr bool in_place = true;
    static constexpr backward_needs needs{.input = false, .output = true};

    constexpr outcome output_shape(const shape& x) const {
        const auto rank = static_cast<extent>(x.rank());
        if (rank == 0) return shape_fault("an input of rank 1 or more wanted, its shape is ", x);
        if (axis < -rank || axis >= rank)
            return value_fault("an axis from ", -rank, " to ", rank - 1, " wanted for the shape ", x, ", ",
                               axis, " given");
        return x;
    }
    /// Where the axis is the whole example.
    constexpr bool probabilities(const shape& x) const { return x.size() == x[place(x.rank())]; }

    template <class X, class Y, class P, class W>
    void forward(X x, Y y, const P&, W& w) const noexcept {
        detail::softmax_along(place(x.rank()), x, y, w);
    }
    template <class X, class Y, class Dy, class Dx, class P, class Dp, class W>
    void backward(X, Y y, Dy dy, Dx dx, const P&, const Dp&, W& w) const noexcept {
        detail::softmax_along_backward(place(y.rank()), y, dy, dx, w);
    }
    friend bool operator==(const softmax_nd&, const softmax_nd&) = default;

private:
    constexpr std::size_t place(std::size_t rank) const {
        return static_cast<std::size_t>(axis < 0 ? axis + static_cast<extent>(rank) : axis);
    }
};

}  // namespace bespoke


#include <vector>

namespace bespoke {

/// No split has more outputs.
inline constexpr std::size_t most_splits = 128;

namespace detail {

/// x in pieces along `axis`, one for each of `sizes`.
template <class Sizes>
constexpr std::vector<shape> split_shapes(const shape& x, std::size_t axis, const Sizes& sizes) {
    std::vector<shape> pieces;
    for (extent size : sizes) {
        pieces.push_back(x);
        pieces.back()[axis] = size;
    }
    return pieces;
}

/// The walk from `whole` to one of its pieces. `stride`: from one example of the whole to the next.
template <class Piece>
kernels::strided_walk piece_walk(const shape& whole, extent stride, const Piece& piece, std::size_t axis) {
    const extent row = whole.product(axis, whole.rank()), part = piece.dimensions.product(axis, whole.rank());
    kernels::strided_walk w;
    w.add(piece.examples, stride, piece.size());
    w.add(whole.product(0, axis), row, part);
    w.add(part, 1, 1);
    return w;
}

}  // namespace detail

/// x in pieces along `axis` (negative: from the end): `num_splits` equal ones, or one for each of `split_sizes`,
/// with which num_splits means nothing. One output for each, in order.
/// Core ML specification, SplitNDLayerParams.
struct split_nd {
    extent axis = 0;
    extent num_splits = 0;
    list<extent, most_splits> split_sizes{};

    static constexpr auto key = "splitND";
    static constexpr auto fields =
        std::tuple{field{"axis", &split_nd::axis}, field{"numSplits", &split_nd::num_splits},
                   field{"splitSizes", &split_nd::split_sizes}};
    static constexpr input_count inputs{1, 1};
    static constexpr bool batched = true;
    static constexpr backward_needs needs{.input = false, .output = false};

    constexpr outcome output_shape(std::span<const shape> xs) const {
        const shape& x = xs[0];
        const auto rank = static_cast<extent>(x.rank());
        if (axis < -rank || axis >= rank)
            return value_fault("an axis of its input wanted, ", axis, " given for the shape ", x);
        const std::size_t along = axis_in(x);
        if (!split_sizes.empty()) {
            extent rest = x[along];
            for (extent size : split_sizes) {
                if (size < 0) return value_fault("splitSizes from 0 up wanted, ", size, " given");
                if (size > rest) rest = -1;
                if (rest < 0) break;
                rest -= size;
            }
            if (rest != 0 || split_sizes.size() < 2)
                return shape_fault("two or more splitSizes that make ", x[along], " wanted, the extent of axis ",
                                   along, " in the shape ", x);
            return detail::split_shapes(x, along, split_sizes);
        }
        if (num_splits < 2 || num_splits > static_cast<extent>(most_splits))
            return value_fault("numSplits from 2 to ", most_splits, " wanted, ", num_splits, " given");
        if (x[along] % num_splits != 0)
            return shape_fault("an extent wanted along axis ", along, " that ", num_splits,
                               " divides, the shape of its input is ", x);
        const std::vector<extent> sizes(static_cast<std::size_t>(num_splits), x[along] / num_splits);
        return detail::split_shapes(x, along, sizes);
    }

    template <class Xs, class Ys, class P, class W>
    void forward(Xs xs, Ys ys, const P&, W& w) const noexcept {
        const auto& x = xs[0];
        const std::size_t along = axis_in(x.dimensions);
        const auto* from = x.data;
        for (const auto& y : ys) {
            kernels::copy_strided(detail::piece_walk(x.dimensions, x.stride, y, along), from, y.data, w.threads);
            from += y.dimensions.product(along, y.rank());
        }
    }
    template <class Xs, class Ys, class Dys, class Dxs, class P, class Dp, class W>
    void backward(Xs, Ys, Dys dys, Dxs dxs, const P&, const Dp&, W& w) const noexcept {
        const auto& dx = dxs[0];
        if (!dx) return;
        const std::size_t along = axis_in(dx.dimensions);
        auto* to = dx.data;
        for (const auto& whole : dys) {
            auto dy = whole;
            const extent runs = dx.stride == 0 ? whole.examples : 1;  // stored once: the examples meet in one place
            if (runs != 1) dy.examples = 1;
            for (extent i = 0; dy && i < runs; ++i) {
                const auto walk = detail::piece_walk(dx.dimensions, dx.stride, dy, along);
                kernels::accumulate_strided(walk.reversed(), dy.data + i * dy.size(), to, w.threads);
            }
            to += whole.dimensions.product(along, whole.rank());
        }
    }
    friend bool operator==(const split_nd&, const split_nd&) = default;

private:
    constexpr std::size_t axis_in(const shape& x) const {
        return static_cast<std::size_t>(axis < 0 ? axis + static_cast<extent>(x.rank()) : axis);
    }
};

/// x [.., C, H, W] in n_outputs equal pieces along the channels. One output for each, in order.
/// Core ML specification, SplitLayerParams.
struct split {
    extent n_outputs = 0;

    static constexpr auto key = "split";
    static constexpr auto fields = std::tuple{field{"nOutputs", &split::n_outputs}};
    static constexpr input_count inputs{1, 1};

    constexpr outcome output_shape(std::span<const shape> xs) const {
        const shape& x = xs[0];
        if (x.rank() < 3) return shape_fault("an input of rank 3 or more wanted, its shape is ", x);
        if (n_outputs < 2 || n_outputs > static_cast<extent>(most_splits))
            return value_fault("nOutputs from 2 to ", most_splits, " wanted, ", n_outputs, " given");
        if (x.from_end(3) % n_outputs != 0)
            return shape_fault("channels wanted that ", n_outputs, " divides, the shape of its input is ", x);
        return equivalent(x).output_shape(xs);
    }
    constexpr split_nd equivalent(const shape&) const { return {.axis = -3, .num_splits = n_outputs}; }
    friend bool operator==(const split&, const split&) = default;
};

}  // namespace bespoke


namespace bespoke {
namespace detail {

/// Which of `rank` axes `axes` names, negative ones from the end. False: one is not there, or twice.
struct named_axes {
    bool named[max_rank]{};
    bool good = true;

    constexpr named_axes(const shape& axes, std::size_t rank) {
        const auto count = static_cast<extent>(rank);
        for (extent axis : axes) {
            good = good && axis >= -count && axis < count;
            if (!good) return;
            bool& one = named[axis < 0 ? axis + count : axis];
            good = !one;
            one = true;
        }
    }
};

}  // namespace detail

/// x without the axes named, which have one element; with `squeeze_all` without all that have. Negative axes count
/// from the end. Where no axis would be left, y is [1].
/// Core ML specification, SqueezeLayerParams.
struct squeeze {
    shape axes{};
    bool squeeze_all = false;

    static constexpr auto key = "squeeze";
    static constexpr auto fields =
        std::tuple{field{"axes", &squeeze::axes}, field{"squeezeAll", &squeeze::squeeze_all}};
    static constexpr bool same_elements = true;

    constexpr outcome output_shape(const shape& x) const {
        if (axes.rank() == 0 && !squeeze_all) return value_fault("axes or squeezeAll wanted");
        const detail::named_axes gone(squeeze_all ? shape{} : axes, x.rank());
        if (!gone.good)
            return value_fault("different axes of its input wanted, ", axes, " given for the shape ", x);
        shape y;
        for (std::size_t axis = 0; axis < x.rank(); ++axis) {
            if (gone.named[axis] && x[axis] != 1)
                return shape_fault("an input of one element along axis ", axis, " wanted, its shape is ", x);
            if (!gone.named[axis] && !(squeeze_all && x[axis] == 1)) y.push_back(x[axis]);
        }
        if (y.rank() == 0 && x.rank() > 0) y.push_back(1);
        return y;
    }
    friend bool operator==(const squeeze&, const squeeze&) = default;
};

/// x with axes of one element more: those of y that `axes` names. Negative axes count from the end of y.
/// Core ML specification, ExpandDimsLayerParams.
struct expand_dims {
    shape axes{};

    static constexpr auto key = "expandDims";
    static constexpr auto fields = std::tuple{field{"axes", &expand_dims::axes}};
    static constexpr bool same_elements = true;

    constexpr outcome output_shape(const shape& x) const {
        if (axes.rank() == 0) return value_fault("axes wanted");
        const std::size_t rank = x.rank() + axes.rank();
        if (rank > max_rank)
            return shape_fault("an output of rank ", max_rank, " or less wanted, its rank would be ", rank);
        const detail::named_axes made(axes, rank);
        if (!made.good)
            return value_fault("different axes of an output of rank ", rank, " wanted, ", axes, " given");
        shape y;
        std::size_t from = 0;
        for (std::size_t axis = 0; axis < rank; ++axis) y.push_back(made.named[axis] ? 1 : x[from++]);
        return y;
    }
    friend bool operator==(const expand_dims&, const expand_dims&) = default;
};

}  // namespace bespoke

namespace bespoke {

/// Every layer of this library but for control flow, which a loader adds by itself: X(name) for each.
#define BESPOKE_CORE_LAYERS(X)                                                                                   \
    X(linear) X(relu) X(leaky_relu) X(thresholded_relu) X(prelu) X(tanh) X(scaled_tanh) X(sigmoid)               \
    X(sigmoid_hard) X(elu) X(softsign) X(softplus) X(parametric_softplus) X(add) X(batched_matmul) X(batchnorm)  \
    X(bi_directional_lstm) X(clip) X(concat) X(convolution) X(copy) X(embedding) X(embedding_nd) X(expand_dims)          \
    X(flatten) X(gelu) X(gru) X(inner_product) X(layer_normalization) X(multiply) X(permute) X(pooling)          \
    X(reshape_static) X(simple_recurrent) X(slice) X(slice_static) X(softmax) X(softmax_nd) X(split) X(split_nd) \
    X(squeeze) X(transpose) X(uni_directional_lstm)

/// A choice of layer types: what a loader knows.
template <class... Ls>
struct layer_set {};

namespace detail {
template <class Nothing, class... Ls>
struct listed {
    using type = layer_set<Ls...>;
};
}  // namespace detail

#define BESPOKE_NEXT_LAYER(L) , L
using core_layers = typename detail::listed<void BESPOKE_CORE_LAYERS(BESPOKE_NEXT_LAYER)>::type;
#undef BESPOKE_NEXT_LAYER

}  // namespace bespoke





#include <algorithm>
#include <array>

namespace bespoke {

/// Names of blobs, in a value that can be a constant of the program.
struct name_list {
    static constexpr std::size_t capacity = 8;

    std::array<std::string_view, capacity> names{};
    std::size_t count = 0, beyond = 0;  ///< names kept; names that were too many

    constexpr name_list() = default;
    template <std::convertible_to<std::string_view>... Names>
        requires(sizeof...(Names) > 0)
    constexpr explicit name_list(const Names&... list) {
        ((count < capacity ? void(names[count++] = list) : void(++beyond)), ...);
    }
    constexpr operator std::span<const std::string_view>() const { return {names.data(), count}; }
    /// Not defaulted: g++ 12 does not compare what is behind `count` in a constant expression.
    friend constexpr bool operator==(const name_list& a, const name_list& b) {
        return std::equal(a.names.begin(), a.names.begin() + a.count, b.names.begin(), b.names.begin() + b.count);
    }
};

/// What a layer run says to the sequence around it.
enum class flow { on, loop_break, loop_continue };

/// Whether running a part can end the sequence around it early (loop_break, loop_continue).
template <class Part>
inline constexpr bool may_stop = [] {
    if constexpr (requires { Part::stops; })
        return bool{Part::stops};
    else
        return false;
}();

/// How many steps of the plan a part takes, nested ones included.
template <class Part>
inline constexpr std::size_t steps_of = [] {
    if constexpr (requires { Part::steps; })
        return std::size_t{Part::steps};
    else
        return std::size_t{1};
}();

/// A step of a composed network as a type. `Plan::view()` is its plan, a constant of the program.
template <class Plan, std::size_t Number>
struct fixed_step {
    using plan_type = Plan;
    static constexpr std::size_t value = Number;
    constexpr operator std::size_t() const { return value; }
};

/// The step `Offset` after `step`, as a type where `step` is one.
template <std::size_t Offset>
constexpr std::size_t advanced(std::size_t step) {
    return step + Offset;
}
template <std::size_t Offset, class Plan, std::size_t Number>
constexpr fixed_step<Plan, Number + Offset> advanced(fixed_step<Plan, Number>) {
    return {};
}

/// The first step behind `part`, which begins at `step`. A part that was read from a file counts its steps
/// itself.
template <class Part, class Step>
constexpr auto behind(const Part& part, Step step) {
    if constexpr (requires { part.step_count(); })
        return step + part.step_count();
    else
        return advanced<steps_of<Part>>(step);
}

/// `may_stop` of a part that may have been read from a file.
template <class Part>
constexpr bool can_stop(const Part& part) {
    if constexpr (requires { part.can_stop(); })
        return part.can_stop();
    else
        return may_stop<Part>;
}

/// A layer and its place in a network: its name, what it reads, what it writes, whether it learns.
template <layer L>
struct node {
    L layer;
    std::string_view name{};
    name_list inputs{}, outputs{};
    bool updatable = false;

    static constexpr bool stops = may_stop<L>;
    static constexpr std::size_t steps = steps_of<L>;

    template <class Planner>
    constexpr void plan(Planner& p) const {
        p.add(layer, name, inputs, outputs, updatable);
        const std::size_t most = name_list::capacity, named = std::max(inputs.count + inputs.beyond, outputs.count + outputs.beyond);
        if (named > most)
            p.fail(value_fault("at most ", most, " blobs wanted in composed code, ", named, " named; join them in steps"));
    }
    template <class Engine, class Step>
    flow forward(Engine& e, Step step) const {
        return e.forward(layer, step);
    }
    template <class Engine>
    void backward(Engine& e, std::size_t step) const {
        e.backward(layer, step);
    }
    /// Calls `visit(layer, step)` for this layer and those inside it.
    template <class Visit>
    constexpr void each(std::size_t step, const Visit& visit) const {
        visit(layer, step);
        if constexpr (control_layer<L>) layer.each(step, visit);
    }
    friend bool operator==(const node&, const node&) = default;
};

/// Gives a layer its name; its only output is called so as well, unless `to` says otherwise.
struct named {
    std::string_view name;
    constexpr explicit named(std::string_view text) : name(text) {}
};

/// Names the blobs that a layer reads, instead of what the layer before it writes.
struct from : name_list {
    using name_list::name_list;
};

/// Names the blobs that a layer writes.
struct to : name_list {
    using name_list::name_list;
};

/// Marks a layer whose parameters an update may change.
struct updatable_mark {};
inline constexpr updatable_mark updatable{};

template <class Part>
inline constexpr bool is_node = false;
template <class L>
inline constexpr bool is_node<node<L>> = true;

template <class Part>
concept nodelike = is_node<Part> || layer<Part>;

template <nodelike Part>
constexpr auto as_node(const Part& part) {
    if constexpr (is_node<Part>)
        return part;
    else
        return node<Part>{.layer = part};
}

template <nodelike Part>
constexpr auto operator|(const Part& part, named name) {
    auto result = as_node(part);
    result.name = name.name;
    return result;
}
template <nodelike Part>
constexpr auto operator|(const Part& part, from blobs) {
    auto result = as_node(part);
    result.inputs = blobs;
    return result;
}
template <nodelike Part>
constexpr auto operator|(const Part& part, to blobs) {
    auto result = as_node(part);
    result.outputs = blobs;
    return result;
}
template <nodelike Part>
constexpr auto operator|(const Part& part, updatable_mark) {
    auto result = as_node(part);
    static_assert(parametric_layer<decltype(result.layer)>, "only a layer with parameters can be updatable");
    result.updatable = true;
    return result;
}

}  // namespace bespoke

#include <array>
#include <tuple>
#include <utility>

namespace bespoke {

/// An input of a network: the shape of one example. How many examples run at once is the caller's.
struct input {
    std::string_view name;
    shape dimensions;

    static constexpr std::size_t steps = 0;
    template <class Planner>
    constexpr void plan(Planner& p) const {
        p.input(name, dimensions);
    }
    friend bool operator==(const input&, const input&) = default;
};

/// Declares an output of a network by its blob. A network without any gives what its last layer writes.
struct output {
    std::string_view name;

    static constexpr std::size_t steps = 0;
    template <class Planner>
    constexpr void plan(Planner& p) const {
        p.output(name);
    }
    friend bool operator==(const output&, const output&) = default;
};

/// Layers one after the other.
template <class... Parts>
struct sequence {
    std::tuple<Parts...> parts;

    static constexpr bool stops = (may_stop<Parts> || ...);
    static constexpr std::size_t steps = (steps_of<Parts> + ... + 0);

    template <class Planner>
    constexpr void plan(Planner& p) const {
        std::apply([&](const Parts&... part) { (part.plan(p), ...); }, parts);
    }

    template <class Engine, class Step>
    flow forward(Engine& e, Step step) const {
        return run_forward(e, step, std::index_sequence_for<Parts...>{});
    }
    template <class Engine>
    void backward(Engine& e, std::size_t step) const {
        extent executed = sizeof...(Parts);
        if constexpr (stops) executed = e.recorded();
        run_backward(e, step, executed, std::index_sequence_for<Parts...>{});
    }
    template <class Visit>
    constexpr void each(std::size_t step, const Visit& visit) const {
        run_each(step, visit, std::index_sequence_for<Parts...>{});
    }
    friend bool operator==(const sequence&, const sequence&) = default;

private:
    /// How many steps the parts before each take.
    static constexpr std::array<std::size_t, sizeof...(Parts)> offsets = [] {
        std::array<std::size_t, sizeof...(Parts)> result{steps_of<Parts>...};
        std::size_t sum = 0;
        for (std::size_t& offset : result) sum += std::exchange(offset, sum);
        return result;
    }();

    template <class Engine, class Step, std::size_t... I>
    flow run_forward([[maybe_unused]] Engine& e, [[maybe_unused]] Step step, std::index_sequence<I...>) const {
        flow result = flow::on;
        if constexpr (stops) {
            extent executed = 0;
            (void)((result = forward_part<I>(e, step), ++executed, result == flow::on) && ...);
            e.record(executed);
        } else {
            (forward_part<I>(e, step), ...);
        }
        return result;
    }
    template <std::size_t I, class Engine, class Step>
    flow forward_part(Engine& e, Step step) const {
        if constexpr (steps_of<std::tuple_element_t<I, std::tuple<Parts...>>> > 0)
            return std::get<I>(parts).forward(e, advanced<offsets[I]>(step));
        else
            return flow::on;
    }
    template <class Engine, std::size_t... I>
    void run_backward([[maybe_unused]] Engine& e, [[maybe_unused]] std::size_t step,
                      [[maybe_unused]] extent executed, std::index_sequence<I...>) const {
        (backward_part<sizeof...(Parts) - 1 - I>(e, step, executed), ...);
    }
    template <std::size_t I, class Engine>
    void backward_part(Engine& e, std::size_t step, extent executed) const {
        if constexpr (steps_of<std::tuple_element_t<I, std::tuple<Parts...>>> > 0)
            if (static_cast<extent>(I) < executed) std::get<I>(parts).backward(e, step + offsets[I]);
    }
    template <class Visit, std::size_t... I>
    constexpr void run_each([[maybe_unused]] std::size_t step, [[maybe_unused]] const Visit& visit, std::index_sequence<I...>) const {
        (each_in_part<I>(step, visit), ...);
    }
    template <std::size_t I, class Visit>
    constexpr void each_in_part(std::size_t step, const Visit& visit) const {
        if constexpr (steps_of<std::tuple_element_t<I, std::tuple<Parts...>>> > 0)
            std::get<I>(parts).each(step + offsets[I], visit);
    }
};

/// What `compose` takes: a layer, a layer with a name, or a part made of layers.
template <class Part>
concept composable = nodelike<Part> || requires { Part::steps; };

template <class Part>
constexpr auto as_part(const Part& part) {
    static_assert(composable<Part>, "not a layer, nor a part made of layers");
    if constexpr (layer<Part>)
        return node<Part>{.layer = part};
    else if constexpr (composable<Part>)
        return part;
    else
        return sequence<>{};
}

template <class Part>
    requires(composable<Part> && !nodelike<Part>)
constexpr Part operator|(const Part& part, const auto&) {
    static_assert(nodelike<Part>, "only a layer takes a name, blobs or `updatable`: say it of the layers inside");
    return part;
}

/// A network, or a part of one, as a value: its layers in the order of execution.
template <class... Parts>
constexpr auto compose(const Parts&... parts) {
    return sequence<decltype(as_part(parts))...>{{as_part(parts)...}};
}

}  // namespace bespoke

namespace bespoke {

/// Runs `if_branch` where |condition| > 1e-6, else `else_branch`. The condition is its only input and holds
/// one number; what the sides write is seen by the layers behind, if both sides write it.
/// Examples whose conditions differ run one by one.
/// Core ML specification, BranchLayerParams.
template <class If, class Else = sequence<>>
struct branch {
    If if_branch;
    Else else_branch{};

    static constexpr auto key = "branch";
    static constexpr auto fields = std::tuple{};
    static constexpr bool control = true;
    static constexpr bool stops = may_stop<If> || may_stop<Else>;
    static constexpr std::size_t steps = 1 + steps_of<If> + steps_of<Else>;

    /// `stops` of sides that may have been read from a file.
    constexpr bool can_stop() const { return bespoke::can_stop(if_branch) || bespoke::can_stop(else_branch); }

    template <class Planner>
    constexpr void plan(Planner& p, std::size_t step) const {
        p.want_scalar("", p.input_of(step));
        p.branch([&] { p.nested(step, "branch/ifBranch", [&] { if_branch.plan(p); }); },
                 [&] { p.nested(step, "branch/elseBranch", [&] { else_branch.plan(p); }); });
    }

    template <class Engine, class Step>
    flow forward(Engine& e, Step step) const {
        flow result = flow::on;
        const auto side = [&] {
            const bool condition = e.truth(e.input_blob(step, 0));
            if (condition)
                result = if_branch.forward(e, advanced<1>(step));
            else
                result = else_branch.forward(e, behind(if_branch, advanced<1>(step)));
            e.record(condition);
        };
        const bool together = e.agrees(e.input_blob(step, 0));
        if (together)
            side();
        else
            e.one_by_one(side);
        e.record(together);
        return result;
    }
    template <class Engine>
    void backward(Engine& e, std::size_t step) const {
        const auto side = [&] {
            if (e.recorded())
                if_branch.backward(e, step + 1);
            else
                else_branch.backward(e, behind(if_branch, step + 1));
        };
        if (e.recorded())
            side();
        else
            e.one_by_one_backward(side);
    }
    template <class Visit>
    constexpr void each(std::size_t step, const Visit& visit) const {
        if_branch.each(step + 1, visit);
        else_branch.each(behind(if_branch, step + 1), visit);
    }
    friend bool operator==(const branch&, const branch&) = default;
};
template <class If>
branch(If) -> branch<If>;
template <class If, class Else>
branch(If, Else) -> branch<If, Else>;

}  // namespace bespoke


namespace bespoke {

/// Repeats `body_network`.
///
/// Without a condition network: as many times as the input says, or `max_loop_iterations` where there is no
/// input. With one, `condition_network` runs first and after each iteration, and the loop goes on while the
/// blob `condition_variable` is not near 0 (|x| > 1e-6) and the count, if any, is not reached; a
/// `max_loop_iterations` of 0 without an input is no limit. The input holds one number, rounded to the
/// nearest integer; negative or NaN is 0. A blob keeps its value from iteration to iteration; one that is
/// made inside and never written is 0. Examples that need different numbers of iterations run one by one.
/// Core ML specification, LoopLayerParams.
template <class Body, class Condition = sequence<>>
struct loop {
    Body body_network;
    extent max_loop_iterations = 0;
    Condition condition_network{};
    std::string_view condition_variable{};

    static constexpr auto key = "loop";
    static constexpr auto fields = std::tuple{field{"maxLoopIterations", &loop::max_loop_iterations},
                                              field{"conditionVar", &loop::condition_variable}};
    static constexpr bool control = true;
    static constexpr input_count inputs{0, 1};
    static constexpr std::size_t steps = 1 + steps_of<Condition> + steps_of<Body>;

    template <class Planner>
    constexpr void plan(Planner& p, std::size_t step) const {
        if (max_loop_iterations < 0)
            return p.fail(value_fault("maxLoopIterations from 0 up wanted, ", max_loop_iterations, " given"));
        if (can_stop(condition_network))
            return p.fail(value_fault("a loopBreak or loopContinue belongs into the bodyNetwork, not into the "
                                      "conditionNetwork"));
        if (p.input_count_of(step) == 1) p.want_scalar("", p.input_of(step));
        p.loop(step, [&] {
            const std::size_t first = p.step_count();
            p.nested(step, "loop/conditionNetwork", [&] { condition_network.plan(p); });
            const bool has_network = p.step_count() > first;
            if (p.failed()) return;
            if (has_network != !condition_variable.empty())
                return p.fail(value_fault("conditionNetwork and conditionVar come together or not at all"));
            if (has_network) p.want_scalar(condition_variable, p.watch(step, condition_variable));
            if (!p.failed()) p.nested(step, "loop/bodyNetwork", [&] { body_network.plan(p); });
        });
    }

    template <class Engine, class Step>
    flow forward(Engine& e, Step step) const {
        const std::size_t condition = e.watched(step);
        const auto run = [&] {
            const extent most = limit(e, step);
            extent iterations = 0;
            bool broken = false;
            e.clear_made_in(step);
            for (;;) {
                if (condition != e.none) {
                    condition_network.forward(e, advanced<1>(step));
                    if (!e.truth(condition)) break;
                }
                if (most >= 0 && iterations == most) break;
                ++iterations;
                broken = body_network.forward(e, behind(condition_network, advanced<1>(step))) == flow::loop_break;
                if (broken) break;
            }
            e.record(iterations);
            e.record(broken);
        };
        const bool together = condition == e.none && !can_stop(body_network) &&
                              (e.input_count(step) == 0 || e.agrees(e.input_blob(step, 0)));
        if (together)
            run();
        else
            e.one_by_one(run);
        e.record(together);
        return flow::on;
    }
    template <class Engine>
    void backward(Engine& e, std::size_t step) const {
        const auto run = [&] {
            const bool broken = e.recorded() != 0;
            const extent iterations = e.recorded();
            const std::size_t inner = step + 1;
            if (!broken) condition_network.backward(e, inner);
            for (extent i = 0; i < iterations; ++i) {
                body_network.backward(e, behind(condition_network, inner));
                condition_network.backward(e, inner);
            }
            e.restore_made_in(step);
        };
        if (e.recorded())
            run();
        else
            e.one_by_one_backward(run);
    }
    template <class Visit>
    constexpr void each(std::size_t step, const Visit& visit) const {
        condition_network.each(step + 1, visit);
        body_network.each(behind(condition_network, step + 1), visit);
    }
    friend bool operator==(const loop&, const loop&) = default;

private:
    /// -1: no limit.
    template <class Engine, class Step>
    extent limit(Engine& e, Step step) const {
        if (e.input_count(step) == 1) return e.count(e.input_blob(step, 0));
        return max_loop_iterations > 0 || condition_variable.empty() ? max_loop_iterations : -1;
    }
};
template <class Body>
loop(Body) -> loop<Body>;
template <class Body>
loop(Body, extent) -> loop<Body>;
template <class Body, class Condition>
loop(Body, extent, Condition, std::string_view) -> loop<Body, Condition>;

/// Ends the loop around it.
/// Core ML specification, LoopBreakLayerParams.
struct loop_break {
    static constexpr auto key = "loopBreak";
    static constexpr auto fields = std::tuple{};
    static constexpr bool control = true;
    static constexpr bool stops = true;
    static constexpr input_count inputs{0, 0};

    template <class Planner>
    constexpr void plan(Planner& p, std::size_t) const {
        if (!p.in_loop()) p.fail(value_fault("it belongs into the bodyNetwork of a loop"));
    }
    template <class Engine, class Step>
    flow forward(Engine&, Step) const {
        return flow::loop_break;
    }
    template <class Engine>
    void backward(Engine&, std::size_t) const {}
    template <class Visit>
    constexpr void each(std::size_t, const Visit&) const {}
    friend bool operator==(const loop_break&, const loop_break&) = default;
};

/// Goes on with the next iteration of the loop around it.
/// Core ML specification, LoopContinueLayerParams.
struct loop_continue {
    static constexpr auto key = "loopContinue";
    static constexpr auto fields = std::tuple{};
    static constexpr bool control = true;
    static constexpr bool stops = true;
    static constexpr input_count inputs{0, 0};

    template <class Planner>
    constexpr void plan(Planner& p, std::size_t) const {
        if (!p.in_loop()) p.fail(value_fault("it belongs into the bodyNetwork of a loop"));
    }
    template <class Engine, class Step>
    flow forward(Engine&, Step) const {
        return flow::loop_continue;
    }
    template <class Engine>
    void backward(Engine&, std::size_t) const {}
    template <class Visit>
    constexpr void each(std::size_t, const Visit&) const {}
    friend bool operator==(const loop_continue&, const loop_continue&) = default;
};

}  // namespace bespoke


namespace bespoke {

/// `Count` copies of a part, one after the other, each with parameters of its own. Names inside copy i
/// become "<name>.<i>.<inner name>".
template <std::size_t Count, class Part>
struct repetition {
    Part part;
    std::string_view name;

    static_assert(!may_stop<Part>, "a loop_break or loop_continue belongs into a loop, not into repeat");
    static constexpr std::size_t steps = Count * steps_of<Part>;

    template <class Planner>
    constexpr void plan(Planner& p) const {
        if constexpr (!may_stop<Part>)
            for (std::size_t i = 0; i < Count; ++i)
                p.prefixed(sentence(name, name.empty() ? "" : ".", i), [&] { part.plan(p); });
    }
    template <class Engine, class Step>
    flow forward(Engine& e, Step step) const {
        if constexpr (std::is_same_v<Step, std::size_t>) {
            for (std::size_t i = 0; i < Count; ++i) part.forward(e, step + i * steps_of<Part>);
        } else {
            [&]<std::size_t... I>(std::index_sequence<I...>) {
                (part.forward(e, advanced<I * steps_of<Part>>(step)), ...);
            }(std::make_index_sequence<Count>{});
        }
        return flow::on;
    }
    template <class Engine>
    void backward(Engine& e, std::size_t step) const {
        for (std::size_t i = Count; i-- > 0;) part.backward(e, step + i * steps_of<Part>);
    }
    template <class Visit>
    constexpr void each(std::size_t step, const Visit& visit) const {
        for (std::size_t i = 0; i < Count; ++i) part.each(step + i * steps_of<Part>, visit);
    }
    friend bool operator==(const repetition&, const repetition&) = default;
};

/// `repeat<12>(compose(...), "encoder")`
template <std::size_t Count, class Part>
constexpr auto repeat(const Part& part, std::string_view name = "") {
    return repetition<Count, decltype(as_part(part))>{as_part(part), name};
}

}  // namespace bespoke


namespace bespoke {

/// y = x + part(x), both of one shape.
template <class Part>
struct residual_connection {
    Part part;

    static_assert(!may_stop<Part>, "a loop_break or loop_continue belongs into a loop, not into residual");
    static constexpr std::size_t steps = steps_of<Part> + 1;

    template <class Planner>
    constexpr void plan(Planner& p) const {
        if constexpr (!may_stop<Part>) {
            const std::size_t x = p.previous();
            part.plan(p);
            p.want_same_shape("residual", x, p.previous());
            p.add_on(add{}, "", {x, p.previous()});
        }
    }
    template <class Engine, class Step>
    flow forward(Engine& e, Step step) const {
        part.forward(e, step);
        return e.forward(add{}, advanced<steps_of<Part>>(step));
    }
    template <class Engine>
    void backward(Engine& e, std::size_t step) const {
        e.backward(add{}, step + steps_of<Part>);
        part.backward(e, step);
    }
    template <class Visit>
    constexpr void each(std::size_t step, const Visit& visit) const {
        part.each(step, visit);
        visit(add{}, step + steps_of<Part>);
    }
    friend bool operator==(const residual_connection&, const residual_connection&) = default;
};

/// `residual(compose(...))` or `residual(layer, layer, ...)`: adds what goes in to what comes out.
template <class... Parts>
constexpr auto residual(const Parts&... parts) {
    using part = decltype(compose(parts...));
    return residual_connection<part>{compose(parts...)};
}

}  // namespace bespoke




#include <stdexcept>
#include <string>

namespace bespoke {

/// What the library throws: a code for programs and a sentence for people. Kernels and layers never throw.
class error : public std::runtime_error {
public:
    error(errc code, const std::string& what) : std::runtime_error(what), code_(code) {}
    explicit error(const fault& problem)
        : error(problem.code, std::string(problem.what.view())) {}

    errc code() const noexcept { return code_; }

private:
    errc code_;
};

}  // namespace bespoke



namespace bespoke {

/// Results of so few elements are not worth an epilogue; composed networks unroll their layers instead.
inline constexpr extent unrolled_elements = 512;

/// The input of `step` that comes from the step before it in its epilogue.
constexpr std::size_t finished_blob(const plan_view& p, std::size_t step) {
    for (std::size_t before = p.steps[step].head; before != blob_facts::npos; before = p.steps[before].next)
        if (p.steps[before].next == step) return p.outputs_of(before)[0];
    return blob_facts::npos;
}

/// Lets steps run as epilogues of the steps whose results they alone read: a prediction computes such a chain block by
/// block, while the block is near. All other inputs must be there when the head of the chain runs, hence the last input
/// that is made is the one that is finished.
constexpr void find_epilogues(plan& p) {
    const plan_view view = p.view();
    std::vector<std::size_t> readers(p.blobs.size(), 0), writers(p.blobs.size(), 0);
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        for (std::size_t blob : view.inputs_of(s)) ++readers[blob];
        for (std::size_t blob : view.outputs_of(s)) ++writers[blob];
        if (p.steps[s].watched != blob_facts::npos) ++readers[p.steps[s].watched];
    }
    for (std::size_t blob : p.outputs) ++readers[blob];
    const auto plain = [&](std::size_t s) {
        const step_facts& step = p.steps[s];
        return !step.control && !step.logged && step.parent == blob_facts::npos && step.output_count == 1 &&
               writers[view.outputs_of(s)[0]] == 1;
    };
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        if (!p.steps[s].can_finish || !plain(s)) continue;
        std::size_t last = blob_facts::npos;  // the input that is made last
        for (std::size_t blob : view.inputs_of(s))
            if (last == blob_facts::npos || p.blobs[last].maker == blob_facts::npos ||
                (p.blobs[blob].maker != blob_facts::npos && p.blobs[blob].maker > p.blobs[last].maker))
                last = blob;
        const blob_facts &x = p.blobs[last], &y = p.blobs[view.outputs_of(s)[0]];
        if (x.maker == blob_facts::npos || readers[last] != 1 || !plain(x.maker)) continue;
        const std::size_t head = p.steps[x.maker].head != blob_facts::npos ? p.steps[x.maker].head : x.maker;
        bool all_there = p.steps[head].runs_epilogue && x.dimensions == y.dimensions &&
                         x.per_example == y.per_example && y.dimensions.size() > unrolled_elements;
        for (std::size_t blob : view.inputs_of(s)) {
            const blob_facts& other = p.blobs[blob];
            if (blob == last) continue;
            all_there &= other.per_example == y.per_example && writers[blob] <= 1 &&
                         (other.maker == blob_facts::npos || other.maker < head);
        }
        if (!all_there) continue;
        p.steps[s].head = head;
        p.steps[x.maker].next = s;
    }
}

}  // namespace bespoke


namespace bespoke {

/// Between which steps each blob is alive in a prediction.
constexpr void find_lifetimes(plan& p) {
    const plan_view view = p.view();
    for (auto& blob : p.blobs) blob.first = blob_facts::npos;
    for (std::size_t blob : p.inputs) p.blobs[blob].first = 0;
    const auto touch = [&](std::size_t blob, std::size_t first, std::size_t last) {
        p.blobs[blob].first = std::min(p.blobs[blob].first, first);
        p.blobs[blob].last = std::max(p.blobs[blob].last, last);
    };
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        for (std::size_t blob : view.inputs_of(s)) touch(blob, s, s);
        for (std::size_t blob : view.outputs_of(s)) touch(blob, s, s);
        if (p.steps[s].head != blob_facts::npos) touch(view.outputs_of(s)[0], p.steps[s].head, s);
    }
    // A loop comes back to its first step, and where examples run one by one a branch does so for the next
    // example: what is touched inside lives as long as the control step runs.
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        if (!p.steps[s].control) continue;
        for (std::size_t inner = s; inner < p.steps[s].end; ++inner) {
            for (std::size_t blob : view.inputs_of(inner)) touch(blob, s, p.steps[s].end - 1);
            for (std::size_t blob : view.outputs_of(inner)) touch(blob, s, p.steps[s].end - 1);
        }
        if (p.steps[s].watched != blob_facts::npos) touch(p.steps[s].watched, s, p.steps[s].end - 1);
    }
    for (std::size_t blob : p.outputs) p.blobs[blob].last = p.steps.size();
    for (auto& blob : p.blobs)
        if (blob.first == blob_facts::npos) blob.first = 0;
}

/// Offsets in the arena of a prediction. A layer that may work in place does so where its input dies.
constexpr void place_blobs(plan& p) {
    const plan_view view = p.view();
    std::vector<std::size_t> home;
    std::vector<tenancy> all;
    for (const blob_facts& blob : p.blobs) {
        home.push_back(home.size());
        all.push_back({blob.dimensions.size(), blob.first, blob.last});
    }
    for (std::size_t s = 0; s < p.steps.size(); ++s) {
        const step_facts& step = p.steps[s];
        if (step.head != blob_facts::npos) {
            // The values between the layers of an epilogue are those of its result.
            const std::size_t y = view.outputs_of(s)[0], x = finished_blob(view, s);
            home[y] = home[x];
            all[home[x]].last = std::max(all[home[x]].last, all[y].last);
            continue;
        }
        if (!step.in_place || step.logged || step.parent != blob_facts::npos || step.input_count == 0) continue;
        const std::size_t x = view.inputs_of(s)[0], y = view.outputs_of(s)[0];
        if (p.blobs[x].last != s || p.blobs[y].first != s || all[x].size != all[y].size ||
            p.blobs[x].per_example != p.blobs[y].per_example)
            continue;
        home[y] = home[x];
        all[home[x]].last = std::max(all[home[x]].last, all[y].last);
    }
    for (const bool per_example : {true, false}) {
        std::vector<tenancy> some;
        for (std::size_t i = 0; i < all.size(); ++i)
            if (home[i] == i && p.blobs[i].per_example == per_example) some.push_back(all[i]);
        (per_example ? p.arena_size : p.shared_size) = allocate(some);
        for (std::size_t i = 0, next = 0; i < all.size(); ++i)
            if (home[i] == i && p.blobs[i].per_example == per_example)
                p.blobs[i].offset = some[next++].offset;
    }
    for (std::size_t i = 0; i < home.size(); ++i) p.blobs[i].offset = p.blobs[home[i]].offset;
}

}  // namespace bespoke


#include <string_view>
#include <vector>

namespace bespoke {

/// The elements of a list by their names, texts of one pool. The compiler plans large networks, where to walk the list
/// for each name would take longest.
class name_index {
public:
    /// The next element of the list, whose name has this hash.
    constexpr void add(std::uint32_t hash) {
        std::size_t& first = first_[hash % slots];
        next_.push_back(first);
        first = next_.size() - 1;
    }
    /// The number of the element called `name`, or npos; the last one where several are.
    template <class Named>
    constexpr std::size_t find(const std::vector<Named>& list, const std::vector<char>& pool,
                               std::string_view name) const {
        const std::uint32_t hash = hash_of(name);
        for (std::size_t i = first_[hash % slots]; i != npos; i = next_[i]) {
            const text_range& mine = list[i].name;
            if (mine.hash == hash && std::string_view(pool.data() + mine.begin, mine.size) == name) return i;
        }
        return npos;
    }

private:
    static constexpr std::size_t slots = 256, npos = blob_facts::npos;
    std::vector<std::size_t> first_ = std::vector<std::size_t>(slots, npos), next_;
};

}  // namespace bespoke

#include <algorithm>
#include <cstddef>
#include <optional>

namespace bespoke {

/// Turns layers, told one after the other, into a plan: names become edges, edges shapes, shapes lifetimes
/// and lifetimes offsets. The compiler runs it for composed networks, the loader for files.
///
/// The first fault ends the planning; everything told after it is ignored.
class planner {
public:
    static constexpr std::size_t npos = blob_facts::npos;
    /// More elements than any machine of today could hold: a size gone wrong.
    static constexpr extent largest = extent{1} << 40;

    /// `root` stands before every place in an error: "/neuralNetwork/" for a file.
    constexpr explicit planner(std::string_view root = "") : place_(root) {
        // The compiler counts every element that a growing vector moves.
        if (!std::is_constant_evaluated()) return;
        plan_.text.reserve(std::size_t{1} << 20);
        plan_.steps.reserve(std::size_t{1} << 12);
        plan_.blobs.reserve(std::size_t{1} << 12);
        plan_.links.reserve(std::size_t{1} << 14);
    }

    constexpr bool failed() const { return problem_.has_value(); }
    /// Where and what, in one sentence.
    constexpr const fault& problem() const { return *problem_; }
    constexpr void fail(const fault& problem) {
        if (!failed())
            problem_ = fault{problem.code, sentence(current_, current_.view().empty() ? "" : ": ", problem.what)};
    }

    /// An input of the network; it becomes the default input of the next layer.
    constexpr void input(std::string_view name, const shape& dimensions) {
        if (failed()) return;
        current_ = sentence("input \"", name, "\"");
        if (name.empty()) return fail(value_fault("an input needs a name"));
        if (name.size() > longest_name) return fail_long_name(name);
        if (find(name) != npos) return fail({errc::duplicate_name, sentence("this name is taken already")});
        if (checked_size(dimensions, largest) < 0)
            return fail(shape_fault("extents from 0 up wanted, ", dimensions, " given"));
        previous_ = plan_.blobs.size();
        plan_.inputs.push_back(previous_);
        add_blob({.name = keep(name), .dimensions = dimensions}, known::written);
    }

    /// Declares an output of the network. Without any, it is what the last layer writes.
    constexpr void output(std::string_view name) {
        if (failed()) return;
        current_ = sentence("output \"", name, "\"");
        const std::size_t blob = find(name);
        if (blob == npos) return fail({errc::unknown_name, sentence("no layer writes a blob of this name")});
        if (known_[blob] != known::written)
            return fail(value_fault("this blob is written on one side of a branch only"));
        plan_.outputs.push_back(blob);
    }

    /// Adds a layer. No input named: the blob before. No output named: a blob of the layer's name.
    template <class L>
    constexpr void add(const L& layer, std::string_view name, std::span<const std::string_view> inputs,
                       std::span<const std::string_view> outputs, bool updatable) {
        static_assert(bespoke::layer<L>, "not a layer: see the concepts in core/concepts.hpp");
        if (failed()) return;
        const std::size_t number = begin_step(key_of<L>(), name);
        read(number, inputs, inputs_of<L>);
        if (failed()) return;
        if constexpr (control_layer<L>) {
            plan_.steps[number].control = true;
            if (!outputs.empty()) return fail(value_fault("no output wanted, ", outputs.size(), " named"));
            layer.plan(*this, number);
            previous_ = npos;  // it writes nothing of its own
        } else {
            const std::vector<shape> shapes = input_shapes(number);
            const outcome result = output_shapes(layer, std::span<const shape>(shapes));
            if (!result) return fail(result.problem());
            step_facts& step = plan_.steps[number];
            step.in_place = is_in_place<L> || gives_same_elements(layer);
            step.gradient_in_place = is_differentiable<L> && (elementwise_layer<L> || gives_same_elements(layer));
            step.runs_epilogue = runs_epilogue<L>;
            step.can_finish = can_finish(layer, std::span<const shape>(shapes));
            step.updatable = updatable;
            step.differentiable = is_differentiable<L>;
            step.probabilities = gives_probabilities(layer, std::span<const shape>(shapes));
            step.mixes_examples = mixes_examples(layer);
            step.needs = needs_of<L>;
            if constexpr (parametric_layer<L>) {
                constexpr auto fields = parameter_fields_of<L, shape>;
                const auto dimensions = parameter_shapes(layer, std::span<const shape>(shapes));
                for (std::size_t i = 0; i < dimensions.size(); ++i)
                    add_parameter(number, dimensions[i], fields[i].name, fields[i].start, fields[i].learned);
            }
            write(number, outputs, result.shapes(), is_overwriting<L>);
        }
        if (!failed()) plan_.steps[number].end = plan_.steps.size();
    }

    /// Adds a layer that reads blobs by number instead of by name.
    template <class L>
    constexpr void add_on(const L& layer, std::string_view name, std::initializer_list<std::size_t> blobs) {
        fixed_inputs_ = std::span<const std::size_t>(blobs.begin(), blobs.size());
        add(layer, name, {}, {}, false);
        fixed_inputs_ = {};
    }

    // --- for composites and control layers --------------------------------------------------------

    /// The default input of the next layer.
    constexpr std::size_t previous() const { return previous_; }
    constexpr const shape& dimensions(std::size_t blob) const { return plan_.blobs[blob].dimensions; }
    constexpr std::size_t input_count_of(std::size_t number) const { return plan_.steps[number].input_count; }
    /// The first input of the layer that is being added.
    constexpr std::size_t input_of(std::size_t number) const { return inputs(number)[0]; }
    constexpr bool in_loop() const { return loops_ > 0; }
    constexpr std::size_t step_count() const { return plan_.steps.size(); }

    /// Plans `body` with "name." before the names of its layers and blobs. A name that it reads is looked for
    /// inside first, then one prefix further out, and so on.
    template <class Body>
    constexpr void prefixed(const sentence& name, const Body& body) {
        const sentence prefix = prefix_;
        scopes_.push_back(prefix.view().size());
        prefix_.append(name);
        prefix_.append(".");
        body();
        prefix_ = prefix;
        scopes_.pop_back();
    }

    /// Plans a network inside the layer that is being added; errors in it are at "<layer>/part/layers/n".
    template <class Body>
    constexpr void nested(std::size_t number, std::string_view part, const Body& body) {
        if (failed()) return;
        const sentence place = place_;
        const std::size_t layers = layers_;
        place_.append(sentence("layers/", layers - 1, "/", part, "/"));
        layers_ = 0;
        const std::size_t first = plan_.steps.size(), before = previous_;
        body();
        for (std::size_t s = first; s < plan_.steps.size(); ++s)
            if (plan_.steps[s].parent == npos) plan_.steps[s].parent = number;
        previous_ = before;
        place_ = place;
        layers_ = layers;
        if (!failed()) current_ = sentence(text(plan_.steps[number].place));
    }

    /// Plans the two sides of a branch. What one side writes is hidden from the other, which may write it too.
    /// Behind the branch only what both have written may be read.
    template <class If, class Else>
    constexpr void branch(const If& if_side, const Else& else_side) {
        const std::vector<known> before = known_;
        ++branches_;
        if_side();
        std::vector<known> after = known_;
        std::copy(before.begin(), before.end(), known_.begin());
        std::fill(known_.begin() + static_cast<std::ptrdiff_t>(before.size()), known_.end(), known::unwritten);
        else_side();
        --branches_;
        after.resize(known_.size(), known::unwritten);
        for (std::size_t i = 0; i < known_.size(); ++i)
            if (known_[i] != after[i]) known_[i] = known::perhaps;
    }

    template <class Body>
    constexpr void loop(std::size_t number, const Body& body) {
        plan_.steps[number].loop = true;
        ++loops_;
        body();
        --loops_;
    }

    /// The blob that a control layer looks at must be there and hold one number.
    constexpr void want_scalar(std::string_view name, std::size_t blob) {
        if (failed()) return;
        if (blob == npos) return fail({errc::unknown_name, sentence("no layer writes \"", name, "\"")});
        if (known_[blob] != known::written) return fail_conditional(blob);
        if (plan_.blobs[blob].dimensions.size() != 1)
            fail(shape_fault("one number wanted in \"", text(plan_.blobs[blob].name), "\", its shape is ",
                             plan_.blobs[blob].dimensions));
    }
    /// What a composite adds up or chooses from has one shape.
    constexpr void want_same_shape(std::string_view what, std::size_t x, std::size_t y) {
        if (failed() || x == npos || y == npos || plan_.blobs[x].dimensions == plan_.blobs[y].dimensions) return;
        fail(shape_fault("the ", what, " around it wants an output of the shape of its input, ",
                         plan_.blobs[x].dimensions, ", its shape is ", plan_.blobs[y].dimensions));
    }
    constexpr std::size_t find(std::string_view name) const {
        for (std::size_t depth = scopes_.size() + 1; depth-- > 0;) {
            const std::string_view prefix =
                depth == scopes_.size() ? prefix_.view() : prefix_.view().substr(0, scopes_[depth]);
            if (prefix.size() + name.size() > longest_name) continue;
            const std::size_t blob = find_blob(sentence(prefix, name).view());
            if (blob != npos) return blob;
        }
        return npos;
    }
    /// Lets a control layer read one blob more, by name (a loop's condition).
    constexpr std::size_t watch(std::size_t number, std::string_view name) {
        const std::size_t blob = find(name);
        if (!failed()) plan_.steps[number].watched = blob;
        return blob;
    }

    /// Ends the planning. Only after this is the plan whole.
    constexpr void finish() {
        current_ = {};
        if (failed()) return;
        if (plan_.steps.empty()) return fail(value_fault("a network needs at least one layer"));
        if (plan_.outputs.empty()) {
            if (previous_ == npos)
                return fail(value_fault("no output: the last layer writes nothing of its own, so name the blob that "
                                        "is the output of the network"));
            plan_.outputs.push_back(previous_);
        }
        find_epilogues(plan_);
        find_lifetimes(plan_);
        place_blobs(plan_);
    }
    constexpr const plan& result() const { return plan_; }

private:
    /// Whether a blob holds a value where the planning stands.
    enum class known : char { unwritten, perhaps, written };
    static constexpr std::size_t longest_name = sentence::capacity;

    constexpr void fail_long_name(std::string_view name) {
        current_ = {};
        fail(value_fault("names of up to ", longest_name, " characters wanted, one of ", name.size(), " came: \"",
                         name.substr(0, 60), "...\""));
    }
    constexpr void fail_conditional(std::size_t blob) {
        fail(value_fault("its input \"", text(plan_.blobs[blob].name), "\" is written on one side of a branch only"));
    }

    constexpr void fail_no_input() {
        fail({errc::unknown_name, sentence(plan_.blobs.empty() ? "no input: there is no layer before it"
                                                               : "no input: the layer before it writes nothing of its "
                                                                 "own, so the input has to be named")});
    }

    constexpr std::string_view text(text_range range) const {
        return {plan_.text.data() + range.begin, range.size};
    }
    constexpr std::size_t find_blob(std::string_view name) const {
        return blob_names_.find(plan_.blobs, plan_.text, name);
    }
    constexpr void add_blob(const blob_facts& facts, known value) {
        plan_.blobs.push_back(facts);
        blob_names_.add(facts.name.hash);
        known_.push_back(value);
    }
    constexpr std::span<const std::size_t> inputs(std::size_t number) const {
        const step_facts& step = plan_.steps[number];
        return {plan_.links.data() + step.first_link, step.input_count};
    }
    constexpr text_range keep(std::string_view words) {
        const text_range range{plan_.text.size(), words.size(), hash_of(words)};
        for (char c : words) plan_.text.push_back(c);
        return range;
    }

    constexpr std::vector<shape> input_shapes(std::size_t number) const {
        std::vector<shape> shapes;
        for (std::size_t blob : inputs(number)) shapes.push_back(plan_.blobs[blob].dimensions);
        return shapes;
    }

    constexpr std::size_t begin_step(const sentence& key, std::string_view name) {
        const std::size_t number = plan_.steps.size();
        step_facts step;
        current_ = sentence(place_, "layers/", layers_);
        if (!name.empty()) current_.append(sentence(" \"", name, "\""));
        current_.append(sentence(" (", key, ")"));
        if (prefix_.view().size() + name.size() > longest_name) fail_long_name(name);
        step.place = keep(current_.view());
        step.name = name.empty() ? keep(sentence(prefix_, key, "_", number).view())
                                 : keep(sentence(prefix_, name).view());
        if (step_names_.find(plan_.steps, plan_.text, text(step.name)) != npos)
            fail({errc::duplicate_name, sentence("another layer has this name")});
        step.first_link = plan_.links.size();
        step.in_loop = in_loop();
        step.first_parameter = plan_.parameters.size();
        step.end = number + 1;
        plan_.steps.push_back(step);
        step_names_.add(step.name.hash);
        ++layers_;
        return number;
    }

    constexpr void read(std::size_t number, std::span<const std::string_view> names, input_count wanted) {
        if (failed()) return;
        if (!fixed_inputs_.empty()) {
            plan_.links.insert(plan_.links.end(), fixed_inputs_.begin(), fixed_inputs_.end());
            plan_.steps[number].input_count = fixed_inputs_.size();
            const bool missing = std::find(fixed_inputs_.begin(), fixed_inputs_.end(), npos) != fixed_inputs_.end();
            fixed_inputs_ = {};
            if (missing) return fail_no_input();
        } else if (names.empty() && wanted.least > 0) {
            if (previous_ == npos) return fail_no_input();
            plan_.links.push_back(previous_);
            plan_.steps[number].input_count = 1;
        } else {
            for (std::string_view name : names) {
                const std::size_t blob = find(name);
                if (blob == npos)
                    return fail({errc::unknown_name, sentence("no layer before it writes its input \"", name, "\"")});
                plan_.links.push_back(blob);
            }
            plan_.steps[number].input_count = names.size();
        }
        const std::size_t count = plan_.steps[number].input_count;
        if (count < wanted.least || count > wanted.most) {
            sentence range(wanted.least);
            if (wanted.most == any_number) range.append(" or more");
            else if (wanted.most != wanted.least) range.append(sentence(" to ", wanted.most));
            return fail(value_fault(range, wanted.least == 1 && wanted.most == 1 ? " input wanted, " : " inputs wanted, ",
                                    count, " named"));
        }
        for (std::size_t blob : inputs(number))
            if (known_[blob] != known::written) return fail_conditional(blob);
    }

    constexpr void write(std::size_t number, std::span<const std::string_view> names,
                         const std::vector<shape>& shapes, bool overwrites) {
        if (failed()) return;
        if (names.empty() ? shapes.size() != 1 : names.size() != shapes.size())
            return fail(value_fault(shapes.size(), shapes.size() == 1 ? " output wanted, " : " outputs wanted, ",
                                    names.size(), " named"));
        bool per_example = loops_ > 0 || branches_ > 0;
        for (std::size_t blob : inputs(number)) per_example |= plan_.blobs[blob].per_example;
        for (std::size_t i = 0; i < shapes.size(); ++i) {
            if (!names.empty() && prefix_.view().size() + names[i].size() > longest_name)
                return fail_long_name(names[i]);
            const sentence name(names.empty() ? text(plan_.steps[number].name)
                                              : sentence(prefix_, names[i]).view());
            if (checked_size(shapes[i], largest) < 0)
                return fail(shape_fault("its output would have the shape ", shapes[i]));
            // only a copy reaches out of its prefix: it overwrites what is there
            std::size_t blob = overwrites && !names.empty() ? find(names[i]) : find_blob(name.view());
            if (blob == npos) {
                blob = plan_.blobs.size();
                add_blob({.name = keep(name.view()), .dimensions = shapes[i], .per_example = per_example,
                          .maker = number}, known::written);
            } else {
                const blob_facts& old = plan_.blobs[blob];
                if (known_[blob] != known::unwritten && !overwrites)
                    return fail({errc::duplicate_name, sentence("its output \"", name, "\" is written already")});
                if (!(old.dimensions == shapes[i]))
                    return fail(shape_fault("its output \"", name, "\" has the shape ", shapes[i],
                                            ", where it was written before it has ", old.dimensions));
                for (std::size_t read : inputs(number))
                    if (read == blob) return fail(value_fault("its output \"", name, "\" is its input"));
                if (per_example) store_per_example(blob);
                if (known_[blob] != known::unwritten) plan_.steps[number].logged = true;
                known_[blob] = known::written;
            }
            plan_.links.push_back(blob);
            ++plan_.steps[number].output_count;
            previous_ = blob;
        }
        if (in_loop()) plan_.steps[number].logged = true;
    }

    /// A blob that was to be stored once is overwritten by what depends on an input: each example gets its own.
    /// All outputs of a layer are stored alike, so those beside it follow.
    constexpr void store_per_example(std::size_t blob) {
        if (plan_.blobs[blob].per_example) return;
        plan_.blobs[blob].per_example = true;
        for (std::size_t s = 0; s < plan_.steps.size(); ++s) {
            const auto outputs = plan_.view().outputs_of(s);
            if (std::find(outputs.begin(), outputs.end(), blob) == outputs.end()) continue;
            for (std::size_t beside : outputs) store_per_example(beside);
        }
    }

    constexpr void add_parameter(std::size_t number, const shape& dimensions, std::string_view name, initial start,
                                 bool learned) {
        const extent size = checked_size(dimensions, largest);
        if (size < 0)
            return fail(shape_fault("its ", name, " would have the shape ", dimensions));
        plan_.parameters.push_back({number, name, dimensions, plan_.parameters_size, start, learned});
        plan_.parameters_size += aligned_size<float>(size);
        ++plan_.steps[number].parameter_count;
    }

    plan plan_;
    name_index blob_names_, step_names_;
    std::optional<fault> problem_;
    sentence place_, prefix_, current_;
    std::vector<std::size_t> scopes_;  // how long the prefix was outside of each part of it
    std::vector<known> known_;         // for each blob
    std::size_t layers_ = 0, loops_ = 0, branches_ = 0, previous_ = npos;
    std::span<const std::size_t> fixed_inputs_;
};

}  // namespace bespoke






#include <array>
#include <span>
#include <utility>

namespace bespoke {

/// Philox4x32-10: a counter-based generator. Number i of stream s depends on (seed, s, i) alone, so
/// draws are the same whatever the order or the number of threads that make them.
/// Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
class philox {
public:
    constexpr explicit philox(std::uint64_t seed, std::uint64_t stream = 0) : seed_(seed), stream_(stream) {}

    /// Four independent 32-bit numbers for the counter value `index`.
    constexpr std::array<std::uint32_t, 4> block(std::uint64_t index) const {
        std::array<std::uint32_t, 4> c{low(index), high(index), low(stream_), high(stream_)};
        std::uint32_t k0 = low(seed_), k1 = high(seed_);
        for (int round = 0; round < 10; ++round) {
            const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c[0];
            const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c[2];
            c = {high(p1) ^ c[1] ^ k0, low(p1), high(p0) ^ c[3] ^ k1, low(p0)};
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        return c;
    }

    /// The next 32 bits. `position` is all the state there is; it can be saved and set.
    constexpr std::uint32_t operator()() {
        const std::uint32_t bits = block(position / 4)[position % 4];
        ++position;
        return bits;
    }

    /// Uniform on [0, 1), 24 bits.
    constexpr double uniform() { return (*this)() / 256 * 0x1p-24; }

    /// Uniform on {0, ..., bound - 1} for 0 < bound < 2^32, without bias (Lemire 2019).
    constexpr std::uint32_t below(std::uint32_t bound) {
        std::uint64_t product = std::uint64_t{(*this)()} * bound;
        if (low(product) < bound) {
            const std::uint32_t threshold = (0u - bound) % bound;
            while (low(product) < threshold) product = std::uint64_t{(*this)()} * bound;
        }
        return high(product);
    }

    std::uint64_t position = 0;

private:
    static constexpr std::uint32_t low(std::uint64_t v) { return static_cast<std::uint32_t>(v); }
    static constexpr std::uint32_t high(std::uint64_t v) { return static_cast<std::uint32_t>(v >> 32); }

    std::uint64_t seed_, stream_;
};

/// Puts `items` into a random order (Fisher-Yates), the same one for the same state of `generator`.
template <class Item>
constexpr void shuffle(std::span<Item> items, philox& generator) {
    for (std::size_t i = items.size(); i > 1; --i)
        std::swap(items[i - 1], items[generator.below(static_cast<std::uint32_t>(i))]);
}

}  // namespace bespoke

#include <cmath>
#include <memory>
#include <utility>
#include <vector>

namespace bespoke {

/// Where the parameters and blobs of a network lie, and the working memory of its layers. Knows steps and blobs by
/// number, and no layer.
template <class T>
class network_memory {
public:
    using value_type = T;
    static constexpr std::size_t none = blob_facts::npos;

    /// The lists behind `plan` must outlive the memory.
    explicit network_memory(plan_view plan);

    const plan_view& plan() const { return plan_; }
    /// Another plan of the same layers, for other input shapes. The parameters stay.
    void replan(plan_view plan);

    /// The block of all parameters.
    const buffer<T>& parameters() const { return parameters_; }
    T* parameter(std::size_t number) const { return parameters_.data() + plan_.parameters[number].offset; }
    /// Takes over a block of parameters of the same plan.
    void take_parameters(buffer<T>&& block) { parameters_ = std::move(block); }
    buffer<T> give_parameters() { return std::move(parameters_); }
    /// Where the gradient of a parameter is summed up; null: nowhere.
    std::vector<T*>& parameter_gradients() { return parameter_gradients_; }
    dynamic_view<const T> parameter_view(std::size_t number) const;
    dynamic_view<T> parameter_gradient_view(std::size_t number) const;
    /// Fills the parameters as each layer says, from numbers that depend on the seed alone.
    void initialize(std::uint64_t seed);

    /// Makes room for a prediction of `examples` and points the blobs there. So many that they do not fit the cache run
    /// in chunks, see `each_chunk`, and only inputs and outputs hold all examples then, unless all blobs are wanted.
    void reserve(extent examples, bool all_blobs = false) {
        const bool chunks = !all_blobs;
        if (examples != examples_ || chunks != chunks_ || !planned_) make_room(examples, chunks);
    }
    /// Calls `body` once for each chunk of examples, with the window on it. The bits do not depend on the chunks.
    template <class Body>
    void each_chunk(const Body& body) {
        if (chunk_ >= examples_) return body();
        const extent chunks = (examples_ + chunk_ - 1) / chunk_;
        for (extent i = 0; i < chunks; ++i) {
            begin_chunk(examples_ * i / chunks, examples_ * (i + 1) / chunks);
            body();
        }
        whole();
    }
    /// Blobs are where the caller (a trainer) says.
    void place(extent examples, std::span<T* const> values, std::span<T* const> gradients);
    extent examples() const { return examples_; }
    /// How many of them run at once, at most.
    extent chunk() const { return std::max<extent>(chunk_, 1); }
    T* value(std::size_t blob) const { return values_[blob]; }
    T* gradient(std::size_t blob) const { return gradients_[blob]; }
    extent elements(std::size_t blob) const { return elements_of(blob, examples_); }
    /// Where a prediction of one example has a blob.
    T* reserved(const blob_facts& blob) const { return (blob.per_example ? arena_ : shared_).data() + blob.offset; }

    /// Threads for the kernels, the caller included: a pool of its own.
    void use_threads(std::size_t count);
    /// A pool of the caller's, which must outlive the use of it; null: the caller's thread alone.
    void use(thread_pool* threads) {
        threads_ = threads;
        measured_ = 0;
    }
    thread_pool* threads() const { return threads_; }
    /// How the layers compute; they have to prepare then.
    void use(const arithmetic& how) {
        how_ = how;
        measured_ = 0;
    }
    const arithmetic& how() const { return how_; }
    std::size_t thread_count() const { return threads_ ? threads_->size() : 1; }

    /// The parameter array `field` ("weights") of the layer called `layer`. Throws `error` where there is none.
    std::span<T> parameter(std::string_view layer, std::string_view field) const;
    /// Throws the `error` for the input `number`, of which `came` elements came.
    [[noreturn]] void throw_wrong_input(std::size_t number, extent came, extent examples) const;

    // --- working memory -----------------------------------------------------------------------------

    /// A step computes in low precision.
    void add_lowered() { ++lowered_; }
    /// What the layer at `step` asks for.
    void add_work(std::size_t step, extent prepared, extent scratch) {
        prepared_offsets_[step] = prepared_size_;
        prepared_size_ += aligned_size<T>(prepared);
        scratch_size_ = std::max(scratch_size_, scratch);
    }
    T* prepared(std::size_t step) const { return prepared_.data() + prepared_offsets_[step]; }
    workspace<T> work(std::size_t step) const { return {scratch_.data(), prepared(step), threads_, nullptr, how_}; }

    // --- the window: the examples that run now. Control layers narrow it. -----------------------------

    T* window(T* values, std::size_t blob) const {
        const blob_facts& facts = plan_.blobs[blob];
        return values == nullptr || !facts.per_example
                   ? values
                   : values + (first_ - origins_[blob]) * facts.dimensions.size();
    }
    T* window_value(std::size_t blob) const { return window(values_[blob], blob); }
    T* window_gradient(std::size_t blob) const { return window(gradients_[blob], blob); }
    extent window_size(std::size_t blob) const { return elements_of(blob, count_); }

protected:
    /// Whether the working memory is enough for what comes.
    bool is_measured() const { return measured_ >= chunk_ && measured_ > 0; }
    void begin_measure() {
        prepared_size_ = scratch_size_ = 0;
        lowered_ = 0;
    }
    void end_measure();
    std::size_t lowered() const { return lowered_; }

    extent first_ = 0, count_ = 0;  ///< the window

private:
    void make_room(extent examples, bool chunks);
    extent choose_chunk(extent examples) const;
    void begin_chunk(extent first, extent end);
    void whole() {
        first_ = 0;
        count_ = examples_;
    }
    extent elements_of(std::size_t blob, extent examples) const {
        const blob_facts& facts = plan_.blobs[blob];
        return facts.dimensions.size() * (facts.per_example ? examples : 1);
    }

    plan_view plan_;
    std::vector<T*> values_, gradients_;
    buffer<T> parameters_, arena_, shared_, prepared_, scratch_;
    std::vector<T*> parameter_gradients_;
    std::vector<extent> prepared_offsets_;
    extent prepared_size_ = 0, scratch_size_ = 0, examples_ = 0, chunk_ = 0, measured_ = 0;
    bool planned_ = false, chunks_ = false;
    std::vector<extent> origins_;  ///< for each blob, the example that lies where its values begin
    buffer<T> ends_;               ///< inputs and outputs of all chunks
    arithmetic how_;
    std::size_t lowered_ = 0;
    std::unique_ptr<thread_pool> own_threads_;
    thread_pool* threads_ = nullptr;
};

// Not in the class: what is there is inline, and would be compiled again wherever a network is composed, in spite of
// the explicit instantiation.

template <class T>
network_memory<T>::network_memory(plan_view plan)
    : plan_(plan), values_(plan.blobs.size()), gradients_(plan.blobs.size()),
      parameter_gradients_(plan.parameters.size()), prepared_offsets_(plan.steps.size()), origins_(plan.blobs.size()) {
    parameters_.allocate(plan.parameters_size);
    for (std::size_t i = 0; i < plan.parameters.size(); ++i) {  // what lies between them
        const extent size = plan.parameters[i].dimensions.size();
        std::fill(parameter(i) + size, parameter(i) + aligned_size<float>(size), T(0));
    }
}

template <class T>
void network_memory<T>::replan(plan_view plan) {
    plan_ = plan;
    values_.assign(plan.blobs.size(), nullptr);
    gradients_.assign(plan.blobs.size(), nullptr);
    origins_.assign(plan.blobs.size(), 0);
    planned_ = false;
    measured_ = 0;
}

template <class T>
void network_memory<T>::make_room(extent examples, bool chunks) {
    examples_ = examples;
    chunk_ = chunks ? choose_chunk(examples) : examples;
    chunks_ = chunks;
    planned_ = true;
    arena_.reserve(plan_.arena_size * chunk_);
    shared_.reserve(plan_.shared_size);
    for (std::size_t i = 0; i < plan_.blobs.size(); ++i) {
        const blob_facts& blob = plan_.blobs[i];
        values_[i] = blob.per_example ? arena_.data() + blob.offset * chunk_ : shared_.data() + blob.offset;
        gradients_[i] = nullptr;
        origins_[i] = 0;
    }
    if (chunk_ < examples) {
        const auto each_end = [&](const auto& visit) {
            for (const auto blobs : {plan_.inputs, plan_.outputs})
                for (std::size_t b : blobs)
                    if (plan_.blobs[b].per_example) visit(b, aligned_size<T>(elements(b)));
        };
        extent size = 0;
        each_end([&](std::size_t, extent elements) { size += elements; });
        ends_.reserve(size);
        T* place = ends_.data();
        each_end([&](std::size_t b, extent elements) { values_[b] = std::exchange(place, place + elements); });
    }
    whole();
}

/// As many examples as leave room in a cache of the second level; all where examples look at each other. From 4 up, so
/// that chunks of equal length have 2 or more: one example alone would be summed up in another order by a product.
template <class T>
extent network_memory<T>::choose_chunk(extent examples) const {
    constexpr extent cache = 768 << 10;
    for (const step_facts& step : plan_.steps)
        if (step.mixes_examples) return examples;
    const extent bytes = std::max<extent>(plan_.arena_size * static_cast<extent>(sizeof(T)), 1);
    const extent most = std::max<extent>(cache / bytes, 4);
    const extent chunks = (examples + most - 1) / most;
    return chunks <= 1 ? examples : (examples + chunks - 1) / chunks;
}

template <class T>
void network_memory<T>::begin_chunk(extent first, extent end) {
    first_ = first;
    count_ = end - first;
    const auto is_end = [&](const T* values) { return values >= ends_.data() && values < ends_.data() + ends_.size(); };
    for (std::size_t b = 0; b < values_.size(); ++b)
        if (!is_end(values_[b])) origins_[b] = first;
}

template <class T>
void network_memory<T>::place(extent examples, std::span<T* const> values, std::span<T* const> gradients) {
    std::copy(values.begin(), values.end(), values_.begin());
    std::copy(gradients.begin(), gradients.end(), gradients_.begin());
    std::fill(origins_.begin(), origins_.end(), 0);
    examples_ = chunk_ = examples;
    planned_ = false;
    whole();
}

template <class T>
void network_memory<T>::use_threads(std::size_t count) {
    own_threads_.reset(count > 1 ? new thread_pool(count) : nullptr);
    use(own_threads_.get());
}

template <class T>
std::span<T> network_memory<T>::parameter(std::string_view layer, std::string_view field) const {
    const std::size_t step = plan_.find_step(layer);
    if (step != none)
        for (std::size_t i = 0; i < plan_.steps[step].parameter_count; ++i) {
            const std::size_t number = plan_.steps[step].first_parameter + i;
            const auto& facts = plan_.parameters[number];
            if (facts.name == field) return {parameter(number), static_cast<std::size_t>(facts.dimensions.size())};
        }
    throw error(errc::unknown_name, "no layer \"" + std::string(layer) + "\" with a parameter \"" +
                                        std::string(field) + "\" in this network");
}

template <class T>
void network_memory<T>::throw_wrong_input(std::size_t number, extent came, extent examples) const {
    const blob_facts& facts = plan_.blobs[plan_.inputs[number]];
    throw error(shape_fault("input \"", plan_[facts.name], "\": ", examples, " times the shape ", facts.dimensions,
                            " wanted (", examples * facts.dimensions.size(), " elements), ", came, " came"));
}

template <class T>
void network_memory<T>::end_measure() {
    prepared_.allocate(prepared_size_);
    scratch_.reserve(scratch_size_);
    measured_ = chunk();
}

template <class T>
void network_memory<T>::initialize(std::uint64_t seed) {
    for (std::size_t i = 0; i < plan_.parameters.size(); ++i) {
        const parameter_facts& p = plan_.parameters[i];
        const std::span<T> values(parameter(i), static_cast<std::size_t>(p.dimensions.size()));
        if (p.start == initial::glorot) {
            // [outputs, inputs, window...]: the window counts for both
            const extent window = p.dimensions.rank() > 2 ? p.dimensions.product(2, p.dimensions.rank()) : 1;
            const extent fans = p.dimensions.rank() > 1 ? p.dimensions[0] + p.dimensions[1] : p.dimensions[0];
            const double bound = std::sqrt(6.0 / static_cast<double>(std::max<extent>(fans * window, 1)));
            philox random(seed, i);
            for (T& v : values) v = static_cast<T>((2 * random.uniform() - 1) * bound);
        } else {
            std::fill(values.begin(), values.end(), p.start == initial::one ? T(1) : T(0));
        }
    }
}

template <class T>
dynamic_view<const T> network_memory<T>::parameter_view(std::size_t number) const {
    const shape& s = plan_.parameters[number].dimensions;
    return {s.size() == 0 ? nullptr : parameter(number), s, 1, s.size()};
}

template <class T>
dynamic_view<T> network_memory<T>::parameter_gradient_view(std::size_t number) const {
    const shape& s = plan_.parameters[number].dimensions;
    return {s.size() == 0 ? nullptr : parameter_gradients_[number], s, 1, s.size()};
}

}  // namespace bespoke

namespace bespoke {

/// Which steps a forward pass runs.
enum class pass {
    all,        ///< prediction
    frozen,     ///< what no trained parameter has an influence on
    trainable,  ///< the rest, recorded for the backward pass
};

/// What a running network knows besides its memory: which steps a pass runs, which examples, and what happened on the
/// way. All that running a layer needs; knows steps and blobs by number, and no layer.
template <class T>
class engine_state : public network_memory<T> {
public:
    using network_memory<T>::none;
    using network_memory<T>::plan;

    /// The lists behind `plan` must outlive the engine.
    explicit engine_state(plan_view plan);

    // --- passes -----------------------------------------------------------------------------------

    /// The next passes run these steps; `trained[s]` says which step a trained parameter has an influence on, and
    /// `finished[s]` whether a recorded pass runs it in the epilogue of another one (empty: none).
    void select(pass which, std::span<const char> trained, std::span<const char> finished = {}) {
        pass_ = which;
        trained_ = trained;
        finished_ = finished;
        tape_.clear();
        log_.clear();
    }
    /// Called after each step of a frozen pass.
    template <class Hook>
    void after_frozen(const Hook& hook) {
        hook_ = [](const void* context, std::size_t step) { (*static_cast<const Hook*>(context))(step); };
        hook_context_ = &hook;
    }
    /// `births(s)` lists the blobs whose gradient begins to be summed up at step s (the last that reads them).
    void set_births(std::span<const std::vector<std::size_t>> births) { births_ = births; }

    // --- for control layers -----------------------------------------------------------------------

    std::size_t input_blob(std::size_t step, std::size_t number) const { return plan().inputs_of(step)[number]; }
    std::size_t input_count(std::size_t step) const { return plan().steps[step].input_count; }
    std::size_t watched(std::size_t step) const { return plan().steps[step].watched; }

    /// |x| > 1e-6 in the first example of the window.
    bool truth(std::size_t blob) const { return std::abs(scalar(blob, first_)) > T(1e-6); }
    /// The nearest integer, at least 0.
    extent count(std::size_t blob) const {
        const T value = scalar(blob, first_);
        return value > T(0) ? static_cast<extent>(std::min(std::round(value), T(1e15))) : 0;
    }
    /// Whether all examples of the window hold the same number. No example: false, there is nothing to look at.
    bool agrees(std::size_t blob) const;
    template <class Body>
    void one_by_one(const Body& body) {
        const extent first = first_, count = count_;
        for (extent i = 0; i < count; ++i) {
            first_ = first + i;
            count_ = 1;
            body();
        }
        first_ = first;
        count_ = count;
    }
    template <class Body>
    void one_by_one_backward(const Body& body) {
        const extent first = first_, count = count_;
        for (extent i = count; i-- > 0;) {
            first_ = first + i;
            count_ = 1;
            body();
        }
        first_ = first;
        count_ = count;
    }

    /// The tape: what control layers decided, read back in reverse order.
    void record(extent decision) {
        if (pass_ == pass::trainable) tape_.push_back(decision);
    }
    extent recorded() {
        const extent decision = tape_.back();
        tape_.pop_back();
        return decision;
    }

    /// Blobs that the loop at `step` makes for those behind it are 0 until it writes them.
    void clear_made_in(std::size_t step);
    void restore_made_in(std::size_t step);

    // --- for layer_runner.hpp ---------------------------------------------------------------------

    /// Whether the pass runs this step.
    bool runs(std::size_t step) const {
        return pass_ == pass::all || (pass_ == pass::trainable) == (trained_[step] != 0);
    }
    bool predicts() const { return pass_ == pass::all; }
    /// Before and after a step of a forward pass.
    void begin_forward(std::size_t step);
    void end_forward(std::size_t step) {
        if (pass_ == pass::frozen && plan().steps[step].parent == none) hook_(hook_context_, step);
    }
    /// Before and after a step of a backward pass.
    void begin_backward(std::size_t step);
    void end_backward(std::size_t step);

    /// How many examples the step has in the window.
    extent step_examples(std::size_t step) const;
    /// Whether a layer of one input would read a blob that is stored once and write one example after the other:
    /// then it runs example by example, so that layers need not know of it.
    bool spreads(std::size_t step) const {
        return step_examples(step) > 1 && !plan().blobs[plan().inputs_of(step)[0]].per_example;
    }
    bool wants_backward(std::size_t step) const;

    /// Whether a forward pass runs it in the epilogue of another one.
    bool is_finished(std::size_t step) const {
        return pass_ == pass::all ? plan().steps[step].head != none : !finished_.empty() && finished_[step] != 0;
    }
    /// The step that runs behind `step` in an epilogue, or none.
    std::size_t next(std::size_t step) const {
        const std::size_t s = plan().steps[step].next;
        return s != none && is_finished(s) ? s : none;
    }
    /// The last one; `step` itself where there is none.
    std::size_t tail(std::size_t step) const {
        for (std::size_t s = next(step); s != none; s = next(s)) step = s;
        return step;
    }
    /// Lets the steps of the epilogue finish a block.
    void finish(std::size_t head, const output_block<T>& block) const noexcept {
        for (std::size_t s = next(head); s != none; s = next(s)) attached_[s].finish(*this, attached_[s].layer, s, block);
    }

    /// The blobs of a step as a layer sees them, valid until the next question.
    struct views {
        std::span<const dynamic_view<const T>> xs, ys, dys;
        std::span<const dynamic_view<T>> outputs, dxs;
    };
    /// Of all examples in the window, or of the one `example`.
    views look_forward(std::size_t step, extent example);
    views look_backward(std::size_t step, extent example);
    std::vector<shape> input_shapes(std::size_t step) const;

protected:
    /// A layer and what layer_runner.hpp has for its type.
    struct attached_layer {
        const void* layer = nullptr;  ///< null: a control layer
        void (*measure)(engine_state&, const void* layer, std::size_t step) = nullptr;
        void (*prepare)(engine_state&, const void* layer, std::size_t step) = nullptr;
        void (*finish)(const engine_state&, const void* layer, std::size_t step,
                       const output_block<T>& block) noexcept = nullptr;
    };
    std::vector<attached_layer> attached_;  ///< for each step

private:
    T scalar(std::size_t blob, extent example) const {
        return this->window_value(blob)[plan().blobs[blob].per_example ? example - first_ : 0];
    }
    template <class U>
    std::span<const dynamic_view<U>> look(std::vector<dynamic_view<U>>& list, std::span<const std::size_t> blobs,
                                          bool gradients, extent examples, extent example) const;

    // The log: values that were overwritten while recording.
    void log_values(std::size_t blob);
    void undo_blob(std::size_t blob);
    bool made_in(std::size_t step, std::size_t blob) const;

    using network_memory<T>::first_;
    using network_memory<T>::count_;

    pass pass_ = pass::all;
    std::span<const char> trained_, finished_;
    std::span<const std::vector<std::size_t>> births_;
    std::vector<extent> tape_;
    std::vector<T> log_;
    std::vector<dynamic_view<const T>> xs_, ys_, dys_;
    std::vector<dynamic_view<T>> written_;
    void (*hook_)(const void*, std::size_t) = nullptr;
    const void* hook_context_ = nullptr;
};

// Not in the class: see memory.hpp.

template <class T>
engine_state<T>::engine_state(plan_view plan) : network_memory<T>(plan), attached_(plan.steps.size()) {
    std::size_t most = 0;
    for (const step_facts& step : plan.steps) most = std::max({most, step.input_count, step.output_count});
    for (auto* list : {&xs_, &ys_, &dys_}) list->reserve(most);
    written_.reserve(most);
}

template <class T>
bool engine_state<T>::agrees(std::size_t blob) const {
    if (count_ == 0) return false;
    for (extent i = 1; i < count_; ++i)
        if (!(scalar(blob, first_ + i) == scalar(blob, first_))) return false;
    return true;
}

template <class T>
void engine_state<T>::clear_made_in(std::size_t step) {
    for (std::size_t blob = 0; blob < plan().blobs.size(); ++blob) {
        if (!made_in(step, blob)) continue;
        if (pass_ == pass::trainable) log_values(blob);
        kernels::fill(this->window_size(blob), T(0), this->window_value(blob));
    }
}

template <class T>
void engine_state<T>::restore_made_in(std::size_t step) {
    for (std::size_t blob = plan().blobs.size(); blob-- > 0;)
        if (made_in(step, blob)) undo_blob(blob);
}

template <class T>
void engine_state<T>::begin_forward(std::size_t step) {
    if (plan().steps[step].logged && pass_ == pass::trainable)
        for (std::size_t blob : plan().outputs_of(step)) log_values(blob);
}

template <class T>
void engine_state<T>::begin_backward(std::size_t step) {
    if (births_.empty()) return;
    for (std::size_t blob : births_[step]) kernels::fill(this->elements(blob), T(0), this->gradient(blob));
}

template <class T>
void engine_state<T>::end_backward(std::size_t step) {
    if (!plan().steps[step].logged) return;
    const auto outputs = plan().outputs_of(step);
    for (std::size_t i = outputs.size(); i-- > 0;) undo_blob(outputs[i]);
}

template <class T>
extent engine_state<T>::step_examples(std::size_t step) const {
    for (std::size_t blob : plan().outputs_of(step))
        if (plan().blobs[blob].per_example) return count_;
    return 1;
}

template <class T>
bool engine_state<T>::wants_backward(std::size_t step) const {
    for (std::size_t blob : plan().outputs_of(step))
        if (this->gradient(blob) != nullptr) return true;
    return false;
}

template <class T>
template <class U>
std::span<const dynamic_view<U>> engine_state<T>::look(std::vector<dynamic_view<U>>& list,
                                                       std::span<const std::size_t> blobs,
                                                       bool gradients, extent examples, extent example) const {
    list.resize(blobs.size());
    for (std::size_t i = 0; i < blobs.size(); ++i) {
        const blob_facts& facts = plan().blobs[blobs[i]];
        const extent size = facts.dimensions.size(), stride = facts.per_example || examples == 1 ? size : 0;
        T* const data = gradients ? this->window_gradient(blobs[i]) : this->window_value(blobs[i]);
        if (example < 0)
            list[i] = {data, facts.dimensions, examples, stride};
        else
            list[i] = {data == nullptr ? data : data + example * stride, facts.dimensions, 1, size};
    }
    return list;
}

template <class T>
typename engine_state<T>::views engine_state<T>::look_forward(std::size_t step, extent example) {
    const extent examples = step_examples(step);
    views v;
    v.xs = look(xs_, plan().inputs_of(step), false, examples, example);
    v.outputs = look(written_, plan().outputs_of(tail(step)), false, examples, example);
    return v;
}

template <class T>
typename engine_state<T>::views engine_state<T>::look_backward(std::size_t step, extent example) {
    const extent examples = step_examples(step);
    views v;
    v.xs = look(xs_, plan().inputs_of(step), false, examples, example);
    v.ys = look(ys_, plan().outputs_of(step), false, examples, example);
    v.dys = look(dys_, plan().outputs_of(step), true, examples, example);
    v.dxs = look(written_, plan().inputs_of(step), true, examples, example);
    return v;
}

template <class T>
std::vector<shape> engine_state<T>::input_shapes(std::size_t step) const {
    std::vector<shape> shapes;
    for (std::size_t blob : plan().inputs_of(step)) shapes.push_back(plan().blobs[blob].dimensions);
    return shapes;
}

template <class T>
void engine_state<T>::log_values(std::size_t blob) {
    const T* from = this->window_value(blob);
    log_.insert(log_.end(), from, from + this->window_size(blob));
}

template <class T>
void engine_state<T>::undo_blob(std::size_t blob) {
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

// One layer over the memory of an engine, with extents that are known at run time. Everything that is compiled once a
// layer type stands here, as functions: an explicit instantiation of a class would have it instantiated wherever a
// network is composed.

namespace bespoke {
namespace detail {

/// The layer that runs at `step`.
template <layer L, class T>
decltype(auto) performer_at([[maybe_unused]] const engine_state<T>& e, const L& given,
                            [[maybe_unused]] std::size_t step) {
    if constexpr (rephrased_layer<L>)
        return given.equivalent(e.plan().blobs[e.plan().inputs_of(step)[0]].dimensions);
    else
        return (given);
}

template <layer L, class T>
parameters_t<L, dynamic_view<const T>> parameter_views(const engine_state<T>& e, std::size_t step) {
    parameters_t<L, dynamic_view<const T>> views;
    for (std::size_t i = 0; i < parameter_count<L>; ++i)
        if constexpr (parametric_layer<L>)
            views.*(parameter_fields_of<L, dynamic_view<const T>>[i].member) =
                e.parameter_view(e.plan().steps[step].first_parameter + i);
    return views;
}
template <layer L, class T>
parameters_t<L, dynamic_view<T>> parameter_gradient_views(const engine_state<T>& e, std::size_t step) {
    parameters_t<L, dynamic_view<T>> views;
    for (std::size_t i = 0; i < parameter_count<L>; ++i)
        if constexpr (parametric_layer<L>)
            views.*(parameter_fields_of<L, dynamic_view<T>>[i].member) =
                e.parameter_gradient_view(e.plan().steps[step].first_parameter + i);
    return views;
}

/// Calls `body(example)`: once with -1 for all examples together, or for one after the other.
template <layer L, class T, class Body>
void each_call(const engine_state<T>& e, std::size_t step, const Body& body) {
    const bool together = is_batched<L> && (variadic_layer<performer_t<L>> || !e.spreads(step));
    const extent end = together ? 0 : e.step_examples(step);
    for (extent example = together ? -1 : 0; example < end; ++example) body(example);
}
/// Calls `body(x, y, size)` with the place of the first elements and their number, for a layer that takes elements one by
/// one.
template <class T, class Body>
void each_run(const engine_state<T>& e, std::size_t step, const Body& body) {
    const extent size = e.plan().blobs[e.plan().outputs_of(step)[0]].dimensions.size();
    const bool spreads = e.spreads(step);
    const extent runs = spreads ? e.step_examples(step) : 1;
    const extent length = spreads ? size : size * e.step_examples(step);
    for (extent i = 0; i < runs; ++i)
        parallel_for(e.threads(), length, 4096,
                     [&](extent begin, extent end) { body(begin, i * size + begin, end - begin); });
}

/// A step that begins an epilogue.
template <class T>
struct chain_head {
    const engine_state<T>& engine;
    std::size_t step;

    static void run(const void* context, const output_block<T>& block) noexcept {
        const auto& self = *static_cast<const chain_head*>(context);
        self.engine.finish(self.step, block);
    }
};

}  // namespace detail

// Where a layer comes as `const void*`, it is an L.

/// Asks the layer for its working memory.
template <class T, layer L>
void measure_layer(engine_state<T>& e, const void* erased, std::size_t step) {
    const auto& layer = detail::performer_at(e, *static_cast<const L*>(erased), step);
    const std::vector<shape> shapes = e.input_shapes(step);
    constexpr bool many = variadic_layer<performer_t<L>>;
    constexpr bool lowers = lowers_precision<performer_t<L>, T, std::conditional_t<many, std::span<const shape>, shape>>;
    const auto ask = [&](const auto& x) {
        extent prepared = 0, scratch = 0;
        if constexpr (lowers)
            if (layer.template precision<T>(x, e.how()) != low_precision::none) e.add_lowered();
        if constexpr (requires { layer.template prepared_size<T>(x, e.how()); })
            prepared = layer.template prepared_size<T>(x, e.how());
        else if constexpr (requires { layer.template prepared_size<T>(x); })
            prepared = layer.template prepared_size<T>(x);
        if constexpr (requires { layer.template scratch_size<T>(x, extent{}, extent{}); })
            scratch = layer.template scratch_size<T>(x, e.chunk(),
                                                     e.threads() ? static_cast<extent>(e.threads()->size()) : 1);
        e.add_work(step, prepared, scratch);
    };
    if constexpr (many)
        ask(std::span<const shape>(shapes));
    else
        ask(shapes[0]);
}

/// Lets the layer bring its parameters into the order in which its kernel reads them.
template <class T, layer L>
void prepare_layer(engine_state<T>& e, const void* erased, std::size_t step) {
    const auto& layer = detail::performer_at(e, *static_cast<const L*>(erased), step);
    if constexpr (requires(T* to) { layer.prepare(detail::parameter_views<L>(e, step), to, e.how()); })
        layer.prepare(detail::parameter_views<L>(e, step), e.prepared(step), e.how());
    else if constexpr (requires(T* to) { layer.prepare(detail::parameter_views<L>(e, step), to); })
        layer.prepare(detail::parameter_views<L>(e, step), e.prepared(step));
}

/// Runs the layer, and the epilogue that begins with it.
template <class T, layer L>
void forward_layer(engine_state<T>& e, const L& given, std::size_t step) {
    if (!e.runs(step) || e.is_finished(step)) return;
    const auto& layer = detail::performer_at(e, given, step);
    e.begin_forward(step);
    const bool goes_on = e.tail(step) != step;
    if constexpr (elementwise_layer<L>) {
        const T* x = e.window_value(e.plan().inputs_of(step)[0]);
        T* y = e.window_value(e.plan().outputs_of(e.tail(step))[0]);
        detail::each_run(e, step, [&](extent in, extent out, extent size) {
            // As much as stays in a cache of the first level.
            for (extent done = 0; done < size; done += 2048) {
                const extent some = std::min<extent>(size - done, 2048);
                kernels::map(some, layer, x + in + done, y + out + done);
                if (goes_on) e.finish(step, {y + out + done, 1, some, some});
            }
        });
    } else if constexpr (same_elements_layer<L>) {
        const T* x = e.window_value(e.plan().inputs_of(step)[0]);
        T* y = e.window_value(e.plan().outputs_of(step)[0]);
        detail::each_run(e, step, [&](extent in, extent out, extent size) { kernels::copy(size, x + in, y + out); });
    } else {
        const auto p = detail::parameter_views<L>(e, step);
        workspace<T> w = e.work(step);
        const detail::chain_head<T> head{e, step};
        const epilogue<T> after{&head.run, &head};
        if (goes_on) w.after = &after;
        w.exact = !e.predicts();
        detail::each_call<L>(e, step, [&](extent example) {
            const auto v = e.look_forward(step, example);
            if constexpr (variadic_layer<performer_t<L>>)
                layer.forward(v.xs, v.outputs, p, w);
            else
                layer.forward(v.xs[0], v.outputs[0], p, w);
        });
    }
    e.end_forward(step);
}

/// Does the layer's part of an epilogue.
template <class T, layer L>
void finish_layer(const engine_state<T>& e, const void* erased, std::size_t step,
                  const output_block<T>& block) noexcept {
    const L& layer = *static_cast<const L*>(erased);
    if constexpr (elementwise_layer<L>) {
        for (extent i = 0; i < block.rows; ++i)
            kernels::map(block.columns, layer, block.data + i * block.stride, block.data + i * block.stride);
    } else if constexpr (requires { layer.finish(block, finishing<T>{}); }) {
        const blob_facts& y = e.plan().blobs[e.plan().outputs_of(step)[0]];
        finishing<T> f{&y.dimensions, block.data - e.window_value(e.plan().outputs_of(e.tail(step))[0])};
        const std::size_t finished = finished_blob(e.plan(), step);
        for (std::size_t blob : e.plan().inputs_of(step))
            if (blob != finished) {
                f.other = e.window_value(blob);
                f.other_size = e.plan().blobs[blob].dimensions.size();
            }
        f.prepared = e.prepared(step);
        layer.finish(block, f);
    }
}

namespace detail {

/// The gradient of an element-wise layer, or of one that only moves on what it is given. It is added, or written over
/// that of the output where the plan has them in one place.
template <class T, layer L>
void backward_elements(engine_state<T>& e, [[maybe_unused]] const L& layer, std::size_t step) {
    const std::size_t in = e.plan().inputs_of(step)[0], out = e.plan().outputs_of(step)[0];
    const T *x = e.window_value(in), *y = e.window_value(out), *dy = e.window_gradient(out);
    T* dx = e.window_gradient(in);
    if (dx == nullptr || dy == nullptr) return;
    // What the derivative does not look at need not be there.
    if (x == nullptr) x = dy;
    if (y == nullptr) y = dy;
    each_run(e, step, [&](extent at_x, extent at_y, extent size) {
        if constexpr (elementwise_layer<L>) {
            if (dx == dy)
                kernels::map_slope(size, layer, x + at_x, y + at_y, dx + at_x);
            else
                kernels::map_backward(size, layer, x + at_x, y + at_y, dy + at_y, dx + at_x);
        } else if (dx != dy) {
            kernels::accumulate(size, dy + at_y, dx + at_x);
        }
    });
}

}  // namespace detail

template <class T, layer L>
void backward_layer(engine_state<T>& e, const L& given, std::size_t step) {
    if (!e.runs(step)) return;
    [[maybe_unused]] const auto& layer = detail::performer_at(e, given, step);
    e.begin_backward(step);
    if constexpr (is_differentiable<L> && (elementwise_layer<L> || same_elements_layer<L>)) {
        detail::backward_elements(e, given, step);
    } else if (is_differentiable<L> && gives_same_elements(given)) {
        detail::backward_elements(e, given, step);
    } else if constexpr (is_differentiable<L>) {
        if (e.wants_backward(step)) {
            const auto p = detail::parameter_views<L>(e, step);
            const auto dp = detail::parameter_gradient_views<L>(e, step);
            workspace<T> w = e.work(step);
            detail::each_call<L>(e, step, [&](extent example) {
                const auto v = e.look_backward(step, example);
                if constexpr (variadic_layer<performer_t<L>>)
                    layer.backward(v.xs, v.ys, v.dys, v.dxs, p, dp, w);
                else
                    layer.backward(v.xs[0], v.ys[0], v.dys[0], v.dxs[0], p, dp, w);
            });
        }
    }
    e.end_backward(step);
}

}  // namespace bespoke


namespace bespoke {

/// Up to so many parameters, inputs and outputs (`unrolled_elements`) a composed layer is compiled for its very
/// extents: it unrolls.
inline constexpr extent unrolled_parameters = 16384;

/// One layer of a composed network with its extents in the type. `Step` is a fixed_step.
template <class T, layer L, class Step>
class unrolled {
    static constexpr std::size_t step = Step::value;
    static constexpr plan_view plan() { return Step::plan_type::view(); }
    template <class View>
    using parameters = parameters_t<L, View>;

public:
    /// Whether the layer is small enough, and where the plan alone says where its blobs lie.
    static constexpr bool fits() {
        constexpr plan_view p = plan();
        extent elements = 0;
        for (const auto& facts : p.parameters_of(step)) elements += facts.dimensions.size();
        bool small = elements <= unrolled_parameters;
        for (const auto& blobs : {p.inputs_of(step), p.outputs_of(step)})
            for (std::size_t blob : blobs) small = small && p.blobs[blob].dimensions.size() <= unrolled_elements;
        return small && takes_fixed_extents && p.steps[step].parent == blob_facts::npos;
    }

    /// Runs the layer for the one example of a prediction.
    [[gnu::always_inline]] static void forward(engine_state<T>& e, const L& layer) {
        const auto xs = inputs(e, std::make_index_sequence<plan().inputs_of(step).size()>{});
        const auto ys = outputs(e, std::make_index_sequence<plan().outputs_of(step).size()>{});
        const auto& from = std::get<0>(xs);
        const auto& to = std::get<0>(ys);
        if constexpr (elementwise_layer<L>) {
            kernels::map(to.size(), layer, from.data, to.data);
        } else if constexpr (same_elements_layer<L>) {
            kernels::copy(to.size(), from.data, to.data);
        } else {
            workspace<T> w = e.work(step);
            const auto& runs = performer(layer, from.dimensions);
            if constexpr (variadic_layer<performer_t<L>>)
                runs.forward_unrolled(xs, ys, parameter_views(e), w);
            else
                runs.forward(from, to, parameter_views(e), w);
        }
    }

private:
    template <std::size_t Blob, std::size_t... Axis>
    static static_shape<plan().blobs[Blob].dimensions[Axis]...> spelled(std::index_sequence<Axis...>);
    template <std::size_t Blob>
    using blob_shape = decltype(spelled<Blob>(std::make_index_sequence<plan().blobs[Blob].dimensions.rank()>{}));
    template <class U, std::size_t Blob>
    using blob_view = view<U, blob_shape<Blob>, constant<1>>;

    template <class U, std::size_t Blob>
    [[gnu::always_inline]] static blob_view<U, Blob> look(const engine_state<T>& e) {
        constexpr blob_facts facts = plan().blobs[Blob];
        return {e.reserved(facts), {}, {}, facts.dimensions.size()};
    }
    template <std::size_t... I>
    [[gnu::always_inline]] static auto inputs(const engine_state<T>& e, std::index_sequence<I...>) {
        return std::tuple<blob_view<const T, plan().inputs_of(step)[I]>...>{
            look<const T, plan().inputs_of(step)[I]>(e)...};
    }
    template <std::size_t... I>
    [[gnu::always_inline]] static auto outputs(const engine_state<T>& e, std::index_sequence<I...>) {
        return std::tuple<blob_view<T, plan().outputs_of(step)[I]>...>{look<T, plan().outputs_of(step)[I]>(e)...};
    }

    static constexpr bool takes_fixed_extents = [] {
        if constexpr (variadic_layer<performer_t<L>>)
            return []<std::size_t... I, std::size_t... O>(std::index_sequence<I...>, std::index_sequence<O...>) {
                using xs = std::tuple<blob_view<const T, plan().inputs_of(step)[I]>...>;
                using ys = std::tuple<blob_view<T, plan().outputs_of(step)[O]>...>;
                return requires(const performer_t<L>& runs, workspace<T>& w, const xs& from, const ys& to,
                                const parameters<dynamic_view<const T>>& p) { runs.forward_unrolled(from, to, p, w); };
            }(std::make_index_sequence<plan().inputs_of(step).size()>{},
              std::make_index_sequence<plan().outputs_of(step).size()>{});
        else
            return true;
    }();

    [[gnu::always_inline]] static parameters<dynamic_view<const T>> parameter_views(const engine_state<T>& e) {
        parameters<dynamic_view<const T>> views;
        if constexpr (parametric_layer<L>)
            kernels::unroll<parameter_count<L>>([&](auto i) __attribute__((always_inline)) {
                constexpr parameter_facts facts = plan().parameters[plan().steps[step].first_parameter + i];
                constexpr extent size = facts.dimensions.size();
                views.*(parameter_fields_of<L, dynamic_view<const T>>[i].member) = {
                    size == 0 ? nullptr : e.parameters().data() + facts.offset, facts.dimensions, 1, size};
            });
        return views;
    }
};

}  // namespace bespoke

namespace bespoke {

/// Runs the layers of a network over the memory that its plan asks for. Knows layers by their concepts; which ones
/// there are, it is told by the network that it is attached to. Both doors have this one engine: a composed network
/// tells its steps as types, so that small layers unroll.
template <class T>
class engine : public engine_state<T> {
public:
    using engine_state<T>::engine_state;

    /// Takes note of the layers of `network`, which `network.each(0, visit)` walks through. They must outlive the
    /// engine's use of them.
    template <class Network>
    void attach(const Network& network) {
        network.each(0, [&](const auto& part, std::size_t step) { attach_part(part, step); });
    }
    template <class Part>
    void attach_part(const Part& part, std::size_t step) {
        if constexpr (!layer<Part>)
            part.attach(*this, step);  // a layer behind a virtual call
        else if constexpr (!control_layer<Part>)
            attached_[step] = {&part, &measure_layer<T, Part>, &prepare_layer<T, Part>, &finish_layer<T, Part>};
    }

    /// Asks every layer for its working memory.
    void measure();
    /// Lets the layers bring their parameters into the order in which their kernels read them. To be done whenever
    /// they have changed.
    void prepare();
    void prepare(std::size_t step);

    /// In what predictions multiply with large matrices of weights, `none` being T; and a sentence why that is not what
    /// was asked for, empty where it is.
    low_precision precision_in_force() {
        measure();
        return this->lowered() > 0 ? this->how().allow_low_precision_accumulation : low_precision::none;
    }
    std::string precision_note();

    template <layer L, class Step>
    flow forward(const L& layer, Step step) {
        if constexpr (control_layer<L>) {
            if (!this->runs(step)) return flow::on;
            const flow result = layer.forward(*this, step);
            this->end_forward(step);
            return result;
        } else if constexpr (std::is_same_v<Step, std::size_t>) {
            forward_layer<T>(*this, layer, step);
        } else if constexpr (unrolled<T, L, Step>::fits()) {
            unrolled<T, L, Step>::forward(*this, layer);
        } else {
            forward_layer<T>(*this, layer, Step::value);
        }
        return flow::on;
    }

    template <layer L>
    void backward(const L& layer, std::size_t step) {
        if constexpr (control_layer<L>) {
            if (!this->runs(step)) return;
            this->begin_backward(step);
            layer.backward(*this, step);
        } else {
            backward_layer<T>(*this, layer, step);
        }
    }

private:
    struct attached_layer {
        const void* layer;
        std::size_t step;
        void (*measure)(engine_state<T>&, const void*, std::size_t);
        void (*prepare)(engine_state<T>&, const void*, std::size_t);
    };
    using engine_state<T>::attached_;
};

template <class T>
void engine<T>::measure() {
    if (this->is_measured()) return;
    this->begin_measure();
    for (std::size_t step = 0; step < attached_.size(); ++step)
        if (attached_[step].layer != nullptr) attached_[step].measure(*this, attached_[step].layer, step);
    this->end_measure();
}

template <class T>
std::string engine<T>::precision_note() {
    const low_precision wanted = this->how().allow_low_precision_accumulation;
    if (precision_in_force() == wanted) return {};
    const std::string name(enumerators(wanted)[static_cast<std::size_t>(wanted)]);
    const std::string type = "float" + std::to_string(8 * sizeof(T));
    const std::string instructions = wanted == low_precision::bfloat16 ? "AVX512-BF16" : "AVX512-VNNI";
    const std::string weights = std::to_string(kernels::least_low_precision_weights);
    const std::string why = !std::is_same_v<T, float> ? "its element type is not float32"
                            : kernels::has_low_precision(wanted)
                                ? "no layer has a product with more than " + weights + " weights"
                                : "the program is not compiled for " + instructions;
    return name + " was asked for, the network computes in " + type + ": " + why;
}

template <class T>
void engine<T>::prepare() {
    measure();
    parallel_for(this->threads(), static_cast<extent>(attached_.size()), 1, [&](extent first, extent last) {
        for (extent step = first; step < last; ++step) prepare(static_cast<std::size_t>(step));
    });
}

template <class T>
void engine<T>::prepare(std::size_t step) {
    if (attached_[step].layer != nullptr) attached_[step].prepare(*this, attached_[step].layer, step);
}

}  // namespace bespoke

#include <filesystem>

namespace bespoke {

/// A text that can be a template argument.
template <std::size_t Size>
struct message {
    char text[Size]{};
};

/// Declared, never defined: when a composed network does not fit together, the compiler's one error names
/// this type, and its argument says which layer, what was wanted and what came.
#ifdef __clang__  // prints an array as numbers, but characters one by one
template <char... Problem>
struct network_error;
#else
template <message Problem>
struct network_error;
#endif

/// The plan of a composed network, as a constant of the program.
template <const auto& Description>
struct composed_plan {
    static constexpr planner run() {
        planner p;
        Description.plan(p);
        p.finish();
        return p;
    }
    /// What the compiler has to know before it can keep the plan: one run of the planner for all of it.
    struct outline {
        bool fits;
        plan_sizes sizes;
    };
    static constexpr outline facts = [] {
        const planner p = run();
        return outline{!p.failed(), plan_sizes(p.result())};
    }();
    static constexpr bool fits = facts.fits;

    /// The fault as a template argument.
    static constexpr auto explain() {
        constexpr std::size_t size = run().problem().what.view().size();
        message<size + 1> text;
        const planner p = run();
        for (std::size_t i = 0; i < size; ++i) text.text[i] = p.problem().what.view()[i];
        return text;
    }
    static constexpr auto make() {
        if constexpr (fits) {
            constexpr plan_sizes n = facts.sizes;
            return static_plan<n.steps, n.blobs, n.links, n.parameters, n.inputs, n.outputs, n.text>(run().result());
        } else {
            return static_plan<0, 0, 0, 0, 0, 0, 0>(bespoke::plan{});
        }
    }
    static constexpr auto value = make();
    static constexpr plan_view view() { return value.view(); }
};

/// A network composed in code: `network<digits> net;` where `inline constexpr auto digits = compose(...)`.
///
/// Shapes, offsets and the order of execution are constants of the program. All memory is taken in the
/// constructor; a call allocates nothing. One thread at a time may use a network.
template <const auto& Description, class Element = float, bool Fits = composed_plan<Description>::fits>
class network {
    using plan_type = composed_plan<Description>;

public:
    using value_type = Element;
    using engine_type = engine<Element>;
    static constexpr const auto& description = Description;
    static constexpr plan_view plan() { return plan_type::view(); }

    /// Parameters begin as each layer says (Glorot uniform for weights), from `seed`. Kernels use `threads`
    /// threads, the caller included.
    explicit network(std::uint64_t seed = 0, std::size_t threads = 1) : network(without_parameters{}, threads) {
        initialize(seed);
    }
    /// With the parameters of the model at `path`, see `load`.
    explicit network(const std::filesystem::path& path, std::size_t threads = 1)
        : network(without_parameters{}, threads) {
        read(path, true);
    }

    network(const network& other) : network(without_parameters{}, other.engine_.thread_count()) {
        engine_.use(other.engine_.how());
        std::copy_n(other.engine_.parameters().data(), other.engine_.parameters().size(), engine_.parameters().data());
        prepare();
    }
    network(network&&) = default;
    network& operator=(network&&) = default;

    void initialize(std::uint64_t seed) {
        engine_.initialize(seed);
        engine_.prepare();
    }

    /// Runs one example: one argument for each input, each with as many elements as its shape. The result
    /// is a look at the output (a tuple of them where there are several), valid until the next call.
    template <array_like... Inputs>
    auto operator()(const Inputs&... inputs) {
        static_assert(sizeof...(Inputs) == input_count, "one argument for each input of the network");
        engine_.reserve(1);
        if constexpr (sizeof...(Inputs) == input_count) set_inputs<0>(1, inputs...);
        description.forward(engine_, fixed_step<plan_type, 0>{});
        return results<0>(1);
    }

    /// Runs as many examples as the arguments hold, one after the other along a new first axis.
    template <array_like... Inputs>
    auto predict_batch(const Inputs&... inputs) {
        static_assert(sizeof...(Inputs) == input_count, "one argument for each input of the network");
        extent examples = 0;
        if constexpr (sizeof...(Inputs) == input_count) examples = count_examples(inputs...);
        engine_.reserve(examples);
        engine_.measure();
        if constexpr (sizeof...(Inputs) == input_count) set_inputs<0>(examples, inputs...);
        forward();
        return results<1>(examples);
    }

    /// The parameter array `field` ("weights") of the layer `layer`, to read and to write. Call `prepare`
    /// after writing.
    std::span<Element> parameter(std::string_view layer, std::string_view field) {
        return engine_.parameter(layer, field);
    }
    /// Lets the kernels know that parameters have changed.
    void prepare() { engine_.prepare(); }
    /// How to compute from now on, where there is a choice.
    void use(const arithmetic& how) {
        engine_.use(how);
        prepare();
    }
    /// The same arithmetic but for `allow_low_precision_accumulation`. Returns what is in force then: `none` where the
    /// program is not compiled for such a machine or there is nothing to gain; `precision_note` says why.
    low_precision use_low_precision(low_precision wanted) {
        arithmetic how = engine_.how();
        how.allow_low_precision_accumulation = wanted;
        use(how);
        return precision_in_force();
    }
    low_precision precision_in_force() { return engine_.precision_in_force(); }
    std::string precision_note() { return engine_.precision_note(); }

    /// Takes over the parameters of the model at `path`, which must describe this very network: the same
    /// layers with the same hyper-parameters, shapes and wires. Throws `error` with the first difference;
    /// nothing has changed then. Defined in model/network_files.hpp, as is `save`.
    void load(const std::filesystem::path& path) { read(path, false); }
    /// Writes the network as a model.
    void save(const std::filesystem::path& path) const;

    // What a trainer or a loader works with.
    engine_type& core() { return engine_; }
    const engine_type& core() const { return engine_; }
    void forward() {
        engine_.each_chunk([this] { description.forward(engine_, std::size_t{0}); });
    }
    void backward() { description.backward(engine_, 0); }

private:
    static constexpr std::size_t input_count = plan().inputs.size();

    /// A new network takes the memory of the parameters over; one in use keeps its own, to which others may point.
    void read(const std::filesystem::path& path, bool is_new);

    struct without_parameters {};
    network(without_parameters, std::size_t threads) : engine_(plan()) {
        engine_.attach(description);
        engine_.use_threads(threads);
        engine_.reserve(1);
    }

    template <std::size_t Number, class First, class... Rest>
    void set_inputs(extent examples, const First& first, const Rest&... rest) {
        constexpr std::size_t blob = plan().inputs[Number];
        constexpr extent size = plan().blobs[blob].dimensions.size();
        if (static_cast<extent>(first.size()) != size * examples)
            engine_.throw_wrong_input(Number, static_cast<extent>(first.size()), examples);
        copy_elements(first, engine_.value(blob), static_cast<std::size_t>(size * examples));
        if constexpr (sizeof...(Rest) > 0) set_inputs<Number + 1>(examples, rest...);
    }
    template <std::size_t Number>
    void set_inputs(extent) {}

    template <class First, class... Rest>
    extent count_examples(const First& first, const Rest&...) const {
        constexpr extent size = plan().blobs[plan().inputs[0]].dimensions.size();
        const extent came = static_cast<extent>(first.size());
        if (size == 0 || came % size != 0)
            engine_.throw_wrong_input(0, came, std::max<extent>(size == 0 ? 0 : came / size, 1));
        return came / size;
    }

    template <std::size_t Leading, std::size_t Number>
    auto result(extent examples) const {
        constexpr std::size_t blob = plan().outputs[Number];
        constexpr shape s = plan().blobs[blob].dimensions;
        std::array<std::size_t, s.rank() + Leading> extents{};
        // what does not depend on an input is there once, for all examples
        if constexpr (Leading == 1)
            extents[0] = plan().blobs[blob].per_example ? static_cast<std::size_t>(examples) : 1;
        for (std::size_t axis = 0; axis < s.rank(); ++axis) extents[axis + Leading] = static_cast<std::size_t>(s[axis]);
        return adapt(static_cast<const Element*>(engine_.value(blob)), extents);
    }
    template <std::size_t Leading>
    auto results(extent examples) const {
        constexpr std::size_t count = plan().outputs.size();
        if constexpr (count == 1)
            return result<Leading, 0>(examples);
        else
            return [&]<std::size_t... I>(std::index_sequence<I...>) {
                return std::tuple{result<Leading, I>(examples)...};
            }(std::make_index_sequence<count>{});
    }

    engine_type engine_;
};

/// A network that does not fit together: one error, and nothing that follows from it.
template <const auto& Description, class Element>
class network<Description, Element, false> {
    static constexpr auto problem = composed_plan<Description>::explain();
#ifdef __clang__
    template <std::size_t... I>
    static network_error<problem.text[I]...> spelled(std::index_sequence<I...>);
    using error_type = decltype(spelled(std::make_index_sequence<sizeof(problem.text) - 1>{}));
    static_assert(sizeof(error_type) > 0);
#else
    static_assert(sizeof(network_error<problem>) > 0);
#endif

public:
    explicit network(const auto&...) {}
    std::array<Element, 1> operator()(const auto&...) { return {}; }
    std::array<Element, 1> predict_batch(const auto&...) { return {}; }
    void load(const auto&) {}
    void save(const auto&) const {}
    low_precision use_low_precision(low_precision) { return {}; }
};

}  // namespace bespoke



#include <memory>
#include <string>
#include <vector>

namespace bespoke {

/// Says which layer type hides behind an `any_node`, without run-time type information.
template <class L>
inline constexpr char layer_type_tag = 0;

/// A layer that was chosen at run time: the same layer type behind virtual calls, one a step.
class any_node {
public:
    std::string name;
    std::vector<std::string> inputs, outputs;
    bool updatable = false;

    virtual ~any_node() = default;
    virtual const void* type() const = 0;
    virtual bool can_stop() const = 0;
    virtual std::size_t step_count() const = 0;
    virtual void plan(planner& p) const = 0;
    virtual flow forward(engine<float>& e, std::size_t step) const = 0;
    virtual void backward(engine<float>& e, std::size_t step) const = 0;
    virtual void attach(engine<float>& e, std::size_t step) const = 0;
    /// Appends this node and those inside it, in the order of the plan's steps.
    virtual void flatten(std::vector<const any_node*>& into) const = 0;

    /// The layer, if it is an L.
    template <class L>
    const L* as() const;
};

/// Layers one after the other, chosen at run time. The nodes are shared and never change.
class layer_list {
public:
    std::vector<std::shared_ptr<const any_node>> nodes;

    bool can_stop() const {
        for (const auto& node : nodes)
            if (node->can_stop()) return true;
        return false;
    }
    std::size_t step_count() const {
        std::size_t count = 0;
        for (const auto& node : nodes) count += node->step_count();
        return count;
    }
    void plan(planner& p) const {
        for (const auto& node : nodes) node->plan(p);
    }
    flow forward(engine<float>& e, std::size_t step) const {
        flow result = flow::on;
        extent executed = 0;
        for (const auto& node : nodes) {
            if (result != flow::on) break;
            result = node->forward(e, step);
            step += node->step_count();
            ++executed;
        }
        if (can_stop()) e.record(executed);
        return result;
    }
    void backward(engine<float>& e, std::size_t step) const {
        auto executed = static_cast<extent>(nodes.size());
        if (can_stop()) executed = e.recorded();
        for (extent i = 0; i < executed; ++i) step += nodes[static_cast<std::size_t>(i)]->step_count();
        for (extent i = executed; i-- > 0;) {
            const auto& node = nodes[static_cast<std::size_t>(i)];
            step -= node->step_count();
            node->backward(e, step);
        }
    }
    template <class Visit>
    void each(std::size_t step, const Visit& visit) const {
        for (const auto& node : nodes) {
            visit(*node, step);
            step += node->step_count();
        }
    }
    std::vector<const any_node*> flatten() const {
        std::vector<const any_node*> all;
        for (const auto& node : nodes) node->flatten(all);
        return all;
    }
    friend bool operator==(const layer_list&, const layer_list&) = default;
};

/// The one implementation of `any_node`.
template <layer L>
class node_of final : public any_node {
public:
    L layer;

    explicit node_of(L value) : layer(std::move(value)) {}

    const void* type() const override { return &layer_type_tag<L>; }
    bool can_stop() const override { return bespoke::can_stop(layer); }
    std::size_t step_count() const override {
        std::size_t count = 1;
        if constexpr (control_layer<L>)
            layer.each(0, [&]<class Part>(const Part& part, std::size_t) {
                if constexpr (std::is_base_of_v<any_node, Part>) count += part.step_count();
            });
        return count;
    }
    void plan(planner& p) const override {
        const std::vector<std::string_view> in(inputs.begin(), inputs.end()), out(outputs.begin(), outputs.end());
        p.add(layer, name, in, out, updatable);
    }
    flow forward(engine<float>& e, std::size_t step) const override { return e.forward(layer, step); }
    void backward(engine<float>& e, std::size_t step) const override { e.backward(layer, step); }
    void attach(engine<float>& e, std::size_t step) const override {
        e.attach_part(layer, step);
        inner(step, [&](const any_node& node, std::size_t s) { node.attach(e, s); });
    }
    void flatten(std::vector<const any_node*>& into) const override {
        into.push_back(this);
        inner(0, [&](const any_node& node, std::size_t) { node.flatten(into); });
    }

private:
    template <class Visit>
    void inner(std::size_t step, const Visit& visit) const {
        if constexpr (control_layer<L>) layer.each(step, visit);
    }
};

template <class L>
const L* any_node::as() const {
    return type() == &layer_type_tag<L> ? &static_cast<const node_of<L>*>(this)->layer : nullptr;
}

}  // namespace bespoke


namespace bespoke {

/// A network that was read at load time: the run-time twin of `network<description>`. Planned for the
/// shapes that come; plans are kept.
class program {
public:
    struct named_shape {
        std::string name;
        shape dimensions;
        friend bool operator==(const named_shape&, const named_shape&) = default;
    };

    /// Plans `layers` for inputs of the given shapes. `root` stands before the places in errors; `outputs`
    /// may be empty: then it is what the last layer writes. Throws `error`.
    program(layer_list layers, std::vector<named_shape> inputs, std::vector<std::string> outputs,
            std::string root = "")
        : layers_(std::move(layers)), outputs_(std::move(outputs)), root_(std::move(root)),
          plans_{{inputs, make_plan(inputs)}}, engine_(plans_.front().second->view()) {
        engine_.attach(layers_);
    }

    program(const program& other)
        : layers_(other.layers_), outputs_(other.outputs_), root_(other.root_),
          plans_(other.plans_), engine_(other.plan()) {
        std::copy_n(other.engine_.parameters().data(), other.engine_.parameters().size(), engine_.parameters().data());
        engine_.attach(layers_);
        use_threads(other.thread_count());
        use(other.engine_.how());
    }
    program(program&&) = default;
    program& operator=(program&&) = default;

    using engine_type = engine<float>;
    using value_type = float;
    const layer_list& layers() const { return layers_; }
    const plan_view& plan() const { return engine_.plan(); }
    engine_type& core() { return engine_; }
    const engine_type& core() const { return engine_; }

    /// Whether the current plan is for these input shapes.
    bool is_planned_for(const std::vector<named_shape>& inputs) const {
        for (const auto& [shapes, plan] : plans_)
            if (shapes == inputs) return engine_.plan().steps.data() == plan->steps.data();
        return false;
    }
    /// Makes the plan for these input shapes the current one. Throws `error` where they do not fit.
    void reshape(const std::vector<named_shape>& inputs) {
        for (const auto& [shapes, plan] : plans_)
            if (shapes == inputs) {
                if (engine_.plan().steps.data() == plan->steps.data()) return;
                engine_.replan(plan->view());
                return prepare();  // what is prepared may depend on the shapes
            }
        auto next = make_plan(inputs);
        for (std::size_t i = 0; i < next->parameters.size(); ++i)
            if (!(next->parameters[i].dimensions == plans_.front().second->parameters[i].dimensions)) {
                const auto view = next->view();
                const auto& facts = next->parameters[i];
                throw error(shape_fault(view[view.steps[facts.step].place], ": its ", facts.name,
                                        " would have the shape ", facts.dimensions, " for this input, it has ",
                                        plans_.front().second->parameters[i].dimensions));
            }
        plans_.emplace_back(inputs, std::move(next));
        engine_.replan(plans_.back().second->view());
        prepare();
    }

    void use_threads(std::size_t count) { engine_.use_threads(count); }
    std::size_t thread_count() const { return engine_.thread_count(); }

    /// Lets the kernels know that parameters have changed.
    void prepare() { engine_.prepare(); }
    /// How to compute from now on, where there is a choice.
    void use(const arithmetic& how) {
        engine_.use(how);
        prepare();
    }
    /// The same arithmetic but for `allow_low_precision_accumulation`. Returns what is in force then: `none` where the
    /// program is not compiled for such a machine or there is nothing to gain; `precision_note` says why.
    low_precision use_low_precision(low_precision wanted) {
        arithmetic how = engine_.how();
        how.allow_low_precision_accumulation = wanted;
        use(how);
        return precision_in_force();
    }
    low_precision precision_in_force() { return engine_.precision_in_force(); }
    std::string precision_note() { return engine_.precision_note(); }
    void forward() {
        engine_.each_chunk([this] { layers_.forward(engine_, 0); });
    }
    void backward() { layers_.backward(engine_, 0); }

private:
    std::shared_ptr<const bespoke::plan> make_plan(const std::vector<named_shape>& inputs) const {
        planner p(root_);
        for (const auto& in : inputs) p.input(in.name, in.dimensions);
        layers_.plan(p);
        for (const auto& name : outputs_) p.output(name);
        p.finish();
        if (p.failed()) throw error(p.problem());
        return std::make_shared<const bespoke::plan>(p.result());
    }

    layer_list layers_;
    std::vector<std::string> outputs_;
    std::string root_;
    std::vector<std::pair<std::vector<named_shape>, std::shared_ptr<const bespoke::plan>>> plans_;
    engine<float> engine_;
};

}  // namespace bespoke



#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

namespace bespoke {

struct gradient_options {
    extent examples = 2;
    std::uint64_t seed = 0;
    /// Inputs are drawn from [low, high), unless a generator is given.
    double low = -1, high = 1;
    /// Largest |expected - came| / max(1, |expected|).
    double tolerance = 1e-6;
    /// Where the layer has no derivative: inputs and parameters keep 0.01 away from these values.
    std::vector<double> kinks{};
    /// Which input each argument of the layer reads; {0, 0} gives it the same blob twice. Empty: one each.
    std::vector<std::size_t> arguments{};
};

struct gradient_report {
    bool ok = true;
    /// What is wrong: which element, which number was expected and which came. Empty where ok.
    std::string what{};
    explicit operator bool() const { return ok; }
};

namespace detail {

/// Stands for a blob that does not depend on the inputs of its network. Never runs: the values are given.
struct stored_once {
    shape dimensions;

    static constexpr auto key = "storedOnce";
    static constexpr auto fields = std::tuple{};
    static constexpr input_count inputs{0, 0};

    constexpr outcome output_shape(std::span<const shape>) const { return dimensions; }
    void forward(auto, auto, const auto&, auto&) const noexcept {}
    void backward(auto, auto, auto, auto, const auto&, const auto&, auto&) const noexcept {}
    friend bool operator==(const stored_once&, const stored_once&) = default;
};

/// One layer in a network of its own, with all its arrays at hand.
template <layer L>
class gradient_check {
    using arrays = std::vector<std::vector<double>>;

public:
    static constexpr std::size_t none = blob_facts::npos;

    /// `once`: the input that is stored once for all examples; none: each is stored example after example.
    gradient_check(const L& layer, const std::vector<shape>& inputs, const gradient_options& options,
                   std::size_t once)
        : layer_(layer), options_(options), planner_(make_plan(inputs, once)),
          engine_(planner_.result().view()), step_(planner_.result().steps.size() - 1) {
        if (once != none) manner_ = sentence(" (input ", once, " stored once for all examples)").view();
    }

    template <class Generate>
    gradient_report run(const Generate& generate) {
        if (planner_.failed()) return wrong(std::string(planner_.problem().what.view()));
        if (!is_differentiable<L>) return wrong("no gradient passes this layer: differentiable = false");
        fill(generate);
        const result all = backward(none, true, true);
        for (std::size_t i = 0; i < input_count(); ++i)
            for (std::size_t e = 0; e < all.inputs[i].size(); ++e)
                if (gradient_report r =
                        compare(input_name(i, e), all.inputs[i][e], values_[blob_of_input(i)][e]);
                    !r)
                    return r;
        for (std::size_t i = 0; i < all.parameters.size(); ++i) {
            const parameter_facts& facts = plan().parameters[i];
            if (!facts.learned) continue;
            for (std::size_t e = 0; e < all.parameters[i].size(); ++e)
                if (gradient_report r =
                        compare(parameter_name(i, e), all.parameters[i][e], engine_.parameter(i)[e]);
                    !r)
                    return r;
        }
        // what is not wanted must change nothing of the rest
        if (gradient_report r = same(all, backward(none, false, true), "no input gradient"); !r) return r;
        if (gradient_report r = same(all, backward(none, true, false), "no parameter gradient"); !r) return r;
        for (std::size_t i = 0; input_count() > 1 && i < input_count(); ++i)
            if (gradient_report r = same(all, backward(i, true, true), "the gradients of some inputs only");
                !r)
                return r;
        return {};
    }

private:
    struct result {
        arrays inputs, parameters;  ///< empty where not wanted
    };

    plan_view plan() const { return engine_.plan(); }

    planner make_plan(const std::vector<shape>& inputs, std::size_t once) {
        planner p;
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            const sentence name("x", i);
            if (i == once)
                p.add(stored_once{inputs[i]}, name.view(), {}, {}, false);
            else
                p.input(name.view(), inputs[i]);
            input_names_.push_back(name);
        }
        std::vector<std::size_t> arguments = options_.arguments;
        for (std::size_t i = 0; options_.arguments.empty() && i < inputs.size(); ++i) arguments.push_back(i);
        std::vector<shape> shapes;
        std::vector<std::string_view> names;
        for (std::size_t argument : arguments) {
            shapes.push_back(inputs[argument]);
            names.push_back(input_names_[argument].view());
        }
        std::vector<sentence> outputs;
        if (shapes.size() >= inputs_of<L>.least && shapes.size() <= inputs_of<L>.most)
            if (const outcome o = output_shapes(layer_, std::span<const shape>(shapes));
                o && o.shapes().size() != 1)
                for (std::size_t i = 0; i < o.shapes().size(); ++i) outputs.push_back(sentence("y", i));
        std::vector<std::string_view> output_names;
        for (const sentence& name : outputs) output_names.push_back(name.view());
        p.add(layer_, "layer", names, output_names, true);
        p.finish();
        return p;
    }

    std::size_t input_count() const { return input_names_.size(); }
    std::size_t blob_of_input(std::size_t i) const { return plan().find_blob(input_names_[i].view()); }

    /// Random numbers wherever the layer reads.
    template <class Generate>
    void fill(const Generate& generate) {
        const plan_view p = plan();
        values_.resize(p.blobs.size());
        gradients_.resize(p.blobs.size());
        std::vector<double*> places(p.blobs.size());
        for (std::size_t b = 0; b < p.blobs.size(); ++b) {
            values_[b].resize(static_cast<std::size_t>(p.blobs[b].dimensions.size() *
                                                       (p.blobs[b].per_example ? options_.examples : 1)));
            gradients_[b].resize(values_[b].size());
            places[b] = values_[b].data();
        }
        philox random(options_.seed);
        for (std::size_t i = 0; i < input_count(); ++i)
            for (double& v : values_[blob_of_input(i)]) v = beside_kinks(generate(i, random));
        for (std::size_t b : p.outputs_of(step_))
            for (double& v : gradients_[b]) v = 2 * random.uniform() - 1;
        // what begins at one is a scale or a variance: positive
        for (std::size_t i = 0; i < p.parameters.size(); ++i)
            for (extent e = 0; e < p.parameters[i].dimensions.size(); ++e)
                engine_.parameter(i)[e] =
                    beside_kinks(p.parameters[i].start == initial::one ? random.uniform() + 0.5
                                                                       : 2 * random.uniform() - 1);
        const std::vector<double*> nowhere(p.blobs.size());
        engine_.place(options_.examples, places, nowhere);
        engine_.attach(*this);
        engine_.prepare();
        trained_.assign(p.steps.size(), 0);
        trained_[step_] = 1;
    }
    double beside_kinks(double v) const {
        constexpr double margin = 0.01;
        for (double kink : options_.kinks)
            if (std::abs(v - kink) < margin) v = v < kink ? kink - margin : kink + margin;
        return v;
    }

    void forward() {
        engine_.select(pass::trainable, trained_);
        engine_.prepare(step_);
        engine_.forward(layer_, step_);
    }

    /// The gradients that the layer adds to arrays that hold noise; without that of input `unwanted`.
    result backward(std::size_t unwanted, bool inputs, bool parameters) {
        const plan_view p = plan();
        forward();
        std::vector<double*> places(p.blobs.size()), to(p.blobs.size());
        arrays kept;
        result sums;
        for (std::size_t b = 0; b < p.blobs.size(); ++b) places[b] = values_[b].data();
        for (std::size_t b : p.outputs_of(step_)) to[b] = gradients_[b].data();
        sums.inputs.resize(input_count());
        for (std::size_t i = 0; i < input_count(); ++i)
            if (inputs && i != unwanted) {
                const std::size_t b = blob_of_input(i);
                sums.inputs[i] = noise(gradients_[b].size(), i);
                to[b] = sums.inputs[i].data();
            }
        sums.parameters.resize(p.parameters.size());
        for (std::size_t i = 0; i < p.parameters.size(); ++i)
            if (parameters && p.parameters[i].learned)
                sums.parameters[i] =
                    noise(static_cast<std::size_t>(p.parameters[i].dimensions.size()), i + 100);
        for (std::size_t i = 0; i < p.parameters.size(); ++i)
            engine_.parameter_gradients()[i] =
                sums.parameters[i].empty() ? nullptr : sums.parameters[i].data();

        // what backward says it does not need is not there
        kept = values_;
        const double nan = std::numeric_limits<double>::quiet_NaN();
        for (std::size_t i = 0; i < input_count(); ++i)
            if (!needs_of<L>.input) values_[blob_of_input(i)].assign(values_[blob_of_input(i)].size(), nan);
        for (std::size_t b : p.outputs_of(step_))
            if (!needs_of<L>.output) values_[b].assign(values_[b].size(), nan);
        engine_.place(options_.examples, places, to);
        engine_.backward(layer_, step_);
        for (std::size_t b = 0; b < kept.size(); ++b)
            std::copy(kept[b].begin(), kept[b].end(), values_[b].begin());

        for (std::size_t i = 0; i < sums.inputs.size(); ++i) subtract(sums.inputs[i], i);
        for (std::size_t i = 0; i < sums.parameters.size(); ++i) subtract(sums.parameters[i], i + 100);
        return sums;
    }
    static std::vector<double> noise(std::size_t size, std::uint64_t stream) {
        philox random(~std::uint64_t{0}, stream);
        std::vector<double> v(size);
        for (double& e : v) e = random.uniform() + 0.25;
        return v;
    }
    static void subtract(std::vector<double>& sum, std::uint64_t stream) {
        const std::vector<double> begin = noise(sum.size(), stream);
        for (std::size_t e = 0; e < sum.size(); ++e) sum[e] -= begin[e];
    }

    arrays outputs() {
        forward();
        arrays ys;
        for (std::size_t b : plan().outputs_of(step_)) ys.push_back(values_[b]);
        return ys;
    }
    /// d(sum of y dy) / d(element), with the step h.
    double central_difference(double& element, double h) {
        const double middle = element, right = middle + h, left = middle - h;
        element = right;
        const arrays after = outputs();
        element = left;
        const arrays before = outputs();
        element = middle;
        double sum = 0;
        std::size_t i = 0;
        for (std::size_t b : plan().outputs_of(step_)) {
            for (std::size_t e = 0; e < after[i].size(); ++e)
                sum += gradients_[b][e] * (after[i][e] - before[i][e]);
            ++i;
        }
        return sum / (right - left);
    }
    /// Any step that works is enough.
    gradient_report compare(const sentence& name, double came, double& element) {
        double nearest = 0, distance = std::numeric_limits<double>::infinity();
        for (double h : {1e-4, 1e-5, 1e-3, 1e-6}) {
            const double expected = central_difference(element, h);
            const double error = std::abs(expected - came) / std::max(1.0, std::abs(expected));
            if (error <= options_.tolerance) return {};
            if (error < distance || h == 1e-4) {
                nearest = expected;
                distance = error;
            }
        }
        return wrong("gradient of " + std::string(name.view()) + ": " + number(nearest) + " expected, " +
                     number(came) + " came");
    }
    gradient_report same(const result& all, const result& some, const char* when) const {
        for (std::size_t i = 0; i < some.inputs.size(); ++i)
            for (std::size_t e = 0; e < some.inputs[i].size(); ++e)
                if (!near(all.inputs[i][e], some.inputs[i][e]))
                    return wrong("gradient of " + std::string(input_name(i, e).view()) + ": " +
                                 number(all.inputs[i][e]) + " expected, " + number(some.inputs[i][e]) +
                                 " came where " + when + " is wanted");
        for (std::size_t i = 0; i < some.parameters.size(); ++i)
            for (std::size_t e = 0; e < some.parameters[i].size(); ++e)
                if (!near(all.parameters[i][e], some.parameters[i][e]))
                    return wrong("gradient of " + std::string(parameter_name(i, e).view()) + ": " +
                                 number(all.parameters[i][e]) + " expected, " +
                                 number(some.parameters[i][e]) + " came where " + when + " is wanted");
        return {};
    }
    bool near(double a, double b) const {
        return std::abs(a - b) <= options_.tolerance * std::max(1.0, std::abs(a));
    }

    sentence input_name(std::size_t i, std::size_t element) const {
        const std::size_t size = static_cast<std::size_t>(plan().blobs[blob_of_input(i)].dimensions.size());
        return sentence("input ", i, ", example ", element / size, ", element ", element % size);
    }
    sentence parameter_name(std::size_t i, std::size_t element) const {
        return sentence(plan().parameters[i].name, ", element ", element);
    }
    static std::string number(double v) {
        char text[32];
        std::snprintf(text, sizeof text, "%.9g", v);
        return text;
    }
    gradient_report wrong(const std::string& what) const { return {false, what + manner_}; }

public:
    /// What the engine walks through.
    template <class Visit>
    void each(std::size_t, const Visit& visit) const {
        visit(layer_, step_);
    }

private:
    L layer_;
    gradient_options options_;
    std::vector<sentence> input_names_;
    std::string manner_;
    planner planner_;
    engine<double> engine_;
    std::size_t step_ = 0;
    std::vector<char> trained_;
    arrays values_, gradients_;
};

}  // namespace detail

/// Whether `backward` of a layer is the derivative of its `forward`; for whoever writes a layer:
///
///     REQUIRE(check_gradients(my_layer{.alpha = 2}, {{3, 4, 4}}));
///
/// `inputs` are the shapes of one example. With random inputs, parameters and dy, in double, the gradients
/// of sum(y dy) are compared with central differences, for every element of every input and every learned
/// parameter. The gradients start from noise, so that `=` in the place of `+=` shows; what the layer says
/// that backward does not need is NaN while it runs; gradients that nobody wants (null) are left out in turn;
/// a layer with several inputs is also given each of them stored once for all examples.
///
/// `generate(input, random)` draws one element of an input from a `philox`.
template <layer L, class Generate>
    requires std::invocable<const Generate&, std::size_t, philox&> gradient_report
    check_gradients(const L& layer, const std::vector<shape>& inputs, const gradient_options& options,
                    const Generate& generate) {
        static_assert(!control_layer<L>,
                      "control layers have no values of their own: check the layers inside them");
        using check = detail::gradient_check<L>;
        gradient_report r = check(layer, inputs, options, check::none).run(generate);
        if (inputs.size() > 1)
            for (std::size_t once = 0; r && once < inputs.size(); ++once)
                r = check(layer, inputs, options, once).run(generate);
        return r;
    }

template <layer L>
gradient_report check_gradients(const L& layer, const std::vector<shape>& inputs,
                                const gradient_options& options = {}) {
    return check_gradients(layer, inputs, options, [&](std::size_t, philox& random) {
        return options.low + (options.high - options.low) * random.uniform();
    });
}

}  // namespace bespoke





#include <cmath>
#include <cstdio>
#include <memory>
#include <string>

namespace bespoke {

/// Categorical cross-entropy: the mean over the examples of the mini-batch of -log p[target].
///
/// `input` names the blob of the N probabilities, the output of a softmax (empty: the first output of the
/// network); `target` is one class index an example, from 0 to N - 1. Computed from what goes into the
/// softmax, as log sum exp(x) - x[target], with the gradient (p - onehot) / examples: no logarithm of 0.
/// Core ML specification, CategoricalCrossEntropyLossLayer.
struct categorical_cross_entropy {
    std::string input{}, target{};

    static constexpr bool from_softmax = true;

    static extent target_size(const shape&) { return 1; }

    /// What does not hold of this target, for inputs of the shape `x`: empty if all is well.
    template <class T>
    static sentence check_target(const shape& x, const T* target) {
        if (target[0] >= T(0) && target[0] < static_cast<T>(x.size()) && target[0] == std::floor(target[0]))
            return {};
        char came[32];
        std::snprintf(came, sizeof came, "%g", static_cast<double>(target[0]));
        return sentence("a class from 0 to ", x.size() - 1, " wanted, ", static_cast<const char*>(came),
                        " came");
    }

    /// The loss; adds its gradient with respect to x where dx is wanted. `p` is softmax(x).
    template <class T>
    double operator()(dynamic_view<const T> x, dynamic_view<const T> p, const T* target,
                      dynamic_view<T> dx) const {
        const extent n = x.size(), examples = x.examples;
        const T share = T(1) / static_cast<T>(examples);
        double sum = 0;
        for (extent i = 0; i < examples; ++i) {
            const auto label = static_cast<extent>(target[i]);
            sum += static_cast<double>(kernels::log_sum_exp(n, x.example(i), extent{1})) -
                   static_cast<double>(x.example(i)[label]);
            if (!dx) continue;
            kernels::accumulate_scaled(n, share, p.example(i), dx.example(i));
            dx.example(i)[label] -= share;
        }
        return sum / static_cast<double>(examples);
    }
    friend bool operator==(const categorical_cross_entropy&, const categorical_cross_entropy&) = default;
};

/// Mean squared error: the mean over all elements of the mini-batch of (x - target)².
///
/// `input` names the blob (empty: the first output of the network); `target` has its shape.
/// Core ML specification, MeanSquaredErrorLossLayer.
struct mean_squared_error {
    std::string input{}, target{};

    static constexpr bool from_softmax = false;

    static extent target_size(const shape& x) { return x.size(); }

    template <class T>
    static sentence check_target(const shape& x, const T* target) {
        for (extent i = 0; i < x.size(); ++i)
            if (!std::isfinite(target[i])) return sentence("finite numbers wanted, element ", i, " is not");
        return {};
    }

    template <class T>
    double operator()(dynamic_view<const T> x, dynamic_view<const T>, const T* target,
                      dynamic_view<T> dx) const {
        const extent n = x.size(), examples = x.examples;
        const double count = static_cast<double>(n) * static_cast<double>(examples);
        const T scale = static_cast<T>(2 / count);
        double sum = 0;
        for (extent i = 0; i < examples; ++i)
            for (extent j = 0; j < n; ++j) {
                const T difference = x.example(i)[j] - target[i * n + j];
                sum = std::fma(static_cast<double>(difference), static_cast<double>(difference), sum);
                if (dx) dx.example(i)[j] = kernels::fma(scale, difference, dx.example(i)[j]);
            }
        return sum / count;
    }
    friend bool operator==(const mean_squared_error&, const mean_squared_error&) = default;
};

/// What a trainer asks of a loss; a loss of your own has these members. x has the stride 0 where the blob does
/// not depend on an input: it is the same for every example, and dx sums over them.
template <class L>
concept loss = requires(const L& l, const shape& s, const float* target, dynamic_view<const float> x,
                        dynamic_view<float> dx) {
    { l.input } -> std::convertible_to<std::string>;
    { L::from_softmax } -> std::convertible_to<bool>;
    { l.target_size(s) } -> std::convertible_to<extent>;
    { l.check_target(s, target) } -> std::convertible_to<sentence>;
    { l(x, x, target, dx) } -> std::convertible_to<double>;
} && std::copyable<L>;

/// A loss of any type, as a trainer keeps it: one virtual call a mini-batch.
template <class T>
class any_loss {
public:
    template <class L>
        requires(!std::same_as<L, any_loss> && loss<L>)
    any_loss(L chosen) : self_(hold(std::move(chosen))) {}

    const std::string& input() const { return self_->input; }
    bool from_softmax() const { return self_->from_softmax; }
    extent target_size(const shape& x) const { return self_->target_size(x); }
    sentence check_target(const shape& x, const T* target) const { return self_->check_target(x, target); }
    double operator()(dynamic_view<const T> x, dynamic_view<const T> y, const T* target, dynamic_view<T> dx) const {
        return self_->evaluate(x, y, target, dx);
    }

    /// What a loss of type L brings to it.
    template <class L>
    class holder;

private:
    struct interface {
        std::string input;
        bool from_softmax;

        interface(std::string name, bool softmax) : input(std::move(name)), from_softmax(softmax) {}
        virtual ~interface() = default;
        virtual extent target_size(const shape& x) const = 0;
        virtual sentence check_target(const shape& x, const T* target) const = 0;
        virtual double evaluate(dynamic_view<const T> x, dynamic_view<const T> y, const T* target,
                                dynamic_view<T> dx) const = 0;
    };
    template <class L>
    static std::shared_ptr<const interface> hold(L chosen);

    std::shared_ptr<const interface> self_;
};

// Not in the class: see network/memory.hpp.

template <class T>
template <class L>
class any_loss<T>::holder final : public interface {
public:
    explicit holder(L chosen) : interface(chosen.input, L::from_softmax), loss_(std::move(chosen)) {}
    extent target_size(const shape& x) const override { return loss_.target_size(x); }
    sentence check_target(const shape& x, const T* target) const override { return loss_.check_target(x, target); }
    double evaluate(dynamic_view<const T> x, dynamic_view<const T> y, const T* target,
                    dynamic_view<T> dx) const override {
        return loss_(x, y, target, dx);
    }

private:
    L loss_;
};

template <class T>
template <class L>
std::shared_ptr<const typename any_loss<T>::interface> any_loss<T>::hold(L chosen) {
    return std::make_shared<const holder<L>>(std::move(chosen));
}

}  // namespace bespoke


#include <cmath>
#include <memory>
#include <span>
#include <tuple>
#include <vector>

namespace bespoke {

/// One parameter array while it is being updated: its weights, and the step to be subtracted from them,
/// which is the gradient at first.
template <class T>
struct update_slot {
    const T* weights;
    T* step;
    extent size;
    extent offset;  ///< place of its moments in each array of state
};

/// A gradient transformation turns gradients into steps, one after the other in a `chain`; what the last one
/// leaves is subtracted from the weights: w -= u. A transformation of your own has two members:
/// `moments()`, how many arrays of state it keeps for each weight (zero at first), and `apply`.
template <class O>
concept optimizer =
    requires(const O& o, std::span<const update_slot<float>> slots, float* state) {
        { o.moments() } -> std::convertible_to<extent>;
        o.apply(slots, state, extent{}, std::uint64_t{});
    } && std::copyable<O>;  // last: of an any_optimizer in a tuple it would ask about the tuple without end

/// Stochastic gradient descent with momentum: v = momentum v + u; u = learning_rate v.
/// Sutskever et al., ICML 2013, in PyTorch's form; Core ML specification, SGDOptimizer.
struct sgd {
    double learning_rate = 0.01;
    double momentum = 0;

    constexpr extent moments() const { return momentum == 0 ? 0 : 1; }

    template <class T>
    void apply(std::span<const update_slot<T>> slots, T* state, extent, std::uint64_t) const {
        using batch = kernels::batch<T>;
        const batch rate(static_cast<T>(learning_rate)), keep(static_cast<T>(momentum));
        for (const auto& slot : slots) {
            T* u = slot.step;
            if (momentum == 0) {
                kernels::for_each_batch<T>(
                    slot.size, [&](extent i, auto in, auto out) { out(u + i, rate * in(u + i)); });
                continue;
            }
            T* v = state + slot.offset;
            kernels::for_each_batch<T>(slot.size, [&](extent i, auto in, auto out) {
                const batch velocity = kernels::fma<T>(keep, in(v + i), in(u + i));
                out(v + i, velocity);
                out(u + i, rate * velocity);
            });
        }
    }
    friend bool operator==(const sgd&, const sgd&) = default;
};

/// Adam: m = beta1 m + (1 - beta1) u; v = beta2 v + (1 - beta2) u²;
/// u = learning_rate m / (1 - beta1ᵗ) / (sqrt(v / (1 - beta2ᵗ)) + eps).
/// Kingma and Ba, ICLR 2015; Core ML specification, AdamOptimizer.
struct adam {
    double learning_rate = 1e-3;
    double beta1 = 0.9, beta2 = 0.999;
    double eps = 1e-8;

    constexpr extent moments() const { return 2; }

    template <class T>
    void apply(std::span<const update_slot<T>> slots, T* state, extent total, std::uint64_t step) const {
        using batch = kernels::batch<T>;
        const auto t = static_cast<double>(step);
        const batch rate(static_cast<T>(learning_rate / (1 - std::pow(beta1, t))));
        const batch unbias(static_cast<T>(1 / std::sqrt(1 - std::pow(beta2, t))));
        const batch b1(static_cast<T>(beta1)), c1(static_cast<T>(1 - beta1));
        const batch b2(static_cast<T>(beta2)), c2(static_cast<T>(1 - beta2)), small(static_cast<T>(eps));
        for (const auto& slot : slots) {
            T *u = slot.step, *m = state + slot.offset, *v = m + total;
            kernels::for_each_batch<T>(slot.size, [&](extent i, auto in, auto out) {
                const batch g = in(u + i);
                const batch first = kernels::fma<T>(b1, in(m + i), c1 * g);
                const batch second = kernels::fma<T>(b2, in(v + i), (c2 * g) * g);
                out(m + i, first);
                out(v + i, second);
                out(u + i, rate * first / kernels::fma<T>(kernels::sqrt<T>(second), unbias, small));
            });
        }
    }
    friend bool operator==(const adam&, const adam&) = default;
};

/// Scales all gradients together so that their Euclidean norm is at most `limit`.
/// Pascanu et al., ICML 2013.
struct clip_by_global_norm {
    double limit = 1;

    constexpr extent moments() const { return 0; }

    template <class T>
    void apply(std::span<const update_slot<T>> slots, T*, extent, std::uint64_t) const {
        double square = 0;
        for (const auto& slot : slots)
            for (extent i = 0; i < slot.size; ++i) {
                const auto g = static_cast<double>(slot.step[i]);
                square = std::fma(g, g, square);
            }
        const double norm = std::sqrt(square);
        if (!(norm > limit)) return;
        const kernels::batch<T> scale(static_cast<T>(limit / norm));
        for (const auto& slot : slots) {
            T* u = slot.step;
            kernels::for_each_batch<T>(slot.size,
                                       [&](extent i, auto in, auto out) { out(u + i, scale * in(u + i)); });
        }
    }
    friend bool operator==(const clip_by_global_norm&, const clip_by_global_norm&) = default;
};

/// Decoupled weight decay: u += rate w. Behind `adam`, AdamW with the product of its learning rate and its
/// decay as `rate`; before, L2 regularisation. Loshchilov and Hutter, ICLR 2019.
struct decay_weights {
    double rate = 0;

    constexpr extent moments() const { return 0; }

    template <class T>
    void apply(std::span<const update_slot<T>> slots, T*, extent, std::uint64_t) const {
        const kernels::batch<T> share(static_cast<T>(rate));
        for (const auto& slot : slots) {
            T* u = slot.step;
            const T* w = slot.weights;
            kernels::for_each_batch<T>(slot.size, [&](extent i, auto in, auto out) {
                out(u + i, kernels::fma<T>(share, in(w + i), in(u + i)));
            });
        }
    }
    friend bool operator==(const decay_weights&, const decay_weights&) = default;
};

/// Transformations one after the other: `chain(clip_by_global_norm{1}, adam{}, decay_weights{1e-5})`.
template <optimizer... Links>
struct chain {
    std::tuple<Links...> links;

    constexpr explicit chain(const Links&... list) : links(list...) {}

    constexpr extent moments() const {
        return std::apply([](const Links&... link) { return (link.moments() + ... + extent{0}); }, links);
    }
    template <class T>
    void apply(std::span<const update_slot<T>> slots, T* state, extent total, std::uint64_t step) const {
        std::apply(
            [&](const Links&... link) {
                ((link.apply(slots, state, total, step), state += link.moments() * total), ...);
            },
            links);
    }
    friend bool operator==(const chain&, const chain&) = default;
};

/// Where a gradient transformation has the hyper-parameters that the specification names; null: it has none of this
/// name.
struct optimizer_parameters {
    double *learning_rate = nullptr, *momentum = nullptr, *beta1 = nullptr, *beta2 = nullptr, *eps = nullptr;
};

/// Appends those of each transformation of `o`, in order.
template <optimizer O>
void list_parameters(O& o, std::vector<optimizer_parameters>& list) {
    if constexpr (requires { o.links; }) {
        std::apply([&](auto&... link) { (list_parameters(link, list), ...); }, o.links);
    } else if constexpr (requires { o.parameters().data(); }) {
        const std::vector<optimizer_parameters> inner = o.parameters();
        list.insert(list.end(), inner.begin(), inner.end());
    } else {
        optimizer_parameters own;
        if constexpr (requires { static_cast<double*>(&o.learning_rate); }) own.learning_rate = &o.learning_rate;
        if constexpr (requires { static_cast<double*>(&o.momentum); }) own.momentum = &o.momentum;
        if constexpr (requires { static_cast<double*>(&o.beta1); }) own.beta1 = &o.beta1;
        if constexpr (requires { static_cast<double*>(&o.beta2); }) own.beta2 = &o.beta2;
        if constexpr (requires { static_cast<double*>(&o.eps); }) own.eps = &o.eps;
        list.push_back(own);
    }
}

/// The learning rate of a list: the first. Null: there is none.
inline double* learning_rate_of(std::span<const optimizer_parameters> list) {
    for (const auto& parameters : list)
        if (parameters.learning_rate != nullptr) return parameters.learning_rate;
    return nullptr;
}

/// An optimizer of any type, as a trainer keeps it: one virtual call a mini-batch.
template <class T>
class any_optimizer {
public:
    template <class O>
        requires(!std::same_as<O, any_optimizer> && optimizer<O>)
    any_optimizer(O chosen) : self_(hold(std::move(chosen))) {}
    any_optimizer(const any_optimizer& other) : self_(other.self_->clone()) {}
    any_optimizer(any_optimizer&&) noexcept = default;
    any_optimizer& operator=(any_optimizer other) noexcept {
        self_.swap(other.self_);
        return *this;
    }
    ~any_optimizer() = default;

    extent moments() const { return self_->moments(); }
    void apply(std::span<const update_slot<T>> slots, T* state, extent total, std::uint64_t step) const {
        self_->apply(slots, state, total, step);
    }
    /// Of each transformation, to read and to change as long as this object is there.
    std::vector<optimizer_parameters> parameters() { return self_->parameters(); }

    /// What an optimizer of type O brings to it.
    template <class O>
    class holder;

private:
    struct interface {
        virtual ~interface() = default;
        virtual std::unique_ptr<interface> clone() const = 0;
        virtual extent moments() const = 0;
        virtual void apply(std::span<const update_slot<T>> slots, T* state, extent total, std::uint64_t step) const = 0;
        virtual std::vector<optimizer_parameters> parameters() = 0;
    };
    template <class O>
    static std::unique_ptr<interface> hold(O chosen);

    std::unique_ptr<interface> self_;
};

template <class T>
template <class O>
class any_optimizer<T>::holder final : public interface {
public:
    explicit holder(O chosen) : optimizer_(std::move(chosen)) {}
    std::unique_ptr<interface> clone() const override { return std::make_unique<holder>(*this); }
    extent moments() const override { return optimizer_.moments(); }
    void apply(std::span<const update_slot<T>> slots, T* state, extent total, std::uint64_t step) const override {
        optimizer_.apply(slots, state, total, step);
    }
    std::vector<optimizer_parameters> parameters() override {
        std::vector<optimizer_parameters> list;
        list_parameters(optimizer_, list);
        return list;
    }

private:
    O optimizer_;
};

// Not in the class: see network/memory.hpp.
template <class T>
template <class O>
std::unique_ptr<typename any_optimizer<T>::interface> any_optimizer<T>::hold(O chosen) {
    return std::make_unique<holder<O>>(std::move(chosen));
}

}  // namespace bespoke


#include <algorithm>
#include <string>
#include <vector>

namespace bespoke {

/// Which parameters a training changes.
enum class train {
    updatable_layers,  ///< those of the layers that are marked updatable
    all_layers,
};

/// One loss as the plan sees it.
struct loss_site {
    std::size_t output = blob_facts::npos;  ///< the blob that the loss names
    std::size_t input = blob_facts::npos;   ///< where its gradient goes: what enters the softmax, or `output`
};

/// The step of the softmax whose output `blob` is when the network has run; npos where there is none, or where
/// what went into it is not there any more.
constexpr std::size_t softmax_of(const plan_view& p, std::size_t blob) {
    const std::size_t s = p.blobs[blob].maker;
    if (s == blob_facts::npos || !p.steps[s].probabilities || p.steps[s].parent != blob_facts::npos)
        return blob_facts::npos;
    for (std::size_t later = s + 1; later < p.steps.size(); ++later)
        for (std::size_t written : p.outputs_of(later))
            if (written == blob || written == p.inputs_of(s)[0]) return blob_facts::npos;
    return s;
}

/// What of a plan takes part in training, and where it lies in memory.
///
/// A step is trained if it has a parameter to change, mixes the examples of a mini-batch, reads what a trained
/// step wrote before it, or writes over what a trained step has read or written; all others are frozen and run
/// once an example. A loop or branch is
/// trained as a whole. A blob that trained steps or a loss look at and that is an input or written by a frozen
/// step is a border: what the frozen steps leave there is kept for every example.
///
/// The timeline of a mini-batch is the forward pass, step s at time s; the losses at time n; the backward pass,
/// step s at time 2n - s. A value lives until the last pass that reads it, a gradient from the backward pass of
/// the last step that touches the blob to that of the first. What is touched in a loop or branch lives as long
/// as that: it begins again, for each iteration or each example.
struct training_plan {
    std::vector<char> trained_steps;   ///< for each step
    std::vector<char> learning;        ///< for each parameter
    std::vector<char> has_gradient;    ///< for each blob
    std::vector<std::size_t> borders;  ///< blobs
    std::vector<std::vector<std::size_t>>
        births;  ///< for each step: blobs whose gradient is zeroed before it
    std::vector<char> finished;  ///< for each step: whether it runs in the epilogue of another one, see graph/fusion.hpp
    std::vector<extent> value_offset, gradient_offset;  ///< in elements of one example; -1: not there
    extent arena_size = 0;                              ///< elements an example
    extent shared_size = 0;                             ///< elements stored once
    std::vector<std::string> reasons;                   ///< why it cannot be trained; empty: it can

    training_plan(const plan_view& p, train which, std::span<const loss_site> losses)
        : trained_steps(p.steps.size(), 0), learning(p.parameters.size(), 0), has_gradient(p.blobs.size(), 0),
          births(p.steps.size()), finished(p.steps.size(), 0), value_offset(p.blobs.size(), -1), gradient_offset(p.blobs.size(), -1) {
        for (std::size_t i = 0; i < p.parameters.size(); ++i)
            learning[i] = p.parameters[i].learned && p.parameters[i].dimensions.size() > 0 &&
                          (which == train::all_layers || p.steps[p.parameters[i].step].updatable);
        const std::vector<char> depends = find_trained(p);
        const std::vector<char> reaches = find_reaching(p, losses);
        for (std::size_t b = 0; b < p.blobs.size(); ++b) has_gradient[b] = depends[b] && reaches[b];
        find_reasons(p, which, losses, reaches);
        find_borders(p, losses);
        find_finished(p, losses);
        place(p, losses);
    }

private:
    static constexpr std::size_t npos = blob_facts::npos;

    /// The outermost step around step s.
    static std::size_t unit(const plan_view& p, std::size_t s) {
        while (p.steps[s].parent != npos) s = p.steps[s].parent;
        return s;
    }

    /// Marks the trained steps; returns the blobs that trained steps write.
    std::vector<char> find_trained(const plan_view& p) {
        std::vector<char> depends(p.blobs.size(), 0),
            touched(p.blobs.size(), 0);  // by the trained steps so far
        for (std::size_t s = 0; s < p.steps.size(); s = p.steps[s].end) {
            bool trained = false;
            for (std::size_t i = s; i < p.steps[s].end; ++i) {
                trained |= p.steps[i].mixes_examples;
                for (std::size_t b : p.inputs_of(i)) trained |= depends[b] != 0;
                if (p.steps[i].watched != npos) trained |= depends[p.steps[i].watched] != 0;
                for (std::size_t b : p.outputs_of(i)) trained |= touched[b] != 0;
                for (std::size_t k = 0; k < p.steps[i].parameter_count; ++k)
                    trained |= learning[p.steps[i].first_parameter + k] != 0;
            }
            if (!trained) continue;
            for (std::size_t i = s; i < p.steps[s].end; ++i) {
                trained_steps[i] = 1;
                for (std::size_t b : p.inputs_of(i)) touched[b] = 1;
                if (p.steps[i].watched != npos) touched[p.steps[i].watched] = 1;
                for (std::size_t b : p.outputs_of(i)) touched[b] = depends[b] = 1;
            }
        }
        return depends;
    }

    /// Blobs from which a gradient path leads to a loss.
    static std::vector<char> find_reaching(const plan_view& p, std::span<const loss_site> losses) {
        std::vector<char> reaches(p.blobs.size(), 0);
        for (const auto& l : losses)
            if (l.input != npos) reaches[l.input] = 1;
        for (bool again = true; again;) {
            again = false;
            for (std::size_t s = p.steps.size(); s-- > 0;) {
                if (!p.steps[s].differentiable || p.steps[s].control) continue;
                bool reached = false;
                for (std::size_t b : p.outputs_of(s)) reached |= reaches[b] != 0;
                if (!reached) continue;
                for (std::size_t b : p.inputs_of(s)) {
                    again |= reaches[b] == 0;
                    reaches[b] = 1;
                }
            }
        }
        return reaches;
    }

    void find_reasons(const plan_view& p, train which, std::span<const loss_site> losses,
                      const std::vector<char>& reaches) {
        bool any = false, whole = !losses.empty();
        for (const auto& l : losses) whole &= l.input != npos;  // else the loss is the reason
        if (losses.empty()) reasons.push_back("no loss: name one, with the blob that it looks at");
        for (std::size_t s = 0; s < p.steps.size(); ++s) {
            bool learns = false, reached = false;
            for (std::size_t k = 0; k < p.steps[s].parameter_count; ++k)
                learns |= learning[p.steps[s].first_parameter + k] != 0;
            any |= learns;
            for (std::size_t b : p.outputs_of(s)) reached |= reaches[b] != 0 && p.steps[s].differentiable;
            if (learns && !reached && whole)
                reasons.push_back(
                    std::string(p[p.steps[s].place]) +
                    ": it is updatable, but no path of differentiable layers leads from it to a loss");
        }
        if (!any)
            reasons.push_back(which == train::all_layers ? "no layer has parameters to learn"
                                                         : "no layer is marked updatable");
    }

    void find_borders(const plan_view& p, std::span<const loss_site> losses) {
        std::vector<char> wanted(p.blobs.size(), 0), given(p.blobs.size(), 0);
        for (std::size_t b : p.inputs) given[b] = 1;
        for (std::size_t s = 0; s < p.steps.size(); ++s) {
            for (std::size_t b : p.outputs_of(s)) (trained_steps[s] ? wanted : given)[b] = 1;
            if (!trained_steps[s]) continue;
            for (std::size_t b : p.inputs_of(s)) wanted[b] = 1;
            if (p.steps[s].watched != npos) wanted[p.steps[s].watched] = 1;
        }
        for (const auto& l : losses)
            for (std::size_t b : {l.input, l.output})
                if (b != npos) wanted[b] = 1;
        for (std::size_t b = 0; b < p.blobs.size(); ++b)
            if (wanted[b] && given[b]) borders.push_back(b);
    }

    /// Whether steps before a training or a loss look at the values of a blob by themselves.
    bool is_border(std::size_t blob, std::span<const loss_site> losses) const {
        for (const auto& l : losses)
            if (l.input == blob || l.output == blob) return true;
        return std::find(borders.begin(), borders.end(), blob) != borders.end();
    }

    /// A step finishes the one before it here as well where no backward pass wants the values between them.
    void find_finished(const plan_view& p, std::span<const loss_site> losses) {
        for (std::size_t s = 0; s < p.steps.size(); ++s) {
            if (p.steps[s].head == npos || !trained_steps[s]) continue;
            const std::size_t x = finished_blob(p, s), maker = p.blobs[x].maker;
            finished[s] = trained_steps[maker] && (maker == p.steps[s].head || finished[maker]) &&
                          !(p.steps[s].needs.input && p.steps[s].differentiable) &&
                          !(p.steps[maker].needs.output && p.steps[maker].differentiable) && !is_border(x, losses);
        }
    }

    /// The blob whose gradient the one of `b` is written over: that of the only step that reads `b`. Or `b` itself.
    static std::vector<std::size_t> gradient_homes(const plan_view& p, const std::vector<char>& has_gradient,
                                                   std::span<const loss_site> losses) {
        std::vector<std::size_t> readers(p.blobs.size(), 0), home(p.blobs.size());
        for (std::size_t b = 0; b < home.size(); ++b) home[b] = b;
        for (std::size_t s = 0; s < p.steps.size(); ++s) {
            for (std::size_t b : p.inputs_of(s)) ++readers[b];
            if (p.steps[s].watched != npos) ++readers[p.steps[s].watched];
        }
        for (std::size_t s = p.steps.size(); s-- > 0;) {
            const step_facts& step = p.steps[s];
            if (!step.gradient_in_place || step.logged || step.parent != npos || step.input_count != 1) continue;
            const std::size_t x = p.inputs_of(s)[0], y = p.outputs_of(s)[0];
            if (readers[x] == 1 && has_gradient[x] && has_gradient[y] && !is_loss_input(x, losses) &&
                p.blobs[x].per_example == p.blobs[y].per_example && p.blobs[y].maker == s)
                home[x] = home[y];
        }
        return home;
    }

    struct span_of_time {
        std::size_t first = npos, last = 0;
        void touch(std::size_t from, std::size_t to) {
            first = std::min(first, from);
            last = std::max(last, to);
        }
    };

    void place(const plan_view& p, std::span<const loss_site> losses) {
        const std::size_t n = p.steps.size();
        std::vector<span_of_time> values(p.blobs.size()), gradients(p.blobs.size());
        std::vector<std::size_t> last_unit(p.blobs.size(), npos);  // that touches the blob
        std::vector<char> between(p.blobs.size(), 0);  // what an epilogue finishes: never there
        for (std::size_t s = 0; s < n; ++s)
            if (finished[s]) between[finished_blob(p, s)] = 1;
        for (std::size_t b : borders) values[b].touch(0, 0);
        for (std::size_t s = 0; s < n; ++s) {
            if (!trained_steps[s]) continue;
            const step_facts& step = p.steps[s];
            const std::size_t around = unit(p, s);
            const bool again = p.steps[around].control;  // time comes back
            const std::size_t first = again ? around : s, last = again ? p.steps[around].end - 1 : s;
            const auto visit = [&](std::size_t b, bool needed) {
                if (!between[b]) values[b].touch(first, needed || again ? 2 * n - first : last);
                if (has_gradient[b]) gradients[b].touch(2 * n - last, 2 * n - first);
                last_unit[b] = around;
            };
            for (std::size_t b : p.inputs_of(s)) visit(b, step.needs.input && step.differentiable);
            for (std::size_t b : p.outputs_of(s)) {
                visit(b, (step.needs.output && step.differentiable) || step.logged);
                if (finished[s] && !between[b]) values[b].touch(step.head, step.head);
            }
            if (step.watched != npos) visit(step.watched, false);
        }
        for (const auto& l : losses) {
            for (std::size_t b : {l.input, l.output})
                if (b != npos) values[b].touch(n, n);
            if (l.input != npos && has_gradient[l.input]) gradients[l.input].touch(n, n);
        }
        const std::vector<std::size_t> home = gradient_homes(p, has_gradient, losses);
        for (std::size_t b = 0; b < p.blobs.size(); ++b) {
            if (home[b] != b)
                gradients[home[b]].touch(gradients[b].first, gradients[b].last);
            else if (has_gradient[b] && last_unit[b] != npos && !is_loss_input(b, losses))
                births[last_unit[b]].push_back(b);
        }
        for (const bool per_example : {true, false}) {
            std::vector<tenancy> some;
            const auto each = [&](const auto& visit) {
                for (std::size_t b = 0; b < p.blobs.size(); ++b) {
                    if (p.blobs[b].per_example != per_example) continue;
                    if (values[b].first != npos)
                        visit(values[b], value_offset[b], p.blobs[b].dimensions.size());
                    if (has_gradient[b] && home[b] == b)
                        visit(gradients[b], gradient_offset[b], p.blobs[b].dimensions.size());
                }
            };
            each([&](const span_of_time& t, extent&, extent size) {
                some.push_back({size, t.first, t.last});
            });
            (per_example ? arena_size : shared_size) = allocate(some);
            std::size_t next = 0;
            each([&](const span_of_time&, extent& offset, extent) { offset = some[next++].offset; });
        }
        for (std::size_t b = 0; b < p.blobs.size(); ++b) gradient_offset[b] = gradient_offset[home[b]];
    }
    static bool is_loss_input(std::size_t blob, std::span<const loss_site> losses) {
        for (const auto& l : losses)
            if (l.input == blob) return true;
        return false;
    }
};

}  // namespace bespoke

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace bespoke {

/// The values of one network input, or the targets of one loss, for all examples, one after the other.
template <class T>
using example_data = std::span<const T>;

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

/// Trains a network: keeps examples, runs mini-batches of them forward and backward, and lets an optimizer
/// change the parameters.
///
///     trainer training(net, {categorical_cross_entropy{}}, adam{.learning_rate = 1e-3});
///
/// Steps that no trained parameter has an influence on run once an example, in `load`, not once an epoch.
/// After the first mini-batch of the largest size a step allocates nothing. The same examples in the same
/// order give the same bits, whatever the number of threads.
template <class T>
class trainer {
public:
    using value_type = T;

    /// Throws `error` (errc::not_updatable) with every reason why the network cannot be trained.
    trainer(trainable<T> network, std::vector<any_loss<T>> losses, any_optimizer<T> optimizer,
            train which = train::updatable_layers);

    /// Every reason why a network of this plan cannot be trained so; none: it can.
    static std::vector<std::string> check_trainable(const plan_view& p, const std::vector<any_loss<T>>& losses,
                                                    train which);

    /// Takes over examples: for each input of the network and for each loss the values of all of them.
    /// Throws `error` where sizes or targets do not fit.
    void load(std::size_t examples, std::span<const example_data<T>> inputs,
              std::span<const example_data<T>> targets);
    std::size_t examples() const { return examples_; }

    /// One mini-batch of the given examples (from 0 to examples() - 1): forward, backward, update. Returns the
    /// loss before the update, summed over the losses. A loss that is not finite updates nothing.
    double step(std::span<const std::size_t> batch);
    /// The loss of the given examples and the gradient of every learning parameter, without an update.
    double gradient(std::span<const std::size_t> batch);
    /// The loss of the given examples.
    double evaluate(std::span<const std::size_t> batch);

    /// Whether every learning parameter is a finite number.
    bool finite() const;

    any_optimizer<T>& chosen_optimizer() { return optimizer_; }
    const std::vector<std::size_t>& learning_parameters() const { return slot_parameters_; }
    /// The gradient that `gradient` left for the k-th of `learning_parameters`.
    std::span<const T> gradient_of(std::size_t k) const {
        return {slots_[k].step, static_cast<std::size_t>(slots_[k].size)};
    }

    // What a checkpoint keeps beside the parameters.
    std::uint64_t& steps() { return steps_; }
    buffer<T>& optimizer_state();

private:
    static std::vector<loss_site> find_sites(const plan_view& p, const std::vector<any_loss<T>>& losses);
    static std::vector<std::string> loss_reasons(const plan_view& p, const std::vector<any_loss<T>>& losses,
                                                 const std::vector<loss_site>& sites);
    void check(std::size_t examples, std::span<const example_data<T>> inputs,
               std::span<const example_data<T>> targets) const;
    void check_targets(std::size_t examples, std::size_t number, example_data<T> targets) const;
    void run_frozen(std::size_t first, std::size_t count, std::span<const example_data<T>> inputs);
    double forward(std::span<const std::size_t> batch, bool with_gradient);
    double evaluate_loss(std::size_t number, std::span<const std::size_t> batch, bool with_gradient);
    void place(extent examples);
    template <class U>
    dynamic_view<U> blob_view(U* data, std::size_t blob, extent examples) const {
        const blob_facts& facts = network_.plan().blobs[blob];
        return {data, facts.dimensions, examples, facts.per_example ? facts.dimensions.size() : 0};
    }
    std::size_t size_of(std::size_t blob) const {
        return static_cast<std::size_t>(network_.plan().blobs[blob].dimensions.size());
    }

    trainable<T> network_;
    std::vector<any_loss<T>> losses_;
    any_optimizer<T> optimizer_;
    std::vector<loss_site> sites_;
    training_plan plan_;
    std::vector<update_slot<T>> slots_;
    std::vector<std::size_t> slot_parameters_;
    buffer<T> gradients_, state_, arena_, shared_;
    std::vector<T*> values_, blob_gradients_;
    std::size_t examples_ = 0;
    std::uint64_t steps_ = 0;
    std::vector<std::vector<T>> kept_, targets_;
    std::vector<T> batch_targets_;
};
template <class Network>
trainer(Network&, std::vector<any_loss<typename Network::value_type>>, any_optimizer<typename Network::value_type>,
        train = train::updatable_layers) -> trainer<typename Network::value_type>;

// Not in the class: see network/memory.hpp.

template <class T>
trainer<T>::trainer(trainable<T> network, std::vector<any_loss<T>> losses, any_optimizer<T> optimizer, train which)
    : network_(network), losses_(std::move(losses)), optimizer_(std::move(optimizer)),
      sites_(find_sites(network.plan(), losses_)), plan_(network.plan(), which, sites_) {
    if (const auto reasons = check_trainable(network.plan(), losses_, which); !reasons.empty()) {
        std::string all = "this network cannot be trained";
        for (const auto& reason : reasons) all += "\n  " + reason;
        throw error(errc::not_updatable, all);
    }
    extent total = 0;
    const auto& facts = network_.plan().parameters;
    for (std::size_t i = 0; i < facts.size(); ++i)
        if (plan_.learning[i]) {
            slots_.push_back({network_.core().parameter(i), nullptr, facts[i].dimensions.size(), total});
            slot_parameters_.push_back(i);
            total += aligned_size<T>(facts[i].dimensions.size());
        }
    gradients_.resize(total);
    for (auto& slot : slots_) slot.step = gradients_.data() + slot.offset;
    values_.resize(network_.plan().blobs.size());
    blob_gradients_.resize(values_.size());
}

template <class T>
std::vector<std::string> trainer<T>::check_trainable(const plan_view& p, const std::vector<any_loss<T>>& losses,
                                                     train which) {
    const std::vector<loss_site> sites = find_sites(p, losses);
    std::vector<std::string> reasons = loss_reasons(p, losses, sites);
    const training_plan plan(p, which, sites);
    reasons.insert(reasons.end(), plan.reasons.begin(), plan.reasons.end());
    return reasons;
}

template <class T>
void trainer<T>::load(std::size_t examples, std::span<const example_data<T>> inputs,
                      std::span<const example_data<T>> targets) {
    const plan_view& p = network_.plan();
    check(examples, inputs, targets);
    examples_ = examples;
    targets_.resize(targets.size());
    for (std::size_t l = 0; l < targets.size(); ++l) targets_[l].assign(targets[l].begin(), targets[l].end());
    kept_.resize(plan_.borders.size());
    for (std::size_t k = 0; k < plan_.borders.size(); ++k) {
        const std::size_t b = plan_.borders[k];
        kept_[k].assign(size_of(b) * (p.blobs[b].per_example ? examples : 1), T(0));
        for (std::size_t i = 0; i < inputs.size(); ++i)
            if (p.inputs[i] == b) kept_[k].assign(inputs[i].begin(), inputs[i].end());
    }
    if (std::all_of(plan_.trained_steps.begin(), plan_.trained_steps.end(),
                    [](char trained) { return trained != 0; }))
        return;
    constexpr extent most_elements = 1 << 22;
    const auto batch =
        static_cast<std::size_t>(std::clamp<extent>(most_elements / std::max<extent>(p.arena_size, 1), 1, 64));
    for (std::size_t first = 0; first < examples; first += batch)
        run_frozen(first, std::min(batch, examples - first), inputs);
}

template <class T>
double trainer<T>::step(std::span<const std::size_t> batch) {
    const double loss = gradient(batch);
    if (!std::isfinite(loss)) return loss;
    ++steps_;
    optimizer_.apply(slots_, optimizer_state().data(), gradients_.size(), steps_);
    auto& engine = network_.core();
    for (std::size_t k = 0; k < slots_.size(); ++k)
        kernels::accumulate_scaled(slots_[k].size, T(-1), static_cast<const T*>(slots_[k].step),
                                   engine.parameter(slot_parameters_[k]));
    std::size_t last_step = blob_facts::npos;
    for (std::size_t number : slot_parameters_) {
        const std::size_t step = network_.plan().parameters[number].step;
        if (step != last_step) engine.prepare(step);
        last_step = step;
    }
    return loss;
}

template <class T>
double trainer<T>::gradient(std::span<const std::size_t> batch) {
    auto& engine = network_.core();
    for (auto& g : engine.parameter_gradients()) g = nullptr;
    for (std::size_t k = 0; k < slots_.size(); ++k)
        engine.parameter_gradients()[slot_parameters_[k]] = slots_[k].step;
    kernels::fill(gradients_.size(), T(0), gradients_.data());
    const double loss = forward(batch, true);
    engine.set_births(plan_.births);
    network_.backward();
    engine.select(pass::all, {});
    return loss;
}

template <class T>
double trainer<T>::evaluate(std::span<const std::size_t> batch) {
    const double loss = forward(batch, false);
    network_.core().select(pass::all, {});
    return loss;
}

template <class T>
bool trainer<T>::finite() const {
    for (const auto& slot : slots_)
        if (!kernels::all_finite(slot.size, slot.weights)) return false;
    return true;
}

template <class T>
buffer<T>& trainer<T>::optimizer_state() {
    const extent size = optimizer_.moments() * gradients_.size();
    if (state_.size() < size) state_.resize(size);
    return state_;
}

template <class T>
std::vector<loss_site> trainer<T>::find_sites(const plan_view& p, const std::vector<any_loss<T>>& losses) {
    std::vector<loss_site> sites;
    for (const auto& loss : losses) {
        loss_site site;
        site.output = loss.input().empty() ? p.outputs[0] : p.find_blob(loss.input());
        site.input = site.output;
        if (loss.from_softmax() && site.output != blob_facts::npos) {
            const std::size_t softmax = softmax_of(p, site.output);
            site.input = softmax == blob_facts::npos ? softmax : p.inputs_of(softmax)[0];
        }
        sites.push_back(site);
    }
    return sites;
}

template <class T>
std::vector<std::string> trainer<T>::loss_reasons(const plan_view& p, const std::vector<any_loss<T>>& losses,
                                                  const std::vector<loss_site>& sites) {
    std::vector<std::string> reasons;
    for (std::size_t i = 0; i < losses.size(); ++i)
        if (sites[i].output == blob_facts::npos)
            reasons.push_back("the loss looks at \"" + losses[i].input() + "\", which no layer writes");
        else if (sites[i].input == blob_facts::npos)
            reasons.push_back("the cross-entropy looks at \"" + std::string(p[p.blobs[sites[i].output].name]) +
                              "\", which is not the output of a softmax over a whole example");
    return reasons;
}

template <class T>
void trainer<T>::check(std::size_t examples, std::span<const example_data<T>> inputs,
                       std::span<const example_data<T>> targets) const {
    const plan_view& p = network_.plan();
    const auto wrong = [](const auto&... parts) { throw error(shape_fault(parts...)); };
    if (examples == 0) throw error(errc::bad_argument, "at least one example wanted, none came");
    if (inputs.size() != p.inputs.size()) wrong(p.inputs.size(), " inputs wanted, ", inputs.size(), " came");
    if (targets.size() != losses_.size())
        wrong("targets for ", losses_.size(), " losses wanted, for ", targets.size(), " came");
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (inputs[i].size() != size_of(p.inputs[i]) * examples)
            network_.core().throw_wrong_input(i, static_cast<extent>(inputs[i].size()), static_cast<extent>(examples));
    }
    for (std::size_t l = 0; l < targets.size(); ++l) check_targets(examples, l, targets[l]);
}

template <class T>
void trainer<T>::check_targets(std::size_t examples, std::size_t number, example_data<T> targets) const {
    const shape& x = network_.plan().blobs[sites_[number].input].dimensions;
    const auto size = static_cast<std::size_t>(losses_[number].target_size(x));
    if (targets.size() != size * examples)
        throw error(shape_fault("target of loss ", number, ": ", size * examples, " elements wanted, ",
                                targets.size(), " came"));
    for (std::size_t i = 0; i < examples; ++i) {
        const sentence problem = losses_[number].check_target(x, targets.data() + i * size);
        if (!problem.view().empty())
            throw error(value_fault("target of loss ", number, ", example ", i, ": ", problem));
    }
}

/// Runs the frozen steps for examples [first, first + count) and keeps what crosses the border.
template <class T>
void trainer<T>::run_frozen(std::size_t first, std::size_t count, std::span<const example_data<T>> inputs) {
    auto& engine = network_.core();
    const plan_view& p = network_.plan();
    engine.reserve(static_cast<extent>(count), /*all_blobs=*/true);
    engine.measure();
    const auto keep = [&](std::size_t blob) {
        for (std::size_t k = 0; k < plan_.borders.size(); ++k) {
            if (plan_.borders[k] != blob) continue;
            const std::size_t size = size_of(blob), examples = p.blobs[blob].per_example ? count : 1;
            std::copy_n(engine.value(blob), size * examples,
                        kept_[k].data() + (p.blobs[blob].per_example ? first * size : 0));
        }
    };
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        const std::size_t size = size_of(p.inputs[i]);
        std::copy_n(inputs[i].data() + first * size, count * size, engine.value(p.inputs[i]));
    }
    engine.select(pass::frozen, plan_.trained_steps);
    const auto hook = [&](std::size_t step) {
        for (std::size_t s = step; s < p.steps[step].end; ++s)
            for (std::size_t blob : p.outputs_of(s)) keep(blob);
    };
    engine.after_frozen(hook);
    network_.forward();
    engine.select(pass::all, {});
}

template <class T>
double trainer<T>::forward(std::span<const std::size_t> batch, bool with_gradient) {
    if (batch.empty()) throw error(errc::bad_argument, "a mini-batch of at least one example wanted");
    for (std::size_t i : batch)
        if (i >= examples_)
            throw error(value_fault("mini-batch: an example below ", examples_, " wanted, ", i, " came"));
    auto& engine = network_.core();
    place(static_cast<extent>(batch.size()));
    for (std::size_t k = 0; k < plan_.borders.size(); ++k) {
        const std::size_t blob = plan_.borders[k], size = size_of(blob);
        if (!network_.plan().blobs[blob].per_example) {
            std::copy_n(kept_[k].data(), size, values_[blob]);
            continue;
        }
        for (std::size_t i = 0; i < batch.size(); ++i)
            std::copy_n(kept_[k].data() + batch[i] * size, size, values_[blob] + i * size);
    }
    engine.select(pass::trainable, plan_.trained_steps, plan_.finished);
    network_.forward();
    if (with_gradient)
        for (const auto& site : sites_)
            if (blob_gradients_[site.input])
                kernels::fill(engine.elements(site.input), T(0), blob_gradients_[site.input]);
    double total = 0;
    for (std::size_t l = 0; l < losses_.size(); ++l) total += evaluate_loss(l, batch, with_gradient);
    return total;
}

template <class T>
double trainer<T>::evaluate_loss(std::size_t number, std::span<const std::size_t> batch, bool with_gradient) {
    const any_loss<T>& loss = losses_[number];
    const std::size_t x = sites_[number].input, y = sites_[number].output;
    const auto examples = static_cast<extent>(batch.size());
    const auto size = static_cast<std::size_t>(loss.target_size(network_.plan().blobs[x].dimensions));
    batch_targets_.resize(size * batch.size());
    for (std::size_t i = 0; i < batch.size(); ++i)
        std::copy_n(targets_[number].data() + batch[i] * size, size, batch_targets_.data() + i * size);
    return loss(blob_view<const T>(values_[x], x, examples), blob_view<const T>(values_[y], y, examples),
                batch_targets_.data(), blob_view<T>(with_gradient ? blob_gradients_[x] : nullptr, x, examples));
}

template <class T>
void trainer<T>::place(extent examples) {
    const plan_view& p = network_.plan();
    arena_.reserve(plan_.arena_size * examples);
    shared_.reserve(plan_.shared_size);
    for (std::size_t b = 0; b < values_.size(); ++b) {
        const auto at = [&](extent offset) -> T* {
            if (offset < 0) return nullptr;
            return p.blobs[b].per_example ? arena_.data() + offset * examples : shared_.data() + offset;
        };
        values_[b] = at(plan_.value_offset[b]);
        blob_gradients_[b] = at(plan_.gradient_offset[b]);
    }
    network_.core().place(examples, values_, blob_gradients_);
    network_.core().measure();
}

}  // namespace bespoke

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <thread>

namespace bespoke {

/// How a training goes on: the values in force, which handlers may change at any event.
struct update_settings {
    extent epochs = 1;
    extent mini_batch_size = 16;
    bool shuffle = true;     ///< a new order of the examples in each epoch
    std::uint64_t seed = 0;  ///< decides the orders
    double learning_rate = 0;
};

/// What a caller wants otherwise than the model says (Core ML's MLParameterKey).
struct update_options {
    std::optional<extent> epochs{}, mini_batch_size{};
    std::optional<bool> shuffle{};
    std::optional<std::uint64_t> seed{};
    std::optional<double> learning_rate{}, momentum{}, beta1{}, beta2{}, eps{};
};

enum class update_event : unsigned { training_begin = 1, mini_batch_end = 2, epoch_end = 4 };
inline constexpr unsigned all_update_events = 7;

/// At the end of an epoch and of the task, `epoch` and `mini_batch` are the last that ran.
struct update_metrics {
    double loss = 0;  ///< of the mini-batch before its update, or the mean over the epoch's examples
    extent epoch = 0, mini_batch = 0;
};

/// Throws `error` for values outside their range.
inline void check_settings(const update_settings& settings) {
    const auto wanted = [](bool holds, const char* what) {
        if (!holds) throw error(errc::bad_argument, std::string("update: ") + what);
    };
    wanted(settings.epochs >= 0, "epochs from 0 up wanted");
    wanted(settings.mini_batch_size >= 1, "a mini-batch size from 1 up wanted");
    wanted(settings.learning_rate >= 0 && std::isfinite(settings.learning_rate),
           "a learning rate from 0 up wanted");
}

/// Sets what the caller wants otherwise. Throws `error` for values outside their range, and for those that the
/// optimizer does not know. The learning rate is that of the first transformation that has one; momentum, beta1, beta2
/// and eps are set in, and checked of, each that has them.
inline void apply_options(const update_options& options, update_settings& settings,
                          std::span<const optimizer_parameters> optimizer) {
    const auto wanted = [](bool holds, const char* what) {
        if (!holds) throw error(errc::bad_argument, std::string("update: ") + what);
    };
    const auto in_range = [](double value, bool below_one) {
        return value >= 0 && std::isfinite(value) && (!below_one || value < 1);
    };
    const auto set = [&](double* optimizer_parameters::*member, const std::optional<double>& value, bool below_one,
                         const char* range, const char* missing) {
        bool known = false;
        for (const auto& parameters : optimizer) {
            double* const to = parameters.*member;
            if (to == nullptr) continue;
            known = true;
            *to = value.value_or(*to);
            wanted(in_range(*to, below_one), range);
        }
        wanted(known || !value, missing);
    };
    settings.epochs = options.epochs.value_or(settings.epochs);
    settings.mini_batch_size = options.mini_batch_size.value_or(settings.mini_batch_size);
    settings.shuffle = options.shuffle.value_or(settings.shuffle);
    settings.seed = options.seed.value_or(settings.seed);
    if (double* const rate = learning_rate_of(optimizer))
        settings.learning_rate = *rate = options.learning_rate.value_or(*rate);
    else
        wanted(!options.learning_rate, "this optimizer has no learning rate");
    set(&optimizer_parameters::momentum, options.momentum, false, "a momentum from 0 up wanted",
        "this optimizer has no momentum");
    const auto* betas = "beta1 and beta2 from 0 to below 1 wanted";
    const auto* missing = "this optimizer has no beta1, beta2 and eps";
    set(&optimizer_parameters::beta1, options.beta1, true, betas, missing);
    set(&optimizer_parameters::beta2, options.beta2, true, betas, missing);
    set(&optimizer_parameters::eps, options.eps, false, "an eps from 0 up wanted", missing);
    check_settings(settings);
}

/// What a task needs of a model: something to train it with, that holds the examples.
template <class T>
struct learner {
    std::unique_ptr<trainer<T>> training;
    update_settings settings;
};

/// What a running training and whoever watches it share. `tell` may change the settings and throw.
struct update_progress {
    update_settings settings;
    update_metrics metrics;
    std::atomic<bool> stop = false;
};

/// All epochs. `tell(context, event)` is called for every event.
template <class T>
void run_epochs(trainer<T>& training, update_progress& progress, void (*tell)(void*, update_event), void* context);

template <class Model>
class update_context;

/// Called on the thread of the task, for the events asked for and when the task ends.
template <class Model>
struct update_handlers {
    unsigned events = all_update_events;  ///< a sum of update_event
    std::function<void(update_context<Model>&)> progress{};
    std::function<void(update_context<Model>&)> completion{};
};

/// What a handler sees and may change.
template <class Model>
class update_context {
public:
    update_event event = update_event::training_begin;
    const update_metrics& metrics;
    update_settings& settings;  ///< changes take effect at the next mini-batch; shuffle and seed, next epoch
    const Model& model;         ///< as it is now
    std::exception_ptr failure{};  ///< at completion: why the task ended early, if it failed
    bool cancelled = false;        ///< at completion: the task was told to stop

    update_context(const Model& m, update_progress& progress)
        : metrics(progress.metrics), settings(progress.settings), model(m), stop_(progress.stop) {}
    /// Ends the training after this handler. What was learned so far stays.
    void cancel() { stop_ = true; }

private:
    std::atomic<bool>& stop_;
};

/// Trains a copy of a model on examples, on a thread of its own (Core ML's MLUpdateTask).
///
/// Made, it runs. The model that it was made from goes on predicting, unchanged; `result` gives the updated
/// one. To destroy a running task cancels it. `Model` is a loaded `model`, whose examples are features, or a
/// composed `network<...>` with a `training_setup`: what `make_learner(model, examples, options)` takes.
template <class Model>
class update_task {
public:
    /// Throws `error` at once where the model cannot be updated or the examples do not fit.
    template <class Examples>
    update_task(const Model& model, const Examples& examples, const update_options& options = {},
                update_handlers<Model> handlers = {})
        : state_(std::make_unique<state>(model, std::move(handlers))) {
        auto learner = make_learner(state_->model, examples, options);
        state_->progress.settings = learner.settings;
        thread_ = std::jthread(
            [s = state_.get(), training = std::move(learner.training)] { run(*s, *training); });
    }
    update_task(update_task&&) = default;
    update_task& operator=(update_task&&) = delete;
    ~update_task() {
        if (state_) cancel();
    }

    /// Ends the training after the current mini-batch. What was learned so far stays.
    void cancel() { state_->progress.stop = true; }
    bool finished() const { return state_->finished; }
    /// Waits for the end and rethrows what went wrong, if anything did.
    void wait() {
        if (thread_.joinable()) thread_.join();
        if (state_->context.failure) std::rethrow_exception(state_->context.failure);
    }
    /// Waits, and gives the updated model.
    Model result() {
        wait();
        return state_->model;
    }
    const update_metrics& metrics() {
        wait();
        return state_->progress.metrics;
    }

private:
    struct state {
        Model model;
        update_progress progress;
        std::atomic<bool> finished = false;
        update_handlers<Model> handlers;
        update_context<Model> context;

        state(const Model& m, update_handlers<Model> h)
            : model(m), handlers(std::move(h)), context(model, progress) {}
    };

    template <class T>
    static void run(state& s, trainer<T>& training) {
        try {
            run_epochs(training, s.progress, &tell, &s);
        } catch (...) {
            s.context.failure = std::current_exception();
        }
        s.context.cancelled = s.progress.stop;
        try {
            if (s.handlers.completion) s.handlers.completion(s.context);
        } catch (...) {
            if (!s.context.failure) s.context.failure = std::current_exception();
        }
        s.finished = true;
    }
    static void tell(void* to, update_event event) {
        state& s = *static_cast<state*>(to);
        s.context.event = event;
        if (s.handlers.progress && (s.handlers.events & static_cast<unsigned>(event)) != 0)
            s.handlers.progress(s.context);
    }

    std::unique_ptr<state> state_;
    std::jthread thread_;
};

/// The synchronous call: trains a copy of `model` and returns it.
template <class Model, class Examples>
Model update(const Model& model, const Examples& examples, const update_options& options = {}) {
    return update_task<Model>(model, examples, options).result();
}

// --- composed networks --------------------------------------------------------------------------------

/// How to train a composed network: for each input, and for each loss, the values of all examples, one after
/// the other (they are copied), and what changes which parameters.
template <class T>
struct training_setup {
    std::size_t examples = 0;
    std::vector<example_data<T>> inputs{};
    std::vector<any_loss<T>> losses{};
    std::vector<example_data<T>> targets{};
    any_optimizer<T> with = adam{};
    train which = train::updatable_layers;
};

/// `update(net, training_setup<float>{.examples = n, ..., .losses = {categorical_cross_entropy{}}, ...})`
template <class Network>
    requires requires { typename Network::engine_type; }
auto make_learner(Network& network, const training_setup<typename Network::value_type>& setup,
                  const update_options& options) {
    return make_learner(trainable<typename Network::value_type>(network), setup, options);
}
template <class T>
learner<T> make_learner(trainable<T> network, const training_setup<T>& setup, const update_options& options);

// Not inline: see network/memory.hpp.

template <class T>
learner<T> make_learner(trainable<T> network, const training_setup<T>& setup, const update_options& options) {
    learner<T> result;
    any_optimizer<T> optimizer = setup.with;
    apply_options(options, result.settings, optimizer.parameters());
    result.training = std::make_unique<trainer<T>>(network, setup.losses, std::move(optimizer), setup.which);
    result.training->load(setup.examples, setup.inputs, setup.targets);
    return result;
}

template <class T>
void run_epochs(trainer<T>& training, update_progress& progress, void (*tell)(void*, update_event), void* context) {
    update_settings& settings = progress.settings;
    update_metrics& metrics = progress.metrics;
    const std::atomic<bool>& stop = progress.stop;
    double* const rate = learning_rate_of(training.chosen_optimizer().parameters());
    const auto happened = [&](update_event event) {
        tell(context, event);
        check_settings(settings);
        if (rate != nullptr) *rate = settings.learning_rate;
    };
    const auto check = [&](bool finite, const char* what) {
        if (!finite)
            throw error(value_fault("the training diverged: ", what, " of epoch ", metrics.epoch, ", mini-batch ",
                                    metrics.mini_batch, " is not finite; a smaller learning rate may help"));
    };
    std::vector<std::size_t> order(training.examples());
    happened(update_event::training_begin);
    for (extent epoch = 0; epoch < settings.epochs && !stop; ++epoch) {
        metrics.epoch = epoch;
        std::iota(order.begin(), order.end(), std::size_t{0});
        if (settings.shuffle) {
            philox random(settings.seed, static_cast<std::uint64_t>(epoch));
            bespoke::shuffle(std::span(order), random);
        }
        double sum = 0;
        std::size_t first = 0;
        for (extent mini_batch = 0; first < order.size() && !stop; ++mini_batch) {
            metrics.mini_batch = mini_batch;
            const std::size_t count =
                std::min(static_cast<std::size_t>(settings.mini_batch_size), order.size() - first);
            metrics.loss = training.step(std::span(order).subspan(first, count));
            check(std::isfinite(metrics.loss), "the loss");
            sum += metrics.loss * static_cast<double>(count);
            first += count;
            happened(update_event::mini_batch_end);
        }
        check(training.finite(), "a weight after the last update");
        if (stop) break;
        metrics.loss = sum / static_cast<double>(order.size());
        happened(update_event::epoch_end);
    }
}

}  // namespace bespoke

/// What every program needs for float, compiled once.
///
/// A program that says `#define BESPOKE_IMPLEMENTATION` in one of its files has all of this there. Its other files
/// may say `#define BESPOKE_EXTERN_TEMPLATES` and then do not compile it again, which takes most of the time that a
/// composed network takes. All of them want the same compiler flags.

#if defined(BESPOKE_IMPLEMENTATION) || defined(BESPOKE_EXTERN_TEMPLATES)

#ifdef BESPOKE_IMPLEMENTATION
#define BESPOKE_INSTANCE template
#else
#define BESPOKE_INSTANCE extern template
#endif

namespace bespoke {

BESPOKE_INSTANCE class network_memory<float>;
BESPOKE_INSTANCE class engine_state<float>;
BESPOKE_INSTANCE class engine<float>;

#define BESPOKE_LAYER_INSTANCES(L)                                                                        \
    BESPOKE_INSTANCE void measure_layer<float, L>(engine_state<float>&, const void*, std::size_t);        \
    BESPOKE_INSTANCE void prepare_layer<float, L>(engine_state<float>&, const void*, std::size_t);        \
    BESPOKE_INSTANCE void forward_layer(engine_state<float>&, const L&, std::size_t);                     \
    BESPOKE_INSTANCE void finish_layer<float, L>(const engine_state<float>&, const void*, std::size_t,    \
                                                 const output_block<float>&) noexcept;                    \
    BESPOKE_INSTANCE void backward_layer(engine_state<float>&, const L&, std::size_t);
BESPOKE_CORE_LAYERS(BESPOKE_LAYER_INSTANCES)
#undef BESPOKE_LAYER_INSTANCES

BESPOKE_INSTANCE std::shared_ptr<const any_loss<float>::interface> any_loss<float>::hold(categorical_cross_entropy);
BESPOKE_INSTANCE std::shared_ptr<const any_loss<float>::interface> any_loss<float>::hold(mean_squared_error);
BESPOKE_INSTANCE std::unique_ptr<any_optimizer<float>::interface> any_optimizer<float>::hold(sgd);
BESPOKE_INSTANCE std::unique_ptr<any_optimizer<float>::interface> any_optimizer<float>::hold(adam);
BESPOKE_INSTANCE class trainer<float>;
BESPOKE_INSTANCE learner<float> make_learner(trainable<float>, const training_setup<float>&, const update_options&);
BESPOKE_INSTANCE void run_epochs(trainer<float>&, update_progress&, void (*)(void*, update_event), void*);

}  // namespace bespoke

#undef BESPOKE_INSTANCE
#endif







#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

/// What goes into a model and comes out of it: values under names. Core ML specification, FeatureTypes.proto.
/// Images are not there yet. The types that a model declares stand in feature_type.hpp.
namespace bespoke {

/// `ArrayDataType`, with the specification's numbers.
enum class array_data_type {
    invalid_array_data_type = 0,
    float32 = 65568,
    float64 = 65600,  ///< `DOUBLE`
    int32 = 131104,
};

constexpr std::string_view name_of(array_data_type type) {
    switch (type) {
        case array_data_type::float32:
            return "FLOAT32";
        case array_data_type::float64:
            return "DOUBLE";
        case array_data_type::int32:
            return "INT32";
        default:
            return "INVALID_ARRAY_DATA_TYPE";
    }
}

/// The C++ types that a multi-array can hold.
template <class T>
concept array_element = std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, std::int32_t>;

template <array_element T>
inline constexpr array_data_type data_type_of = std::same_as<T, float>    ? array_data_type::float32
                                                : std::same_as<T, double> ? array_data_type::float64
                                                                          : array_data_type::int32;

/// An xtensor expression of these, evaluated or not.
template <class E>
concept array_expression =
    xt::is_xexpression<std::decay_t<E>>::value && array_element<typename std::decay_t<E>::value_type>;

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// An array of float, double or int32 behind one type. Made from any xtensor expression of these. Copies share the
/// elements, which never change.
class multi_array {
public:
    using variant = std::variant<tensor<float>, tensor<double>, tensor<std::int32_t>>;

    /// One float32 zero of rank 0.
    multi_array();
    multi_array(const multi_array&) = default;  // nothing moves: what was moved from would have no elements
    multi_array& operator=(const multi_array&) = default;
    /// Throws errc::bad_argument where `values` has more than `max_rank` axes.
    template <array_expression E>
    multi_array(E&& values)
        : multi_array(checked(), tensor<typename std::decay_t<E>::value_type>(std::forward<E>(values))) {}

    bespoke::shape shape() const;
    array_data_type data_type() const;
    /// Null where the elements are of another type.
    template <array_element T>
    const tensor<T>* get_if() const;
    /// A copy whose elements are of type T. Fractions are cut off and what int32 cannot hold is clamped to
    /// its range (NaN to 0).
    template <array_element T>
    tensor<T> cast() const;
    const variant& values() const;

    friend bool operator==(const multi_array& a, const multi_array& b) { return a.equals(b); }

private:
    struct checked {};
    multi_array(checked, tensor<float>&& values);
    multi_array(checked, tensor<double>&& values);
    multi_array(checked, tensor<std::int32_t>&& values);
    bool equals(const multi_array& other) const;

    struct elements;  // who composes networks only should not pay for three xtensor classes
    std::shared_ptr<const elements> values_;
};

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::multi_array;

using string_dictionary = std::map<std::string, double>;
using int64_dictionary = std::map<std::int64_t, double>;
using int64_sequence = std::vector<std::int64_t>;
using string_sequence = std::vector<std::string>;

/// One value of any feature type.
using feature_value = std::variant<std::int64_t, double, std::string, multi_array, string_dictionary,
                                   int64_dictionary, int64_sequence, string_sequence>;

namespace detail {

template <class... F>
struct overloaded : F... {
    using F::operator()...;
};

template <class... F>
overloaded(F...) -> overloaded<F...>;

template <class T, class Variant>
inline constexpr bool is_alternative = false;
template <class T, class... Alternatives>
inline constexpr bool is_alternative<T, std::variant<Alternatives...>> = (std::same_as<T, Alternatives> || ...);

}  // namespace detail

/// What `features::get<T>` is asked for, for people: "a multi-array FLOAT32".
template <class T>
constexpr std::string_view kind_of() {
    if constexpr (std::same_as<T, std::int64_t>)
        return "an int64";
    else if constexpr (std::same_as<T, double>)
        return "a double";
    else if constexpr (std::same_as<T, std::string>)
        return "a string";
    else if constexpr (std::same_as<T, multi_array>)
        return "a multi-array";
    else if constexpr (std::same_as<T, string_dictionary>)
        return "a dictionary of strings";
    else if constexpr (std::same_as<T, int64_dictionary>)
        return "a dictionary of int64";
    else if constexpr (std::same_as<T, int64_sequence>)
        return "a sequence of int64";
    else if constexpr (std::same_as<T, string_sequence>)
        return "a sequence of strings";
    else if constexpr (std::same_as<T, tensor<float>>)
        return "a multi-array FLOAT32";
    else if constexpr (std::same_as<T, tensor<double>>)
        return "a multi-array DOUBLE";
    else
        return "a multi-array INT32";
}

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// "[1, 8, 8]"
std::string to_text(const shape& s);
/// What a value is, for people: "a multi-array FLOAT32 [1, 8, 8]".
std::string to_text(const feature_value& value);

/// Values under names, in the order of the names:
///
///     features{{"image", image}, {"label", 3}, {"title", "a"}}
class features {
public:
    using map = std::map<std::string, feature_value, std::less<>>;

    // defined with the implementation: they are dear to compile
    features();
    features(const features&);
    features(features&&) noexcept;
    features& operator=(const features&);
    features& operator=(features&&) noexcept;
    ~features();
    /// Throws errc::duplicate_name.
    features(std::initializer_list<map::value_type> values);

    /// Throws errc::unknown_name with the names that there are.
    const feature_value& at(std::string_view name) const;
    /// The value, which must be of type T: an alternative of `feature_value`, or the `tensor` in a
    /// multi-array. Throws errc::unknown_name, or errc::bad_value where the value is something else.
    template <class T>
    const T& get(std::string_view name) const {
        const feature_value& value = at(name);
        if constexpr (detail::is_alternative<T, feature_value>) {
            if (const T* found = std::get_if<T>(&value)) return *found;
        } else {
            static_assert(detail::is_alternative<T, multi_array::variant>, "no feature holds a value of this type");
            if (const auto* array = std::get_if<multi_array>(&value))
                if (const T* found = array->get_if<typename T::value_type>()) return *found;
        }
        refuse(name, kind_of<T>(), value);
    }
    /// Null where there is no such name.
    const feature_value* find(std::string_view name) const;
    bool contains(std::string_view name) const { return find(name) != nullptr; }
    /// Adds the value or replaces the one of this name.
    void set(std::string name, feature_value value);

    std::size_t size() const { return values_.size(); }
    bool empty() const { return values_.empty(); }
    map::const_iterator begin() const { return values_.begin(); }
    map::const_iterator end() const { return values_.end(); }

    friend bool operator==(const features& a, const features& b) { return a.equals(b); }

private:
    [[noreturn]] static void refuse(std::string_view name, std::string_view wanted, const feature_value& came);
    bool equals(const features& other) const;

    map values_;
};

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::features;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::to_text;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <limits>

namespace bespoke {
namespace detail {

template <class T, class U>
T converted(U value) {
    if constexpr (std::same_as<T, std::int32_t> && std::floating_point<U>) {
        using limits = std::numeric_limits<std::int32_t>;
        if (value != value) return 0;
        const auto wide = static_cast<double>(value);
        return static_cast<T>(std::clamp(wide, double{limits::min()}, double{limits::max()}));
    } else {
        return static_cast<T>(value);
    }
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

struct multi_array::elements {
    variant values;

    template <class T>
    explicit elements(tensor<T>&& given) : values(std::move(given)) {
        const std::size_t rank = std::get<tensor<T>>(values).dimension();
        if (rank > max_rank)
            throw error(errc::bad_argument, "multi-array: at most " + std::to_string(max_rank) + " axes wanted, but " +
                                                std::to_string(rank) + " came");
    }
};

multi_array::multi_array() : multi_array(checked(), tensor<float>()) {}
multi_array::multi_array(checked, tensor<float>&& values)
    : values_(std::make_shared<const elements>(std::move(values))) {}
multi_array::multi_array(checked, tensor<double>&& values)
    : values_(std::make_shared<const elements>(std::move(values))) {}
multi_array::multi_array(checked, tensor<std::int32_t>&& values)
    : values_(std::make_shared<const elements>(std::move(values))) {}

const multi_array::variant& multi_array::values() const { return values_->values; }
template <array_element T>
const tensor<T>* multi_array::get_if() const {
    return std::get_if<tensor<T>>(&values_->values);
}
template const tensor<float>* multi_array::get_if() const;
template const tensor<double>* multi_array::get_if() const;
template const tensor<std::int32_t>* multi_array::get_if() const;
bool multi_array::equals(const multi_array& other) const { return values() == other.values(); }

bespoke::shape multi_array::shape() const {
    return std::visit([](const auto& values) { return shape_of(values); }, values());
}
array_data_type multi_array::data_type() const {
    return std::visit(
        [](const auto& values) { return data_type_of<typename std::decay_t<decltype(values)>::value_type>; }, values());
}
template <array_element T>
tensor<T> multi_array::cast() const {
    return std::visit(
        [](const auto& values) {
            tensor<T> result(values.shape());
            std::transform(values.begin(), values.end(), result.begin(),
                           [](auto v) { return detail::converted<T>(v); });
            return result;
        },
        values());
}
template tensor<float> multi_array::cast() const;
template tensor<double> multi_array::cast() const;
template tensor<std::int32_t> multi_array::cast() const;

std::string to_text(const shape& s) {
    std::string text = "[";
    for (std::size_t axis = 0; axis < s.rank(); ++axis)
        text += (axis > 0 ? ", " : "") + std::to_string(s[axis]);
    return text + "]";
}

std::string to_text(const feature_value& value) {
    return std::visit(
        detail::overloaded{[](const multi_array& a) {
                               return std::string(kind_of<multi_array>())
                                   .append(" ")
                                   .append(name_of(a.data_type()))
                                   .append(" ")
                                   .append(to_text(a.shape()));
                           },
                           [](const int64_sequence& s) { return "a sequence of " + std::to_string(s.size()) + " int64"; },
                           [](const string_sequence& s) {
                               return "a sequence of " + std::to_string(s.size()) + " strings";
                           },
                           []<class T>(const T&) { return std::string(kind_of<T>()); }},
        value);
}

features::features() = default;
features::features(const features&) = default;
features::features(features&&) noexcept = default;
features& features::operator=(const features&) = default;
features& features::operator=(features&&) noexcept = default;
features::~features() = default;
features::features(std::initializer_list<map::value_type> values) {
    for (const auto& [name, value] : values)
        if (!values_.emplace(name, value).second)
            throw error(errc::duplicate_name, "feature \"" + name + "\" is given twice");
}

const feature_value& features::at(std::string_view name) const {
    if (const feature_value* value = find(name)) return *value;
    std::string names;
    for (const auto& [other, value] : values_) names += (names.empty() ? "\"" : ", \"") + other + "\"";
    throw error(errc::unknown_name, "no feature \"" + std::string(name) + "\"; there " +
                                        (names.empty()         ? "is none"
                                         : values_.size() == 1 ? "is only " + names
                                                               : "are " + names));
}
void features::refuse(std::string_view name, std::string_view wanted, const feature_value& came) {
    throw error(errc::bad_value, "feature \"" + std::string(name) + "\": " + std::string(wanted) +
                                     " wanted, but it is " + to_text(came));
}
const feature_value* features::find(std::string_view name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? nullptr : &found->second;
}
void features::set(std::string name, feature_value value) {
    values_.insert_or_assign(std::move(name), std::move(value));
}
bool features::equals(const features& other) const { return values_ == other.values_; }

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

/// The types that a model declares for its features. Core ML specification, FeatureTypes.proto. Comparisons and what
/// looks into a variant are defined with the implementation: they are dear to compile.
namespace bespoke {

/// How many: from `lower_bound` to `upper_bound`, both included; a negative upper bound is none.
struct size_range {
    extent lower_bound = 0;
    extent upper_bound = unset;

    constexpr bool contains(extent size) const {
        return size >= lower_bound && (upper_bound < 0 || size <= upper_bound);
    }
    friend constexpr bool operator==(const size_range&, const size_range&) = default;
};

struct int64_feature_type {
    friend bool operator==(const int64_feature_type&, const int64_feature_type&) = default;
};
struct double_feature_type {
    friend bool operator==(const double_feature_type&, const double_feature_type&) = default;
};
struct string_feature_type {
    friend bool operator==(const string_feature_type&, const string_feature_type&) = default;
};
/// The values of a dictionary are doubles.
struct dictionary_feature_type {
    enum class key { int64_key_type, string_key_type };
    key key_type = key::int64_key_type;
    friend bool operator==(const dictionary_feature_type&, const dictionary_feature_type&) = default;
};
struct sequence_feature_type {
    enum class element { int64_type, string_type };
    element type = element::int64_type;
    bespoke::size_range size_range = {};
    friend bool operator==(const sequence_feature_type&, const sequence_feature_type&) = default;
};

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

struct enumerated_shapes {
    std::vector<bespoke::shape> shapes = {};
    friend bool operator==(const enumerated_shapes&, const enumerated_shapes&);
};
/// One range for each axis.
struct shape_range {
    std::vector<size_range> size_ranges = {};
    friend bool operator==(const shape_range&, const shape_range&);
};

struct array_feature_type {
    /// The required shape, or the default one where `shape_flexibility` is given. Rank 0 with no flexibility
    /// is undeclared: any shape.
    bespoke::shape shape = {};
    array_data_type data_type = array_data_type::invalid_array_data_type;
    std::variant<std::monostate, enumerated_shapes, shape_range> shape_flexibility = {};
    /// What every element is where an optional feature is not given.
    std::variant<std::monostate, std::int32_t, float, double> default_optional_value = {};

    friend bool operator==(const array_feature_type&, const array_feature_type&);

    /// `shape`, or what stands for it: the first enumerated shape, the lower bounds of the ranges.
    bespoke::shape default_shape() const;
    bool accepts(const bespoke::shape& s) const;
    /// Elements are converted where that keeps their meaning: any to floating point, but not the other way.
    bool accepts(array_data_type type) const {
        return type == data_type || data_type != array_data_type::int32;
    }
};

struct feature_type {
    std::variant<int64_feature_type, double_feature_type, string_feature_type, array_feature_type,
                 dictionary_feature_type, sequence_feature_type>
        type = {};
    bool is_optional = false;

    friend bool operator==(const feature_type&, const feature_type&);

    /// Null where the type is another.
    const array_feature_type* multi_array_type() const;
};

/// "1..8", or "1.." where there is no upper bound.
std::string to_text(const size_range& range);
/// What is wanted, for people: "a multi-array FLOAT32 [1, 8..32, 8..]".
std::string to_text(const feature_type& type);
/// Whether `value` can be given for a feature of type `type`.
bool accepts(const feature_type& type, const feature_value& value);
/// What is wrong with a declared type itself, or nothing.
std::optional<fault> fault_of(const feature_type& type);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::accepts;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::array_feature_type;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::enumerated_shapes;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::fault_of;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::feature_type;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::shape_range;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::to_text;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>

namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

bool operator==(const enumerated_shapes&, const enumerated_shapes&) = default;
bool operator==(const shape_range&, const shape_range&) = default;
bool operator==(const array_feature_type&, const array_feature_type&) = default;
bool operator==(const feature_type&, const feature_type&) = default;

bespoke::shape array_feature_type::default_shape() const {
    if (shape.rank() > 0) return shape;
    if (const auto* enumerated = std::get_if<enumerated_shapes>(&shape_flexibility))
        return enumerated->shapes.empty() ? shape : enumerated->shapes.front();
    bespoke::shape lowest;
    if (const auto* ranges = std::get_if<shape_range>(&shape_flexibility))
        for (const size_range& r : ranges->size_ranges) lowest.push_back(r.lower_bound);
    return lowest;
}
bool array_feature_type::accepts(const bespoke::shape& s) const {
    if (const auto* enumerated = std::get_if<enumerated_shapes>(&shape_flexibility))
        return std::find(enumerated->shapes.begin(), enumerated->shapes.end(), s) != enumerated->shapes.end();
    if (const auto* ranges = std::get_if<shape_range>(&shape_flexibility))
        return std::equal(ranges->size_ranges.begin(), ranges->size_ranges.end(), s.begin(), s.end(),
                          [](const size_range& r, extent e) { return r.contains(e); });
    return shape.rank() == 0 || s == shape;
}
const array_feature_type* feature_type::multi_array_type() const { return std::get_if<array_feature_type>(&type); }

std::string to_text(const size_range& range) {
    if (range.upper_bound < 0) return std::to_string(range.lower_bound) + "..";
    if (range.lower_bound == range.upper_bound) return std::to_string(range.lower_bound);
    return std::to_string(range.lower_bound) + ".." + std::to_string(range.upper_bound);
}

std::string to_text(const feature_type& type) {
    if (std::holds_alternative<int64_feature_type>(type.type)) return std::string(kind_of<std::int64_t>());
    if (std::holds_alternative<double_feature_type>(type.type)) return std::string(kind_of<double>());
    if (std::holds_alternative<string_feature_type>(type.type)) return std::string(kind_of<std::string>());
    if (const auto* dictionary = std::get_if<dictionary_feature_type>(&type.type))
        return std::string(dictionary->key_type == dictionary_feature_type::key::int64_key_type
                               ? kind_of<int64_dictionary>()
                               : kind_of<string_dictionary>());
    if (const auto* sequence = std::get_if<sequence_feature_type>(&type.type))
        return "a sequence of " + to_text(sequence->size_range) +
               (sequence->type == sequence_feature_type::element::int64_type ? " int64" : " strings");
    const array_feature_type& array = *type.multi_array_type();
    std::string text(kind_of<multi_array>());
    text.append(" ").append(name_of(array.data_type));
    if (const auto* enumerated = std::get_if<enumerated_shapes>(&array.shape_flexibility)) {
        for (std::size_t i = 0; i < enumerated->shapes.size(); ++i)
            text.append(i > 0 ? " or " : " ").append(to_text(enumerated->shapes[i]));
    } else if (const auto* ranges = std::get_if<shape_range>(&array.shape_flexibility)) {
        for (std::size_t i = 0; i < ranges->size_ranges.size(); ++i)
            text.append(i > 0 ? ", " : " [").append(to_text(ranges->size_ranges[i]));
        text.append("]");
    } else if (array.shape.rank() > 0) {
        text.append(" ").append(to_text(array.shape));
    } else {
        text.append(" of any shape");
    }
    return text;
}

bool accepts(const feature_type& type, const feature_value& value) {
    if (std::holds_alternative<int64_feature_type>(type.type)) return std::holds_alternative<std::int64_t>(value);
    if (std::holds_alternative<double_feature_type>(type.type))
        return std::holds_alternative<double>(value) || std::holds_alternative<std::int64_t>(value);
    if (std::holds_alternative<string_feature_type>(type.type)) return std::holds_alternative<std::string>(value);
    if (const auto* array = type.multi_array_type()) {
        const auto* given = std::get_if<multi_array>(&value);
        return given != nullptr && array->accepts(given->data_type()) && array->accepts(given->shape());
    }
    if (const auto* dictionary = std::get_if<dictionary_feature_type>(&type.type))
        return dictionary->key_type == dictionary_feature_type::key::int64_key_type
                   ? std::holds_alternative<int64_dictionary>(value)
                   : std::holds_alternative<string_dictionary>(value);
    const auto& sequence = std::get<sequence_feature_type>(type.type);
    const auto fits = [&](const auto* given) {
        return given != nullptr && sequence.size_range.contains(static_cast<extent>(given->size()));
    };
    return sequence.type == sequence_feature_type::element::int64_type ? fits(std::get_if<int64_sequence>(&value))
                                                                       : fits(std::get_if<string_sequence>(&value));
}

std::optional<fault> fault_of(const feature_type& type) {
    const auto check_range = [](const size_range& r) -> std::optional<fault> {
        if (r.lower_bound >= 0 && (r.upper_bound < 0 || r.lower_bound <= r.upper_bound)) return std::nullopt;
        return value_fault("a range from a lower bound of 0 or more up to an upper bound wanted, but it is ",
                           r.lower_bound, " to ", r.upper_bound);
    };
    if (const auto* sequence = std::get_if<sequence_feature_type>(&type.type))
        return check_range(sequence->size_range);
    const array_feature_type* array = type.multi_array_type();
    if (!array) return std::nullopt;

    if (name_of(array->data_type) == name_of(array_data_type::invalid_array_data_type))
        return value_fault(
            "a multi-array of FLOAT32, DOUBLE or INT32 wanted, but its data type is not given");
    const auto check_shape = [](const bespoke::shape& s) -> std::optional<fault> {
        for (extent e : s)
            if (e < 1) return value_fault("a shape of extents of 1 or more wanted, but it is ", s);
        return std::nullopt;
    };
    if (auto problem = check_shape(array->shape)) return problem;
    if (const auto* enumerated = std::get_if<enumerated_shapes>(&array->shape_flexibility)) {
        if (enumerated->shapes.empty()) return value_fault("enumerated shapes wanted, but there is none");
        for (const bespoke::shape& s : enumerated->shapes)
            if (auto problem = check_shape(s)) return problem;
    } else if (const auto* ranges = std::get_if<shape_range>(&array->shape_flexibility)) {
        if (ranges->size_ranges.empty() || ranges->size_ranges.size() > max_rank)
            return value_fault("size ranges of 1 to ", max_rank, " axes wanted, but there are ",
                               ranges->size_ranges.size());
        for (const size_range& r : ranges->size_ranges)
            if (auto problem = check_range(r)) return problem;
    }
    if (!array->accepts(array->default_shape()))
        return value_fault("a default shape that the flexibility allows wanted, but it is ", array->shape);
    return std::nullopt;
}

}  // namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

#endif

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// What a model says about itself. Core ML specification, Model.proto.
namespace bespoke {
namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// A named input or output.
struct feature_description {
    std::string name = {};
    std::string short_description = {};
    feature_type type = {};

    friend bool operator==(const feature_description&, const feature_description&);
};

struct metadata {
    std::string short_description = {};
    std::string version_string = {};
    std::string author = {};
    std::string license = {};
    std::map<std::string, std::string> user_defined = {};

    friend bool operator==(const metadata&, const metadata&);
};

struct model_description {
    std::vector<feature_description> input = {};
    std::vector<feature_description> output = {};
    std::vector<feature_description> training_input = {};
    /// Of classifiers and regressors: the output that answers.
    std::string predicted_feature_name = {};
    /// Of classifiers: the output with a probability for each label.
    std::string predicted_probabilities_name = {};
    struct metadata metadata = {};

    friend bool operator==(const model_description&, const model_description&);
};

/// Null where no description has the name.
const feature_description* find_feature(std::span<const feature_description> descriptions, std::string_view name);

/// What is wrong with the description itself, or nothing: a name that is empty or comes twice, a type that
/// contradicts itself, a predicted feature that is no output.
std::optional<fault> fault_of(const model_description& description);

/// Throws unless `values` has a fitting value for each description that is not optional, and nothing else.
/// `role` is what they are to the model: "input". errc::unknown_name, errc::shape_mismatch or
/// errc::bad_value, with the name, what was wanted and what came.
void check_features(std::string_view role, std::span<const feature_description> descriptions, const features& values);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::check_features;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::fault_of;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::feature_description;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::find_feature;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::metadata;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::model_description;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <set>

namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

bool operator==(const feature_description&, const feature_description&) = default;
bool operator==(const metadata&, const metadata&) = default;
bool operator==(const model_description&, const model_description&) = default;

const feature_description* find_feature(std::span<const feature_description> descriptions,
                                        std::string_view name) {
    for (const feature_description& d : descriptions)
        if (d.name == name) return &d;
    return nullptr;
}

std::optional<fault> fault_of(const model_description& description) {
    const auto check_list = [](std::string_view role,
                               const std::vector<feature_description>& list) -> std::optional<fault> {
        std::set<std::string_view> names;
        for (std::size_t i = 0; i < list.size(); ++i) {
            if (list[i].name.empty()) return value_fault(role, " ", i, ": the name is empty");
            if (!names.insert(list[i].name).second)
                return fault{errc::duplicate_name,
                             sentence(role, " \"", list[i].name, "\": the name comes twice")};
            if (const auto problem = fault_of(list[i].type))
                return fault{problem->code, sentence(role, " \"", list[i].name, "\": ", problem->what)};
        }
        return std::nullopt;
    };
    const auto check_output = [&](std::string_view role, const std::string& name) -> std::optional<fault> {
        if (name.empty() || find_feature(description.output, name)) return std::nullopt;
        return fault{errc::unknown_name,
                     sentence(role, ": the name of an output wanted, but it is \"", name, "\"")};
    };
    if (auto problem = check_list("input", description.input)) return problem;
    if (auto problem = check_list("output", description.output)) return problem;
    if (auto problem = check_list("training input", description.training_input)) return problem;
    if (auto problem = check_output("predicted feature", description.predicted_feature_name)) return problem;
    return check_output("predicted probabilities", description.predicted_probabilities_name);
}

void check_features(std::string_view role, std::span<const feature_description> descriptions, const features& values) {
    const auto place = [&](std::string_view name) {
        return std::string(role) + " \"" + std::string(name) + "\": ";
    };
    for (const feature_description& d : descriptions) {
        const feature_value* value = values.find(d.name);
        if (!value) {
            if (d.type.is_optional) continue;
            throw error(errc::unknown_name, place(d.name) + to_text(d.type) + " wanted, but none is given");
        }
        if (accepts(d.type, *value)) continue;
        const array_feature_type* array = d.type.multi_array_type();
        const bool only_shape = array && std::holds_alternative<multi_array>(*value) &&
                                array->accepts(std::get<multi_array>(*value).data_type());
        throw error(only_shape ? errc::shape_mismatch : errc::bad_value,
                    place(d.name) + to_text(d.type) + " wanted, but " + to_text(*value) + " came");
    }
    for (const auto& [name, value] : values)
        if (!find_feature(descriptions, name))
            throw error(errc::unknown_name, place(name) + "the model declares no such " + std::string(role));
}

}  // namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

#endif



/// The only file that includes nlohmann_json, and only where BESPOKE_IMPLEMENTATION is defined.

#ifdef BESPOKE_IMPLEMENTATION

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bespoke::detail {

using json = nlohmann::json;

/// How deep JSON objects and arrays may nest. A model with loops and branches nests a few dozen.
inline constexpr std::size_t max_json_depth = 64;

/// `text` for an error message: at most 60 characters of printable ASCII, what is left out shown as "...".
inline std::string excerpt(std::string_view text) {
    constexpr std::size_t longest = 60;
    std::string result(text.substr(0, longest));
    for (char& c : result)
        if (c < ' ' || c > '~') c = '?';
    return text.size() > longest ? result + "..." : result;
}

/// Builds a document from the events of nlohmann's parser, which cannot itself refuse a key that comes
/// twice or too many brackets.
class json_builder {
public:
    json_builder(std::string_view text, std::string_view name) : text_(text), name_(name) {}

    json document() && { return std::move(root_); }

    bool null() { return put(nullptr); }
    bool boolean(bool value) { return put(value); }
    bool number_integer(std::int64_t value) { return put(value); }
    bool number_unsigned(std::uint64_t value) { return put(value); }
    bool number_float(double value, const std::string&) { return put(value); }
    bool string(std::string& value) { return put(std::move(value)); }
    bool binary(json::binary_t&) { return false; }  // JSON text has none

    bool start_object(std::size_t) { return open(json::object()); }
    bool start_array(std::size_t) { return open(json::array()); }
    bool end_object() { return close(); }
    bool end_array() { return close(); }
    bool key(std::string& name) {
        auto& object = open_.back().value->get_ref<json::object_t&>();
        const auto [entry, added] = object.emplace(std::move(name), nullptr);
        open_.back().key = &entry->first;
        if (!added) throw error(errc::duplicate_name, name_ + ": " + place() + ": the key comes twice");
        return true;
    }

    template <class Problem>
    bool parse_error(std::size_t position, const std::string&, const Problem&) {
        if (position > text_.size())
            throw error(errc::malformed_file, name_ + ": not JSON: it ends after " +
                                                  std::to_string(text_.size()) +
                                                  " bytes, in the middle of a value");
        const std::size_t begin = position - std::min<std::size_t>(position, 20);
        throw error(errc::malformed_file, name_ + ": not JSON at byte " + std::to_string(position) +
                                              ", at the end of '" +
                                              excerpt(text_.substr(begin, position - begin)) + "'");
    }

private:
    struct level {
        json* value;
        const std::string* key = nullptr;  ///< of the member that is being read
    };

    /// Where the parser is, as a JSON pointer.
    std::string place() const {
        std::string result;
        for (const level& l : open_)
            result += "/" + (l.value->is_array() ? std::to_string(l.value->size() - 1) : excerpt(*l.key));
        return result;
    }
    template <class Value>
    json& append(Value&& value) {
        if (open_.empty()) return root_ = json(std::forward<Value>(value));
        const level& inner = open_.back();
        if (inner.value->is_array())
            return inner.value->get_ref<json::array_t&>().emplace_back(std::forward<Value>(value));
        return inner.value->get_ref<json::object_t&>().at(*inner.key) = json(std::forward<Value>(value));
    }
    template <class Value>
    bool put(Value&& value) {
        append(std::forward<Value>(value));
        return true;
    }
    bool open(json value) {
        json& placed = append(std::move(value));
        if (open_.size() == max_json_depth)
            throw error(errc::malformed_file, name_ + ": " + place() + ": brackets nest deeper than " +
                                                  std::to_string(max_json_depth));
        open_.push_back({&placed});
        return true;
    }
    bool close() {
        open_.pop_back();
        return true;
    }

    std::string_view text_;
    std::string name_;
    json root_;
    std::vector<level> open_;
};

/// The document that `text` spells. Throws bespoke::error, with `name` before the sentence, for anything
/// that is not exactly one JSON value, for a key that comes twice in one object, and for brackets that
/// nest deeper than `max_json_depth`. Memory: at most some 30 times the text (an array of empty arrays).
inline json parse_json(std::string_view text, std::string_view name) {
    json_builder builder(text, name);
    json::sax_parse(text.begin(), text.end(), &builder);
    return std::move(builder).document();
}

}  // namespace bespoke::detail

#endif

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bespoke {
namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// `text` in quotes for an error: cut after 60 characters, what is not printable ASCII as '?'.
std::string in_quotes(std::string_view text);

/// Reads one object of a document in protobuf's JSON mapping, member after member. A member that is absent
/// or null has the default of its type. Throws `error` with the place of what does not fit:
/// "/neuralNetwork/layers/7/convolution/kernelSize/1: an integer wanted, "x" came".
class object_reader {
public:
    /// `json` is the nlohmann::json of the object; it must outlive the reader.
    object_reader(const void* json, std::string place);

    /// JSON pointer of the object.
    const std::string& place() const { return place_; }
    std::string place(std::string_view key) const;
    /// Whether the member is there and not null. Does not count as reading it.
    bool has(std::string_view key) const;
    /// Names of all members that are not null.
    std::vector<std::string_view> keys() const;

    bool boolean(std::string_view key);
    /// A number without a fraction, or one in a string.
    std::int64_t integer(std::string_view key);
    double number(std::string_view key);
    /// A number that a float can hold.
    float real(std::string_view key);
    std::string text(std::string_view key);
    std::vector<std::int64_t> integers(std::string_view key);
    std::vector<bool> booleans(std::string_view key);
    std::vector<float> reals(std::string_view key);
    std::vector<std::string> texts(std::string_view key);
    /// The position of the enumerator in `names`, given by name or by its number in `numbers` (0, 1, ... where
    /// that is empty). Absent: the one whose number is 0.
    std::size_t enumerator(std::string_view key, std::span<const std::string_view> names,
                           std::span<const std::int64_t> numbers = {});
    std::map<std::string, std::string> map_of_texts(std::string_view key);
    /// The member as an object; an empty one where it is absent.
    object_reader object(std::string_view key);
    std::vector<object_reader> objects(std::string_view key);
    /// How many elements the array has, without reading it; 0 where it is absent or no array.
    std::size_t length(std::string_view key) const;

    /// The member there is of these; empty: none. Two are an error.
    std::string_view one_of(std::span<const std::string_view> keys);
    /// Every member must have been read.
    void finish() const;
    [[noreturn]] void fail(errc code, std::string_view key, const std::string& what) const;

private:
    const void* find(std::string_view key) const;
    const void* take(std::string_view key);

    const void* json_;
    std::string place_;
    std::vector<std::string> asked_;
};

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::in_quotes;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::object_reader;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace bespoke {
namespace detail {

inline const json& as_json(const void* opaque) { return *static_cast<const json*>(opaque); }

/// `name` as a step of a JSON pointer (RFC 6901).
inline std::string pointer_step(std::string_view name) {
    std::string step = "/";
    for (char c : name.substr(0, 60)) {
        if (c == '~')
            step += "~0";
        else if (c == '/')
            step += "~1";
        else
            step += c < ' ' || c > '~' ? '?' : c;
    }
    return step;
}

/// What a value is, for an error.
inline std::string described_value(const json& value) {
    if (value.is_string()) return in_quotes(value.get_ref<const std::string&>());
    if (value.is_object()) return "an object";
    if (value.is_array()) return "an array";
    return value.dump();
}

[[noreturn]] inline void unfit(const std::string& place, std::string_view wanted, const json& value) {
    throw error(errc::bad_value, place + ": " + std::string(wanted) + " wanted, " + described_value(value) + " came");
}

inline bool to_boolean(const json& value, const std::string& place) {
    if (!value.is_boolean()) unfit(place, "true or false", value);
    return value.get<bool>();
}
inline std::int64_t to_integer(const json& value, const std::string& place) {
    constexpr std::string_view wanted = "an integer of 64 bits";
    if (value.is_number_unsigned()) {
        const auto number = value.get<std::uint64_t>();
        if (number <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
            return static_cast<std::int64_t>(number);
    } else if (value.is_number_integer()) {
        return value.get<std::int64_t>();
    } else if (value.is_number_float()) {
        const auto number = value.get<double>();
        if (number == std::floor(number) && std::abs(number) < 0x1p62) return static_cast<std::int64_t>(number);
    } else if (value.is_string()) {
        const auto& digits = value.get_ref<const std::string&>();
        std::int64_t number = 0;
        const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
        if (problem == std::errc() && end == digits.data() + digits.size()) return number;
    }
    unfit(place, wanted, value);
}

inline double to_number(const json& value, const std::string& place) {
    if (value.is_number()) return value.get<double>();
    if (value.is_string()) {
        const auto& text = value.get_ref<const std::string&>();
        if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
        if (text == "Infinity") return std::numeric_limits<double>::infinity();
        if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
        double number = 0;
        const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (problem == std::errc() && end == text.data() + text.size() && std::isfinite(number)) return number;
    }
    unfit(place, "a number", value);
}

inline float to_real(const json& value, const std::string& place) {
    const double number = to_number(value, place);
    // beyond the largest float by half a unit: it would round to infinity
    if (std::isfinite(number) && std::abs(number) >= 0x1.ffffffp127) unfit(place, "a number of 32 bits", value);
    return static_cast<float>(number);
}

inline const std::string& to_text(const json& value, const std::string& place) {
    if (!value.is_string()) unfit(place, "a string", value);
    return value.get_ref<const std::string&>();
}

/// Calls `body(element, place)` for each element of an array.
template <class Body>
void each_element(const json& value, const std::string& place, const Body& body) {
    if (!value.is_array()) unfit(place, "an array", value);
    std::size_t number = 0;
    for (const json& element : value) body(element, place + "/" + std::to_string(number++));
}

/// How many edits (insert, delete, replace) lead from a to b.
inline std::size_t edits(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t above = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0u : 1u)});
            diagonal = above;
        }
    }
    return row[b.size()];
}

/// ", did you mean "convolution"?", or nothing where no candidate is near.
inline std::string suggestion(std::string_view name, std::span<const std::string> candidates) {
    const auto plain = [](std::string_view text) {
        std::string result;
        for (char c : text.substr(0, 60))
            if (c != '_') result += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        return result;
    };
    std::string_view best;
    std::size_t least = 1 + std::min<std::size_t>(name.size() / 3, 3);
    for (const auto& candidate : candidates) {
        const std::size_t distance = edits(plain(name), plain(candidate));
        if (distance >= least) continue;
        least = distance;
        best = candidate;
    }
    return best.empty() ? "" : ", did you mean " + in_quotes(best) + "?";
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

std::string in_quotes(std::string_view text) { return "\"" + detail::excerpt(text) + "\""; }

object_reader::object_reader(const void* json, std::string place) : json_(json), place_(std::move(place)) {
    if (json_ != nullptr && !detail::as_json(json_).is_object())
        detail::unfit(place_.empty() ? "/" : place_, "an object", detail::as_json(json_));
}
std::string object_reader::place(std::string_view key) const { return place_ + detail::pointer_step(key); }

const void* object_reader::find(std::string_view key) const {
    if (json_ == nullptr) return nullptr;
    const auto& object = detail::as_json(json_).get_ref<const detail::json::object_t&>();
    const auto member = object.find(key);
    return member == object.end() || member->second.is_null() ? nullptr : &member->second;
}
const void* object_reader::take(std::string_view key) {
    asked_.emplace_back(key);
    return find(key);
}
bool object_reader::has(std::string_view key) const { return find(key) != nullptr; }
std::vector<std::string_view> object_reader::keys() const {
    std::vector<std::string_view> names;
    if (json_ != nullptr)
        for (const auto& [key, value] : detail::as_json(json_).get_ref<const detail::json::object_t&>())
            if (!value.is_null()) names.push_back(key);
    return names;
}
std::size_t object_reader::length(std::string_view key) const {
    const void* member = find(key);
    return member != nullptr && detail::as_json(member).is_array() ? detail::as_json(member).size() : 0;
}

bool object_reader::boolean(std::string_view key) {
    const void* member = take(key);
    return member != nullptr && detail::to_boolean(detail::as_json(member), place(key));
}
std::int64_t object_reader::integer(std::string_view key) {
    const void* member = take(key);
    return member == nullptr ? 0 : detail::to_integer(detail::as_json(member), place(key));
}
double object_reader::number(std::string_view key) {
    const void* member = take(key);
    return member == nullptr ? 0 : detail::to_number(detail::as_json(member), place(key));
}
float object_reader::real(std::string_view key) {
    const void* member = take(key);
    return member == nullptr ? 0 : detail::to_real(detail::as_json(member), place(key));
}
std::string object_reader::text(std::string_view key) {
    const void* member = take(key);
    return member == nullptr ? "" : detail::to_text(detail::as_json(member), place(key));
}
std::vector<std::int64_t> object_reader::integers(std::string_view key) {
    std::vector<std::int64_t> values;
    if (const void* member = take(key))
        detail::each_element(detail::as_json(member), place(key), [&](const auto& element, const auto& where) {
            values.push_back(detail::to_integer(element, where));
        });
    return values;
}
std::vector<bool> object_reader::booleans(std::string_view key) {
    std::vector<bool> values;
    if (const void* member = take(key))
        detail::each_element(detail::as_json(member), place(key), [&](const auto& element, const auto& where) {
            values.push_back(detail::to_boolean(element, where));
        });
    return values;
}
std::vector<float> object_reader::reals(std::string_view key) {
    std::vector<float> values;
    if (const void* member = take(key)) {
        const auto& array = detail::as_json(member);
        if (!array.is_array()) detail::unfit(place(key), "an array", array);
        values.reserve(array.size());
        // the place is spelled out only for what does not fit: there may be millions
        for (const auto& element : array)
            values.push_back(element.is_number_float() && std::abs(element.template get<double>()) < 1e38
                                 ? static_cast<float>(element.template get<double>())
                                 : detail::to_real(element, place(key) + "/" + std::to_string(values.size())));
    }
    return values;
}
std::vector<std::string> object_reader::texts(std::string_view key) {
    std::vector<std::string> values;
    if (const void* member = take(key))
        detail::each_element(detail::as_json(member), place(key), [&](const auto& element, const auto& where) {
            values.push_back(detail::to_text(element, where));
        });
    return values;
}
std::size_t object_reader::enumerator(std::string_view key, std::span<const std::string_view> names,
                                      std::span<const std::int64_t> numbers) {
    const auto number_of = [&](std::size_t i) { return numbers.empty() ? static_cast<std::int64_t>(i) : numbers[i]; };
    const void* member = take(key);
    const detail::json zero = 0;
    const auto& value = member == nullptr ? zero : detail::as_json(member);
    for (std::size_t i = 0; i < names.size(); ++i)
        if (value.is_string() ? value.get_ref<const std::string&>() == names[i]
                              : value.is_number_integer() && value.get<std::int64_t>() == number_of(i))
            return i;
    std::string wanted;
    for (std::size_t i = 0; i < names.size(); ++i)
        wanted += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + std::string(names[i]);
    if (member == nullptr) fail(errc::bad_value, key, wanted + " wanted, none came");
    detail::unfit(place(key), wanted, value);
}
std::map<std::string, std::string> object_reader::map_of_texts(std::string_view key) {
    std::map<std::string, std::string> values;
    if (const void* member = take(key)) {
        const auto& object = detail::as_json(member);
        if (!object.is_object()) detail::unfit(place(key), "an object", object);
        for (const auto& [name, value] : object.items())
            values.emplace(name, detail::to_text(value, place(key) + detail::pointer_step(name)));
    }
    return values;
}
object_reader object_reader::object(std::string_view key) { return {take(key), place(key)}; }
std::vector<object_reader> object_reader::objects(std::string_view key) {
    std::vector<object_reader> readers;
    if (const void* member = take(key))
        detail::each_element(detail::as_json(member), place(key),
                             [&](const auto& element, const auto& where) { readers.emplace_back(&element, where); });
    return readers;
}

std::string_view object_reader::one_of(std::span<const std::string_view> keys) {
    std::string_view found;
    for (std::string_view key : keys) {
        asked_.emplace_back(key);
        if (!has(key)) continue;
        if (!found.empty())
            throw error(errc::bad_value, place_ + ": " + in_quotes(found) + " and " + in_quotes(key) +
                                             " exclude each other");
        found = key;
    }
    return found;
}
void object_reader::finish() const {
    if (json_ == nullptr) return;
    for (const auto& [key, value] : detail::as_json(json_).get_ref<const detail::json::object_t&>())
        if (std::find(asked_.begin(), asked_.end(), key) == asked_.end())
            throw error(errc::unknown_name,
                        (place_.empty() ? "/" : place_) + ": unknown field " + in_quotes(key) +
                            detail::suggestion(key, asked_));
}
void object_reader::fail(errc code, std::string_view key, const std::string& what) const {
    throw error(code, (!key.empty() ? place(key) : place_.empty() ? "/" : place_) + ": " + what);
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif


#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bespoke {
namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// Writes one object of a document in the canonical form of protobuf's JSON mapping: defaults left out,
/// 64-bit integers as strings, the shortest number that reads back as the same float.
class object_writer {
public:
    void boolean(std::string_view key, bool value);
    void integer(std::string_view key, std::int64_t value);
    void small_integer(std::string_view key, std::int32_t value);
    void number(std::string_view key, double value);
    void real(std::string_view key, float value);
    void text(std::string_view key, std::string_view value);
    void enumerator(std::string_view key, std::span<const std::string_view> names, std::size_t value);
    void integers(std::string_view key, std::span<const std::int64_t> values);
    void booleans(std::string_view key, const std::vector<bool>& values);
    void reals(std::string_view key, std::span<const float> values);
    void texts(std::string_view key, std::span<const std::string> values);
    void map_of_texts(std::string_view key, const std::map<std::string, std::string>& values);
    /// Numbers of a oneof: written even where they are zero.
    void present(std::string_view key, std::int32_t value);
    void present(std::string_view key, float value);
    void present(std::string_view key, double value);
    /// Written even where it is empty: a message that is there.
    void object(std::string_view key, const object_writer& value);
    void objects(std::string_view key, std::span<const object_writer> values);

    bool empty() const { return members_.empty(); }
    /// Members in the order in which they were written, two blanks an indent, arrays of numbers and
    /// strings in one line.
    std::string dump() const;
    /// What differs first from an object of this program: "outputChannels is "12" in the file, "10"". Empty:
    /// nothing.
    std::string difference(const object_writer& other) const;

private:
    void put(std::string_view key, std::string text);

    /// Names and the JSON text of the values, which begins in the first column.
    std::vector<std::pair<std::string, std::string>> members_;
};

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::object_writer;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <charconv>
#include <cmath>
#include <iterator>

namespace bespoke {
namespace detail {

/// The shortest text that reads back as the same float or double.
template <class T>
std::string spelled(T number) {
    if (std::isnan(number)) return "\"NaN\"";
    if (std::isinf(number)) return number > 0 ? "\"Infinity\"" : "\"-Infinity\"";
    char digits[40];
    char* end = std::to_chars(std::begin(digits), std::end(digits), number).ptr;
    double value = 0;
    std::from_chars(digits, end, value);
    // most readers make a double of it first, and round twice
    if (static_cast<T>(value) != number)
        end = std::to_chars(std::begin(digits), std::end(digits), static_cast<double>(number)).ptr;
    return std::string(std::begin(digits), end);
}
inline std::string spelled(std::string_view text) {
    try {
        return json(text).dump();
    } catch (const json::exception&) {
        throw error(errc::bad_value, "a text that is not UTF-8 cannot be written: " + in_quotes(text));
    }
}
/// Members or elements, each in lines of its own, between brackets.
inline std::string spelled_in_lines(std::string_view brackets, std::span<const std::string> parts) {
    if (parts.empty()) return std::string(brackets);
    std::string text(1, brackets[0]);
    for (std::size_t i = 0; i < parts.size(); ++i) {
        text += i == 0 ? "\n  " : ",\n  ";
        for (char c : parts[i]) {
            text += c;
            if (c == '\n') text += "  ";  // in a string it would be escaped
        }
    }
    return text + "\n" + brackets[1];
}
/// Elements in one line.
template <class Values, class Spell>
std::string spelled_in_line(const Values& values, const Spell& spell) {
    std::string text = "[";
    for (const auto& value : values) {
        if (text.size() > 1) text += ", ";
        text += spell(value);
    }
    return text + "]";
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

void object_writer::put(std::string_view key, std::string text) { members_.emplace_back(key, std::move(text)); }

void object_writer::boolean(std::string_view key, bool value) {
    if (value) put(key, "true");
}
void object_writer::integer(std::string_view key, std::int64_t value) {
    if (value != 0) put(key, "\"" + std::to_string(value) + "\"");
}
void object_writer::small_integer(std::string_view key, std::int32_t value) {
    if (value != 0) present(key, value);
}
void object_writer::number(std::string_view key, double value) {
    if (value != 0 || std::signbit(value)) present(key, value);
}
void object_writer::real(std::string_view key, float value) {
    if (value != 0 || std::signbit(value)) present(key, value);
}
void object_writer::text(std::string_view key, std::string_view value) {
    if (!value.empty()) put(key, detail::spelled(value));
}
void object_writer::enumerator(std::string_view key, std::span<const std::string_view> names, std::size_t value) {
    if (value != 0) text(key, names[value]);
}
void object_writer::integers(std::string_view key, std::span<const std::int64_t> values) {
    if (!values.empty())
        put(key, detail::spelled_in_line(values, [](auto v) { return "\"" + std::to_string(v) + "\""; }));
}
void object_writer::booleans(std::string_view key, const std::vector<bool>& values) {
    if (!values.empty())
        put(key, detail::spelled_in_line(values, [](bool v) { return std::string(v ? "true" : "false"); }));
}
void object_writer::reals(std::string_view key, std::span<const float> values) {
    if (!values.empty()) put(key, detail::spelled_in_line(values, [](float v) { return detail::spelled(v); }));
}
void object_writer::texts(std::string_view key, std::span<const std::string> values) {
    if (!values.empty())
        put(key, detail::spelled_in_line(values, [](std::string_view v) { return detail::spelled(v); }));
}
void object_writer::map_of_texts(std::string_view key, const std::map<std::string, std::string>& values) {
    if (values.empty()) return;
    object_writer map;
    for (const auto& [name, value] : values) map.put(name, detail::spelled(std::string_view(value)));
    object(key, map);
}
void object_writer::present(std::string_view key, std::int32_t value) { put(key, std::to_string(value)); }
void object_writer::present(std::string_view key, float value) { put(key, detail::spelled(value)); }
void object_writer::present(std::string_view key, double value) { put(key, detail::spelled(value)); }
void object_writer::object(std::string_view key, const object_writer& value) { put(key, value.dump()); }
void object_writer::objects(std::string_view key, std::span<const object_writer> values) {
    if (values.empty()) return;
    std::vector<std::string> elements;
    for (const object_writer& value : values) elements.push_back(value.dump());
    put(key, detail::spelled_in_lines("[]", elements));
}
std::string object_writer::dump() const {
    std::vector<std::string> members;
    for (const auto& [key, value] : members_) members.push_back(detail::spelled(std::string_view(key)) + ": " + value);
    return detail::spelled_in_lines("{}", members);
}
std::string object_writer::difference(const object_writer& other) const {
    const auto spell = [](const object_writer& object, const std::string& key) -> std::string {
        for (const auto& [name, value] : object.members_)
            if (name == key) return value;
        return "left out";
    };
    for (const auto* object : {this, &other})
        for (const auto& [key, value] : object->members_)
            if (spell(*this, key) != spell(other, key))
                return key + " is " + spell(*this, key) + " in the file, " + spell(other, key);
    return "";
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif

/// The interface of a model between document and `model_description`.
namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// Reads a ModelDescription object. Throws `error` with the place of what does not fit.
model_description read_description(object_reader& in);
object_writer write_description(const model_description& description);

}  // namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

#ifdef BESPOKE_IMPLEMENTATION

namespace bespoke {
namespace detail {

inline constexpr std::string_view array_data_type_names[] = {"INVALID_ARRAY_DATA_TYPE", "FLOAT32", "DOUBLE", "INT32"};
inline constexpr std::int64_t array_data_type_numbers[] = {0, 65568, 65600, 131104};

inline shape read_shape(object_reader& in, std::string_view key) {
    const auto extents = in.integers(key);
    if (extents.size() > max_rank)
        in.fail(errc::bad_value, key,
                "at most " + std::to_string(max_rank) + " numbers wanted, " + std::to_string(extents.size()) + " came");
    return shape(std::span<const extent>(extents));
}
inline void write_shape(object_writer& out, std::string_view key, const shape& dimensions) {
    out.integers(key, std::span<const extent>(dimensions.begin(), dimensions.rank()));
}

/// A message without fields.
inline void read_empty(object_reader& outer, std::string_view key) { outer.object(key).finish(); }

inline size_range read_size_range(object_reader& in) {
    size_range range;
    range.lower_bound = in.integer("lowerBound");
    range.upper_bound = in.integer("upperBound");
    in.finish();
    return range;
}
inline object_writer write_size_range(const size_range& range) {
    object_writer out;
    out.integer("lowerBound", range.lower_bound);
    out.integer("upperBound", range.upper_bound);
    return out;
}

inline array_feature_type read_array_type(object_reader& in) {
    array_feature_type type;
    type.shape = read_shape(in, "shape");
    type.data_type = static_cast<array_data_type>(
        array_data_type_numbers[in.enumerator("dataType", array_data_type_names, array_data_type_numbers)]);
    static constexpr std::string_view flexibilities[] = {"enumeratedShapes", "shapeRange"};
    const std::string_view flexibility = in.one_of(flexibilities);
    object_reader inner = in.object(flexibility.empty() ? flexibilities[0] : flexibility);
    if (flexibility == "enumeratedShapes") {
        enumerated_shapes list;
        for (object_reader& s : inner.objects("shapes")) {
            list.shapes.push_back(read_shape(s, "shape"));
            s.finish();
        }
        type.shape_flexibility = std::move(list);
    } else if (flexibility == "shapeRange") {
        shape_range list;
        for (object_reader& r : inner.objects("sizeRanges")) list.size_ranges.push_back(read_size_range(r));
        type.shape_flexibility = std::move(list);
    }
    inner.finish();
    static constexpr std::string_view defaults[] = {"intDefaultValue", "floatDefaultValue", "doubleDefaultValue"};
    const std::string_view kind = in.one_of(defaults);
    if (kind == defaults[0]) {
        const std::int64_t value = in.integer(kind);
        if (!std::in_range<std::int32_t>(value)) in.fail(errc::bad_value, kind, "an integer of 32 bits wanted");
        type.default_optional_value = static_cast<std::int32_t>(value);
    } else if (kind == defaults[1]) {
        type.default_optional_value = in.real(kind);
    } else if (kind == defaults[2]) {
        type.default_optional_value = in.number(kind);
    }
    in.finish();
    return type;
}
inline object_writer write_array_type(const array_feature_type& type) {
    object_writer out;
    write_shape(out, "shape", type.shape);
    for (std::size_t i = 0; i < std::size(array_data_type_numbers); ++i)
        if (array_data_type_numbers[i] == static_cast<std::int64_t>(type.data_type))
            out.enumerator("dataType", array_data_type_names, i);
    object_writer inner;
    std::vector<object_writer> list;
    if (const auto* enumerated = std::get_if<enumerated_shapes>(&type.shape_flexibility)) {
        for (const shape& s : enumerated->shapes) write_shape(list.emplace_back(), "shape", s);
        inner.objects("shapes", list);
        out.object("enumeratedShapes", inner);
    } else if (const auto* ranges = std::get_if<shape_range>(&type.shape_flexibility)) {
        for (const size_range& r : ranges->size_ranges) list.push_back(write_size_range(r));
        inner.objects("sizeRanges", list);
        out.object("shapeRange", inner);
    }
    // members of a oneof are written even where they are zero
    if (const auto* whole = std::get_if<std::int32_t>(&type.default_optional_value))
        out.present("intDefaultValue", *whole);
    else if (const auto* real = std::get_if<float>(&type.default_optional_value))
        out.present("floatDefaultValue", *real);
    else if (const auto* number = std::get_if<double>(&type.default_optional_value))
        out.present("doubleDefaultValue", *number);
    return out;
}

inline feature_type read_feature_type(object_reader& in) {
    feature_type result;
    result.is_optional = in.boolean("isOptional");
    static constexpr std::string_view kinds[] = {"int64Type",      "doubleType",   "stringType", "multiArrayType",
                                                 "dictionaryType", "sequenceType", "imageType",  "stateType"};
    const std::string_view kind = in.one_of(kinds);
    if (kind.empty()) in.fail(errc::bad_value, "", "a feature type wanted, none came");
    if (kind == "imageType" || kind == "stateType")
        in.fail(errc::unsupported, kind, "features of this type are not supported");
    object_reader inner = in.object(kind);
    if (kind == "int64Type") {
        result.type = int64_feature_type{};
    } else if (kind == "doubleType") {
        result.type = double_feature_type{};
    } else if (kind == "stringType") {
        result.type = string_feature_type{};
    } else if (kind == "multiArrayType") {
        result.type = read_array_type(inner);
    } else if (kind == "dictionaryType") {
        static constexpr std::string_view keys[] = {"int64KeyType", "stringKeyType"};
        const std::string_view key = inner.one_of(keys);
        if (key.empty()) inner.fail(errc::bad_value, "", "a key type wanted, none came");
        read_empty(inner, key);
        result.type = dictionary_feature_type{key == keys[0] ? dictionary_feature_type::key::int64_key_type
                                                             : dictionary_feature_type::key::string_key_type};
    } else {
        static constexpr std::string_view elements[] = {"int64Type", "stringType"};
        const std::string_view element = inner.one_of(elements);
        if (element.empty()) inner.fail(errc::bad_value, "", "a type of the elements wanted, none came");
        read_empty(inner, element);
        sequence_feature_type sequence;
        if (element == elements[1]) sequence.type = sequence_feature_type::element::string_type;
        object_reader range = inner.object("sizeRange");
        sequence.size_range = read_size_range(range);
        if (!inner.has("sizeRange")) sequence.size_range = {};
        result.type = sequence;
    }
    inner.finish();
    in.finish();
    return result;
}
inline object_writer write_feature_type(const feature_type& type) {
    object_writer out, inner;
    if (std::holds_alternative<int64_feature_type>(type.type)) {
        out.object("int64Type", inner);
    } else if (std::holds_alternative<double_feature_type>(type.type)) {
        out.object("doubleType", inner);
    } else if (std::holds_alternative<string_feature_type>(type.type)) {
        out.object("stringType", inner);
    } else if (const auto* array = type.multi_array_type()) {
        out.object("multiArrayType", write_array_type(*array));
    } else if (const auto* dictionary = std::get_if<dictionary_feature_type>(&type.type)) {
        inner.object(dictionary->key_type == dictionary_feature_type::key::int64_key_type ? "int64KeyType"
                                                                                          : "stringKeyType",
                     {});
        out.object("dictionaryType", inner);
    } else if (const auto* sequence = std::get_if<sequence_feature_type>(&type.type)) {
        inner.object(sequence->type == sequence_feature_type::element::int64_type ? "int64Type" : "stringType", {});
        if (!(sequence->size_range == size_range{})) inner.object("sizeRange", write_size_range(sequence->size_range));
        out.object("sequenceType", inner);
    }
    out.boolean("isOptional", type.is_optional);
    return out;
}

inline std::vector<feature_description> read_feature_descriptions(object_reader& outer, std::string_view key) {
    std::vector<feature_description> list;
    for (object_reader& in : outer.objects(key)) {
        feature_description& d = list.emplace_back();
        d.name = in.text("name");
        d.short_description = in.text("shortDescription");
        object_reader type = in.object("type");
        d.type = read_feature_type(type);
        in.finish();
    }
    return list;
}
inline void write_feature_descriptions(object_writer& outer, std::string_view key,
                                       const std::vector<feature_description>& list) {
    std::vector<object_writer> elements;
    for (const feature_description& d : list) {
        object_writer& out = elements.emplace_back();
        out.text("name", d.name);
        out.text("shortDescription", d.short_description);
        out.object("type", write_feature_type(d.type));
    }
    outer.objects(key, elements);
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

model_description read_description(object_reader& in) {
    model_description result;
    for (std::string_view key : {"functions", "defaultFunctionName", "state"})
        if (in.has(key)) in.fail(errc::unsupported, key, "models with functions or states are not supported");
    result.input = detail::read_feature_descriptions(in, "input");
    result.output = detail::read_feature_descriptions(in, "output");
    result.predicted_feature_name = in.text("predictedFeatureName");
    result.predicted_probabilities_name = in.text("predictedProbabilitiesName");
    result.training_input = detail::read_feature_descriptions(in, "trainingInput");
    object_reader about = in.object("metadata");
    result.metadata.short_description = about.text("shortDescription");
    result.metadata.version_string = about.text("versionString");
    result.metadata.author = about.text("author");
    result.metadata.license = about.text("license");
    result.metadata.user_defined = about.map_of_texts("userDefined");
    about.finish();
    in.finish();
    if (const auto problem = fault_of(result)) in.fail(problem->code, "", std::string(problem->what.view()));
    return result;
}

object_writer write_description(const model_description& description) {
    object_writer out, about;
    detail::write_feature_descriptions(out, "input", description.input);
    detail::write_feature_descriptions(out, "output", description.output);
    out.text("predictedFeatureName", description.predicted_feature_name);
    out.text("predictedProbabilitiesName", description.predicted_probabilities_name);
    detail::write_feature_descriptions(out, "trainingInput", description.training_input);
    about.text("shortDescription", description.metadata.short_description);
    about.text("versionString", description.metadata.version_string);
    about.text("author", description.metadata.author);
    about.text("license", description.metadata.license);
    about.map_of_texts("userDefined", description.metadata.user_defined);
    if (!about.empty()) out.object("metadata", about);
    return out;
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif





#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

/// What a layer says about itself (`fields`) as a table, by which a reader and a writer that know no layer find their way
/// in its struct (layer_fields.hpp). So a layer adds data and next to no code.
namespace bespoke {
namespace detail {

enum class field_kind : unsigned char {
    boolean,
    int64,
    int32,
    real,
    number,
    text,        ///< std::string_view
    enumerator,  ///< an enum over int
    extents,     ///< shape
    pair,        ///< std::array<extent, count>
    integers,    ///< list<extent, count>
    booleans,    ///< list<bool, count>
    message,     ///< a struct with `fields`
    messages,    ///< std::array of such, `count` of them
    choice,      ///< std::variant of such: a `oneof`
};

struct field_table;

struct field_entry {
    std::string_view key{};
    field_kind kind{};
    std::uint32_t count = 0, stride = 0;           ///< of an array: elements, and bytes from one to the next
    void (*assign)(void* list, std::span<const std::int64_t> values) = nullptr;
    std::vector<std::int64_t> (*elements)(const void* list) = nullptr;
    std::span<const std::string_view> names{};     ///< of enumerators, or keys of a choice
    const field_table* const* messages = nullptr;  ///< what stands in a message, or in each alternative of a choice
    bool (*is_default)(const void* message) = nullptr;
    std::size_t (*index)(const void* choice) = nullptr;
    void* (*alternative)(const void* choice) = nullptr;           ///< the one there is
    void* (*emplace)(void* choice, std::size_t index) = nullptr;  ///< another one
};

struct field_table {
    static constexpr std::size_t most = 32;

    std::span<const field_entry> entries;
    void (*locate)(void* owner, void** members) = nullptr;  ///< writes where each of the fields is
};

template <class Owner>
struct table_of;

/// A message of the specification inside a layer: a struct with `fields`.
template <class T>
concept message_value = requires { std::tuple_size_v<std::remove_cvref_t<decltype(T::fields)>>; };

template <class T>
inline constexpr bool is_array_of = false;
template <class T, std::size_t Count>
inline constexpr bool is_array_of<std::array<T, Count>> = true;

template <class T>
inline constexpr bool is_list = false;
template <class T, std::size_t Most>
inline constexpr bool is_list<list<T, Most>> = true;

template <class List>
void assign_list(void* list, std::span<const std::int64_t> values) {
    List given;
    for (std::int64_t v : values) given.push_back(static_cast<typename List::value_type>(v));
    *static_cast<List*>(list) = given;
}
template <class List>
std::vector<std::int64_t> elements_of_list(const void* list) {
    const List& values = *static_cast<const List*>(list);
    return {values.begin(), values.end()};
}

template <class... Messages>
inline constexpr std::array<const field_table*, sizeof...(Messages)> tables_of{&table_of<Messages>::value...};

template <class E>
inline constexpr auto enumerator_names = enumerators(E{});

template <class T>
bool is_default(const void* message) {
    return *static_cast<const T*>(message) == T{};
}

template <class T>
constexpr field_entry entry_for(std::string_view key) {
    field_entry entry{.key = key};
    if constexpr (std::is_same_v<T, bool>) {
        entry.kind = field_kind::boolean;
    } else if constexpr (std::is_same_v<T, std::int64_t>) {
        entry.kind = field_kind::int64;
    } else if constexpr (std::is_same_v<T, std::int32_t>) {
        entry.kind = field_kind::int32;
    } else if constexpr (std::is_same_v<T, float>) {
        entry.kind = field_kind::real;
    } else if constexpr (std::is_same_v<T, double>) {
        entry.kind = field_kind::number;
    } else if constexpr (std::is_same_v<T, std::string_view>) {
        entry.kind = field_kind::text;
    } else if constexpr (std::is_same_v<T, shape>) {
        entry.kind = field_kind::extents;
    } else if constexpr (specified_enum<T>) {
        static_assert(std::is_same_v<std::underlying_type_t<T>, int>, "an enumeration over int wanted");
        entry.kind = field_kind::enumerator;
        entry.names = enumerator_names<T>;
    } else if constexpr (message_value<T>) {
        entry.kind = field_kind::message;
        entry.messages = tables_of<T>.data();
        entry.is_default = &is_default<T>;
    } else if constexpr (is_list<T>) {
        constexpr bool flags = std::is_same_v<typename T::value_type, bool>;
        static_assert(flags || std::is_same_v<typename T::value_type, extent>,
                      "a list of a type that the codec does not know");
        entry.kind = flags ? field_kind::booleans : field_kind::integers;
        entry.count = T::most;
        entry.assign = &assign_list<T>;
        entry.elements = &elements_of_list<T>;
    } else {
        static_assert(is_array_of<T>, "a field of a type that the codec does not know");
        using element = typename T::value_type;
        entry.count = std::tuple_size_v<T>;
        entry.stride = sizeof(element);
        if constexpr (message_value<element>) {
            entry.kind = field_kind::messages;
            entry.messages = tables_of<element>.data();
        } else {
            static_assert(std::is_same_v<element, extent>, "an array of a type that the codec does not know");
            entry.kind = field_kind::pair;
        }
    }
    return entry;
}
template <class Owner, class Value>
constexpr field_entry entry_of(const field<Owner, Value>& f) {
    return entry_for<Value>(f.name);
}

/// What a document calls an alternative: of a family, the name inside it.
template <class T>
constexpr std::string_view alternative_key() {
    if constexpr (requires { T::nested_key; })
        return T::nested_key;
    else
        return T::key;
}

template <class Variant>
struct choice_of;
template <class... Alternatives>
struct choice_of<std::variant<Alternatives...>> {
    using type = std::variant<Alternatives...>;
    static constexpr std::array<std::string_view, sizeof...(Alternatives)> keys{alternative_key<Alternatives>()...};

    static std::size_t index(const void* choice) { return static_cast<const type*>(choice)->index(); }
    static void* alternative(const void* choice) {
        void* found = nullptr;
        auto& variant = *static_cast<type*>(const_cast<void*>(choice));
        ((found = std::holds_alternative<Alternatives>(variant) ? std::get_if<Alternatives>(&variant) : found), ...);
        return found;
    }
    static void* emplace(void* choice, std::size_t index) {
        std::size_t number = 0;
        void* made = nullptr;
        ((made = number++ == index ? &static_cast<type*>(choice)->template emplace<Alternatives>() : made), ...);
        return made;
    }
};
template <class Owner, class... Alternatives>
constexpr field_entry entry_of(const oneof<Owner, std::variant<Alternatives...>>&) {
    using choice = choice_of<std::variant<Alternatives...>>;
    return {.key = choice::keys[0],
            .kind = field_kind::choice,
            .names = choice::keys,
            .messages = tables_of<Alternatives...>.data(),
            .index = &choice::index,
            .alternative = &choice::alternative,
            .emplace = &choice::emplace};
}

template <class Owner>
struct table_of {
    static constexpr std::size_t count = std::tuple_size_v<std::remove_cvref_t<decltype(Owner::fields)>>;
    static_assert(count <= field_table::most, "a struct with more fields than the codec has room for");

    template <std::size_t... I>
    static constexpr std::array<field_entry, count> list(std::index_sequence<I...>) {
        return {entry_of(std::get<I>(Owner::fields))...};
    }
    template <std::size_t... I>
    static void locate_each(Owner& owner, void** members, std::index_sequence<I...>) {
        ((members[I] = &(owner.*std::get<I>(Owner::fields).member)), ...);
    }
    static void locate([[maybe_unused]] void* owner, [[maybe_unused]] void** members) {
        if constexpr (count > 0)
            locate_each(*static_cast<Owner*>(owner), members, std::make_index_sequence<count>{});
    }

    static constexpr std::array<field_entry, count> entries = list(std::make_index_sequence<count>{});
    static constexpr field_table value{entries, &locate};
};

}  // namespace detail
}  // namespace bespoke

#include <list>
#include <set>
#include <string>

/// The hyper-parameters of any layer between document and struct: one reader and one writer, which know no layer, work
/// through the layer's table.
namespace bespoke {

/// Strings that fields of type std::string_view look at; they live beside the layer.
using text_pool = std::list<std::string>;

/// The fields with a default other than zero that a document leaves out, by place: they are left out again.
using implied_fields = std::set<std::string>;

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// Where the writer is, and what it leaves out.
struct written_place {
    const implied_fields* implied = nullptr;  ///< null: the layers were composed in code
    std::string text{};

    bool is_implied(std::string_view key) const;
};

/// Throws `error` with the place of what does not fit.
void read_fields(const detail::field_table& table, void* owner, object_reader& in, implied_fields& implied,
                 text_pool& texts);
void write_fields(const detail::field_table& table, const void* owner, object_writer& out, written_place& place);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <cstring>

namespace bespoke {
namespace detail {

inline void check_most(std::size_t most, std::size_t came, std::string_view key, const object_reader& in) {
    if (came > most)
        in.fail(errc::bad_value, key,
                "at most " + std::to_string(most) + " elements wanted, " + std::to_string(came) + " came");
}
inline shape to_shape(std::span<const extent> extents, std::string_view key, const object_reader& in) {
    if (extents.size() > max_rank)
        in.fail(errc::bad_value, key,
                "at most " + std::to_string(max_rank) + " numbers wanted, " + std::to_string(extents.size()) + " came");
    return shape(extents);
}
inline void check_elements(std::size_t wanted, std::size_t came, std::string_view key, const object_reader& in) {
    if (wanted != came)
        in.fail(errc::bad_value, key,
                std::to_string(wanted) + " elements wanted, " + std::to_string(came) + " came");
}

/// Reads one field into `member`. False: the document leaves it out, and its default is not zero.
inline bool read_field(const field_entry& f, void* member, object_reader& in, implied_fields& implied,
                       text_pool& texts) {
    using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::read_fields;
    const auto element = [&](std::size_t i) { return static_cast<char*>(member) + i * f.stride; };
    switch (f.kind) {
        case field_kind::boolean:
            *static_cast<bool*>(member) = in.boolean(f.key);
            return true;
        case field_kind::int64:
            *static_cast<std::int64_t*>(member) = in.integer(f.key);
            return true;
        case field_kind::int32: {
            const std::int64_t number = in.integer(f.key);
            if (!std::in_range<std::int32_t>(number)) in.fail(errc::bad_value, f.key, "the number is too large");
            *static_cast<std::int32_t*>(member) = static_cast<std::int32_t>(number);
            return true;
        }
        case field_kind::real:
            *static_cast<float*>(member) = in.real(f.key);
            return true;
        case field_kind::number:
            *static_cast<double*>(member) = in.number(f.key);
            return true;
        case field_kind::text:
            *static_cast<std::string_view*>(member) = texts.emplace_back(in.text(f.key));
            return true;
        case field_kind::enumerator: {
            const int number = static_cast<int>(in.enumerator(f.key, f.names));
            std::memcpy(member, &number, sizeof number);
            return true;
        }
        case field_kind::extents: {
            const auto extents = in.integers(f.key);
            const shape given = to_shape(extents, f.key, in);
            if (extents.empty()) return false;
            *static_cast<shape*>(member) = given;
            return true;
        }
        case field_kind::pair: {
            const auto elements = in.integers(f.key);
            if (elements.empty()) return false;
            check_elements(f.count, elements.size(), f.key, in);
            for (std::size_t i = 0; i < f.count; ++i) static_cast<extent*>(member)[i] = elements[i];
            return true;
        }
        case field_kind::integers:
        case field_kind::booleans: {
            std::vector<std::int64_t> elements;
            if (f.kind == field_kind::integers)
                elements = in.integers(f.key);
            else
                for (bool flag : in.booleans(f.key)) elements.push_back(flag ? 1 : 0);
            check_most(f.count, elements.size(), f.key, in);
            if (elements.empty()) return false;
            f.assign(member, elements);
            return true;
        }
        case field_kind::message: {
            // One that is absent is one whose fields are.
            const bool given = in.has(f.key);
            object_reader inner = in.object(f.key);
            implied_fields inside_absent;
            read_fields(**f.messages, member, inner, given ? implied : inside_absent, texts);
            inner.finish();
            return given;
        }
        case field_kind::messages: {
            auto elements = in.objects(f.key);
            if (elements.empty()) return false;
            check_elements(f.count, elements.size(), f.key, in);
            for (std::size_t i = 0; i < f.count; ++i) {
                read_fields(**f.messages, element(i), elements[i], implied, texts);
                elements[i].finish();
            }
            return true;
        }
        default: {
            const std::string_view found = in.one_of(f.names);
            if (found.empty()) return false;
            std::size_t i = 0;
            while (f.names[i] != found) ++i;
            object_reader inner = in.object(found);
            read_fields(*f.messages[i], f.emplace(member, i), inner, implied, texts);
            inner.finish();
            return true;
        }
    }
}

/// A message as an object, with `key` appended to the place.
inline object_writer written_message(const field_table& table, const void* message, std::string_view key,
                                     define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::written_place& place) {
    object_writer inner;
    const std::size_t outer = place.text.size();
    place.text.append("/").append(key);
    write_fields(table, message, inner, place);
    place.text.resize(outer);
    return inner;
}

inline void write_field(const field_entry& f, const void* member, object_writer& out,
                        define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::written_place& place) {
    switch (f.kind) {
        case field_kind::boolean:
            return out.boolean(f.key, *static_cast<const bool*>(member));
        case field_kind::int64:
            return out.integer(f.key, *static_cast<const std::int64_t*>(member));
        case field_kind::int32:
            return out.integer(f.key, *static_cast<const std::int32_t*>(member));
        case field_kind::real:
            return out.real(f.key, *static_cast<const float*>(member));
        case field_kind::number:
            return out.number(f.key, *static_cast<const double*>(member));
        case field_kind::text:
            return out.text(f.key, *static_cast<const std::string_view*>(member));
        case field_kind::enumerator: {
            int number = 0;
            std::memcpy(&number, member, sizeof number);
            return out.enumerator(f.key, f.names, static_cast<std::size_t>(number));
        }
        default:
            break;
    }
    if (place.is_implied(f.key)) return;
    if (f.kind == field_kind::extents) {
        const shape& s = *static_cast<const shape*>(member);
        out.integers(f.key, std::span<const extent>(s.begin(), s.rank()));
    } else if (f.kind == field_kind::pair) {
        out.integers(f.key, std::span<const extent>(static_cast<const extent*>(member), f.count));
    } else if (f.kind == field_kind::integers) {
        out.integers(f.key, f.elements(member));
    } else if (f.kind == field_kind::booleans) {
        const auto elements = f.elements(member);
        out.booleans(f.key, {elements.begin(), elements.end()});
    } else if (f.kind == field_kind::message) {
        if (place.implied != nullptr || !f.is_default(member))
            out.object(f.key, written_message(**f.messages, member, f.key, place));
    } else if (f.kind == field_kind::messages) {
        std::vector<object_writer> elements;
        for (std::size_t i = 0; i < f.count; ++i)
            elements.push_back(written_message(**f.messages, static_cast<const char*>(member) + i * f.stride,
                                               std::string(f.key) + "/" + std::to_string(i), place));
        out.objects(f.key, elements);
    } else {
        const std::size_t i = f.index(member);
        out.object(f.names[i], written_message(*f.messages[i], f.alternative(member), f.names[i], place));
    }
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

bool written_place::is_implied(std::string_view key) const {
    return implied != nullptr && implied->contains(text + "/" + std::string(key));
}

void read_fields(const detail::field_table& table, void* owner, object_reader& in, implied_fields& implied,
                 text_pool& texts) {
    void* members[detail::field_table::most];
    table.locate(owner, members);
    for (std::size_t i = 0; i < table.entries.size(); ++i) {
        const detail::field_entry& f = table.entries[i];
        if (!detail::read_field(f, members[i], in, implied, texts))
            implied.insert(in.place() + "/" + std::string(f.key));
    }
}

void write_fields(const detail::field_table& table, const void* owner, object_writer& out, written_place& place) {
    void* members[detail::field_table::most];
    table.locate(const_cast<void*>(owner), members);
    for (std::size_t i = 0; i < table.entries.size(); ++i)
        detail::write_field(table.entries[i], members[i], out, place);
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif

#include <array>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>

/// Layer types as a document names them: one codec over what each layer says about itself (`key`, `fields`,
/// `parameter_fields`), and the tables of those that a model may use.
namespace bespoke {

using branch_node = branch<layer_list, layer_list>;
using loop_node = loop<layer_list, layer_list>;

/// How one layer type is read and written: data, and a few functions that a line each would do for.
struct layer_codec {
    std::string_view key, nested_key;  ///< nested_key is empty where the layer is not one of a family
    const void* type = nullptr;        ///< what `any_node::type` gives
    std::span<const std::string_view> parameters;
    const detail::field_table* fields = nullptr;

    std::unique_ptr<any_node> (*make)() = nullptr;               ///< a node whose layer has defaults
    const void* (*layer_in)(const any_node& node) = nullptr;     ///< the layer in such a node
    /// Where the numbers of the weights decide a hyper-parameter; else null.
    void (*set_lengths)(void* layer, std::span<const extent> lengths) = nullptr;
    /// Calls `then` with the layer as the shapes of its inputs determine it. Null: they determine nothing.
    void (*resolve)(const void* layer, std::span<const shape> inputs, void (*then)(void* context, const void* layer),
                    void* context) = nullptr;
};

namespace detail {

template <class L>
inline constexpr auto parameter_names = [] {
    std::array<std::string_view, parameter_count<L>> names{};
    if constexpr (parametric_layer<L>)
        for (std::size_t i = 0; i < names.size(); ++i) names[i] = parameter_fields_of<L, shape>[i].name;
    return names;
}();

template <class L>
std::unique_ptr<any_node> make_node() {
    return std::unique_ptr<any_node>(new node_of<L>(L{}));
}
template <class L>
const void* layer_in(const any_node& node) {
    return &static_cast<const node_of<L>&>(node).layer;
}
template <class L>
void set_lengths(void* layer, std::span<const extent> lengths) {
    static_cast<L*>(layer)->set_lengths(lengths);
}
template <class L>
void resolve(const void* layer, std::span<const shape> inputs, void (*then)(void*, const void*), void* context) {
    const auto resolved = [&](const L& l) {
        if constexpr (requires { l.resolved(inputs); })
            return l.resolved(inputs);
        else
            return l.resolved(inputs[0]);
    }(*static_cast<const L*>(layer));
    then(context, &resolved);
}

}  // namespace detail

/// The codec of layer type L.
template <layer L>
constexpr layer_codec codec_of() {
    layer_codec codec{.key = L::key,
                      .nested_key = "",
                      .type = &layer_type_tag<L>,
                      .parameters = detail::parameter_names<L>,
                      .fields = &detail::table_of<L>::value,
                      .make = &detail::make_node<L>,
                      .layer_in = &detail::layer_in<L>};
    if constexpr (requires { L::nested_key; }) codec.nested_key = L::nested_key;
    if constexpr (requires(L& l, std::span<const extent> lengths) { l.set_lengths(lengths); })
        codec.set_lengths = &detail::set_lengths<L>;
    if constexpr (requires(const L& l, std::span<const shape> inputs) { l.resolved(inputs); } ||
                  requires(const L& l, const shape& input) { l.resolved(input); })
        codec.resolve = &detail::resolve<L>;
    return codec;
}

namespace detail {

/// T, but instantiated only where the others are known.
template <class T, class... Others>
using dependent = std::conditional_t<sizeof...(Others) + 1 != 0, T, void>;

}  // namespace detail

/// The table of some layer types, and of those for control flow.
template <layer... Ls>
inline constexpr std::array codecs_of{codec_of<detail::dependent<branch_node, Ls...>>(),
                                      codec_of<detail::dependent<loop_node, Ls...>>(),
                                      codec_of<detail::dependent<loop_break, Ls...>>(),
                                      codec_of<detail::dependent<loop_continue, Ls...>>(), codec_of<Ls>()...};

template <class T>
struct in_layer_set {
    using type = layer_set<T>;
};
template <class... Ls>
struct in_layer_set<layer_set<Ls...>> {
    using type = layer_set<Ls...>;
};

/// One set out of sets and layers: `joined_set<core_layers, my_layer>`.
template <class... Parts>
struct joined_sets;
template <class... Ls>
struct joined_sets<layer_set<Ls...>> {
    static constexpr std::span<const layer_codec> codecs{codecs_of<Ls...>};
};
template <class... First, class... Second, class... Rest>
struct joined_sets<layer_set<First...>, layer_set<Second...>, Rest...>
    : joined_sets<layer_set<First..., Second...>, Rest...> {};

template <class... Parts>
inline constexpr std::span<const layer_codec> codecs_in =
    joined_sets<layer_set<>, typename in_layer_set<Parts>::type...>::codecs;

/// Null where the table has no such layer type.
constexpr const layer_codec* find_codec(std::span<const layer_codec> codecs, const any_node& node) {
    for (const layer_codec& codec : codecs)
        if (codec.type == node.type()) return &codec;
    return nullptr;
}

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// The codecs of the layers for control flow, which every table begins with.
std::span<const layer_codec> control_codecs();
/// All that this library knows.
std::span<const layer_codec> core_codecs();

/// The hyper-parameters of a node. With the shapes of the layer's inputs, what they determine is written out;
/// without, as it came.
void write_hyper_parameters(const layer_codec& codec, const any_node& node, std::span<const shape> inputs,
                            object_writer& fields, written_place& place);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

std::span<const layer_codec> control_codecs() { return codecs_of<>; }
std::span<const layer_codec> core_codecs() { return codecs_in<core_layers>; }

void write_hyper_parameters(const layer_codec& codec, const any_node& node, std::span<const shape> inputs,
                            object_writer& fields, written_place& place) {
    const void* layer = codec.layer_in(node);
    if (codec.resolve == nullptr || inputs.empty()) return write_fields(*codec.fields, layer, fields, place);
    struct context_of_write {
        const layer_codec& codec;
        object_writer& fields;
        written_place& place;
    } context{codec, fields, place};
    codec.resolve(
        layer, inputs,
        [](void* c, const void* resolved) {
            auto& self = *static_cast<context_of_write*>(c);
            write_fields(*self.codec.fields, resolved, self.fields, self.place);
        },
        &context);
}

}  // namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

#endif



#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bespoke {
namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// The base64 text of `bytes`, in the standard alphabet and padded. RFC 4648, section 4.
std::string encode_base64(std::span<const std::byte> bytes);

/// The bytes that `text` spells, or nothing where it is not base64. As protobuf's JSON mapping allows: the
/// standard or the URL-safe alphabet, padded or not. Refused, because no encoder writes it: white space, and
/// bits of the last character that belong to no byte.
std::optional<std::vector<std::byte>> decode_base64(std::string_view text);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::decode_base64;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::encode_base64;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <array>
#include <cstdint>

namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

std::string encode_base64(std::span<const std::byte> bytes) {
    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::uint32_t group = 0;
        for (std::size_t j = 0; j < 3; ++j)
            group = group << 8 | (i + j < bytes.size() ? std::to_integer<std::uint32_t>(bytes[i + j]) : 0);
        for (std::size_t j = 0; j < 4; ++j)
            text += j <= bytes.size() - i ? alphabet[group >> (18 - 6 * j) & 63] : '=';
    }
    return text;
}

std::optional<std::vector<std::byte>> decode_base64(std::string_view text) {
    constexpr std::uint8_t none = 64;
    constexpr auto values = [none] {
        std::array<std::uint8_t, 256> table{};
        table.fill(none);
        constexpr std::string_view alphabets[] = {
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"};
        for (std::string_view alphabet : alphabets)
            for (std::size_t i = 0; i < 64; ++i)
                table[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
        return table;
    }();
    if (text.size() % 4 == 0 && text.ends_with('=')) text.remove_suffix(text.ends_with("==") ? 2 : 1);
    if (text.size() % 4 == 1) return std::nullopt;

    std::vector<std::byte> bytes;
    bytes.reserve(text.size() / 4 * 3 + 2);
    std::uint32_t held = 0;
    int bits = 0;
    for (char c : text) {
        const std::uint8_t value = values[static_cast<unsigned char>(c)];
        if (value == none) return std::nullopt;
        held = held << 6 | value;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes.push_back(static_cast<std::byte>(held >> bits & 255));
            held &= (std::uint32_t{1} << bits) - 1;
        }
    }
    if (held != 0) return std::nullopt;
    return bytes;
}

}  // namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

#endif

#include <bit>
#include <cstdint>

/// The 16-bit formats in which files keep weights. Calculations are never done in them.
namespace bespoke {

/// The value of an IEEE 754 binary16. Exact; NaN keeps its payload.
constexpr float float16_to_float(std::uint16_t half) {
    const std::uint32_t sign = (half & 0x8000u) << 16;
    const std::uint32_t exponent = half >> 10 & 0x1fu;
    const std::uint32_t fraction = half & 0x3ffu;
    if (exponent == 0) {  // zero and subnormal: fraction x 2^-24
        const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
        return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
    }
    const std::uint32_t wider = exponent == 0x1f ? 0xffu : exponent + (127 - 15);
    return std::bit_cast<float>(sign | wider << 23 | fraction << 13);
}

/// The nearest IEEE 754 binary16, ties to even; beyond 65520 infinity. NaN stays NaN.
constexpr std::uint16_t float_to_float16(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = bits >> 16 & 0x8000u;
    const std::uint32_t magnitude = bits & 0x7fffffffu;
    std::uint32_t half = 0;
    if (magnitude > 0x7f800000u) {
        half = 0x7e00u | (magnitude >> 13 & 0x3ffu);  // the quiet bit, so that no payload is lost to infinity
    } else if (magnitude >= 0x47800000u) {            // 65536
        half = 0x7c00u;
    } else if (magnitude >=
               0x38800000u) {  // 2^-14, the smallest normal: drop 13 bits; a carry moves the exponent
        half = (magnitude - ((127u - 15u) << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
    } else if (magnitude > 0x33000000u) {  // 2^-25, which is a tie between 0 and 2^-24 and goes to 0
        const std::uint32_t dropped = 126 - (magnitude >> 23);
        const std::uint32_t fraction = (magnitude & 0x7fffffu) | 0x800000u;
        half = (fraction + ((1u << (dropped - 1)) - 1) + (fraction >> dropped & 1u)) >> dropped;
    }
    return static_cast<std::uint16_t>(sign | half);
}

/// The value of a bfloat16: the upper half of a float's bits. Exact.
constexpr float bfloat16_to_float(std::uint16_t upper) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(upper) << 16);
}

}  // namespace bespoke



#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

namespace bespoke {

/// A file to be written: where, and what it shall hold.
struct file_content {
    std::filesystem::path path;
    std::span<const std::byte> bytes;
};

/// Functions that the program lacks unless one of its source files says
///
///     #define BESPOKE_IMPLEMENTATION
///     #include <bespoke.hpp>
namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {
std::vector<std::byte> read_file(const std::filesystem::path& path);
std::span<const std::byte> map_file(const std::filesystem::path& path, std::shared_ptr<const void>& owner);
void write_files_atomically(std::span<const file_content> files);
}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

/// The bytes of a regular file (or of what a link to one leads to). Throws errc::io with path and reason.
inline std::vector<std::byte> read_file(const std::filesystem::path& path) {
    return define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::read_file(path);
}

/// The bytes of a regular file, mapped where the system can do that: they are read when they are looked at, and never
/// copied. Whoever writes to the file itself meanwhile (and does not put a new one in its place, as the functions below
/// do) changes them, or takes them away. Throws errc::io with path and reason.
class mapped_file {
public:
    explicit mapped_file(const std::filesystem::path& path) {
        bytes_ = define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::map_file(path, owner_);
    }
    std::span<const std::byte> bytes() const { return bytes_; }

private:
    std::shared_ptr<const void> owner_;
    std::span<const std::byte> bytes_;
};

/// Writes files so that whoever looks, even after a crash, finds each one whole: old or new.
///
/// All contents are first written and synced under other names in the same folders, then renamed in the
/// order given, then the folders are synced. So a file that refers to another comes after it. A crash
/// between two renames leaves the first file new and the second old; whoever must never see that gives the
/// first file a new name. Throws errc::io with path and reason; no file has changed then, unless a rename
/// after the first one was refused, and nothing is left over. Existing permissions are kept.
inline void write_files_atomically(std::span<const file_content> files) {
    define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::write_files_atomically(files);
}
inline void write_files_atomically(std::initializer_list<file_content> files) {
    write_files_atomically(std::span(files.begin(), files.size()));
}
inline void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes) {
    write_files_atomically({{path, bytes}});
}

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <cerrno>
#include <cstdio>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#ifdef _WIN32
#include <process.h>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace bespoke {
namespace detail {

[[noreturn]] inline void throw_io(const std::filesystem::path& path, const std::string& what, int reason) {
    throw error(errc::io, path.string() + ": " + what + ": " + std::generic_category().message(reason));
}

struct close_file {
    void operator()(std::FILE* file) const { std::fclose(file); }
};
using file_handle = std::unique_ptr<std::FILE, close_file>;

inline file_handle open_file(const std::filesystem::path& path, const char* mode) {
#ifdef _WIN32
    return file_handle(
        ::_wfopen(path.c_str(), std::wstring(mode, mode + std::char_traits<char>::length(mode)).c_str()));
#else
    return file_handle(std::fopen(path.c_str(), mode));
#endif
}

struct readable_file {
    file_handle handle;
    std::size_t size;
};
inline readable_file open_to_read(const std::filesystem::path& path) {
    std::error_code problem;
    const auto status = std::filesystem::status(path, problem);
    if (!std::filesystem::status_known(status)) throw_io(path, "cannot read", problem.value());
    if (!std::filesystem::exists(status)) throw_io(path, "cannot read", ENOENT);
    if (!std::filesystem::is_regular_file(status))
        throw error(errc::io, path.string() + ": cannot read: not a regular file");
    file_handle file = open_file(path, "rb");
    if (!file) throw_io(path, "cannot read", errno);
    const auto size = std::filesystem::file_size(path, problem);
    if (problem) throw_io(path, "cannot read", problem.value());
    return {std::move(file), static_cast<std::size_t>(size)};
}

/// A new file beside `target` that vanishes with this object unless it is renamed.
class temporary_file {
public:
    explicit temporary_file(const std::filesystem::path& target) : target_(resolved(target)) {}
    temporary_file(temporary_file&& other) noexcept
        : target_(std::move(other.target_)), path_(std::move(other.path_)),
          exists_(std::exchange(other.exists_, false)) {}
    temporary_file& operator=(temporary_file&&) = delete;
    ~temporary_file() {
        std::error_code ignored;
        if (exists_) std::filesystem::remove(path_, ignored);
    }

    /// Written and synced on return.
    void write(std::span<const std::byte> bytes) {
        std::error_code problem;
        const auto status = std::filesystem::status(target_, problem);
        const bool replaces = std::filesystem::exists(status);
        if (replaces && !std::filesystem::is_regular_file(status))
            throw error(errc::io, target_.string() + ": cannot write: not a regular file");
        const file_handle file = make();
        if (replaces) std::filesystem::permissions(path_, status.permissions(), problem);
        if (std::fwrite(bytes.data(), 1, bytes.size(), file.get()) != bytes.size() ||
            std::fflush(file.get()) != 0 || !sync(file.get()))
            throw_io(target_, "cannot write", errno);
    }
    void rename_to_target() {
        std::error_code problem;
        std::filesystem::rename(path_, target_, problem);
        if (problem) throw_io(target_, "cannot replace", problem.value());
        exists_ = false;
    }
    /// Makes the new name itself outlive a crash.
    void sync_folder() const {
#ifndef _WIN32
        const auto folder = target_.has_parent_path() ? target_.parent_path() : std::filesystem::path(".");
        const int handle = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        // Some file systems cannot sync a folder and say EINVAL; there is nothing more to be done there.
        const bool failed = handle < 0 || (::fsync(handle) != 0 && errno != EINVAL);
        const int reason = errno;
        if (handle >= 0) ::close(handle);
        if (failed) throw_io(target_, "written, but its folder cannot be synced", reason);
#endif
    }

private:
    /// Opens a file that did not exist. A killed process may have left some.
    file_handle make() {
        constexpr int attempts = 100;
        for (int i = 0;; ++i) {
            path_ = target_;
            path_ += "." + std::to_string(process()) + "-" + std::to_string(i) + ".tmp";
            file_handle file = open_file(path_, "wbx");
            exists_ = file != nullptr;
            if (exists_) return file;
            if (errno != EEXIST || i + 1 == attempts) throw_io(target_, "cannot write", errno);
        }
    }
    /// A link stays a link: what it leads to is replaced.
    static std::filesystem::path resolved(const std::filesystem::path& path) {
        std::error_code problem;
        const auto end = std::filesystem::canonical(path, problem);
        return problem ? path : end;
    }
    static bool sync(std::FILE* file) {
#ifdef _WIN32
        static_cast<void>(file);
        return true;
#else
        return ::fsync(::fileno(file)) == 0;
#endif
    }
    static int process() {
#ifdef _WIN32
        return ::_getpid();
#else
        return ::getpid();
#endif
    }

    std::filesystem::path target_, path_;
    bool exists_ = false;
};

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

std::vector<std::byte> read_file(const std::filesystem::path& path) {
    const auto [file, size] = detail::open_to_read(path);
    std::vector<std::byte> bytes(size);
    const std::size_t count = std::fread(bytes.data(), 1, bytes.size(), file.get());
    if (std::ferror(file.get()) != 0) detail::throw_io(path, "cannot read", errno);
    if (count != bytes.size() || std::fgetc(file.get()) != EOF)
        throw error(errc::io, path.string() + ": cannot read: its size changes meanwhile");
    return bytes;
}

std::span<const std::byte> map_file(const std::filesystem::path& path, std::shared_ptr<const void>& owner) {
#ifndef _WIN32
    const auto [file, size] = detail::open_to_read(path);
    if (size == 0) return {};
    void* const memory = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fileno(file.get()), 0);
    if (memory != MAP_FAILED) {
        owner = std::shared_ptr<const void>(memory, [size = size](const void* m) { munmap(const_cast<void*>(m), size); });
        return {static_cast<const std::byte*>(memory), size};
    }
#endif
    const auto bytes = std::make_shared<const std::vector<std::byte>>(read_file(path));
    owner = bytes;
    return *bytes;
}

void write_files_atomically(std::span<const file_content> files) {
    std::vector<detail::temporary_file> written;
    written.reserve(files.size());
    for (const file_content& file : files) written.emplace_back(file.path).write(file.bytes);
    for (detail::temporary_file& file : written) file.rename_to_target();
    for (const detail::temporary_file& file : written) file.sync_folder();
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// The safetensors file format (github.com/huggingface/safetensors), read and written.
///
/// A file is the length n of its header (8 bytes, little-endian), n bytes of JSON, and the data:
///
///     {"__metadata__": {"key": "text"}, "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
///
/// Elements are row-major and little-endian. The tensors fill the data from its first byte to its last.
namespace bespoke {

/// One array of a safetensors file. `dtype` and `bytes` lie elsewhere and must outlive this.
struct tensor_entry {
    std::string name;
    std::string_view dtype;  ///< "F32", "F64", "F16", "BF16", "I64", "I32", "U8", ...
    shape dimensions;
    std::span<const std::byte> bytes;
};

/// An element type of the format and the bytes that one element takes.
struct known_dtype {
    std::string_view name;
    std::size_t size;
};
inline constexpr known_dtype known_dtypes[] = {
    {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"U16", 2}, {"I16", 2}, {"F16", 2},
    {"BF16", 2}, {"U32", 4}, {"I32", 4}, {"F32", 4},     {"U64", 8},     {"I64", 8}, {"F64", 8}, {"C64", 8}};

/// Null where no dtype has the name.
constexpr const known_dtype* find_dtype(std::string_view name) {
    for (const known_dtype& d : known_dtypes)
        if (d.name == name) return &d;
    return nullptr;
}

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// The tensors of one file. Copies share the bytes, so what `entries` refers to lives as long as any copy.
class safetensors {
public:
    /// Checks everything before it uses it; keeps `file` and allocates beside it some 30 times the header.
    /// Throws errc::malformed_file, errc::duplicate_name or errc::unsupported, with `name_for_errors` before
    /// the sentence.
    static safetensors parse(std::vector<std::byte> file, std::string_view name_for_errors);
    /// The file is mapped, see `mapped_file`. Throws what `parse` and `mapped_file` throw, with the path before the
    /// sentence.
    static safetensors load(const std::filesystem::path& path);

    /// Null where no tensor has the name.
    const tensor_entry* find(std::string_view name) const;
    /// Sorted by name, byte by byte.
    const std::vector<tensor_entry>& entries() const { return entries_; }
    const std::map<std::string, std::string>& metadata() const { return metadata_; }

private:
    static safetensors parse(std::shared_ptr<const void> owner, std::span<const std::byte> file,
                             std::string_view name_for_errors);

    std::shared_ptr<const void> owner_;  ///< of the file's bytes
    std::vector<tensor_entry> entries_;
    std::map<std::string, std::string> metadata_;
};

/// The file that holds `entries`: larger elements first, so that each is aligned, then by name. The same
/// tensors give the same bytes in whatever order they come. Throws errc::bad_argument where `bytes` are not
/// what `dtype` and `dimensions` ask for or a name is not UTF-8, errc::duplicate_name where one comes twice.
std::vector<std::byte> to_safetensors(std::span<const tensor_entry> entries,
                                      const std::map<std::string, std::string>& metadata = {});

/// The elements of an F32, F64, F16 or BF16 tensor. F64 is rounded, and is infinite where it is too large;
/// NaN and infinity are handed on. Throws errc::bad_value for any other dtype.
std::vector<float> to_floats(const tensor_entry& entry);
/// The same, to `to`, which has room for all elements.
void to_floats(const tensor_entry& entry, float* to);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::safetensors;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::to_floats;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::to_safetensors;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <bit>
#include <limits>
#include <set>
#include <tuple>

namespace bespoke {
namespace detail {

/// An unsigned integer from its little-endian bytes, wherever they lie.
template <class U>
U load_little_endian(const std::byte* bytes) {
    U value = 0;
    for (std::size_t i = 0; i < sizeof(U); ++i)
        value = static_cast<U>(value | static_cast<U>(std::to_integer<U>(bytes[i]) << (8 * i)));
    return value;
}

template <class U, class F>
void convert_elements(std::span<const std::byte> bytes, float* to, F convert) {
    for (std::size_t i = 0; i < bytes.size() / sizeof(U); ++i)
        to[i] = convert(load_little_endian<U>(bytes.data() + i * sizeof(U)));
}

/// No product of a shape's extents that are not 0 may exceed this, so that later products cannot overflow.
inline constexpr extent max_elements = extent{1} << 59;

/// Reads the header of one file; `data` is what follows it.
class safetensors_header {
public:
    safetensors_header(std::string_view name, std::span<const std::byte> data) : name_(name), data_(data) {}

    tensor_entry entry(const std::string& tensor, const json& value) const {
        const std::string place = "tensor \"" + excerpt(tensor) + "\"";
        if (!value.is_object()) fail(place, "an object wanted, but it is " + kind(value));
        const json *dtype = nullptr, *shape = nullptr, *offsets = nullptr;
        for (const auto& [key, member] : value.items()) {
            if (key == "dtype")
                dtype = &member;
            else if (key == "shape")
                shape = &member;
            else if (key == "data_offsets")
                offsets = &member;
            else
                fail(place, "dtype, shape and data_offsets wanted, but \"" + excerpt(key) + "\" came");
        }
        if (!dtype) fail(place, "no dtype");
        if (!shape) fail(place, "no shape");
        if (!offsets) fail(place, "no data_offsets");

        const known_dtype& element = element_type(*dtype, place);
        tensor_entry result{tensor, element.name, dimensions(*shape, place), bytes(*offsets, place)};
        const extent wanted =
            checked_size(result.dimensions, max_elements) * static_cast<extent>(element.size);
        if (wanted != static_cast<extent>(result.bytes.size()))
            fail(place, std::string(result.dtype) + " " + std::string(sentence(result.dimensions).view()) +
                            " takes " + std::to_string(wanted) + " bytes, but data_offsets span " +
                            std::to_string(result.bytes.size()));
        return result;
    }

    std::map<std::string, std::string> metadata(const json& value) const {
        if (!value.is_object()) fail("__metadata__", "an object wanted, but it is " + kind(value));
        std::map<std::string, std::string> result;
        for (const auto& [key, text] : value.items()) {
            if (!text.is_string())
                fail("__metadata__", "\"" + excerpt(key) + "\": a string wanted, but it is " + kind(text));
            result.emplace(key, text.get_ref<const std::string&>());
        }
        return result;
    }

    /// Each byte of the data belongs to exactly one tensor.
    void check_cover(const std::vector<tensor_entry>& entries) const {
        std::vector<const tensor_entry*> order;
        for (const tensor_entry& e : entries) order.push_back(&e);
        std::ranges::sort(order, {}, [](const tensor_entry* e) {
            return std::tuple(e->bytes.data(), e->bytes.size(),
                              e);  // entries lie in the order of their names
        });
        std::size_t covered = 0;
        for (const tensor_entry* e : order) {
            const auto begin = static_cast<std::size_t>(e->bytes.data() - data_.data());
            if (begin < covered)
                fail("tensor \"" + excerpt(e->name) + "\"", "its data begins at byte " +
                                                                std::to_string(begin) +
                                                                ", inside the data of another tensor");
            if (begin > covered) fail_hole(covered, begin);
            covered = begin + e->bytes.size();
        }
        if (covered < data_.size()) fail_hole(covered, data_.size());
    }

private:
    [[noreturn]] void fail(const std::string& place, const std::string& what,
                           errc code = errc::malformed_file) const {
        throw error(code, name_ + ": " + place + ": " + what);
    }
    [[noreturn]] void fail_hole(std::size_t begin, std::size_t end) const {
        fail("data",
             "bytes " + std::to_string(begin) + " to " + std::to_string(end) + " belong to no tensor");
    }
    static std::string kind(const json& value) {
        return value.is_number() ? "the number " + value.dump() : std::string("of type ") + value.type_name();
    }
    const known_dtype& element_type(const json& value, const std::string& place) const {
        if (!value.is_string()) fail(place, "dtype: a string wanted, but it is " + kind(value));
        const auto& name = value.get_ref<const std::string&>();
        const known_dtype* found = find_dtype(name);
        if (!found) fail(place, "dtype: no type is called \"" + excerpt(name) + "\"", errc::unsupported);
        return *found;
    }
    extent number(const json& value, const std::string& place) const {
        if (!value.is_number_unsigned() ||
            value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<extent>::max()))
            fail(place, "an integer from 0 to 2^63 - 1 wanted, but it is " + kind(value));
        return value.get<extent>();
    }
    shape dimensions(const json& value, const std::string& place) const {
        if (!value.is_array()) fail(place, "shape: an array wanted, but it is " + kind(value));
        if (value.size() > max_rank)
            fail(place,
                 "shape: at most " + std::to_string(max_rank) + " axes wanted, but there are " +
                     std::to_string(value.size()),
                 errc::unsupported);
        shape result, without_zeros;
        for (const json& e : value) {
            result.push_back(number(e, place + ": shape/" + std::to_string(result.rank())));
            without_zeros.push_back(std::max<extent>(result.from_end(1), 1));
        }
        if (checked_size(without_zeros, max_elements) < 0)
            fail(place, "shape: " + std::string(sentence(result).view()) + " has more than 2^59 elements");
        return result;
    }
    std::span<const std::byte> bytes(const json& value, const std::string& place) const {
        if (!value.is_array()) fail(place, "data_offsets: an array wanted, but it is " + kind(value));
        if (value.size() != 2)
            fail(place, "data_offsets: 2 numbers wanted, but there are " + std::to_string(value.size()));
        const auto begin = static_cast<std::size_t>(number(value[0], place + ": data_offsets/0"));
        const auto end = static_cast<std::size_t>(number(value[1], place + ": data_offsets/1"));
        if (begin > end || end > data_.size())
            fail(place, "data_offsets: a part of the " + std::to_string(data_.size()) +
                            " bytes of data wanted, but it is " + std::to_string(begin) + " to " +
                            std::to_string(end));
        return data_.subspan(begin, end - begin);
    }

    std::string name_;
    std::span<const std::byte> data_;
};

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

safetensors safetensors::parse(std::vector<std::byte> file, std::string_view name) {
    const auto owner = std::make_shared<const std::vector<std::byte>>(std::move(file));
    return parse(owner, *owner, name);
}
safetensors safetensors::load(const std::filesystem::path& path) {
    const auto owner = std::make_shared<const mapped_file>(path);
    return parse(owner, owner->bytes(), path.string());
}
safetensors safetensors::parse(std::shared_ptr<const void> owner, std::span<const std::byte> file, std::string_view name) {
    constexpr std::size_t prefix = 8;
    const std::string place = std::string(name) + ": ";
    if (file.size() < prefix)
        throw error(errc::malformed_file, place +
                                              "a safetensors file has at least 8 bytes, but this one has " +
                                              std::to_string(file.size()));
    const auto length = detail::load_little_endian<std::uint64_t>(file.data());
    if (length > file.size() - prefix)
        throw error(errc::malformed_file, place + "the header should have " + std::to_string(length) +
                                              " bytes, but only " + std::to_string(file.size() - prefix) +
                                              " follow");

    safetensors result;
    result.owner_ = std::move(owner);
    const auto header = file.subspan(prefix, static_cast<std::size_t>(length));
    const auto data = file.subspan(prefix + header.size());
    const std::string_view text(reinterpret_cast<const char*>(header.data()), header.size());
    if (!text.starts_with('{'))
        throw error(errc::malformed_file, place + "the header should begin with '{', but it begins with '" +
                                              detail::excerpt(text.substr(0, 1)) + "'");

    const detail::json document = detail::parse_json(text, name);
    const detail::safetensors_header reader(name, data);
    for (const auto& [key, value] : document.items()) {
        if (key == "__metadata__")
            result.metadata_ = reader.metadata(value);
        else
            result.entries_.push_back(reader.entry(key, value));
    }
    reader.check_cover(result.entries_);
    return result;
}

const tensor_entry* safetensors::find(std::string_view name) const {
    const auto found = std::lower_bound(entries_.begin(), entries_.end(), name,
                                        [](const tensor_entry& entry, std::string_view n) { return entry.name < n; });
    return found != entries_.end() && found->name == name ? &*found : nullptr;
}

std::vector<float> to_floats(const tensor_entry& entry) {
    std::vector<float> result(static_cast<std::size_t>(entry.dimensions.size()));
    to_floats(entry, result.data());
    return result;
}
void to_floats(const tensor_entry& entry, float* to) {
    if (entry.dtype == "F32" && std::endian::native == std::endian::little) {
        if (!entry.bytes.empty()) std::memcpy(to, entry.bytes.data(), entry.bytes.size());
    } else if (entry.dtype == "F32")
        detail::convert_elements<std::uint32_t>(entry.bytes, to,
                                                [](std::uint32_t bits) { return std::bit_cast<float>(bits); });
    else if (entry.dtype == "F64")
        detail::convert_elements<std::uint64_t>(entry.bytes, to, [](std::uint64_t bits) {
            return static_cast<float>(std::bit_cast<double>(bits));
        });
    else if (entry.dtype == "F16")
        detail::convert_elements<std::uint16_t>(entry.bytes, to, float16_to_float);
    else if (entry.dtype == "BF16")
        detail::convert_elements<std::uint16_t>(entry.bytes, to, bfloat16_to_float);
    else
        throw error(errc::bad_value, "tensor \"" + entry.name +
                                         "\": F32, F64, F16 or BF16 wanted, but the dtype is " +
                                         std::string(entry.dtype));
}

std::vector<std::byte> to_safetensors(std::span<const tensor_entry> entries,
                                      const std::map<std::string, std::string>& metadata) {
    const auto quoted = [](const std::string& text) {
        try {
            return detail::json(text).dump();
        } catch (const detail::json::exception&) {
            throw error(errc::bad_argument, "\"" + detail::excerpt(text) + "\" is not UTF-8");
        }
    };
    struct item {
        const tensor_entry* entry;
        std::size_t element_size;
    };
    std::vector<item> order;
    std::set<std::string_view> names{"__metadata__"};
    for (const tensor_entry& e : entries) {
        const std::string place = "tensor \"" + detail::excerpt(e.name) + "\": ";
        const known_dtype* element = find_dtype(e.dtype);
        if (!element)
            throw error(errc::bad_argument, place + "no type is called \"" + detail::excerpt(e.dtype) + "\"");
        const extent size = checked_size(e.dimensions, detail::max_elements);
        if (size < 0 || static_cast<std::size_t>(size) * element->size != e.bytes.size())
            throw error(errc::bad_argument, place + std::string(e.dtype) + " " +
                                                std::string(sentence(e.dimensions).view()) + " wanted, but " +
                                                std::to_string(e.bytes.size()) + " bytes came");
        if (!names.insert(e.name).second) throw error(errc::duplicate_name, place + "the name is taken");
        order.push_back({&e, element->size});
    }
    std::ranges::sort(order, [](const item& a, const item& b) {
        return a.element_size != b.element_size ? a.element_size > b.element_size
                                                : a.entry->name < b.entry->name;
    });

    std::string header;
    std::size_t data_size = 0;
    if (!metadata.empty()) {
        for (const auto& [key, text] : metadata)
            header += (header.empty() ? "{\"__metadata__\":{" : ",") + quoted(key) + ":" + quoted(text);
        header += "}";
    }
    for (const auto& [entry, element_size] : order) {
        header += (header.empty() ? "{" : ",") + quoted(entry->name) + ":{\"dtype\":\"" +
                  std::string(entry->dtype) + "\",\"shape\":[";
        for (std::size_t axis = 0; axis < entry->dimensions.rank(); ++axis)
            header += (axis > 0 ? "," : "") + std::to_string(entry->dimensions[axis]);
        const std::size_t end = data_size + entry->bytes.size();
        header += "],\"data_offsets\":[" + std::to_string(data_size) + "," + std::to_string(end) + "]}";
        data_size = end;
    }
    header += header.empty() ? "{}" : "}";
    header.resize((header.size() + 7) / 8 * 8, ' ');

    std::vector<std::byte> file;
    file.reserve(8 + header.size() + data_size);
    for (std::size_t i = 0; i < 8; ++i)
        file.push_back(static_cast<std::byte>(header.size() >> (8 * i) & 255));
    const auto text = std::as_bytes(std::span(header));
    file.insert(file.end(), text.begin(), text.end());
    for (const item& i : order) file.insert(file.end(), i.entry->bytes.begin(), i.entry->bytes.end());
    return file;
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The weights of layers as a document gives them. Core ML specification, WeightParams, and what goes beyond it: a
/// tensor in a safetensors file, and base64 of floats.
namespace bespoke {

/// Where a parameter array came from, and where it is written again.
struct weight_source {
    enum place {
        automatic,       ///< inline where all weights together are few, else in the safetensors file
        float_value,     ///< "floatValue": an array of numbers
        float16_value,   ///< "float16Value": base64; kept only while every weight is a float16
        float32_value,   ///< "bespoke": {"float32Value": base64 of little-endian floats}
        tensor,          ///< "tensor": a name in the safetensors file
    };
    place kind = automatic;
    std::string name;  ///< of the tensor
    bool updatable = false;
    friend bool operator==(const weight_source&, const weight_source&) = default;
};

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// Finds the weights of a layer, of which some stand in messages inside it: parameter "weightParams.biasVector" in the
/// member "biasVector" of "weightParams", "weightParams.1.biasVector" in that of its second element.
class weights_reader {
public:
    explicit weights_reader(object_reader& fields) : fields_(fields) {}
    object_reader find(std::string_view parameter);
    /// Every member of the messages must have been read.
    void finish() const;

private:
    struct message {
        std::string_view prefix;  ///< "weightParams.1"
        object_reader reader;
        std::size_t elements;     ///< that came beside it; 0: it is not repeated, or none came
    };
    object_reader& add(message m) {
        messages_.push_back(std::move(m));
        return messages_.back().reader;
    }

    object_reader& fields_;
    std::vector<message> messages_;
};

/// Its counterpart. The parameters of a message follow one another.
class weights_writer {
public:
    explicit weights_writer(object_writer& fields) : fields_(fields) {}
    void write(std::string_view parameter, const object_writer& weights);
    void skip(std::string_view parameter) { enter(parameter); }
    /// Writes what is begun.
    void finish();

private:
    /// Begins the message of a parameter where it is not the one that is being written, and gives it; null: none.
    object_writer* enter(std::string_view parameter);

    object_writer& fields_;
    std::string_view key_{};                 ///< of the message that is being written
    bool repeated_ = false;
    std::vector<object_writer> elements_{};  ///< one where it is not repeated
};

/// The weights of one parameter array as a document gives them, for the shape that the plan asks for. Without
/// `to`, only compares how many there are.
void read_weights(object_reader in, const std::string& place, const shape& dimensions, const safetensors* tensors,
                  weight_source& source, float* to);
/// How many numbers the document gives for each of these parameters.
std::vector<extent> weight_lengths(object_reader& fields, std::span<const std::string_view> parameters,
                                   const safetensors* tensors);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace bespoke {
namespace detail {

/// The parts of "weightParams.1.biasVector"; `message` and `index` may be empty.
struct weights_path {
    std::string_view prefix, message, index, key;

    explicit weights_path(std::string_view parameter) : key(parameter) {
        const std::size_t last = parameter.rfind('.');
        if (last == std::string_view::npos) return;
        key = parameter.substr(last + 1);
        message = prefix = parameter.substr(0, last);
        const std::size_t first = prefix.find('.');
        if (first == std::string_view::npos) return;
        message = prefix.substr(0, first);
        index = prefix.substr(first + 1);
    }
    std::size_t number() const { return static_cast<std::size_t>(index[0] - '0'); }  // a digit
    /// Of a prefix.
    std::size_t last_number() const { return static_cast<std::size_t>(key[0] - '0'); }
};

inline std::vector<std::byte> read_bytes(object_reader& in, std::string_view key, std::size_t size) {
    auto bytes = decode_base64(in.text(key));
    if (!bytes) in.fail(errc::malformed_file, key, "base64 wanted");
    if (bytes->size() % size != 0)
        in.fail(errc::malformed_file, key, "a multiple of " + std::to_string(size) + " bytes wanted, " +
                                               std::to_string(bytes->size()) + " came");
    return *std::move(bytes);
}
inline const tensor_entry& find_tensor(object_reader& in, const safetensors* tensors) {
    const std::string name = in.text("tensor");
    if (tensors == nullptr)
        in.fail(errc::unknown_name, "tensor", "tensor " + in_quotes(name) + " needs a \"weightsFile\" in the model");
    const tensor_entry* entry = tensors->find(name);
    if (entry == nullptr) in.fail(errc::unknown_name, "tensor", "no tensor " + in_quotes(name) + " in the weights file");
    return *entry;
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

object_reader weights_reader::find(std::string_view parameter) {
    const detail::weights_path path(parameter);
    if (path.message.empty()) return fields_.object(parameter);
    for (message& m : messages_)
        if (m.prefix == path.prefix) return m.reader.object(path.key);
    if (path.index.empty())
        return add({path.prefix, fields_.object(path.message), 0}).object(path.key);
    auto elements = fields_.objects(path.message);
    const std::size_t came = elements.size();
    elements.resize(std::max(came, path.number() + 1),
                    object_reader(nullptr, fields_.place(path.message) + "/" + std::string(path.index)));
    return add({path.prefix, elements[path.number()], came}).object(path.key);
}
void weights_reader::finish() const {
    std::size_t wanted = 0;
    for (const message& m : messages_) {
        m.reader.finish();
        const detail::weights_path path(m.prefix);  // "weightParams" and "1"
        if (!path.message.empty()) wanted = std::max(wanted, path.last_number() + 1);
    }
    for (const message& m : messages_)
        if (m.elements != 0 && m.elements != wanted)
            fields_.fail(errc::bad_value, detail::weights_path(m.prefix).message,
                         std::to_string(wanted) + " elements wanted, " + std::to_string(m.elements) + " came");
}

object_writer* weights_writer::enter(std::string_view parameter) {
    const detail::weights_path path(parameter);
    if (path.message != key_) finish();
    if (path.message.empty()) return nullptr;
    key_ = path.message;
    repeated_ = !path.index.empty();
    const std::size_t number = repeated_ ? path.number() : 0;
    if (elements_.size() <= number) elements_.resize(number + 1);
    return &elements_[number];
}
void weights_writer::write(std::string_view parameter, const object_writer& weights) {
    object_writer* message = enter(parameter);
    (message != nullptr ? *message : fields_).object(detail::weights_path(parameter).key, weights);
}
void weights_writer::finish() {
    if (repeated_)
        fields_.objects(key_, elements_);
    else if (!elements_.empty())
        fields_.object(key_, elements_[0]);
    key_ = {};
    repeated_ = false;
    elements_.clear();
}

void read_weights(object_reader in, const std::string& place, const shape& dimensions, const safetensors* tensors,
                  weight_source& source, float* to) {
    const extent wanted = dimensions.size();
    const auto wrong_count = [&](extent came) {
        throw error(errc::shape_mismatch, place + ": " + std::to_string(wanted) +
                                              (wanted == 1 ? " number wanted" : " numbers wanted") +
                                              (wanted == 0 ? "" : " (shape " + bespoke::to_text(dimensions) + ")") + ", " +
                                              (came == 0 ? "none" : std::to_string(came)) + " came");
    };
    const auto check_count = [&](std::size_t came) {
        if (static_cast<extent>(came) != wanted) wrong_count(static_cast<extent>(came));
    };
    source.updatable = in.boolean("isUpdatable");
    static constexpr std::string_view kinds[] = {"floatValue", "float16Value", "tensor", "bespoke",
                                                 "rawValue",   "int8RawValue"};
    for (std::string_view quantized : {"rawValue", "int8RawValue", "quantization"})
        if (in.has(quantized)) in.fail(errc::unsupported, quantized, "quantized weights are not supported");
    const std::string_view kind = in.one_of(kinds);
    if (kind == "floatValue") {
        source.kind = weight_source::float_value;
        check_count(in.length(kind));
        if (to == nullptr) return;
        const auto values = in.reals(kind);
        check_count(values.size());
        if (to != nullptr) std::copy(values.begin(), values.end(), to);
    } else if (kind == "float16Value") {
        source.kind = weight_source::float16_value;
        const auto bytes = detail::read_bytes(in, kind, 2);
        check_count(bytes.size() / 2);
        for (extent i = 0; i < wanted && to != nullptr; ++i)
            to[i] = float16_to_float(detail::load_little_endian<std::uint16_t>(bytes.data() + 2 * i));
    } else if (kind == "bespoke") {
        source.kind = weight_source::float32_value;
        object_reader inner = in.object(kind);
        const auto bytes = detail::read_bytes(inner, "float32Value", 4);
        check_count(bytes.size() / 4);
        for (extent i = 0; i < wanted && to != nullptr; ++i)
            to[i] = std::bit_cast<float>(detail::load_little_endian<std::uint32_t>(bytes.data() + 4 * i));
        inner.finish();
    } else if (kind == "tensor") {
        source.kind = weight_source::tensor;
        const tensor_entry& entry = detail::find_tensor(in, tensors);
        source.name = entry.name;
        if (!(entry.dimensions == dimensions))
            in.fail(errc::shape_mismatch, kind,
                    "the shape " + bespoke::to_text(dimensions) + " wanted, tensor " + in_quotes(entry.name) + " has " +
                        bespoke::to_text(entry.dimensions));
        if (to == nullptr) return;
        check_count(static_cast<std::size_t>(entry.dimensions.size()));
        to_floats(entry, to);
    } else {
        check_count(0);
    }
    in.finish();
    if (to == nullptr || kernels::all_finite(wanted, to)) return;
    for (extent i = 0; i < wanted; ++i)
        if (!std::isfinite(to[i]))
            throw error(errc::bad_value, place + ": number " + std::to_string(i) + " is " +
                                             (std::isnan(to[i]) ? "NaN" : to[i] > 0 ? "Infinity" : "-Infinity"));
}

std::vector<extent> weight_lengths(object_reader& fields, std::span<const std::string_view> parameters,
                                   const safetensors* tensors) {
    std::vector<extent> lengths;
    for (std::string_view key : parameters) {
        object_reader in = fields.object(key);
        std::size_t length = in.length("floatValue");
        if (in.has("float16Value")) {
            length = detail::read_bytes(in, "float16Value", 2).size() / 2;
        } else if (in.has("bespoke")) {
            object_reader inner = in.object("bespoke");
            length = detail::read_bytes(inner, "float32Value", 4).size() / 4;
        } else if (in.has("tensor")) {
            length = static_cast<std::size_t>(detail::find_tensor(in, tensors).dimensions.size());
        }
        lengths.push_back(static_cast<extent>(length));
    }
    return lengths;
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif

/// The layers of a network between document and `layer_list`.

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bespoke {

/// What a converter noted of a blob: "inputTensor" and "outputTensor" of a layer. Kept, not looked at.
struct tensor_note {
    std::int64_t rank = 0;
    std::vector<std::int64_t> dimensions;
    friend bool operator==(const tensor_note&, const tensor_note&) = default;
};

/// What a document says of a layer beyond the layer itself.
struct layer_notes {
    std::vector<tensor_note> inputs, outputs;
    std::vector<weight_source> weights;  ///< one for each of the layer's parameters
};

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// The state of reading the layers of one document.
class network_reader {
public:
    struct pending_weight {
        std::size_t step, number;  ///< parameter `number` of step `step`
        object_reader value;
        std::string layer;  ///< place and name of the layer
    };

    explicit network_reader(std::span<const layer_codec> table, const safetensors* weights_file = nullptr);

    std::span<const layer_codec> codecs;
    const safetensors* tensors;
    std::vector<pending_weight> weights;
    std::vector<layer_notes> notes;  ///< in the order of the plan's steps
    /// Places of fields with a default other than zero that the document leaves out.
    implied_fields implied;
};

/// The state of writing the layers of one document.
class network_writer {
public:
    std::span<const layer_codec> codecs;
    plan_view plan;
    written_place place;
    std::size_t step = 0;
    /// Writes the parameters of the current step, in the order of the plan.
    void (*write_weights)(void* context, std::size_t step, const layer_codec& codec, object_writer& fields) = nullptr;
    /// Writes what `layer_notes` keep.
    void (*write_notes)(void* context, std::size_t step, object_writer& layer) = nullptr;
    void* context = nullptr;
};

layer_list read_layers(network_reader& networks, object_reader& network);
layer_list read_subnetwork(network_reader& networks, object_reader& fields, std::string_view key);
std::vector<object_writer> write_layers(network_writer& networks, const layer_list& layers);
void write_subnetwork(network_writer& networks, const layer_list& layers, object_writer& fields,
                      std::string_view key, bool required);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::network_reader;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::network_writer;

namespace detail {

inline std::vector<tensor_note> read_tensor_notes(object_reader& layer, std::string_view key) {
    std::vector<tensor_note> notes;
    for (object_reader& in : layer.objects(key)) {
        notes.push_back({in.integer("rank"), in.integers("dimValue")});
        in.finish();
    }
    return notes;
}
inline void write_tensor_notes(object_writer& layer, std::string_view key, const std::vector<tensor_note>& notes) {
    std::vector<object_writer> list;
    for (const tensor_note& note : notes) {
        list.emplace_back().small_integer("rank", static_cast<std::int32_t>(note.rank));
        list.back().integers("dimValue", note.dimensions);
    }
    layer.objects(key, list);
}

/// What the table calls its layers, for "did you mean".
inline std::vector<std::string> names_in(std::span<const layer_codec> codecs, std::string_view key = "") {
    std::vector<std::string> names;
    for (const layer_codec& codec : codecs)
        if (key.empty() || codec.key == key) names.emplace_back(key.empty() ? codec.key : codec.nested_key);
    return names;
}

/// A node and the strings that its layer looks at.
struct node_and_texts {
    text_pool texts;
    std::unique_ptr<any_node> node;
};

inline std::shared_ptr<any_node> read_node(const layer_codec& codec, object_reader& in, network_reader& networks) {
    using namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit;
    auto both = std::make_shared<node_and_texts>();
    both->node = codec.make();
    any_node* node = both->node.get();
    void* layer = const_cast<void*>(codec.layer_in(*node));
    read_fields(*codec.fields, layer, in, networks.implied, both->texts);
    if (codec.set_lengths != nullptr)
        codec.set_lengths(layer, weight_lengths(in, codec.parameters, networks.tensors));
    if (codec.type == &layer_type_tag<branch_node>) {
        auto& branch = *static_cast<branch_node*>(layer);
        if (!in.has("ifBranch")) in.fail(errc::bad_value, "ifBranch", "a network wanted, none came");
        branch.if_branch = read_subnetwork(networks, in, "ifBranch");
        branch.else_branch = read_subnetwork(networks, in, "elseBranch");
    } else if (codec.type == &layer_type_tag<loop_node>) {
        auto& loop = *static_cast<loop_node*>(layer);
        if (!in.has("bodyNetwork")) in.fail(errc::bad_value, "bodyNetwork", "a network wanted, none came");
        loop.condition_network = read_subnetwork(networks, in, "conditionNetwork");
        loop.body_network = read_subnetwork(networks, in, "bodyNetwork");
    }
    return {std::move(both), node};
}

/// Reads the member of a layer object that says which layer it is.
inline std::shared_ptr<any_node> read_layer_of_table(network_reader& networks, object_reader& layer,
                                                     const std::string& name) {
    static constexpr std::string_view common[] = {"name",         "input",       "output", "inputTensor",
                                                  "outputTensor", "isUpdatable", "bespoke"};
    const std::string place = layer.place() + (name.empty() ? "" : " " + in_quotes(name));
    std::string_view key;
    for (std::string_view candidate : layer.keys()) {
        if (std::find(std::begin(common), std::end(common), candidate) != std::end(common)) continue;
        if (!key.empty())
            throw error(errc::bad_value, place + ": one layer type wanted, " + in_quotes(key) + " and " +
                                             in_quotes(candidate) + " came");
        key = candidate;
    }
    if (key.empty()) throw error(errc::bad_value, place + ": a layer type wanted, none came");
    const auto unknown = [&](std::string_view what, std::string_view family) {
        throw error(errc::unknown_layer, place + ": unknown layer " + in_quotes(what) +
                                             suggestion(what, names_in(networks.codecs, family)));
    };
    object_reader fields = layer.object(key);
    const layer_codec* found = nullptr;
    std::string_view nested;
    bool family = false;
    for (const layer_codec& codec : networks.codecs) {
        if (codec.key != key) continue;
        family = !codec.nested_key.empty();
        if (!family) found = &codec;
    }
    if (found == nullptr && !family) unknown(key, "");
    if (family) {
        const auto keys = fields.keys();
        if (keys.size() != 1)
            throw error(errc::bad_value, fields.place() + ": one field wanted, " +
                                             (keys.empty() ? "none" : std::to_string(keys.size())) + " came");
        nested = keys[0];
        for (const layer_codec& codec : networks.codecs)
            if (codec.key == key && codec.nested_key == nested) found = &codec;
        if (found == nullptr) unknown(nested, key);
        fields = fields.object(nested);
    }
    const std::size_t step = networks.notes.size();
    networks.notes.emplace_back().weights.resize(found->parameters.size());
    define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::weights_reader weights(fields);
    for (std::size_t i = 0; i < found->parameters.size(); ++i)
        networks.weights.push_back({step, i, weights.find(found->parameters[i]), place});
    weights.finish();
    auto node = read_node(*found, fields, networks);
    fields.finish();
    return node;
}

/// The networks inside a branch or a loop.
inline void write_nested(const any_node& node, object_writer& out, network_writer& networks) {
    using namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit;
    if (const auto* branch = node.as<branch_node>()) {
        write_subnetwork(networks, branch->if_branch, out, "ifBranch", true);
        write_subnetwork(networks, branch->else_branch, out, "elseBranch", false);
    } else if (const auto* loop = node.as<loop_node>()) {
        write_subnetwork(networks, loop->condition_network, out, "conditionNetwork", false);
        write_subnetwork(networks, loop->body_network, out, "bodyNetwork", true);
    }
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

network_reader::network_reader(std::span<const layer_codec> table, const safetensors* weights_file)
    : codecs(table), tensors(weights_file) {}

layer_list read_layers(network_reader& networks, object_reader& network) {
    layer_list list;
    for (object_reader& layer : network.objects("layers")) {
        const std::string name = layer.text("name");
        const std::size_t step = networks.notes.size();
        auto node = detail::read_layer_of_table(networks, layer, name);
        node->name = name;
        node->inputs = layer.texts("input");
        node->outputs = layer.texts("output");
        node->updatable = layer.boolean("isUpdatable");
        networks.notes[step].inputs = detail::read_tensor_notes(layer, "inputTensor");
        networks.notes[step].outputs = detail::read_tensor_notes(layer, "outputTensor");
        layer.finish();
        list.nodes.push_back(std::move(node));
    }
    return list;
}

layer_list read_subnetwork(network_reader& networks, object_reader& fields, std::string_view key) {
    object_reader network = fields.object(key);
    if (!fields.has(key)) networks.implied.insert(fields.place() + "/" + std::string(key));
    layer_list list = read_layers(networks, network);
    network.finish();
    return list;
}

std::vector<object_writer> write_layers(network_writer& networks, const layer_list& layers) {
    std::vector<object_writer> list;
    const std::string outer = networks.place.text;
    for (const auto& node : layers.nodes) {
        const layer_codec* codec = find_codec(networks.codecs, *node);
        if (codec == nullptr) throw error(errc::unknown_layer, "a layer that is in no set cannot be written");
        const std::size_t step = networks.step++;
        object_writer& layer = list.emplace_back();
        layer.text("name", node->name);
        layer.texts("input", node->inputs);
        layer.texts("output", node->outputs);
        if (networks.write_notes) networks.write_notes(networks.context, step, layer);
        layer.boolean("isUpdatable", node->updatable);

        networks.place.text = outer + "/layers/" + std::to_string(list.size() - 1) + "/" + std::string(codec->key);
        if (!codec->nested_key.empty()) networks.place.text.append("/").append(codec->nested_key);
        std::vector<shape> shapes;
        if (networks.place.implied == nullptr)
            for (std::size_t blob : networks.plan.inputs_of(step)) shapes.push_back(networks.plan.blobs[blob].dimensions);
        object_writer fields;
        write_hyper_parameters(*codec, *node, shapes, fields, networks.place);
        detail::write_nested(*node, fields, networks);
        if (networks.write_weights) networks.write_weights(networks.context, step, *codec, fields);
        if (!codec->nested_key.empty()) {
            object_writer family;
            family.object(codec->nested_key, fields);
            fields = std::move(family);
        }
        layer.object(codec->key, fields);
    }
    networks.place.text = outer;
    return list;
}

void write_subnetwork(network_writer& networks, const layer_list& layers, object_writer& fields, std::string_view key,
                      bool required) {
    if (layers.nodes.empty() && (networks.place.implied != nullptr ? networks.place.is_implied(key) : !required)) return;
    const std::size_t outer = networks.place.text.size();
    networks.place.text.append("/").append(key);
    object_writer network;
    network.objects("layers", write_layers(networks, layers));
    networks.place.text.resize(outer);
    fields.object(key, network);
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif



#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

/// How a model wants to be trained. Core ML specification, NetworkUpdateParameters, in snake_case.
namespace bespoke {
namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

struct double_range {
    double min_value = 0, max_value = 0;
    friend bool operator==(const double_range&, const double_range&) = default;
};
struct int64_range {
    std::int64_t min_value = 0, max_value = 0;
    friend bool operator==(const int64_range&, const int64_range&) = default;
};
struct int64_set {
    std::vector<std::int64_t> values;
    friend bool operator==(const int64_set&, const int64_set&);
};

/// A number with the values that a caller may choose.
struct double_parameter {
    double default_value = 0;
    std::optional<double_range> range;

    bool allows(double value) const { return !range || (value >= range->min_value && value <= range->max_value); }
    friend bool operator==(const double_parameter&, const double_parameter&);
};
struct int64_parameter {
    std::int64_t default_value = 0;
    std::variant<std::monostate, int64_range, int64_set> allowed_values;

    bool allows(std::int64_t value) const;
    friend bool operator==(const int64_parameter&, const int64_parameter&);
};

/// -log of the probability that the blob `input` gives to the class in the training feature `target`.
struct categorical_cross_entropy_loss_layer {
    std::string input, target;
    static constexpr auto key = "categoricalCrossEntropyLossLayer";
    friend bool operator==(const categorical_cross_entropy_loss_layer&, const categorical_cross_entropy_loss_layer&);
};
/// Mean of the squared differences between the blob `input` and the training feature `target`.
struct mean_squared_error_loss_layer {
    std::string input, target;
    static constexpr auto key = "meanSquaredErrorLossLayer";
    friend bool operator==(const mean_squared_error_loss_layer&, const mean_squared_error_loss_layer&);
};
struct loss_layer {
    std::string name;
    std::variant<categorical_cross_entropy_loss_layer, mean_squared_error_loss_layer> type;
    friend bool operator==(const loss_layer&, const loss_layer&);
};

/// What the document leaves out is empty here: the trainer has its own default then.
struct sgd_optimizer {
    std::optional<double_parameter> learning_rate{};
    std::optional<int64_parameter> mini_batch_size{};
    std::optional<double_parameter> momentum{};
    static constexpr auto key = "sgdOptimizer";
    friend bool operator==(const sgd_optimizer&, const sgd_optimizer&);
};
struct adam_optimizer {
    std::optional<double_parameter> learning_rate{};
    std::optional<int64_parameter> mini_batch_size{};
    std::optional<double_parameter> beta1{}, beta2{}, eps{};
    static constexpr auto key = "adamOptimizer";
    friend bool operator==(const adam_optimizer&, const adam_optimizer&);
};

struct network_update_parameters {
    std::vector<loss_layer> loss_layers;
    std::variant<std::monostate, sgd_optimizer, adam_optimizer> optimizer;
    std::optional<int64_parameter> epochs{};
    std::optional<bool> shuffle;  ///< whether the examples are drawn in a new order each epoch
    std::optional<int64_parameter> seed{};
    friend bool operator==(const network_update_parameters&, const network_update_parameters&);
};

/// Reads a NetworkUpdateParameters object. Throws `error` with the place of what does not fit; a default
/// outside its own range is an error.
network_update_parameters read_update_parameters(object_reader& in);
object_writer write_update_parameters(const network_update_parameters& parameters);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::adam_optimizer;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::categorical_cross_entropy_loss_layer;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::double_parameter;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::double_range;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::int64_parameter;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::int64_range;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::int64_set;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::loss_layer;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::mean_squared_error_loss_layer;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::network_update_parameters;
using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::sgd_optimizer;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <cmath>

namespace bespoke {
namespace detail {

inline void read_parameter(object_reader& outer, std::string_view key, std::optional<double_parameter>& to) {
    object_reader in = outer.object(key);
    if (!outer.has(key)) return;
    double_parameter& parameter = to.emplace();
    parameter.default_value = in.number("defaultValue");
    object_reader range = in.object("range");
    if (in.has("range")) {
        parameter.range = {range.number("minValue"), range.number("maxValue")};
        range.finish();
    }
    in.finish();
    if (!std::isfinite(parameter.default_value))
        in.fail(errc::bad_value, "defaultValue", "a finite number wanted");
    if (!parameter.allows(parameter.default_value))
        in.fail(errc::bad_value, "defaultValue", "it is not in the range that is allowed");
}
inline void read_parameter(object_reader& outer, std::string_view key, std::optional<int64_parameter>& to) {
    object_reader in = outer.object(key);
    if (!outer.has(key)) return;
    int64_parameter& parameter = to.emplace();
    parameter.default_value = in.integer("defaultValue");
    static constexpr std::string_view kinds[] = {"range", "set"};
    const std::string_view kind = in.one_of(kinds);
    if (!kind.empty()) {
        object_reader allowed = in.object(kind);
        if (kind == "range") {
            const std::int64_t least = allowed.integer("minValue");
            parameter.allowed_values = int64_range{least, allowed.integer("maxValue")};
        } else {
            parameter.allowed_values = int64_set{allowed.integers("values")};
        }
        allowed.finish();
    }
    in.finish();
    if (!parameter.allows(parameter.default_value))
        in.fail(errc::bad_value, "defaultValue", "it is not among the values that are allowed");
}

inline void write_parameter(object_writer& outer, std::string_view key, const std::optional<double_parameter>& from) {
    if (!from) return;
    object_writer out;
    out.number("defaultValue", from->default_value);
    if (from->range) {
        object_writer range;
        range.number("minValue", from->range->min_value);
        range.number("maxValue", from->range->max_value);
        out.object("range", range);
    }
    outer.object(key, out);
}
inline void write_parameter(object_writer& outer, std::string_view key, const std::optional<int64_parameter>& from) {
    if (!from) return;
    object_writer out, allowed;
    out.integer("defaultValue", from->default_value);
    if (const auto* range = std::get_if<int64_range>(&from->allowed_values)) {
        allowed.integer("minValue", range->min_value);
        allowed.integer("maxValue", range->max_value);
        out.object("range", allowed);
    } else if (const auto* set = std::get_if<int64_set>(&from->allowed_values)) {
        allowed.integers("values", set->values);
        out.object("set", allowed);
    }
    outer.object(key, out);
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

bool operator==(const int64_set&, const int64_set&) = default;
bool operator==(const double_parameter&, const double_parameter&) = default;
bool operator==(const int64_parameter&, const int64_parameter&) = default;
bool operator==(const categorical_cross_entropy_loss_layer&, const categorical_cross_entropy_loss_layer&) = default;
bool operator==(const mean_squared_error_loss_layer&, const mean_squared_error_loss_layer&) = default;
bool operator==(const loss_layer&, const loss_layer&) = default;
bool operator==(const sgd_optimizer&, const sgd_optimizer&) = default;
bool operator==(const adam_optimizer&, const adam_optimizer&) = default;
bool operator==(const network_update_parameters&, const network_update_parameters&) = default;

bool int64_parameter::allows(std::int64_t value) const {
    if (const auto* range = std::get_if<int64_range>(&allowed_values))
        return value >= range->min_value && value <= range->max_value;
    if (const auto* set = std::get_if<int64_set>(&allowed_values))
        return std::find(set->values.begin(), set->values.end(), value) != set->values.end();
    return true;
}

network_update_parameters read_update_parameters(object_reader& in) {
    network_update_parameters result;
    for (object_reader& loss : in.objects("lossLayers")) {
        loss_layer& layer = result.loss_layers.emplace_back();
        layer.name = loss.text("name");
        static constexpr std::string_view kinds[] = {categorical_cross_entropy_loss_layer::key,
                                                     mean_squared_error_loss_layer::key};
        const std::string_view kind = loss.one_of(kinds);
        if (kind.empty()) loss.fail(errc::bad_value, "", "a loss wanted, none came");
        object_reader type = loss.object(kind);
        if (kind == kinds[1]) layer.type = mean_squared_error_loss_layer{};
        std::visit(
            [&](auto& fields) {
                fields.input = type.text("input");
                fields.target = type.text("target");
            },
            layer.type);
        type.finish();
        loss.finish();
    }
    object_reader optimizer = in.object("optimizer");
    static constexpr std::string_view kinds[] = {sgd_optimizer::key, adam_optimizer::key};
    const std::string_view kind = optimizer.one_of(kinds);
    if (!kind.empty()) {
        object_reader type = optimizer.object(kind);
        if (kind == sgd_optimizer::key) {
            auto& sgd = result.optimizer.emplace<sgd_optimizer>();
            detail::read_parameter(type, "learningRate", sgd.learning_rate);
            detail::read_parameter(type, "miniBatchSize", sgd.mini_batch_size);
            detail::read_parameter(type, "momentum", sgd.momentum);
        } else {
            auto& adam = result.optimizer.emplace<adam_optimizer>();
            detail::read_parameter(type, "learningRate", adam.learning_rate);
            detail::read_parameter(type, "miniBatchSize", adam.mini_batch_size);
            detail::read_parameter(type, "beta1", adam.beta1);
            detail::read_parameter(type, "beta2", adam.beta2);
            detail::read_parameter(type, "eps", adam.eps);
        }
        type.finish();
    }
    optimizer.finish();
    detail::read_parameter(in, "epochs", result.epochs);
    object_reader shuffle = in.object("shuffle");
    if (in.has("shuffle")) result.shuffle = shuffle.boolean("defaultValue");
    shuffle.finish();
    detail::read_parameter(in, "seed", result.seed);
    in.finish();
    return result;
}

object_writer write_update_parameters(const network_update_parameters& parameters) {
    object_writer out;
    std::vector<object_writer> losses;
    for (const loss_layer& layer : parameters.loss_layers) {
        object_writer& loss = losses.emplace_back();
        loss.text("name", layer.name);
        std::visit(
            [&](const auto& fields) {
                object_writer type;
                type.text("input", fields.input);
                type.text("target", fields.target);
                loss.object(fields.key, type);
            },
            layer.type);
    }
    out.objects("lossLayers", losses);
    object_writer optimizer, type;
    if (const auto* sgd = std::get_if<sgd_optimizer>(&parameters.optimizer)) {
        detail::write_parameter(type, "learningRate", sgd->learning_rate);
        detail::write_parameter(type, "miniBatchSize", sgd->mini_batch_size);
        detail::write_parameter(type, "momentum", sgd->momentum);
        optimizer.object(sgd->key, type);
    } else if (const auto* adam = std::get_if<adam_optimizer>(&parameters.optimizer)) {
        detail::write_parameter(type, "learningRate", adam->learning_rate);
        detail::write_parameter(type, "miniBatchSize", adam->mini_batch_size);
        detail::write_parameter(type, "beta1", adam->beta1);
        detail::write_parameter(type, "beta2", adam->beta2);
        detail::write_parameter(type, "eps", adam->eps);
        optimizer.object(adam->key, type);
    }
    if (!optimizer.empty()) out.object("optimizer", optimizer);
    detail::write_parameter(out, "epochs", parameters.epochs);
    if (parameters.shuffle) {
        object_writer shuffle;
        shuffle.boolean("defaultValue", *parameters.shuffle);
        out.object("shuffle", shuffle);
    }
    detail::write_parameter(out, "seed", parameters.seed);
    return out;
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

/// What a model says beside its layers. Core ML specification, Model.proto and NeuralNetwork.proto.
namespace bespoke {

/// What a network answers with. Core ML specification, the `Type` of Model.
enum class model_type { neural_network, neural_network_classifier, neural_network_regressor };

/// How the shape of a multi-array becomes the shape of a blob.
/// Core ML specification, NeuralNetworkMultiArrayShapeMapping.
enum class array_shape_mapping {
    rank5_array_mapping,  ///< [C] -> [1, 1, C, 1, 1], [C, H, W] -> [1, 1, C, H, W]
    exact_array_mapping,  ///< as it is
};
constexpr std::array<std::string_view, 2> enumerators(array_shape_mapping) {
    return {"RANK5_ARRAY_MAPPING", "EXACT_ARRAY_MAPPING"};
}
enum class image_shape_mapping { rank5_image_mapping, rank4_image_mapping };
constexpr std::array<std::string_view, 2> enumerators(image_shape_mapping) {
    return {"RANK5_IMAGE_MAPPING", "RANK4_IMAGE_MAPPING"};
}

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// All that a model says beside its layers. The names are the specification's.
struct model_settings {
    std::int32_t specification_version = 4;
    model_description description{};
    bool is_updatable = false;
    model_type type = model_type::neural_network;
    array_shape_mapping array_input_shape_mapping = array_shape_mapping::exact_array_mapping;
    image_shape_mapping image_input_shape_mapping = image_shape_mapping::rank5_image_mapping;
    /// Of a classifier: a name or a number for each element of the blob `label_probability_layer_name` (empty:
    /// what the last layer writes).
    std::variant<std::monostate, string_sequence, int64_sequence> class_labels{};
    std::string label_probability_layer_name{};
    std::optional<network_update_parameters> update_parameters{};

    friend bool operator==(const model_settings&, const model_settings&);
};

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::model_settings;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

bool operator==(const model_settings&, const model_settings&) = default;

}  // namespace bespoke::define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

#endif

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bespoke {

struct layer_notes;

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// A network with its parameters, its interface and its update rules: what a file holds.
///
/// Made by `load`, `parse` or `to_model`. A copy is independent. One thread at a time may use a model.
class model {
public:
    struct parts;  ///< layers and what a document says of them

    explicit model(parts&& content);
    model(const model&);
    model& operator=(const model& other) { return *this = model(other); }
    model(model&&) noexcept;
    model& operator=(model&&) noexcept;
    ~model();

    const model_settings& settings() const { return settings_; }
    const model_description& description() const { return settings_.description; }
    /// Replaces what the model says of itself. Throws `error`, and changes nothing, where it does not fit the
    /// layers.
    void set_settings(model_settings settings);

    /// Runs one example: a value for each input that is not optional. Throws `error` where a value is missing,
    /// does not fit or is not wanted.
    features predict(const features& inputs);
    /// Runs many, as many at once as have the same shapes.
    std::vector<features> predict(std::span<const features> inputs);

    /// Writes the document to `path`, and the weights to the file of the same name that ends in .safetensors
    /// unless they stand in the document: few (64 numbers in all) or read from there. Files are whole
    /// afterwards or unchanged; see write_files_atomically.
    void save(const std::filesystem::path& path) const;

    /// The document, and the bytes of the safetensors file that it calls `weights_file`; none where no weight
    /// is there.
    struct document {
        std::string json;
        std::vector<std::byte> weights;
    };
    document write(std::string_view weights_file) const;

    /// The layers with the memory that they run in. Whoever runs them by itself calls `prepare` first, and after
    /// writing parameters.
    program& network() { return *program_; }
    const program& network() const { return *program_; }
    /// The parameter array `field` ("weights") of the layer `layer`. Throws `error` where there is none.
    std::span<float> parameter(std::string_view layer, std::string_view field);
    /// Plans the network for the shapes of these inputs.
    void reshape(const features& inputs);
    bool is_planned_for(const features& inputs) const;
    /// Writes the value of input `number` to a blob of the shape that it is planned for.
    void read_input(std::size_t number, const features& inputs, float* to) const;

    std::span<const layer_codec> codecs() const { return codecs_; }
    /// Whether the document marks parameter `number` of the plan as updatable ("isUpdatable" of its weights).
    bool marked_updatable(std::size_t number) const;

private:
    std::vector<program::named_shape> shapes_of(const features& inputs) const;
    void run(std::span<const features> inputs, std::vector<features>& results);
    feature_value output_value(const feature_description& feature, std::size_t output, extent example) const;
    void answer(features& result, extent example) const;

    model_settings settings_;
    std::span<const layer_codec> codecs_;
    std::vector<layer_notes> notes_;
    std::shared_ptr<const implied_fields> implied_;  ///< null: composed in code
    std::map<std::string, std::string> weights_metadata_;
    std::vector<std::size_t> outputs_;  ///< for each described output its place among the plan's; npos: an answer
    std::size_t probabilities_ = 0;     ///< place among the plan's outputs
    std::unique_ptr<program> program_;
    bool prepared_ = false;
};

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::model;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <cmath>
#include <limits>

namespace bespoke {
namespace detail {

inline constexpr std::size_t no_output = static_cast<std::size_t>(-1);
inline std::string_view key_of_type(model_type type) {
    constexpr std::string_view keys[] = {"neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor"};
    return keys[static_cast<std::size_t>(type)];
}

/// The shape of the blob for a multi-array of shape `s`.
inline shape blob_shape(const shape& s, array_shape_mapping mapping, const std::string& place) {
    if (mapping == array_shape_mapping::exact_array_mapping || s.rank() == 5) return s;
    if (s.rank() == 1) return {1, 1, s[0], 1, 1};
    if (s.rank() == 3) return {1, 1, s[0], s[1], s[2]};
    throw error(shape_fault(place, ": a shape of rank 1, 3 or 5 wanted with RANK5_ARRAY_MAPPING, it is ", s));
}

/// Throws where a network cannot take a feature of this type.
inline void check_input(const feature_description& feature) {
    if (feature.type.multi_array_type() == nullptr && !std::holds_alternative<int64_feature_type>(feature.type.type) &&
        !std::holds_alternative<double_feature_type>(feature.type.type))
        throw error(errc::unsupported, "input " + in_quotes(feature.name) +
                                           ": a neural network takes multi-arrays and numbers, not " +
                                           bespoke::to_text(feature.type));
}

inline shape declared_shape(const feature_description& feature, array_shape_mapping mapping) {
    const array_feature_type* array = feature.type.multi_array_type();
    if (array == nullptr) return {1};
    return blob_shape(array->default_shape(), mapping, "input \"" + feature.name + "\"");
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

struct model::parts {
    model_settings settings;
    layer_list layers;
    std::span<const layer_codec> codecs;
    std::vector<layer_notes> notes;
    std::shared_ptr<const implied_fields> implied;
    std::map<std::string, std::string> weights_metadata;
    std::size_t threads = 1;
    arithmetic how{};
    /// Called with the plan before the memory for parameters is taken, and with it afterwards.
    void (*fill)(void* context, const plan_view& plan, engine<float>* core) = nullptr;
    void* context = nullptr;
};

model::model(const model& other)
    : settings_(other.settings_), codecs_(other.codecs_), notes_(other.notes_), implied_(other.implied_),
      weights_metadata_(other.weights_metadata_), outputs_(other.outputs_), probabilities_(other.probabilities_),
      program_(std::make_unique<program>(*other.program_)), prepared_(true) {}
model::model(model&&) noexcept = default;
model& model::operator=(model&&) noexcept = default;
model::~model() = default;

model::model(parts&& content)
    : codecs_(content.codecs), implied_(std::move(content.implied)),
      weights_metadata_(std::move(content.weights_metadata)) {
    const model_settings& settings = content.settings;
    const std::string root = "/" + std::string(detail::key_of_type(settings.type)) + "/";
    std::vector<program::named_shape> inputs;
    for (const auto& feature : settings.description.input) {
        detail::check_input(feature);
        inputs.push_back({feature.name, detail::declared_shape(feature, settings.array_input_shape_mapping)});
    }
    std::vector<std::string> outputs;
    const bool classifies = settings.type == model_type::neural_network_classifier;
    for (const auto& feature : settings.description.output)
        if (!classifies || (feature.name != settings.description.predicted_feature_name &&
                            feature.name != settings.description.predicted_probabilities_name))
            outputs.push_back(feature.name);

    // planned without memory first: a size that the file does not hold must not be allocated
    planner p(root);
    for (const auto& in : inputs) p.input(in.name, in.dimensions);
    content.layers.plan(p);
    std::string last;
    if (!p.failed() && p.previous() != planner::npos) {
        const plan_view so_far = p.result().view();
        last = so_far[so_far.blobs[p.previous()].name];
    }
    for (const auto& name : outputs) p.output(name);
    if (classifies) {
        outputs.push_back(settings.label_probability_layer_name.empty() ? last : settings.label_probability_layer_name);
        p.output(outputs.back());
    }
    p.finish();
    if (p.failed()) throw error(p.problem());
    if (content.fill != nullptr) content.fill(content.context, p.result().view(), nullptr);

    program_ = std::make_unique<program>(std::move(content.layers), std::move(inputs), std::move(outputs), root);
    if (content.fill != nullptr) content.fill(content.context, program_->plan(), &program_->core());
    notes_ = std::move(content.notes);
    program_->use_threads(content.threads);
    program_->core().use(content.how);
    set_settings(std::move(content.settings));
}

void model::set_settings(model_settings settings) {
    const model_description& description = settings.description;
    if (const auto problem = fault_of(description)) throw error(*problem);
    const plan_view& plan = program_->plan();  // that of the engine, whichever it is
    const std::string root = "/" + std::string(detail::key_of_type(settings.type));

    if (description.input.size() != plan.inputs.size())
        throw error(errc::bad_value, "/description/input: " + std::to_string(plan.inputs.size()) + " inputs wanted, " +
                                         std::to_string(description.input.size()) + " came");
    for (const auto& feature : description.input) detail::check_input(feature);
    for (std::size_t i = 0; i < plan.inputs.size(); ++i)
        if (plan[plan.blobs[plan.inputs[i]].name] != description.input[i].name)
            throw error(errc::unknown_name, "/description/input/" + std::to_string(i) + ": " +
                                                in_quotes(plan[plan.blobs[plan.inputs[i]].name]) + " wanted, " +
                                                in_quotes(description.input[i].name) + " came");

    // what is declared is compared with the plan for the shapes that are declared
    std::vector<program::named_shape> inputs;
    for (const auto& feature : description.input)
        inputs.push_back({feature.name, detail::declared_shape(feature, settings.array_input_shape_mapping)});
    program_->reshape(inputs);

    const auto output_number = [&](std::string_view name) {
        for (std::size_t i = 0; i < plan.outputs.size(); ++i)
            if (plan[plan.blobs[plan.outputs[i]].name] == name) return i;
        throw error(errc::unknown_name, "output " + in_quotes(name) + ": the network has no such output");
    };
    std::vector<std::size_t> outputs;
    std::size_t probabilities = detail::no_output;
    const bool classifies = settings.type == model_type::neural_network_classifier;
    const bool by_name = std::holds_alternative<string_sequence>(settings.class_labels);
    if (classifies) {
        if (std::holds_alternative<std::monostate>(settings.class_labels))
            throw error(errc::bad_value, root + ": class labels wanted, none came");
        probabilities = settings.label_probability_layer_name.empty() ? plan.outputs.size() - 1
                                                                      : output_number(settings.label_probability_layer_name);
        const blob_facts& blob = plan.blobs[plan.outputs[probabilities]];
        const auto count_labels = [](const auto& labels) {
            if constexpr (requires { labels.size(); }) {
                if (std::set(labels.begin(), labels.end()).size() != labels.size())
                    throw error(errc::duplicate_name, "a class label comes twice");
                return static_cast<extent>(labels.size());
            } else {
                return extent{0};
            }
        };
        const extent labels = std::visit(count_labels, settings.class_labels);
        if (blob.dimensions.size() != labels)
            throw error(shape_fault(root, ": ", labels, " class labels for the probabilities \"", plan[blob.name],
                                    "\" of the shape ", blob.dimensions));
    }
    for (const auto& feature : description.output) {
        const auto wants = [&](bool fits, std::string_view wanted) {
            if (!fits)
                throw error(errc::bad_value, "output " + in_quotes(feature.name) + ": " + std::string(wanted) +
                                                 " wanted, " + bespoke::to_text(feature.type) + " declared");
        };
        if (classifies && feature.name == description.predicted_feature_name) {
            wants(by_name ? std::holds_alternative<string_feature_type>(feature.type.type)
                          : std::holds_alternative<int64_feature_type>(feature.type.type),
                  by_name ? "a string" : "an int64");
            outputs.push_back(detail::no_output);
        } else if (classifies && feature.name == description.predicted_probabilities_name) {
            const auto* dictionary = std::get_if<dictionary_feature_type>(&feature.type.type);
            wants(dictionary != nullptr && (dictionary->key_type == dictionary_feature_type::key::string_key_type) == by_name,
                  by_name ? "a dictionary of strings" : "a dictionary of int64");
            outputs.push_back(detail::no_output);
        } else {
            outputs.push_back(output_number(feature.name));
            const shape& made = plan.blobs[plan.outputs[outputs.back()]].dimensions;
            const array_feature_type* array = feature.type.multi_array_type();
            if (array == nullptr) {
                wants(std::holds_alternative<double_feature_type>(feature.type.type) ||
                          std::holds_alternative<int64_feature_type>(feature.type.type),
                      "a multi-array or a number");
                wants(made.size() == 1, "a multi-array " + bespoke::to_text(made));
            } else if (array->default_shape().rank() > 0 &&
                       checked_size(array->default_shape(), planner::largest) != made.size()) {
                throw error(shape_fault("output \"", feature.name, "\": the shape ", array->default_shape(),
                                        " declared, the network gives ", made));
            }
        }
    }
    if (settings.type == model_type::neural_network_regressor && description.predicted_feature_name.empty())
        throw error(errc::bad_value, "/description/predictedFeatureName: the name of an output wanted, none came");
    settings_ = std::move(settings);
    outputs_ = std::move(outputs);
    probabilities_ = probabilities;
}

bool model::marked_updatable(std::size_t number) const {
    const plan_view& plan = program_->plan();
    const std::size_t step = plan.parameters[number].step;
    return step < notes_.size() && notes_[step].weights[number - plan.steps[step].first_parameter].updatable;
}

std::span<float> model::parameter(std::string_view layer, std::string_view field) {
    const plan_view& plan = program_->plan();
    const std::size_t step = plan.find_step(layer);
    if (step != blob_facts::npos)
        for (std::size_t i = 0; i < plan.steps[step].parameter_count; ++i) {
            const std::size_t number = plan.steps[step].first_parameter + i;
            if (plan.parameters[number].name == field)
                return {program_->core().parameter(number),
                        static_cast<std::size_t>(plan.parameters[number].dimensions.size())};
        }
    throw error(errc::unknown_name, "no layer " + in_quotes(layer) + " with a parameter " + in_quotes(field));
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif


/// Features through the network of a model and back: `model::predict`.

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <cmath>
#include <limits>

namespace bespoke {
namespace detail {

/// The number of a feature that is no array.
inline float scalar_of(const feature_value& value) {
    return std::holds_alternative<std::int64_t>(value) ? static_cast<float>(std::get<std::int64_t>(value))
                                                       : static_cast<float>(std::get<double>(value));
}

inline float number_of(const std::variant<std::monostate, std::int32_t, float, double>& value) {
    if (const auto* whole = std::get_if<std::int32_t>(&value)) return static_cast<float>(*whole);
    if (const auto* real = std::get_if<float>(&value)) return *real;
    if (const auto* number = std::get_if<double>(&value)) return static_cast<float>(*number);
    return 0;
}

template <class T>
multi_array array_from(const float* values, const shape& s) {
    tensor<T> result = zeros<T>(s);
    std::transform(values, values + s.size(), result.begin(), [](float v) {
        if constexpr (std::is_integral_v<T>) {
            if (!(v > -2147483648.0f)) return v == v ? std::numeric_limits<T>::min() : T(0);
            return v < 2147483648.0f ? static_cast<T>(v) : std::numeric_limits<T>::max();
        } else {
            return static_cast<T>(v);
        }
    });
    return result;
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

std::vector<program::named_shape> model::shapes_of(const features& inputs) const {
    std::vector<program::named_shape> shapes;
    for (const auto& feature : settings_.description.input) {
        const feature_value* value = inputs.find(feature.name);
        const auto* array = value == nullptr ? nullptr : std::get_if<multi_array>(value);
        shapes.push_back({feature.name, array == nullptr
                                            ? detail::declared_shape(feature, settings_.array_input_shape_mapping)
                                            : detail::blob_shape(array->shape(), settings_.array_input_shape_mapping,
                                                                 "input \"" + feature.name + "\"")});
    }
    return shapes;
}

void model::reshape(const features& inputs) { program_->reshape(shapes_of(inputs)); }
bool model::is_planned_for(const features& inputs) const { return program_->is_planned_for(shapes_of(inputs)); }

features model::predict(const features& inputs) { return std::move(predict(std::span(&inputs, 1)).front()); }

std::vector<features> model::predict(std::span<const features> inputs) {
    for (std::size_t i = 0; i < inputs.size(); ++i) check_features("input", settings_.description.input, inputs[i]);
    std::vector<features> results;
    results.reserve(inputs.size());
    for (std::size_t begin = 0; begin < inputs.size();) {
        const auto shapes = shapes_of(inputs[begin]);
        std::size_t end = begin + 1;
        while (end < inputs.size() && shapes_of(inputs[end]) == shapes) ++end;
        program_->reshape(shapes);
        run(inputs.subspan(begin, end - begin), results);
        begin = end;
    }
    return results;
}

void model::run(std::span<const features> inputs, std::vector<features>& results) {
    auto& core = program_->core();
    core.select(pass::all, {});
    core.reserve(static_cast<extent>(inputs.size()));
    if (!prepared_) program_->prepare();
    prepared_ = true;
    core.measure();
    const plan_view& plan = program_->plan();
    for (std::size_t e = 0; e < inputs.size(); ++e)
        for (std::size_t i = 0; i < plan.inputs.size(); ++i) {
            const extent size = plan.blobs[plan.inputs[i]].dimensions.size();
            read_input(i, inputs[e], core.value(plan.inputs[i]) + static_cast<extent>(e) * size);
        }
    program_->forward();
    for (std::size_t e = 0; e < inputs.size(); ++e) {
        features& result = results.emplace_back();
        for (std::size_t i = 0; i < outputs_.size(); ++i)
            if (outputs_[i] != detail::no_output) {
                const feature_description& feature = settings_.description.output[i];
                result.set(feature.name, output_value(feature, outputs_[i], static_cast<extent>(e)));
            }
        if (probabilities_ != detail::no_output) answer(result, static_cast<extent>(e));
    }
}

void model::read_input(std::size_t number, const features& inputs, float* to) const {
    const plan_view& plan = program_->plan();
    const feature_description& feature = settings_.description.input[number];
    const feature_value* value = inputs.find(feature.name);
    if (value == nullptr) {
        const auto* array = feature.type.multi_array_type();
        std::fill_n(to, plan.blobs[plan.inputs[number]].dimensions.size(),
                    array == nullptr ? 0.0f : detail::number_of(array->default_optional_value));
    } else if (const auto* array = std::get_if<multi_array>(value)) {
        std::visit([&](const auto& values) { copy_elements(values, to); }, array->values());
    } else {
        *to = detail::scalar_of(*value);
    }
}

feature_value model::output_value(const feature_description& feature, std::size_t output, extent example) const {
    const plan_view& plan = program_->plan();
    const blob_facts& blob = plan.blobs[plan.outputs[output]];
    const float* values = program_->core().value(plan.outputs[output]) +
                          (blob.per_example ? example * blob.dimensions.size() : 0);
    const array_feature_type* array = feature.type.multi_array_type();
    if (array == nullptr) {
        if (std::holds_alternative<double_feature_type>(feature.type.type)) return static_cast<double>(*values);
        const double rounded = std::isnan(*values) ? 0.0 : std::round(static_cast<double>(*values));
        return static_cast<std::int64_t>(std::clamp(rounded, -0x1p62, 0x1p62));
    }
    const shape declared = array->default_shape();
    const shape s = declared.rank() > 0 && checked_size(declared, planner::largest) == blob.dimensions.size()
                        ? declared
                        : blob.dimensions;
    if (array->data_type == array_data_type::float64) return detail::array_from<double>(values, s);
    if (array->data_type == array_data_type::int32) return detail::array_from<std::int32_t>(values, s);
    return detail::array_from<float>(values, s);
}

void model::answer(features& result, extent example) const {
    const plan_view& plan = program_->plan();
    const blob_facts& blob = plan.blobs[plan.outputs[probabilities_]];
    const extent size = blob.dimensions.size();
    const float* values = program_->core().value(plan.outputs[probabilities_]) + (blob.per_example ? example * size : 0);
    const auto best = static_cast<std::size_t>(std::max_element(values, values + size) - values);
    const auto fill = [&](const auto& labels, auto dictionary) {
        for (std::size_t i = 0; i < labels.size(); ++i) dictionary[labels[i]] = static_cast<double>(values[i]);
        if (!settings_.description.predicted_feature_name.empty())
            result.set(settings_.description.predicted_feature_name, labels[best]);
        if (!settings_.description.predicted_probabilities_name.empty())
            result.set(settings_.description.predicted_probabilities_name, std::move(dictionary));
    };
    if (const auto* names = std::get_if<string_sequence>(&settings_.class_labels))
        fill(*names, string_dictionary{});
    else
        fill(std::get<int64_sequence>(settings_.class_labels), int64_dictionary{});
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif

#include <filesystem>
#include <span>
#include <string_view>

/// Models and documents: `load(path)`, `parse(text)`, `m.save(path)`. What a model is stands in model_class.hpp.
namespace bespoke {

struct load_options {
    std::size_t threads = 1;  ///< how many kernels use, the caller included
    arithmetic how{};
};

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {
model load(const std::filesystem::path& path, const load_options& options);
model load(const std::filesystem::path& path, std::span<const layer_codec> codecs, const load_options& options);
model parse(std::string_view json, const safetensors* weights, const load_options& options);
model parse(std::string_view json, const safetensors* weights, std::span<const layer_codec> codecs,
            const load_options& options);
}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

/// Reads a model: JSON, and the safetensors file beside it where "weightsFile" names one. Throws `error` with
/// the file and the place in it; nothing is half loaded.
inline model load(const std::filesystem::path& path, const load_options& options = {}) {
    return define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::load(path, options);
}
/// The same for a model of other layers: `load<core_layers, my_layer>(path)`.
template <class... Layers>
    requires(sizeof...(Layers) > 0)
model load(const std::filesystem::path& path, const load_options& options = {}) {
    return define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::load(path, codecs_in<Layers...>, options);
}

/// Reads a model from memory; `weights` stands for the file that "weightsFile" names.
inline model parse(std::string_view json, const safetensors* weights = nullptr, const load_options& options = {}) {
    return define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::parse(json, weights, options);
}
template <class... Layers>
    requires(sizeof...(Layers) > 0)
model parse(std::string_view json, const safetensors* weights = nullptr, const load_options& options = {}) {
    return define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::parse(json, weights, codecs_in<Layers...>, options);
}

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>

namespace bespoke {
namespace detail {

/// The layers' parameters from what `network_reader` found, in two steps: first every size is compared with
/// the plan, then, when there is memory, the values are read.
struct weights_to_read {
    network_reader& networks;
    std::vector<layer_notes>& notes;

    static void fill(void* context, const plan_view& plan, engine<float>* core) {
        auto& self = *static_cast<weights_to_read*>(context);
        for (auto& pending : self.networks.weights) {
            const std::size_t number = plan.steps[pending.step].first_parameter + pending.number;
            const std::string place = pending.value.place();
            auto& source = self.notes[pending.step].weights[pending.number];
            define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::read_weights(
                pending.value, place, plan.parameters[number].dimensions, self.networks.tensors, source,
                         core == nullptr ? nullptr : core->parameter(number));
        }
    }
};

/// Reads the members of a NeuralNetwork, NeuralNetworkClassifier or NeuralNetworkRegressor.
inline layer_list read_network(object_reader& in, model_settings& settings, network_reader& networks) {
    settings.array_input_shape_mapping = static_cast<array_shape_mapping>(
        in.enumerator("arrayInputShapeMapping", enumerators(array_shape_mapping{})));
    settings.image_input_shape_mapping = static_cast<image_shape_mapping>(
        in.enumerator("imageInputShapeMapping", enumerators(image_shape_mapping{})));
    if (in.length("preprocessing") > 0)
        in.fail(errc::unsupported, "preprocessing", "images are not supported");
    in.objects("preprocessing");
    object_reader update = in.object("updateParams");
    if (in.has("updateParams"))
        settings.update_parameters = define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::read_update_parameters(update);
    if (settings.type == model_type::neural_network_classifier) {
        static constexpr std::string_view kinds[] = {"stringClassLabels", "int64ClassLabels"};
        const std::string_view kind = in.one_of(kinds);
        if (kind.empty()) in.fail(errc::bad_value, "", "class labels wanted, none came");
        object_reader labels = in.object(kind);
        if (kind == kinds[0])
            settings.class_labels = labels.texts("vector");
        else
            settings.class_labels = labels.integers("vector");
        labels.finish();
        settings.label_probability_layer_name = in.text("labelProbabilityLayerName");
    }
    layer_list layers = define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::read_layers(networks, in);
    in.finish();
    return layers;
}

/// Reads a whole document. `tensors_in(name, reader)` gives the safetensors file called so, or null.
template <class TensorsIn>
model read_model(const json& root, std::span<const layer_codec> codecs, const load_options& options,
                 const TensorsIn& tensors_in) {
    object_reader top(&root, "");
    model::parts content;
    model_settings& settings = content.settings;
    const std::int64_t version = top.integer("specificationVersion");
    if (version < 1 || version > std::numeric_limits<std::int32_t>::max())
        top.fail(errc::bad_value, "specificationVersion", "1 or more wanted, " + std::to_string(version) + " came");
    settings.specification_version = static_cast<std::int32_t>(version);
    object_reader description = top.object("description");
    settings.description = define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::read_description(description);
    settings.is_updatable = top.boolean("isUpdatable");
    const std::string weights_file = top.text("weightsFile");

    static constexpr std::string_view types[] = {"neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor"};
    static constexpr std::string_view unsupported[] = {
        "pipelineClassifier", "pipelineRegressor", "pipeline", "glmRegressor", "supportVectorRegressor",
        "treeEnsembleRegressor", "bayesianProbitRegressor", "glmClassifier", "supportVectorClassifier",
        "treeEnsembleClassifier", "kNearestNeighborsClassifier", "itemSimilarityRecommender", "mlProgram",
        "customModel", "linkedModel", "classConfidenceThresholding", "oneHotEncoder", "imputer", "featureVectorizer",
        "dictVectorizer", "scaler", "categoricalMapping", "normalizer", "arrayFeatureExtractor",
        "nonMaximumSuppression", "identity", "textClassifier", "wordTagger", "visionFeaturePrint",
        "soundAnalysisPreprocessing", "gazetteer", "wordEmbedding", "audioFeaturePrint", "serializedModel"};
    for (std::string_view key : unsupported)
        if (top.has(key)) top.fail(errc::unsupported, key, "models of this type are not supported");
    const std::string_view type = top.one_of(types);
    top.finish();
    if (type.empty()) top.fail(errc::bad_value, "", "a model type wanted (\"neuralNetwork\"), none came");
    settings.type = static_cast<model_type>(std::find(std::begin(types), std::end(types), type) - std::begin(types));

    const safetensors* tensors = weights_file.empty() ? nullptr : tensors_in(weights_file, top);
    network_reader networks(codecs, tensors);
    object_reader network = top.object(type);
    content.layers = read_network(network, settings, networks);
    content.codecs = codecs;
    content.notes = std::move(networks.notes);
    content.implied = std::make_shared<const implied_fields>(std::move(networks.implied));
    if (tensors != nullptr) content.weights_metadata = tensors->metadata();
    content.threads = options.threads;
    content.how = options.how;
    weights_to_read weights{networks, content.notes};
    content.fill = &weights_to_read::fill;
    content.context = &weights;
    return model(std::move(content));
}

/// Up to so many numbers in all, weights are written into the document.
inline constexpr extent few_weights = 64;

/// Weights on their way into files.
struct weights_to_write {
    const program& network;
    const std::vector<layer_notes>& notes;
    std::vector<tensor_entry> tensors;
    bool few;

    static std::string base64_of(std::span<const float> values, std::size_t size) {
        std::vector<std::byte> bytes;
        bytes.reserve(values.size() * size);
        for (float v : values) {
            const std::uint32_t bits = size == 2 ? float_to_float16(v) : std::bit_cast<std::uint32_t>(v);
            for (std::size_t i = 0; i < size; ++i) bytes.push_back(static_cast<std::byte>(bits >> (8 * i) & 0xff));
        }
        return encode_base64(bytes);
    }

    /// The name under which the array is found in the file.
    std::string add_tensor(std::string name, const shape& dimensions, std::span<const float> values) {
        static_assert(std::endian::native == std::endian::little, "floats are written as they lie in memory");
        const auto bytes = std::as_bytes(values);
        const std::string wanted = name;
        for (std::size_t copy = 2;; ++copy) {
            const auto same_name = std::find_if(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name == name; });
            if (same_name == tensors.end()) break;
            if (same_name->dimensions == dimensions && std::ranges::equal(same_name->bytes, bytes)) return name;
            name = wanted + "_" + std::to_string(copy);
        }
        tensors.push_back({name, "F32", dimensions, bytes});
        return name;
    }

    void write(std::size_t step, const layer_codec& codec, object_writer& fields) {
        const plan_view& plan = network.plan();
        define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::weights_writer writer(fields);
        for (std::size_t i = 0; i < codec.parameters.size(); ++i) {
            const std::size_t number = plan.steps[step].first_parameter + i;
            const parameter_facts& facts = plan.parameters[number];
            const weight_source source = step < notes.size() && i < notes[step].weights.size() ? notes[step].weights[i]
                                                                                               : weight_source{};
            if (facts.dimensions.size() == 0) {
                writer.skip(facts.name);
                continue;
            }
            const std::span<const float> values(network.core().parameter(number),
                                                static_cast<std::size_t>(facts.dimensions.size()));
            for (std::size_t k = 0; k < values.size(); ++k)
                if (!std::isfinite(values[k]))
                    throw error(errc::bad_value, std::string(plan[plan.steps[step].place]) + ": its " +
                                                     std::string(facts.name) + " cannot be written: number " +
                                                     std::to_string(k) + " is not finite");
            auto kind = source.kind;
            if (kind == weight_source::float16_value &&
                !std::ranges::all_of(values, [](float v) { return float16_to_float(float_to_float16(v)) == v; }))
                kind = weight_source::automatic;
            if (kind == weight_source::automatic) kind = few ? weight_source::float_value : weight_source::tensor;
            object_writer out;
            if (kind == weight_source::float_value) {
                out.reals("floatValue", values);
            } else if (kind == weight_source::float16_value) {
                out.text("float16Value", base64_of(values, 2));
            } else if (kind == weight_source::float32_value) {
                object_writer inner;
                inner.text("float32Value", base64_of(values, 4));
                out.object("bespoke", inner);
            } else {
                out.text("tensor", add_tensor(source.name.empty() ? std::string(plan[plan.steps[step].name]) + "." +
                                                                        std::string(facts.name)
                                                                  : source.name,
                                              facts.dimensions, values));
            }
            out.boolean("isUpdatable", source.updatable);
            writer.write(facts.name, out);
        }
        writer.finish();
    }
};

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

// --- writing ----------------------------------------------------------------------------------------

model::document model::write(std::string_view weights_file) const {
    extent numbers = 0;
    for (const parameter_facts& facts : program_->plan().parameters) numbers += facts.dimensions.size();
    detail::weights_to_write weights{*program_, notes_, {}, numbers <= detail::few_weights};
    struct both {
        detail::weights_to_write& weights;
        const std::vector<layer_notes>& notes;
    } context{weights, notes_};

    network_writer networks;
    networks.codecs = codecs_;
    networks.plan = program_->plan();
    networks.place.implied = implied_.get();
    networks.place.text = "/" + std::string(detail::key_of_type(settings_.type));
    networks.context = &context;
    networks.write_weights = [](void* c, std::size_t step, const layer_codec& codec, object_writer& fields) {
        static_cast<both*>(c)->weights.write(step, codec, fields);
    };
    networks.write_notes = [](void* c, std::size_t step, object_writer& layer) {
        const auto& notes = static_cast<both*>(c)->notes;
        if (step >= notes.size()) return;
        detail::write_tensor_notes(layer, "inputTensor", notes[step].inputs);
        detail::write_tensor_notes(layer, "outputTensor", notes[step].outputs);
    };

    object_writer network;
    network.objects("layers", write_layers(networks, program_->layers()));
    network.enumerator("arrayInputShapeMapping", enumerators(array_shape_mapping{}),
                       static_cast<std::size_t>(settings_.array_input_shape_mapping));
    network.enumerator("imageInputShapeMapping", enumerators(image_shape_mapping{}),
                       static_cast<std::size_t>(settings_.image_input_shape_mapping));
    if (settings_.update_parameters) network.object("updateParams", write_update_parameters(*settings_.update_parameters));
    object_writer labels;
    if (const auto* names = std::get_if<string_sequence>(&settings_.class_labels)) {
        labels.texts("vector", *names);
        network.object("stringClassLabels", labels);
    } else if (const auto* numbers = std::get_if<int64_sequence>(&settings_.class_labels)) {
        labels.integers("vector", *numbers);
        network.object("int64ClassLabels", labels);
    }
    network.text("labelProbabilityLayerName", settings_.label_probability_layer_name);

    object_writer top;
    top.small_integer("specificationVersion", settings_.specification_version);
    top.object("description", write_description(settings_.description));
    top.boolean("isUpdatable", settings_.is_updatable);
    if (!weights.tensors.empty()) top.text("weightsFile", weights_file);
    top.object(detail::key_of_type(settings_.type), network);
    document result{top.dump() + "\n", {}};
    if (!weights.tensors.empty()) result.weights = bespoke::to_safetensors(weights.tensors, weights_metadata_);
    return result;
}

void model::save(const std::filesystem::path& path) const {
    std::filesystem::path weights_path = path;
    weights_path.replace_extension(".safetensors");
    if (weights_path == path)
        throw error(errc::bad_argument, path.string() + ": this is the name of the file with the weights");
    const document content = write(weights_path.filename().string());
    const file_content json{path, std::as_bytes(std::span(content.json))};
    if (content.weights.empty())
        bespoke::write_files_atomically({json});
    else
        bespoke::write_files_atomically({{weights_path, content.weights}, json});
}

// --- reading ----------------------------------------------------------------------------------------

model parse(std::string_view json, const safetensors* weights, std::span<const layer_codec> codecs,
            const load_options& options) {
    const auto root = detail::parse_json(json, "model");
    return detail::read_model(root, codecs, options, [&](const auto&, const auto&) { return weights; });
}
model parse(std::string_view json, const safetensors* weights, const load_options& options) {
    return parse(json, weights, core_codecs(), options);
}

model load(const std::filesystem::path& path, std::span<const layer_codec> codecs, const load_options& options) {
    const auto bytes = bespoke::read_file(path);
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto root = detail::parse_json(text, path.string());
    std::optional<safetensors> tensors;
    bool in_weights = false;
    const auto tensors_in = [&](const std::string& name, const object_reader& top) {
        const std::filesystem::path relative(name);
        bool inside = relative.is_relative() && relative.has_filename();
        for (const auto& step : relative) inside = inside && step != "..";
        if (!inside)
            top.fail(errc::bad_value, "weightsFile", "a file in the folder of the model wanted, " + in_quotes(name) + " came");
        in_weights = true;  // whose errors begin with its own path
        tensors = safetensors::load(path.parent_path() / relative);
        in_weights = false;
        return &*tensors;
    };
    try {
        return detail::read_model(root, codecs, options, tensors_in);
    } catch (const error& problem) {
        if (in_weights) throw;
        throw error(problem.code(), path.string() + ": " + problem.what());
    }
}
model load(const std::filesystem::path& path, const load_options& options) {
    return load(path, core_codecs(), options);
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif


#include <algorithm>
#include <memory>
#include <vector>

/// Composed networks and files: `to_model(net)`, `net.load(path)`, `net.save(path)`.
namespace bespoke {
namespace detail {

/// A layer of a composed network as a node of its own. Control layers hold nodes in two lists, the first
/// for the `first_steps` steps behind their own.
struct exported_layer {
    std::shared_ptr<any_node> node;
    layer_list* first = nullptr;
    layer_list* second = nullptr;
    std::size_t first_steps = 0;
};

template <class L>
inline constexpr bool is_branch = false;
template <class If, class Else>
inline constexpr bool is_branch<branch<If, Else>> = true;
template <class L>
inline constexpr bool is_loop = false;
template <class Body, class Condition>
inline constexpr bool is_loop<loop<Body, Condition>> = true;

template <class If, class Else>
exported_layer exported(const branch<If, Else>&, const plan_view&, std::size_t) {
    const auto node = std::make_shared<node_of<branch_node>>(branch_node{});
    return {node, &node->layer.if_branch, &node->layer.else_branch, steps_of<If>};
}
template <class Body, class Condition>
exported_layer exported(const loop<Body, Condition>& layer, const plan_view& plan, std::size_t step) {
    const auto node = std::make_shared<node_of<loop_node>>(loop_node{});
    node->layer.max_loop_iterations = layer.max_loop_iterations;
    const std::size_t watched = plan.steps[step].watched;
    if (watched != blob_facts::npos) node->layer.condition_variable = plan[plan.blobs[watched].name];
    return {node, &node->layer.condition_network, &node->layer.body_network, steps_of<Condition>};
}
template <class L>
exported_layer exported(const L& layer, const plan_view&, std::size_t) {
    return {std::make_shared<node_of<L>>(layer)};
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {
/// Gives the layers of a plan their names and wires and puts the nested ones into their control layers.
layer_list assemble(const plan_view& plan, std::vector<detail::exported_layer>& layers);
/// Adds what `settings` and `notes` leave open. `fill` as in `model::parts`.
model compose_model(model_settings settings, layer_list layers, const plan_view& plan,
                    std::span<const layer_codec> codecs, void (*fill)(void*, const plan_view&, engine<float>*),
                    void* context);
/// The model at `path`, which must be the network with these layers and this plan, parameters aside.
model load_same(const std::filesystem::path& path, const layer_list& layers, const plan_view& plan,
                std::span<const layer_codec> codecs);
}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

namespace detail {

/// The layers of a composed network as they stand in a document.
template <const auto& Description>
layer_list layers_of() {
    const plan_view plan = composed_plan<Description>::view();
    std::vector<exported_layer> layers(plan.steps.size());
    Description.each(0, [&](const auto& layer, std::size_t step) { layers[step] = exported(layer, plan, step); });
    return define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::assemble(plan, layers);
}

/// The table of the layer types in a composed network.
template <const auto& Description>
std::span<const layer_codec> codecs_of_network() {
    static const auto table = [] {
        const auto control = define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::control_codecs();
        std::vector<layer_codec> codecs(control.begin(), control.end());
        Description.each(0, [&]<class L>(const L&, std::size_t) {
            if constexpr (!is_branch<L> && !is_loop<L>) {
                constexpr layer_codec codec = codec_of<L>();
                const auto same = [&](const layer_codec& other) { return other.type == codec.type; };
                if (std::ranges::none_of(codecs, same)) codecs.push_back(codec);
            }
        });
        return codecs;
    }();
    return table;
}

}  // namespace detail

/// A composed network as a model, with a copy of its parameters. Where `settings` describes no interface, it
/// is the network's: multi-arrays of FLOAT32.
template <const auto& Description, class Element>
model to_model(const network<Description, Element>& net, model_settings settings = {}) {
    const auto fill = [](void* context, const plan_view& plan, engine<float>* core) {
        const auto& from = *static_cast<const network<Description, Element>*>(context);
        if (core == nullptr) return;
        for (std::size_t i = 0; i < plan.parameters.size(); ++i)
            std::transform(from.core().parameter(i), from.core().parameter(i) + plan.parameters[i].dimensions.size(),
                           core->parameter(i), [](Element v) { return static_cast<float>(v); });
    };
    return define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::compose_model(
        std::move(settings), detail::layers_of<Description>(), net.plan(), detail::codecs_of_network<Description>(), fill,
        const_cast<network<Description, Element>*>(&net));
}

template <const auto& Description, class Element, bool Fits>
void network<Description, Element, Fits>::read(const std::filesystem::path& path, bool is_new) {
    model from = define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::load_same(
        path, detail::layers_of<Description>(), plan(), detail::codecs_of_network<Description>());
    auto& core = from.network().core();
    if constexpr (std::is_same_v<Element, float>)  // the same layers in the same order lie alike
        if (is_new) engine_.take_parameters(core.give_parameters());
    if (!is_new || !std::is_same_v<Element, float>)
        for (std::size_t i = 0; i < plan().parameters.size(); ++i)
            std::copy_n(core.parameter(i), plan().parameters[i].dimensions.size(), engine_.parameter(i));
    prepare();
}

template <const auto& Description, class Element, bool Fits>
void network<Description, Element, Fits>::save(const std::filesystem::path& path) const {
    to_model(*this).save(path);
}

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

namespace bespoke {
namespace detail {

inline layer_list gathered(const plan_view& plan, const std::vector<exported_layer>& layers, std::size_t first,
                           std::size_t last) {
    layer_list list;
    for (std::size_t s = first; s < last; s = plan.steps[s].end) list.nodes.push_back(layers[s].node);
    return list;
}

/// Compares a composed network with a loaded one, step by step, and throws at the first difference.
class network_comparison {
public:
    network_comparison(const layer_list& mine, const plan_view& my_plan, const layer_list& theirs,
                       const plan_view& their_plan, std::span<const layer_codec> codecs)
        : mine_(mine.flatten()), theirs_(theirs.flatten()), my_plan_(my_plan), their_plan_(their_plan),
          codecs_(codecs), counterpart_(my_plan.blobs.size(), blob_facts::npos) {}

    void run() {
        for (std::size_t i = 0; i < my_plan_.inputs.size(); ++i) pair(my_plan_.inputs[i], their_plan_.inputs[i]);
        for (std::size_t s = 0; s < my_plan_.steps.size() && s < their_plan_.steps.size(); ++s) compare(s);
        if (my_plan_.steps.size() != their_plan_.steps.size())
            throw error(errc::bad_value, "the file has " + std::to_string(their_plan_.steps.size()) +
                                             " layers, this network " + std::to_string(my_plan_.steps.size()));
        for (std::size_t blob : my_plan_.outputs)
            if (std::ranges::find(their_plan_.outputs, counterpart_[blob]) == their_plan_.outputs.end())
                throw error(errc::bad_value, "the output " + in_quotes(my_plan_[my_plan_.blobs[blob].name]) +
                                                 " of this network is no output in the file");
    }

private:
    [[noreturn]] void differ(std::size_t step, const std::string& what) const {
        throw error(errc::bad_value, std::string(their_plan_[their_plan_.steps[step].place]) + ": " + what);
    }
    bool pair(std::size_t my_blob, std::size_t their_blob) {
        if (counterpart_[my_blob] == blob_facts::npos) counterpart_[my_blob] = their_blob;
        return counterpart_[my_blob] == their_blob;
    }

    void compare(std::size_t s) {
        const step_facts& my = my_plan_.steps[s];
        const step_facts& their = their_plan_.steps[s];
        const layer_codec& my_codec = *find_codec(codecs_, *mine_[s]);
        const layer_codec& their_codec = *find_codec(codecs_, *theirs_[s]);
        const auto key = [](const layer_codec& c) {
            return std::string(c.key) + (c.nested_key.empty() ? "" : ".") + std::string(c.nested_key);
        };
        if (my_codec.type != their_codec.type) differ(s, "this network has a layer " + key(my_codec) + " here");
        // a layer that nobody named is called after its key and its number
        const std::string_view my_name = my_plan_[my.name];
        if (!my_name.ends_with(key(my_codec) + "_" + std::to_string(s)) && my_name != their_plan_[their.name])
            differ(s, "this network calls the layer " + in_quotes(my_name));
        if (my.end != their.end || my.parent != their.parent) differ(s, "it ends elsewhere in this network");

        const auto my_in = my_plan_.inputs_of(s), their_in = their_plan_.inputs_of(s);
        const auto my_out = my_plan_.outputs_of(s), their_out = their_plan_.outputs_of(s);
        if (my_in.size() != their_in.size() || my_out.size() != their_out.size())
            differ(s, "the numbers of inputs and outputs are others in this network");
        for (std::size_t i = 0; i < my_in.size(); ++i)
            if (counterpart_[my_in[i]] != their_in[i])
                differ(s, "its input " + in_quotes(their_plan_[their_plan_.blobs[their_in[i]].name]) +
                              " is another blob in this network: " +
                              in_quotes(my_plan_[my_plan_.blobs[my_in[i]].name]));
        for (std::size_t i = 0; i < my_out.size(); ++i)
            if (!pair(my_out[i], their_out[i]))
                differ(s, "its output " + in_quotes(their_plan_[their_plan_.blobs[their_out[i]].name]) +
                              " is another blob in this network: " +
                              in_quotes(my_plan_[my_plan_.blobs[my_out[i]].name]));

        if (const auto* mine = mine_[s]->as<branch_node>()) {
            if (mine->if_branch.step_count() != theirs_[s]->as<branch_node>()->if_branch.step_count())
                differ(s, "its ifBranch has another number of layers in this network");
        } else if (const auto* my_loop = mine_[s]->as<loop_node>()) {
            const auto* their_loop = theirs_[s]->as<loop_node>();
            if (my_loop->condition_network.step_count() != their_loop->condition_network.step_count())
                differ(s, "its conditionNetwork has another number of layers in this network");
            if (my_loop->max_loop_iterations != their_loop->max_loop_iterations)
                differ(s, "maxLoopIterations is " + std::to_string(their_loop->max_loop_iterations) +
                              " in the file, " + std::to_string(my_loop->max_loop_iterations) + " in this network");
            watched_.push_back(s);
        } else {
            const std::string difference =
                written(their_codec, *theirs_[s], their_plan_, s).difference(written(my_codec, *mine_[s], my_plan_, s));
            if (!difference.empty()) differ(s, difference + " in this network");
            for (std::size_t i = 0; i < my.parameter_count; ++i) {
                const auto& my_parameter = my_plan_.parameters[my.first_parameter + i];
                const auto& their_parameter = their_plan_.parameters[their.first_parameter + i];
                if (!(my_parameter.dimensions == their_parameter.dimensions))
                    differ(s, "its " + std::string(my_parameter.name) + " have the shape " +
                                  bespoke::to_text(their_parameter.dimensions) + " in the file, " +
                                  bespoke::to_text(my_parameter.dimensions) + " in this network");
            }
        }
        // conditions are known when their loop has ended
        while (!watched_.empty() && my_plan_.steps[watched_.back()].end == s + 1) {
            const std::size_t loop = watched_.back();
            watched_.pop_back();
            const std::size_t my_condition = my_plan_.steps[loop].watched;
            if ((my_condition == blob_facts::npos ? my_condition : counterpart_[my_condition]) !=
                their_plan_.steps[loop].watched)
                differ(loop, "its conditionVar is another blob in this network");
        }
    }

    object_writer written(const layer_codec& codec, const any_node& node, const plan_view& plan, std::size_t step) {
        std::vector<shape> shapes;
        for (std::size_t blob : plan.inputs_of(step)) shapes.push_back(plan.blobs[blob].dimensions);
        object_writer fields;
        define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::written_place place;
        define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::write_hyper_parameters(codec, node, shapes, fields, place);
        return fields;
    }

    std::vector<const any_node*> mine_, theirs_;
    plan_view my_plan_, their_plan_;
    std::span<const layer_codec> codecs_;
    std::vector<std::size_t> counterpart_;  ///< my blob -> theirs
    std::vector<std::size_t> watched_;      ///< loops around the current step
};

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

layer_list assemble(const plan_view& plan, std::vector<detail::exported_layer>& layers) {
    for (std::size_t s = layers.size(); s-- > 0;) {
        any_node& node = *layers[s].node;
        node.name = plan[plan.steps[s].name];
        node.updatable = plan.steps[s].updatable;
        for (std::size_t blob : plan.inputs_of(s)) node.inputs.emplace_back(plan[plan.blobs[blob].name]);
        for (std::size_t blob : plan.outputs_of(s)) node.outputs.emplace_back(plan[plan.blobs[blob].name]);
        if (layers[s].first == nullptr) continue;
        const std::size_t middle = s + 1 + layers[s].first_steps;
        *layers[s].first = detail::gathered(plan, layers, s + 1, middle);
        *layers[s].second = detail::gathered(plan, layers, middle, plan.steps[s].end);
    }
    return detail::gathered(plan, layers, 0, layers.size());
}

model compose_model(model_settings settings, layer_list layers, const plan_view& plan,
                    std::span<const layer_codec> codecs, void (*fill)(void*, const plan_view&, engine<float>*),
                    void* context) {
    const auto describe = [&](std::vector<feature_description>& list, std::span<const std::size_t> blobs) {
        if (!list.empty()) return;
        for (std::size_t blob : blobs) {
            array_feature_type type;
            type.shape = plan.blobs[blob].dimensions;
            type.data_type = array_data_type::float32;
            list.push_back({std::string(plan[plan.blobs[blob].name]), "", {type}});
        }
    };
    describe(settings.description.input, plan.inputs);
    describe(settings.description.output, plan.outputs);
    model::parts content;
    content.settings = std::move(settings);
    content.layers = std::move(layers);
    content.codecs = codecs;
    content.notes.resize(plan.steps.size());
    for (std::size_t s = 0; s < plan.steps.size(); ++s) {
        content.notes[s].weights.resize(plan.steps[s].parameter_count);
        for (auto& source : content.notes[s].weights) source.updatable = plan.steps[s].updatable;
    }
    content.fill = fill;
    content.context = context;
    return model(std::move(content));
}

model load_same(const std::filesystem::path& path, const layer_list& layers, const plan_view& plan,
                std::span<const layer_codec> codecs) {
    model result = load(path, codecs, {});
    try {
        const auto& description = result.description();
        std::vector<program::named_shape> inputs;
        for (std::size_t i = 0; i < plan.inputs.size(); ++i) {
            const blob_facts& blob = plan.blobs[plan.inputs[i]];
            inputs.push_back({std::string(plan[blob.name]), blob.dimensions});
            if (i >= description.input.size() || description.input[i].name != inputs.back().name)
                throw error(errc::unknown_name, "/description/input/" + std::to_string(i) + ": this network has an input " +
                                                    in_quotes(inputs.back().name) + " here");
            const shape declared = detail::declared_shape(description.input[i], result.settings().array_input_shape_mapping);
            const auto* array = description.input[i].type.multi_array_type();
            if (!(declared == blob.dimensions) && !(array != nullptr && array->accepts(blob.dimensions)))
                throw error(shape_fault("/description/input/", i, " \"", inputs.back().name, "\": the shape ",
                                        blob.dimensions, " wanted for this network, the file has ", declared));
        }
        if (description.input.size() != plan.inputs.size())
            throw error(errc::bad_value, "/description/input: this network has " + std::to_string(plan.inputs.size()) +
                                             " inputs, the file " + std::to_string(description.input.size()));
        result.network().reshape(inputs);
        detail::network_comparison(layers, plan, result.network().layers(), result.network().plan(), codecs).run();
    } catch (const error& problem) {
        throw error(problem.code(), path.string() + ": " + problem.what());
    }
    return result;
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif


/// How a loaded model learns: `update_task task{m, examples, {.epochs = 10}, handlers}` or
/// `update(m, examples, {.epochs = 10})`, where each example is the `features` that the model's
/// `trainingInput` describes.
namespace bespoke {

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

/// What `update_task` and `update` need. Losses, optimizer and numbers are the model's own; `options` may
/// choose other numbers within the ranges that it allows. Throws `error`: errc::not_updatable with every
/// reason of `check_updatable`, or what does not fit in which example.
learner<float> make_learner(model& m, const std::vector<features>& examples, const update_options& options);

/// Every reason why the model cannot be updated, each with its layer and what would help; none: it can.
std::vector<std::string> check_updatable(const model& m);

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit

using define_BESPOKE_IMPLEMENTATION_in_one_translation_unit::check_updatable;

}  // namespace bespoke

#ifdef BESPOKE_IMPLEMENTATION

namespace bespoke {

namespace detail {

/// The losses of a model, and the names of their targets.
struct model_losses {
    std::vector<any_loss<float>> losses;
    std::vector<std::string> targets;
};
inline model_losses losses_of(const network_update_parameters& update) {
    model_losses result;
    for (const loss_layer& layer : update.loss_layers)
        std::visit(
            [&]<class L>(const L& l) {
                result.targets.push_back(l.target);
                if constexpr (std::is_same_v<L, mean_squared_error_loss_layer>)
                    result.losses.push_back(mean_squared_error{.input = l.input, .target = l.target});
                else
                    result.losses.push_back(categorical_cross_entropy{.input = l.input, .target = l.target});
            },
            layer.type);
    return result;
}

/// The value that the caller chose, which the model must allow, or the model's own.
template <class Parameter, class Value>
void choose(const char* name, const std::optional<Parameter>& parameter, const std::optional<Value>& chosen, Value& to) {
    if (parameter) to = static_cast<Value>(parameter->default_value);
    if (!chosen) return;
    if (parameter && !parameter->allows(static_cast<decltype(parameter->default_value)>(*chosen)))
        throw error(errc::bad_argument, std::string("update: the model does not allow the ") + name + " " +
                                            std::to_string(*chosen));
    to = *chosen;
}

/// The optimizer and the settings that the model wants, or the caller where the model allows it.
inline any_optimizer<float> optimizer_of(const network_update_parameters& update, const update_options& options,
                                         update_settings& settings) {
    any_optimizer<float> result = adam{};
    choose("number of epochs", update.epochs, options.epochs, settings.epochs);
    choose("seed", update.seed, options.seed, settings.seed);
    settings.shuffle = options.shuffle.value_or(update.shuffle.value_or(true));
    if (const auto* o = std::get_if<sgd_optimizer>(&update.optimizer)) {
        sgd chosen;
        choose("learning rate", o->learning_rate, options.learning_rate, chosen.learning_rate);
        choose("momentum", o->momentum, options.momentum, chosen.momentum);
        choose("mini-batch size", o->mini_batch_size, options.mini_batch_size, settings.mini_batch_size);
        result = chosen;
    } else if (const auto* a = std::get_if<adam_optimizer>(&update.optimizer)) {
        adam chosen;
        choose("learning rate", a->learning_rate, options.learning_rate, chosen.learning_rate);
        choose("beta1", a->beta1, options.beta1, chosen.beta1);
        choose("beta2", a->beta2, options.beta2, chosen.beta2);
        choose("eps", a->eps, options.eps, chosen.eps);
        choose("mini-batch size", a->mini_batch_size, options.mini_batch_size, settings.mini_batch_size);
        result = chosen;
    }
    apply_options(options, settings, result.parameters());
    return result;
}

/// The numbers of one example for a target of `size` elements.
inline void read_target(const model_settings& settings, const std::string& name, const feature_value& value,
                        std::size_t size, const std::string& place, std::vector<float>& to) {
    const bool is_label = name == settings.description.predicted_feature_name;
    const auto class_of = [&](const auto& labels, const auto& label, const std::string& text) {
        const auto found = std::find(labels.begin(), labels.end(), label);
        if (found == labels.end())
            throw error(errc::bad_value, place + ": a class label of the model wanted, " + text + " came");
        to.push_back(static_cast<float>(found - labels.begin()));
    };
    if (const auto* text = std::get_if<std::string>(&value)) {
        const auto* labels = std::get_if<string_sequence>(&settings.class_labels);
        if (!is_label || labels == nullptr)
            throw error(errc::bad_value, place + ": a number wanted, " + in_quotes(*text) + " came");
        return class_of(*labels, *text, in_quotes(*text));
    }
    if (const auto* number = std::get_if<std::int64_t>(&value)) {
        const auto* labels = std::get_if<int64_sequence>(&settings.class_labels);
        if (is_label && labels != nullptr) return class_of(*labels, *number, std::to_string(*number));
        to.push_back(static_cast<float>(*number));
        return;
    }
    if (const auto* number = std::get_if<double>(&value)) {
        to.push_back(static_cast<float>(*number));
        return;
    }
    const auto* array = std::get_if<multi_array>(&value);
    if (array == nullptr || static_cast<std::size_t>(array->shape().size()) != size)
        throw error(errc::bad_value, place + ": " + std::to_string(size) + (size == 1 ? " number" : " numbers") +
                                         " wanted, " + bespoke::to_text(value) + " came");
    to.resize(to.size() + size);
    std::visit([&](const auto& values) { copy_elements(values, to.data() + (to.size() - size)); }, array->values());
}

}  // namespace detail

namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit {

std::vector<std::string> check_updatable(const model& m) {
    const model_settings& settings = m.settings();
    std::vector<std::string> reasons;
    if (!settings.is_updatable) reasons.push_back("the model is not marked updatable (\"isUpdatable\")");
    if (!settings.update_parameters) {
        reasons.push_back("the model does not say how (\"updateParams\")");
        return reasons;
    }
    const plan_view& plan = m.network().plan();
    for (std::size_t i = 0; i < plan.parameters.size(); ++i) {
        const parameter_facts& p = plan.parameters[i];
        if (plan.steps[p.step].updatable && p.learned && p.dimensions.size() > 0 && !m.marked_updatable(i))
            reasons.push_back(std::string(plan[plan.steps[p.step].place]) + ": it is updatable, but its " +
                              std::string(p.name) + " are not marked so (\"isUpdatable\")");
    }
    if (std::holds_alternative<std::monostate>(settings.update_parameters->optimizer))
        reasons.push_back("no optimizer: name one in \"updateParams\"");
    const auto [losses, targets] = detail::losses_of(*settings.update_parameters);
    for (const std::string& target : targets) {
        bool found = false;
        for (const auto& feature : settings.description.training_input) found |= feature.name == target;
        if (!found)
            reasons.push_back("the loss wants the target " + in_quotes(target) +
                              ", which \"trainingInput\" does not describe");
    }
    const auto more = trainer<float>::check_trainable(plan, losses, train::updatable_layers);
    reasons.insert(reasons.end(), more.begin(), more.end());
    return reasons;
}

learner<float> make_learner(model& m, const std::vector<features>& examples, const update_options& options) {
    const model_settings& settings = m.settings();
    if (const auto reasons = check_updatable(m); !reasons.empty()) {
        std::string all = "this model cannot be updated";
        for (const auto& reason : reasons) all += "\n  " + reason;
        throw error(errc::not_updatable, all);
    }
    if (examples.empty()) throw error(errc::bad_argument, "update: at least one example wanted, none came");
    const network_update_parameters& update = *settings.update_parameters;
    learner<float> result;
    any_optimizer<float> optimizer = detail::optimizer_of(update, options, result.settings);
    const auto [losses, target_names] = detail::losses_of(update);

    check_features("example 0: training input", settings.description.training_input, examples.front());
    m.reshape(examples.front());
    result.training = std::make_unique<trainer<float>>(m.network(), losses, std::move(optimizer));
    const plan_view& plan = m.network().plan();
    std::vector<std::vector<float>> inputs(plan.inputs.size()), targets(losses.size());
    for (std::size_t e = 0; e < examples.size(); ++e) {
        const std::string place = "example " + std::to_string(e);
        check_features(place + ": training input", settings.description.training_input, examples[e]);
        if (!m.is_planned_for(examples[e]))
            throw error(errc::shape_mismatch, place + ": it has other shapes than example 0");
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            const auto size = static_cast<std::size_t>(plan.blobs[plan.inputs[i]].dimensions.size());
            inputs[i].resize((e + 1) * size);
            m.read_input(i, examples[e], inputs[i].data() + e * size);
        }
        for (std::size_t l = 0; l < losses.size(); ++l) {
            const std::string& name = target_names[l];
            const shape& x = plan.blobs[plan.find_blob(losses[l].input())].dimensions;
            const auto size = static_cast<std::size_t>(losses[l].target_size(x));
            const std::string target_place = place + ": target " + in_quotes(name);
            detail::read_target(settings, name, examples[e].at(name), size, target_place, targets[l]);
            if (targets[l].size() != (e + 1) * size)
                throw error(errc::bad_value, target_place + ": " + std::to_string(size) + " numbers wanted, 1 came");
        }
    }
    const std::vector<example_data<float>> in(inputs.begin(), inputs.end()), wanted(targets.begin(), targets.end());
    result.training->load(examples.size(), in, wanted);
    return result;
}

}  // namespace define_BESPOKE_IMPLEMENTATION_in_one_translation_unit
}  // namespace bespoke

#endif  // BESPOKE_IMPLEMENTATION
