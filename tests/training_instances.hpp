#pragma once

#include "instances.hpp"

#include <bespoke/training/instances.hpp>

// What tests that learn need in double, and the layers that they share, beside what the implementation has in float.

DOUBLE_IN_INSTANCES(add)
DOUBLE_IN_INSTANCES(batchnorm)
DOUBLE_IN_INSTANCES(convolution)
DOUBLE_IN_INSTANCES(copy)
DOUBLE_IN_INSTANCES(flatten)
DOUBLE_IN_INSTANCES(inner_product)
DOUBLE_IN_INSTANCES(linear)
DOUBLE_IN_INSTANCES(multiply)
DOUBLE_IN_INSTANCES(pooling)
DOUBLE_IN_INSTANCES(relu)
DOUBLE_IN_INSTANCES(softmax)
DOUBLE_IN_INSTANCES(softmax_nd)
DOUBLE_IN_INSTANCES(tanh)

namespace bespoke {

TEST_INSTANCE std::shared_ptr<const any_loss<double>::interface> any_loss<double>::hold(categorical_cross_entropy);
TEST_INSTANCE std::shared_ptr<const any_loss<double>::interface> any_loss<double>::hold(mean_squared_error);
TEST_INSTANCE std::unique_ptr<any_optimizer<double>::interface> any_optimizer<double>::hold(sgd);
TEST_INSTANCE std::unique_ptr<any_optimizer<double>::interface> any_optimizer<double>::hold(adam);
TEST_INSTANCE struct training_plan<double>;
TEST_INSTANCE class trainer<double>;

}  // namespace bespoke
