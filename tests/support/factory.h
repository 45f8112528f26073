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
#include "support/base_disk.h"
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

// What a disk is a clone of: of nothing, it is an allocator; of a base without content; of one with
// content (load_ranges); or of one with content (load_everywhere) that is zeroed in the clone
// before the test begins.
enum class Base { none, empty, data, zeroed };

struct DiskType {
  AllocatorType type;
  Base base = Base::none;

  DiskType(AllocatorType is, Base of = Base::none) : type(is), base(of) {}  // NOLINT: implicit
  operator AllocatorType() const { return type; }                           // NOLINT: implicit
};
void PrintTo(const DiskType& type, std::ostream* out);
std::string name_of_disk(const testing::TestParamInfo<DiskType>& info);

// `allocators`, and clones of these bases for all allocators that can be a clone's overlay.
std::vector<DiskType> with_clones(const std::vector<AllocatorType>& allocators,
                                  const std::vector<Base>& bases);

enum class Memory { system, small_pages, portable };
std::unique_ptr<MemorySource> make_memory(Memory memory);

// A disk that serves until it is stopped or destroyed. Unless a source of memory is given, it uses
// make_memory(Memory::system).
class Disk {
 public:
  using Trace = std::function<void(const std::string&)>;  // see Environment::trace_directories

  Disk(DiskType type, uint64_t bytes);
  Disk(DiskType type, uint64_t bytes, std::unique_ptr<MemorySource> memory);
  Disk(DiskType type, uint64_t bytes, MemorySource& memory, Trace trace = {});
  Disk(const AllocatorOptions& options, uint64_t bytes, MemorySource& memory, BackgroundTiming pace,
       Base base = Base::none);
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

  // What the disk reads as at first, if it is a clone of a base with content; otherwise nullptr.
  Allocator* content() const { return content_; }

 private:
  void start(const AllocatorOptions& options, uint64_t bytes, const Environment& environment,
             Base base);

  std::unique_ptr<MemorySource> owned_memory_;
  std::unique_ptr<BaseDisk> base_;  // outlives the clone
  Allocator* content_ = nullptr;
  std::unique_ptr<Allocator> allocator_;
  Status status_;
};

// Parameters of test suites, and their names.
struct Kind {
  DiskType type;
  Memory memory;
};
void PrintTo(const Kind& kind, std::ostream* out);
std::vector<Kind> all_kinds(const std::vector<Base>& bases = {});  // and clones of these bases
std::string name_of_type(const testing::TestParamInfo<AllocatorType>& info);
std::string name_of_kind(const testing::TestParamInfo<Kind>& info);

// Reads a range. An error fails the test.
std::vector<std::byte> read_back(Allocator& disk, uint64_t count, uint64_t offset);

}  // namespace ramdisk::support

#endif
