// Numbers of bytes as text for people.
//
// Thread contract: pure functions.

#ifndef RAMDISK_BASE_SIZES_H
#define RAMDISK_BASE_SIZES_H

#include <cstdint>
#include <string>

namespace ramdisk {

// Returns a size with one digit after the point, none if that is 0, and the suffix of a parameter:
// "393.9M", "64M", "100 bytes".
std::string short_size(uint64_t bytes);

// Returns the exact number and, from 1 KiB on, a rounded one: "1073741824 bytes (1 GiB)".
std::string exact_size(uint64_t bytes);

}  // namespace ramdisk

#endif
