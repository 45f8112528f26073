#include "core/object_store.h"

#include <new>
#include <utility>

#include "core/check.h"
#include "core/shared_bytes.h"

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
  segment->bucket = static_cast<uint32_t>(uint64_t{segment->live} * kBuckets / (kSegmentBytes + 1));
  Segment*& head = buckets_[segment->bucket];
  segment->previous = nullptr;
  segment->next = head;
  if (head) head->previous = segment;
  head = segment;
  segment->state = State::listed;
}

void ObjectStore::unlist(Segment* segment) {
  DCHECK(segment->state == State::listed);
  if (segment->next) segment->next->previous = segment->previous;
  if (segment->previous) {
    segment->previous->next = segment->next;
  } else {
    buckets_[segment->bucket] = segment->next;
  }
}

// ---- adding

// Fails if the open segment has no room. The header is written here, under the mutex, because the
// cleaner walks over it whether the object gets published or not.
StoredObject* ObjectStore::reserve(const StoredObject& header) {
  const size_t footprint = header.footprint();
  if (!open_ || open_->end + footprint > kSegmentBytes) return nullptr;
  DCHECK(open_->state == State::open && open_->live <= open_->end - kFirstObject);
  std::byte* at = reinterpret_cast<std::byte*>(open_) + open_->end;
  open_->end += static_cast<uint32_t>(footprint);
  open_->live += static_cast<uint32_t>(footprint);
  used_ += footprint;
  pages_ += header.group() ? StoredObject::kGroupPages : 1;
  return new (at) StoredObject(header);
}

// What comes free fills the reserve first: if writers took it, the cleaner could make no more room.
std::byte* ObjectStore::take_segment(bool use_reserve) {
  if (!use_reserve) refill_reserve();
  std::byte* fresh = segments_.take(1).base;
  if (fresh || !use_reserve) return fresh;
  MutexLock lock(mutex_);
  return std::exchange(reserve_, nullptr);
}

StoredObject* ObjectStore::add_to_segment(const StoredObject& header,
                                          std::span<const std::byte> data, bool use_reserve) {
  CHECK(header.size() == data.size());
  StoredObject* object = nullptr;
  std::byte* fresh = nullptr;
  Segment* empty = nullptr;
  for (;;) {
    {
      MutexLock lock(mutex_);
      object = reserve(header);
      if (!object && fresh) {
        if (open_) empty = settle(open_);
        open_ = new (fresh) Segment;
        open_->end = kFirstObject;
        fresh = nullptr;
        object = reserve(header);
      }
    }
    if (object) break;
    fresh = take_segment(use_reserve);
    if (!fresh) return nullptr;
  }
  if (fresh) segments_.give_back({fresh, 1, false});  // another thread was first
  if (empty) retire(empty);
  // A copy of a group: readers may be noting in the original what they read.
  copy_from_shared(object->bytes().data(), data.data(), data.size());
  return object;
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

void ObjectStore::retire(Segment* segment) {
  CHECK(segment->live == 0);
  std::byte* block = reinterpret_cast<std::byte*>(segment);
  segments_.retire({&block, 1});
}

void ObjectStore::drop(const StoredObject* object) {
  Segment* segment = segment_of(object);
  const auto share = static_cast<uint32_t>(object->footprint() /
                                           (object->group() ? StoredObject::kGroupPages : 1));
  Segment* empty = nullptr;
  {
    MutexLock lock(mutex_);
    CHECK(segment->live >= share && pages_ > 0 && dead_ + share <= used_);
    segment->live -= share;
    dead_ += share;
    --pages_;
    const bool full = segment->state == State::listed || segment->state == State::aside;
    if (full) empty = settle(segment);
  }
  if (empty) retire(empty);
}

// ---- cleaning

void ObjectStore::refill_reserve() {
  {
    MutexLock lock(mutex_);
    if (reserve_ || used_ < kReserveFrom) return;
  }
  std::byte* fresh = segments_.take(1).base;
  {
    MutexLock lock(mutex_);
    if (!reserve_) std::swap(reserve_, fresh);
  }
  if (fresh) segments_.give_back({fresh, 1, false});
}

// One cleaner at a time: others would find the gaps that it is about to fill.
ObjectStore::Segment* ObjectStore::begin_cleaning(bool eager) {
  refill_reserve();
  MutexLock lock(mutex_);
  const uint64_t allowed = eager ? 0 : kDeadFloor + used_ / kDeadPart;
  if (cleaner_at_work_ || dead_ <= allowed) return nullptr;
  for (Segment* segment : buckets_) {
    if (!segment) continue;
    const uint32_t gaps = segment->end - kFirstObject - segment->live;
    if (gaps < kSegmentBytes / 64) break;
    unlist(segment);
    segment->state = State::cleaning;
    cleaner_at_work_ = true;
    return segment;
  }
  return nullptr;
}

void ObjectStore::end_cleaning(Segment* segment, bool moved_all) {
  Segment* empty = nullptr;
  {
    MutexLock lock(mutex_);
    DCHECK(cleaner_at_work_ && segment->state == State::cleaning);
    cleaner_at_work_ = false;
    if (segment->live > 0 && moved_all) {
      segment->state = State::aside;
    } else {
      empty = settle(segment);
    }
  }
  if (empty) retire(empty);
}

}  // namespace ramdisk
