#include "zstd/disk_state.h"

#include <algorithm>

namespace ramdisk {

namespace {

// What is written is compressed at a level that keeps up with the writers, because the recompressor
// can come back to it. To libzstd, 0 is its default level, which is higher.
int group_level(const AllocatorOptions& options) {
  constexpr int kQuick = 2;
  if (!options.recompress) return options.level;
  return options.level == 0 ? kQuick : std::min(kQuick, options.level);
}

}  // namespace

DiskState::DiskState(const Environment& environment, uint64_t disk_bytes,
                     const AllocatorOptions& allocator_options)
    : options(allocator_options),
      pace(environment.pace),
      memory(*environment.memory),
      pages(*environment.memory, epoch, allocator_options.level, group_level(allocator_options)),
      table(*environment.memory, epoch, disk_bytes, environment.trace_directories),
      background(environment.workers) {}

bool DiskState::count_fixed(uint64_t bytes) {
  DCHECK(fixed_bytes_ == 0);
  if (!memory.charge(bytes, Claim::data)) return false;
  fixed_bytes_ = bytes;
  return true;
}

// The old entry is dropped only after the new one is published, so that a reader that arrives
// meanwhile finds the new page.
void DiskState::replace(Slot& slot, PageEntry entry, const Epoch::Guard& guard) {
  const PageEntry old(slot.payload());
  slot.unlock(entry.bits());
  pages.drop(old, guard);
}

bool DiskState::cache(Slot& slot, PageStore::Data page, const Epoch::Guard& guard) {
  if (!write_cache.has_room() || !admit(slot, kPageBytes).ok() || !write_cache.admit())
    return false;
  const PageEntry copy = pages.store_plain(page, Claim::optional);
  if (copy == PageEntry()) {
    write_cache.release();
    return false;
  }
  const uint64_t number = slot.page();
  replace(slot, copy.as_cached(), guard);
  enqueue(number);
  return true;
}

// The first dictionary is due when the samples are complete for the first time. A quiet worker does
// not notice that by itself, so it is woken.
void DiskState::note_compressed(uint64_t number) {
  if (samples.add(number) == TrainingSamples::kMost) background.wake();
}

// As memory fills up, new pages are refused before existing ones are refused growth. A page may
// always become smaller.
Status DiskState::admit(const Slot& slot, size_t bytes) {
  constexpr auto kFull = "no space left";
  const PageEntry old(slot.payload());
  if (old == PageEntry()) {
    return memory.admits_new(needed_bytes() + bytes) ? Status() : Status::error(ENOSPC, kFull);
  }
  const size_t before = PageStore::footprint(old);
  if (bytes <= before) return {};
  const bool much = bytes >= 2 * before;
  if (memory.admits_growth(needed_bytes() + bytes - before, much)) return {};
  return Status::error(ENOSPC, kFull);
}

uint64_t DiskState::needed_bytes() const {
  return fixed_bytes_ + table.held_bytes() + pages.needed_bytes();
}

bool DiskState::release_free_memory() {
  const uint64_t before = pages.memory_bytes();
  pages.release_free_memory();
  return pages.memory_bytes() < before;
}

}  // namespace ramdisk
