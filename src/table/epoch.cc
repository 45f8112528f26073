#include "table/epoch.h"

#include "base/check.h"
#include "base/yield.h"

namespace ramdisk {

namespace {

// Threads take stripes in turn, so that threads which start together do not share one.
size_t stripe_of_this_thread(size_t stripes) noexcept {
  static std::atomic<size_t> next{0};
  thread_local const size_t mine = next.fetch_add(1, std::memory_order_relaxed);
  return mine % stripes;
}

// How many pins this thread has, of all Epoch objects: a thread that retires something must have
// one.
#ifdef RAMDISK_CHECKS
thread_local int pins_of_this_thread = 0;
void note_pin(int change) noexcept {
  pins_of_this_thread += change;
}
bool pinned() noexcept {
  return pins_of_this_thread > 0;
}
#else
void note_pin(int) noexcept {}
bool pinned() noexcept {
  return true;
}
#endif

}  // namespace

// The order of the two accesses matters: the pin is counted before the epoch is read again. Both
// are sequentially consistent, as are the increment in step() and its look at the pins, so either
// step() sees the pin or enter() sees the new epoch and tries again.
std::atomic<uint32_t>& Epoch::enter() noexcept {
  Stripe& stripe = stripes_[stripe_of_this_thread(kStripes)];
  uint64_t now = epoch_.load(std::memory_order_seq_cst);
  for (;;) {
    std::atomic<uint32_t>& cell = stripe.pins[now % kEpochs];
    RAMDISK_YIELD("Epoch::enter, before it is counted");
    cell.fetch_add(1, std::memory_order_seq_cst);
    note_pin(1);
    RAMDISK_YIELD("Epoch::enter, counted");
    const uint64_t again = epoch_.load(std::memory_order_seq_cst);
    if (again == now) return cell;
    leave(cell);
    now = again;
  }
}

// Release pairs with the acquire in step(): what this thread read, it has read before the free.
// Sequentially consistent with garbage_, so that either leave() sees the garbage or the thread that
// made it sees that this pin has ended.
void Epoch::leave(std::atomic<uint32_t>& cell) noexcept {
  [[maybe_unused]] const uint32_t pins = cell.fetch_sub(1, std::memory_order_seq_cst);
  DCHECK(pins > 0);
  note_pin(-1);
  RAMDISK_YIELD("Epoch::leave, no longer counted");
  if (garbage_.load(std::memory_order_seq_cst) != 0) collect();
}

// A read-modify-write, not a load: the step that follows reads from it, so every thread that pins a
// later epoch sees what was unlinked before this call as unlinked.
size_t Epoch::retire_list(const Guard&) noexcept {
  DCHECK(pinned());
  RAMDISK_YIELD("Epoch::retire_list");
  const size_t index = epoch_.fetch_add(0, std::memory_order_seq_cst) % kEpochs;
  garbage_.fetch_or(1u << index, std::memory_order_seq_cst);
  return index;
}

bool Epoch::step() noexcept {
  const uint64_t now = epoch_.load(std::memory_order_seq_cst);
  const size_t before = (now - 1) % kEpochs;
  for (const Stripe& stripe : stripes_) {
    if (stripe.pins[before].load(std::memory_order_seq_cst) != 0) return false;
  }
  RAMDISK_YIELD("Epoch::step, no pins seen");
  CHECK(epoch_.fetch_add(1, std::memory_order_seq_cst) == now);  // one collector at a time
  RAMDISK_YIELD("Epoch::step, stepped");
  if (garbage_.fetch_and(~(1u << before), std::memory_order_seq_cst) & (1u << before)) {
    for (Reclaimer* reclaimer : reclaimers_) reclaimer->reclaim(before);
  }
  return true;
}

// A thread that finds a collector running has set again_, which the collector rechecks after
// clearing busy_, so no garbage is left behind when two pins end at once. The rounds are bounded,
// because a request must not work for others for as long as they keep coming. (All accesses are
// sequentially consistent: the collector clears busy_, then reads again_; the other thread sets
// again_, then reads busy_.)
void Epoch::collect() noexcept {
  constexpr int kRounds = 16;
  again_.store(true, std::memory_order_seq_cst);
  for (int round = 0; round < kRounds && again_.load(std::memory_order_seq_cst); ++round) {
    if (busy_.exchange(true, std::memory_order_seq_cst)) return;
    again_.store(false, std::memory_order_seq_cst);
    while (garbage_.load(std::memory_order_seq_cst) != 0 && step()) {
    }
    RAMDISK_YIELD("Epoch::collect, about to stop");
    busy_.store(false, std::memory_order_seq_cst);
    RAMDISK_YIELD("Epoch::collect, stopped");
  }
}

}  // namespace ramdisk
