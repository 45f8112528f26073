// Memory that the benchmarks work on: data of real files, buffers of clients, a region to compare
// with. All of it is present before the disk exists, so that it is not counted as the disk's.

#ifndef RAMDISK_BENCH_MEMORY_H
#define RAMDISK_BENCH_MEMORY_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bench {

enum class Pages { huge, small };

// Touched memory, backed by huge pages where the system gives them and unless told otherwise.
class Region {
 public:
  explicit Region(uint64_t bytes, Pages pages = Pages::huge);
  ~Region();
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  std::byte* at(uint64_t offset) const { return data_ + offset; }
  uint64_t size() const { return bytes_; }
  void free(uint64_t offset, uint64_t bytes);  // both multiples of 2 MiB, or up to the end

 private:
  std::byte* data_ = nullptr;
  uint64_t bytes_ = 0;
};

// Memory that is touched and then given back bit by bit, just before the disk needs it. Under a
// hypervisor free memory may be taken away after a second or two, and the next touch of it costs
// ten times as much: without this a first fill would measure that, and be ten times off by chance.
// Its pages are of the kind that the disk asks for.
class WarmMemory {
 public:
  WarmMemory(uint64_t bytes, Pages pages) : region_(bytes, pages) {}
  void release(uint64_t bytes);  // at most what is left
  void release_all() { release(region_.size()); }

 private:
  Region region_;
  uint64_t released_ = 0;
};

// The first `bytes` bytes of a file; a shorter file is repeated.
class Corpus {
 public:
  Corpus(const std::string& path, uint64_t bytes);
  const std::byte* at(uint64_t offset) const { return region_.at(offset); }
  uint64_t size() const { return region_.size(); }

 private:
  Region region_;
};

// One buffer for each thread, as nbdkit has one for each of its threads. They hold data of real
// files, with a stamp in each 4 KiB, so that no page is all zero and every page has to be stored.
class Buffers {
 public:
  static constexpr uint32_t kBytes = 256 * 1024;

  Buffers(const std::string& corpus_path, unsigned threads);
  std::byte* of(unsigned thread) const { return region_.at(uint64_t{kBytes} * thread); }

 private:
  Region region_;
};

}  // namespace bench

#endif
