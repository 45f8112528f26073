// Disks: the set of the disks that the server offers.
//
// Thread contract: any thread. A disk that has been removed lives as long as somebody holds it.

#ifndef RAMDISK_PLUGIN_DISKS_H
#define RAMDISK_PLUGIN_DISKS_H

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "plugin/disk.h"
#include "ramdisk/result.h"

namespace ramdisk {

class Disks {
 public:
  using Ptr = std::shared_ptr<Disk>;

  // Adds a disk. Of several with one name, find() returns the first.
  void add(Ptr disk) EXCLUDES(mutex_);
  void remove(const Disk& disk) noexcept EXCLUDES(mutex_);

  // Returns null if there is none of that name.
  Ptr find(std::string_view name) const EXCLUDES(mutex_);

  // All of them, in the order in which they were added.
  std::vector<Ptr> all() const EXCLUDES(mutex_);
  size_t size() const EXCLUDES(mutex_);

  // Returns the sum of Operations::requests().
  uint64_t requests() const EXCLUDES(mutex_);

 private:
  mutable Mutex mutex_;
  std::vector<Ptr> disks_ GUARDED_BY(mutex_);
  std::map<std::string_view, Ptr> by_name_ GUARDED_BY(mutex_);  // views of Disk::name
};

}  // namespace ramdisk

#endif
