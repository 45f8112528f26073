// Config: the parameters of the plugin, from the command line.
//
// Thread contract: used by one thread, during start-up.

#ifndef RAMDISK_PLUGIN_CONFIG_H
#define RAMDISK_PLUGIN_CONFIG_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "disk/registry.h"
#include "plugin/exports.h"
#include "ramdisk/status.h"

namespace ramdisk {

enum class StatsFormat { json, prometheus };

// Which disks there are.
enum class Serving {
  one,     // one, whatever name a client opens
  named,   // one for each name in a list
  any,     // one for each name that a client opens
  scratch  // one for each connection
};

// A parameter that names a file: its value, and the same as an absolute path.
struct FileParameter {
  std::string value;
  std::string path;
  bool operator==(const FileParameter&) const = default;
};

// How one disk begins and ends. The paths are absolute; image is there only if neither of the
// other two is. Without a size there is a file to load.
struct DiskPlan {
  std::string name{};
  std::optional<uint64_t> bytes{};
  std::optional<std::string> load{};
  std::optional<std::string> save{};
  std::optional<std::string> image{};
  bool has_file() const { return load || save || image; }
};

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

  // After complete(): which disks there are, and the plan of each that is there from the start:
  // one, or one for each name. Serving::any has none; the one of Serving::scratch is what each
  // connection gets a clone of.
  Serving serving() const { return serving_; }
  const std::vector<DiskPlan>& plans() const { return plans_; }
  uint64_t most_disks() const { return exports_max_.value_or(kMostDisks); }  // of Serving::any
  static constexpr uint64_t kMostDisks = 100;
  const AllocatorOptions& options() const { return options_; }
  std::optional<uint64_t> max_memory() const { return max_memory_; }  // bytes; none: no limit
  bool keep_reserve() const { return keep_reserve_; }  // whether to leave the system a reserve
  bool dump() const { return dump_; }
  const std::optional<std::string>& stats_export() const { return stats_export_; }
  const std::optional<FileParameter>& stats_file() const { return stats_file_; }
  // As given; with several disks they stand for several files.
  const std::optional<FileParameter>& load_file() const { return load_file_; }
  const std::optional<FileParameter>& save_file() const { return save_file_; }
  const std::optional<FileParameter>& image_file() const { return image_file_; }
  bool wants_image() const { return load_file_ || save_file_ || image_file_; }
  bool wants_statistics() const { return stats_export_ || stats_file_; }
  StatsFormat stats_format() const { return stats_format_.value_or(StatsFormat::json); }

 private:
  Status set_max_memory(const std::string& value);
  Status set_stats_format(const std::string& value);
  Status set_exports(std::string_view value);
  Status set_exports_max(const std::string& value);
  static Status set_path(const std::string& key, const char* value,
                         std::optional<FileParameter>& file);
  Status check_bytes() const;
  Status check_scratch() const;
  Status check_any() const;
  Status check_stats_file() const;
  Status make_plans();
  Result<DiskPlan> plan_for(const NamedExport& named) const;

  std::optional<uint64_t> disk_bytes_;
  std::optional<uint64_t> max_memory_;
  bool keep_reserve_ = true;
  bool dump_ = false;
  std::optional<std::string> stats_export_;
  std::optional<FileParameter> stats_file_;
  std::optional<FileParameter> load_file_;
  std::optional<FileParameter> save_file_;
  std::optional<FileParameter> image_file_;
  std::optional<std::vector<NamedExport>> exports_;  // empty: any name
  std::optional<uint64_t> exports_max_;
  bool scratch_ = false;
  Serving serving_ = Serving::one;
  std::vector<DiskPlan> plans_;
  std::optional<StatsFormat> stats_format_;
  AllocatorOptions options_;
  std::optional<bool>
      mlock_;  // mlock= as a separate parameter; applies to whichever allocator is chosen
};

}  // namespace ramdisk

#endif
