#include "core/memory_lock.h"

#include <algorithm>
#include <fstream>
#include <string>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#define RAMDISK_HAVE_MLOCK 1
#endif

#include <cstring>

namespace ramdisk {

#ifdef RAMDISK_HAVE_MLOCK

namespace {

Status lock_error(int errnum, size_t bytes) {
  std::string text = "mlock=true: cannot lock " + std::to_string(bytes) + " bytes of memory: ";
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
      limit.rlim_cur < bytes) {
    text += "the limit of this process is " + std::to_string(limit.rlim_cur) +
            " bytes (RLIMIT_MEMLOCK): raise it with 'ulimit -l' or run as root";
  } else {
    text += std::strerror(errnum);
  }
  return Status::error(errnum, std::move(text));
}

}  // namespace

bool memory_lock_supported() {
  return true;
}

bool lock_on_fault(void* base, size_t bytes) noexcept {
#ifdef MLOCK_ONFAULT
  if (mlock2(base, bytes, MLOCK_ONFAULT) == 0) return true;
  if (errno != ENOSYS && errno != EINVAL) return false;  // the call, or its flag, is not known
#endif
  return mlock(base, bytes) == 0;
}

Status promise_lock(void* base, size_t bytes) {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur < bytes) {
    const rlimit raised{bytes, std::max<rlim_t>(bytes, limit.rlim_max)};
    setrlimit(RLIMIT_MEMLOCK, &raised);  // a privilege; without it the call tells
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

// "VmLck:  123 kB"; a system without such a file has no nbdkit --swap either.
bool process_memory_is_locked() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    uint64_t kilobytes = 0;
    if (word == "VmLck:" && status >> kilobytes) return kilobytes > 0;
  }
  return false;
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
bool lock_on_fault(void*, size_t) noexcept {
  return false;
}
Status promise_lock(void*, size_t bytes) {
  return allow_locking(bytes);
}
Status allow_locking(size_t) {
  return Status::error(ENOTSUP, "mlock=true: this system cannot lock memory");
}

#endif

}  // namespace ramdisk
