#include "disk/stored_pages.h"

#include <algorithm>

#include "base/check.h"
#include "base/page.h"

namespace ramdisk {

// Fills ranges_ until it is full.
class StoredPages::Collector final : public ExtentVisitor {
 public:
  explicit Collector(StoredPages& pages) : pages_(pages) {}

  bool extent(uint64_t offset, uint64_t length, ExtentKind kind) override {
    const uint64_t first = offset >> kPageShift;
    const uint64_t end = end_page(offset, length);
    if (kind != ExtentKind::hole) {
      if (pages_.count_ == pages_.ranges_.size()) return false;
      pages_.ranges_[pages_.count_++] = {first, end};
    }
    pages_.seen_ = end;
    return true;
  }

 private:
  StoredPages& pages_;
};

StoredPages::StoredPages(Allocator& disk, uint64_t disk_bytes, uint64_t first, uint64_t end)
    : disk_(disk), disk_bytes_(disk_bytes), end_(end), seen_(first) {}

Status StoredPages::refill(uint64_t page) {
  position_ = 0;
  count_ = 0;
  seen_ = std::max(seen_, page);
  if (seen_ >= end_) return {};
  const uint64_t offset = seen_ << kPageShift;
  const uint64_t stop = std::min(disk_bytes_, end_ << kPageShift);
  Collector collector(*this);
  return disk_.extents(stop - offset, offset, collector);
}

Result<uint64_t> StoredPages::next(uint64_t page) {
  for (;;) {
    while (position_ < count_ && ranges_[position_].end <= page) ++position_;
    if (position_ < count_) return std::max(page, ranges_[position_].first);
    if (std::max(seen_, page) >= end_) return end_;
    if (Status status = refill(page); !status.ok()) return status;
  }
}

Result<uint64_t> StoredPages::among(uint64_t first, uint64_t end) {
  DCHECK(first < end && end - first <= 64);
  uint64_t bits = 0;
  for (uint64_t page = first; page < end; ++page) {
    Result<uint64_t> stored = next(page);
    if (!stored.ok()) return stored.status();
    page = stored.value();
    if (page < end) bits |= uint64_t{1} << (page - first);
  }
  return bits;
}

}  // namespace ramdisk
