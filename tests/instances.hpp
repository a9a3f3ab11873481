#pragma once

#include <bespoke/network/engine.hpp>

// What most tests need of the engine. For float it is in the implementation that they link, for double in
// instances.cpp.

#ifdef TEST_INSTANCES
#define TEST_INSTANCE template
#else
#define TEST_INSTANCE extern template
#endif

namespace bespoke {

extern template class network_memory<float>;
extern template class engine_state<float>;
extern template class engine<float>;
extern template void forward_layer(engine_state<float>&, const layer_functions<float>&, const void*, std::size_t);
extern template void backward_layer(engine_state<float>&, const layer_gradients<float>&, const void*, std::size_t);

TEST_INSTANCE class network_memory<double>;
TEST_INSTANCE class engine_state<double>;
TEST_INSTANCE class engine<double>;
TEST_INSTANCE void forward_layer(engine_state<double>&, const layer_functions<double>&, const void*, std::size_t);
TEST_INSTANCE void backward_layer(engine_state<double>&, const layer_gradients<double>&, const void*, std::size_t);

}  // namespace bespoke

#define TEST_LAYER_INSTANCE(KIND, T, L)                                                            \
    KIND const bespoke::layer_functions<T> bespoke::functions_of<T, bespoke::L>::value; \
    KIND const bespoke::layer_gradients<T> bespoke::gradients_of<T, bespoke::L>::value;

/// What the layer L of the list does in float is in the implementation as well.
#define FLOAT_IN_IMPLEMENTATION(L) TEST_LAYER_INSTANCE(extern template, float, L)
/// What a layer of those in training_instances.hpp does in double is in instances.cpp.
#define DOUBLE_IN_INSTANCES(L) TEST_LAYER_INSTANCE(TEST_INSTANCE, double, L)
