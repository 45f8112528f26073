// An NBD client that sends any message, right or wrong, whole or in part: it writes the protocol by
// hand, without a library that would refuse to break the rules.
//
// negotiate() does what the protocol asks for; everything below it is there to do it wrongly. A
// call throws when it finds the connection closed or has waited for more than a minute.
//
// Thread contract: one thread at a time.

#ifndef RAMDISK_SUPPORT_RAW_CLIENT_H
#define RAMDISK_SUPPORT_RAW_CLIENT_H

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/client.h"

namespace wire::raw {

// The server has closed the connection, in order or not.
class Closed : public std::runtime_error {
 public:
  Closed() : std::runtime_error("the server closed the connection") {}
};

// The server breaks the protocol, or does not answer.
class ProtocolError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum ClientFlag : uint32_t { kFixedNewstyle = 1, kNoZeroes = 2 };

enum Option : uint32_t {
  kExportName = 1,
  kAbort = 2,
  kList = 3,
  kStartTls = 5,
  kInfo = 6,
  kGo = 7,
  kStructuredReply = 8,
  kListMetaContext = 9,
  kSetMetaContext = 10,
};

enum Command : uint16_t {
  kRead = 0,
  kWrite = 1,
  kDisconnect = 2,
  kFlush = 3,
  kTrim = 4,
  kCache = 5,
  kWriteZeroes = 6,
  kBlockStatus = 7,
  kResize = 8,
};

enum CommandFlag : uint16_t {
  kFua = 1,
  kNoHole = 2,
  kDf = 4,
  kReqOne = 8,
  kFastZero = 16,
  kPayloadLength = 32,
};

struct Request {
  uint16_t command = kRead;
  uint16_t flags = 0;
  uint64_t offset = 0;
  uint32_t length = 0;
  uint32_t magic = 0x25609513;
};
std::string to_string(const Request& request);

struct OptionReply {
  uint32_t type = 0;  // an error when its highest bit is set
  Bytes data;
};

// All chunks of one reply.
struct Reply {
  uint64_t cookie = 0;
  uint32_t error = 0;    // 0 if the request succeeded
  uint64_t content = 0;  // bytes of the disk that the reply holds, as data or as holes
  uint64_t status = 0;   // bytes that its extents of base:allocation cover
};

// Numbers as they go over the wire, highest byte first.
void put(Bytes& bytes, uint64_t value, size_t width);
Bytes option_header(uint32_t option, uint32_t length);
// What NBD_OPT_GO and NBD_OPT_INFO carry.
Bytes go_payload(const std::string& name);
// What NBD_OPT_SET_META_CONTEXT carries.
Bytes context_payload(const std::string& name, const std::string& context);
Bytes request_header(const Request& request, uint64_t cookie);

class Connection {
 public:
  // Connects, and sends nothing.
  explicit Connection(const std::string& socket);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Greeting, structured replies, base:allocation, and into the transmission phase.
  void negotiate();

  // ---- the steps of the negotiation
  void read_greeting();
  void send_client_flags(uint32_t flags);
  void send_option(uint32_t option, const Bytes& payload);
  OptionReply read_option_reply();

  // ---- transmission
  // Returns the cookie of the request. `payload` follows the header; a write has one.
  uint64_t send_request(const Request& request, const Bytes& payload = {});
  Reply read_reply();
  Reply ask(const Request& request, const Bytes& payload = {});

  void send(const Bytes& bytes);
  Bytes receive(size_t count);
  // Shuts down the sending side and waits until the server has closed the connection. Returns how
  // many bytes came before that.
  size_t finish();

  uint64_t size() const { return size_; }
  uint16_t transmission_flags() const { return transmission_flags_; }

 private:
  uint64_t receive_number(size_t width);
  bool read_chunk(Reply& reply);

  int fd_ = -1;
  uint64_t cookie_ = 0;
  uint64_t size_ = 0;
  uint16_t transmission_flags_ = 0;
};

}  // namespace wire::raw

#endif
