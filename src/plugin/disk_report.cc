// What the disks that are served say of themselves: statistics, and a phrase for people.

#include <cstdio>
#include <filesystem>

#include "base/sizes.h"
#include "plugin/exports.h"
#include "plugin/plugin_state.h"
#include "plugin/statistics.h"

namespace ramdisk {

namespace {

// The files of several disks may lie in one directory whose files Prometheus reads as one document,
// so a file's name tells its figures from those of the others.
Labels labels_of_file() {
  const auto& path = plugin->config.stats_file();
  if (!path) return {};
  return {{"disk", std::filesystem::path(path->path).stem().string()}};
}

// Below this size, what a disk needs whatever is stored hides how well the data is stored.
constexpr uint64_t kLeastForRatio = uint64_t{4} << 20;

// The figures of a disk; without one, those that are not a disk's.
DiskFigures figures_of(const Disk* disk, bool ended) {
  DiskFigures figures;
  figures.ended = ended;
  figures.version = RAMDISK_VERSION;
  figures.allocator = disk ? disk->allocator->describe() : plugin->allocator;
  figures.limit_bytes = plugin->config.max_memory();
  if (!disk) return figures;
  figures.disk_bytes = disk->bytes;
  figures.used_bytes = disk->memory->used();
  figures.statistics = disk->allocator->statistics();
  return figures;
}

// The disks of connections have no names by which they could be told apart, and go, so their
// figures are added up, with those of the disk that they are clones of. The requests are those of
// all that ever were.
std::vector<Metric> metrics_of_connections(bool ended) {
  DiskFigures figures = figures_of(nullptr, ended);
  std::vector<Disks::Ptr> disks = plugin->disks.all();
  const size_t connections = disks.size();
  if (plugin->base) disks.push_back(plugin->base);
  for (const Disks::Ptr& disk : disks) {
    figures.disk_bytes += disk->bytes;
    add_figures(figures.statistics, disk->allocator->statistics());
  }
  figures.used_bytes = plugin->budget->used();
  std::vector<Metric> metrics = make_shared_metrics(figures, connections);
  for (Metric& metric : make_own_metrics(figures, *plugin->operations)) {
    metrics.push_back(std::move(metric));
  }
  return metrics;
}

std::string written(const std::vector<Metric>& metrics) {
  return plugin->config.stats_format() == StatsFormat::json
             ? to_json(metrics)
             : to_prometheus(metrics, labels_of_file());
}

}  // namespace

std::string make_document(bool ended) {
  switch (plugin->config.serving()) {
    case Serving::one: {
      const Disks::Ptr disk = plugin->disks.all().front();
      return written(make_metrics(figures_of(disk.get(), ended), *disk->operations));
    }
    case Serving::scratch:
      return written(metrics_of_connections(ended));
    case Serving::named:
    case Serving::any:
      break;
  }
  const std::vector<Disks::Ptr> disks = plugin->disks.all();
  std::vector<ExportMetrics> exports;
  exports.reserve(disks.size());
  for (const Disks::Ptr& disk : disks) {
    exports.push_back({printable(disk->name),
                       make_own_metrics(figures_of(disk.get(), ended), *disk->operations)});
  }
  const std::vector<Metric> shared = make_shared_metrics(figures_of(nullptr, ended), disks.size());
  return plugin->config.stats_format() == StatsFormat::json
             ? to_json(shared, exports)
             : to_prometheus(shared, exports, labels_of_file());
}

std::string describe_disk(const Disk& disk) {
  const Usage usage = disk.allocator->usage();
  std::string text = "RAM disk (" + disk.allocator->describe() +
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

void log_disk(const Disk& disk) noexcept {
  guarded([&] {
    const std::string name = disk.name.empty() ? "" : "'" + printable(disk.name) + "': ";
    nbdkit_debug("%s%s; %s used in all", name.c_str(), describe_disk(disk).c_str(),
                 short_size(plugin->budget->used()).c_str());
    return Status();
  });
}

}  // namespace ramdisk
