// WriteCache: how many may wait, who comes next, and when.

#include "zstd/write_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "support/data.h"
#include "support/threads.h"

namespace ramdisk {
namespace {

using conformance::Rng;
using conformance::scaled;

bool put(WriteCache& queue, uint64_t page) {
  return queue.admit() && (queue.push(page), true);
}

std::vector<uint64_t> pop_all(WriteCache& queue) {
  std::vector<uint64_t> pages;
  while (const auto page = queue.pop()) {
    pages.push_back(*page);
    queue.release();
  }
  return pages;
}

TEST(WriteCache, NothingWaitsWithoutALimit) {
  WriteCache queue;
  EXPECT_FALSE(queue.has_room());
  EXPECT_FALSE(queue.admit());
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.pop(), std::nullopt);
  queue.tick();
}

TEST(WriteCache, NoMoreThanTheLimit) {
  WriteCache queue;
  for (const size_t limit : {1, 3, 256, 257, 1000}) {
    queue.set_limit(limit);
    size_t admitted = 0;
    while (put(queue, admitted)) ++admitted;
    EXPECT_EQ(queue.size(), limit);
    queue.set_limit(limit / 2);
    EXPECT_FALSE(queue.admit());
    queue.tick();
    queue.tick();
    EXPECT_EQ(pop_all(queue).size(), limit);
    EXPECT_TRUE(queue.empty());
  }
}

TEST(WriteCache, OldestFirstBeyondAQuarterOnceHalfFull) {
  WriteCache queue;
  queue.set_limit(100);
  EXPECT_TRUE(queue.admit());
  EXPECT_TRUE(queue.push(0)) << "the first page";
  for (uint64_t page = 1; page < 50; ++page) {
    ASSERT_TRUE(queue.admit());
    EXPECT_FALSE(queue.push(page));
  }
  EXPECT_EQ(queue.pop(), std::nullopt) << "half full is not more than half full";
  ASSERT_TRUE(queue.admit());
  EXPECT_TRUE(queue.push(50));
  ASSERT_TRUE(queue.admit());
  EXPECT_TRUE(queue.push(51)) << "there is still something to do";
  const std::vector<uint64_t> pages = pop_all(queue);
  ASSERT_EQ(pages.size(), 27u);
  for (uint64_t page = 0; page < 27; ++page) EXPECT_EQ(pages[page], page);
  EXPECT_EQ(queue.size(), 25u);
  ASSERT_TRUE(queue.admit());
  EXPECT_FALSE(queue.push(52));
  EXPECT_EQ(queue.pop(), std::nullopt);
}

// Those who found nothing but pages that are being rewritten rest while there is still something to
// do; what comes then wakes them.
TEST(WriteCache, SaysSoWhenThoseAtWorkHaveGoneToRest) {
  WriteCache queue;
  queue.set_limit(80);
  for (uint64_t page = 0; page < 41; ++page) ASSERT_TRUE(put(queue, page));
  for (int i = 0; i < 41; ++i) queue.push(*queue.pop());  // each written since: a second chance
  int wakes = 0;
  for (uint64_t page = 41; page < 80; ++page) {
    ASSERT_TRUE(queue.admit());
    if (queue.push(page)) ++wakes;
  }
  EXPECT_EQ(wakes, 39) << "of 39 pushes up to full";
}

TEST(WriteCache, HurryOutlastsTicks) {
  WriteCache queue;
  queue.set_limit(100);
  EXPECT_FALSE(queue.hurry()) << "nothing waits";
  for (uint64_t page = 0; page < 40; ++page) ASSERT_TRUE(put(queue, page));
  EXPECT_TRUE(queue.hurry());
  queue.tick();
  EXPECT_EQ(pop_all(queue).size(), 40u);
}

// Every order of so many steps: one who rests in vain has nothing to do until it is woken.
class Sleeper {
 public:
  Sleeper() { queue_.set_limit(4); }

  void step(char what) {
    switch (what) {
      case 'p':  // a page is written
        if (!queue_.admit()) return;
        ++new_pages_;
        wake(queue_.push(0));
        return;
      case 'c':  // compresses one
      case 'r':  // or finds that it is being rewritten
        if (!rests_) look(what == 'r');
        return;
      case 't':
        queue_.tick();
        rests_ = false;  // it is the one who ticks
        return;
      case 'h':
        wake(queue_.hurry());
        return;
    }
  }

  // Whether it would sleep although it should work.
  bool oversleeps() {
    const bool seen_all = rewritten_ > 0 && new_pages_ == 0;
    return rests_ && !seen_all && queue_.pop();
  }

 private:
  void wake(bool said) {
    if (said) rests_ = false;
  }
  void look(bool rewritten) {
    new_pages_ = 0;
    rewritten_ = rewritten ? rewritten_ + 1 : 0;
    const auto page = queue_.pop();
    if (!page) {
      rewritten_ = 0;
      rests_ = true;
    } else if (rewritten) {
      queue_.push(*page);
      rests_ = rewritten_ >= queue_.size();
    } else {
      queue_.release();
    }
  }

  WriteCache queue_;
  bool rests_ = false;
  size_t rewritten_ = 0;  // found so in a row
  int new_pages_ = 0;     // since it looked last
};

TEST(WriteCache, NobodyOversleepsInAnyOrderOfSteps) {
  constexpr std::string_view kSteps = "pcrth";
  constexpr size_t kLength = 8;
  std::string order;
  const std::function<void()> try_all = [&] {
    Sleeper sleeper;
    for (const char step : order) sleeper.step(step);
    ASSERT_FALSE(sleeper.oversleeps()) << order;
    if (order.size() == kLength - (conformance::slow_build() ? 2 : 0)) return;
    for (const char step : kSteps) {
      order.push_back(step);
      try_all();
      order.pop_back();
      if (testing::Test::HasFailure()) return;
    }
  };
  try_all();
}

TEST(WriteCache, WhatHasWaitedForATickGoes) {
  WriteCache queue;
  queue.set_limit(1000);
  ASSERT_TRUE(put(queue, 1));
  queue.tick();
  EXPECT_EQ(queue.pop(), std::nullopt);
  ASSERT_TRUE(put(queue, 2));
  queue.tick();
  EXPECT_EQ(queue.pop(), 1u);
  EXPECT_EQ(queue.pop(), std::nullopt);
  EXPECT_EQ(queue.size(), 2u) << "1 counts still";
  queue.push(1);  // again
  queue.tick();
  EXPECT_EQ(queue.pop(), 2u);
  EXPECT_EQ(queue.pop(), std::nullopt);
  queue.tick();
  EXPECT_EQ(queue.pop(), 1u);
  queue.release();
  queue.release();
  EXPECT_TRUE(queue.empty());
}

// The ring grows while it is turned.
TEST(WriteCache, OrderSurvivesGrowth) {
  Rng rng(1);
  WriteCache queue;
  queue.set_limit(5000);
  uint64_t pushed = 0;
  uint64_t popped = 0;
  for (const size_t most : {100, 300, 1000, 4000}) {
    for (int step = 0; step < 10000; ++step) {
      if (queue.size() < most && rng.chance(60)) {
        ASSERT_TRUE(put(queue, pushed));
        ++pushed;
      } else if (const auto page = queue.pop()) {
        ASSERT_EQ(*page, popped++);
        queue.release();
      } else if (rng.chance(10)) {
        queue.tick();
      }
    }
  }
}

TEST(WriteCacheThreads, EachPageComesOutOnce) {
  for (const int threads : {1, 6}) {
    WriteCache queue;
    queue.set_limit(600);
    const int each = scaled(20000);
    std::atomic<int> left{threads * each};
    std::vector<std::atomic<int>> seen(static_cast<size_t>(threads * each));
    unit::run_threads(threads, [&](int i) {
      Rng rng(static_cast<uint64_t>(i) + 1);
      int next = i * each;
      while (left > 0) {
        if (next < (i + 1) * each && rng.chance(60) && put(queue, static_cast<uint64_t>(next))) {
          ++next;
        } else if (const auto page = queue.pop()) {
          if (rng.chance(10)) {
            queue.push(*page);
          } else {
            ++seen[*page];
            queue.release();
            --left;
          }
        } else {
          queue.tick();
        }
        ASSERT_LE(queue.size(), 600u);
      }
    });
    for (const auto& count : seen) ASSERT_EQ(count, 1);
    EXPECT_TRUE(queue.empty());
  }
}

}  // namespace
}  // namespace ramdisk
