# How test programs are compiled, and how CTest runs them.
find_package(GTest REQUIRED)
find_package(Threads REQUIRED)
include(GoogleTest)

# The framework's macros are most of what a compiler sees of a test, so optimization and debugging
# information beyond the lines cost more time here than they save. What is tested has its own flags.
set(RAMDISK_TEST_FLAGS "-O1;-g1" CACHE STRING "Compiler flags for the tests")
# Under a sanitizer or an emulator a process takes longer to start than most tests take to run.
set(RAMDISK_TEST_SHARDS 0 CACHE STRING
    "Run the units and the conformance suite in this many processes each; 0: one for each test")

add_executable(test_headers EXCLUDE_FROM_ALL ${CMAKE_CURRENT_LIST_DIR}/headers.cc)
target_link_libraries(test_headers PRIVATE GTest::gtest Threads::Threads)
target_compile_options(test_headers PRIVATE ${RAMDISK_TEST_FLAGS})
target_precompile_headers(test_headers PRIVATE ${CMAKE_CURRENT_LIST_DIR}/headers.h)

# Call it when the program has its definitions. A compiler's cache remembers what was compiled
# without a precompiled header, which then costs more than it saves.
function(ramdisk_test_program program)
  target_compile_options(${program} PRIVATE ${RAMDISK_TEST_FLAGS})
  if(NOT CMAKE_CXX_COMPILER_LAUNCHER)
    target_precompile_headers(${program} REUSE_FROM test_headers)
  endif()
endfunction()

# ramdisk_add_gtest(PROGRAM LABEL SECONDS): registers the tests of a program, one by one or in shards,
# each of which fails if any of its tests fails; shards that take long begin first. Tests are listed when CTest runs: a program under a
# sanitizer may need help to start.
function(ramdisk_add_gtest program label seconds)
  ramdisk_test_program(${program})
  if(CMAKE_CROSSCOMPILING_EMULATOR)
    set(seconds 1800)  # slow, and more so on a busy machine
  endif()
  if(NOT RAMDISK_TEST_SHARDS)
    gtest_discover_tests(${program} DISCOVERY_MODE PRE_TEST PROPERTIES LABELS ${label} TIMEOUT ${seconds})
    return()
  endif()
  math(EXPR last "${RAMDISK_TEST_SHARDS} - 1")
  set(cost 1)
  if(label STREQUAL conformance)
    set(cost 60)
  endif()
  foreach(shard RANGE ${last})
    set(name ${label}.shard_${shard})
    add_test(NAME ${name} COMMAND ${program})
    set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT 3000 COST ${cost}
      ENVIRONMENT "GTEST_TOTAL_SHARDS=${RAMDISK_TEST_SHARDS};GTEST_SHARD_INDEX=${shard}")
  endforeach()
endfunction()
