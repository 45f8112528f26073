// A SlabAllocator hands out blocks of one size, carved from slabs of 2 MiB, and returns memory to
// the system when blocks are freed.
//
//   slab, 2 MiB, aligned to its size
//   ┌────────┬─────────┬─────────┬─────────┬── ─ ─
//   │ header │ block 0 │ block 1 │ block 2 │
//   └────────┴─────────┴─────────┴─────────┴── ─ ─
//
// The header (one page) holds bitmaps with one bit for each block. Slabs are used because a huge
// page populated in one call is ten times as fast as a page fault for every 4 KiB, and because one
// step through a bitmap finds a run of neighbouring blocks. The first slab is an exception: it is
// populated step by step with small pages, so that a small disk takes little memory. So are later
// ones where there is no memory for a whole slab.
//
// Invariants:
//   1. A block is in one of these states: taken (allocated); retired (a reader may still see it);
//      free.
//   2. A free block is zeroed (reads as zeroes) or dirty (holds old data and takes memory).
//      Run::zeroed says which, so nobody sees the bytes of a page that was freed.
//   3. Dirty free memory is bounded (see Keep): what is beyond that is returned to the system, if
//      the blocks are whole pages and the system can.
//   4. A slab with no block taken or retired is unmapped, except for one spare, the first slab, and
//      the one that grows.
//   5. The header's memory is never discarded while the slab is mapped.
//   6. At most most_makers() threads make a whole slab at once, so that what is taken ahead stays
//      small beside what is stored, and no more threads are in the kernel than can run. Others wait
//      for one of these slabs.
//
// Thread contract: allocate, free, retire and the counters from any thread. The mutex is never held
// while the system makes memory present, except for the steps of 64 KiB or less of a slab that
// grows; reclaim() holds it for a bitmap's length for each slab that has retired blocks.

#ifndef RAMDISK_TABLE_SLAB_ALLOCATOR_H
#define RAMDISK_TABLE_SLAB_ALLOCATOR_H

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/mutex.h"
#include "memory/huge_page_choice.h"
#include "memory/memory_source.h"
#include "table/epoch.h"

namespace ramdisk {

class SlabAllocator final : public Epoch::Reclaimer {
 public:
  static constexpr size_t kSlabBytes = size_t{2} << 20;
  static constexpr size_t kHeaderBytes = 4096;
  static constexpr size_t kMinBlockBytes = 512;

  // Neighbouring blocks; base == nullptr and count == 0 when there is no memory.
  struct Run {
    std::byte* base = nullptr;
    size_t count = 0;
    bool zeroed = false;  // every byte is zero
  };

  // How much dirty free memory is kept for new blocks: `bytes`, and 1/`part` of what is taken.
  struct Keep {
    uint64_t bytes;
    uint64_t part;
  };
  static constexpr Keep kKeep{4 << 20, 32};

  // How slabs become present: whole, in huge pages unless small ones are faster; block by block,
  // which takes no memory ahead; or gradually, block by block until eight slabs are held and whole
  // from then on. The last two are for blocks that are whole pages. A slab of such blocks that is
  // to have small pages, because they are faster, becomes present block by block, too, unless
  // memory may become short.
  enum class Growth { slab, block, gradual };

  // `block_bytes`: kMinBlockBytes to kSlabBytes - kHeaderBytes, a multiple of 64. Blocks are
  // aligned to 64 bytes, and to 4096 if their size is a multiple of that. `memory` and `epoch`
  // outlive the allocator.
  SlabAllocator(MemorySource& memory, Epoch& epoch, size_t block_bytes, Keep keep = kKeep,
                Growth growth = Growth::slab);
  ~SlabAllocator() override;  // unmaps everything, taken or not
  SlabAllocator(const SlabAllocator&) = delete;
  SlabAllocator& operator=(const SlabAllocator&) = delete;

  // Allocates 1 to `most` neighbouring blocks for `claim`. A claim that the limit has no room for
  // is refused even free blocks that are present (see Budget::may_use).
  Run allocate(size_t most, Claim claim = Claim::data) EXCLUDES(mutex_);

  // Frees blocks that no other thread has ever been able to see. run.zeroed says that nothing has
  // been written to them; an empty run is allowed.
  void free(Run run) EXCLUDES(mutex_);

  // Frees blocks that are unlinked, once no pinned thread can still be using them.
  void retire(std::span<std::byte* const> blocks, const Epoch::Guard& guard) EXCLUDES(mutex_);

  // Replaces the allowance given to the constructor.
  void set_keep(Keep keep) EXCLUDES(mutex_);

  // Returns all free memory, and the spare slab, to the system now. The cost is proportional to the
  // number of slabs that have free memory.
  void release_free() noexcept EXCLUDES(mutex_);

  // Whether a thread is returning memory to the system at this moment. That memory still counts in
  // the budget, but not for long.
  bool returning() const noexcept { return returning_.load(std::memory_order_acquire) != 0; }

  // The start of the block that `p` points into.
  std::byte* block_of(const void* p) const;

  size_t block_bytes() const { return block_bytes_; }
  // Retired blocks do not count as taken. Held is memory that the system has given and not got
  // back.
  uint64_t taken_blocks() const { return taken_.load(std::memory_order_relaxed); }
  uint64_t held_bytes() const { return held_.load(std::memory_order_relaxed); }

  void reclaim(size_t index) noexcept override EXCLUDES(mutex_);

 private:
  static constexpr size_t kMaxBlocks = (kSlabBytes - kHeaderBytes) / kMinBlockBytes;
  static constexpr size_t kWords = (kMaxBlocks + 63) / 64;
  static constexpr size_t kGrowthStep = 64 << 10;
  static constexpr size_t kGradualBytes = 8 * kSlabBytes;  // held before Growth::gradual is whole
  static constexpr size_t kPopulateBytes = 64 << 10;  // least amount of absent blocks to populate
  using Bitmap = std::array<uint64_t, kWords>;
  struct Slab;
  struct Link {
    Slab* previous = nullptr;
    Slab* next = nullptr;
  };
  // All slabs; those with a free block; with a dirty one; with a free one that is present.
  enum List { kAll, kUsable, kDirty, kIdle, kLists };

  static Slab* slab_of(const void* p);
  size_t index_of(const void* p) const;
  std::byte* address_of(Slab* slab, size_t index) const;

  Run take_from(Slab* slab, size_t most) REQUIRES(mutex_);
  bool populate_run(Run& run, Claim claim) EXCLUDES(mutex_);
  void put_back(Run run, bool absent) EXCLUDES(mutex_);
  bool grow(Claim claim) EXCLUDES(mutex_);
  bool grow_in_steps(Claim claim) REQUIRES(mutex_);
  void add_slab(Slab* slab, bool absent) EXCLUDES(mutex_);
  Slab* map_slab(bool huge, size_t ready, Claim claim);
  size_t most_makers() const REQUIRES(mutex_);
  bool wait_for_turn() REQUIRES(mutex_);
  void wake_next() noexcept REQUIRES(mutex_);

  // Every change to the bits of free blocks, one word of the bitmaps at a time; lists and counts
  // follow.
  void set_free(Slab* slab, size_t word, uint64_t blocks, bool dirty) REQUIRES(mutex_);
  void set_free_range(Slab* slab, size_t first, size_t end, bool dirty) REQUIRES(mutex_);
  void clear_free(Slab* slab, size_t word, uint64_t blocks) REQUIRES(mutex_);
  void set_absent(Slab* slab, size_t word, uint64_t blocks) REQUIRES(mutex_);
  Slab* drop_if_empty(Slab* slab, Slab* dropped) REQUIRES(mutex_);
  void unlink(Slab* slab) REQUIRES(mutex_);
  void unmap_chain(Slab* slab) noexcept;

  void relist(Slab* slab) REQUIRES(mutex_);
  void push(Slab* slab, List list) REQUIRES(mutex_);
  void remove(Slab* slab, List list) REQUIRES(mutex_);

  bool can_purge() const REQUIRES(mutex_) { return can_discard_ && discard_works_; }
  uint64_t dirty_limit() const REQUIRES(mutex_);
  void purge(bool all) noexcept EXCLUDES(mutex_);
  bool discard_blocks(Slab* slab, const Bitmap& blocks) noexcept;

  MemorySource& memory_;
  Epoch& epoch_;
  const size_t block_bytes_;
  const size_t blocks_;     // in a slab
  const size_t words_;      // of a bitmap, in use
  const bool can_discard_;  // blocks are whole pages
  const Growth growth_;
  const size_t cpus_;

  mutable Mutex mutex_;
  std::array<Slab*, kLists> heads_ GUARDED_BY(mutex_){};
  std::array<Slab*, Epoch::kEpochs> limbo_ GUARDED_BY(mutex_){};  // slabs with retired blocks
  Slab* first_ GUARDED_BY(mutex_) = nullptr;
  Slab* growing_ GUARDED_BY(mutex_) = nullptr;  // the one that is populated step by step
  Slab* spare_ GUARDED_BY(mutex_) = nullptr;    // an empty slab that is kept
  uint64_t dirty_ GUARDED_BY(mutex_) = 0;       // free dirty blocks
  size_t makers_ GUARDED_BY(mutex_) = 0;        // threads that make a whole slab
  size_t waiting_ GUARDED_BY(mutex_) = 0;       // threads that wait for one
  std::condition_variable_any slab_made_;
  HugePageChoice huge_pages_ GUARDED_BY(mutex_);
  // Relaxed: changed under mutex_, read as counters.
  std::atomic<uint64_t> taken_{0};    // blocks
  std::atomic<uint64_t> held_{0};     // bytes
  std::atomic<uint64_t> retired_{0};  // blocks
  std::atomic<uint32_t> returning_{0};
  Keep keep_ GUARDED_BY(mutex_);
  bool discard_works_ GUARDED_BY(mutex_) = true;
};

}  // namespace ramdisk

#endif
