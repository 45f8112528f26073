// Maintenance: the work of the first worker alone, and the order in which it is done.
//
// Time passes in ticks for as long as time can change anything. The order of urgency is: a tick;
// training; the work that all workers share (see WorkerLoop); recompression; renewal of pages with
// old dictionaries; tidying up. The ticks decide the state of the disk:
//
//                 a tick: pages or memory have changed
//        ┌──────────────────┬───────────────────┬──────────────────┐
//        ▼                  │                   │                  │
//     changing ────────▶  idle ────────────▶ tidied ────────────▶ tidy
//             a tick: no    ▲    tidied up     │    a tick: no     │
//             change        │                  │    change         │
//                           └──────────────────┴───────────────────┘
//                             something was recompressed or renewed
//
// A tidy disk has no gaps and no free memory. If, in addition, the write cache is empty and the
// recompression walk is finished, the worker becomes quiet: it declares that, stays in `tidied` for
// one more tick and walk in case something came at that moment, and then sleeps until it is woken.
//
// Thread contract: the first worker alone.

#ifndef RAMDISK_ZSTD_MAINTENANCE_H
#define RAMDISK_ZSTD_MAINTENANCE_H

#include <chrono>
#include <cstdint>

#include "base/workers.h"
#include "zstd/cleaner.h"
#include "zstd/compactor.h"
#include "zstd/disk_state.h"
#include "zstd/memory_relief.h"
#include "zstd/recompressor.h"
#include "zstd/trainer.h"

namespace ramdisk {

class Maintenance {
 public:
  Maintenance(DiskState& state, Compactor& compactor, Cleaner& cleaner, MemoryRelief& relief)
      : state_(state),
        compactor_(compactor),
        cleaner_(cleaner),
        relief_(relief),
        trainer_(state),
        recompressor_(state, cleaner, trainer_) {}

  // Does the work that comes before all other work. Returns whether there was any.
  bool do_first();

  // Does one step of the work that comes when there is no other. Returns how long to wait before
  // the next step, which may be zero.
  Workers::Delay do_last();

 private:
  using Clock = std::chrono::steady_clock;

  // See the drawing above.
  enum class Upkeep { changing, idle, tidied, tidy };

  // Compared from one tick to the next, to see whether the disk has changed.
  struct Totals {
    uint64_t compressed_pages = 0;
    uint64_t stored_pages = 0;
    uint64_t memory_bytes = 0;
    bool operator==(const Totals&) const = default;
  };

  Totals current_totals() const;
  // idle: the disk did not change between the last two ticks, nor since.
  Trainer::Occasion occasion() const {
    const bool idle = upkeep_ != Upkeep::changing && current_totals() == totals_;
    return idle ? Trainer::Occasion::idle : Trainer::Occasion::busy;
  }
  bool tick_if_due();
  void tick();
  void note_totals(const Totals& totals);
  void note_untidy() {
    if (upkeep_ != Upkeep::changing) upkeep_ = Upkeep::idle;
  }
  Workers::Delay recompress();
  Workers::Delay renew();
  Workers::Delay tidy_up();

  DiskState& state_;
  Compactor& compactor_;
  Cleaner& cleaner_;
  MemoryRelief& relief_;
  Trainer trainer_;
  Recompressor recompressor_;
  Clock::time_point last_tick_{};
  uint32_t time_ = 0;  // in ticks
  Totals totals_;      // at the last tick
  Upkeep upkeep_ = Upkeep::tidy;
};

}  // namespace ramdisk

#endif
