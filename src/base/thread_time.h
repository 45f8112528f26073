// The CPU time that the calling thread has taken. Where the system does not tell it, the time that
// has passed.

#ifndef RAMDISK_BASE_THREAD_TIME_H
#define RAMDISK_BASE_THREAD_TIME_H

#include <time.h>

#include <chrono>

namespace ramdisk {

inline std::chrono::nanoseconds thread_time() noexcept {
#ifdef CLOCK_THREAD_CPUTIME_ID
  timespec now{};
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0) {
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
  }
#endif
  return std::chrono::steady_clock::now().time_since_epoch();
}

}  // namespace ramdisk

#endif
