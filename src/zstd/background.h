// Background: the threads of a compressing disk, and when they are woken. They are the disk's own,
// or those of a pool that several disks share.
//
// All workers share the urgent work; the first one also does the work that can wait (see
// Maintenance). When nothing is left for it, it becomes quiet and sleeps until a request notes a
// change.
//
// Thread contract: one thread calls start() and stop(), the first worker calls try_quiet(); any
// thread may call the others, even while there are no workers.

#ifndef RAMDISK_ZSTD_BACKGROUND_H
#define RAMDISK_ZSTD_BACKGROUND_H

#include <atomic>
#include <cstddef>
#include <optional>
#include <utility>

#include "base/cpus.h"
#include "base/worker_pool.h"
#include "base/workers.h"

namespace ramdisk {

class Background {
 public:
  // `pool` outlives this, or is null.
  explicit Background(WorkerPool* pool) {
    if (pool) shared_.emplace(*pool);
  }

  // Starts a worker for each CPU, or as many as the system allows. Returns false if it allows none.
  bool start(Workers::Work work) {
    running_.store(shared_ ? shared_->join(std::move(work))
                           : workers_.start(cpus(), std::move(work)) > 0);
    return running();
  }

  // Waits for the work in progress, then ends the workers. The owner calls this before it destroys
  // anything that they use.
  void stop() noexcept {
    if (shared_) shared_->leave();
    workers_.stop();
  }

  bool running() const { return running_.load(std::memory_order_relaxed); }

  // Wakes the workers. Call after adding urgent work.
  void wake() noexcept {
    if (shared_) {
      shared_->wake();
    } else {
      workers_.wake();
    }
  }

  // Wakes the first worker if it is quiet. Call after the change, or it may see nothing and sleep
  // again.
  void note_change() noexcept {
    if (quiet_.load(std::memory_order_relaxed) && quiet_.exchange(false)) wake();
  }

  // The first worker calls this when it sees no reason to stay awake. It may sleep until it is
  // woken only if this returns true: it was already quiet, and no change has been noted since.
  // Otherwise it must look again, because a change may have come between its look and this call.
  bool try_quiet() noexcept { return quiet_.exchange(true); }

 private:
  std::atomic<bool> quiet_{true};
  std::atomic<bool> running_{false};
  Workers workers_;
  std::optional<WorkerPool::Member> shared_;  // in the place of workers_; constant
};

}  // namespace ramdisk

#endif
