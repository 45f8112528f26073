// Invariants that run.
//
// CHECK(condition) is always evaluated; it guards what would lose or mix up somebody's data if it
// did not hold. DCHECK(condition) is for every other invariant. It is evaluated in the builds that
// are tested (the CMake option RAMDISK_CHECKS); elsewhere the condition is compiled but never
// evaluated, so it must have no side effects. Both report the place and the condition, and abort: a
// server that ends is better than one that hands out the wrong bytes.
//
// Both are for mistakes of this program alone. What a client, a library or the system does wrong is
// an error, and is returned. A condition on the path of a request costs O(1).
//
// Thread contract: any thread, with any locks held. Nothing is allocated.

#ifndef RAMDISK_BASE_CHECK_H
#define RAMDISK_BASE_CHECK_H

namespace ramdisk {

// Writes "file:line: condition does not hold" to stderr, and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* condition) noexcept;

}  // namespace ramdisk

#define CHECK(condition)                                  \
  (__builtin_expect(static_cast<bool>(condition), 1) != 0 \
       ? static_cast<void>(0)                             \
       : ::ramdisk::check_failed(__FILE__, __LINE__, #condition))

#ifdef RAMDISK_CHECKS
#define DCHECK(condition) CHECK(condition)
#else
#define DCHECK(condition) static_cast<void>(true || static_cast<bool>(condition))
#endif

#endif
