// Workers: work is done when it comes, no worker sleeps through it, and sleep ends in time.

#include "base/workers.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <array>
#include <atomic>
#include <thread>

#include "support/data.h"
#include "support/threads.h"
#include "unit/spinning.h"

namespace ramdisk {
namespace {

using conformance::scaled;
using std::chrono::milliseconds;
using unit::comes_true_soon;

TEST(Workers, NoneIsLikeAny) {
  Workers workers;
  workers.wake();
  workers.stop();
  workers.wake();
}

TEST(Workers, EachHasItsNumber) {
  std::array<std::atomic<int>, 4> calls{};
  Workers workers;
  ASSERT_EQ(workers.start(4,
                          [&](size_t number) {
                            ++calls.at(number);
                            return Workers::kUntilWoken;
                          }),
            4u);
  for (auto& count : calls) EXPECT_TRUE(comes_true_soon([&] { return count > 0; }));
  workers.stop();
}

TEST(Workers, RestEndsByItself) {
  std::atomic<int> calls{0};
  Workers workers;
  workers.start(1, [&](size_t) { return ++calls, milliseconds(1); });
  EXPECT_TRUE(comes_true_soon([&] { return calls > 20; }));
}

TEST(Workers, StopEndsARestAndWaitsForWork) {
  std::atomic<bool> working{false};
  std::atomic<bool> finished{false};
  {
    Workers workers;
    workers.start(2, [&](size_t number) {
      if (number == 1) return Workers::kUntilWoken;
      working = true;
      std::this_thread::sleep_for(milliseconds(20));
      finished = true;
      return Workers::kUntilWoken;
    });
    ASSERT_TRUE(comes_true_soon([&] { return working.load(); }));
  }
  EXPECT_TRUE(finished);
}

// After stop() the workers may be started again.
TEST(Workers, CanBeStartedAgain) {
  Workers workers;
  for (int round = 0; round < 3; ++round) {
    std::atomic<int> calls{0};
    ASSERT_EQ(workers.start(2, [&](size_t) { return ++calls, Workers::kUntilWoken; }), 2u);
    EXPECT_TRUE(comes_true_soon([&] { return calls >= 2; })) << "round " << round;
    workers.stop();
  }
}

// The threads that make work wait until it is done, so nothing makes up for a lost wake-up.
TEST(Workers, NoWorkIsSleptOver) {
  for (const int makers : {1, 3}) {
    for (const size_t count : {1, 2}) {
      std::atomic<int> made{0};
      std::atomic<int> done{0};
      Workers workers;
      workers.start(count, [&](size_t) {
        int now = made.load();
        while (now > 0 && !made.compare_exchange_weak(now, now - 1)) {
        }
        if (now <= 0) return Workers::kUntilWoken;
        ++done;
        return Workers::Delay::zero();
      });
      std::atomic<bool> lost{false};
      unit::run_threads(makers, [&](int) {
        for (int i = 0; i < scaled(4000) && !lost; ++i) {
          ++made;
          workers.wake();
          if (!comes_true_soon([&] { return made <= 0 || lost; })) lost = true;
        }
      });
      EXPECT_FALSE(lost);
    }
  }
}

TEST(Workers, NoThreadsToBeHad) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  if (conformance::slow_build()) GTEST_SKIP() << "a sanitizer needs addresses";
  const rlimit little{1 << 20, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &little), 0);
  void* const more = mmap(nullptr, 64 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (more != MAP_FAILED) {  // an emulator may have room of its own
    munmap(more, 64 << 20);
    ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
    GTEST_SKIP() << "SKIP: RLIMIT_AS limits nothing here";
  }
  Workers workers;
  const size_t started = workers.start(1000, [](size_t) { return Workers::kUntilWoken; });
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  EXPECT_LT(started, 1000u);
  workers.wake();
  workers.stop();
}

}  // namespace
}  // namespace ramdisk
