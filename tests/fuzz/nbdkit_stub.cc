// The functions of nbdkit that the parameters need, and that only nbdkit itself has. The first
// reads plain decimal numbers and refuses everything else: the code under test sees no more.

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "plugin/nbdkit.h"

extern "C" int64_t nbdkit_parse_size(const char* text) {
  char* end = nullptr;
  errno = 0;
  const long long value = std::strtoll(text, &end, 10);
  return errno != 0 || end == text || *end != '\0' || value < 0 ? -1 : value;
}

extern "C" char* nbdkit_absolute_path(const char* path) {
  return strdup(*path == '/' ? path : ("/here/" + std::string(path)).c_str());
}
