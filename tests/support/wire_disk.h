// A disk behind an NBD server, as an Allocator: checks that are written for allocators run over the
// wire, too.
//
// A call becomes one of the requests that mean the same: a zero may be a trim or any kind of NBD
// zero, and forced-unit-access, flush and cache requests come in between. Extents are asked for
// with and without REQ_ONE; an answer that breaks the protocol is an error.
//
// Thread contract: as a Client, one thread at a time.

#ifndef RAMDISK_SUPPORT_WIRE_DISK_H
#define RAMDISK_SUPPORT_WIRE_DISK_H

#include <stdexcept>
#include <string>

#include "ramdisk/allocator.h"
#include "support/client.h"

namespace wire {

class WireDisk final : public ramdisk::Allocator {
 public:
  // The largest zero, and the largest range of which extents are asked.
  static constexpr uint64_t kLongestRequest = UINT32_MAX;
  // A multiple of the page of every plugin that these tests may be given.
  static constexpr uint64_t kPageBytes = 64 * KiB;

  // `stream` is that of the random numbers that choose between requests.
  WireDisk(const Client& client, uint64_t stream) : client_(client), random_(stream) {}

  ramdisk::Status read(std::span<std::byte> buffer, uint64_t offset) override;
  ramdisk::Status write(std::span<const std::byte> data, uint64_t offset) override;
  ramdisk::Status zero(uint64_t count, uint64_t offset) override;
  ramdisk::Status extents(uint64_t count, uint64_t offset,
                          ramdisk::ExtentVisitor& visitor) override;

  ramdisk::Usage usage() const override { return {}; }  // a client cannot know it
  std::string describe() const override { return "a disk behind NBD"; }

 private:
  uint32_t maybe_fua() { return random_.below(4) == 0 ? LIBNBD_CMD_FLAG_FUA : 0; }

  const Client& client_;
  Random random_;
};

// The disk is not what it must be.
class WrongData : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Throws WrongData if there is a complaint, as an Owner returns it.
inline void require_nothing(const std::string& complaint) {
  if (!complaint.empty()) throw WrongData(complaint);
}

}  // namespace wire

#endif
