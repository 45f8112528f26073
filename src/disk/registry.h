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

#include "disk/options.h"
#include "memory/memory_source.h"
#include "ramdisk/allocator.h"
#include "ramdisk/result.h"

namespace ramdisk {

// How fast an allocator's background work goes about what can wait. Tests make it faster.
struct BackgroundTiming {
  std::chrono::milliseconds tick{1000};  // what waits to be compressed waits for one or two
  uint32_t cold_ticks = 10;              // a page that was left alone for so many is cold
  uint64_t training_growth = 64;         // a better dictionary after so many times as many pages
};

// What an allocator needs from around it. Must outlive the allocator. With mlock the memory is of a
// kind that locks what is mapped; malloc, which maps before a fork, locks by itself.
struct Environment {
  MemorySource* memory = nullptr;
  BackgroundTiming pace{};
  // Called with one line for each directory made or freed; empty: nobody wants to know.
  std::function<void(const std::string&)> trace_directories{};
};

// ENOTSUP when `options` ask for an allocator that this build does not have, or for mlock where the
// system has no such thing.
Status check_options(const AllocatorOptions& options);

// What libzstd there is; none if this build does without.
struct ZstdSupport {
  const char* version;
  int least_level;
  int most_level;
};
std::optional<ZstdSupport> zstd_support();

// An allocator for a disk of `disk_bytes` bytes (0 to 2^63-1). `options` have passed
// check_options(). Takes little memory; get_ready() and after_fork() take the rest.
Result<std::unique_ptr<Allocator>> make_allocator(const AllocatorOptions& options,
                                                  uint64_t disk_bytes,
                                                  const Environment& environment);

}  // namespace ramdisk

#endif
