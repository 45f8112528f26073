// StoredPages against the list of the pages that a disk was given.

#include "disk/stored_pages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "base/page.h"
#include "disk/registry.h"
#include "support/data.h"
#include "support/failing_memory.h"

namespace ramdisk {
namespace {

using conformance::Bytes;
using conformance::FailingMemory;
using conformance::Rng;
using conformance::scaled;

// The last page is short.
constexpr uint64_t kDisk = (8 << 20) + 99;
constexpr uint64_t kPages = kDisk / kPageBytes + 1;

class StoredPagesTest : public testing::Test {
 protected:
  StoredPagesTest() : made_(make_allocator({}, kDisk, {&memory_})) {
    EXPECT_TRUE(made_.ok() && disk().get_ready().ok());
    Rng rng(61);
    // Dense in some parts, so that several batches of extents are needed, and empty in others.
    for (uint64_t page = 0; page < kPages; page += 1 + rng.below(page / 100 % 3 ? 4 : 90)) {
      const uint64_t length = std::min<uint64_t>(kPageBytes, kDisk - page * kPageBytes);
      EXPECT_TRUE(disk().write(Bytes(length, std::byte{1}), page * kPageBytes).ok());
      stored_.insert(page);
    }
  }

  Allocator& disk() { return *made_.value(); }
  uint64_t expected_next(uint64_t page, uint64_t end) const {
    const auto at = stored_.lower_bound(page);
    return at == stored_.end() ? end : std::min(end, *at);
  }

  FailingMemory memory_;
  Result<std::unique_ptr<Allocator>> made_;
  std::set<uint64_t> stored_;
};

TEST_F(StoredPagesTest, FindsAllInAnyRange) {
  Rng rng(62);
  for (int round = 0; round < scaled(300); ++round) {
    const uint64_t first = rng.below(kPages);
    const uint64_t end = round == 0 ? kPages : first + rng.below(kPages - first + 1);
    StoredPages pages(disk(), kDisk, first, end);
    for (uint64_t page = first; page < end;) {
      Result<uint64_t> next = pages.next(page);
      ASSERT_TRUE(next.ok());
      ASSERT_EQ(next.value(), expected_next(page, end));
      page = next.value() + 1;
    }
  }
}

TEST_F(StoredPagesTest, TellsWhichOfAFewAreStored) {
  Rng rng(63);
  StoredPages pages(disk(), kDisk, 0, kPages);
  for (uint64_t page = 0; page < kPages;) {
    const uint64_t end = std::min(kPages, page + 1 + rng.below(64));
    uint64_t expected = 0;
    for (uint64_t each = page; each < end; ++each) {
      if (stored_.contains(each)) expected |= uint64_t{1} << (each - page);
    }
    Result<uint64_t> among = pages.among(page, end);
    ASSERT_TRUE(among.ok());
    ASSERT_EQ(among.value(), expected) << page << " to " << end;
    page = end;
  }
}

}  // namespace
}  // namespace ramdisk
