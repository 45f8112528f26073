// Ways to copy memory, and the choice between them for this CPU.
//
// No way is best on every CPU. glibc's memcpy copies long blocks with `rep movsb`, which saves
// reading what is overwritten on one make, and on another drops to half its speed when the target
// lies a few bytes ahead of the source modulo 4096, as it does where a page is read into a large
// malloc'ed buffer. A loop over vectors has no such slow case. So choose_copies() tries them.
//
// Each way reads and writes whole bytes, once or, at the ends, twice with the same value.
//
// Thread contract: choose_copies() before any other thread copies; everything else from any thread.

#ifndef RAMDISK_BASE_SHARED_COPY_H
#define RAMDISK_BASE_SHARED_COPY_H

#include <array>
#include <cstddef>
#include <span>
#include <string>

namespace ramdisk {

struct CopyVariant {
  const char* name;
  void (*copy)(std::byte* to, const std::byte* from, size_t count);
};

// What this CPU can run; the first is memcpy, which all can.
std::span<const CopyVariant> copy_variants();

// Pages are copied one by one when they are written, and many at once when they are read.
enum CopyKind { kReadShort, kReadLong, kWriteShort, kWriteLong, kCopyKinds };
constexpr size_t kLongCopy = 32 << 10;  // bytes, and more

using CopyChoice = std::array<CopyVariant, kCopyKinds>;

// Memcpy for all kinds until choose_copies() has been called.
extern constinit CopyChoice copy_choice;

// Measures the variants, for about two milliseconds, and sets copy_choice. `room` is memory to try
// them on, kTrialBytes from the start of a page; where there is none, the choice is made without.
void choose_copies(std::span<std::byte> room);
constexpr size_t kTrialBytes = (2 * 128 + 4) << 10;

// One phrase for a log: which variant was chosen for what.
std::string describe_copies();

// ---- for choose_copies() and its test

// Seconds that each variant took, at best, for equal work.
using CopyTimes = std::span<const double>;

// The index of the variant to take: the preferred one, the last, unless another is at least a
// twentieth faster, because a smaller difference may be noise.
size_t best_copy(CopyTimes times);

}  // namespace ramdisk

#endif
