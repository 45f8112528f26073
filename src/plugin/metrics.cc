#include "plugin/metrics.h"

#include <cstdio>

namespace ramdisk {

namespace {

// Quoted, for either format: backslashes, quotes and control characters are escaped. (Prometheus
// knows only some of these escapes, but no text of ours has the others in it.)
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    char escape[8];
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      out += escape;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string json_object(const Sample& sample) {
  std::string out = "{";
  for (const auto& [label, value] : sample.labels) out += quoted(label) + ": " + quoted(value) + ", ";
  return out + "\"value\": " + sample.value + "}";
}

std::string json_value(const Metric& metric) {
  if (metric.samples.size() == 1 && metric.samples.front().labels.empty()) {
    const std::string& value = metric.samples.front().value;
    return metric.type == Metric::Type::text ? quoted(value) : value;
  }
  std::string out;
  for (const Sample& sample : metric.samples) {
    out += (out.empty() ? "[\n    " : ",\n    ") + json_object(sample);
  }
  return out.empty() ? "[]" : out + "\n  ]";
}

std::string prometheus_labels(const Sample::Labels& labels) {
  std::string out;
  for (const auto& [label, value] : labels) {
    out += (out.empty() ? "{" : ",") + label + "=" + quoted(value);
  }
  return out.empty() ? "" : out + "}";
}

}  // namespace

std::string number(uint64_t value) {
  return std::to_string(value);
}

std::string number(double value) {
  char text[32];
  snprintf(text, sizeof text, "%.6g", value);
  return text;
}

std::string to_json(const std::vector<Metric>& metrics) {
  std::string out;
  for (const Metric& metric : metrics) {
    out += (out.empty() ? "{\n  " : ",\n  ") + quoted(metric.name) + ": " + json_value(metric);
  }
  return out.empty() ? "{}\n" : out + "\n}\n";
}

std::string to_prometheus(const std::vector<Metric>& metrics) {
  const std::string prefix = "nbdkit_memory_";
  std::string out;
  Sample::Labels info;
  for (const Metric& metric : metrics) {
    if (metric.type == Metric::Type::text) {
      info.emplace_back(metric.name, metric.samples.front().value);
      continue;
    }
    const std::string name = prefix + metric.name;
    out += "# HELP " + name + " " + metric.help + "\n# TYPE " + name +
           (metric.type == Metric::Type::counter ? " counter\n" : " gauge\n");
    for (const Sample& sample : metric.samples) {
      out += name + prometheus_labels(sample.labels) + " " + sample.value + "\n";
    }
  }
  return "# HELP " + prefix + "info What serves the disk.\n# TYPE " + prefix + "info gauge\n" + prefix +
         "info" + prometheus_labels(info) + " 1\n" + out;
}

}  // namespace ramdisk
