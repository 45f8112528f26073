// Cleaner: turns gaps in segments into free memory. It moves the live contents of a segment
// elsewhere and returns the segment to the system.
//
// It needs little memory, all of it within Claim::reclaim, so it works even when every other
// allocation fails. A page that another thread has locked stays where it is.
//
// Thread contract: any thread; the segment store lets only one thread clean at a time.

#ifndef RAMDISK_ZSTD_CLEANER_H
#define RAMDISK_ZSTD_CLEANER_H

#include <array>
#include <cstddef>

#include "zstd/disk_state.h"
#include "zstd/page_group.h"

namespace ramdisk {

class Cleaner {
 public:
  using Effort = SegmentStore::Effort;
  using Cleaning = SegmentStore::Cleaning;

  explicit Cleaner(DiskState& state) : state_(state) {}

  // Cleans one segment if there are more gaps than `effort` allows.
  Cleaning clean(Effort effort);

  // Cleans at most `segments` segments, until the gaps are down to Effort::usual. Each is cleaned
  // under its own pin, so that the segments are freed one by one.
  void keep_clean(int segments) {
    while (segments-- > 0 && clean(Effort::usual) == Cleaning::done) {
    }
  }

 private:
  using Moved = SegmentStore::Moved;
  static constexpr unsigned kGroup = StoredObject::kGroupPages;

  Moved move_object(const StoredObject& object, PageTable::Cursor& cursor,
                    const Epoch::Guard& guard);
  Moved move_group(const StoredObject& group, PageTable::Cursor& cursor, const Epoch::Guard& guard);

  // The pages that still refer to a group.
  struct Members {
    GroupEntries entries{};
    unsigned count = 0;
  };
  static Members members_of(const StoredObject& group, PageTable::Cursor& cursor);

  // What is left of a group, compressed anew: its members together, or the last one by itself. It
  // is a user of the dictionary until it is stored or this object is destroyed.
  class Remainder {
   public:
    explicit Remainder(PageStore& pages) : pages_(pages) {}
    ~Remainder();
    Remainder(const Remainder&) = delete;
    Remainder& operator=(const Remainder&) = delete;
    // Compresses what is left of `group`, whose pages are expected to take by themselves what they
    // were expected to take before. Returns false if a page is damaged, or if the result would take
    // no less than the group.
    bool compress(const StoredObject& group, const Members& members, const Epoch::Guard& guard);
    // Returns a hole if there is no memory. Call once.
    PageEntry store(const Epoch::Guard& guard);

   private:
    PageStore& pages_;
    GroupContents contents_;
    PageStore::GroupBuffer frame_;
    PageStore::Group group_{};
    PageStore::Buffer buffer_;
    PageStore::Packed packed_;  // if only one member is left
  };

  // kept: the remaining pages would take no less than the group does, or one of them is damaged.
  enum class Shrunk { done, kept, no_memory };
  Shrunk shrink(const StoredObject& group, const Members& members, PageTable::Cursor& cursor,
                const Epoch::Guard& guard);
  Moved copy_group(const StoredObject& group, const Members& members, size_t single_bytes,
                   PageTable::Cursor& cursor, const Epoch::Guard& guard);

  DiskState& state_;
};

}  // namespace ramdisk

#endif
