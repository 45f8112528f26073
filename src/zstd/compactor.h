// Compactor: compresses the pages in the write cache.
//
// A thread takes one page at a time from the write cache and compresses it; page_entry.h draws how
// the page's entry changes meanwhile. A page that was written since it was cached goes back into
// the write cache, so that one which is rewritten constantly, such as a journal, is not compressed
// over and over.
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

  // done: a page has left the write cache, or was put back because it is being rewritten. nothing:
  // no page is due, or every cached page was put back since the last end_round(). no_memory: this
  // claim has no memory for the result, and the page stays in the write cache.
  enum class Outcome { done, nothing, no_memory };

  // Compresses the page that has been in the write cache longest, if it is due.
  Outcome compact_one(Claim claim);

  // Call before going to sleep: the pages that were put back because they were being rewritten are
  // tried again afterwards.
  void end_round() { put_back_.store(0, std::memory_order_relaxed); }

  // Compresses some pages to free memory, and closes the write cache until the next set_limit().
  // Returns whether a page has left the write cache or is about to.
  bool drain();

  // Sets the size of the write cache: what the user has asked for, or else a fixed fraction of what
  // is stored; zero while memory is short.
  void set_limit();

 private:
  enum class Claimed { yes, gone, put_back };
  struct ClaimResult {
    Claimed claimed;
    PageEntry entry;  // marked as claimed, if it was
  };
  static ClaimResult claim_page(uint64_t number, PageTable::Cursor& cursor);
  Outcome compact(uint64_t number, PageEntry claimed, Claim claim, PageTable::Cursor& cursor,
                  const Epoch::Guard& guard);
  enum class Keep { for_good, until_later };
  void end_claim(uint64_t number, PageEntry claimed, Keep keep, PageTable::Cursor& cursor);

  DiskState& state_;
  std::atomic<size_t> put_back_{0};  // consecutive pages that were put back
};

}  // namespace ramdisk

#endif
