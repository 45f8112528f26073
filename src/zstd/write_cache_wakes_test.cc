// WriteCache and Workers together: a page that arrives while a worker is about to sleep is not
// missed, whatever the worker has already looked at.

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/workers.h"
#include "unit/at_yield.h"
#include "unit/spinning.h"
#include "zstd/write_cache.h"

namespace ramdisk {
namespace {

using unit::comes_true_soon;

// The steps of a worker that finds nothing, in order, and the time when it sleeps.
constexpr std::array kMoments{"Workers::run, looked once", "Workers::run, said that it rests",
                              "Workers::run, looked again"};
constexpr size_t kAsleep = kMoments.size();

// A writer reserves room, pushes, and wakes the worker if push() says so. Each step has its own
// moment, between the worker's steps or while it sleeps.
struct Writer {
  WriteCache& cache;
  Workers& workers;
  size_t pages;  // pushing the last of them decides
  bool told = false;

  void do_step(size_t step) {
    if (step == 0) {
      for (size_t i = 0; i < pages; ++i) EXPECT_TRUE(cache.admit());
      for (size_t i = 1; i < pages; ++i) cache.push(i);
    } else if (step == 1) {
      told = cache.push(0);
    } else if (told) {
      workers.wake();
    }
  }
};
using Moments = std::array<size_t, 3>;  // one for each of the writer's steps

// Runs one worker that finds nothing while the writer takes its steps; then the page has to come
// out.
void play(WriteCache& cache, size_t pages, Moments moments, const Workers::Work& work) {
  std::atomic<size_t> moment{0};
  std::optional<Writer> writer;
  const auto do_steps_of = [&](size_t now) {
    for (size_t step = 0; step < moments.size(); ++step) {
      if (moments[step] == now) writer->do_step(step);
    }
  };
  const unit::AtYield at([&](std::string_view place) {
    const size_t now = moment;
    if (now == kAsleep || place != kMoments[now]) return;
    do_steps_of(now);
    moment = now + 1;
  });
  Workers workers;
  writer.emplace(Writer{cache, workers, pages});
  ASSERT_EQ(workers.start(1, work), 1u);
  ASSERT_TRUE(comes_true_soon([&] { return moment == kAsleep; }));
  do_steps_of(kAsleep);
  EXPECT_TRUE(comes_true_soon([&] { return cache.size() < pages; })) << "slept over";
}

void play_all(size_t pages, const std::function<Workers::Delay(WriteCache&)>& work) {
  for (size_t a = 0; a <= kAsleep; ++a) {
    for (size_t b = a; b <= kAsleep; ++b) {
      for (size_t c = b; c <= kAsleep && !testing::Test::HasFailure(); ++c) {
        SCOPED_TRACE("moments " + std::to_string(a) + " " + std::to_string(b) + " " +
                     std::to_string(c));
        WriteCache cache;
        cache.set_limit(4);
        play(cache, pages, {a, b, c}, [&](size_t) { return work(cache); });
      }
    }
  }
}

bool compress_one(WriteCache& cache) {
  if (!cache.pop()) return false;
  cache.release();
  return true;
}

// The first worker, which ticks, sleeps until it is woken only when the write cache is empty.
TEST(WriteCacheWakes, TheFirstPageIsNotSleptOver) {
  NEEDS_YIELD_POINTS();
  play_all(1, [](WriteCache& cache) {
    if (compress_one(cache)) return Workers::Delay::zero();
    if (cache.empty()) return Workers::kUntilWoken;
    cache.tick();
    return Workers::Delay(1);
  });
}

// The other workers sleep until they are woken when no page is due.
TEST(WriteCacheWakes, AQueueThatIsHalfFullIsNotSleptOver) {
  NEEDS_YIELD_POINTS();
  play_all(3, [](WriteCache& cache) {
    return compress_one(cache) ? Workers::Delay::zero() : Workers::kUntilWoken;
  });
}

}  // namespace
}  // namespace ramdisk
