// Workers: threads that do an allocator's work in the background.
//
// A worker that finds nothing to do looks once more, having said that it is about to rest. Whoever
// makes work first makes it and then calls wake(): one of the two sees the other. That takes work
// which is looked for under a mutex, or by accesses that are sequentially consistent.
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

  // One piece of work of worker `number` (0 to count - 1). Returns how long there is nothing more
  // to do: 0 if there may be, kUntilWoken if only wake() will change that.
  using Work = std::function<Delay(size_t number)>;

  ~Workers() { stop(); }

  // Starts `count` threads, or as many as there can be had; returns how many. They take no signals.
  size_t start(size_t count, Work work);

  // Waits for the pieces of work under way, and ends the threads.
  void stop() noexcept;

  // Ends the rest of all workers. Cheap when nobody rests.
  void wake() noexcept;

 private:
  void run(size_t number) noexcept;
  uint64_t begin_rest() EXCLUDES(mutex_);
  void end_rest(uint64_t calls) EXCLUDES(mutex_);
  void sleep(Delay rest, uint64_t calls) EXCLUDES(mutex_);

  Work work_;
  std::vector<std::thread> threads_;
  std::atomic<bool> stopping_{false};
  // Who rests, or is about to, and has not been woken. Set to 0 by wake(): calls of it that follow
  // one another cost no more than a look.
  std::atomic<uint32_t> resting_{0};
  Mutex mutex_;
  std::condition_variable_any woken_;
  uint64_t calls_ GUARDED_BY(mutex_) = 0;  // of wake()
};

}  // namespace ramdisk

#endif
