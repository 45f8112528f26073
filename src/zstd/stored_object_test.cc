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
      EXPECT_EQ(object.footprint() % (8 * kGroup), 0u) << "each page's share is a multiple of 8";
      EXPECT_GE(object.footprint(), bytes + 8);
      EXPECT_LT(object.footprint(), bytes + 8 + 8 * kGroup);
    }
  }
}

}  // namespace
}  // namespace ramdisk
