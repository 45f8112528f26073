// An Allocator stores the content of one disk in memory.
//
// Contract, for every implementation:
//   1. Bytes that were never written read as zeroes; bytes that were zeroed read as zeroes at once.
//   2. Ranges lie within the disk: offset + count <= the size given at creation <= 2^63-1.
//      The caller checks this (nbdkit does); count may be 0.
//   3. After a request that fails, each page in its range holds its old bytes or its new bytes, and
//      no other page has changed. The disk stays usable.
//   4. Requests that overlap and run at the same time may interleave, but each byte read is the
//      last one that was written there, or one that is being written.
//
// Thread contract: read, write, zero, extents, usage, statistics and describe may be called from
// any number of threads at once, between get_ready and stop. The life-cycle calls are made by one
// thread, in the order get_ready, after_fork, stop, destructor.

#ifndef RAMDISK_ALLOCATOR_H
#define RAMDISK_ALLOCATOR_H

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ramdisk/extents.h"
#include "ramdisk/status.h"

namespace ramdisk {

struct Usage {
  uint64_t stored_bytes = 0;  // uncompressed size of the stored pages (the disk's last page may be
                              // short); never more than the size of the disk
  uint64_t memory_bytes = 0;  // memory held for them: pages, tables, and free pages not yet
                              // returned to the system
};

// How the pages of a disk, of 4096 bytes each, are stored. Each page is counted once, or not at all
// if it is a hole; usage.stored_bytes is the size of the pages that are counted.
struct Statistics {
  Usage usage;
  uint64_t same_filled_pages = 0;  // one four-byte value repeated
  uint64_t plain_pages = 0;        // uncompressed
  uint64_t waiting_pages = 0;      // uncompressed, in the write cache
  struct Generation {
    uint64_t single_pages = 0;   // compressed one by one
    uint64_t grouped_pages = 0;  // compressed together with their neighbours
  };
  std::vector<Generation> generations{};  // indexed by dictionary number; 0 is none
  uint64_t waiting_limit_pages = 0;
  uint64_t dictionaries = 0;
  uint64_t dictionary_bytes = 0;

  uint64_t stored_pages() const {
    uint64_t sum = same_filled_pages + plain_pages + waiting_pages;
    for (const Generation& g : generations) sum += g.single_pages + g.grouped_pages;
    return sum;
  }
};

class Allocator {
 public:
  // Requests made of whole, aligned blocks of this many bytes are the cheapest.
  static constexpr uint32_t kBlockBytes = 4096;

  virtual ~Allocator() = default;
  Allocator() = default;
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  // Fails if what is needed before the first request is not available. nbdkit may fork after this,
  // and memory locks and threads do not survive a fork. After a failure the allocator may only be
  // destroyed.
  virtual Status get_ready() { return {}; }

  // Acquires what belongs to the serving process, such as threads and memory locks. Called in that
  // process, whether nbdkit forked or not. After a failure the allocator may only be destroyed.
  virtual Status after_fork() { return {}; }

  // Ends background work. No request is in progress or follows. Called at most once.
  virtual void stop() {}

  // Copies the range at `offset` into `buffer`. Never fails for lack of memory for the disk.
  virtual Status read(std::span<std::byte> buffer, uint64_t offset) = 0;

  // Stores `data` at `offset`. Fails with ENOMEM when there is no memory: pages written before that
  // keep the new bytes, the others the old.
  virtual Status write(std::span<const std::byte> data, uint64_t offset) = 0;

  // Makes `count` bytes at `offset` read as zeroes, and frees the pages that this empties, where
  // the allocator can. The cost is proportional to what is stored in the range. Fails only if part
  // of a page has to be rewritten and there is no memory for that.
  virtual Status zero(uint64_t count, uint64_t offset) = 0;

  // Reports the extents of the range to `visitor`.
  virtual Status extents(uint64_t count, uint64_t offset, ExtentVisitor& visitor) = 0;

  // Returns figures that were true at some moment during the call.
  virtual Usage usage() const = 0;

  // As usage(), broken down by how the pages are stored. The cost is proportional to what is
  // stored.
  virtual Statistics statistics() const {
    Statistics s;
    s.usage = usage();
    s.plain_pages = (s.usage.stored_bytes + 4095) / 4096;
    return s;
  }

  // Says in one phrase, for people, how the disk is stored.
  virtual std::string describe() const = 0;
};

}  // namespace ramdisk

#endif
