// Keeping memory out of swap.
//
// Locks do not survive a fork. promise_lock() or allow_locking() is called before it, so that an
// error reaches the person at the command line, and the memory is locked again in the serving
// process if that is another one.
//
// Thread contract: any thread.

#ifndef RAMDISK_MEMORY_MEMORY_LOCK_H
#define RAMDISK_MEMORY_MEMORY_LOCK_H

#include <cstddef>
#include <cstdint>

#include "ramdisk/status.h"

namespace ramdisk {

// Whether this system can lock memory.
bool memory_lock_supported();

// Locks `bytes` at `base`, each page as soon as it is present, and makes none present; where the
// system cannot do that, all pages become present at once. Raises the limit of this process and its
// children where it may. Fails with the errno of mlock(2) and a message that names the limit in
// force if that is the reason, and the refused call if it is not.
Status promise_lock(void* base, size_t bytes);

// As promise_lock(), but leaves the limit alone and returns only whether and how it worked. With
// at_once, errno says why it was not on_fault.
enum class MemoryLock { none, at_once, on_fault };
MemoryLock lock_memory(void* base, size_t bytes) noexcept;
inline bool lock_on_fault(void* base, size_t bytes) noexcept {
  return lock_memory(base, bytes) != MemoryLock::none;
}

// For memory that will be locked as it grows: raises the limit of this process and its children as
// far as it may, and tries to lock `bytes`. Fails as promise_lock() does.
Status allow_locking(size_t bytes);

// Whether this process has locked memory, as all of it is after mlockall (nbdkit --swap).
bool process_memory_is_locked();

// A number that no two running processes share.
int64_t this_process();

}  // namespace ramdisk

#endif
