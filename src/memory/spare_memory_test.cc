// SpareMemory: a reserve is left alone, and readings are neither too many nor too old.

#include "memory/spare_memory.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace ramdisk {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

class SpareMemoryTest : public testing::Test {
 protected:
  AvailableMemory machine_{1024 * kMiB, "this test", 4096 * kMiB};  // a reserve of 256 MiB
  std::atomic<int> readings_{0};
  SpareMemory spare_{[this] {
    ++readings_;
    return machine_;
  }};
};

TEST_F(SpareMemoryTest, LeavesTheReserveAlone) {
  EXPECT_TRUE(spare_.take(kMiB));
  EXPECT_EQ(spare_.bytes(), 767 * kMiB) << "what was taken is no longer there";
  machine_.bytes = 257 * kMiB;
  spare_.read();
  EXPECT_EQ(spare_.bytes(), kMiB);
  machine_.bytes = 256 * kMiB;
  spare_.read();
  EXPECT_EQ(spare_.bytes(), 0u);
  machine_.bytes = 0;
  spare_.read();
  EXPECT_EQ(spare_.bytes(), 0u);
}

TEST_F(SpareMemoryTest, TheReserveIsAPartOfAll) {
  machine_ = {100 * kMiB, "", 256 * kMiB};
  spare_.read();
  EXPECT_EQ(spare_.bytes(), 84 * kMiB);
  machine_ = {100 * kMiB, "", 64 * kMiB};
  spare_.read();
  EXPECT_EQ(spare_.bytes(), 92 * kMiB) << "at least 8 MiB";
}

TEST_F(SpareMemoryTest, RefusesWhatThereIsNot) {
  EXPECT_FALSE(spare_.take(769 * kMiB));
  EXPECT_TRUE(spare_.take(768 * kMiB));
  machine_.bytes = 256 * kMiB;
  EXPECT_FALSE(spare_.take(1));
  EXPECT_FALSE(spare_.take(1));
  machine_.bytes = 300 * kMiB;
  EXPECT_TRUE(spare_.take(1)) << "there is some again";
}

TEST_F(SpareMemoryTest, TakesBackWhatWasTakenBeforeAReading) {
  EXPECT_TRUE(spare_.take(kMiB));
  spare_.read();
  spare_.give(kMiB);
  EXPECT_GE(spare_.bytes(), 768 * kMiB);
  EXPECT_LE(spare_.bytes(), 769 * kMiB);
}

TEST_F(SpareMemoryTest, ReadsAnewWhenAnEighthIsTaken) {
  EXPECT_TRUE(spare_.take(kMiB));
  EXPECT_EQ(readings_, 1);
  for (int taken = 1; taken <= 96; ++taken) EXPECT_TRUE(spare_.take(kMiB));
  EXPECT_GE(readings_, 2);
}

TEST_F(SpareMemoryTest, ReadsAnewAfterAWhile) {
  EXPECT_TRUE(spare_.take(1));
  const int before = readings_;
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  EXPECT_TRUE(spare_.take(17 * kMiB));
  EXPECT_GT(readings_, before);
}

// A sixteenth of the reserve, 16 MiB here, does not wait for a reading, but more does.
TEST_F(SpareMemoryTest, AShortBurstAfterARestNeedsNoReading) {
  EXPECT_TRUE(spare_.take(1));
  const int before = readings_;
  machine_.bytes = 0;
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  for (int taken = 0; taken < 16; ++taken) EXPECT_TRUE(spare_.take(kMiB));
  EXPECT_EQ(readings_, before);
  EXPECT_FALSE(spare_.take(kMiB));
  EXPECT_GT(readings_, before);
}

TEST_F(SpareMemoryTest, UnknownIsNoReasonToRefuse) {
  machine_ = {};
  EXPECT_TRUE(spare_.take(uint64_t{1} << 60));
  spare_.give(1);
  EXPECT_EQ(spare_.bytes(), UINT64_MAX);
  SpareMemory broken([]() -> AvailableMemory { throw std::bad_alloc(); });
  EXPECT_TRUE(broken.take(1));
}

// Each reading allows an eighth; however many ask at once, they get no more than that together.
TEST_F(SpareMemoryTest, ThreadsShareAReading) {
  std::atomic<uint64_t> taken{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n) taken += spare_.take(kMiB) ? kMiB : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(taken, static_cast<uint64_t>(readings_) * 96 * kMiB);
  EXPECT_EQ(taken, 4000 * kMiB) << "the machine of this test never has less";
}

}  // namespace
}  // namespace ramdisk
