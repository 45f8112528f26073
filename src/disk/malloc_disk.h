// allocator=malloc: the whole disk is one block of memory, allocated at the start and optionally
// locked.
//
// There is no bookkeeping on the data path, and there are no holes.
//
// Thread contract: reads and writes copy without a lock (see base/shared_bytes.h).

#ifndef RAMDISK_DISK_MALLOC_DISK_H
#define RAMDISK_DISK_MALLOC_DISK_H

#include "disk/registry.h"
#include "ramdisk/allocator.h"

namespace ramdisk {

class MallocDisk final : public Allocator {
 public:
  // `disk_bytes`: 0 to 2^63-1. With `lock` the block never goes to swap.
  MallocDisk(const Environment& environment, uint64_t disk_bytes, bool lock);
  ~MallocDisk() override;

  // Fails with ENOMEM when there is too little memory, naming what was asked for and what there is;
  // with the errno of mlock(2) when it cannot be locked.
  Status get_ready() override;
  Status after_fork() override;

  Status read(std::span<std::byte> buffer, uint64_t offset) override;
  Status write(std::span<const std::byte> data, uint64_t offset) override;
  Status zero(uint64_t count, uint64_t offset) override;
  Status extents(uint64_t count, uint64_t offset, ExtentVisitor& visitor) override;
  Usage usage() const override { return {disk_bytes_, mapped_bytes_}; }
  std::string describe() const override;

 private:
  MemorySource& memory_;
  const uint64_t disk_bytes_;
  const bool lock_;
  std::byte* base_ = nullptr;
  size_t mapped_bytes_ = 0;
  int64_t process_ = 0;  // the one that called get_ready()
};

}  // namespace ramdisk

#endif
