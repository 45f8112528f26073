// Pool: a few expensive objects, each lent for a short time.
//
// zstd's contexts cost up to a megabyte and nbdkit starts up to 16 threads a connection, so
// contexts belong to a pool and not to threads, and their number is limited. The first one is made
// at the start, so that requests can be finished even if memory runs out later.
//
// Thread contract: any thread. A thread that finds every object lent out waits; waiters are served
// in the order of their arrival.

#ifndef RAMDISK_BASE_POOL_H
#define RAMDISK_BASE_POOL_H

#include <atomic>
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
  // A place in the queue, on the stack of the waiting thread. (condition_variable_any would
  // allocate memory.)
  struct Waiter {
    std::unique_ptr<T> thing;
    std::atomic<int> arrived{0};
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
    if (!idle_.empty()) {
      std::unique_ptr<T> thing = std::move(idle_.back());
      idle_.pop_back();
      return thing;
    }
    Waiter waiter;
    (last_waiter_ ? last_waiter_->next : first_waiter_) = &waiter;
    last_waiter_ = &waiter;
    mutex_.unlock();
    RAMDISK_YIELD("Pool::borrow, in the queue");
    waiter.arrived.wait(0, std::memory_order_acquire);
    mutex_.lock();
    return std::move(waiter.thing);
  }

  void free(std::unique_ptr<T> thing) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    CHECK(thing && idle_.size() < made_);
    if (!first_waiter_) {
      idle_.push_back(std::move(thing));
      return;
    }
    DCHECK(idle_.empty());  // otherwise nobody would be waiting
    Waiter* waiter = first_waiter_;
    first_waiter_ = waiter->next;
    if (!first_waiter_) last_waiter_ = nullptr;
    waiter->thing = std::move(thing);
    waiter->arrived.store(1, std::memory_order_release);
    waiter->arrived.notify_one();  // under the mutex; without it the waiter might be gone
  }

  const std::function<std::unique_ptr<T>()> make_;
  const size_t most_;
  Mutex mutex_;
  std::vector<std::unique_ptr<T>> idle_ GUARDED_BY(mutex_);
  Waiter* first_waiter_ GUARDED_BY(mutex_) = nullptr;
  Waiter* last_waiter_ GUARDED_BY(mutex_) = nullptr;
  size_t made_ GUARDED_BY(mutex_) = 0;
};

}  // namespace ramdisk

#endif
