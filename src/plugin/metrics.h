// Metrics: named figures, and the two formats in which they are given out.
//
// Thread contract: none; a document is made by one thread.

#ifndef RAMDISK_PLUGIN_METRICS_H
#define RAMDISK_PLUGIN_METRICS_H

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace ramdisk {

// One figure. With labels it is one of several of its name, which they tell apart.
struct Sample {
  using Labels = std::vector<std::pair<std::string, std::string>>;

  Labels labels;
  std::string value;  // a number, written out, unless the metric is a text
};

std::string number(uint64_t value);
std::string number(double value);

struct Metric {
  enum class Type { gauge, counter, text };  // text: for JSON, a label of an info metric else

  std::string name;  // ends with its unit
  Type type;
  std::string help;
  std::vector<Sample> samples;
};

// A JSON object with a member for each metric: its value or, if it has labels, a list of objects
// with a member for each label, and "value".
std::string to_json(const std::vector<Metric>& metrics);

// The text format of Prometheus, version 0.0.4 (https://prometheus.io/docs/instrumenting/
// exposition_formats/): names get the prefix nbdkit_memory_, and texts become labels of
// nbdkit_memory_info.
std::string to_prometheus(const std::vector<Metric>& metrics);

}  // namespace ramdisk

#endif
