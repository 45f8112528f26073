// PageMarks: a set of pages of one disk. What it takes follows how many parts of the disk have
// marked pages, not the size of the disk.
//
//   RadixTree             Leaf (4096 marks, 16 MiB of disk)
//   ┌──────────┐          ┌─────────────────────────┐
//   │ leaf 0  ───────────▶│ word 0: pages 0 to 63   │
//   │ leaf 7  ───┐        │ word 1: pages 64 to 127 │
//   └──────────┘ └─▶ …    └─────────────────────────┘
//
// Invariants:
//   1. A leaf is in the tree as long as it has a mark or a Hold; after that it is erased and
//      retired, and readers may use it until they unpin.
//   2. Marks change under mutex_, each word by one release store, so a reader that finds a mark
//      sees what was done before it was set.
//
// Thread contract: any thread, pinned where a Guard is asked for. Readers take no lock.

#ifndef RAMDISK_TABLE_PAGE_MARKS_H
#define RAMDISK_TABLE_PAGE_MARKS_H

#include <array>
#include <atomic>
#include <cstdint>

#include "base/mutex.h"
#include "table/epoch.h"
#include "table/radix_tree.h"
#include "table/slab_allocator.h"

namespace ramdisk {

class PageMarks {
  struct Leaf;

 public:
  static constexpr uint64_t kWordPages = 64;  // pages whose marks change together

  // For disks of `disk_bytes` (0 to 2^63-1).
  PageMarks(MemorySource& memory, Epoch& epoch, uint64_t disk_bytes);

  // The marks of the word that `page` is in; bit i is that of its page i.
  uint64_t word(uint64_t page, const Epoch::Guard&) const;
  bool has(uint64_t page, const Epoch::Guard& guard) const {
    return word(page, guard) >> (page % kWordPages) & 1;
  }

  // The pages from `first` on, up to `end`, that are all marked or all not. first < end.
  struct Run {
    bool marked;
    uint64_t end;
  };
  Run run(uint64_t first, uint64_t end, const Epoch::Guard& guard) const;

  // The first marked page of [first, end), or `end`. Costs O(1) for each leaf on the way.
  uint64_t next(uint64_t first, uint64_t end, const Epoch::Guard&) const;

  // The memory for the marks of one word, taken before it is known whether they will be set. Lives
  // no longer than the guard.
  class Hold {
   public:
    Hold(PageMarks& marks, uint64_t page, const Epoch::Guard& guard);
    ~Hold();
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

    explicit operator bool() const { return leaf_ != nullptr; }  // false: no memory
    void set(uint64_t bits);                                     // in the word of `page`

   private:
    PageMarks& marks_;
    const uint64_t page_;
    const Epoch::Guard& guard_;
    Leaf* leaf_;
  };

  // Takes away marks of the word that `page` is in.
  void clear(uint64_t page, uint64_t bits, const Epoch::Guard& guard) EXCLUDES(mutex_);

  uint64_t leaves() const { return leaves_.load(std::memory_order_relaxed); }
  uint64_t held_bytes() const { return blocks_.held_bytes(); }

 private:
  static constexpr unsigned kLeafShift = 12;
  static constexpr uint64_t kLeafPages = uint64_t{1} << kLeafShift;

  struct Leaf : RadixTree::Entry {
    uint32_t marked = 0;  // these two under mutex_
    uint32_t holds = 0;
    std::array<std::atomic<uint64_t>, kLeafPages / kWordPages> words{};

    std::atomic<uint64_t>& word_of(uint64_t page) { return words[page % kLeafPages / kWordPages]; }
  };
  // Nodes and leaves are blocks of one size, so that few marks take one slab and not two.
  static_assert(sizeof(Leaf) <= RadixTree::kNodeBytes);

  Leaf* find(uint64_t page) const { return static_cast<Leaf*>(tree_.find(page >> kLeafShift)); }
  Leaf* hold(uint64_t page) EXCLUDES(mutex_);
  void drop_if_unused(Leaf* leaf, const Epoch::Guard& guard) REQUIRES(mutex_);

  SlabAllocator blocks_;
  Mutex mutex_;
  RadixTree tree_;                   // changed under mutex_
  std::atomic<uint64_t> leaves_{0};  // relaxed, a counter
};

}  // namespace ramdisk

#endif
