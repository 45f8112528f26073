// The contract of extents(): coverage, kinds, and stopping early.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

#include "support/session.h"
#include "support/threads.h"

namespace ramdisk::conformance {
namespace {

constexpr uint64_t kDisk = (5 << 20) + 123;

class Extents : public testing::TestWithParam<DiskType> {
 protected:
  Extents() : disk_(GetParam(), kDisk) { EXPECT_TRUE(disk_.works()) << disk_.status().message(); }

  Disk disk_;
  Rng rng_{6};
};

TEST_P(Extents, UntouchedDiskIsOneExtent) {
  for (const uint64_t bytes : {1, 511, 4096, 4097, (1 << 20) + 1, 5 << 20}) {
    Disk disk(GetParam(), bytes);
    ASSERT_TRUE(disk.works()) << disk.status().message();
    const auto list = extents_of(*disk, bytes, 0);
    ASSERT_EQ(list.size(), 1u) << bytes;
    EXPECT_EQ(list[0].offset, 0u);
    EXPECT_EQ(list[0].length, bytes);
    EXPECT_EQ(list[0].kind == ExtentKind::hole, has_holes(GetParam()));
  }
}

TEST_P(Extents, EmptyRequestHasNoExtents) {
  Session session(disk_, GetParam(), kDisk);
  session.write(make_data(10000, Data::random, rng_), 3000);
  for (const uint64_t offset : {uint64_t{0}, uint64_t{4096}, uint64_t{5000}, kDisk}) {
    EXPECT_TRUE(extents_of(*disk_, 0, offset).empty()) << offset;
  }
}

TEST_P(Extents, EveryOtherPage) {
  Session session(disk_, GetParam(), kDisk);
  const uint64_t page = session.page_bytes();
  for (uint64_t at = page; at + page <= kDisk; at += 2 * page) {
    session.write(make_data(page, Data::random, rng_), at);
  }
  session.check_everything();
  for (int i = 0; i < 200; ++i) {
    const uint64_t offset = rng_.below(kDisk);
    session.check_extents_only(rng_.below(kDisk - offset), offset);
  }
  if (!has_holes(GetParam())) return;
  const auto list = extents_of(*disk_, 3 * page - 2, page / 2);
  EXPECT_EQ(list, (std::vector<Extent>{{page / 2, page - page / 2, ExtentKind::hole},
                                       {page, page, ExtentKind::data},
                                       {2 * page, page, ExtentKind::hole},
                                       {3 * page, page / 2 - 2, ExtentKind::data}}));
}

// Adjacent written pages form one extent, even across a directory boundary.
TEST_P(Extents, NeighboursAreMerged) {
  constexpr uint64_t kLong = 130 << 20;
  Disk disk(GetParam(), kLong);
  ASSERT_TRUE(disk.works()) << disk.status().message();
  Session session(disk, GetParam(), kLong);
  for (const uint64_t edge : {1 << 20, 2 << 20, 128 << 20}) {
    session.write(make_data(128 << 10, Data::random, rng_), edge - (64 << 10));
    session.check_extents_only(kLong, 0);
    const auto list = extents_of(*disk, 100 << 10, edge - (50 << 10));
    EXPECT_EQ(list, (std::vector<Extent>{{edge - (50u << 10), 100 << 10, ExtentKind::data}}));
  }
}

// Counts the extents and stops after a given number.
class Stopper : public ExtentVisitor {
 public:
  explicit Stopper(int most) : most_(most) {}
  bool extent(uint64_t, uint64_t, ExtentKind) override { return ++heard_ < most_; }
  int heard() const { return heard_; }

 private:
  const int most_;
  int heard_ = 0;
};

TEST_P(Extents, VisitorThatStopsIsSparedTheRest) {
  Session session(disk_, GetParam(), kDisk);
  const uint64_t page = session.page_bytes();
  for (int i = 1; i < 40; i += 2) {
    session.write(make_data(page, Data::random, rng_), i * page);
  }
  const int all = static_cast<int>(extents_of(*disk_, kDisk, 0).size());
  for (const int most : {1, 2, 3, 17, all}) {
    if (most > all) continue;
    Stopper stopper(most);
    EXPECT_TRUE(disk_->extents(kDisk, 0, stopper).ok());
    EXPECT_EQ(stopper.heard(), most);
  }
}

TEST_P(Extents, OneByteRequests) {
  Session session(disk_, GetParam(), kDisk);
  const uint64_t page = session.page_bytes();
  session.write(make_data(page, Data::random, rng_), page);
  for (const uint64_t at : {uint64_t{0}, page - 1, page, 2 * page - 1, 2 * page, kDisk - 1}) {
    session.check_extents_only(1, at);
    EXPECT_EQ(extents_of(*disk_, 1, at).size(), 1u);
  }
}

// A client may ask for the largest count that the protocol allows.
TEST_P(Extents, LargestCountOfTheProtocol) {
  constexpr uint64_t kCount = UINT32_MAX;
  if (!has_holes(GetParam())) GTEST_SKIP() << "this allocator takes the memory of the whole disk";
  Disk disk(GetParam(), kLargestDisk);
  ASSERT_TRUE(disk.works()) << disk.status().message();
  Session session(disk, GetParam(), kLargestDisk);
  for (const uint64_t offset :
       {uint64_t{0}, uint64_t{1}, uint64_t{1} << 62, kLargestDisk - kCount}) {
    EXPECT_EQ(extents_of(*disk, kCount, offset),
              (std::vector<Extent>{{offset, kCount, ExtentKind::hole}}));
    session.write(make_data(10, Data::random, rng_), offset + kCount - 10);
    session.write(make_data(10, Data::random, rng_), offset + (1u << 31));
    session.check_extents_only(kCount, offset);
    session.zero(kCount, offset);
  }
}

// Zeroes that a client writes may be stored or not, but a page that was a hole must cost no memory.
TEST_P(Extents, WrittenZeroesReadAsZeroes) {
  Session session(disk_, GetParam(), kDisk);
  session.write(Bytes(100000), 500);
  session.check_everything();
  session.write(make_data(100000, Data::text, rng_), 300000);
  session.write(Bytes(100000), 300000);
  session.check_everything();
  if (!has_holes(GetParam())) return;
  EXPECT_EQ(extents_of(*disk_, 200000, 0), (std::vector<Extent>{{0, 200000, ExtentKind::hole}}));
}

// Whole pages are overwritten constantly with different contents, none of which is all zero. At no
// time may such a page be reported as zero or a hole.
TEST_P(Extents, PagesBeingOverwrittenAreNoZeroes) {
  constexpr uint64_t kPage = 4096;
  constexpr uint64_t kPages = 4;
  std::vector<Bytes> contents(4, Bytes(kPages * kPage));
  for (uint64_t page = 0; page < kPages; ++page) {
    const auto part = [&](Bytes& bytes, uint64_t from, uint64_t to, int value) {
      std::fill(bytes.begin() + static_cast<ptrdiff_t>(page * kPage + from),
                bytes.begin() + static_cast<ptrdiff_t>(page * kPage + to),
                static_cast<std::byte>(value));
    };
    part(contents[0], 16, kPage, 0x11);
    part(contents[1], 0, kPage, 0xab);
    part(contents[2], kPage / 2, kPage, 0x22);
    part(contents[3], 0, kPage / 2, 0x33);
  }
  ASSERT_TRUE(disk_->write(contents[0], kPage).ok());
  std::atomic<bool> done{false};
  EXPECT_EQ(run_threads(2,
                        [&](int i) -> std::string {
                          if (i == 1) {
                            for (size_t n = 0; !done; ++n) {
                              if (!disk_->write(contents[n % 4], kPage).ok()) return "no memory";
                            }
                            return "";
                          }
                          std::string problem;
                          for (int n = scaled(1'000'000); n > 0 && problem.empty(); --n) {
                            ExtentList list;
                            if (!disk_->extents(kPages * kPage, kPage, list).ok()) problem = "EIO";
                            for (const Extent& extent : list.list()) {
                              if (extent.kind != ExtentKind::data) problem = to_string(extent);
                            }
                          }
                          done = true;
                          return problem;
                        }),
            "");
}

INSTANTIATE_TEST_SUITE_P(All, Extents,
                         testing::ValuesIn(with_clones(all_allocators(),
                                                       {Base::empty, Base::zeroed})),
                         name_of_disk);

// Tests the checker itself: it must notice every kind of fault.
TEST(ExtentChecker, NoticesEveryKindOfFault) {
  using List = std::vector<Extent>;
  constexpr auto data = ExtentKind::data, hole = ExtentKind::hole;
  EXPECT_EQ(check_cover(List{{5, 3, data}, {8, 2, hole}}, 5, 5), "");
  EXPECT_NE(check_cover(List{}, 5, 5), "");
  EXPECT_NE(check_cover(List{{5, 4, data}}, 5, 5), "");
  EXPECT_NE(check_cover(List{{5, 6, data}}, 5, 5), "");
  EXPECT_NE(check_cover(List{{4, 6, data}}, 5, 5), "");
  EXPECT_NE(check_cover(List{{5, 3, data}, {8, 2, data}}, 5, 5), "");
  EXPECT_NE(check_cover(List{{5, 3, data}, {9, 1, hole}}, 5, 5), "");
  EXPECT_NE(check_cover(List{{5, 5, data}, {10, 0, hole}}, 5, 5), "");
}

}  // namespace
}  // namespace ramdisk::conformance
