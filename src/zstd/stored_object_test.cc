// StoredObject: what the header of a page and of a group keeps, and what they take.

#include "zstd/stored_object.h"

#include <gtest/gtest.h>

namespace ramdisk {
namespace {

constexpr unsigned kGroup = StoredObject::kGroupPages;

TEST(StoredObject, KeepsPageAndSize) {
  const uint64_t last = (uint64_t{1} << 51) - 1;  // the last page of the largest disk
  for (const uint64_t page : {uint64_t{0}, uint64_t{1}, uint64_t{8191}, uint64_t{8192}, last}) {
    for (const size_t bytes : {1, 7, 8, 9, 4095, 4096}) {
      const StoredObject object(page, bytes, false);
      EXPECT_FALSE(object.group());
      EXPECT_EQ(object.page(), page);
      EXPECT_EQ(object.size(), bytes);
      EXPECT_EQ(StoredObject::footprint(bytes) % 8, 0u);
      EXPECT_GE(StoredObject::footprint(bytes), bytes + 8);
      EXPECT_LT(StoredObject::footprint(bytes), bytes + 16);
    }
  }
}

TEST(StoredObject, GroupKeepsFirstPageAndSize) {
  constexpr size_t kMost = StoredObject::kMaxGroupBytes;
  const uint64_t last = (uint64_t{1} << 51) - kGroup;
  for (const uint64_t page : {uint64_t{0}, uint64_t{kGroup}, uint64_t{8192}, last}) {
    for (const size_t bytes : {size_t{1}, size_t{4096}, size_t{4097}, kMost - 1, kMost}) {
      const StoredObject object(page, bytes, true);
      EXPECT_TRUE(object.group());
      EXPECT_EQ(object.page(), page);
      EXPECT_EQ(object.size(), bytes);
      EXPECT_EQ(object.footprint(), StoredObject::footprint(bytes));
    }
  }
}

TEST(GroupHead, PagesFollowEachOtherInTheirOrder) {
  for (unsigned pages = 1; pages < 1u << kGroup; ++pages) {
    GroupHead head;
    head.pages = static_cast<uint8_t>(pages);
    size_t offset = 0;
    for (unsigned i = 0; i < kGroup; ++i) {
      if (!(pages >> i & 1)) continue;
      EXPECT_EQ(head.offset_of(i), offset) << pages << " " << i;
      offset += kPageBytes;
    }
    EXPECT_EQ(head.content_bytes(), offset);
  }
}

}  // namespace
}  // namespace ramdisk
