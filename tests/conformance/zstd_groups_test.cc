// allocator=zstd with groups of every shape: written, read and overwritten in parts, by several
// threads at once, while the background thread compacts, cleans and recompresses them.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "support/session.h"
#include "support/threads.h"
#include "support/waiting.h"
#include "support/zstd_variants.h"
#include "zstd/stored_object.h"

namespace ramdisk::conformance {
namespace {

constexpr uint64_t kPage = kPageBytes;
constexpr uint64_t kRun = StoredObject::kGroupPages;
constexpr uint64_t kRuns = 40;
constexpr uint64_t kPages = kRuns * kRun;
constexpr uint64_t kDisk = kPages * kPage;

uint64_t grouped_pages(Allocator& disk) {
  uint64_t pages = 0;
  for (const auto& generation : disk.statistics().generations) pages += generation.grouped_pages;
  return pages;
}

class ZstdGroups : public testing::TestWithParam<ZstdVariant> {
 protected:
  ZstdGroups() : disk_(options_of(GetParam()), kDisk, memory_, hasty()) {
    EXPECT_TRUE(disk_.works()) << disk_.status().message();
  }

  void write(uint64_t offset, const Bytes& data) {
    ASSERT_TRUE(disk_->write(data, offset).ok());
    std::copy(data.begin(), data.end(), model_.begin() + static_cast<ptrdiff_t>(offset));
  }

  // Returns a run of text in which some pages are zeroes, repeat a byte, or are noise: others in
  // each run.
  Bytes mixed_run(uint64_t run) {
    Bytes data = make_data(kRun * kPage, Data::text, rng_);
    for (uint64_t page = 0; page < kRun; ++page) {
      if (run >> page % 6 & 1) continue;
      const auto begin = data.begin() + static_cast<ptrdiff_t>(page * kPage);
      const Bytes noise = make_data(kPage, Data::random, rng_);
      if (page % 3 == 0) std::fill_n(begin, kPage, std::byte{0});
      if (page % 3 == 1) std::fill_n(begin, kPage, std::byte{7});
      if (page % 3 == 2) std::copy(noise.begin(), noise.end(), begin);
    }
    return data;
  }

  // Reads the disk in requests of `bytes`, the first of which begins at `offset`.
  void check(uint64_t offset, uint64_t bytes) {
    for (; offset < kDisk; offset += bytes) {
      Bytes got(std::min(bytes, kDisk - offset));
      ASSERT_TRUE(disk_->read(got, offset).ok());
      const auto begin = model_.begin() + static_cast<ptrdiff_t>(offset);
      const Bytes expected(begin, begin + static_cast<ptrdiff_t>(got.size()));
      ASSERT_EQ(first_difference(got, expected, offset), "") << bytes << " bytes at " << offset;
    }
  }
  void check() {
    for (const uint64_t bytes : {kPage, 3 * kPage, kRun * kPage, 5 * kRun * kPage}) {
      for (const uint64_t offset : {uint64_t{0}, uint64_t{700}, kPage, 5 * kPage}) {
        check(offset, bytes);
      }
    }
  }

  FailingMemory memory_;
  Disk disk_;
  Bytes model_ = Bytes(kDisk);
  Rng rng_{81};
};

TEST_P(ZstdGroups, EveryShapeAtEveryBoundary) {
  for (uint64_t begin = 0; begin < kRun; ++begin) {
    for (uint64_t count = 2; count <= 2 * kRun + 1; ++count) {
      const uint64_t first = rng_.below(kRuns - 4) * kRun + begin;
      write(first * kPage, make_data(count * kPage, Data::text, rng_));
      // A part of a page within, and one page at the edge.
      write((first + rng_.below(count)) * kPage + 99, make_data(1000, Data::text, rng_));
      write((first + count - 1) * kPage, make_data(kPage, Data::random, rng_));
    }
    check();
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(grouped_pages(*disk_), 0u);
}

// Pages that a group cannot have, or need not, are in the middle of it.
TEST_P(ZstdGroups, OtherPagesBetween) {
  for (uint64_t run = 0; run < kRuns; ++run) write(run * kRun * kPage, mixed_run(run));
  check();
}

// A request of many runs goes on with groups behind pages that are none.
TEST_P(ZstdGroups, LongRequests) {
  Bytes data;
  for (uint64_t run = 0; run < kRuns; ++run) {
    const Bytes part = run % 3 == 0 ? mixed_run(run) : make_data(kRun * kPage, Data::text, rng_);
    data.insert(data.end(), part.begin(), part.end());
  }
  for (const uint64_t left_out : {uint64_t{0}, uint64_t{700}, 3 * kPage}) {
    data.resize(kDisk - left_out);
    write(left_out, data);
    check();
    check(0, kDisk);
  }
  EXPECT_GT(grouped_pages(*disk_), kPages / 3);
}

// Trims and overwrites until little is left of each group, so that the rest is made anew, again and
// again.
TEST_P(ZstdGroups, WhatIsLeftStays) {
  for (int round = 0; round < scaled(10); ++round) {
    write(0, make_data(kDisk, Data::text, rng_));
    for (uint64_t step = 0; step < 3 * kPages; ++step) {
      const uint64_t page = rng_.below(kPages);
      if (rng_.chance(50)) {
        write(page * kPage, make_data(kPage, Data::text, rng_));
      } else {
        ASSERT_TRUE(disk_->zero(kPage, page * kPage).ok());
        std::fill_n(model_.begin() + static_cast<ptrdiff_t>(page * kPage), kPage, std::byte{0});
      }
    }
    check(0, kRun * kPage);
    check(0, kPage);
    if (HasFatalFailure()) return;
  }
}

// Each thread has one page of every run in turn, and sometimes writes all pages of a run that no
// other thread is at. So groups are made, read and lose pages in several threads at once.
TEST_P(ZstdGroups, ManyThreadsInTheSameRuns) {
  constexpr int kThreads = 4;
  std::vector<std::atomic<int>> users(kRuns);  // -1: one thread has all of the run
  const std::string complaints = run_threads(kThreads, [&](int thread) -> std::string {
    Rng rng(static_cast<uint64_t>(thread) + 1);
    std::vector<Bytes> mine(kRuns, Bytes(kPage));
    for (int step = 0; step < scaled(4000); ++step) {
      const uint64_t run = rng.below(kRuns);
      const uint64_t page = run * kRun + static_cast<uint64_t>(2 * thread + 1);
      int none = 0;
      if (rng.chance(30) && users[run].compare_exchange_strong(none, -1)) {
        // The pages of the others are written as they are.
        Bytes all(kRun * kPage);
        if (!disk_->read(all, run * kRun * kPage).ok()) return "a read failed";
        for (uint64_t i = 0; i < kRun; i += 2) {
          const Bytes text = make_data(kPage, Data::text, rng);
          std::copy(text.begin(), text.end(), all.begin() + static_cast<ptrdiff_t>(i * kPage));
        }
        if (!disk_->write(all, run * kRun * kPage).ok()) return "a write failed";
        users[run] = 0;
        continue;
      }
      int now = users[run];
      while (now >= 0 && !users[run].compare_exchange_weak(now, now + 1)) {
      }
      if (now < 0) continue;
      Bytes got(kPage);
      if (!disk_->read(got, page * kPage).ok()) return "a read failed";
      const std::string difference = first_difference(got, mine[run], page * kPage);
      if (!difference.empty()) return difference;
      mine[run] = make_data(kPage, rng.chance(90) ? Data::text : Data::random, rng);
      if (!disk_->write(mine[run], page * kPage).ok()) return "a write failed";
      --users[run];
    }
    return "";
  });
  EXPECT_EQ(complaints, "");
}

INSTANTIATE_TEST_SUITE_P(All, ZstdGroups, testing::ValuesIn(kZstdVariants), name_of_variant);

}  // namespace
}  // namespace ramdisk::conformance
