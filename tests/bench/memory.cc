// See memory.h.

#include "memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace bench {

namespace {

constexpr uint64_t kHugePage = uint64_t{2} << 20;

void read_file(const std::string& path, std::byte* into, uint64_t bytes) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw std::runtime_error(path + ": " + std::strerror(errno));
  uint64_t done = 0;
  while (done < bytes) {
    const ssize_t n = read(fd, into + done, bytes - done);
    if (n <= 0) break;
    done += static_cast<uint64_t>(n);
  }
  close(fd);
  if (done == 0) throw std::runtime_error(path + ": cannot read it, or it is empty");
  while (done < bytes) {
    const uint64_t n = std::min(done, bytes - done);
    std::memcpy(into + done, into, n);
    done += n;
  }
}

}  // namespace

Region::Region(uint64_t bytes, Pages pages) : bytes_(bytes) {
  if (bytes == 0) return;
  // A huge page more than asked for, to start at the edge of one.
  const uint64_t mapped = bytes + kHugePage;
  void* base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) throw std::runtime_error("no memory for the benchmark's own region");
  const uint64_t address = reinterpret_cast<uint64_t>(base);
  const uint64_t skip = (kHugePage - address % kHugePage) % kHugePage;
  data_ = static_cast<std::byte*>(base) + skip;
  if (skip) munmap(base, skip);
  const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  bytes_ = (bytes + page - 1) & ~(page - 1);
  munmap(data_ + bytes_, kHugePage - skip - (bytes_ - bytes));
  madvise(data_, bytes_, pages == Pages::huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  std::memset(data_, 1, bytes_);
}

Region::~Region() {
  if (data_) munmap(data_, bytes_);
}

void Region::free(uint64_t offset, uint64_t bytes) {
  if (bytes) madvise(at(offset), bytes, MADV_DONTNEED);
}

void WarmMemory::release(uint64_t bytes) {
  const uint64_t rounded = (bytes + kHugePage - 1) & ~(kHugePage - 1);
  const uint64_t n = std::min(rounded, region_.size() - released_);
  region_.free(released_, n);
  released_ += n;
}

Corpus::Corpus(const std::string& path, uint64_t bytes) : region_(bytes) {
  read_file(path, region_.at(0), region_.size());
}

Buffers::Buffers(const std::string& corpus_path, unsigned threads)
    : region_(uint64_t{kBytes} * threads) {
  read_file(corpus_path, region_.at(0), region_.size());
  for (uint64_t offset = 0; offset < region_.size(); offset += 4096) {
    const uint64_t stamp = offset + 1;
    std::memcpy(region_.at(offset), &stamp, sizeof stamp);
  }
}

}  // namespace bench
