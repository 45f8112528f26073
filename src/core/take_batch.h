// Takes blocks from an arena several at a time, for a request that will need about so many.
//
// What was taken and not used goes back when the batch ends. Not for use by several threads.

#ifndef RAMDISK_CORE_TAKE_BATCH_H
#define RAMDISK_CORE_TAKE_BATCH_H

#include <algorithm>
#include <cstddef>

#include "core/arena.h"
#include "core/check.h"

namespace ramdisk {

class TakeBatch {
 public:
  struct Block {
    std::byte* base = nullptr;  // nullptr: no memory
    bool clean = false;         // every byte is zero
  };

  explicit TakeBatch(Arena& arena) : arena_(arena) {}
  ~TakeBatch() { arena_.give_back(run_); }
  TakeBatch(const TakeBatch&) = delete;
  TakeBatch& operator=(const TakeBatch&) = delete;

  // One block. `expected` (>= 1) is how many the request may need from here on, this one included.
  Block take(size_t expected) {
    DCHECK(expected >= 1);
    if (run_.count == 0) run_ = arena_.take(std::min(expected, kMost));
    if (run_.count == 0) return {};
    const Block block{run_.base, run_.clean};
    run_.base += arena_.block_bytes();
    --run_.count;
    return block;
  }

 private:
  static constexpr size_t kMost = 64;

  Arena& arena_;
  Arena::Run run_;
};

}  // namespace ramdisk

#endif
