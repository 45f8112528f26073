// Finds what a write need not store.

#ifndef RAMDISK_DISK_ZERO_RUN_H
#define RAMDISK_DISK_ZERO_RUN_H

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "base/page.h"
#include "base/shared_bytes.h"

namespace ramdisk {

// How many bytes of `data`, a request at the disk's byte `offset`, are zero from `position` on,
// counted in parts of pages: 0 if the part in the first page has any other byte.
inline size_t zero_run(std::span<const std::byte> data, uint64_t offset, size_t position) {
  DCHECK(position <= data.size());
  size_t end = position;
  while (end < data.size()) {
    const size_t length = part_at(offset, data.size(), end).length;
    if (!is_zero_shared(data.data() + end, length)) break;
    end += length;
  }
  return end - position;
}

}  // namespace ramdisk

#endif
