// Writes the content of a disk to a file that takes the place of an older one.
//
// Thread contract: one thread; no request changes the disk meanwhile. Threads that are started end
// before the function returns.

#ifndef RAMDISK_IMAGE_SAVE_H
#define RAMDISK_IMAGE_SAVE_H

#include <cstdint>
#include <functional>
#include <string>

#include "image/copy.h"
#include "ramdisk/allocator.h"

namespace ramdisk {

// Saves all `bytes` bytes of `disk` as the file at `path`, which Replacement::resolve() has
// returned. What the disk does not hold is a hole in the file, and so are blocks of 4 KiB that are
// zeroes. Calls `watch` as CopyJob says. If it fails, what was at `path` before is there; see
// Replacement::commit() for the one exception.
Status save_image(Allocator& disk, uint64_t bytes, const std::string& path,
                  const std::function<Status(uint64_t bytes)>& watch,
                  size_t threads = copying_threads());

}  // namespace ramdisk

#endif
