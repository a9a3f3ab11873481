#pragma once

#include <bespoke/core/error.hpp>

#include <string>

namespace check {

/// What `action` throws as bespoke::error.
struct failure {
    template <class Action>
    explicit failure(Action action) {
        try {
            action();
            text = "nothing is thrown";
        } catch (const bespoke::error& e) {
            code = static_cast<int>(e.code());
            text = e.what();
        }
    }
    bool is(bespoke::errc wanted) const { return code == static_cast<int>(wanted); }

    int code = -1;
    std::string text;
};

}  // namespace check
