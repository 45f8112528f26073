#include "image/image_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

namespace ramdisk {

namespace {

static_assert(sizeof(off_t) == 8, "files of more than 2 GiB");

Status failure(const char* what) {
  const int error = errno;
  return Status::error(error, std::string(what) + std::strerror(error));
}

// The size of a device is where its end is.
Result<uint64_t> size_of(int fd, const struct stat& status) {
  if (S_ISREG(status.st_mode)) return static_cast<uint64_t>(status.st_size);
  if (!S_ISBLK(status.st_mode)) {
    return Status::error(EINVAL, "is neither a regular file nor a block device");
  }
  const off_t end = lseek(fd, 0, SEEK_END);
  if (end < 0) return failure("its size cannot be read: ");
  return static_cast<uint64_t>(end);
}

Status cut_short() {
  return Status::error(EIO, "became shorter while it was read");
}

}  // namespace

// O_NONBLOCK, so that a pipe does not make the server wait for a writer. It means nothing to a
// regular file or a block device.
Result<std::unique_ptr<ImageFile>> ImageFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return failure("cannot be opened: ");
  std::unique_ptr<ImageFile> file(new ImageFile(fd));
  struct stat status {};
  if (fstat(fd, &status) != 0) return failure("cannot be opened: ");
  Result<uint64_t> bytes = size_of(fd, status);
  if (!bytes.ok()) return bytes.status();
  file->bytes_ = file->stored_bytes_ = bytes.value();
  if (S_ISREG(status.st_mode)) {
    const uint64_t stored = static_cast<uint64_t>(status.st_blocks) * 512;
    file->stored_bytes_ = std::min(file->bytes_, stored);
  }
  return {std::move(file)};
}

bool ImageFile::lock() const {
  return flock(fd_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

bool ImageFile::is_at(const std::string& path) const {
  struct stat mine {};
  struct stat named {};
  return fstat(fd_, &mine) == 0 && stat(path.c_str(), &named) == 0 && mine.st_ino == named.st_ino &&
         mine.st_dev == named.st_dev;
}

const char* ImageFile::foreign_format() const {
  static constexpr struct {
    std::string_view beginning;
    const char* name;
  } kFormats[] = {{"QFI\xfb", "qcow2"}, {"KDMV", "VMDK"}, {"vhdxfile", "VHDX"}};
  std::array<char, 8> bytes{};
  if (pread(fd_, bytes.data(), bytes.size(), 0) != ssize_t{bytes.size()}) return nullptr;
  const std::string_view beginning(bytes.data(), bytes.size());
  for (const auto& format : kFormats) {
    if (beginning.starts_with(format.beginning)) return format.name;
  }
  return nullptr;
}

ImageFile::~ImageFile() {
  close(fd_);
}

// Finds the data at or behind position_. Without such a search (EINVAL and the like) all is data.
Status ImageFile::find_data() {
  data_end_ = bytes_;
#ifdef SEEK_DATA
  const off_t data = lseek(fd_, static_cast<off_t>(position_), SEEK_DATA);
  if (data < 0) {
    if (errno == ENXIO) position_ = bytes_;  // there is only a hole behind it
    return errno == EIO ? failure("cannot be read: ") : Status();
  }
  position_ = std::min(static_cast<uint64_t>(data), bytes_);
  const off_t hole = lseek(fd_, data, SEEK_HOLE);
  if (hole > data) data_end_ = std::min(static_cast<uint64_t>(hole), bytes_);
#endif
  return {};
}

// Pieces end at multiples of their size, so no two threads write to the same page of the disk
// unless a hole begins in the middle of it.
Result<Range> ImageFile::next_piece() {
  if (position_ >= data_end_ && position_ < bytes_) {
    if (Status status = find_data(); !status.ok()) return status;
  }
  const uint64_t end = (position_ / CopyJob::kPiece + 1) * CopyJob::kPiece;
  const Range piece{position_, std::min(end, std::max(data_end_, position_)) - position_};
  position_ += piece.length;
  return piece;
}

Status ImageFile::read(Range piece, std::span<std::byte> buffer) const {
  for (size_t done = 0; done < buffer.size();) {
    const ssize_t n = pread(fd_, buffer.data() + done, buffer.size() - done,
                            static_cast<off_t>(piece.offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failure("cannot be read: ");
    if (n == 0) return cut_short();
    done += static_cast<size_t>(n);
  }
  return {};
}

Status ImageFile::load(Allocator& disk, const std::function<Status(uint64_t bytes)>& watch,
                       size_t threads) {
#ifdef POSIX_FADV_SEQUENTIAL
  (void)posix_fadvise(fd_, 0, 0, POSIX_FADV_SEQUENTIAL);
#endif
  position_ = data_end_ = 0;
  CopyJob job;
  job.next = [this] { return next_piece(); };
  job.copy = [&](Range piece, std::span<std::byte> buffer) {
    Status status = read(piece, buffer);
    return status.ok() ? disk.write(buffer, piece.offset) : status;
  };
  job.watch = watch;
  if (Status status = copy_in_parallel(job, threads); !status.ok()) return status;
  return is_whole() ? Status() : cut_short();
}

// What is behind the end of a file that became shorter looks like a hole.
bool ImageFile::is_whole() const {
  struct stat now {};
  if (fstat(fd_, &now) != 0 || !S_ISREG(now.st_mode)) return true;
  return static_cast<uint64_t>(now.st_size) >= bytes_;
}

}  // namespace ramdisk
