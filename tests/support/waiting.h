// Waits for what another thread or process does.

#ifndef RAMDISK_SUPPORT_WAITING_H
#define RAMDISK_SUPPORT_WAITING_H

#include <sys/types.h>

#include <chrono>
#include <thread>

#include "support/data.h"

namespace ramdisk::support {

// Whether `condition` comes true before `patience` has passed.
template <typename Condition>
bool comes_true(Condition condition,
                std::chrono::seconds patience = std::chrono::seconds(slow_build() ? 60 : 30)) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

// Whether no thread of this process but the caller and `except` runs or wants to. On a busy
// machine, nothing may change merely because no thread has had a CPU.
bool others_sleep(pid_t except = 0);

// Whether `reading()` stays the same for a while, with all other threads asleep, before `patience`
// has passed.
template <typename Reading>
bool comes_to_rest(Reading reading, std::chrono::seconds patience, pid_t except = 0) {
  constexpr int kStill = 20;  // equal readings in a row: the background may wait for its next tick
  constexpr auto kLook = std::chrono::milliseconds(50);
  auto last = reading();
  int same = 0;
  for (auto left = patience / kLook; left > 0 && same < kStill; --left) {
    std::this_thread::sleep_for(kLook);
    const auto now = reading();
    same = now == last && others_sleep(except) ? same + 1 : 0;
    last = now;
  }
  return same == kStill;
}

}  // namespace ramdisk::support

#endif
