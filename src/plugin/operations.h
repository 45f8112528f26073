// Operations: counts the requests of clients, their bytes, their time and their failures.
//
// Thread contract: any thread. Figures are read without stopping other threads; each was true at
// some moment, but not all at the same one.

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
  // Latencies are counted in buckets: bucket i counts those of at most 2^i microseconds that no
  // earlier bucket counts; the last bucket counts the others.
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

  // Returns the number of requests of all kinds. add() counts the request last, and both are
  // sequentially consistent. So a thread that finds a request counted here also finds its other
  // figures; and if a thread sets a flag and then does not find a request counted here, the thread
  // of that request sees the flag after add().
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
