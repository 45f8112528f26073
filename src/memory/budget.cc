#include "memory/budget.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"

namespace ramdisk {

namespace {

constexpr std::array<unsigned, 3> kMarks{80, 90, 95};
constexpr unsigned kRearm = 2;  // percent below a mark where it is armed again

}  // namespace

Budget::Budget(Options options) : options_(std::move(options)) {
  if (options_.probe) {
    spare_.emplace(options_.probe);
    spare_->read();
  }
}

uint64_t Budget::kept_for_changes(uint64_t limit) {
  constexpr uint64_t kLeast = uint64_t{3} << 19;
  return std::max(limit / 48, std::min(limit / 8, kLeast));
}

uint64_t Budget::least_limit(uint64_t bytes) {
  uint64_t limit = bytes;
  while (limit - kept_for_changes(limit) < bytes) {
    limit = bytes + kept_for_changes(limit);
  }
  return limit;
}

uint64_t Budget::left_alone(Claim claim, uint64_t limit) const noexcept {
  const uint64_t reclaim = reclaim_.load(std::memory_order_relaxed);
  switch (claim) {
    case Claim::optional:
      return std::max(limit / 6, reclaim + kept_for_changes(limit));
    case Claim::data:
      return reclaim;
    case Claim::rewrite:
      return reclaim / 3 * 2;
    case Claim::reclaim:
      break;
  }
  return 0;
}

// The limit is checked before the system is asked, and once more when `bytes` are counted, because
// other threads charge too. Nothing is counted first and undone later: that would refuse others
// memory that is there.
bool Budget::charge(uint64_t bytes, Claim claim) noexcept {
  const uint64_t limit = options_.limit.value_or(UINT64_MAX);
  const uint64_t alone = options_.limit ? left_alone(claim, limit) : 0;
  const uint64_t most = limit > alone ? limit - alone : 0;
  const auto fits = [&](uint64_t used) { return used <= most && bytes <= most - used; };
  uint64_t used = used_.load(std::memory_order_relaxed);
  if (!fits(used)) return refuse(Refusal::limit);
  if (!spares(bytes, claim)) return refuse(Refusal::spare);
  while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed)) {
    if (fits(used)) continue;
    if (spare_) spare_->give(bytes);
    return refuse(Refusal::limit);
  }
  note_level();
  return true;
}

// Whether the system can spare `bytes` for this claim; deducts them from the reading if so.
bool Budget::spares(uint64_t bytes, Claim claim) noexcept {
  if (!spare_) return true;
  if (claim != Claim::reclaim && spare_->bytes() != UINT64_MAX) {
    const auto leaves_enough = [&] {
      const uint64_t spare = spare_->bytes();
      return spare >= bytes && spare - bytes >= left_alone(claim, limit_now());
    };
    if (!leaves_enough()) {
      spare_->read();
      if (!leaves_enough()) return false;
    }
  }
  return spare_->take(bytes);
}

bool Budget::may_use(Claim claim) noexcept {
  if (claim == Claim::reclaim || reclaim_ == 0) return true;
  const auto may = [&] {
    const uint64_t limit = limit_now();
    return limit == UINT64_MAX || room() >= left_alone(claim, limit);
  };
  if (may()) return true;
  room_now();
  return may();
}

bool Budget::refuse(Refusal why) noexcept {
  refusal_.store(why, std::memory_order_relaxed);
  return false;
}

void Budget::uncharge(uint64_t bytes) noexcept {
  DCHECK(used() >= bytes);
  used_.fetch_sub(bytes, std::memory_order_relaxed);
  note_level();
}

// The limit in force now: what the user gave, or what is used and could still be taken, if that is
// less.
uint64_t Budget::limit_now() const noexcept {
  const uint64_t spare = spare_ ? spare_->bytes() : UINT64_MAX;
  const uint64_t possible = spare == UINT64_MAX ? UINT64_MAX : used() + spare;
  return std::min(options_.limit.value_or(UINT64_MAX), possible);
}

bool Budget::limit_is_the_users() const noexcept {
  return options_.limit && limit_now() == *options_.limit;
}

const char* Budget::what_bounds_room() const noexcept {
  return limit_is_the_users() ? "max-memory"
                              : "the reserve for the system, which max-memory=none gives up";
}

uint64_t Budget::room() const noexcept {
  const uint64_t limit = limit_now();
  const uint64_t now = used();
  return limit > now ? limit - now : 0;
}

uint64_t Budget::room_now() noexcept {
  if (spare_) spare_->read();
  return room();
}

// A request that is not admitted charges nothing, so no reading would follow by itself: the end of
// a shortage of the system has to be looked for here, and in under_pressure().
bool Budget::admits(uint64_t needed, uint64_t part) noexcept {
  const auto good = [&] {
    const uint64_t limit = limit_now();
    const uint64_t kept = reclaim_ + kept_for_changes(limit) / part;
    return limit == UINT64_MAX || (needed <= limit && limit - needed >= kept);
  };
  if (good()) return true;
  if (spare_) {
    spare_->read();
    if (good()) return true;
  }
  return refuse(limit_is_the_users() ? Refusal::kept : Refusal::spare);
}

bool Budget::under_pressure() noexcept {
  const auto short_of = [this](uint64_t room) { return room < limit_now() / 6; };
  return short_of(room()) && short_of(room_now());
}

bool Budget::may_become_short() noexcept {
  return options_.limit.has_value() || used() > limit_now() / 2;
}

// Several threads may pass a mark at once: the one that counts it reports it.
void Budget::note_level() noexcept {
  const uint64_t limit = limit_now();
  if (!options_.on_mark || limit == UINT64_MAX || limit < 100) return;
  const uint64_t now = used();
  const auto at_least = [&](unsigned percent) { return now / percent >= limit / 100; };
  unsigned marks = marks_.load(std::memory_order_relaxed);
  while (marks > 0 && !at_least(kMarks[marks - 1] - kRearm)) {
    if (marks_.compare_exchange_weak(marks, marks - 1, std::memory_order_relaxed)) --marks;
  }
  unsigned passed = marks;
  while (passed < kMarks.size() && at_least(kMarks[passed])) ++passed;
  if (passed == marks) return;
  if (!marks_.compare_exchange_strong(marks, passed, std::memory_order_relaxed)) return;
  try {
    options_.on_mark({kMarks[passed - 1], now, limit});
  } catch (...) {
    // A mark that cannot be reported is no reason to fail.
  }
}

Status Budget::why() const noexcept {
  switch (refusal_.load(std::memory_order_relaxed)) {
    case Refusal::limit:
      return Status::error(ENOSPC, "no space left: the disk has taken all of max-memory");
    case Refusal::kept:
      return Status::error(ENOSPC,
                           "no space left: the rest of max-memory is kept for changes to what is "
                           "stored");
    case Refusal::spare:
      return Status::error(ENOSPC,
                           "no space left: the machine, or the control group, is short of memory");
    default:
      return Status::no_memory();
  }
}

}  // namespace ramdisk
