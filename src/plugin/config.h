// Config: the parameters of the plugin, from the command line.
//
// Thread contract: used by one thread, during start-up.

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
  // The error for a parameter about which nbdkit has already printed a message.
  static Status already_reported() { return Status::error(EINVAL, ""); }

  // Takes one KEY=VALUE of the command line. Call in the order of the command line: if a key is
  // given twice, the last value counts.
  Status set(const char* key, const char* value);

  // Call after the last parameter. Checks that the parameters are complete and compatible.
  Status complete();

  // The size of the disk, if the user gave one; there is one unless there is a file to load.
  const std::optional<uint64_t>& disk_bytes() const { return disk_bytes_; }
  const AllocatorOptions& options() const { return options_; }
  std::optional<uint64_t> max_memory() const { return max_memory_; }  // bytes; none: no limit
  bool keep_reserve() const { return keep_reserve_; }  // whether to leave the system a reserve
  bool dump() const { return dump_; }
  const std::optional<std::string>& stats_export() const { return stats_export_; }
  const std::optional<std::string>& stats_file() const { return stats_file_; }  // absolute
  // Absolute paths. image_file() is there only if neither of the other two is.
  const std::optional<std::string>& load_file() const { return load_file_; }
  const std::optional<std::string>& save_file() const { return save_file_; }
  const std::optional<std::string>& image_file() const { return image_file_; }
  bool wants_image() const { return load_file_ || save_file_ || image_file_; }
  bool wants_statistics() const { return stats_export_ || stats_file_; }
  StatsFormat stats_format() const { return stats_format_.value_or(StatsFormat::json); }

 private:
  Status set_max_memory(const std::string& value);
  Status set_stats_format(const std::string& value);
  static Status set_path(const std::string& key, const char* value,
                         std::optional<std::string>& path);

  std::optional<uint64_t> disk_bytes_;
  std::optional<uint64_t> max_memory_;
  bool keep_reserve_ = true;
  bool dump_ = false;
  std::optional<std::string> stats_export_;
  std::optional<std::string> stats_file_;
  std::optional<std::string> load_file_;
  std::optional<std::string> save_file_;
  std::optional<std::string> image_file_;
  std::optional<StatsFormat> stats_format_;
  AllocatorOptions options_;
  std::optional<bool>
      mlock_;  // mlock= as a separate parameter; applies to whichever allocator is chosen
};

}  // namespace ramdisk

#endif
