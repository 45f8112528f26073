#include "base/sizes.h"

#include <cstddef>
#include <string_view>

namespace ramdisk {

namespace {

constexpr std::string_view kUnits = "KMGTPE";

struct Rounded {
  std::string number;
  char unit;
};

// Rounds to tenths of the largest unit of which there is one or more. Reckons in whole numbers, so
// that every 64-bit size is rounded correctly.
Rounded rounded(uint64_t bytes) {
  unsigned shift = 10;
  size_t unit = 0;
  uint64_t tenths = 0;
  for (;; shift += 10, ++unit) {
    const uint64_t whole = bytes >> shift;
    const uint64_t remainder = bytes - (whole << shift);
    // Ten times the remainder may not fit into 64 bits, so only its upper 20 bits count.
    const unsigned dropped = shift > 20 ? shift - 20 : 0;
    const uint64_t scale = uint64_t{1} << (shift - dropped);
    tenths = whole * 10 + ((remainder >> dropped) * 10 + scale / 2) / scale;
    if (tenths < 10240 || unit + 1 == kUnits.size()) break;
  }
  std::string number = std::to_string(tenths / 10);
  if (tenths % 10 != 0) number += "." + std::to_string(tenths % 10);
  return {std::move(number), kUnits[unit]};
}

}  // namespace

std::string short_size(uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " bytes";
  const Rounded size = rounded(bytes);
  return size.number + size.unit;
}

std::string exact_size(uint64_t bytes) {
  std::string text = std::to_string(bytes) + " bytes";
  if (bytes < 1024) return text;
  const Rounded size = rounded(bytes);
  return text + " (" + size.number + " " + size.unit + "iB)";
}

}  // namespace ramdisk
