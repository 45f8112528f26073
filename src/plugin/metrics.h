// Metrics: named figures, and the two formats in which they are published.
//
// Thread contract: any thread; the functions share no state.

#ifndef RAMDISK_PLUGIN_METRICS_H
#define RAMDISK_PLUGIN_METRICS_H

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace ramdisk {

using Labels = std::vector<std::pair<std::string, std::string>>;

// One figure. Labels distinguish the figures of one metric.
struct Sample {
  Labels labels;
  std::string value;  // a number in decimal, or the text of a text metric
};

std::string number(uint64_t value);
std::string number(double value);

struct Metric {
  enum class Type {
    gauge,
    counter,
    text,  // a string in JSON, a label of an info metric in Prometheus
    // Three metrics that follow each other, with one name and the suffixes _bucket, _sum and
    // _count, are a histogram. The help text of the first is that of the histogram.
    histogram
  };

  std::string name;  // ends with its unit, in a histogram before the suffix
  Type type;
  std::string help;
  std::vector<Sample> samples;
};

// Returns a JSON object with a member for each metric: its value or, if it has labels, a list of
// objects with a member for each label, and "value".
std::string to_json(const std::vector<Metric>& metrics);

// Returns the text format of Prometheus, version 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/). Names get the prefix
// nbdkit_memory_, and texts become labels of nbdkit_memory_info. Every sample also gets the labels
// `common`. Labels without a value are left out: to Prometheus they mean the same as none.
std::string to_prometheus(const std::vector<Metric>& metrics, const Labels& common = {});

// The metrics of one of several disks.
struct ExportMetrics {
  std::string name;  // valid UTF-8
  std::vector<Metric> metrics;
};

// The same for several disks, whose metrics have the same names in the same order. In JSON, the
// object has those that are `shared`, of which there is one at least, and last a member "exports",
// a list of objects with a member "export", the name, and the metrics of that disk. In Prometheus'
// format the name is the first label of each sample of the disk.
std::string to_json(const std::vector<Metric>& shared, const std::vector<ExportMetrics>& exports);
std::string to_prometheus(const std::vector<Metric>& shared,
                          const std::vector<ExportMetrics>& exports, const Labels& common);

}  // namespace ramdisk

#endif
