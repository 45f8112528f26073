// Turns pages or extents that an allocator reports into extents: fills the gaps between them with
// holes, joins neighbours of one kind and clips to the request.
//
// Not for use by several threads.

#ifndef RAMDISK_DISK_EXTENT_MERGER_H
#define RAMDISK_DISK_EXTENT_MERGER_H

#include <algorithm>
#include <cstdint>

#include "base/check.h"
#include "base/page.h"
#include "ramdisk/extents.h"

namespace ramdisk {

class ExtentMerger {
 public:
  // Reports on the request of `count` bytes at `offset`.
  ExtentMerger(ExtentVisitor& visitor, uint64_t count, uint64_t offset)
      : visitor_(visitor), begin_(offset), position_(offset), end_(offset + count) {}

  // Adds the next stored page; pages come in ascending order. Returns false when the visitor wants
  // no more.
  bool page(uint64_t page, ExtentKind kind) {
    const uint64_t start = page << kPageShift;
    DCHECK(start < end_ && start + kPageBytes > position_);
    return advance(start, ExtentKind::hole) && advance(std::min(end_, start + kPageBytes), kind);
  }

  // Adds a whole extent, as page() adds a page. Its range may go beyond the request's.
  bool extent(uint64_t offset, uint64_t length, ExtentKind kind) {
    return advance(std::min(end_, offset), ExtentKind::hole) &&
           advance(std::min(end_, offset + length), kind);
  }

  // Reports what remains. Called when no stored page is left.
  void finish() {
    if (advance(end_, ExtentKind::hole)) report();
  }

 private:
  // Notes that all from position_ to `to` is of this kind.
  bool advance(uint64_t to, ExtentKind kind) {
    if (to <= position_) return true;
    if (kind != kind_) {
      if (!report()) return false;
      kind_ = kind;
    }
    position_ = to;
    return true;
  }

  // Reports the extent that ends at position_.
  bool report() {
    DCHECK(begin_ <= position_ && position_ <= end_);
    const bool more = position_ == begin_ || visitor_.extent(begin_, position_ - begin_, kind_);
    begin_ = position_;
    return more;
  }

  ExtentVisitor& visitor_;
  uint64_t begin_;     // where the extent being put together begins
  uint64_t position_;  // and how far it is known
  const uint64_t end_;
  ExtentKind kind_ = ExtentKind::hole;
};

}  // namespace ramdisk

#endif
