// Background: the threads of a compressing disk, and when they are woken.
//
// All workers share the urgent work; the first one also does what can wait (see Maintenance). When
// it has nothing left to do it is quiet: it then rests until a request notes a change.
//
// Thread contract: start() and stop() by one thread, try_quiet() by the first worker; the others
// from any thread, also while there are no workers.

#ifndef RAMDISK_ZSTD_BACKGROUND_H
#define RAMDISK_ZSTD_BACKGROUND_H

#include <atomic>
#include <cstddef>
#include <utility>

#include "base/cpus.h"
#include "base/workers.h"

namespace ramdisk {

class Background {
 public:
  // Starts a worker for each CPU, as far as the system allows. False: there is none.
  bool start(Workers::Work work) {
    running_.store(workers_.start(cpus(), std::move(work)) > 0);
    return running();
  }

  // Waits for the work under way. The owner calls this before it destroys anything that the work
  // uses.
  void stop() noexcept { workers_.stop(); }

  bool running() const { return running_.load(std::memory_order_relaxed); }

  // There is urgent work.
  void wake() noexcept { workers_.wake(); }

  // Wakes the first worker if it is quiet. Call after the change, or it may see nothing and sleep
  // again.
  void note_change() noexcept {
    if (quiet_.load(std::memory_order_relaxed) && quiet_.exchange(false)) workers_.wake();
  }

  // The first worker sees no reason to stay awake. Returns whether it was quiet before and no
  // change has been noted since: only then may it rest until it is woken. Otherwise it looks again
  // first, since a change may have come between its look and this call.
  bool try_quiet() noexcept { return quiet_.exchange(true); }

 private:
  std::atomic<bool> quiet_{true};
  std::atomic<bool> running_{false};
  Workers workers_;
};

}  // namespace ramdisk

#endif
