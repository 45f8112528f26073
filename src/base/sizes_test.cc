// Sizes as text: rounding, units, and both ends of the range.

#include "base/sizes.h"

#include <gtest/gtest.h>

namespace ramdisk {
namespace {

TEST(Sizes, Short) {
  EXPECT_EQ(short_size(0), "0 bytes");
  EXPECT_EQ(short_size(1023), "1023 bytes");
  EXPECT_EQ(short_size(1024), "1K");
  EXPECT_EQ(short_size(1536), "1.5K");
  EXPECT_EQ(short_size(uint64_t{64} << 20), "64M");
  EXPECT_EQ(short_size(413034086), "393.9M");
  EXPECT_EQ(short_size((1 << 20) - 1), "1M") << "not 1024K";
  EXPECT_EQ(short_size((1 << 20) - 52), "1023.9K");
  EXPECT_EQ(short_size((1 << 20) - 51), "1M");
  EXPECT_EQ(short_size(uint64_t{1} << 62), "4E");
  EXPECT_EQ(short_size(INT64_MAX), "8E");
  EXPECT_EQ(short_size(UINT64_MAX), "16E");
  EXPECT_EQ(short_size((uint64_t{7} << 60) + (uint64_t{1} << 59)), "7.5E");
}

TEST(Sizes, Exact) {
  EXPECT_EQ(exact_size(0), "0 bytes");
  EXPECT_EQ(exact_size(1023), "1023 bytes");
  EXPECT_EQ(exact_size(1024), "1024 bytes (1 KiB)");
  EXPECT_EQ(exact_size(1 << 30), "1073741824 bytes (1 GiB)");
  EXPECT_EQ(exact_size(23620382720), "23620382720 bytes (22 GiB)");
  EXPECT_EQ(exact_size(1500000), "1500000 bytes (1.4 MiB)");
}

}  // namespace
}  // namespace ramdisk
