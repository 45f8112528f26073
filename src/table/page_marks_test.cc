// PageMarks against std::set, and what it takes.

#include "table/page_marks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <string>
#include <vector>

#include "support/data.h"
#include "support/failing_memory.h"
#include "support/threads.h"

namespace ramdisk {
namespace {

using conformance::FailingMemory;
using conformance::kLargestDisk;
using conformance::Rng;
using conformance::run_threads;
using conformance::scaled;

constexpr uint64_t kWord = PageMarks::kWordPages;

class PageMarksTest : public testing::Test {
 protected:
  ~PageMarksTest() override { EXPECT_EQ(memory_.misuse(), ""); }

  void set(uint64_t page) {
    const Epoch::Guard guard(epoch_);
    PageMarks::Hold hold(marks_, page, guard);
    ASSERT_TRUE(hold);
    hold.set(uint64_t{1} << (page % kWord));
    model_.insert(page);
  }

  void clear(uint64_t page) {
    const Epoch::Guard guard(epoch_);
    marks_.clear(page, uint64_t{1} << (page % kWord), guard);
    model_.erase(page);
  }

  uint64_t model_next(uint64_t first, uint64_t end) const {
    const auto at = model_.lower_bound(first);
    return at == model_.end() ? end : std::min(end, *at);
  }

  void check(uint64_t first, uint64_t end) {
    const Epoch::Guard guard(epoch_);
    ASSERT_EQ(marks_.next(first, end, guard), model_next(first, end)) << first << " to " << end;
    if (first >= end) return;
    const PageMarks::Run run = marks_.run(first, end, guard);
    uint64_t model_end = model_next(first, end);
    if (model_.contains(first)) {
      for (model_end = first; model_end < end && model_.contains(model_end);) ++model_end;
    }
    ASSERT_EQ(run.marked, model_.contains(first)) << first;
    ASSERT_EQ(run.end, model_end) << first << " to " << end;
  }

  FailingMemory memory_;
  Epoch epoch_;
  PageMarks marks_{memory_, epoch_, kLargestDisk};
  std::set<uint64_t> model_;
};

TEST_F(PageMarksTest, AgreesWithASet) {
  Rng rng(41);
  constexpr uint64_t kLast = kLargestDisk / 4096;
  const std::vector<uint64_t> bases = {0, 60, 4090, 1 << 20, kLast - 200};
  for (int step = 0; step < scaled(20000); ++step) {
    const uint64_t page = rng.pick(bases) + rng.below(140);
    // Waves, so that leaves fill up and become empty.
    if (rng.chance(step / 500 % 2 ? 80 : 15)) {
      clear(page);
    } else {
      set(page);
    }
    const uint64_t first = page - std::min(page, rng.below(200));
    check(first, first + rng.below(400));
    if (step % 100 == 0) check(first, kLast + 1);
    if (HasFatalFailure()) return;
  }
  while (!model_.empty()) clear(*model_.begin());
  EXPECT_EQ(marks_.leaves(), 0u);
  check(0, kLast + 1);
}

TEST_F(PageMarksTest, AHoldKeepsTheMemoryForAMark) {
  const Epoch::Guard guard(epoch_);
  {
    PageMarks::Hold hold(marks_, 700, guard);
    ASSERT_TRUE(hold);
    memory_.fail_from(0);
    clear(700);  // does not take the leaf away
    EXPECT_EQ(marks_.leaves(), 1u);
    EXPECT_FALSE(marks_.has(700, guard));
    hold.set(uint64_t{1} << (700 % kWord));
  }
  EXPECT_TRUE(marks_.has(700, guard));
  clear(700);
  EXPECT_EQ(marks_.leaves(), 0u);
}

TEST_F(PageMarksTest, WithoutMemoryThereIsNoHold) {
  memory_.fail_from(0);
  const Epoch::Guard guard(epoch_);
  const PageMarks::Hold hold(marks_, 700, guard);
  EXPECT_FALSE(hold);
  EXPECT_EQ(marks_.leaves(), 0u);
}

// Each thread has its own pages, whose leaves it shares with the others.
TEST_F(PageMarksTest, ThreadsLoseNoMarks) {
  EXPECT_EQ(run_threads(4,
                        [&](int i) -> std::string {
                          Rng rng(50 + i);
                          std::set<uint64_t> own;
                          for (int n = scaled(20000); n > 0; --n) {
                            const uint64_t page = rng.below(30) * 1000 + i;
                            const uint64_t bit = uint64_t{1} << (page % kWord);
                            const Epoch::Guard guard(epoch_);
                            if (marks_.has(page, guard) != own.contains(page)) return "wrong";
                            if (own.erase(page) > 0) {
                              marks_.clear(page, bit, guard);
                            } else {
                              PageMarks::Hold hold(marks_, page, guard);
                              if (!hold) return "no memory";
                              hold.set(bit);
                              own.insert(page);
                            }
                          }
                          const Epoch::Guard guard(epoch_);
                          for (const uint64_t page : own) {
                            marks_.clear(page, uint64_t{1} << (page % kWord), guard);
                          }
                          return "";
                        }),
            "");
  EXPECT_EQ(marks_.leaves(), 0u);
}

// A run has a page at least, even if its mark goes while it is looked at.
TEST_F(PageMarksTest, ARunIsNeverEmpty) {
  const auto change = [&] {
    for (int n = scaled(20000); n > 0; --n) {
      const Epoch::Guard guard(epoch_);
      if (PageMarks::Hold hold(marks_, 0, guard); hold) hold.set(~uint64_t{0});
      marks_.clear(0, ~uint64_t{0}, guard);
    }
  };
  std::atomic<bool> changing{true};
  const auto look = [&]() -> std::string {
    for (uint64_t first = 0; changing; first = (first + 1) % (2 * kWord)) {
      const Epoch::Guard guard(epoch_);
      const PageMarks::Run run = marks_.run(first, 3 * kWord, guard);
      if (run.end <= first || run.end > 3 * kWord) return "at " + std::to_string(first);
    }
    return "";
  };
  EXPECT_EQ(run_threads(2,
                        [&](int i) -> std::string {
                          if (i > 0) return look();
                          change();
                          changing = false;
                          return "";
                        }),
            "");
}

}  // namespace
}  // namespace ramdisk
