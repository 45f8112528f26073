// SlabAllocator and the memory of the system: how much it asks for, which slabs it unmaps, and what
// happens when a call fails.

#include "unit/slab_allocator_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <string>
#include <vector>

#include "base/thread_time.h"
#include "support/data.h"
#include "table/slab_allocator.h"

namespace ramdisk {
namespace {

using conformance::Rng;
using unit::fill_pattern;
using unit::has_pattern;

using unit::allocate_blocks;
using unit::kBlock;
using unit::kPerSlab;
using unit::kSlab;
using unit::kStep;
using unit::RecordingMemory;
using unit::retire_all;
using unit::slab_of;
using unit::SlabAllocatorMemory;

// ---- growing

// Block sizes for which a step makes many blocks, a step makes one, and a block needs several
// steps.
TEST_F(SlabAllocatorMemory, FirstSlabGrowsInSteps) {
  for (const size_t bytes : {size_t{512}, kBlock, size_t{64} << 10, size_t{73} * 4096}) {
    SCOPED_TRACE("blocks of " + std::to_string(bytes));
    RecordingMemory memory;
    SlabAllocator slabs(memory, epoch_, bytes);
    const size_t per_slab = (kSlab - SlabAllocator::kHeaderBytes) / bytes;
    for (size_t taken = 1; taken <= per_slab; ++taken) {
      ASSERT_EQ(slabs.allocate(1).count, 1u);
      const size_t steps = (SlabAllocator::kHeaderBytes + taken * bytes + kStep - 1) / kStep;
      ASSERT_EQ(slabs.held_bytes(), steps * kStep) << taken;
    }
    ASSERT_EQ(memory.maps.size(), 1u);
    EXPECT_FALSE(memory.maps[0].huge) << "a small disk takes little memory";
    std::byte* next = memory.maps[0].base;
    for (const auto& populated : memory.populates) {
      EXPECT_EQ(populated.base, next);
      EXPECT_EQ(populated.bytes % kStep, 0u);
      next += populated.bytes;
    }
  }
}

TEST_F(SlabAllocatorMemory, LaterSlabsArePopulatedAtOnce) {
  SlabAllocator slabs(memory_, epoch_, kBlock);
  allocate_blocks(slabs, kPerSlab);
  ASSERT_EQ(slabs.held_bytes(), kSlab);
  memory_.populates.clear();
  allocate_blocks(slabs, 1);
  ASSERT_EQ(memory_.maps.size(), 2u);
  EXPECT_FALSE(memory_.maps[1].huge) << "to compare with the next";
  ASSERT_EQ(memory_.populates.size(), 1u);
  EXPECT_EQ(memory_.populates[0].base, memory_.maps[1].base);
  EXPECT_EQ(memory_.populates[0].bytes, kSlab);
  EXPECT_EQ(slabs.held_bytes(), 2 * kSlab);
  allocate_blocks(slabs, kPerSlab - 1);
  EXPECT_EQ(memory_.maps.size(), 2u) << "the slab is not full";
  allocate_blocks(slabs, 1);
  EXPECT_TRUE(memory_.maps[2].huge);
}

// Takes CPU time for what it makes present, and for nothing else: more for one of the two kinds.
class SlowMemory final : public RecordingMemory {
 public:
  explicit SlowMemory(bool huge_is_slow) : huge_is_slow_(huge_is_slow) {}

  void* map(size_t bytes, size_t alignment, bool huge) override {
    void* const base = RecordingMemory::map(bytes, alignment, false);
    maps.back().huge = huge;
    return base;
  }
  bool populate(void*, size_t bytes) override {
    const bool slow = maps.back().huge == huge_is_slow_;
    whole += bytes == kSlab;
    const auto end = thread_time() + bytes / 1024 * std::chrono::nanoseconds(slow ? 2000 : 100);
    while (thread_time() < end) {
    }
    return true;
  }

  bool may_become_short() noexcept override { return limited; }

  bool limited = false;
  ptrdiff_t whole = 0;  // slabs that became present at once

 private:
  const bool huge_is_slow_;
};

TEST_F(SlabAllocatorMemory, SmallPagesWhereHugeOnesAreSlow) {
  constexpr size_t kSlabs = 40;
  for (const auto growth : {SlabAllocator::Growth::slab, SlabAllocator::Growth::gradual}) {
    for (const bool slow : {false, true}) {
      SCOPED_TRACE(slow);
      SlowMemory memory(slow);
      SlabAllocator slabs(memory, epoch_, kBlock, SlabAllocator::kKeep, growth);
      allocate_blocks(slabs, kSlabs * kPerSlab);
      ASSERT_EQ(memory.maps.size(), kSlabs);
      const auto huge = std::count_if(memory.maps.begin(), memory.maps.end(),
                                      [](const auto& range) { return range.huge; });
      // A CPU that stands still for a moment may make one slab look slow.
      if (slow) {
        EXPECT_LE(huge, 8) << "two or three without that";
        EXPECT_GE(huge, 1);
        EXPECT_EQ(memory.whole, huge + 1) << "and the one to compare with";
      } else {
        EXPECT_GE(huge, 20) << "38, or 31, without that";
      }
    }
  }
}

// Free blocks of whole slabs are what others find when nothing is left.
TEST_F(SlabAllocatorMemory, WholeSlabsWhereMemoryMayBecomeShort) {
  constexpr size_t kSlabs = 20;
  SlowMemory memory(true);
  memory.limited = true;
  SlabAllocator slabs(memory, epoch_, kBlock);
  allocate_blocks(slabs, kSlabs * kPerSlab);
  EXPECT_EQ(memory.whole, ptrdiff_t{kSlabs - 1}) << "the first one grows in steps";
}

// ---- slabs returned to the system

TEST_F(SlabAllocatorMemory, EmptySlabsGoBackButTheFirstAndOne) {
  SlabAllocator slabs(memory_, epoch_, kBlock);
  std::vector<std::byte*> blocks = allocate_blocks(slabs, 6 * kPerSlab);
  ASSERT_EQ(memory_.mapped_bytes(), 6 * kSlab);
  std::reverse(blocks.begin(), blocks.end());
  retire_all(slabs, epoch_, blocks);
  EXPECT_EQ(memory_.mapped_bytes(), 2 * kSlab);
  EXPECT_LE(slabs.held_bytes(), 2 * kSlab);
  for (const RecordingMemory::Range& range : memory_.unmaps) {
    EXPECT_NE(range.base, memory_.maps[0].base) << "the first slab stays";
  }
}

TEST_F(SlabAllocatorMemory, OneBlockKeepsItsSlab) {
  SlabAllocator slabs(memory_, epoch_, kBlock);
  std::vector<std::byte*> blocks = allocate_blocks(slabs, 6 * kPerSlab);
  std::vector<std::byte*> kept;
  for (size_t slab = 0; slab < 6; ++slab) {
    kept.push_back(blocks[slab * kPerSlab + slab * 100]);
    fill_pattern({kept.back(), kBlock}, slab);
  }
  std::erase_if(blocks, [&](std::byte* b) { return std::count(kept.begin(), kept.end(), b) > 0; });
  retire_all(slabs, epoch_, blocks);
  EXPECT_EQ(memory_.unmaps.size(), 0u);
  for (size_t i = 0; i < kept.size(); ++i) EXPECT_TRUE(has_pattern({kept[i], kBlock}, i));
  retire_all(slabs, epoch_, kept);
  EXPECT_EQ(memory_.mapped_bytes(), 2 * kSlab);
}

// A slab with a retired block in it is not empty.
TEST_F(SlabAllocatorMemory, ReaderKeepsTheSlabMapped) {
  SlabAllocator slabs(memory_, epoch_, kBlock);
  const std::vector<std::byte*> blocks = allocate_blocks(slabs, 4 * kPerSlab);
  for (std::byte* block : blocks) fill_pattern({block, kBlock}, 1);
  {
    const Epoch::Guard reader(epoch_);
    retire_all(slabs, epoch_, blocks);
    EXPECT_EQ(slabs.taken_blocks(), 0u);
    EXPECT_EQ(memory_.mapped_bytes(), 4 * kSlab);
    EXPECT_EQ(slabs.held_bytes(), 4 * kSlab);
    for (std::byte* block : blocks) ASSERT_TRUE(has_pattern({block, kBlock}, 1));
  }
  EXPECT_EQ(memory_.mapped_bytes(), 2 * kSlab);
}

// As a disk does that grows and shrinks by a page at the edge of a slab.
TEST_F(SlabAllocatorMemory, SpareIsKeptForTheNextBlock) {
  SlabAllocator slabs(memory_, epoch_, kBlock);
  allocate_blocks(slabs, kPerSlab);
  retire_all(slabs, epoch_, allocate_blocks(slabs, 1));
  ASSERT_EQ(memory_.mapped_bytes(), 2 * kSlab);
  const uint64_t calls = memory_.calls();
  for (int i = 0; i < 200; ++i) {
    const SlabAllocator::Run run = slabs.allocate(1);
    if (i % 2 == 0) {
      retire_all(slabs, epoch_, {run.base});
    } else {
      slabs.free({run.base, 1, false});
    }
  }
  EXPECT_EQ(memory_.calls(), calls);
  EXPECT_EQ(memory_.unmaps.size(), 0u);
}

// ---- failing

// Each call of map() and populate() fails once, or from then on for a while.
TEST_F(SlabAllocatorMemory, AFailedCallLeavesTheAllocatorUsable) {
  constexpr size_t kThree = 3 * kPerSlab;
  constexpr uint64_t kCalls = 1 + 32 + 2 * 2;  // as many as make three slabs
  for (uint64_t nth = 0; nth <= kCalls; ++nth) {
    for (const bool once : {true, false}) {
      SCOPED_TRACE("call " + std::to_string(nth) + (once ? "" : " and later"));
      RecordingMemory memory;
      once ? memory.fail_once(nth) : memory.fail_from(nth);
      SlabAllocator slabs(memory, epoch_, kBlock);
      std::vector<std::byte*> blocks;
      while (blocks.size() < kThree && memory.failures() == 0) {
        for (std::byte* block :
             allocate_blocks(slabs, std::min(size_t{15}, kThree - blocks.size()))) {
          blocks.push_back(block);
          fill_pattern({block, kBlock}, blocks.size());
        }
      }
      ASSERT_EQ(memory.failures() > 0, nth < kCalls);
      ASSERT_EQ(slabs.taken_blocks(), blocks.size());
      if (!once && memory.failures() > 0) {
        ASSERT_EQ(slabs.allocate(1).base, nullptr);
      }
      memory.allow();
      const std::vector<std::byte*> more = allocate_blocks(slabs, kPerSlab);
      ASSERT_EQ(more.size(), kPerSlab);
      for (std::byte* block : more) std::fill_n(block, kBlock, std::byte{0xff});
      for (size_t i = 0; i < blocks.size(); ++i) {
        ASSERT_TRUE(has_pattern({blocks[i], kBlock}, i + 1));
      }
      blocks.insert(blocks.end(), more.begin(), more.end());
      ASSERT_EQ(std::set(blocks.begin(), blocks.end()).size(), blocks.size());
      retire_all(slabs, epoch_, blocks);
      ASSERT_LE(memory.mapped_bytes(), 2 * kSlab);
      ASSERT_EQ(memory.misuse(), "");
    }
  }
}

TEST_F(SlabAllocatorMemory, FailureGivesAnEmptyRunAndTakesNothing) {
  memory_.fail_from(0);
  SlabAllocator slabs(memory_, epoch_, kBlock);
  const SlabAllocator::Run run = slabs.allocate(64);
  EXPECT_EQ(run.base, nullptr);
  EXPECT_EQ(run.count, 0u);
  EXPECT_EQ(slabs.taken_blocks(), 0u);
  EXPECT_EQ(slabs.held_bytes(), 0u);
  EXPECT_EQ(memory_.mapped_bytes(), 0u);
}

TEST_F(SlabAllocatorMemory, GrowthByBlocksTakesNothingAhead) {
  constexpr size_t kLarge = size_t{73} * 4096;
  SlabAllocator slabs(memory_, epoch_, kLarge, SlabAllocator::kKeep, SlabAllocator::Growth::block);
  for (size_t count = 1; count <= 20; ++count) {
    const SlabAllocator::Run run = slabs.allocate(1);
    ASSERT_NE(run.base, nullptr);
    EXPECT_TRUE(run.zeroed);
    fill_pattern({run.base, kLarge}, count);
    EXPECT_LE(slabs.held_bytes(), count * kLarge + 3 * SlabAllocator::kHeaderBytes);
    EXPECT_LE(memory_.resident_bytes(), count * kLarge + 3 * SlabAllocator::kHeaderBytes);
  }
  memory_.fail_from(0);
  EXPECT_EQ(slabs.allocate(1).base, nullptr);
  memory_.allow();
  EXPECT_NE(slabs.allocate(1).base, nullptr);
}

// Little is taken ahead while little is held, and whole slabs later.
TEST_F(SlabAllocatorMemory, GradualGrowthTakesLittleAheadAtFirst) {
  constexpr size_t kPage = 4096;
  SlabAllocator slabs(memory_, epoch_, kPage, SlabAllocator::kKeep, SlabAllocator::Growth::gradual);
  const auto ahead = [&] { return slabs.held_bytes() - slabs.taken_blocks() * kPage; };
  while (slabs.taken_blocks() * kPage < 15 << 20) {
    ASSERT_NE(slabs.allocate(1).base, nullptr);
    ASSERT_LE(ahead(), 16 * kPage + 8 * SlabAllocator::kHeaderBytes);
  }
  while (slabs.taken_blocks() * kPage < 19 << 20) ASSERT_NE(slabs.allocate(1).base, nullptr);
  EXPECT_GT(ahead(), SlabAllocator::kSlabBytes / 4);
}

}  // namespace
}  // namespace ramdisk
