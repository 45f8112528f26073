// The header of a slab, and its bitmaps. For SlabAllocator alone.

#ifndef RAMDISK_TABLE_SLAB_H
#define RAMDISK_TABLE_SLAB_H

#include <algorithm>
#include <bit>

#include "table/slab_allocator.h"

namespace ramdisk {

// Lives in the first bytes of the slab. Bit i of a bitmap stands for block i.
struct SlabAllocator::Slab {
  Bitmap free{};    // can be allocated
  Bitmap dirty{};   // subset of free: holds old data
  Bitmap absent{};  // subset of free, disjoint from dirty: takes no memory, reads as zeroes
  std::array<Bitmap, Epoch::kEpochs> retired{};

  std::array<Link, kLists> links;
  std::array<Slab*, Epoch::kEpochs> next_limbo{};
  std::array<uint32_t, Epoch::kEpochs> retired_count{};
  Slab* next_dropped = nullptr;
  const SlabAllocator* owner = nullptr;
  uint32_t free_count = 0;
  uint32_t dirty_count = 0;
  uint32_t absent_count = 0;
  uint32_t ready_blocks = 0;  // populated at some time: all, unless the slab grows
  uint32_t lists = 0;         // bit l: the slab is in list l
  size_t ready_bytes = 0;     // populated, from the start of the slab
};

namespace slab_bits {

inline uint32_t count_bits(uint64_t word) {
  return static_cast<uint32_t>(std::popcount(word));
}

inline bool test(const auto& bitmap, size_t i) {
  return bitmap[i / 64] >> (i % 64) & 1;
}

// The bits from `first` on that lie in one word of a bitmap, `end` excluded.
struct Part {
  size_t word;
  uint64_t mask;
  size_t count;
};

inline Part part_of_range(size_t first, size_t end) {
  const size_t bit = first % 64;
  const size_t count = std::min(end - first, 64 - bit);
  const uint64_t ones = count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
  return {first / 64, ones << bit, count};
}

}  // namespace slab_bits

}  // namespace ramdisk

#endif
