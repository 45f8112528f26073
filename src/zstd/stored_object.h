// StoredObject: what a segment holds, and how many pages are compressed together.
//
// A run of pages is kGroupPages neighbours, the first of which has a number that is a multiple of
// this. A group holds two or more pages of one run, compressed together.
//
// Thread contract: an object does not change from its publication on; any pinned thread may read
// it. GroupHead says who may change its fields.

#ifndef RAMDISK_ZSTD_STORED_OBJECT_H
#define RAMDISK_ZSTD_STORED_OBJECT_H

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "base/page.h"

namespace ramdisk {

// A compressed page, or a compressed group of pages: this header, and the bytes, which follow it.
// The header has the page number, by which the cleaner finds the entry that refers to the object.
class StoredObject {
 public:
  static constexpr unsigned kGroupPages = 8;  // pages in a run: the most that a group holds
  static constexpr size_t kMaxBytes = kPageBytes;
  static constexpr size_t kMaxGroupBytes = kGroupPages * kPageBytes;

  StoredObject(uint64_t page, size_t bytes, bool group)
      : packed_(group ? (page / kGroupPages << kGroupSizeBits | (bytes - 1)) << 1 | 1
                      : (page << kSizeBits | (bytes - 1)) << 1) {
    CHECK(this->page() == page && size() == bytes);
  }
  bool group() const { return packed_ & 1; }
  uint64_t page() const {  // for a group, the first one of its run
    return group() ? packed_ >> (kGroupSizeBits + 1) << kGroupShift : packed_ >> (kSizeBits + 1);
  }
  size_t size() const {  // of the bytes
    return (packed_ >> 1 & ((1u << (group() ? kGroupSizeBits : kSizeBits)) - 1)) + 1;
  }
  std::span<std::byte> bytes() { return {reinterpret_cast<std::byte*>(this + 1), size()}; }
  std::span<const std::byte> bytes() const {
    return {reinterpret_cast<const std::byte*>(this + 1), size()};
  }

  // The bytes that the object takes in the store, including the header.
  size_t footprint() const { return footprint(size()); }
  static size_t footprint(size_t bytes) { return (sizeof(StoredObject) + bytes + 7) / 8 * 8; }

 private:
  static constexpr unsigned kSizeBits = kPageShift;
  static constexpr unsigned kGroupShift = std::countr_zero(kGroupPages);
  static constexpr unsigned kGroupSizeBits = kSizeBits + kGroupShift;
  static_assert(std::has_single_bit(kGroupPages));
  static_assert(63 - kPageShift + kSizeBits + 1 <= 64 && kMaxBytes <= 1u << kSizeBits);
  static_assert(63 - kPageShift - kGroupShift + kGroupSizeBits + 1 <= 64 &&
                kMaxGroupBytes <= 1u << kGroupSizeBits);
  uint64_t packed_;
};
static_assert(sizeof(StoredObject) == 8);

// The first bytes of a group. The frame follows, which holds the contents of its pages, in their
// order.
struct GroupHead {
  uint8_t seen = 0;     // one bit for each page that has been read; used by PageStore, atomically
  uint8_t settled = 0;  // recompressing it gains nothing while it has so many members; used by
                        // PageStore, atomically
  uint8_t pages = 0;    // one bit for each page of the run that the frame holds; never changes
  uint8_t whole = 0;    // how many of them were members when it was added; never changes
  uint8_t members = 0;  // pages that have not been dropped; guarded by the store's mutex
  uint16_t single_units = 0;  // what a page takes by itself on average, in units of 8 bytes

  static uint16_t units(size_t bytes) { return static_cast<uint16_t>((bytes + 7) / 8); }
  size_t single_bytes() const { return size_t{single_units} * 8; }

  unsigned count() const { return static_cast<unsigned>(std::popcount(pages)); }
  size_t content_bytes() const { return count() * kPageBytes; }
  // Where the contents of page `index` of the run are within those of the group, in bytes.
  size_t offset_of(unsigned index) const {
    return static_cast<size_t>(std::popcount(static_cast<uint8_t>(pages & ((1u << index) - 1)))) *
           kPageBytes;
  }
};
static_assert(sizeof(GroupHead) == 8 && StoredObject::kGroupPages <= 8);

// Where the head of a group is. Its fields say who may change them.
inline GroupHead& head_of_group(const StoredObject& group) {
  DCHECK(group.group());
  return *reinterpret_cast<GroupHead*>(const_cast<StoredObject&>(group).bytes().data());
}

}  // namespace ramdisk

#endif
