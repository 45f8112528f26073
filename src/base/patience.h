// Patience: how long a request may wait for memory that is on its way back, all in all.
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
  // The first call starts the clock, so that requests that need not wait do not look at it.
  bool left() {
    const auto now = std::chrono::steady_clock::now();
    if (!end_) end_ = now + kMost;
    return now < *end_;
  }

  // Lets those who hold the memory go on.
  static void nap() { std::this_thread::sleep_for(std::chrono::microseconds(200)); }

 private:
  static constexpr std::chrono::milliseconds kMost{240};
  std::optional<std::chrono::steady_clock::time_point> end_;
};

}  // namespace ramdisk

#endif
