// RadixTree, seen by a reader after each single store of the thread that changes it.

#include <gtest/gtest.h>

#include <array>
#include <set>

#include "table/radix_tree.h"
#include "unit/at_yield.h"

namespace ramdisk {
namespace {

constexpr uint64_t kKeys = uint64_t{1} << 43;

class RadixTreeYield : public testing::Test {
 protected:
  // Checks that what is in the tree throughout a change is found at each moment of it.
  void check() {
    ++looks_;
    for (const RadixTree::Entry& entry : entries_) {
      const bool there = there_.contains(entry.key);
      const RadixTree::Entry* found = tree_.find(entry.key);
      if (there) {
        EXPECT_EQ(found, &entry) << entry.key;
      } else if (entry.key != changing_) {
        EXPECT_EQ(found, nullptr) << entry.key;
      }
      const auto next = there_.lower_bound(entry.key);
      const RadixTree::Entry* later = tree_.next(entry.key);
      if (next != there_.end()) {
        EXPECT_TRUE(later && later->key >= entry.key && later->key <= *next)
            << "at or after " << entry.key << ", where " << *next << " is";
      }
    }
  }

  const std::unique_ptr<MemorySource> memory_ = make_system_memory();
  Epoch epoch_;
  SlabAllocator nodes_{*memory_, epoch_, RadixTree::kNodeBytes};
  RadixTree tree_{nodes_, kKeys};
  // Neighbours, and others that differ from them at each level.
  std::array<RadixTree::Entry, 10> entries_{{{0},
                                             {1},
                                             {63},
                                             {64},
                                             {4096},
                                             {4097},
                                             {uint64_t{1} << 24},
                                             {(uint64_t{1} << 24) + 1},
                                             {kKeys - 64},
                                             {kKeys - 1}}};
  std::set<uint64_t> there_;
  uint64_t changing_ = UINT64_MAX;
  int looks_ = 0;
};

TEST_F(RadixTreeYield, NothingIsMissedInTheMiddleOfAChange) {
  NEEDS_YIELD_POINTS();
  const unit::AtYield at([this](std::string_view place) {
    if (place == "RadixTree::set") check();
  });
  // Each entry is once the first one, and once the last one.
  for (size_t first = 0; first < entries_.size() && !HasFailure(); ++first) {
    for (size_t i = 0; i < entries_.size(); ++i) {
      const Epoch::Guard guard(epoch_);
      RadixTree::Entry& entry = entries_[(first + i) % entries_.size()];
      changing_ = entry.key;
      ASSERT_EQ(tree_.insert(&entry), &entry);
      there_.insert(entry.key);
      check();
    }
    for (size_t i = 0; i < entries_.size(); ++i) {
      const Epoch::Guard guard(epoch_);
      changing_ = entries_[(first + 3 * i) % entries_.size()].key;
      there_.erase(changing_);
      tree_.erase(changing_, guard);
      check();
    }
  }
  EXPECT_GT(looks_, 500);
  EXPECT_EQ(nodes_.taken_blocks(), 0u);
}

}  // namespace
}  // namespace ramdisk
