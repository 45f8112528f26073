// Passes requests from nbdkit's callbacks to the allocator, and returns failures with one errno and
// one message.

#include <cstring>
#include <optional>
#include <string>

#include "plugin/plugin_state.h"

namespace ramdisk {

namespace {

// Explains a lack of memory to the client and the log, because the budget knows its cause. The
// messages are limited, so that a client that keeps trying does not fill the log.
Status explained(const Status& status) {
  if (status.errnum() != ENOMEM) return status;
  Status why = plugin->memory->budget().why();
  const std::optional<uint64_t> left_out = plugin->refusals.note();
  if (!left_out) return Status::error(why.errnum(), "");
  if (*left_out == 0) return why;
  return Status::error(why.errnum(), std::string(why.message()) + " (" + std::to_string(*left_out) +
                                         " others refused since the last such line)");
}

// As guarded(), but also counts the request if the user wants statistics.
template <typename Body>
int counted(Operation operation, uint64_t bytes, Body body) noexcept {
  if (!plugin->config.wants_statistics()) return guarded(body);
  const auto begin = Operations::Clock::now();
  const int result = guarded(body);
  plugin->operations.add(operation, result == 0, bytes, Operations::Clock::now() - begin);
  if (plugin->stats_file) plugin->stats_file->note_request();
  return result;
}

// Call before what may change the disk.
void note_change() noexcept {
  if (plugin->image) plugin->image->note_change();
}

// Trimmed ranges read as zeroes, so trim and zero are the same operation, whatever the flags.
int zero_as(Operation operation, uint32_t count, uint64_t offset) noexcept {
  note_change();
  return counted(operation, count,
                 [&] { return explained(plugin->allocator->zero(count, offset)); });
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
  return counted(Operation::read, count, [&] {
    return plugin->allocator->read({static_cast<std::byte*>(buffer), count}, offset);
  });
}

int pwrite(void*, const void* buffer, uint32_t count, uint64_t offset, uint32_t) noexcept {
  note_change();
  return counted(Operation::write, count, [&] {
    return explained(
        plugin->allocator->write({static_cast<const std::byte*>(buffer), count}, offset));
  });
}

int flush(void*, uint32_t) noexcept {
  return counted(Operation::flush, 0, [] { return Status(); });
}

int trim(void*, uint32_t count, uint64_t offset, uint32_t) noexcept {
  return zero_as(Operation::trim, count, offset);
}

int zero(void*, uint32_t count, uint64_t offset, uint32_t) noexcept {
  return zero_as(Operation::zero, count, offset);
}

int extents(void*, uint32_t count, uint64_t offset, uint32_t flags, nbdkit_extents* list) noexcept {
  return counted(Operation::extents, count, [&] {
    ExtentList visitor(list, flags & NBDKIT_FLAG_REQ_ONE);
    Status status = plugin->allocator->extents(count, offset, visitor);
    return status.ok() ? visitor.status() : status;
  });
}

}  // namespace ramdisk
