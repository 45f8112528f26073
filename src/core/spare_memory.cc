#include "core/spare_memory.h"

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

bool SpareMemory::take_from_reading(uint64_t bytes) noexcept {
  const bool old =
      Clock::now().time_since_epoch().count() >= next_reading_.load(std::memory_order_acquire);
  const uint64_t floor = old ? floor_.load(std::memory_order_relaxed) : 0;
  uint64_t left = allowance_.load(std::memory_order_relaxed);
  while (left >= bytes && left - bytes >= floor) {
    if (allowance_.compare_exchange_weak(left, left - bytes, std::memory_order_relaxed))
      return true;
  }
  return false;
}

bool SpareMemory::take(uint64_t bytes) noexcept {
  const bool taken = take_from_reading(bytes) || take_with_reading(bytes);
  if (taken) taken_.fetch_add(bytes, std::memory_order_relaxed);
  return taken;
}

bool SpareMemory::take_with_reading(uint64_t bytes) noexcept {
  MutexLock lock(mutex_);
  if (take_from_reading(bytes)) return true;  // another thread has just read
  read_locked();
  const uint64_t spare = spare_.load(std::memory_order_relaxed);
  if (spare < bytes) return false;
  const uint64_t allowance = std::max(spare / kAllowancePart, bytes) - bytes;
  floor_.store(allowance - std::min(allowance, reserve_ / kBurstPart), std::memory_order_relaxed);
  allowance_.store(allowance, std::memory_order_relaxed);
  next_reading_.store((Clock::now() + kValid).time_since_epoch().count(),
                      std::memory_order_release);
  return true;
}

void SpareMemory::read() noexcept {
  MutexLock lock(mutex_);
  read_locked();
}

// Where there is no memory even for this, or no such information, the system has to say no itself.
void SpareMemory::read_locked() noexcept {
  uint64_t spare = UINT64_MAX;
  try {
    const AvailableMemory now = probe_();
    if (now.bytes != UINT64_MAX) {
      reserve_ = std::clamp(now.total / kReservePart, kLeastReserve, kMostReserve);
      spare = now.bytes > reserve_ ? now.bytes - reserve_ : 0;
    }
  } catch (const std::exception&) {
  }
  spare_.store(spare, std::memory_order_relaxed);
  taken_.store(0, std::memory_order_relaxed);
}

}  // namespace ramdisk
