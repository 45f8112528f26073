// The defects of nbdkit's own memory plugin (version 1.32) that a client can see.
//
// Each test passes with our plugin and fails with nbdkit's, which shows that it can fail: see
// tests/clients/test-memory-defects-old.sh. The unit tests cover defects that a client cannot see.

#include <algorithm>

#include "fixture.h"

namespace wire {
namespace {

class ZstdDefects : public testing::Test {
 protected:
  void SetUp() override {
    if (!RAMDISK_WITH_ZSTD) GTEST_SKIP() << "SKIP: built without zstd";
  }
};

// Block status of a range whose directory does not exist read an unset variable: SIGSEGV.
TEST_F(ZstdDefects, ExtentsOfAnUntouchedZstdDisk) {
  const Server server(disk("zstd", 1 * MiB));
  const Client client(server);
  EXPECT_EQ((Extents{{0, 1 * MiB, kHole}}), client.extents(1 * MiB, 0));
}

// Zero read the same unset variable: when the range crossed the edge of a directory, 128 MiB, into
// one that does not exist, the page in which the range began was freed.
template <typename Request>
void check_page_before_the_edge(Request request) {
  const uint64_t at = 134'184'960;
  const Server server(disk("zstd", 1 * GiB));
  const Client client(server);
  client.write(Bytes(32'768, 'A'), at);
  request(client, 81'920, at + 16'384);
  EXPECT_EQ(Bytes(16'384, 'A'), client.read(16'384, at)) << "data outside of the range are lost";
  EXPECT_EQ(Bytes(81'920, 0), client.read(81'920, at + 16'384));
}

TEST_F(ZstdDefects, ZeroOverADirectoryEdgeLosesNothing) {
  check_page_before_the_edge(
      [](const Client& client, uint64_t count, uint64_t offset) { client.zero(count, offset); });
}

TEST_F(ZstdDefects, TrimOverADirectoryEdgeLosesNothing) {
  check_page_before_the_edge(
      [](const Client& client, uint64_t count, uint64_t offset) { client.trim(count, offset); });
}

// CVE-2025-47711: extents beyond the request added up to more than the server could handle.
TEST(Defects, BlockStatusOf4GiBDoesNotEndTheServer) {
  const Server server(Words{"8G"});
  const Client client(server);
  EXPECT_EQ((Extents{{0, 0xFFFFFFFF, kHole}}), client.extents(0xFFFFFFFF, 0));
}

// Memory was locked before nbdkit forked, and locks do not survive that.
TEST(Defects, MlockHoldsInTheBackground) {
  const Server server({"4M", "allocator=malloc,mlock=true"}, {}, Mode::background);
  EXPECT_GE(server.status_kib("VmLck"), 4096);
}

TEST(Defects, MlockHoldsUnderRun) {
  const Server server({"4M", "allocator=malloc,mlock=true"}, {}, Mode::captive);
  EXPECT_GE(server.status_kib("VmLck"), 4096);
}

// The zero test looked at compressed bytes, so a page zeroed in two halves never became a hole.
void check_halves(uint64_t page) {
  const Server server(disk("zstd", 1 * MiB));
  const Client client(server);
  client.write(text(page, 1), 256 * KiB);
  client.zero(page / 2, 256 * KiB);
  client.zero(page / 2, 256 * KiB + page / 2);
  EXPECT_EQ((Extents{{256 * KiB, page, kHole}}), client.extents(page, 256 * KiB));
}

TEST_F(ZstdDefects, HalvesOf4KZeroedAreAHole) {
  check_halves(4 * KiB);
}

TEST_F(ZstdDefects, HalvesOf32KZeroedAreAHole) {
  check_halves(32 * KiB);
}

// Only as many letters of a name were compared as the user gave.
void expect_unknown(const std::string& name) {
  const Outcome outcome = try_parameters({"1M", "allocator=" + name});
  EXPECT_NE(0, outcome.status);
  EXPECT_NE(std::string::npos, outcome.errors.find("sparse, malloc")) << outcome.errors;
}

TEST(Defects, EmptyNameIsNoAllocator) {
  expect_unknown("");
}

TEST(Defects, BeginningOfSparseIsNoAllocator) {
  expect_unknown("s");
}

TEST(Defects, BeginningOfZstdIsNoAllocator) {
  expect_unknown("zst");
}

// A wrong parameter was reported twice, the second time as an unknown allocator.
TEST(Defects, WrongParameterIsReportedOnce) {
  const Outcome outcome = try_parameters({"1M", "allocator=malloc,mlock=maybe"});
  EXPECT_NE(0, outcome.status);
  EXPECT_EQ(1, std::count(outcome.errors.begin(), outcome.errors.end(), '\n')) << outcome.errors;
  EXPECT_NE(std::string::npos, outcome.errors.find("mlock")) << outcome.errors;
}

}  // namespace
}  // namespace wire
