// part_at(): the parts of a request, put together again, are the request, byte for byte.

#include "base/page.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace ramdisk {
namespace {

constexpr uint64_t kLargestDisk = INT64_MAX;

// The parts must follow one another, each within one page and as long as possible.
void check_request(uint64_t offset, uint64_t count) {
  SCOPED_TRACE(std::to_string(count) + " bytes at " + std::to_string(offset));
  for (uint64_t position = 0; position < count;) {
    const PagePart part = part_at(offset, count, position);
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

// clip_to_page() gives the same parts page by page, and end_page() is one past the page of the last
// part.
void check_pages(uint64_t offset, uint64_t count) {
  SCOPED_TRACE(std::to_string(count) + " bytes at " + std::to_string(offset));
  uint64_t position = 0;
  uint64_t page = offset / kPageBytes;
  for (; position < count; ++page) {
    const PagePart expected = part_at(offset, count, position);
    const PagePart part = clip_to_page(page, offset, count);
    ASSERT_EQ(part.page, page);
    ASSERT_EQ(part.position, position);
    ASSERT_EQ(part.offset, expected.offset);
    ASSERT_EQ(part.length, expected.length);
    position += part.length;
  }
  ASSERT_EQ(end_page(offset, count), page);
}

void check(uint64_t offset, uint64_t count) {
  check_request(offset, count);
  check_pages(offset, count);
}

TEST(PagePart, EveryEdgeOfAPage) {
  for (const uint64_t offset : {0, 1, 4095, 4096, 4097, 8191, 8192}) {
    for (const uint64_t count : {1, 2, 4094, 4095, 4096, 4097, 8191, 8192, 8193, 20000}) {
      check(offset, count);
    }
  }
}

TEST(PagePart, EndOfTheLargestDisk) {
  for (const uint64_t count : {1, 4095, 4096, 4097, 10000}) {
    check(kLargestDisk - count, count);
  }
  const PagePart last = part_at(kLargestDisk - 1, 1, 0);
  EXPECT_EQ(last.page, (uint64_t{1} << 51) - 1);
  EXPECT_EQ(last.offset, 4094u);
}

TEST(PagePart, RequestLongerThan32Bits) {
  const uint64_t count = (uint64_t{1} << 32) + 5;
  const PagePart part = part_at(3, count, count - 8);
  EXPECT_EQ(part.page, (uint64_t{1} << 20));
  EXPECT_EQ(part.offset, 0u);
  EXPECT_EQ(part.length, 8u);
  EXPECT_EQ(part.position, count - 8);
  EXPECT_EQ(end_page(3, count), (uint64_t{1} << 20) + 1);
}

}  // namespace
}  // namespace ramdisk
