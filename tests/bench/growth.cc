// How the cost of a request grows with what the disk stores.

#include <algorithm>

#include "workload.h"

namespace bench {

namespace {

constexpr uint32_t kPage = 4096;
constexpr uint64_t kMostCorpus = uint64_t{256} << 20;  // repeated on a disk that is larger

}  // namespace

void run_growth(const Options& options, Report& report) {
  const Corpus corpus(options.corpus, std::min(options.size, kMostCorpus));
  const Buffers buffers(options.corpus, 1);
  report.set_baseline();
  WarmMemory warm(options.size, options.pages);
  const Disk disk(options.plugin, disk_parameters(options, options.size));
  const double pages = static_cast<double>(options.size / kPage);

  const double seconds =
      first_sweep(warm, options.size, Buffers::kBytes, 1, [&](unsigned, uint64_t at) {
        disk.write(corpus.at(at % corpus.size()), Buffers::kBytes, at);
      });
  const auto cost = [&](const char* name, double microseconds) {
    report.line(name, options.size, 1, "cost", microseconds, "us");
  };
  cost("fill", seconds * 1e6 / pages);
  report.line("fill", options.size, 1, "memory", static_cast<double>(report.resident()) / pages,
              "bytes");
  cost("random-read", 1e6 / rate(1, options.seconds, [&](unsigned t, Random& random) {
                        disk.read(buffers.of(t), kPage, random.below(options.size / kPage) * kPage);
                      }));
  cost("random-write", 1e6 / rate(1, options.seconds, [&](unsigned, Random& random) {
                         const uint64_t from = random.below(corpus.size() / kPage) * kPage;
                         disk.write(corpus.at(from), kPage,
                                    random.below(options.size / kPage) * kPage);
                       }));
}

}  // namespace bench
