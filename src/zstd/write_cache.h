// WriteCache: the pages that were written lately and are not compressed yet, oldest first.
//
// It holds numbers of pages, not the pages, and bounds how many there are. It also says how many
// should be compressed now: once it is half full those beyond a quarter of what it may hold, so
// that bursts find room, and those that have waited for one to two ticks, so that an idle disk has
// none.
//
// Whoever has looked here in vain may go to rest; the queue says when to wake those who do. It says
// so whenever there is something to do, and not only when that begins: it cannot know who rests,
// and why (they may have found nothing but pages that are being rewritten), and waking nobody costs
// nothing.
//
// Thread contract: any thread. The mutex is held for O(1) steps. size() and empty() are ordered
// with everything sequentially consistent, for threads that say that they rest and then look once
// more.

#ifndef RAMDISK_ZSTD_WRITE_CACHE_H
#define RAMDISK_ZSTD_WRITE_CACHE_H

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/mutex.h"

namespace ramdisk {

class WriteCache {
 public:
  // How many pages may wait, from now on; 0: none.
  void set_limit(size_t pages) { limit_.store(pages, std::memory_order_relaxed); }

  // Makes room for one more. False: there is none, or no memory for the queue. Each admit() is
  // followed by push() or release().
  bool admit() EXCLUDES(mutex_);

  // `page` waits from now on. Returns true if those who rest should look for work: when the first
  // page comes, and for every page while some should be compressed now.
  bool push(uint64_t page) EXCLUDES(mutex_);

  // The page to compress next, if one should be now. It counts until it release()s its place, or is
  // pushed again.
  std::optional<uint64_t> pop() EXCLUDES(mutex_);
  void release() EXCLUDES(mutex_);

  // What was pushed before the last tick should be compressed from now on.
  void tick() EXCLUDES(mutex_);

  // All that waits should be compressed from now on. Returns true if that is anything.
  bool hurry() EXCLUDES(mutex_);

  size_t limit() const { return limit_.load(std::memory_order_relaxed); }
  size_t size() const { return count_.load(std::memory_order_seq_cst); }  // admitted
  bool empty() const { return size() == 0; }
  bool has_room() const { return size() < limit_.load(std::memory_order_relaxed); }

 private:
  uint64_t waiting() const REQUIRES(mutex_) { return pushed_ - popped_; }
  bool due() const REQUIRES(mutex_) { return waiting() > 0 && (draining_ || popped_ < old_); }

  std::atomic<size_t> limit_{0};
  std::atomic<size_t> count_{0};  // admitted; changes under the mutex
  Mutex mutex_;
  std::vector<uint64_t> ring_ GUARDED_BY(mutex_);  // has room for all that are admitted
  uint64_t pushed_ GUARDED_BY(mutex_) = 0;         // since the start; the next one's place
  uint64_t popped_ GUARDED_BY(mutex_) = 0;
  bool draining_ GUARDED_BY(mutex_) = false;   // from half full to a quarter
  uint64_t last_tick_ GUARDED_BY(mutex_) = 0;  // pushed_ at that time
  uint64_t old_ GUARDED_BY(mutex_) = 0;        // those pushed before this have waited long enough
};

}  // namespace ramdisk

#endif
