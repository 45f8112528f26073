// Helpers for the groups of a compressing disk, shared by the parts that make groups and the parts
// that divide them.
//
// Thread contract: any pinned thread. The locks of a group's pages are only tried, so the lock
// order does not matter here.

#ifndef RAMDISK_ZSTD_PAGE_GROUP_H
#define RAMDISK_ZSTD_PAGE_GROUP_H

#include <array>
#include <cstdint>

#include "table/page_table.h"
#include "zstd/disk_state.h"
#include "zstd/page_entry.h"
#include "zstd/stored_object.h"

namespace ramdisk {

// The entries of a group's pages, and the locks of these pages. A page that is left out has a hole
// and an empty slot.
using GroupEntries = std::array<PageEntry, StoredObject::kGroupPages>;
using GroupSlots = std::array<PageTable::Slot, StoredObject::kGroupPages>;

// Tries to lock each page that has an entry in `entries`, provided that the table still holds that
// entry. `first` is the group's first page.
GroupSlots try_lock_group(uint64_t first, const GroupEntries& entries, PageTable::Cursor& cursor);

unsigned count_locked(const GroupSlots& slots);

// Compresses page `number`, whose entry was `entry`, by itself and with the current dictionary.
// left: its entry has changed, or it is damaged. With Claim::optional the page may go into the
// write cache instead.
SegmentStore::Moved store_by_itself(DiskState& state, uint64_t number, PageEntry entry,
                                    PageStore::Reader& reader, PageTable::Cursor& cursor,
                                    Claim claim, const Epoch::Guard& guard);

// Takes a page that is read often out of its group, to make reading it faster. `reader` has just
// read it.
void take_out_of_group(DiskState& state, uint64_t number, PageStore::Reader& reader,
                       const Epoch::Guard& guard);

}  // namespace ramdisk

#endif
