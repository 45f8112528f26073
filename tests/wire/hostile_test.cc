// Requests that no correct client sends, each at and around every edge: of the disk, of pages and
// directories, and of the integers themselves.
//
// Invalid requests must be refused, valid ones must be served, and a well-behaved client beside
// them must never notice. nbdkit refuses much of this itself, but all of it must hold with the
// plugin behind nbdkit, too.

#include <optional>

#include "fixture.h"
#include "neighbour.h"
#include "support/raw_client.h"

namespace wire {
namespace {

using raw::Request;

// 130 MiB have several directories, and end inside a page.
constexpr uint64_t kSmallDisk = 130 * MiB + 321;
constexpr uint64_t kLongestTransfer = 64 * MiB;  // nbdkit's limit for a read or a write
constexpr uint64_t kLongestWrite = 2 * MiB;      // of what is really sent

std::vector<uint64_t> edge_offsets(uint64_t size) {
  std::vector<uint64_t> offsets = {0, 1, 511, UINT64_MAX, UINT64_MAX - 1};
  for (const uint64_t edge : {4 * KiB, 1 * MiB, 2 * MiB, 128 * MiB, 4 * GiB, size - 4 * KiB, size,
                              uint64_t{1} << 40, uint64_t{1} << 63}) {
    for (const uint64_t offset : {edge - 1, edge, edge + 1}) offsets.push_back(offset);
  }
  return offsets;
}

// A length has 32 bits; edges that have more are truncated to their lowest bits.
std::vector<uint32_t> edge_lengths(uint64_t size) {
  std::vector<uint32_t> lengths = {0, 1, 512, 1u << 31, UINT32_MAX - 1, UINT32_MAX};
  for (const uint64_t edge : {4 * KiB, 1 * MiB, kLongestWrite, kLongestTransfer, size}) {
    for (const uint64_t length : {edge - 1, edge, edge + 1}) {
      lengths.push_back(static_cast<uint32_t>(length));
    }
  }
  return lengths;
}

bool has_range(uint16_t command) {
  return command <= raw::kBlockStatus && command != raw::kDisconnect && command != raw::kFlush;
}

bool changes_bytes(uint16_t command) {
  return command == raw::kWrite || command == raw::kTrim || command == raw::kWriteZeroes;
}

bool in_range(const Request& r, uint64_t size) {
  return r.offset <= size && r.length <= size - r.offset;
}

enum class Verdict { done, refused, either };

Verdict verdict(const Request& r, uint64_t size) {
  if (r.command > raw::kBlockStatus) return Verdict::refused;
  if (r.command == raw::kFlush) return r.flags ? Verdict::either : Verdict::done;
  if (!in_range(r, size)) return Verdict::refused;
  if (r.flags & ~0x1f) return Verdict::refused;  // undefined flags
  if (r.flags != 0 || r.length == 0) return Verdict::either;
  const bool transfer = r.command == raw::kRead || r.command == raw::kWrite;
  return transfer && r.length > kLongestTransfer ? Verdict::either : Verdict::done;
}

// One hostile client, which connects again whenever the server has disconnected it.
class Attacker {
 public:
  Attacker(const Server& server, uint64_t size, const Neighbour* neighbour)
      : server_(server), size_(size), neighbour_(neighbour) {}

  // Sends `request`, unless it is valid and would hit the neighbour, and judges the reply.
  void attack(const Request& request) {
    if (neighbour_ && changes_bytes(request.command) && in_range(request, size_) &&
        neighbour_->lives_in(request.offset, request.length)) {
      return;
    }
    if (!connection_) {
      connection_.emplace(server_.socket());
      connection_->negotiate();
      ASSERT_EQ(size_, connection_->size());
    }
    ++sent_;
    try {
      if (request.command == raw::kDisconnect) {
        disconnect(request);
      } else if (request.command == raw::kWrite && request.length > kLongestWrite) {
        // Sending all of its bytes would take too long: send a few of them, and disconnect.
        connection_->send_request(request, Bytes(100, 0xAA));
        connection_.reset();
      } else {
        const bool write = request.command == raw::kWrite;
        judge(request, connection_->ask(request, Bytes(write ? request.length : 0, 0xAA)));
      }
    } catch (const raw::Closed&) {
      // The server ends the connection at once after a write that is far too long.
      EXPECT_TRUE(request.command == raw::kWrite && request.length > kLongestTransfer)
          << raw::to_string(request);
      connection_.reset();
    } catch (const std::exception& error) {
      ADD_FAILURE() << raw::to_string(request) << ": " << error.what();
      connection_.reset();
    }
  }

  int sent() const { return sent_; }

 private:
  // No reply comes, and the server ends the connection. nbdkit has done so on its own only up
  // to 1.33.2: in later versions a thread that already waits for the next request goes on waiting
  // for it, until the client ends its sending side. Every client may do that here, because this
  // request is its last.
  void disconnect(const Request& request) {
    connection_->send_request(request);
    if (nbdkit_ends_first_) {
      EXPECT_THROW(connection_->receive(1), raw::Closed) << raw::to_string(request);
    } else {
      EXPECT_EQ(0u, connection_->finish()) << raw::to_string(request);
    }
    connection_.reset();
  }

  void judge(const Request& request, const raw::Reply& reply) const {
    const Verdict expected = verdict(request, size_);
    if (expected != Verdict::either) {
      EXPECT_EQ(expected == Verdict::refused, reply.error != 0)
          << raw::to_string(request) << ": error " << reply.error;
    }
    if (reply.error) {
      EXPECT_EQ(0, reply.content + reply.status) << raw::to_string(request);
      return;
    }
    if (request.command == raw::kRead) {
      EXPECT_EQ(request.length, reply.content) << raw::to_string(request);
    }
    if (request.command == raw::kBlockStatus && request.length > 0) {
      EXPECT_GT(reply.status, 0) << raw::to_string(request);
    }
  }

  const Server& server_;
  const uint64_t size_;
  const Neighbour* const neighbour_;
  const bool nbdkit_ends_first_ = nbdkit_is_older_than(34);
  std::optional<raw::Connection> connection_;
  int sent_ = 0;
};

constexpr uint16_t kCommands[] = {
    raw::kRead,        raw::kWrite,       raw::kDisconnect, raw::kFlush, raw::kTrim, raw::kCache,
    raw::kWriteZeroes, raw::kBlockStatus, raw::kResize,     9,           0x7fff,     UINT16_MAX};

void attack_edges(const Server& server, uint64_t size, const Neighbour* neighbour) {
  Attacker attacker(server, size, neighbour);
  for (const uint16_t command : kCommands) {
    for (const uint64_t offset : edge_offsets(size)) {
      for (const uint32_t length : edge_lengths(size)) {
        // A command without a range is tried only once at each offset.
        if (!has_range(command) && length != 0) continue;
        const bool anywhere = has_range(command) || command > raw::kBlockStatus;
        attacker.attack({.command = command, .offset = anywhere ? offset : 0, .length = length});
        if (testing::Test::HasFailure()) return;
      }
    }
  }
  std::printf("requests: %d\n", attacker.sent());
}

void attack_flags(const Server& server, uint64_t size, const Neighbour* neighbour) {
  Attacker attacker(server, size, neighbour);
  const uint64_t offsets[] = {0, 4095, 1 * MiB - 5, size - 4097, size - 1, size, UINT64_MAX};
  const uint32_t lengths[] = {0, 1, 4098, UINT32_MAX};
  for (const uint16_t command : kCommands) {
    // Tries all combinations of the defined flags, and each undefined one.
    for (uint32_t flags = 1; flags <= UINT16_MAX; flags = flags < 64 ? flags + 1 : flags * 2) {
      for (const uint64_t offset : offsets) {
        for (const uint32_t length : lengths) {
          if (command == raw::kDisconnect && length != 0) continue;
          attacker.attack({.command = command,
                           .flags = static_cast<uint16_t>(flags),
                           .offset = offset,
                           .length = length});
          if (testing::Test::HasFailure()) return;
        }
      }
    }
  }
  std::printf("requests: %d\n", attacker.sent());
}

// Expects every kind of request to work on the disk.
void expect_usable(const Server& server, uint64_t size) {
  const Client client(server);
  client.zero(8 * MiB, 16 * MiB);
  WireDisk wire_disk(client, 1);
  ramdisk::support::Owner owner(
      wire_disk, {{16 * MiB, 64 * KiB, 64 * KiB, 64}, {21 * MiB + 5, 999, 1000, 999}}, 1,
      WireDisk::kPageBytes);
  for (int i = 0; i < 1000; ++i) require_nothing(owner.step());
  require_nothing(owner.verify());
  client.write(Bytes(10, 'x'), size - 10);
  EXPECT_EQ(Bytes(10, 'x'), client.read(10, size - 10));
}

using Hostile = AllocatorTest;
INSTANTIATE_TEST_SUITE_P(, Hostile, all_allocators(), allocator_name);
using SparseHostile = AllocatorTest;
INSTANTIATE_TEST_SUITE_P(, SparseHostile, sparse_allocators(), allocator_name);

TEST_P(Hostile, EveryCommandAtEveryEdge) {
  const Server server(disk(GetParam(), kSmallDisk), options_for_rough_clients());
  Neighbour neighbour(server, 40 * MiB);
  attack_edges(server, kSmallDisk, &neighbour);
}

TEST_P(Hostile, EveryFlag) {
  const Server server(disk(GetParam(), kSmallDisk), options_for_rough_clients());
  Neighbour neighbour(server, 40 * MiB);
  attack_flags(server, kSmallDisk, &neighbour);
}

// Without a neighbour the attacker also sends valid requests, which change the whole disk.
TEST_P(Hostile, TheDiskIsUsableAfterwards) {
  const Server server(disk(GetParam(), kSmallDisk), options_for_rough_clients());
  attack_edges(server, kSmallDisk, nullptr);
  attack_flags(server, kSmallDisk, nullptr);
  expect_usable(server, kSmallDisk);
}

TEST_P(SparseHostile, EveryEdgeOfTheLargestDisk) {
  const Server server(disk(GetParam(), kLargestDisk), options_for_rough_clients());
  Neighbour neighbour(server, (uint64_t{1} << 40) - 2 * MiB - 99);
  attack_edges(server, kLargestDisk, &neighbour);
  attack_flags(server, kLargestDisk, &neighbour);
  neighbour.leave();
  expect_usable(server, kLargestDisk);
}

}  // namespace
}  // namespace wire
