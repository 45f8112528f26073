// AllocationBatch: one run of the slabs serves a request, and what is not used goes back.

#include "table/allocation_batch.h"

#include <gtest/gtest.h>

#include <set>

#include "support/data.h"
#include "unit/recording_memory.h"

namespace ramdisk {
namespace {

using unit::RecordingMemory;

constexpr size_t kBlock = 4096;
constexpr size_t kPerSlab = (SlabAllocator::kSlabBytes - SlabAllocator::kHeaderBytes) / kBlock;

class AllocationBatchTest : public testing::Test {
 protected:
  // Leaves only whole slabs to allocate from, so that runs are as long as possible.
  void fill_first_slab() {
    for (size_t taken = 0; taken < kPerSlab;) taken += slabs_.allocate(kPerSlab - taken).count;
  }

  RecordingMemory memory_;
  Epoch epoch_;
  SlabAllocator slabs_{memory_, epoch_, kBlock};
};

TEST_F(AllocationBatchTest, UnusedBatchTakesNothing) {
  { const AllocationBatch batch(slabs_); }
  EXPECT_EQ(memory_.calls(), 0u);
}

TEST_F(AllocationBatchTest, GivesBackWhatIsLeft) {
  fill_first_slab();
  for (const size_t used : {1, 2, 63, 64, 65, 128, 200}) {
    SCOPED_TRACE(used);
    const uint64_t before = slabs_.taken_blocks();
    {
      AllocationBatch batch(slabs_);
      for (size_t i = 0; i < used; ++i) ASSERT_NE(batch.take(1000).base, nullptr);
      EXPECT_LE(slabs_.taken_blocks(), before + used + 64) << "a batch is small";
    }
    EXPECT_EQ(slabs_.taken_blocks(), before + used);
  }
}

TEST_F(AllocationBatchTest, TakesAtOnceWhatIsExpectedAndNoMore) {
  fill_first_slab();
  // Batches are kept, because the blocks that they free would break up the runs.
  std::vector<std::unique_ptr<AllocationBatch>> batches;
  for (const size_t expected : {1, 2, 63, 64}) {
    const uint64_t before = slabs_.taken_blocks();
    batches.push_back(std::make_unique<AllocationBatch>(slabs_));
    ASSERT_NE(batches.back()->take(expected).base, nullptr);
    EXPECT_EQ(slabs_.taken_blocks(), before + expected);
  }
}

TEST_F(AllocationBatchTest, BlocksOfOneRequestAreNeighbours) {
  fill_first_slab();
  AllocationBatch batch(slabs_);
  std::byte* last = batch.take(64).base;
  for (size_t left = 63; left > 0; --left) {
    std::byte* const block = batch.take(left).base;
    ASSERT_EQ(block, last + kBlock);
    last = block;
  }
}

TEST_F(AllocationBatchTest, UnusedBlocksStayClean) {
  fill_first_slab();
  std::byte* used = nullptr;
  {
    AllocationBatch batch(slabs_);
    used = batch.take(64).base;
  }
  const SlabAllocator::Run rest = slabs_.allocate(63);
  EXPECT_EQ(rest.base, used + kBlock);
  EXPECT_EQ(rest.count, 63u);
  EXPECT_TRUE(rest.zeroed);
}

TEST_F(AllocationBatchTest, BlocksAreDistinctAndCleanWhenTheySaySo) {
  std::set<std::byte*> blocks;
  for (int request = 0; request < 20; ++request) {
    AllocationBatch batch(slabs_);
    for (size_t i = 0; i < 70; ++i) {
      const AllocationBatch::Block block = batch.take(100 - i);
      ASSERT_NE(block.base, nullptr);
      ASSERT_TRUE(blocks.insert(block.base).second);
      if (block.zeroed) {
        ASSERT_TRUE(conformance::all_zero({block.base, kBlock}));
      }
      std::fill_n(block.base, kBlock, std::byte{0xff});
    }
    // Some are freed full of old data, to be allocated again.
    for (size_t i = 0; i < 20; ++i) {
      slabs_.free({*blocks.begin(), 1, false});
      blocks.erase(blocks.begin());
    }
  }
}

TEST_F(AllocationBatchTest, NoMemoryAndThenSome) {
  memory_.fail_from(0);
  AllocationBatch batch(slabs_);
  EXPECT_EQ(batch.take(5).base, nullptr);
  EXPECT_EQ(batch.take(1).base, nullptr);
  memory_.allow();
  EXPECT_NE(batch.take(5).base, nullptr);
}

// Memory may run out after a run was allocated: the blocks already in the batch are still handed
// out.
TEST_F(AllocationBatchTest, RunInHandOutlivesTheMemory) {
  fill_first_slab();
  AllocationBatch batch(slabs_);
  ASSERT_NE(batch.take(10).base, nullptr);
  std::vector<SlabAllocator::Run> rest;  // all that the slabs still have
  while (slabs_.taken_blocks() < 2 * kPerSlab) rest.push_back(slabs_.allocate(kPerSlab));
  memory_.fail_from(0);
  for (int i = 0; i < 9; ++i) EXPECT_NE(batch.take(10).base, nullptr);
  EXPECT_EQ(batch.take(10).base, nullptr);
}

}  // namespace
}  // namespace ramdisk
