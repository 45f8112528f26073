// Records overlapping requests of many threads with their times, and judges them afterwards.
//
// The register is the byte: NBD promises nothing about larger units, so overlapping requests may
// interleave. Each byte that is written carries a stamp of its write, so that a value that is read
// tells which write put it there. Zeroes, which trims write too, all look alike.
//
// Write w is known to a read if, before the read began, w had ended or another read that saw w had
// ended. A read may see the write w if
//   1. w began before the read ended, and
//   2. no write that began after w had ended is known to the read.
// With writes that are known because they have ended, these rules are what a register must obey to
// be linearizable when seen by one read at a time. With writes that are known through reads, they
// also keep the order of reads: once a write has been seen, what it replaced does not come back.
// (M. Herlihy and J. Wing, "Linearizability: a correctness condition for concurrent objects", 1990;
// that unique values make this cheap to decide is from P. Gibbons and E. Korach, "Testing shared
// memories", 1997.)
//
// These authors go further and also order writes that overlap in time. The test does not demand
// that: memcpy may store a byte twice, as its first and its last words overlap, so of two
// concurrent writes a reader may see one, the other, and the first again.
//
// Thread contract: each thread has its own Log; the judge runs when the threads have ended.

#ifndef RAMDISK_CONFORMANCE_HISTORY_H
#define RAMDISK_CONFORMANCE_HISTORY_H

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ramdisk/allocator.h"
#include "support/data.h"

namespace ramdisk::conformance {

// The state that the threads of one history share.
struct Times {
  std::atomic<uint64_t> now{0};     // a moment; later ones are larger
  std::atomic<uint64_t> writes{0};  // number of ids given to writes
};

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

// Returns the byte that write `id` puts at `offset` of the region. It is never 0, so that zeroes
// can be recognised. At one place it differs among any 255 consecutive writes, which is more than
// can be in progress at once. At neighbouring places it differs, so that misplaced data is noticed.
std::byte written_byte(uint64_t id, uint64_t offset);

// Makes random requests in a region of a disk and records them.
class Log {
 public:
  Log(Allocator& disk, uint64_t base, uint64_t region_bytes, Times& times, int thread)
      : disk_(disk), base_(base), bytes_(region_bytes), times_(times), rng_(2000 + thread) {}

  // Makes one request. Returns what is wrong with its status, or an empty text.
  std::string step();

  const std::vector<Request>& requests() const { return requests_; }

 private:
  std::pair<uint64_t, uint64_t> choose_range();  // offset in the region, and count
  uint64_t moment() { return times_.now.fetch_add(1) + 1; }

  Allocator& disk_;
  const uint64_t base_;
  const uint64_t bytes_;
  Times& times_;
  Rng rng_;
  std::vector<Request> requests_;
};

// Judges all reads of a region that was all zero at first. Returns a description of the first
// impossible one, or an empty text.
std::string judge(const std::vector<Request>& requests, uint64_t region_bytes);

}  // namespace ramdisk::conformance

#endif
