#include "disk/malloc_disk.h"

#include "base/shared_bytes.h"
#include "base/sizes.h"
#include "memory/available_memory.h"
#include "memory/memory_lock.h"
#include "memory/populate.h"

namespace ramdisk {

namespace {

constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

MallocDisk::MallocDisk(const Environment& environment, uint64_t disk_bytes, bool lock)
    : memory_(*environment.memory), disk_bytes_(disk_bytes), lock_(lock) {}

MallocDisk::~MallocDisk() {
  if (base_) memory_.unmap(base_, mapped_bytes_);
}

// Maps the memory, but does not touch it yet: what is touched before a fork is shared with the
// parent, and under --run, where the parent stays, each page written would then be copied and kept
// twice.
Status MallocDisk::get_ready() {
  if (disk_bytes_ == 0) return {};
  const std::string wanted =
      "allocator=malloc: cannot take " + exact_size(disk_bytes_) + " of memory: ";
  const auto left = [&](uint64_t bytes, const std::string& bound) {
    return Status::error(ENOMEM, wanted + exact_size(bytes) + " are left (" + bound +
                                     "); allocator=sparse takes memory only for what is written");
  };
  const AvailableMemory available = available_memory(lock_ ? Swap::does_not : Swap::counts);
  if (disk_bytes_ > available.bytes) return left(available.bytes, available.limit);
  if (const uint64_t room = memory_.room(); disk_bytes_ > room) {
    return left(room, memory_.what_bounds_room());
  }
  if (disk_bytes_ > SIZE_MAX - kHugePage) {
    return Status::error(ENOMEM, wanted + "this process cannot address so much");
  }
  const size_t bytes = (static_cast<size_t>(disk_bytes_) + 4095) & ~size_t{4095};
  const bool huge = bytes >= kHugePage;
  base_ = static_cast<std::byte*>(memory_.map(bytes, huge ? kHugePage : 4096, huge));
  if (!base_) return Status::error(ENOMEM, wanted + "the system refuses (see also 'ulimit -v')");
  mapped_bytes_ = bytes;
  process_ = this_process();
  return lock_ ? promise_lock(base_, mapped_bytes_) : Status();
}

Status MallocDisk::after_fork() {
  if (!base_) return {};
  // Without a fork the memory is still locked, and may be more than this process could lock now:
  // nbdkit may have changed its user (-u) in between.
  if (lock_ && process_ != this_process()) {
    if (Status status = promise_lock(base_, mapped_bytes_); !status.ok()) return status;
  }
  if (populate_in_parallel(memory_, base_, mapped_bytes_)) return {};
  return Status::error(ENOMEM, "allocator=malloc: memory ran out while " + exact_size(disk_bytes_) +
                                   " were being taken (" + memory_.what_bounds_room() + ")");
}

Status MallocDisk::read(std::span<std::byte> buffer, uint64_t offset) {
  if (!buffer.empty()) copy_from_shared(buffer.data(), base_ + offset, buffer.size());
  return {};
}

Status MallocDisk::write(std::span<const std::byte> data, uint64_t offset) {
  if (!data.empty()) copy_to_shared(base_ + offset, data.data(), data.size());
  return {};
}

Status MallocDisk::zero(uint64_t count, uint64_t offset) {
  if (count > 0) zero_shared(base_ + offset, static_cast<size_t>(count));
  return {};
}

Status MallocDisk::extents(uint64_t count, uint64_t offset, ExtentVisitor& visitor) {
  if (count > 0) visitor.extent(offset, count, ExtentKind::data);
  return {};
}

std::string MallocDisk::describe() const {
  return lock_ ? "malloc, one block of memory, locked" : "malloc, one block of memory";
}

}  // namespace ramdisk
