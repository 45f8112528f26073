// Budget: the limit holds, refusals say why, and marks are told once each time they are passed.

#include "core/budget.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace ramdisk {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

TEST(Budget, WithoutALimitEverythingGoes) {
  Budget budget({});
  EXPECT_TRUE(budget.take(uint64_t{1} << 62));
  EXPECT_EQ(budget.used(), uint64_t{1} << 62);
  EXPECT_TRUE(budget.admits_new());
  EXPECT_FALSE(budget.pressed());
  EXPECT_EQ(budget.room(), UINT64_MAX - (uint64_t{1} << 62));
  EXPECT_EQ(budget.why().errnum(), ENOMEM);
}

TEST(Budget, ARefusalChangesNothing) {
  Budget budget({.limit = 1000, .probe = {}, .on_mark = {}});
  EXPECT_TRUE(budget.take(600));
  EXPECT_FALSE(budget.take(401));
  EXPECT_EQ(budget.used(), 600u);
  EXPECT_EQ(budget.room(), 400u);
  EXPECT_TRUE(budget.take(400));
  EXPECT_FALSE(budget.take(1));
  budget.give(1);
  EXPECT_TRUE(budget.take(1));
}

TEST(Budget, WhatIsChargedCountsInAnyCase) {
  Budget budget({.limit = 1000, .probe = {}, .on_mark = {}});
  budget.charge(1500);
  EXPECT_EQ(budget.used(), 1500u);
  EXPECT_EQ(budget.room(), 0u);
  EXPECT_FALSE(budget.take(1));
  budget.charge(-600);
  EXPECT_EQ(budget.used(), 900u);
  EXPECT_TRUE(budget.take(100));
}

TEST(Budget, SaysWhyItRefused) {
  uint64_t available = 100 * kMiB;
  Budget budget({.limit = 50 * kMiB,
                 .probe =
                     [&] {
                       return AvailableMemory{available, "", 128 * kMiB};
                     },
                 .on_mark = {}});
  EXPECT_FALSE(budget.take(51 * kMiB));
  EXPECT_EQ(budget.why().errnum(), ENOSPC);
  EXPECT_NE(std::string(budget.why().message()).find("max-memory"), std::string::npos);
  available = 8 * kMiB;
  EXPECT_FALSE(budget.take(kMiB));
  EXPECT_EQ(budget.why().errnum(), ENOSPC);
  EXPECT_NE(std::string(budget.why().message()).find("short of memory"), std::string::npos);
  budget.note_refused_by_system();
  EXPECT_EQ(budget.why().errnum(), ENOMEM);
}

// Who asks first and is refused takes nothing: the end of the shortage must be seen all the same.
TEST(Budget, AShortageThatHasEndedIsNoticed) {
  uint64_t available = 8 * kMiB;  // just the reserve
  Budget budget({.limit = {},
                 .probe =
                     [&] {
                       return AvailableMemory{available, "", 128 * kMiB};
                     },
                 .on_mark = {}});
  budget.charge(10 * kMiB);
  EXPECT_FALSE(budget.admits_new());
  EXPECT_TRUE(budget.pressed());
  available = 100 * kMiB;
  EXPECT_TRUE(budget.admits_new());
  EXPECT_FALSE(budget.pressed());
}

TEST(Budget, KeepsSomethingForChanges) {
  Budget budget({.limit = 3200, .probe = {}, .on_mark = {}});
  EXPECT_TRUE(budget.take(2800));
  EXPECT_TRUE(budget.admits_new());
  EXPECT_TRUE(budget.pressed());
  EXPECT_TRUE(budget.take(1));
  EXPECT_FALSE(budget.admits_new());
  EXPECT_EQ(budget.why().errnum(), ENOSPC);
  EXPECT_TRUE(budget.take(399)) << "but not refused yet";
  budget.give(1000);
  EXPECT_TRUE(budget.admits_new());
  EXPECT_FALSE(budget.pressed());
}

TEST(Budget, KeepsLessOfALargeLimit) {
  for (const uint64_t limit : {40 * kMiB, 80 * kMiB, 1024 * kMiB}) {
    Budget budget({.limit = limit, .probe = {}, .on_mark = {}});
    const uint64_t kept = std::max(limit / 32, 5 * kMiB / 2);
    EXPECT_TRUE(budget.take(limit - kept));
    EXPECT_TRUE(budget.admits_new());
    EXPECT_TRUE(budget.take(1));
    EXPECT_FALSE(budget.admits_new());
  }
}

class BudgetMarks : public testing::Test {
 protected:
  std::vector<unsigned> marks_;
  Budget budget_{{.limit = 10000, .probe = {}, .on_mark = [this](const Budget::Mark& mark) {
                    EXPECT_EQ(mark.limit, 10000u);
                    EXPECT_GE(mark.used, mark.percent * 100);
                    marks_.push_back(mark.percent);
                  }}};
};

TEST_F(BudgetMarks, EachIsToldOnce) {
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(budget_.take(100));
  EXPECT_EQ(marks_, (std::vector<unsigned>{80, 90, 95}));
}

TEST_F(BudgetMarks, OneStepOverSeveralTellsTheLast) {
  EXPECT_TRUE(budget_.take(9300));
  EXPECT_EQ(marks_, std::vector<unsigned>{90});
}

TEST_F(BudgetMarks, AgainAfterAFallOnly) {
  EXPECT_TRUE(budget_.take(8000));
  for (int i = 0; i < 10; ++i) {
    budget_.give(100);
    EXPECT_TRUE(budget_.take(100));
  }
  EXPECT_EQ(marks_, std::vector<unsigned>{80}) << "to and fro at the mark is not worth a line";
  budget_.give(1000);
  EXPECT_TRUE(budget_.take(1000));
  EXPECT_EQ(marks_, (std::vector<unsigned>{80, 80}));
}

TEST(Budget, ThreadsNeverPassTheLimitTogether) {
  std::atomic<int> marks{0};
  Budget budget({.limit = 1000, .probe = {}, .on_mark = [&](const Budget::Mark&) { ++marks; }});
  std::atomic<bool> good{true};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 10000; ++n) {
        if (!budget.take(300)) continue;
        if (budget.room() > 700) good = false;
        budget.give(300);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(good);
  EXPECT_EQ(budget.used(), 0u);
}

}  // namespace
}  // namespace ramdisk
