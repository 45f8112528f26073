// Fuzzes a disk of every kind against a plain model: see disk_program.h.

#include <cstdlib>

#include "disk_program.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t count) {
  const ramdisk::fuzz::Input input(data, count);
  if (!ramdisk::fuzz::DiskProgram(input).run()) std::abort();
  return 0;
}
