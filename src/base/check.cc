#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace ramdisk {

// Formats the whole line on the stack and writes it at once: memory may be what has run out.
void check_failed(const char* file, int line, const char* condition) noexcept {
  char text[512];
  std::snprintf(text, sizeof text, "%s:%d: %s does not hold\n", file, line, condition);
  std::fputs(text, stderr);
  std::abort();
}

}  // namespace ramdisk
