// BudgetedMemory: what counts is what is present.

#include "memory/budgeted_memory.h"

#include <gtest/gtest.h>

#include <cstring>

#include "support/failing_memory.h"
#include "table/slab_allocator.h"

namespace ramdisk {
namespace {

using conformance::FailingMemory;

constexpr size_t kMiB = size_t{1} << 20;

class BudgetedMemoryTest : public testing::Test {
 protected:
  BudgetedMemoryTest() {
    auto inner = std::make_unique<FailingMemory>();
    inner_ = inner.get();
    memory_ = std::make_unique<BudgetedMemory>(
        std::move(inner), Budget::Options{.limit = 8 * kMiB, .probe = {}, .on_mark = {}});
  }
  uint64_t used() const { return memory_->budget().used(); }
  std::byte* map(size_t bytes) { return static_cast<std::byte*>(memory_->map(bytes, 4096, false)); }

  FailingMemory* inner_;
  std::unique_ptr<BudgetedMemory> memory_;
};

TEST_F(BudgetedMemoryTest, CountsWhatIsPresent) {
  std::byte* first = map(4 * kMiB);
  std::byte* second = map(64 * kMiB);
  EXPECT_EQ(used(), 0u) << "addresses cost nothing";
  EXPECT_TRUE(memory_->populate(first, 4 * kMiB));
  EXPECT_TRUE(memory_->populate(second + 32 * kMiB, kMiB));
  EXPECT_EQ(used(), 5 * kMiB);
  EXPECT_TRUE(memory_->discard(first + kMiB, 2 * kMiB));
  EXPECT_EQ(used(), 3 * kMiB);
  EXPECT_TRUE(memory_->populate(first + kMiB, kMiB));
  memory_->unmap(first, 4 * kMiB);
  EXPECT_EQ(used(), kMiB);
  memory_->unmap(second, 64 * kMiB);
  EXPECT_EQ(used(), 0u);
  EXPECT_EQ(inner_->misuse(), "");
}

TEST_F(BudgetedMemoryTest, RefusesBeforeTheSystemIsAsked) {
  std::byte* base = map(16 * kMiB);
  EXPECT_TRUE(memory_->populate(base, 8 * kMiB));
  inner_->fail_from(UINT64_MAX);
  EXPECT_FALSE(memory_->populate(base + 8 * kMiB, 4096));
  EXPECT_EQ(inner_->calls(), 0u);
  EXPECT_EQ(memory_->budget().why().errnum(), ENOSPC);
  EXPECT_EQ(used(), 8 * kMiB);
  memory_->unmap(base, 16 * kMiB);
}

TEST_F(BudgetedMemoryTest, WhatTheSystemRefusesDoesNotCount) {
  std::byte* base = map(kMiB);
  inner_->fail_from(0);
  EXPECT_FALSE(memory_->populate(base, kMiB));
  EXPECT_EQ(used(), 0u);
  EXPECT_EQ(memory_->budget().why().errnum(), ENOMEM);
  EXPECT_EQ(map(kMiB), nullptr);
  inner_->allow();
  memory_->unmap(base, kMiB);
}

TEST_F(BudgetedMemoryTest, WhatCannotBeDiscardedCounts) {
  std::byte* base = map(kMiB);
  EXPECT_TRUE(memory_->populate(base, kMiB));
  inner_->refuse_discard(true);
  EXPECT_FALSE(memory_->discard(base, kMiB));
  EXPECT_EQ(used(), kMiB);
  memory_->unmap(base, kMiB);
  EXPECT_EQ(used(), 0u);
}

// A SlabAllocator and the budget agree on how much is held, whatever the allocator does, and nearly
// all of a budget is of use though slabs are large.
TEST_F(BudgetedMemoryTest, ASlabAllocatorUsesItUp) {
  Epoch epoch;
  SlabAllocator slabs(*memory_, epoch, 4096);
  std::vector<std::byte*> pages;
  for (SlabAllocator::Run run = slabs.allocate(1); run.base; run = slabs.allocate(1)) {
    std::memset(run.base, 1, 4096);
    pages.push_back(run.base);
    ASSERT_EQ(used(), slabs.held_bytes());
  }
  EXPECT_GT(pages.size() * 4096, 8 * kMiB - 128 * 1024);
  for (std::byte* page : pages) {
    const Epoch::Guard guard(epoch);
    slabs.retire({&page, 1}, guard);
  }
  epoch.collect();
  slabs.release_free();
  EXPECT_EQ(used(), slabs.held_bytes());
  EXPECT_LE(used(), 3 * kMiB);
}

}  // namespace
}  // namespace ramdisk
