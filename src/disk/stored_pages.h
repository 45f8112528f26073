// Walks through the pages that a disk stores, which are those that its extents do not report as
// holes. It asks for a few extents at a time, so that the disk holds nothing on behalf of the
// caller between two steps.
//
// Not for use by several threads.

#ifndef RAMDISK_DISK_STORED_PAGES_H
#define RAMDISK_DISK_STORED_PAGES_H

#include <array>
#include <cstddef>
#include <cstdint>

#include "ramdisk/allocator.h"
#include "ramdisk/result.h"

namespace ramdisk {

class StoredPages {
 public:
  // Pages [first, end) of `disk`, which has `disk_bytes`.
  StoredPages(Allocator& disk, uint64_t disk_bytes, uint64_t first, uint64_t end);

  // The first stored page from `page` on, or the end of the range. The cost is proportional to what
  // is stored up to there. `page` never decreases from call to call, here and below.
  Result<uint64_t> next(uint64_t page);

  // Which of the pages [first, end), at most 64, are stored; bit 0 is the first one.
  Result<uint64_t> among(uint64_t first, uint64_t end);

 private:
  struct Range {
    uint64_t first = 0;
    uint64_t end = 0;
  };
  class Collector;
  Status refill(uint64_t page);

  Allocator& disk_;
  const uint64_t disk_bytes_;
  const uint64_t end_;
  uint64_t seen_;  // the ranges are complete up to this page
  std::array<Range, 16> ranges_{};
  size_t position_ = 0;  // of the range that is next
  size_t count_ = 0;
};

}  // namespace ramdisk

#endif
