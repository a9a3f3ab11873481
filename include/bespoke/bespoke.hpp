#pragma once

/// bespoke: neural networks, made to measure.
///
/// One header for everything. Composed networks need nothing more. Files and models that are loaded are
/// defined where one translation unit of the program says `#define BESPOKE_IMPLEMENTATION` before it
/// includes this.

#include "version.hpp"

#if defined(_MSC_VER) && !defined(__clang__)
#error bespoke wants g++ 12 or clang 14 (or later): MSVC is not supported
#endif
#if __cplusplus < 202002L
#error bespoke is C++20: compile with -std=c++20
#endif
#ifndef __cpp_exceptions
#error bespoke throws its errors: compile without -fno-exceptions
#endif
#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || __FINITE_MATH_ONLY__
#error bespoke would compute wrong numbers: compile without -ffast-math and -Ofast in the files that include it
#endif

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"  // these are for a program's own code
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wold-style-cast"

#include "core/tensor.hpp"

#include "graph/inspect.hpp"

#include "layers/all.hpp"

#include "control/branch.hpp"
#include "control/loop.hpp"
#include "control/repeat.hpp"
#include "control/residual.hpp"
#include "control/sequence.hpp"

#include "network/network.hpp"
#include "network/program.hpp"

#include "training/check_gradients.hpp"
#include "training/instances.hpp"
#include "training/update_task.hpp"

// What runs once a file g++ optimizes less, in a tenth less time for all of the implementation.
#if defined(BESPOKE_IMPLEMENTATION) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__) && !defined(__clang__)
#define BESPOKE_RUNS_ONCE _Pragma("GCC push_options") _Pragma("GCC optimize(\"O1\")")
#define BESPOKE_RUNS_OFTEN _Pragma("GCC pop_options")
#else
#define BESPOKE_RUNS_ONCE
#define BESPOKE_RUNS_OFTEN
#endif
#include "model/base64.hpp"
#include "model/feature.hpp"
#include "model/float16.hpp"
#include "model/json.hpp"
BESPOKE_RUNS_ONCE
#include "model/description_codec.hpp"
#include "model/network_codec.hpp"
#include "model/update_parameters.hpp"
BESPOKE_RUNS_OFTEN
#include "model/model_predict.hpp"
BESPOKE_RUNS_ONCE
#include "model/checkpoint.hpp"
#include "model/model.hpp"
#include "model/network_files.hpp"
#include "model/update.hpp"

#include "convert/mlmodel.hpp"
BESPOKE_RUNS_OFTEN
#undef BESPOKE_RUNS_ONCE
#undef BESPOKE_RUNS_OFTEN

#pragma GCC diagnostic pop
