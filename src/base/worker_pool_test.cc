// WorkerPool: each member's work is done when it comes, whatever the others do, and members come
// and go while the threads run.

#include "base/worker_pool.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "support/data.h"
#include "support/threads.h"
#include "unit/spinning.h"

namespace ramdisk {
namespace {

using conformance::scaled;
using std::chrono::milliseconds;
using unit::comes_true_soon;

TEST(WorkerPool, WakesBeforeAndAfterAreLikeAny) {
  WorkerPool pool(2);
  WorkerPool::Member member(pool);
  member.wake();
  member.leave();
  ASSERT_TRUE(member.join([](size_t) { return Workers::kUntilWoken; }));
  member.leave();
  member.wake();
  member.leave();
}

TEST(WorkerPool, EachThreadHasItsNumber) {
  std::array<std::atomic<int>, 3> calls{};
  WorkerPool pool(3);
  WorkerPool::Member member(pool);
  ASSERT_TRUE(member.join([&](size_t number) {
    ++calls.at(number);
    return Workers::kUntilWoken;
  }));
  for (auto& count : calls) EXPECT_TRUE(comes_true_soon([&] { return count > 0; }));
}

TEST(WorkerPool, RestEndsByItself) {
  std::atomic<int> calls{0};
  WorkerPool pool(1);
  WorkerPool::Member idle(pool);
  WorkerPool::Member member(pool);
  ASSERT_TRUE(idle.join([](size_t) { return Workers::kUntilWoken; }));
  ASSERT_TRUE(member.join([&](size_t) { return ++calls, milliseconds(1); }));
  EXPECT_TRUE(comes_true_soon([&] { return calls > 20; }));
}

// One that has always something to do does not keep the others waiting.
TEST(WorkerPool, MembersTakeTurns) {
  std::array<std::atomic<int>, 3> calls{};
  WorkerPool pool(1);
  std::vector<std::unique_ptr<WorkerPool::Member>> members;
  for (auto& count : calls) {
    members.push_back(std::make_unique<WorkerPool::Member>(pool));
    ASSERT_TRUE(members.back()->join([&](size_t) { return ++count, milliseconds(0); }));
  }
  EXPECT_TRUE(comes_true_soon([&] { return calls[0] > 100 && calls[1] > 100 && calls[2] > 100; }));
  members.erase(members.begin());
  const int before = calls[0];
  const int other = calls[1];
  EXPECT_TRUE(comes_true_soon([&] { return calls[1] > other + 100; }));
  EXPECT_EQ(calls[0], before) << "it has left";
}

// Looks again, which each thread may do twice, are not counted as wake-ups.
TEST(WorkerPool, IdleMembersCostNothing) {
  std::atomic<int> calls{0};
  WorkerPool pool(2);
  std::vector<std::unique_ptr<WorkerPool::Member>> members;
  for (int i = 0; i < 100; ++i) {
    members.push_back(std::make_unique<WorkerPool::Member>(pool));
    ASSERT_TRUE(members.back()->join([&](size_t) { return ++calls, Workers::kUntilWoken; }));
  }
  EXPECT_TRUE(comes_true_soon([&] { return calls == 400; }));
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(calls, 400);
  members[7]->wake();
  EXPECT_TRUE(comes_true_soon([&] { return calls == 404; }));
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(calls, 404) << "the others were called, too";
}

TEST(WorkerPool, LeavingWaitsForWorkInProgress) {
  std::atomic<bool> working{false};
  std::atomic<bool> finished{false};
  WorkerPool pool(2);
  WorkerPool::Member member(pool);
  ASSERT_TRUE(member.join([&](size_t number) {
    if (number == 1) return Workers::kUntilWoken;
    working = true;
    std::this_thread::sleep_for(milliseconds(20));
    finished = true;
    member.wake();  // as work may do at any time
    return Workers::kUntilWoken;
  }));
  ASSERT_TRUE(comes_true_soon([&] { return working.load(); }));
  member.leave();
  EXPECT_TRUE(finished);
}

// Every piece of work that is made before a wake() is done, though nothing else wakes the threads.
TEST(WorkerPool, NoWorkIsSleptThrough) {
  constexpr size_t kMembers = 5;
  struct Queue {
    std::atomic<int> waiting{0};
    std::atomic<int> done{0};
  };
  std::array<Queue, kMembers> queues{};
  WorkerPool pool(2);
  std::vector<std::unique_ptr<WorkerPool::Member>> members;
  for (Queue& queue : queues) {
    members.push_back(std::make_unique<WorkerPool::Member>(pool));
    ASSERT_TRUE(members.back()->join([&queue](size_t) {
      int waiting = queue.waiting;
      while (waiting > 0 && !queue.waiting.compare_exchange_weak(waiting, waiting - 1)) {
      }
      if (waiting == 0) return Workers::kUntilWoken;
      ++queue.done;
      return milliseconds(0);
    }));
  }
  const int rounds = scaled(2000);
  for (int round = 1; round <= rounds; ++round) {
    for (size_t i = 0; i < kMembers; ++i) {
      if ((static_cast<size_t>(round) + i) % 3 == 0) continue;
      ++queues[i].waiting;
      members[i]->wake();
    }
    if (round % 2 == 0) {
      ASSERT_TRUE(comes_true_soon([&] {
        for (const Queue& queue : queues) {
          if (queue.waiting > 0) return false;
        }
        return true;
      })) << "in round "
          << round;
    }
  }
}

TEST(WorkerPool, MembersComeAndGoBesideWork) {
  WorkerPool pool(2);
  std::atomic<int> steady{0};
  WorkerPool::Member always(pool);
  ASSERT_TRUE(always.join([&](size_t) { return ++steady, milliseconds(0); }));
  std::vector<std::thread> owners;
  for (int i = 0; i < 3; ++i) {
    owners.emplace_back([&] {
      for (int round = 0; round < scaled(200); ++round) {
        std::atomic<int> calls{0};
        WorkerPool::Member member(pool);
        EXPECT_TRUE(member.join([&](size_t) { return ++calls, Workers::kUntilWoken; }));
        EXPECT_TRUE(comes_true_soon([&] { return calls > 0; }));
        member.wake();
      }
    });
  }
  for (std::thread& owner : owners) owner.join();
  const int before = steady;
  EXPECT_TRUE(comes_true_soon([&] { return steady > before; }));
}

}  // namespace
}  // namespace ramdisk
