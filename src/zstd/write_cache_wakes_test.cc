// WriteCache and Workers together: whatever a worker that is about to rest has looked at when a
// page comes, it gets to the page.

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "base/workers.h"
#include "unit/at_yield.h"
#include "zstd/write_cache.h"

namespace ramdisk {
namespace {

bool comes_true(auto condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return true;
}

// The moments of a worker that finds nothing, in this order, and one when it sleeps.
constexpr std::array kMoments{"Workers::run, looked once", "Workers::run, said that it rests",
                              "Workers::run, looked again"};
constexpr size_t kAsleep = kMoments.size();

// A writer makes room, pushes, and wakes if it is told to: each at a moment of its own, in the
// middle of the worker's steps or when it sleeps.
struct Writer {
  WriteCache& queue;
  Workers& workers;
  size_t pages;  // the last of them decides
  bool told = false;

  void do_step(size_t step) {
    if (step == 0) {
      for (size_t i = 0; i < pages; ++i) EXPECT_TRUE(queue.admit());
      for (size_t i = 1; i < pages; ++i) queue.push(i);
    } else if (step == 1) {
      told = queue.push(0);
    } else if (told) {
      workers.wake();
    }
  }
};
using Moments = std::array<size_t, 3>;  // of the writer's steps

// One worker that finds nothing, while the writer does its steps; then the page has to get out.
void play(WriteCache& queue, size_t pages, Moments moments, const Workers::Work& work) {
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
  writer.emplace(Writer{queue, workers, pages});
  ASSERT_EQ(workers.start(1, work), 1u);
  ASSERT_TRUE(comes_true([&] { return moment == kAsleep; }));
  do_steps_of(kAsleep);
  EXPECT_TRUE(comes_true([&] { return queue.size() < pages; })) << "slept over";
}

void play_all(size_t pages, const std::function<Workers::Delay(WriteCache&)>& work) {
  for (size_t a = 0; a <= kAsleep; ++a) {
    for (size_t b = a; b <= kAsleep; ++b) {
      for (size_t c = b; c <= kAsleep && !testing::Test::HasFailure(); ++c) {
        SCOPED_TRACE("moments " + std::to_string(a) + " " + std::to_string(b) + " " +
                     std::to_string(c));
        WriteCache queue;
        queue.set_limit(4);
        play(queue, pages, {a, b, c}, [&](size_t) { return work(queue); });
      }
    }
  }
}

bool compress_one(WriteCache& queue) {
  if (!queue.pop()) return false;
  queue.release();
  return true;
}

// The first worker, which ticks, rests until it is woken only when nothing waits at all.
TEST(WriteCacheWakes, TheFirstPageIsNotSleptOver) {
  NEEDS_YIELD_POINTS();
  play_all(1, [](WriteCache& queue) {
    if (compress_one(queue)) return Workers::Delay::zero();
    if (queue.empty()) return Workers::kUntilWoken;
    queue.tick();
    return Workers::Delay(1);
  });
}

// The others rest until they are woken when nothing is to be done now.
TEST(WriteCacheWakes, AQueueThatIsHalfFullIsNotSleptOver) {
  NEEDS_YIELD_POINTS();
  play_all(3, [](WriteCache& queue) {
    return compress_one(queue) ? Workers::Delay::zero() : Workers::kUntilWoken;
  });
}

}  // namespace
}  // namespace ramdisk
