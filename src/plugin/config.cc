#include "plugin/config.h"

#include <cctype>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

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

// Whether two absolute paths lead to one file, as far as that can be told before both exist.
bool same_file(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::error_code missing;
  return a.lexically_normal() == b.lexically_normal() || std::filesystem::equivalent(a, b, missing);
}

}  // namespace

Status Config::set(const char* key, const char* value) {
  const std::string_view name = key;
  if (name == "size") {
    if (Status hint = check_word(value, disk_bytes_.has_value()); !hint.ok()) return hint;
    if (Status hint = check_size("size=", value); !hint.ok()) return hint;
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
  if (name == "exports") return set_exports(value);
  if (name == "exports-max") return set_exports_max(value);
  if (name == "scratch") {
    Result<bool> on = parse_bool("scratch", value);
    if (on.ok()) scratch_ = on.value();
    return on.status();
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
                        std::optional<FileParameter>& file) {
  if (!*value) return Status::error(EINVAL, key + "=: the path of the file is missing");
  char* const absolute = nbdkit_absolute_path(value);
  if (!absolute) return already_reported();
  file = FileParameter{value, absolute};
  std::free(absolute);
  return {};
}

Status Config::set_exports(std::string_view value) {
  if (value.empty()) {
    return Status::error(EINVAL, "exports=: the names are missing, as in exports=a,b");
  }
  if (value == "*") {
    exports_.emplace();
    return {};
  }
  Result<std::vector<NamedExport>> exports = parse_exports(value);
  if (exports.ok()) exports_ = std::move(exports.value());
  return exports.status();
}

Status Config::set_exports_max(const std::string& value) {
  constexpr uint64_t kMost = 1000000;
  uint64_t number = 0;
  const char* const end = value.data() + value.size();
  const auto [rest, error] = std::from_chars(value.data(), end, number);
  if (error != std::errc() || rest != end || number < 1 || number > kMost) {
    return Status::error(
        EINVAL, "exports-max=" + value + ": must be a number from 1 to " + std::to_string(kMost));
  }
  exports_max_ = number;
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
    const auto first = static_cast<unsigned char>(value.empty() ? '-' : value.front());
    if (std::isalpha(first) || first == '-') return not_a_limit(value);
    if (Status hint = check_size("max-memory=", value); !hint.ok()) return hint;
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
  const bool any = exports_ && exports_->empty();
  if (exports_max_ && !any) {
    return Status::error(EINVAL, "exports-max=<N> is of use only with exports=*");
  }
  serving_ = scratch_   ? Serving::scratch
             : any      ? Serving::any
             : exports_ ? Serving::named
                        : Serving::one;
  if (Status status = check_scratch(); !status.ok()) return status;
  if (Status status = check_any(); !status.ok()) return status;
  if (Status status = check_bytes(); !status.ok()) return status;
  if (Status status = make_plans(); !status.ok()) return status;
  if (Status status = check_stats_file(); !status.ok()) return status;
  if (stats_format_ && !wants_statistics()) {
    return Status::error(
        EINVAL, "stats-format= is of use only with stats-export=<NAME> or stats-file=<PATH>");
  }
  if (mlock_) options_.mlock = *mlock_;
  return check_options(options_);
}

// With names, plan_for() looks at the size of each.
Status Config::check_bytes() const {
  if (serving_ == Serving::named || disk_bytes_ || load_file_ || image_file_) return {};
  const std::string missing = "you must specify size=<SIZE>";
  if (serving_ == Serving::any) {
    return Status::error(EINVAL, missing + " with exports=*; each disk then has this size");
  }
  if (serving_ == Serving::scratch) {
    return Status::error(EINVAL, missing + " or load=<FILE> with scratch=true");
  }
  return Status::error(EINVAL, missing +
                                   ", or load=<FILE> or image=<FILE>, or sizes in "
                                   "exports=<NAME>:<SIZE>,...");
}

Status Config::check_scratch() const {
  if (serving_ != Serving::scratch) return {};
  if (exports_) {
    return Status::error(EINVAL,
                         "scratch=true gives each connection a disk of its own, whatever name it "
                         "opens, so exports= cannot be given beside it");
  }
  if (save_file_ || image_file_) {
    return Status::error(EINVAL,
                         "scratch=true: each disk ends with its connection, so neither save=<FILE> "
                         "nor image=<FILE> can be given beside it");
  }
  if (load_file_ && options_.type == AllocatorType::malloc) {
    return Status::error(EINVAL,
                         "scratch=true with load=<FILE>: allocator=malloc takes the memory of a "
                         "whole disk for each connection and so cannot make clones; sparse and "
                         "zstd can");
  }
  return {};
}

// The statistics replace what lies under their path, which must not be somebody's image.
Status Config::check_stats_file() const {
  if (!stats_file_) return {};
  for (const DiskPlan& plan : plans_) {
    for (const auto& [key, path] :
         {std::pair("load", &plan.load), {"save", &plan.save}, {"image", &plan.image}}) {
      if (!*path || !same_file(stats_file_->path, **path)) continue;
      return Status::error(EINVAL, "stats-file=" + stats_file_->value +
                                       ": this is also the file of " + key +
                                       "=, and the statistics would take its place");
    }
  }
  return {};
}

// Names that clients choose are never part of a file's name.
Status Config::check_any() const {
  if (serving_ != Serving::any || !wants_image()) return {};
  return Status::error(EINVAL,
                       "exports=*: clients choose the names of the disks, so none of load=<FILE>, "
                       "save=<FILE> and image=<FILE> can be given beside it");
}

// What stands before the value is the directory in which nbdkit was started, where a percent sign
// is one.
Result<DiskPlan> Config::plan_for(const NamedExport& named) const {
  DiskPlan plan{named.name, named.bytes ? named.bytes : disk_bytes_};
  const auto expand = [&](const char* key, const std::optional<FileParameter>& parameter,
                          std::optional<std::string>& path) -> Status {
    if (!parameter) return {};
    Result<std::string> file = file_for_export(key, parameter->value, named.name);
    if (!file.ok()) return file.status();
    if (exports_->size() > 1 && !names_export(parameter->value)) {
      return Status::error(EINVAL, std::string(key) + "=" + parameter->value +
                                       ": each export needs a file of its own; %s in the name of "
                                       "the file stands for the name of the export");
    }
    path =
        parameter->path.substr(0, parameter->path.size() - parameter->value.size()) + file.value();
    return {};
  };
  if (Status status = expand("load", load_file_, plan.load); !status.ok()) return status;
  if (Status status = expand("save", save_file_, plan.save); !status.ok()) return status;
  if (Status status = expand("image", image_file_, plan.image); !status.ok()) return status;
  if (!plan.bytes && !plan.load && !plan.image) {
    std::string example = named.name + (named.name.ends_with(':') ? "1G" : ":1G");
    const size_t equals = named.name.find('=');
    if (equals < named.name.size() - 1) {
      example = named.name;
      example[equals] = ':';
    }
    return Status::error(EINVAL, "exports=: '" + named.name +
                                     "' has no size: write it behind a colon, as in " + example +
                                     ", or give size=<SIZE> for all");
  }
  return {std::move(plan)};
}

Status Config::make_plans() {
  plans_.clear();
  if (serving_ == Serving::any) return {};
  if (serving_ != Serving::named) {
    const auto path = [](const std::optional<FileParameter>& file) {
      return file ? std::optional(file->path) : std::nullopt;
    };
    plans_.push_back({{}, disk_bytes_, path(load_file_), path(save_file_), path(image_file_)});
    return {};
  }
  for (const NamedExport& named : *exports_) {
    if (stats_export_ == named.name) {
      return Status::error(EINVAL, "stats-export=" + named.name +
                                       ": a disk has this name, so the statistics need another");
    }
    Result<DiskPlan> plan = plan_for(named);
    if (!plan.ok()) return plan.status();
    plans_.push_back(std::move(plan.value()));
  }
  return {};
}

}  // namespace ramdisk
