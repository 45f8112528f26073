// What tests of a SlabAllocator and the system's memory share: many blocks at once, and a source of
// memory that keeps a record.

#ifndef RAMDISK_UNIT_SLAB_ALLOCATOR_MEMORY_H
#define RAMDISK_UNIT_SLAB_ALLOCATOR_MEMORY_H

#include <gtest/gtest.h>

#include <vector>

#include "table/slab_allocator.h"
#include "unit/recording_memory.h"

namespace ramdisk::unit {

inline constexpr size_t kBlock = 4096;
inline constexpr size_t kSlab = SlabAllocator::kSlabBytes;
inline constexpr size_t kPerSlab = (kSlab - SlabAllocator::kHeaderBytes) / kBlock;
inline constexpr size_t kStep = 64 << 10;  // in which the first slab grows

inline std::vector<std::byte*> allocate_blocks(SlabAllocator& slabs, size_t count) {
  std::vector<std::byte*> blocks;
  while (blocks.size() < count) {
    const SlabAllocator::Run run = slabs.allocate(count - blocks.size());
    if (!run.base) return blocks;
    for (size_t i = 0; i < run.count; ++i) blocks.push_back(run.base + i * slabs.block_bytes());
  }
  return blocks;
}

inline void retire_all(SlabAllocator& slabs, Epoch& epoch, const std::vector<std::byte*>& blocks) {
  const Epoch::Guard guard(epoch);
  slabs.retire(blocks, guard);
}

inline std::byte* slab_of(std::byte* block) {
  return block - reinterpret_cast<uintptr_t>(block) % kSlab;
}

class SlabAllocatorMemory : public testing::Test {
 protected:
  ~SlabAllocatorMemory() override { EXPECT_EQ(memory_.misuse(), ""); }

  RecordingMemory memory_;
  Epoch epoch_;
};

}  // namespace ramdisk::unit

#endif
