// The patterns of pattern.h: words that depend on the tag and on their place.

#include "unit/pattern.h"

#include <algorithm>
#include <cstring>

namespace ramdisk::unit {
namespace {

uint64_t word_at(uint64_t tag, size_t at) {
  return (tag + 1) * 0x9e3779b97f4a7c15u ^ (at + 1) * 0xd6e8feb86659fd93u;
}

}  // namespace

void fill_pattern(std::span<std::byte> bytes, uint64_t tag) {
  for (size_t at = 0; at < bytes.size(); at += sizeof(uint64_t)) {
    const uint64_t word = word_at(tag, at);
    std::memcpy(&bytes[at], &word, std::min(sizeof word, bytes.size() - at));
  }
}

bool has_pattern(std::span<const std::byte> bytes, uint64_t tag) {
  for (size_t at = 0; at < bytes.size(); at += sizeof(uint64_t)) {
    const uint64_t word = word_at(tag, at);
    if (std::memcmp(&bytes[at], &word, std::min(sizeof word, bytes.size() - at)) != 0) return false;
  }
  return true;
}

}  // namespace ramdisk::unit
