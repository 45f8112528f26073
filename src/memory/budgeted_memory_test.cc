// BudgetedMemory: what counts is what is present.

#include "memory/budgeted_memory.h"

#include <gtest/gtest.h>

#include "support/failing_memory.h"

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

// Two disks with one budget: each knows its own part, and what the other has taken is not there for
// it.
TEST(BudgetedMemoryShared, OneLimitForAll) {
  auto inner = std::make_shared<FailingMemory>();
  auto budget =
      std::make_shared<Budget>(Budget::Options{.limit = 48 * kMiB, .probe = {}, .on_mark = {}});
  auto first = std::make_unique<BudgetedMemory>(inner, budget);
  BudgetedMemory second(inner, budget);
  void* const a = first->map(32 * kMiB, 4096, false);
  void* const b = second.map(32 * kMiB, 4096, false);
  EXPECT_TRUE(first->populate(a, 30 * kMiB));
  EXPECT_FALSE(second.populate(b, 19 * kMiB));
  EXPECT_TRUE(second.populate(b, 8 * kMiB));
  EXPECT_TRUE(second.charge(kMiB, Claim::data));
  EXPECT_EQ(first->used(), 30 * kMiB);
  EXPECT_EQ(second.used(), 9 * kMiB);
  EXPECT_EQ(budget->used(), 39 * kMiB);
  // 1/48 of the limit is kept for changes.
  EXPECT_TRUE(second.admits_new(16 * kMiB));
  EXPECT_FALSE(second.admits_new(17 * kMiB + kMiB / 2)) << "the other disk has 30 MiB";
  // Each reserves for itself, until its end.
  first->keep_for_reclaim(kMiB);
  second.keep_for_reclaim(kMiB);
  EXPECT_FALSE(second.admits_new(15 * kMiB));
  EXPECT_FALSE(second.populate(static_cast<std::byte*>(b) + 8 * kMiB, 8 * kMiB));
  first->unmap(a, 32 * kMiB);
  first.reset();
  EXPECT_EQ(budget->used(), 9 * kMiB);
  EXPECT_TRUE(second.admits_new(45 * kMiB));
  second.unmap(b, 32 * kMiB);
  second.uncharge(kMiB);
  EXPECT_EQ(budget->used(), 0u);
}

}  // namespace
}  // namespace ramdisk
