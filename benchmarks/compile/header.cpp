#include <bespoke.hpp>
