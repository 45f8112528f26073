// Many threads that need slabs at the same moment: few of them make one, the others wait for it,
// and none waits for ever.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "base/cpus.h"
#include "support/failing_memory.h"
#include "support/threads.h"
#include "table/slab_allocator.h"

namespace ramdisk {
namespace {

constexpr size_t kBlock = 4096;

// Takes its time for whole slabs, and counts the threads that wait for that. Can have none.
class SlowMemory final : public conformance::FailingMemory {
 public:
  bool populate(void* base, size_t bytes) override {
    if (bytes != SlabAllocator::kSlabBytes) return FailingMemory::populate(base, bytes);
    const int now = now_.fetch_add(1) + 1;
    int most = most_.load();
    while (now > most && !most_.compare_exchange_weak(most, now)) {
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    now_.fetch_sub(1);
    return !refuses_slabs && FailingMemory::populate(base, bytes);
  }

  int most() const { return most_.load(); }

  std::atomic<bool> refuses_slabs{false};

 private:
  std::atomic<int> now_{0};
  std::atomic<int> most_{0};
};

class SlabGrowthThreads : public testing::Test {
 protected:
  static constexpr int kThreads = 16;

  // Each thread takes `runs` of `blocks`, at least one block each. Returns how many blocks all got.
  uint64_t allocate(int runs, size_t blocks) {
    std::atomic<uint64_t> got{0};
    unit::run_threads(kThreads, [&](int) {
      for (int i = 0; i < runs; ++i) got += slabs_.allocate(blocks).count;
    });
    return got.load();
  }

  SlowMemory memory_;
  Epoch epoch_;
  SlabAllocator slabs_{memory_, epoch_, kBlock};
};

TEST_F(SlabGrowthThreads, FewMakeASlabAtOnce) {
  const uint64_t got = allocate(20, 64);
  EXPECT_EQ(slabs_.taken_blocks(), got);
  const uint64_t stored = got * kBlock;
  const uint64_t makers = std::min<uint64_t>(cpus(), 2 + slabs_.held_bytes() / (64 << 20));
  EXPECT_LE(static_cast<uint64_t>(memory_.most()), makers);
  // Headers, and what the last slabs still have.
  EXPECT_LE(slabs_.held_bytes(), stored + stored / 256 + (makers + 1) * SlabAllocator::kSlabBytes);
}

// Those who wait find nothing when a slab could not be made, and go on with small pages.
TEST_F(SlabGrowthThreads, NoneWaitsForSlabsThatCannotBeMade) {
  memory_.refuses_slabs = true;
  const uint64_t got = allocate(10, 64);
  EXPECT_EQ(slabs_.taken_blocks(), got);
  EXPECT_GE(got, uint64_t{kThreads} * 10);
}

TEST_F(SlabGrowthThreads, NoneWaitsForMemoryThatHasEnded) {
  allocate(1, 512);
  memory_.fail_from(0);
  allocate(10, 64);
  EXPECT_EQ(slabs_.allocate(1).count, 0u);
}

}  // namespace
}  // namespace ramdisk
