// ZstdDisk: allocator=zstd. Pages are compressed with zstd: neighbours that are written together
// become a group, others are compressed one by one.
//
// An entry of the page table is a PageEntry. What it refers to never changes, except for plain
// pages, so readers need no lock: a write stores the new contents elsewhere and swaps the entry.
// The writer compresses whole runs at once. Any other page stays uncompressed in the write cache
// until a background thread compresses it. If the write cache is full, or there are no background
// threads, the writer compresses the page.
//
// This class serves requests. disk_state.h describes the other parts of the disk and the state that
// they share.
//
// Invariants:
//   1. A page's lock is held from the reading of its old bytes to the swap, or another write to the
//      same page could be lost.
//   2. Members are declared in the order of their lifetimes; the threads end before any of them is
//      destroyed.
//
// Thread contract: as Allocator.

#ifndef RAMDISK_ZSTD_ZSTD_DISK_H
#define RAMDISK_ZSTD_ZSTD_DISK_H

#include "base/page.h"
#include "base/patience.h"
#include "disk/registry.h"
#include "ramdisk/allocator.h"
#include "zstd/cleaner.h"
#include "zstd/compactor.h"
#include "zstd/disk_state.h"
#include "zstd/memory_relief.h"
#include "zstd/worker_loop.h"

namespace ramdisk {

class ZstdDisk final : public Allocator {
 public:
  // `disk_bytes` is 0 to 2^63-1. `options` are for allocator=zstd and have been checked.
  ZstdDisk(const Environment& environment, uint64_t disk_bytes, const AllocatorOptions& options)
      : state_(environment, disk_bytes, options) {}
  ~ZstdDisk() override { stop(); }

  Status get_ready() override;
  Status after_fork() override;
  void stop() override { state_.background.stop(); }
  // Returns EIO if a stored page is damaged.
  Status read(std::span<std::byte> buffer, uint64_t offset) override;
  Status write(std::span<const std::byte> data, uint64_t offset) override;
  Status zero(uint64_t count, uint64_t offset) override;
  Status extents(uint64_t count, uint64_t offset, ExtentVisitor& visitor) override;
  Usage usage() const override;
  Statistics statistics() const override;
  std::string describe() const override;

  // Returns how many pages have been compressed, and to how many bytes.
  PageStore::Totals totals() const { return state_.pages.totals(); }

 private:
  using Page = PageStore::Page;
  using Data = PageStore::Data;
  using Buffer = PageStore::Buffer;
  using Reader = PageStore::Reader;
  using Slot = PageTable::Slot;
  using Cursor = PageTable::Cursor;

  // Requests are read in pieces that begin and end with the runs of pages.
  static constexpr size_t kPiece = StoredObject::kMaxGroupBytes;
  Status read_piece(std::span<std::byte> buffer, uint64_t offset);
  Status read_part(const PagePart& part, PageEntry entry, Reader& reader, std::byte* to);

  // How the next pages of a request are written. as_it_is: uncompressed; together: as a group, or
  // each by itself if that gains nothing; by_itself: one page, or a part of it, in the write cache
  // or compressed.
  enum class Way { by_itself, together, as_it_is };
  struct Plan {
    Way way;
    size_t pages;
  };
  Plan plan_for(uint64_t number, std::span<const std::byte> data);

  // Each of these writes whole pages or parts of them. A page whose write fails keeps its old
  // bytes.
  Status write_pages(std::span<const std::byte> data, uint64_t offset, Patience& patience);
  Status write_group(uint64_t number, std::span<const std::byte> data);
  Status publish_group(PageEntry group, uint64_t number, size_t count, const Epoch::Guard& guard);
  Status write_whole(uint64_t number, Data page);
  Status write_compressed(uint64_t number, Data page);
  Status write_incompressible(uint64_t number, std::span<const std::byte> data);
  Status write_part(const PagePart& part, const std::byte* data);
  Status write_entry(uint64_t number, PageEntry entry, const Epoch::Guard& guard);
  Status write_in_place(uint64_t number, Data page, const Epoch::Guard& guard);

  Status zero_pages(uint64_t count, uint64_t offset);
  Status zero_whole(uint64_t first, uint64_t end);
  Status zero_part(const PagePart& part);

  // These change a locked page. They unlock the slot if they succeed.
  bool cache_page(Slot& slot, Data page, const Epoch::Guard& guard);
  Status store_page(Slot& slot, Data page, Claim claim, const Epoch::Guard& guard);
  Status zero_in_slot(Slot& slot, const PagePart& part, const Epoch::Guard& guard);

  DiskState state_;
  Compactor compactor_{state_};
  Cleaner cleaner_{state_};
  MemoryRelief relief_{state_, compactor_, cleaner_};
  WorkerLoop loop_{state_, compactor_, cleaner_, relief_};
};

}  // namespace ramdisk

#endif
