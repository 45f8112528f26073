// The choices of places.h.

#include "support/places.h"

#include <algorithm>
#include <array>
#include <utility>

namespace ramdisk::support {

Places::Places(uint64_t disk_bytes) : disk_(disk_bytes) {
  // Pages of 4 and 32 KiB; directories that cover 1, 2 and 128 MiB; slabs of 2 MiB.
  for (const uint64_t edge :
       {0u, 4096u, 8192u, 32768u, 65536u, 1u << 20, 2u << 20, 4u << 20, 128u << 20, 256u << 20}) {
    edges_.push_back(edge);
  }
  for (const int bit : {30, 32, 40, 48, 52, 56, 62}) edges_.push_back(uint64_t{1} << bit);
  std::erase_if(edges_, [&](uint64_t edge) { return edge >= disk_; });
  if (disk_ > (1u << 20)) edges_.push_back(disk_ / 4096 * 4096);
  edges_.push_back(disk_);
}

Places::Places(uint64_t disk_bytes, std::vector<uint64_t> edges)
    : disk_(disk_bytes), edges_(std::move(edges)) {}

uint64_t Places::near_edge(Rng& rng) const {
  static constexpr std::array<uint64_t, 14> kAway = {0,   0,    0,    1,    7,    8,     100,
                                                     511, 1000, 4095, 4096, 8192, 32768, 40000};
  const uint64_t edge = rng.pick(edges_);
  const uint64_t away = rng.chance(20) ? rng.below(100000) : rng.pick(kAway);
  if (rng.chance(50)) return edge - std::min(edge, away);
  return edge + std::min(disk_ - edge, away);
}

Range Places::next(uint64_t most, Rng& rng) const {
  static constexpr std::array<uint64_t, 24> kCounts = {
      0,     1,     2,     7,      8,      511,    512,     513,
      3000,  4095,  4096,  4097,   8192,   12288,  20000,   32767,
      32768, 32769, 65536, 100000, 131072, 262144, 1 << 20, (2 << 20) + 1};
  uint64_t count = rng.chance(30) ? rng.below(10000) : rng.pick(kCounts);
  count = std::min({count, most, disk_});
  uint64_t offset = near_edge(rng);
  // The place is the end of the range instead of its beginning.
  if (rng.chance(40)) offset -= std::min(offset, count);
  return {offset, std::min(count, disk_ - offset)};
}

Range Places::far(Rng& rng) const {
  const uint64_t a = near_edge(rng);
  const uint64_t b = near_edge(rng);
  return {std::min(a, b), std::max(a, b) - std::min(a, b)};
}

}  // namespace ramdisk::support
