#pragma once

#include "fault.hpp"

#include <new>
#include <stdexcept>
#include <string>
#include <string_view>

namespace bespoke {

/// What the library throws: a code for programs and a sentence for people. Where not even a list or a name finds memory
/// it is std::bad_alloc. A call that throws has changed nothing unless something else is said. Kernels and layers never
/// throw.
class error : public std::runtime_error {
public:
    // Not inline: it is thrown in a hundred places.
    [[gnu::noinline]] error(errc code, const std::string& what) : std::runtime_error(what), code_(code) {}
    /// Control characters, which the names in a file may hold, stand as '?'.
    explicit error(const fault& problem) : error(problem.code, printable(problem.what.view())) {}

    errc code() const noexcept { return code_; }

private:
    static std::string printable(std::string_view text) {
        std::string result(text);
        for (char& c : result)
            if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
        return result;
    }

    errc code_;
};

/// Calls `take`, which takes memory. Throws an `error` that begins with `parts` where it is not there.
template <class Take, class... Parts>
void take_memory(const Take& take, const Parts&... parts) {
    try {
        take();
    } catch (const std::bad_alloc&) {
        throw error(value_fault(parts..., ", there is no memory for them"));
    }
}

/// What is wrong with an object whose content is elsewhere.
[[noreturn]] inline void throw_moved_from(const char* what) {
    throw error(errc::bad_argument, std::string(what) + " was moved from: assign another one to it before it is used");
}

}  // namespace bespoke
