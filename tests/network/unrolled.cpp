#include <bespoke/network/unrolled.hpp>
