#include "image/replacement.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

namespace ramdisk {

namespace {

static_assert(sizeof(off_t) == 8, "files of more than 2 GiB");

Status failure(const std::string& what) {
  const int error = errno;
  return Status::error(error, what + ": " + std::strerror(error));
}

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::optional<std::string> real_path(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> found(realpath(path.c_str(), nullptr),
                                                          std::free);
  if (!found) return {};
  return std::string(found.get());
}

// Whether this process may rename a file over that of `file`, as far as the sticky bit of the
// directory says, which shared directories such as /tmp have.
bool sticky_bit_allows(const struct stat& directory, const struct stat& file) {
  const uid_t user = geteuid();
  return !(directory.st_mode & S_ISVTX) || user == 0 || user == directory.st_uid ||
         user == file.st_uid;
}

}  // namespace

Result<std::string> Replacement::resolve(const std::string& path) {
  if (const auto real = real_path(path)) {
    struct stat present {};
    if (stat(real->c_str(), &present) != 0) return failure("cannot be looked at");
    if (S_ISREG(present.st_mode)) return *real;
    return Status::error(EINVAL, "is there, and is not a regular file");
  }
  if (errno != ENOENT) return failure("cannot be looked at");
  struct stat link {};
  if (lstat(path.c_str(), &link) == 0) {
    return Status::error(ENOENT, "is a link to something that does not exist");
  }
  const auto directory = real_path(directory_of(path));
  if (!directory) return failure("its directory cannot be used");
  const std::string name = path.substr(path.rfind('/') + 1);
  if (name.empty()) return Status::error(EINVAL, "is not the name of a file");
  return (*directory == "/" ? "" : *directory) + "/" + name;
}

Status Replacement::check(const std::string& path) {
  Replacement trial(path);
  if (Status status = trial.make_file(); !status.ok()) return status;
  struct stat directory {};
  if (stat(trial.directory_.c_str(), &directory) != 0) return failure("its directory is gone");
  struct stat present {};
  if (stat(path.c_str(), &present) != 0) return {};
  if (present.st_dev != directory.st_dev) {
    return Status::error(EBUSY,
                         "is mounted by itself, so that no other file can take its place (mount "
                         "its directory instead)");
  }
  if (!sticky_bit_allows(directory, present)) {
    return Status::error(EPERM,
                         "belongs to another user, and its directory lets only the owner of a file "
                         "replace it");
  }
  return {};
}

uint64_t Replacement::room(const std::string& path) {
  struct statvfs system {};
  if (statvfs(directory_of(path).c_str(), &system) != 0 || system.f_frsize == 0) return UINT64_MAX;
  const uint64_t blocks = system.f_bavail;
  return blocks > UINT64_MAX / system.f_frsize ? UINT64_MAX : blocks * system.f_frsize;
}

Replacement::Replacement(std::string path)
    : path_(std::move(path)),
      directory_(directory_of(path_)),
      name_((directory_ == "/" ? "" : directory_) + "/." + path_.substr(path_.rfind('/') + 1) +
            ".saving") {}

Replacement::~Replacement() {
  if (fd_ < 0) return;
  if (!in_place_) unlink(name_.c_str());
  close(fd_);
}

// A file that is there already is opened, and is another process's if it is locked. If not, it is
// removed and made anew, because somebody else could have prepared it.
Status Replacement::make_file() {
  const std::string what = "no file can be made in " + directory_;
  for (int tries = 0; tries < 10; ++tries) {
    const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    const int fresh = open(name_.c_str(), flags | O_CREAT | O_EXCL, 0666);
    if (fresh < 0 && errno != EEXIST) return failure(what);
    const int fd = fresh < 0 ? open(name_.c_str(), flags) : fresh;
    if (fd < 0 && errno == ENOENT) continue;
    if (fd < 0) return failure(what);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      close(fd);
      return Status::error(EBUSY, "another process is about to save to it");
    }
    struct stat mine {};
    struct stat named {};
    const bool same = fstat(fd, &mine) == 0 && lstat(name_.c_str(), &named) == 0 &&
                      mine.st_ino == named.st_ino && mine.st_dev == named.st_dev;
    if (fresh >= 0 && same) {
      fd_ = fd;
      return {};
    }
    const bool removed = !same || unlink(name_.c_str()) == 0;
    const int error = errno;
    close(fd);
    errno = error;
    if (!removed) return failure(name_ + " cannot be removed");
  }
  return Status::error(EBUSY, "another process is about to save to it");
}

// What is not allowed is left as it is: the content matters more.
void Replacement::take_over_attributes() const {
  struct stat present {};
  if (stat(path_.c_str(), &present) != 0) return;
  (void)!fchown(fd_, present.st_uid, present.st_gid);
  (void)fchmod(fd_, present.st_mode & 07777);
}

Status Replacement::create(uint64_t bytes) {
  if (Status status = make_file(); !status.ok()) return status;
  take_over_attributes();
  if (ftruncate(fd_, static_cast<off_t>(bytes)) != 0)
    return failure("the new file cannot be made that large");
  return {};
}

// Some filesystems cannot sync a directory (EINVAL), and some directories may be written but not
// read: there, the rename is as safe as it can be.
Status Replacement::commit() {
  if (fsync(fd_) != 0) return failure("the new file cannot be synced");
  if (rename(name_.c_str(), path_.c_str()) != 0) return failure("the old file cannot be replaced");
  in_place_ = true;
  const int directory = open(directory_.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY);
  if (directory < 0) return {};
  const bool synced = fsync(directory) == 0 || errno == EINVAL;
  Status status =
      synced ? Status()
             : failure("the new image is in its place, but the directory cannot be synced");
  close(directory);
  return status;
}

}  // namespace ramdisk
