#include "plugin/config.h"

#include <cctype>
#include <charconv>
#include <cstdlib>
#include <string>

#include "memory/available_memory.h"
#include "plugin/hints.h"
#include "plugin/nbdkit.h"

namespace ramdisk {

namespace {

Status not_a_limit(const std::string& value) {
  return Status::error(
      EINVAL, "max-memory=" + value + ": must be a size, 1% to 100% of all memory, or none");
}

// Returns N% of all memory, in bytes.
Result<uint64_t> parse_percentage(const std::string& value) {
  unsigned percent = 0;
  const char* const end = value.data() + value.size() - 1;
  const auto [rest, error] = std::from_chars(value.data(), end, percent);
  if (error != std::errc() || rest != end || percent < 1 || percent > 100) {
    return not_a_limit(value);
  }
  const uint64_t total = available_memory().total;
  if (total != UINT64_MAX) return total / 100 * percent;
  return Status::error(
      ENOTSUP, "max-memory=" + value + ": this system does not tell how much memory there is");
}

}  // namespace

Status Config::set(const char* key, const char* value) {
  const std::string_view name = key;
  if (name == "size") {
    if (Status hint = check_word(value, disk_bytes_.has_value()); !hint.ok()) return hint;
    if (Status hint = check_suffix(name, value); !hint.ok()) return hint;
    const int64_t bytes = nbdkit_parse_size(value);
    if (bytes == -1) return already_reported();
    disk_bytes_ = static_cast<uint64_t>(bytes);
    return {};
  }
  if (name == "allocator") {
    if (Status hint = check_option_names(value); !hint.ok()) return hint;
    Result<AllocatorOptions> options = parse_allocator(value);
    if (options.ok()) options_ = options.value();
    return options.status();
  }
  if (name == "mlock") {
    Result<bool> on = parse_bool("mlock", value);
    if (on.ok()) mlock_ = on.value();
    return on.status();
  }
  if (name == "max-memory") return set_max_memory(value);
  if (name == "dump") {
    Result<bool> on = parse_bool("dump", value);
    if (on.ok()) dump_ = on.value();
    return on.status();
  }
  if (name == "stats-export") {
    if (!*value) return Status::error(EINVAL, "stats-export=: the name of the export is missing");
    stats_export_ = value;
    return {};
  }
  if (name == "load") return set_path("load", value, load_file_);
  if (name == "save") return set_path("save", value, save_file_);
  if (name == "image") return set_path("image", value, image_file_);
  if (name == "stats-file") return set_path("stats-file", value, stats_file_);
  if (name == "stats-format") return set_stats_format(value);
  return unknown_parameter(name, value);
}

Status Config::set_stats_format(const std::string& value) {
  if (value != "json" && value != "prometheus") {
    return Status::error(EINVAL, "stats-format=" + value + ": must be json or prometheus");
  }
  stats_format_ = value == "json" ? StatsFormat::json : StatsFormat::prometheus;
  return {};
}

// The path is made absolute now, because nbdkit changes its directory when it goes to the
// background.
Status Config::set_path(const std::string& key, const char* value,
                        std::optional<std::string>& path) {
  if (!*value) return Status::error(EINVAL, key + "=: the path of the file is missing");
  char* const absolute = nbdkit_absolute_path(value);
  if (!absolute) return already_reported();
  path = absolute;
  std::free(absolute);
  return {};
}

// Accepts SIZE, N% of the memory of the machine or its control group, or none.
Status Config::set_max_memory(const std::string& value) {
  std::optional<uint64_t> bytes;
  if (value.ends_with('%')) {
    Result<uint64_t> part = parse_percentage(value);
    if (!part.ok()) return part.status();
    bytes = part.value();
  } else if (value != "none") {
    if (value.empty() || std::isalpha(static_cast<unsigned char>(value.front()))) {
      return not_a_limit(value);
    }
    if (Status hint = check_suffix("max-memory", value); !hint.ok()) return hint;
    const int64_t size = nbdkit_parse_size(value.c_str());
    if (size == -1) return already_reported();
    bytes = static_cast<uint64_t>(size);
    if (size == 0) {
      return Status::error(EINVAL, "max-memory=" + value +
                                       ": leaves no memory at all (max-memory=none is no limit)");
    }
  }
  max_memory_ = bytes;
  keep_reserve_ = bytes.has_value();
  return {};
}

Status Config::complete() {
  if (image_file_ && (load_file_ || save_file_)) {
    return Status::error(EINVAL,
                         "image=<FILE> is load=<FILE> and save=<FILE> in one, so neither of them "
                         "can be given beside it");
  }
  if (!disk_bytes_ && !load_file_ && !image_file_) {
    return Status::error(EINVAL, "you must specify size=<SIZE> on the command line");
  }
  if (stats_format_ && !wants_statistics()) {
    return Status::error(
        EINVAL, "stats-format= is of use only with stats-export=<NAME> or stats-file=<PATH>");
  }
  if (mlock_) options_.mlock = *mlock_;
  return check_options(options_);
}

}  // namespace ramdisk
