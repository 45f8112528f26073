#include "base/worker_pool.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/yield.h"

namespace ramdisk {

bool WorkerPool::add(Member& member, Work what) {
  {
    MutexLock lock(mutex_);
    DCHECK(!member.joined_);
    if (!running_) {
      schedules_.resize(threads_);
      running_ = workers_.start(threads_, [this](size_t number) { return work(number); }) > 0;
      if (!running_) return false;
    }
    // All memory is taken before anything changes.
    for (Schedule& schedule : schedules_) schedule.turns.reserve(schedule.turns.size() + 1);
    member.work_ = std::move(what);
    member.index_ = schedules_.front().turns.size();
    for (Schedule& schedule : schedules_) {
      schedule.turns.push_back({Clock::time_point::min(), false, &member});
    }
    member.joined_ = true;
  }
  workers_.wake();
  return true;
}

// The last member takes the place of the one that leaves.
void WorkerPool::remove(Member& member) noexcept {
  MutexLock lock(mutex_);
  if (!member.joined_) return;
  member.leaving_ = true;
  for (Schedule& schedule : schedules_) {
    schedule.turns[member.index_].due = Clock::time_point::max();
  }
  while (member.running_ > 0) ended_.wait(mutex_);
  for (Schedule& schedule : schedules_) {
    schedule.turns[member.index_] = schedule.turns.back();
    schedule.turns.pop_back();
  }
  const auto& turns = schedules_.front().turns;
  if (member.index_ < turns.size()) turns[member.index_].member->index_ = member.index_;
  member.joined_ = false;
  member.leaving_ = false;
  member.resting_ = 0;
}

// A thread counts itself in resting_ before it looks for work one last time, and Member::wake()
// reads resting_ after the work has been made, so one of the two sees the other.
void WorkerPool::wake(Member& member) noexcept {
  {
    MutexLock lock(mutex_);
    if (!member.joined_ || member.leaving_) return;
    for (Schedule& schedule : schedules_) {
      Turn& turn = schedule.turns[member.index_];
      turn.due = Clock::time_point::min();
      turn.resting = false;
    }
    member.resting_.store(0, std::memory_order_seq_cst);
  }
  RAMDISK_YIELD("WorkerPool::wake, the turns are due");
  workers_.wake();
}

// Returns the next member whose turn is due; if there is none, sets how long that remains so.
WorkerPool::Member* WorkerPool::choose(size_t number, Delay& delay) {
  Schedule& schedule = schedules_[number];
  const size_t count = schedule.turns.size();
  const auto now = Clock::now();
  auto earliest = Clock::time_point::max();
  for (size_t i = 0, at = schedule.next; i < count; ++i, ++at) {
    if (at >= count) at = 0;
    const Turn& turn = schedule.turns[at];
    if (turn.due <= now) {
      schedule.next = at + 1;
      return turn.member;
    }
    earliest = std::min(earliest, turn.due);
  }
  delay = earliest == Clock::time_point::max() ? Workers::kUntilWoken
                                               : std::chrono::ceil<Delay>(earliest - now);
  return nullptr;
}

// A thread that found nothing says so, and looks once more before it rests. Only the thread itself
// says that it rests, so if it has said so before the look and nobody has woken it since, nothing
// came in between.
void WorkerPool::end_turn(Member& member, size_t number, Delay delay) {
  Turn& turn = schedules_[number].turns[member.index_];
  --member.running_;
  if (member.leaving_) {
    if (member.running_ == 0) ended_.notify_all();
    return;
  }
  if (delay == Delay::zero()) {
    if (std::exchange(turn.resting, false)) {
      member.resting_.fetch_sub(1, std::memory_order_seq_cst);
    }
    turn.due = Clock::time_point::min();
  } else if (!turn.resting) {
    turn.resting = true;
    member.resting_.fetch_add(1, std::memory_order_seq_cst);
    turn.due = Clock::time_point::min();
  } else {
    turn.due = delay == Workers::kUntilWoken ? Clock::time_point::max() : Clock::now() + delay;
  }
}

WorkerPool::Delay WorkerPool::work(size_t number) {
  Member* member = nullptr;
  {
    MutexLock lock(mutex_);
    Delay delay{};
    member = choose(number, delay);
    if (!member) return delay;
    ++member->running_;
  }
  RAMDISK_YIELD("WorkerPool::work, about to work");
  const Delay delay = member->work_(number);
  RAMDISK_YIELD("WorkerPool::work, has worked");
  MutexLock lock(mutex_);
  end_turn(*member, number, delay);
  return Delay::zero();
}

}  // namespace ramdisk
