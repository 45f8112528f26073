// Suites that run once for each allocator.
//
//   using Requests = wire::AllocatorTest;
//   INSTANTIATE_TEST_SUITE_P(, Requests, wire::all_allocators(), wire::allocator_name);
//   TEST_P(Requests, ...) { const Server server(disk(GetParam(), 1 * MiB)); ... }

#ifndef RAMDISK_WIRE_FIXTURE_H
#define RAMDISK_WIRE_FIXTURE_H

#include <gtest/gtest.h>

#include <string>

#include "support/client.h"

namespace wire {

class AllocatorTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "zstd" && !RAMDISK_WITH_ZSTD) GTEST_SKIP() << "SKIP: built without zstd";
  }
};

inline auto all_allocators() {
  return testing::Values("sparse", "malloc", "zstd");
}
// The allocators that take memory only for what is stored, so that a disk may be of any size.
inline auto sparse_allocators() {
  return testing::Values("sparse", "zstd");
}

inline std::string allocator_name(const testing::TestParamInfo<std::string>& info) {
  return info.param;
}

}  // namespace wire

#endif
