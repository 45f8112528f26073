// Epoch on many threads: nodes are poisoned when they are reclaimed, and no reader meets a poisoned
// one.

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <barrier>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "support/data.h"
#include "support/threads.h"
#include "table/epoch.h"

namespace ramdisk {
namespace {

using conformance::Rng;
using conformance::scaled;

// Not atomic, so that the thread sanitizer reports a reader that the poisoning does not wait for.
struct Node {
  uint64_t key = 0;
  uint64_t check = 0;  // ~key
};
constexpr uint64_t kPoison = 0xdeaddeaddeaddead;

// Poisons what is reclaimed and hands it out again at once.
class Pool final : public Epoch::Reclaimer {
 public:
  explicit Pool(Epoch& epoch) : epoch_(epoch) { epoch.add_reclaimer(this); }

  Node* allocate(uint64_t key) {
    Node* node = nullptr;
    {
      const std::lock_guard lock(mutex_);
      if (free_.empty()) {
        all_.push_back(std::make_unique<Node>());
        free_.push_back(all_.back().get());
      }
      node = free_.back();
      free_.pop_back();
    }
    node->key = key;
    node->check = ~key;
    return node;
  }

  void retire(Node* node, const Epoch::Guard& guard) {
    const size_t list = epoch_.retire_list(guard);
    const std::lock_guard lock(mutex_);
    retired_[list].push_back(node);
  }

  void reclaim(size_t index) noexcept override {
    const std::lock_guard lock(mutex_);
    for (Node* node : retired_[index]) {
      node->key = node->check = kPoison;
      free_.push_back(node);
    }
    retired_[index].clear();
  }

  size_t kept() const {  // handed out or retired
    const std::lock_guard lock(mutex_);
    return all_.size() - free_.size();
  }

 private:
  Epoch& epoch_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Node>> all_;
  std::vector<Node*> free_;
  std::array<std::vector<Node*>, Epoch::kEpochs> retired_;
};

bool intact(const Node* node) {
  return node->check == ~node->key;
}

// Under one pin, reads some slots, replaces some, and checks all nodes it has met once more at the
// end.
void visit(Epoch& epoch, Pool& pool, std::array<std::atomic<Node*>, 8>& slots, Rng& rng) {
  const Epoch::Guard guard(epoch);
  std::array<Node*, 4> met{};
  for (Node*& node : met) {
    std::atomic<Node*>& slot = slots[rng.below(slots.size())];
    if (rng.chance(40)) {
      node = slot.exchange(pool.allocate(rng.next()), std::memory_order_acq_rel);
      pool.retire(node, guard);
    } else {
      node = slot.load(std::memory_order_acquire);
    }
    ASSERT_TRUE(intact(node));
  }
  if (rng.chance(5)) std::this_thread::yield();
  for (const Node* node : met) ASSERT_TRUE(intact(node));
}

void stress(int threads, int rounds) {
  SCOPED_TRACE(std::to_string(threads) + " threads");
  Epoch epoch;
  Pool pool(epoch);
  std::array<std::atomic<Node*>, 8> slots;
  for (auto& slot : slots) slot.store(pool.allocate(1));
  unit::run_threads(threads, [&](int i) {
    Rng rng(static_cast<uint64_t>(i) + 1);
    for (int round = 0; round < rounds && !testing::Test::HasFailure(); ++round) {
      visit(epoch, pool, slots, rng);
    }
  });
  // Nothing was called after the last pin ended.
  EXPECT_EQ(pool.kept(), slots.size());
}

TEST(EpochThreads, NoReaderMeetsAReclaimedNode) {
  stress(1, scaled(20000));
  stress(2, scaled(40000));
  stress(8, scaled(10000));
  stress(40, scaled(1000));
}

// All threads retire and let go at the same moment, and then nothing happens: a thread that found
// another one collecting must not have left its garbage behind.
TEST(EpochThreads, NothingIsLeftWhenAllLetGoAtOnce) {
  constexpr int kThreads = 4;
  Epoch epoch;
  Pool pool(epoch);
  std::atomic<int> rounds_with_rest{0};
  std::barrier all_out(kThreads, [&]() noexcept { rounds_with_rest += pool.kept() != 0; });
  std::barrier together(kThreads);
  const int rounds = scaled(2000);
  unit::run_threads(kThreads, [&](int) {
    for (int round = 0; round < rounds; ++round) {
      together.arrive_and_wait();
      {
        const Epoch::Guard guard(epoch);
        pool.retire(pool.allocate(1), guard);
      }
      all_out.arrive_and_wait();
    }
  });
  EXPECT_EQ(rounds_with_rest.load(), 0) << "of " << rounds;
}

// Threads come and go, as a server's do with each connection.
TEST(EpochThreads, ShortLivedThreads) {
  Epoch epoch;
  Pool pool(epoch);
  std::array<std::atomic<Node*>, 8> slots;
  for (auto& slot : slots) slot.store(pool.allocate(1));
  for (int generation = 0; generation < scaled(100); ++generation) {
    unit::run_threads(3, [&](int i) {
      Rng rng(static_cast<uint64_t>(generation * 3 + i));
      for (int round = 0; round < 20; ++round) visit(epoch, pool, slots, rng);
    });
    ASSERT_EQ(pool.kept(), slots.size());
  }
}

}  // namespace
}  // namespace ramdisk
