// Options of allocator=zstd, and a pace at which its background work never sleeps for long: a tick
// lasts a millisecond, pages are cold after three, and dictionaries are replaced often.

#ifndef RAMDISK_SUPPORT_ZSTD_VARIANTS_H
#define RAMDISK_SUPPORT_ZSTD_VARIANTS_H

#include <array>
#include <chrono>
#include <optional>
#include <string>

#include "support/factory.h"

namespace ramdisk::support {

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

inline BackgroundTiming hasty() {
  return {.tick = std::chrono::milliseconds(1), .cold_ticks = 3, .training_growth = 2};
}

inline void PrintTo(const ZstdVariant& variant, std::ostream* out) {
  *out << variant.name;
}
inline std::string name_of_variant(const testing::TestParamInfo<ZstdVariant>& info) {
  return info.param.name;
}

}  // namespace ramdisk::support

#endif
