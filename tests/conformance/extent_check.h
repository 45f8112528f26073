// Collects what extents() reports and checks it against the interface's promises.
//
// Problems come back as text, empty when there is none, so that threads other than the test's own
// can use this too.

#ifndef RAMDISK_CONFORMANCE_EXTENT_CHECK_H
#define RAMDISK_CONFORMANCE_EXTENT_CHECK_H

#include <cstdint>
#include <string>
#include <vector>

#include "model.h"
#include "ramdisk/allocator.h"

namespace ramdisk::conformance {

struct Extent {
  uint64_t offset;
  uint64_t length;
  ExtentKind kind;
  bool operator==(const Extent&) const = default;
};

std::string to_string(const Extent& extent);

// Keeps what it is told, up to `limit` extents.
class ExtentList : public ExtentVisitor {
 public:
  explicit ExtentList(size_t limit = SIZE_MAX) : limit_(limit) {}
  bool extent(uint64_t offset, uint64_t length, ExtentKind kind) override;

  const std::vector<Extent>& list() const { return list_; }
  // True if more came after the visitor had asked to be spared the rest.
  bool told_too_much() const { return told_too_much_; }

 private:
  const size_t limit_;
  std::vector<Extent> list_;
  bool told_too_much_ = false;
};

// The extents of a range, which have to exist.
std::vector<Extent> extents_of(Allocator& disk, uint64_t count, uint64_t offset);

// In order, without gaps, no two neighbours alike, exactly [offset, offset + count).
std::string check_cover(const std::vector<Extent>& list, uint64_t count, uint64_t offset);

// check_cover(), and what is no data reads as zeroes, and pages that may not be kept are holes.
// Without `kept`, the allocator is one that has no holes.
std::string check_extents(Allocator& disk, const Model& model, const KeptPages* kept,
                          uint64_t count, uint64_t offset);

}  // namespace ramdisk::conformance

#endif
