# 64-bit ARM: the compiler may order atomic accesses more freely than on x86, and its atomic
# instructions are others. With Debian's cross compiler, run by qemu (in the host's own memory order).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64)
