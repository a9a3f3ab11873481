# For the presets of other machines: Debian's cross compiler for BESPOKE_MACHINE, and what runs its programs here. The
# libraries are the headers of this machine, in a folder of their own, as those of its C library are not to be found.
set(CMAKE_SYSTEM_PROCESSOR ${BESPOKE_MACHINE})
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES BESPOKE_MACHINE)
if(BESPOKE_MACHINE STREQUAL "windows")
  set(CMAKE_SYSTEM_NAME Windows)
  set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++-posix)
  set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
  set(CMAKE_CROSSCOMPILING_EMULATOR wine)
else()
  set(CMAKE_SYSTEM_NAME Linux)
  set(CMAKE_CXX_COMPILER ${BESPOKE_MACHINE}-linux-gnu-g++)
  set(CMAKE_CROSSCOMPILING_EMULATOR qemu-${BESPOKE_MACHINE}-static -L /usr/${BESPOKE_MACHINE}-linux-gnu)
endif()

set(libraries ${CMAKE_BINARY_DIR}/libraries)
file(MAKE_DIRECTORY ${libraries}/include ${libraries}/lib)
foreach(library include/xtensor include/xtl include/xsimd include/nlohmann include/protozero include/catch2
                lib/libCatch2WithMain.a)
  file(CREATE_LINK /usr/${library} ${libraries}/${library} SYMBOLIC)
endforeach()
foreach(package lib/${CMAKE_HOST_SYSTEM_PROCESSOR}-linux-gnu/cmake/xtensor share/cmake/xtl share/cmake/nlohmann_json
                lib/${CMAKE_HOST_SYSTEM_PROCESSOR}-linux-gnu/cmake/xsimd lib/cmake/Catch2)
  cmake_path(GET package PARENT_PATH folder)
  file(COPY /usr/${package} DESTINATION ${libraries}/${folder})  # a link would say where it comes from
  list(APPEND CMAKE_PREFIX_PATH ${libraries}/${folder})
endforeach()
set(CMAKE_FIND_ROOT_PATH ${libraries})
