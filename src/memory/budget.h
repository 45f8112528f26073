// Budget: how much memory the disks of a process may take, and how much they have taken.
//
// Two things bound it: a limit that the user gave, and what the system can spare (SpareMemory). A
// refusal changes nothing; the client is then told that the disk is full.
//
//   0 ─────────────────────────────── limit - kept - reclaim ──── limit - reclaim ──── limit
//     new pages                    │   changes to stored pages  │     reclaim alone  │
//
// Invariants:
//   1. used() is what was charged less what was uncharged.
//   2. used() never exceeds the limit, not for a moment. Only Claim::rewrite and Claim::reclaim
//      take it beyond the limit less what is kept for reclaim.
//
// Thread contract: any thread. on_mark is called by the thread that passes the mark, which may hold
// locks, so it must not call back.

#ifndef RAMDISK_MEMORY_BUDGET_H
#define RAMDISK_MEMORY_BUDGET_H

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>

#include "memory/claim.h"
#include "memory/spare_memory.h"
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
    SpareMemory::Probe probe{};       // empty: what the system can spare does not count
    OnMark on_mark{};                 // called at 80, 90 and 95 %, and again after a fall below
  };

  explicit Budget(Options options);

  // Reserves `bytes` more of the limit for Claim::reclaim. A disk calls it before its first
  // charge(), and at its end no longer needs what it has reserved.
  void keep_for_reclaim(uint64_t bytes) noexcept {
    reclaim_.fetch_add(bytes, std::memory_order_relaxed);
  }
  void end_keeping(uint64_t bytes) noexcept {
    reclaim_.fetch_sub(bytes, std::memory_order_relaxed);
  }

  // Counts `bytes` more. Returns false, and counts nothing, when there is no room for them.
  bool charge(uint64_t bytes, Claim claim = Claim::data) noexcept;
  void uncharge(uint64_t bytes) noexcept;

  // Whether memory that is free, but still counted, may be used for `claim`.
  bool may_use(Claim claim) noexcept;

  // Records that the system itself has refused memory.
  void note_refused_by_system() noexcept { refusal_ = Refusal::system; }

  uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  std::optional<uint64_t> limit() const { return options_.limit; }

  // How many more bytes may be charged, by the last reading of what the system can spare (room) or
  // by a new one (room_now).
  uint64_t room() const noexcept;
  uint64_t room_now() noexcept;

  // What sets room(), for people: a literal.
  const char* what_bounds_room() const noexcept;

  // Whether a disk may get new pages if it then needs `needed` bytes in all: what is kept for
  // reclaim and for changes has to be left. If not, this counts as a refusal.
  bool admits_new(uint64_t needed) noexcept { return admits(needed, 1); }

  // Whether a page may grow if the disk then needs `needed` bytes in all: half of what is kept for
  // changes has to be left if it grows `much`, else an eighth. So data that compresses worse does
  // not use up what data that compresses as well as before, on average, needs; and there is always
  // something for the cleaner to find.
  bool admits_growth(uint64_t needed, bool much) noexcept { return admits(needed, much ? 2 : 8); }

  // Whether less than 1/6 of the limit is left.
  bool under_pressure() noexcept;

  // Whether a user has chosen the limit, or more than half of it has been used.
  bool may_become_short() noexcept;

  // What is kept for changes out of `limit` bytes.
  static uint64_t kept_for_changes(uint64_t limit);
  // The least limit that leaves `bytes` beyond that.
  static uint64_t least_limit(uint64_t bytes);

  // What to tell the client when there was no memory: ENOSPC if the last refusal was this budget's,
  // else ENOMEM. The message is a literal.
  Status why() const noexcept;

 private:
  // kept: what is left of the limit is kept for changes.
  enum class Refusal { none, limit, kept, spare, system };

  bool refuse(Refusal why) noexcept;
  bool admits(uint64_t needed, uint64_t part) noexcept;
  uint64_t left_alone(Claim claim, uint64_t limit) const noexcept;
  bool spares(uint64_t bytes, Claim claim) noexcept;
  uint64_t limit_now() const noexcept;
  bool limit_is_the_users() const noexcept;
  void note_level() noexcept;

  const Options options_;
  std::atomic<uint64_t> reclaim_{0};  // bytes
  std::optional<SpareMemory> spare_;
  std::atomic<uint64_t> used_{0};
  std::atomic<Refusal> refusal_{Refusal::none};  // the last one
  std::atomic<unsigned> marks_{0};               // how many are passed now
};

}  // namespace ramdisk

#endif
