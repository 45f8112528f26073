// Turns the state of the disk at one moment into the metrics of its statistics document.
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
  bool ended = false;  // whether the disk has ended, with its server
};

std::vector<Metric> make_metrics(const DiskFigures& disk, const Operations& operations);

// The two parts of them, where there are several disks: what all have in common, and what each has.
// `figures` of the first need not be a disk's.
std::vector<Metric> make_shared_metrics(const DiskFigures& figures, uint64_t disks);
std::vector<Metric> make_own_metrics(const DiskFigures& disk, const Operations& operations);

// The figures of several disks as if they were one.
void add_figures(Statistics& sum, const Statistics& more);

}  // namespace ramdisk

#endif
