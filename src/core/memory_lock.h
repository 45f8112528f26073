// Keeping memory out of swap.
//
// Locks do not survive a fork, so there are two steps: try_lock_memory() before it, for the person
// at the command line, and lock_memory() in the process that serves.
//
// Thread contract: any thread.

#ifndef RAMDISK_CORE_MEMORY_LOCK_H
#define RAMDISK_CORE_MEMORY_LOCK_H

#include <cstddef>

#include "ramdisk/status.h"

namespace ramdisk {

// Whether this system has the calls.
bool memory_lock_supported();

// Whether `bytes` at `base` could be locked: asks the system without making the memory present, and
// leaves it unlocked. EPERM, ENOMEM or EAGAIN with a message that names the limit in force.
Status try_lock_memory(void* base, size_t bytes);

// Makes the memory present and locks it until it is unmapped. Errors as above.
Status lock_memory(void* base, size_t bytes);

}  // namespace ramdisk

#endif
