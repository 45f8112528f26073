// SlabAllocator on many threads: no block has two owners, and readers see a block unchanged until
// they let go.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <string>
#include <vector>

#include "support/data.h"
#include "support/failing_memory.h"
#include "support/threads.h"
#include "table/slab_allocator.h"

namespace ramdisk {
namespace {

using conformance::Rng;
using conformance::scaled;
using unit::fill_pattern;
using unit::has_pattern;

constexpr size_t kBlock = 4096;
constexpr size_t kTagged = 256;  // bytes of a block that a test fills and checks

// A worker owns the blocks it allocates: no other thread may write there until it lets go.
class Owner {
 public:
  Owner(SlabAllocator& slabs, Epoch& epoch, uint64_t stream)
      : slabs_(slabs), epoch_(epoch), rng_(stream), next_tag_(stream << 32) {}

  void step() {
    const uint64_t choice = rng_.below(100);
    if (choice < 50 && blocks_.size() < 600) {
      allocate(1 + rng_.below(100));
    } else if (choice < 75) {
      retire(1 + rng_.below(100));
    } else {
      free();
    }
  }

  void retire(size_t most) {
    const Epoch::Guard guard(epoch_);
    std::vector<std::byte*> retired;
    while (!blocks_.empty() && retired.size() < most) retired.push_back(release());
    slabs_.retire(retired, guard);
  }

  bool empty() const { return blocks_.empty(); }

 private:
  struct Block {
    std::byte* base;
    uint64_t tag;
  };

  void allocate(size_t most) {
    const SlabAllocator::Run run = slabs_.allocate(most);
    ASSERT_NE(run.base, nullptr);
    for (size_t i = 0; i < run.count; ++i) {
      std::byte* const block = run.base + i * kBlock;
      ASSERT_TRUE(!run.zeroed || conformance::all_zero({block, kTagged}));
      fill_pattern({block, kTagged}, next_tag_);
      blocks_.push_back({block, next_tag_++});
    }
  }

  void free() {
    if (!blocks_.empty()) slabs_.free({release(), 1, false});
  }

  std::byte* release() {
    std::swap(blocks_[rng_.below(blocks_.size())], blocks_.back());
    const Block block = blocks_.back();
    blocks_.pop_back();
    EXPECT_TRUE(has_pattern({block.base, kTagged}, block.tag)) << "someone else wrote here";
    return block.base;
  }

  SlabAllocator& slabs_;
  Epoch& epoch_;
  Rng rng_;
  uint64_t next_tag_;
  std::vector<Block> blocks_;
};

void own(MemorySource& memory, int threads, int steps) {
  SCOPED_TRACE(std::to_string(threads) + " threads");
  Epoch epoch;
  SlabAllocator slabs(memory, epoch, kBlock);
  unit::run_threads(threads, [&](int i) {
    Owner owner(slabs, epoch, static_cast<uint64_t>(i) + 1);
    for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) owner.step();
    while (!owner.empty()) owner.retire(1000);
  });
  EXPECT_EQ(slabs.taken_blocks(), 0u);
  // The first slab, the spare, and those that threads which grew at the same moment did not need.
  const uint64_t unused = std::min<uint64_t>(static_cast<uint64_t>(threads), 3);
  EXPECT_LE(slabs.held_bytes(), (2 + unused) * SlabAllocator::kSlabBytes);
}

TEST(SlabAllocatorThreads, NoBlockHasTwoOwners) {
  const auto memory = make_system_memory();
  own(*memory, 1, scaled(6000));
  own(*memory, 4, scaled(6000));
  own(*memory, 16, scaled(800));
}

// One call in eight fails: allocate() may then return nothing.
TEST(SlabAllocatorThreads, FailingMemoryLosesNoBlock) {
  conformance::FailingMemory memory;
  memory.fail_one_in(8);
  Epoch epoch;
  {
    SlabAllocator slabs(memory, epoch, kBlock);
    unit::run_threads(4, [&](int i) {
      Rng rng(static_cast<uint64_t>(i));
      std::vector<SlabAllocator::Run> runs;
      for (int step = 0; step < scaled(2000); ++step) {
        if (rng.chance(60)) {
          const SlabAllocator::Run run = slabs.allocate(1 + rng.below(64));
          if (run.base) runs.push_back(run);
        } else if (!runs.empty()) {
          slabs.free(runs.back());
          runs.pop_back();
        }
      }
      for (const SlabAllocator::Run& run : runs) slabs.free(run);
    });
    EXPECT_GT(memory.failures(), 0u);
    EXPECT_EQ(slabs.taken_blocks(), 0u);
  }
  EXPECT_EQ(memory.mapped_bytes(), 0u);
  EXPECT_EQ(memory.misuse(), "");
}

// Blocks that all threads see: the first eight bytes of each say with what it is filled.
class Shared {
 public:
  explicit Shared(MemorySource& memory) : slabs_(memory, epoch_, kBlock) {
    for (auto& slot : slots_) slot.store(make(1));
  }

  void step(Rng& rng) {
    const Epoch::Guard guard(epoch_);
    auto& slot = slots_[rng.below(slots_.size())];
    const std::byte* block = slot.load(std::memory_order_acquire);
    if (rng.chance(30)) {
      std::byte* fresh = make(rng.next());
      ASSERT_NE(fresh, nullptr);
      std::byte* old = slot.exchange(fresh, std::memory_order_acq_rel);
      slabs_.retire({&old, 1}, guard);
      block = old;
    }
    check(block);
  }

  void clear() {
    const Epoch::Guard guard(epoch_);
    for (auto& slot : slots_) {
      std::byte* block = slot.exchange(nullptr);
      check(block);
      slabs_.retire({&block, 1}, guard);
    }
  }

  SlabAllocator& slabs() { return slabs_; }

 private:
  std::byte* make(uint64_t tag) {
    const SlabAllocator::Run run = slabs_.allocate(1);
    if (!run.base) return nullptr;
    std::memcpy(run.base, &tag, sizeof tag);
    fill_pattern({run.base + sizeof tag, kTagged}, tag);
    return run.base;
  }

  static void check(const std::byte* block) {
    uint64_t tag = 0;
    std::memcpy(&tag, block, sizeof tag);
    ASSERT_TRUE(has_pattern({block + sizeof tag, kTagged}, tag));
  }

  Epoch epoch_;
  SlabAllocator slabs_;
  std::array<std::atomic<std::byte*>, 700> slots_;  // more than a slab has blocks
};

void share(int threads, int steps) {
  SCOPED_TRACE(std::to_string(threads) + " threads");
  const auto memory = make_system_memory();
  Shared shared(*memory);
  unit::run_threads(threads, [&](int i) {
    Rng rng(static_cast<uint64_t>(i) + 1);
    for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) shared.step(rng);
  });
  shared.clear();
  EXPECT_EQ(shared.slabs().taken_blocks(), 0u);
}

TEST(SlabAllocatorThreads, ReadersSeeWhatTheyHold) {
  share(1, scaled(20000));
  share(4, scaled(20000));
  share(16, scaled(3000));
}

}  // namespace
}  // namespace ramdisk
