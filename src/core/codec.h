// CodecPool: zstd contexts, borrowed for the length of one page.
//
// A context costs up to a megabyte and nbdkit starts up to 16 threads a connection, so contexts
// belong to the pool and not to threads: there are no more than asked for (one a CPU). The first is
// made and used once at the start, so that requests can finish when memory has run out later.
//
// Thread contract: any thread. Waits only while as many threads as there are contexts compress or
// decompress a page.

#ifndef RAMDISK_CORE_CODEC_H
#define RAMDISK_CORE_CODEC_H

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "core/mutex.h"

namespace ramdisk {

struct LevelRange {
  int least;
  int most;
};
LevelRange zstd_levels();
const char* zstd_version();

class CodecPool {
 public:
  // `level` is within zstd_levels(); `most` >= 1.
  CodecPool(int level, size_t most);
  ~CodecPool();

  // Makes the first context. False when there is no memory; then nothing else may be called.
  bool prepare();

  // Compresses `page` into `out`. The length of the result, or 0 if it does not fit.
  size_t compress(std::span<std::byte> out, std::span<const std::byte> page);

  // Decompresses `data`, made by compress(), into exactly `page`. False if it is damaged.
  bool decompress(std::span<std::byte> page, std::span<const std::byte> data);

 private:
  struct Context;
  class Lease;

  std::unique_ptr<Context> make_context() const;
  std::unique_ptr<Context> borrow() EXCLUDES(mutex_);
  void give_back(std::unique_ptr<Context> context) EXCLUDES(mutex_);

  const int level_;
  const size_t most_;
  Mutex mutex_;
  std::condition_variable_any returned_;
  std::vector<std::unique_ptr<Context>> idle_ GUARDED_BY(mutex_);
  size_t made_ GUARDED_BY(mutex_) = 0;
};

}  // namespace ramdisk

#endif
