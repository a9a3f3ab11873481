# For cmake --preset aarch64 and riscv64: Debian's cross compiler for BESPOKE_MACHINE, QEMU to run what it makes, and the
# packages of this machine, which are headers.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR ${BESPOKE_MACHINE})
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES BESPOKE_MACHINE)
set(CMAKE_CXX_COMPILER ${BESPOKE_MACHINE}-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-${BESPOKE_MACHINE}-static -L /usr/${BESPOKE_MACHINE}-linux-gnu)
list(APPEND CMAKE_PREFIX_PATH /usr /usr/lib/${CMAKE_HOST_SYSTEM_PROCESSOR}-linux-gnu/cmake)
