// Many threads run all operations for a while and verify the data: nothing is lost, and memory does
// not grow. RAMDISK_SOAK_SECONDS sets the time for each allocator; the default is a few seconds.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "support/factory.h"
#include "support/owner.h"
#include "support/threads.h"
#include "support/waiting.h"

namespace ramdisk::conformance {
namespace {

using Clock = std::chrono::steady_clock;

int seconds() {
  const char* text = std::getenv("RAMDISK_SOAK_SECONDS");
  return text ? std::atoi(text) : 2;
}

class Soak : public testing::TestWithParam<DiskType> {};

TEST_P(Soak, NothingIsLostAndMemoryStays) {
  constexpr int kThreads = 8;
  const Slices slices{12345, 3001, kThreads, slow_build() ? 100 : 2000};
  const uint64_t disk_bytes = slices.base + slices.bytes() + 4097;
  Disk disk(GetParam(), disk_bytes);
  ASSERT_TRUE(disk.works()) << disk.status().message();
  std::vector<std::unique_ptr<Owner>> owners;
  for (int i = 0; i < kThreads; ++i) {
    owners.push_back(std::make_unique<Owner>(*disk, slices, i, Owner::Habits{}));
    ASSERT_EQ(owners.back()->write_all(), "");
  }
  // There are four parts. After each, everything is verified while no thread is working.
  std::atomic<uint64_t> operations{0};
  uint64_t memory[4];
  for (uint64_t& after : memory) {
    const auto end = Clock::now() + std::chrono::milliseconds(seconds() * 250);
    EXPECT_EQ(run_threads(kThreads,
                          [&](int i) -> std::string {
                            std::string problem;
                            while (problem.empty() && Clock::now() < end) {
                              problem = owners[i]->step();
                              operations.fetch_add(1, std::memory_order_relaxed);
                            }
                            return problem;
                          }),
              "");
    for (auto& owner : owners) EXPECT_EQ(owner->verify(), "");
    ASSERT_FALSE(HasFailure());
    // Gaps, free memory that is kept, dictionaries and pages that wait; but nothing that adds up. A
    // background thread that waits for a CPU may hold more for a moment.
    const uint64_t stored = disk->usage().stored_bytes;
    const uint64_t most = stored + stored / 6 + (12 << 20);
    comes_true([&] { return (after = disk->usage().memory_bytes) <= most; });
    EXPECT_LE(after, most);
  }
  std::printf(
      "%llu operations, %llu bytes verified at each quarter, memory then: %llu %llu %llu %llu\n",
      static_cast<unsigned long long>(operations.load()),
      static_cast<unsigned long long>(slices.bytes()), static_cast<unsigned long long>(memory[0]),
      static_cast<unsigned long long>(memory[1]), static_cast<unsigned long long>(memory[2]),
      static_cast<unsigned long long>(memory[3]));
  ASSERT_TRUE(disk->zero(disk_bytes, 0).ok());
  if (has_holes(GetParam())) {
    EXPECT_EQ(disk->usage().stored_bytes, 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Soak,
                         testing::ValuesIn(with_clones(all_allocators(), {Base::zeroed})),
                         name_of_disk);

}  // namespace
}  // namespace ramdisk::conformance
