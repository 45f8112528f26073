// Copying to and from pages that another thread may be writing at the same moment.
//
// NBD lets overlapping requests interleave byte by byte, so pages are read without a lock. C++ does
// not have a function for that race yet; P1478R ("Byte-wise atomic memcpy") proposes one. Until it
// is available these functions are memset, and memcpy or what shared_copy.h has in its place, which
// read and write whole bytes on every machine this runs on. Under ThreadSanitizer they are loops of
// relaxed atomics, so that it accepts these copies and still reports every other race.

#ifndef RAMDISK_BASE_SHARED_BYTES_H
#define RAMDISK_BASE_SHARED_BYTES_H

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/shared_copy.h"

#if defined(__SANITIZE_THREAD__)
#define RAMDISK_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RAMDISK_TSAN 1
#endif
#endif

namespace ramdisk {

#ifdef RAMDISK_TSAN

inline void copy_from_shared(std::byte* to, const std::byte* from, size_t count) {
  for (size_t i = 0; i < count; ++i)
    to[i] = std::atomic_ref(const_cast<std::byte&>(from[i])).load(std::memory_order_relaxed);
}

inline void copy_to_shared(std::byte* to, const std::byte* from, size_t count) {
  for (size_t i = 0; i < count; ++i)
    std::atomic_ref(to[i]).store(from[i], std::memory_order_relaxed);
}

inline void zero_shared(std::byte* to, size_t count) {
  for (size_t i = 0; i < count; ++i)
    std::atomic_ref(to[i]).store(std::byte{0}, std::memory_order_relaxed);
}

inline bool is_zero_shared(const std::byte* p, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (std::atomic_ref(const_cast<std::byte&>(p[i])).load(std::memory_order_relaxed) !=
        std::byte{0})
      return false;
  }
  return true;
}

#else

inline void copy_from_shared(std::byte* to, const std::byte* from, size_t count) {
  copy_choice[count < kLongCopy ? kReadShort : kReadLong].copy(to, from, count);
}

inline void copy_to_shared(std::byte* to, const std::byte* from, size_t count) {
  copy_choice[count < kLongCopy ? kWriteShort : kWriteLong].copy(to, from, count);
}

inline void zero_shared(std::byte* to, size_t count) {
  std::memset(to, 0, count);
}

// True only if each byte was zero when it was read, and each is read once. (A memcmp of the range
// with itself, shifted past a head of zeroes, would prove as much only where nobody writes: a page
// that changes from zeroes and ones to all ones between the two reads of a byte passes.) The bytes
// are not all read at the same moment, so a caller that needs one moment keeps writers out.
//
// Most data is not zero in its first bytes, and the search ends there. Blocks of four vectors take
// 52 ns for a page, where that memcmp took 48 (Xeon, 2026-11-26).
inline bool is_zero_shared(const std::byte* p, size_t count) {
  using Vector [[gnu::vector_size(16)]] = uint64_t;
  constexpr size_t kBlock = 4 * sizeof(Vector);
  for (; count >= kBlock; p += kBlock, count -= kBlock) {
    // One by one: g++ would copy an array of four to the stack first.
    Vector a, b, c, d;
    std::memcpy(&a, p, sizeof a);
    std::memcpy(&b, p + sizeof a, sizeof b);
    std::memcpy(&c, p + 2 * sizeof a, sizeof c);
    std::memcpy(&d, p + 3 * sizeof a, sizeof d);
    const Vector any = (a | b) | (c | d);
    if ((any[0] | any[1]) != 0) return false;
  }
  std::byte any{0};
  for (size_t i = 0; i < count; ++i) any |= p[i];
  return any == std::byte{0};
}

#endif

}  // namespace ramdisk

#endif
