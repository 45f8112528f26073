// The value of allocator=...: what it may say, and how it is read.
//
// Thread contract: pure functions.

#ifndef RAMDISK_DISK_OPTIONS_H
#define RAMDISK_DISK_OPTIONS_H

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "ramdisk/result.h"

namespace ramdisk {

enum class AllocatorType { sparse, malloc, zstd };

struct AllocatorOptions {
  AllocatorType type = AllocatorType::sparse;
  bool mlock = false;
  // For zstd alone:
  int level = 3;                    // of compression
  std::optional<uint64_t> cache{};  // bytes of the write cache; unset: by what is stored
  bool recompress = true;           // whether cold pages are compressed harder
};

const char* allocator_name(AllocatorType type);

// For messages: the names of all allocators, and the options that are no parameters as well.
std::vector<std::string_view> allocator_names();
std::vector<std::string_view> allocator_options();

// true for 1, true, t, yes, y, on and false for 0, false, f, no, n, off, in upper or lower case,
// which are the words that nbdkit itself accepts. `what` names the parameter in the error.
Result<bool> parse_bool(std::string_view what, std::string_view value);

// Reads NAME[,KEY[=VALUE]]..., the value of the parameter allocator. A key without a value means
// true; if a key is given twice the last one counts. Fails with EINVAL and a message that names the
// parameter, the value and what is allowed.
Result<AllocatorOptions> parse_allocator(std::string_view value);

}  // namespace ramdisk

#endif
