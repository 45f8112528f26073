// Keeping memory out of swap.
//
// Locks do not survive a fork, so there are two steps: promise_lock() before it, for the person at
// the command line, and lock_memory() in the process that serves, if that is another one.
//
// Thread contract: any thread.

#ifndef RAMDISK_CORE_MEMORY_LOCK_H
#define RAMDISK_CORE_MEMORY_LOCK_H

#include <cstddef>
#include <cstdint>

#include "ramdisk/status.h"

namespace ramdisk {

// Whether this system has the calls.
bool memory_lock_supported();

// Locks `bytes` at `base`, each page as soon as it is present, and makes none present. Raises the
// limit of this process and its children where it may. EPERM, ENOMEM or EAGAIN with a message that
// names the limit in force.
Status promise_lock(void* base, size_t bytes);

// Makes the memory present and locks it until it is unmapped. Errors as above.
Status lock_memory(void* base, size_t bytes);

// Whether this process has locked memory, as all of it is after mlockall (nbdkit --swap).
bool process_memory_is_locked();

// A number that tells processes apart.
int64_t this_process();

}  // namespace ramdisk

#endif
