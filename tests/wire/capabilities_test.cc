// Capabilities: what the server tells a client about the disk before the first request.

#include <cerrno>
#include <cstdlib>
#include <memory>

#include "fixture.h"

namespace wire {
namespace {

using Capabilities = AllocatorTest;
INSTANTIATE_TEST_SUITE_P(, Capabilities, all_allocators(), allocator_name);
using SparseCapabilities = AllocatorTest;
INSTANTIATE_TEST_SUITE_P(, SparseCapabilities, sparse_allocators(), allocator_name);

TEST_P(Capabilities, EverythingCanBeDone) {
  const Server server(disk(GetParam(), 1 * MiB));
  const Client client(server);
  nbd_handle* h = client.handle();
  EXPECT_EQ(1, nbd_can_fua(h));
  EXPECT_EQ(1, nbd_can_multi_conn(h));
  EXPECT_EQ(1, nbd_can_cache(h));
  EXPECT_EQ(1, nbd_can_fast_zero(h));
  EXPECT_EQ(1, nbd_can_zero(h));
  EXPECT_EQ(1, nbd_can_trim(h));
  EXPECT_EQ(1, nbd_can_flush(h));
  EXPECT_EQ(1, nbd_can_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION));
  EXPECT_EQ(0, nbd_is_read_only(h));
  EXPECT_EQ(0, nbd_is_rotational(h));
}

TEST_P(Capabilities, BlockSizes) {
  const Server server(disk(GetParam(), 1 * MiB));
  const Client client(server);
  EXPECT_EQ(1, nbd_get_block_size(client.handle(), LIBNBD_SIZE_MINIMUM));
  EXPECT_EQ(GetParam() == "malloc" ? 512 : 32768,
            nbd_get_block_size(client.handle(), LIBNBD_SIZE_PREFERRED));
  EXPECT_EQ(0xFFFFFFFF, nbd_get_block_size(client.handle(), LIBNBD_SIZE_MAXIMUM));
}

TEST_P(Capabilities, DescriptionSaysWhatTheDiskIs) {
  const Server server(disk(GetParam(), 1 * MiB));
  const Client client(server);
  const std::unique_ptr<char, decltype(&free)> description(
      nbd_get_export_description(client.handle()), free);
  ASSERT_NE(nullptr, description) << nbd_get_error();
  EXPECT_STRNE("", description.get());
}

TEST_P(Capabilities, Sizes) {
  for (const uint64_t size : {uint64_t{0}, uint64_t{1}, uint64_t{511}, 4097 * KiB + 1}) {
    const Server server(disk(GetParam(), size));
    EXPECT_EQ(size, Client(server).size());
  }
}

TEST_P(SparseCapabilities, LargestDisk) {
  const Server server(disk(GetParam(), kLargestDisk));
  EXPECT_EQ(kLargestDisk, Client(server).size());
}

TEST_P(Capabilities, EmptyDiskServesNothing) {
  const Server server(disk(GetParam(), 0));
  const Client client(server);
  EXPECT_NE(0, error_of([&] { client.read(1, 0); }));
  EXPECT_NE(0, error_of([&] { client.write({1}, 0); }));
  client.flush();
}

TEST_P(Capabilities, ReadOnly) {
  const Server server(disk(GetParam(), 1 * MiB), {"-r"});
  const Client client(server);
  EXPECT_EQ(1, nbd_is_read_only(client.handle()));
  EXPECT_EQ(0, nbd_can_trim(client.handle()));
  EXPECT_EQ(0, nbd_can_zero(client.handle()));
  EXPECT_EQ(EPERM, error_of([&] { client.write({1}, 0); }));
  EXPECT_NE(0, error_of([&] { client.zero(4096, 0); }));
  EXPECT_NE(0, error_of([&] { client.trim(4096, 0); }));
  EXPECT_EQ(Bytes(1 * MiB, 0), client.read(1 * MiB, 0));
  EXPECT_EQ(1u, client.extents(1 * MiB, 0).size());
  client.cache(1 * MiB, 0);
}

}  // namespace
}  // namespace wire
