#pragma once

#include "fault.hpp"

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
