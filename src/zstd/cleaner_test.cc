// Cleaner: it moves what pages still refer to, and nothing that has been overwritten comes back.

#include "zstd/cleaner.h"

#include <gtest/gtest.h>

#include "unit/still_disk.h"
#include "zstd/recompressor.h"

namespace ramdisk {
namespace {

constexpr unsigned kGroup = StoredObject::kGroupPages;
constexpr uint64_t kPages = 16 * PageTable::kDirectoryPages;  // many segments

class CleanerTest : public unit::StillDisk {
 protected:
  // Puts all pages into groups.
  void group_all() {
    Trainer trainer(state_);
    Recompressor recompressor(state_, cleaner_, trainer);
    for (recompressor.begin(); recompressor.under_way();) recompressor.step(1);
    for (uint64_t page = 0; page < kPages; ++page) {
      ASSERT_EQ(entry(page).kind(), PageKind::group) << "page " << page;
    }
  }

  // Cleans while there is something to gain, which takes a few steps for each segment. Returns how
  // many segments were cleaned.
  int clean_all() {
    constexpr int kMost = 1000;
    int segments = 0;
    while (segments < kMost && cleaner_.clean(Cleaner::Effort::all) == Cleaner::Cleaning::done) {
      ++segments;
    }
    EXPECT_LT(segments, kMost) << "cleaning gains nothing";
    return segments;
  }

  Cleaner cleaner_{state_};
};

TEST_F(CleanerTest, OverwrittenPagesStayOverwritten) {
  for (uint64_t page = 0; page < kPages; ++page) write_text(page);
  for (uint64_t page = 0; page < kPages; page += 3) write_text(page);
  EXPECT_GT(clean_all(), 0);
  expect_written();
}

// The remaining pages of a group move together, and those that have left it are left alone.
TEST_F(CleanerTest, PagesThatLeftTheirGroupStayOutOfIt) {
  for (uint64_t page = 0; page < kPages; ++page) write_text(page);
  group_all();
  for (uint64_t page = 1; page < kPages; page += kGroup) write_text(page);
  EXPECT_GT(clean_all(), 0);
  for (uint64_t page = 1; page < kPages; page += kGroup) {
    EXPECT_EQ(entry(page).kind(), PageKind::compressed);
  }
  expect_written();
}

// What is left of groups that have lost most of their pages is made anew: two pages become a group
// of two, and a single page is stored by itself.
TEST_F(CleanerTest, WhatIsLeftOfGroupsIsMadeAnew) {
  for (uint64_t page = 0; page < kPages; ++page) write_text(page);
  group_all();
  const auto left = [](uint64_t page) {
    const bool two = page / kGroup % 2 == 0;
    return page % kGroup == 2 || (two && page % kGroup == 5);
  };
  for (uint64_t page = 0; page < kPages; ++page) {
    if (!left(page)) write_text(page);
  }
  EXPECT_GT(clean_all(), 0);
  uint64_t single = 0;
  uint64_t pairs = 0;
  for (uint64_t page = 2; page < kPages; page += kGroup) {
    const PageEntry now = entry(page);
    single += now.kind() == PageKind::compressed;
    pairs += now.kind() == PageKind::group && PageStore::head_of(now).count() == 2;
  }
  EXPECT_GT(single, kPages / kGroup / 4);
  EXPECT_GT(pairs, kPages / kGroup / 4);
  expect_written();
}

}  // namespace
}  // namespace ramdisk
