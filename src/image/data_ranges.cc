#include "image/data_ranges.h"

#include <algorithm>

namespace ramdisk {

namespace {

// Stops at the first extent that holds data.
class FirstData final : public ExtentVisitor {
 public:
  bool extent(uint64_t offset, uint64_t length, ExtentKind kind) override {
    if (kind != ExtentKind::data) return true;
    found_ = {offset, length};
    return false;
  }
  const Range& found() const { return found_; }

 private:
  Range found_;
};

}  // namespace

Status DataRanges::find_data() {
  for (uint64_t look = kLook; position_ < bytes_;) {
    const uint64_t count = std::min(look, bytes_ - position_);
    FirstData visitor;
    if (Status status = disk_.extents(count, position_, visitor); !status.ok()) return status;
    if (visitor.found().length > 0) {
      position_ = visitor.found().offset;
      data_end_ = position_ + visitor.found().length;
      return {};
    }
    position_ += count;
    look = look > bytes_ / 2 ? bytes_ : look * 2;
  }
  return {};
}

Result<Range> DataRanges::next() {
  if (position_ >= data_end_) {
    if (Status status = find_data(); !status.ok()) return status;
  }
  const uint64_t left = data_end_ > position_ ? data_end_ - position_ : 0;
  const uint64_t until = CopyJob::kPiece - position_ % CopyJob::kPiece;
  const Range piece{position_, std::min(left, until)};
  position_ += piece.length;
  return piece;
}

}  // namespace ramdisk
