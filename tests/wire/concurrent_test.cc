// Many requests from many connections at once.
//
// NBD promises little about requests that race: each byte comes from one of them. That is checked
// for each byte, and so are the bytes that no racing request touches.

#include <algorithm>
#include <atomic>
#include <bitset>
#include <deque>
#include <functional>

#include "fixture.h"
#include "support/threads.h"

namespace wire {
namespace {

constexpr unsigned kConnections = 4;

// Requests in flight on one connection; all of them are sent before the first is awaited.
class Flight {
 public:
  explicit Flight(const Client& client) : handle_(client.handle()) {}

  void write(Bytes data, uint64_t offset) {
    buffers_.push_back(std::move(data));
    const Bytes& kept = buffers_.back();
    check(nbd_aio_pwrite(handle_, kept.data(), kept.size(), offset, completion(), 0));
  }
  // The bytes are valid after land(), for as long as the Flight exists.
  const Bytes& read(uint64_t count, uint64_t offset) {
    buffers_.emplace_back(count, 0xEE);
    check(nbd_aio_pread(handle_, buffers_.back().data(), count, offset, completion(), 0));
    return buffers_.back();
  }
  void zero(uint64_t count, uint64_t offset) {
    check(nbd_aio_zero(handle_, count, offset, completion(), 0));
  }
  void trim(uint64_t count, uint64_t offset) {
    check(nbd_aio_trim(handle_, count, offset, completion(), 0));
  }

  // Waits until all requests are done; throws if one failed.
  void land() {
    while (nbd_aio_in_flight(handle_) > 0) check(nbd_poll(handle_, -1));
    if (failed_) throw std::runtime_error("a request failed");
  }

 private:
  static void check(int64_t result) {
    if (result < 0) throw ClientError();
  }
  nbd_completion_callback completion() {
    return {.callback = &Flight::done, .user_data = this, .free = nullptr};
  }
  static int done(void* user_data, int* error) {
    if (*error != 0) static_cast<Flight*>(user_data)->failed_ = true;
    return 1;  // retire it
  }

  nbd_handle* handle_;
  std::deque<Bytes> buffers_;  // stay where they are while requests use them
  bool failed_ = false;
};

// Runs `body` in each of kConnections threads, with a connection of its own.
void on_each_connection(const Server& server,
                        const std::function<void(const Client&, unsigned)>& body) {
  const std::string complaints =
      ramdisk::support::run_threads(kConnections, [&](int i) -> std::string {
        try {
          const Client client(server);
          body(client, static_cast<unsigned>(i));
        } catch (const std::exception& error) {
          return error.what();
        }
        return "";
      });
  EXPECT_EQ("", complaints);
}

using Concurrent = AllocatorTest;
INSTANTIATE_TEST_SUITE_P(, Concurrent, all_allocators(), allocator_name);

struct Request {
  uint64_t offset;  // from the start of the region
  uint64_t count;
  uint8_t value;  // the byte it writes; 0 for zero and trim
};

// Overlapping requests of all sizes, within a region that begins and ends inside a page.
constexpr uint64_t kRegion = 1 * MiB - 1111;
constexpr uint64_t kRegionStart = 128 * MiB - 500'123;

std::vector<Request> racing_requests(unsigned connection, int count) {
  Random random(77 + connection);
  std::vector<Request> requests;
  for (int i = 0; i < count; ++i) {
    const uint64_t limit = uint64_t{512} << random.below(7);
    const uint64_t length = 1 + random.below(limit);
    const uint64_t offset = random.below(kRegion - length + 1);
    const auto value = static_cast<uint8_t>(random.below(5) == 0 ? 0 : 1 + random.below(255));
    requests.push_back({offset, length, value});
  }
  // Some requests touch the very ends of the region.
  requests.push_back({0, 100, 11});
  requests.push_back({kRegion - 100, 100, 22});
  return requests;
}

// For each byte of the region, the values that requests write there.
using Written = std::vector<std::bitset<256>>;

// If `racing`, requests are still in flight, so a byte may also have its first value.
void expect_written(const Written& written, const Bytes& first, const Bytes& got, uint64_t offset,
                    bool racing) {
  for (uint64_t i = 0; i < got.size(); ++i) {
    const auto& values = written[offset + i];
    const bool may_be_first = racing || values.none();
    ASSERT_TRUE(values[got[i]] || (may_be_first && got[i] == first[offset + i]))
        << "byte " << offset + i << " of the slabs is " << int{got[i]};
  }
}

// Sends all `requests`, and reads the whole region while they run.
void race(const Client& client, const std::vector<Request>& requests, const Written& written,
          const Bytes& first) {
  Random random(requests.size() + requests[0].offset);
  Flight flight(client);
  std::vector<std::pair<uint64_t, const Bytes*>> reads;
  for (const Request& r : requests) {
    const uint64_t at = kRegionStart + r.offset;
    if (r.value != 0) {
      flight.write(Bytes(r.count, r.value), at);
    } else if (random.below(2)) {
      flight.zero(r.count, at);
    } else {
      flight.trim(r.count, at);
    }
    if (random.below(4) == 0) {
      const uint64_t from = random.below(kRegion - 5000);
      reads.emplace_back(from, &flight.read(5000, kRegionStart + from));
    }
  }
  flight.land();
  for (const auto& [from, data] : reads) expect_written(written, first, *data, from, true);
}

TEST_P(Concurrent, RacingBytesAreFromOneOfTheRequests) {
  constexpr uint64_t kGuard = 64 * KiB;
  const Server server(disk(GetParam(), 130 * MiB));
  const Client client(server);
  const Bytes all = noise(2 * kGuard + kRegion, 1);
  const Bytes first(all.begin() + kGuard, all.end() - kGuard);
  client.write(all, kRegionStart - kGuard);
  std::vector<std::vector<Request>> plan;
  Written written(kRegion);
  for (unsigned i = 0; i < kConnections; ++i) {
    plan.push_back(racing_requests(i, 1000));
    for (const Request& r : plan.back()) {
      for (uint64_t j = r.offset; j < r.offset + r.count; ++j) written[j].set(r.value);
    }
  }
  on_each_connection(server, [&](const Client& mine, unsigned connection) {
    race(mine, plan[connection], written, first);
  });
  expect_written(written, first, client.read(kRegion, kRegionStart), 0, false);
  EXPECT_TRUE(Bytes(all.begin(), all.begin() + kGuard) ==
              client.read(kGuard, kRegionStart - kGuard))
      << "bytes before the slabs are damaged";
  EXPECT_TRUE(Bytes(all.end() - kGuard, all.end()) == client.read(kGuard, kRegionStart + kRegion))
      << "bytes behind the slabs are damaged";
}

// Every connection owns parts of each page. No byte is contended, so nothing may be lost, although
// each write of a part has to preserve the parts that others write at the same moment.
class Parts {
 public:
  static constexpr uint64_t kPages = 64;
  static constexpr uint64_t kParts = 8;  // of each connection in each page
  static constexpr uint64_t kLength = 111;
  static constexpr int kRounds = 12;

  Parts(const Client& client, unsigned connection) : client_(client), connection_(connection) {}

  void send(int round) {
    Flight flight(client_);
    for (uint64_t i = 0; i < kPages * kParts; ++i) {
      const uint8_t value = value_of(i, round);
      if (value != 0) {
        flight.write(Bytes(kLength, value), place(i));
      } else {
        i % 2 ? flight.zero(kLength, place(i)) : flight.trim(kLength, place(i));
      }
    }
    flight.land();
  }

  void check(int round) const {
    for (uint64_t i = 0; i < kPages * kParts; ++i) {
      const uint8_t value = value_of(i, round);
      ASSERT_EQ(Bytes(kLength, value), client_.read(kLength, place(i)))
          << "round " << round << ", part " << i << " of connection " << connection_;
    }
  }

 private:
  // The parts lie around 1 MiB, with gaps, and alternate between the connections.
  uint64_t place(uint64_t i) const {
    const uint64_t page = 1 * MiB - kPages / 2 * 4 * KiB + i / kParts * 4 * KiB;
    return page + 13 + (i % kParts * kConnections + connection_) * 127;
  }

  // Differs from round to round; a fifth of the values are zero.
  uint8_t value_of(uint64_t i, int round) const {
    const uint64_t n = i * 31 + static_cast<uint64_t>(round) * 7 + connection_;
    return static_cast<uint8_t>(n % 5 == 0 ? 0 : 1 + n % 251);
  }

  const Client& client_;
  const unsigned connection_;
};

TEST_P(Concurrent, PartsOfOnePageAreIndependent) {
  const Server server(disk(GetParam(), 4 * MiB));
  on_each_connection(server, [&](const Client& client, unsigned connection) {
    Parts parts(client, connection);
    for (int round = 0; round < Parts::kRounds && !testing::Test::HasFatalFailure(); ++round) {
      parts.send(round);
      parts.check(round);
    }
  });
  const Client client(server);
  for (unsigned i = 0; i < kConnections; ++i) Parts(client, i).check(Parts::kRounds - 1);
}

// Asks for block status while others fill and trim: the lengths must be exact, whatever the kinds.
TEST_P(Concurrent, ExtentsWhileTheDiskChanges) {
  constexpr uint64_t kSize = 8 * MiB;
  const Server server(disk(GetParam(), kSize));
  std::atomic<unsigned> busy = kConnections - 1;
  on_each_connection(server, [&](const Client& client, unsigned connection) {
    if (connection == 0) {
      do {
        uint64_t next = 0;
        for (const Extent& extent : client.extents(kSize - 5, 5)) next += extent.length;
        ASSERT_EQ(kSize - 5, next);
      } while (busy > 0);
      return;
    }
    for (int round = 0; round < 10; ++round) {
      Flight flight(client);
      for (uint64_t at = connection * 4 * KiB; at < kSize; at += 64 * KiB) {
        round % 2 ? flight.trim(8 * KiB, at) : flight.write(text(8 * KiB, at), at);
      }
      flight.land();
    }
    --busy;
  });
}

TEST_P(Concurrent, ManyConnectionsComeAndGo) {
  const Server server(disk(GetParam(), 1 * MiB));
  on_each_connection(server, [&](const Client&, unsigned connection) {
    for (unsigned i = 0; i < 25; ++i) {
      const uint64_t at = (connection * 25 + i) * 10'000;
      const Bytes data = noise(9'999, at);
      Client(server).write(data, at);
      ASSERT_EQ(data, Client(server).read(data.size(), at));
    }
  });
}

}  // namespace
}  // namespace wire
