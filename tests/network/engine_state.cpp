#include <bespoke/network/engine_state.hpp>
