#include "plugin/operations.h"

#include <algorithm>
#include <bit>

namespace ramdisk {

const char* operation_name(Operation operation) {
  constexpr std::array<const char*, kOperations> kNames{"read", "write", "zero",
                                                        "trim", "flush", "extents"};
  return kNames[static_cast<size_t>(operation)];
}

void Operations::add(Operation operation, bool ok, uint64_t bytes, Clock::duration taken) noexcept {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  Counters& counters = counters_[static_cast<size_t>(operation)];
  const auto nanoseconds =
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(taken).count());
  // The first i with nanoseconds <= 1000 * 2^i.
  const uint64_t microseconds = (nanoseconds + 999) / 1000;
  const size_t bucket = microseconds <= 1 ? 0 : std::bit_width(microseconds - 1);
  counters.nanoseconds.fetch_add(nanoseconds, kRelaxed);
  counters.buckets[std::min(bucket, kBuckets - 1)].fetch_add(1, kRelaxed);
  if (ok) {
    counters.bytes.fetch_add(bytes, kRelaxed);
  } else {
    counters.errors.fetch_add(1, kRelaxed);
  }
  counters.requests.fetch_add(1, std::memory_order_seq_cst);
}

uint64_t Operations::requests() const noexcept {
  uint64_t sum = 0;
  for (const Counters& c : counters_) sum += c.requests.load(std::memory_order_seq_cst);
  return sum;
}

Operations::Figures Operations::figures(Operation operation) const noexcept {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const Counters& counters = counters_[static_cast<size_t>(operation)];
  Figures figures;
  figures.requests = counters.requests.load(kRelaxed);
  figures.errors = counters.errors.load(kRelaxed);
  figures.bytes = counters.bytes.load(kRelaxed);
  figures.nanoseconds = counters.nanoseconds.load(kRelaxed);
  for (size_t i = 0; i < kBuckets; ++i) figures.buckets[i] = counters.buckets[i].load(kRelaxed);
  return figures;
}

}  // namespace ramdisk
