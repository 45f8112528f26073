// Budget: the limit holds, refusals say why, and each mark is reported once each time it is passed.

#include "memory/budget.h"

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
  budget.keep_for_reclaim(kMiB);
  EXPECT_TRUE(budget.charge(uint64_t{1} << 62));
  EXPECT_EQ(budget.used(), uint64_t{1} << 62);
  EXPECT_TRUE(budget.charge(1, Claim::optional));
  EXPECT_TRUE(budget.admits_new(uint64_t{1} << 62));
  EXPECT_TRUE(budget.may_use(Claim::optional));
  EXPECT_FALSE(budget.under_pressure());
  EXPECT_EQ(budget.room(), UINT64_MAX - (uint64_t{1} << 62) - 1);
  EXPECT_EQ(budget.why().errnum(), ENOMEM);
}

TEST(Budget, ARefusalChangesNothing) {
  Budget budget({.limit = 1000, .probe = {}, .on_mark = {}});
  EXPECT_TRUE(budget.charge(600));
  EXPECT_FALSE(budget.charge(401));
  EXPECT_EQ(budget.used(), 600u);
  EXPECT_EQ(budget.room(), 400u);
  EXPECT_TRUE(budget.charge(400));
  EXPECT_FALSE(budget.charge(1));
  EXPECT_FALSE(budget.charge(UINT64_MAX - 10)) << "a sum that wraps around";
  budget.uncharge(1);
  EXPECT_TRUE(budget.charge(1));
}

// Each claim ends where the next one's share begins.
TEST(Budget, WhatReclaimNeedsIsNotLent) {
  Budget budget({.limit = 24 * kMiB, .probe = {}, .on_mark = {}});
  budget.keep_for_reclaim(kMiB);
  const auto charge_all = [&](Claim claim) {
    uint64_t taken = 0;
    while (budget.charge(4096, claim)) taken += 4096;
    return taken;
  };
  EXPECT_EQ(charge_all(Claim::optional), 20 * kMiB) << "a sixth is left alone";
  EXPECT_TRUE(budget.may_use(Claim::optional)) << "what is free already";
  EXPECT_EQ(charge_all(Claim::data), 3 * kMiB);
  EXPECT_FALSE(budget.may_use(Claim::optional));
  EXPECT_TRUE(budget.may_use(Claim::data));
  EXPECT_EQ(budget.why().errnum(), ENOSPC);
  EXPECT_EQ(charge_all(Claim::reclaim), kMiB);
  EXPECT_FALSE(budget.may_use(Claim::data)) << "it is reclaim's";
  EXPECT_TRUE(budget.may_use(Claim::reclaim));
  budget.uncharge(kMiB);
  EXPECT_TRUE(budget.may_use(Claim::data));
  EXPECT_FALSE(budget.charge(1));
}

TEST(Budget, ARewriteGetsAThirdOfWhatReclaimNeeds) {
  Budget budget({.limit = 24 * kMiB, .probe = {}, .on_mark = {}});
  budget.keep_for_reclaim(3 * kMiB);
  EXPECT_TRUE(budget.charge(21 * kMiB));
  EXPECT_FALSE(budget.charge(1));
  EXPECT_TRUE(budget.charge(kMiB, Claim::rewrite));
  EXPECT_FALSE(budget.charge(1, Claim::rewrite));
  EXPECT_TRUE(budget.charge(2 * kMiB, Claim::reclaim));
}

TEST(Budget, WhatReclaimNeedsIsNotLentByTheSystemEither) {
  uint64_t available = 28 * kMiB;
  Budget budget({.limit = {},
                 .probe =
                     [&] {
                       return AvailableMemory{available, "", 128 * kMiB};
                     },
                 .on_mark = {}});  // 8 MiB are the system's reserve
  budget.keep_for_reclaim(kMiB);
  EXPECT_TRUE(budget.charge(10 * kMiB));
  available -= 10 * kMiB;
  EXPECT_FALSE(budget.charge(9 * kMiB + 1));
  EXPECT_TRUE(budget.charge(9 * kMiB));
  available -= 9 * kMiB;
  EXPECT_FALSE(budget.charge(4096));
  EXPECT_TRUE(budget.charge(4096, Claim::reclaim));
}

// A refused charge is not counted for a moment either: it would refuse others what is there.
TEST(Budget, AHopelessAttemptIsNotInTheWay) {
  Budget budget({.limit = 1000, .probe = {}, .on_mark = {}});
  std::atomic<bool> stop{false};
  std::thread hopeless([&] {
    while (!stop) EXPECT_FALSE(budget.charge(2000));
  });
  int refused = 0;
  for (int i = 0; i < 200000; ++i) {
    if (budget.charge(10)) {
      budget.uncharge(10);
    } else {
      ++refused;
    }
  }
  stop = true;
  hopeless.join();
  EXPECT_EQ(refused, 0);
}

TEST(Budget, SaysWhyItRefused) {
  uint64_t available = 100 * kMiB;
  Budget budget({.limit = 50 * kMiB,
                 .probe =
                     [&] {
                       return AvailableMemory{available, "", 128 * kMiB};
                     },
                 .on_mark = {}});
  EXPECT_FALSE(budget.charge(51 * kMiB));
  EXPECT_EQ(budget.why().errnum(), ENOSPC);
  EXPECT_NE(std::string(budget.why().message()).find("all of max-memory"), std::string::npos);
  EXPECT_FALSE(budget.admits_new(50 * kMiB)) << "less than that is used";
  EXPECT_EQ(budget.why().errnum(), ENOSPC);
  EXPECT_NE(std::string(budget.why().message()).find("the rest of max-memory is kept"),
            std::string::npos);
  EXPECT_STREQ(budget.what_bounds_room(), "max-memory");
  available = 8 * kMiB;
  EXPECT_FALSE(budget.charge(20 * kMiB)) << "more than the last reading allows";
  EXPECT_EQ(budget.why().errnum(), ENOSPC);
  EXPECT_NE(std::string(budget.why().message()).find("short of memory"), std::string::npos);
  EXPECT_NE(std::string(budget.what_bounds_room()).find("reserve"), std::string::npos);
  budget.note_refused_by_system();
  EXPECT_EQ(budget.why().errnum(), ENOMEM);
}

// A refused caller charges nothing, so it must notice by itself that the shortage has ended.
TEST(Budget, AShortageThatHasEndedIsNoticed) {
  uint64_t available = 100 * kMiB;
  Budget budget({.limit = {},
                 .probe =
                     [&] {
                       return AvailableMemory{available, "", 128 * kMiB};
                     },
                 .on_mark = {}});
  EXPECT_TRUE(budget.charge(10 * kMiB));
  available = 8 * kMiB;  // just the reserve
  EXPECT_FALSE(budget.charge(80 * kMiB));
  EXPECT_FALSE(budget.admits_new(10 * kMiB));
  EXPECT_TRUE(budget.under_pressure());
  available = 100 * kMiB;
  EXPECT_TRUE(budget.admits_new(10 * kMiB));
  EXPECT_FALSE(budget.under_pressure());
}

// What decides here is what a disk needs, which may be less than what it uses, or more.
TEST(Budget, KeepsSomethingForChanges) {
  for (const uint64_t limit : {8 * kMiB, 24 * kMiB, 1024 * kMiB}) {
    Budget budget({.limit = limit, .probe = {}, .on_mark = {}});
    budget.keep_for_reclaim(kMiB);
    const uint64_t kept = Budget::kept_for_changes(limit);
    EXPECT_EQ(kept, std::max(limit / 48, std::min(limit / 8, 3 * kMiB / 2)));
    EXPECT_TRUE(budget.admits_new(limit - kMiB - kept));
    EXPECT_FALSE(budget.admits_new(limit - kMiB - kept + 1));
    EXPECT_EQ(budget.why().errnum(), ENOSPC);
    EXPECT_TRUE(budget.admits_growth(limit - kMiB - kept / 2, true));
    EXPECT_FALSE(budget.admits_growth(limit - kMiB - kept / 2 + 1, true));
    EXPECT_TRUE(budget.admits_growth(limit - kMiB - kept / 8, false));
    EXPECT_FALSE(budget.admits_growth(limit - kMiB - kept / 8 + 1, false));
    EXPECT_LE(Budget::least_limit(limit - kept), limit);
    EXPECT_GE(Budget::least_limit(limit - kept), limit - 8);
  }
}

// One thread is slow, because it asks the system what it can spare; meanwhile another takes a part
// of the limit. (The other one takes so little that it asks nothing, whatever the time.)
TEST(Budget, TheLimitIsCheckedAgainAfterAnotherThreadWasFaster) {
  constexpr uint64_t kLimit = 12 * kMiB;
  constexpr uint64_t kOther = kMiB / 4;
  Budget* other = nullptr;
  Budget budget({.limit = kLimit,
                 .probe =
                     [&] {
                       EXPECT_TRUE(!other || other->charge(kOther, Claim::reclaim));
                       return AvailableMemory{100 * kMiB, "", 128 * kMiB};
                     },
                 .on_mark = {}});
  other = &budget;
  EXPECT_FALSE(budget.charge(kLimit, Claim::reclaim));
  EXPECT_EQ(budget.used(), kOther);
  EXPECT_EQ(budget.why().errnum(), ENOSPC);
  EXPECT_NE(std::string(budget.why().message()).find("max-memory"), std::string::npos);
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
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(budget_.charge(100));
  EXPECT_EQ(marks_, (std::vector<unsigned>{80, 90, 95}));
}

TEST_F(BudgetMarks, OneStepOverSeveralTellsTheLast) {
  EXPECT_TRUE(budget_.charge(9300));
  EXPECT_EQ(marks_, std::vector<unsigned>{90});
}

TEST_F(BudgetMarks, AgainAfterAFallOnly) {
  EXPECT_TRUE(budget_.charge(8000));
  for (int i = 0; i < 10; ++i) {
    budget_.uncharge(100);
    EXPECT_TRUE(budget_.charge(100));
  }
  EXPECT_EQ(marks_, std::vector<unsigned>{80}) << "to and fro at the mark is not worth a line";
  budget_.uncharge(1000);
  EXPECT_TRUE(budget_.charge(1000));
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
        if (!budget.charge(300)) continue;
        if (budget.used() < 300 || budget.used() > 1000) good = false;
        budget.uncharge(300);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(good);
  EXPECT_EQ(budget.used(), 0u);
}

}  // namespace
}  // namespace ramdisk
