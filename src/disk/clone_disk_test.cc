// CloneDisk: what it takes from the base and what is its own, what it leaves alone, and what
// happens when there is no memory.

#include "disk/clone_disk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "support/base_disk.h"
#include "support/session.h"
#include "unit/at_yield.h"

namespace ramdisk {
namespace {

using conformance::all_zero;
using conformance::BaseDisk;
using conformance::Bytes;
using conformance::Data;
using conformance::Extent;
using conformance::extents_of;
using conformance::FailingMemory;
using conformance::kLargestDisk;
using conformance::make_data;
using conformance::read_back;
using conformance::Rng;
using conformance::Session;
using conformance::sparse_allocators;

constexpr uint64_t kPage = kPageBytes;
constexpr ExtentKind kData = ExtentKind::data;
constexpr ExtentKind kHole = ExtentKind::hole;

// A base that stores some pages of `disk_bytes`, and a clone of it with memory of its own.
class CloneDiskTest : public testing::TestWithParam<AllocatorType> {
 protected:
  void make(uint64_t disk_bytes, const std::vector<uint64_t>& stored_pages) {
    make(disk_bytes, [&](Allocator& disk, uint64_t) {
      for (const uint64_t page : stored_pages) {
        const uint64_t length = std::min(kPage, disk_bytes - page * kPage);
        EXPECT_TRUE(disk.write(make_data(length, Data::random, rng_), page * kPage).ok());
      }
    });
  }

  void make(uint64_t disk_bytes, const BaseDisk::Load& load) {
    bytes_ = disk_bytes;
    base_ = std::make_unique<BaseDisk>(GetParam(), bytes_, load);
    AllocatorOptions options;
    options.type = GetParam();
    clone_ = std::make_unique<CloneDisk>(*base_, bytes_, options, Environment{&memory_});
    ASSERT_TRUE(clone_->get_ready().ok());
    ASSERT_TRUE(clone_->after_fork().ok());
  }

  Session session() { return Session(*clone_, bytes_, {}); }

  bool same_as_base(uint64_t page) const {
    return read_back(*clone_, kPage, page * kPage) == read_back(*base_, kPage, page * kPage);
  }

  void TearDown() override {
    if (clone_) clone_->stop();
    clone_.reset();
    EXPECT_EQ(memory_.mapped_bytes(), 0u);
    EXPECT_EQ(memory_.misuse(), "");
  }

  Rng rng_{31};
  FailingMemory memory_;
  uint64_t bytes_ = 0;
  std::unique_ptr<BaseDisk> base_;
  std::unique_ptr<CloneDisk> clone_;
};

TEST_P(CloneDiskTest, TakesNothingBeforeItsFirstChange) {
  static_assert(sizeof(CloneDisk) < 1024);
  make(kLargestDisk, std::vector<uint64_t>{0, 1, 5000});
  EXPECT_TRUE(same_as_base(0));
  EXPECT_TRUE(same_as_base(5000));
  EXPECT_EQ(extents_of(*clone_, kLargestDisk, 0), extents_of(*base_, kLargestDisk, 0));
  // What is zero already does not change.
  EXPECT_TRUE(clone_->zero(kLargestDisk - 6000 * kPage, 6000 * kPage).ok());
  EXPECT_TRUE(clone_->zero(100, 3 * kPage + 5).ok());
  EXPECT_TRUE(clone_->write(Bytes(2 * kPage + 17), 3 * kPage + 5).ok());
  EXPECT_FALSE(clone_->changed());
  EXPECT_EQ(memory_.mapped_bytes(), 0u);
  EXPECT_EQ(clone_->usage().memory_bytes, 0u);
  EXPECT_EQ(clone_->statistics().stored_pages(), 0u);
}

TEST_P(CloneDiskTest, ChangesAreItsOwn) {
  make(8 * kPage, std::vector<uint64_t>{0, 1, 2, 4});
  const Bytes one = make_data(kPage, Data::text, rng_);
  ASSERT_TRUE(clone_->write(one, kPage).ok());
  ASSERT_TRUE(clone_->zero(kPage, 2 * kPage).ok());
  ASSERT_TRUE(clone_->write(one, 6 * kPage).ok());
  EXPECT_TRUE(same_as_base(0));
  EXPECT_EQ(read_back(*clone_, kPage, kPage), one);
  EXPECT_TRUE(all_zero(read_back(*clone_, 2 * kPage, 2 * kPage)));
  EXPECT_TRUE(same_as_base(4));
  EXPECT_EQ(read_back(*clone_, kPage, 6 * kPage), one);
  EXPECT_EQ(extents_of(*clone_, 8 * kPage, 0), (std::vector<Extent>{{0, 2 * kPage, kData},
                                                                    {2 * kPage, 2 * kPage, kHole},
                                                                    {4 * kPage, kPage, kData},
                                                                    {5 * kPage, kPage, kHole},
                                                                    {6 * kPage, kPage, kData},
                                                                    {7 * kPage, kPage, kHole}}));
  EXPECT_EQ(extents_of(*clone_, kPage, kPage + 10),
            (std::vector<Extent>{{kPage + 10, kPage - 10, kData}, {2 * kPage, 10, kHole}}));
  // The figures are of its own content alone.
  EXPECT_EQ(clone_->usage().stored_bytes, 2 * kPage);
  EXPECT_EQ(clone_->statistics().stored_pages(), 2u);
  EXPECT_GE(memory_.held_bytes(), clone_->usage().memory_bytes / 2);
  EXPECT_NE(clone_->describe().find("clone"), std::string::npos);
}

TEST_P(CloneDiskTest, APartOfAPageIsWrittenIntoACopy) {
  const uint64_t bytes = 4 * kPage + 123;
  make(bytes, std::vector<uint64_t>{0, 2, 3, 4});
  Session disk = session();
  disk.begin_with(*base_);
  disk.write(make_data(1, Data::random, rng_), 100);                // within a stored page
  disk.write(make_data(10, Data::random, rng_), kPage + 1);         // within a hole
  disk.write(make_data(kPage, Data::random, rng_), 2 * kPage + 5);  // parts of two
  disk.zero(7, 4 * kPage + 100);                                    // of the last, short page
  disk.check_everything();
  EXPECT_TRUE(disk.model().read(bytes, 0) != read_back(*base_, bytes, 0));
  // All of the short page is a whole page: it becomes a hole.
  disk.zero(123, 4 * kPage);
  disk.check_everything();
  EXPECT_EQ(extents_of(*clone_, 123, 4 * kPage).front().kind, kHole);
}

// A part of a page that the base stores is zeroed, and nothing else is left in it.
TEST_P(CloneDiskTest, APageThatAPartialZeroEmptiesIsAHole) {
  make(4 * kPage, [&](Allocator& disk, uint64_t) {
    EXPECT_TRUE(disk.write(make_data(100, Data::random, rng_), kPage + 200).ok());
  });
  ASSERT_TRUE(clone_->zero(100, kPage + 200).ok());
  EXPECT_EQ(extents_of(*clone_, 4 * kPage, 0), (std::vector<Extent>{{0, 4 * kPage, kHole}}));
  EXPECT_EQ(clone_->usage().stored_bytes, 0u);
}

TEST_P(CloneDiskTest, ZeroOfTheLargestDiskFollowsWhatIsStored) {
  const uint64_t last = kLargestDisk / kPage;
  std::vector<uint64_t> stored;
  for (uint64_t i = 0; i < 40; ++i) stored.push_back(last / 40 * i);
  make(kLargestDisk, stored);
  for (uint64_t i = 0; i < 10; ++i) {
    ASSERT_TRUE(
        clone_->write(make_data(kPage, Data::random, rng_), (last / 10 * i + 77) * kPage).ok());
  }
  const uint64_t before = base_->questions();
  ASSERT_TRUE(clone_->zero(kLargestDisk, 0).ok());
  EXPECT_LE(base_->questions() - before, 5u);
  EXPECT_EQ(extents_of(*clone_, kLargestDisk, 0), (std::vector<Extent>{{0, kLargestDisk, kHole}}));
  EXPECT_EQ(clone_->usage().stored_bytes, 0u);
  for (const uint64_t page : stored) EXPECT_TRUE(all_zero(read_back(*clone_, 100, page * kPage)));
}

TEST_P(CloneDiskTest, RandomRequestsAgainstTheModel) {
  const uint64_t bytes = (20 << 20) + 77;
  std::vector<uint64_t> stored;
  for (uint64_t page = 0; page <= bytes / kPage; page += 1 + rng_.below(page % 7 ? 2 : 30)) {
    stored.push_back(page);
  }
  make(bytes, stored);
  const Bytes before = read_back(*base_, bytes, 0);
  Session disk = session();
  disk.begin_with(*base_);
  random_steps(disk, conformance::Places(bytes), conformance::scaled(400), 1 << 20, rng_);
  EXPECT_EQ(read_back(*base_, bytes, 0), before);
}

// ---- memory

TEST_P(CloneDiskTest, AWriteWithoutMemoryForTheLayerFailsAndTheNextOneTriesAgain) {
  make(64 * kPage, std::vector<uint64_t>{3});
  const Bytes data = make_data(kPage, Data::random, rng_);
  memory_.fail_from(0);
  for (int i = 0; i < 2; ++i) {
    const Status status = clone_->write(data, 3 * kPage);
    EXPECT_TRUE(status.errnum() == ENOMEM || status.errnum() == ENOSPC) << status.errnum();
    EXPECT_TRUE(same_as_base(3));
  }
  memory_.allow();
  EXPECT_TRUE(clone_->write(data, 3 * kPage).ok());
  EXPECT_EQ(read_back(*clone_, kPage, 3 * kPage), data);
}

// A write that gets no further than its middle leaves nothing behind that the clone does not show.
TEST_P(CloneDiskTest, AFailedWriteLeavesNothingUnseen) {
  const uint64_t bytes = 64 << 20;
  make(bytes, std::vector<uint64_t>{0, 1, 2, 300});
  Session disk = session();
  disk.begin_with(*base_);
  disk.write(make_data(kPage, Data::random, rng_), kPage);
  memory_.limit(memory_.held_bytes() + (6 << 20));
  uint64_t at = 0;
  while (at < bytes - (1 << 20) &&
         disk.try_write(make_data(1 << 20, Data::random, rng_), at + 50)) {
    at += 1 << 20;
  }
  ASSERT_LT(at, bytes - (1 << 20)) << "the limit was never reached";
  memory_.allow();
  uint64_t shown = 0;
  for (const Extent& extent : extents_of(*clone_, bytes, 0)) {
    if (extent.kind == kData) shown += extent.length;
  }
  EXPECT_LE(clone_->usage().stored_bytes, shown);
  disk.check_everything();
}

// Trims give back what the marks take, too, where the base has holes.
TEST_P(CloneDiskTest, TrimmedPagesGiveTheirMarksBack) {
  make(kLargestDisk, std::vector<uint64_t>{});
  uint64_t first = 0;
  for (int round = 0; round < 4; ++round) {
    for (uint64_t i = 0; i < 3000; ++i) {
      ASSERT_TRUE(clone_->write(Bytes(kPage, std::byte{1}), i << 30).ok());
    }
    ASSERT_TRUE(clone_->zero(kLargestDisk, 0).ok());
    if (round == 0) first = clone_->usage().memory_bytes;
    EXPECT_LE(clone_->usage().memory_bytes, first + (3 << 20));
  }
}

// ---- steps of two threads

// Not with zstd: its background threads come by yield points, too, and may be at one when the test
// takes its hook away.
class CloneDiskSteps : public CloneDiskTest {};

TEST_P(CloneDiskSteps, AReadSeesAZeroThatCameBetween) {
  NEEDS_YIELD_POINTS();
  make(4 * kPage, std::vector<uint64_t>{});
  ASSERT_TRUE(clone_->write(Bytes(2 * kPage, std::byte{7}), kPage).ok());
  int steps = 0;
  const unit::AtYield at([&](std::string_view place) {
    if (place != "CloneDisk::read, before the marks are checked again" || steps++ > 0) return;
    EXPECT_TRUE(clone_->zero(kPage, 2 * kPage).ok());
  });
  const Bytes seen = read_back(*clone_, 2 * kPage, kPage);
  EXPECT_EQ(std::count(seen.begin(), seen.end(), std::byte{7}), kPage);
  EXPECT_GT(steps, 1);
}

TEST_P(CloneDiskSteps, AWriteIsSeenWhenItIsMarked) {
  NEEDS_YIELD_POINTS();
  make(4 * kPage, std::vector<uint64_t>{1});
  const Bytes data = make_data(kPage, Data::random, rng_);
  bool before = false;
  {
    const unit::AtYield at([&](std::string_view place) {
      if (place == "CloneDisk::write_pages, before the marks") before = same_as_base(1);
    });
    ASSERT_TRUE(clone_->write(data, kPage).ok());
  }
  EXPECT_TRUE(before);
  EXPECT_EQ(read_back(*clone_, kPage, kPage), data);
}

// Another thread copies the page first.
TEST_P(CloneDiskSteps, TwoCopiesOfAPageBecomeOne) {
  NEEDS_YIELD_POINTS();
  make(4 * kPage, std::vector<uint64_t>{1});
  Session disk = session();
  disk.begin_with(*base_);
  bool done = false;
  const unit::AtYield at([&](std::string_view place) {
    if (place != "CloneDisk::write_some, before a page is copied" || done) return;
    done = true;
    disk.write(make_data(50, Data::random, rng_), kPage + 70);
  });
  disk.write(make_data(100, Data::random, rng_), kPage + 90);
  EXPECT_TRUE(done);
  disk.check_everything();
}

INSTANTIATE_TEST_SUITE_P(All, CloneDiskTest, testing::ValuesIn(sparse_allocators()),
                         conformance::name_of_type);

INSTANTIATE_TEST_SUITE_P(All, CloneDiskSteps, testing::Values(AllocatorType::sparse),
                         conformance::name_of_type);

TEST(MakeCloneTest, RefusesMalloc) {
  FailingMemory memory;
  AllocatorOptions options;
  auto base = make_allocator(options, kPage, {&memory});
  ASSERT_TRUE(base.ok());
  EXPECT_TRUE(make_clone(*base.value(), kPage, options, {&memory}).ok());
  options.type = AllocatorType::malloc;
  const auto made = make_clone(*base.value(), kPage, options, {&memory});
  EXPECT_EQ(made.status().errnum(), ENOTSUP);
  EXPECT_NE(std::string(made.status().message()).find("allocator=malloc"), std::string::npos);
}

}  // namespace
}  // namespace ramdisk
