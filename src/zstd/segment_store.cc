#include "zstd/segment_store.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "base/check.h"

namespace ramdisk {

SegmentStore::SegmentStore(MemorySource& memory, Epoch& epoch)
    : segments_(memory, epoch, kSegmentBytes, {2 << 20, 64}, SlabAllocator::Growth::block) {}

uint64_t SegmentStore::pages() const {
  MutexLock lock(mutex_);
  return pages_;
}

bool SegmentStore::in_transit() const {
  MutexLock lock(mutex_);
  return segments_.taken_blocks() > segments_in_use_ + (reserve_ ? 1 : 0);
}

// ---- buckets

void SegmentStore::list(Segment* segment, uint32_t bucket) {
  segment->bucket = bucket;
  Segment*& head = kinds_[segment->kind].buckets[bucket];
  segment->previous = nullptr;
  segment->next = head;
  if (head) head->previous = segment;
  head = segment;
  segment->state = bucket == kAside ? State::aside : State::listed;
}

void SegmentStore::list_by_gaps(Segment* segment) {
  DCHECK(segment->live > 0 && segment->live <= segment->end - kFirstObject);
  const uint64_t gaps = gaps_of(segment);
  list(segment, static_cast<uint32_t>(gaps * kBuckets / (kSegmentBytes + 1)));
}

void SegmentStore::unlist(Segment* segment) {
  DCHECK(segment->state == State::listed || segment->state == State::aside);
  if (segment->next) segment->next->previous = segment->previous;
  if (segment->previous) {
    segment->previous->next = segment->next;
  } else {
    kinds_[segment->kind].buckets[segment->bucket] = segment->next;
  }
}

// ---- adding

// A group that has lost pages is made anew when it is moved, and then takes its share.
SegmentStore::GroupNeed SegmentStore::need_of_group(size_t footprint, const GroupHead& head) {
  const size_t live = (footprint * head.members / head.whole + 7) / 8 * 8;
  const size_t singles = head.members * head.single_bytes();
  return {static_cast<uint32_t>(live), static_cast<uint32_t>(singles - std::min(singles, live))};
}

// Returns nullptr if the segment has no room. The header is written here, under the mutex, because
// the cleaner reads it whether or not the object is published.
StoredObject* SegmentStore::reserve(Segment* open, const StoredObject& header,
                                    const GroupHead& head) {
  const size_t footprint = header.footprint();
  if (!open || open->end + footprint > kSegmentBytes) return nullptr;
  DCHECK(open->state == State::open && open->live <= open->end - kFirstObject);
  std::byte* at = reinterpret_cast<std::byte*>(open) + open->end;
  auto* object = new (at) StoredObject(header);
  const auto live = static_cast<uint32_t>(footprint);
  if (header.group()) {
    const GroupNeed need = need_of_group(footprint, *new (&head_of_group(*object)) GroupHead(head));
    expansion_ += need.more;
  }
  open->end += static_cast<uint32_t>(footprint);
  open->live += live;
  kinds_[open->kind].used += footprint;
  pages_ += header.group() ? head.members : 1;
  return object;
}

// Free memory refills the reserve first: if writers took it all, the cleaner could not free any
// more.
std::byte* SegmentStore::take_segment(Claim claim) {
  if (claim != Claim::reclaim) {
    if (used_bytes() >= kReserveFrom) refill_reserve();
  } else {
    MutexLock lock(mutex_);
    if (reserve_) return std::exchange(reserve_, nullptr);
  }
  return segments_.allocate(1, claim).base;
}

SegmentStore::Kind SegmentStore::kind_for(const StoredObject& header, Claim claim) const {
  if (claim == Claim::reclaim) return cleaned_;
  return header.group() ? kGroups : kSingles;
}

// Writers have two segments open for groups, because what does not fit into one may fit into the
// other: so 0.6 % remain unused at the ends of segments, instead of 2.6 %, for groups of 13 KiB.
std::span<SegmentStore::Segment*> SegmentStore::open_for(Kind kind, Claim claim) {
  Segments& segments = kinds_[kind];
  if (claim == Claim::reclaim) return {&segments.output, 1};
  return std::span(segments.open).first(kind == kGroups ? 2 : 1);
}

StoredObject* SegmentStore::add_to_segment(const StoredObject& header, const GroupHead& head,
                                           std::span<const std::byte> data, Claim claim,
                                           const Epoch::Guard& guard) {
  CHECK(header.size() == data.size() + (header.group() ? sizeof head : 0));
  // The place of a segment that there is not yet counts as full, so it is taken first.
  const auto fuller = [](const Segment* a, const Segment* b) {
    return a != nullptr && (b == nullptr || a->end < b->end);
  };
  StoredObject* object = nullptr;
  std::byte* fresh = nullptr;
  Segment* empty = nullptr;
  for (;;) {
    {
      MutexLock lock(mutex_);
      const Kind kind = kind_for(header, claim);
      const std::span<Segment*> open = open_for(kind, claim);
      for (size_t i = 0; i < open.size() && !object; ++i) object = reserve(open[i], header, head);
      // A single page also fills up segments for groups, which may not be continued for long.
      for (size_t i = 0; i < 2 && !object && kind == kSingles && claim != Claim::reclaim; ++i) {
        object = reserve(kinds_[kGroups].open[i], header, head);
      }
      if (!object && fresh) {
        Segment*& replaced = *std::max_element(open.begin(), open.end(), fuller);
        if (replaced) empty = settle(replaced);
        replaced = new (fresh) Segment;
        replaced->end = kFirstObject;
        replaced->kind = kind;
        replaced->serial = ++opened_;
        ++segments_in_use_;
        fresh = nullptr;
        object = reserve(replaced, header, head);
      }
    }
    if (object) break;
    fresh = take_segment(claim);
    if (!fresh) return nullptr;
  }
  if (fresh) segments_.free({fresh, 1, false});  // another thread opened a segment first
  if (empty) retire(empty, guard);
  std::memcpy(object->bytes().data() + (header.group() ? sizeof head : 0), data.data(),
              data.size());
  return object;
}

// Other threads may be changing the original's head, so only some of it is loaded, atomically.
StoredObject* SegmentStore::add_copy(const StoredObject& group, unsigned members,
                                     size_t single_bytes, const Epoch::Guard& guard) {
  const GroupHead& original = head_of_group(group);
  GroupHead head;
  head.seen = __atomic_load_n(&original.seen, __ATOMIC_RELAXED);
  head.settled = __atomic_load_n(&original.settled, __ATOMIC_RELAXED);
  head.pages = original.pages;
  head.whole = static_cast<uint8_t>(members);
  head.members = head.whole;
  head.single_units = GroupHead::units(single_bytes);
  return add_to_segment(group, head, group.bytes().subspan(sizeof head), Claim::reclaim, guard);
}

// ---- dropping

// Lists a segment, which is no longer open or being cleaned, in the bucket for its live bytes. If
// it is empty, returns it instead; the caller retires it after releasing the mutex, and until then
// it counts as memory that is on its way.
SegmentStore::Segment* SegmentStore::settle(Segment* segment) {
  DCHECK(segment->live <= segment->end - kFirstObject);
  if (segment->state == State::listed || segment->state == State::aside) unlist(segment);
  if (segment->live > 0) {
    list_by_gaps(segment);
    return nullptr;
  }
  Segments& segments = kinds_[segment->kind];
  const uint64_t bytes = segment->end - kFirstObject;
  CHECK(segments.used >= bytes && segments.dead >= bytes);
  segments.used -= bytes;
  segments.dead -= bytes;
  --segments_in_use_;
  return segment;
}

void SegmentStore::retire(Segment* segment, const Epoch::Guard& guard) {
  CHECK(segment->live == 0);
  std::byte* block = reinterpret_cast<std::byte*>(segment);
  segments_.retire({&block, 1}, guard);
}

void SegmentStore::drop(const StoredObject* object, const Epoch::Guard& guard) {
  Segment* segment = segment_of(object);
  Segment* empty = nullptr;
  {
    MutexLock lock(mutex_);
    auto freed = static_cast<uint32_t>(object->footprint());
    if (object->group()) {
      GroupHead& head = head_of_group(*object);
      const GroupNeed before = need_of_group(object->footprint(), head);
      CHECK(head.members > 0);
      --head.members;
      const GroupNeed after = need_of_group(object->footprint(), head);
      freed = before.live - after.live;
      expansion_ -= before.more - after.more;
    }
    Segments& segments = kinds_[segment->kind];
    CHECK(segment->live >= freed && pages_ > 0 && segments.dead + freed <= segments.used);
    segment->live -= freed;
    segments.dead += freed;
    --pages_;
    const bool full = segment->state == State::listed || segment->state == State::aside;
    if (full && freed > 0) empty = settle(segment);
  }
  if (empty) retire(empty, guard);
}

// ---- cleaning

void SegmentStore::refill_reserve() {
  {
    MutexLock lock(mutex_);
    if (reserve_) return;
  }
  std::byte* fresh = segments_.allocate(1, Claim::reclaim).base;
  {
    MutexLock lock(mutex_);
    if (!reserve_) std::swap(reserve_, fresh);
  }
  if (fresh) segments_.free({fresh, 1, false});
}

// A small disk keeps no reserve while nothing is being cleaned.
void SegmentStore::release_reserve() {
  if (used_bytes() >= kReserveFrom) return;
  std::byte* unused = nullptr;
  {
    MutexLock lock(mutex_);
    unused = std::exchange(reserve_, nullptr);
  }
  if (unused) segments_.free({unused, 1, false});
}

uint64_t SegmentStore::allowed_dead(Kind kind, Effort effort) const {
  constexpr uint64_t kTight = 8;
  const uint64_t usual = kDeadFloor + kinds_[kind].used / kDeadPart[kind];
  switch (effort) {
    case Effort::usual:
      return usual;
    case Effort::tight:
      return usual / kTight;
    case Effort::all:
      break;
  }
  return 0;
}

// Returns the room that the cleaner is sure to have. One whole segment has room for the live bytes
// of any other.
size_t SegmentStore::cleaner_room(const Segments& segments) const {
  if (reserve_) return kSegmentBytes;
  return segments.output ? kSegmentBytes - segments.output->end : 0;
}

// Chooses the segment with the most gaps. Without a reserve, the segments that are aside come
// first, because they hold the memory that the cleaner needs; but last if the previous victim could
// not be moved either.
SegmentStore::Segment* SegmentStore::find_victim(Kind kind) {
  const Segments& segments = kinds_[kind];
  const size_t room = cleaner_room(segments);
  const auto fits = [&](const Segment* segment) { return segment && segment->live <= room; };
  Segment* const first_aside = segments.buckets[kAside];
  Segment* const aside = !reserve_ && fits(first_aside) ? first_aside : nullptr;
  if (aside && !stuck_) return aside;
  for (size_t bucket = kBuckets; bucket-- > kFirstVictim;) {
    if (fits(segments.buckets[bucket])) return segments.buckets[bucket];
  }
  return aside;
}

// Segments that are open have gaps, too. One that is full is listed when another takes its place;
// but while there is no memory for another, its gaps would be lost. So the one with the most is
// closed. (Not one with room: writers would lose that, because they cannot use what the cleaner
// fills.)
SegmentStore::Segment* SegmentStore::close_open(Kind kind) {
  Segments& segments = kinds_[kind];
  const size_t room = cleaner_room(segments);
  Segment** best = nullptr;
  const auto consider = [&](Segment*& open) {
    if (!open || open->live > room || gaps_of(open) < kLeastGap) return;
    if (kSegmentBytes - open->end >= kPageBytes) return;
    if (!best || gaps_of(open) > gaps_of(*best)) best = &open;
  };
  for (Segment*& open : segments.open) consider(open);
  if (reserve_) consider(segments.output);
  return best ? std::exchange(*best, nullptr) : nullptr;
}

// Single pages come first, because they cost less; then open segments, and last one that could not
// be moved.
SegmentStore::Segment* SegmentStore::begin_cleaning(Effort effort) {
  refill_reserve();
  MutexLock lock(mutex_);
  Segment* victim = nullptr;
  Segment* stuck = nullptr;
  for (const Kind kind : kKinds) {
    if (victim || !worth_cleaning(kind, effort)) continue;
    Segment* const found = find_victim(kind);
    const bool again = found && stuck_ && found->bucket == kAside;
    (again ? stuck : victim) = found;
  }
  for (const Kind kind : kKinds) {
    if (!victim && effort == Effort::all) victim = close_open(kind);
  }
  if (!victim) victim = stuck;
  if (victim) {
    if (victim->state != State::open) unlist(victim);
    victim->state = State::cleaning;
    victim_live_ = victim->live;
    cleaned_ = victim->kind;
  }
  return victim;
}

SegmentStore::Cleaning SegmentStore::end_cleaning(Segment* segment, Moved last,
                                                  const Epoch::Guard& guard) {
  Segment* empty = nullptr;
  bool stuck_again = false;
  {
    MutexLock lock(mutex_);
    DCHECK(cleaning_ && segment->state == State::cleaning);
    stuck_ = segment->live > 0 && segment->live == victim_live_;
    stuck_again = stuck_ && segment->bucket == kAside;
    if (segment->live > 0 && last != Moved::no_memory) {
      list(segment, kAside);
    } else {
      empty = settle(segment);
    }
  }
  if (empty) retire(empty, guard);
  if (last == Moved::no_memory) return Cleaning::no_memory;
  return stuck_again ? Cleaning::busy : Cleaning::done;
}

}  // namespace ramdisk
