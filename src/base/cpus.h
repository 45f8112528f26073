// The number of threads that can run at once; at least one, even where the system does not say.

#ifndef RAMDISK_BASE_CPUS_H
#define RAMDISK_BASE_CPUS_H

#include <algorithm>
#include <cstddef>
#include <thread>

namespace ramdisk {

inline size_t cpus() {
  return std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace ramdisk

#endif
