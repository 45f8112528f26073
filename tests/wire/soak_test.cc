// Soak: sixteen connections make every kind of NBD request to one disk for a given time, and check
// what they read. tests/soak.sh runs this for a long time.
//
// Each connection owns whole pages and parts of pages, between those of the others, and knows each
// byte of them. A further part is shared: there each byte must be one that some connection may have
// written.
//
// The server's memory is measured when the disk is full for the first time, at each quarter, and
// when it is full again at the end. It may grow by kSlack, which is what nbdkit and malloc may take
// later: each of the 16 threads of a connection keeps a buffer for its longest request (here 4 KiB)
// and has a stack, of which 16 KiB is used; malloc's arenas keep as much again: 16 x 16 x 40 KiB =
// 10 MiB. It may also grow by a tenth of what is stored, for fragmentation. Both are reached early,
// so in a long run they do not hide a leak of a few bytes for each request.

#include <atomic>
#include <chrono>
#include <cstdio>
#include <latch>
#include <mutex>
#include <string_view>
#include <thread>

#include "fixture.h"
#include "support/owner.h"
#include "support/wire_disk.h"

namespace wire {
namespace {

constexpr unsigned kConnections = 16;
constexpr uint64_t kPagesEach = 400;
constexpr uint64_t kPartsEach = 2000;
constexpr uint64_t kPart = 699;  // six or more of them touch each page, and none is aligned
constexpr uint64_t kPages = 3 * MiB + 4 * KiB;
constexpr uint64_t kParts = 40 * MiB + 5;
constexpr uint64_t kShared = 80 * MiB;
constexpr uint64_t kSharedBytes = 1 * MiB;
constexpr uint64_t kDisk = 128 * MiB;
constexpr uint64_t kStored = kConnections * (kPagesEach * 4 * KiB + kPartsEach * kPart);
constexpr long kContextsKib = 16 * 1024;
constexpr long kSlackKib = 10 * 1024 + static_cast<long>(kStored / 10 / KiB);

using ramdisk::support::Blocks;
using ramdisk::support::Owner;

struct Tally {
  uint64_t operations = 0;
  uint64_t verified_bytes = 0;
};

std::vector<Blocks> blocks_of(unsigned connection) {
  return {{kPages + connection * 4 * KiB, 4 * KiB, kConnections * 4 * KiB, kPagesEach},
          {kParts + connection * kPart, kPart, kConnections * kPart, kPartsEach}};
}

// One byte of the shared part: its place in the low half, its writer in the high half; or zero.
uint8_t shared_byte(unsigned connection, uint64_t offset) {
  return static_cast<uint8_t>(connection << 4 | ((offset * 7 + 3) & 15));
}

void touch_shared(const Client& client, unsigned connection, Random& random, Tally& tally) {
  const uint64_t count = 1 + random.below(20'000);
  const uint64_t offset = kShared + random.below(kSharedBytes - count);
  ++tally.operations;
  switch (random.below(5)) {
    case 0:
      return client.trim(count, offset);
    case 1:
      return client.zero(count, offset, LIBNBD_CMD_FLAG_FAST_ZERO);
    case 2: {
      Bytes bytes(count);
      for (uint64_t i = 0; i < count; ++i) bytes[i] = shared_byte(connection, offset + i);
      return client.write(bytes, offset);
    }
    default:
      break;
  }
  const Bytes got = client.read(count, offset);
  tally.verified_bytes += count;
  for (uint64_t i = 0; i < count; ++i) {
    if (got[i] == 0 || (got[i] & 15) == shared_byte(0, offset + i)) continue;
    throw WrongData("byte " + std::to_string(offset + i) + ", which is shared, is " +
                    std::to_string(got[i]) + ", which nobody wrote");
  }
}

class Soak {
 public:
  Soak(const std::string& allocator, double seconds)
      : server_(disk(allocator, kDisk)), seconds_(seconds) {}

  // Returns whether the run succeeded.
  bool run(const char* name) {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kConnections; ++i) threads.emplace_back([this, i] { live(i); });
    full_.wait();
    const long start = server_.status_kib("VmRSS");
    std::string quarters;
    for (int quarter = 1; quarter <= 4; ++quarter) {
      std::this_thread::sleep_for(std::chrono::duration<double>(seconds_ / 4));
      quarters += " " + std::to_string(server_.status_kib("VmRSS"));
    }
    leaving_ = true;
    full_again_.wait();
    const long end = server_.status_kib("VmRSS");
    const long bound = start + kSlackKib + (std::string_view(name) == "zstd" ? kContextsKib : 0);
    looked_.count_down();
    for (std::thread& thread : threads) thread.join();
    std::printf(
        "%s: %.0f s, %llu operations, %llu bytes verified, memory (KiB): full %ld, quarters%s, "
        "full again %ld, bound %ld\n",
        name, seconds_, static_cast<unsigned long long>(total_.operations),
        static_cast<unsigned long long>(total_.verified_bytes), start, quarters.c_str(), end,
        bound);
    if (end > bound) std::printf("FAIL: %s: memory has grown\n", name);
    if (server_.stop() != 0) return std::printf("FAIL: %s: nbdkit did not end well\n", name), false;
    return !failed_ && end <= bound;
  }

 private:
  void live(unsigned number) {
    bool counted = false;
    bool counted_again = false;
    Tally tally;
    try {
      const Client client(server_);
      WireDisk disk(client, number + 200);
      Owner owner(disk, blocks_of(number), static_cast<int>(number), WireDisk::kPageBytes);
      Random random(number + 100);
      require_nothing(owner.write_all());
      counted = true;
      full_.count_down();
      while (!leaving_ && !failed_) {
        require_nothing(owner.step());
        if (random.below(8) == 0) touch_shared(client, number, random, tally);
      }
      require_nothing(owner.verify());
      require_nothing(owner.write_all());
      counted_again = true;
      full_again_.count_down();
      looked_.wait();
      require_nothing(owner.verify());
      tally.operations += owner.steps();
      tally.verified_bytes += owner.verified_bytes();
    } catch (const std::exception& error) {
      failed_ = true;
      std::printf("FAIL: connection %u: %s\n", number, error.what());
      if (!counted) full_.count_down();
      if (!counted_again) full_again_.count_down();
    }
    const std::lock_guard lock(mutex_);
    total_.operations += tally.operations;
    total_.verified_bytes += tally.verified_bytes;
  }

  Server server_;
  const double seconds_;
  std::latch full_{kConnections};
  std::latch full_again_{kConnections};
  std::latch looked_{1};
  std::atomic<bool> leaving_{false};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  Tally total_;  // guarded by mutex_
};

double seconds() {
  const char* given = getenv("RAMDISK_SOAK_SECONDS");
  return given && *given ? std::atof(given) : 4;
}

using Soaking = AllocatorTest;
INSTANTIATE_TEST_SUITE_P(, Soaking, all_allocators(), allocator_name);

// The environment variable RAMDISK_SOAK_SECONDS sets the time for each allocator.
TEST_P(Soaking, EverythingFromSixteenConnections) {
  EXPECT_TRUE(Soak(GetParam(), seconds()).run(GetParam().c_str()));
}

}  // namespace
}  // namespace wire
