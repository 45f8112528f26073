// What the disk that is served says of itself: its statistics, and a phrase for people.

#include <cinttypes>
#include <cstdio>

#include "plugin/plugin_state.h"
#include "plugin/statistics.h"

namespace ramdisk {

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
  return plugin->config.stats_format() == StatsFormat::json ? to_json(metrics)
                                                            : to_prometheus(metrics);
}

std::string describe_disk() {
  const Usage usage = plugin->allocator->usage();
  std::string text = "RAM disk (" + plugin->allocator->describe() + "); " +
                     std::to_string(usage.stored_bytes) + " bytes stored in " +
                     std::to_string(usage.memory_bytes) + " bytes of memory";
  if (usage.memory_bytes > 0) {
    char ratio[32];
    snprintf(ratio, sizeof ratio, ", ratio %.2f",
             static_cast<double>(usage.stored_bytes) / static_cast<double>(usage.memory_bytes));
    text += ratio;
  }
  if (const auto limit = plugin->config.max_memory()) {
    text += ", limit " + std::to_string(*limit) + " bytes";
  }
  return text;
}

void log_disk() noexcept {
  guarded([] {
    nbdkit_debug("%s; %" PRIu64 " bytes used in all", describe_disk().c_str(),
                 plugin->memory->budget().used());
    return Status();
  });
}

}  // namespace ramdisk
