// Pool: a few expensive objects, each lent for a short time.
//
// zstd's contexts cost up to a megabyte and nbdkit starts up to 16 threads a connection, so
// contexts belong to a pool and not to threads, and their number is limited. The first one is made
// at the start, so that requests can be finished even if memory runs out later.
//
// Thread contract: any thread. A thread that finds every object lent out waits. Waiters are served
// in the order of their arrival, but a thread that does not wait yet may pass them: an object that
// comes back belongs to whoever takes it first, usually a thread that is running already. If it
// were the oldest waiter's, nobody could use it until that thread had a CPU, and under load every
// use would cost a switch of threads. Only a thread that has waited for ten milliseconds is given
// the next object that comes back. (Go's sync.Mutex has such a rule, too.)

#ifndef RAMDISK_BASE_POOL_H
#define RAMDISK_BASE_POOL_H

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/mutex.h"
#include "base/yield.h"

namespace ramdisk {

template <typename T>
class Pool {
 public:
  // `make` returns nullptr or throws std::bad_alloc when there is no memory. At most `most` (>= 1)
  // objects are made.
  Pool(std::function<std::unique_ptr<T>()> make, size_t most)
      : make_(std::move(make)), most_(most) {
    idle_.reserve(most);
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Makes the first object. Returns false when there is no memory; then nothing may be borrowed.
  bool prepare() EXCLUDES(mutex_) {
    std::unique_ptr<T> thing = make_();
    if (!thing) return false;
    MutexLock lock(mutex_);
    CHECK(made_ < most_);
    idle_.push_back(std::move(thing));
    ++made_;
    return true;
  }

  // Borrows one object for as long as the lease lives.
  class Lease {
   public:
    explicit Lease(Pool& pool) : pool_(pool), thing_(pool.borrow()) {}
    ~Lease() { pool_.free(std::move(thing_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    T& operator*() const { return *thing_; }
    T* operator->() const { return thing_.get(); }

   private:
    Pool& pool_;
    std::unique_ptr<T> thing_;
  };

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kPatience{10};

  // A place in the queue, on the stack of the waiting thread.
  struct Waiter {
    const Clock::time_point since = Clock::now();
    std::unique_ptr<T> thing;  // once it has been given one; then it has left the queue
    std::atomic<int> woken{0};
    Waiter* next = nullptr;
  };

  std::unique_ptr<T> borrow() EXCLUDES(mutex_) {
    {
      MutexLock lock(mutex_);
      if (!idle_.empty() || made_ == most_) return idle_or_wait();
      ++made_;
    }
    try {
      if (std::unique_ptr<T> thing = make_()) return thing;
    } catch (const std::bad_alloc&) {
    }
    // There is no memory for another one, but at least the first exists and can be waited for.
    MutexLock lock(mutex_);
    CHECK(made_ > 1 && made_ <= most_);
    --made_;
    return idle_or_wait();
  }

  std::unique_ptr<T> idle_or_wait() REQUIRES(mutex_) {
    if (!idle_.empty()) return take_idle();
    Waiter waiter;
    join_queue(waiter);
    while (idle_.empty() && !waiter.thing) {
      mutex_.unlock();
      RAMDISK_YIELD("Pool::borrow, in the queue");
      waiter.woken.wait(0, std::memory_order_acquire);
      mutex_.lock();
      waiter.woken.store(0, std::memory_order_relaxed);
    }
    if (waiter.thing) return std::move(waiter.thing);
    CHECK(&waiter == first_waiter_);  // only the first one is woken
    leave_queue();
    std::unique_ptr<T> thing = take_idle();
    if (!idle_.empty()) wake_first();
    return thing;
  }

  std::unique_ptr<T> take_idle() REQUIRES(mutex_) {
    std::unique_ptr<T> thing = std::move(idle_.back());
    idle_.pop_back();
    return thing;
  }

  // Not inlined, or gcc 12 warns that the pointers outlive the waiter.
  [[gnu::noinline]] void join_queue(Waiter& waiter) REQUIRES(mutex_) {
    (last_waiter_ ? last_waiter_->next : first_waiter_) = &waiter;
    last_waiter_ = &waiter;
  }

  // Takes out the first waiter.
  Waiter* leave_queue() REQUIRES(mutex_) {
    Waiter* waiter = first_waiter_;
    first_waiter_ = waiter->next;
    if (!first_waiter_) last_waiter_ = nullptr;
    return waiter;
  }

  // Under the mutex, because without it the waiter might be gone.
  void wake(Waiter* waiter) REQUIRES(mutex_) {
    if (waiter->woken.exchange(1, std::memory_order_release) == 0) waiter->woken.notify_one();
  }
  void wake_first() REQUIRES(mutex_) {
    if (first_waiter_) wake(first_waiter_);
  }

  void free(std::unique_ptr<T> thing) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    CHECK(thing && idle_.size() < made_);
    if (first_waiter_ && Clock::now() - first_waiter_->since > kPatience) {
      Waiter* waiter = leave_queue();
      waiter->thing = std::move(thing);
      wake(waiter);
    } else {
      idle_.push_back(std::move(thing));
    }
    if (!idle_.empty()) wake_first();
  }

  const std::function<std::unique_ptr<T>()> make_;
  const size_t most_;
  Mutex mutex_;
  // While it is not empty, the first waiter is awake: woken, or about to look.
  std::vector<std::unique_ptr<T>> idle_ GUARDED_BY(mutex_);
  Waiter* first_waiter_ GUARDED_BY(mutex_) = nullptr;
  Waiter* last_waiter_ GUARDED_BY(mutex_) = nullptr;
  size_t made_ GUARDED_BY(mutex_) = 0;
};

}  // namespace ramdisk

#endif
