// The page: the unit in which a disk is stored, and the arithmetic between bytes and pages.

#ifndef RAMDISK_BASE_PAGE_H
#define RAMDISK_BASE_PAGE_H

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/check.h"

namespace ramdisk {

// File systems and guests write in units of 4 KiB. With larger pages such a write would cost a
// read-modify-write, and scattered writes would take more memory (the bar for those is 12,500 bytes
// a write).
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

// The part of page `page` that the request of `count` bytes at `offset` covers, which must not be
// empty.
inline PagePart clip_to_page(uint64_t page, uint64_t offset, uint64_t count) {
  const uint64_t start = page << kPageShift;
  const uint64_t first = std::max(offset, start);
  const uint64_t last = std::min(offset + count, start + kPageBytes);
  DCHECK(first < last);
  return {page, static_cast<size_t>(first - start), static_cast<size_t>(last - first),
          static_cast<size_t>(first - offset)};
}

// One past the last page that the request of `count` >= 1 bytes at `offset` touches.
inline uint64_t end_page(uint64_t offset, uint64_t count) {
  DCHECK(count >= 1 && offset + (count - 1) >= offset);
  return ((offset + count - 1) >> kPageShift) + 1;
}

// The part of the request (`count` bytes at the disk's byte `offset`) that begins `position` bytes
// into it. position < count.
inline PagePart part_at(uint64_t offset, uint64_t count, uint64_t position) {
  DCHECK(position < count);
  return clip_to_page((offset + position) >> kPageShift, offset, count);
}

}  // namespace ramdisk

#endif
