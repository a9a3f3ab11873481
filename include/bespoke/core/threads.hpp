#pragma once

#include "error.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace bespoke {

/// A fixed set of worker threads that run pieces of one loop.
///
/// Made once, before the first prediction; `run` makes no thread and allocates nothing. A worker waits for the next
/// loop without sleeping for some tens of microseconds, as the loops of one prediction follow each other closely; then
/// it sleeps until it is woken, for which alone there is a lock. A pool of one thread has no worker: everything runs on
/// the caller. One caller at a time.
class thread_pool {
public:
    /// Throws `error` where the system does not give so many.
    explicit thread_pool(std::size_t threads = 1) {
        try {
            for (std::size_t i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
        } catch (const std::exception&) {  // std::system_error, or no memory for the list
            const std::size_t made = size();
            end();
            throw error(errc::bad_argument, std::to_string(threads) + " threads wanted, the system gives " +
                                                std::to_string(made));
        }
    }
    thread_pool(const thread_pool&) = delete;
    thread_pool& operator=(const thread_pool&) = delete;
    ~thread_pool() { end(); }

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
    void end() {
        task_ = nullptr;
        start();
        for (auto& worker : workers_) worker.join();
    }
    /// What was written before is seen by the workers. Of a worker that counts itself and then looks, and a caller that
    /// begins a loop and then looks for sleepers, one sees what the other one did. Not std::atomic::wait: where the
    /// system has no futex, libstdc++ 12 may sleep through the notification.
    void start() {
        generation_.fetch_add(1);
        if (sleepers_.load() == 0) return;
        const std::lock_guard lock(mutex_);
        woken_.notify_all();
    }
    void sleep(unsigned seen) {
        std::unique_lock lock(mutex_);
        ++sleepers_;
        woken_.wait(lock, [&] { return generation_.load() != seen; });
        --sleepers_;
    }

    void work(std::size_t index) {
        constexpr unsigned turns = 2000;
        for (unsigned seen = 0;; ++seen) {
            unsigned turn = 0;
            while (generation_.load(std::memory_order_acquire) == seen)
                if (++turn < turns)
                    pause(turn);
                else
                    sleep(seen);
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
    std::atomic<unsigned> sleepers_ = 0;
    std::mutex mutex_;
    std::condition_variable woken_;
    std::atomic<std::size_t> pending_ = 0;  ///< workers that have not ended the loop
};

namespace detail {

/// `parallel_for` behind a function pointer, so that each loop adds little code.
[[gnu::noinline]] inline void parallel_for(thread_pool* pool, extent count, extent grain,
                                           void (*body)(const void* context, extent begin, extent end),
                                           const void* context) {
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

/// A `const Body*` behind a function pointer, which costs the compiler less than a lambda that becomes one.
template <class Body, class... Arguments>
void call_body(const void* body, Arguments... arguments) noexcept {
    (*static_cast<const Body*>(body))(arguments...);
}

}  // namespace detail

/// Calls `body(begin, end)` over disjoint ranges that cover [0, count), one range a thread.
///
/// Ranges split outputs, never a sum, and begin at multiples of `grain`: what is computed for an index
/// does not depend on the number of threads. `pool` may be null: then the caller does it all. A body that throws ends
/// the program, as the other threads could not be called back.
template <class Body>
void parallel_for(thread_pool* pool, extent count, extent grain, const Body& body) {
    detail::parallel_for(pool, count, grain, &detail::call_body<Body, extent, extent>, &body);
}

}  // namespace bespoke
