// Copies the content of a disk, piece by piece, with all CPUs.
//
// Thread contract: one thread calls; it returns when every thread that it started has ended, so it
// may be called on either side of a fork.

#ifndef RAMDISK_IMAGE_COPY_H
#define RAMDISK_IMAGE_COPY_H

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "ramdisk/result.h"

namespace ramdisk {

struct Range {
  uint64_t offset = 0;  // bytes
  uint64_t length = 0;
  bool operator==(const Range&) const = default;
};

struct CopyJob {
  // The most that is copied at once. The buffer fits into the CPU's own cache.
  static constexpr size_t kPiece = size_t{256} << 10;

  // Returns the next piece, of kPiece bytes at most; one without any bytes ends the copy. Never
  // called by two threads at once.
  std::function<Result<Range>()> next;

  // Copies a piece; the buffer has as many bytes. Called by several threads at once.
  std::function<Status(Range, std::span<std::byte>)> copy;

  // Called every `interval`, and once when all has been copied, by the thread that called
  // copy_in_parallel(), with the bytes so far. If it fails, no further pieces are begun.
  std::function<Status(uint64_t bytes)> watch;
  std::chrono::milliseconds interval{100};
};

// Copies until there is nothing more, with `threads` threads or as many as the system allows, if it
// must be with the caller alone (threads = 0). Returns the first failure, of which there may be
// several at once; pieces in progress are then completed, but no others are begun.
Status copy_in_parallel(const CopyJob& job, size_t threads);

// As many threads as there are CPUs, but four at least, because they also wait for storage; none if
// this process has locked its memory (nbdkit --swap), because the stacks of threads are memory,
// too.
size_t copying_threads();

}  // namespace ramdisk

#endif
