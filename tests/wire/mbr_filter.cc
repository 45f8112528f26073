// A filter for one test, which writes a partition table when the first client connects.
//
// nbdkit's partition filter wants the table to be there before any client can write one, and the
// disk of the memory plugin is empty when it starts. This filter stands between them. The table
// has one primary partition: 7 MiB from 1 MiB on.

#include <nbdkit-filter.h>

#include <cerrno>
#include <cstring>

namespace {

int write_table(nbdkit_next* next, void* /*handle*/, int /*readonly*/) {
  unsigned char sector[512] = {};
  unsigned char* entry = sector + 446;
  const unsigned char values[16] = {0, 0,    0, 0, 0x83, 0, 0, 0,  // Linux
                                    0, 8,    0, 0,                 // first sector: 2048
                                    0, 0x38, 0, 0};                // sectors: 14336
  std::memcpy(entry, values, sizeof values);
  sector[510] = 0x55;
  sector[511] = 0xAA;
  // nbdkit demands that a filter asks for both before it makes the first write.
  if (next->get_size(next) < 0 || next->can_write(next) != 1) return -1;
  int error = 0;
  return next->pwrite(next, sector, sizeof sector, 0, 0, &error);
}

nbdkit_filter filter() {
  nbdkit_filter f = {};
  f.name = "mbr";
  f.prepare = write_table;
  return f;
}

nbdkit_filter the_filter = filter();

}  // namespace

NBDKIT_REGISTER_FILTER(the_filter)
