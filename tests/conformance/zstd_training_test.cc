// A dictionary becomes current during a recompression walk: the walk continues with it, and leaves
// pages that use it already alone.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <string_view>
#include <thread>

#include "support/waiting.h"
#include "support/zstd_variants.h"
#include "unit/at_yield.h"
#include "zstd/zstd_disk.h"

namespace ramdisk::conformance {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kDirectory = PageTable::kDirectoryPages;

// The layout of the disk, in pages. The walk goes from low to high pages and takes at least a tick
// for each directory.
constexpr uint64_t kDirectories = 100;              // of old pages, four in each
constexpr uint64_t kFreshBegin = 110 * kDirectory;  // pages of the new dictionary
constexpr uint64_t kFresh = 4 * kDirectory;         // of them
constexpr uint64_t kLastBegin = 120 * kDirectory;   // old pages, a full directory
constexpr uint64_t kAside = 300 * kDirectory;       // pages for the first dictionary, soon trimmed
constexpr uint64_t kSamples = 400 * kDirectory;     // pages for the second one, soon trimmed
constexpr uint64_t kNowhere = 500 * kDirectory;     // holes
constexpr uint64_t kOld = 4 * kDirectories + kDirectory;  // pages
// The second training is due when this many pages have been compressed. It comes 30 ticks after the
// first one or later.
constexpr uint64_t kTraining = 8192;

// Three quarters of a page are noise. The fourth is a repeated phrase: with a dictionary that
// contains the phrase, a group could save nothing more.
class Pages {
 public:
  explicit Pages(uint64_t kind) : rng_(kind), phrase_(make_data(600, Data::random, rng_)) {}
  Bytes next() {
    Bytes page = make_data(kPage, Data::random, rng_);
    for (size_t i = kPage * 3 / 4; i < kPage; ++i) page[i] = phrase_[i % phrase_.size()];
    return page;
  }

 private:
  Rng rng_;
  const Bytes phrase_;
};

// Acts as a client at certain points of the first worker's walk, in that thread.
class ZstdTraining : public testing::Test {
 protected:
  enum class Moment { learning, begun, old_pages, walking, trained, fresh_pages };

  void step(std::string_view place) {
    const bool installs = place == "Dictionaries::install, before it is current";
    if (installs && moment_ == Moment::learning) worker_ = std::this_thread::get_id();
    if (worker_ != std::this_thread::get_id()) return;
    if (installs && moment_ == Moment::walking) {
      moment_ = Moment::trained;
    } else if (place == "Epoch::enter, before it is counted") {
      if (moment_ == Moment::begun) write_old();
      if (moment_ == Moment::trained) write_fresh();
    } else if (place == "Dictionaries::ref, counted" && moment_ == Moment::old_pages) {
      write_other_words();  // the walk has found the first of the old pages
    }
  }

  void write_old() {
    for (uint64_t i = 0; i < kDirectories; ++i) write(first_, i * kDirectory, 4);
    write(first_, kLastBegin, kDirectory);
    moment_ = Moment::old_pages;
  }
  void write_other_words() {
    for (uint64_t i = 0; i < kTraining; i += kDirectory) write(second_, kSamples, kDirectory);
    moment_ = Moment::walking;
  }
  void write_fresh() {
    EXPECT_TRUE(disk_.zero(kDirectory * kPage, kSamples * kPage).ok());
    write(second_, kFreshBegin, kFresh);
    compressed_ = disk_.totals().pages;
    moment_ = Moment::fresh_pages;
  }

  void write(Pages& pages, uint64_t first, uint64_t count) {
    for (uint64_t i = first; i < first + count; ++i) {
      EXPECT_TRUE(disk_.write(pages.next(), i * kPage).ok());
    }
  }

  Statistics::Generation generation(size_t number) const {
    const Statistics s = disk_.statistics();
    return number < s.generations.size() ? s.generations[number] : Statistics::Generation{};
  }

  Pages first_{81};
  Pages second_{82};
  std::atomic<std::thread::id> worker_{};
  std::atomic<Moment> moment_{Moment::learning};
  std::atomic<uint64_t> compressed_{0};  // when there were fresh pages
  const unit::AtYield at_{[this](std::string_view place) { step(place); }};
  const std::unique_ptr<MemorySource> memory_ = make_system_memory();
  ZstdDisk disk_{{.memory = memory_.get(),
                  .pace = {.tick = std::chrono::milliseconds(1), .cold_ticks = 1},
                  .trace_directories = {}},
                 uint64_t{1} << 40,
                 options_of(kZstdVariants[1])};
};

TEST_F(ZstdTraining, WhatHasTheNewDictionaryIsNotCompressedAgain) {
  NEEDS_YIELD_POINTS();
  ASSERT_TRUE(disk_.get_ready().ok());
  ASSERT_TRUE(disk_.after_fork().ok());
  write(first_, kAside, 3 * kDirectory);
  ASSERT_TRUE(comes_true([&] { return disk_.statistics().dictionaries == 1; }));
  ASSERT_TRUE(disk_.zero(3 * kDirectory * kPage, kAside * kPage).ok());
  moment_ = Moment::begun;
  EXPECT_TRUE(comes_true([&] {
    EXPECT_TRUE(disk_.zero(kPage, kNowhere * kPage).ok());  // wakes the worker
    return moment_ == Moment::fresh_pages;
  })) << "at moment "
      << static_cast<int>(moment_.load());
  EXPECT_GE(generation(2).single_pages, kFresh);
  // The full directory at the end has been reached, so the walk has passed the fresh pages.
  EXPECT_TRUE(comes_true([&] { return generation(1).single_pages < kDirectory; }))
      << "the walk goes on with the old dictionary: " << generation(1).single_pages << " of "
      << kOld << " pages have it still";
  const uint64_t again = disk_.totals().pages - compressed_;
  std::printf("%d pages of %d old and %d fresh ones were compressed again\n",
              static_cast<int>(again), static_cast<int>(kOld), static_cast<int>(kFresh));
  EXPECT_LE(again, kOld);
  disk_.stop();
}

}  // namespace
}  // namespace ramdisk::conformance
