// The base of clones under test: it has content, and fails the test when somebody changes it.
//
// Thread contract: as Allocator; one thread makes and destroys it, when there are no clones.

#ifndef RAMDISK_SUPPORT_BASE_DISK_H
#define RAMDISK_SUPPORT_BASE_DISK_H

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "disk/registry.h"
#include "ramdisk/allocator.h"

namespace ramdisk::support {

class BaseDisk final : public Allocator {
 public:
  // `load` writes the content. The memory is the base's own, and never fails.
  using Load = std::function<void(Allocator& disk, uint64_t disk_bytes)>;
  BaseDisk(AllocatorType type, uint64_t disk_bytes, const Load& load);
  BaseDisk(const AllocatorOptions& options, uint64_t disk_bytes, const Load& load,
           const BackgroundTiming& pace = {});
  ~BaseDisk() override { inner_->stop(); }

  Status read(std::span<std::byte> buffer, uint64_t offset) override {
    return inner_->read(buffer, offset);
  }
  Status write(std::span<const std::byte>, uint64_t) override { return changed(); }
  Status zero(uint64_t, uint64_t) override { return changed(); }
  Status extents(uint64_t count, uint64_t offset, ExtentVisitor& visitor) override {
    questions_.fetch_add(1, std::memory_order_relaxed);
    return inner_->extents(count, offset, visitor);
  }
  Usage usage() const override { return inner_->usage(); }
  std::string describe() const override { return inner_->describe(); }

  uint64_t questions() const { return questions_.load(std::memory_order_relaxed); }  // for extents

 private:
  static Status changed();

  const std::unique_ptr<MemorySource> memory_ = make_system_memory();
  std::unique_ptr<Allocator> inner_;
  std::atomic<uint64_t> questions_{0};
};

// Content for a base: ranges of every kind of data, most of them near edges; or bytes that are not
// zero wherever the suites work on disks of this size.
void load_ranges(Allocator& disk, uint64_t disk_bytes);
void load_everywhere(Allocator& disk, uint64_t disk_bytes);

}  // namespace ramdisk::support

#endif
