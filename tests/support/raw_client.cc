// Written from the NBD protocol's description: https://github.com/NetworkBlockDevice/nbd

#include "support/raw_client.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace wire::raw {
namespace {

constexpr uint64_t kGreetingMagic = 0x4e42444d41474943;  // "NBDMAGIC"
constexpr uint64_t kOptionMagic = 0x49484156454f5054;    // "IHAVEOPT"
constexpr uint64_t kOptionReplyMagic = 0x3e889045565a9;
constexpr uint32_t kSimpleReplyMagic = 0x67446698;
constexpr uint32_t kStructuredReplyMagic = 0x668e33ef;

constexpr uint32_t kAck = 1;
constexpr uint32_t kInfoReply = 3;
constexpr uint16_t kInfoExport = 0;

constexpr uint16_t kChunkIsLast = 1;
enum Chunk : uint16_t {
  kChunkNone = 0,
  kChunkData = 1,
  kChunkHole = 2,
  kChunkStatus = 5,
  kChunkError = 1 << 15,
};

// More than any answer of a server to what the tests ask.
constexpr uint32_t kLongestAnswer = 65 * MiB;

uint64_t number_at(const Bytes& bytes, size_t at, size_t width) {
  uint64_t value = 0;
  for (size_t i = 0; i < width; ++i) value = value << 8 | bytes.at(at + i);
  return value;
}

void put_text(Bytes& bytes, const std::string& text) {
  put(bytes, text.size(), 4);
  bytes.insert(bytes.end(), text.begin(), text.end());
}

}  // namespace

std::string to_string(const Request& request) {
  return "command " + std::to_string(request.command) + " flags " + std::to_string(request.flags) +
         " of " + std::to_string(request.length) + " at " + std::to_string(request.offset);
}

void put(Bytes& bytes, uint64_t value, size_t width) {
  for (size_t i = width; i-- > 0;) bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

Bytes option_header(uint32_t option, uint32_t length) {
  Bytes bytes;
  put(bytes, kOptionMagic, 8);
  put(bytes, option, 4);
  put(bytes, length, 4);
  return bytes;
}

Bytes go_payload(const std::string& name) {
  Bytes bytes;
  put_text(bytes, name);
  put(bytes, 0, 2);  // no information is asked for
  return bytes;
}

Bytes context_payload(const std::string& name, const std::string& context) {
  Bytes bytes;
  put_text(bytes, name);
  put(bytes, 1, 4);
  put_text(bytes, context);
  return bytes;
}

Bytes request_header(const Request& request, uint64_t cookie) {
  Bytes bytes;
  put(bytes, request.magic, 4);
  put(bytes, request.flags, 2);
  put(bytes, request.command, 2);
  put(bytes, cookie, 8);
  put(bytes, request.offset, 8);
  put(bytes, request.length, 4);
  return bytes;
}

Connection::Connection(const std::string& socket)
    : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  if (fd_ < 0) throw std::runtime_error("no socket to be had");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socket.copy(address.sun_path, sizeof address.sun_path - 1);
  const timeval patience = {.tv_sec = 60, .tv_usec = 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const std::string why = std::strerror(errno);
    close(fd_);
    throw std::runtime_error("cannot connect: " + why);
  }
}

Connection::~Connection() {
  close(fd_);
}

void Connection::send(const Bytes& bytes) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t sent = ::send(fd_, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
    if (sent > 0) {
      done += static_cast<size_t>(sent);
    } else if (errno == EAGAIN) {
      throw ProtocolError("the server takes nothing");
    } else if (errno != EINTR) {
      throw Closed();
    }
  }
}

Bytes Connection::receive(size_t count) {
  Bytes bytes(count);
  for (size_t done = 0; done < count;) {
    const ssize_t got = recv(fd_, bytes.data() + done, count - done, 0);
    if (got > 0) {
      done += static_cast<size_t>(got);
    } else if (got < 0 && errno == EAGAIN) {
      throw ProtocolError("the server does not answer");
    } else if (got == 0 || errno != EINTR) {
      throw Closed();
    }
  }
  return bytes;
}

size_t Connection::finish() {
  shutdown(fd_, SHUT_WR);
  uint8_t ignored[64 * KiB];
  size_t received = 0;
  for (;;) {
    const ssize_t got = recv(fd_, ignored, sizeof ignored, 0);
    if (got < 0 && errno == EAGAIN) throw ProtocolError("the server does not close its end");
    if (got == 0 || (got < 0 && errno != EINTR)) return received;
    if (got > 0) received += static_cast<size_t>(got);
  }
}

uint64_t Connection::receive_number(size_t width) {
  return number_at(receive(width), 0, width);
}

void Connection::read_greeting() {
  if (receive_number(8) != kGreetingMagic) throw ProtocolError("wrong magic in the greeting");
  if (receive_number(8) != kOptionMagic) throw ProtocolError("the server is of the old style");
  const uint64_t flags = receive_number(2);
  if ((flags & (kFixedNewstyle | kNoZeroes)) != (kFixedNewstyle | kNoZeroes)) {
    throw ProtocolError("the server lacks fixed newstyle or no-zeroes");
  }
}

void Connection::send_client_flags(uint32_t flags) {
  Bytes bytes;
  put(bytes, flags, 4);
  send(bytes);
}

void Connection::send_option(uint32_t option, const Bytes& payload) {
  Bytes bytes = option_header(option, static_cast<uint32_t>(payload.size()));
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  send(bytes);
}

OptionReply Connection::read_option_reply() {
  if (receive_number(8) != kOptionReplyMagic) throw ProtocolError("wrong magic in an option reply");
  receive(4);  // the option
  OptionReply reply;
  reply.type = static_cast<uint32_t>(receive_number(4));
  const uint64_t length = receive_number(4);
  if (length > kLongestAnswer) throw ProtocolError("an option reply is far too long");
  reply.data = receive(length);
  return reply;
}

void Connection::negotiate() {
  read_greeting();
  send_client_flags(kFixedNewstyle | kNoZeroes);
  send_option(kStructuredReply, {});
  if (read_option_reply().type != kAck) throw ProtocolError("no structured replies");
  send_option(kSetMetaContext, context_payload("", "base:allocation"));
  while (read_option_reply().type != kAck) {
  }
  send_option(kGo, go_payload(""));
  for (;;) {
    const OptionReply reply = read_option_reply();
    if (reply.type == kAck) break;
    if (reply.type >> 31) throw ProtocolError("the server refuses NBD_OPT_GO");
    if (reply.type == kInfoReply && number_at(reply.data, 0, 2) == kInfoExport) {
      size_ = number_at(reply.data, 2, 8);
      transmission_flags_ = static_cast<uint16_t>(number_at(reply.data, 10, 2));
    }
  }
}

uint64_t Connection::send_request(const Request& request, const Bytes& payload) {
  send(request_header(request, ++cookie_));
  send(payload);
  return cookie_;
}

Reply Connection::read_reply() {
  Reply reply;
  while (!read_chunk(reply)) {
  }
  return reply;
}

// Returns whether this was the last one.
bool Connection::read_chunk(Reply& reply) {
  const uint64_t magic = receive_number(4);
  if (magic == kSimpleReplyMagic) {
    reply.error = static_cast<uint32_t>(receive_number(4));
    reply.cookie = receive_number(8);
    return true;
  }
  if (magic != kStructuredReplyMagic) throw ProtocolError("wrong magic in a reply");
  const uint64_t flags = receive_number(2);
  const uint64_t type = receive_number(2);
  reply.cookie = receive_number(8);
  const uint64_t length = receive_number(4);
  if (length > kLongestAnswer) throw ProtocolError("a chunk is far too long");
  const Bytes data = receive(length);
  if (type & kChunkError) {
    reply.error = static_cast<uint32_t>(number_at(data, 0, 4));
    if (reply.error == 0) throw ProtocolError("an error chunk without an error");
  } else if (type == kChunkData) {
    reply.content += length - 8;
  } else if (type == kChunkHole) {
    reply.content += number_at(data, 8, 4);
  } else if (type == kChunkStatus) {
    for (size_t at = 4; at < length; at += 8) reply.status += number_at(data, at, 4);
  } else if (type != kChunkNone) {
    throw ProtocolError("a chunk of unknown type");
  }
  return flags & kChunkIsLast;
}

Reply Connection::ask(const Request& request, const Bytes& payload) {
  const uint64_t cookie = send_request(request, payload);
  const Reply reply = read_reply();
  if (reply.cookie != cookie) throw ProtocolError("the reply is to another request");
  return reply;
}

}  // namespace wire::raw
