// Compactor: what waits in the write cache becomes compressed.
//
// One page is compacted at a time, by whichever thread takes it from the queue; how its word
// changes meanwhile is drawn in page_word.h. A page that was written since it was cached waits once
// more, so that one which is rewritten all the time, such as a journal, is not compressed all the
// time.
//
// Thread contract: any thread.

#ifndef RAMDISK_ZSTD_COMPACTOR_H
#define RAMDISK_ZSTD_COMPACTOR_H

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "zstd/disk_state.h"

namespace ramdisk {

class Compactor {
 public:
  explicit Compactor(DiskState& state) : state_(state) {}

  // done: a page is off the queue, or was put back because it is being rewritten. nothing: no page
  // is due, or each one that waits was put back since the last end_round(). no_memory: there is
  // none for the result under this claim, and the page waits on.
  enum class Outcome { done, nothing, no_memory };

  // Compresses the page that has waited longest, if one is due.
  Outcome compact_one(Claim claim);

  // The caller goes to rest: what is being rewritten now has its chances anew after that.
  void end_round() { put_back_.store(0, std::memory_order_relaxed); }

  // Compacts some pages for the sake of memory, and closes the write cache until the next
  // set_limit(). Returns whether a page has left it or is about to.
  bool drain();

  // Sets how much may wait: what the user has said, or else a fixed part of what is stored; nothing
  // while memory is short.
  void set_limit();

 private:
  enum class Claimed { yes, gone, put_back };
  struct ClaimResult {
    Claimed claimed;
    PageEntry word;  // with the mark, if it was claimed
  };
  static ClaimResult claim_page(uint64_t number, PageTable::Cursor& cursor);
  Outcome compact(uint64_t number, PageEntry claimed, Claim claim, PageTable::Cursor& cursor,
                  const Epoch::Guard& guard);
  enum class Keep { for_good, until_later };
  void end_claim(uint64_t number, PageEntry claimed, Keep keep, PageTable::Cursor& cursor);

  DiskState& state_;
  std::atomic<size_t> put_back_{0};  // pages in a row
};

}  // namespace ramdisk

#endif
