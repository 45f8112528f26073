// Overlapping requests by many threads, written down with their times and judged afterwards.
//
// The rule: a byte that is read was put there by a write or zero that began before the read ended
// and that had not certainly been replaced before the read began. One is certainly replaced by
// another that began after its end. Each byte is judged alone, because requests may interleave.
//
// Thread contract: each thread has its own Log; the judge runs when the threads have ended.

#ifndef RAMDISK_CONFORMANCE_HISTORY_H
#define RAMDISK_CONFORMANCE_HISTORY_H

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "data.h"
#include "ramdisk/allocator.h"

namespace ramdisk::conformance {

// A moment; later ones are larger.
using Clock = std::atomic<uint64_t>;

struct Request {
  enum class Kind { read, write, zero };
  Kind kind;
  uint64_t begin;  // moments
  uint64_t end;
  uint64_t offset;  // within the observed region
  uint64_t count;
  uint64_t id;  // of a write: see written_byte()
  Bytes seen;   // of a read
};

// What the write `id` puts at `offset` of the region. Never 0, so that zeroes are zeroes.
std::byte written_byte(uint64_t id, uint64_t offset);

// Makes random requests in a region of a disk and writes them down.
class Log {
 public:
  Log(Allocator& disk, uint64_t base, uint64_t region_bytes, Clock& clock, int thread)
      : disk_(disk),
        base_(base),
        bytes_(region_bytes),
        clock_(clock),
        thread_(thread),
        rng_(2000 + thread) {}

  // One request. Returns what is wrong with its status, or an empty text.
  std::string step();

  const std::vector<Request>& requests() const { return requests_; }

 private:
  Allocator& disk_;
  const uint64_t base_;
  const uint64_t bytes_;
  Clock& clock_;
  const uint64_t thread_;
  Rng rng_;
  std::vector<Request> requests_;
};

// Judges all reads of a region that was all zero at first. Returns the first that is impossible, or
// an empty text.
std::string judge(const std::vector<Request>& requests, uint64_t region_bytes);

}  // namespace ramdisk::conformance

#endif
