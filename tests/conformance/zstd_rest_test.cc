// allocator=zstd when nothing happens: the remaining work is done, and then the threads sleep.

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <time.h>

#include "support/session.h"
#include "support/waiting.h"
#include "support/zstd_variants.h"

namespace ramdisk::conformance {
namespace {

constexpr uint64_t kDisk = 64 << 20;

double process_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Returns how often threads of this process other than the caller have gone to sleep.
uint64_t sleeps() {
  rusage all{};
  rusage own{};
  getrusage(RUSAGE_SELF, &all);
  getrusage(RUSAGE_THREAD, &own);
  return static_cast<uint64_t>(all.ru_nvcsw - own.ru_nvcsw);
}

class ZstdRest : public testing::TestWithParam<ZstdVariant> {
 protected:
  ZstdRest() : disk_(options_of(GetParam()), kDisk, memory_, hasty()) {
    EXPECT_TRUE(disk_.works()) << disk_.status().message();
  }

  void expect_rest() {
    // A tick is a millisecond.
    EXPECT_TRUE(comes_true([&] {
      const uint64_t before = sleeps();
      const double cpu = process_seconds();
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      return sleeps() - before < 10 && process_seconds() - cpu < 0.01;
    })) << "somebody wakes up all the time";
  }

  FailingMemory memory_;
  Disk disk_;
  Rng rng_{41};
};

TEST_P(ZstdRest, ThreadsOfAnIdleDiskRest) {
  expect_rest();
  ASSERT_TRUE(disk_->write(make_data(8 << 20, Data::text, rng_), 1000).ok());
  expect_rest();
  ASSERT_TRUE(disk_->zero(8 << 20, 1000).ok());
  expect_rest();
}

// Free memory that is kept for later writes is returned when no writes come.
TEST_P(ZstdRest, NoFreeMemoryIsKept) {
  for (int round = 0; round < 2; ++round) {
    for (uint64_t at = 0; at < kDisk / 2; at += 4096) {
      ASSERT_TRUE(
          disk_->write(make_data(4096, at % 8192 ? Data::random : Data::text, rng_), at).ok());
    }
    ASSERT_TRUE(disk_->zero(kDisk, 0).ok());
    EXPECT_TRUE(comes_true([&] { return disk_->usage().memory_bytes <= (5 << 20); }))
        << disk_->usage().memory_bytes;
    EXPECT_TRUE(comes_true([&] { return memory_.resident_bytes() <= (6 << 20); }))
        << memory_.resident_bytes();
    EXPECT_EQ(disk_->usage().stored_bytes, 0u);
  }
}

// Asking for the extents of a disk constantly reads no data, and so keeps no page warm.
TEST_P(ZstdRest, ExtentsKeepNoPageWarm) {
  if (!GetParam().recompress) GTEST_SKIP() << "cold pages are left alone";
  // Pages are cold after a third of a second, so that a short pause of this thread does not make
  // them cold. There is too little data for a dictionary, after which all pages would be compressed
  // again, warm or not.
  BackgroundTiming pace = hasty();
  pace.cold_ticks = 300;
  FailingMemory memory;
  Disk disk(options_of(GetParam()), kDisk, memory, pace);
  constexpr uint64_t kPages = 256;
  ASSERT_TRUE(disk->write(make_data(kPages * 4096, Data::text, rng_), 0).ok());
  const auto grouped = [&] {
    uint64_t pages = 0;
    for (const auto& generation : disk->statistics().generations) pages += generation.grouped_pages;
    return pages;
  };
  EXPECT_TRUE(comes_true([&] {
    EXPECT_EQ(extents_of(*disk, kDisk, 0).size(), 2u);
    return grouped() >= kPages / 2;
  })) << grouped()
      << " pages are grouped";
}

INSTANTIATE_TEST_SUITE_P(All, ZstdRest, testing::ValuesIn(kZstdVariants), name_of_variant);

}  // namespace
}  // namespace ramdisk::conformance
