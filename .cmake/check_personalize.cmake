# Runs `personalize --json` and compares its object with what the library promises: at least the accuracy of PyTorch
# doing the same (0.91 on the old digits, 0.76 on the new), and the same bits after reloading and through both doors.
#
#   cmake -DPERSONALIZE=build/release/examples/personalize -P .cmake/check_personalize.cmake
cmake_minimum_required(VERSION 3.20)
execute_process(COMMAND "${PERSONALIZE}" --json OUTPUT_VARIABLE result RESULT_VARIABLE code)
message(STATUS "${result}")
if(NOT code EQUAL 0)
  message(FATAL_ERROR "personalize --json ended with ${code}")
endif()
foreach(key old_before old_after new_before new_after update_seconds reload_same_bits doors_same_bits)
  string(JSON ${key} GET "${result}" ${key})
endforeach()
if(old_after LESS 0.91 OR new_after LESS 0.76)
  message(FATAL_ERROR "accuracy: ${old_after} on old digits (0.91 wanted), ${new_after} on new ones (0.76 wanted)")
endif()
if(NOT reload_same_bits OR NOT doors_same_bits)
  message(FATAL_ERROR "bits differ: after reloading ${reload_same_bits}, through both doors ${doors_same_bits}")
endif()
