// Fuzzes the parameters: an input is a list of KEY=VALUE, one a line, as they stand on the command
// line. What is accepted must mean what a plain second reading of it says, what is refused must be
// refused with EINVAL and a message, and change nothing.

#include <strings.h>

#include <array>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <string_view>

#include "memory/memory_source.h"
#include "plugin/config.h"

namespace {

using ramdisk::AllocatorOptions;
using ramdisk::AllocatorType;
using ramdisk::Status;

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "config_fuzzer: %s\n", what);
  std::abort();
}

bool same(const AllocatorOptions& a, const AllocatorOptions& b) {
  return a.type == b.type && a.mlock == b.mlock && a.level == b.level && a.cache == b.cache &&
         a.recompress == b.recompress;
}

// ---- the second reading

std::optional<bool> read_bool(const std::string& word) {
  for (const char* yes : {"1", "true", "t", "yes", "y", "on"}) {
    if (strcasecmp(word.c_str(), yes) == 0) return true;
  }
  for (const char* no : {"0", "false", "f", "no", "n", "off"}) {
    if (strcasecmp(word.c_str(), no) == 0) return false;
  }
  return {};
}

// Digits and perhaps one suffix, at most 2^63-1; counted digit by digit in more than 64 bits.
std::optional<uint64_t> read_bytes(const std::string& text) {
  size_t at = 0;
  long double value = 0;
  uint64_t exact = 0;
  for (; at < text.size() && std::isdigit(static_cast<unsigned char>(text[at])); ++at) {
    value = value * 10 + (text[at] - '0');
    exact = exact * 10 + static_cast<uint64_t>(text[at] - '0');
  }
  if (at == 0) return {};
  if (at < text.size()) {
    const size_t power = std::string_view("KMGTPE").find(static_cast<char>(std::toupper(text[at])));
    if (power == std::string_view::npos || at + 1 != text.size()) return {};
    for (size_t i = 0; i <= power; ++i) {
      value *= 1024;
      exact *= 1024;
    }
  }
  // 2^63 is exact in a long double, and so is what decides beside it.
  if (value >= 9223372036854775808.0L) return {};
  return exact;
}

// Splits at every `separator`; there is always one part.
template <typename Visit>
void for_each_part(const std::string& text, char separator, Visit visit) {
  size_t begin = 0;
  for (;;) {
    const size_t end = text.find(separator, begin);
    visit(text.substr(begin, end == std::string::npos ? end : end - begin));
    if (end == std::string::npos) return;
    begin = end + 1;
  }
}

// What the value of allocator= says, as far as it is read here: a level is taken on trust.
std::optional<AllocatorOptions> read_allocator(const std::string& value, int level) {
  AllocatorOptions options;
  bool good = true;
  bool first = true;
  for_each_part(value, ',', [&](const std::string& part) {
    if (first) {
      first = false;
      if (part == "malloc") options.type = AllocatorType::malloc;
      if (part == "zstd") options.type = AllocatorType::zstd;
      good = part == "sparse" || part == "malloc" || part == "zstd";
      return;
    }
    const size_t equals = part.find('=');
    const std::string key = part.substr(0, equals);
    const std::string what = equals == std::string::npos ? "true" : part.substr(equals + 1);
    const bool zstd = options.type == AllocatorType::zstd;
    if (key == "mlock" || (key == "recompress" && zstd)) {
      const std::optional<bool> on = read_bool(what);
      good = good && on.has_value();
      (key == "mlock" ? options.mlock : options.recompress) = on.value_or(false);
    } else if (key == "cache" && zstd) {
      options.cache = read_bytes(what);
      good = good && options.cache.has_value();
    } else if (key == "level" && zstd) {
      options.level = level;
    } else {
      good = false;
    }
  });
  if (!good) return {};
  return options;
}

// ---- the checks

void check_refusal(const Status& status, const std::string& key) {
  require(status.errnum() == EINVAL || status.errnum() == ENOTSUP, "refused with another errno");
  const bool nbdkit_tells = key == "size" || key == "max-memory" || key == "exports";
  require(*status.message() || nbdkit_tells, "refused without a message");
}

// All that a configuration says but the size.
struct Reading {
  explicit Reading(const ramdisk::Config& config)
      : options(config.options()),
        max_memory(config.max_memory()),
        keep_reserve(config.keep_reserve()),
        dump(config.dump()),
        stats_export(config.stats_export()),
        stats_file(config.stats_file()),
        load_file(config.load_file()),
        save_file(config.save_file()),
        image_file(config.image_file()),
        most_disks(config.most_disks()),
        stats_format(config.stats_format()) {}
  bool operator==(const Reading& other) const {
    return same(options, other.options) && max_memory == other.max_memory &&
           keep_reserve == other.keep_reserve && dump == other.dump &&
           stats_export == other.stats_export && stats_file == other.stats_file &&
           load_file == other.load_file && save_file == other.save_file &&
           image_file == other.image_file && most_disks == other.most_disks &&
           stats_format == other.stats_format;
  }

  AllocatorOptions options;
  std::optional<uint64_t> max_memory;
  bool keep_reserve;
  bool dump;
  std::optional<std::string> stats_export;
  std::optional<ramdisk::FileParameter> stats_file;
  std::optional<ramdisk::FileParameter> load_file;
  std::optional<ramdisk::FileParameter> save_file;
  std::optional<ramdisk::FileParameter> image_file;
  uint64_t most_disks;
  ramdisk::StatsFormat stats_format;
};

// max-memory: the percentage is compared with all memory, the size is nbdkit's to read.
void check_max_memory(const ramdisk::Config& config, const Status& status,
                      const std::string& value) {
  if (value == "none") {
    require(status.ok() && !config.max_memory() && !config.keep_reserve(), "none is not none");
  } else if (value.ends_with('%')) {
    const std::optional<uint64_t> percent = read_bytes(value.substr(0, value.size() - 1));
    const bool digits = value.find_first_not_of("0123456789%") == std::string::npos;
    require(status.ok() == (digits && percent && *percent >= 1 && *percent <= 100),
            "a percentage is not read as one");
  }
  require(!status.ok() || config.keep_reserve() == (value != "none"), "the reserve is not kept");
}

void check_path(const std::optional<ramdisk::FileParameter>& file, const Status& status,
                const std::string& value) {
  require(status.ok() == !value.empty(), "a path is refused");
  require(!status.ok() || (file->value == value && file->path.ends_with(value)), "another path");
  require(!file || file->path.front() == '/', "a path is not absolute");
}

// What stands between the commas: names and decimal sizes.
void check_exports(const Status& status, const std::string& value) {
  static const std::regex other_separator(":[0-9]+[^ ;|\t\n]?[ ;|\t\n]");
  std::set<std::string> names;
  bool good = true;
  for_each_part(value, ',', [&](const std::string& part) {
    std::string name = part;
    const size_t colon = part.rfind(':');
    if (colon != std::string::npos && std::isdigit(static_cast<unsigned char>(part[colon + 1]))) {
      name = part.substr(0, colon);
      good = good && part.find_first_not_of("0123456789", colon + 1) == std::string::npos &&
             read_bytes(part.substr(colon + 1));
    }
    good = good && !std::regex_search(part, other_separator);
    good = good && !name.empty() && name.front() != ' ' && name != "*" && name.size() <= 4096 &&
           names.insert(name).second;
  });
  require(status.ok() == (good || value == "*"), "a list of exports is not read as one");
}

void set(ramdisk::Config& config, const std::string& key, const std::string& value) {
  const Reading before(config);
  const Status status = config.set(key.c_str(), value.c_str());
  if (!status.ok()) {
    check_refusal(status, key);
    require(Reading(config) == before, "a refused parameter changed something");
  }
  if (key == "allocator") {
    const auto expected = read_allocator(value, config.options().level);
    require(!status.ok() || (expected && same(*expected, config.options())),
            "accepted, but it means something else");
    const bool has_level = value.find("level") != std::string::npos;
    require(status.ok() || !expected || has_level, "refused without a reason");
  } else if (key == "mlock" || key == "dump") {
    require(status.ok() == read_bool(value).has_value(), "a boolean is not what it says");
    require(key == "mlock" || !status.ok() || config.dump() == read_bool(value), "the wrong one");
  } else if (key == "max-memory") {
    check_max_memory(config, status, value);
  } else if (key == "stats-export") {
    require(status.ok() == !value.empty(), "a name of an export is refused");
  } else if (key == "stats-file") {
    check_path(config.stats_file(), status, value);
  } else if (key == "load") {
    check_path(config.load_file(), status, value);
  } else if (key == "save") {
    check_path(config.save_file(), status, value);
  } else if (key == "image") {
    check_path(config.image_file(), status, value);
  } else if (key == "exports") {
    check_exports(status, value);
  } else if (key == "exports-max") {
    const std::optional<uint64_t> most = read_bytes(value);
    const bool digits = value.find_first_not_of("0123456789") == std::string::npos;
    require(status.ok() == (digits && most && *most >= 1 && *most <= 1000000), "another number");
    require(!status.ok() || config.most_disks() == *most, "the wrong number");
  } else if (key == "scratch") {
    require(status.ok() == read_bool(value).has_value(), "a boolean is not what it says");
  } else if (key == "stats-format") {
    require(status.ok() == (value == "json" || value == "prometheus"), "another format");
  } else if (key != "size") {
    require(!status.ok(), "a key that nobody knows was accepted");
  }
}

// Every disk has a size or a file that has one, a name of its own, and files of its own.
void check_plans(const ramdisk::Config& config) {
  const bool any = config.serving() == ramdisk::Serving::any;
  require(any == config.plans().empty(), "disks without names, or none");
  require(!any || (config.disk_bytes() && !config.wants_image()), "any name, but what disk?");
  std::set<std::string> names;
  std::set<std::string> files;
  for (const ramdisk::DiskPlan& plan : config.plans()) {
    require(plan.bytes || plan.load || plan.image, "a disk without a size");
    require(plan.bytes.value_or(0) <= INT64_MAX, "the disk is too large");
    require(names.insert(plan.name).second, "two disks with one name");
    require(config.plans().size() == 1 || config.stats_export() != plan.name, "not its own name");
    require(!plan.image || (!plan.load && !plan.save), "image= beside what it stands for");
    for (const auto& file : {plan.save, plan.image}) {
      require(!file || files.insert(*file).second, "two disks with one file");
      require(!file || config.serving() != ramdisk::Serving::scratch, "a private disk is saved");
    }
  }
}

// A configuration that is complete and good can be made into an allocator.
void complete(ramdisk::Config& config) {
  const Status status = config.complete();
  if (!status.ok()) return check_refusal(status, "");
  check_plans(config);
  const uint64_t disk_bytes = config.disk_bytes().value_or(0);
  const auto memory = ramdisk::make_system_memory();
  auto made = ramdisk::make_allocator(
      config.options(), disk_bytes, {.memory = memory.get(), .pace = {}, .trace_directories = {}});
  require(made.ok() && made.value(), "no allocator was made");
  require(!made.value()->describe().empty(), "an allocator without a description");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t count) {
  // A command line has no zero bytes.
  const std::string text(reinterpret_cast<const char*>(data), count);
  if (text.find('\0') != std::string::npos) return 0;
  ramdisk::Config config;
  for_each_part(text, '\n', [&](const std::string& line) {
    const size_t equals = line.find('=');
    if (equals == std::string::npos) return;
    set(config, line.substr(0, equals), line.substr(equals + 1));
  });
  complete(config);
  return 0;
}
