// A private copy-on-write layer over a base, a disk that many clones share and nobody writes to.
//
//   marks    0 1 1 0 0 1     which pages are the clone's own
//   overlay  . B . . . E     the content of these; the third one was trimmed, so it is a hole
//   base     a . c . e f     the content of the others
//   reads    a B 0 0 e E
//
// A clone is made in O(1) and takes next to nothing until its first change, which makes the layer:
// the marks and the overlay, an allocator of its own. A write of whole pages stores them in the
// overlay and then marks them. If part of a page is written that is not the clone's own, the page
// is copied from the base with the change in it. A zeroed page is marked if the base stores it, and
// needs no mark if not.
//
// Invariants:
//   1. The base does not change while the clone lives.
//   2. Whenever no request is in progress, the overlay stores nothing for pages without a mark.
//   3. A mark is taken away only when the overlay and the base have no such page: what is read is
//      zeroes from either.
//   4. Marks change, and pages are copied from the base, under the lock of the region, the 64 pages
//      of one word of marks. Writers that copy nothing share it; the others hold it alone. Readers
//      take no lock.
//
// Differs from the contract of Allocator in one point: to zero whole pages that the base stores may
// need memory, for the marks, and fails when there is none.
//
// Thread contract: as Allocator. The locks of regions come before all that the overlay and the base
// take.

#ifndef RAMDISK_DISK_CLONE_DISK_H
#define RAMDISK_DISK_CLONE_DISK_H

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <shared_mutex>

#include "base/mutex.h"
#include "base/page.h"
#include "disk/registry.h"
#include "ramdisk/allocator.h"
#include "table/epoch.h"
#include "table/page_marks.h"

namespace ramdisk {

class CloneDisk final : public Allocator {
 public:
  // `base` is ready to serve, has `disk_bytes` bytes and outlives the clone. The overlay is made
  // with `options`, which are not those of malloc, and `environment`.
  CloneDisk(Allocator& base, uint64_t disk_bytes, const AllocatorOptions& options,
            const Environment& environment);

  void stop() override EXCLUDES(making_);
  Status read(std::span<std::byte> buffer, uint64_t offset) override;
  Status write(std::span<const std::byte> data, uint64_t offset) override;
  Status zero(uint64_t count, uint64_t offset) override;
  Status extents(uint64_t count, uint64_t offset, ExtentVisitor& visitor) override;
  Usage usage() const override;            // of the clone's own content,
  Statistics statistics() const override;  // and so are these
  std::string describe() const override;

  // Whether the clone has been changed, and so has a layer.
  bool changed() const { return layer_.load(std::memory_order_acquire) != nullptr; }

 private:
  using Lock = std::shared_mutex;
  struct Layer {
    Layer(MemorySource& memory, uint64_t disk_bytes) : marks(memory, epoch, disk_bytes) {}
    Lock& lock_of(uint64_t page) { return locks[page / PageMarks::kWordPages % locks.size()].lock; }

    Epoch epoch;
    PageMarks marks;
    std::unique_ptr<Allocator> overlay;
    struct alignas(64) Padded {
      Lock lock;
    };
    std::array<Padded, 64> locks;
  };

  Result<Layer*> layer() EXCLUDES(making_);
  Result<std::unique_ptr<Layer>> make_layer() const;

  bool is_whole(const PagePart& part) const {
    return part.offset == 0 && part.length == bytes_of(part.page);
  }
  uint64_t bytes_of(uint64_t page) const {  // the disk's last page may be short
    return std::min<uint64_t>(kPageBytes, disk_bytes_ - (page << kPageShift));
  }

  uint64_t bytes_between(uint64_t first, uint64_t end) const {
    return std::min(end << kPageShift, disk_bytes_) - (first << kPageShift);
  }

  Result<size_t> write_some(Layer& layer, std::span<const std::byte> data, uint64_t offset);
  static Status write_pages(Layer& layer, std::span<const std::byte> data, uint64_t offset,
                            const Epoch::Guard& guard);
  Result<bool> copy_from_base(Layer& layer, const PagePart& part, const std::byte* data,
                              const Epoch::Guard& guard);
  void drop_unmarked(Layer& layer, uint64_t first, uint64_t end, const Epoch::Guard& guard);
  Status zero_part(const PagePart& part) EXCLUDES(making_);
  Status zero_pages(uint64_t first, uint64_t end) EXCLUDES(making_);
  Status zero_region(Layer& layer, uint64_t first, uint64_t end, uint64_t stored);
  uint64_t next_own(uint64_t first, uint64_t end);

  Allocator& base_;
  const uint64_t disk_bytes_;
  const AllocatorOptions options_;
  const Environment environment_;
  Mutex making_;
  std::unique_ptr<Layer> owned_ GUARDED_BY(making_);
  std::atomic<Layer*> layer_{nullptr};  // owned_, once it is complete
};

// Makes a clone of `base`; see CloneDisk. Fails with ENOTSUP for allocator=malloc, which takes the
// memory of the whole disk at once.
Result<std::unique_ptr<Allocator>> make_clone(Allocator& base, uint64_t disk_bytes,
                                              const AllocatorOptions& options,
                                              const Environment& environment);

}  // namespace ramdisk

#endif
