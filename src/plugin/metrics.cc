#include "plugin/metrics.h"

#include <cstdio>
#include <sstream>
#include <utility>

namespace ramdisk {

namespace {

// Quotes text for either format: backslashes, quotes and control characters are escaped.
// (Prometheus knows only some of these escapes, but none of our texts needs the others.)
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

void add_json(std::ostream& out, const Sample& sample) {
  out << "{";
  for (const auto& [label, value] : sample.labels) {
    out << quoted(label) << ": " << quoted(value) << ", ";
  }
  out << "\"value\": " << sample.value << "}";
}

void add_json(std::ostream& out, const Metric& metric) {
  if (metric.samples.size() == 1 && metric.samples.front().labels.empty()) {
    const std::string& value = metric.samples.front().value;
    out << (metric.type == Metric::Type::text ? quoted(value) : value);
    return;
  }
  const char* before = "[\n    ";
  for (const Sample& sample : metric.samples) {
    out << std::exchange(before, ",\n    ");
    add_json(out, sample);
  }
  out << (metric.samples.empty() ? "[]" : "\n  ]");
}

void add_labels(std::ostream& out, const Sample::Labels& labels) {
  const char* before = "{";
  for (const auto& [label, value] : labels) {
    out << std::exchange(before, ",") << label << "=" << quoted(value);
  }
  if (!labels.empty()) out << "}";
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
  std::ostringstream out;
  const char* before = "{\n  ";
  for (const Metric& metric : metrics) {
    out << std::exchange(before, ",\n  ") << quoted(metric.name) << ": ";
    add_json(out, metric);
  }
  out << (metrics.empty() ? "{}\n" : "\n}\n");
  return out.str();
}

std::string to_prometheus(const std::vector<Metric>& metrics) {
  const std::string prefix = "nbdkit_memory_";
  std::ostringstream out;
  Sample::Labels info;
  for (const Metric& metric : metrics) {
    if (metric.type == Metric::Type::text) {
      info.emplace_back(metric.name, metric.samples.front().value);
      continue;
    }
    const std::string name = prefix + metric.name;
    out << "# HELP " << name << " " << metric.help << "\n# TYPE " << name
        << (metric.type == Metric::Type::counter ? " counter\n" : " gauge\n");
    for (const Sample& sample : metric.samples) {
      out << name;
      add_labels(out, sample.labels);
      out << " " << sample.value << "\n";
    }
  }
  out << "# HELP " << prefix << "info What serves the disk.\n# TYPE " << prefix << "info gauge\n"
      << prefix << "info";
  add_labels(out, info);
  out << " 1\n";
  return out.str();
}

}  // namespace ramdisk
