// Fuzzes what a disk begins with and leaves behind, and clones of it: see image_program.h.

#include <cstdlib>

#include "image_program.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t count) {
  const ramdisk::fuzz::Input input(data, count);
  if (!ramdisk::fuzz::ImageProgram(input).run()) std::abort();
  return 0;
}
