// A compressing disk whose memory runs short: before it refuses a write it gives up its queue of
// uncompressed pages, turns gaps into memory, and compresses harder what it has.

#include <thread>

#include "alloc/zstd_allocator.h"

namespace ramdisk {

// Makes some room for a request that was refused. False: there is nothing more to be had.
bool ZstdAllocator::relieve() {
  return release_free_memory() || empty_queue() || clean_segment(true) || squeeze();
}

// What is free counts, too, until it has gone back, and what was trimmed is not free before every
// thread has finished what it was doing then. False if there was nothing.
bool ZstdAllocator::release_free_memory() {
  constexpr int kTries = 50;
  const uint64_t before = pages_.memory_bytes();
  for (int i = 0; i < kTries; ++i) {
    epoch_.collect();
    pages_.release_free_memory();
    if (pages_.memory_bytes() < before) return true;
    if (!epoch_.has_garbage()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

// Compresses some of what waits. Nothing more may wait until the next tick.
bool ZstdAllocator::empty_queue() {
  constexpr int kPages = 64;
  queue_.set_limit(0);
  if (queue_.hurry()) workers_.wake();
  int done = 0;
  while (done < kPages && compress_queued()) ++done;
  return done > 0;
}

// Has the first worker compress pages again that are not cold yet, until that has made room or
// there are no more, or for a while. False if it made none.
bool ZstdAllocator::squeeze() {
  constexpr auto kPatience = std::chrono::seconds(2);
  constexpr auto kStep = std::chrono::milliseconds(1);
  if (!options_.recompress || workers_running_ == 0) return false;
  const uint64_t before = pages_.totals().regrouped;
  const uint32_t mine = squeezes_wanted_.fetch_add(1) + 1;
  note_work();
  workers_.wake();
  const auto end = std::chrono::steady_clock::now() + kPatience;
  constexpr uint64_t kEnough = 64;  // groups
  while (static_cast<int32_t>(squeezes_done_ - mine) < 0 &&
         pages_.totals().regrouped - before < kEnough && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(kStep);
  }
  return pages_.totals().regrouped != before;
}

// For the first worker: the walk that looks for cold pages begins again, and takes all pages, if
// someone waits for that or memory is short.
void ZstdAllocator::begin_squeezing() {
  Maintenance& m = maintenance_;
  const uint32_t wanted = squeezes_wanted_;
  const bool due = wanted != squeezes_done_ || memory_.pressed();
  if (m.squeezing || !options_.recompress || !due) return;
  m.squeezing = true;
  m.squeeze = wanted;
  advance_time();  // what is used from now on is for the next walk
  m.walked = false;
  m.next_page = 0;
}

}  // namespace ramdisk
