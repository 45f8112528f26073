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

  // The members, compressed one by one. Each is a user of its dictionary until it is stored or this
  // object is destroyed.
  class Singles {
   public:
    explicit Singles(PageStore& pages) : pages_(pages) {}
    ~Singles();
    Singles(const Singles&) = delete;
    Singles& operator=(const Singles&) = delete;
    // Returns false if a page is damaged.
    bool compress(const Members& members, const Epoch::Guard& guard);
    size_t bytes() const { return bytes_; }  // bytes the members will take once stored
    // Returns a hole if there is no memory. Call once for each member.
    PageEntry store(uint64_t number, unsigned index, const Epoch::Guard& guard);

   private:
    PageStore& pages_;
    std::array<PageStore::Buffer, kGroup> contents_;
    std::array<PageStore::Buffer, kGroup> buffers_;
    std::array<PageStore::Packed, kGroup> packed_;
    size_t bytes_ = 0;
  };

  // The outcome of an attempt to divide a group. kept: its pages would take no less one by one
  // (`single_bytes` each), or one of them is damaged.
  enum class Division { done, kept, no_memory };
  struct Divided {
    Division division;
    size_t single_bytes;
  };
  Divided divide(const StoredObject& group, const Members& members, PageTable::Cursor& cursor,
                 const Epoch::Guard& guard);
  Moved copy_group(const StoredObject& group, const Members& members, size_t single_bytes,
                   PageTable::Cursor& cursor, const Epoch::Guard& guard);

  DiskState& state_;
};

}  // namespace ramdisk

#endif
