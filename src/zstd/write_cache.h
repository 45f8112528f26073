// WriteCache: the recently written pages that are not compressed yet, oldest first.
//
// It holds the numbers of the pages, not the pages themselves, and bounds how many there are. It
// also decides which should be compressed now: once it is half full, those beyond a quarter of the
// limit, so that there is room for bursts; and those that have been in it for one to two ticks, so
// that it becomes empty on an idle disk.
//
// A worker that finds no page to compress here may go to sleep; push() and hurry() say when to wake
// the sleeping workers. They say so whenever there is something to do, not only when that begins:
// the write cache cannot know which workers sleep and why (they may have found only pages that are
// being rewritten), and waking when nobody sleeps costs nothing.
//
// Thread contract: any thread. The mutex is held for O(1) steps. size() and empty() are
// sequentially consistent, for threads that declare that they will sleep and then look once more.

#ifndef RAMDISK_ZSTD_WRITE_CACHE_H
#define RAMDISK_ZSTD_WRITE_CACHE_H

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "zstd/stored_object.h"

namespace ramdisk {

class WriteCache {
 public:
  // Sets how many pages the write cache may hold; 0 means none. Pages beyond a smaller limit stay
  // until they are compressed.
  void set_limit(size_t pages) { limit_.store(pages, std::memory_order_relaxed); }

  // Reserves room for one more page. Returns false if there is none, or no memory to keep its
  // number. Each successful admit() must be followed by push() or release().
  bool admit() EXCLUDES(mutex_);

  // Adds an admitted page. Returns true if sleeping workers should look for work: for the first
  // page, and for every page while some should be compressed now.
  bool push(uint64_t page) EXCLUDES(mutex_);

  // Takes out the page to compress next, if one should be compressed now. Its room stays reserved
  // until the caller calls release() or pushes the page again.
  std::optional<uint64_t> pop() EXCLUDES(mutex_);

  // Takes out, in the same way, the pages of the same run as `page` that are among the oldest ones,
  // to be compressed together with it. Returns how many there are; their numbers are in `pages`,
  // which may have some of them twice.
  using Neighbours = std::array<uint64_t, StoredObject::kGroupPages - 1>;
  size_t pop_neighbours(uint64_t page, Neighbours& pages) EXCLUDES(mutex_);
  void release() EXCLUDES(mutex_);

  // Call at each tick. Makes the pages that were pushed before the previous tick due.
  void tick() EXCLUDES(mutex_);

  // Makes all pages in the write cache due. Returns whether there are any.
  bool hurry() EXCLUDES(mutex_);

  size_t limit() const { return limit_.load(std::memory_order_relaxed); }
  size_t size() const { return count_.load(std::memory_order_seq_cst); }  // admitted
  bool empty() const { return size() == 0; }
  bool has_room() const { return size() < limit_.load(std::memory_order_relaxed); }

 private:
  uint64_t waiting() const REQUIRES(mutex_) { return pushed_ - popped_; }
  uint64_t& at(uint64_t place) REQUIRES(mutex_) { return ring_[place % ring_.size()]; }
  bool due() const REQUIRES(mutex_) { return waiting() > 0 && (draining_ || popped_ < old_); }

  std::atomic<size_t> limit_{0};
  std::atomic<size_t> count_{0};  // admitted; changes under the mutex
  Mutex mutex_;
  std::vector<uint64_t> ring_ GUARDED_BY(mutex_);  // has room for all admitted pages
  uint64_t pushed_ GUARDED_BY(mutex_) = 0;     // since the start; also the place of the next page
  uint64_t popped_ GUARDED_BY(mutex_) = 0;     // the place of the oldest page
  bool draining_ GUARDED_BY(mutex_) = false;   // from being half full until a quarter is left
  uint64_t last_tick_ GUARDED_BY(mutex_) = 0;  // pushed_ at that time
  uint64_t old_ GUARDED_BY(mutex_) = 0;        // pages pushed before this one are due
};

}  // namespace ramdisk

#endif
