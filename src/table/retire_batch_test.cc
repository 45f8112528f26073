// RetireBatch: every block added is retired once, and kept until the readers have let go.

#include "table/retire_batch.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "memory/memory_source.h"
#include "support/data.h"

namespace ramdisk {
namespace {

constexpr size_t kBlock = 4096;

class RetireBatchTest : public testing::TestWithParam<size_t> {
 protected:
  // Allocates blocks and fills each with its index.
  std::vector<std::byte*> allocate_filled(size_t count) {
    std::vector<std::byte*> blocks;
    while (blocks.size() < count) {
      blocks.push_back(slabs_.allocate(1).base);
      unit::fill_pattern({blocks.back(), kBlock}, blocks.size() - 1);
    }
    return blocks;
  }

  const std::unique_ptr<MemorySource> memory_ = make_system_memory();
  Epoch epoch_;
  SlabAllocator slabs_{*memory_, epoch_, kBlock};
};

TEST_P(RetireBatchTest, AllAreRetiredWhenItEnds) {
  const size_t count = GetParam();
  const std::vector<std::byte*> blocks = allocate_filled(count + 3);
  {
    const Epoch::Guard guard(epoch_);
    RetireBatch batch(slabs_, guard);
    for (size_t i = 0; i < count; ++i) {
      batch.add(blocks[i]);
      // They are retired in pieces, none early and none twice.
      ASSERT_LE(slabs_.taken_blocks(), count + 3);
      ASSERT_GE(slabs_.taken_blocks(), count + 3 - (i + 1));
    }
  }
  EXPECT_EQ(slabs_.taken_blocks(), 3u);
  for (size_t i = count; i < count + 3; ++i) {
    EXPECT_TRUE(unit::has_pattern({blocks[i], kBlock}, i)) << "one that was not added";
  }
}

TEST_P(RetireBatchTest, ReadersKeepThem) {
  const size_t count = GetParam();
  const std::vector<std::byte*> blocks = allocate_filled(count);
  std::optional<Epoch::Guard> reader(std::in_place, epoch_);
  {
    const Epoch::Guard guard(epoch_);
    RetireBatch batch(slabs_, guard);
    for (std::byte* block : blocks) batch.add(block);
  }
  const std::vector<std::byte*> others = allocate_filled(count);
  for (size_t i = 0; i < count; ++i) {
    EXPECT_TRUE(unit::has_pattern({blocks[i], kBlock}, i));
    EXPECT_EQ(std::count(blocks.begin(), blocks.end(), others[i]), 0);
  }
  reader.reset();
  EXPECT_EQ(slabs_.taken_blocks(), count);
}

INSTANTIATE_TEST_SUITE_P(Counts, RetireBatchTest,
                         testing::Values<size_t>(0, 1, 63, 64, 65, 127, 128, 129, 300),
                         [](const auto& test) { return std::to_string(test.param); });

}  // namespace
}  // namespace ramdisk
