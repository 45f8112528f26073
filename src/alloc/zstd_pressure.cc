// A compressing disk whose memory runs short: before it refuses a write it gives up its queue of
// uncompressed pages and turns gaps into memory. After a trim it gives memory back at once.

#include "alloc/zstd_allocator.h"

namespace ramdisk {

// Makes some room for a request that was refused, with more effort in later rounds. False: there is
// nothing more to be had, nor on its way.
bool ZstdAllocator::relieve(int round) {
  epoch_.collect();
  const bool emptied = empty_queue();
  const Cleaning cleaning = clean_segment(Effort::all);
  epoch_.collect();
  // What is cleaned is room for compressed pages at once; for anything else it has to go back
  // first.
  const bool released = round > 0 && release_free_memory();
  if (emptied || released || cleaning == Cleaning::done) return true;
  const bool coming = !epoch_.settled() || pages_.returning_memory() || cleaning == Cleaning::busy;
  if (coming) Patience::nap();
  return coming || round == 0;
}

bool ZstdAllocator::release_free_memory() {
  const uint64_t before = pages_.memory_bytes();
  pages_.release_free_memory();
  return pages_.memory_bytes() < before;
}

// Compresses some of what waits. Nothing more may wait until the next tick.
bool ZstdAllocator::empty_queue() {
  constexpr int kPages = 64;
  if (queue_.empty()) return false;
  queue_.set_limit(0);
  if (queue_.hurry()) workers_.wake();
  int done = 0;
  while (done < kPages && compress_queued(Claim::rewrite)) ++done;
  // Other threads may be at work on the last ones.
  if (done == 0 && !queue_.empty()) Patience::nap();
  return done > 0 || !queue_.empty();
}

// Pages have gone while memory was short. What is free now goes back at once; gaps are for the
// background, if there is one.
void ZstdAllocator::note_trimmed() {
  release_free_memory();
  const bool first = !trimmed_.exchange(true);
  if (workers_running_ == 0) {
    while (give_back_trimmed()) {
    }
  } else if (first) {
    workers_.wake();
  }
}

// A step of giving back what was trimmed while memory was short. False: all has gone back.
bool ZstdAllocator::give_back_trimmed() {
  if (!trimmed_.load(std::memory_order_relaxed)) return false;
  const Cleaning cleaning = clean_segment(Effort::tight);
  if (cleaning == Cleaning::done) return true;
  if (cleaning == Cleaning::busy) return false;  // another thread will be here again
  trimmed_.store(false, std::memory_order_relaxed);
  epoch_.collect();
  release_free_memory();
  // Some of it may still be seen by readers.
  if (!epoch_.settled()) trimmed_.store(true, std::memory_order_relaxed);
  return false;
}

}  // namespace ramdisk
