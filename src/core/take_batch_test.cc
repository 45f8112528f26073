// TakeBatch: one run of the arena serves a request, and what is not used goes back.

#include "core/take_batch.h"

#include <gtest/gtest.h>

#include <set>

#include "support/data.h"
#include "unit/recording_memory.h"

namespace ramdisk {
namespace {

using unit::RecordingMemory;

constexpr size_t kBlock = 4096;
constexpr size_t kPerSlab = (Arena::kSlabBytes - Arena::kHeaderBytes) / kBlock;

class TakeBatchTest : public testing::Test {
 protected:
  // Leaves only whole slabs to take from, so that runs are as long as they can be.
  void fill_first_slab() {
    for (size_t taken = 0; taken < kPerSlab;) taken += arena_.take(kPerSlab - taken).count;
  }

  RecordingMemory memory_;
  Epoch epoch_;
  Arena arena_{memory_, epoch_, kBlock};
};

TEST_F(TakeBatchTest, UnusedBatchTakesNothing) {
  { const TakeBatch batch(arena_); }
  EXPECT_EQ(memory_.calls(), 0u);
}

TEST_F(TakeBatchTest, GivesBackWhatIsLeft) {
  fill_first_slab();
  for (const size_t used : {1, 2, 63, 64, 65, 128, 200}) {
    SCOPED_TRACE(used);
    const uint64_t before = arena_.taken_blocks();
    {
      TakeBatch batch(arena_);
      for (size_t i = 0; i < used; ++i) ASSERT_NE(batch.take(1000).base, nullptr);
      EXPECT_LE(arena_.taken_blocks(), before + used + 64) << "a batch is small";
    }
    EXPECT_EQ(arena_.taken_blocks(), before + used);
  }
}

TEST_F(TakeBatchTest, TakesAtOnceWhatIsExpectedAndNoMore) {
  fill_first_slab();
  std::vector<std::unique_ptr<TakeBatch>> batches;  // what they give back would part the runs
  for (const size_t expected : {1, 2, 63, 64}) {
    const uint64_t before = arena_.taken_blocks();
    batches.push_back(std::make_unique<TakeBatch>(arena_));
    ASSERT_NE(batches.back()->take(expected).base, nullptr);
    EXPECT_EQ(arena_.taken_blocks(), before + expected);
  }
}

TEST_F(TakeBatchTest, BlocksOfOneRequestAreNeighbours) {
  fill_first_slab();
  TakeBatch batch(arena_);
  std::byte* last = batch.take(64).base;
  for (size_t left = 63; left > 0; --left) {
    std::byte* const block = batch.take(left).base;
    ASSERT_EQ(block, last + kBlock);
    last = block;
  }
}

TEST_F(TakeBatchTest, UnusedBlocksStayClean) {
  fill_first_slab();
  std::byte* used = nullptr;
  {
    TakeBatch batch(arena_);
    used = batch.take(64).base;
  }
  const Arena::Run rest = arena_.take(63);
  EXPECT_EQ(rest.base, used + kBlock);
  EXPECT_EQ(rest.count, 63u);
  EXPECT_TRUE(rest.clean);
}

TEST_F(TakeBatchTest, BlocksAreDistinctAndCleanWhenTheySaySo) {
  std::set<std::byte*> blocks;
  for (int request = 0; request < 20; ++request) {
    TakeBatch batch(arena_);
    for (size_t i = 0; i < 70; ++i) {
      const TakeBatch::Block block = batch.take(100 - i);
      ASSERT_NE(block.base, nullptr);
      ASSERT_TRUE(blocks.insert(block.base).second);
      if (block.clean) {
        ASSERT_TRUE(conformance::all_zero({block.base, kBlock}));
      }
      std::fill_n(block.base, kBlock, std::byte{0xff});
    }
    // Some go back full of old data, to be taken again.
    for (size_t i = 0; i < 20; ++i) {
      arena_.give_back({*blocks.begin(), 1, false});
      blocks.erase(blocks.begin());
    }
  }
}

TEST_F(TakeBatchTest, NoMemoryAndThenSome) {
  memory_.fail_from(0);
  TakeBatch batch(arena_);
  EXPECT_EQ(batch.take(5).base, nullptr);
  EXPECT_EQ(batch.take(1).base, nullptr);
  memory_.allow();
  EXPECT_NE(batch.take(5).base, nullptr);
}

// Memory that runs out after a run was taken: what is in the batch is there.
TEST_F(TakeBatchTest, RunInHandOutlivesTheMemory) {
  fill_first_slab();
  TakeBatch batch(arena_);
  ASSERT_NE(batch.take(10).base, nullptr);
  std::vector<Arena::Run> rest;  // the arena's own
  while (arena_.taken_blocks() < 2 * kPerSlab) rest.push_back(arena_.take(kPerSlab));
  memory_.fail_from(0);
  for (int i = 0; i < 9; ++i) EXPECT_NE(batch.take(10).base, nullptr);
  EXPECT_EQ(batch.take(10).base, nullptr);
}

}  // namespace
}  // namespace ramdisk
