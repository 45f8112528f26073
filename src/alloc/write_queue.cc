#include "alloc/write_queue.h"

#include <algorithm>
#include <new>

namespace ramdisk {

namespace {

constexpr size_t kFirstRoom = 256;

}  // namespace

bool WriteQueue::admit() {
  if (!has_room()) return false;
  MutexLock lock(mutex_);
  if (!has_room()) return false;
  const size_t count = size();
  if (count == ring_.size()) {
    try {
      std::vector<uint64_t> larger(std::max(2 * count, kFirstRoom));
      for (uint64_t i = popped_; count > 0 && i != pushed_; ++i) {
        larger[i % larger.size()] = ring_[i % count];
      }
      ring_.swap(larger);
    } catch (const std::bad_alloc&) {
      return false;
    }
  }
  count_.store(count + 1, std::memory_order_relaxed);
  return true;
}

bool WriteQueue::push(uint64_t page) {
  MutexLock lock(mutex_);
  ring_[pushed_++ % ring_.size()] = page;
  const bool half_full = !draining_ && waiting() > limit_.load(std::memory_order_relaxed) / 2;
  if (half_full) draining_ = true;
  return half_full || waiting() == 1;
}

std::optional<uint64_t> WriteQueue::pop() {
  if (empty()) return {};
  MutexLock lock(mutex_);
  if (waiting() <= limit_.load(std::memory_order_relaxed) / 4) draining_ = false;
  if (waiting() == 0 || !(draining_ || popped_ < old_)) return {};
  return ring_[popped_++ % ring_.size()];
}

void WriteQueue::leave() {
  MutexLock lock(mutex_);
  count_.fetch_sub(1, std::memory_order_relaxed);
}

void WriteQueue::tick() {
  MutexLock lock(mutex_);
  old_ = last_tick_;
  last_tick_ = pushed_;
}

void WriteQueue::hurry() {
  MutexLock lock(mutex_);
  old_ = pushed_;
}

}  // namespace ramdisk
