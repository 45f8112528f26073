// ObjectStore: keeps objects of any length up to a page tightly packed, in segments that are filled
// from front to back.
//
//   segment (a block of an Arena)
//   ┌────────┬──────────┬─────┬────────────┬── ─ ─ ┐
//   │ header │ object 0 │ gap │ object 1   │       │   gap: an object that was dropped
//   └────────┴──────────┴─────┴────────────┴── ─ ─ ┘
//
// Nothing is ever written into a gap: a segment with many gaps is cleaned, that is, its objects are
// added again elsewhere and it goes back to the arena whole. This is the cleaning of log-structured
// file systems (Rosenblum and Ousterhout, "The Design and Implementation of a Log-Structured File
// System", 1992), with the emptiest segment as the victim; it keeps fragmentation at a bound that
// is chosen, whatever the order of writes.
//
// Invariants:
//   1. The bytes of an object do not change from its publication until its segment is reclaimed,
//      which is when no pinned thread can know it any more. (The first byte of a group is its
//      owner's to keep notes in, with atomic accesses.)
//   2. live is the sum of the objects added and not dropped, published or not; a segment is retired
//      when it is full or a victim and live is 0.
//   3. Dropped bytes are at most kDeadFloor + 1/kDeadPart of all, but for what clean() could not
//      move, if it is called as long as it returns true.
//   4. One segment is kept in reserve for the cleaner once there are several, so that it can work,
//      and gaps become memory again, when there is none left.
//
// Thread contract: everything from any pinned thread. The mutex is held for O(1) steps.

#ifndef RAMDISK_CORE_OBJECT_STORE_H
#define RAMDISK_CORE_OBJECT_STORE_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/arena.h"
#include "core/check.h"
#include "core/mutex.h"
#include "core/page.h"

namespace ramdisk {

// What a page, or a group of neighbouring pages, is kept as: its number, for the cleaner to find
// who refers to it, and its bytes, which follow the header.
class StoredObject {
 public:
  static constexpr unsigned kGroupPages = 4;  // in a group; its first page is a multiple of this
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

  // In the store, header included. That of a group can be divided among its pages.
  size_t footprint() const { return footprint(size(), group()); }
  static size_t footprint(size_t bytes, bool group = false) {
    const size_t unit = group ? 8 * kGroupPages : 8;
    return (sizeof(StoredObject) + bytes + unit - 1) / unit * unit;
  }

 private:
  static constexpr unsigned kSizeBits = 12;
  static constexpr unsigned kGroupSizeBits = 14;
  static constexpr unsigned kGroupShift = 2;
  static_assert(kGroupPages == 1u << kGroupShift);
  static_assert(63 - kPageShift + kSizeBits + 1 <= 64 && kMaxBytes <= 1u << kSizeBits);
  static_assert(63 - kPageShift - kGroupShift + kGroupSizeBits + 1 <= 64 &&
                kMaxGroupBytes <= 1u << kGroupSizeBits);
  uint64_t packed_;
};
static_assert(sizeof(StoredObject) == 8);

class ObjectStore {
 public:
  ObjectStore(MemorySource& memory, Epoch& epoch);

  // Stores a copy of `data` (1 to kMaxBytes bytes) for `page`. nullptr when there is no memory.
  StoredObject* add(uint64_t page, std::span<const std::byte> data) EXCLUDES(mutex_) {
    return add_to_segment({page, data.size(), false}, data, false);
  }

  // The same for all pages of the group that begins with `page`: 1 to kMaxGroupBytes bytes. Takes
  // the place of more bytes than it has, so it may use the reserve.
  StoredObject* add_group(uint64_t page, std::span<const std::byte> data) EXCLUDES(mutex_) {
    return add_to_segment({page, data.size(), true}, data, true);
  }

  // The same for the cleaner's move(), which may use the reserve, too: a page, or another copy of a
  // group.
  StoredObject* add_moved(uint64_t page, std::span<const std::byte> data) EXCLUDES(mutex_) {
    return add_to_segment({page, data.size(), false}, data, true);
  }
  StoredObject* add_moved(const StoredObject& object) EXCLUDES(mutex_) {
    return add_to_segment(object, object.bytes(), true);
  }

  // `object` is no longer referred to by any shared structure; in the case of a group, by one of
  // its pages.
  void drop(const StoredObject* object) EXCLUDES(mutex_);

  // Cleans the segment with the most gaps, if there are too many or, with `eager`, if it has any
  // worth mentioning: calls move(object) for each object in it that may be alive. move() returns
  // false when there is no memory; else it has moved the object, by add_moved(), replacing the
  // reference and drop(), or left it, because nothing refers to it or someone is at work on the
  // page. False: there was nothing to clean, another thread is cleaning, or memory ran out. The
  // caller is pinned; what is freed comes back when it is not.
  template <typename Move>
  bool clean(bool eager, Move move);

  // Gives memory that is kept for new objects back to the system, but for the reserve.
  void release_free() noexcept { segments_.release_free(); }

  uint64_t pages() const EXCLUDES(mutex_);  // that objects are kept for
  uint64_t held_bytes() const { return segments_.held_bytes(); }

 private:
  // 511 pages of a slab make 7 segments without a rest. Small segments make cleaning steps short.
  static constexpr size_t kSegmentBytes = size_t{73} * 4096;
  static constexpr uint64_t kDeadFloor = kSegmentBytes;
  static constexpr uint64_t kDeadPart = 10;
  static constexpr size_t kBuckets = 32;
  static constexpr uint64_t kReserveFrom = 8 * kSegmentBytes;  // a small disk has no reserve

  // open: objects may be added. listed: full, in a bucket. cleaning: the cleaner's. aside: cleaned,
  // but for objects that could not be moved; not tried again before one of them is dropped.
  enum class State : uint32_t { open, listed, cleaning, aside };

  struct Segment {
    Segment* previous = nullptr;
    Segment* next = nullptr;
    uint32_t end = 0;   // where the next object goes, in bytes from the segment's start
    uint32_t live = 0;  // bytes of objects that are not dropped
    uint32_t bucket = 0;
    State state = State::open;
  };
  static constexpr uint32_t kFirstObject = (sizeof(Segment) + 63) / 64 * 64;

  Segment* segment_of(const StoredObject* object) const {
    return reinterpret_cast<Segment*>(segments_.block_of(object));
  }
  StoredObject* reserve(const StoredObject& header) REQUIRES(mutex_);
  void list(Segment* segment) REQUIRES(mutex_);
  void unlist(Segment* segment) REQUIRES(mutex_);
  Segment* settle(Segment* segment) REQUIRES(mutex_);
  void retire(Segment* segment);
  StoredObject* add_to_segment(const StoredObject& header, std::span<const std::byte> data,
                               bool use_reserve) EXCLUDES(mutex_);
  std::byte* take_segment(bool use_reserve) EXCLUDES(mutex_);
  void refill_reserve() EXCLUDES(mutex_);
  Segment* begin_cleaning(bool eager) EXCLUDES(mutex_);
  void end_cleaning(Segment* segment, bool moved_all) EXCLUDES(mutex_);

  Arena segments_;
  mutable Mutex mutex_;
  Segment* open_ GUARDED_BY(mutex_) = nullptr;
  std::array<Segment*, kBuckets> buckets_ GUARDED_BY(mutex_){};  // full ones, by live bytes
  uint64_t used_ GUARDED_BY(mutex_) = 0;  // bytes of objects in all segments, dropped or not
  uint64_t dead_ GUARDED_BY(mutex_) = 0;  // of those, bytes of dropped ones
  uint64_t pages_ GUARDED_BY(mutex_) = 0;
  std::byte* reserve_ GUARDED_BY(mutex_) = nullptr;  // an unused segment
  bool cleaner_at_work_ GUARDED_BY(mutex_) = false;
};

template <typename Move>
bool ObjectStore::clean(bool eager, Move move) {
  Segment* segment = begin_cleaning(eager);
  if (!segment) return false;
  std::byte* base = reinterpret_cast<std::byte*>(segment);
  bool memory = true;
  for (size_t at = kFirstObject; at < segment->end && memory;) {
    const auto* object = reinterpret_cast<const StoredObject*>(base + at);
    at += object->footprint();
    CHECK(at <= segment->end);
    memory = move(object);
  }
  end_cleaning(segment, memory);
  return memory;
}

}  // namespace ramdisk

#endif
