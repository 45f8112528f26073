// Stands in for the nbdkit server: what a plugin's calls into the server leave behind.
//
// server.cc defines the nbdkit_* functions that plugins import; the program exports them, so that a
// plugin which is loaded with dlopen() finds them as it would in nbdkit.

#ifndef RAMDISK_BENCH_SERVER_H
#define RAMDISK_BENCH_SERVER_H

#include <cstdint>
#include <vector>

struct Extent {
  uint64_t offset = 0;
  uint64_t length = 0;
  uint32_t type = 0;
};

// The type that nbdkit's header only declares. Neighbours of the same type are merged, as nbdkit
// does, so that a plugin that reports page by page is not charged for a growing list.
struct nbdkit_extents {
  std::vector<Extent> list;
};

namespace bench {

// Prints the plugin's debug messages, as `nbdkit -v` does.
void set_verbose(bool verbose);

}  // namespace bench

#endif
