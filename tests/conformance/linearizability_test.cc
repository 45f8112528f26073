// Overlapping requests from many threads: every byte that a read returns must be one that was
// there last or was just being written.

#include <gtest/gtest.h>

#include <memory>

#include "factory.h"
#include "history.h"
#include "threads.h"

namespace ramdisk::conformance {
namespace {

class ConcurrentHistory : public testing::TestWithParam<AllocatorType> {
 protected:
  static constexpr uint64_t kDisk = 130 << 20;

  void run(int threads, uint64_t base, uint64_t bytes, int steps) {
    SCOPED_TRACE(std::to_string(threads) + " threads at " + std::to_string(base));
    Disk disk(GetParam(), kDisk);
    ASSERT_TRUE(disk.works()) << disk.status().message();
    Clock clock{0};
    std::vector<std::unique_ptr<Log>> logs;
    for (int i = 0; i < threads; ++i) {
      logs.push_back(std::make_unique<Log>(*disk, base, bytes, clock, i));
    }
    EXPECT_EQ(run_threads(threads,
                          [&](int i) {
                            std::string problem;
                            for (int n = scaled(steps) / threads; n > 0 && problem.empty(); --n) {
                              problem = logs[i]->step();
                            }
                            return problem;
                          }),
              "");
    // A last read with nothing beside it: what is there now must have been written last.
    std::vector<Request> all;
    for (auto& log : logs) all.insert(all.end(), log->requests().begin(), log->requests().end());
    const uint64_t now = clock + 1;
    all.push_back({Request::Kind::read, now, now + 1, 0, bytes, 0, read_back(*disk, bytes, base)});
    EXPECT_EQ(judge(all, bytes), "");
    // And the rest of the disk is as it was.
    EXPECT_TRUE(all_zero(read_back(*disk, 65536, base + bytes)));
    if (base > 65536) {
      EXPECT_TRUE(all_zero(read_back(*disk, 65536, base - 65536)));
    }
  }
};

TEST_P(ConcurrentHistory, OneThread) {
  run(1, (1 << 20) - 9000, 20000, 2000);
}

TEST_P(ConcurrentHistory, FourThreadsOverADirectoryEdge) {
  run(4, (1 << 20) - 9000, 20000, 4000);
  run(4, (128 << 20) - 9000, 20000, 4000);
}

TEST_P(ConcurrentHistory, EightThreads) {
  run(8, (2 << 20) - 12000, 24000, 4000);
}

TEST_P(ConcurrentHistory, SixteenThreadsOnOnePage) {
  run(16, 8192, 4096, 8000);
}

INSTANTIATE_TEST_SUITE_P(All, ConcurrentHistory, testing::ValuesIn(all_allocators()), name_of_type);

// The judge itself: it has to let through what may be and to notice what may not.
class HistoryJudge : public testing::Test {
 protected:
  using Kind = Request::Kind;
  static constexpr std::byte kZero{0};

  static Request write(uint64_t id, uint64_t begin, uint64_t end) {
    return {Kind::write, begin, end, 0, 1, id, {}};
  }
  static Request zero(uint64_t begin, uint64_t end) {
    return {Kind::zero, begin, end, 0, 1, 0, {}};
  }
  static Request read(std::byte seen, uint64_t begin, uint64_t end) {
    return {Kind::read, begin, end, 0, 1, 0, {seen}};
  }
  static bool fine(std::vector<Request> requests) { return judge(requests, 1).empty(); }

  const std::byte one_ = written_byte(1, 0);
  const std::byte two_ = written_byte(2, 0);
};

TEST_F(HistoryJudge, LetsThroughWhatMayBe) {
  EXPECT_TRUE(fine({read(kZero, 1, 2)}));
  EXPECT_TRUE(fine({write(1, 1, 2), read(one_, 3, 4)}));
  EXPECT_TRUE(fine({write(1, 1, 4), read(one_, 2, 3)}));                  // being written
  EXPECT_TRUE(fine({write(1, 1, 4), read(kZero, 2, 3)}));                 // not yet
  EXPECT_TRUE(fine({write(1, 1, 3), write(2, 2, 4), read(one_, 5, 6)}));  // either may be last
  EXPECT_TRUE(fine({write(1, 1, 3), write(2, 2, 4), read(two_, 5, 6)}));
  EXPECT_TRUE(fine({write(1, 1, 2), write(2, 4, 5), read(one_, 3, 6)}));  // began before
}

TEST_F(HistoryJudge, NoticesWhatMayNot) {
  ASSERT_NE(one_, two_);
  EXPECT_FALSE(fine({read(one_, 1, 2)}));
  EXPECT_FALSE(fine({write(1, 1, 2), read(kZero, 3, 4)}));                 // lost
  EXPECT_FALSE(fine({write(1, 1, 2), write(2, 3, 4), read(one_, 5, 6)}));  // old
  EXPECT_FALSE(fine({write(1, 1, 2), zero(3, 4), read(one_, 5, 6)}));      // came back
  EXPECT_FALSE(fine({read(one_, 1, 2), write(1, 3, 4)}));                  // too early
}

}  // namespace
}  // namespace ramdisk::conformance
