// allocator=zstd: each page compressed by itself, packed into an ObjectStore.
//
// A word of the page table is the address of a StoredObject. Objects never change, so readers need
// no lock: a write makes a new object and swaps the word. An object as long as a page holds the
// page as it is, because it did not compress.

#ifndef RAMDISK_ALLOC_ZSTD_ALLOCATOR_H
#define RAMDISK_ALLOC_ZSTD_ALLOCATOR_H

#include "alloc/registry.h"
#include "core/codec.h"
#include "core/epoch.h"
#include "core/object_store.h"
#include "core/page_table.h"
#include "ramdisk/allocator.h"

namespace ramdisk {

class ZstdAllocator final : public Allocator {
 public:
  // `disk_bytes`: 0 to 2^63-1. `level` is within zstd_levels().
  ZstdAllocator(const Environment& environment, uint64_t disk_bytes, int level);

  Status get_ready() override;
  // EIO if a stored page is damaged.
  Status read(std::span<std::byte> buffer, uint64_t offset) override;
  Status write(std::span<const std::byte> data, uint64_t offset) override;
  Status zero(uint64_t count, uint64_t offset) override;
  Status extents(uint64_t count, uint64_t offset, ExtentVisitor& visitor) override;
  uint32_t preferred_block_size() const override { return kPageBytes; }
  Usage usage() const override;
  std::string describe() const override;

 private:
  using Page = std::span<std::byte, kPageBytes>;

  static StoredObject* object_at(uint64_t payload) {
    return reinterpret_cast<StoredObject*>(static_cast<uintptr_t>(payload));
  }
  static uint64_t payload_for(const StoredObject* object) {
    return reinterpret_cast<uintptr_t>(object);
  }

  using Data = std::span<const std::byte, kPageBytes>;
  using Codec = CodecPool::Lease;

  static Status load(const StoredObject& object, Page page, Codec& codec);
  static std::span<const std::byte> pack(Data page, Page buffer, Codec& codec);
  void swap(PageTable::Slot& slot, StoredObject* object);

  Status read_some(std::span<std::byte> buffer, uint64_t offset);
  bool write_whole(uint64_t number, Data page);
  Status write_part(const PagePart& part, const std::byte* data);
  Status write_page(const PagePart& part, const std::byte* data);
  Status zero_whole(uint64_t first, uint64_t end);
  Status zero_part(const PagePart& part);
  Status zero_pages(uint64_t count, uint64_t offset);

  bool clean_segment(bool eager);
  void clean(int segments);
  template <typename Request>
  Status with_memory(Request request);

  const int level_;
  // In the order of their lives: the epoch outlives what retires into it.
  Epoch epoch_;
  CodecPool codecs_;
  ObjectStore store_;
  PageTable table_;
};

}  // namespace ramdisk

#endif
