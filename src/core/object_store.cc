#include "core/object_store.h"

#include <cstring>
#include <new>

namespace ramdisk {

ObjectStore::ObjectStore(MemorySource& memory, Epoch& epoch)
    : segments_(memory, epoch, kSegmentBytes) {}

uint64_t ObjectStore::objects() const {
  MutexLock lock(mutex_);
  return objects_;
}

// ---- buckets

void ObjectStore::list(Segment* segment) {
  segment->bucket = static_cast<uint32_t>(uint64_t{segment->live} * kBuckets / (kSegmentBytes + 1));
  Segment*& head = buckets_[segment->bucket];
  segment->previous = nullptr;
  segment->next = head;
  if (head) head->previous = segment;
  head = segment;
  segment->listed = true;
}

void ObjectStore::unlist(Segment* segment) {
  if (segment->next) segment->next->previous = segment->previous;
  if (segment->previous) {
    segment->previous->next = segment->next;
  } else {
    buckets_[segment->bucket] = segment->next;
  }
  segment->listed = false;
}

// ---- adding

// Fails if the open segment has no room. The header is written here, under the mutex, because the
// cleaner walks over it whether the object gets published or not.
StoredObject* ObjectStore::reserve(uint64_t page, size_t bytes) {
  const size_t footprint = StoredObject::footprint(bytes);
  if (!open_ || open_->end + footprint > kSegmentBytes) return nullptr;
  std::byte* at = reinterpret_cast<std::byte*>(open_) + open_->end;
  open_->end += static_cast<uint32_t>(footprint);
  open_->live += static_cast<uint32_t>(footprint);
  used_ += footprint;
  ++objects_;
  return new (at) StoredObject(page, bytes);
}

StoredObject* ObjectStore::add(uint64_t page, std::span<const std::byte> data) {
  StoredObject* object = nullptr;
  std::byte* fresh = nullptr;
  Segment* empty = nullptr;
  for (;;) {
    {
      MutexLock lock(mutex_);
      object = reserve(page, data.size());
      if (!object && fresh) {
        if (open_) empty = settle(open_);
        open_ = new (fresh) Segment;
        open_->end = kFirstObject;
        fresh = nullptr;
        object = reserve(page, data.size());
      }
    }
    if (object) break;
    fresh = segments_.take(1).base;
    if (!fresh) return nullptr;
  }
  if (fresh) segments_.give_back(fresh, 1);  // another thread was first
  if (empty) retire(empty);
  std::memcpy(object + 1, data.data(), data.size());
  return object;
}

// ---- dropping

// Puts a segment that is neither open nor being cleaned where its live bytes say. Returns it if it
// is empty: the caller retires it when the mutex is released.
ObjectStore::Segment* ObjectStore::settle(Segment* segment) {
  if (segment->listed) unlist(segment);
  if (segment->live > 0) {
    list(segment);
    return nullptr;
  }
  used_ -= segment->end - kFirstObject;
  dead_ -= segment->end - kFirstObject;
  return segment;
}

void ObjectStore::retire(Segment* segment) {
  std::byte* block = reinterpret_cast<std::byte*>(segment);
  segments_.retire({&block, 1});
}

void ObjectStore::drop(const StoredObject* object) {
  Segment* segment = segment_of(object);
  const auto footprint = static_cast<uint32_t>(StoredObject::footprint(object->size()));
  Segment* empty = nullptr;
  {
    MutexLock lock(mutex_);
    segment->live -= footprint;
    dead_ += footprint;
    --objects_;
    if (segment->listed) empty = settle(segment);
  }
  if (empty) retire(empty);
}

// ---- cleaning

bool ObjectStore::too_many_gaps() const {
  return dead_ > kDeadFloor + used_ / kDeadPart;
}

bool ObjectStore::wants_cleaning() const {
  MutexLock lock(mutex_);
  return too_many_gaps();
}

// Several threads may clean at once, each its own victim.
ObjectStore::Segment* ObjectStore::begin_cleaning() {
  MutexLock lock(mutex_);
  if (!too_many_gaps()) return nullptr;
  for (Segment* segment : buckets_) {
    if (!segment) continue;
    unlist(segment);
    return segment;
  }
  return nullptr;
}

void ObjectStore::end_cleaning(Segment* segment) {
  Segment* empty = nullptr;
  {
    MutexLock lock(mutex_);
    empty = settle(segment);
  }
  if (empty) retire(empty);
}

}  // namespace ramdisk
