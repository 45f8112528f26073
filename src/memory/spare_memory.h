// SpareMemory: whether the machine, and the process's control group, can spare more memory.
//
// A RAM disk that takes the last memory there is gets killed, with all its data. So a small reserve
// is left alone: 1/16 of all memory, 8 to 256 MiB.
//
// A reading of how much memory there is costs some 100 microseconds, and more when there has been
// none for a while. So a new one is taken only when an eighth of what there was to spare has been
// taken since, or after 50 ms, because other processes take memory, too. A sixteenth of the reserve
// may be taken whatever the age of the reading, so that a short burst after a quiet time need not
// wait.
//
// Thread contract: any thread. A thread that finds that a new reading is due takes it; others wait
// for that.

#ifndef RAMDISK_MEMORY_SPARE_MEMORY_H
#define RAMDISK_MEMORY_SPARE_MEMORY_H

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>

#include "base/mutex.h"
#include "memory/available_memory.h"

namespace ramdisk {

class SpareMemory {
 public:
  using Probe = std::function<AvailableMemory()>;
  explicit SpareMemory(Probe probe) : probe_(std::move(probe)) {}

  // Takes `bytes` if they can be spared, and returns whether they can.
  bool take(uint64_t bytes) noexcept EXCLUDES(mutex_);
  // Gives back what take() granted and the caller has not used.
  void give(uint64_t bytes) noexcept {
    if (this->bytes() != UINT64_MAX) left_.fetch_add(bytes, std::memory_order_relaxed);
  }

  // What could be taken at the last reading less what has been since; UINT64_MAX if not known.
  uint64_t bytes() const noexcept { return left_.load(std::memory_order_relaxed); }

  // Takes a new reading.
  void read() noexcept EXCLUDES(mutex_);

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kValid{50};

  bool take_from_reading(uint64_t bytes) noexcept;
  bool take_with_reading(uint64_t bytes) noexcept REQUIRES(mutex_);

  const Probe probe_;
  std::atomic<uint64_t> left_{UINT64_MAX};   // see bytes()
  std::atomic<uint64_t> floor_{0};           // how far left_ may fall without another reading
  std::atomic<uint64_t> old_floor_{0};       // as floor_, for a reading that is old
  std::atomic<Clock::rep> next_reading_{0};  // when the reading becomes old
  Mutex mutex_;                              // held while a reading is taken
};

}  // namespace ramdisk

#endif
