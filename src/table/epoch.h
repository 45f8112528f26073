// Epochs: memory that readers use without a lock is freed only when no reader can still see it.
//
// A thread pins the epoch for the length of a request. The thread that unlinks a block from the
// shared structures retires it; the block is freed when every thread that was pinned at that moment
// has let go. The scheme is the epoch-based reclamation of Fraser ("Practical lock-freedom", 2004)
// with three epochs; pins are counted, in cells that threads share as little as possible, because
// nbdkit's threads come and go.
//
// Invariants:
//   1. A pin made in epoch p lets the epoch reach p+1 and no further until it ends.
//   2. What is retired in epoch r is reclaimed by the step to r+2: each thread that could have
//      found it was pinned in r or before, and has let go by then.
//   3. Hence at any time garbage of at most three epochs exists, and reclaimers keep it in three
//      lists, indexed by epoch % kEpochs.
//
// Thread contract: Guard, retire_list and collect from any thread; add_reclaimer before the others.

#ifndef RAMDISK_TABLE_EPOCH_H
#define RAMDISK_TABLE_EPOCH_H

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace ramdisk {

class Epoch {
 public:
  static constexpr size_t kEpochs = 3;

  class Reclaimer {
   public:
    virtual ~Reclaimer() = default;
    // Frees all that was retired into list `index`. One call at a time.
    virtual void reclaim(size_t index) noexcept = 0;
  };

  // While a guard lives, nothing that its thread can reach is freed. Guards may nest. A function
  // that only a pinned thread may call takes a guard of that thread as a parameter, so that the
  // compiler sees that there is one.
  class Guard {
   public:
    explicit Guard(Epoch& epoch) : epoch_(epoch), cell_(epoch.enter()) {}
    ~Guard() { epoch_.leave(cell_); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    Epoch& epoch_;
    std::atomic<uint32_t>& cell_;
  };

  void add_reclaimer(Reclaimer* reclaimer) { reclaimers_.push_back(reclaimer); }

  // The number of the list to retire into, for blocks that the caller has unlinked. Call it after
  // unlinking, and put the blocks into the list before the pin of this thread ends.
  size_t retire_list(const Guard& guard) noexcept;

  // Whether all that was retired has been freed. (A collector clears garbage_ before it frees, so
  // busy_ counts, too.)
  bool all_reclaimed() const noexcept {
    return garbage_.load(std::memory_order_seq_cst) == 0 && !busy_.load(std::memory_order_seq_cst);
  }

  // Frees what can be freed now. The end of a pin calls it if there is garbage.
  void collect() noexcept;

 private:
  static constexpr size_t kStripes = 32;
  struct alignas(64) Stripe {
    std::array<std::atomic<uint32_t>, kEpochs> pins{};
  };

  std::atomic<uint32_t>& enter() noexcept;
  void leave(std::atomic<uint32_t>& cell) noexcept;
  bool step() noexcept;

  std::array<Stripe, kStripes> stripes_;
  alignas(64) std::atomic<uint64_t> epoch_{kEpochs};
  std::atomic<uint32_t> garbage_{0};  // bit i: list i may hold something
  std::atomic<bool> again_{false};    // a pin ended while a collector was running
  std::atomic<bool> busy_{false};     // a collector is running; there is only one
  std::vector<Reclaimer*> reclaimers_;
};

}  // namespace ramdisk

#endif
