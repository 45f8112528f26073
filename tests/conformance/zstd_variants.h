// Disks of allocator=zstd whose background work never rests for long: ticks of a millisecond, pages
// that are cold after a few, dictionaries that are replaced often.

#ifndef RAMDISK_CONFORMANCE_ZSTD_VARIANTS_H
#define RAMDISK_CONFORMANCE_ZSTD_VARIANTS_H

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <thread>

#include "data.h"
#include "factory.h"

namespace ramdisk::conformance {

struct ZstdVariant {
  const char* name;
  std::optional<uint64_t> cache;
  bool recompress;
};
inline constexpr std::array kZstdVariants = {
    ZstdVariant{"usual", {}, true},
    ZstdVariant{"no_cache", 0, true},
    ZstdVariant{"tiny_cache", 64 << 10, true},
    ZstdVariant{"no_recompress", {}, false},
    ZstdVariant{"neither", 0, false},
};

inline AllocatorOptions options_of(const ZstdVariant& variant) {
  return {.type = AllocatorType::zstd,
          .mlock = false,
          .level = 3,
          .cache = variant.cache,
          .recompress = variant.recompress};
}

inline Pace hasty() {
  return {.tick = std::chrono::milliseconds(1), .cold_ticks = 3, .training_growth = 2};
}

inline void PrintTo(const ZstdVariant& variant, std::ostream* out) {
  *out << variant.name;
}
inline std::string name_of_variant(const testing::TestParamInfo<ZstdVariant>& info) {
  return info.param.name;
}

// Whether `condition` comes true within a few seconds.
template <typename Condition>
bool comes_true(Condition condition) {
  const auto until =
      std::chrono::steady_clock::now() + std::chrono::seconds(slow_build() ? 30 : 10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace ramdisk::conformance

#endif
