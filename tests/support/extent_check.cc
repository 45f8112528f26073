// The checks of extent_check.h.

#include "support/extent_check.h"

#include <gtest/gtest.h>

namespace ramdisk::support {

std::string to_string(const Extent& extent) {
  const char* kind = extent.kind == ExtentKind::data   ? "data"
                     : extent.kind == ExtentKind::zero ? "zero"
                                                       : "hole";
  return std::to_string(extent.offset) + "+" + std::to_string(extent.length) + " " + kind;
}

bool ExtentList::extent(uint64_t offset, uint64_t length, ExtentKind kind) {
  if (list_.size() >= limit_) {
    told_too_much_ = true;
    return false;
  }
  list_.push_back({offset, length, kind});
  return list_.size() < limit_;
}

std::vector<Extent> extents_of(Allocator& disk, uint64_t count, uint64_t offset) {
  ExtentList visitor;
  const Status status = disk.extents(count, offset, visitor);
  EXPECT_TRUE(status.ok()) << status.message();
  return visitor.list();
}

std::string check_cover(const std::vector<Extent>& list, uint64_t count, uint64_t offset) {
  uint64_t at = offset;
  for (size_t i = 0; i < list.size(); ++i) {
    const Extent& extent = list[i];
    if (extent.offset != at) {
      return "extent " + to_string(extent) + " should begin at " + std::to_string(at);
    }
    if (extent.length == 0) return "empty extent " + to_string(extent);
    if (extent.length > offset + count - at) {
      return "extent " + to_string(extent) + " runs over the end of the request, " +
             std::to_string(offset + count);
    }
    if (i > 0 && list[i - 1].kind == extent.kind) {
      return "extent " + to_string(extent) + " has the kind of the one before it";
    }
    at += extent.length;
  }
  if (at == offset + count) return "";
  return "extents end at " + std::to_string(at) + ", the request at " +
         std::to_string(offset + count);
}

std::string check_extents(Allocator& disk, const Model& model, const KeptPages* kept,
                          uint64_t count, uint64_t offset) {
  const std::vector<Extent> list = extents_of(disk, count, offset);
  const std::string problem = check_cover(list, count, offset);
  if (!problem.empty()) return problem;
  for (const Extent& extent : list) {
    if (extent.kind == ExtentKind::hole && !kept) {
      return to_string(extent) + " on an allocator without holes";
    }
    if (extent.kind != ExtentKind::data && !model.reads_as_zeroes(extent.length, extent.offset)) {
      return to_string(extent) + ", but there is data";
    }
    if (extent.kind == ExtentKind::hole || !kept) continue;
    const uint64_t hole = kept->first_hole(extent.length, extent.offset);
    if (hole != extent.offset + extent.length) {
      return to_string(extent) + ", but the page of the byte " + std::to_string(hole) +
             " is untouched or zeroed";
    }
  }
  return "";
}

}  // namespace ramdisk::support
