// Arena and the system's memory: what it asks for, which slabs it gives back, and when asking
// fails.

#include "unit/arena_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "core/arena.h"
#include "support/data.h"

namespace ramdisk {
namespace {

using conformance::Rng;
using unit::fill_pattern;
using unit::has_pattern;

using unit::ArenaMemory;
using unit::kBlock;
using unit::kPerSlab;
using unit::kSlab;
using unit::kStep;
using unit::RecordingMemory;
using unit::retire_all;
using unit::slab_of;
using unit::take_blocks;

// ---- growing

// Blocks as in a step: many, one, less than one. A step ends with a block and with a page.
TEST_F(ArenaMemory, FirstSlabGrowsInSteps) {
  for (const size_t bytes :
       {size_t{512}, size_t{576}, size_t{2112}, kBlock, size_t{64} << 10, size_t{73} * 4096}) {
    SCOPED_TRACE("blocks of " + std::to_string(bytes));
    RecordingMemory memory;
    Arena arena(memory, epoch_, bytes);
    const size_t per_slab = (kSlab - Arena::kHeaderBytes) / bytes;
    const size_t group = std::lcm(bytes, size_t{4096}) / bytes;
    const size_t step = std::max((kStep / bytes + group - 1) / group, size_t{1}) * group;
    const size_t end = (4096 - per_slab * bytes % 4096) % 4096;  // counted from the start
    for (size_t taken = 1; taken <= per_slab; ++taken) {
      ASSERT_EQ(arena.take(1).count, 1u);
      const size_t present = std::min((taken + step - 1) / step * step, per_slab);
      ASSERT_EQ(arena.held_bytes(), Arena::kHeaderBytes + present * bytes + end) << taken;
    }
    ASSERT_EQ(memory.maps.size(), 1u);
    EXPECT_FALSE(memory.maps[0].huge) << "a small disk takes little memory";
    std::byte* next = memory.maps[0].base;
    for (const auto& populated : memory.populates) {
      EXPECT_EQ(populated.base, next);
      EXPECT_EQ(populated.bytes % 4096, 0u);
      next += populated.bytes;
    }
    EXPECT_EQ(next, memory.maps[0].base + arena.held_bytes());
  }
}

TEST_F(ArenaMemory, LaterSlabsArePopulatedAtOnce) {
  Arena arena(memory_, epoch_, kBlock);
  take_blocks(arena, kPerSlab);
  ASSERT_EQ(arena.held_bytes(), kSlab);
  memory_.populates.clear();
  take_blocks(arena, 1);
  ASSERT_EQ(memory_.maps.size(), 2u);
  EXPECT_TRUE(memory_.maps[1].huge);
  ASSERT_EQ(memory_.populates.size(), 1u);
  EXPECT_EQ(memory_.populates[0].base, memory_.maps[1].base);
  EXPECT_EQ(memory_.populates[0].bytes, kSlab);
  EXPECT_EQ(arena.held_bytes(), 2 * kSlab);
  take_blocks(arena, kPerSlab - 1);
  EXPECT_EQ(memory_.maps.size(), 2u) << "the slab is not full";
}

// ---- slabs back to the system

TEST_F(ArenaMemory, EmptySlabsGoBackButTheFirstAndOne) {
  Arena arena(memory_, epoch_, kBlock);
  std::vector<std::byte*> blocks = take_blocks(arena, 6 * kPerSlab);
  ASSERT_EQ(memory_.mapped_bytes(), 6 * kSlab);
  std::reverse(blocks.begin(), blocks.end());
  retire_all(arena, epoch_, blocks);
  EXPECT_EQ(memory_.mapped_bytes(), 2 * kSlab);
  EXPECT_LE(arena.held_bytes(), 2 * kSlab);
  for (const RecordingMemory::Range& range : memory_.unmaps) {
    EXPECT_NE(range.base, memory_.maps[0].base) << "the first slab stays";
  }
}

TEST_F(ArenaMemory, OneBlockKeepsItsSlab) {
  Arena arena(memory_, epoch_, kBlock);
  std::vector<std::byte*> blocks = take_blocks(arena, 6 * kPerSlab);
  std::vector<std::byte*> kept;
  for (size_t slab = 0; slab < 6; ++slab) {
    kept.push_back(blocks[slab * kPerSlab + slab * 100]);
    fill_pattern({kept.back(), kBlock}, slab);
  }
  std::erase_if(blocks, [&](std::byte* b) { return std::count(kept.begin(), kept.end(), b) > 0; });
  retire_all(arena, epoch_, blocks);
  EXPECT_EQ(memory_.unmaps.size(), 0u);
  for (size_t i = 0; i < kept.size(); ++i) EXPECT_TRUE(has_pattern({kept[i], kBlock}, i));
  retire_all(arena, epoch_, kept);
  EXPECT_EQ(memory_.mapped_bytes(), 2 * kSlab);
}

// A slab with a retired block in it is not empty.
TEST_F(ArenaMemory, ReaderKeepsTheSlabMapped) {
  Arena arena(memory_, epoch_, kBlock);
  const std::vector<std::byte*> blocks = take_blocks(arena, 4 * kPerSlab);
  for (std::byte* block : blocks) fill_pattern({block, kBlock}, 1);
  {
    const Epoch::Guard reader(epoch_);
    retire_all(arena, epoch_, blocks);
    EXPECT_EQ(arena.taken_blocks(), 0u);
    EXPECT_EQ(memory_.mapped_bytes(), 4 * kSlab);
    EXPECT_EQ(arena.held_bytes(), 4 * kSlab);
    for (std::byte* block : blocks) ASSERT_TRUE(has_pattern({block, kBlock}, 1));
  }
  EXPECT_EQ(memory_.mapped_bytes(), 2 * kSlab);
}

// A disk that grows and shrinks by a page at the edge of a slab.
TEST_F(ArenaMemory, SpareIsKeptForTheNextBlock) {
  Arena arena(memory_, epoch_, kBlock);
  take_blocks(arena, kPerSlab);
  retire_all(arena, epoch_, take_blocks(arena, 1));
  ASSERT_EQ(memory_.mapped_bytes(), 2 * kSlab);
  const uint64_t calls = memory_.calls();
  for (int i = 0; i < 200; ++i) {
    const Arena::Run run = arena.take(1);
    if (i % 2 == 0) {
      retire_all(arena, epoch_, {run.base});
    } else {
      arena.give_back({run.base, 1, false});
    }
  }
  EXPECT_EQ(memory_.calls(), calls);
  EXPECT_EQ(memory_.unmaps.size(), 0u);
}

// ---- failing

// Each call of map() and populate() fails once, and from then on for a while.
TEST_F(ArenaMemory, AFailedCallLeavesTheArenaUsable) {
  constexpr size_t kThree = 3 * kPerSlab;
  constexpr uint64_t kCalls = 2 + 32 + 2 * 2;  // that make three slabs
  for (uint64_t nth = 0; nth <= kCalls; ++nth) {
    for (const bool once : {true, false}) {
      SCOPED_TRACE("call " + std::to_string(nth) + (once ? "" : " and later"));
      RecordingMemory memory;
      once ? memory.fail_once(nth) : memory.fail_from(nth);
      Arena arena(memory, epoch_, kBlock);
      std::vector<std::byte*> blocks;
      while (blocks.size() < kThree && memory.failures() == 0) {
        for (std::byte* block : take_blocks(arena, std::min(size_t{15}, kThree - blocks.size()))) {
          blocks.push_back(block);
          fill_pattern({block, kBlock}, blocks.size());
        }
      }
      ASSERT_EQ(memory.failures() > 0, nth < kCalls);
      ASSERT_EQ(arena.taken_blocks(), blocks.size());
      if (!once && memory.failures() > 0) {
        ASSERT_EQ(arena.take(1).base, nullptr);
      }
      memory.allow();
      const std::vector<std::byte*> more = take_blocks(arena, kPerSlab);
      ASSERT_EQ(more.size(), kPerSlab);
      for (std::byte* block : more) std::fill_n(block, kBlock, std::byte{0xff});
      for (size_t i = 0; i < blocks.size(); ++i) {
        ASSERT_TRUE(has_pattern({blocks[i], kBlock}, i + 1));
      }
      blocks.insert(blocks.end(), more.begin(), more.end());
      ASSERT_EQ(std::set(blocks.begin(), blocks.end()).size(), blocks.size());
      retire_all(arena, epoch_, blocks);
      ASSERT_LE(memory.mapped_bytes(), 2 * kSlab);
      ASSERT_EQ(memory.misuse(), "");
    }
  }
}

TEST_F(ArenaMemory, FailureGivesAnEmptyRunAndTakesNothing) {
  memory_.fail_from(0);
  Arena arena(memory_, epoch_, kBlock);
  const Arena::Run run = arena.take(64);
  EXPECT_EQ(run.base, nullptr);
  EXPECT_EQ(run.count, 0u);
  EXPECT_EQ(arena.taken_blocks(), 0u);
  EXPECT_EQ(arena.held_bytes(), 0u);
  EXPECT_EQ(memory_.mapped_bytes(), 0u);
}

TEST_F(ArenaMemory, GrowthByBlocksTakesNothingAhead) {
  constexpr size_t kLarge = size_t{73} * 4096;
  Arena arena(memory_, epoch_, kLarge, Arena::kKeep, Arena::Growth::block);
  for (size_t count = 1; count <= 20; ++count) {
    const Arena::Run run = arena.take(1);
    ASSERT_NE(run.base, nullptr);
    EXPECT_TRUE(run.clean);
    fill_pattern({run.base, kLarge}, count);
    EXPECT_LE(arena.held_bytes(), count * kLarge + 3 * Arena::kHeaderBytes);
    EXPECT_LE(memory_.resident_bytes(), count * kLarge + 3 * Arena::kHeaderBytes);
  }
  memory_.fail_from(0);
  EXPECT_EQ(arena.take(1).base, nullptr);
  memory_.allow();
  EXPECT_NE(arena.take(1).base, nullptr);
}

}  // namespace
}  // namespace ramdisk
