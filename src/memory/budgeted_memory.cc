#include "memory/budgeted_memory.h"

#include <iterator>
#include <new>
#include <utility>

#include "base/check.h"

namespace ramdisk {

BudgetedMemory::BudgetedMemory(std::unique_ptr<MemorySource> inner, Budget::Options options)
    : inner_(std::move(inner)),
      budget_(std::make_shared<Budget>(std::move(options))),
      shared_(false) {}

BudgetedMemory::BudgetedMemory(std::shared_ptr<MemorySource> inner, std::shared_ptr<Budget> budget,
                               bool shared)
    : inner_(std::move(inner)), budget_(std::move(budget)), shared_(shared) {}

bool BudgetedMemory::charge(uint64_t bytes, Claim claim) noexcept {
  if (!budget_->charge(bytes, claim)) return false;
  own_.fetch_add(bytes, std::memory_order_relaxed);
  return true;
}

void BudgetedMemory::uncharge(uint64_t bytes) noexcept {
  own_.fetch_sub(bytes, std::memory_order_relaxed);
  budget_->uncharge(bytes);
}

void BudgetedMemory::keep_for_reclaim(uint64_t bytes) noexcept {
  kept_ += bytes;
  budget_->keep_for_reclaim(bytes);
}

// What others have taken is beyond this disk's reach, so it counts in full against what this disk
// needs.
uint64_t BudgetedMemory::others() const noexcept {
  if (!shared_) return 0;
  const uint64_t own = used();
  const uint64_t all = budget_->used();
  return all > own ? all - own : 0;
}

void* BudgetedMemory::map(size_t bytes, size_t alignment, bool huge) {
  void* base = inner_->map(bytes, alignment, huge);
  try {
    if (base) {
      MutexLock lock(mutex_);
      present_.emplace(reinterpret_cast<uintptr_t>(base), 0);
      return base;
    }
  } catch (const std::bad_alloc&) {
    inner_->unmap(base, bytes);
  }
  budget_->note_refused_by_system();
  return nullptr;
}

void BudgetedMemory::unmap(void* base, size_t bytes) noexcept {
  uint64_t present = 0;
  {
    // Forgotten before it is unmapped: another thread may then get the same address.
    MutexLock lock(mutex_);
    const auto range = present_.find(reinterpret_cast<uintptr_t>(base));
    CHECK(range != present_.end());
    DCHECK(range->second <= bytes);
    present = range->second;
    present_.erase(range);
  }
  inner_->unmap(base, bytes);
  uncharge(present);
}

void BudgetedMemory::note_present(void* base, int64_t bytes) noexcept {
  MutexLock lock(mutex_);
  CHECK(!present_.empty() && present_.begin()->first <= reinterpret_cast<uintptr_t>(base));
  auto range = std::prev(present_.upper_bound(reinterpret_cast<uintptr_t>(base)));
  DCHECK(bytes >= 0 || range->second >= static_cast<uint64_t>(-bytes));
  range->second += static_cast<uint64_t>(bytes);
}

bool BudgetedMemory::populate_for(Claim claim, void* base, size_t bytes) {
  if (!charge(bytes, claim)) return false;
  if (!inner_->populate(base, bytes)) {
    uncharge(bytes);
    budget_->note_refused_by_system();
    return false;
  }
  note_present(base, static_cast<int64_t>(bytes));
  return true;
}

void BudgetedMemory::expect_holes(void* base, size_t bytes) noexcept {
  inner_->expect_holes(base, bytes);
}

bool BudgetedMemory::discard(void* base, size_t bytes) noexcept {
  if (!inner_->discard(base, bytes)) return false;
  note_present(base, -static_cast<int64_t>(bytes));
  uncharge(bytes);
  return true;
}

}  // namespace ramdisk
