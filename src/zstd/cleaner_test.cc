// Cleaner: it moves what pages still refer to, and nothing that has been overwritten comes back.

#include "zstd/cleaner.h"

#include <gtest/gtest.h>

#include "unit/still_disk.h"
#include "zstd/recompressor.h"

namespace ramdisk {
namespace {

constexpr unsigned kGroup = StoredObject::kGroupPages;
constexpr uint64_t kPages = 4 * PageTable::kDirectoryPages;  // several segments

class CleanerTest : public unit::StillDisk {
 protected:
  // Puts all pages into groups.
  void group_all() {
    Recompressor recompressor(state_, cleaner_);
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

// Once most of a group has gone, the remaining page moves by itself.
TEST_F(CleanerTest, GroupsThatHaveLostMostPagesAreDivided) {
  for (uint64_t page = 0; page < kPages; ++page) write_text(page);
  group_all();
  for (uint64_t page = 0; page < kPages; ++page) {
    if (page % kGroup != 2) write_text(page);
  }
  EXPECT_GT(clean_all(), 0);
  uint64_t divided = 0;
  for (uint64_t page = 2; page < kPages; page += kGroup) {
    divided += entry(page).kind() == PageKind::compressed;
  }
  EXPECT_GT(divided, kPages / kGroup / 2);
  expect_written();
}

}  // namespace
}  // namespace ramdisk
