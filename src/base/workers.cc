#include "base/workers.h"

#include <csignal>
#include <new>
#include <system_error>

#include "base/check.h"
#include "base/yield.h"

namespace ramdisk {

namespace {

// Blocks all signals while it lives: a thread inherits the mask of the one that starts it, and
// signals are for the server's own threads.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

}  // namespace

size_t Workers::start(size_t count, Work work) {
  DCHECK(threads_.empty() && resting_ == 0);
  const SignalsBlocked blocked;
  work_ = std::move(work);
  stopping_.store(false, std::memory_order_relaxed);
  try {
    threads_.reserve(count);
    for (size_t i = 0; i < count; ++i) threads_.emplace_back([this, i] { run(i); });
  } catch (const std::system_error&) {  // the system starts no more threads
  } catch (const std::bad_alloc&) {
  }
  return threads_.size();
}

void Workers::stop() noexcept {
  {
    MutexLock lock(mutex_);
    stopping_.store(true, std::memory_order_relaxed);
    woken_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

// A worker counts itself in resting_ before it looks for work one last time, and wake() reads
// resting_ after the work has been made, so one of the two sees the other.
void Workers::wake() noexcept {
  if (resting_.load(std::memory_order_seq_cst) == 0) return;
  RAMDISK_YIELD("Workers::wake, someone rests");
  MutexLock lock(mutex_);
  ++calls_;
  resting_.store(0, std::memory_order_seq_cst);
  woken_.notify_all();
}

// Counts this thread in resting_, and returns how many calls of wake() there have been.
uint64_t Workers::begin_rest() {
  MutexLock lock(mutex_);
  resting_.fetch_add(1, std::memory_order_seq_cst);
  return calls_;
}

// A thread that wake() has woken is no longer counted.
void Workers::end_rest(uint64_t calls) {
  MutexLock lock(mutex_);
  if (calls != calls_) return;
  CHECK(resting_ > 0);
  resting_.fetch_sub(1, std::memory_order_seq_cst);
}

void Workers::run(size_t number) noexcept {
  while (!stopping_.load(std::memory_order_relaxed)) {
    if (work_(number) == Delay::zero()) continue;
    RAMDISK_YIELD("Workers::run, looked once");
    const uint64_t calls = begin_rest();
    RAMDISK_YIELD("Workers::run, said that it rests");
    const Delay delay = work_(number);
    RAMDISK_YIELD("Workers::run, looked again");
    if (delay != Delay::zero()) sleep(delay, calls);
    RAMDISK_YIELD("Workers::run, about to work");
    end_rest(calls);
  }
}

// Sleeps until `delay` is over, stop() is called, or wake() has been called more than `calls`
// times.
void Workers::sleep(Delay delay, uint64_t calls) {
  const auto until =
      std::chrono::steady_clock::now() + (delay == kUntilWoken ? std::chrono::hours(1) : delay);
  MutexLock lock(mutex_);
  while (!stopping_ && calls == calls_ &&
         woken_.wait_until(mutex_, until) == std::cv_status::no_timeout) {
  }
}

}  // namespace ramdisk
