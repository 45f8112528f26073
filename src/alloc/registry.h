// The allocators that there are, by name: what allocator=... may say, and how one is made.
//
// Thread contract: pure functions; make_allocator() belongs to start-up.

#ifndef RAMDISK_ALLOC_REGISTRY_H
#define RAMDISK_ALLOC_REGISTRY_H

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/memory_source.h"
#include "ramdisk/allocator.h"
#include "ramdisk/result.h"

namespace ramdisk {

enum class AllocatorType { sparse, malloc, zstd };

struct AllocatorOptions {
  AllocatorType type = AllocatorType::sparse;
  bool mlock = false;
  // zstd's own:
  int level = 3;                    // of compression
  std::optional<uint64_t> cache{};  // bytes that may wait uncompressed; else by what is stored
  bool recompress = true;           // cold pages, harder
};

// How fast an allocator's background work goes about what can wait. Tests make it faster.
struct Pace {
  std::chrono::milliseconds tick{1000};  // what waits to be compressed waits for one or two
  uint32_t cold_ticks = 10;              // a page that was left alone for so many is cold
  uint64_t training_growth = 64;         // a better dictionary after so many times as many pages
};

// What an allocator needs from around it. Must outlive the allocator. With mlock the memory is of a
// kind that locks what is mapped; malloc, which maps before a fork, locks by itself.
struct Environment {
  MemorySource* memory = nullptr;
  Pace pace{};
  // Called with one line for each directory made or freed; empty: nobody wants to know.
  std::function<void(const std::string&)> trace_directories{};
};

const char* allocator_name(AllocatorType type);

// true for 1, true, t, yes, y, on and false for 0, false, f, no, n, off, in any case, which are the
// words that nbdkit itself takes. `what` names the parameter in the error.
Result<bool> parse_bool(std::string_view what, std::string_view value);

// Reads NAME[,KEY[=VALUE]]..., the value of the parameter allocator. A key without a value means
// true; of a key given twice the last counts. EINVAL with a message that names the parameter, the
// value and what would be right.
Result<AllocatorOptions> parse_allocator(std::string_view value);

// ENOTSUP when `options` ask for an allocator that this build does not have, or for mlock where the
// system has no such thing.
Status check_options(const AllocatorOptions& options);

// An allocator for a disk of `disk_bytes` bytes (0 to 2^63-1). `options` have passed
// check_options(). Takes little memory; get_ready() and after_fork() take the rest.
Result<std::unique_ptr<Allocator>> make_allocator(const AllocatorOptions& options,
                                                  uint64_t disk_bytes,
                                                  const Environment& environment);

}  // namespace ramdisk

#endif
