#include "image/save.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/page.h"
#include "base/shared_bytes.h"
#include "image/data_ranges.h"
#include "image/replacement.h"

namespace ramdisk {

namespace {

static_assert(sizeof(off_t) == 8, "files of more than 2 GiB");

Status write_all(int fd, std::span<const std::byte> bytes, uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t n = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int error = n < 0 ? errno : EIO;
      return Status::error(error,
                           std::string("the new file cannot be written: ") + std::strerror(error));
    }
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

// How many bytes from `begin` on are pages that are all zeroes, or pages that are not, as `zero`
// says. `bytes` begins at the disk's byte `offset`.
size_t run_of(std::span<const std::byte> bytes, uint64_t offset, size_t begin, bool zero) {
  size_t end = begin;
  while (end < bytes.size()) {
    const size_t length = part_at(offset, bytes.size(), end).length;
    if (is_zero_shared(bytes.data() + end, length) != zero) break;
    end += length;
  }
  return end - begin;
}

// The file is a hole, so zeroes need not be written.
Status write_data(int fd, std::span<const std::byte> bytes, uint64_t offset) {
  for (size_t done = 0; done < bytes.size();) {
    done += run_of(bytes, offset, done, true);
    const size_t length = run_of(bytes, offset, done, false);
    Status status = write_all(fd, bytes.subspan(done, length), offset + done);
    if (!status.ok()) return status;
    done += length;
  }
  return {};
}

}  // namespace

Status save_image(Allocator& disk, uint64_t bytes, const std::string& path,
                  const std::function<Status(uint64_t bytes)>& watch, size_t threads) {
  Replacement file(path);
  if (Status status = file.create(bytes); !status.ok()) return status;
  DataRanges ranges(disk, bytes);
  CopyJob job;
  job.next = [&] { return ranges.next(); };
  job.copy = [&](Range piece, std::span<std::byte> buffer) {
    Status status = disk.read(buffer, piece.offset);
    return status.ok() ? write_data(file.fd(), buffer, piece.offset) : status;
  };
  job.watch = watch;
  Status status = copy_in_parallel(job, threads);
  return status.ok() ? file.commit() : status;
}

}  // namespace ramdisk
