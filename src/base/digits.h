// Decimal digits in what users type, whatever the locale.
//
// Thread contract: pure functions.

#ifndef RAMDISK_BASE_DIGITS_H
#define RAMDISK_BASE_DIGITS_H

#include <algorithm>
#include <string_view>

namespace ramdisk {

inline bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

inline bool begins_with_digit(std::string_view text) {
  return !text.empty() && is_digit(text.front());
}

// Whether the text is a number without sign. An empty one is not.
inline bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

}  // namespace ramdisk

#endif
