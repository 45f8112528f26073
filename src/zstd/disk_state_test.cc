// DiskState: as memory fills up, new pages are refused first, and what is kept for changes is left
// to the pages that exist.

#include "zstd/disk_state.h"

#include <gtest/gtest.h>

#include <optional>

#include "memory/budgeted_memory.h"
#include "unit/still_disk.h"

namespace ramdisk {
namespace {

TEST(DiskStateTest, NewPagesLeaveWhatIsKeptForChanges) {
  constexpr uint64_t kLimit = 24 << 20;
  BudgetedMemory memory(make_system_memory(), {.limit = kLimit, .probe = {}, .on_mark = {}});
  DiskState state({.memory = &memory, .pace = {}, .trace_directories = {}}, 1 << 20,
                  unit::zstd_options());
  const Epoch::Guard guard(state.epoch);
  PageTable::Cursor cursor(state.table, guard);
  {
    PageTable::Slot slot = cursor.lock(0);
    state.replace(slot, PageEntry::same_filled(1), guard);
  }
  const uint64_t kept = Budget::kept_for_changes(kLimit);
  ASSERT_TRUE(state.count_fixed(kLimit - kept - state.needed_bytes() - kPageBytes));
  const PageTable::Slot stored = cursor.lock(0);
  const PageTable::Slot hole = cursor.lock(1);
  EXPECT_TRUE(state.admit(hole, kPageBytes).ok());
  EXPECT_EQ(state.admit(hole, kPageBytes + 1).errnum(), ENOSPC);
  EXPECT_TRUE(state.admit(stored, kPageBytes + 1).ok());
  EXPECT_TRUE(state.admit(stored, kPageBytes + kept / 2).ok());
  EXPECT_EQ(state.admit(stored, kPageBytes + kept / 2 + 1).errnum(), ENOSPC);
  EXPECT_TRUE(state.admit(stored, 0).ok());
}

// With a limit, pages stay single until they are cold.
TEST(DiskStateTest, NothingIsGroupedWhereMemoryMayBecomeShort) {
  const auto may_group = [](std::optional<uint64_t> limit) {
    BudgetedMemory memory(make_system_memory(), {.limit = limit, .probe = {}, .on_mark = {}});
    const DiskState state({.memory = &memory, .pace = {}, .trace_directories = {}}, 1 << 20,
                          unit::zstd_options());
    return state.may_group();
  };
  EXPECT_TRUE(may_group({}));
  EXPECT_FALSE(may_group(uint64_t{40} << 20));
}

}  // namespace
}  // namespace ramdisk
