// How an allocator reports which parts of a disk hold data.
//
// This is a visitor so that nothing below the plugin needs nbdkit's headers.

#ifndef RAMDISK_EXTENTS_H
#define RAMDISK_EXTENTS_H

#include <cstdint>

namespace ramdisk {

enum class ExtentKind {
  data,  // stored; may read as anything
  zero,  // memory is taken, but it reads as zeroes
  hole,  // no memory is taken; reads as zeroes
};

class ExtentVisitor {
 public:
  virtual ~ExtentVisitor() = default;

  // One extent, `length` >= 1 bytes long, at the byte `offset` of the disk. Extents come in
  // ascending order without gaps, exactly clipped to the range asked for, and two neighbours
  // never have the same kind. Returns false to be spared the rest.
  virtual bool extent(uint64_t offset, uint64_t length, ExtentKind kind) = 0;
};

}  // namespace ramdisk

#endif
