// Helpers for the groups of a compressing disk, shared by the parts that make groups and the parts
// that take pages out of them.
//
// Thread contract: any pinned thread. The locks of a group's pages are only tried, so the lock
// order does not matter here.

#ifndef RAMDISK_ZSTD_PAGE_GROUP_H
#define RAMDISK_ZSTD_PAGE_GROUP_H

#include <array>
#include <bit>
#include <cstdint>
#include <span>

#include "table/page_table.h"
#include "zstd/disk_state.h"
#include "zstd/page_entry.h"
#include "zstd/stored_object.h"

namespace ramdisk {

// The entries of a run's pages, and the locks of these pages. A page that is left out has a hole
// and an empty slot.
using GroupEntries = std::array<PageEntry, StoredObject::kGroupPages>;
using GroupSlots = std::array<PageTable::Slot, StoredObject::kGroupPages>;

// The contents of some pages of a run, in their order, as a group holds them.
class GroupContents {
 public:
  // Makes room for page `index` of the run; call in ascending order.
  PageStore::Page add(unsigned index) {
    DCHECK(pages_ >> index == 0);
    std::byte* page = bytes_.data() + size();
    pages_ |= static_cast<uint8_t>(1u << index);
    return PageStore::Page(page, kPageBytes);
  }
  uint8_t pages() const { return pages_; }  // one bit for each
  unsigned count() const { return static_cast<unsigned>(std::popcount(pages_)); }
  size_t size() const { return count() * kPageBytes; }  // in bytes
  std::span<const std::byte> all() const { return std::span(bytes_).first(size()); }

 private:
  uint8_t pages_ = 0;
  std::array<std::byte, StoredObject::kMaxGroupBytes> bytes_;
};

// Tries to lock each page that has an entry in `entries`, provided that the table still holds that
// entry. `first` is the run's first page.
GroupSlots try_lock_group(uint64_t first, const GroupEntries& entries, PageTable::Cursor& cursor);

// If `entries` from index `from` on are exactly all pages of a group, returns how many there are;
// otherwise 0.
unsigned whole_group(const GroupEntries& entries, unsigned from);

unsigned count_locked(const GroupSlots& slots);

// Compresses page `number`, whose entry was `entry`, by itself and with the current dictionary.
// left: its entry has changed, or it is damaged.
SegmentStore::Moved store_by_itself(DiskState& state, uint64_t number, PageEntry entry,
                                    PageStore::Reader& reader, PageTable::Cursor& cursor,
                                    Claim claim, const Epoch::Guard& guard);

// Takes a page that is read often out of its group, to make reading it faster. `reader` has just
// read it. (It does not go into the write cache, where it could become a group again with another
// such page of its run.)
void take_out_of_group(DiskState& state, uint64_t number, PageStore::Reader& reader,
                       const Epoch::Guard& guard);

}  // namespace ramdisk

#endif
