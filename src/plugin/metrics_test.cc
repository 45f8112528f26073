// Metrics: the exact text of the two formats.

#include "plugin/metrics.h"

#include <gtest/gtest.h>

namespace ramdisk {
namespace {

const std::vector<Metric> kMetrics{
    {"name", Metric::Type::text, "A text.", {{{}, "a \"b\" \\ \n"}}},
    {"size_bytes", Metric::Type::gauge, "A size.", {{{}, number(uint64_t{UINT64_MAX})}}},
    {"ratio", Metric::Type::gauge, "A ratio.", {{{}, number(2.5)}}},
    {"requests_total",
     Metric::Type::counter,
     "Some.",
     {{{{"operation", "read"}}, number(uint64_t{1})}, {{{"operation", "write"}}, number(1e-7)}}},
    {"none", Metric::Type::gauge, "No samples.", {}},
};

TEST(Metrics, Json) {
  EXPECT_EQ(to_json(kMetrics),
            "{\n"
            "  \"name\": \"a \\\"b\\\" \\\\ \\u000a\",\n"
            "  \"size_bytes\": 18446744073709551615,\n"
            "  \"ratio\": 2.5,\n"
            "  \"requests_total\": [\n"
            "    {\"operation\": \"read\", \"value\": 1},\n"
            "    {\"operation\": \"write\", \"value\": 1e-07}\n"
            "  ],\n"
            "  \"none\": []\n"
            "}\n");
  EXPECT_EQ(to_json({}), "{}\n");
}

TEST(Metrics, Prometheus) {
  EXPECT_EQ(to_prometheus({kMetrics.begin() + 1, kMetrics.end() - 1}),
            "# HELP nbdkit_memory_size_bytes A size.\n"
            "# TYPE nbdkit_memory_size_bytes gauge\n"
            "nbdkit_memory_size_bytes 18446744073709551615\n"
            "# HELP nbdkit_memory_ratio A ratio.\n"
            "# TYPE nbdkit_memory_ratio gauge\n"
            "nbdkit_memory_ratio 2.5\n"
            "# HELP nbdkit_memory_requests_total Some.\n"
            "# TYPE nbdkit_memory_requests_total counter\n"
            "nbdkit_memory_requests_total{operation=\"read\"} 1\n"
            "nbdkit_memory_requests_total{operation=\"write\"} 1e-07\n"
            "# HELP nbdkit_memory_info What serves the disk.\n"
            "# TYPE nbdkit_memory_info gauge\n"
            "nbdkit_memory_info 1\n");
  const std::string info = to_prometheus({{"version", Metric::Type::text, "", {{{}, "1.0"}}}});
  EXPECT_NE(info.find("nbdkit_memory_info{version=\"1.0\"} 1\n"), std::string::npos) << info;
}

}  // namespace
}  // namespace ramdisk
