// Requests for the whole disk (zero, extents and usage) while other threads write to it.

#include <gtest/gtest.h>

#include <atomic>
#include <memory>

#include "support/extent_check.h"
#include "support/factory.h"
#include "support/owner.h"
#include "support/threads.h"

namespace ramdisk::conformance {
namespace {

class ConcurrentWhole : public testing::TestWithParam<DiskType> {
 protected:
  static constexpr uint64_t kDisk = 130 << 20;
  static constexpr uint64_t kHot = 64 << 20;  // where the writers are

  ConcurrentWhole() : disk_(GetParam(), kDisk) {
    EXPECT_TRUE(disk_.works()) << disk_.status().message();
  }

  // Runs `writers` owners of slices that cross pages and directories, and repeats `other` until
  // they are done.
  template <typename Other>
  void run(int writers, int steps, Owner::Habits habits, Other other) {
    const Slices slices{kHot - 50000, 1021, writers, 60};
    ASSERT_TRUE(disk_->zero(2 << 20, kHot - (1 << 20)).ok());  // remove the data of the last run
    owners_.clear();
    for (int i = 0; i < writers; ++i) {
      owners_.push_back(std::make_unique<Owner>(*disk_, slices, i, habits));
    }
    std::atomic<int> busy = writers;
    EXPECT_EQ(run_threads(writers + 1,
                          [&](int i) -> std::string {
                            std::string problem;
                            if (i == writers) {
                              while (busy.load(std::memory_order_relaxed) > 0 && problem.empty()) {
                                problem = other();
                              }
                              return problem;
                            }
                            for (int n = scaled(steps); n > 0 && problem.empty(); --n) {
                              problem = owners_[i]->step();
                            }
                            busy.fetch_sub(1, std::memory_order_relaxed);
                            return problem;
                          }),
              "");
    for (auto& owner : owners_) EXPECT_EQ(owner->verify(), "");
  }

  Disk disk_;
  std::vector<std::unique_ptr<Owner>> owners_;
};

TEST_P(ConcurrentWhole, ZeroOfTheWholeDisk) {
  // malloc has to fill the whole range each time, so it gets only the part around the writers.
  const uint64_t from = has_holes(GetParam()) ? 0 : kHot - (1 << 20);
  const uint64_t count = has_holes(GetParam()) ? kDisk : 2 << 20;
  for (const int writers : {1, 4, 8}) {
    run(writers, 3000, {.others_zero = true}, [&]() -> std::string {
      const Status status = disk_->zero(count, from);
      return status.ok() ? "" : status.message();
    });
    ASSERT_FALSE(HasFailure());
  }
  // Once nothing else runs, written data stays.
  for (auto& owner : owners_) EXPECT_EQ(owner->write_all(), "");
  for (auto& owner : owners_) EXPECT_EQ(owner->verify(), "");
  ASSERT_TRUE(disk_->zero(kDisk, 0).ok());
  if (has_holes(GetParam())) {
    EXPECT_EQ(disk_->usage().stored_bytes, 0u);
    EXPECT_EQ(extents_of(*disk_, kDisk, 0), (std::vector<Extent>{{0, kDisk, ExtentKind::hole}}));
  }
}

// Extents must always be right for parts that nobody changes, and well-formed everywhere.
TEST_P(ConcurrentWhole, ExtentsAndFigures) {
  constexpr uint64_t kFixed = 10 << 20;
  constexpr uint64_t kFixedBytes = 300 << 10;
  Rng rng(11);
  ASSERT_TRUE(disk_->write(make_data(kFixedBytes, Data::random, rng), kFixed).ok());
  const bool holes = has_holes(GetParam());
  const auto look = [&]() -> std::string {
    ExtentList visitor;
    if (const Status status = disk_->extents(kDisk, 0, visitor); !status.ok()) {
      return status.message();
    }
    if (std::string problem = check_cover(visitor.list(), kDisk, 0); !problem.empty()) {
      return problem;
    }
    for (const Extent& extent : visitor.list()) {
      const uint64_t end = extent.offset + extent.length;
      const bool touches_fixed = extent.offset < kFixed + kFixedBytes && end > kFixed;
      const bool touches_hot = extent.offset < kHot + (1 << 20) && end > kHot - 50000;
      const bool near_hot = extent.offset >= kHot - 57344 && end <= kHot + (1 << 20);
      if (touches_fixed && extent.kind != ExtentKind::data) {
        return "not data: " + to_string(extent);
      }
      if (holes && !touches_fixed && !(touches_hot && near_hot) &&
          extent.kind != ExtentKind::hole) {
        return "no hole: " + to_string(extent);
      }
    }
    if (disk_->describe().empty()) return "no description";
    const Usage usage = disk_->usage();
    if (usage.stored_bytes < kFixedBytes) return "stored bytes too few";
    return usage.stored_bytes > kDisk ? "stored bytes too many" : "";
  };
  for (const int writers : {1, 4, 8}) {
    run(writers, 2000, {}, look);
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_EQ(look(), "");
}

// Several threads free the same pages at once; each page must be freed once.
TEST_P(ConcurrentWhole, ZeroFromManyThreads) {
  Rng rng(12);
  const Bytes data = make_data(1 << 20, Data::random, rng);
  for (int round = 0; round < scaled(40); ++round) {
    ASSERT_TRUE(disk_->write(data, kHot - (1 << 19)).ok());
    EXPECT_EQ(run_threads(4,
                          [&](int i) -> std::string {
                            const Status status =
                                disk_->zero((1 << 20) + 100 * i, kHot - (1 << 19));
                            return status.ok() ? "" : status.message();
                          }),
              "");
    EXPECT_TRUE(all_zero(read_back(*disk_, 1 << 20, kHot - (1 << 19))));
    if (has_holes(GetParam())) {
      EXPECT_EQ(disk_->usage().stored_bytes, 0u);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, ConcurrentWhole,
                         testing::ValuesIn(with_clones(all_allocators(),
                                                       {Base::empty, Base::zeroed})),
                         name_of_disk);

}  // namespace
}  // namespace ramdisk::conformance
