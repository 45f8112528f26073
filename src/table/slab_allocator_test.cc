// SlabAllocator against a model of which blocks are taken or retired, and of the bytes that each
// must hold.

#include "table/slab_allocator.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/data.h"
#include "support/failing_memory.h"

namespace ramdisk {
namespace {

using conformance::FailingMemory;
using conformance::Rng;
using conformance::scaled;
using unit::fill_pattern;
using unit::has_pattern;

constexpr size_t kLargestBlock = SlabAllocator::kSlabBytes - SlabAllocator::kHeaderBytes;
constexpr std::array<size_t, 8> kBlockSizes = {SlabAllocator::kMinBlockBytes,
                                               576,
                                               2112,
                                               4096,
                                               8192,
                                               size_t{73} * 4096,
                                               size_t{1} << 20,
                                               kLargestBlock};
constexpr std::array<size_t, 10> kCounts = {1, 1, 2, 63, 64, 65, 510, 511, 512, 5000};

// Every block that is not free is filled with a tag of its own.
class Model {
 public:
  Model(MemorySource& memory, size_t block_bytes, uint64_t stream)
      : slabs_(memory, epoch_, block_bytes),
        bytes_(block_bytes),
        alignment_(block_bytes % 4096 == 0 ? 4096 : 64),
        most_taken_((7u << 20) / block_bytes + 3),
        rng_(stream) {}

  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) {
      const uint64_t choice = rng_.below(100);
      if (choice < 40 && addresses_.size() < most_taken_) {
        allocate(rng_.pick(kCounts));
      } else if (choice < 60) {
        rng_.chance(30) ? allocate_in_vain(rng_.pick(kCounts)) : free(rng_.pick(kCounts));
      } else if (choice < 90) {
        retire(rng_.pick(kCounts));
      } else {
        toggle_pin();
      }
      check_sums();
    }
  }

  void allocate(size_t most) {
    const SlabAllocator::Run run = slabs_.allocate(most);
    ASSERT_NE(run.base, nullptr);
    ASSERT_GE(run.count, 1u);
    ASSERT_LE(run.count, most);
    for (size_t i = 0; i < run.count; ++i) {
      std::byte* const block = run.base + i * bytes_;
      ASSERT_EQ(reinterpret_cast<uintptr_t>(block) % alignment_, 0u);
      ASSERT_FALSE(retired_.contains(block)) << "a reader may still see this one";
      ASSERT_TRUE(taken_.try_emplace(block, Taken{addresses_.size(), next_tag_}).second);
      ASSERT_FALSE(run.zeroed && !conformance::all_zero({block, bytes_}));
      addresses_.push_back(block);
      fill_pattern({block, bytes_}, next_tag_++);
      check_block_of(block);
    }
  }

  // Blocks that nobody has written to are freed as they came.
  void allocate_in_vain(size_t most) {
    const SlabAllocator::Run run = slabs_.allocate(most);
    ASSERT_GE(run.count, 1u);
    slabs_.free(run);
  }

  // Frees up to `most` neighbours, from a random block on.
  void free(size_t most) {
    if (addresses_.empty()) return;
    std::byte* const base = rng_.pick(addresses_);
    size_t count = 0;
    for (; count < most && taken_.contains(base + count * bytes_); ++count) {
      forget(base + count * bytes_);
    }
    slabs_.free({base, count, false});
  }

  void retire(size_t most) {
    const Epoch::Guard guard(epoch_);
    std::vector<std::byte*> blocks;
    while (blocks.size() < most && !addresses_.empty()) {
      std::byte* const block = rng_.pick(addresses_);
      const uint64_t tag = taken_.at(block).tag;
      forget(block);
      if (pin_) retired_[block] = tag;
      blocks.push_back(block);
    }
    slabs_.retire(blocks, guard);
    for (std::byte* block : blocks) ASSERT_EQ(slabs_.block_of(block), block);
  }

  // Starts or ends the pin of a slow reader: nothing that is retired meanwhile may change.
  void toggle_pin() {
    if (!pin_) {
      pin_.emplace(epoch_);
      return;
    }
    for (const auto& [block, tag] : retired_) {
      ASSERT_TRUE(has_pattern({block, bytes_}, tag)) << "changed under a reader";
    }
    retired_.clear();
    pin_.reset();
  }

  void check_sums() const {
    ASSERT_EQ(slabs_.taken_blocks(), taken_.size());
    ASSERT_GE(slabs_.held_bytes(), (taken_.size() + retired_.size()) * bytes_);
  }

  void return_everything() {
    while (!addresses_.empty()) retire(1000);
    if (pin_) toggle_pin();
    ASSERT_EQ(slabs_.taken_blocks(), 0u);
  }

  SlabAllocator& slabs() { return slabs_; }

 private:
  struct Taken {
    size_t index;  // in addresses_
    uint64_t tag;
  };

  void forget(std::byte* block) {
    const auto it = taken_.find(block);
    ASSERT_TRUE(has_pattern({block, bytes_}, it->second.tag)) << "someone else wrote here";
    std::byte* const last = addresses_.back();
    taken_.at(last).index = it->second.index;
    addresses_[it->second.index] = last;
    addresses_.pop_back();
    taken_.erase(it);
  }

  void check_block_of(std::byte* block) {
    for (const size_t inside : {size_t{0}, size_t{1}, bytes_ / 2, bytes_ - 1}) {
      ASSERT_EQ(slabs_.block_of(block + inside), block);
    }
  }

  Epoch epoch_;
  SlabAllocator slabs_;
  const size_t bytes_;
  const size_t alignment_;
  const size_t most_taken_;
  Rng rng_;
  uint64_t next_tag_ = 1;
  std::map<std::byte*, Taken> taken_;
  std::vector<std::byte*> addresses_;       // of those taken, in no order
  std::map<std::byte*, uint64_t> retired_;  // under pin_, with their tags
  std::optional<Epoch::Guard> pin_;
};

class SlabAllocatorModel : public testing::TestWithParam<size_t> {};

TEST_P(SlabAllocatorModel, RandomSteps) {
  FailingMemory memory;
  {
    Model model(memory, GetParam(), GetParam());
    ASSERT_EQ(model.slabs().block_bytes(), GetParam());
    ASSERT_EQ(model.slabs().held_bytes(), 0u) << "an unused allocator holds nothing";
    model.run(scaled(400));
    if (HasFatalFailure()) return;
    model.return_everything();
    // The first slab and one spare stay.
    EXPECT_LE(model.slabs().held_bytes(), 2 * SlabAllocator::kSlabBytes);
    EXPECT_LE(memory.mapped_bytes(), 2 * SlabAllocator::kSlabBytes);
  }
  EXPECT_EQ(memory.mapped_bytes(), 0u);
  EXPECT_EQ(memory.misuse(), "");
}

TEST_P(SlabAllocatorModel, RandomStepsWhereNothingCanBeDiscarded) {
  FailingMemory memory(make_portable_memory());
  {
    Model model(memory, GetParam(), GetParam() + 1);
    model.run(scaled(200));
    if (HasFatalFailure()) return;
    model.return_everything();
    EXPECT_LE(memory.mapped_bytes(), 2 * SlabAllocator::kSlabBytes);
  }
  EXPECT_EQ(memory.mapped_bytes(), 0u);
  EXPECT_EQ(memory.misuse(), "");
}

// The destructor unmaps everything, whatever is still allocated.
TEST_P(SlabAllocatorModel, DestructorUnmapsTakenAndFree) {
  FailingMemory memory;
  {
    Model model(memory, GetParam(), GetParam() + 2);
    model.run(40);
    while (model.slabs().taken_blocks() * GetParam() < 2 * SlabAllocator::kSlabBytes)
      model.allocate(64);
    EXPECT_GE(memory.mapped_bytes(), 2 * SlabAllocator::kSlabBytes);
  }
  EXPECT_EQ(memory.mapped_bytes(), 0u);
  EXPECT_EQ(memory.misuse(), "");
}

INSTANTIATE_TEST_SUITE_P(BlockSizes, SlabAllocatorModel, testing::ValuesIn(kBlockSizes),
                         [](const auto& test) { return std::to_string(test.param); });

// Allocates all that a slab has, in one run and block by block, at every edge of a bitmap word.
TEST(SlabAllocator, RunsCrossTheWordsOfTheBitmap) {
  constexpr size_t kBlocks = kLargestBlock / 4096;  // of a slab
  FailingMemory memory;
  Epoch epoch;
  memory.limit(256 << 20);  // several times what is needed, so that a wrong count ends
  SlabAllocator slabs(memory, epoch, 4096);
  while (slabs.taken_blocks() < kBlocks) ASSERT_GT(slabs.allocate(kBlocks).count, 0u);
  for (const size_t most : {size_t{1}, size_t{63}, size_t{64}, size_t{65}, kBlocks - 1, kBlocks,
                            kBlocks + 1, size_t{5000}}) {
    SCOPED_TRACE(most);
    const SlabAllocator::Run run = slabs.allocate(most);
    EXPECT_EQ(run.count, std::min(most, kBlocks)) << "an empty slab has neighbours enough";
    EXPECT_TRUE(run.zeroed);
    slabs.free(run);
    const SlabAllocator::Run untouched = slabs.allocate(most);
    EXPECT_EQ(untouched.count, run.count);
    EXPECT_TRUE(untouched.zeroed) << "nobody has written to them";
    slabs.free({untouched.base, untouched.count, false});
    const SlabAllocator::Run dirty = slabs.allocate(most);
    EXPECT_EQ(dirty.count, run.count);
    EXPECT_FALSE(dirty.zeroed);
    while (slabs.taken_blocks() % kBlocks != 0) {  // until the next slab is empty again
      ASSERT_GT(slabs.allocate(kBlocks).count, 0u);
    }
  }
}

// A run never joins blocks that are zeroed and blocks that are not.
TEST(SlabAllocator, RunIsZeroedAsAWholeOrDirtyAsAWhole) {
  FailingMemory memory;
  Epoch epoch;
  SlabAllocator slabs(memory, epoch, 4096);
  const SlabAllocator::Run first = slabs.allocate(15);  // all that the first step of a slab has
  ASSERT_EQ(first.count, 15u);
  for (size_t i = 0; i < 15; ++i) fill_pattern({first.base + i * 4096, 4096}, i);
  slabs.free({first.base + 4 * 4096, 3, false});
  const SlabAllocator::Run dirty = slabs.allocate(64);
  EXPECT_EQ(dirty.base, first.base + 4 * 4096);
  EXPECT_EQ(dirty.count, 3u);
  EXPECT_FALSE(dirty.zeroed);
  const SlabAllocator::Run zeroed = slabs.allocate(64);
  EXPECT_TRUE(zeroed.zeroed);
  EXPECT_TRUE(conformance::all_zero({zeroed.base, zeroed.count * 4096}));
}

TEST(SlabAllocator, FreeingNothingDoesNothing) {
  FailingMemory memory;
  Epoch epoch;
  SlabAllocator slabs(memory, epoch, 4096);
  slabs.free({});
  const Epoch::Guard guard(epoch);
  slabs.retire({}, guard);
  EXPECT_EQ(slabs.taken_blocks(), 0u);
  EXPECT_EQ(memory.calls(), 0u);
}

// Blocks of one slab that are retired in different epochs are freed each in its own time.
TEST(SlabAllocator, OneSlabInSeveralEpochs) {
  FailingMemory memory;
  Epoch epoch;
  SlabAllocator slabs(memory, epoch, 4096);
  constexpr size_t kBlocks = 15;
  const SlabAllocator::Run run = slabs.allocate(kBlocks);
  ASSERT_EQ(run.count, kBlocks);
  for (size_t i = 0; i < kBlocks; ++i) fill_pattern({run.base + i * 4096, 4096}, i);
  std::vector<std::unique_ptr<Epoch::Guard>> readers;
  for (size_t i = 0; i < kBlocks; ++i) {
    readers.push_back(std::make_unique<Epoch::Guard>(epoch));
    std::byte* block = run.base + i * 4096;
    slabs.retire({&block, 1}, *readers.back());
    if (i >= 3) readers[i - 3].reset();
    for (size_t kept = i < 3 ? 0 : i - 2; kept <= i; ++kept) {
      ASSERT_TRUE(has_pattern({run.base + kept * 4096, 4096}, kept));
    }
    // No block that a reader may still see is handed out now.
    const SlabAllocator::Run other = slabs.allocate(1);
    for (size_t kept = i < 3 ? 0 : i - 2; kept <= i; ++kept) {
      ASSERT_NE(other.base, run.base + kept * 4096);
    }
    std::fill_n(other.base, 4096, std::byte{0xff});
  }
  readers.clear();
  EXPECT_EQ(slabs.taken_blocks(), kBlocks);
}

}  // namespace
}  // namespace ramdisk
