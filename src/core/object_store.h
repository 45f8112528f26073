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
//      which is when no pinned thread can know it any more.
//   2. live is the sum of the objects added and not dropped, published or not; a segment is retired
//      when it is full or a victim and live is 0.
//   3. Dropped bytes are at most kDeadFloor + 1/kDeadPart of all, if clean() is called while
//      wants_cleaning().
//
// Thread contract: everything from any pinned thread. The mutex is held for O(1) steps.

#ifndef RAMDISK_CORE_OBJECT_STORE_H
#define RAMDISK_CORE_OBJECT_STORE_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/arena.h"
#include "core/mutex.h"
#include "core/page.h"

namespace ramdisk {

// What a page is kept as: its number, for the cleaner to find who refers to it, and its bytes,
// which follow the header.
class StoredObject {
 public:
  static constexpr size_t kMaxBytes = kPageBytes;

  StoredObject(uint64_t page, size_t bytes) : packed_(page << kSizeBits | bytes) {}
  uint64_t page() const { return packed_ >> kSizeBits; }
  size_t size() const { return packed_ & ((1u << kSizeBits) - 1); }  // of the bytes
  std::span<const std::byte> bytes() const {
    return {reinterpret_cast<const std::byte*>(this + 1), size()};
  }
  // In the store, header included.
  static size_t footprint(size_t bytes) { return (sizeof(StoredObject) + bytes + 7) & ~size_t{7}; }

 private:
  static constexpr unsigned kSizeBits = 13;
  static_assert(63 - kPageShift + kSizeBits <= 64 && kMaxBytes < (1u << kSizeBits));
  uint64_t packed_;
};
static_assert(sizeof(StoredObject) == 8);

class ObjectStore {
 public:
  ObjectStore(MemorySource& memory, Epoch& epoch);

  // Stores a copy of `data` (1 to kMaxBytes bytes) for `page`. nullptr when there is no memory.
  StoredObject* add(uint64_t page, std::span<const std::byte> data) EXCLUDES(mutex_);

  // `object` is no longer referred to by any shared structure.
  void drop(const StoredObject* object) EXCLUDES(mutex_);

  bool wants_cleaning() const EXCLUDES(mutex_);

  // Cleans the segment with the most gaps: calls move(object) for each object in it that may be
  // alive. move() returns false to end this early; it moves the object by add(), replacing the
  // reference, drop(), or leaves it if nothing refers to it or someone is at work on the page.
  template <typename Move>
  void clean(Move move);

  uint64_t objects() const EXCLUDES(mutex_);
  uint64_t held_bytes() const { return segments_.held_bytes(); }

 private:
  // 511 pages of a slab make 7 segments without a rest. Small segments make cleaning steps short.
  static constexpr size_t kSegmentBytes = size_t{73} * 4096;
  static constexpr uint64_t kDeadFloor = kSegmentBytes;
  static constexpr uint64_t kDeadPart = 10;
  static constexpr size_t kBuckets = 32;

  struct Segment {
    Segment* previous = nullptr;
    Segment* next = nullptr;
    uint32_t end = 0;   // where the next object goes, in bytes from the segment's start
    uint32_t live = 0;  // bytes of objects that are not dropped
    uint32_t bucket = 0;
    bool listed = false;  // full, and not being cleaned: it is in a bucket
  };
  static constexpr uint32_t kFirstObject = (sizeof(Segment) + 63) / 64 * 64;

  Segment* segment_of(const StoredObject* object) const {
    return reinterpret_cast<Segment*>(segments_.block_of(object));
  }
  StoredObject* reserve(uint64_t page, size_t bytes) REQUIRES(mutex_);
  void list(Segment* segment) REQUIRES(mutex_);
  void unlist(Segment* segment) REQUIRES(mutex_);
  Segment* settle(Segment* segment) REQUIRES(mutex_);
  void retire(Segment* segment);
  Segment* begin_cleaning() EXCLUDES(mutex_);
  void end_cleaning(Segment* segment) EXCLUDES(mutex_);
  bool too_many_gaps() const REQUIRES(mutex_);

  Arena segments_;
  mutable Mutex mutex_;
  Segment* open_ GUARDED_BY(mutex_) = nullptr;
  std::array<Segment*, kBuckets> buckets_ GUARDED_BY(mutex_){};  // full ones, by live bytes
  uint64_t used_ GUARDED_BY(mutex_) = 0;  // bytes of objects in all segments, dropped or not
  uint64_t dead_ GUARDED_BY(mutex_) = 0;  // of those, bytes of dropped ones
  uint64_t objects_ GUARDED_BY(mutex_) = 0;
};

template <typename Move>
void ObjectStore::clean(Move move) {
  Segment* segment = begin_cleaning();
  if (!segment) return;
  std::byte* base = reinterpret_cast<std::byte*>(segment);
  for (size_t at = kFirstObject; at < segment->end;) {
    const auto* object = reinterpret_cast<const StoredObject*>(base + at);
    at += StoredObject::footprint(object->size());
    if (!move(object)) break;
  }
  end_cleaning(segment);
}

}  // namespace ramdisk

#endif
