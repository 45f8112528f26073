#include "core/epoch.h"

namespace ramdisk {

namespace {

// Threads take stripes in turn, so that threads which start together do not share one.
size_t stripe_of_this_thread(size_t stripes) noexcept {
  static std::atomic<size_t> next{0};
  thread_local const size_t mine = next.fetch_add(1, std::memory_order_relaxed);
  return mine % stripes;
}

}  // namespace

// The order of the two accesses matters: the pin is counted before the epoch is looked at again.
// Both are sequentially consistent, as are the step's increment and its look at the pins, so
// either the step sees the pin or this sees the new epoch and tries again.
std::atomic<uint32_t>& Epoch::enter() noexcept {
  Stripe& stripe = stripes_[stripe_of_this_thread(kStripes)];
  uint64_t now = epoch_.load(std::memory_order_seq_cst);
  for (;;) {
    std::atomic<uint32_t>& cell = stripe.pins[now % kEpochs];
    cell.fetch_add(1, std::memory_order_seq_cst);
    const uint64_t again = epoch_.load(std::memory_order_seq_cst);
    if (again == now) return cell;
    leave(cell);
    now = again;
  }
}

// Release pairs with the acquire in step(): what this thread read, it has read before the free.
// Sequentially consistent with garbage_, so that either this sees the garbage or whoever made it
// sees that this pin has ended.
void Epoch::leave(std::atomic<uint32_t>& cell) noexcept {
  cell.fetch_sub(1, std::memory_order_seq_cst);
  if (garbage_.load(std::memory_order_seq_cst) != 0) collect();
}

// A read-modify-write, not a load: the step that follows reads from it, so what was unlinked
// before this call is seen as unlinked by everyone who pins a later epoch.
size_t Epoch::retire_list() noexcept {
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
  epoch_.fetch_add(1, std::memory_order_seq_cst);
  if (garbage_.fetch_and(~(1u << before), std::memory_order_seq_cst) & (1u << before)) {
    for (Reclaimer* reclaimer : reclaimers_) reclaimer->reclaim(before);
  }
  return true;
}

// Whoever finds a collector at work leaves a note, and the collector looks for it when it has
// stopped, so garbage is not left behind because two threads let go at once. The rounds are
// bounded: a request must not work for the others for as long as they keep coming. (All accesses
// are sequentially consistent: stop, then look for a note, against note, then look for a
// collector.)
void Epoch::collect() noexcept {
  constexpr int kRounds = 16;
  again_.store(true, std::memory_order_seq_cst);
  for (int round = 0; round < kRounds && again_.load(std::memory_order_seq_cst); ++round) {
    if (busy_.exchange(true, std::memory_order_seq_cst)) return;
    again_.store(false, std::memory_order_seq_cst);
    while (garbage_.load(std::memory_order_seq_cst) != 0 && step()) {
    }
    busy_.store(false, std::memory_order_seq_cst);
  }
}

}  // namespace ramdisk
