// What the disk that is served says of itself: its statistics, and a phrase for people.

#include <cstdio>
#include <filesystem>

#include "base/sizes.h"
#include "plugin/plugin_state.h"
#include "plugin/statistics.h"

namespace ramdisk {

namespace {

// The files of several disks may lie in one directory whose files Prometheus reads as one document,
// so a file's name tells its figures from those of the others.
Labels labels_of_file() {
  const auto& path = plugin->config.stats_file();
  if (!path) return {};
  return {{"disk", std::filesystem::path(*path).stem().string()}};
}

// Below this size, what a disk needs whatever is stored hides how well the data is stored.
constexpr uint64_t kLeastForRatio = uint64_t{4} << 20;

}  // namespace

std::string make_document(bool ended) {
  DiskFigures figures;
  figures.ended = ended;
  figures.version = RAMDISK_VERSION;
  figures.allocator = plugin->allocator->describe();
  figures.disk_bytes = plugin->disk_bytes;
  figures.limit_bytes = plugin->config.max_memory();
  figures.used_bytes = plugin->memory->budget().used();
  figures.statistics = plugin->allocator->statistics();
  const std::vector<Metric> metrics = make_metrics(figures, plugin->operations);
  return plugin->config.stats_format() == StatsFormat::json
             ? to_json(metrics)
             : to_prometheus(metrics, labels_of_file());
}

std::string describe_disk() {
  const Usage usage = plugin->allocator->usage();
  std::string text = "RAM disk (" + plugin->allocator->describe() +
                     "): " + short_size(usage.stored_bytes) + " in " +
                     short_size(usage.memory_bytes) + " of memory";
  if (usage.stored_bytes >= kLeastForRatio && usage.memory_bytes > 0) {
    char ratio[32];
    snprintf(ratio, sizeof ratio, ", %.2f:1",
             static_cast<double>(usage.stored_bytes) / static_cast<double>(usage.memory_bytes));
    text += ratio;
  }
  if (const auto limit = plugin->config.max_memory()) text += ", limit " + short_size(*limit);
  return text;
}

void log_disk() noexcept {
  guarded([] {
    nbdkit_debug("%s; %s used in all", describe_disk().c_str(),
                 short_size(plugin->memory->budget().used()).c_str());
    return Status();
  });
}

}  // namespace ramdisk
