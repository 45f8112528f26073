// The statistics document: its numbers of pages add up, even while the disk is in use.

#include "plugin/statistics.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "disk/registry.h"
#include "support/data.h"

namespace ramdisk {
namespace {

using conformance::Bytes;
using conformance::Data;
using conformance::Rng;
using conformance::scaled;
using conformance::slow_build;

constexpr uint64_t kPage = 4096;

// A disk that serves requests, and its document.
class Disk {
 public:
  Disk(AllocatorType type, uint64_t bytes) : bytes_(bytes) {
    AllocatorOptions options;
    options.type = type;
    auto made = make_allocator(options, bytes,
                               {.memory = memory_.get(), .pace = {}, .trace_directories = {}});
    EXPECT_TRUE(made.ok()) << made.status().message();
    allocator_ = std::move(made.value());
    EXPECT_TRUE(allocator_->get_ready().ok());
    EXPECT_TRUE(allocator_->after_fork().ok());
  }
  ~Disk() { allocator_->stop(); }

  Allocator& operator*() const { return *allocator_; }
  Allocator* operator->() const { return allocator_.get(); }

  // Returns what is wrong with the current document; empty if nothing is.
  std::string check() const {
    DiskFigures figures;
    figures.disk_bytes = bytes_;
    figures.statistics = allocator_->statistics();
    const uint64_t total = (bytes_ + kPage - 1) / kPage;
    uint64_t sum = 0;
    uint64_t zero = 0;
    uint64_t stored = 0;
    for (const Metric& metric : make_metrics(figures, operations_)) {
      if (metric.name == "stored_bytes") stored = std::stoull(metric.samples.front().value);
      if (metric.name != "pages") continue;
      for (const Sample& sample : metric.samples) {
        const uint64_t pages = std::stoull(sample.value);
        if (pages > total) return "pages of one kind: " + sample.value;
        if (sample.labels.front().second == "zero") zero = pages;
        sum += pages;
      }
    }
    if (sum != total) return "the kinds sum to " + std::to_string(sum);
    if (stored > bytes_) return "more stored than there is: " + std::to_string(stored);
    if ((stored + kPage - 1) / kPage != total - zero) {
      return std::to_string(stored) + " bytes stored, pages of zeroes: " + std::to_string(zero);
    }
    const uint64_t now = allocator_->usage().stored_bytes;
    return now > bytes_ ? "more stored than there is: " + std::to_string(now) : "";
  }

 private:
  const uint64_t bytes_;
  const std::unique_ptr<MemorySource> memory_ = make_system_memory();
  std::unique_ptr<Allocator> allocator_;
  Operations operations_;
};

std::vector<AllocatorType> types() {
  std::vector<AllocatorType> list{AllocatorType::sparse, AllocatorType::malloc};
#ifdef RAMDISK_HAVE_ZSTD
  list.push_back(AllocatorType::zstd);
#endif
  return list;
}

class StatisticsDocument : public testing::TestWithParam<AllocatorType> {
 protected:
  static constexpr uint64_t kBytes = 3 * 1024 * kPage - 100;

  // Makes requests of which `trims` in a hundred are trims and the others writes.
  void use(Allocator& disk, uint64_t trims, uint64_t stream) const {
    const uint64_t longest = (slow_build() ? 8 : 64) * kPage;
    Rng rng(stream);
    std::vector<Bytes> data;
    for (const auto kind : {Data::word, Data::text, Data::random})
      data.push_back(make_data(longest, kind, rng));
    for (int i = scaled(GetParam() == AllocatorType::zstd ? 300 : 5000); i > 0; --i) {
      const uint64_t at = rng.below(kBytes);
      const uint64_t count = 1 + rng.below(std::min(kBytes - at, longest));
      const Bytes& content = data[rng.below(data.size())];
      const Status status = rng.chance(trims)
                                ? disk.zero(std::min(count, 4 * kPage), at)
                                : disk.write({content.data(), static_cast<size_t>(count)}, at);
      EXPECT_TRUE(status.ok()) << status.message();
    }
  }

  // Makes documents while eight threads run use().
  void check_while_in_use(const Disk& disk, uint64_t trims) {
    SCOPED_TRACE(std::to_string(trims) + " % trims");
    std::atomic<int> running{8};
    std::vector<std::thread> threads;
    for (uint64_t i = 0; i < 8; ++i) {
      threads.emplace_back([&, i] {
        use(*disk, trims, 60 + i);
        --running;
      });
    }
    int wrong = 0;
    int documents = 0;
    std::string first;
    while (running > 0) {
      const std::string problem = disk.check();
      ++documents;
      if (!problem.empty() && wrong++ == 0) first = problem;
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0) << "of " << documents << " documents; the first: " << first;
    EXPECT_EQ(disk.check(), "");
  }
};

// This includes a disk that is nearly full all the time, because pages that a request has reserved
// but not written must not count as stored.
TEST_P(StatisticsDocument, AddsUpWhileWritersAndTrimmersRun) {
  const Disk disk(GetParam(), kBytes);
  EXPECT_EQ(disk.check(), "");
  for (const uint64_t trims : {30, 2}) check_while_in_use(disk, trims);
  ASSERT_TRUE(disk->zero(kBytes, 0).ok());
  EXPECT_EQ(disk.check(), "");
}

// Tries sizes at which the last directory is the last one that a level of the table's tree can
// address, and the sizes around them.
TEST_P(StatisticsDocument, EndsForEverySize) {
  if (GetParam() == AllocatorType::malloc) GTEST_SKIP() << "it takes the memory of the whole disk";
  constexpr uint64_t kMiB = 1 << 20;
  for (const uint64_t power : {64, 64 * 64, 64 * 64 * 64}) {
    for (const uint64_t bytes : {(power - 1) * kMiB, (power - 1) * kMiB + 1, power * kMiB - 1,
                                 power * kMiB, power * kMiB + 1}) {
      SCOPED_TRACE(bytes);
      const Disk disk(GetParam(), bytes);
      const Bytes data(1, std::byte{1});
      ASSERT_TRUE(disk->write(data, bytes - 1).ok());
      EXPECT_EQ(disk.check(), "");
      EXPECT_EQ(disk->statistics().usage.stored_bytes, std::min(bytes, kPage));
    }
  }
  const Disk largest(GetParam(), INT64_MAX);
  ASSERT_TRUE(largest->write(Bytes(5000, std::byte{7}), INT64_MAX - 5000).ok());
  EXPECT_EQ(largest.check(), "");
}

INSTANTIATE_TEST_SUITE_P(All, StatisticsDocument, testing::ValuesIn(types()),
                         [](const auto& type) { return std::string(allocator_name(type.param)); });

}  // namespace
}  // namespace ramdisk
