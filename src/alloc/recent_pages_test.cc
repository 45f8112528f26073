// RecentPages: every one at first, one in sixteen later, and no number is said twice or passed
// over.

#include "alloc/recent_pages.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>

#include "support/threads.h"

namespace ramdisk {
namespace {

TEST(RecentPages, EveryOneAtFirstThenOneInSixteen) {
  RecentPages pages;
  for (uint64_t page = 0; page < RecentPages::kMost; ++page) {
    EXPECT_EQ(pages.size(), page);
    EXPECT_EQ(pages.add(page), page + 1);
  }
  for (size_t i = 0; i < RecentPages::kMost; ++i) ASSERT_EQ(pages[i], i);
  for (uint64_t page = RecentPages::kMost; page < 10 * RecentPages::kMost; ++page) pages.add(page);
  EXPECT_EQ(pages.size(), RecentPages::kMost);
  for (size_t i = 0; i < RecentPages::kMost; ++i) {
    EXPECT_TRUE(pages[i] % 16 == 0 || pages[i] < RecentPages::kMost) << pages[i];
  }
}

// What is to happen at a certain number happens once, however many add at the same time.
TEST(RecentPages, EachNumberIsSaidOnce) {
  for (int round = 0; round < 200; ++round) {
    auto pages = std::make_unique<RecentPages>();
    std::atomic<int> said{0};
    unit::run_threads(4, [&](int) {
      for (size_t i = 0; i < RecentPages::kMost / 2; ++i) {
        if (pages->add(i) == RecentPages::kMost) ++said;
      }
    });
    ASSERT_EQ(said, 1);
  }
}

}  // namespace
}  // namespace ramdisk
