// Connections that begin wrongly, end wrongly, or send nonsense in between.
//
// A well-behaved client beside them must never notice, a write that was only half sent must not be
// on the disk, and the server must exit cleanly. Everything random has a fixed seed.

#include "fixture.h"
#include "neighbour.h"
#include "support/raw_client.h"
#include "support/threads.h"

namespace wire {
namespace {

using raw::Connection;
using raw::Request;

constexpr uint64_t kSize = 130 * MiB + 321;
constexpr uint64_t kHome = 40 * MiB;

using Hostile = AllocatorTest;
INSTANTIATE_TEST_SUITE_P(, Hostile, all_allocators(), allocator_name);

Bytes garbage(uint64_t count, Random& random) {
  Bytes bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.next());
  return bytes;
}

Bytes first(const Bytes& bytes, uint64_t count) {
  return {bytes.begin(), bytes.begin() + static_cast<int64_t>(count)};
}

// The server may close the connection at any point, but it must answer or close.
template <typename Talk>
void talk(const Server& server, Talk what) {
  try {
    Connection connection(server.socket());
    what(connection);
  } catch (const raw::Closed&) {
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what();
  }
}

// All bytes of a write arrive before any of them is written, so half a write changes nothing.
TEST_P(Hostile, HalfAWriteIsNoWrite) {
  const Server server(disk(GetParam(), kSize), options_for_rough_clients());
  Neighbour neighbour(server, kHome);
  const Client client(server);
  const uint64_t at = 1 * MiB - 300;
  const Bytes old = text(3 * MiB, 1);
  client.write(old, at);
  for (const uint32_t length :
       {1u, 4096u, 70'000u, 1u << 20, 1u << 26, (1u << 26) + 1, UINT32_MAX}) {
    for (const uint32_t sent : {0u, 1u, 4095u, 65'537u, (1u << 20) - 1}) {
      if (sent >= length) continue;
      talk(server, [&](Connection& connection) {
        connection.negotiate();
        connection.send_request({.command = raw::kWrite, .offset = at, .length = length},
                                Bytes(sent, 0xAA));
        connection.finish();
      });
    }
  }
  // Half a request changes nothing, either.
  const Bytes header =
      raw::request_header({.command = raw::kTrim, .offset = at, .length = 4096}, 7);
  for (uint64_t sent = 0; sent < header.size(); ++sent) {
    talk(server, [&](Connection& connection) {
      connection.negotiate();
      connection.send(first(header, sent));
      connection.finish();
    });
  }
  EXPECT_TRUE(old == client.read(old.size(), at));
}

// Cuts each message of the negotiation short at each of its bytes.
TEST_P(Hostile, HalfHandshakes) {
  const Server server(disk(GetParam(), kSize), options_for_rough_clients());
  Neighbour neighbour(server, kHome);
  Bytes all;
  raw::put(all, raw::kFixedNewstyle | raw::kNoZeroes, 4);
  const auto add = [&all](const Bytes& bytes) {
    all.insert(all.end(), bytes.begin(), bytes.end());
  };
  add(raw::option_header(raw::kStructuredReply, 0));
  const Bytes context = raw::context_payload("", "base:allocation");
  add(raw::option_header(raw::kSetMetaContext, static_cast<uint32_t>(context.size())));
  add(context);
  const Bytes go = raw::go_payload("");
  add(raw::option_header(raw::kGo, static_cast<uint32_t>(go.size())));
  add(go);
  for (uint64_t sent = 0; sent <= all.size(); ++sent) {
    talk(server, [&](Connection& connection) {
      connection.read_greeting();
      connection.send(first(all, sent));
      if (sent % 2) connection.finish();  // the others just disconnect
    });
  }
}

TEST_P(Hostile, WrongHandshakes) {
  const Server server(disk(GetParam(), kSize), options_for_rough_clients());
  Neighbour neighbour(server, kHome);
  for (const uint32_t flags : {0u, 2u, 4u, 0x80000000u, UINT32_MAX}) {
    talk(server, [&](Connection& connection) {
      connection.read_greeting();
      connection.send_client_flags(flags);
      connection.send_option(raw::kGo, raw::go_payload(""));
      connection.finish();
    });
  }
  const Bytes payloads[] = {{},
                            Bytes(3, 0xFF),
                            Bytes(4, 0xFF),
                            Bytes(100, 0xFF),
                            Bytes(100, 0),
                            Bytes(5000, 'x'),
                            Bytes(70'000, 1),
                            raw::go_payload(std::string(4096, 'x')),
                            raw::go_payload("../../etc/passwd"),
                            raw::context_payload("", std::string(5000, ':')),
                            raw::context_payload("", "base:")};
  for (const uint32_t option :
       {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u, 10u, 11u, 99u, UINT32_MAX}) {
    for (const Bytes& payload : payloads) {
      talk(server, [&](Connection& connection) {
        connection.read_greeting();
        connection.send_client_flags(raw::kFixedNewstyle | raw::kNoZeroes);
        connection.send_option(option, payload);
        connection.send_option(option, payload);
        connection.finish();
      });
    }
    talk(server, [&](Connection& connection) {
      connection.read_greeting();
      connection.send_client_flags(raw::kFixedNewstyle | raw::kNoZeroes);
      connection.send(raw::option_header(option, UINT32_MAX));  // but send none of that data
      connection.finish();
    });
  }
}

TEST_P(Hostile, Garbage) {
  const Server server(disk(GetParam(), kSize), options_for_rough_clients());
  Neighbour neighbour(server, kHome);
  Random random(4711);
  for (int i = 0; i < 60; ++i) {
    talk(server, [&](Connection& connection) {
      if (i % 3 == 1) connection.read_greeting();
      if (i % 3 == 2) connection.negotiate();
      connection.send(garbage(1 + random.below(100'000), random));
      connection.finish();
    });
  }
  // Only the magic number of these is right. With a range that exists they would be ordinary
  // requests.
  for (int i = 0; i < 60; ++i) {
    talk(server, [&](Connection& connection) {
      connection.negotiate();
      for (int j = 0; j < 20; ++j) {
        Request request;
        request.command = static_cast<uint16_t>(random.next());
        request.flags = static_cast<uint16_t>(random.next());
        request.offset = random.next() | kSize;
        request.length = static_cast<uint32_t>(random.next());
        connection.send_request(request);
      }
      connection.finish();
    });
  }
}

// Returns a request that may be valid or not, but does not touch the neighbour.
Request any_request(const Neighbour& neighbour, uint32_t longest_read, Random& random) {
  for (;;) {
    Request request;
    request.command = static_cast<uint16_t>(random.below(10));
    if (request.command == raw::kWrite || request.command == raw::kDisconnect) continue;
    request.flags = random.below(4) ? 0 : static_cast<uint16_t>(random.below(64));
    request.offset = random.below(kSize + 100'000);
    request.length = static_cast<uint32_t>(random.below(uint64_t{1} << random.below(33)));
    if (request.command == raw::kRead) request.length %= longest_read;
    if (!neighbour.lives_in(request.offset, request.length)) return request;
  }
}

// Talks up to a random point and leaves.
void talk_for_a_while(Connection& connection, const Neighbour& neighbour, Random& random) {
  const uint64_t point = random.below(10);
  if (point == 0) return;
  connection.read_greeting();
  if (point == 1) return;
  connection.send_client_flags(raw::kFixedNewstyle | raw::kNoZeroes);
  if (point == 2) return;
  connection.send_option(raw::kStructuredReply, {});
  if (point == 3) return;
  connection.read_option_reply();
  connection.send_option(raw::kGo, raw::go_payload(""));
  if (point == 4) return;
  while (connection.read_option_reply().type != 1) {  // until the acknowledgement
  }
  // The client reads no replies. A server that cannot send a long one may read no more requests, so
  // only a client that leaves now asks for long ones.
  const uint32_t longest_read = point == 5 ? 1 * MiB : 1 * KiB;
  for (uint64_t i = random.below(30); i > 0; --i) {
    connection.send_request(any_request(neighbour, longest_read, random));
  }
  if (point == 5) return;
  if (point == 6) return connection.send(garbage(random.below(200), random));
  const auto length = static_cast<uint32_t>(1 + random.below(1 * MiB));
  const Request write = {
      .command = raw::kWrite, .offset = random.below(30 * MiB), .length = length};
  connection.send_request(write, Bytes(point == 9 ? length : random.below(length), 0xAA));
  if (point == 8) connection.finish();
  if (point == 9) connection.read_reply();
}

TEST_P(Hostile, FiveHundredConnections) {
  constexpr int kThreads = 5;
  constexpr int kEach = 100;
  const Server server(disk(GetParam(), kSize), options_for_rough_clients());
  Neighbour neighbour(server, kHome);
  ramdisk::support::run_threads(kThreads, [&](int thread) {
    Random random(1000 + static_cast<uint64_t>(thread));
    for (int i = 0; i < kEach; ++i) {
      talk(server,
           [&](Connection& connection) { talk_for_a_while(connection, neighbour, random); });
    }
  });
  neighbour.leave();
  // A new client is served, too.
  const Client client(server);
  client.write(Bytes(4096, 'x'), 5);
  EXPECT_EQ(Bytes(4096, 'x'), client.read(4096, 5));
}

}  // namespace
}  // namespace wire
