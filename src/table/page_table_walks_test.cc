// PageTable: every walk over a disk ends, even where the disk has as many directories as the radix
// tree's digits can tell apart and the last one is in use.

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "table/page_table.h"
#include "unit/page_table_model.h"

namespace ramdisk {
namespace {

using unit::kDirectoryPages;
using unit::kLargestDisk;
using unit::Pages;
using unit::TableModel;

constexpr uint64_t kDirectoryBytes = kDirectoryPages * kPageBytes;
constexpr uint64_t kFar[] = {PageTable::no_page, PageTable::no_page - 1, uint64_t{1} << 63,
                             uint64_t{1} << 52};

// Disks with 64^k - 1, 64^k and 64^k + 1 directories, each with a last one that is full and one
// that has a single byte; and the largest disks.
std::vector<uint64_t> sizes() {
  std::set<uint64_t> list = {kLargestDisk, kLargestDisk - 1, kLargestDisk - kDirectoryBytes};
  for (const uint64_t power : {64, 64 * 64, 64 * 64 * 64}) {
    for (uint64_t directories = power - 1; directories <= power + 1; ++directories) {
      const uint64_t full = directories * kDirectoryBytes;
      for (const uint64_t bytes : {full - kDirectoryBytes + 1, full - kPageBytes, full - 1, full}) {
        list.insert(bytes);
      }
    }
  }
  return {list.begin(), list.end()};
}

class PageTableWalks : public testing::TestWithParam<uint64_t> {
 protected:
  PageTableWalks() : model_(GetParam()) {
    // Pages in the first, a middle and the last directory, so that a walk that starts over is
    // noticed.
    for (const uint64_t page : {uint64_t{0}, model_.pages() / 2, model_.pages() - 1}) {
      EXPECT_TRUE(model_.set(page, 8));
    }
  }

  // Where walks end: at the end of the disk, and anywhere after it.
  std::vector<uint64_t> ends() const {
    std::vector<uint64_t> list(std::begin(kFar), std::end(kFar));
    list.insert(list.end(), {model_.pages(), model_.pages() + 1, model_.pages() + kDirectoryPages});
    return list;
  }

  // Records the pages of a walk; returns false once there are more visits than pages.
  bool note(uint64_t page, uint64_t payload) {
    seen_[page] = payload;
    return ++visits_ <= model_.model().size();
  }

  void expect_all_seen_once(const std::string& walk) {
    EXPECT_EQ(seen_, model_.model()) << walk;
    EXPECT_EQ(visits_, model_.model().size()) << walk << " comes back";
    seen_.clear();
    visits_ = 0;
  }

  TableModel model_;
  Pages seen_;
  size_t visits_ = 0;
};

TEST_P(PageTableWalks, ScanAndLookEnd) {
  const Epoch::Guard guard(model_.epoch());
  const auto visit = [&](uint64_t page, uint64_t payload) { return note(page, payload); };
  for (const uint64_t end : ends()) {
    model_.table().scan(0, end, guard, visit);
    expect_all_seen_once("scan to " + std::to_string(end));
    model_.table().look(0, end, guard, visit);
    expect_all_seen_once("look to " + std::to_string(end));
  }
}

TEST_P(PageTableWalks, ChangeEnds) {
  const Epoch::Guard guard(model_.epoch());
  for (const uint64_t end : ends()) {
    const Status status = model_.table().change(0, end, guard, [&](PageTable::Slot& slot) {
      return note(slot.page(), slot.payload()) ? Status() : Status::error(ELOOP, "again");
    });
    EXPECT_TRUE(status.ok());
    expect_all_seen_once("change to " + std::to_string(end));
  }
}

TEST_P(PageTableWalks, NextColdEnds) {
  const Epoch::Guard guard(model_.epoch());
  for (const int most : {1, 2, 1000}) {
    std::set<uint64_t> found;
    uint64_t page = 0;
    int steps = 0;
    while (page != PageTable::no_page && ++steps < 10) {
      const PageTable::ColdDirectory cold = model_.table().next_cold(page, 1, most, guard);
      if (cold.first != PageTable::no_page) {
        EXPECT_TRUE(found.insert(cold.first).second);
      }
      page = cold.next;
    }
    EXPECT_EQ(page, PageTable::no_page) << "the walk does not end";
    EXPECT_EQ(found.size(), model_.directories().size());
    for (const uint64_t first : found) model_.table().mark(first, guard);
  }
}

TEST_P(PageTableWalks, NothingLiesBeyondTheDisk) {
  const Epoch::Guard guard(model_.epoch());
  PageTable& table = model_.table();
  PageTable::Cursor cursor(table, guard);
  // A range may end beyond the last directory; the pages that this one has beyond the disk are
  // holes like others.
  const uint64_t beyond =
      (model_.pages() + kDirectoryPages - 1) / kDirectoryPages * kDirectoryPages;
  for (const uint64_t page : {kFar[0], kFar[1], kFar[2], kFar[3], beyond, beyond + 1}) {
    SCOPED_TRACE(page);
    const auto visit = [&](uint64_t at, uint64_t payload) { return note(at, payload); };
    table.scan(page, PageTable::no_page, guard, visit);
    table.look(page, PageTable::no_page, guard, visit);
    EXPECT_TRUE(table
                    .change(page, PageTable::no_page, guard,
                            [&](PageTable::Slot& slot) {
                              note(slot.page(), slot.payload());
                              return Status::error(EIO, "there is a page");
                            })
                    .ok());
    EXPECT_EQ(visits_, 0u);
    const PageTable::ColdDirectory cold = table.next_cold(page, 1, 10, guard);
    EXPECT_EQ(cold.next, PageTable::no_page);
    EXPECT_EQ(cold.first, PageTable::no_page);
    EXPECT_EQ(cursor.peek(page), 0u);
    EXPECT_FALSE(cursor.lock_existing(page));
    EXPECT_FALSE(cursor.try_lock(page, 8));
    table.prune(page, guard);
    table.mark(page, guard);
  }
  model_.check();
  model_.check_directories();
}

INSTANTIATE_TEST_SUITE_P(Sizes, PageTableWalks, testing::ValuesIn(sizes()));

}  // namespace
}  // namespace ramdisk
