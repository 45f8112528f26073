// A full disk keeps working: which writes it accepts, and how much memory trims return. Each test
// prints its figures, so that two builds can be compared. Shares are asserted, times are not.
//
// Environment variables: RAMDISK_FULL_DISK_OVERWRITES sets how many overwrites are tried;
// RAMDISK_FULL_DISK_ALL=1 adds the larger limits.

#include "full_disk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "base/page.h"

namespace ramdisk::conformance {
namespace {

constexpr uint64_t kPiece = 64 << 10;
constexpr uint64_t kPiecePages = kPiece / kPageBytes;

uint64_t overwrites() {
  const char* given = std::getenv("RAMDISK_FULL_DISK_OVERWRITES");
  return given ? std::strtoull(given, nullptr, 0) : static_cast<uint64_t>(scaled(10000));
}

uint64_t pages_in(const std::vector<PageRun>& runs) {
  uint64_t pages = 0;
  for (const PageRun& run : runs) pages += run.count;
  return pages;
}

class FullDiskTest : public testing::TestWithParam<FullDiskSetup> {
 protected:
  FullDiskTest() : disk_(GetParam()) {}

  // Fills the disk, then uses it for a while.
  void fill_and_work() {
    disk_.fill(kPiece);
    disk_.overwrite(overwrites() / 4);
  }

  // Trims the runs, expects their memory to be returned, and writes as much data again.
  void trim_and_refill(const std::string& row, const std::vector<PageRun>& runs, double least) {
    const FullDisk::GivenBack given = disk_.trim_all(runs);
    disk_.report(row + ", given back", percent(given.soon) + " of its share in a second, " +
                                           percent(given.later) + " later, " + mib(given.bytes));
    uint64_t content = given.content;
    if (GetParam().type == AllocatorType::sparse) {
      // The disk may keep free pages for later writes; all of them can be written.
      content = pages_in(runs) * kPageBytes;
    } else {
      EXPECT_GE(std::max(given.soon, given.later) + given.segment, least);
    }
    const Tally tally = disk_.refill(runs, content);
    disk_.report(row + ", written again", tally);
    EXPECT_GT(tally.tried, 0u);
    EXPECT_LE(tally.refused(), 1 + tally.tried / 50);
    disk_.verify();
  }

  FullDisk disk_;
};

TEST_P(FullDiskTest, Fill) {
  const uint64_t stored = disk_.fill(kPiece);
  disk_.report("stored before the first refusal", mib(stored));
  disk_.report("used by an empty disk", mib(disk_.used_empty()));
  disk_.report("used at most", percent(double(disk_.most_used()) / double(disk_.limit())));
  EXPECT_GT(stored, disk_.limit() / 3);
  disk_.verify();
}

TEST_P(FullDiskTest, Overwrite) {
  disk_.fill(kPiece);
  const Tally tally = disk_.overwrite(overwrites());
  disk_.report("overwrites by the same kind", tally);
  EXPECT_GE(tally.share(), 0.999);
  disk_.report("used at most", percent(double(disk_.most_used()) / double(disk_.limit())));
  disk_.verify();
}

TEST_P(FullDiskTest, TrimATenthInOnePiece) {
  fill_and_work();
  trim_and_refill("trim of a tenth in one piece", {{0, disk_.pages() / 10}}, 0.8);
}

TEST_P(FullDiskTest, TrimATenthInPieces) {
  fill_and_work();
  trim_and_refill("trim of a tenth in pieces of 64 KiB",
                  random_runs(disk_.pages(), kPiecePages, 0.1, disk_.rng()), 0.8);
}

TEST_P(FullDiskTest, TrimATenthInPages) {
  fill_and_work();
  trim_and_refill("trim of a tenth in pages", random_runs(disk_.pages(), 1, 0.1, disk_.rng()), 0.5);
}

TEST_P(FullDiskTest, TrimTheFirstHalf) {
  fill_and_work();
  trim_and_refill("trim of the first half", {{0, disk_.pages() / 2}}, 0.8);
}

TEST_P(FullDiskTest, TrimEverySecondPage) {
  fill_and_work();
  trim_and_refill("trim of every second page", every_second_run(disk_.pages(), 1), 0.5);
}

TEST_P(FullDiskTest, TrimEverySecondPiece) {
  fill_and_work();
  trim_and_refill("trim of every second 64 KiB", every_second_run(disk_.pages(), kPiecePages), 0.8);
}

TEST_P(FullDiskTest, TrimARandomHalf) {
  fill_and_work();
  trim_and_refill("trim of a random half", random_runs(disk_.pages(), 1, 0.5, disk_.rng()), 0.5);
}

// Pages that were never overwritten are still in their groups, which are the hardest case to
// divide.
TEST_P(FullDiskTest, TrimEverySecondPageOfADiskAtRest) {
  disk_.fill(kPiece);
  trim_and_refill("trim of every second page at rest", every_second_run(disk_.pages(), 1), 0.5);
}

TEST_P(FullDiskTest, RefusedWrites) {
  disk_.fill(kPiece);
  Tally tally;
  const uint64_t last = disk_.pages();
  for (uint64_t i = 0; i < static_cast<uint64_t>(scaled(1000)); ++i) {
    disk_.write(last + i, kPageBytes, GetParam().matter, last + i, &tally);
  }
  disk_.report("writes to a full disk", tally);
  disk_.verify();
}

bool everything() {
  return std::getenv("RAMDISK_FULL_DISK_ALL") != nullptr;
}

void add(std::vector<FullDiskSetup>& all, uint64_t limit_mib,
         [[maybe_unused]] const std::vector<Matter>& matters) {
#ifdef RAMDISK_HAVE_ZSTD
  for (const Matter matter : matters) {
    all.push_back({AllocatorType::zstd, true, limit_mib, matter});
    // Without recompression less of the code runs, and none that does not run with it.
    if (!slow_build()) all.push_back({AllocatorType::zstd, false, limit_mib, matter});
  }
#endif
  all.push_back({AllocatorType::sparse, false, limit_mib, Matter::noise});
}

std::vector<FullDiskSetup> setups() {
  const std::vector every = {Matter::text, Matter::executables, Matter::noise, Matter::mixture};
  std::vector<FullDiskSetup> all;
  add(all, 24, slow_build() ? std::vector{Matter::mixture} : every);
  if (everything()) {
    add(all, 64, every);
    add(all, 256, every);
#ifdef RAMDISK_HAVE_ZSTD
  } else if (!slow_build()) {
    all.push_back({AllocatorType::zstd, true, 64, Matter::executables});
    all.push_back({AllocatorType::zstd, false, 64, Matter::mixture});
#endif
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, FullDiskTest, testing::ValuesIn(setups()), name_of_setup);

}  // namespace
}  // namespace ramdisk::conformance
