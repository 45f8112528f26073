#include "plugin/disks.h"

#include <algorithm>
#include <utility>

namespace ramdisk {

void Disks::add(Ptr disk) {
  MutexLock lock(mutex_);
  disks_.push_back(disk);
  try {
    by_name_.emplace(disk->name, disk);
  } catch (...) {
    disks_.pop_back();
    throw;
  }
}

void Disks::remove(const Disk& disk) noexcept {
  Ptr removed;  // destroyed when the lock is no longer held
  MutexLock lock(mutex_);
  const auto found = std::find_if(disks_.begin(), disks_.end(),
                                  [&](const Ptr& other) { return other.get() == &disk; });
  if (found == disks_.end()) return;
  const auto named = by_name_.find(disk.name);
  if (named != by_name_.end() && named->second.get() == &disk) by_name_.erase(named);
  removed = std::move(*found);
  disks_.erase(found);
}

Disks::Ptr Disks::find(std::string_view name) const {
  MutexLock lock(mutex_);
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

std::vector<Disks::Ptr> Disks::all() const {
  MutexLock lock(mutex_);
  return disks_;
}

size_t Disks::size() const {
  MutexLock lock(mutex_);
  return disks_.size();
}

uint64_t Disks::requests() const {
  MutexLock lock(mutex_);
  uint64_t sum = 0;
  for (const Ptr& disk : disks_) sum += disk->operations->requests();
  return sum;
}

}  // namespace ramdisk
