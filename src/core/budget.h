// Budget: how much memory a disk may take, and how much it has.
//
// Two things can end it: a limit that the user gave, and what the system can spare (SpareMemory).
// A refusal leaves everything as it was; whoever is refused tells the client that the disk is full.
//
// Invariants:
//   1. used() is what was taken and charged less what was given back.
//   2. take() succeeds only if used() stays within the limit. charge() always counts.
//
// Thread contract: any thread. The function on_mark is called by whichever thread passes the mark,
// which may hold locks: it must not call back.

#ifndef RAMDISK_CORE_BUDGET_H
#define RAMDISK_CORE_BUDGET_H

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>

#include "core/spare_memory.h"
#include "ramdisk/status.h"

namespace ramdisk {

class Budget {
 public:
  // A mark has been passed: `used` is `percent` % of `limit` or more, in bytes.
  struct Mark {
    unsigned percent;
    uint64_t used;
    uint64_t limit;
  };
  using OnMark = std::function<void(const Mark&)>;

  struct Options {
    std::optional<uint64_t> limit{};  // bytes
    SpareMemory::Probe probe{};       // none: what the system can spare is not asked
    OnMark on_mark{};  // called at 80, 90 and 95 %, each time anew after a fall below
  };

  explicit Budget(Options options);

  // Counts `bytes` more. False, and nothing is counted, when there is no room for them.
  bool take(uint64_t bytes) noexcept;
  void give(uint64_t bytes) noexcept;
  void charge(int64_t bytes) noexcept;  // counts what has been taken, or given back, in any case

  // The system itself has refused memory.
  void note_refused_by_system() noexcept { refusal_ = Refusal::system; }

  uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  std::optional<uint64_t> limit() const { return options_.limit; }

  // How many bytes take() would allow now, by the last reading of what the system can spare.
  uint64_t room() const noexcept;
  // The same, by a new reading.
  uint64_t room_now() noexcept;

  // Whether more is left than is kept for changing what there is: 1/32 of the limit, but at least
  // 2.5 MiB or, of a limit below 20 MiB, 1/8. Counts as a refusal if not.
  bool admits_new() noexcept;
  // Whether less than 1/6 is left.
  bool pressed() noexcept;

  // What to tell the client, when memory could not be had: ENOSPC if the last refusal was this
  // budget's, else ENOMEM. The message is a literal.
  Status why() const noexcept;

 private:
  enum class Refusal { none, limit, spare, system };

  bool refuse(uint64_t bytes, Refusal why) noexcept;
  uint64_t limit_now() const noexcept;
  void note_level() noexcept;

  const Options options_;
  std::optional<SpareMemory> spare_;
  std::atomic<uint64_t> used_{0};
  std::atomic<Refusal> refusal_{Refusal::none};  // the last one
  std::atomic<unsigned> marks_{0};               // passed now
};

}  // namespace ramdisk

#endif
