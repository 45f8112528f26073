// SlabAllocator within a budget.

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "memory/budgeted_memory.h"
#include "table/slab_allocator.h"

namespace ramdisk {
namespace {

// A SlabAllocator and the budget agree on how much is held, whatever the allocator does, and nearly
// all of a budget is of use though slabs are large.
TEST(SlabAllocatorBudget, IsUsedUp) {
  constexpr size_t kMiB = size_t{1} << 20;
  BudgetedMemory memory(make_system_memory(), {.limit = 8 * kMiB, .probe = {}, .on_mark = {}});
  const auto used = [&] { return memory.budget().used(); };
  Epoch epoch;
  SlabAllocator slabs(memory, epoch, 4096);
  std::vector<std::byte*> pages;
  for (SlabAllocator::Run run = slabs.allocate(1); run.base; run = slabs.allocate(1)) {
    std::memset(run.base, 1, 4096);
    pages.push_back(run.base);
    ASSERT_EQ(used(), slabs.held_bytes());
  }
  EXPECT_GT(pages.size() * 4096, 8 * kMiB - 128 * 1024);
  for (std::byte* page : pages) {
    const Epoch::Guard guard(epoch);
    slabs.retire({&page, 1}, guard);
  }
  epoch.collect();
  slabs.release_free();
  EXPECT_EQ(used(), slabs.held_bytes());
  EXPECT_LE(used(), 3 * kMiB);
}

}  // namespace
}  // namespace ramdisk
