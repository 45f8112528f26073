// TrainingSamples: the numbers of recently compressed pages, from which samples are taken.
//
// Thread contract: any thread; add() costs one relaxed increment, and sometimes a store.

#ifndef RAMDISK_ZSTD_TRAINING_SAMPLES_H
#define RAMDISK_ZSTD_TRAINING_SAMPLES_H

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace ramdisk {

class TrainingSamples {
 public:
  static constexpr size_t kMost = 640;

  // Keeps every page at first, and later one in sixteen, so that the samples are spread over many
  // megabytes. Returns how many pages have been added, including this one; each count is returned
  // exactly once.
  uint64_t add(uint64_t page) {
    const uint64_t n = added_.fetch_add(1, std::memory_order_relaxed);
    if (n < kMost || n % kOneIn == 0) {
      const uint64_t place = n < kMost ? n : n / kOneIn;
      pages_[place % kMost].store(page, std::memory_order_relaxed);
    }
    return n + 1;
  }

  uint64_t added() const { return added_.load(std::memory_order_relaxed); }
  size_t size() const { return std::min<uint64_t>(added(), kMost); }
  uint64_t operator[](size_t i) const { return pages_[i].load(std::memory_order_relaxed); }

 private:
  static constexpr uint64_t kOneIn = 16;
  std::atomic<uint64_t> added_{0};
  std::array<std::atomic<uint64_t>, kMost> pages_{};
};

}  // namespace ramdisk

#endif
