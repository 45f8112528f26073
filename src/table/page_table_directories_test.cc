// PageTable's directories: they are made with their first page and removed with their last, and
// their memory is returned.

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "support/data.h"
#include "table/page_table.h"
#include "unit/page_table_model.h"

namespace ramdisk {
namespace {

using conformance::Rng;
using conformance::scaled;
using unit::kLargestDisk;
using unit::payload_for;
using unit::TableModel;

// A cursor that remembers a directory which has been removed must find the one in use.
TEST(PageTableDirectories, CursorNoticesThatItsDirectoryIsGone) {
  TableModel table(kLargestDisk);
  const Epoch::Guard guard(table.epoch());
  PageTable::Cursor cursor(table.table(), guard);
  ASSERT_TRUE(table.set(cursor, 300, 8));
  table.clear(0, 1000);
  table.check_directories();
  EXPECT_FALSE(cursor.try_lock(300, 8));
  EXPECT_FALSE(cursor.try_lock(300, 0));
  ASSERT_TRUE(table.set(cursor, 300, 16));
  ASSERT_TRUE(table.set(cursor, 301, 24));
  table.check();
  table.check_directories();
}

TEST(PageTableDirectories, PageUnderLockKeepsItsDirectory) {
  TableModel table(kLargestDisk);
  ASSERT_TRUE(table.set(256, 8));
  const Epoch::Guard guard(table.epoch());
  PageTable::Cursor cursor(table.table(), guard);
  {
    PageTable::Slot hole = cursor.lock(511);
    table.clear(256, 257);
    EXPECT_EQ(table.directories(), std::set<uint64_t>{1});
    hole.unlock(48);
  }
  uint64_t found = 0;
  table.table().scan(0, 1000, guard, [&](uint64_t page, uint64_t payload) {
    found = page * 1000 + payload;
    return true;
  });
  EXPECT_EQ(found, 511u * 1000 + 48);
}

// prune() is for a write that made a directory and then found no memory for the page.
TEST(PageTableDirectories, PruneRemovesOnlyWhatIsEmpty) {
  TableModel table(kLargestDisk);
  ASSERT_TRUE(table.set(1000, 8));
  const Epoch::Guard guard(table.epoch());
  PageTable::Cursor cursor(table.table(), guard);
  table.table().prune(5, guard);  // there is none
  table.table().prune(1001, guard);
  table.check_directories();
  {
    const PageTable::Slot hole = cursor.lock(5);
    EXPECT_EQ(table.directories(), (std::set<uint64_t>{0, 3}));
    table.table().prune(6, guard);
    EXPECT_EQ(table.directories(), (std::set<uint64_t>{0, 3})) << "a page of it is locked";
  }
  table.table().prune(6, guard);
  table.check_directories();
  ASSERT_TRUE(table.set(cursor, 5, 16)) << "the cursor finds the new one";
  table.check();
  table.check_directories();
}

TEST(PageTableDirectories, TraceSpeaksForPeople) {
  const auto memory = make_system_memory();
  Epoch epoch;
  std::vector<std::string> lines;
  PageTable table(*memory, epoch, kLargestDisk,
                  [&](const std::string& line) { lines.push_back(line); });
  const Epoch::Guard guard(epoch);
  PageTable::Cursor(table, guard).lock(2 * 256 + 7).unlock(8);
  const auto make_hole = [](PageTable::Slot& slot) {
    slot.unlock(0);
    return Status();
  };
  EXPECT_TRUE(table.change(0, 10000, guard, make_hole).ok());
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0], "directory made: offset 2097152");
  EXPECT_EQ(lines[1], "directory freed: offset 2097152");
}

// The memory of directories far apart, and of the nodes above them, is returned.
TEST(PageTableDirectories, MemoryOfDirectoriesComesBack) {
  TableModel table(kLargestDisk);
  Rng rng(5);
  const uint64_t empty = table.table().held_bytes();
  for (int i = 0; i < scaled(10000); ++i) {
    ASSERT_TRUE(table.set(rng.below(table.pages()), payload_for(1)));
  }
  EXPECT_EQ(empty, 0u);
  EXPECT_GT(table.table().held_bytes(), 2048 * table.directories().size());
  table.clear(0, table.pages());
  EXPECT_EQ(table.directories().size(), 0u);
  EXPECT_LE(table.table().held_bytes(), 4 * SlabAllocator::kSlabBytes)
      << "two allocators, two slabs each";
  EXPECT_LE(table.memory().mapped_bytes(), 4 * SlabAllocator::kSlabBytes);
}

// ---- memory that runs out

TEST(PageTableDirectories, LockThatFailsLeavesTheTable) {
  for (uint64_t nth = 0; nth < 12; ++nth) {
    SCOPED_TRACE("call " + std::to_string(nth));
    TableModel table(kLargestDisk);
    table.memory().fail_from(nth);
    Rng rng(nth);
    uint64_t refused = 0;
    for (int i = 0; i < 1000; ++i) {
      // Pairs of neighbouring directories need nodes too.
      const uint64_t page = (rng.below(table.pages()) & ~uint64_t{511}) + (i % 2) * 256;
      if (!table.set(page, payload_for(page))) {
        refused = page;
        break;
      }
    }
    EXPECT_EQ(table.memory().failures() > 0, !table.model().contains(refused));
    table.check();
    table.check_directories();
    for (const auto& [page, payload] : unit::Pages(table.model())) {
      ASSERT_TRUE(table.set(page, payload + 8)) << "pages that have a directory need no memory";
    }
    table.memory().allow();
    ASSERT_TRUE(table.set(refused, 8));
    table.check();
    table.clear(0, table.pages());
    table.check_directories();
  }
}

}  // namespace
}  // namespace ramdisk
