// StoredObject: what a segment holds, and how many pages are compressed together.
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

// A compressed page, or a compressed group of neighbouring pages: this header, and the bytes, which
// follow it. The header has the page number, by which the cleaner finds the entry that refers to
// the object.
class StoredObject {
 public:
  // Pages in a group. The number of the first one is a multiple of this.
  static constexpr unsigned kGroupPages = 4;
  static constexpr size_t kMaxBytes = kPageBytes;
  static constexpr size_t kMaxGroupBytes = kGroupPages * kPageBytes;

  StoredObject(uint64_t page, size_t bytes, bool group)
      : packed_(group ? (page / kGroupPages << kGroupSizeBits | (bytes - 1)) << 1 | 1
                      : (page << kSizeBits | (bytes - 1)) << 1) {
    CHECK(this->page() == page && size() == bytes);
  }
  bool group() const { return packed_ & 1; }
  uint64_t page() const {  // the first one of a group
    return group() ? packed_ >> (kGroupSizeBits + 1) << kGroupShift : packed_ >> (kSizeBits + 1);
  }
  size_t size() const {  // of the bytes
    return (packed_ >> 1 & ((1u << (group() ? kGroupSizeBits : kSizeBits)) - 1)) + 1;
  }
  std::span<std::byte> bytes() { return {reinterpret_cast<std::byte*>(this + 1), size()}; }
  std::span<const std::byte> bytes() const {
    return {reinterpret_cast<const std::byte*>(this + 1), size()};
  }

  // The bytes that the object takes in the store, including the header. For a group this is
  // divisible by the number of its pages.
  size_t footprint() const { return footprint(size(), group()); }
  static size_t footprint(size_t bytes, bool group = false) {
    const size_t unit = group ? 8 * kGroupPages : 8;
    return (sizeof(StoredObject) + bytes + unit - 1) / unit * unit;
  }

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

// The first bytes of a group.
struct GroupHead {
  uint8_t seen = 0;     // one bit for each page that has been read; used by PageStore, atomically
  uint8_t members = 0;  // pages that have not been dropped; guarded by the store's mutex
  uint16_t single_units = 0;  // what a page takes by itself on average, in units of 8 bytes

  static uint16_t units(size_t bytes) { return static_cast<uint16_t>((bytes + 7) / 8); }
  size_t single_bytes() const { return size_t{single_units} * 8; }
};
static_assert(sizeof(GroupHead) == 4 && StoredObject::kGroupPages <= 8);

}  // namespace ramdisk

#endif
