// WorkerLoop: chooses what a worker of a compressing disk does next, in the order of urgency.
//
// Thread contract: each worker calls work() with its own number. The first worker's own work,
// Maintenance, can be reached only from here, and only with the number 0.

#ifndef RAMDISK_ZSTD_WORKER_LOOP_H
#define RAMDISK_ZSTD_WORKER_LOOP_H

#include <cstddef>

#include "base/workers.h"
#include "zstd/cleaner.h"
#include "zstd/compactor.h"
#include "zstd/disk_state.h"
#include "zstd/maintenance.h"
#include "zstd/memory_relief.h"

namespace ramdisk {

class WorkerLoop {
 public:
  WorkerLoop(DiskState& state, Compactor& compactor, Cleaner& cleaner, MemoryRelief& relief)
      : state_(state),
        compactor_(compactor),
        cleaner_(cleaner),
        relief_(relief),
        maintenance_(state, compactor, cleaner, relief) {}

  // Does one piece of work. Returns how long to wait after it (see Workers::Work).
  Workers::Delay work(size_t worker);

 private:
  Workers::Delay do_work(size_t worker);
  bool do_shared_work();

  DiskState& state_;
  Compactor& compactor_;
  Cleaner& cleaner_;
  MemoryRelief& relief_;
  Maintenance maintenance_;
};

}  // namespace ramdisk

#endif
