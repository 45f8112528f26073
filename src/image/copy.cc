#include "image/copy.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <new>
#include <vector>

#include "base/cpus.h"
#include "base/mutex.h"
#include "base/workers.h"
#include "memory/memory_lock.h"

namespace ramdisk {

namespace {

class Copy {
 public:
  explicit Copy(const CopyJob& job) : job_(job) {}

  Status run(size_t threads);

 private:
  using Clock = std::chrono::steady_clock;
  using Buffer = std::vector<std::byte>;

  bool step(Buffer& buffer) noexcept;
  Status copy_next(Buffer& buffer, bool& more);
  bool ended() EXCLUDES(mutex_);
  uint64_t copied() EXCLUDES(mutex_);
  void fail(Status status) EXCLUDES(mutex_);
  void watch() noexcept;
  void wait_for_others(size_t threads) EXCLUDES(mutex_);

  const CopyJob& job_;
  Mutex next_mutex_;  // held while job_.next runs; nothing else is locked under it but mutex_
  Mutex mutex_;
  std::condition_variable_any changed_;
  bool ended_ GUARDED_BY(mutex_) = false;   // no further pieces are to be begun
  size_t finished_ GUARDED_BY(mutex_) = 0;  // threads that will begin no further piece
  uint64_t copied_ GUARDED_BY(mutex_) = 0;
  Status status_ GUARDED_BY(mutex_);  // the first failure
};

bool Copy::ended() {
  const MutexLock lock(mutex_);
  return ended_;
}

uint64_t Copy::copied() {
  const MutexLock lock(mutex_);
  return copied_;
}

void Copy::fail(Status status) {
  const MutexLock lock(mutex_);
  ended_ = true;
  if (status_.ok()) status_ = std::move(status);
}

// Sets `more` to false when there is no piece left.
Status Copy::copy_next(Buffer& buffer, bool& more) {
  Range piece;
  {
    const MutexLock lock(next_mutex_);
    Result<Range> next = job_.next();
    if (!next.ok()) return next.status();
    piece = next.value();
  }
  more = piece.length > 0;
  if (!more) return {};
  const std::span<std::byte> bytes(buffer.data(), static_cast<size_t>(piece.length));
  if (Status status = job_.copy(piece, bytes); !status.ok()) return status;
  const MutexLock lock(mutex_);
  copied_ += piece.length;
  return {};
}

// Copies one piece. Returns false when this thread has nothing more to do.
bool Copy::step(Buffer& buffer) noexcept {
  if (ended()) return false;
  try {
    if (buffer.empty()) buffer.resize(CopyJob::kPiece);
    bool more = true;
    Status status = copy_next(buffer, more);
    if (status.ok()) return more;
    fail(std::move(status));
  } catch (const std::bad_alloc&) {
    fail(Status::no_memory());
  } catch (const std::exception&) {
    fail(Status::error(EIO, "the copy failed in a way that nobody expected"));
  }
  return false;
}

void Copy::watch() noexcept {
  try {
    if (Status status = job_.watch(copied()); !status.ok()) fail(std::move(status));
  } catch (const std::bad_alloc&) {
    fail(Status::no_memory());
  }
}

void Copy::wait_for_others(size_t threads) {
  for (;;) {
    {
      const auto until = Clock::now() + job_.interval;
      MutexLock lock(mutex_);
      while (finished_ < threads &&
             changed_.wait_until(mutex_, until) == std::cv_status::no_timeout) {
      }
      if (finished_ == threads) return;
      if (ended_) continue;
    }
    watch();
  }
}

Status Copy::run(size_t threads) {
  std::vector<Buffer> buffers(threads + 1);
  std::vector<char> done(threads);
  Workers workers;
  // A worker that has nothing more to do is asked again before it sleeps.
  const size_t started = threads == 0 ? 0 : workers.start(threads, [&](size_t number) {
    if (step(buffers[number])) return Workers::Delay::zero();
    if (!std::exchange(done[number], 1)) {
      const MutexLock lock(mutex_);
      ++finished_;
      changed_.notify_all();
    }
    return Workers::kUntilWoken;
  });
  if (started > 0) {
    wait_for_others(started);
  } else {
    for (auto next = Clock::now() + job_.interval; step(buffers[threads]);) {
      if (Clock::now() < next) continue;
      watch();
      next = Clock::now() + job_.interval;
    }
  }
  workers.stop();
  if (!ended()) watch();
  const MutexLock lock(mutex_);
  return status_;
}

}  // namespace

Status copy_in_parallel(const CopyJob& job, size_t threads) {
  return Copy(job).run(threads);
}

size_t copying_threads() {
  return process_memory_is_locked() ? 0 : std::max<size_t>(4, cpus());
}

}  // namespace ramdisk
