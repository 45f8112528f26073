// Pool: it makes no more objects than allowed, serves waiters in order, and manages with one object
// when there is no memory for others.

#include "base/pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

#include "support/data.h"
#include "support/threads.h"
#include "unit/at_yield.h"
#include "unit/spinning.h"

namespace ramdisk {
namespace {

using conformance::scaled;

struct Thing {
  int uses = 0;  // not atomic: the thread sanitizer sees two at once
};
using Things = Pool<Thing>;

void wait_until(auto condition) {
  while (!condition()) std::this_thread::sleep_for(std::chrono::microseconds(100));
}

TEST(Pool, NothingBeforeTheFirst) {
  Things none([] { return std::unique_ptr<Thing>(); }, 3);
  EXPECT_FALSE(none.prepare());
}

TEST(Pool, MakesAsManyAsAreNeededAndKeepsThem) {
  int made = 0;
  Things pool([&] { return ++made, std::make_unique<Thing>(); }, 3);
  ASSERT_TRUE(pool.prepare());
  EXPECT_EQ(made, 1);
  for (int round = 0; round < 3; ++round) {
    const Things::Lease a(pool), b(pool), c(pool);
    EXPECT_NE(&*a, &*b);
    EXPECT_NE(&*b, &*c);
    EXPECT_NE(&*a, &*c);
  }
  EXPECT_EQ(made, 3);
}

// All threads share the first object, whichever way `make` reports that there is no memory.
TEST(Pool, WorksWithTheFirstAlone) {
  for (const bool throws : {false, true}) {
    SCOPED_TRACE(throws);
    std::atomic<int> made{0};
    const auto make = [&]() -> std::unique_ptr<Thing> {
      if (made++ == 0) return std::make_unique<Thing>();
      if (throws) throw std::bad_alloc();
      return nullptr;
    };
    Things pool(make, 4);
    ASSERT_TRUE(pool.prepare());
    int inside = 0;
    const int rounds = scaled(500);
    unit::run_threads(6, [&](int) {
      for (int round = 0; round < rounds; ++round) {
        const Things::Lease lease(pool);
        ASSERT_EQ(++inside, 1);
        ++lease->uses;
        --inside;
      }
    });
    const Things::Lease lease(pool);
    EXPECT_EQ(lease->uses, 6 * rounds);
  }
}

// Memory comes and goes; no object is lost on the way.
TEST(Pool, MakesMoreWhenThereIsMemoryAgain) {
  std::atomic<bool> memory{true};
  const auto make = [&] { return memory ? std::make_unique<Thing>() : nullptr; };
  Things pool(make, 3);
  ASSERT_TRUE(pool.prepare());
  unit::run_threads(8, [&](int i) {
    for (int round = 0; round < scaled(500); ++round) {
      if (i == 0) memory = round % 3 == 0;
      const Things::Lease lease(pool);
      ++lease->uses;
    }
  });
  memory = true;
  const Things::Lease a(pool), b(pool), c(pool);
  EXPECT_GE(a->uses + b->uses + c->uses, 8 * scaled(500));
}

// An object that could not be made is not counted as made: when there is memory again, it is.
TEST(Pool, TriesAgainAfterAFailure) {
  std::atomic<bool> memory{true};
  std::atomic<int> tries{0};
  const auto make = [&] { return ++tries, memory ? std::make_unique<Thing>() : nullptr; };
  Things pool(make, 2);
  ASSERT_TRUE(pool.prepare());
  for (const bool has_memory : {false, true}) {
    memory = has_memory;
    const int before = tries;
    std::optional<Things::Lease> first(pool);
    std::thread other([&] { const Things::Lease second(pool); });
    for (int i = 0; i < 20000 && tries == before; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(tries, before + 1) << "with memory: " << has_memory;
    first.reset();  // the other thread may be waiting for it
    other.join();
  }
}

TEST(Pool, NoMoreThanSaid) {
  for (const int most : {1, 2, 3}) {
    for (const int threads : {1, 8, 32}) {
      std::atomic<int> made{0};
      std::atomic<int> inside{0};
      Things pool([&] { return ++made, std::make_unique<Thing>(); }, static_cast<size_t>(most));
      ASSERT_TRUE(pool.prepare());
      unit::run_threads(threads, [&](int) {
        for (int round = 0; round < scaled(300); ++round) {
          const Things::Lease lease(pool);
          ++lease->uses;
          ASSERT_LE(++inside, most);
          --inside;
        }
      });
      EXPECT_LE(made, most);
    }
  }
}

// Those that wait are served in order, whether or not one that comes back at once passes them.
TEST(Pool, FirstComeFirstServed) {
  NEEDS_YIELD_POINTS();
  Things pool([] { return std::make_unique<Thing>(); }, 1);
  ASSERT_TRUE(pool.prepare());
  constexpr int kThreads = 6;
  std::vector<int> order;  // guarded by the only object there is
  std::vector<std::thread> threads;
  std::atomic<int> waiting{0};
  const unit::AtYield at([&](std::string_view place) {
    if (place == "Pool::borrow, in the queue") ++waiting;
  });
  {
    std::unique_ptr<Things::Lease> held;
    held = std::make_unique<Things::Lease>(pool);
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        const Things::Lease lease(pool);
        order.push_back(i);
      });
      wait_until([&] { return waiting > i; });
    }
    held.reset();
    held = std::make_unique<Things::Lease>(pool);
    order.push_back(kThreads);
  }
  for (std::thread& thread : threads) thread.join();
  std::erase(order, kThreads);
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5}));
}

// The waiter is kept from looking again until the other thread has had its chance to pass it.
TEST(Pool, OneWhoHasWaitedLongIsNotPassed) {
  NEEDS_YIELD_POINTS();
  Things pool([] { return std::make_unique<Thing>(); }, 1);
  ASSERT_TRUE(pool.prepare());
  std::atomic<int> queued{0};
  std::atomic<bool> tried{false};
  const unit::AtYield at([&](std::string_view place) {
    if (place != "Pool::borrow, in the queue") return;
    if (queued++ > 0) tried = true;
    wait_until([&] { return tried.load(); });
  });
  std::vector<int> order;  // guarded by the only object there is
  std::optional<Things::Lease> held(pool);
  std::thread waiter([&] {
    const Things::Lease lease(pool);
    order.push_back(0);
  });
  wait_until([&] { return queued > 0; });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  held.reset();
  {
    const Things::Lease lease(pool);
    order.push_back(1);
  }
  tried = true;
  waiter.join();
  EXPECT_EQ(order, (std::vector<int>{0, 1}));
}

// The first waiter has been woken for one object and is given another one before it has a CPU. Then
// the first object is for the next waiter.
TEST(Pool, NothingLiesIdleWhileSomebodyWaits) {
  NEEDS_YIELD_POINTS();
  Things pool([] { return std::make_unique<Thing>(); }, 2);
  ASSERT_TRUE(pool.prepare());
  std::atomic<int> queued{0};
  std::atomic<bool> go{false};
  const unit::AtYield at([&](std::string_view place) {
    if (place == "Pool::borrow, in the queue" && queued++ == 0)
      wait_until([&] { return go.load(); });
  });
  std::optional<Things::Lease> one(pool);
  std::optional<Things::Lease> other(pool);
  std::atomic<bool> served{false};
  std::thread first([&] { const Things::Lease lease(pool); });
  wait_until([&] { return queued == 1; });
  std::thread second([&] {
    const Things::Lease lease(pool);
    served = true;
  });
  wait_until([&] { return queued == 2; });
  one.reset();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  other.reset();
  EXPECT_TRUE(unit::comes_true_soon([&] { return served.load(); }));
  go = true;
  first.join();
  second.join();
}

TEST(Pool, OneWhoComesBackAllTheTimeDoesNotKeepOthersOut) {
  Things pool([] { return std::make_unique<Thing>(); }, 1);
  ASSERT_TRUE(pool.prepare());
  std::atomic<int> busy{3};
  unit::run_threads(4, [&](int i) {
    if (i == 0) {
      while (busy > 0) {
        const Things::Lease lease(pool);
        for (int n = 0; n < 1000; ++n) lease->uses += n % 2;
      }
      return;
    }
    for (int round = 0; round < scaled(30); ++round) const Things::Lease lease(pool);
    --busy;
  });
  EXPECT_EQ(busy.load(), 0);
}

}  // namespace
}  // namespace ramdisk
