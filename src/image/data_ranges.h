// DataRanges: where a disk holds data, piece by piece from its beginning to its end.
//
// Thread contract: one thread at a time. Requests may change the disk meanwhile: what they change
// behind the last piece may be missed or not.

#ifndef RAMDISK_IMAGE_DATA_RANGES_H
#define RAMDISK_IMAGE_DATA_RANGES_H

#include <cstdint>

#include "image/copy.h"
#include "ramdisk/allocator.h"

namespace ramdisk {

class DataRanges {
 public:
  // `bytes` is the size of the disk.
  DataRanges(Allocator& disk, uint64_t bytes) : disk_(disk), bytes_(bytes) {}

  // Returns the next piece with data, at most CopyJob::kPiece bytes long and within a multiple of
  // that; one without any bytes when there is none. The cost is proportional to what is stored, not
  // to the size of the holes.
  Result<Range> next();

 private:
  // How far one look reaches: one for data covers this much, and one that meets nothing but holes
  // is followed by one twice as long.
  static constexpr uint64_t kLook = uint64_t{64} << 20;

  Status find_data();

  Allocator& disk_;
  const uint64_t bytes_;
  uint64_t position_ = 0;  // what is before has been returned, or reads as zeroes
  uint64_t data_end_ = 0;  // the end of the data at position_
};

}  // namespace ramdisk

#endif
