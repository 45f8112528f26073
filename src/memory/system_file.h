// Reads the small text files in which a system says what it has, such as those of /proc and /sys.
//
// Thread contract: any thread.

#ifndef RAMDISK_MEMORY_SYSTEM_FILE_H
#define RAMDISK_MEMORY_SYSTEM_FILE_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ramdisk {

// The content of the file; what there is of it, or nothing, if it cannot be read.
std::string read_system_file(const std::string& path);

// The first line of `text`, without its end, which is removed from `text`.
std::string_view take_line(std::string_view& text);

// The decimal number at the start of `text`, after blanks; nullopt if there is none, or if it needs
// more than 64 bits.
std::optional<uint64_t> number_at(std::string_view text);

// The number that follows `name` and blanks at the start of a line of `text`: 12 for "VmLck:" where
// a line is "VmLck:   12 kB". 0 if there is none.
uint64_t number_of(std::string_view text, std::string_view name);

}  // namespace ramdisk

#endif
