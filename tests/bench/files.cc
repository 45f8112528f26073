// Workloads on a disk of real files, for allocators that compress: how fast, and in how much
// memory.
//
// The disk holds the corpus, block for block. What is rewritten takes each block from elsewhere in
// the corpus, so that compression has real work every time.

#include <algorithm>
#include <cstring>

#include "codec.h"
#include "workload.h"

namespace bench {

namespace {

constexpr uint32_t kPage = 4096;
constexpr uint32_t kBig = 262144;

void report_ratio(const Report& report, const char* workload, uint32_t block, unsigned threads,
                  uint64_t stored) {
  const uint64_t resident = std::max<uint64_t>(report.resident(), 1);
  report.line(workload, block, threads, "ratio",
              static_cast<double>(stored) / static_cast<double>(resident), "ratio");
  report.resident_line(workload, block, threads);
}

double fill(WarmMemory& warm, const Disk& disk, const Corpus& corpus, uint32_t block,
            unsigned threads) {
  return first_sweep(warm, corpus.size(), block, threads,
                     [&](unsigned, uint64_t at) { disk.write(corpus.at(at), block, at); });
}

// Remembers which page of the corpus each page of the disk holds.
class Rewriter {
 public:
  Rewriter(const Disk& disk, const Corpus& corpus)
      : disk_(disk), corpus_(corpus), content_(corpus.size() / kPage) {
    for (uint32_t i = 0; i < content_.size(); ++i) content_[i] = i;
  }

  size_t pages() const { return content_.size(); }

  // Rewrites every page once, in random order.
  void pass(unsigned threads, Random& random) {
    const auto pages = static_cast<uint32_t>(content_.size());
    const auto order = permutation(pages, random);
    const auto sources = permutation(pages, random);
    sweep(pages, 1, threads, [&](unsigned, uint64_t i) {
      content_[order[i]] = sources[i];
      disk_.write(corpus_.at(uint64_t{sources[i]} * kPage), kPage, uint64_t{order[i]} * kPage);
    });
  }

  void check(Random& random) const {
    std::byte seen[kPage];
    for (int i = 0; i < 2000; ++i) {
      const uint64_t page = random.below(content_.size());
      disk_.read(seen, kPage, page * kPage);
      if (std::memcmp(seen, corpus_.at(uint64_t{content_[page]} * kPage), kPage) != 0) {
        throw std::runtime_error("the disk does not return what was written");
      }
    }
  }

 private:
  const Disk& disk_;
  const Corpus& corpus_;
  std::vector<uint32_t> content_;
};

void read_cold_and_hot(const Disk& disk, const Corpus& corpus, const Options& options,
                       const Report& report) {
  const Buffers buffers(options.corpus, 1);
  Random order_random(2);
  const auto pages = static_cast<uint32_t>(corpus.size() / kPage);
  const auto order = permutation(pages, order_random);
  const uint32_t count = std::min<uint32_t>(pages / 8, 8192);
  const double seconds = together(1, [&](unsigned t) {
    for (uint32_t i = 0; i < count; ++i) {
      disk.read(buffers.of(t), kPage, uint64_t{order[i]} * kPage);
    }
  });
  report.line("read-cold", kPage, 1, "rate", count / seconds, "ops/s");
  // The same pages again and again: 8 MiB of them, so that they can have become hot.
  const uint32_t hot = std::min<uint32_t>(count, 2048);
  const double calls = rate(1, options.seconds, [&](unsigned t, Random& random) {
    disk.read(buffers.of(t), kPage, uint64_t{order[random.below(hot)]} * kPage);
  });
  report.line("read-hot", kPage, 1, "rate", calls, "ops/s");
}

}  // namespace

void run_files_stream(const Options& options, Report& report) {
  const uint32_t block = options.blocks.front();
  const unsigned threads = options.threads.front();
  const Corpus corpus(options.corpus, options.size);
  const Buffers buffers(options.corpus, threads);
  report.set_baseline();
  WarmMemory warm(options.size, options.pages);
  const Disk disk(options.plugin, disk_parameters(options, options.size));

  double seconds = fill(warm, disk, corpus, block, threads);
  report.line("files-fill", block, threads, "speed", mb_per_second(options.size, seconds), "MB/s");
  report_ratio(report, "files-fill", block, threads, options.size);
  seconds = sweep(options.size, block, threads,
                  [&](unsigned t, uint64_t at) { disk.read(buffers.of(t), block, at); });
  report.line("files-read", block, threads, "speed", mb_per_second(options.size, seconds), "MB/s");
  const uint64_t shift = options.size / 3 / kBig * kBig;
  seconds = sweep(options.size, block, threads, [&](unsigned, uint64_t at) {
    disk.write(corpus.at((at + shift) % options.size), block, at);
  });
  report.line("files-overwrite", block, threads, "speed", mb_per_second(options.size, seconds),
              "MB/s");
  report_ratio(report, "files-overwrite", block, threads, options.size);
  trim_all(disk, options, report, "files-trim");
  if (!options.reference) return;
  const CodecLimits limits = codec_limits(corpus, threads, options.seconds);
  if (limits.compressions == 0) return;
  const double in = limits.compressions * kPage / 1e6;
  const double out = limits.decompressions * kPage / 1e6;
  report.limit("files-fill", block, threads, "speed", in, "MB/s");
  report.limit("files-read", block, threads, "speed", out, "MB/s");
  report.limit("files-overwrite", block, threads, "speed", in, "MB/s");
}

namespace {

struct RandomKind {
  const char* name;
  unsigned reads;
};
constexpr RandomKind kRandomKinds[] = {
    {"files-random-read", 100}, {"files-random-write", 0}, {"files-random-mix", 70}};

// To be called when there is no disk, whose workers would take a share of the CPUs.
void limit_random(const Options& options, const Corpus& corpus, const std::string& suffix,
                  const Report& report) {
  for (const unsigned threads : options.threads) {
    const CodecLimits limits = codec_limits(corpus, threads, options.seconds);
    if (limits.compressions == 0) return;
    for (const RandomKind kind : kRandomKinds) {
      report.limit(kind.name + suffix, kPage, threads, "rate", limits.mixed(kind.reads), "ops/s");
    }
  }
}

}  // namespace

void run_files_random(const Options& options, Report& report) {
  const Corpus corpus(options.corpus, options.size);
  const Buffers buffers(options.corpus, 2);
  const std::string suffix = options.part ? "-part" : "";
  if (options.reference) limit_random(options, corpus, suffix, report);
  report.set_baseline();
  WarmMemory warm(options.size, options.pages);
  const Disk disk(options.plugin, disk_parameters(options, options.size));
  fill(warm, disk, corpus, kBig, 1);

  const uint64_t pages = options.size / kPage;
  const uint64_t part = options.part ? options.part / kPage : pages;
  for (const RandomKind kind : kRandomKinds) {
    for (const unsigned threads : options.threads) {
      const auto request = [&](unsigned thread, Random& random) {
        const uint64_t at = random.below(part) * kPage;
        if (random.below(100) < kind.reads) {
          disk.read(buffers.of(thread), kPage, at);
        } else {
          disk.write(corpus.at(random.below(pages) * kPage), kPage, at);
        }
      };
      report.line(kind.name + suffix, kPage, threads, "rate",
                  rate(threads, options.seconds, request), "ops/s");
    }
  }
  report_ratio(report, ("files-random" + suffix).c_str(), kPage, 0, options.size);
}

void run_files_churn(const Options& options, Report& report) {
  const unsigned threads = options.threads.front();
  const Corpus corpus(options.corpus, options.size);
  report.set_baseline();
  WarmMemory warm(options.size, options.pages);
  const Disk disk(options.plugin, disk_parameters(options, options.size));
  fill(warm, disk, corpus, kBig, threads);
  report_ratio(report, "churn-filled", kBig, threads, options.size);
  sleep_seconds(options.idle);
  report_ratio(report, "churn-filled-idle", kBig, threads, options.size);
  read_cold_and_hot(disk, corpus, options, report);

  Random random(1);
  Rewriter rewriter(disk, corpus);
  const auto pages = static_cast<double>(rewriter.pages());
  const double begin = now();
  for (int pass = 0; pass < 2; ++pass) rewriter.pass(threads, random);
  report.line("churn-rewrite", kPage, threads, "rate", 2.0 * pages / (now() - begin), "ops/s");
  report_ratio(report, "churn-rewritten", kPage, threads, options.size);
  sleep_seconds(options.idle);
  report_ratio(report, "churn-rewritten-idle", kPage, threads, options.size);
  rewriter.check(random);
  trim_all(disk, options, report, "churn-trim");
}

// Short bursts of new data with rests between them; options.part is the length of one.
void run_files_burst(const Options& options, Report& report) {
  const uint64_t burst = options.part ? options.part : uint64_t{16} << 20;
  const Corpus corpus(options.corpus, std::max(burst, options.size / options.passes));
  report.set_baseline();
  WarmMemory warm(burst * options.passes, options.pages);
  const Disk disk(options.plugin, disk_parameters(options, burst * options.passes));
  std::vector<double> speeds;
  for (uint64_t pass = 0; pass < options.passes; ++pass) {
    warm.release(burst);
    const double seconds = sweep(burst, kBig, 1, [&](unsigned, uint64_t at) {
      disk.write(corpus.at(at), kBig, pass * burst + at);
    });
    speeds.push_back(mb_per_second(burst, seconds));
    sleep_seconds(options.idle);
  }
  warm.release_all();
  report.line("burst", kBig, 1, "speed", median(speeds), "MB/s");
  report_ratio(report, "burst", kBig, 1, burst * options.passes);

  // A journal: the same megabyte over and over, in small requests.
  constexpr uint64_t kJournal = uint64_t{1} << 20;
  const double rewrites = rate(1, options.seconds, [&](unsigned, Random& random) {
    const uint64_t at = random.below(kJournal / kPage) * kPage;
    disk.write(corpus.at(random.below(burst / kPage) * kPage), kPage, at);
  });
  report.line("journal", kPage, 1, "rate", rewrites, "ops/s");
}

void run_incompressible(const Options& options, Report& report) {
  const Region noise(options.size);
  Random random(1);
  for (uint64_t at = 0; at < noise.size(); at += sizeof(uint64_t)) {
    const uint64_t word = random.next();
    std::memcpy(noise.at(at), &word, sizeof word);
  }
  report.set_baseline();
  WarmMemory warm(options.size, options.pages);
  const Disk disk(options.plugin, disk_parameters(options, options.size));
  const double seconds = first_sweep(warm, options.size, kBig, 1, [&](unsigned, uint64_t at) {
    disk.write(noise.at(at), kBig, at);
  });
  report.line("incompressible", kBig, 1, "speed", mb_per_second(options.size, seconds), "MB/s");
  report.resident_line("incompressible", kBig, 1);
  report.line("incompressible", kBig, 1, "excess",
              static_cast<double>(report.resident()) / static_cast<double>(options.size), "ratio");
}

}  // namespace bench
