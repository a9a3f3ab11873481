#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <new>
#ifdef _WIN32
#include <malloc.h>
#endif

/// Replaces the allocator of the program: included by one file of a test program.
namespace {

std::atomic<std::size_t> allocations = 0;  ///< so far
std::atomic<std::size_t> scarce_from = std::numeric_limits<std::size_t>::max();

/// While it lives, memory is there for `more` allocations and no further one.
struct scarce_memory {
    explicit scarce_memory(std::size_t more) { scarce_from = allocations + more; }
    scarce_memory(const scarce_memory&) = delete;
    scarce_memory& operator=(const scarce_memory&) = delete;
    ~scarce_memory() { scarce_from = std::numeric_limits<std::size_t>::max(); }
};

/// Calls `action` with memory for no allocation, for one, and so on, until it throws no more; `check` after each time
/// that it has thrown. How often that was.
template <class Action, class Check>
[[maybe_unused]] std::size_t with_scarce_memory(const Action& action, const Check& check) {
    for (std::size_t more = 0;; ++more) {
        bool failed = false;
        try {
            const scarce_memory scarce(more);
            action();
        } catch (...) {
            failed = true;
        }
        if (!failed) return more;
        check();
    }
}

void* counted_allocation(std::size_t size, std::size_t alignment) {
    if (allocations++ >= scarce_from) throw std::bad_alloc();
    if (size > std::size_t{1} << 36) throw std::bad_alloc();  // the sanitizers' allocator would have room for it
    size = (std::max<std::size_t>(size, 1) + alignment - 1) / alignment * alignment;
#ifdef _WIN32
    void* const memory = _aligned_malloc(size, alignment);
#else
    void* const memory = std::aligned_alloc(alignment, size);
#endif
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
}

void free_counted(void* memory) noexcept {
#ifdef _WIN32
    _aligned_free(memory);
#else
    std::free(memory);
#endif
}

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) { return counted_allocation(size, alignof(std::max_align_t)); }
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
    return counted_allocation(size, static_cast<std::size_t>(alignment));
}
// the sanitizers bring one of their own otherwise
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    try {
        return counted_allocation(size, alignof(std::max_align_t));
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { free_counted(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { free_counted(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept { free_counted(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { free_counted(memory); }
