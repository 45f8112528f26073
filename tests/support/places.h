// Chooses ranges of a disk that lie on, next to and across the edges at which the code does
// something else.

#ifndef RAMDISK_SUPPORT_PLACES_H
#define RAMDISK_SUPPORT_PLACES_H

#include <cstdint>
#include <vector>

#include "support/data.h"

namespace ramdisk::support {

struct Range {
  uint64_t offset;
  uint64_t count;
};

class Places {
 public:
  explicit Places(uint64_t disk_bytes);
  // Only these edges of the disk.
  Places(uint64_t disk_bytes, std::vector<uint64_t> edges);

  // A range of at most `most` bytes within the disk, perhaps an empty one.
  Range next(uint64_t most, Rng& rng) const;

  // A range of any length, from near one edge to near another one.
  Range far(Rng& rng) const;

  // The ends of pages, directories, slabs and powers of two, and of the disk itself, unless others
  // were given.
  const std::vector<uint64_t>& edges() const { return edges_; }

 private:
  uint64_t near_edge(Rng& rng) const;

  const uint64_t disk_;
  std::vector<uint64_t> edges_;
};

}  // namespace ramdisk::support

#endif
