// Workers: threads that do an allocator's work in the background.
//
// A worker that finds nothing to do announces that it is about to sleep and then looks once more. A
// thread that makes work calls wake() after making it, so one of the two sees the other. For this,
// work must be looked for under a mutex or by sequentially consistent accesses.
//
// Thread contract: start() and stop() by one thread; wake() by any, between them or not.

#ifndef RAMDISK_BASE_WORKERS_H
#define RAMDISK_BASE_WORKERS_H

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace ramdisk {

class Workers {
 public:
  using Delay = std::chrono::milliseconds;
  static constexpr Delay kUntilWoken = Delay::max();

  // Does one piece of work as worker `number` (0 to count - 1). Returns how long there is nothing
  // more to do: 0 if there may be something, kUntilWoken if only wake() will change that.
  using Work = std::function<Delay(size_t number)>;

  ~Workers() { stop(); }

  // Starts `count` threads, or as many as the system allows; returns how many. They take no
  // signals.
  size_t start(size_t count, Work work);

  // Waits for the pieces of work in progress, and ends the threads.
  void stop() noexcept;

  // Wakes all workers that sleep. Cheap when none does. Call it after making the work, or a worker
  // may see nothing and sleep again.
  void wake() noexcept;

 private:
  void run(size_t number) noexcept;
  uint64_t begin_rest() EXCLUDES(mutex_);
  void end_rest(uint64_t calls) EXCLUDES(mutex_);
  void sleep(Delay delay, uint64_t calls) EXCLUDES(mutex_);

  Work work_;
  std::vector<std::thread> threads_;
  std::atomic<bool> stopping_{false};
  // How many workers sleep, or are about to, and have not been woken. wake() sets it to 0, so
  // repeated calls cost no more than a load.
  std::atomic<uint32_t> resting_{0};
  Mutex mutex_;
  std::condition_variable_any woken_;
  uint64_t calls_ GUARDED_BY(mutex_) = 0;  // of wake()
};

}  // namespace ramdisk

#endif
