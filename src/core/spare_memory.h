// SpareMemory: whether the machine, and the process's control group, can spare more memory.
//
// A RAM disk that takes the last memory there is gets killed with all its data. So a small reserve
// is left alone: 1/16 of all memory, 8 to 256 MiB.
//
// Reading how much memory there is costs some 100 microseconds, so it is done at most every 50 ms,
// or when an eighth of what there was to spare has been taken since, whichever is sooner: others
// take memory, too.
//
// Thread contract: any thread. Who finds that a new reading is due takes it; others wait for that.

#ifndef RAMDISK_CORE_SPARE_MEMORY_H
#define RAMDISK_CORE_SPARE_MEMORY_H

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>

#include "core/available_memory.h"
#include "core/mutex.h"

namespace ramdisk {

class SpareMemory {
 public:
  using Probe = std::function<AvailableMemory()>;
  explicit SpareMemory(Probe probe) : probe_(std::move(probe)) {}

  // Whether `bytes` more may be taken.
  bool take(uint64_t bytes) noexcept EXCLUDES(mutex_);

  // What could be taken at the last reading; UINT64_MAX if that is not known.
  uint64_t bytes() const noexcept { return spare_.load(std::memory_order_relaxed); }

  // A new reading.
  void read() noexcept EXCLUDES(mutex_);

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kValid{50};

  bool take_from_reading(uint64_t bytes) noexcept;
  void read_locked() noexcept REQUIRES(mutex_);

  const Probe probe_;
  std::atomic<uint64_t> spare_{UINT64_MAX};
  std::atomic<uint64_t> allowance_{0};       // of the last reading, that is left
  std::atomic<Clock::rep> next_reading_{0};  // a time
  Mutex mutex_;                              // held by who reads
};

}  // namespace ramdisk

#endif
