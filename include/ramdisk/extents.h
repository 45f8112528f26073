// How an allocator reports which parts of a disk hold data.
//
// This is a visitor so that nothing below the plugin needs nbdkit's headers.

#ifndef RAMDISK_EXTENTS_H
#define RAMDISK_EXTENTS_H

#include <cstdint>

namespace ramdisk {

enum class ExtentKind {
  data,  // stored; may read as anything
  zero,  // memory is allocated, but reads as zeroes
  hole,  // no memory is allocated; reads as zeroes
};

class ExtentVisitor {
 public:
  virtual ~ExtentVisitor() = default;

  // Receives one extent, `length` >= 1 bytes long, at the byte `offset` of the disk. Extents come
  // in ascending order without gaps, clipped exactly to the range asked for, and two neighbours
  // never have the same kind. Returns false to end the report.
  virtual bool extent(uint64_t offset, uint64_t length, ExtentKind kind) = 0;
};

}  // namespace ramdisk

#endif
