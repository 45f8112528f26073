// A MemorySource that counts what is taken and given back, checks that it is used as its
// interface demands, and fails when told to.
//
// Thread contract: as MemorySource. Its lock orders threads that a plain source would not order,
// so tests that look for data races also run without it.

#ifndef RAMDISK_CONFORMANCE_FAILING_MEMORY_H
#define RAMDISK_CONFORMANCE_FAILING_MEMORY_H

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/memory_source.h"

namespace ramdisk::conformance {

class FailingMemory : public MemorySource {
 public:
  explicit FailingMemory(std::unique_ptr<MemorySource> inner = make_system_memory());
  ~FailingMemory() override;

  void* map(size_t bytes, size_t alignment, bool huge) override;
  void unmap(void* base, size_t bytes) noexcept override;
  bool populate(void* base, size_t bytes) override;
  void expect_holes(void* base, size_t bytes) noexcept override;
  bool discard(void* base, size_t bytes) noexcept override;

  // Which calls of map() and populate() fail; `nth` counts them from now, the next one being 0.
  void fail_once(uint64_t nth);
  void fail_from(uint64_t nth);
  void fail_one_in(uint64_t n);  // an arbitrary one in n
  void allow();                  // none, and no limit

  // map() and populate() fail when held_bytes() would pass `bytes`.
  void limit(size_t bytes);

  // discard() returns false, and leaves rubbish behind as it then may.
  void refuse_discard(bool refuse);

  uint64_t calls() const;     // of map() and populate(), since one of the fail functions
  uint64_t failures() const;  // calls that this made fail, ever
  size_t mapped_bytes() const;
  size_t held_bytes() const;      // mapped, less what is discarded and was not populated again
  size_t resident_bytes() const;  // mapped bytes that the system has memory for now
  std::string misuse() const;     // what broke the interface's rules, or empty

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

// Passes everything on, but never asks for huge pages.
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

}  // namespace ramdisk::conformance

#endif
