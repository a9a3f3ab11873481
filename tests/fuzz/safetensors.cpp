// Any bytes are a safetensors file or a bespoke::error, and memory is bounded by their number.
// What is accepted is written and read back as the same file.
#define BESPOKE_IMPLEMENTATION
#include <bespoke/model/safetensors.hpp>

#include "check.hpp"

#include <cstdlib>
#include <new>

using namespace bespoke;
using fuzz::check;

namespace {

std::size_t allocated = 0;  ///< bytes asked for, freed or not

}  // namespace

// Not inlined, or g++ takes malloc here and delete elsewhere for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size) {
    allocated += size;
    if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
    throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {  // libFuzzer's own
    return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    const std::size_t before = allocated, bound = 64 * size + 4096;
    try {
        const safetensors file = safetensors::parse({bytes.begin(), bytes.end()}, "fuzz");
        check(allocated - before <= bound);
        for (const tensor_entry& e : file.entries()) {
            check(file.find(e.name) == &e);
            if (e.dtype == "F32" || e.dtype == "F64" || e.dtype == "F16" || e.dtype == "BF16")
                check(static_cast<extent>(to_floats(e).size()) == e.dimensions.size());
        }
        const auto written = to_safetensors(file.entries(), file.metadata());
        const safetensors again = safetensors::parse(written, "written");
        check(to_safetensors(again.entries(), again.metadata()) == written);
    } catch (const error& problem) {
        check(allocated - before <= bound);
        check(std::string_view(problem.what()).starts_with("fuzz: "));
    }
    return 0;
}
