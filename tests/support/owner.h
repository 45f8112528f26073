// One of several clients that share a disk. Each byte belongs to at most one owner, which alone
// writes it and knows what it must read as, while its neighbours in the same page change theirs.
//
//   slices:  | owner 0 | owner 1 | owner 2 | owner 0 | owner 1 | owner 2 | ...
//   pages:   |        page        |        page        |        page       ...
//
// Functions that can find something wrong return it as a text, which is empty if nothing is.
//
// Thread contract: an Owner belongs to its thread; another one may call verify() when that thread
// has ended.

#ifndef RAMDISK_SUPPORT_OWNER_H
#define RAMDISK_SUPPORT_OWNER_H

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ramdisk/allocator.h"
#include "support/data.h"

namespace ramdisk::support {

// Blocks of one length at equal distances.
struct Blocks {
  uint64_t base;    // of the first one
  uint64_t length;  // of each
  uint64_t stride;  // from one to the next
  uint64_t count;
};

// A part of a disk that owners share in turns.
struct Slices {
  uint64_t base;         // where the shared part begins
  uint64_t slice_bytes;  // length of each slice
  int owners;            // at most 15
  int each;              // slices that one owner has

  uint64_t bytes() const { return slice_bytes * owners * each; }
  Blocks blocks(int owner) const {
    return {base + owner * slice_bytes, slice_bytes, slice_bytes * owners, uint64_t(each)};
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
    bool others_zero = false;  // another thread zeroes these slices now and then
  };

  // The blocks read as zeroes when the owner comes.
  Owner(Allocator& disk, const Slices& slices, int id, Habits habits);
  Owner(Allocator& disk, const std::vector<Blocks>& blocks, int id, uint64_t page_bytes);

  // The blocks read as `base` does, of which the disk is a clone.
  void begin_with(Allocator& base);

  // Makes one random request.
  std::string step();

  // Writes every block: stamps, or else bytes that do not compress.
  std::string write_all();

  // Compares every block.
  std::string verify();

  uint64_t steps() const { return steps_; }
  uint64_t verified_bytes() const { return verified_bytes_; }

 private:
  struct Block {
    uint64_t offset;
    Bytes model;
  };

  void add(const Blocks& blocks);
  std::string change(Block& block, uint64_t from, const Bytes& bytes, bool by_zero);
  std::string check(Block& block, uint64_t from, uint64_t count);
  std::string check_failed(Block& block, uint64_t from, const Bytes& wanted);
  std::string check_extents(const Block& block, uint64_t from, uint64_t count);
  std::string look_at_neighbours();
  Bytes stamped_bytes(uint64_t count);
  std::string where(uint64_t offset) const;

  Allocator& disk_;
  const std::optional<Slices> shared_;
  const int id_;
  const Habits habits_;
  const uint64_t page_;
  Rng rng_;
  std::vector<Block> blocks_;
  uint64_t steps_ = 0;
  uint64_t verified_bytes_ = 0;
};

}  // namespace ramdisk::support

#endif
