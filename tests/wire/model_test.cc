// Thousands of random requests, each applied to the disk and to a model, which must agree.
//
// The seed is fixed and printed; RAMDISK_SEED in the environment gives another.

#include "fixture.h"
#include "support/session.h"
#include "support/wire_disk.h"

namespace wire {
namespace {

using ramdisk::support::Places;
using ramdisk::support::Session;

void run_model(const std::string& allocator, uint64_t size, const Places& places, int steps) {
  const Server server(disk(allocator, size));
  const Client client(server);
  ASSERT_EQ(size, client.size());
  WireDisk wire_disk(client, 1);
  Session session(wire_disk, size,
                  {.holes = allocator != "malloc",
                   .longest_request = WireDisk::kLongestRequest,
                   .page_bytes = WireDisk::kPageBytes});
  Random random(2);
  random_steps(session, places, steps, 2 * MiB, random);
}

using RandomRequests = AllocatorTest;
INSTANTIATE_TEST_SUITE_P(, RandomRequests, all_allocators(), allocator_name);
using SparseRandomRequests = AllocatorTest;
INSTANTIATE_TEST_SUITE_P(, SparseRandomRequests, sparse_allocators(), allocator_name);

TEST_P(RandomRequests, AllOfASmallDisk) {
  constexpr uint64_t kSize = 4 * MiB + 321;
  run_model(GetParam(), kSize, Places(kSize), 3000);
}

TEST_P(RandomRequests, AroundADirectoryEdge) {
  constexpr uint64_t kSize = 132 * MiB;
  run_model(GetParam(), kSize, Places(kSize, {128 * MiB}), 1500);
}

TEST_P(SparseRandomRequests, AroundAnEdgeOfALargeDisk) {
  run_model(GetParam(), kLargestDisk, Places(kLargestDisk, {1024 * GiB}), 1500);
}

TEST_P(SparseRandomRequests, EndOfTheLargestDisk) {
  run_model(GetParam(), kLargestDisk, Places(kLargestDisk, {kLargestDisk}), 1500);
}

}  // namespace
}  // namespace wire
