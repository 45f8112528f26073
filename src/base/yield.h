// Yield points: named places between two steps of a lock-free algorithm, where a test can have
// another thread's steps happen.
//
// RAMDISK_YIELD("place") calls the hook, if a test has set one, in the thread that comes by. There
// are such places only in the builds that are tested (the CMake option RAMDISK_CHECKS). No class
// has one under its own mutex, though its user may hold one, so the hook may do almost whatever
// another thread could do at that moment.
//
// Thread contract: any thread comes by; a hook is set while no other thread does.

#ifndef RAMDISK_BASE_YIELD_H
#define RAMDISK_BASE_YIELD_H

#ifdef RAMDISK_CHECKS

#include <atomic>

namespace ramdisk {

using YieldHook = void (*)(const char* place);
inline std::atomic<YieldHook> yield_hook{nullptr};

inline void yield_point(const char* place) {
  if (const YieldHook hook = yield_hook.load(std::memory_order_acquire)) hook(place);
}

}  // namespace ramdisk

#define RAMDISK_YIELD(place) ::ramdisk::yield_point(place)
#else
#define RAMDISK_YIELD(place) static_cast<void>(0)
#endif

#endif
