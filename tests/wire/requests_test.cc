// Each kind of request by itself, and its effect on the bytes of the disk.

#include <cerrno>

#include "fixture.h"

namespace wire {
namespace {

using Requests = AllocatorTest;
INSTANTIATE_TEST_SUITE_P(, Requests, all_allocators(), allocator_name);

TEST_P(Requests, UnwrittenReadsAsZeroes) {
  const Server server(disk(GetParam(), 5 * MiB + 3));
  const Client client(server);
  EXPECT_EQ(Bytes(5 * MiB + 3, 0), client.read(5 * MiB + 3, 0));
}

TEST_P(Requests, WriteThenRead) {
  const Server server(disk(GetParam(), 1 * MiB));
  const Client client(server);
  const Bytes data = text(100'001, 1);
  client.write(data, 12'345);
  EXPECT_EQ(data, client.read(data.size(), 12'345));
  Bytes whole(1 * MiB, 0);
  std::copy(data.begin(), data.end(), whole.begin() + 12'345);
  EXPECT_EQ(whole, client.read(1 * MiB, 0));
}

TEST_P(Requests, SingleBytes) {
  const Server server(disk(GetParam(), 256 * KiB));
  const Client client(server);
  Bytes model(256 * KiB, 0);
  const Bytes values = noise(1000, 2);
  Random random(3);
  for (const uint8_t value : values) {
    const uint64_t offset = random.below(model.size());
    client.write({value}, offset);
    model[offset] = value;
    ASSERT_EQ(Bytes{value}, client.read(1, offset));
  }
  EXPECT_EQ(model, client.read(model.size(), 0));
}

TEST_P(Requests, ForcedUnitAccess) {
  const Server server(disk(GetParam(), 1 * MiB));
  const Client client(server);
  const Bytes data = noise(10'000, 4);
  client.write(data, 1, LIBNBD_CMD_FLAG_FUA);
  EXPECT_EQ(data, client.read(data.size(), 1));
  client.zero(5'000, 1, LIBNBD_CMD_FLAG_FUA);
  client.trim(5'000, 5'001, LIBNBD_CMD_FLAG_FUA);
  EXPECT_EQ(Bytes(1 * MiB, 0), client.read(1 * MiB, 0));
}

// Zeroes and trims one unaligned range of a disk full of data, in every way that a client can.
TEST_P(Requests, ZeroAndTrimHitExactlyTheirRange) {
  const uint64_t size = 700'000;
  const uint64_t from = 33'333;
  const uint64_t count = 444'444;
  const Server server(disk(GetParam(), size));
  const Client client(server);
  const Bytes full = noise(size, 5);
  Bytes expected = full;
  std::fill_n(expected.begin() + from, count, uint8_t{0});
  for (const uint32_t flags :
       {uint32_t{0}, uint32_t{LIBNBD_CMD_FLAG_NO_HOLE}, uint32_t{LIBNBD_CMD_FLAG_FAST_ZERO}}) {
    client.write(full, 0);
    client.zero(count, from, flags);
    EXPECT_EQ(expected, client.read(size, 0)) << "zero with flags " << flags;
  }
  client.write(full, 0);
  client.trim(count, from);
  EXPECT_EQ(expected, client.read(size, 0)) << "trim";
  client.write(full, 0);
  client.write(Bytes(count, 0), from);
  EXPECT_EQ(expected, client.read(size, 0)) << "a write of zeroes";
}

TEST_P(Requests, ZeroOfNothingChangesNothing) {
  const Server server(disk(GetParam(), 1 * MiB));
  const Client client(server);
  client.zero(1 * MiB, 0);
  client.trim(1 * MiB, 0);
  client.write(Bytes(100'000, 0), 77);
  EXPECT_EQ(Bytes(1 * MiB, 0), client.read(1 * MiB, 0));
}

TEST_P(Requests, WriteAfterTrim) {
  const Server server(disk(GetParam(), 1 * MiB));
  const Client client(server);
  for (uint64_t round = 0; round < 20; ++round) {
    const Bytes data = noise(300'000, round);
    client.write(data, round * 1000);
    ASSERT_EQ(data, client.read(data.size(), round * 1000));
    client.trim(1 * MiB, 0);
    ASSERT_EQ(Bytes(1 * MiB, 0), client.read(1 * MiB, 0));
  }
}

TEST_P(Requests, CacheAndFlushChangeNothing) {
  const Server server(disk(GetParam(), 1 * MiB));
  const Client client(server);
  const Bytes data = text(500'000, 6);
  client.write(data, 1000);
  client.cache(1 * MiB, 0);
  client.cache(1, 1000);
  client.flush();
  EXPECT_EQ(data, client.read(data.size(), 1000));
}

TEST_P(Requests, LargestRequests) {
  const Server server(disk(GetParam(), 200 * MiB));
  const Client client(server);
  // The longest request that nbdkit accepts, aligned and unaligned.
  Bytes data = text(64 * MiB, 7);
  const Bytes mixed = noise(10 * MiB, 8);
  std::copy(mixed.begin(), mixed.end(), data.begin() + 20 * MiB);
  client.write(data, 0);
  EXPECT_TRUE(data == client.read(64 * MiB, 0));
  const uint64_t odd = 100 * MiB + 4095;
  client.write(data, odd);
  EXPECT_TRUE(data == client.read(64 * MiB, odd));
  EXPECT_EQ(Bytes(1 * MiB, 0), client.read(1 * MiB, odd - 1 * MiB));
  EXPECT_EQ(Bytes(1 * MiB, 0), client.read(1 * MiB, odd + 64 * MiB));
  // Zero and trim carry no data, so they may be larger than 64 MiB.
  client.zero(150 * MiB, 1);
  EXPECT_EQ(data[0], client.read(1, 0)[0]);
  EXPECT_EQ(Bytes(64 * MiB - 1, 0), client.read(64 * MiB - 1, 1));
  EXPECT_EQ(data.back(), client.read(1, odd + 64 * MiB - 1)[0]);
  client.trim(200 * MiB, 0);
  EXPECT_EQ(Bytes(64 * MiB, 0), client.read(64 * MiB, odd));
}

TEST_P(Requests, BeyondTheEndIsRefusedAndHarmless) {
  const uint64_t size = 1 * MiB + 17;
  const Server server(disk(GetParam(), size));
  const Client client(server);
  const Bytes data = noise(size, 9);
  client.write(data, 0);
  EXPECT_EQ(EINVAL, error_of([&] { client.read(2, size - 1); }));
  EXPECT_EQ(EINVAL, error_of([&] { client.read(1, size); }));
  EXPECT_EQ(ENOSPC, error_of([&] { client.write({1, 2}, size - 1); }));
  EXPECT_EQ(ENOSPC, error_of([&] { client.zero(18, size - 17); }));
  EXPECT_NE(0, error_of([&] { client.trim(18, size - 17); }));
  EXPECT_NE(0, error_of([&] { client.extents(18, size - 17); }));
  EXPECT_EQ(data, client.read(size, 0));
}

TEST_P(Requests, EveryConnectionSeesOneDisk) {
  const Server server(disk(GetParam(), 1 * MiB));
  const Client first(server);
  const Client second(server);
  const Bytes data = noise(50'000, 10);
  first.write(data, 4000);
  EXPECT_EQ(data, second.read(data.size(), 4000));
  second.trim(20'000, 4000);
  EXPECT_EQ(Bytes(20'000, 0), first.read(20'000, 4000));
}

TEST_P(Requests, DataStayWhenEveryClientHasLeft) {
  const Server server(disk(GetParam(), 1 * MiB));
  const Bytes data = noise(50'000, 11);
  {
    const Client client(server);
    client.write(data, 4000);
    client.disconnect();
  }
  EXPECT_EQ(data, Client(server).read(data.size(), 4000));
}

}  // namespace
}  // namespace wire
