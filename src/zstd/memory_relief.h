// MemoryRelief: a compressing disk whose memory runs short. Before it refuses a request it empties
// the write cache and turns gaps into memory; after a trim it gives memory back at once.
//
// Thread contract: any thread.

#ifndef RAMDISK_ZSTD_MEMORY_RELIEF_H
#define RAMDISK_ZSTD_MEMORY_RELIEF_H

#include <atomic>

#include "base/patience.h"
#include "zstd/cleaner.h"
#include "zstd/compactor.h"
#include "zstd/disk_state.h"

namespace ramdisk {

class MemoryRelief {
 public:
  MemoryRelief(DiskState& state, Compactor& compactor, Cleaner& cleaner)
      : state_(state), compactor_(compactor), cleaner_(cleaner) {}

  // Runs `request`, and runs it again as long as it fails for lack of memory, some has been made or
  // is on its way, and the patience lasts. The caller is not pinned, or nothing could come free. A
  // request that admit() refuses needs memory that only the write cache can give.
  template <typename Request>
  Status with_memory(Patience& patience, Request request) {
    Status status = request();
    bool hope = true;
    for (int round = 0; hope && !status.ok() && patience.left(); ++round) {
      if (status.errnum() != ENOMEM && status.errnum() != ENOSPC) break;
      hope = status.errnum() == ENOMEM ? make_room(round) : compactor_.drain();
      status = request();
    }
    return status.errnum() == ENOSPC ? Status::no_memory() : status;
  }

  // Pages have been trimmed while memory was short: what is free now goes back at once; gaps are
  // left to the background, if there is one.
  void note_trimmed();

  // Gives back a piece of what was trimmed. nothing: there is no more at present. busy: another
  // thread is cleaning, and comes here again.
  enum class Returned { some, nothing, busy };
  Returned return_trimmed();

  // Whether return_trimmed() may find something.
  bool trimmed() const { return trimmed_.load(std::memory_order_seq_cst); }

 private:
  bool make_room(int round);

  DiskState& state_;
  Compactor& compactor_;
  Cleaner& cleaner_;
  std::atomic<bool> trimmed_{false};  // while memory was short, and gaps may be left of it
};

}  // namespace ramdisk

#endif
