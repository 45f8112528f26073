#include "zstd/write_cache.h"

#include <algorithm>
#include <new>

#include "base/check.h"

namespace ramdisk {

namespace {

constexpr size_t kFirstRoom = 256;

}  // namespace

bool WriteCache::admit() {
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
  DCHECK(count < ring_.size());
  count_.store(count + 1, std::memory_order_seq_cst);
  return true;
}

bool WriteCache::push(uint64_t page) {
  MutexLock lock(mutex_);
  CHECK(waiting() < size() &&
        size() <= ring_.size());  // otherwise this would overwrite another page's number
  at(pushed_++) = page;
  if (waiting() > limit_.load(std::memory_order_relaxed) / 2) draining_ = true;
  return waiting() == 1 || due();
}

std::optional<uint64_t> WriteCache::pop() {
  if (empty()) return {};
  MutexLock lock(mutex_);
  if (waiting() <= limit_.load(std::memory_order_relaxed) / 4) draining_ = false;
  if (!due()) return {};
  return at(popped_++);
}

// What stood before a page that is taken out moves up to close the gap. It stays as old as it was.
size_t WriteCache::pop_neighbours(uint64_t page, Neighbours& pages) {
  constexpr uint64_t kOldest = uint64_t{4} * StoredObject::kGroupPages;  // how many to look at
  const uint64_t run = page / StoredObject::kGroupPages;
  size_t count = 0;
  MutexLock lock(mutex_);
  const uint64_t end = std::min(popped_ + kOldest, pushed_);
  for (uint64_t place = popped_; place != end && count < pages.size(); ++place) {
    if (at(place) / StoredObject::kGroupPages != run) continue;
    pages[count++] = at(place);
    for (uint64_t to = place; to != popped_; --to) at(to) = at(to - 1);
    if (popped_ < old_ && place >= old_) ++old_;
    if (popped_ < last_tick_ && place >= last_tick_) ++last_tick_;
    ++popped_;
  }
  return count;
}

void WriteCache::release() {
  MutexLock lock(mutex_);
  CHECK(size() > waiting());
  count_.fetch_sub(1, std::memory_order_seq_cst);
}

void WriteCache::tick() {
  MutexLock lock(mutex_);
  old_ = std::max(old_, last_tick_);  // pages that hurry() made due stay due
  last_tick_ = pushed_;
  DCHECK(old_ <= pushed_);
}

bool WriteCache::hurry() {
  MutexLock lock(mutex_);
  old_ = pushed_;
  return due();
}

}  // namespace ramdisk
