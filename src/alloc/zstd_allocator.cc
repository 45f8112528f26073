#include "alloc/zstd_allocator.h"

#include <array>
#include <climits>
#include <cstring>
#include <thread>

#include "alloc/extent_merger.h"
#include "alloc/zero_run.h"
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

Status ZstdAllocator::load(const StoredObject& object, Page page, Codec& codec) {
  if (object.size() == kPageBytes) {
    std::memcpy(page.data(), object.bytes().data(), kPageBytes);
    return {};
  }
  if (codec.decompress(page, object.bytes())) return {};
  return Status::error(EIO, "allocator=zstd: a compressed page is damaged in memory");
}

// What is to be stored for `page`: its compressed form, put into `buffer`, or the page itself.
std::span<const std::byte> ZstdAllocator::pack(Data page, Page buffer, Codec& codec) {
  const size_t length = codec.compress(buffer.first(kPageBytes - 1), page);
  return length ? buffer.first(length) : std::span<const std::byte>(page);
}

// Publishes `object` (nullptr: a hole) in place of what the slot holds, and unlocks it.
void ZstdAllocator::swap(PageTable::Slot& slot, StoredObject* object) {
  const StoredObject* old = object_at(slot.payload());
  slot.unlock(payload_for(object));
  if (old) store_.drop(old);
}

// ---- reading

// In pieces, so that a long request neither keeps a codec nor holds up the epoch.
Status ZstdAllocator::read(std::span<std::byte> buffer, uint64_t offset) {
  constexpr size_t kPiece = 8 * kPageBytes;
  while (!buffer.empty()) {
    const size_t length = std::min<size_t>(buffer.size(), kPiece - offset % kPiece);
    if (Status status = read_some(buffer.first(length), offset); !status.ok()) return status;
    buffer = buffer.subspan(length);
    offset += length;
  }
  return {};
}

Status ZstdAllocator::read_some(std::span<std::byte> buffer, uint64_t offset) {
  Codec codec(codecs_);
  const Epoch::Guard guard(epoch_);
  Status status;
  size_t done = 0;
  table_.scan(offset >> kPageShift, end_page(offset, buffer.size()),
              [&](uint64_t page, uint64_t payload) {
                const PagePart part = part_of_page(page, offset, buffer.size());
                std::byte* to = buffer.data() + part.position;
                std::memset(buffer.data() + done, 0, part.position - done);
                if (part.whole()) {
                  status = load(*object_at(payload), Page(to, kPageBytes), codec);
                } else {
                  Buffer whole;
                  status = load(*object_at(payload), whole, codec);
                  std::memcpy(to, whole.data() + part.offset, part.length);
                }
                done = part.position + part.length;
                return status.ok();
              });
  if (status.ok()) std::memset(buffer.data() + done, 0, buffer.size() - done);
  return status;
}

// ---- writing

Status ZstdAllocator::write(std::span<const std::byte> data, uint64_t offset) {
  for (size_t position = 0; position < data.size();) {
    if (const size_t zeroes = zero_run(data, offset, position)) {
      if (Status status = zero(zeroes, offset + position); !status.ok()) return status;
      position += zeroes;
      continue;
    }
    const PagePart part = page_part(offset, data.size(), position);
    const auto request = [&] { return write_page(part, data.data() + position); };
    if (Status status = with_memory(request); !status.ok()) {
      const Epoch::Guard guard(epoch_);
      table_.prune(part.page);
      return status;
    }
    clean(1);
    position += part.length;
  }
  return {};
}

Status ZstdAllocator::write_page(const PagePart& part, const std::byte* data) {
  if (!part.whole()) return write_part(part, data);
  return write_whole(part.page, Data(data, kPageBytes)) ? Status() : Status::no_memory();
}

// Compresses before it pins the epoch and locks the page. False: no memory.
bool ZstdAllocator::write_whole(uint64_t number, Data page) {
  Buffer buffer;
  const std::span<const std::byte> packed = [&] {
    Codec codec(codecs_);
    return pack(page, buffer, codec);
  }();
  const Epoch::Guard guard(epoch_);
  StoredObject* object = store_.add(number, packed);
  if (!object) return false;
  PageTable::Slot slot = PageTable::Cursor(table_).lock(number);
  if (!slot) {
    store_.drop(object);
    return false;
  }
  swap(slot, object);
  return true;
}

// Holds the page's lock from the read of the old bytes to the swap, or another write to the same
// page would be lost.
Status ZstdAllocator::write_part(const PagePart& part, const std::byte* data) {
  Codec codec(codecs_);
  const Epoch::Guard guard(epoch_);
  PageTable::Slot slot = PageTable::Cursor(table_).lock(part.page);
  if (!slot) return Status::no_memory();
  Buffer page{};
  if (slot.payload()) {
    if (Status status = load(*object_at(slot.payload()), page, codec); !status.ok()) return status;
  }
  std::memcpy(page.data() + part.offset, data, part.length);
  Buffer buffer;
  StoredObject* object = store_.add(part.page, pack(page, buffer, codec));
  if (!object) return Status::no_memory();
  swap(slot, object);
  return {};
}

// ---- zeroing

Status ZstdAllocator::zero(uint64_t count, uint64_t offset) {
  Status status = with_memory([&] { return zero_pages(count, offset); });
  clean(INT_MAX);
  return status;
}

// Whole pages are dropped without a look at them; parts at the ends are rewritten.
Status ZstdAllocator::zero_pages(uint64_t count, uint64_t offset) {
  for (uint64_t position = 0; position < count;) {
    const PagePart part = page_part(offset, count, position);
    const uint64_t pages = part.whole() ? (count - position) / kPageBytes : 0;
    Status status = pages > 0 ? zero_whole(part.page, part.page + pages) : zero_part(part);
    if (!status.ok()) return status;
    position += pages > 0 ? pages * kPageBytes : part.length;
  }
  return {};
}

Status ZstdAllocator::zero_whole(uint64_t first, uint64_t end) {
  const Epoch::Guard guard(epoch_);
  return table_.change(first, end, [&](PageTable::Slot& slot) {
    swap(slot, nullptr);
    return Status();
  });
}

Status ZstdAllocator::zero_part(const PagePart& part) {
  Codec codec(codecs_);
  const Epoch::Guard guard(epoch_);
  return table_.change(part.page, part.page + 1, [&](PageTable::Slot& slot) -> Status {
    Buffer page;
    if (Status status = load(*object_at(slot.payload()), page, codec); !status.ok()) return status;
    if (is_zero_shared(page.data() + part.offset, part.length)) return {};
    std::memset(page.data() + part.offset, 0, part.length);
    StoredObject* object = nullptr;
    if (!is_zero_shared(page.data(), kPageBytes)) {
      Buffer buffer;
      object = store_.add(part.page, pack(page, buffer, codec));
      if (!object) return Status::no_memory();
    }
    swap(slot, object);
    return {};
  });
}

// ---- memory

// False when there was nothing to clean, or no memory to clean with. A page that someone is at work
// on is left where it is.
bool ZstdAllocator::clean_segment(bool eager) {
  const Epoch::Guard guard(epoch_);
  PageTable::Cursor cursor(table_);
  return store_.clean(eager, [&](const StoredObject* object) {
    PageTable::Slot slot = cursor.try_lock(object->page(), payload_for(object));
    if (!slot) return true;
    StoredObject* copy = store_.add_moved(object->page(), object->bytes());
    if (copy) swap(slot, copy);
    return copy != nullptr;
  });
}

// At most so many segments; each with a pin of its own, so that they come back one by one.
void ZstdAllocator::clean(int segments) {
  while (segments-- > 0 && clean_segment(false)) {
  }
}

// Runs `request`, and again as long as it fails for lack of memory and gaps can be made into some.
template <typename Request>
Status ZstdAllocator::with_memory(Request request) {
  constexpr int kTries = 8;
  Status status = request();
  for (int i = 0; i < kTries && status.errnum() == ENOMEM && clean_segment(true); ++i) {
    status = request();
  }
  return status;
}

Status ZstdAllocator::extents(uint64_t count, uint64_t offset, ExtentVisitor& visitor) {
  if (count == 0) return {};
  const Epoch::Guard guard(epoch_);
  ExtentMerger merger(visitor, count, offset);
  bool more = true;
  table_.scan(offset >> kPageShift, end_page(offset, count), [&](uint64_t page, uint64_t) {
    more = merger.page(page, ExtentKind::data);
    return more;
  });
  if (more) merger.finish();
  return {};
}

Usage ZstdAllocator::usage() const {
  return {store_.objects() * kPageBytes, store_.held_bytes() + table_.held_bytes()};
}

std::string ZstdAllocator::describe() const {
  return "zstd, level " + std::to_string(level_) + ", pages of 4096 bytes";
}

}  // namespace ramdisk
