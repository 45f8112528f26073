// SparseDisk: a page that is written while the extents are reported.

#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <vector>

#include "base/page.h"
#include "disk/registry.h"
#include "support/data.h"
#include "support/failing_memory.h"
#include "unit/at_yield.h"

namespace ramdisk {
namespace {

using conformance::Bytes;

class Kinds final : public ExtentVisitor {
 public:
  bool extent(uint64_t, uint64_t, ExtentKind kind) override {
    kinds.push_back(kind);
    return true;
  }
  std::vector<ExtentKind> kinds;
};

// Remembers what it maps, so that a test can find a page in it.
class FoundMemory final : public conformance::FailingMemory {
 public:
  void* map(size_t bytes, size_t alignment, bool huge) override {
    void* base = FailingMemory::map(bytes, alignment, huge);
    if (base) mapped_.emplace_back(static_cast<std::byte*>(base), bytes);
    return base;
  }

  // Clears the only place that holds `bytes`, as a write does that is not finished.
  void clear(const Bytes& bytes) {
    int found = 0;
    for (const auto mapped : mapped_) {
      const auto at = std::search(mapped.begin(), mapped.end(), bytes.begin(), bytes.end());
      if (at == mapped.end()) continue;
      std::fill_n(at, bytes.size(), std::byte{0});
      ++found;
    }
    EXPECT_EQ(found, 1);
  }

 private:
  std::vector<std::span<std::byte>> mapped_;
};

// The page holds zeroes when it is looked at first, and data before it is locked.
TEST(SparseDiskTest, APageThatIsNoLongerZeroIsData) {
  NEEDS_YIELD_POINTS();
  FoundMemory memory;
  auto made = make_allocator({}, kPageBytes, {&memory});
  ASSERT_TRUE(made.ok());
  Allocator& disk = *made.value();
  ASSERT_TRUE(disk.get_ready().ok());
  const Bytes data(8, std::byte{0xa5});
  ASSERT_TRUE(disk.write(data, 100).ok());
  memory.clear(data);
  for (const ExtentKind expected : {ExtentKind::zero, ExtentKind::data}) {
    int looks = 0;
    const unit::AtYield at([&](std::string_view place) {
      if (place != "SparseDisk::kind_of, looks like zeroes") return;
      ++looks;
      EXPECT_TRUE(expected == ExtentKind::zero || disk.write(data, 100).ok());
    });
    Kinds seen;
    EXPECT_TRUE(disk.extents(kPageBytes, 0, seen).ok());
    EXPECT_EQ(looks, 1);
    EXPECT_EQ(seen.kinds, std::vector{expected});
  }
}

}  // namespace
}  // namespace ramdisk
