// Bytes that tell whose they are: blocks are filled with a tag and must still hold it later.
//
// Plain memory accesses on purpose: the thread sanitizer sees a block that two own at once.
//
// Thread contract: any thread.

#ifndef RAMDISK_UNIT_PATTERN_H
#define RAMDISK_UNIT_PATTERN_H

#include <cstddef>
#include <cstdint>
#include <span>

namespace ramdisk::unit {

void fill_pattern(std::span<std::byte> bytes, uint64_t tag);

// Whether fill_pattern() with this tag made these bytes, all of them.
bool has_pattern(std::span<const std::byte> bytes, uint64_t tag);

}  // namespace ramdisk::unit

#endif
