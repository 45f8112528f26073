// One of several threads that share a part of a disk: each byte of it belongs to one owner, who
// alone writes it and knows what it must read as, while the neighbours in the same page change
// theirs.
//
//   slices:  | owner 0 | owner 1 | owner 2 | owner 0 | owner 1 | owner 2 | ...
//   pages:   |        page        |        page        |        page       ...
//
// Thread contract: an Owner belongs to its thread; verify() may be called by another one when that
// thread has ended.

#ifndef RAMDISK_CONFORMANCE_OWNER_H
#define RAMDISK_CONFORMANCE_OWNER_H

#include <cstdint>
#include <string>
#include <vector>

#include "data.h"
#include "ramdisk/allocator.h"

namespace ramdisk::conformance {

struct Slices {
  uint64_t base;         // where the shared part begins
  uint64_t slice_bytes;  // length of each slice
  int owners;            // at most 15
  int each;              // slices that one owner has

  uint64_t bytes() const { return slice_bytes * owners * each; }
  uint64_t offset(int owner, int slice) const {
    return base + (uint64_t(slice) * owners + owner) * slice_bytes;
  }
  int owner_at(uint64_t offset) const {
    return static_cast<int>((offset - base) / slice_bytes % owners);
  }
};

class Owner {
 public:
  struct Habits {
    bool stamps = true;        // bytes say who wrote them, so that neighbours can be checked too
    bool may_fail = false;     // requests may fail for lack of memory
    bool others_zero = false;  // someone else zeroes these slices now and then
  };

  Owner(Allocator& disk, const Slices& slices, int id, Habits habits);

  // One random request. Returns what is wrong, or an empty text.
  std::string step();

  // Writes every slice; then nothing may be zero any more.
  std::string write_all();

  // Compares every slice.
  std::string verify();

 private:
  std::string change(int slice, uint64_t from, const Bytes& bytes, bool by_zero);
  std::string check(int slice, uint64_t from, uint64_t count);
  std::string check_failed(int slice, uint64_t from, const Bytes& wanted);
  std::string look_at_neighbours();
  Bytes fresh_bytes(uint64_t count);
  std::string where(int slice, uint64_t from) const;

  Allocator& disk_;
  const Slices slices_;
  const int id_;
  const Habits habits_;
  const uint64_t page_;
  Rng rng_;
  std::vector<Bytes> model_;  // by slice
  uint64_t steps_ = 0;
};

}  // namespace ramdisk::conformance

#endif
