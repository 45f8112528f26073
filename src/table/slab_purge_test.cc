// SlabAllocator and the memory of free blocks: how much it keeps, and how it returns what is beyond
// that.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <utility>
#include <vector>

#include "support/data.h"
#include "table/slab_allocator.h"
#include "unit/slab_allocator_memory.h"

namespace ramdisk {
namespace {

using conformance::Rng;
using unit::allocate_blocks;
using unit::fill_pattern;
using unit::has_pattern;
using unit::kBlock;
using unit::kPerSlab;
using unit::kSlab;
using unit::RecordingMemory;
using unit::retire_all;
using unit::slab_of;
using unit::SlabAllocatorMemory;

constexpr size_t kDirtyFloor = 4 << 20;  // free memory that may always be kept

// ---- dirty memory

// How much may be held: blocks in use, headers, two slabs that are not full, and the dirty
// allowance.
size_t most_held(size_t blocks_in_use, size_t slabs) {
  const size_t used = blocks_in_use * kBlock;
  return used + used / 32 + kDirtyFloor + slabs * SlabAllocator::kHeaderBytes + 2 * kSlab;
}

class Purge : public SlabAllocatorMemory {
 protected:
  // Allocates 64 MiB and retires all blocks except those that `keep` picks, in random order and
  // pieces.
  void thin_out(SlabAllocator& slabs, const std::function<bool(size_t)>& keep) {
    std::vector<std::byte*> blocks = allocate_blocks(slabs, 32 * kPerSlab);
    Rng rng(1);
    for (size_t i = blocks.size(); i > 1; --i) std::swap(blocks[i - 1], blocks[rng.below(i)]);
    std::vector<std::byte*> freed;
    for (size_t i = 0; i < blocks.size(); ++i) {
      fill_pattern({blocks[i], kBlock}, i);
      if (keep(i)) {
        kept_.emplace_back(blocks[i], i);
      } else {
        freed.push_back(blocks[i]);
      }
      if (freed.size() == 64) retire_all(slabs, epoch_, std::exchange(freed, {}));
    }
    retire_all(slabs, epoch_, freed);
  }

  void check_kept() {
    for (const auto& [block, tag] : kept_) ASSERT_TRUE(has_pattern({block, kBlock}, tag));
  }

  std::vector<std::pair<std::byte*, uint64_t>> kept_;  // with their tags
};

TEST_F(Purge, DirtyMemoryIsBounded) {
  SlabAllocator slabs(memory_, epoch_, kBlock);
  thin_out(slabs, [](size_t i) { return i % 8 == 0; });
  ASSERT_FALSE(memory_.discards.empty());
  EXPECT_EQ(memory_.mapped_bytes(), 32 * kSlab) << "every slab has a block left";
  EXPECT_LE(slabs.held_bytes(), most_held(kept_.size(), 32));
  EXPECT_GE(slabs.held_bytes(), kept_.size() * kBlock);
  check_kept();
  for (const RecordingMemory::Range& range : memory_.discards) {
    ASSERT_GE(range.base - slab_of(range.base),
              static_cast<ptrdiff_t>(SlabAllocator::kHeaderBytes));
    ASSERT_EQ(slab_of(range.base), slab_of(range.base + range.bytes - 1));
  }
}

// Otherwise the system would fill the holes again by itself.
TEST_F(Purge, SystemIsWarnedOfHoles) {
  SlabAllocator slabs(memory_, epoch_, kBlock);
  thin_out(slabs, [](size_t i) { return i % 8 == 0; });
  std::set<std::byte*> warned;
  for (const RecordingMemory::Range& range : memory_.warnings) {
    EXPECT_EQ(range.bytes, kSlab);
    warned.insert(range.base);
  }
  ASSERT_FALSE(memory_.discards.empty());
  for (const RecordingMemory::Range& range : memory_.discards) {
    ASSERT_TRUE(warned.contains(slab_of(range.base)));
  }
}

// The counter is not the only evidence: the system has the memory back.
TEST_F(Purge, ResidentMemoryFollows) {
  SlabAllocator slabs(memory_, epoch_, kBlock);
  thin_out(slabs, [](size_t i) { return i % 8 == 0; });
  EXPECT_LE(memory_.resident_bytes(), most_held(kept_.size(), 32));
  EXPECT_GE(memory_.resident_bytes(), kept_.size() * kBlock) << "the measurement works";
}

TEST_F(Purge, DiscardedBlocksComeBackCleanAndCountAsHeld) {
  SlabAllocator slabs(memory_, epoch_, kBlock);
  thin_out(slabs, [](size_t i) { return i % 8 == 0; });
  const uint64_t held = slabs.held_bytes();
  const size_t missing = 32 * kPerSlab - kept_.size();
  size_t clean = 0;
  for (size_t taken = 0; taken < missing;) {
    const SlabAllocator::Run run = slabs.allocate(missing - taken);
    taken += run.count;
    if (!run.zeroed) continue;
    clean += run.count;
    ASSERT_TRUE(conformance::all_zero({run.base, run.count * kBlock}));
  }
  EXPECT_EQ(memory_.maps.size(), 32u) << "there was room in the slabs";
  EXPECT_EQ(slabs.held_bytes(), 32 * kSlab);
  EXPECT_EQ(held + clean * kBlock, 32 * kSlab);
  check_kept();
}

// A caller touches the block it gets, so the block must be present or have been refused.
TEST_F(Purge, BlocksThatTheSystemRefusesAreNotHandedOut) {
  SlabAllocator slabs(memory_, epoch_, kBlock);
  thin_out(slabs, [](size_t i) { return i % 8 == 0; });
  memory_.fail_from(0);
  uint64_t taken = slabs.taken_blocks();
  std::vector<SlabAllocator::Run> runs;
  for (int i = 0; i < 20000; ++i) {
    const SlabAllocator::Run run = slabs.allocate(8);
    taken += run.count;
    if (run.base) runs.push_back(run);
  }
  EXPECT_GT(memory_.failures(), 0u);
  EXPECT_EQ(slabs.taken_blocks(), taken) << "what was refused was not put back";
  const size_t before = memory_.resident_bytes();
  for (const SlabAllocator::Run& run : runs)
    std::fill_n(run.base, run.count * kBlock, std::byte{1});
  EXPECT_EQ(memory_.resident_bytes(), before) << "pages came into being under the writer";
  check_kept();
  memory_.allow();
  const uint64_t missing = 32 * kPerSlab - slabs.taken_blocks();
  EXPECT_EQ(allocate_blocks(slabs, missing).size(), missing);
  EXPECT_EQ(memory_.mapped_bytes(), 32 * kSlab) << "blocks were lost";
  EXPECT_EQ(slabs.held_bytes(), 32 * kSlab);
}

// Half of a range may have become present, with whatever a failed discard leaves there.
TEST_F(Purge, WhatIsLeftOfARefusedBlockIsNotZeroed) {
  SlabAllocator slabs(memory_, epoch_, kBlock);
  thin_out(slabs, [](size_t i) { return i % 8 == 0; });
  memory_.fail_from(0);
  memory_.refuse_discard(true);
  for (int i = 0; i < 20000; ++i) slabs.allocate(8);  // the dirty ones first
  ASSERT_GT(memory_.failures(), 0u);
  memory_.allow();
  while (slabs.taken_blocks() < 32 * kPerSlab) {
    const SlabAllocator::Run run = slabs.allocate(64);
    ASSERT_FALSE(run.zeroed && !conformance::all_zero({run.base, run.count * kBlock}));
  }
}

// Slabs of which some blocks were discarded are unmapped like others, and the counts stay right.
TEST_F(Purge, ThinnedSlabsGoBackWhole) {
  SlabAllocator slabs(memory_, epoch_, kBlock);
  thin_out(slabs, [](size_t i) { return i % 8 == 0; });
  std::vector<std::byte*> rest;
  for (const auto& [block, tag] : kept_) rest.push_back(block);
  retire_all(slabs, epoch_, rest);
  EXPECT_EQ(memory_.mapped_bytes(), 2 * kSlab);
  EXPECT_LE(slabs.held_bytes(), 2 * kSlab);
  EXPECT_GE(slabs.held_bytes(), 2 * SlabAllocator::kHeaderBytes);
  EXPECT_LE(memory_.resident_bytes(), 2 * kSlab);
}

TEST_F(Purge, FewDirtyBlocksAreLeftAlone) {
  SlabAllocator slabs(memory_, epoch_, kBlock);
  thin_out(slabs, [](size_t i) { return i % 32 != 0; });  // 2 MiB
  EXPECT_EQ(memory_.discards.size(), 0u);
}

// The memory of blocks that are not whole pages cannot be returned alone.
TEST_F(Purge, SmallBlocksAreNotDiscarded) {
  SlabAllocator slabs(memory_, epoch_, 512);
  std::vector<std::byte*> blocks = allocate_blocks(slabs, (16 * kSlab) / 512);
  std::vector<std::byte*> freed;
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (i % 8 != 0) freed.push_back(blocks[i]);
  }
  retire_all(slabs, epoch_, freed);
  EXPECT_EQ(memory_.discards.size(), 0u);
}

// Locked memory, for example, cannot be discarded: what is left there is garbage and must count as
// dirty.
TEST_F(Purge, RefusedDiscardIsNotTriedAgain) {
  memory_.refuse_discard(true);
  SlabAllocator slabs(memory_, epoch_, kBlock);
  thin_out(slabs, [](size_t i) { return i % 8 == 0; });
  EXPECT_EQ(memory_.discards.size(), 1u);
  EXPECT_EQ(slabs.held_bytes(), 32 * kSlab);
  check_kept();
  const size_t missing = 32 * kPerSlab - kept_.size();
  for (size_t taken = 0; taken < missing;) {
    const SlabAllocator::Run run = slabs.allocate(missing - taken);
    ASSERT_FALSE(run.zeroed);
    taken += run.count;
  }
  check_kept();
}

// ---- returning all at once

// All free memory is returned, used before or not; what is taken stays as it is.
TEST_F(SlabAllocatorMemory, ReleaseFreeLeavesWhatIsTaken) {
  SlabAllocator slabs(memory_, epoch_, kBlock);
  const std::vector<std::byte*> blocks = allocate_blocks(slabs, 3 * kPerSlab + 10);
  ASSERT_EQ(blocks.size(), 3 * kPerSlab + 10);
  for (size_t i = 0; i < blocks.size(); ++i) fill_pattern({blocks[i], kBlock}, i + 1);
  std::vector<std::byte*> some;
  for (size_t i = 0; i < blocks.size(); i += 2) some.push_back(blocks[i]);
  retire_all(slabs, epoch_, some);
  slabs.release_free();
  const size_t taken = (blocks.size() - some.size()) * kBlock;
  EXPECT_LE(memory_.resident_bytes(), taken + 5 * SlabAllocator::kHeaderBytes);
  EXPECT_LE(slabs.held_bytes(), taken + 5 * SlabAllocator::kHeaderBytes);
  for (size_t i = 1; i < blocks.size(); i += 2) {
    ASSERT_TRUE(has_pattern({blocks[i], kBlock}, i + 1)) << i;
  }
  // Blocks that are allocated again are zeroed, as the run says.
  for (size_t n = 0; n < some.size();) {
    const SlabAllocator::Run run = slabs.allocate(64);
    ASSERT_NE(run.base, nullptr);
    ASSERT_TRUE(run.zeroed);
    for (size_t i = 0; i < run.count * kBlock; ++i) ASSERT_EQ(run.base[i], std::byte{0});
    n += run.count;
  }
}

// The spare slab is not spare any more when a block of it is taken.
TEST_F(SlabAllocatorMemory, ASpareThatIsInUseStays) {
  SlabAllocator slabs(memory_, epoch_, kBlock);
  allocate_blocks(slabs, kPerSlab);
  retire_all(slabs, epoch_, allocate_blocks(slabs, 1));  // the second slab becomes the spare one
  std::byte* block = slabs.allocate(1).base;
  ASSERT_NE(block, nullptr);
  fill_pattern({block, kBlock}, 7);
  slabs.release_free();
  EXPECT_EQ(memory_.mapped_bytes(), 2 * kSlab);
  EXPECT_TRUE(has_pattern({block, kBlock}, 7));
}

}  // namespace
}  // namespace ramdisk
