# Makes the single header: every project include is replaced, where it first occurs, by the file it names.
#
#   cmake -DROOT=include -DOUT=single_include/bespoke.hpp -P amalgamate.cmake
#   cmake -DROOT=include -DOUT=x.hpp -DCURRENT=single_include/bespoke.hpp -P amalgamate.cmake   (fails if they differ)
#
# Sound because of four rules about the headers, each checked here: a project include is written "...", never stands
# inside #if, every file ends in a newline, and every header is reached from bespoke.hpp.
cmake_minimum_required(VERSION 3.20)
get_filename_component(ROOT "${ROOT}" ABSOLUTE)

# Appends `file` to the global property `text`. Lines are cut by position, because a CMake list of lines would lose
# empty lines and semicolons.
function(append_file file)
  get_property(seen GLOBAL PROPERTY seen)
  if(file IN_LIST seen)
    return()
  endif()
  set_property(GLOBAL APPEND PROPERTY seen "${file}")
  get_filename_component(folder "${file}" DIRECTORY)
  file(RELATIVE_PATH name "${ROOT}" "${file}")
  file(READ "${file}" rest)
  set(depth 0)
  while(NOT rest STREQUAL "")
    string(FIND "${rest}" "\n" length)
    if(length EQUAL -1)
      message(FATAL_ERROR "${name}: the last line does not end in a newline")
    endif()
    string(SUBSTRING "${rest}" 0 ${length} line)
    math(EXPR length "${length} + 1")
    string(SUBSTRING "${rest}" ${length} -1 rest)
    if(line MATCHES "^[ \t]*#[ \t]*pragma[ \t]+once")
      continue()
    elseif(line MATCHES "^[ \t]*#[ \t]*include[ \t]*\"([^\"]+)\"")
      if(depth GREATER 0)
        message(FATAL_ERROR "${name}: \"${CMAKE_MATCH_1}\" is included inside #if; project includes stand outside")
      endif()
      get_filename_component(next "${CMAKE_MATCH_1}" ABSOLUTE BASE_DIR "${folder}")
      if(NOT EXISTS "${next}")
        message(FATAL_ERROR "${name}: includes \"${CMAKE_MATCH_1}\", which does not exist")
      endif()
      append_file("${next}")
      continue()
    elseif(line MATCHES "^[ \t]*#[ \t]*include[ \t]*<bespoke")
      message(FATAL_ERROR "${name}: project includes are relative and in quotes: ${line}")
    elseif(line MATCHES "^[ \t]*#[ \t]*if")
      math(EXPR depth "${depth} + 1")
    elseif(line MATCHES "^[ \t]*#[ \t]*endif")
      math(EXPR depth "${depth} - 1")
    endif()
    set_property(GLOBAL APPEND_STRING PROPERTY text "${line}\n")
  endwhile()
endfunction()

append_file("${ROOT}/bespoke.hpp")

get_property(seen GLOBAL PROPERTY seen)
file(GLOB_RECURSE headers "${ROOT}/*.hpp")
foreach(header IN LISTS headers)
  if(NOT header IN_LIST seen)
    file(RELATIVE_PATH name "${ROOT}" "${header}")
    list(APPEND missing "${name}")
  endif()
endforeach()
if(missing)
  list(JOIN missing ", " missing)
  message(FATAL_ERROR "not reached from bespoke.hpp: ${missing}")
endif()

file(READ "${CMAKE_CURRENT_LIST_DIR}/../LICENSE" license)
string(STRIP "${license}" license)
string(REPLACE "\n" "\n// " license "// ${license}")
string(REPLACE "// \n" "//\n" license "${license}")
get_property(text GLOBAL PROPERTY text)
file(WRITE "${OUT}" "#pragma once\n"
     "// bespoke in one file, made by single_include/amalgamate.cmake: change include/bespoke/, then make it again with\n"
     "// cmake --build build/release --target single_header\n//\n${license}\n\n${text}")

if(CURRENT)
  execute_process(COMMAND ${CMAKE_COMMAND} -E compare_files "${OUT}" "${CURRENT}" RESULT_VARIABLE differs)
  if(differs)
    message(FATAL_ERROR "${CURRENT} is not what include/bespoke/ gives now. "
                        "Make it again: cmake --build build/release --target single_header")
  endif()
endif()
