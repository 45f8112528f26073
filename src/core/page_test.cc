// page_part(): the parts of a request, put together again, are the request, byte for byte.

#include "core/page.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace ramdisk {
namespace {

constexpr uint64_t kLargestDisk = INT64_MAX;

// The parts must follow each other, each within one page and as long as it can be.
void check_request(uint64_t offset, uint64_t count) {
  SCOPED_TRACE(std::to_string(count) + " bytes at " + std::to_string(offset));
  for (uint64_t position = 0; position < count;) {
    const PagePart part = page_part(offset, count, position);
    ASSERT_EQ(part.position, position);
    ASSERT_EQ(part.page * kPageBytes + part.offset, offset + position);
    ASSERT_LT(part.offset, kPageBytes);
    ASSERT_GE(part.length, 1u);
    ASSERT_LE(part.offset + part.length, kPageBytes);
    position += part.length;
    ASSERT_LE(position, count);
    ASSERT_TRUE(position == count || part.offset + part.length == kPageBytes);
    ASSERT_EQ(part.whole(), part.offset == 0 && part.length == kPageBytes);
  }
}

TEST(PagePart, EveryEdgeOfAPage) {
  for (const uint64_t offset : {0, 1, 4095, 4096, 4097, 8191, 8192}) {
    for (const uint64_t count : {1, 2, 4094, 4095, 4096, 4097, 8191, 8192, 8193, 20000}) {
      check_request(offset, count);
    }
  }
}

TEST(PagePart, EndOfTheLargestDisk) {
  for (const uint64_t count : {1, 4095, 4096, 4097, 10000}) {
    check_request(kLargestDisk - count, count);
  }
  const PagePart last = page_part(kLargestDisk - 1, 1, 0);
  EXPECT_EQ(last.page, (uint64_t{1} << 51) - 1);
  EXPECT_EQ(last.offset, 4094u);
}

TEST(PagePart, RequestLongerThan32Bits) {
  const uint64_t count = (uint64_t{1} << 32) + 5;
  const PagePart part = page_part(3, count, count - 1);
  EXPECT_EQ(part.page, (uint64_t{1} << 20));
  EXPECT_EQ(part.offset, 7u);
  EXPECT_EQ(part.length, 1u);
  EXPECT_EQ(part.position, count - 1);
}

}  // namespace
}  // namespace ramdisk
