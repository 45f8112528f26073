#include "zstd/worker_loop.h"

#include <new>

namespace ramdisk {

// All background work can wait, so when memory is lacking the worker simply tries again a tick
// later.
Workers::Delay WorkerLoop::work(size_t worker) {
  try {
    return do_work(worker);
  } catch (const std::bad_alloc&) {
    return state_.pace.tick;
  }
}

Workers::Delay WorkerLoop::do_work(size_t worker) {
  const bool first = worker == 0;
  if (first && maintenance_.do_first()) return Workers::Delay::zero();
  if (do_shared_work()) return Workers::Delay::zero();
  compactor_.end_round();
  return first ? maintenance_.do_last() : Workers::kUntilWoken;
}

// Returns whether there was any work.
bool WorkerLoop::do_shared_work() {
  if (relief_.return_trimmed() == MemoryRelief::Returned::some) return true;
  if (compactor_.compact_some(Claim::data) == Compactor::Outcome::done) return true;
  const auto effort =
      state_.memory.under_pressure() ? Cleaner::Effort::tight : Cleaner::Effort::usual;
  return cleaner_.clean(effort) == Cleaner::Cleaning::done;
}

}  // namespace ramdisk
