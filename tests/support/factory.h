// Makes the disks under test: every allocator, on every kind of memory.
//
// Thread contract: one thread makes and destroys a Disk; in between its Allocator may be used as
// ramdisk/allocator.h says.

#ifndef RAMDISK_SUPPORT_FACTORY_H
#define RAMDISK_SUPPORT_FACTORY_H

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "disk/registry.h"
#include "support/data.h"
#include "support/failing_memory.h"

namespace ramdisk {

// For the names of tests: the framework finds it because it is in the namespace of the type.
inline void PrintTo(AllocatorType type, std::ostream* out) {
  *out << allocator_name(type);
}

}  // namespace ramdisk

namespace ramdisk::support {

// The allocators of this build, and those of them whose disks have holes and may be of any size.
std::vector<AllocatorType> all_allocators();
std::vector<AllocatorType> sparse_allocators();
inline bool has_holes(AllocatorType type) {
  return type != AllocatorType::malloc;
}

enum class Memory { system, small_pages, portable };
std::unique_ptr<MemorySource> make_memory(Memory memory);

// A disk that serves until it is stopped or destroyed. Unless a source of memory is given, it uses
// make_memory(Memory::system).
class Disk {
 public:
  using Trace = std::function<void(const std::string&)>;  // see Environment::trace_directories

  Disk(AllocatorType type, uint64_t bytes);
  Disk(AllocatorType type, uint64_t bytes, std::unique_ptr<MemorySource> memory);
  Disk(AllocatorType type, uint64_t bytes, MemorySource& memory, Trace trace = {});
  Disk(const AllocatorOptions& options, uint64_t bytes, MemorySource& memory,
       BackgroundTiming pace);
  ~Disk() { stop(); }
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  // Whether the disk was made and started. If not, any use of the allocator throws, which fails the
  // test.
  bool works() const { return status_.ok(); }
  const Status& status() const { return status_; }
  Allocator& operator*() const;
  Allocator* operator->() const { return &**this; }
  void stop();  // destroys the allocator, too

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

// Reads a range. An error fails the test.
std::vector<std::byte> read_back(Allocator& disk, uint64_t count, uint64_t offset);

}  // namespace ramdisk::support

#endif
