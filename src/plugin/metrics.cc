#include "plugin/metrics.h"

#include <cstdio>
#include <string_view>
#include <utility>

namespace ramdisk {

namespace {

constexpr std::string_view kBucket = "_bucket";

// Quotes text for JSON: backslashes, quotes and control characters are escaped.
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

void add_json(std::string& out, const Sample& sample) {
  out += "{";
  for (const auto& [label, value] : sample.labels) {
    out += quoted(label) + ": " + quoted(value) + ", ";
  }
  out += "\"value\": " + sample.value + "}";
}

void add_json(std::string& out, const Metric& metric) {
  if (metric.samples.size() == 1 && metric.samples.front().labels.empty()) {
    const std::string& value = metric.samples.front().value;
    out += metric.type == Metric::Type::text ? quoted(value) : value;
    return;
  }
  const char* before = "[\n    ";
  for (const Sample& sample : metric.samples) {
    out += std::exchange(before, ",\n    ");
    add_json(out, sample);
  }
  out += metric.samples.empty() ? "[]" : "\n  ]";
}

// Quotes text for a label of Prometheus, which knows three escapes and refuses all others.
std::string quoted_label(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out + "\"";
}

void add_sample(std::string& out, const std::string& name, const Labels& common,
                const Sample& sample) {
  out += name;
  const char* before = "{";
  for (const Labels* labels : {&common, &sample.labels}) {
    for (const auto& [label, value] : *labels) {
      if (!value.empty()) out += std::exchange(before, ",") + label + "=" + quoted_label(value);
    }
  }
  out += (*before == ',' ? "} " : " ") + sample.value + "\n";
}

void add_head(std::string& out, const std::string& name, const std::string& help,
              const char* type) {
  out += "# HELP " + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
}

// The head of a histogram names all of it, and so stands before its first part only.
void add_head(std::string& out, const std::string& name, const Metric& metric) {
  switch (metric.type) {
    case Metric::Type::counter:
      return add_head(out, name, metric.help, "counter");
    case Metric::Type::histogram:
      if (name.ends_with(kBucket)) {
        add_head(out, name.substr(0, name.size() - kBucket.size()), metric.help, "histogram");
      }
      return;
    case Metric::Type::gauge:
    case Metric::Type::text:
      return add_head(out, name, metric.help, "gauge");
  }
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
  const char* before = "{\n  ";
  for (const Metric& metric : metrics) {
    out += std::exchange(before, ",\n  ") + quoted(metric.name) + ": ";
    add_json(out, metric);
  }
  return out + (metrics.empty() ? "{}\n" : "\n}\n");
}

std::string to_json(const std::vector<Metric>& shared, const std::vector<ExportMetrics>& exports) {
  std::string out = to_json(shared);
  out.resize(out.size() - 3);  // the newline before the last brace, and what follows
  out += ",\n  \"exports\": [";
  const char* before = "\n    ";
  for (const ExportMetrics& one : exports) {
    std::vector<Metric> metrics{{"export", Metric::Type::text, "", {{{}, one.name}}}};
    metrics.insert(metrics.end(), one.metrics.begin(), one.metrics.end());
    out += std::exchange(before, ",\n    ");
    std::string object = to_json(metrics);
    object.pop_back();
    for (const char c : object) {
      out += c;
      if (c == '\n') out += "    ";
    }
  }
  return out + (exports.empty() ? "]\n}\n" : "\n  ]\n}\n");
}

std::string to_prometheus(const std::vector<Metric>& shared,
                          const std::vector<ExportMetrics>& exports, const Labels& common) {
  std::vector<Metric> all = shared;
  for (const ExportMetrics& one : exports) {
    const bool first = &one == &exports.front();
    for (size_t i = 0; i < one.metrics.size(); ++i) {
      const Metric& metric = one.metrics[i];
      if (first) all.push_back({metric.name, metric.type, metric.help, {}});
      std::vector<Sample>& samples = all[shared.size() + i].samples;
      for (Sample sample : metric.samples) {
        sample.labels.insert(sample.labels.begin(), {"export", one.name});
        samples.push_back(std::move(sample));
      }
    }
  }
  return to_prometheus(all, common);
}

std::string to_prometheus(const std::vector<Metric>& metrics, const Labels& common) {
  const std::string prefix = "nbdkit_memory_";
  std::string out;
  Sample info{{}, "1"};
  for (const Metric& metric : metrics) {
    if (metric.type == Metric::Type::text) {
      info.labels.emplace_back(metric.name, metric.samples.front().value);
      continue;
    }
    const std::string name = prefix + metric.name;
    add_head(out, name, metric);
    for (const Sample& sample : metric.samples) add_sample(out, name, common, sample);
  }
  add_head(out, prefix + "info", "What serves the disk.", "gauge");
  add_sample(out, prefix + "info", common, info);
  return out;
}

}  // namespace ramdisk
