// The statistics of the disk as a document, made of what is known at that moment.
//
// Thread contract: any thread.

#ifndef RAMDISK_PLUGIN_STATISTICS_H
#define RAMDISK_PLUGIN_STATISTICS_H

#include <cstdint>
#include <optional>
#include <vector>

#include "plugin/metrics.h"
#include "plugin/operations.h"
#include "ramdisk/allocator.h"

namespace ramdisk {

struct DiskFigures {
  std::string version;
  std::string allocator;
  uint64_t disk_bytes = 0;
  std::optional<uint64_t> limit_bytes{};
  uint64_t used_bytes = 0;
  Statistics statistics;
  bool ended = false;  // the disk, with its server
};

std::vector<Metric> make_metrics(const DiskFigures& disk, const Operations& operations);

}  // namespace ramdisk

#endif
