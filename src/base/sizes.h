// Numbers of bytes as text: for people, and what people may write.
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

// What a message says of a parameter's value that is no size.
inline constexpr const char* kNotASize =
    "must be a number of bytes, or one with a suffix K, M, G, T, P or E";

}  // namespace ramdisk

#endif
