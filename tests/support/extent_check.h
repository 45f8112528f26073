// Collects what extents() reports and checks it against the promises of the interface.
//
// The checks return a problem as a text, which is empty if there is none, so that any thread can
// use them.

#ifndef RAMDISK_SUPPORT_EXTENT_CHECK_H
#define RAMDISK_SUPPORT_EXTENT_CHECK_H

#include <cstdint>
#include <string>
#include <vector>

#include "ramdisk/allocator.h"
#include "support/model.h"

namespace ramdisk::support {

struct Extent {
  uint64_t offset;
  uint64_t length;
  ExtentKind kind;
  bool operator==(const Extent&) const = default;
};

std::string to_string(const Extent& extent);

// Keeps the first `limit` extents that are reported.
class ExtentList : public ExtentVisitor {
 public:
  explicit ExtentList(size_t limit = SIZE_MAX) : limit_(limit) {}
  bool extent(uint64_t offset, uint64_t length, ExtentKind kind) override;

  const std::vector<Extent>& list() const { return list_; }
  // Whether an extent came after extent() had returned false.
  bool told_too_much() const { return told_too_much_; }

 private:
  const size_t limit_;
  std::vector<Extent> list_;
  bool told_too_much_ = false;
};

// The extents of a range. An error fails the test.
std::vector<Extent> extents_of(Allocator& disk, uint64_t count, uint64_t offset);

// Extents must be in order and without gaps, cover exactly [offset, offset + count), and differ in
// kind from their neighbours.
std::string check_cover(const std::vector<Extent>& list, uint64_t count, uint64_t offset);

// As check_cover(). Besides, zero extents and holes must be zeroes in the model, and pages that may
// not be kept must be holes. `kept` is null for an allocator without holes.
std::string check_extents(Allocator& disk, const Model& model, const KeptPages* kept,
                          uint64_t count, uint64_t offset);

}  // namespace ramdisk::support

#endif
