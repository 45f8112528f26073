// The program's operator new, which fails when told to. (Not the C library's malloc, which zstd
// calls.)
//
// Thread contract: any thread.

#ifndef RAMDISK_CONFORMANCE_FAILING_NEW_H
#define RAMDISK_CONFORMANCE_FAILING_NEW_H

#include <cstdint>

namespace ramdisk::conformance {

// The calling thread's call number `nth`, counted from now, fails; the next one is 0.
void fail_own_new(uint64_t nth);
// Whether that call has come; then or not, none fails any more.
bool end_own_new();

// Call number `nth` of all other threads together, counted from now, fails.
void fail_others_new_once(uint64_t nth);
// Whether that call has come; then or not, none fails any more.
bool end_others_new_once();

// All calls of all other threads fail, until allow_others_new().
void fail_others_new();
void allow_others_new();
uint64_t others_failures();  // ever

}  // namespace ramdisk::conformance

#endif
