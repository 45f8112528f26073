// What the command line says: the parameters of the plugin.
//
// Thread contract: start-up only, one thread.

#ifndef RAMDISK_PLUGIN_CONFIG_H
#define RAMDISK_PLUGIN_CONFIG_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "disk/registry.h"
#include "ramdisk/status.h"

namespace ramdisk {

enum class StatsFormat { json, prometheus };

class Config {
 public:
  // The answer to a parameter whose message nbdkit has already printed.
  static Status already_reported() { return Status::error(EINVAL, ""); }

  // One KEY=VALUE of the command line, in its order; of a key given twice the last one counts.
  Status set(const char* key, const char* value);

  // All parameters have been given: are they complete and do they go together?
  Status complete();

  uint64_t disk_bytes() const { return static_cast<uint64_t>(*disk_bytes_); }
  const AllocatorOptions& options() const { return options_; }
  std::optional<uint64_t> max_memory() const { return max_memory_; }  // bytes; none: no limit
  bool keep_reserve() const { return keep_reserve_; }  // of what the system can spare
  bool dump() const { return dump_; }
  const std::optional<std::string>& stats_export() const { return stats_export_; }
  const std::optional<std::string>& stats_file() const { return stats_file_; }  // absolute
  bool wants_statistics() const { return stats_export_ || stats_file_; }
  StatsFormat stats_format() const { return stats_format_.value_or(StatsFormat::json); }

 private:
  Status set_max_memory(const std::string& value);
  Status set_stats_format(const std::string& value);
  Status set_stats_file(const char* value);

  std::optional<int64_t> disk_bytes_;
  std::optional<uint64_t> max_memory_;
  bool keep_reserve_ = true;
  bool dump_ = false;
  std::optional<std::string> stats_export_;
  std::optional<std::string> stats_file_;
  std::optional<StatsFormat> stats_format_;
  AllocatorOptions options_;
  std::optional<bool> mlock_;  // as a parameter of its own; holds for the chosen allocator
};

}  // namespace ramdisk

#endif
