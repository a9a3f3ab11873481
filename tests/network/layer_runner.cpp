#include <bespoke/network/layer_runner.hpp>
