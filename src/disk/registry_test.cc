// The registry: which options this build and this system can serve, and the disks that they make.

#include "disk/registry.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "memory/memory_lock.h"
#include "memory/memory_source.h"

namespace ramdisk {
namespace {

TEST(CheckOptions, MlockWhereTheSystemCan) {
  for (const AllocatorType type :
       {AllocatorType::sparse, AllocatorType::malloc, AllocatorType::zstd}) {
#ifndef RAMDISK_HAVE_ZSTD
    if (type == AllocatorType::zstd) continue;
#endif
    EXPECT_TRUE(check_options({.type = type}).ok());
    EXPECT_EQ(check_options({.type = type, .mlock = true}).errnum(),
              memory_lock_supported() ? 0 : ENOTSUP);
  }
}

#ifndef RAMDISK_HAVE_ZSTD

TEST(CheckOptions, ZstdThatIsNotBuiltInIsRefusedWithTheReason) {
  const Status status = check_options({.type = AllocatorType::zstd});
  EXPECT_EQ(status.errnum(), ENOTSUP);
  EXPECT_NE(std::string(status.message()).find("built without"), std::string::npos);
}

#endif

TEST(MakeAllocator, MakesWhatIsAskedFor) {
  const auto memory = make_system_memory();
  for (const AllocatorType type :
       {AllocatorType::sparse, AllocatorType::malloc, AllocatorType::zstd}) {
    Result<std::unique_ptr<Allocator>> made =
        make_allocator({.type = type}, 1 << 20, {memory.get(), {}});
    if (!check_options({.type = type}).ok()) {
      EXPECT_FALSE(made.ok());
      continue;
    }
    ASSERT_TRUE(made.ok()) << made.status().message();
    ASSERT_NE(made.value(), nullptr);
    EXPECT_FALSE(made.value()->describe().empty());
  }
}

}  // namespace
}  // namespace ramdisk
