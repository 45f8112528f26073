// RefusalLog: there is at most one line a second, and every refusal is counted in one of them.

#include "plugin/refusal_log.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace ramdisk {
namespace {

using Clock = RefusalLog::Clock;
using std::chrono::milliseconds;

TEST(RefusalLog, ALineASecond) {
  RefusalLog log;
  const Clock::time_point start = Clock::now();
  EXPECT_EQ(log.note(start), std::optional<uint64_t>(0)) << "the first one at once";
  for (int i = 1; i < 1000; ++i) EXPECT_EQ(log.note(start + milliseconds(i)), std::nullopt);
  EXPECT_EQ(log.note(start + milliseconds(1000)), std::optional<uint64_t>(999));
  EXPECT_EQ(log.note(start + milliseconds(1001)), std::nullopt);
  EXPECT_EQ(log.note(start + milliseconds(5000)), std::optional<uint64_t>(1));
  EXPECT_EQ(log.take_left_out(), 0u);
}

TEST(RefusalLog, NoneIsLostBetweenThreads) {
  RefusalLog log;
  std::atomic<uint64_t> lines{0};
  std::atomic<uint64_t> left_out{0};
  constexpr int kThreads = 4;
  constexpr int kRefusals = 20000;
  const Clock::time_point start = Clock::now();
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kRefusals; ++i) {
        if (const auto others = log.note(start + milliseconds(i))) {
          ++lines;
          left_out += *others;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(lines + left_out + log.take_left_out(), uint64_t{kThreads} * kRefusals);
  EXPECT_LE(lines, kRefusals / 1000u);
}

}  // namespace
}  // namespace ramdisk
