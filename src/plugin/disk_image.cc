#include "plugin/disk_image.h"

#include <utility>

#include "base/sizes.h"
#include "image/replacement.h"
#include "image/save.h"
#include "plugin/nbdkit.h"
#include "plugin/progress_log.h"

namespace ramdisk {

namespace {

// The same status with a message that names the file.
Status about(const std::string& name, const Status& status) {
  return Status::error(status.errnum(), name + ": " + status.message());
}

}  // namespace

// image= is both. With it, nothing need be there to load.
Status DiskImage::find_files() {
  if (const auto& path = plan_.image) load_ = save_ = File{"image=" + *path, *path};
  if (const auto& path = plan_.load) load_ = File{"load=" + *path, *path};
  if (const auto& path = plan_.save) save_ = File{"save=" + *path, *path};
  if (!save_) return {};
  Result<std::string> resolved = Replacement::resolve(save_->path);
  if (!resolved.ok()) return about(save_->name, resolved.status());
  save_->path = resolved.value();
  return {};
}

Result<uint64_t> DiskImage::size_of_disk() const {
  const std::optional<uint64_t> size = plan_.bytes;
  if (!file_) {
    if (size) return *size;
    return Status::error(EINVAL, load_->name +
                                     ": does not exist yet, so you must specify size=<SIZE> on the "
                                     "command line");
  }
  if (!size || *size >= file_->bytes()) return size.value_or(file_->bytes());
  return Status::error(EINVAL, load_->name + ": has " + exact_size(file_->bytes()) +
                                   ", more than the disk of " + exact_size(*size) +
                                   "; without a size, the disk is as large as the file");
}

// It may be what is wanted: a filter, or the client, may understand the format.
void DiskImage::warn_of_format() const {
  const char* const format = file_ ? file_->foreign_format() : nullptr;
  if (!format) return;
  nbdkit_error(
      "%s: warning: this is a %s image, which is not converted: clients see the bytes of the "
      "file (qemu-img convert -O raw makes a raw image of it)",
      load_->name.c_str(), format);
}

// A disk that is kept is one server's at a time: each would save over what the other has saved. The
// file may be another one by the time that it is locked, because that server has just saved it.
Status DiskImage::open_file() {
  if (!load_) return {};
  for (;;) {
    Result<std::unique_ptr<ImageFile>> file = ImageFile::open(load_->path);
    const bool may_be_missing = plan_.image && file.status().errnum() == ENOENT;
    if (!file.ok() && !may_be_missing) return about(load_->name, file.status());
    file_ = std::move(file.value());
    if (!file_ || !plan_.image) return {};
    if (!file_->lock()) {
      return Status::error(EBUSY, load_->name +
                                      ": is locked already, as nbdkit does while it has it "
                                      "as image= (load= can be given at any time)");
    }
    if (file_->is_at(load_->path)) return {};
  }
}

Result<uint64_t> DiskImage::open() {
  if (Status status = open_file(); !status.ok()) return status;
  warn_of_format();
  Result<uint64_t> bytes = size_of_disk();
  disk_bytes_ = bytes.value();
  return bytes;
}

void DiskImage::warn_of_room(uint64_t bytes) const {
  if (!save_) return;
  const uint64_t room = Replacement::room(save_->path);
  if (room >= bytes) return;
  nbdkit_error("%s: warning: there is room for %s, and the disk may hold %s when it is saved",
               save_->name.c_str(), exact_size(room).c_str(), exact_size(bytes).c_str());
}

Status DiskImage::check_saving() const {
  if (!save_) return {};
  Status status = Replacement::check(save_->path, disk_bytes_);
  return status.ok() ? status : about(save_->name, status);
}

// The budget knows why there was no memory.
Status DiskImage::does_not_fit(const Status& status, const Budget& budget) const {
  if (status.errnum() != ENOMEM) return about(load_->name, status);
  const Status why = budget.why();
  std::string message = load_->name + ": does not fit into memory: " + why.message();
  if (const auto limit = budget.limit()) {
    message += "; max-memory is " + exact_size(*limit);
  }
  return Status::error(why.errnum(), std::move(message));
}

// nbdkit_nanosleep() fails when nbdkit has been told to end, which a long load must not hold up.
Status DiskImage::load(Allocator& disk, const Budget& budget) {
  serving_ = !file_;
  if (serving_) return {};
  ProgressLog progress(load_->name, file_->stored_bytes(), false);
  uint64_t loaded = 0;
  const Status status = file_->load(disk, [&](uint64_t bytes) {
    loaded = bytes;
    progress.note(bytes);
    if (nbdkit_nanosleep(0, 1) == 0) return Status();
    return Status::error(EINTR, "nbdkit was told to end before all of it was read");
  });
  kept_ = plan_.image ? std::move(file_) : nullptr;
  file_.reset();
  serving_ = status.ok();
  if (!serving_) return does_not_fit(status, budget);
  progress.end(loaded);
  return {};
}

Status DiskImage::save(Allocator& disk) {
  if (!std::exchange(serving_, false) || !save_) return {};
  if (!changed_.load(std::memory_order_relaxed)) {
    nbdkit_debug("%s: not saved, because nothing has changed", save_->name.c_str());
    return {};
  }
  ProgressLog progress(save_->name, disk.usage().stored_bytes, true);
  uint64_t saved = 0;
  const Status status = save_image(disk, disk_bytes_, save_->path, [&](uint64_t bytes) {
    saved = bytes;
    progress.note(bytes);
    return Status();
  });
  if (!status.ok()) return about(save_->name + ": saving failed", status);
  progress.end(saved);
  return {};
}

}  // namespace ramdisk
