// Makes the disks under test: every allocator, on every kind of memory.
//
// Thread contract: a Disk is made and destroyed by one thread; in between its Allocator may be
// used as ramdisk/allocator.h says.

#ifndef RAMDISK_CONFORMANCE_FACTORY_H
#define RAMDISK_CONFORMANCE_FACTORY_H

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "alloc/registry.h"
#include "failing_memory.h"

namespace ramdisk {

// For the names of tests: found by the framework because it stands beside the type.
inline void PrintTo(AllocatorType type, std::ostream* out) {
  *out << allocator_name(type);
}

}  // namespace ramdisk

namespace ramdisk::conformance {

inline constexpr uint64_t kLargestDisk = INT64_MAX;

// The allocators of this build, and those of them whose disks may be of any size, with holes.
std::vector<AllocatorType> all_allocators();
std::vector<AllocatorType> sparse_allocators();
inline bool has_holes(AllocatorType type) {
  return type != AllocatorType::malloc;
}

enum class Memory { system, small_pages, portable };
std::unique_ptr<MemorySource> make_memory(Memory memory);

// A disk that has been made ready and serves, until its end. Memory that is not given comes from
// make_memory(Memory::system).
class Disk {
 public:
  using Trace = std::function<void(const std::string&)>;  // of directories

  Disk(AllocatorType type, uint64_t bytes);
  Disk(AllocatorType type, uint64_t bytes, std::unique_ptr<MemorySource> memory);
  Disk(AllocatorType type, uint64_t bytes, MemorySource& memory, Trace trace = {});
  Disk(const AllocatorOptions& options, uint64_t bytes, MemorySource& memory, Pace pace);
  ~Disk() { stop(); }
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  // False when making it failed. Any use of the allocator then throws, which fails the test.
  bool works() const { return status_.ok(); }
  const Status& status() const { return status_; }
  Allocator& operator*() const;
  Allocator* operator->() const { return &**this; }
  void stop();  // and destroys the allocator

 private:
  void start(const AllocatorOptions& options, uint64_t bytes, const Environment& environment);

  std::unique_ptr<MemorySource> owned_memory_;
  std::unique_ptr<Allocator> allocator_;
  Status status_;
};

// Parameters of test suites, and their names.
struct Kind {
  AllocatorType type;
  Memory memory;
};
void PrintTo(const Kind& kind, std::ostream* out);
std::vector<Kind> all_kinds();
std::string name_of_type(const testing::TestParamInfo<AllocatorType>& info);
std::string name_of_kind(const testing::TestParamInfo<Kind>& info);

// Reads a range that has to be readable.
std::vector<std::byte> read_back(Allocator& disk, uint64_t count, uint64_t offset);

// Empty, or where the two differ first; `offset` is that of the first byte.
std::string first_difference(std::span<const std::byte> got, std::span<const std::byte> want,
                             uint64_t offset);

}  // namespace ramdisk::conformance

#endif
