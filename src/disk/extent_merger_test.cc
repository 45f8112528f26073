// ExtentMerger against a list with one entry a page: clipped, merged, without gaps, and ended
// early.

#include "disk/extent_merger.h"

#include <gtest/gtest.h>

#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "support/data.h"

namespace ramdisk {

struct Extent {
  uint64_t offset;
  uint64_t length;
  ExtentKind kind;
  bool operator==(const Extent&) const = default;
};

// Prints an extent in the messages of failed tests.
void PrintTo(const Extent& extent, std::ostream* out) {
  *out << extent.length << " bytes of kind " << static_cast<int>(extent.kind) << " at "
       << extent.offset;
}

namespace {

using conformance::Rng;
using conformance::scaled;

constexpr uint64_t kLargestDisk = INT64_MAX;
using Pages = std::map<uint64_t, ExtentKind>;
using Extents = std::vector<Extent>;

// Keeps the first `most` extents.
class Recorder final : public ExtentVisitor {
 public:
  explicit Recorder(size_t most = SIZE_MAX) : most_(most) {}
  bool extent(uint64_t offset, uint64_t length, ExtentKind kind) override {
    EXPECT_LT(seen.size(), most_) << "called again after it had enough";
    seen.push_back({offset, length, kind});
    return seen.size() < most_;
  }
  Extents seen;

 private:
  const size_t most_;
};

// Reports pages as the allocators do: those of the range in order, then finish().
void report(ExtentVisitor& visitor, const Pages& pages, uint64_t count, uint64_t offset) {
  ExtentMerger merger(visitor, count, offset);
  if (count == 0) return merger.finish();
  const uint64_t end = (offset + count - 1) / kPageBytes;
  for (auto it = pages.lower_bound(offset / kPageBytes); it != pages.end(); ++it) {
    if (it->first > end) break;
    if (!merger.page(it->first, it->second)) return;
  }
  merger.finish();
}

// What report() must give, found page by page.
Extents expected(const Pages& pages, uint64_t count, uint64_t offset) {
  Extents list;
  for (uint64_t at = offset; at < offset + count;) {
    const uint64_t page = at / kPageBytes;
    const uint64_t next = std::min(offset + count, (page + 1) * kPageBytes);
    const auto it = pages.find(page);
    const ExtentKind kind = it == pages.end() ? ExtentKind::hole : it->second;
    if (!list.empty() && list.back().kind == kind) {
      list.back().length += next - at;
    } else {
      list.push_back({at, next - at, kind});
    }
    at = next;
  }
  return list;
}

void check(const Pages& pages, uint64_t count, uint64_t offset) {
  SCOPED_TRACE(std::to_string(count) + " bytes at " + std::to_string(offset));
  const Extents all = expected(pages, count, offset);
  Recorder recorder;
  report(recorder, pages, count, offset);
  ASSERT_EQ(recorder.seen, all);
  for (size_t most = 1; most <= all.size(); ++most) {
    Recorder impatient(most);
    report(impatient, pages, count, offset);
    ASSERT_EQ(impatient.seen, Extents(all.begin(), all.begin() + static_cast<ptrdiff_t>(most)));
  }
}

TEST(ExtentMerger, EmptyRequestReportsNothing) {
  for (const uint64_t offset : {uint64_t{0}, uint64_t{5}, uint64_t{4096}, kLargestDisk}) {
    check({}, 0, offset);
  }
}

TEST(ExtentMerger, NothingStoredIsOneHole) {
  for (const uint64_t count : {1, 4095, 4096, 4097, 20000}) {
    for (const uint64_t offset : {0, 1, 4095, 4096}) check({}, count, offset);
  }
}

// Tries every request from and to the bytes around the edges of a few pages, for every mix of
// kinds.
TEST(ExtentMerger, EveryMixOfFourPages) {
  const std::vector<uint64_t> edges = {0, 1, 4095, 4096, 4097, 8192, 12287, 12288, 16383, 16384};
  for (int mix = 0; mix < 256; ++mix) {
    Pages pages;
    for (uint64_t page = 0; page < 4; ++page) {
      const int kind = mix >> (2 * page) & 3;
      if (kind < 2) pages[page] = kind == 0 ? ExtentKind::data : ExtentKind::zero;
      if (kind == 3) pages[page] = ExtentKind::hole;  // reported as one
    }
    for (const uint64_t first : edges) {
      for (const uint64_t last : edges) {
        if (first < last) check(pages, last - first, first);
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

// What two disks report in turns is joined and clipped like pages.
TEST(ExtentMerger, ExtentsOfSeveralDisks) {
  Recorder seen;
  ExtentMerger merger(seen, 100, 10);
  EXPECT_TRUE(merger.extent(0, 20, ExtentKind::hole));
  EXPECT_TRUE(merger.extent(20, 10, ExtentKind::hole));
  EXPECT_TRUE(merger.extent(40, 5, ExtentKind::data));
  EXPECT_TRUE(merger.extent(45, 5, ExtentKind::data));
  EXPECT_TRUE(merger.extent(50, 500, ExtentKind::zero));
  merger.finish();
  EXPECT_EQ(seen.seen, (Extents{{10, 30, ExtentKind::hole},
                                {40, 10, ExtentKind::data},
                                {50, 60, ExtentKind::zero}}));
}

TEST(ExtentMerger, RandomPages) {
  Rng rng(1);
  for (int round = 0; round < scaled(500) && !testing::Test::HasFatalFailure(); ++round) {
    Pages pages;
    for (uint64_t i = rng.below(60); i > 0; --i) {
      pages[rng.below(100)] = rng.chance(70) ? ExtentKind::data : ExtentKind::zero;
    }
    const uint64_t offset = rng.below(100 * kPageBytes);
    check(pages, rng.below(110 * kPageBytes - offset), offset);
  }
}

TEST(ExtentMerger, LastBytesOfTheLargestDisk) {
  const uint64_t last = kLargestDisk / kPageBytes;
  for (const uint64_t count : {1, 4094, 4095, 4096, 4097, 10000}) {
    check({{last, ExtentKind::data}}, count, kLargestDisk - count);
    check({{last - 1, ExtentKind::zero}}, count, kLargestDisk - count);
    check({}, count, kLargestDisk - count);
  }
}

// The range is too long to go page by page.
TEST(ExtentMerger, WholeLargestDisk) {
  const uint64_t last = kLargestDisk / kPageBytes;
  Recorder recorder;
  report(recorder, {{3, ExtentKind::data}, {last, ExtentKind::zero}}, kLargestDisk, 0);
  EXPECT_EQ(recorder.seen, (Extents{{0, 12288, ExtentKind::hole},
                                    {12288, 4096, ExtentKind::data},
                                    {16384, last * 4096 - 16384, ExtentKind::hole},
                                    {last * 4096, 4095, ExtentKind::zero}}));
}

}  // namespace
}  // namespace ramdisk
