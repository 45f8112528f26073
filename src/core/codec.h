// CodecPool: zstd contexts, borrowed for the length of one page.
//
// A context costs up to a megabyte and nbdkit starts up to 16 threads a connection, so contexts
// belong to the pool and not to threads: there are no more than asked for (one a CPU). The first is
// made and used once at the start, so that requests can finish when memory has run out later.
//
// Thread contract: any thread. Whoever finds all contexts lent waits, first come first served. A
// lease comes before the pin of the epoch and before any lock, or threads that wait for a context
// would keep others from what they hold.

#ifndef RAMDISK_CORE_CODEC_H
#define RAMDISK_CORE_CODEC_H

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
  class Lease;

  // `level` is within zstd_levels(); `most` >= 1.
  CodecPool(int level, size_t most);
  ~CodecPool();

  // Makes the first context. False when there is no memory; then nothing else may be called.
  bool prepare();

 private:
  struct Context;
  struct Waiter;

  std::unique_ptr<Context> make_context() const;
  std::unique_ptr<Context> borrow() EXCLUDES(mutex_);
  std::unique_ptr<Context> wait_for_one(Waiter& waiter) REQUIRES(mutex_);
  void give_back(std::unique_ptr<Context> context) EXCLUDES(mutex_);

  const int level_;
  const size_t most_;
  Mutex mutex_;
  std::vector<std::unique_ptr<Context>> idle_ GUARDED_BY(mutex_);
  Waiter* first_waiter_ GUARDED_BY(mutex_) = nullptr;
  Waiter* last_waiter_ GUARDED_BY(mutex_) = nullptr;
  size_t made_ GUARDED_BY(mutex_) = 0;
};

// A context, for as long as this lives: one thread's, for a few pages.
class CodecPool::Lease {
 public:
  explicit Lease(CodecPool& pool);
  ~Lease();
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  // Compresses `page` into `out`. The length of the result, or 0 if it does not fit.
  size_t compress(std::span<std::byte> out, std::span<const std::byte> page);

  // Decompresses `data`, made by compress(), into exactly `page`. False if it is damaged.
  bool decompress(std::span<std::byte> page, std::span<const std::byte> data);

 private:
  CodecPool& pool_;
  std::unique_ptr<Context> context_;
};

}  // namespace ramdisk

#endif
