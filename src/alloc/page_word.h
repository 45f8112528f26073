// PageWord: what a word of the zstd disk's page table says about its page.
//
//   bits 63-60  kind                      54  queued
//        59-57  generation of dictionary  53  claimed
//        56-55  index in the group        52  touched
//        47-3   address, or 34-3 pattern  2-0 the page table's own
//
// A MemorySource gives no addresses of more than kAddressBits, and they are multiples of 8.
//
// How a page changes. A write makes it queued while the write cache has room, and otherwise object,
// plain or filled at once; a zero makes it a hole. Both may come in any state. The rest is the work
// of the background:
//
//               compactor              it compresses               cold
//     queued ──────────────▶ claimed ─────────────────▶ object ───────────▶ group
//     │    ▲                 │     │                      ▲    (with its     │
//     │    │                 │     │ it does not          │    neighbours)  │
//     │    │ compactor       │     ▼                      │                 │
//     │    │                 │   plain ──────────────────────────────────▶ group
//     │    │                 │             cold           │                 │
//     ▼    │                 ▼                            └─────────────────┘
//    queued and ◀──────── claimed and                     read often, its dictionary is old,
//     touched               touched                       or most of the group has gone
//             compactor has
//               finished
//
// queued and claimed are plain pages with these marks; the downward arrows are writes in place,
// which mark the page as touched. Only the thread that claimed a page takes that mark away again,
// and it throws its result away if the page was touched meanwhile. (Comparing words would not do: a
// page of memory may be freed, and taken again for the same page of the disk, but not while the
// thread that compresses it is pinned.)

#ifndef RAMDISK_ALLOC_PAGE_WORD_H
#define RAMDISK_ALLOC_PAGE_WORD_H

#include <cstddef>
#include <cstdint>

#include "core/check.h"
#include "core/dictionaries.h"
#include "core/memory_source.h"
#include "core/object_store.h"

namespace ramdisk {

enum class PageKind : unsigned {
  hole,    // reads as zeroes
  filled,  // one word of four bytes over and over: in the page table itself
  plain,   // a page of memory, as it is
  object,  // compressed by itself
  group,   // compressed together with its neighbours
};

class PageWord {
 public:
  PageWord() = default;  // a hole
  explicit PageWord(uint64_t bits) : bits_(bits) {}

  static PageWord filled(uint32_t pattern) {
    return PageWord(with_kind(PageKind::filled) | uint64_t{pattern} << 3);
  }
  static PageWord plain(std::byte* page) {
    return PageWord(with_kind(PageKind::plain) | fitting(page));
  }
  static PageWord object(const StoredObject* object, unsigned generation) {
    CHECK(generation < Dictionaries::kGenerations);
    return PageWord(with_kind(object->group() ? PageKind::group : PageKind::object) |
                    uint64_t{generation} << kGenerationShift | fitting(object));
  }
  // Page `index` of the group; 0 also for what is no group.
  PageWord member(unsigned index) const {
    CHECK(index < (kind() == PageKind::group ? StoredObject::kGroupPages : 1) &&
          this->index() == 0);
    return PageWord(bits_ | uint64_t{index} << kIndexShift);
  }

  uint64_t bits() const { return bits_; }
  bool operator==(const PageWord&) const = default;

  PageKind kind() const { return static_cast<PageKind>(bits_ >> kKindShift); }
  bool compressed() const { return kind() == PageKind::object || kind() == PageKind::group; }

  // filled
  uint32_t pattern() const {
    DCHECK(kind() == PageKind::filled);
    return static_cast<uint32_t>(bits_ >> 3);
  }
  // plain
  std::byte* page() const {
    DCHECK(kind() == PageKind::plain);
    return reinterpret_cast<std::byte*>(address());
  }
  // object and group
  StoredObject* stored() const {
    DCHECK(compressed());
    return reinterpret_cast<StoredObject*>(address());
  }
  unsigned generation() const { return bits_ >> kGenerationShift & 7; }
  unsigned index() const { return bits_ >> kIndexShift & 3; }  // within the group

  // Plain pages that are to be compressed later. queued: it is in the write cache. claimed: a
  // thread is compressing it. touched: written since it was queued or claimed.
  bool queued() const { return bits_ & kQueued; }
  bool claimed() const { return bits_ & kClaimed; }
  bool touched() const { return bits_ & kTouched; }
  PageWord as_queued() const { return with(kQueued); }
  PageWord as_claimed() const { return with(kClaimed); }
  PageWord as_touched() const { return with(kTouched); }
  PageWord as_untouched() const { return PageWord(bits_ & ~kTouched); }
  PageWord as_unclaimed() const { return PageWord(bits_ & ~kClaimed); }
  PageWord as_plain() const { return plain(page()); }
  PageWord written_in_place() const { return queued() ? as_touched() : *this; }

 private:
  static constexpr unsigned kKindShift = 60;
  static constexpr unsigned kGenerationShift = 57;
  static constexpr unsigned kIndexShift = 55;
  static constexpr uint64_t kQueued = uint64_t{1} << 54;
  static constexpr uint64_t kClaimed = uint64_t{1} << 53;
  static constexpr uint64_t kTouched = uint64_t{1} << 52;
  static constexpr uint64_t kAddress = (uint64_t{1} << 48) - 8;
  static_assert(kAddress == (uint64_t{1} << kAddressBits) - 8 && kAddress < kTouched);
  static_assert(Dictionaries::kGenerations <= 8 && StoredObject::kGroupPages <= 4);

  static uint64_t with_kind(PageKind kind) { return static_cast<uint64_t>(kind) << kKindShift; }
  static uint64_t fitting(const void* p) {
    const uint64_t address = reinterpret_cast<uintptr_t>(p);
    CHECK(address != 0 && (address & ~kAddress) == 0);
    return address;
  }
  PageWord with(uint64_t mark) const {
    DCHECK(kind() == PageKind::plain);
    return PageWord(bits_ | mark);
  }
  uintptr_t address() const { return static_cast<uintptr_t>(bits_ & kAddress); }

  uint64_t bits_ = 0;
};

}  // namespace ramdisk

#endif
