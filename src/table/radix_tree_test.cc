// RadixTree on one thread against std::map, and its nodes against the SlabAllocator that they come
// from.

#include "table/radix_tree.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "support/data.h"
#include "support/failing_memory.h"

namespace ramdisk {
namespace {

using conformance::FailingMemory;
using conformance::Rng;
using conformance::scaled;

// The tree, the model, and what both need.
class Tree {
 public:
  explicit Tree(uint64_t keys) : keys_(keys), tree_(nodes_, keys) {}
  ~Tree() { EXPECT_EQ(memory_.misuse(), ""); }

  bool insert(uint64_t key) {
    const Epoch::Guard guard(epoch_);
    RadixTree::Entry& entry = entries_.emplace_back();
    entry.key = key;
    RadixTree::Entry* const present = tree_.insert(&entry);
    if (!present) return false;
    // An entry that is already there stays.
    EXPECT_EQ(present, model_.try_emplace(key, &entry).first->second);
    return true;
  }

  void erase(uint64_t key) {
    const Epoch::Guard guard(epoch_);
    tree_.erase(key, guard);
    model_.erase(key);
  }

  // Checks the keys at, just below and just above `key`, where there are such.
  void check_around(uint64_t key) const {
    const uint64_t first = key < 2 ? 0 : key - 2;
    for (uint64_t k = first; k < keys_ && k - first <= 4; ++k) check(k);
  }

  // A key that no entry can have finds nothing, and erasing it changes nothing.
  void check_beyond() {
    for (const uint64_t beyond : {keys_, keys_ + 1, keys_ * 64, keys_ + 63, UINT64_MAX}) {
      if (beyond < keys_) continue;  // the sum wrapped
      ASSERT_EQ(tree_.find(beyond), nullptr) << "find " << beyond;
      ASSERT_EQ(tree_.next(beyond), nullptr) << "next " << beyond;
      const Epoch::Guard guard(epoch_);
      tree_.erase(beyond, guard);
    }
    check_walk();
  }

  void check(uint64_t key) const {
    const auto exact = model_.find(key);
    ASSERT_EQ(tree_.find(key), exact == model_.end() ? nullptr : exact->second) << "find " << key;
    const auto later = model_.lower_bound(key);
    ASSERT_EQ(tree_.next(key), later == model_.end() ? nullptr : later->second) << "next " << key;
  }

  // Walks the whole tree with next().
  void check_walk() const {
    uint64_t key = 0;
    for (const auto& [expected, entry] : model_) {
      ASSERT_EQ(tree_.next(key), entry) << "next " << key;
      key = expected + 1;
    }
    ASSERT_EQ(tree_.next(key), nullptr) << "next " << key;
  }

  void erase_all() {
    while (!model_.empty()) erase(model_.begin()->first);
  }

  // Leaves `count` free blocks for nodes, and no memory for more.
  void leave_nodes(size_t count) {
    hostages_.push_back(nodes_.allocate(1).base);  // there is memory for some, at least
    memory_.fail_from(0);
    for (std::byte* block = nullptr; (block = nodes_.allocate(1).base) != nullptr;) {
      hostages_.push_back(block);
    }
    for (size_t i = 0; i < count; ++i) free_hostage();
  }
  void free_hostage() {
    nodes_.free({hostages_.back(), 1, false});
    hostages_.pop_back();
  }
  void allow() { memory_.allow(); }

  uint64_t nodes() const { return nodes_.taken_blocks() - hostages_.size(); }
  uint64_t keys() const { return keys_; }
  const std::map<uint64_t, RadixTree::Entry*>& model() const { return model_; }

 private:
  const uint64_t keys_;
  FailingMemory memory_;
  Epoch epoch_;
  SlabAllocator nodes_{memory_, epoch_, RadixTree::kNodeBytes};
  RadixTree tree_;
  std::deque<RadixTree::Entry> entries_;  // those erased, too
  std::map<uint64_t, RadixTree::Entry*> model_;
  std::vector<std::byte*> hostages_;
};

// Limits at, below and above each power of 64, and those of the largest disk.
std::vector<uint64_t> limits() {
  std::set<uint64_t> list = {1, 2, 3, uint64_t{1} << 43, (uint64_t{1} << 43) + 1, UINT64_MAX};
  for (unsigned bits = 6; bits <= 60; bits += 6) {
    for (int i = -1; i <= 1; ++i) list.insert((uint64_t{1} << bits) + static_cast<uint64_t>(i));
  }
  return {list.begin(), list.end()};
}

// Keys where a digit carries: the first and last keys of every level.
std::vector<uint64_t> edge_keys(uint64_t keys) {
  std::set<uint64_t> list = {0, keys - 1, keys / 2};
  for (unsigned bits = 0; bits <= 60; bits += 6) {
    for (const uint64_t key : {(uint64_t{1} << bits) - 1, uint64_t{1} << bits,
                               (uint64_t{1} << bits) + 1, uint64_t{63} << bits}) {
      if (key < keys) list.insert(key);
    }
  }
  return {list.begin(), list.end()};
}

TEST(RadixTree, EmptyTreeFindsNothing) {
  for (const uint64_t keys : limits()) {
    const Tree tree(keys);
    for (const uint64_t key : edge_keys(keys)) tree.check(key);
  }
}

TEST(RadixTree, EdgeKeysInEveryLimit) {
  for (const uint64_t keys : limits()) {
    SCOPED_TRACE("keys below " + std::to_string(keys));
    Tree tree(keys);
    const std::vector<uint64_t> edges = edge_keys(keys);
    for (const uint64_t key : edges) {
      ASSERT_TRUE(tree.insert(key));
      for (const uint64_t other : edges) tree.check_around(other);
    }
    tree.check_beyond();
    for (const uint64_t key : edges) {
      tree.erase(key);
      for (const uint64_t other : edges) tree.check_around(other);
    }
    EXPECT_EQ(tree.nodes(), 0u);
  }
}

uint64_t random_key(Rng& rng, uint64_t keys) {
  switch (rng.below(4)) {
    case 0:
      return rng.below(keys);
    case 1:
      return rng.below(std::min<uint64_t>(keys, 300));  // crowded
    case 2:
      return keys - 1 - rng.below(std::min<uint64_t>(keys, 300));  // crowded at the end
    default:
      return rng.pick(edge_keys(keys));
  }
}

TEST(RadixTree, RandomStepsAgainstAMap) {
  for (const uint64_t keys : limits()) {
    SCOPED_TRACE("keys below " + std::to_string(keys));
    Tree tree(keys);
    Rng rng(keys);
    for (int i = 0; i < scaled(1500) && !testing::Test::HasFatalFailure(); ++i) {
      const uint64_t key = random_key(rng, keys);
      if (rng.chance(45)) {
        tree.erase(key);  // also one that is not there
      } else {
        ASSERT_TRUE(tree.insert(key));  // also one that is
      }
      tree.check_around(key);
      tree.check(random_key(rng, keys));
    }
    tree.check_walk();
    tree.erase_all();
    EXPECT_EQ(tree.nodes(), 0u) << "an empty tree keeps no node";
  }
}

TEST(RadixTree, InsertOfAPresentKeyChangesNothing) {
  for (const uint64_t keys : limits()) {
    Tree tree(keys);
    for (int round = 0; round < 2; ++round) {
      for (const uint64_t key : edge_keys(keys)) ASSERT_TRUE(tree.insert(key));
      tree.check_walk();
    }
    tree.erase_all();
    EXPECT_EQ(tree.nodes(), 0u);
  }
}

TEST(RadixTree, EntriesFarApartNeedNoNodes) {
  Tree tree(uint64_t{1} << 42);
  for (uint64_t i = 0; i < 64; ++i) ASSERT_TRUE(tree.insert(i << 36 | i));
  EXPECT_EQ(tree.nodes(), 0u);
  tree.check_walk();
}

TEST(RadixTree, NodesGoWhenTheLastEntryBelowThemDoes) {
  Tree tree(uint64_t{1} << 42);
  ASSERT_TRUE(tree.insert(0));
  ASSERT_TRUE(tree.insert(1));
  EXPECT_EQ(tree.nodes(), 6u) << "one for each digit that the two share";
  tree.erase(0);
  tree.check_around(0);
  tree.erase(1);
  tree.check_around(0);
  EXPECT_EQ(tree.nodes(), 0u);
}

// Erasing a key that is absent changes nothing, though its path leads to an entry.
TEST(RadixTree, EraseOfAnAbsentKey) {
  Tree tree(uint64_t{1} << 42);
  ASSERT_TRUE(tree.insert(5));
  for (const uint64_t absent : {uint64_t{4}, uint64_t{6}, uint64_t{69}, uint64_t{1} << 36}) {
    tree.erase(absent);
    tree.check_around(5);
  }
  ASSERT_TRUE(tree.insert(7));
  for (const uint64_t absent : {uint64_t{4}, uint64_t{6}, uint64_t{69}, uint64_t{1} << 36}) {
    tree.erase(absent);
    tree.check_around(5);
    tree.check_around(absent);
  }
}

// Two keys that differ only in the last digit need a node for every digit before it: each of these
// can be the one for which there is no memory.
TEST(RadixTree, InsertThatFailsAtEachNode) {
  constexpr size_t kNeeded = 7;  // for keys below 2^43
  for (size_t there = 0; there <= kNeeded; ++there) {
    SCOPED_TRACE(std::to_string(there) + " nodes to be had");
    Tree tree(uint64_t{1} << 43);
    const std::vector<uint64_t> others = {uint64_t{1} << 20, uint64_t{1} << 42,
                                          (uint64_t{1} << 43) - 1};
    const uint64_t old_key = uint64_t{77} << 30;
    const uint64_t new_key = old_key + 1;
    ASSERT_TRUE(tree.insert(old_key));
    tree.leave_nodes(there);
    ASSERT_EQ(tree.insert(new_key), there >= kNeeded);
    tree.check_around(old_key);
    tree.check_walk();
    // The tree that was made deeper in vain still works in every way.
    tree.allow();
    for (const uint64_t key : others) ASSERT_TRUE(tree.insert(key));
    if (there < kNeeded) {
      ASSERT_TRUE(tree.insert(new_key));
    }
    for (const auto& [key, entry] : tree.model()) tree.check_around(key);
    tree.erase_all();
    EXPECT_EQ(tree.nodes(), 0u);
  }
}

TEST(RadixTree, FailedInsertsAmongRandomSteps) {
  Tree tree(uint64_t{1} << 43);
  Rng rng(7);
  tree.leave_nodes(20);
  int failed = 0;
  for (int i = 0; i < scaled(5000) && !testing::Test::HasFatalFailure(); ++i) {
    const uint64_t key = random_key(rng, tree.keys());
    if (tree.model().contains(key) || rng.chance(40)) {
      tree.erase(key);
    } else {
      failed += !tree.insert(key);
    }
    ASSERT_LE(tree.nodes(), 20u);
    tree.check_around(key);
  }
  EXPECT_GT(failed, 0) << "memory was never short";
  tree.check_walk();
  tree.erase_all();
  EXPECT_EQ(tree.nodes(), 0u);
}

}  // namespace
}  // namespace ramdisk
