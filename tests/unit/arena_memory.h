// What tests about an Arena and the system's memory share: many blocks at once, and a source of
// memory that records.

#ifndef RAMDISK_UNIT_ARENA_MEMORY_H
#define RAMDISK_UNIT_ARENA_MEMORY_H

#include <gtest/gtest.h>

#include <vector>

#include "core/arena.h"
#include "unit/recording_memory.h"

namespace ramdisk::unit {

inline constexpr size_t kBlock = 4096;
inline constexpr size_t kSlab = Arena::kSlabBytes;
inline constexpr size_t kPerSlab = (kSlab - Arena::kHeaderBytes) / kBlock;
inline constexpr size_t kStep = 64 << 10;  // in which the first slab grows

inline std::vector<std::byte*> take_blocks(Arena& arena, size_t count) {
  std::vector<std::byte*> blocks;
  while (blocks.size() < count) {
    const Arena::Run run = arena.take(count - blocks.size());
    if (!run.base) return blocks;
    for (size_t i = 0; i < run.count; ++i) blocks.push_back(run.base + i * arena.block_bytes());
  }
  return blocks;
}

inline void retire_all(Arena& arena, Epoch& epoch, const std::vector<std::byte*>& blocks) {
  const Epoch::Guard guard(epoch);
  arena.retire(blocks, guard);
}

inline std::byte* slab_of(std::byte* block) {
  return block - reinterpret_cast<uintptr_t>(block) % kSlab;
}

class ArenaMemory : public testing::Test {
 protected:
  ~ArenaMemory() override { EXPECT_EQ(memory_.misuse(), ""); }

  RecordingMemory memory_;
  Epoch epoch_;
};

}  // namespace ramdisk::unit

#endif
