#include "memory/spare_memory.h"

#include <algorithm>
#include <exception>

namespace ramdisk {

namespace {

constexpr uint64_t kLeastReserve = uint64_t{8} << 20;
constexpr uint64_t kMostReserve = uint64_t{256} << 20;
constexpr uint64_t kReservePart = 16;
constexpr uint64_t kAllowancePart = 8;
constexpr uint64_t kBurstPart = 16;

}  // namespace

// Acquire pairs with the release in take_with_reading(): the floors are at least as new as left_.
// If they are newer and this fails, take() looks again under the mutex.
bool SpareMemory::take_from_reading(uint64_t bytes) noexcept {
  const bool old =
      Clock::now().time_since_epoch().count() >= next_reading_.load(std::memory_order_relaxed);
  uint64_t left = left_.load(std::memory_order_acquire);
  for (;;) {
    if (left == UINT64_MAX) return !old;
    const uint64_t floor = (old ? old_floor_ : floor_).load(std::memory_order_relaxed);
    if (left < bytes || left - bytes < floor) return false;
    if (left_.compare_exchange_weak(left, left - bytes, std::memory_order_acquire)) return true;
  }
}

bool SpareMemory::take(uint64_t bytes) noexcept {
  if (take_from_reading(bytes)) return true;
  MutexLock lock(mutex_);
  return take_from_reading(bytes) || take_with_reading(bytes);  // another thread may have just read
}

void SpareMemory::read() noexcept {
  MutexLock lock(mutex_);
  take_with_reading(0);
}

// Where there is no memory even for a reading, or no such information, only the system itself can
// refuse.
bool SpareMemory::take_with_reading(uint64_t bytes) noexcept {
  AvailableMemory now;
  try {
    now = probe_();
  } catch (const std::exception&) {
    now = {};
  }
  next_reading_.store((Clock::now() + kValid).time_since_epoch().count(),
                      std::memory_order_relaxed);
  if (now.bytes == UINT64_MAX) {
    left_.store(UINT64_MAX, std::memory_order_release);
    return true;
  }
  const uint64_t reserve = std::clamp(now.total / kReservePart, kLeastReserve, kMostReserve);
  const uint64_t spare = now.bytes - std::min(now.bytes, reserve);
  const bool enough = bytes <= spare;
  const uint64_t left = enough ? spare - bytes : spare;
  const uint64_t floor = std::min(left, spare - spare / kAllowancePart);
  floor_.store(floor, std::memory_order_relaxed);
  old_floor_.store(std::max(floor, left - std::min(left, reserve / kBurstPart)),
                   std::memory_order_relaxed);
  left_.store(left, std::memory_order_release);
  return enough;
}

}  // namespace ramdisk
