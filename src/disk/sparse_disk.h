// allocator=sparse: pages are kept in memory as they are; what was never written, or was zeroed, is
// a hole.
//
// The payload of a page's word in the page table is the address of the page. Pages are read and
// overwritten in place; readers take no lock, and writers of one page exclude each other.

#ifndef RAMDISK_DISK_SPARSE_DISK_H
#define RAMDISK_DISK_SPARSE_DISK_H

#include <memory>
#include <optional>

#include "base/patience.h"
#include "disk/registry.h"
#include "ramdisk/allocator.h"
#include "table/allocation_batch.h"
#include "table/epoch.h"
#include "table/page_table.h"
#include "table/retire_batch.h"
#include "table/slab_allocator.h"

namespace ramdisk {

class SparseDisk final : public Allocator {
 public:
  // `disk_bytes`: 0 to 2^63-1.
  SparseDisk(const Environment& environment, uint64_t disk_bytes);

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
  static size_t overwrite(std::span<const std::byte> data, uint64_t offset, size_t position,
                          PageTable::Cursor& cursor);
  bool write_page(const PagePart& part, const std::byte* data, PageTable::Cursor& cursor,
                  AllocationBatch& fresh, size_t expected);
  std::optional<ExtentKind> kind_of(uint64_t page, const std::byte* bytes,
                                    const Epoch::Guard& guard);
  static void zero_page(PageTable::Slot& slot, const PagePart& part, RetireBatch& freed);

  MemorySource& memory_;
  // The order matters: the epoch outlives what retires into it.
  Epoch epoch_;
  SlabAllocator pages_;
  PageTable table_;
};

}  // namespace ramdisk

#endif
