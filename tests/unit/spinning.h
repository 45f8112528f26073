// Waits without sleep for what other threads do.
//
// A test that looks many times for a moment that passes must not sleep in between: a look every
// millisecond (support/waiting.h) would make thousands of them take many seconds.

#ifndef RAMDISK_UNIT_SPINNING_H
#define RAMDISK_UNIT_SPINNING_H

#include <chrono>
#include <thread>

namespace ramdisk::unit {

// Whether `condition` comes true before 20 seconds have passed.
bool comes_true_soon(auto condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace ramdisk::unit

#endif
