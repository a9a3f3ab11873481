// The one file of the tests that compiles what instances.hpp and training_instances.hpp list.
#define TEST_INSTANCES
#include "training_instances.hpp"
