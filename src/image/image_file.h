// ImageFile: a file or block device whose content a disk begins with.
//
// Only its data is read; what the filesystem reports as a hole stays one on the disk. Where it
// reports none (a block device, an old filesystem), everything is read.
//
// Thread contract: one thread. load() starts threads, and ends them before it returns.

#ifndef RAMDISK_IMAGE_IMAGE_FILE_H
#define RAMDISK_IMAGE_IMAGE_FILE_H

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "image/copy.h"
#include "ramdisk/allocator.h"
#include "ramdisk/result.h"

namespace ramdisk {

class ImageFile {
 public:
  // Opens a regular file or a block device. The messages of failures, here and below, are reasons
  // without the name of the file. ENOENT means that there is no such file.
  static Result<std::unique_ptr<ImageFile>> open(const std::string& path);
  ~ImageFile();
  ImageFile(const ImageFile&) = delete;
  ImageFile& operator=(const ImageFile&) = delete;

  // The size, as it was when the file was opened, and how much of that takes room in the
  // filesystem (at most the size; for a device, the size).
  uint64_t bytes() const { return bytes_; }
  uint64_t stored_bytes() const { return stored_bytes_; }

  // Locks the file, which lasts as long as this object and those that it shares the file with after
  // a fork. Returns false if another process has locked it. The lock is advisory (flock): it keeps
  // nobody from reading the file, and a filesystem that has no locks does not matter.
  bool lock() const;

  // Whether `path` still leads to this file.
  bool is_at(const std::string& path) const;

  // Returns the name of the format if the file begins as an image of a virtual machine that is not
  // raw does; null otherwise, and for what cannot be read.
  const char* foreign_format() const;

  // Writes the content to the beginning of `disk`, which reads as zeroes and has at least bytes()
  // bytes. Calls `watch` as CopyJob says. Fails with ENOMEM if the disk takes no more, and if the
  // file has become shorter.
  Status load(Allocator& disk, const std::function<Status(uint64_t bytes)>& watch,
              size_t threads = copying_threads());

 private:
  explicit ImageFile(int fd) : fd_(fd) {}

  Result<Range> next_piece();
  Status find_data();
  Status read(Range piece, std::span<std::byte> buffer) const;
  bool is_whole() const;

  const int fd_;
  uint64_t bytes_ = 0;  // constant after open(), as is stored_bytes_
  uint64_t stored_bytes_ = 0;
  uint64_t position_ = 0;  // what is before has been handed out, or is a hole
  uint64_t data_end_ = 0;  // the end of the data at position_
};

}  // namespace ramdisk

#endif
