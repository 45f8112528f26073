// Groups of a compressing disk: what those need who make them and those who take them apart.
//
// Thread contract: any pinned thread. The locks of a group's pages are only tried, so the order in
// which others lock them does not matter.

#ifndef RAMDISK_ZSTD_PAGE_GROUP_H
#define RAMDISK_ZSTD_PAGE_GROUP_H

#include <array>
#include <cstdint>

#include "table/page_table.h"
#include "zstd/disk_state.h"
#include "zstd/page_entry.h"
#include "zstd/segment_store.h"

namespace ramdisk {

// The words of a group's pages, and locks on these; a hole and an empty slot for those that are not
// meant.
using GroupWords = std::array<PageEntry, StoredObject::kGroupPages>;
using GroupSlots = std::array<PageTable::Slot, StoredObject::kGroupPages>;

// Tries to lock the pages that have a word here and still have it in the table. `first` is the
// group's first page.
GroupSlots try_lock_group(uint64_t first, const GroupWords& words, PageTable::Cursor& cursor);

unsigned count_locked(const GroupSlots& slots);

// Compresses a page, found under `word`, by itself and with the current dictionary. left: its word
// has changed, or it is damaged. With Claim::optional it may go into the write cache.
SegmentStore::Moved store_by_itself(DiskState& state, uint64_t number, PageEntry word,
                                    PageStore::Reader& reader, PageTable::Cursor& cursor,
                                    Claim claim, const Epoch::Guard& guard);

// Takes a page that is read often out of its group, so that reading it becomes faster. `reader` has
// just read it.
void take_out_of_group(DiskState& state, uint64_t number, PageStore::Reader& reader,
                       const Epoch::Guard& guard);

}  // namespace ramdisk

#endif
