#include "core/budget.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/check.h"

namespace ramdisk {

namespace {

constexpr std::array<unsigned, 3> kMarks{80, 90, 95};
constexpr unsigned kRearm = 2;  // percent below a mark, before it counts again

uint64_t kept_for_changes(uint64_t limit) {
  constexpr uint64_t kLeast = uint64_t{5} << 19;
  return std::max(limit / 32, std::min(limit / 8, kLeast));
}

}  // namespace

Budget::Budget(Options options) : options_(std::move(options)) {
  if (options_.probe) {
    spare_.emplace(options_.probe);
    spare_->read();
  }
}

bool Budget::take(uint64_t bytes) noexcept {
  const uint64_t used = used_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  if (options_.limit && used > *options_.limit) return refuse(bytes, Refusal::limit);
  if (spare_ && !spare_->take(bytes)) return refuse(bytes, Refusal::spare);
  note_level();
  return true;
}

bool Budget::refuse(uint64_t bytes, Refusal why) noexcept {
  DCHECK(used() >= bytes);
  used_.fetch_sub(bytes, std::memory_order_relaxed);
  refusal_.store(why, std::memory_order_relaxed);
  return false;
}

void Budget::give(uint64_t bytes) noexcept {
  DCHECK(used() >= bytes);
  used_.fetch_sub(bytes, std::memory_order_relaxed);
  note_level();
}

void Budget::charge(int64_t bytes) noexcept {
  DCHECK(bytes >= 0 || used() >= static_cast<uint64_t>(-bytes));
  used_.fetch_add(static_cast<uint64_t>(bytes), std::memory_order_relaxed);
  note_level();
}

// What all of it is, now: what is used and what could be taken.
uint64_t Budget::limit_now() const noexcept {
  const uint64_t spare = spare_ ? spare_->bytes() : UINT64_MAX;
  const uint64_t possible = spare == UINT64_MAX ? UINT64_MAX : used() + spare;
  return std::min(options_.limit.value_or(UINT64_MAX), possible);
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

// Who is not admitted takes nothing, so that no reading would follow by itself: a shortage of the
// system that has ended has to be looked for here, and in pressed().
bool Budget::admits_new() noexcept {
  const auto admits = [this] {
    const uint64_t limit = limit_now();
    return limit == UINT64_MAX || room() >= kept_for_changes(limit);
  };
  if (admits()) return true;
  room_now();
  if (admits()) return true;
  const uint64_t limit = limit_now();
  refusal_.store(options_.limit && limit == *options_.limit ? Refusal::limit : Refusal::spare,
                 std::memory_order_relaxed);
  return false;
}

bool Budget::pressed() noexcept {
  const auto short_of = [this](uint64_t room) { return room < limit_now() / 6; };
  return short_of(room()) && short_of(room_now());
}

// Several threads may pass a mark at once: the one that counts it says so.
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
    // It could not be said: no reason to fail.
  }
}

Status Budget::why() const noexcept {
  switch (refusal_.load(std::memory_order_relaxed)) {
    case Refusal::limit:
      return Status::error(ENOSPC, "no space left: the disk has taken all of max-memory");
    case Refusal::spare:
      return Status::error(ENOSPC,
                           "no space left: the machine, or the control group, is short of memory");
    default:
      return Status::no_memory();
  }
}

}  // namespace ramdisk
