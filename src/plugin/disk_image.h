// DiskImage: the files that a disk begins with and that it leaves behind (load=, save=, image=).
//
// Each message names the parameter and the file as the user gave them.
//
// Thread contract: one thread makes the calls of the life cycle, in the order of their declaration;
// in between, after load(), any thread calls note_change().

#ifndef RAMDISK_PLUGIN_DISK_IMAGE_H
#define RAMDISK_PLUGIN_DISK_IMAGE_H

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "image/image_file.h"
#include "memory/budget.h"
#include "plugin/config.h"
#include "ramdisk/allocator.h"
#include "ramdisk/result.h"

namespace ramdisk {

class DiskImage {
 public:
  explicit DiskImage(DiskPlan plan) : plan_(std::move(plan)) {}

  // Finds out which files these are. Call once, before anything else.
  Status find_files();

  // The file that the disk is saved to, as an absolute path without links; null if it is not saved.
  const std::string* saved_path() const { return save_ ? &save_->path : nullptr; }

  // Opens the file to load, before nbdkit changes its user or directory, and locks it if it is also
  // the one to save. Returns the size of the disk: what the user gave, or else that of the file.
  Result<uint64_t> open();

  // Writes a line to nbdkit's log if saving may need more room than the filesystem has. `bytes` is
  // the most that the disk can store.
  void warn_of_room(uint64_t bytes) const;

  // Fails if this process could not save the disk. Call it before and after nbdkit changes its
  // user.
  Status check_saving() const;

  // Fills the disk, of which nothing has been written. `budget` is that of its memory. Fails with
  // EINTR if nbdkit is told to end meanwhile. If it fails, save() does nothing.
  Status load(Allocator& disk, const Budget& budget);

  // Call before each request that may change the disk, even if it then fails.
  void note_change() noexcept {
    if (!changed_.load(std::memory_order_relaxed)) changed_.store(true, std::memory_order_relaxed);
  }

  // Saves the disk if that is wanted and there was a change. Only the first call does anything.
  // Throws std::bad_alloc.
  Status save(Allocator& disk);

 private:
  // One of the parameters: its text for messages, and the path.
  struct File {
    std::string name;
    std::string path;
  };

  Status open_file();
  void warn_of_format() const;
  Result<uint64_t> size_of_disk() const;
  Status does_not_fit(const Status& status, const Budget& budget) const;

  const DiskPlan plan_;
  std::optional<File> load_;
  std::optional<File> save_;         // with the path that Replacement::resolve() has returned
  std::unique_ptr<ImageFile> file_;  // from open() to the end of load(); null: nothing to load
  std::unique_ptr<ImageFile> kept_;  // after load(): the file of image=, for its lock
  uint64_t disk_bytes_ = 0;
  bool serving_ = false;  // from load() to save()
  // Relaxed: nbdkit has joined the threads of all requests before it asks for an end.
  std::atomic<bool> changed_{false};
};

}  // namespace ramdisk

#endif
