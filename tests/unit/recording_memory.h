// A MemorySource that also keeps a record of the calls, for tests of who asks for what and when.
//
// Thread contract: one thread; tests with several use a plain source, which orders no threads.

#ifndef RAMDISK_UNIT_RECORDING_MEMORY_H
#define RAMDISK_UNIT_RECORDING_MEMORY_H

#include <cstdint>
#include <vector>

#include "support/failing_memory.h"

namespace ramdisk::unit {

class RecordingMemory : public FailingMemory {
 public:
  using FailingMemory::FailingMemory;

  struct Range {
    std::byte* base = nullptr;
    size_t bytes = 0;
    bool huge = false;  // of map() alone
  };

  void* map(size_t bytes, size_t alignment, bool huge) override {
    void* base = FailingMemory::map(bytes, alignment, huge);
    maps.push_back({static_cast<std::byte*>(base), bytes, huge});
    return base;
  }
  void unmap(void* base, size_t bytes) noexcept override {
    unmaps.push_back({static_cast<std::byte*>(base), bytes});
    FailingMemory::unmap(base, bytes);
  }
  bool populate(void* base, size_t bytes) override {
    populates.push_back({static_cast<std::byte*>(base), bytes});
    return FailingMemory::populate(base, bytes);
  }
  void expect_holes(void* base, size_t bytes) noexcept override {
    warnings.push_back({static_cast<std::byte*>(base), bytes});
    FailingMemory::expect_holes(base, bytes);
  }
  bool discard(void* base, size_t bytes) noexcept override {
    discards.push_back({static_cast<std::byte*>(base), bytes});
    return FailingMemory::discard(base, bytes);
  }

  std::vector<Range> maps, unmaps, populates, discards, warnings;  // in the order of the calls
};

}  // namespace ramdisk::unit

#endif
