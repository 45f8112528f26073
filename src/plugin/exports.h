// Exports: the names of disks, as the user gives them and as people read them.
//
// Thread contract: pure functions.

#ifndef RAMDISK_PLUGIN_EXPORTS_H
#define RAMDISK_PLUGIN_EXPORTS_H

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ramdisk/result.h"

namespace ramdisk {

// The longest name that NBD allows, in bytes.
inline constexpr size_t kLongestName = 4096;

struct NamedExport {
  std::string name;
  std::optional<uint64_t> bytes{};  // none: as size= says
  bool operator==(const NamedExport&) const = default;
};

// Reads NAME[:SIZE],... What follows the last colon of an entry is a size if it begins with a
// digit, and part of the name if not. Names are not empty, differ, and hold no comma.
Result<std::vector<NamedExport>> parse_exports(std::string_view value);

// Whether `pattern` has a place for a name.
bool names_export(std::string_view pattern);

// Returns `pattern` with the name in the place of each %s, and one percent sign for %%. Fails if
// there is another percent sign, or if the name cannot be part of a file's name. Begins messages
// with `key`, the parameter.
Result<std::string> file_for_export(std::string_view key, std::string_view pattern,
                                    std::string_view name);

// Returns the name as valid UTF-8 on one line: backslashes, control characters, and bytes that are
// no UTF-8 become \xHH. Different names remain different.
std::string printable(std::string_view name);

}  // namespace ramdisk

#endif
