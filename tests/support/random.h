// Random numbers.
//
// Thread contract: an Rng belongs to one thread; run_seed() may be called by any.

#ifndef RAMDISK_SUPPORT_RANDOM_H
#define RAMDISK_SUPPORT_RANDOM_H

#include <cstddef>
#include <cstdint>
#include <utility>

#include "support/namespaces.h"

namespace ramdisk::support {

// The seed of this run: the environment variable RAMDISK_SEED, or a fixed number if it is not set.
// The first call prints the seed, so that a failure can be repeated.
uint64_t run_seed();

// SplitMix64. It costs little beside a copy of 4 KiB, so that the benchmarks can use it, too.
class Rng {
 public:
  // Depends on the seed of the run. `stream` keeps tests and threads apart: each passes its own.
  explicit Rng(uint64_t stream) : Rng(Seed{run_seed() ^ (stream * 0xd6e8feb86659fd93u)}) {}

  // Gives the same numbers in every run, and prints nothing.
  static Rng with_seed(uint64_t seed) { return Rng(Seed{seed * 0xd6e8feb86659fd93u}); }

  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  // 0 if `bound` is 0.
  uint64_t below(uint64_t bound) { return bound == 0 ? 0 : next() % bound; }
  bool chance(uint64_t percent) { return below(100) < percent; }

  template <typename List>
  auto pick(const List& list) {
    return list[below(list.size())];
  }

  template <typename List>
  void shuffle(List& list) {
    for (size_t i = list.size(); i > 1; --i) std::swap(list[i - 1], list[below(i)]);
  }

 private:
  struct Seed {
    uint64_t value;
  };
  explicit Rng(Seed seed) : state_(seed.value) {}

  uint64_t state_;
};

}  // namespace ramdisk::support

#endif
