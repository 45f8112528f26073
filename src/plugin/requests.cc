// Passes requests from nbdkit's callbacks to the allocator of the disk, and returns failures with
// one errno and one message.

#include <cstring>
#include <string>

#include "plugin/plugin_state.h"

namespace ramdisk {

namespace {

// Explains a lack of memory to the client and the log, because the budget knows its cause. The
// messages are limited, so that a client that keeps trying does not fill the log.
Status explained(const Status& status) {
  if (status.errnum() != ENOMEM) return status;
  return limited(plugin->refusals, plugin->budget->why());
}

// Runs `body` on the disk of the connection as guarded() does, but also counts the request if the
// user wants statistics.
template <typename Body>
int counted(void* handle, Operation operation, uint64_t bytes, Body body) noexcept {
  Disk* const disk = disk_of(handle);
  if (!disk) return -1;
  const auto run = [&] { return body(*disk); };
  if (!plugin->config.wants_statistics()) return guarded(run);
  const auto begin = Operations::Clock::now();
  const int result = guarded(run);
  disk->operations->add(operation, result == 0, bytes, Operations::Clock::now() - begin);
  if (plugin->stats_file) plugin->stats_file->note_request();
  return result;
}

// Call before what may change the disk.
void note_change(Disk& disk) noexcept {
  if (disk.image) disk.image->note_change();
}

// Trimmed ranges read as zeroes, so trim and zero are the same operation, whatever the flags.
int zero_as(void* handle, Operation operation, uint32_t count, uint64_t offset) noexcept {
  return counted(handle, operation, count, [&](Disk& disk) {
    note_change(disk);
    return explained(disk.allocator->zero(count, offset));
  });
}

class ExtentList final : public ExtentVisitor {
 public:
  ExtentList(nbdkit_extents* extents, bool only_one) : extents_(extents), only_one_(only_one) {}

  bool extent(uint64_t offset, uint64_t length, ExtentKind kind) override {
    uint32_t type = 0;
    if (kind == ExtentKind::hole) type = NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO;
    if (kind == ExtentKind::zero) type = NBDKIT_EXTENT_ZERO;
    failed_ = nbdkit_add_extent(extents_, offset, length, type) == -1;
    return !failed_ && !only_one_;
  }

  Status status() const { return failed_ ? Status::error(errno ? errno : ENOMEM, "") : Status(); }

 private:
  nbdkit_extents* const extents_;
  const bool only_one_;
  bool failed_ = false;
};

}  // namespace

int pread(void* handle, void* buffer, uint32_t count, uint64_t offset, uint32_t) noexcept {
  if (const std::string* document = document_of(handle)) {
    std::memcpy(buffer, document->data() + offset, count);
    return 0;
  }
  return counted(handle, Operation::read, count, [&](Disk& disk) {
    return disk.allocator->read({static_cast<std::byte*>(buffer), count}, offset);
  });
}

int pwrite(void* handle, const void* buffer, uint32_t count, uint64_t offset, uint32_t) noexcept {
  return counted(handle, Operation::write, count, [&](Disk& disk) {
    note_change(disk);
    return explained(disk.allocator->write({static_cast<const std::byte*>(buffer), count}, offset));
  });
}

int flush(void* handle, uint32_t) noexcept {
  return counted(handle, Operation::flush, 0, [](Disk&) { return Status(); });
}

int trim(void* handle, uint32_t count, uint64_t offset, uint32_t) noexcept {
  return zero_as(handle, Operation::trim, count, offset);
}

int zero(void* handle, uint32_t count, uint64_t offset, uint32_t) noexcept {
  return zero_as(handle, Operation::zero, count, offset);
}

int extents(void* handle, uint32_t count, uint64_t offset, uint32_t flags,
            nbdkit_extents* list) noexcept {
  return counted(handle, Operation::extents, count, [&](Disk& disk) {
    ExtentList visitor(list, flags & NBDKIT_FLAG_REQ_ONE);
    Status status = disk.allocator->extents(count, offset, visitor);
    return status.ok() ? visitor.status() : status;
  });
}

}  // namespace ramdisk
