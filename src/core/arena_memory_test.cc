// Arena and the system's memory: what it asks for, what it gives back, and when asking fails.

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "conformance/data.h"
#include "core/arena.h"
#include "unit/pattern.h"
#include "unit/recording_memory.h"

namespace ramdisk {
namespace {

using conformance::Rng;
using unit::fill_pattern;
using unit::has_pattern;
using unit::RecordingMemory;

constexpr size_t kBlock = 4096;
constexpr size_t kSlab = Arena::kSlabBytes;
constexpr size_t kPerSlab = (kSlab - Arena::kHeaderBytes) / kBlock;
constexpr size_t kStep = 64 << 10;       // in which the first slab grows
constexpr size_t kDirtyFloor = 4 << 20;  // of free memory that may be kept in any case

std::vector<std::byte*> take_blocks(Arena& arena, size_t count) {
  std::vector<std::byte*> blocks;
  while (blocks.size() < count) {
    const Arena::Run run = arena.take(count - blocks.size());
    if (!run.base) return blocks;
    for (size_t i = 0; i < run.count; ++i) blocks.push_back(run.base + i * arena.block_bytes());
  }
  return blocks;
}

void retire_all(Arena& arena, Epoch& epoch, const std::vector<std::byte*>& blocks) {
  const Epoch::Guard guard(epoch);
  arena.retire(blocks);
}

std::byte* slab_of(std::byte* block) {
  return block - reinterpret_cast<uintptr_t>(block) % kSlab;
}

class ArenaMemory : public testing::Test {
 protected:
  ~ArenaMemory() override { EXPECT_EQ(memory_.misuse(), ""); }

  RecordingMemory memory_;
  Epoch epoch_;
};

// ---- growing

// Blocks as in a slab's steps: many a step, one a step, several steps a block.
TEST_F(ArenaMemory, FirstSlabGrowsInSteps) {
  for (const size_t bytes : {size_t{512}, kBlock, size_t{64} << 10, size_t{73} * 4096}) {
    SCOPED_TRACE("blocks of " + std::to_string(bytes));
    RecordingMemory memory;
    Arena arena(memory, epoch_, bytes);
    const size_t per_slab = (kSlab - Arena::kHeaderBytes) / bytes;
    for (size_t taken = 1; taken <= per_slab; ++taken) {
      ASSERT_EQ(arena.take(1).count, 1u);
      const size_t steps = (Arena::kHeaderBytes + taken * bytes + kStep - 1) / kStep;
      ASSERT_EQ(arena.held_bytes(), steps * kStep) << taken;
      ASSERT_EQ(memory.populates.size(), steps) << taken;
    }
    ASSERT_EQ(memory.maps.size(), 1u);
    EXPECT_FALSE(memory.maps[0].huge) << "a small disk takes little memory";
    for (size_t i = 0; i < memory.populates.size(); ++i) {
      EXPECT_EQ(memory.populates[i].base, memory.maps[0].base + i * kStep);
      EXPECT_EQ(memory.populates[i].bytes, kStep);
    }
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

// ---- dirty memory

// What may be held: blocks in use, headers, two slabs that are not full, and the dirty allowance.
size_t most_held(size_t blocks_in_use, size_t slabs) {
  const size_t used = blocks_in_use * kBlock;
  return used + used / 32 + kDirtyFloor + slabs * Arena::kHeaderBytes + 2 * kSlab;
}

class Purge : public ArenaMemory {
 protected:
  // Takes 64 MiB and retires all blocks but those of `keep`, in random order and pieces.
  void thin_out(Arena& arena, const std::function<bool(size_t)>& keep) {
    std::vector<std::byte*> blocks = take_blocks(arena, 32 * kPerSlab);
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
      if (freed.size() == 64) retire_all(arena, epoch_, std::exchange(freed, {}));
    }
    retire_all(arena, epoch_, freed);
  }

  void check_kept() {
    for (const auto& [block, tag] : kept_) ASSERT_TRUE(has_pattern({block, kBlock}, tag));
  }

  std::vector<std::pair<std::byte*, uint64_t>> kept_;  // with their tags
};

TEST_F(Purge, DirtyMemoryIsBounded) {
  Arena arena(memory_, epoch_, kBlock);
  thin_out(arena, [](size_t i) { return i % 8 == 0; });
  ASSERT_FALSE(memory_.discards.empty());
  EXPECT_EQ(memory_.mapped_bytes(), 32 * kSlab) << "every slab has a block left";
  EXPECT_LE(arena.held_bytes(), most_held(kept_.size(), 32));
  EXPECT_GE(arena.held_bytes(), kept_.size() * kBlock);
  check_kept();
  for (const RecordingMemory::Range& range : memory_.discards) {
    ASSERT_GE(range.base - slab_of(range.base), static_cast<ptrdiff_t>(Arena::kHeaderBytes));
    ASSERT_EQ(slab_of(range.base), slab_of(range.base + range.bytes - 1));
  }
}

// Or the system would fill the holes again by itself.
TEST_F(Purge, SystemIsWarnedOfHoles) {
  Arena arena(memory_, epoch_, kBlock);
  thin_out(arena, [](size_t i) { return i % 8 == 0; });
  std::set<std::byte*> slabs;
  for (const RecordingMemory::Range& range : memory_.warnings) {
    EXPECT_EQ(range.bytes, kSlab);
    slabs.insert(range.base);
  }
  ASSERT_FALSE(memory_.discards.empty());
  for (const RecordingMemory::Range& range : memory_.discards) {
    ASSERT_TRUE(slabs.contains(slab_of(range.base)));
  }
}

// The figure is not only an account: the system has the memory back.
TEST_F(Purge, ResidentMemoryFollows) {
  Arena arena(memory_, epoch_, kBlock);
  thin_out(arena, [](size_t i) { return i % 8 == 0; });
  EXPECT_LE(memory_.resident_bytes(), most_held(kept_.size(), 32));
  EXPECT_GE(memory_.resident_bytes(), kept_.size() * kBlock) << "the measurement works";
}

TEST_F(Purge, DiscardedBlocksComeBackCleanAndCountAsHeld) {
  Arena arena(memory_, epoch_, kBlock);
  thin_out(arena, [](size_t i) { return i % 8 == 0; });
  const uint64_t held = arena.held_bytes();
  const size_t missing = 32 * kPerSlab - kept_.size();
  size_t clean = 0;
  for (size_t taken = 0; taken < missing;) {
    const Arena::Run run = arena.take(missing - taken);
    taken += run.count;
    if (!run.clean) continue;
    clean += run.count;
    ASSERT_TRUE(conformance::all_zero({run.base, run.count * kBlock}));
  }
  EXPECT_EQ(memory_.maps.size(), 32u) << "there was room in the slabs";
  EXPECT_EQ(arena.held_bytes(), 32 * kSlab);
  EXPECT_EQ(held + clean * kBlock, 32 * kSlab);
  check_kept();
}

// Whoever takes a block touches it: it must be present then, or have been refused.
TEST_F(Purge, BlocksThatTheSystemRefusesAreNotHandedOut) {
  Arena arena(memory_, epoch_, kBlock);
  thin_out(arena, [](size_t i) { return i % 8 == 0; });
  memory_.fail_from(0);
  std::vector<Arena::Run> runs;
  for (int i = 0; i < 20000; ++i) {
    const Arena::Run run = arena.take(8);
    if (run.base) runs.push_back(run);
  }
  EXPECT_GT(memory_.failures(), 0u);
  const size_t before = memory_.resident_bytes();
  for (const Arena::Run& run : runs) std::fill_n(run.base, run.count * kBlock, std::byte{1});
  EXPECT_EQ(memory_.resident_bytes(), before) << "pages came into being under the writer";
  check_kept();
  memory_.allow();
  const uint64_t missing = 32 * kPerSlab - arena.taken_blocks();
  EXPECT_EQ(take_blocks(arena, missing).size(), missing);
  EXPECT_EQ(memory_.mapped_bytes(), 32 * kSlab) << "blocks were lost";
  EXPECT_EQ(arena.held_bytes(), 32 * kSlab);
}

// Half of a range may have become present, with whatever a discard that fails leaves there.
TEST_F(Purge, WhatIsLeftOfARefusedBlockIsNotClean) {
  Arena arena(memory_, epoch_, kBlock);
  thin_out(arena, [](size_t i) { return i % 8 == 0; });
  memory_.fail_from(0);
  memory_.refuse_discard(true);
  for (int i = 0; i < 20000; ++i) arena.take(8);  // the dirty ones first
  ASSERT_GT(memory_.failures(), 0u);
  memory_.allow();
  while (arena.taken_blocks() < 32 * kPerSlab) {
    const Arena::Run run = arena.take(64);
    ASSERT_FALSE(run.clean && !conformance::all_zero({run.base, run.count * kBlock}));
  }
}

// Slabs whose blocks were discarded in part go back like the others, with the sums right.
TEST_F(Purge, ThinnedSlabsGoBackWhole) {
  Arena arena(memory_, epoch_, kBlock);
  thin_out(arena, [](size_t i) { return i % 8 == 0; });
  std::vector<std::byte*> rest;
  for (const auto& [block, tag] : kept_) rest.push_back(block);
  retire_all(arena, epoch_, rest);
  EXPECT_EQ(memory_.mapped_bytes(), 2 * kSlab);
  EXPECT_LE(arena.held_bytes(), 2 * kSlab);
  EXPECT_GE(arena.held_bytes(), 2 * Arena::kHeaderBytes);
  EXPECT_LE(memory_.resident_bytes(), 2 * kSlab);
}

TEST_F(Purge, FewDirtyBlocksAreLeftAlone) {
  Arena arena(memory_, epoch_, kBlock);
  thin_out(arena, [](size_t i) { return i % 32 != 0; });  // 2 MiB
  EXPECT_EQ(memory_.discards.size(), 0u);
}

// Blocks that are not whole pages cannot be given back alone.
TEST_F(Purge, SmallBlocksAreNotDiscarded) {
  Arena arena(memory_, epoch_, 512);
  std::vector<std::byte*> blocks = take_blocks(arena, (16 * kSlab) / 512);
  std::vector<std::byte*> freed;
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (i % 8 != 0) freed.push_back(blocks[i]);
  }
  retire_all(arena, epoch_, freed);
  EXPECT_EQ(memory_.discards.size(), 0u);
}

// Memory that is locked, say: what could not be discarded holds rubbish and must count as dirty.
TEST_F(Purge, RefusedDiscardIsNotTriedAgain) {
  memory_.refuse_discard(true);
  Arena arena(memory_, epoch_, kBlock);
  thin_out(arena, [](size_t i) { return i % 8 == 0; });
  EXPECT_EQ(memory_.discards.size(), 1u);
  EXPECT_EQ(arena.held_bytes(), 32 * kSlab);
  check_kept();
  const size_t missing = 32 * kPerSlab - kept_.size();
  for (size_t taken = 0; taken < missing;) {
    const Arena::Run run = arena.take(missing - taken);
    ASSERT_FALSE(run.clean);
    taken += run.count;
  }
  check_kept();
}

// ---- failing

// Each call of map() and populate() fails once, and from then on for a while.
TEST_F(ArenaMemory, AFailedCallLeavesTheArenaUsable) {
  constexpr size_t kThree = 3 * kPerSlab;
  constexpr uint64_t kCalls = 1 + 32 + 2 * 2;  // that make three slabs
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
      ASSERT_EQ(memory.failures(), nth < kCalls ? 1u : 0u);
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

// ---- giving back all at once

// What is free goes, used before or not; what is taken stays as it is.
TEST_F(ArenaMemory, ReleaseFreeLeavesWhatIsTaken) {
  Arena arena(memory_, epoch_, kBlock);
  const std::vector<std::byte*> blocks = take_blocks(arena, 3 * kPerSlab + 10);
  ASSERT_EQ(blocks.size(), 3 * kPerSlab + 10);
  for (size_t i = 0; i < blocks.size(); ++i) fill_pattern({blocks[i], kBlock}, i + 1);
  std::vector<std::byte*> some;
  for (size_t i = 0; i < blocks.size(); i += 2) some.push_back(blocks[i]);
  retire_all(arena, epoch_, some);
  arena.release_free();
  const size_t taken = (blocks.size() - some.size()) * kBlock;
  EXPECT_LE(memory_.resident_bytes(), taken + 5 * Arena::kHeaderBytes);
  EXPECT_LE(arena.held_bytes(), taken + 5 * Arena::kHeaderBytes);
  for (size_t i = 1; i < blocks.size(); i += 2) {
    ASSERT_TRUE(has_pattern({blocks[i], kBlock}, i + 1)) << i;
  }
  // What comes again is clean, as it says.
  for (size_t n = 0; n < some.size();) {
    const Arena::Run run = arena.take(64);
    ASSERT_NE(run.base, nullptr);
    ASSERT_TRUE(run.clean);
    for (size_t i = 0; i < run.count * kBlock; ++i) ASSERT_EQ(run.base[i], std::byte{0});
    n += run.count;
  }
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
