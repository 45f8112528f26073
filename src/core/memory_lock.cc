#include "core/memory_lock.h"

#include <string>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#include <sys/resource.h>
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

Status try_lock_memory(void* base, size_t bytes) {
#ifdef MLOCK_ONFAULT
  if (mlock2(base, bytes, MLOCK_ONFAULT) != 0) {
    return errno == ENOSYS ? Status() : lock_error(errno, bytes);
  }
  munlock(base, bytes);
#else
  (void)base;
  (void)bytes;
#endif
  return {};
}

Status lock_memory(void* base, size_t bytes) {
  return mlock(base, bytes) == 0 ? Status() : lock_error(errno, bytes);
}

#else

bool memory_lock_supported() {
  return false;
}
Status try_lock_memory(void*, size_t) {
  return lock_memory(nullptr, 0);
}
Status lock_memory(void*, size_t) {
  return Status::error(ENOTSUP, "mlock=true: this system cannot lock memory");
}

#endif

}  // namespace ramdisk
