// BudgetedMemory: a MemorySource that draws on another one, as far as a Budget allows.
//
// Only memory that is present counts: populated and not discarded since. Several disks may share a
// budget; each then has a BudgetedMemory of its own, which knows its part of what is used.
//
// Thread contract: as MemorySource. The mutex is held only for a lookup in a map.

#ifndef RAMDISK_MEMORY_BUDGETED_MEMORY_H
#define RAMDISK_MEMORY_BUDGETED_MEMORY_H

#include <atomic>
#include <map>
#include <memory>

#include "base/mutex.h"
#include "memory/budget.h"
#include "memory/memory_source.h"

namespace ramdisk {

class BudgetedMemory final : public MemorySource {
 public:
  // With a budget of its own.
  BudgetedMemory(std::unique_ptr<MemorySource> inner, Budget::Options options);
  // With one that its caller has, too. `shared` says whether other sources draw on it.
  BudgetedMemory(std::shared_ptr<MemorySource> inner, std::shared_ptr<Budget> budget,
                 bool shared = true);
  ~BudgetedMemory() override { budget_->end_keeping(kept_); }

  void* map(size_t bytes, size_t alignment, bool huge) override EXCLUDES(mutex_);
  void unmap(void* base, size_t bytes) noexcept override EXCLUDES(mutex_);
  bool populate(void* base, size_t bytes) override {
    return populate_for(Claim::data, base, bytes);
  }
  bool populate_for(Claim claim, void* base, size_t bytes) override EXCLUDES(mutex_);
  void expect_holes(void* base, size_t bytes) noexcept override;
  bool discard(void* base, size_t bytes) noexcept override EXCLUDES(mutex_);

  bool charge(uint64_t bytes, Claim claim) noexcept override;
  void uncharge(uint64_t bytes) noexcept override;
  bool may_use(Claim claim) noexcept override { return budget_->may_use(claim); }
  void keep_for_reclaim(uint64_t bytes) noexcept override;
  uint64_t limit_bytes() const noexcept override { return budget_->limit().value_or(UINT64_MAX); }
  uint64_t room() noexcept override { return budget_->room_now(); }
  const char* what_bounds_room() const noexcept override { return budget_->what_bounds_room(); }
  bool admits_new(uint64_t needed) noexcept override {
    return budget_->admits_new(others() + needed);
  }
  bool admits_growth(uint64_t needed, bool much) noexcept override {
    return budget_->admits_growth(others() + needed, much);
  }
  bool under_pressure() noexcept override { return budget_->under_pressure(); }
  bool may_become_short() noexcept override { return budget_->may_become_short(); }

  const Budget& budget() const { return *budget_; }

  // How much of what is used is this source's.
  uint64_t used() const noexcept { return own_.load(std::memory_order_relaxed); }

 private:
  uint64_t others() const noexcept;
  void note_present(void* base, int64_t bytes) noexcept EXCLUDES(mutex_);

  const std::shared_ptr<MemorySource> inner_;
  const std::shared_ptr<Budget> budget_;
  const bool shared_;             // whether others use the budget
  std::atomic<uint64_t> own_{0};  // bytes; never more than the budget counts
  uint64_t kept_ = 0;             // for reclaim; constant after the start
  Mutex mutex_;
  // How many bytes of each mapped range are present, by its address.
  std::map<uintptr_t, uint64_t> present_ GUARDED_BY(mutex_);
};

}  // namespace ramdisk

#endif
