// Random numbers from one printed seed, and the kinds of data that people keep on disks.
//
// Thread contract: an Rng belongs to one thread; the functions may be called from any.

#ifndef RAMDISK_CONFORMANCE_DATA_H
#define RAMDISK_CONFORMANCE_DATA_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ramdisk::conformance {

using Bytes = std::vector<std::byte>;

// The seed of this run: the environment variable RAMDISK_SEED or else a fixed one. The first call
// prints it, so that a failure can be run again.
uint64_t run_seed();

// `plain`, or less in a build whose sanitizer makes each step many times slower.
int scaled(int plain);
bool slow_build();

class Rng {
 public:
  // `stream` keeps tests and threads apart: each gives its own.
  explicit Rng(uint64_t stream) : state_(run_seed() ^ (stream * 0xd6e8feb86659fd93u)) {}

  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  uint64_t below(uint64_t bound) { return bound == 0 ? 0 : next() % bound; }
  bool chance(uint64_t percent) { return below(100) < percent; }

  template <typename List>
  auto pick(const List& list) {
    return list[below(list.size())];
  }

 private:
  uint64_t state_;
};

enum class Data { zeroes, word, text, random, mixed };
inline constexpr std::array kAllData = {Data::zeroes, Data::word, Data::text, Data::random,
                                        Data::mixed};

void fill(std::span<std::byte> bytes, Data kind, Rng& rng);
Bytes make_data(size_t count, Data kind, Rng& rng);

bool all_zero(std::span<const std::byte> bytes);

}  // namespace ramdisk::conformance

#endif
