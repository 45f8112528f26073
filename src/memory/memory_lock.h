// Keeping memory out of swap.
//
// Locks do not survive a fork, so promise_lock() or allow_locking() is called before it, for the
// person at the command line, and the memory is locked again in the process that serves, if that is
// another one.
//
// Thread contract: any thread.

#ifndef RAMDISK_MEMORY_MEMORY_LOCK_H
#define RAMDISK_MEMORY_MEMORY_LOCK_H

#include <cstddef>
#include <cstdint>

#include "ramdisk/status.h"

namespace ramdisk {

// Whether this system has the calls.
bool memory_lock_supported();

// Locks `bytes` at `base`, each page as soon as it is present, and makes none present. Raises the
// limit of this process and its children where it may. The errno of mlock(2) with a message that
// names the limit in force if that is the reason, and the refused call if it is not. Where the
// system cannot wait for pages to become present, all become so at once.
Status promise_lock(void* base, size_t bytes);

// As promise_lock(), but says only whether and how it worked, and leaves the limit alone. With
// at_once, errno says why it was not on_fault.
enum class MemoryLock { none, at_once, on_fault };
MemoryLock lock_memory(void* base, size_t bytes) noexcept;
inline bool lock_on_fault(void* base, size_t bytes) noexcept {
  return lock_memory(base, bytes) != MemoryLock::none;
}

// For memory that will be locked as it grows: raises the limit of this process and its children as
// far as it may, and tries to lock `bytes`. Errors as above.
Status allow_locking(size_t bytes);

// Whether this process has locked memory, as all of it is after mlockall (nbdkit --swap).
bool process_memory_is_locked();

// A number that tells processes apart.
int64_t this_process();

}  // namespace ramdisk

#endif
