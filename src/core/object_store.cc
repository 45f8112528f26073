#include "core/object_store.h"

#include <cstring>
#include <new>
#include <utility>

#include "core/check.h"

namespace ramdisk {

ObjectStore::ObjectStore(MemorySource& memory, Epoch& epoch)
    : segments_(memory, epoch, kSegmentBytes, {2 << 20, 64}, Arena::Growth::block) {}

uint64_t ObjectStore::pages() const {
  MutexLock lock(mutex_);
  return pages_;
}

// ---- buckets

void ObjectStore::list(Segment* segment) {
  DCHECK(segment->live > 0 && segment->live <= segment->end - kFirstObject);
  const uint64_t gaps = segment->end - kFirstObject - segment->live;
  segment->bucket = static_cast<uint32_t>(gaps * kBuckets / (kSegmentBytes + 1));
  Segment*& head = buckets_[segment->bucket];
  segment->previous = nullptr;
  segment->next = head;
  if (head) head->previous = segment;
  head = segment;
  segment->state = State::listed;
  if (segment->bucket >= kFirstVictim) ++victims_;
}

void ObjectStore::unlist(Segment* segment) {
  DCHECK(segment->state == State::listed);
  if (segment->bucket >= kFirstVictim) --victims_;
  if (segment->next) segment->next->previous = segment->previous;
  if (segment->previous) {
    segment->previous->next = segment->next;
  } else {
    buckets_[segment->bucket] = segment->next;
  }
}

// ---- adding

// If that is less than the group takes, it is divided when it is moved.
ObjectStore::GroupNeed ObjectStore::need_of_group(size_t footprint, const GroupHead& head) {
  const size_t singles = head.members * head.single_bytes();
  const size_t live = std::min(footprint, singles);
  return {static_cast<uint32_t>(live), static_cast<uint32_t>(singles - live)};
}

// Fails if the open segment has no room. The header is written here, under the mutex, because the
// cleaner walks over it whether the object gets published or not.
StoredObject* ObjectStore::reserve(const StoredObject& header, const GroupHead& head) {
  const size_t footprint = header.footprint();
  if (!open_ || open_->end + footprint > kSegmentBytes) return nullptr;
  DCHECK(open_->state == State::open && open_->live <= open_->end - kFirstObject);
  std::byte* at = reinterpret_cast<std::byte*>(open_) + open_->end;
  auto* object = new (at) StoredObject(header);
  uint32_t live = static_cast<uint32_t>(footprint);
  if (header.group()) {
    const GroupNeed need = need_of_group(footprint, *new (&head_of(object)) GroupHead(head));
    expansion_ += need.more;
    dead_ += footprint - need.live;
    live = need.live;
  }
  open_->end += static_cast<uint32_t>(footprint);
  open_->live += live;
  used_ += footprint;
  pages_ += header.group() ? head.members : 1;
  return object;
}

// What comes free fills the reserve first: if writers took it, the cleaner could make no more room.
std::byte* ObjectStore::take_segment(Claim claim) {
  if (claim != Claim::reclaim) refill_reserve();
  std::byte* fresh = segments_.take(1, claim).base;
  if (fresh || claim != Claim::reclaim) return fresh;
  MutexLock lock(mutex_);
  return std::exchange(reserve_, nullptr);
}

StoredObject* ObjectStore::add_to_segment(const StoredObject& header, const GroupHead& head,
                                          std::span<const std::byte> data, Claim claim,
                                          const Epoch::Guard& guard) {
  CHECK(header.size() == data.size() + (header.group() ? sizeof head : 0));
  StoredObject* object = nullptr;
  std::byte* fresh = nullptr;
  Segment* empty = nullptr;
  for (;;) {
    {
      MutexLock lock(mutex_);
      object = reserve(header, head);
      if (!object && fresh) {
        if (open_) empty = settle(open_);
        open_ = new (fresh) Segment;
        open_->end = kFirstObject;
        fresh = nullptr;
        object = reserve(header, head);
      }
    }
    if (object) break;
    fresh = take_segment(claim);
    if (!fresh) return nullptr;
  }
  if (fresh) segments_.give_back({fresh, 1, false});  // another thread was first
  if (empty) retire(empty, guard);
  std::memcpy(object->bytes().data() + (header.group() ? sizeof head : 0), data.data(),
              data.size());
  return object;
}

// Readers may be noting in the head of the original what they read.
StoredObject* ObjectStore::add_copy(const StoredObject& group, unsigned members,
                                    size_t single_bytes, const Epoch::Guard& guard) {
  GroupHead head;
  head.seen = __atomic_load_n(&head_of(&group).seen, __ATOMIC_RELAXED);
  head.members = static_cast<uint8_t>(members);
  head.single_units = GroupHead::units(single_bytes);
  return add_to_segment(group, head, group.bytes().subspan(sizeof head), Claim::reclaim, guard);
}

// ---- dropping

// Puts a segment that is neither open nor being cleaned where its live bytes say. Returns it if it
// is empty: the caller retires it when the mutex is released.
ObjectStore::Segment* ObjectStore::settle(Segment* segment) {
  DCHECK(segment->live <= segment->end - kFirstObject);
  if (segment->state == State::listed) unlist(segment);
  if (segment->live > 0) {
    list(segment);
    return nullptr;
  }
  CHECK(used_ >= segment->end - kFirstObject && dead_ >= segment->end - kFirstObject);
  used_ -= segment->end - kFirstObject;
  dead_ -= segment->end - kFirstObject;
  return segment;
}

void ObjectStore::retire(Segment* segment, const Epoch::Guard& guard) {
  CHECK(segment->live == 0);
  std::byte* block = reinterpret_cast<std::byte*>(segment);
  segments_.retire({&block, 1}, guard);
}

void ObjectStore::drop(const StoredObject* object, const Epoch::Guard& guard) {
  Segment* segment = segment_of(object);
  Segment* empty = nullptr;
  {
    MutexLock lock(mutex_);
    auto freed = static_cast<uint32_t>(object->footprint());
    if (object->group()) {
      GroupHead& head = head_of(object);
      const GroupNeed before = need_of_group(object->footprint(), head);
      CHECK(head.members > 0);
      --head.members;
      const GroupNeed after = need_of_group(object->footprint(), head);
      freed = before.live - after.live;
      expansion_ -= before.more - after.more;
    }
    CHECK(segment->live >= freed && pages_ > 0 && dead_ + freed <= used_);
    segment->live -= freed;
    dead_ += freed;
    --pages_;
    const bool full = segment->state == State::listed || segment->state == State::aside;
    if (full && freed > 0) empty = settle(segment);
  }
  if (empty) retire(empty, guard);
}

// ---- cleaning

void ObjectStore::refill_reserve() {
  {
    MutexLock lock(mutex_);
    if (reserve_ || used_ < kReserveFrom) return;
  }
  std::byte* fresh = segments_.take(1, Claim::reclaim).base;
  {
    MutexLock lock(mutex_);
    if (!reserve_) std::swap(reserve_, fresh);
  }
  if (fresh) segments_.give_back({fresh, 1, false});
}

uint64_t ObjectStore::allowed_dead(Effort effort) const {
  constexpr uint64_t kTight = 8;
  switch (effort) {
    case Effort::usual:
      return kDeadFloor + used_ / kDeadPart;
    case Effort::tight:
      return (kDeadFloor + used_ / kDeadPart) / kTight;
    case Effort::all:
      break;
  }
  return 0;
}

// A cleaner sets cleaning_ before it takes its victim off the list: whoever finds no victim because
// of that finds a cleaner, and clean() says busy.
bool ObjectStore::worth_cleaning(Effort effort) const {
  return dead_ > allowed_dead(effort) && (victims_ > 0 || cleaning_);
}

ObjectStore::Segment* ObjectStore::begin_cleaning() {
  refill_reserve();
  MutexLock lock(mutex_);
  for (size_t bucket = kBuckets; bucket-- > kFirstVictim;) {
    Segment* segment = buckets_[bucket];
    if (!segment) continue;
    unlist(segment);
    segment->state = State::cleaning;
    return segment;
  }
  return nullptr;
}

void ObjectStore::end_cleaning(Segment* segment, bool moved_all, const Epoch::Guard& guard) {
  Segment* empty = nullptr;
  {
    MutexLock lock(mutex_);
    DCHECK(cleaning_ && segment->state == State::cleaning);
    if (segment->live > 0 && moved_all) {
      segment->state = State::aside;
    } else {
      empty = settle(segment);
    }
  }
  if (empty) retire(empty, guard);
}

}  // namespace ramdisk
