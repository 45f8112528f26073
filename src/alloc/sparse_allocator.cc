#include "alloc/sparse_allocator.h"

#include <cstring>

#include "alloc/extent_merger.h"
#include "core/shared_bytes.h"

namespace ramdisk {

SparseAllocator::SparseAllocator(const Environment& environment, uint64_t disk_bytes)
    : pages_(*environment.memory, epoch_, kPageBytes),
      table_(*environment.memory, epoch_, disk_bytes, environment.trace_directories) {}

// Neighbouring pages of the disk are often neighbours in memory, so copies are joined.
Status SparseAllocator::read(std::span<std::byte> buffer, uint64_t offset) {
  if (buffer.empty()) return {};
  const Epoch::Guard guard(epoch_);
  std::byte* const base = buffer.data();
  const uint64_t end = offset + buffer.size();
  uint64_t done = offset;             // all before this byte of the disk has been put into place
  const std::byte* source = nullptr;  // what is to be copied to `done` …
  size_t length = 0;                  // … and how much of it
  const auto flush = [&] {
    if (length > 0) copy_from_shared(base + (done - offset), source, length);
    done += length;
    length = 0;
  };
  table_.scan(offset >> kPageShift, (end - 1) / kPageBytes + 1,
              [&](uint64_t page, uint64_t payload) {
                const uint64_t first = std::max(offset, page << kPageShift);
                const uint64_t last = std::min(end, (page << kPageShift) + kPageBytes);
                const std::byte* from = page_at(payload) + (first & (kPageBytes - 1));
                if (first != done + length || from != source + length) {
                  flush();
                  std::memset(base + (done - offset), 0, first - done);
                  done = first;
                  source = from;
                }
                length += last - first;
                return true;
              });
  flush();
  std::memset(base + (done - offset), 0, end - done);
  return {};
}

Status SparseAllocator::write(std::span<const std::byte> data, uint64_t offset) {
  const Epoch::Guard guard(epoch_);
  PageTable::Cursor cursor(table_);
  TakeBatch fresh(pages_);
  for (uint64_t position = 0; position < data.size();) {
    const PagePart part = page_part(offset, data.size(), position);
    const std::byte* from = data.data() + position;
    position += part.length;
    // Zeroes need no memory: a hole stays one, a page that this empties becomes one.
    const size_t expected = 1 + (data.size() - position + kPageBytes - 1) / kPageBytes;
    Status status = is_zero_shared(from, part.length)
                        ? zero(part.length, offset + part.position)
                        : write_page(part, from, cursor, fresh, expected);
    if (!status.ok()) return status;
  }
  return {};
}

Status SparseAllocator::write_page(const PagePart& part, const std::byte* data,
                                   PageTable::Cursor& cursor, TakeBatch& fresh, size_t expected) {
  PageTable::Slot slot = cursor.lock(part.page);
  if (!slot) return Status::no_memory();
  if (slot.payload()) {
    copy_to_shared(page_at(slot.payload()) + part.offset, data, part.length);
    return {};
  }
  const TakeBatch::Block block = fresh.take(expected);
  if (!block.base) return Status::no_memory();
  if (!block.clean && !part.whole()) std::memset(block.base, 0, kPageBytes);
  std::memcpy(block.base + part.offset, data, part.length);
  slot.unlock(reinterpret_cast<uintptr_t>(block.base));
  return {};
}

Status SparseAllocator::zero(uint64_t count, uint64_t offset) {
  if (count == 0) return {};
  const Epoch::Guard guard(epoch_);
  RetireBatch freed(pages_);
  const uint64_t end = offset + count;
  return table_.change(offset >> kPageShift, (end - 1) / kPageBytes + 1,
                       [&](PageTable::Slot& slot) {
                         const uint64_t start = slot.page() << kPageShift;
                         const uint64_t first = std::max(offset, start);
                         const uint64_t last = std::min(end, start + kPageBytes);
                         zero_page(slot, first - start, last - first, freed);
                         return Status();
                       });
}

// The lock keeps writers out between the look at the rest of the page and its end.
void SparseAllocator::zero_page(PageTable::Slot& slot, size_t offset, size_t length,
                                RetireBatch& freed) {
  std::byte* page = page_at(slot.payload());
  if (length < kPageBytes) {
    zero_shared(page + offset, length);
    if (!is_zero_shared(page, kPageBytes)) return;
  }
  slot.unlock(0);
  freed.add(page);
}

Status SparseAllocator::extents(uint64_t count, uint64_t offset, ExtentVisitor& visitor) {
  if (count == 0) return {};
  const Epoch::Guard guard(epoch_);
  ExtentMerger merger(visitor, count, offset);
  bool more = true;
  table_.scan(offset >> kPageShift, (offset + count - 1) / kPageBytes + 1,
              [&](uint64_t page, uint64_t payload) {
                const bool zero = is_zero_shared(page_at(payload), kPageBytes);
                more = merger.page(page, zero ? ExtentKind::zero : ExtentKind::data);
                return more;
              });
  if (more) merger.finish();
  return {};
}

Usage SparseAllocator::usage() const {
  return {pages_.taken_blocks() * kPageBytes, pages_.held_bytes() + table_.held_bytes()};
}

std::string SparseAllocator::describe() const {
  return "sparse, pages of 4096 bytes";
}

}  // namespace ramdisk
