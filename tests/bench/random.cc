// Random workloads on a full disk: reads, writes, a mix of both, and many threads on one page.

#include <cstring>

#include "workload.h"

namespace bench {

namespace {

// `reads` per cent of the requests are reads, all others writes.
double random_rate(const Disk& disk, const Buffers& buffers, const Options& options,
                   unsigned threads, uint32_t block, unsigned reads) {
  const uint64_t places = options.size / block;
  return rate(threads, options.seconds, [&](unsigned thread, Random& random) {
    const uint64_t at = random.below(places) * block;
    if (random.below(100) < reads) {
      disk.read(buffers.of(thread), block, at);
    } else {
      disk.write(buffers.of(thread), block, at);
    }
  });
}

// The same requests to plain memory of the disk's size: how this machine scales without any disk.
double random_copy_rate(const Region& region, const Buffers& buffers, const Options& options,
                        unsigned threads, uint32_t block, unsigned reads) {
  static void* (*volatile const plain_copy)(void*, const void*, size_t) = std::memcpy;
  const uint64_t places = region.size() / block;
  return rate(threads, options.seconds, [&](unsigned thread, Random& random) {
    std::byte* const place = region.at(random.below(places) * block);
    if (random.below(100) < reads) {
      plain_copy(buffers.of(thread), place, block);
    } else {
      plain_copy(place, buffers.of(thread), block);
    }
  });
}

void hot_page(const Disk& disk, const Buffers& buffers, const Options& options, unsigned threads,
              const Report& report) {
  constexpr uint32_t kBlock = 4096;
  const uint64_t at = options.size / 2 / kBlock * kBlock;
  const auto request = [&](unsigned thread, Random& random) {
    if (random.below(100) < 90) {
      disk.read(buffers.of(thread), kBlock, at);
    } else {
      disk.write(buffers.of(thread), kBlock, at);
    }
  };
  report.line("hot-page", kBlock, threads, "rate", rate(threads, options.seconds, request),
              "ops/s");
}

}  // namespace

void run_random(const Options& options, Report& report) {
  constexpr unsigned kManyThreads = 16;
  const Buffers buffers(options.corpus, kManyThreads);
  const Region region(options.reference ? options.size : 0);
  report.set_baseline();
  const Disk disk(options.plugin, disk_parameters(options, options.size));
  sweep(options.size, Buffers::kBytes, 1,
        [&](unsigned t, uint64_t at) { disk.write(buffers.of(t), Buffers::kBytes, at); });

  const auto each = [&](const auto& measure) {
    for (const uint32_t block : options.blocks) {
      for (const unsigned threads : options.threads) {
        measure("random-read", block, threads, 100);
        measure("random-write", block, threads, 0);
        measure("random-mix", block, threads, 70);
      }
    }
  };
  each([&](const char* name, uint32_t block, unsigned threads, unsigned reads) {
    const double value = random_rate(disk, buffers, options, threads, block, reads);
    report.line(name, block, threads, "rate", value, "ops/s");
  });
  for (const unsigned threads : {1u, 2u, kManyThreads}) {
    hot_page(disk, buffers, options, threads, report);
  }
  report.resident_line("random", 0, 0);
  if (!options.reference) return;
  each([&](const char* name, uint32_t block, unsigned threads, unsigned reads) {
    const double copies = random_copy_rate(region, buffers, options, threads, block, reads);
    report.limit(name, block, threads, "rate", copies, "ops/s");
  });
}

}  // namespace bench
