#pragma once

#include "../layers/all.hpp"
#include "update_task.hpp"

/// What every program needs for float, compiled once.
///
/// A program that says `#define BESPOKE_IMPLEMENTATION` in one of its files has all of this there. Its other files
/// may say `#define BESPOKE_EXTERN_TEMPLATES` and then do not compile it again, which takes most of the time that a
/// composed network takes. All of them want the same compiler flags.
///
/// Two files may share the work, as the CMake target `bespoke::implementation` does, half and half: one says
/// `#define BESPOKE_IMPLEMENTATION_OF_LAYERS` and has what stands here, the other says BESPOKE_IMPLEMENTATION and
/// `BESPOKE_LAYERS_ELSEWHERE` and has files and the loader.

#if defined(BESPOKE_IMPLEMENTATION_OF_LAYERS) && defined(BESPOKE_IMPLEMENTATION)
#error "BESPOKE_IMPLEMENTATION has the layers, unless it says BESPOKE_LAYERS_ELSEWHERE: then another file has them"
#endif

#if defined(BESPOKE_IMPLEMENTATION) || defined(BESPOKE_IMPLEMENTATION_OF_LAYERS) || defined(BESPOKE_EXTERN_TEMPLATES)

#if defined(BESPOKE_IMPLEMENTATION_OF_LAYERS) || \
    (defined(BESPOKE_IMPLEMENTATION) && !defined(BESPOKE_LAYERS_ELSEWHERE))
#define BESPOKE_INSTANCE template
#else
#define BESPOKE_INSTANCE extern template
#endif

namespace bespoke {

BESPOKE_INSTANCE class network_parameters<float>;
BESPOKE_INSTANCE class network_memory<float>;
BESPOKE_INSTANCE class engine_state<float>;
BESPOKE_INSTANCE class engine<float>;

BESPOKE_INSTANCE void forward_layer(engine_state<float>&, const layer_functions<float>&, const void*, std::size_t);
BESPOKE_INSTANCE void backward_layer(engine_state<float>&, const layer_gradients<float>&, const void*, std::size_t);

BESPOKE_INSTANCE void kernels::detail::move_strided(kernels::strided_walk, const float*, float*, bool,
                                                    thread_pool*) noexcept;
BESPOKE_INSTANCE void kernels::pack(const float*, extent, extent, extent, extent, float*, thread_pool*) noexcept;
BESPOKE_INSTANCE void kernels::pack_weights(const arithmetic&, const float*, extent, extent, float*) noexcept;
BESPOKE_INSTANCE void kernels::detail::multiply(const kernels::detail::matrix_product<float>&, thread_pool*) noexcept;
BESPOKE_INSTANCE void kernels::unpacked_gemm(extent, extent, extent, const float*, const float*, float*, const float*,
                                             float*, thread_pool*, const epilogue<float>*) noexcept;
BESPOKE_INSTANCE void kernels::detail::unprepared_gemm(extent, extent, extent, const float*, const float*, float*,
                                                       const float*, const workspace<float>&) noexcept;
BESPOKE_INSTANCE void kernels::detail::low_precision_gemm(low_precision, extent, extent, extent, const float*,
                                                          const float*, float*, const float*,
                                                          const workspace<float>&) noexcept;
BESPOKE_INSTANCE void kernels::detail::narrow_product_dynamic(extent, extent, const float*, const float*, const float*,
                                                              float*) noexcept;
BESPOKE_INSTANCE void kernels::softmax(extent, extent, extent, const float*, float*, thread_pool*) noexcept;

#define BESPOKE_LAYER_INSTANCES(L)                                               \
    BESPOKE_INSTANCE const layer_functions<float> functions_of<float, L>::value; \
    BESPOKE_INSTANCE const layer_gradients<float> gradients_of<float, L>::value;
BESPOKE_CORE_LAYERS(BESPOKE_LAYER_INSTANCES)
#undef BESPOKE_LAYER_INSTANCES

BESPOKE_INSTANCE std::shared_ptr<const any_loss<float>::interface> any_loss<float>::hold(categorical_cross_entropy);
BESPOKE_INSTANCE std::shared_ptr<const any_loss<float>::interface> any_loss<float>::hold(mean_squared_error);
BESPOKE_INSTANCE std::shared_ptr<const any_loss<float>::interface>
any_loss<float>::hold(binary_cross_entropy_with_logits);
BESPOKE_INSTANCE std::shared_ptr<const any_loss<float>::interface> any_loss<float>::hold(huber);
BESPOKE_INSTANCE std::unique_ptr<any_optimizer<float>::interface> any_optimizer<float>::hold(sgd);
BESPOKE_INSTANCE std::unique_ptr<any_optimizer<float>::interface> any_optimizer<float>::hold(adam);
BESPOKE_INSTANCE struct training_plan<float>;
BESPOKE_INSTANCE class trainer<float>;
BESPOKE_INSTANCE learner<float> make_learner(trainable<float>, const training_setup<float>&, const update_options&);
BESPOKE_INSTANCE void run_epochs(learner<float>&, update_progress&, void (*)(void*, update_event), void*);

}  // namespace bespoke

#undef BESPOKE_INSTANCE
#endif
