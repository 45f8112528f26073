// Yield points: named places between two steps of a lock-free algorithm, where a test can run the
// steps of another thread.
//
// RAMDISK_YIELD("place") calls the hook, if a test has set one, on the thread that reaches it.
// Yield points exist only in the builds that are tested (the CMake option RAMDISK_CHECKS). No class
// has one under its own mutex, though its caller may hold another, so the hook may do almost
// anything that another thread could do at that moment.
//
// Thread contract: any thread may reach a yield point; a hook is set only while no other thread
// does.

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
