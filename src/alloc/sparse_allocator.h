// allocator=sparse: pages in memory as they are, holes for what was never written or was zeroed.
//
// A word of the page table is the address of the page. Pages are read and overwritten in place;
// readers take no lock, writers of one page exclude each other.

#ifndef RAMDISK_ALLOC_SPARSE_ALLOCATOR_H
#define RAMDISK_ALLOC_SPARSE_ALLOCATOR_H

#include <memory>
#include <optional>

#include "alloc/registry.h"
#include "core/arena.h"
#include "core/epoch.h"
#include "core/page_table.h"
#include "core/patience.h"
#include "core/retire_batch.h"
#include "core/take_batch.h"
#include "ramdisk/allocator.h"

namespace ramdisk {

class SparseAllocator final : public Allocator {
 public:
  // `disk_bytes`: 0 to 2^63-1.
  SparseAllocator(const Environment& environment, uint64_t disk_bytes);

  Status get_ready() override;
  Status read(std::span<std::byte> buffer, uint64_t offset) override;
  Status write(std::span<const std::byte> data, uint64_t offset) override;
  Status zero(uint64_t count, uint64_t offset) override;
  Status extents(uint64_t count, uint64_t offset, ExtentVisitor& visitor) override;
  Usage usage() const override;
  std::string describe() const override;

 private:
  static std::byte* page_at(uint64_t payload) {
    DCHECK(payload != 0 && payload % kPageBytes == 0);
    return reinterpret_cast<std::byte*>(static_cast<uintptr_t>(payload));
  }

  Status write_some(std::span<const std::byte> data, uint64_t offset, size_t& position);
  bool memory_is_coming();
  bool write_page(const PagePart& part, const std::byte* data, PageTable::Cursor& cursor,
                  TakeBatch& fresh, size_t expected);
  std::optional<ExtentKind> kind_of(uint64_t page, const std::byte* bytes,
                                    const Epoch::Guard& guard);
  static void zero_page(PageTable::Slot& slot, const PagePart& part, RetireBatch& freed);

  MemorySource& memory_;
  // In the order of their lives: the epoch outlives what retires into it.
  Epoch epoch_;
  Arena pages_;
  PageTable table_;
};

}  // namespace ramdisk

#endif
