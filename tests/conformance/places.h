// Chooses ranges of a disk that lie on, next to and across the edges that the code has.

#ifndef RAMDISK_CONFORMANCE_PLACES_H
#define RAMDISK_CONFORMANCE_PLACES_H

#include <cstdint>
#include <vector>

#include "data.h"

namespace ramdisk::conformance {

struct Range {
  uint64_t offset;
  uint64_t count;
};

class Places {
 public:
  explicit Places(uint64_t disk_bytes);

  // A range of at most `most` bytes that lies within the disk; it may be empty.
  Range next(uint64_t most, Rng& rng) const;

  // A range from near one edge to near another one, of any length.
  Range far(Rng& rng) const;

  // Where pages, directories, slabs and powers of two of the disk end, and the disk itself.
  const std::vector<uint64_t>& edges() const { return edges_; }

 private:
  uint64_t near_edge(Rng& rng) const;

  const uint64_t disk_;
  std::vector<uint64_t> edges_;
};

}  // namespace ramdisk::conformance

#endif
