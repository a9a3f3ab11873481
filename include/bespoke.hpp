#pragma once
#include "bespoke/bespoke.hpp"
