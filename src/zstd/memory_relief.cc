#include "zstd/memory_relief.h"

namespace ramdisk {

// Makes some room for a request that was refused, with more effort in later rounds. Returns whether
// the request is worth another try: some room was made, some is on its way, or not everything has
// been tried.
bool MemoryRelief::make_room(int round) {
  state_.epoch.collect();
  const bool drained = compactor_.drain();
  const Cleaner::Cleaning cleaning = cleaner_.clean(Cleaner::Effort::all);
  state_.epoch.collect();
  // Compressed pages can use a cleaned segment at once. For anything else its memory has to go back
  // to the system first, which costs more, so that is left to the second round.
  const bool released = round > 0 && state_.release_free_memory();
  if (drained || released || cleaning == Cleaner::Cleaning::done) return true;
  // In the order in which memory passes through these, so that none is missed on its way.
  const bool coming = cleaning == Cleaner::Cleaning::busy || state_.pages.segments().in_transit() ||
                      !state_.epoch.all_reclaimed() || state_.pages.returning_memory();
  if (coming) Patience::nap();
  return coming || round == 0;
}

void MemoryRelief::note_trimmed() {
  state_.release_free_memory();
  const bool first = !trimmed_.exchange(true);
  if (!state_.background.running()) {
    while (return_trimmed() == Returned::some) {
    }
  } else if (first) {
    state_.background.wake();
  }
}

MemoryRelief::Returned MemoryRelief::return_trimmed() {
  if (!trimmed_.load(std::memory_order_relaxed)) return Returned::nothing;
  const Cleaner::Cleaning cleaning = cleaner_.clean(Cleaner::Effort::tight);
  if (cleaning == Cleaner::Cleaning::done) return Returned::some;
  if (cleaning == Cleaner::Cleaning::busy) return Returned::busy;
  trimmed_.store(false, std::memory_order_relaxed);
  state_.epoch.collect();
  state_.release_free_memory();
  // Readers may still see some of the memory, so this is tried again at the next tick.
  if (!state_.epoch.all_reclaimed()) trimmed_.store(true, std::memory_order_relaxed);
  return Returned::nothing;
}

}  // namespace ramdisk
