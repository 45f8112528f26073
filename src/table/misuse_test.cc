// The structures notice when they are misused.

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "memory/budgeted_memory.h"
#include "table/page_table.h"
#include "table/radix_tree.h"
#include "table/slab_allocator.h"
#include "unit/expect_dcheck.h"

namespace ramdisk {
namespace {

class MisuseDeathTest : public testing::Test {
 protected:
  const std::unique_ptr<MemorySource> memory_ = make_system_memory();
  Epoch epoch_;
};

TEST_F(MisuseDeathTest, ABlockIsFreedTwice) {
  SlabAllocator slabs(*memory_, epoch_, 4096);
  const Epoch::Guard guard(epoch_);
  const std::array block{slabs.allocate(1).base};
  slabs.retire(block, guard);
  EXPECT_DEATH(slabs.retire(block, guard), "does not hold");
  EXPECT_DEATH(slabs.free({block[0], 1, false}), "does not hold");
}

TEST_F(MisuseDeathTest, ABlockOfAnotherAllocator) {
  SlabAllocator mine(*memory_, epoch_, 4096);
  SlabAllocator other(*memory_, epoch_, 4096);
  const Epoch::Guard guard(epoch_);
  const std::array block{mine.allocate(1).base};
  EXPECT_DEATH(other.retire(block, guard), "does not hold");
  EXPECT_DEATH(mine.free({block[0] + 64, 1, false}), "does not hold");
  EXPECT_DEATH(mine.free({block[0], 2, false}), "does not hold");
}

TEST_F(MisuseDeathTest, RetiredUnderThePinOfAnotherThread) {
  SlabAllocator slabs(*memory_, epoch_, 4096);
  const std::array block{slabs.allocate(1).base};
  const Epoch::Guard guard(epoch_);
  EXPECT_DCHECK(std::thread([&] { slabs.retire(block, guard); }).join(),
                "pinned\\(\\) does not hold");
}

TEST_F(MisuseDeathTest, APayloadThatReachesIntoTheFlags) {
  PageTable table(*memory_, epoch_, 1 << 20, {});
  const Epoch::Guard guard(epoch_);
  PageTable::Cursor cursor(table, guard);
  EXPECT_DEATH(cursor.lock(3).unlock(12), "does not hold");
  PageTable::Slot slot = cursor.lock(4);
  slot.unlock(8);
  EXPECT_DEATH(slot.unlock(8), "does not hold");
}

TEST_F(MisuseDeathTest, AKeyBeyondTheTree) {
  SlabAllocator nodes(*memory_, epoch_, RadixTree::kNodeBytes);
  RadixTree tree(nodes, 64);
  RadixTree::Entry entry{64};
  EXPECT_DEATH(tree.insert(&entry), "key < keys_");
}

TEST_F(MisuseDeathTest, ARangeThatWasNeverMapped) {
  BudgetedMemory memory(make_system_memory(), {});
  std::array<std::byte, 64> elsewhere{};
  EXPECT_DEATH(memory.unmap(elsewhere.data(), 64), "does not hold");
}

}  // namespace
}  // namespace ramdisk
