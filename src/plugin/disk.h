// Disk: one disk that the server offers, with all that belongs to it.
//
// Thread contract: the members are constant while requests are made, except that the allocator, the
// operations and the image take note of requests, each by its own contract.

#ifndef RAMDISK_PLUGIN_DISK_H
#define RAMDISK_PLUGIN_DISK_H

#include <cstdint>
#include <memory>
#include <string>

#include "memory/budgeted_memory.h"
#include "plugin/disk_image.h"
#include "plugin/operations.h"
#include "ramdisk/allocator.h"

namespace ramdisk {

// Declared in the order of lifetimes.
struct Disk {
  std::string name;  // under which clients open it; any bytes, at most kLongestName
  uint64_t bytes = 0;
  std::shared_ptr<Operations> operations;  // shared where disks are counted together
  std::unique_ptr<BudgetedMemory> memory;
  std::unique_ptr<Allocator> allocator;
  std::unique_ptr<DiskImage> image;  // null unless there is a file to load or to save
};

}  // namespace ramdisk

#endif
