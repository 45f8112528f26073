// BudgetedMemory: a MemorySource that draws on another one, as far as a Budget allows.
//
// Only memory that is present counts: populated and not discarded since.
//
// Thread contract: as MemorySource. The mutex is held only for a lookup in a map.

#ifndef RAMDISK_MEMORY_BUDGETED_MEMORY_H
#define RAMDISK_MEMORY_BUDGETED_MEMORY_H

#include <map>
#include <memory>

#include "base/mutex.h"
#include "memory/budget.h"
#include "memory/memory_source.h"

namespace ramdisk {

class BudgetedMemory final : public MemorySource {
 public:
  BudgetedMemory(std::unique_ptr<MemorySource> inner, Budget::Options options);

  void* map(size_t bytes, size_t alignment, bool huge) override EXCLUDES(mutex_);
  void unmap(void* base, size_t bytes) noexcept override EXCLUDES(mutex_);
  bool populate(void* base, size_t bytes) override {
    return populate_for(Claim::data, base, bytes);
  }
  bool populate_for(Claim claim, void* base, size_t bytes) override EXCLUDES(mutex_);
  void expect_holes(void* base, size_t bytes) noexcept override;
  bool discard(void* base, size_t bytes) noexcept override EXCLUDES(mutex_);

  bool charge(uint64_t bytes, Claim claim) noexcept override {
    return budget_.charge(bytes, claim);
  }
  void uncharge(uint64_t bytes) noexcept override { budget_.uncharge(bytes); }
  bool may_use(Claim claim) noexcept override { return budget_.may_use(claim); }
  void keep_for_reclaim(uint64_t bytes) noexcept override { budget_.keep_for_reclaim(bytes); }
  uint64_t limit_bytes() const noexcept override { return budget_.limit().value_or(UINT64_MAX); }
  uint64_t room() noexcept override { return budget_.room_now(); }
  bool admits_new(uint64_t needed) noexcept override { return budget_.admits_new(needed); }
  bool admits_growth(uint64_t needed, bool much) noexcept override {
    return budget_.admits_growth(needed, much);
  }
  bool under_pressure() noexcept override { return budget_.under_pressure(); }
  bool may_become_short() noexcept override { return budget_.may_become_short(); }

  const Budget& budget() const { return budget_; }

 private:
  void note_present(void* base, int64_t bytes) noexcept EXCLUDES(mutex_);

  const std::unique_ptr<MemorySource> inner_;
  Budget budget_;
  Mutex mutex_;
  // How many bytes of each mapped range are present, by its address.
  std::map<uintptr_t, uint64_t> present_ GUARDED_BY(mutex_);
};

}  // namespace ramdisk

#endif
