// Replacement: a new file that takes the place of another, or of none, when it is complete.
//
// The new file lies beside the old one under a hidden name made from that of the old one:
// ".NAME.saving". It is synced before it is renamed, and the directory after, so whenever the
// machine or the process ends, the old file or the new one is there, whole. While it is written, it
// is locked; one without a lock is what a process that was killed has left, and is replaced. What
// cannot be replaced does not keep a disk from being saved: the new file then gets another name,
// ".NAME.saving-PID".
//
// Messages of failures are reasons without the name of the file.
//
// Thread contract: one thread; any number may write to fd().

#ifndef RAMDISK_IMAGE_REPLACEMENT_H
#define RAMDISK_IMAGE_REPLACEMENT_H

#include <cstdint>
#include <string>

#include "ramdisk/result.h"

namespace ramdisk {

class Replacement {
 public:
  // Returns the absolute path of the file that `path` names, without links: a new file takes the
  // place of what a link leads to, not of the link. Fails if something is there that is not a
  // regular file, or if there is no directory for it.
  static Result<std::string> resolve(const std::string& path);

  // Fails if a file at `path`, which resolve() has returned, could not be replaced by this process
  // with one of `bytes` bytes. Leaves no file behind, not even one of an earlier process.
  static Status check(const std::string& path, uint64_t bytes);

  // The hidden name of the new file at first.
  static std::string unfinished(const std::string& path);

  // How many bytes a new file at `path` may have in its filesystem; UINT64_MAX if that is unknown.
  static uint64_t room(const std::string& path);

  explicit Replacement(std::string path);
  ~Replacement();  // removes the new file unless commit() has put it in its place
  Replacement(const Replacement&) = delete;
  Replacement& operator=(const Replacement&) = delete;

  // Makes the new file, all of it a hole. It has the mode of the old one, and its owner and group
  // if that is allowed; if not, nobody may do more with it than with the old one. Without an old
  // one it has the mode that the process gives to new files.
  Status create(uint64_t bytes);

  // The new file, open for reading and writing.
  int fd() const { return fd_; }

  // Syncs the new file, gives it the name, and syncs the directory. After a failure to sync the
  // directory the file has the name already.
  Status commit();

 private:
  Status make_file(unsigned mode);
  Status check_size(uint64_t bytes) const;

  const std::string path_;
  const std::string directory_;
  std::string name_;  // of the new file
  int fd_ = -1;
  bool in_place_ = false;
};

}  // namespace ramdisk

#endif
