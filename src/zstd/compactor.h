// Compactor: compresses the pages in the write cache.
//
// A thread takes a page from the write cache, and with it those of its run that wait near it, and
// compresses them together, or a single one by itself; page_entry.h draws how a page's entry
// changes meanwhile. A page that was written since it was cached goes back into the write cache, so
// that one which is rewritten constantly, such as a journal, is not compressed over and over.
//
// Thread contract: any thread.

#ifndef RAMDISK_ZSTD_COMPACTOR_H
#define RAMDISK_ZSTD_COMPACTOR_H

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "zstd/disk_state.h"
#include "zstd/page_group.h"

namespace ramdisk {

class Compactor {
 public:
  explicit Compactor(DiskState& state) : state_(state) {}

  // done: pages have left the write cache, or were put back because they are being rewritten.
  // nothing: no page is due, or every cached page was put back since the last end_round().
  // no_memory: this claim has no memory for the result, and the pages stay in the write cache.
  enum class Outcome { done, nothing, no_memory };

  // Compresses the page that has been in the write cache longest, if it is due, and neighbours with
  // it.
  Outcome compact_some(Claim claim);

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
  // The pages of a run that this thread has claimed.
  struct Batch {
    uint64_t first = 0;      // page of the run
    GroupEntries entries{};  // marked as claimed
    unsigned count = 0;
  };
  enum class Claimed { yes, gone, put_back };
  Claimed claim_page(uint64_t number, Batch& batch, PageTable::Cursor& cursor);
  Outcome put_back(unsigned count);
  Outcome compact(const Batch& batch, Claim claim, PageTable::Cursor& cursor,
                  const Epoch::Guard& guard);
  bool compact_together(const Batch& batch, Claim claim, PageTable::Cursor& cursor,
                        const Epoch::Guard& guard);
  Outcome compact_single(uint64_t number, PageEntry claimed, Claim claim, PageTable::Cursor& cursor,
                         const Epoch::Guard& guard);
  void publish(uint64_t number, PageEntry claimed, PageEntry stored, PageTable::Cursor& cursor,
               const Epoch::Guard& guard);
  enum class Keep { for_good, until_later };
  void end_claim(uint64_t number, PageEntry claimed, Keep keep, PageTable::Cursor& cursor);

  DiskState& state_;
  std::atomic<size_t> put_back_{0};  // consecutive pages that were put back
};

}  // namespace ramdisk

#endif
