// The filters that people stack on a RAM disk, each tested with data that passes through it.

#include <cerrno>
#include <fstream>
#include <iterator>

#include "fixture.h"

namespace wire {
namespace {

using Filters = AllocatorTest;
INSTANTIATE_TEST_SUITE_P(, Filters, all_allocators(), allocator_name);

// A distribution may leave some filters out.
#define NEED_FILTER(name) \
  if (!have_filter(name)) GTEST_SKIP() << "SKIP: nbdkit has no filter " << name

std::string file_content(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

// Fills everything that the client sees, changes parts of it in every way, and compares everything.
void exercise(const Client& client) {
  const uint64_t size = client.size();
  ASSERT_GE(size, 2 * MiB);
  Bytes model = text(size, 1);
  for (uint64_t at = 0; at < size; at += 1 * MiB) {
    const uint64_t end = std::min(size, at + 1 * MiB);
    client.write(Bytes(model.begin() + at, model.begin() + end), at);
  }
  const Bytes patch = noise(33'333, 2);
  client.write(patch, 1 * MiB - 1'111);
  std::copy(patch.begin(), patch.end(), model.begin() + 1 * MiB - 1'111);
  if (nbd_can_zero(client.handle()) == 1) {  // the cow filter does not support zero
    client.zero(200'000, 77'777);
    std::fill_n(model.begin() + 77'777, 200'000, uint8_t{0});
  }
  client.write(Bytes(10'000, 0), 1'500'000);
  std::fill_n(model.begin() + 1'500'000, 10'000, uint8_t{0});
  client.flush();
  for (uint64_t at = 0; at < size; at += 500'000) {
    const uint64_t end = std::min(size, at + 500'000);
    ASSERT_TRUE(Bytes(model.begin() + at, model.begin() + end) == client.read(end - at, at)) << at;
  }
}

void exercise_new_disk(const std::string& allocator, uint64_t size, const Words& filters,
                       const Words& parameters) {
  const Server server(disk(allocator, size) + parameters, filters);
  exercise(Client(server));
}

TEST_P(Filters, Cache) {
  NEED_FILTER("cache");
  for (const char* mode : {"writeback", "writethrough", "unsafe"}) {
    exercise_new_disk(GetParam(), 8 * MiB, {"--filter=cache"}, {std::string("cache=") + mode});
  }
}

TEST_P(Filters, Cow) {
  NEED_FILTER("cow");
  exercise_new_disk(GetParam(), 8 * MiB, {"--filter=cow"}, {});
}

TEST_P(Filters, CacheAboveCow) {
  NEED_FILTER("cow");
  NEED_FILTER("cache");
  exercise_new_disk(GetParam(), 8 * MiB, {"--filter=cache", "--filter=cow"}, {});
}

TEST_P(Filters, Partition) {
  NEED_FILTER("partition");
  const Server server(disk(GetParam(), 16 * MiB) + Words{"partition=1"},
                      {"--filter=partition", "--filter=" WIRE_MBR_FILTER});
  const Client client(server);
  EXPECT_EQ(7 * MiB, client.size());
  EXPECT_EQ(Bytes(7 * MiB, 0), client.read(7 * MiB, 0));
  exercise(client);
}

TEST_P(Filters, Offset) {
  NEED_FILTER("offset");
  const Server server(disk(GetParam(), 8 * MiB) + Words{"offset=12345", "range=4194305"},
                      {"--filter=offset"});
  const Client client(server);
  EXPECT_EQ(4194305u, client.size());
  exercise(client);
}

TEST_P(Filters, Truncate) {
  NEED_FILTER("truncate");
  const Server server(disk(GetParam(), 3'000'001) + Words{"round-up=4096"}, {"--filter=truncate"});
  const Client client(server);
  EXPECT_EQ(3'002'368u, client.size());
  const Bytes data = noise(3'000'001, 3);
  client.write(data, 0);
  Bytes padded = data;
  padded.resize(3'002'368, 0);
  EXPECT_TRUE(padded == client.read(padded.size(), 0));
  exercise_new_disk(GetParam(), 8 * MiB, {"--filter=truncate"}, {"truncate=3000000"});
}

TEST_P(Filters, BlocksizePolicy) {
  NEED_FILTER("blocksize-policy");
  const Server server(
      disk(GetParam(), 8 * MiB) + Words{"blocksize-error-policy=error", "blocksize-minimum=512",
                                        "blocksize-preferred=8192", "blocksize-maximum=1M"},
      {"--filter=blocksize-policy"});
  const Client client(server);
  EXPECT_EQ(512, nbd_get_block_size(client.handle(), LIBNBD_SIZE_MINIMUM));
  EXPECT_EQ(8192, nbd_get_block_size(client.handle(), LIBNBD_SIZE_PREFERRED));
  const Bytes data = noise(1 * MiB, 4);
  client.write(data, 512);
  EXPECT_TRUE(data == client.read(1 * MiB, 512));
  EXPECT_EQ(EINVAL, error_of([&] { client.write({1}, 512); }));
  EXPECT_EQ(EINVAL, error_of([&] { client.read(512, 1); }));
  EXPECT_TRUE(data == client.read(1 * MiB, 512));
}

// The plugin's own limits must be such that the filter has nothing to change by default.
TEST_P(Filters, BlocksizePolicyLeftAlone) {
  NEED_FILTER("blocksize-policy");
  exercise_new_disk(GetParam(), 8 * MiB, {"--filter=blocksize-policy"},
                    {"blocksize-error-policy=error"});
}

TEST_P(Filters, Log) {
  NEED_FILTER("log");
  const TempDir directory;
  const std::string path = directory.path() + "/requests";
  exercise_new_disk(GetParam(), 8 * MiB, {"--filter=log"}, {"logfile=" + path});
  const std::string log = file_content(path);
  for (const char* word : {"Connect", " Read ", " Write ", " Zero ", "Flush", "Disconnect"}) {
    EXPECT_NE(std::string::npos, log.find(word)) << word << " is not in the log";
  }
}

TEST_P(Filters, Stats) {
  NEED_FILTER("stats");
  const TempDir directory;
  const std::string path = directory.path() + "/figures";
  exercise_new_disk(GetParam(), 8 * MiB, {"--filter=stats"}, {"statsfile=" + path});
  const std::string stats = file_content(path);
  for (const char* word : {"read: ", "write: ", "zero: "}) {
    EXPECT_NE(std::string::npos, stats.find(word)) << word << " is not in: " << stats;
  }
}

TEST_P(Filters, Readahead) {
  NEED_FILTER("readahead");
  const Server server(disk(GetParam(), 16 * MiB), {"--filter=readahead"});
  const Client client(server);
  exercise(client);
  // For sequential reads of small pieces the filter asks the plugin to cache.
  const Bytes data = text(16 * MiB, 5);
  client.write(data, 0);
  for (uint64_t at = 0; at < 16 * MiB; at += 64 * KiB) {
    ASSERT_TRUE(Bytes(data.begin() + at, data.begin() + at + 64 * KiB) ==
                client.read(64 * KiB, at));
  }
}

TEST_P(Filters, Exitlast) {
  NEED_FILTER("exitlast");
  Server server(disk(GetParam(), 8 * MiB), {"--filter=exitlast"});
  {
    const Client client(server);
    exercise(client);
    client.disconnect();
  }
  EXPECT_EQ(0, server.wait()) << server.log();
}

}  // namespace
}  // namespace wire
