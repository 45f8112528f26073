// WorkerLoop: what a worker of a compressing disk does next, in the order of urgency.
//
// Thread contract: work() by the worker that has this number. The object of the first worker's own
// work, Maintenance, is reachable only here and only for the number 0.

#ifndef RAMDISK_ALLOC_WORKER_LOOP_H
#define RAMDISK_ALLOC_WORKER_LOOP_H

#include <cstddef>

#include "alloc/cleaner.h"
#include "alloc/compactor.h"
#include "alloc/disk_state.h"
#include "alloc/maintenance.h"
#include "alloc/memory_relief.h"
#include "core/workers.h"

namespace ramdisk {

class WorkerLoop {
 public:
  WorkerLoop(DiskState& state, Compactor& compactor, Cleaner& cleaner, MemoryRelief& relief)
      : state_(state),
        compactor_(compactor),
        cleaner_(cleaner),
        relief_(relief),
        maintenance_(state, compactor, cleaner, relief) {}

  // One piece of work. Returns how long to rest after it (see Workers::Work).
  Workers::Rest work(size_t worker);

 private:
  Workers::Rest do_work(size_t worker);
  bool do_shared_work();

  DiskState& state_;
  Compactor& compactor_;
  Cleaner& cleaner_;
  MemoryRelief& relief_;
  Maintenance maintenance_;
};

}  // namespace ramdisk

#endif
