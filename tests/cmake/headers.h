// What nearly every test includes, compiled once for all of them (see programs.cmake). A test still
// includes what it uses itself: the clang stage of run.sh compiles each without this.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>
