// What to tell people who mistyped a parameter or its value.
//
// Thread contract: pure functions, for start-up.

#ifndef RAMDISK_PLUGIN_HINTS_H
#define RAMDISK_PLUGIN_HINTS_H

#include <string_view>

#include "ramdisk/status.h"

namespace ramdisk {

// Returns the failure about a parameter that does not exist.
Status unknown_parameter(std::string_view name, std::string_view value);

// The others fail with EINVAL if the value shows what else was meant, and a message can say it
// better than the one that is next.

// `value` is what size= is to be: nbdkit makes every word a size that is not NAME=VALUE. If there
// has been a size already (`has_size`), a word that does not begin with a digit is no other one.
Status check_word(std::string_view value, bool has_size);

// `value` is no size, or one with a fraction, with a suffix such as GB or GiB, of which nbdkit
// knows only the first letter, or with another parameter behind a comma; or it is larger than any.
// `before` is what stands before it, such as "max-memory=".
Status check_size(std::string_view before, std::string_view value);

// `value` is what allocator= is to be, and has a parameter where there may be an option.
Status check_option_names(std::string_view value);

}  // namespace ramdisk

#endif
