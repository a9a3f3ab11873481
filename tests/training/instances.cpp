#include <bespoke/training/instances.hpp>
