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

}  // namespace
}  // namespace ramdisk
