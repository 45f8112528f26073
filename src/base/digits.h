// Decimal digits in what users type, whatever the locale.
//
// Thread contract: pure functions.

#ifndef RAMDISK_BASE_DIGITS_H
#define RAMDISK_BASE_DIGITS_H

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace ramdisk {

inline bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

inline bool begins_with_digit(std::string_view text) {
  return !text.empty() && is_digit(text.front());
}

// Returns how many characters at the beginning are digits.
inline size_t leading_digits(std::string_view text) {
  return static_cast<size_t>(std::find_if_not(text.begin(), text.end(), is_digit) - text.begin());
}

// Whether the text is a number without a sign. An empty one is not.
inline bool is_number(std::string_view text) {
  return !text.empty() && leading_digits(text) == text.size();
}

}  // namespace ramdisk

#endif
