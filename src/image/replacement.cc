#include "image/replacement.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
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

constexpr unsigned kPrivate = 0600;
constexpr uint64_t kLargestOnFat = UINT32_MAX;

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

// Attributes that keep a file from being replaced. Which a system cannot tell (0), it need not
// have.
#if defined(STATX_ATTR_IMMUTABLE) && defined(STATX_ATTR_APPEND)
constexpr uint64_t kFixed = STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND;
#else
constexpr uint64_t kFixed = 0;
#endif
#ifdef STATX_ATTR_MOUNT_ROOT
constexpr uint64_t kMounted = STATX_ATTR_MOUNT_ROOT;
#else
constexpr uint64_t kMounted = 0;
#endif

bool has_attribute([[maybe_unused]] const std::string& path, uint64_t attributes) {
  if (attributes == 0) return false;
#ifdef STATX_TYPE
  struct statx found {};
  return statx(AT_FDCWD, path.c_str(), AT_STATX_SYNC_AS_STAT, STATX_TYPE, &found) == 0 &&
         (found.stx_attributes & attributes) != 0;
#else
  return false;
#endif
}

// What is not allowed is left as it is: the content matters more. A file that cannot have the old
// one's group belongs to another, whose members get what everybody has.
void take_over_attributes(int fd, const struct stat& present) {
  constexpr gid_t kSameGroup = -1;
  constexpr uid_t kSameOwner = -1;
  mode_t mode = present.st_mode & 07777;
  if (fchown(fd, kSameOwner, present.st_gid) != 0) {
    mode = (mode & 0707) | (mode & 07) << 3;
  }
  if (fchown(fd, present.st_uid, kSameGroup) != 0) mode &= 0777;
  (void)!fchmod(fd, mode);
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

Status Replacement::check(const std::string& path, uint64_t bytes) {
  Replacement trial(path);
  if (Status status = trial.make_file(kPrivate); !status.ok()) return status;
  if (Status status = trial.check_size(bytes); !status.ok()) return status;
  struct stat directory {};
  if (stat(trial.directory_.c_str(), &directory) != 0) return failure("its directory is gone");
  struct stat present {};
  if (stat(path.c_str(), &present) != 0) return {};
  if (present.st_dev != directory.st_dev || has_attribute(path, kMounted)) {
    return Status::error(EBUSY,
                         "is mounted by itself, so that no other file can take its place (mount "
                         "its directory instead)");
  }
  if (has_attribute(path, kFixed)) {
    return Status::error(EPERM,
                         "is immutable or append-only, so that no other file can take its place "
                         "(see chattr)");
  }
  if (!sticky_bit_allows(directory, present)) {
    return Status::error(EPERM,
                         "belongs to another user, and its directory lets only the owner of a file "
                         "replace it");
  }
  return {};
}

// A process that makes a larger file than it may is ended by a signal. What a filesystem allows is
// tried, but not below what each of them does: FAT would write all of the zeroes.
Status Replacement::check_size(uint64_t bytes) const {
  struct rlimit limit {};
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
      bytes > limit.rlim_cur) {
    return Status::error(EFBIG, "this process may make no files of more than " +
                                    std::to_string(limit.rlim_cur) + " bytes (ulimit -f)");
  }
  if (bytes > kLargestOnFat && ftruncate(fd_, static_cast<off_t>(bytes)) != 0) {
    return failure("no file of " + std::to_string(bytes) + " bytes can be made there");
  }
  return {};
}

std::string Replacement::unfinished(const std::string& path) {
  const std::string directory = directory_of(path);
  return (directory == "/" ? "" : directory) + "/." + path.substr(path.rfind('/') + 1) + ".saving";
}

uint64_t Replacement::room(const std::string& path) {
  struct statvfs system {};
  if (statvfs(directory_of(path).c_str(), &system) != 0 || system.f_frsize == 0) return UINT64_MAX;
  const uint64_t blocks = system.f_bavail;
  return blocks > UINT64_MAX / system.f_frsize ? UINT64_MAX : blocks * system.f_frsize;
}

Replacement::Replacement(std::string path)
    : path_(std::move(path)), directory_(directory_of(path_)), name_(unfinished(path_)) {}

Replacement::~Replacement() {
  if (fd_ < 0) return;
  if (!in_place_) unlink(name_.c_str());
  close(fd_);
}

// A file that is there already is opened, and is another process's if it is locked. If not, it is
// removed and made anew, because somebody else could have prepared it.
Status Replacement::make_file(unsigned mode) {
  const std::string what = "no file can be made in " + directory_;
  for (int tries = 0; tries < 10; ++tries) {
    const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    const int fresh = open(name_.c_str(), flags | O_CREAT | O_EXCL, mode);
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

// Whoever opens the file before it has its mode can read it to the end, so it begins with the
// strictest one.
Status Replacement::create(uint64_t bytes) {
  struct stat present {};
  const bool replaces = stat(path_.c_str(), &present) == 0;
  const unsigned mode = replaces ? kPrivate : 0666;
  if (Status status = make_file(mode); !status.ok()) {
    name_ += "-" + std::to_string(getpid());
    if (!make_file(mode).ok()) return status;
  }
  if (replaces) take_over_attributes(fd_, present);
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
