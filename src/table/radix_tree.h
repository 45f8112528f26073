// RadixTree: the L1 level of the page table. Finds an entry by its key, or the first one from a key
// on.
//
// A node has 64 children, for 6 bits of the key. An entry hangs from the highest slot that it does
// not share with another one, so entries far apart cost little more than a slot; a node is made
// only where two keys differ. (The idea is lazy expansion, as in Leis et al., "The Adaptive Radix
// Tree", 2013.) A disk of a gigabyte needs two levels, one of 2^63 bytes eight.
//
// Invariants:
//   1. An entry's key has the digits of the path that leads to its slot.
//   2. A slot changes from empty to an entry or node, from an entry to a node, or back to empty,
//      each by one atomic store: a reader meets only complete nodes.
//   3. A node that becomes empty is unlinked and retired.
//   4. A key beyond the tree's limit finds nothing: it is never looked up by the digits of its low
//      bits.
//
// Thread contract: find and next by any pinned thread without a lock; insert and erase by one
// thread at a time (the page table's mutex), pinned.

#ifndef RAMDISK_TABLE_RADIX_TREE_H
#define RAMDISK_TABLE_RADIX_TREE_H

#include <array>
#include <atomic>
#include <cstdint>

#include "table/slab_allocator.h"

namespace ramdisk {

class RadixTree {
 public:
  // The base class of what the tree holds. Aligned, because slots use the pointer's low bit.
  struct alignas(8) Entry {
    uint64_t key = 0;
  };

  // Holds keys below `keys` (>= 1). `nodes` hands out blocks of kNodeBytes.
  static constexpr size_t kNodeBytes = 576;
  RadixTree(SlabAllocator& nodes, uint64_t keys);

  // Both take every key; beyond the limit there are no entries.
  Entry* find(uint64_t key) const;  // nullptr if there is none
  Entry* next(uint64_t key) const;  // the first with this key or a larger one; nullptr if none

  // Adds `entry`, whose key is below the limit, unless there is one with this key already. Returns
  // the one that is in the tree then; or nullptr when there is no memory for a node, and the tree
  // holds what it held before.
  Entry* insert(Entry* entry, Claim claim = Claim::data);

  // Removes the entry with this key, if any. The caller retires it.
  void erase(uint64_t key, const Epoch::Guard& guard);

 private:
  static constexpr unsigned kBits = 6;
  static constexpr size_t kFanout = size_t{1} << kBits;

  // 0: empty; bit 0 set: an Entry; else a Node.
  using Slot = std::atomic<uintptr_t>;
  struct Node {
    std::array<Slot, kFanout> slots{};
    uint32_t used = 0;  // slots that are not empty; for the thread that changes the tree
  };
  static_assert(sizeof(Node) <= kNodeBytes);

  static size_t digit(uint64_t key, unsigned level) {
    return static_cast<size_t>(key >> (level * kBits)) & (kFanout - 1);
  }
  static Entry* entry_in(uintptr_t slot) {
    return slot & 1 ? reinterpret_cast<Entry*>(slot - 1) : nullptr;
  }
  static uintptr_t slot_for(Entry* entry) { return reinterpret_cast<uintptr_t>(entry) | 1; }

  static void set(Slot& slot, uintptr_t value);

  Entry* next_in(const Node& node, unsigned level, uint64_t key) const;
  Node* make_node(Claim claim);
  void erase_in(Node& node, unsigned level, uint64_t key, const Epoch::Guard& guard);

  SlabAllocator& nodes_;
  const uint64_t keys_;
  unsigned top_;  // level of the root's digit; 0 is the last digit
  Node root_;
};

}  // namespace ramdisk

#endif
