// A MemorySource that counts mapped and discarded memory, checks that callers keep to the
// interface, and fails when told to.
//
// Thread contract: as MemorySource. The lock in here orders threads that a plain source would not
// order, so tests that look for data races also run without a FailingMemory.

#ifndef RAMDISK_SUPPORT_FAILING_MEMORY_H
#define RAMDISK_SUPPORT_FAILING_MEMORY_H

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "memory/memory_source.h"
#include "support/namespaces.h"

namespace ramdisk::support {

class FailingMemory : public MemorySource {
 public:
  explicit FailingMemory(std::unique_ptr<MemorySource> inner = make_system_memory());
  ~FailingMemory() override;

  void* map(size_t bytes, size_t alignment, bool huge) override;
  void unmap(void* base, size_t bytes) noexcept override;
  bool populate(void* base, size_t bytes) override;
  void expect_holes(void* base, size_t bytes) noexcept override;
  bool discard(void* base, size_t bytes) noexcept override;

  // Each replaces the choice of calls of map() and populate() that fail. `nth` counts calls from
  // now on; the next one is 0.
  void fail_once(uint64_t nth);
  void fail_from(uint64_t nth);
  void fail_one_in(uint64_t n);  // scattered calls, one in n on average
  void allow();                  // no call fails, and there is no limit

  // map() and populate() fail when held_bytes() would pass `bytes`.
  void limit(size_t bytes);

  // Has discard() return false and leave rubbish behind, which the interface permits then.
  void refuse_discard(bool refuse);

  uint64_t calls() const;     // of map() and populate(), since one of the fail functions
  uint64_t failures() const;  // all calls that failed because they were told to
  size_t mapped_bytes() const;
  size_t held_bytes() const;      // mapped, without what was discarded and not populated again
  size_t resident_bytes() const;  // mapped bytes for which the system holds memory now
  std::string misuse() const;     // the first call that broke the interface, or an empty text

 private:
  struct Region {
    size_t bytes = 0;
    std::vector<bool> discarded;  // by page
  };
  enum class Mode { allow, once, from, one_in };

  bool should_fail(size_t more_bytes);
  void complain(const std::string& what);
  Region* region_of(uintptr_t at, size_t bytes, uintptr_t* start);
  void mark(uintptr_t at, size_t bytes, bool discarded);
  size_t discarded_in(uintptr_t at, size_t bytes);

  const std::unique_ptr<MemorySource> inner_;
  mutable std::mutex mutex_;  // guards everything below
  std::map<uintptr_t, Region> regions_;
  size_t mapped_ = 0;
  size_t discarded_ = 0;
  size_t limit_ = SIZE_MAX;
  Mode mode_ = Mode::allow;
  uint64_t nth_ = 0;
  uint64_t calls_ = 0;
  uint64_t failures_ = 0;
  bool refuse_discard_ = false;
  std::string misuse_;
};

// The memory of the system without huge pages.
class SmallPageMemory : public MemorySource {
 public:
  void* map(size_t bytes, size_t alignment, bool) override {
    return inner_->map(bytes, alignment, false);
  }
  void unmap(void* base, size_t bytes) noexcept override { inner_->unmap(base, bytes); }
  bool populate(void* base, size_t bytes) override { return inner_->populate(base, bytes); }
  void expect_holes(void* base, size_t bytes) noexcept override {
    inner_->expect_holes(base, bytes);
  }
  bool discard(void* base, size_t bytes) noexcept override { return inner_->discard(base, bytes); }

 private:
  const std::unique_ptr<MemorySource> inner_ = make_system_memory();
};

}  // namespace ramdisk::support

#endif
