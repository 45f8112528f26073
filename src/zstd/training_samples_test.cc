// TrainingSamples: keeps every page at first and one in sixteen later, and returns each count once.

#include "zstd/training_samples.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>

#include "support/threads.h"

namespace ramdisk {
namespace {

TEST(TrainingSamples, EveryOneAtFirstThenOneInSixteen) {
  TrainingSamples pages;
  for (uint64_t page = 0; page < TrainingSamples::kMost; ++page) {
    EXPECT_EQ(pages.size(), page);
    EXPECT_EQ(pages.add(page), page + 1);
  }
  for (size_t i = 0; i < TrainingSamples::kMost; ++i) ASSERT_EQ(pages[i], i);
  for (uint64_t page = TrainingSamples::kMost; page < 10 * TrainingSamples::kMost; ++page)
    pages.add(page);
  EXPECT_EQ(pages.size(), TrainingSamples::kMost);
  for (size_t i = 0; i < TrainingSamples::kMost; ++i) {
    EXPECT_TRUE(pages[i] % 16 == 0 || pages[i] < TrainingSamples::kMost) << pages[i];
  }
}

// An action tied to a certain count happens once, however many threads add at the same time.
TEST(TrainingSamples, EachNumberIsSaidOnce) {
  for (int round = 0; round < 200; ++round) {
    auto pages = std::make_unique<TrainingSamples>();
    std::atomic<int> said{0};
    unit::run_threads(4, [&](int) {
      for (size_t i = 0; i < TrainingSamples::kMost / 2; ++i) {
        if (pages->add(i) == TrainingSamples::kMost) ++said;
      }
    });
    ASSERT_EQ(said, 1);
  }
}

}  // namespace
}  // namespace ramdisk
