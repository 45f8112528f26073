// The page: the unit in which a disk is stored, and the arithmetic between bytes and pages.

#ifndef RAMDISK_CORE_PAGE_H
#define RAMDISK_CORE_PAGE_H

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace ramdisk {

// 4 KiB is what file systems and guests write in. Larger pages cost a read-modify-write for it
// and more memory for scattered writes (12,500 bytes a write are the bar for those).
inline constexpr unsigned kPageShift = 12;
inline constexpr size_t kPageBytes = size_t{1} << kPageShift;

// The part of one page that a request covers.
struct PagePart {
  uint64_t page;    // number of the page
  size_t offset;    // of the part within the page, in bytes
  size_t length;    // in bytes, 1 to kPageBytes
  size_t position;  // of the part within the request, in bytes

  bool whole() const { return length == kPageBytes; }
};

// The part of the request (`count` bytes at the disk's byte `offset`) that begins `position` bytes
// into it. position < count.
inline PagePart page_part(uint64_t offset, uint64_t count, uint64_t position) {
  const uint64_t at = offset + position;
  const size_t within = at & (kPageBytes - 1);
  const uint64_t length = std::min<uint64_t>(kPageBytes - within, count - position);
  return {at >> kPageShift, within, static_cast<size_t>(length), static_cast<size_t>(position)};
}

}  // namespace ramdisk

#endif
