// PageEntry: an entry of the zstd disk's page table, which says how its page is stored.
//
//   bits 63-60  kind                      54  cached
//        59-57  generation of dictionary  53  claimed
//        51-49  index in the run          52  touched
//        47-3   address, or 34-3 pattern  2-0 the page table's own
//
// A MemorySource returns addresses of at most kAddressBits bits, and they are multiples of 8.
//
// How a page changes. A write makes it cached while the write cache has room, and otherwise
// compressed, plain or same_filled at once; a zero makes it a hole. Both may come in any state. The
// background threads do the rest:
//
//               compactor              it compresses               cold
//     cached ──────────────▶ claimed ───────────────▶ compressed ─────────▶ group
//     │    ▲                 │     │                      ▲    (with its     │
//     │    │                 │     │ it does not          │    neighbours)  │
//     │    │ compactor       │     ▼                      │                 │
//     │    │                 │   plain ──────────────────────────────────▶ group
//     │    │                 │             cold           │                 │
//     ▼    │                 ▼                            └─────────────────┘
//    cached and ◀──────── claimed and                     read often, its dictionary is old,
//     touched               touched                       or most of the group has gone
//             compactor has
//               finished
//
// cached and claimed are plain pages with these marks. The downward arrows are writes in place,
// which mark the page as touched. Only the thread that claimed a page removes that mark, and it
// discards its result if the page was touched meanwhile. (Without the mark, comparing entries would
// not show a write in place. It does show a replaced page: its memory cannot be reused for the same
// page of the disk while the thread that compresses it is pinned.)

#ifndef RAMDISK_ZSTD_PAGE_ENTRY_H
#define RAMDISK_ZSTD_PAGE_ENTRY_H

#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "memory/memory_source.h"
#include "zstd/dictionaries.h"
#include "zstd/stored_object.h"

namespace ramdisk {

enum class PageKind : unsigned {
  hole,         // reads as zeroes
  same_filled,  // four bytes repeated over the whole page; kept in the entry itself
  plain,        // a page of memory, as it is
  compressed,   // compressed by itself
  group,        // compressed together with neighbours
};

class PageEntry {
 public:
  PageEntry() = default;  // a hole
  explicit PageEntry(uint64_t bits) : bits_(bits) {}

  static PageEntry same_filled(uint32_t pattern) {
    return PageEntry(with_kind(PageKind::same_filled) | uint64_t{pattern} << 3);
  }
  static PageEntry plain(std::byte* page) {
    return PageEntry(with_kind(PageKind::plain) | fitting(page));
  }
  static PageEntry compressed(const StoredObject* object, unsigned generation) {
    CHECK(generation < Dictionaries::kGenerations);
    return PageEntry(with_kind(object->group() ? PageKind::group : PageKind::compressed) |
                     uint64_t{generation} << kGenerationShift | fitting(object));
  }
  // Returns the entry of page `index` of the group's run. `index` is 0 for a page that is not in a
  // group.
  PageEntry member(unsigned index) const {
    CHECK(index < (kind() == PageKind::group ? StoredObject::kGroupPages : 1) &&
          this->index() == 0);
    return PageEntry(bits_ | uint64_t{index} << kIndexShift);
  }

  uint64_t bits() const { return bits_; }
  bool operator==(const PageEntry&) const = default;

  PageKind kind() const { return static_cast<PageKind>(bits_ >> kKindShift); }
  bool in_segment() const { return kind() == PageKind::compressed || kind() == PageKind::group; }

  // same_filled
  uint32_t pattern() const {
    DCHECK(kind() == PageKind::same_filled);
    return static_cast<uint32_t>(bits_ >> 3);
  }
  // plain
  std::byte* page() const {
    DCHECK(kind() == PageKind::plain);
    return reinterpret_cast<std::byte*>(address());
  }
  // compressed and group
  StoredObject* stored() const {
    DCHECK(in_segment());
    return reinterpret_cast<StoredObject*>(address());
  }
  unsigned generation() const { return bits_ >> kGenerationShift & 7; }
  unsigned index() const { return bits_ >> kIndexShift & 7; }  // within the run of a group

  // Marks of plain pages that are to be compressed later. cached: the page is in the write cache.
  // claimed: a thread is compressing it. touched: it was written since it was cached or claimed.
  bool cached() const { return bits_ & kCached; }
  bool claimed() const { return bits_ & kClaimed; }
  bool touched() const { return bits_ & kTouched; }
  PageEntry as_cached() const { return with(kCached); }
  PageEntry as_claimed() const { return with(kClaimed); }
  PageEntry as_touched() const { return with(kTouched); }
  PageEntry as_untouched() const { return PageEntry(bits_ & ~kTouched); }
  PageEntry as_unclaimed() const { return PageEntry(bits_ & ~kClaimed); }
  PageEntry as_plain() const { return plain(page()); }
  PageEntry written_in_place() const { return cached() ? as_touched() : *this; }

 private:
  static constexpr unsigned kKindShift = 60;
  static constexpr unsigned kGenerationShift = 57;
  static constexpr unsigned kIndexShift = 49;
  static constexpr uint64_t kCached = uint64_t{1} << 54;
  static constexpr uint64_t kClaimed = uint64_t{1} << 53;
  static constexpr uint64_t kTouched = uint64_t{1} << 52;
  static constexpr uint64_t kAddress = (uint64_t{1} << 48) - 8;
  static_assert(kAddress == (uint64_t{1} << kAddressBits) - 8 && kAddress < kTouched);
  static_assert(Dictionaries::kGenerations <= 8 && StoredObject::kGroupPages <= 8);

  static uint64_t with_kind(PageKind kind) { return static_cast<uint64_t>(kind) << kKindShift; }
  static uint64_t fitting(const void* p) {
    const uint64_t address = reinterpret_cast<uintptr_t>(p);
    CHECK(address != 0 && (address & ~kAddress) == 0);
    return address;
  }
  PageEntry with(uint64_t mark) const {
    DCHECK(kind() == PageKind::plain);
    return PageEntry(bits_ | mark);
  }
  uintptr_t address() const { return static_cast<uintptr_t>(bits_ & kAddress); }

  uint64_t bits_ = 0;
};

}  // namespace ramdisk

#endif
