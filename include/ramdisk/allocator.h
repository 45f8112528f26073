// An Allocator stores the content of one disk in memory.
//
// Contract, for every implementation:
//   1. What nobody wrote reads as zeroes; what was zeroed reads as zeroes at once.
//   2. Ranges lie within the disk: offset + count <= the size given at creation <= 2^63-1.
//      The caller checks this (nbdkit does); count may be 0.
//   3. A request that fails leaves each page with its old bytes or its new bytes, and pages it
//      does not touch alone. The disk stays usable.
//   4. Requests that run at the same time and overlap may interleave, but each byte read is one
//      that was written there last, or is being written.
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
  uint64_t stored_bytes = 0;  // bytes of the disk that are kept, in whole pages (the disk's last
                              // one may be short), uncompressed; never more than the disk has
  uint64_t memory_bytes = 0;  // bytes of memory held for them: pages, tables, free pages not
                              // yet given back
};

// What the pages of a disk, of 4096 bytes, are kept as. Each page is counted once, or not at all if
// it is a hole, and stored_bytes are those of the pages that are counted.
struct Statistics {
  Usage usage;
  uint64_t same_filled_pages = 0;  // one word of four bytes over and over
  uint64_t plain_pages = 0;        // as they are
  uint64_t waiting_pages = 0;      // as they are, to be compressed soon
  struct Generation {
    uint64_t single_pages = 0;   // compressed each by itself
    uint64_t grouped_pages = 0;  // compressed with their neighbours
  };
  std::vector<Generation> generations{};  // by the number of the dictionary; 0 is none
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
  // The unit in which requests are cheapest, in bytes.
  static constexpr uint32_t kPreferredBlockSize = 4096;

  virtual ~Allocator() = default;
  Allocator() = default;
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  // Makes sure that what has to be had before the first request can be had. nbdkit may fork after
  // this: locks on memory and threads do not survive that. On failure the allocator may only be
  // destroyed.
  virtual Status get_ready() { return {}; }

  // Takes what belongs to the process that serves. Called in that process, whether nbdkit forked or
  // not. On failure as get_ready.
  virtual Status after_fork() { return {}; }

  // Ends background work. No request is under way or comes later. Called at most once.
  virtual void stop() {}

  // Copies the range at `offset` into `buffer`. Never fails for lack of disk memory.
  virtual Status read(std::span<std::byte> buffer, uint64_t offset) = 0;

  // Stores `data` at `offset`. ENOMEM when there is no memory: pages written before that keep the
  // new bytes, the others the old.
  virtual Status write(std::span<const std::byte> data, uint64_t offset) = 0;

  // Makes `count` bytes at `offset` read as zeroes, and gives back the memory of pages that
  // this empties where the allocator can. Costs in proportion to what is stored in the range.
  // May fail only if part of a page has to be rewritten and there is no memory for it.
  virtual Status zero(uint64_t count, uint64_t offset) = 0;

  // Reports the extents of the range to `visitor`.
  virtual Status extents(uint64_t count, uint64_t offset, ExtentVisitor& visitor) = 0;

  // Figures that were true at some moment during the call.
  virtual Usage usage() const = 0;

  // The same in detail. Costs in proportion to what is stored.
  virtual Statistics statistics() const {
    Statistics s;
    s.usage = usage();
    s.plain_pages = (s.usage.stored_bytes + 4095) / 4096;
    return s;
  }

  // One phrase for people: how the disk is stored.
  virtual std::string describe() const = 0;
};

}  // namespace ramdisk

#endif
