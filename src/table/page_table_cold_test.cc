// PageTable: directories that have become cold, and accesses to pages that change nothing.

#include <gtest/gtest.h>

#include <vector>

#include "table/page_table.h"
#include "unit/page_table_model.h"

namespace ramdisk {
namespace {

using unit::kDirectoryPages;
using unit::kLargestDisk;
using unit::TableModel;

constexpr uint64_t kLastPage = (uint64_t{1} << 51) - 1;

// The first pages of the directories that a walk finds with steps of `most`.
std::vector<uint64_t> walk(TableModel& model, uint32_t time, int most, bool* later = nullptr) {
  const Epoch::Guard guard(model.epoch());
  std::vector<uint64_t> found;
  bool any_later = false;
  uint64_t page = 0;
  for (int steps = 0; page != PageTable::no_page && steps < 1000; ++steps) {
    const PageTable::ColdDirectory cold = model.table().next_cold(page, time, most, guard);
    any_later |= cold.later;
    if (cold.first != PageTable::no_page) found.push_back(cold.first);
    page = cold.next;
  }
  EXPECT_EQ(page, PageTable::no_page) << "the walk does not end";
  if (later) *later = any_later;
  return found;
}

const std::vector<uint64_t> kPlaces = {0, kDirectoryPages * 5, kDirectoryPages << 30,
                                       kLastPage - kDirectoryPages + 1};

TEST(PageTableCold, EachOnceAfterItsTime) {
  for (const int most : {1, 2, 1000}) {
    TableModel model(kLargestDisk);
    bool later = false;
    EXPECT_TRUE(walk(model, 5, most, &later).empty());
    EXPECT_FALSE(later);
    model.table().set_time(10);
    for (const uint64_t page : kPlaces) ASSERT_TRUE(model.set(page + 7, 8));
    EXPECT_TRUE(walk(model, 10, most, &later).empty()) << "used at 10, not before";
    EXPECT_TRUE(later);
    model.table().set_time(11);
    EXPECT_EQ(walk(model, 11, most, &later), kPlaces);
    EXPECT_FALSE(later);
    EXPECT_TRUE(walk(model, 11, most, &later).empty()) << "once is enough";
    EXPECT_FALSE(later);
  }
}

TEST(PageTableCold, UseBringsThemBack) {
  TableModel model(kLargestDisk);
  model.table().set_time(1);
  for (const uint64_t page : kPlaces) ASSERT_TRUE(model.set(page, 8));
  ASSERT_EQ(walk(model, 2, 10), kPlaces);
  model.table().set_time(5);
  const uint64_t last = kPlaces.back();
  model.check(last, last + 1);  // scan()
  model.clear(kPlaces[1], kPlaces[1] + 1, [](uint64_t) { return false; });
  {
    const Epoch::Guard guard(model.epoch());
    PageTable::Cursor cursor(model.table(), guard);
    EXPECT_EQ(cursor.peek(0), 8u);
    EXPECT_TRUE(cursor.try_lock(0, 8));
  }
  bool later = false;
  EXPECT_TRUE(walk(model, 5, 10, &later).empty());
  EXPECT_TRUE(later);
  EXPECT_EQ(walk(model, 6, 10, &later), (std::vector<uint64_t>{kPlaces[1], last}))
      << "peek() and try_lock() are no use";
}

TEST(PageTableCold, LooksMakeNoDirectories) {
  TableModel model(kLargestDisk);
  ASSERT_TRUE(model.set(3, 16));
  {
    const Epoch::Guard guard(model.epoch());
    PageTable::Cursor cursor(model.table(), guard);
    for (const uint64_t page : {kDirectoryPages, kLastPage}) {
      EXPECT_EQ(cursor.peek(page), 0u);
      EXPECT_FALSE(cursor.lock_existing(page));
      EXPECT_FALSE(cursor.try_lock(page, 0));
    }
    EXPECT_EQ(cursor.peek(3), 16u);
    EXPECT_EQ(cursor.peek(4), 0u);
    PageTable::Slot slot = cursor.lock_existing(3);
    ASSERT_TRUE(slot);
    EXPECT_EQ(slot.payload(), 16u);
    EXPECT_EQ(cursor.peek(3), 16u) << "the lock does not show";
    EXPECT_FALSE(cursor.try_lock(3, 16)) << "it is locked";
    slot.unlock(16);
    EXPECT_FALSE(cursor.try_lock(3, 8)) << "another payload";
    EXPECT_TRUE(cursor.try_lock(3, 16));
  }
  model.check_directories();
  ASSERT_TRUE(model.set(kLastPage, 24));
  const Epoch::Guard guard(model.epoch());
  PageTable::Cursor cursor(model.table(), guard);
  EXPECT_EQ(cursor.peek(kLastPage), 24u);
  EXPECT_TRUE(cursor.try_lock(kLastPage, 24));
}

}  // namespace
}  // namespace ramdisk
