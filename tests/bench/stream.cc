// Sequential workloads: first fill, overwrite, read, then trim it all. The limit of each is the
// same done to plain memory: to touch it first while copying, to copy in or out, to give it back.

#include <algorithm>
#include <cstring>

#include "workload.h"

namespace bench {

namespace {

// memcpy as the disk does it: through a pointer that the compiler cannot see through, so that it
// neither inlines the copy nor leaves it out.
void* (*volatile plain_copy)(void*, const void*, size_t) = std::memcpy;

// Every block was written by one of the threads, from its buffer.
void check_content(const Disk& disk, const Buffers& buffers, uint32_t block, unsigned threads) {
  std::vector<std::byte> seen(block);
  for (const uint64_t at : {uint64_t{0}, disk.size() / 4 / block * block}) {
    disk.read(seen.data(), block, at);
    bool known = false;
    for (unsigned t = 0; t < threads; ++t) {
      known = known || std::memcmp(seen.data(), buffers.of(t), block) == 0;
    }
    if (!known) throw std::runtime_error("the disk does not return what was written");
  }
}

}  // namespace

void trim_all(const Disk& disk, const Options& options, const Report& report, const char* name) {
  if (!disk.can_trim()) return;
  constexpr uint64_t kPiece = uint64_t{1} << 30;
  const double begin = now();
  for (uint64_t at = 0; at < disk.size(); at += kPiece) {
    disk.trim(static_cast<uint32_t>(std::min(kPiece, disk.size() - at)), at);
  }
  const double seconds = now() - begin;
  const uint32_t block = options.blocks.front();
  const unsigned threads = options.threads.front();
  report.line(name, block, threads, "speed", mb_per_second(disk.size(), seconds), "MB/s");
  report.resident_line(name, block, threads);
}

void run_stream(const Options& options, Report& report) {
  const uint32_t block = options.blocks.front();
  const unsigned threads = options.threads.front();
  const Buffers buffers(options.corpus, threads);
  Region region(options.reference ? options.size : 0);
  report.set_baseline();
  WarmMemory warm(options.size + options.size / 16, options.pages);
  const bool has_memory = options.allocator.starts_with("malloc");  // from its start
  if (has_memory) warm.release_all();
  const Disk disk(options.plugin, disk_parameters(options, options.size));

  const auto write = [&](unsigned t, uint64_t at) { disk.write(buffers.of(t), block, at); };
  const auto read = [&](unsigned t, uint64_t at) { disk.read(buffers.of(t), block, at); };
  const auto copy_in = [&](unsigned t, uint64_t at) {
    plain_copy(region.at(at), buffers.of(t), block);
  };
  const auto copy_out = [&](unsigned t, uint64_t at) {
    plain_copy(buffers.of(t), region.at(at), block);
  };

  const double fill = first_sweep(warm, options.size, block, threads, write);
  report.line("fill", block, threads, "speed", mb_per_second(options.size, fill), "MB/s");
  if (options.reference) {
    if (!has_memory) region.free(0, options.size);
    const double seconds = sweep(options.size, block, threads, copy_in);
    report.limit("fill", block, threads, "speed", mb_per_second(options.size, seconds), "MB/s");
  }
  report.resident_line("fill", block, threads);
  check_content(disk, buffers, block, threads);

  // Plain memory comes after the disk, so that each disk meets the same caches.
  std::vector<double> speed[4];
  const auto measure = [&](int kind, const auto& op) {
    speed[kind].push_back(mb_per_second(options.size, sweep(options.size, block, threads, op)));
  };
  for (unsigned pass = 0; pass < options.passes; ++pass) {
    measure(0, write);
    measure(1, read);
  }
  report.line("overwrite", block, threads, "speed", median(speed[0]), "MB/s");
  report.line("read", block, threads, "speed", median(speed[1]), "MB/s");
  if (options.reference) {
    for (unsigned pass = 0; pass < options.passes; ++pass) {
      measure(2, copy_in);
      measure(3, copy_out);
    }
    report.limit("overwrite", block, threads, "speed", median(speed[2]), "MB/s");
    report.limit("read", block, threads, "speed", median(speed[3]), "MB/s");
  }
  report.resident_line("overwrite", block, threads);
  trim_all(disk, options, report, "trim");
  if (options.reference && !has_memory) {
    const double begin = now();
    region.free(0, options.size);
    report.limit("trim", block, threads, "speed", mb_per_second(options.size, now() - begin),
                 "MB/s");
  }
}

}  // namespace bench
