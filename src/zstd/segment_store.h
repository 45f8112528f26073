// SegmentStore: keeps compressed pages, and groups of them, tightly packed in segments that are
// filled from front to back. Each is a StoredObject, an object for short.
//
//   segment (a block of a SlabAllocator)
//   ┌────────┬──────────┬─────┬────────────┬── ─ ─ ┐
//   │ header │ object 0 │ gap │ object 1   │       │   gap: a dropped object
//   └────────┴──────────┴─────┴────────────┴── ─ ─ ┘
//
// Nothing is ever written into a gap. Instead, a segment with many gaps is cleaned: its objects are
// added again elsewhere, and the whole segment goes back to the slabs. This is the cleaning of
// log-structured file systems (Rosenblum and Ousterhout, "The Design and Implementation of a
// Log-Structured File System", 1992), with the segment whose cleaning gains most as the victim. It
// keeps fragmentation below a chosen bound, whatever the order of writes.
//
//   States of a segment:
//
//              it is full            it is the victim           not all could be moved
//      open ──────────────▶ listed ──────────────────▶ cleaning ─────────────────────▶ aside
//       │                    │   ▲                      │   │                           │
//       │                    │   │ no memory to go on   │   │             an object is  │
//       │                    │   └──────────────────────┘   │             dropped       │
//       │                    │   ▲                          │                           │
//       │                    │   └──────────────────────────│───────────────────────────┘
//       ▼                    ▼                              ▼
//      retired: it is full or a victim, and nothing in it is live
//
//   An open segment that is full becomes the victim, too, when every gap counts and no listed
//   segment has any that are worth it.
//
// Groups. When pages of a group are dropped, its live bytes become less in proportion, because the
// cleaner can compress the remaining ones anew. Taken one by one, all pages of a group take more
// than the group does; the differences are kept as a sum, because overwriting the pages one by one
// must not need memory that is not available.
//
// Single pages and groups have segments of their own, because to move a single page is to copy it,
// while what is left of a group has to be decompressed and compressed again, which takes fifty
// times as long. So more gaps are left to groups, until most of their pages have gone. (The cleaner
// moves everything to segments of the victim's kind.)
//
// Invariants:
//   1. The bytes of an object do not change from its publication until its segment is reclaimed,
//      which happens when no pinned thread can still refer to it. (The GroupHead of a group does
//      change.)
//   2. live is what the objects that were added and not dropped, published or not, take when they
//      are moved; for a group that has lost pages, its share, which may prove to be too little. A
//      segment is retired when it is full or a victim and live is 0.
//   3. Gaps are at most kDeadFloor and a part of all bytes (kDeadPart) for each kind, except for
//      what clean() could not move, provided that clean() is called until it no longer returns
//      Cleaning::done.
//   4. The cleaner always makes progress. It fills a segment of its own, which writers cannot use
//      up, and keeps another in reserve once there are several segments. It begins only with a
//      victim that fits into what it has. If everything moves, the victim replaces what was used;
//      if threads are using some of the pages, these pages fit into what is left, and their segment
//      is tried again before another one. Under a memory limit Claim::reclaim keeps kReclaimBytes
//      for this.
//
// Thread contract: any thread. The caller is pinned where a Guard is a parameter, and for as long
// as it uses an object. The mutex is held for O(1) steps.

#ifndef RAMDISK_ZSTD_SEGMENT_STORE_H
#define RAMDISK_ZSTD_SEGMENT_STORE_H

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "base/mutex.h"
#include "base/page.h"
#include "table/slab_allocator.h"
#include "zstd/stored_object.h"

namespace ramdisk {

class SegmentStore {
 public:
  // Of one segment, header included. The 511 usable pages of a slab hold exactly 7 segments. Small
  // segments keep the steps of the cleaner short.
  static constexpr size_t kSegmentBytes = 73 * kPageBytes;

  // The memory that the cleaner takes before it frees any: the reserve, the segment that it fills,
  // and one that readers may still be using.
  static constexpr uint64_t kReclaimBytes = 3 * kSegmentBytes;

  SegmentStore(MemorySource& memory, Epoch& epoch);

  // Stores a copy of `data` (1 to kMaxBytes bytes) for `page`. Returns nullptr if there is no
  // memory for this claim.
  StoredObject* add(uint64_t page, std::span<const std::byte> data, const Epoch::Guard& guard,
                    Claim claim = Claim::data) EXCLUDES(mutex_) {
    return add_to_segment({page, data.size(), false}, {}, data, claim, guard);
  }

  // Stores a copy of `frame` for the pages of the run beginning at `page` that `head` names, all of
  // which are members. GroupHead and frame together have at most kMaxGroupBytes bytes.
  StoredObject* add_group(uint64_t page, const GroupHead& head, std::span<const std::byte> frame,
                          Claim claim, const Epoch::Guard& guard) EXCLUDES(mutex_) {
    return add_to_segment({page, sizeof head + frame.size(), true}, head, frame, claim, guard);
  }

  // For the cleaner's move(): stores another copy of a compressed page, or of a group for the
  // remaining `members` of its pages, which take `single_bytes` each by themselves. All of the copy
  // counts as live.
  StoredObject* add_copy(const StoredObject& object, const Epoch::Guard& guard) EXCLUDES(mutex_) {
    return add_to_segment(object, {}, object.bytes(), Claim::reclaim, guard);
  }
  StoredObject* add_copy(const StoredObject& group, unsigned members, size_t single_bytes,
                         const Epoch::Guard& guard) EXCLUDES(mutex_);

  // Call when no shared structure refers to `object` any more; for a group, once for each page that
  // no longer refers to it.
  void drop(const StoredObject* object, const Epoch::Guard& guard) EXCLUDES(mutex_);

  // The outcome for an object in a segment that is being cleaned. left: nothing refers to it,
  // another thread is using its page, or it cannot be read.
  enum class Moved { yes, left, no_memory };
  enum class Cleaning { done, nothing, busy, no_memory };
  // How many gaps are too many: more than invariant 3 allows; more than an eighth of that; any.
  enum class Effort { usual, tight, all };

  // Cleans the segment with the most gaps, if there are too many: calls move(object), which returns
  // a Moved, for each object in it that may be live. To move an object is to call add_copy(), or
  // add() with Claim::reclaim, to replace the reference, and to call drop(). busy: another thread
  // is cleaning, or is using the pages that would have to move. The memory is reclaimed after the
  // pin has ended.
  template <typename Move>
  Cleaning clean(Effort effort, const Epoch::Guard& guard, Move move);

  // Whether there are more gaps than `effort` allows, so that clean() may find something. Takes no
  // lock, so it may be asked after each write.
  bool worth_cleaning(Effort effort) const {
    return worth_cleaning(kSingles, effort) || worth_cleaning(kGroups, effort);
  }

  // Returns memory that is kept for new objects to the system, except the reserve.
  void release_free() noexcept { segments_.release_free(); }
  bool returning() const noexcept { return segments_.returning(); }

  // Whether a thread holds memory of a segment that is not open yet or no longer in use: what add()
  // has refused may soon find room. (Or not: the thread may itself be refused the moment after.)
  bool in_transit() const EXCLUDES(mutex_);

  // Identifies an object, of which the caller must be a user, among all that there ever were in
  // this process: no other has both its address and this number.
  uint64_t serial_of(const StoredObject* object) const { return segment_of(object)->serial; }

  uint64_t pages() const EXCLUDES(mutex_);  // pages that have an object, alone or in a group
  uint64_t held_bytes() const { return segments_.held_bytes(); }

  // Returns the memory that would be needed without gaps and groups, including the unused ends of
  // segments.
  uint64_t needed_bytes() const {
    const uint64_t bytes = used_bytes() - dead_bytes() + expansion_;
    return bytes + bytes / 128;
  }

 private:
  // What a segment is for.
  enum Kind : unsigned { kSingles, kGroups };
  static constexpr std::array<Kind, 2> kKinds{kSingles, kGroups};

  static constexpr uint64_t kDeadFloor = kSegmentBytes;
  static constexpr std::array<uint64_t, kKinds.size()> kDeadPart{10, 2};  // one byte in so many
  static constexpr size_t kBuckets = 256;
  static constexpr uint32_t kAside = kBuckets;  // one more bucket, for segments that are aside
  static constexpr size_t kLeastGap = 2048;     // bytes of gaps in a segment that is worth cleaning
  static constexpr size_t kFirstVictim = kLeastGap * kBuckets / kSegmentBytes;  // bucket
  static constexpr uint64_t kReserveFrom = 8 * kSegmentBytes;  // least used bytes with a reserve

  // See the drawing above. open: objects may be added. listed: full, and in a bucket. cleaning: in
  // use by the cleaner. aside: cleaned, except for objects that could not be moved; it is not tried
  // again before one of them is dropped, or before the cleaner has no reserve left with which to
  // begin another segment.
  enum class State : uint32_t { open, listed, cleaning, aside };

  struct Segment {
    Segment* previous = nullptr;
    Segment* next = nullptr;
    uint32_t end = 0;   // where the next object goes, in bytes from the segment's start
    uint32_t live = 0;  // bytes that its objects take when they are moved
    uint32_t bucket = 0;
    State state = State::open;
    Kind kind = kSingles;
    uint64_t serial = 0;  // of this segment, among all that this store has opened
  };
  static constexpr uint32_t kFirstObject = (sizeof(Segment) + 63) / 64 * 64;
  static uint32_t gaps_of(const Segment* segment) {
    return segment->end - kFirstObject - segment->live;
  }

  Segment* segment_of(const StoredObject* object) const {
    return reinterpret_cast<Segment*>(segments_.block_of(object));
  }
  // What a group takes when it is moved, and how much more its pages take by themselves.
  struct GroupNeed {
    uint32_t live;
    uint32_t more;
  };
  static GroupNeed need_of_group(size_t footprint, const GroupHead& head);

  StoredObject* reserve(Segment* open, const StoredObject& header, const GroupHead& head)
      REQUIRES(mutex_);

  // The segments of one kind.
  struct Segments {
    std::array<Segment*, 2> open{};                // for writers
    Segment* output = nullptr;                     // open, too: for the cleaner
    std::array<Segment*, kBuckets + 1> buckets{};  // those listed, by gaps, and those aside
    // Changed while holding mutex_; read without it where an approximate value will do.
    std::atomic<uint64_t> used{0};  // bytes of objects in them, dropped or not
    std::atomic<uint64_t> dead{0};  // bytes of used that are not live
  };
  Kind kind_for(const StoredObject& header, Claim claim) const REQUIRES(mutex_);
  std::span<Segment*> open_for(Kind kind, Claim claim) REQUIRES(mutex_);
  void list(Segment* segment, uint32_t bucket) REQUIRES(mutex_);
  void list_by_gaps(Segment* segment) REQUIRES(mutex_);
  void unlist(Segment* segment) REQUIRES(mutex_);
  Segment* settle(Segment* segment) REQUIRES(mutex_);
  void retire(Segment* segment, const Epoch::Guard& guard);
  StoredObject* add_to_segment(const StoredObject& header, const GroupHead& head,
                               std::span<const std::byte> data, Claim claim,
                               const Epoch::Guard& guard) EXCLUDES(mutex_);
  std::byte* take_segment(Claim claim) EXCLUDES(mutex_);
  void refill_reserve() EXCLUDES(mutex_);
  void release_reserve() EXCLUDES(mutex_);
  uint64_t allowed_dead(Kind kind, Effort effort) const;
  bool worth_cleaning(Kind kind, Effort effort) const {
    return kinds_[kind].dead > allowed_dead(kind, effort);
  }
  size_t cleaner_room(const Segments& segments) const REQUIRES(mutex_);
  Segment* find_victim(Kind kind) REQUIRES(mutex_);
  Segment* close_open(Kind kind) REQUIRES(mutex_);
  Segment* begin_cleaning(Effort effort) EXCLUDES(mutex_);
  uint64_t used_bytes() const { return kinds_[kSingles].used + kinds_[kGroups].used; }
  uint64_t dead_bytes() const { return kinds_[kSingles].dead + kinds_[kGroups].dead; }
  Cleaning end_cleaning(Segment* segment, Moved last, const Epoch::Guard& guard) EXCLUDES(mutex_);

  SlabAllocator segments_;
  mutable Mutex mutex_;
  std::array<Segments, kKinds.size()> kinds_;  // the pointers are guarded by mutex_
  uint64_t opened_ GUARDED_BY(mutex_) = 0;     // segments since the start
  // The kind of the victim while a segment is being cleaned.
  Kind cleaned_ GUARDED_BY(mutex_) = kSingles;
  std::atomic<uint64_t> expansion_{0};  // how much more the groups would take as single pages
  uint64_t pages_ GUARDED_BY(mutex_) = 0;
  std::byte* reserve_ GUARDED_BY(mutex_) = nullptr;  // an unused segment
  uint32_t victim_live_ GUARDED_BY(mutex_) = 0;  // live bytes of the victim when its cleaning began
  bool stuck_ GUARDED_BY(mutex_) = false;        // nothing of the last victim could be moved
  uint64_t segments_in_use_ GUARDED_BY(mutex_) = 0;  // opened, and not found empty since
  // A thread is cleaning; a second one could find the segment that the first is filling.
  std::atomic<bool> cleaning_{false};
};

template <typename Move>
SegmentStore::Cleaning SegmentStore::clean(Effort effort, const Epoch::Guard& guard, Move move) {
  if (!worth_cleaning(effort)) return Cleaning::nothing;
  if (cleaning_.exchange(true, std::memory_order_acquire)) return Cleaning::busy;
  Segment* segment = begin_cleaning(effort);
  Cleaning result = Cleaning::nothing;
  if (segment) {
    std::byte* base = reinterpret_cast<std::byte*>(segment);
    Moved last = Moved::yes;
    for (size_t at = kFirstObject; at < segment->end && last != Moved::no_memory;) {
      const auto* object = reinterpret_cast<const StoredObject*>(base + at);
      at += object->footprint();
      CHECK(at <= segment->end);
      last = move(object);
    }
    result = end_cleaning(segment, last, guard);
  }
  release_reserve();
  cleaning_.store(false, std::memory_order_release);
  return result;
}

}  // namespace ramdisk

#endif
