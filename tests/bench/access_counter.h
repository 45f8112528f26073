// Counts the accesses of a plugin to cache lines that several threads share: what limits it on
// machines with more CPUs than this one.
//
// The plugin is compiled with -fsanitize=thread and linked without the sanitizer; this program has
// the functions that it then calls. The contents of pages are copied by memcpy, which is not
// counted; nor are the C library and libzstd, but for the mutexes.
//
// Thread contract: one thread starts and stops, while no other is in a request.

#ifndef RAMDISK_BENCH_ACCESS_COUNTER_H
#define RAMDISK_BENCH_ACCESS_COUNTER_H

#include <cstdint>

namespace bench {

// A line is shared if one thread writes it and another one reads or writes it. A request that
// accesses a line repeatedly counts once: the line moves to its CPU, and stays there.
struct Accesses {
  uint64_t all = 0;
  uint64_t shared_reads = 0;    // reads of shared lines
  uint64_t shared_writes = 0;   // writes to them
  uint64_t hottest_writes = 0;  // writes to the one that is written most
  uint64_t locks = 0;           // of mutexes, which are written as well
};

void start_counting();
void begin_request();  // the thread that calls it makes another request
Accesses stop_counting();

}  // namespace bench

#endif
