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

// A histogram, and a label without a value.
const std::vector<Metric> kHistogram{
    {"wait_seconds_bucket",
     Metric::Type::histogram,
     "A wait.",
     {{{{"kind", ""}, {"le", "1"}}, number(uint64_t{2})},
      {{{"kind", ""}, {"le", "+Inf"}}, number(uint64_t{3})}}},
    {"wait_seconds_sum", Metric::Type::histogram, "", {{{{"kind", ""}}, number(4.5)}}},
    {"wait_seconds_count", Metric::Type::histogram, "", {{{{"kind", ""}}, number(uint64_t{3})}}},
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

TEST(Metrics, HistogramsHaveOneHeadAndNoEmptyLabels) {
  EXPECT_EQ(to_prometheus(kHistogram),
            "# HELP nbdkit_memory_wait_seconds A wait.\n"
            "# TYPE nbdkit_memory_wait_seconds histogram\n"
            "nbdkit_memory_wait_seconds_bucket{le=\"1\"} 2\n"
            "nbdkit_memory_wait_seconds_bucket{le=\"+Inf\"} 3\n"
            "nbdkit_memory_wait_seconds_sum 4.5\n"
            "nbdkit_memory_wait_seconds_count 3\n"
            "# HELP nbdkit_memory_info What serves the disk.\n"
            "# TYPE nbdkit_memory_info gauge\n"
            "nbdkit_memory_info 1\n");
  EXPECT_NE(to_json(kHistogram)
                .find("  \"wait_seconds_sum\": [\n"
                      "    {\"kind\": \"\", \"value\": 4.5}\n"
                      "  ],\n"
                      "  \"wait_seconds_count\": [\n"),
            std::string::npos)
      << to_json(kHistogram);
}

TEST(Metrics, CommonLabelsAreOnEverySample) {
  const std::string text = to_prometheus({kMetrics[1], kMetrics[3]}, {{"disk", "a \"b\" \\ \n"}});
  for (const char* line :
       {"nbdkit_memory_size_bytes{disk=\"a \\\"b\\\" \\\\ \\n\"} 18446",
        "\nnbdkit_memory_requests_total{disk=\"a \\\"b\\\" \\\\ \\n\",operation=",
        "\nnbdkit_memory_info{disk=\"a \\\"b\\\" \\\\ \\n\"} 1\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << " is not in:\n" << text;
  }
}

// Several disks: what is shared comes first, and each disk's figures have its name.
TEST(Metrics, SeveralExports) {
  const auto own = [](uint64_t size) {
    return std::vector<Metric>{
        {"size_bytes", Metric::Type::gauge, "A size.", {{{}, number(size)}}},
        {"reads", Metric::Type::counter, "Some.", {{{{"kind", "big"}}, number(size + 1)}}}};
  };
  const std::vector<Metric> shared{{"disks", Metric::Type::gauge, "Some.", {{{}, "2"}}}};
  const std::vector<ExportMetrics> exports{{"a", own(1)}, {"b\"", own(3)}};
  EXPECT_EQ(to_json(shared, exports),
            "{\n"
            "  \"disks\": 2,\n"
            "  \"exports\": [\n"
            "    {\n"
            "      \"export\": \"a\",\n"
            "      \"size_bytes\": 1,\n"
            "      \"reads\": [\n"
            "        {\"kind\": \"big\", \"value\": 2}\n"
            "      ]\n"
            "    },\n"
            "    {\n"
            "      \"export\": \"b\\\"\",\n"
            "      \"size_bytes\": 3,\n"
            "      \"reads\": [\n"
            "        {\"kind\": \"big\", \"value\": 4}\n"
            "      ]\n"
            "    }\n"
            "  ]\n"
            "}\n");
  EXPECT_EQ(to_json(shared, {}), "{\n  \"disks\": 2,\n  \"exports\": []\n}\n");
  EXPECT_EQ(to_prometheus(shared, exports, {{"disk", "x"}}),
            "# HELP nbdkit_memory_disks Some.\n"
            "# TYPE nbdkit_memory_disks gauge\n"
            "nbdkit_memory_disks{disk=\"x\"} 2\n"
            "# HELP nbdkit_memory_size_bytes A size.\n"
            "# TYPE nbdkit_memory_size_bytes gauge\n"
            "nbdkit_memory_size_bytes{disk=\"x\",export=\"a\"} 1\n"
            "nbdkit_memory_size_bytes{disk=\"x\",export=\"b\\\"\"} 3\n"
            "# HELP nbdkit_memory_reads Some.\n"
            "# TYPE nbdkit_memory_reads counter\n"
            "nbdkit_memory_reads{disk=\"x\",export=\"a\",kind=\"big\"} 2\n"
            "nbdkit_memory_reads{disk=\"x\",export=\"b\\\"\",kind=\"big\"} 4\n"
            "# HELP nbdkit_memory_info What serves the disk.\n"
            "# TYPE nbdkit_memory_info gauge\n"
            "nbdkit_memory_info{disk=\"x\"} 1\n");
}

}  // namespace
}  // namespace ramdisk
