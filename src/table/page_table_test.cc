// PageTable on one thread against std::map: words, scans, changes and locks.

#include "table/page_table.h"

#include <gtest/gtest.h>

#include <vector>

#include "support/data.h"
#include "unit/page_table_model.h"

namespace ramdisk {
namespace {

using conformance::Rng;
using conformance::scaled;
using unit::edge_pages;
using unit::kLargestDisk;
using unit::payload_for;
using unit::TableModel;

TEST(PageTable, DiskOfNoBytes) {
  const TableModel table(0);
  table.check(0, 0);
  EXPECT_EQ(table.directories().size(), 0u);
}

TEST(PageTable, SmallestDisks) {
  for (const uint64_t bytes : {1, 4095, 4096, 4097, 1 << 20, (1 << 20) + 1}) {
    SCOPED_TRACE(bytes);
    TableModel table(bytes);
    table.check();
    for (uint64_t page = 0; page < table.pages(); ++page) table.set(page, payload_for(page));
    table.check();
    table.check_directories();
    table.clear(0, table.pages());
    table.check();
    table.check_directories();
  }
}

TEST(PageTable, EdgesOfTheLargestDisk) {
  TableModel table(kLargestDisk);
  ASSERT_EQ(table.pages(), uint64_t{1} << 51);
  const std::vector<uint64_t> edges = edge_pages(table.pages());
  for (const uint64_t page : edges) {
    ASSERT_TRUE(table.set(page, payload_for(page)));
    table.check();
  }
  for (const uint64_t first : edges) {
    for (const uint64_t end : edges) table.check(first, end);
  }
  table.check_directories();
  for (const uint64_t page : edges) {
    table.clear(page, page + 1);
    table.check();
    table.check_directories();
  }
}

// The low bits are for the table itself: the largest payloads must come back whole.
TEST(PageTable, PayloadsKeepAllTheirBits) {
  TableModel table(1 << 20);
  for (const uint64_t payload : {uint64_t{8}, uint64_t{1} << 47, uint64_t{1} << 63, ~uint64_t{7}}) {
    ASSERT_TRUE(table.set(3, payload));
    table.check();
  }
}

void random_steps(uint64_t disk_bytes, uint64_t stream) {
  SCOPED_TRACE("disk of " + std::to_string(disk_bytes) + " bytes");
  TableModel table(disk_bytes);
  Rng rng(stream);
  const std::vector<uint64_t> edges = edge_pages(table.pages());
  const auto random_page = [&] {
    return rng.chance(50) ? rng.pick(edges) : rng.below(std::min<uint64_t>(table.pages(), 2000));
  };
  for (int i = 0; i < scaled(4000) && !testing::Test::HasFatalFailure(); ++i) {
    const uint64_t a = random_page(), b = random_page() + 1;
    if (rng.chance(60)) {
      ASSERT_TRUE(table.set(a, payload_for(rng.below(uint64_t{1} << 40))));
    } else if (rng.chance(50)) {
      table.clear(std::min(a, b), std::max(a, b));
    } else {
      const uint64_t modulus = 2 + rng.below(3);
      table.clear(std::min(a, b), std::max(a, b),
                  [&](uint64_t page) { return page % modulus == 0; });
    }
    table.check(std::min(a, b), std::max(a, b));
    table.check_directories();
  }
  table.check();
}

TEST(PageTable, RandomStepsAgainstAMap) {
  random_steps((1 << 20) + 5, 1);
  random_steps(8 << 20, 2);
  random_steps(uint64_t{1} << 40, 3);
  random_steps(kLargestDisk, 4);
}

TEST(PageTable, ScanEndsWhenTheVisitorSaysSo) {
  TableModel table(kLargestDisk);
  for (uint64_t page = 250; page < 270; ++page) ASSERT_TRUE(table.set(page, payload_for(page)));
  const Epoch::Guard guard(table.epoch());
  for (size_t wanted = 1; wanted <= 20; ++wanted) {
    size_t seen = 0;
    table.table().scan(0, table.pages(), guard,
                       [&](uint64_t, uint64_t) { return ++seen < wanted; });
    EXPECT_EQ(seen, wanted);
  }
}

TEST(PageTable, ChangeEndsWithTheFirstError) {
  TableModel table(kLargestDisk);
  for (uint64_t page = 250; page < 270; ++page) ASSERT_TRUE(table.set(page, payload_for(page)));
  const Epoch::Guard guard(table.epoch());
  for (uint64_t bad = 250; bad < 270; ++bad) {
    uint64_t last = 0;
    const Status status = table.table().change(0, table.pages(), guard, [&](PageTable::Slot& slot) {
      last = slot.page();
      return last == bad ? Status::error(EIO, "bad page") : Status();
    });
    EXPECT_EQ(status.errnum(), EIO);
    EXPECT_EQ(last, bad);
  }
  // The page that failed is neither locked nor changed.
  EXPECT_TRUE(table.set(269, 8));
  table.check();
}

TEST(PageTable, SlotThatIsLetGoLeavesThePage) {
  TableModel table(1 << 20);
  ASSERT_TRUE(table.set(1, 800));
  const Epoch::Guard guard(table.epoch());
  PageTable::Cursor cursor(table.table(), guard);
  for (int i = 0; i < 2; ++i) {
    const PageTable::Slot slot = cursor.lock(1);
    EXPECT_EQ(slot.payload(), 800u);
  }
  table.check();
}

TEST(PageTable, PeekTakesNoLockAndMakesNothing) {
  TableModel table(kLargestDisk);
  ASSERT_TRUE(table.set(700, 64));
  const Epoch::Guard guard(table.epoch());
  PageTable::Cursor cursor(table.table(), guard);
  EXPECT_EQ(cursor.peek(700), 64u);
  EXPECT_EQ(cursor.peek(701), 0u);
  EXPECT_EQ(cursor.peek(table.pages() - 1), 0u) << "there is no directory";
  EXPECT_EQ(table.directories().size(), 1u);
  const PageTable::Slot slot = cursor.lock(700);
  EXPECT_EQ(cursor.peek(700), 64u) << "the lock is no part of it";
}

TEST(PageTable, OneCursorGoesToAllDirectories) {
  TableModel table(kLargestDisk);
  const std::vector<uint64_t> edges = edge_pages(table.pages());
  {
    const Epoch::Guard guard(table.epoch());
    PageTable::Cursor cursor(table.table(), guard);
    for (const uint64_t page : edges) ASSERT_TRUE(table.set(cursor, page, payload_for(page)));
    for (const uint64_t page : edges) EXPECT_EQ(cursor.peek(page), payload_for(page));
  }
  table.check();
}

// ---- runs

TEST(PageTable, RunsEndBeforeHolesAndWithTheDirectory) {
  TableModel table(kLargestDisk);
  for (uint64_t page = 3; page < 40; ++page) {
    if (page == 10) continue;
    ASSERT_TRUE(table.set(page, payload_for(page)));
  }
  for (uint64_t page = 253; page < 260; ++page) ASSERT_TRUE(table.set(page, payload_for(page)));
  const Epoch::Guard guard(table.epoch());
  PageTable::Cursor cursor(table.table(), guard);
  const auto length = [&](uint64_t first, size_t most) {
    const PageTable::SlotRun run = cursor.lock_stored(first, most);
    for (size_t i = 0; i < run.count(); ++i) {
      EXPECT_EQ(run.payload(i), payload_for(first + i)) << first << " + " << i;
    }
    return run.count();
  };
  EXPECT_EQ(length(0, 8), 0u);
  EXPECT_EQ(length(3, 8), 7u);
  EXPECT_EQ(length(10, 8), 0u);
  EXPECT_EQ(length(11, 100), PageTable::SlotRun::kMost);
  EXPECT_EQ(length(11, 2), 2u);
  EXPECT_EQ(length(253, 8), 3u);
  EXPECT_EQ(length(256, 8), 4u);
  EXPECT_EQ(length(table.pages() - 1, 8), 0u) << "there is no directory";
  EXPECT_EQ(table.directories().size(), 2u) << "it makes none";
}

TEST(PageTable, PagesOfARunAreLockedAndTheNextOnesAreNot) {
  TableModel table(1 << 20);
  for (uint64_t page = 0; page < 16; ++page) ASSERT_TRUE(table.set(page, payload_for(page)));
  const Epoch::Guard guard(table.epoch());
  PageTable::Cursor cursor(table.table(), guard);
  PageTable::Cursor other(table.table(), guard);
  {
    const PageTable::SlotRun run = cursor.lock_stored(2, 3);
    ASSERT_EQ(run.count(), 3u);
    for (uint64_t page = 0; page < 16; ++page) {
      const bool free = page < 2 || page >= 5;
      EXPECT_EQ(static_cast<bool>(other.try_lock(page, payload_for(page))), free) << page;
    }
  }
  for (uint64_t page = 0; page < 16; ++page) {
    EXPECT_TRUE(other.try_lock(page, payload_for(page))) << page;
  }
}

// ---- try_lock

TEST(PageTable, TryLockWantsTheVeryPayload) {
  TableModel table(kLargestDisk);
  ASSERT_TRUE(table.set(700, 64));
  const Epoch::Guard guard(table.epoch());
  PageTable::Cursor cursor(table.table(), guard);
  EXPECT_FALSE(cursor.try_lock(700, 72));
  EXPECT_FALSE(cursor.try_lock(700, 0));
  EXPECT_FALSE(cursor.try_lock(701, 64));
  EXPECT_FALSE(cursor.try_lock(5, 64)) << "there is no directory";
  EXPECT_FALSE(cursor.try_lock(table.pages() - 1, 0)) << "there is no directory";
  EXPECT_EQ(table.directories().size(), 1u) << "it makes none";
  PageTable::Slot slot = cursor.try_lock(700, 64);
  ASSERT_TRUE(slot);
  EXPECT_EQ(slot.page(), 700u);
  EXPECT_EQ(slot.payload(), 64u);
  PageTable::Cursor other(table.table(), guard);
  EXPECT_FALSE(other.try_lock(700, 64)) << "it is locked";
  slot.unlock(80);
  EXPECT_FALSE(other.try_lock(700, 64)) << "it has changed";
  EXPECT_TRUE(other.try_lock(700, 80));
  EXPECT_TRUE(other.try_lock(700, 80)) << "the slot before has let go";
}

TEST(PageTable, PagesAreLockedDuringChange) {
  TableModel table(1 << 20);
  ASSERT_TRUE(table.set(9, 16));
  const Epoch::Guard guard(table.epoch());
  PageTable::Cursor cursor(table.table(), guard);
  const Status status = table.table().change(0, 256, guard, [&](PageTable::Slot&) {
    EXPECT_FALSE(cursor.try_lock(9, 16));
    return Status();
  });
  EXPECT_TRUE(status.ok());
  EXPECT_TRUE(cursor.try_lock(9, 16));
}

}  // namespace
}  // namespace ramdisk
