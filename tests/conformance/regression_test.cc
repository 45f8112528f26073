// One test for each defect of the plugin that this one replaces, named after the defect.

#include <gtest/gtest.h>

#include "support/session.h"

namespace ramdisk::conformance {
namespace {

constexpr uint64_t kDisk = uint64_t{1} << 30;

// The offsets at which the old code or this one goes from one table to the next.
constexpr uint64_t kTableEdges[] = {32768, 1 << 20, 2 << 20, 128 << 20, 256 << 20, 512 << 20};

class Regression : public testing::TestWithParam<DiskType> {
 protected:
  // allocator=malloc allocates the whole disk at once, so its disk ends just after the edge at 128
  // MiB.
  static uint64_t disk_bytes() { return has_holes(GetParam()) ? kDisk : (130 << 20); }

  Regression() : disk_(GetParam(), disk_bytes()), session_(disk_, GetParam(), disk_bytes()) {}

  std::vector<uint64_t> edges() const {
    std::vector<uint64_t> all;
    for (const uint64_t edge : kTableEdges) {
      if (edge + (1 << 20) <= disk_bytes()) all.push_back(edge);
    }
    return all;
  }

  Disk disk_;
  Session session_;
  Rng rng_{7};
};

// A look-up that found no directory left its result unset, and block status of an untouched zstd
// disk ended the server by a segmentation fault.
TEST_P(Regression, ExtentsOfAnUntouchedDisk) {
  Places places(disk_bytes());
  for (int i = 0; i < 300; ++i) {
    const Range range = i % 2 ? places.far(rng_) : places.next(1 << 20, rng_);
    session_.check_extents_only(range.count, range.offset);
  }
  // A directory that exists, next to some that do not.
  session_.write(make_data(10, Data::random, rng_), (128 << 20) - 5);
  session_.check_extents_only(disk_bytes(), 0);
}

// A zero or trim that began inside a page and crossed a 128 MiB edge into a region without a
// directory mistook the page number on the far side for that on the near side. The page in which it
// began was freed as a whole, and the bytes before the request were lost.
TEST_P(Regression, ZeroFromMidPageOverAnEdgeKeepsTheHead) {
  for (const uint64_t edge : edges()) {
    for (const uint64_t before : {1, 511, 4095, 16384, 20000}) {
      for (const uint64_t after : {1, 4096, 65536, 500000}) {
        session_.write(make_data(32768, Data::text, rng_), edge - 32768);
        session_.zero(before + after, edge - before);
        session_.check_around(before + after, edge - before);
        session_.zero(1 << 16, edge - 32768);
      }
    }
  }
}

// As above, but the zero ends inside a page behind the edge, whose tail must be kept.
TEST_P(Regression, ZeroOverAnEdgeIntoMidPageKeepsTheTail) {
  for (const uint64_t edge : edges()) {
    for (const uint64_t after : {1, 511, 4095, 16384, 20000}) {
      session_.write(make_data(32768, Data::text, rng_), edge);
      session_.zero(20000 + after, edge - 20000);
      session_.check_around(20000 + after, edge - 20000);
      session_.zero(32768, edge);
    }
  }
}

// The test for "is this page zero now" looked at compressed bytes, or at only the part just
// zeroed: a zstd page zeroed in two halves stayed in memory and was reported as data.
TEST_P(Regression, HalvesZeroedOneAfterTheOtherBecomeAHole) {
  const uint64_t page = session_.page_bytes();
  for (const uint64_t split : {uint64_t{1}, uint64_t{100}, page / 2, page - 1}) {
    for (const Data kind : {Data::text, Data::random, Data::word}) {
      for (const bool tail_first : {false, true}) {
        session_.write(make_data(page, kind, rng_), 5 * page);
        session_.zero(tail_first ? page - split : split, 5 * page + (tail_first ? split : 0));
        session_.check_around(page, 5 * page);
        session_.zero(tail_first ? split : page - split, 5 * page + (tail_first ? 0 : split));
        session_.check_around(page, 5 * page);
        const auto list = extents_of(*disk_, page, 5 * page);
        ASSERT_EQ(list.size(), 1u);
        if (has_holes(GetParam())) {
          EXPECT_EQ(list[0].kind, ExtentKind::hole) << split;
        }
      }
    }
  }
}

// Looking for zeroes in a page that was stored compressed read past the end of the compressed
// bytes, which are fewer than a page has.
TEST_P(Regression, ZeroOfAPartOfACompressedPage) {
  const uint64_t page = session_.page_bytes();
  for (const Data kind : kAllData) {
    for (const uint64_t from : {uint64_t{0}, uint64_t{1}, page / 2, page - 1}) {
      for (const uint64_t count : {uint64_t{1}, uint64_t{64}, page / 2}) {
        if (from + count > page) continue;
        session_.write(make_data(3 * page, kind, rng_), 7 * page);
        session_.zero(count, 8 * page + from);
        session_.check_around(3 * page, 7 * page);
      }
    }
  }
}

// Trim ignored errors and compression freed the old page before it had memory for the new one:
// see also memory_failure_test.cc, which makes every call fail in turn.
TEST_P(Regression, FailedWriteKeepsTheOldData) {
  FailingMemory memory;
  constexpr uint64_t kSmall = 4 << 20;
  Disk disk(GetParam(), kSmall, memory);
  ASSERT_TRUE(disk.works()) << disk.status().message();
  Session session(disk, GetParam(), kSmall);
  session.write(make_data(kSmall, Data::text, rng_), 0);
  memory.fail_from(0);
  for (int i = 0; i < 20; ++i) {
    const uint64_t offset = rng_.below(kSmall - (512 << 10));
    session.try_write(make_data(512 << 10, Data::random, rng_), offset);
    session.try_zero(5000, offset);
  }
  session.check_everything();
}

// A trim of a disk far larger than its contents visited every possible page.
TEST_P(Regression, TrimOfAHugeNearlyEmptyDisk) {
  if (!has_holes(GetParam())) GTEST_SKIP() << "this allocator takes the memory of the whole disk";
  Disk disk(GetParam(), kLargestDisk);
  ASSERT_TRUE(disk.works()) << disk.status().message();
  Session session(disk, GetParam(), kLargestDisk);
  for (int i = 0; i < 1000; ++i) {
    session.write(make_data(10, Data::text, rng_), uint64_t{1} << 62);
    session.zero(kLargestDisk - 1, 1);
  }
  session.check_everything();
  EXPECT_EQ(disk->usage().stored_bytes, 0u);
}

INSTANTIATE_TEST_SUITE_P(All, Regression,
                         testing::ValuesIn(with_clones(all_allocators(),
                                                       {Base::empty, Base::data})),
                         name_of_disk);

}  // namespace
}  // namespace ramdisk::conformance
