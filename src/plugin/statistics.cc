#include "plugin/statistics.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/page.h"

namespace ramdisk {

namespace {

using Type = Metric::Type;

Metric text(const char* name, const char* help, const std::string& value) {
  return {name, Type::text, help, {{{}, value}}};
}

template <typename Number>
Metric gauge(const char* name, const char* help, Number value) {
  return {name, Type::gauge, help, {{{}, number(value)}}};
}

std::string seconds_of_bucket(size_t bucket) {
  if (bucket + 1 == Operations::kBuckets) return "+Inf";
  return number(static_cast<double>(uint64_t{1} << bucket) * 1e-6);
}

Metric pages(const DiskFigures& disk) {
  const auto pages_of = [](uint64_t bytes) {
    return bytes / kPageBytes + (bytes % kPageBytes != 0);
  };
  const Statistics& s = disk.statistics;
  Metric metric{"pages", Type::gauge, "Pages of 4096 bytes, by what they are kept as.", {}};
  const auto add = [&](const char* kind, const char* generation, uint64_t count) {
    metric.samples.push_back({{{"kind", kind}, {"generation", generation}}, number(count)});
  };
  // Counts the pages of no other kind, so that the kinds add up to the size of the disk.
  add("zero", "", pages_of(disk.disk_bytes) - s.stored_pages());
  add("same_filled", "", s.same_filled_pages);
  add("plain", "", s.plain_pages);
  add("waiting", "", s.waiting_pages);
  for (size_t i = 0; i < s.generations.size(); ++i) {
    const Statistics::Generation& generation = s.generations[i];
    if (generation.single_pages + generation.grouped_pages == 0) continue;
    add("compressed", std::to_string(i).c_str(), generation.single_pages);
    add("grouped", std::to_string(i).c_str(), generation.grouped_pages);
  }
  return metric;
}

void add_operations(std::vector<Metric>& metrics, const Operations& operations) {
  Metric requests{"requests_total", Type::counter, "Requests, by operation.", {}};
  Metric errors{"request_errors_total", Type::counter, "Requests that failed.", {}};
  Metric bytes{"request_bytes_total", Type::counter, "Bytes of requests that succeeded.", {}};
  Metric buckets{"request_seconds_bucket",
                 Type::histogram,
                 "Time that requests took within the plugin, in seconds.",
                 {}};
  Metric seconds{"request_seconds_sum", Type::histogram, "", {}};
  Metric count{"request_seconds_count", Type::histogram, "", {}};
  for (size_t i = 0; i < kOperations; ++i) {
    const auto operation = static_cast<Operation>(i);
    const Operations::Figures figures = operations.figures(operation);
    const Labels labels{{"operation", operation_name(operation)}};
    requests.samples.push_back({labels, number(figures.requests)});
    errors.samples.push_back({labels, number(figures.errors)});
    bytes.samples.push_back({labels, number(figures.bytes)});
    seconds.samples.push_back({labels, number(static_cast<double>(figures.nanoseconds) * 1e-9)});
    uint64_t sum = 0;
    for (size_t bucket = 0; bucket < Operations::kBuckets; ++bucket) {
      sum += figures.buckets[bucket];
      Labels bucket_labels = labels;
      bucket_labels.emplace_back("le", seconds_of_bucket(bucket));
      buckets.samples.push_back({std::move(bucket_labels), number(sum)});
    }
    // The number of requests may have grown since the buckets were read, but the count of a
    // histogram is that of its last bucket.
    count.samples.push_back({labels, number(sum)});
  }
  for (Metric* metric : {&requests, &errors, &bytes, &buckets, &seconds, &count}) {
    metrics.push_back(std::move(*metric));
  }
}

bool is_shared(const Metric& metric) {
  constexpr std::array<std::string_view, 4> kShared{"version", "allocator", "limit_bytes", "ended"};
  return std::find(kShared.begin(), kShared.end(), metric.name) != kShared.end();
}

}  // namespace

std::vector<Metric> make_metrics(const DiskFigures& disk, const Operations& operations) {
  const Statistics& s = disk.statistics;
  const auto stored = static_cast<double>(s.usage.stored_bytes);
  const auto memory = static_cast<double>(s.usage.memory_bytes);
  std::vector<Metric> metrics{
      text("version", "Version of the plugin.", disk.version),
      text("allocator", "How the disk is kept.", disk.allocator),
      gauge("size_bytes", "Size of the disk.", disk.disk_bytes),
      gauge("stored_bytes", "Bytes of the disk that are kept, uncompressed.", s.usage.stored_bytes),
      gauge("memory_bytes", "Memory that is held for the stored bytes.", s.usage.memory_bytes),
      gauge("used_bytes", "Memory that counts against the limit.", disk.used_bytes),
      gauge("ratio", "stored_bytes / memory_bytes.", memory > 0 ? stored / memory : 0.0),
  };
  if (disk.limit_bytes) {
    metrics.push_back(gauge("limit_bytes", "Memory that the disk may take, which is max-memory.",
                            *disk.limit_bytes));
  }
  metrics.push_back(gauge("ended", "1 if the disk has ended with its server, 0 while it serves.",
                          uint64_t{disk.ended}));
  metrics.push_back(pages(disk));
  metrics.push_back(gauge("waiting_limit_pages", "Pages that may wait uncompressed, now.",
                          s.waiting_limit_pages));
  metrics.push_back(gauge("dictionaries", "Dictionaries in use.", s.dictionaries));
  metrics.push_back(
      gauge("dictionary_bytes", "Memory that the dictionaries take.", s.dictionary_bytes));
  add_operations(metrics, operations);
  return metrics;
}

std::vector<Metric> make_shared_metrics(const DiskFigures& figures, uint64_t disks) {
  std::vector<Metric> metrics;
  for (Metric& metric : make_metrics(figures, Operations())) {
    if (is_shared(metric)) metrics.push_back(std::move(metric));
  }
  metrics.push_back(gauge("disks", "Disks that there are now.", disks));
  return metrics;
}

std::vector<Metric> make_own_metrics(const DiskFigures& disk, const Operations& operations) {
  std::vector<Metric> metrics = make_metrics(disk, operations);
  std::erase_if(metrics, is_shared);
  return metrics;
}

void add_figures(Statistics& sum, const Statistics& more) {
  sum.usage.stored_bytes += more.usage.stored_bytes;
  sum.usage.memory_bytes += more.usage.memory_bytes;
  sum.same_filled_pages += more.same_filled_pages;
  sum.plain_pages += more.plain_pages;
  sum.waiting_pages += more.waiting_pages;
  sum.generations.resize(std::max(sum.generations.size(), more.generations.size()));
  for (size_t i = 0; i < more.generations.size(); ++i) {
    sum.generations[i].single_pages += more.generations[i].single_pages;
    sum.generations[i].grouped_pages += more.generations[i].grouped_pages;
  }
  sum.waiting_limit_pages += more.waiting_limit_pages;
  sum.dictionaries += more.dictionaries;
  sum.dictionary_bytes += more.dictionary_bytes;
}

}  // namespace ramdisk
