// Operations: counts what clients ask for, how much, how long it takes and what fails.
//
// Thread contract: any thread; figures are read without stopping anyone, each true at some moment.

#ifndef RAMDISK_PLUGIN_OPERATIONS_H
#define RAMDISK_PLUGIN_OPERATIONS_H

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace ramdisk {

enum class Operation { read, write, zero, trim, flush, extents };
inline constexpr size_t kOperations = 6;
const char* operation_name(Operation operation);

class Operations {
 public:
  // Latencies are counted in buckets: bucket i holds those of at most 2^i microseconds that are in
  // none before it, the last one the others.
  static constexpr size_t kBuckets = 22;

  struct Figures {
    uint64_t requests = 0;
    uint64_t errors = 0;
    uint64_t bytes = 0;  // of requests that succeeded
    uint64_t nanoseconds = 0;
    std::array<uint64_t, kBuckets> buckets{};
  };

  using Clock = std::chrono::steady_clock;
  void add(Operation operation, bool ok, uint64_t bytes, Clock::duration taken) noexcept;
  Figures figures(Operation operation) const noexcept;

  // Of all kinds. Sequentially consistent, and add() counts the request last and so: who finds it
  // here finds all figures of it, and who set a flag before not finding it here has it seen after.
  uint64_t requests() const noexcept;

 private:
  struct alignas(64) Counters {
    std::atomic<uint64_t> requests{0};
    std::atomic<uint64_t> errors{0};
    std::atomic<uint64_t> bytes{0};
    std::atomic<uint64_t> nanoseconds{0};
    std::array<std::atomic<uint64_t>, kBuckets> buckets{};
  };
  std::array<Counters, kOperations> counters_;
};

}  // namespace ramdisk

#endif
