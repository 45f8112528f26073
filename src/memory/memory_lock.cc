#include "memory/memory_lock.h"

#include <algorithm>
#include <cerrno>
#include <string>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#define RAMDISK_HAVE_MLOCK 1
#endif

#include <cstring>

#include "base/sizes.h"
#include "memory/system_file.h"

namespace ramdisk {

#ifdef RAMDISK_HAVE_MLOCK

namespace {

// Bytes of this process that are locked: "VmLck:  123 kB". 0 where there is no such file.
uint64_t locked_bytes() {
  return number_of(read_system_file("/proc/self/status"), "VmLck:") * 1024;
}

// Whether RLIMIT_MEMLOCK is why mlock failed: a limit of 0 gives EPERM, one that is too small
// ENOMEM (Linux) or EAGAIN (others).
bool limit_is_why(int errnum, rlim_t limit, uint64_t locked, size_t bytes) {
  if (limit == RLIM_INFINITY) return false;
  if (errnum == EPERM) return limit == 0;
  return (errnum == ENOMEM || errnum == EAGAIN) && (limit < locked || limit - locked < bytes);
}

Status lock_error(int errnum, size_t bytes) {
  std::string text = "mlock=true: cannot lock " + exact_size(bytes) + " of memory: ";
  rlimit limit{};
  const uint64_t locked = locked_bytes();
  if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
      limit_is_why(errnum, limit.rlim_cur, locked, bytes)) {
    text += "the limit of this process is " + exact_size(limit.rlim_cur);
    if (locked > 0) text += ", of which " + exact_size(locked) + " are in use";
    text += " (RLIMIT_MEMLOCK): raise it with 'ulimit -l' or run as root";
  } else {
    text += std::strerror(errnum);
    if (errnum == EPERM || errnum == ENOSYS || errnum == EINVAL) {
      text += " (the call mlock is refused, perhaps by a sandbox; no limit is the reason)";
    }
  }
  return Status::error(errnum, std::move(text));
}

}  // namespace

bool memory_lock_supported() {
  return true;
}

// Where mlock2 or its flag is unknown or forbidden, only mlock is left, which makes all pages
// present at once. EPERM may also mean that nothing may be locked: then mlock gives it, too.
MemoryLock lock_memory(void* base, size_t bytes) noexcept {
#ifdef MLOCK_ONFAULT
  if (mlock2(base, bytes, MLOCK_ONFAULT) == 0) return MemoryLock::on_fault;
  const int errnum = errno;
  if (errnum != ENOSYS && errnum != EINVAL && errnum != EPERM) return MemoryLock::none;
#else
  const int errnum = ENOSYS;
#endif
  if (mlock(base, bytes) != 0) return MemoryLock::none;
  errno = errnum;
  return MemoryLock::at_once;
}

Status promise_lock(void* base, size_t bytes) {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur < bytes) {
    const rlimit raised{bytes, std::max<rlim_t>(bytes, limit.rlim_max)};
    setrlimit(RLIMIT_MEMLOCK, &raised);  // may be refused; then locking fails
  }
  return lock_on_fault(base, bytes) ? Status() : lock_error(errno, bytes);
}

Status allow_locking(size_t bytes) {
  rlimit limit{};
  const rlimit none{RLIM_INFINITY, RLIM_INFINITY};
  if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 && getrlimit(RLIMIT_MEMLOCK, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_MEMLOCK, &limit);
  }
  void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return lock_error(errno, bytes);
  Status status = lock_on_fault(base, bytes) ? Status() : lock_error(errno, bytes);
  munmap(base, bytes);
  return status;
}

// Where there is no such figure there is no nbdkit --swap either.
bool process_memory_is_locked() {
  return locked_bytes() > 0;
}

int64_t this_process() {
  return getpid();
}

#else

bool memory_lock_supported() {
  return false;
}
bool process_memory_is_locked() {
  return false;
}
int64_t this_process() {
  return 0;
}
MemoryLock lock_memory(void*, size_t) noexcept {
  return MemoryLock::none;
}
Status promise_lock(void*, size_t bytes) {
  return allow_locking(bytes);
}
Status allow_locking(size_t) {
  return Status::error(ENOTSUP, "mlock=true: this system cannot lock memory");
}

#endif

}  // namespace ramdisk
