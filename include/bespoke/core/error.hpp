#pragma once

#include "fault.hpp"

#include <stdexcept>
#include <string>
#include <string_view>

namespace bespoke {

/// What the library throws: a code for programs and a sentence for people. Kernels and layers never throw.
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

}  // namespace bespoke
