# Sets RAMDISK_HARDENING_COMPILE and RAMDISK_HARDENING_LINK to what distributions build their packages with, as
# far as this compiler knows it for this machine. The tests run `hardening-check` on the result.
include(CheckCXXCompilerFlag)
include(CheckLinkerFlag)

set(RAMDISK_HARDENING_COMPILE -Wformat -Werror=format-security)
set(RAMDISK_HARDENING_LINK)

foreach(flag -fstack-protector-strong -fstack-clash-protection -fcf-protection -mbranch-protection=standard)
  string(MAKE_C_IDENTIFIER "RAMDISK_HAVE${flag}" known)
  check_cxx_compiler_flag("-Werror ${flag}" ${known})
  if(${known})
    list(APPEND RAMDISK_HARDENING_COMPILE ${flag})
  endif()
endforeach()

# Needs an optimizer. Level 3 also checks sizes that are known at run time only; a compiler that cannot is
# told so by a warning in the C library's headers. Whatever the environment's flags have set is replaced.
set(level 3)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12)
  set(level 2)
endif()
list(APPEND RAMDISK_HARDENING_COMPILE
  $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE> $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=${level}>)

# The table of the addresses of other libraries' functions is filled at the start, and then read-only.
foreach(flag relro now)
  check_linker_flag(CXX "-Wl,-z,${flag}" RAMDISK_HAVE_Z_${flag})
  if(RAMDISK_HAVE_Z_${flag})
    list(APPEND RAMDISK_HARDENING_LINK -Wl,-z,${flag})
  endif()
endforeach()
