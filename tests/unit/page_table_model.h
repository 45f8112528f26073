// A PageTable beside a std::map: every step is made in both, and the two are compared.
//
// Thread contract: one thread.

#ifndef RAMDISK_UNIT_PAGE_TABLE_MODEL_H
#define RAMDISK_UNIT_PAGE_TABLE_MODEL_H

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "support/data.h"
#include "support/failing_memory.h"
#include "table/page_table.h"

namespace ramdisk::unit {

constexpr uint64_t kDirectoryPages = PageTable::kDirectoryPages;
using Pages = std::map<uint64_t, uint64_t>;  // page and payload, of those that are no holes

// The table, the model, and the directories that the trace speaks of.
class TableModel {
 public:
  explicit TableModel(uint64_t disk_bytes)
      : pages_(disk_bytes == 0 ? 0 : (disk_bytes - 1) / kPageBytes + 1),
        table_(memory_, epoch_, disk_bytes, [this](const std::string& line) { trace(line); }) {}
  ~TableModel() { EXPECT_EQ(memory_.misuse(), ""); }

  // False when there is no memory.
  bool set(uint64_t page, uint64_t payload) {
    const Epoch::Guard guard(epoch_);
    PageTable::Cursor cursor(table_, guard);
    return set(cursor, page, payload);
  }

  bool set(PageTable::Cursor& cursor, uint64_t page, uint64_t payload) {
    PageTable::Slot slot = cursor.lock(page);
    if (!slot) return false;
    EXPECT_EQ(slot.page(), page);
    EXPECT_EQ(slot.payload(), model_.contains(page) ? model_[page] : 0);
    slot.unlock(payload);
    EXPECT_FALSE(slot);
    model_[page] = payload;
    return true;
  }

  // Makes holes of the pages in [first, end) that `chosen` picks.
  template <typename Chosen>
  void clear(uint64_t first, uint64_t end, Chosen chosen) {
    const Epoch::Guard guard(epoch_);
    Pages seen;
    const Status status = table_.change(first, end, guard, [&](PageTable::Slot& slot) {
      seen[slot.page()] = slot.payload();
      if (chosen(slot.page())) slot.unlock(0);
      return Status();
    });
    EXPECT_TRUE(status.ok());
    EXPECT_EQ(seen, part(first, end));
    for (const auto& [page, payload] : seen) {
      if (chosen(page)) model_.erase(page);
    }
  }
  void clear(uint64_t first, uint64_t end) {
    clear(first, end, [](uint64_t) { return true; });
  }

  void check(uint64_t first, uint64_t end) const {
    const Epoch::Guard guard(epoch_);
    std::vector<std::pair<uint64_t, uint64_t>> seen;
    table_.scan(first, end, guard, [&](uint64_t page, uint64_t payload) {
      seen.emplace_back(page, payload);
      return true;
    });
    const Pages expected = part(first, end);
    ASSERT_EQ(seen, decltype(seen)(expected.begin(), expected.end())) << first << " to " << end;
  }
  void check() const {
    check(0, pages_);
    EXPECT_EQ(table_.stored_pages(), model_.size());
  }

  // The trace has to have told of exactly the directories that are there.
  void check_directories() const {
    std::set<uint64_t> expected;
    for (const auto& [page, payload] : model_) expected.insert(page / kDirectoryPages);
    ASSERT_EQ(directories_, expected);
  }

  uint64_t pages() const { return pages_; }
  const Pages& model() const { return model_; }
  PageTable& table() { return table_; }
  Epoch& epoch() { return epoch_; }
  FailingMemory& memory() { return memory_; }
  const std::set<uint64_t>& directories() const { return directories_; }

 private:
  Pages part(uint64_t first, uint64_t end) const {
    if (first >= end) return {};
    return {model_.lower_bound(first), model_.lower_bound(end)};
  }

  void trace(const std::string& line) {
    const size_t digits = line.find_last_not_of("0123456789") + 1;
    const uint64_t offset = std::stoull(line.substr(digits));
    EXPECT_EQ(offset % (kDirectoryPages * kPageBytes), 0u) << line;
    const uint64_t directory = offset / (kDirectoryPages * kPageBytes);
    if (line.find("made") != std::string::npos) {
      EXPECT_TRUE(directories_.insert(directory).second) << line;
    } else {
      EXPECT_NE(line.find("freed"), std::string::npos) << line;
      EXPECT_EQ(directories_.erase(directory), 1u) << line;
    }
  }

  const uint64_t pages_;
  FailingMemory memory_;
  mutable Epoch epoch_;
  std::set<uint64_t> directories_;
  PageTable table_;
  Pages model_;
};

// Pages at the edges of directories, of the tree's digits and of the disk.
inline std::vector<uint64_t> edge_pages(uint64_t pages) {
  std::set<uint64_t> list;
  const auto add = [&](uint64_t page) {
    for (const uint64_t near : {page - 1, page, page + 1}) {
      if (near < pages) list.insert(near);
    }
  };
  for (const uint64_t page : {0, 63, 64, 128, 256, 512}) add(page);
  for (unsigned bits = 6; bits <= 42; bits += 6) add(kDirectoryPages << bits);
  add(pages / 2);
  add(pages - 1);
  return {list.begin(), list.end()};
}

constexpr uint64_t payload_for(uint64_t n) {
  return (n + 1) * 8;
}

}  // namespace ramdisk::unit

#endif
