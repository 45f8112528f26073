// Waits for what another thread or process does.

#ifndef RAMDISK_SUPPORT_WAITING_H
#define RAMDISK_SUPPORT_WAITING_H

#include <chrono>
#include <thread>

#include "support/data.h"

namespace ramdisk::support {

// Whether `condition` comes true before `patience` has passed.
template <typename Condition>
bool comes_true(Condition condition,
                std::chrono::seconds patience = std::chrono::seconds(slow_build() ? 30 : 10)) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace ramdisk::support

#endif
