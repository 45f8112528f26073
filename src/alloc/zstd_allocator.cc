#include "alloc/zstd_allocator.h"

#include <array>
#include <cstring>
#include <thread>

#include "alloc/extent_merger.h"
#include "core/shared_bytes.h"

namespace ramdisk {

namespace {

using Buffer = std::array<std::byte, kPageBytes>;

size_t cpus() {
  return std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace

ZstdAllocator::ZstdAllocator(const Environment& environment, uint64_t disk_bytes, int level)
    : level_(level),
      codecs_(level, cpus()),
      store_(*environment.memory, epoch_),
      table_(*environment.memory, epoch_, disk_bytes, environment.trace_directories) {}

Status ZstdAllocator::get_ready() {
  return codecs_.prepare() ? Status() : Status::no_memory();
}

Status ZstdAllocator::load(const StoredObject& object, Page page) {
  if (object.size() == kPageBytes) {
    std::memcpy(page.data(), object.bytes().data(), kPageBytes);
    return {};
  }
  if (codecs_.decompress(page, object.bytes())) return {};
  return Status::error(EIO, "allocator=zstd: a compressed page is damaged in memory");
}

// The page as an object that nobody refers to yet; nullptr when there is no memory.
StoredObject* ZstdAllocator::store(uint64_t number, std::span<const std::byte, kPageBytes> page) {
  Buffer compressed;
  const std::span<std::byte> out(compressed.data(), kPageBytes - 1);
  const size_t length = codecs_.compress(out, page);
  return store_.add(number, length ? out.first(length) : std::span<const std::byte>(page));
}

// Publishes `object` (nullptr: a hole) in place of what the slot holds, and unlocks it.
void ZstdAllocator::swap(PageTable::Slot& slot, StoredObject* object) {
  const StoredObject* old = object_at(slot.payload());
  slot.unlock(payload_for(object));
  if (old) store_.drop(old);
}

Status ZstdAllocator::read(std::span<std::byte> buffer, uint64_t offset) {
  if (buffer.empty()) return {};
  const Epoch::Guard guard(epoch_);
  Status status;
  const uint64_t end = offset + buffer.size();
  uint64_t done = offset;
  table_.scan(offset >> kPageShift, (end - 1) / kPageBytes + 1,
              [&](uint64_t page, uint64_t payload) {
                const uint64_t start = page << kPageShift;
                const uint64_t first = std::max(offset, start);
                const uint64_t last = std::min(end, start + kPageBytes);
                std::memset(buffer.data() + (done - offset), 0, first - done);
                std::byte* to = buffer.data() + (first - offset);
                if (last - first == kPageBytes) {
                  status = load(*object_at(payload), Page(to, kPageBytes));
                } else {
                  Buffer whole;
                  status = load(*object_at(payload), whole);
                  std::memcpy(to, whole.data() + (first - start), last - first);
                }
                done = last;
                return status.ok();
              });
  if (status.ok()) std::memset(buffer.data() + (done - offset), 0, end - done);
  return status;
}

Status ZstdAllocator::write(std::span<const std::byte> data, uint64_t offset) {
  const Epoch::Guard guard(epoch_);
  PageTable::Cursor cursor(table_);
  for (uint64_t position = 0; position < data.size();) {
    const PagePart part = page_part(offset, data.size(), position);
    const std::byte* from = data.data() + position;
    Status status;
    if (is_zero_shared(from, part.length)) {
      status = zero(part.length, offset + position);
    } else if (part.whole()) {
      status =
          write_whole(part.page, std::span<const std::byte, kPageBytes>(from, kPageBytes), cursor);
    } else {
      status = write_part(part, from, cursor);
    }
    if (!status.ok()) return status;
    position += part.length;
  }
  clean(cursor);
  return {};
}

// Compresses before it takes the page's lock.
Status ZstdAllocator::write_whole(uint64_t number, std::span<const std::byte, kPageBytes> page,
                                  PageTable::Cursor& cursor) {
  StoredObject* object = store(number, page);
  if (!object) return Status::no_memory();
  PageTable::Slot slot = cursor.lock(number);
  if (!slot) {
    store_.drop(object);
    return Status::no_memory();
  }
  swap(slot, object);
  return {};
}

// Holds the page's lock from the read of the old bytes to the swap, or another write to the same
// page would be lost.
Status ZstdAllocator::write_part(const PagePart& part, const std::byte* data,
                                 PageTable::Cursor& cursor) {
  PageTable::Slot slot = cursor.lock(part.page);
  if (!slot) return Status::no_memory();
  Buffer page{};
  if (slot.payload()) {
    if (Status status = load(*object_at(slot.payload()), page); !status.ok()) return status;
  }
  std::memcpy(page.data() + part.offset, data, part.length);
  return replace(slot, page);
}

// `page` is not all zero.
Status ZstdAllocator::replace(PageTable::Slot& slot, std::span<const std::byte, kPageBytes> page) {
  StoredObject* object = store(slot.page(), page);
  if (!object) return Status::no_memory();
  swap(slot, object);
  return {};
}

Status ZstdAllocator::zero(uint64_t count, uint64_t offset) {
  if (count == 0) return {};
  const Epoch::Guard guard(epoch_);
  const uint64_t end = offset + count;
  return table_.change(offset >> kPageShift, (end - 1) / kPageBytes + 1,
                       [&](PageTable::Slot& slot) {
                         const uint64_t start = slot.page() << kPageShift;
                         const uint64_t first = std::max(offset, start);
                         const uint64_t last = std::min(end, start + kPageBytes);
                         return zero_part(slot, first - start, last - first);
                       });
}

Status ZstdAllocator::zero_part(PageTable::Slot& slot, size_t offset, size_t length) {
  if (length < kPageBytes) {
    Buffer page;
    if (Status status = load(*object_at(slot.payload()), page); !status.ok()) return status;
    if (is_zero_shared(page.data() + offset, length)) return {};
    std::memset(page.data() + offset, 0, length);
    if (!is_zero_shared(page.data(), kPageBytes)) return replace(slot, page);
  }
  swap(slot, nullptr);
  return {};
}

Status ZstdAllocator::extents(uint64_t count, uint64_t offset, ExtentVisitor& visitor) {
  if (count == 0) return {};
  const Epoch::Guard guard(epoch_);
  ExtentMerger merger(visitor, count, offset);
  bool more = true;
  table_.scan(offset >> kPageShift, (offset + count - 1) / kPageBytes + 1,
              [&](uint64_t page, uint64_t) {
                more = merger.page(page, ExtentKind::data);
                return more;
              });
  if (more) merger.finish();
  return {};
}

// A page that someone is at work on is left: its object is about to be dropped anyway.
void ZstdAllocator::clean(PageTable::Cursor& cursor) {
  if (!store_.wants_cleaning()) return;
  store_.clean([&](const StoredObject* object) {
    PageTable::Slot slot = cursor.try_lock(object->page(), payload_for(object));
    if (!slot) return true;
    StoredObject* copy = store_.add(object->page(), object->bytes());
    if (copy) swap(slot, copy);
    return copy != nullptr;
  });
}

Usage ZstdAllocator::usage() const {
  return {store_.objects() * kPageBytes, store_.held_bytes() + table_.held_bytes()};
}

std::string ZstdAllocator::describe() const {
  return "zstd, level " + std::to_string(level_) + ", pages of 4096 bytes";
}

}  // namespace ramdisk
