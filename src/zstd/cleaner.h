// Cleaner: gaps in segments become memory. What lives in a segment moves elsewhere, and the segment
// goes back to the system.
//
// It needs little memory, and none that Claim::reclaim cannot get, so it works when nothing else
// does. A page that another thread has locked stays where it is.
//
// Thread contract: any thread; the store lets one of them clean at a time.

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

  // Cleans one segment, if there are more gaps than `effort` allows.
  Cleaning clean(Effort effort);

  // Cleans until there are no more gaps than usual; at most this number of segments. Each is
  // cleaned under a pin of its own, so that they go back one by one.
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
    GroupWords words{};
    unsigned count = 0;
  };
  static Members members_of(const StoredObject& group, PageTable::Cursor& cursor);

  // The members, compressed one by one. Each is a user of its dictionary until it is stored or this
  // goes.
  class Singles {
   public:
    explicit Singles(PageStore& pages) : pages_(pages) {}
    ~Singles();
    Singles(const Singles&) = delete;
    Singles& operator=(const Singles&) = delete;
    // False: a page is damaged.
    bool compress(const Members& members, const Epoch::Guard& guard);
    size_t bytes() const { return bytes_; }  // that they will take
    // A hole if there is no memory. Once for each member.
    PageEntry store(uint64_t number, unsigned index, const Epoch::Guard& guard);

   private:
    PageStore& pages_;
    std::array<PageStore::Buffer, kGroup> contents_;
    std::array<PageStore::Buffer, kGroup> buffers_;
    std::array<PageStore::Packed, kGroup> packed_;
    size_t bytes_ = 0;
  };

  // What became of a group that was to be divided. kept: its pages would take no less by
  // themselves, namely `single_bytes` each, or one of them is damaged.
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
