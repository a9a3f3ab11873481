# What a program pays to include bespoke: processor seconds (the best of three) and memory to compile, one file at a
# time, without a cache.
#
# cmake -DCOMPILER=g++ -DINCLUDE=include [-DFLAGS="-O2"] [-DTIMES=3] -P run.cmake
cmake_minimum_required(VERSION 3.20)
if(NOT COMPILER OR NOT INCLUDE)
  message(FATAL_ERROR "COMPILER and INCLUDE wanted, see the first lines of run.cmake")
endif()
if(NOT DEFINED FLAGS)
  set(FLAGS -O2)
endif()
if(NOT DEFINED TIMES)
  set(TIMES 3)
endif()
separate_arguments(FLAGS)

set(directory ${CMAKE_CURRENT_LIST_DIR})
execute_process(COMMAND mktemp -d OUTPUT_VARIABLE scratch OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${COMPILER} -std=c++20 ${directory}/measure.cpp -o ${scratch}/measure
                COMMAND_ERROR_IS_FATAL ANY)

string(JOIN " " shown -std=c++20 ${FLAGS})
message("${COMPILER} ${shown}\n")
message("seconds     MiB  target")

# row(SOURCE WHAT [SECONDS] [DEFINITIONS...]): SECONDS is what it may take at most, "" for no limit.
function(row source what)
  set(definitions "${ARGN}")
  set(limit "")
  if(definitions)
    list(POP_FRONT definitions limit)
  endif()
  execute_process(COMMAND ${scratch}/measure ${TIMES} ${COMPILER} -std=c++20 ${FLAGS} ${definitions} -I${INCLUDE}
                          -c ${directory}/${source}.cpp -o ${scratch}/out.o
                  OUTPUT_VARIABLE figures ERROR_VARIABLE problem RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    file(REMOVE_RECURSE ${scratch})
    message(FATAL_ERROR "${source}.cpp does not compile:\n${problem}")
  endif()
  list(GET figures 0 seconds)
  list(GET figures 1 memory)
  math(EXPR memory "${memory} / 1024")
  string(LENGTH "${seconds}" length)
  math(EXPR length "7 - ${length}")
  string(REPEAT " " ${length} before_seconds)
  string(LENGTH "${memory}" length)
  math(EXPR length "8 - ${length}")
  string(REPEAT " " ${length} before_memory)
  set(target "      ")
  if(limit)
    set(target "<= ${limit}")
  endif()
  message("${before_seconds}${seconds}${before_memory}${memory}  ${target}  ${what}")
endfunction()

row(libraries "xtensor and xsimd alone")
row(header "#include <bespoke.hpp>" 4.0)
row(network "a small composed network that predicts and learns, beside an implementation" 6.0
    -DBESPOKE_EXTERN_TEMPLATES)
row(network "the same with nothing beside it")
row(deep "a composed network of 64 layers that predicts, beside an implementation" "" -DBESPOKE_EXTERN_TEMPLATES)
row(bert "BERT-base composed, that predicts, beside an implementation" 25.0 -DBESPOKE_EXTERN_TEMPLATES)
row(implementation "BESPOKE_IMPLEMENTATION: files, the JSON loader, every layer" 60.0)
set(halves ../../.cmake)
row(${halves}/implementation "one of its two files, as bespoke::implementation has them: files, the JSON loader" 60.0)
row(${halves}/implementation_of_layers "the other: every layer, engine, training" 60.0)
file(REMOVE_RECURSE ${scratch})
