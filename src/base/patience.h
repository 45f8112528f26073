// Patience: how long one request may wait, in total, for memory that is about to be freed.
//
// Not for use by several threads.

#ifndef RAMDISK_BASE_PATIENCE_H
#define RAMDISK_BASE_PATIENCE_H

#include <chrono>
#include <optional>
#include <thread>

namespace ramdisk {

class Patience {
 public:
  // The first call starts the clock, so requests that need not wait never read it. On a busy
  // machine time passes without a CPU for anybody concerned, so a few looks are always left, within
  // reason.
  bool left() {
    const auto now = std::chrono::steady_clock::now();
    if (!end_) end_ = now + kMost;
    const bool few = looks_++ < kFewest;
    return now < *end_ || (few && now < *end_ + kLate);
  }

  // Sleeps for a moment, so that the threads that hold the memory can go on.
  static void nap() { std::this_thread::sleep_for(std::chrono::microseconds(200)); }

 private:
  static constexpr std::chrono::milliseconds kMost{240};
  static constexpr std::chrono::milliseconds kLate{2000};  // beyond that
  static constexpr int kFewest = 50;
  std::optional<std::chrono::steady_clock::time_point> end_;
  int looks_ = 0;
};

}  // namespace ramdisk

#endif
