// RadixTree with readers that take no lock while one thread at a time changes it.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "support/data.h"
#include "support/threads.h"
#include "table/radix_tree.h"

namespace ramdisk {
namespace {

using conformance::Rng;
using conformance::scaled;

constexpr uint64_t kKeys = uint64_t{1} << 43;

// Some entries stay throughout; around them others come and go. Entries are neighbours in pairs,
// and each pair has a node to itself, so nodes come and go, too.
class Harness {
 public:
  Harness() {
    for (const uint64_t base :
         {uint64_t{0}, uint64_t{1} << 18, uint64_t{1} << 36, kKeys - 50 * 64}) {
      for (uint64_t i = 0; i < 100; ++i) {
        entries_.push_back({{base + i / 2 * 64 + i % 2}, i % 10 == 5});
      }
    }
    const Epoch::Guard guard(epoch_);
    for (Item& item : entries_) {
      if (!item.stays) continue;
      EXPECT_EQ(tree_.insert(&item), &item);
      staying_.push_back(item.key);
    }
  }

  void change(Rng& rng) {
    Item& item = entries_[rng.below(entries_.size())];
    if (item.stays) return;
    const Epoch::Guard guard(epoch_);
    const MutexLock lock(mutex_);
    if (item.inside) {
      tree_.erase(item.key, guard);
    } else {
      ASSERT_EQ(tree_.insert(&item), &item);
    }
    item.inside = !item.inside;
  }

  void look(Rng& rng) const {
    const Epoch::Guard guard(epoch_);
    const uint64_t key = rng.chance(80) ? rng.pick(entries_).key : rng.below(kKeys);
    const bool stays = std::binary_search(staying_.begin(), staying_.end(), key);
    const RadixTree::Entry* found = tree_.find(key);
    ASSERT_TRUE(found ? found->key == key : !stays) << key;
    const RadixTree::Entry* later = tree_.next(key);
    const auto bound = std::lower_bound(staying_.begin(), staying_.end(), key);
    if (later) {
      ASSERT_GE(later->key, key);
    }
    if (bound != staying_.end()) {
      ASSERT_NE(later, nullptr) << key;
      ASSERT_LE(later->key, *bound) << "skipped one that is always there";
    }
  }

  void clear() {
    const Epoch::Guard guard(epoch_);
    const MutexLock lock(mutex_);
    for (Item& item : entries_) tree_.erase(item.key, guard);
  }

  uint64_t nodes() const { return nodes_.taken_blocks(); }

 private:
  struct Item : RadixTree::Entry {
    Item(RadixTree::Entry entry, bool stays_for_ever) : Entry(entry), stays(stays_for_ever) {}
    bool stays;
    bool inside = false;  // under mutex_
  };

  const std::unique_ptr<MemorySource> memory_ = make_system_memory();
  mutable Epoch epoch_;
  SlabAllocator nodes_{*memory_, epoch_, RadixTree::kNodeBytes};
  RadixTree tree_{nodes_, kKeys};
  Mutex mutex_;
  std::vector<Item> entries_;
  std::vector<uint64_t> staying_;  // ascending
};

void run(int threads, int steps) {
  SCOPED_TRACE(std::to_string(threads) + " threads");
  Harness harness;
  unit::run_threads(threads, [&](int i) {
    Rng rng(static_cast<uint64_t>(i) + 1);
    for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
      rng.chance(30) ? harness.change(rng) : harness.look(rng);
    }
  });
  harness.clear();
  EXPECT_EQ(harness.nodes(), 0u);
}

TEST(RadixTreeThreads, ReadersNeverMissWhatStays) {
  run(1, scaled(100000));
  run(4, scaled(50000));
  run(16, scaled(8000));
}

// A thread finds what another one has just made, and nothing but the tree's own slots puts the two
// in an order; the thread sanitizer reports it if that does not suffice.
TEST(RadixTreeThreads, WhatIsFoundIsComplete) {
  constexpr uint64_t kKey = uint64_t{1} << 20;
  Epoch epoch;
  const std::unique_ptr<MemorySource> memory = make_system_memory();
  SlabAllocator nodes(*memory, epoch, RadixTree::kNodeBytes);
  RadixTree tree(nodes, kKeys);
  std::array<RadixTree::Entry, 2> entries;
  unit::run_threads(2, [&](int i) {
    const Epoch::Guard guard(epoch);
    if (i == 0) {
      for (RadixTree::Entry& entry : entries) {
        entry.key = kKey + static_cast<uint64_t>(&entry - entries.data());
        EXPECT_EQ(tree.insert(&entry), &entry);  // the second one makes nodes
      }
      return;
    }
    while (!tree.find(kKey + 1)) std::this_thread::yield();
    EXPECT_EQ(tree.find(kKey), &entries[0]);
    EXPECT_EQ(tree.next(kKey + 1), &entries[1]);
  });
  const Epoch::Guard guard(epoch);
  for (const RadixTree::Entry& entry : entries) tree.erase(entry.key, guard);
}

}  // namespace
}  // namespace ramdisk
