// Requests that end before, at and behind the boundaries inside a disk and at its end.

#include <algorithm>

#include "fixture.h"

namespace wire {
namespace {

using Edges = AllocatorTest;
INSTANTIATE_TEST_SUITE_P(, Edges, all_allocators(), allocator_name);
using SparseEdges = AllocatorTest;
INSTANTIATE_TEST_SUITE_P(, SparseEdges, sparse_allocators(), allocator_name);

// Writes, zeroes and trims ranges around `edge`, and compares all bytes within 64 KiB of it.
void check_edge(const Client& client, uint64_t edge) {
  const uint64_t reach = 64 * KiB;
  const uint64_t low = edge - reach;
  const uint64_t span = std::min(2 * reach, client.size() - low);
  Bytes model = client.read(span, low);  // tests of a nearby edge may have left data
  const uint64_t before[] = {reach, 32 * KiB + 1, 4097, 4096, 1, 0};
  const uint64_t after[] = {0, 1, 4095, 4096, 32 * KiB, reach};
  uint64_t seed = edge;
  for (const uint64_t b : before) {
    for (const uint64_t a : after) {
      const uint64_t from = reach - b;
      const uint64_t count = std::min(reach + a, span) - from;
      if (count == 0) continue;
      const auto target = model.begin() + static_cast<int64_t>(from);
      const Bytes data = ++seed % 2 ? noise(count, seed) : text(count, seed);
      client.write(data, low + from);
      std::copy(data.begin(), data.end(), target);
      ASSERT_EQ(model, client.read(span, low)) << "write " << count << " at " << low + from;
      // Removes half of what was written, so that the next round finds both data and holes.
      const uint64_t half = (count + 1) / 2;
      seed % 3 ? client.zero(half, low + from) : client.trim(half, low + from);
      std::fill_n(target, half, uint8_t{0});
      ASSERT_EQ(model, client.read(span, low)) << "zero " << half << " at " << low + from;
    }
  }
}

TEST_P(Edges, InsideASmallDisk) {
  const Server server(disk(GetParam(), 130 * MiB));
  const Client client(server);
  for (const uint64_t edge : {64 * KiB, 64 * KiB + 4096, 96 * KiB, 1 * MiB, 2 * MiB, 4 * MiB,
                              32 * MiB, 64 * MiB, 128 * MiB}) {
    check_edge(client, edge);
  }
}

TEST_P(SparseEdges, InsideALargeDisk) {
  const Server server(disk(GetParam(), kLargestDisk));
  const Client client(server);
  for (unsigned bit = 20; bit < 63; ++bit) check_edge(client, uint64_t{1} << bit);
  for (unsigned bit = 31; bit < 63; bit += 5) check_edge(client, (uint64_t{1} << bit) - 128 * MiB);
}

TEST_P(Edges, EndOfTheDisk) {
  for (const uint64_t size : {1 * MiB, 1 * MiB + 1, 2 * MiB - 1, 128 * MiB + 4095}) {
    const Server server(disk(GetParam(), size));
    check_edge(Client(server), size);
  }
}

TEST_P(SparseEdges, EndOfTheLargestDisk) {
  const Server server(disk(GetParam(), kLargestDisk));
  const Client client(server);
  check_edge(client, kLargestDisk);
  client.write({42}, kLargestDisk - 1);
  EXPECT_EQ(Bytes{42}, client.read(1, kLargestDisk - 1));
  const Bytes data = text(64 * MiB, 1);
  client.write(data, kLargestDisk - 64 * MiB);
  EXPECT_TRUE(data == client.read(64 * MiB, kLargestDisk - 64 * MiB));
  // The largest possible request, ending at the end of the disk.
  const uint64_t most = 0xFFFFFFFF;
  client.zero(most, kLargestDisk - most);
  EXPECT_EQ(Bytes(64 * MiB, 0), client.read(64 * MiB, kLargestDisk - 64 * MiB));
  EXPECT_EQ(Bytes{0}, client.read(1, kLargestDisk - 1));
}

// A range over many directories, of which only some hold data.
TEST_P(SparseEdges, AcrossManyDirectories) {
  const Server server(disk(GetParam(), 16 * GiB));
  const Client client(server);
  const Bytes data = noise(10'000, 2);
  const std::vector<uint64_t> offsets = {0, 100 * MiB, 1 * GiB - 5'000, 3 * GiB + 1,
                                         4 * GiB - 10'000};
  for (const uint64_t offset : offsets) client.write(data, offset);
  client.zero(4 * GiB - 10'001, 5'000);
  EXPECT_EQ(Bytes(data.begin(), data.begin() + 5'000), client.read(5'000, 0));
  for (const uint64_t offset : {uint64_t{5'000}, offsets[1], offsets[2], offsets[3]}) {
    EXPECT_EQ(Bytes(5'000, 0), client.read(5'000, offset)) << offset;
  }
  const uint64_t end = 4 * GiB - 5'001;
  EXPECT_EQ(Bytes(4'999, 0), client.read(4'999, offsets[4]));
  EXPECT_EQ(Bytes(data.end() - 5'001, data.end()), client.read(5'001, end));
}

}  // namespace
}  // namespace wire
