// Block status: which ranges the server reports as holes or zeroes, and how exactly.

#include <algorithm>
#include <span>

#include "fixture.h"
#include "support/session.h"
#include "support/wire_disk.h"

namespace wire {
namespace {

using AllExtents = AllocatorTest;
INSTANTIATE_TEST_SUITE_P(, AllExtents, all_allocators(), allocator_name);
using SparseExtents = AllocatorTest;
INSTANTIATE_TEST_SUITE_P(, SparseExtents, sparse_allocators(), allocator_name);

bool all_zero(const Extents& extents) {
  return std::all_of(extents.begin(), extents.end(),
                     [](const Extent& extent) { return extent.flags & LIBNBD_STATE_ZERO; });
}

TEST_P(SparseExtents, UntouchedDiskIsOneHole) {
  const Server server(disk(GetParam(), 5 * GiB));
  const Client client(server);
  for (const uint64_t offset : {uint64_t{0}, uint64_t{1}, 128 * MiB - 1, 1 * GiB}) {
    for (const uint64_t count : {uint64_t{1}, uint64_t{4097}, 200 * MiB, 4 * GiB - 1}) {
      EXPECT_EQ((Extents{{offset, count, kHole}}), client.extents(count, offset));
    }
  }
}

TEST_P(SparseExtents, UntouchedEndOfTheLargestDisk) {
  const Server server(disk(GetParam(), kLargestDisk));
  const Client client(server);
  const uint64_t most = 0xFFFFFFFF;
  EXPECT_EQ((Extents{{kLargestDisk - most, most, kHole}}),
            client.extents(most, kLargestDisk - most));
  EXPECT_EQ((Extents{{kLargestDisk - 1, 1, kHole}}), client.extents(1, kLargestDisk - 1));
  client.write({1}, kLargestDisk - 1);
  EXPECT_EQ((Extents{{kLargestDisk - 1, 1, kData}}), client.extents(1, kLargestDisk - 1));
}

TEST_P(SparseExtents, DataIsClippedToTheRequest) {
  const Server server(disk(GetParam(), 1 * GiB));
  const Client client(server);
  const uint64_t at = 256 * MiB;
  client.write(noise(128 * KiB, 1), at);
  EXPECT_EQ((Extents{{at - 100, 100, kHole}, {at, 128 * KiB, kData}, {at + 128 * KiB, 7, kHole}}),
            client.extents(128 * KiB + 107, at - 100));
  EXPECT_EQ((Extents{{at + 5, 10, kData}}), client.extents(10, at + 5));
  EXPECT_EQ((Extents{{at + 5, 128 * KiB - 5, kData}, {at + 128 * KiB, 1, kHole}}),
            client.extents(128 * KiB - 4, at + 5));
  EXPECT_EQ((Extents{{at - 1, 1, kHole}, {at, 1, kData}}), client.extents(2, at - 1));
}

TEST_P(SparseExtents, NeighboursAreMergedAcrossDirectories) {
  const Server server(disk(GetParam(), 1 * GiB));
  const Client client(server);
  for (const uint64_t edge : {2 * MiB, 128 * MiB, 512 * MiB}) {
    client.write(noise(64 * KiB, 2), edge);
    client.write(noise(64 * KiB, 3), edge - 64 * KiB);
    EXPECT_EQ((Extents{{edge - 64 * KiB, 128 * KiB, kData}}),
              client.extents(128 * KiB, edge - 64 * KiB));
  }
  // Over the whole disk, each hole between them is one extent, although it covers many directories.
  EXPECT_EQ(7u, client.extents(1 * GiB, 0).size());
}

TEST_P(SparseExtents, OneByteTakesAtMostOneSmallPage) {
  const Server server(disk(GetParam(), 1 * GiB));
  const Client client(server);
  client.write({1}, 300 * MiB + 5000);
  EXPECT_EQ((Extents{{0, 300 * MiB + 4096, kHole},
                     {300 * MiB + 4096, 4096, kData},
                     {300 * MiB + 8192, 724 * MiB - 8192, kHole}}),
            client.extents(1 * GiB, 0));
}

TEST_P(SparseExtents, RequestOneReturnsOne) {
  const Server server(disk(GetParam(), 1 * GiB));
  const Client client(server);
  client.write(noise(64 * KiB, 4), 1 * MiB);
  client.write(noise(64 * KiB, 4), 2 * MiB);
  const uint32_t one = LIBNBD_CMD_FLAG_REQ_ONE;
  EXPECT_EQ((Extents{{0, 1 * MiB, kHole}}), client.extents(1 * GiB, 0, one));
  EXPECT_EQ((Extents{{1 * MiB, 64 * KiB, kData}}), client.extents(1 * GiB - 1 * MiB, 1 * MiB, one));
  EXPECT_EQ((Extents{{1 * MiB + 1, 9, kData}}), client.extents(9, 1 * MiB + 1, one));
}

TEST_P(SparseExtents, TrimmedAndZeroedPagesAreHoles) {
  const Server server(disk(GetParam(), 256 * MiB));
  const Client client(server);
  const Extents hole = {{0, 256 * MiB, kHole}};
  client.write(noise(8 * MiB, 5), 124 * MiB);
  client.trim(8 * MiB, 124 * MiB);
  EXPECT_EQ(hole, client.extents(256 * MiB, 0));
  client.write(noise(8 * MiB, 6), 124 * MiB);
  client.zero(8 * MiB, 124 * MiB);
  EXPECT_EQ(hole, client.extents(256 * MiB, 0));
  client.write(noise(256 * KiB, 7), 1 * MiB);
  client.trim(128 * KiB, 1 * MiB + 64 * KiB);
  EXPECT_EQ((Extents{{1 * MiB, 64 * KiB, kData},
                     {1 * MiB + 64 * KiB, 128 * KiB, kHole},
                     {1 * MiB + 192 * KiB, 64 * KiB, kData}}),
            client.extents(256 * KiB, 1 * MiB));
}

TEST_P(SparseExtents, HalfZeroedTwiceIsNotData) {
  const Server server(disk(GetParam(), 1 * MiB));
  const Client client(server);
  for (const uint64_t page : {4 * KiB, 32 * KiB, 64 * KiB}) {
    client.write(noise(page, 8), 128 * KiB);
    client.zero(page / 2, 128 * KiB);
    client.zero(page / 2, 128 * KiB + page / 2);
    EXPECT_TRUE(all_zero(client.extents(page, 128 * KiB))) << page;
    client.write(noise(page, 9), 128 * KiB);
    client.trim(page / 2, 128 * KiB + page / 2);
    client.trim(page / 2, 128 * KiB);
    EXPECT_TRUE(all_zero(client.extents(page, 128 * KiB))) << page;
  }
}

TEST_P(SparseExtents, WrittenZeroesAreNotData) {
  const Server server(disk(GetParam(), 1 * MiB));
  const Client client(server);
  client.write(Bytes(256 * KiB, 0), 64 * KiB);
  EXPECT_TRUE(all_zero(client.extents(1 * MiB, 0)));
}

TEST_P(AllExtents, AreTrueForAnyRange) {
  const uint64_t size = 6 * MiB + 1001;
  const Server server(disk(GetParam(), size));
  const Client client(server);
  WireDisk wire_disk(client, 20);
  ramdisk::support::Session session(wire_disk, size, {.holes = GetParam() != "malloc"});
  Random random(20);
  for (uint64_t i = 0; i < 200; ++i) {
    const uint64_t offset = random.below(size);
    const uint64_t count = 1 + random.below(std::min(size - offset, 200 * KiB));
    const Bytes data = random.chance(50) ? noise(count, i) : Bytes(count, 0);
    if (random.chance(50)) {
      session.write(std::as_bytes(std::span(data)), offset);
    } else {
      session.zero(count, offset);
    }
    const uint64_t from = random.below(size);
    session.check_extents_only(1 + random.below(size - from), from);
    if (HasFailure()) return;
  }
  session.check_everything();
}

// A disk that allocates all of its memory at the start has no holes, whatever is trimmed.
TEST(MallocExtents, HaveNoHoles) {
  const Server server(disk("malloc", 1 * MiB));
  const Client client(server);
  const auto is_hole = [](const Extent& extent) { return extent.flags & LIBNBD_STATE_HOLE; };
  client.write(noise(64 * KiB, 1), 0);
  client.trim(1 * MiB, 0);
  const Extents extents = client.extents(1 * MiB, 0);
  EXPECT_TRUE(std::none_of(extents.begin(), extents.end(), is_hole));
}

}  // namespace
}  // namespace wire
