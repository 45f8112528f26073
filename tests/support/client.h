// One connection to an NBD server, and the data that the tests send over it.
//
// Thread contract: as for a libnbd handle, one thread at a time.

#ifndef RAMDISK_SUPPORT_CLIENT_H
#define RAMDISK_SUPPORT_CLIENT_H

#include <libnbd.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/data.h"
#include "support/server.h"

namespace wire {

using Bytes = std::vector<uint8_t>;

inline constexpr uint64_t KiB = 1024;
inline constexpr uint64_t MiB = 1024 * KiB;
inline constexpr uint64_t GiB = 1024 * MiB;
using ramdisk::support::kLargestDisk;

// Flags of an extent in base:allocation.
inline constexpr uint32_t kData = 0;
inline constexpr uint32_t kHole = LIBNBD_STATE_HOLE | LIBNBD_STATE_ZERO;

struct Extent {
  uint64_t offset = 0;
  uint64_t length = 0;
  uint32_t flags = 0;

  bool operator==(const Extent&) const = default;
};
using Extents = std::vector<Extent>;
void PrintTo(const Extent& extent, std::ostream* out);

class ClientError : public std::runtime_error {
 public:
  ClientError() : std::runtime_error(nbd_get_error()), errnum_(nbd_get_errno()) {}
  int errnum() const { return errnum_; }

 private:
  int errnum_;
};

// Every call that fails throws a ClientError.
class Client {
 public:
  explicit Client(const Server& server);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  nbd_handle* handle() const { return handle_; }
  uint64_t size() const;

  Bytes read(uint64_t count, uint64_t offset, uint32_t flags = 0) const;
  void write(const Bytes& data, uint64_t offset, uint32_t flags = 0) const;
  void zero(uint64_t count, uint64_t offset, uint32_t flags = 0) const;
  void trim(uint64_t count, uint64_t offset, uint32_t flags = 0) const;
  void cache(uint64_t count, uint64_t offset) const;
  void flush() const;

  // The answer to one block status request, exactly as the server gave it.
  Extents extents(uint64_t count, uint64_t offset, uint32_t flags = 0) const;

  // Ends the connection as the protocol asks for.
  void disconnect() const;

 private:
  nbd_handle* handle_;
};

// The errno of a call that should fail; 0 if it did not.
template <typename Call>
int error_of(Call call) {
  try {
    call();
  } catch (const ClientError& error) {
    return error.errnum();
  }
  return 0;
}

using Random = ramdisk::support::Rng;

// Bytes that do not compress. None of them is zero, so that a lost write shows in each byte.
Bytes noise(uint64_t count, uint64_t seed);
// Bytes that compress about as well as text does. None of them is zero either.
Bytes text(uint64_t count, uint64_t seed);

// The parameters for a disk of `size` with `allocator`.
Words disk(const std::string& allocator, uint64_t size);

}  // namespace wire

#endif
