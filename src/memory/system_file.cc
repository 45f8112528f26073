#include "memory/system_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <system_error>

namespace ramdisk {

namespace {

// An open file, closed however the scope ends.
struct File {
  explicit File(const std::string& path) : fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~File() {
    if (fd >= 0) ::close(fd);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const int fd;
};

}  // namespace

// A file of /proc may come from another process (lxcfs), so that a signal can interrupt its
// reading.
std::string read_system_file(const std::string& path) {
  const File file(path);
  std::string text;
  char piece[4096];
  for (;;) {
    const ssize_t length = ::read(file.fd, piece, sizeof piece);
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) return text;
    text.append(piece, static_cast<size_t>(length));
  }
}

std::string_view take_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

std::optional<uint64_t> number_at(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  uint64_t value = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc()) return {};
  return value;
}

uint64_t number_of(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    if (!line.starts_with(name)) continue;
    const std::string_view rest = line.substr(name.size());
    if (!rest.starts_with(' ') && !rest.starts_with('\t')) continue;
    if (const auto value = number_at(rest)) return *value;
  }
  return 0;
}

}  // namespace ramdisk
