#include "plugin/config.h"

#include <string>

#include "plugin/nbdkit.h"

namespace ramdisk {

Status Config::set(const char* key, const char* value) {
  const std::string_view name = key;
  if (name == "size") {
    const int64_t bytes = nbdkit_parse_size(value);
    if (bytes == -1) return already_reported();
    disk_bytes_ = bytes;
    return {};
  }
  if (name == "allocator") {
    Result<AllocatorOptions> options = parse_allocator(value);
    if (options.ok()) options_ = options.value();
    return options.status();
  }
  if (name == "mlock") {
    Result<bool> on = parse_bool("mlock", value);
    if (on.ok()) mlock_ = on.value();
    return on.status();
  }
  return Status::error(EINVAL, "unknown parameter '" + std::string(name) +
                                   "' (known parameters: size, allocator, mlock)");
}

Status Config::complete() {
  if (!disk_bytes_) {
    return Status::error(EINVAL, "you must specify size=<SIZE> on the command line");
  }
  if (mlock_) options_.mlock = *mlock_;
  return check_options(options_);
}

}  // namespace ramdisk
