// WorkerPool: one set of threads that does the background work of any number of owners.
//
// What each owner sees is what Workers promise it, see there. Between owners the threads take
// turns, piece by piece; an owner whose work can wait until it is woken costs nothing, so the
// threads sleep when all of them rest.
//
// Thread contract: any thread makes members; one thread calls join() and leave() of a member, any
// thread its wake(), between them or not. The first join() starts the threads, so it must come
// after the last fork. The members have left before the pool is destroyed.

#ifndef RAMDISK_BASE_WORKER_POOL_H
#define RAMDISK_BASE_WORKER_POOL_H

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/cpus.h"
#include "base/mutex.h"
#include "base/workers.h"

namespace ramdisk {

class WorkerPool {
 public:
  using Delay = Workers::Delay;
  using Work = Workers::Work;

  // An owner of work.
  class Member {
   public:
    explicit Member(WorkerPool& pool) : pool_(pool) {}
    ~Member() { leave(); }
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;

    // From now on the threads call `work`, each with its own number. Returns false if the system
    // allows no threads. Throws std::bad_alloc. Call it once.
    bool join(Work work) { return pool_.add(*this, std::move(work)); }

    // Waits for the pieces of work in progress; no more are begun. May be called again.
    void leave() noexcept { pool_.remove(*this); }

    // As Workers::wake(), for the work of this member.
    void wake() noexcept;

   private:
    friend class WorkerPool;

    WorkerPool& pool_;
    Work work_;
    // How many threads have said that they rest from this work, and have not been woken.
    std::atomic<uint32_t> resting_{0};
    // Guarded by the mutex of the pool.
    size_t index_ = 0;
    size_t running_ = 0;  // pieces of work in progress
    bool joined_ = false;
    bool leaving_ = false;
  };

  explicit WorkerPool(size_t threads = cpus()) : threads_(threads) {}

 private:
  using Clock = std::chrono::steady_clock;

  // When a thread calls a member's work next.
  struct Turn {
    Clock::time_point due;
    bool resting;  // counted in Member::resting_
    Member* member;
  };
  struct Schedule {
    std::vector<Turn> turns{};  // by the members' index
    size_t next = 0;            // where the next look begins
  };

  bool add(Member& member, Work what) EXCLUDES(mutex_);
  void remove(Member& member) noexcept EXCLUDES(mutex_);
  void wake(Member& member) noexcept EXCLUDES(mutex_);
  Delay work(size_t number) EXCLUDES(mutex_);
  Member* choose(size_t number, Delay& delay) REQUIRES(mutex_);
  void end_turn(Member& member, size_t number, Delay delay) REQUIRES(mutex_);

  const size_t threads_;
  Mutex mutex_;
  std::condition_variable_any ended_;                   // the work of a member that leaves
  std::vector<Schedule> schedules_ GUARDED_BY(mutex_);  // by the number of the thread
  bool running_ GUARDED_BY(mutex_) = false;
  Workers workers_;  // declared last, so that the threads end first
};

inline void WorkerPool::Member::wake() noexcept {
  if (resting_.load(std::memory_order_seq_cst) > 0) pool_.wake(*this);
}

}  // namespace ramdisk

#endif
