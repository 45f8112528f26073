// The functions that nbdkit offers its plugins, as far as a memory plugin may want them.

#include "server.h"

#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <limits>
#include <mutex>
#include <string>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>
#include <strings.h>

namespace {

bool verbose_messages = false;

// Strings that plugins expect to live until they are unloaded.
const char* intern(std::string text) {
  static std::mutex mutex;
  static std::deque<std::string> strings;
  const std::lock_guard<std::mutex> lock(mutex);
  return strings.emplace_back(std::move(text)).c_str();
}

std::string format(const char* message, va_list args) {
  char* text = nullptr;
  if (vasprintf(&text, message, args) < 0) return {};
  std::string result(text);
  std::free(text);
  return result;
}

template <typename T>
int parse_integer(const char* what, const char* text, T* result) {
  char* end = nullptr;
  errno = 0;
  const bool negative = std::strchr(text, '-') != nullptr;
  bool fits = false;
  T value = 0;
  if constexpr (std::numeric_limits<T>::is_signed) {
    const long long parsed = std::strtoll(text, &end, 0);
    value = static_cast<T>(parsed);
    fits = static_cast<long long>(value) == parsed;
  } else {
    const unsigned long long parsed = std::strtoull(text, &end, 0);
    value = static_cast<T>(parsed);
    fits = !negative && static_cast<unsigned long long>(value) == parsed;
  }
  if (errno != 0 || end == text || *end != '\0' || !fits) {
    nbdkit_error("%s: cannot read the number '%s'", what, text);
    return -1;
  }
  if (result) *result = value;
  return 0;
}

int shift_of_suffix(char suffix) {
  switch (suffix) {
    case 's':
    case 'S':
      return 9;  // sectors
    case 'k':
    case 'K':
      return 10;
    case 'm':
    case 'M':
      return 20;
    case 'g':
    case 'G':
      return 30;
    case 't':
    case 'T':
      return 40;
    case 'p':
    case 'P':
      return 50;
    case 'e':
    case 'E':
      return 60;
    case 'b':
    case 'B':
    case '\0':
      return 0;
    default:
      return -1;
  }
}

}  // namespace

namespace bench {

void set_verbose(bool verbose) {
  verbose_messages = verbose;
}

}  // namespace bench

extern "C" {

void nbdkit_verror(const char* message, va_list args) {
  std::fprintf(stderr, "plugin: error: %s\n", format(message, args).c_str());
}

void nbdkit_error(const char* message, ...) {
  va_list args;
  va_start(args, message);
  nbdkit_verror(message, args);
  va_end(args);
}

void nbdkit_vdebug(const char* message, va_list args) {
  if (verbose_messages) std::fprintf(stderr, "plugin: debug: %s\n", format(message, args).c_str());
}

void nbdkit_debug(const char* message, ...) {
  if (!verbose_messages) return;
  va_list args;
  va_start(args, message);
  nbdkit_vdebug(message, args);
  va_end(args);
}

void nbdkit_set_error(int errnum) {
  errno = errnum;
}

int64_t nbdkit_parse_size(const char* text) {
  char* end = nullptr;
  errno = 0;
  const long long number = std::strtoll(text, &end, 10);
  const int shift = end == text ? -1 : shift_of_suffix(*end);
  const bool trailing = shift >= 0 && *end != '\0' && end[1] != '\0';
  if (errno != 0 || number < 0 || shift < 0 || trailing || number > (LLONG_MAX >> shift)) {
    nbdkit_error("cannot read the size '%s'", text);
    return -1;
  }
  return number << shift;
}

int nbdkit_parse_bool(const char* text) {
  for (const char* word : {"1", "true", "t", "yes", "y", "on"}) {
    if (strcasecmp(text, word) == 0) return 1;
  }
  for (const char* word : {"0", "false", "f", "no", "n", "off"}) {
    if (strcasecmp(text, word) == 0) return 0;
  }
  nbdkit_error("cannot read the boolean '%s'", text);
  return -1;
}

int nbdkit_parse_int(const char* w, const char* s, int* r) {
  return parse_integer(w, s, r);
}
int nbdkit_parse_unsigned(const char* w, const char* s, unsigned* r) {
  return parse_integer(w, s, r);
}
int nbdkit_parse_int8_t(const char* w, const char* s, int8_t* r) {
  return parse_integer(w, s, r);
}
int nbdkit_parse_uint8_t(const char* w, const char* s, uint8_t* r) {
  return parse_integer(w, s, r);
}
int nbdkit_parse_int16_t(const char* w, const char* s, int16_t* r) {
  return parse_integer(w, s, r);
}
int nbdkit_parse_uint16_t(const char* w, const char* s, uint16_t* r) {
  return parse_integer(w, s, r);
}
int nbdkit_parse_int32_t(const char* w, const char* s, int32_t* r) {
  return parse_integer(w, s, r);
}
int nbdkit_parse_uint32_t(const char* w, const char* s, uint32_t* r) {
  return parse_integer(w, s, r);
}
int nbdkit_parse_int64_t(const char* w, const char* s, int64_t* r) {
  return parse_integer(w, s, r);
}
int nbdkit_parse_uint64_t(const char* w, const char* s, uint64_t* r) {
  return parse_integer(w, s, r);
}

const char* nbdkit_strdup_intern(const char* text) {
  return intern(text);
}

const char* nbdkit_strndup_intern(const char* text, size_t n) {
  return intern(std::string(text, strnlen(text, n)));
}

const char* nbdkit_vprintf_intern(const char* message, va_list args) {
  return intern(format(message, args));
}

const char* nbdkit_printf_intern(const char* message, ...) {
  va_list args;
  va_start(args, message);
  const char* result = nbdkit_vprintf_intern(message, args);
  va_end(args);
  return result;
}

char* nbdkit_absolute_path(const char* path) {
  return realpath(path, nullptr);
}
char* nbdkit_realpath(const char* path) {
  return realpath(path, nullptr);
}
const char* nbdkit_export_name(void) {
  return "";
}
int nbdkit_is_tls(void) {
  return 0;
}
int nbdkit_stdio_safe(void) {
  return 0;
}
void nbdkit_shutdown(void) {}

// What the benchmarks never call. A plugin that is linked to find all functions when it is loaded
// needs them all the same.
int nbdkit_nanosleep(unsigned, unsigned) {
  return 0;
}
int nbdkit_add_export(nbdkit_exports*, const char*, const char*) {
  return 0;
}
int nbdkit_use_default_export(nbdkit_exports*) {
  return 0;
}

int nbdkit_add_extent(struct nbdkit_extents* extents, uint64_t offset, uint64_t length,
                      uint32_t type) {
  if (length == 0) return 0;
  if (!extents->list.empty()) {
    Extent& last = extents->list.back();
    if (last.type == type && last.offset + last.length == offset) {
      last.length += length;
      return 0;
    }
  }
  extents->list.push_back({offset, length, type});
  return 0;
}

// Exported by nbdkit for its own filters; a plugin may import them without ever calling them.
void nbdkit_extents_free(void*) {}
void nbdkit_exports_free(void*) {}

}  // extern "C"
