// WriteCache: how many pages it holds, which comes out next, and when.

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

bool put(WriteCache& cache, uint64_t page) {
  return cache.admit() && (cache.push(page), true);
}

std::vector<uint64_t> pop_all(WriteCache& cache) {
  std::vector<uint64_t> pages;
  while (const auto page = cache.pop()) {
    pages.push_back(*page);
    cache.release();
  }
  return pages;
}

TEST(WriteCache, NothingWaitsWithoutALimit) {
  WriteCache cache;
  EXPECT_FALSE(cache.has_room());
  EXPECT_FALSE(cache.admit());
  EXPECT_TRUE(cache.empty());
  EXPECT_EQ(cache.pop(), std::nullopt);
  cache.tick();
}

TEST(WriteCache, NoMoreThanTheLimit) {
  WriteCache cache;
  for (const size_t limit : {1, 3, 256, 257, 1000}) {
    cache.set_limit(limit);
    size_t admitted = 0;
    while (put(cache, admitted)) ++admitted;
    EXPECT_EQ(cache.size(), limit);
    cache.set_limit(limit / 2);
    EXPECT_FALSE(cache.admit());
    cache.tick();
    cache.tick();
    EXPECT_EQ(pop_all(cache).size(), limit);
    EXPECT_TRUE(cache.empty());
  }
}

TEST(WriteCache, OldestFirstBeyondAQuarterOnceHalfFull) {
  WriteCache cache;
  cache.set_limit(100);
  EXPECT_TRUE(cache.admit());
  EXPECT_TRUE(cache.push(0)) << "the first page";
  for (uint64_t page = 1; page < 50; ++page) {
    ASSERT_TRUE(cache.admit());
    EXPECT_FALSE(cache.push(page));
  }
  EXPECT_EQ(cache.pop(), std::nullopt) << "half full is not more than half full";
  ASSERT_TRUE(cache.admit());
  EXPECT_TRUE(cache.push(50));
  ASSERT_TRUE(cache.admit());
  EXPECT_TRUE(cache.push(51)) << "there is still something to do";
  const std::vector<uint64_t> pages = pop_all(cache);
  ASSERT_EQ(pages.size(), 27u);
  for (uint64_t page = 0; page < 27; ++page) EXPECT_EQ(pages[page], page);
  EXPECT_EQ(cache.size(), 25u);
  ASSERT_TRUE(cache.admit());
  EXPECT_FALSE(cache.push(52));
  EXPECT_EQ(cache.pop(), std::nullopt);
}

// Workers that found only pages that are being rewritten sleep while there is still something to
// do; the next page wakes them.
TEST(WriteCache, SaysSoWhenThoseAtWorkHaveGoneToRest) {
  WriteCache cache;
  cache.set_limit(80);
  for (uint64_t page = 0; page < 41; ++page) ASSERT_TRUE(put(cache, page));
  for (int i = 0; i < 41; ++i) cache.push(*cache.pop());  // each was written since, and goes back
  int wakes = 0;
  for (uint64_t page = 41; page < 80; ++page) {
    ASSERT_TRUE(cache.admit());
    if (cache.push(page)) ++wakes;
  }
  EXPECT_EQ(wakes, 39) << "of 39 pushes up to full";
}

TEST(WriteCache, HurryOutlastsTicks) {
  WriteCache cache;
  cache.set_limit(100);
  EXPECT_FALSE(cache.hurry()) << "nothing waits";
  for (uint64_t page = 0; page < 40; ++page) ASSERT_TRUE(put(cache, page));
  EXPECT_TRUE(cache.hurry());
  cache.tick();
  EXPECT_EQ(pop_all(cache).size(), 40u);
}

// A model of a worker. In every order of steps, it must have nothing to do while it sleeps.
class Sleeper {
 public:
  Sleeper() { cache_.set_limit(4); }

  void step(char what) {
    switch (what) {
      case 'p':  // a page is written
        if (!cache_.admit()) return;
        ++new_pages_;
        wake(cache_.push(0));
        return;
      case 'c':  // a page is compressed
      case 'r':  // a page is found being rewritten
        if (!sleeps_) look(what == 'r');
        return;
      case 't':
        cache_.tick();
        sleeps_ = false;  // this worker is the one that ticks
        return;
      case 'h':
        wake(cache_.hurry());
        return;
    }
  }

  // Whether the worker sleeps although it should work.
  bool oversleeps() {
    const bool seen_all = rewritten_ > 0 && new_pages_ == 0;
    return sleeps_ && !seen_all && cache_.pop();
  }

 private:
  void wake(bool said) {
    if (said) sleeps_ = false;
  }
  void look(bool rewritten) {
    new_pages_ = 0;
    rewritten_ = rewritten ? rewritten_ + 1 : 0;
    const auto page = cache_.pop();
    if (!page) {
      rewritten_ = 0;
      sleeps_ = true;
    } else if (rewritten) {
      cache_.push(*page);
      sleeps_ = rewritten_ >= cache_.size();
    } else {
      cache_.release();
    }
  }

  WriteCache cache_;
  bool sleeps_ = false;
  size_t rewritten_ = 0;  // consecutive pages found being rewritten
  int new_pages_ = 0;     // since the worker last looked
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
  WriteCache cache;
  cache.set_limit(1000);
  ASSERT_TRUE(put(cache, 1));
  cache.tick();
  EXPECT_EQ(cache.pop(), std::nullopt);
  ASSERT_TRUE(put(cache, 2));
  cache.tick();
  EXPECT_EQ(cache.pop(), 1u);
  EXPECT_EQ(cache.pop(), std::nullopt);
  EXPECT_EQ(cache.size(), 2u) << "1 counts still";
  cache.push(1);  // again
  cache.tick();
  EXPECT_EQ(cache.pop(), 2u);
  EXPECT_EQ(cache.pop(), std::nullopt);
  cache.tick();
  EXPECT_EQ(cache.pop(), 1u);
  cache.release();
  cache.release();
  EXPECT_TRUE(cache.empty());
}

// The ring grows while its contents wrap around.
TEST(WriteCache, OrderSurvivesGrowth) {
  Rng rng(1);
  WriteCache cache;
  cache.set_limit(5000);
  uint64_t pushed = 0;
  uint64_t popped = 0;
  for (const size_t most : {100, 300, 1000, 4000}) {
    for (int step = 0; step < 10000; ++step) {
      if (cache.size() < most && rng.chance(60)) {
        ASSERT_TRUE(put(cache, pushed));
        ++pushed;
      } else if (const auto page = cache.pop()) {
        ASSERT_EQ(*page, popped++);
        cache.release();
      } else if (rng.chance(10)) {
        cache.tick();
      }
    }
  }
}

// Against a model: pages come out with their run, the others stay in order and as old as they were.
TEST(WriteCache, NeighboursComeOutTogether) {
  constexpr uint64_t kRun = StoredObject::kGroupPages;
  struct Waiting {
    uint64_t page;
    int ticks;  // since it was pushed
  };
  Rng rng(2);
  WriteCache cache;
  cache.set_limit(1000);
  std::vector<Waiting> model;
  for (int step = 0; step < 100000; ++step) {
    if (model.size() < 200 && rng.chance(60)) {
      model.push_back({rng.below(40 * kRun), 0});
      ASSERT_TRUE(put(cache, model.back().page));
    } else if (rng.chance(3)) {
      cache.tick();
      for (Waiting& one : model) ++one.ticks;
    } else {
      const auto page = cache.pop();
      ASSERT_EQ(page.has_value(), !model.empty() && model[0].ticks >= 2);
      if (!page) continue;
      ASSERT_EQ(*page, model[0].page);
      model.erase(model.begin());
      std::vector<uint64_t> expected;
      for (size_t i = 0, looked = 0; i < model.size() && looked < 4 * kRun; ++looked) {
        const bool taken = model[i].page / kRun == *page / kRun && expected.size() < kRun - 1;
        if (!taken) {
          ++i;
          continue;
        }
        expected.push_back(model[i].page);
        model.erase(model.begin() + static_cast<ptrdiff_t>(i));
      }
      WriteCache::Neighbours neighbours;
      const size_t count = cache.pop_neighbours(*page, neighbours);
      ASSERT_EQ(std::vector<uint64_t>(neighbours.begin(), neighbours.begin() + count), expected);
      for (size_t i = 0; i <= count; ++i) cache.release();
    }
    ASSERT_EQ(cache.size(), model.size());
  }
}

TEST(WriteCacheThreads, EachPageComesOutOnce) {
  for (const int threads : {1, 6}) {
    WriteCache cache;
    cache.set_limit(600);
    const int each = scaled(20000);
    std::atomic<int> left{threads * each};
    std::vector<std::atomic<int>> seen(static_cast<size_t>(threads * each));
    unit::run_threads(threads, [&](int i) {
      Rng rng(static_cast<uint64_t>(i) + 1);
      int next = i * each;
      while (left > 0) {
        if (next < (i + 1) * each && rng.chance(60) && put(cache, static_cast<uint64_t>(next))) {
          ++next;
        } else if (const auto page = cache.pop()) {
          if (rng.chance(10)) {
            cache.push(*page);
          } else {
            ++seen[*page];
            cache.release();
            --left;
          }
        } else {
          cache.tick();
        }
        ASSERT_LE(cache.size(), 600u);
      }
    });
    for (const auto& count : seen) ASSERT_EQ(count, 1);
    EXPECT_TRUE(cache.empty());
  }
}

}  // namespace
}  // namespace ramdisk
