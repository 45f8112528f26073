// The allocators of this build, and how one is made.
//
// Thread contract: pure functions; make_allocator() belongs to start-up.

#ifndef RAMDISK_DISK_REGISTRY_H
#define RAMDISK_DISK_REGISTRY_H

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/worker_pool.h"
#include "disk/options.h"
#include "memory/memory_source.h"
#include "ramdisk/allocator.h"
#include "ramdisk/result.h"

namespace ramdisk {

// The timing of an allocator's background work. Tests make it faster.
struct BackgroundTiming {
  std::chrono::milliseconds tick{1000};  // pages stay in the write cache for one or two
  uint32_t cold_ticks = 10;              // a page not used for this many ticks is cold
  uint64_t training_growth = 64;         // samples grow by this factor until the next training
};

// What an allocator needs from outside. Must outlive the allocator. With mlock the memory source
// locks what it maps, except for malloc, which maps before a fork and so locks by itself.
struct Environment {
  MemorySource* memory = nullptr;
  BackgroundTiming pace{};
  // Called with one line for each directory made or freed, unless it is empty.
  std::function<void(const std::string&)> trace_directories{};
  // The threads for background work; null: the allocator starts its own.
  WorkerPool* workers = nullptr;
};

// Fails with ENOTSUP when `options` ask for an allocator that this build does not have, or for
// mlock where the system cannot lock memory.
Status check_options(const AllocatorOptions& options);

// The libzstd in use; nullopt if the build is without it.
struct ZstdSupport {
  const char* version;
  int least_level;
  int most_level;
};
std::optional<ZstdSupport> zstd_support();

// Makes an allocator for a disk of `disk_bytes` bytes (0 to 2^63-1). `options` have passed
// check_options(). Allocates little memory; get_ready() and after_fork() allocate the remainder.
Result<std::unique_ptr<Allocator>> make_allocator(const AllocatorOptions& options,
                                                  uint64_t disk_bytes,
                                                  const Environment& environment);

}  // namespace ramdisk

#endif
