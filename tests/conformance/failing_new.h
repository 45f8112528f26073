// The program's operator new, which fails on request. (This does not affect the C library's malloc,
// which zstd calls.)
//
// Thread contract: any thread.

#ifndef RAMDISK_CONFORMANCE_FAILING_NEW_H
#define RAMDISK_CONFORMANCE_FAILING_NEW_H

#include <cstdint>

namespace ramdisk::conformance {

// Makes the calling thread's call number `nth` fail, counted from now; the next call is number 0.
void fail_own_new(uint64_t nth);
// Returns whether that call has been made. No call fails any more.
bool end_own_new();

// Makes call number `nth` of all other threads together fail, counted from now.
void fail_others_new_once(uint64_t nth);
// Returns whether that call has been made. No call fails any more.
bool end_others_new_once();

// Makes all calls of all other threads fail until allow_others_new().
void fail_others_new();
void allow_others_new();
uint64_t others_failures();  // since the start

}  // namespace ramdisk::conformance

#endif
