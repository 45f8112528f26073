// Workloads about space: far-apart writes, trims in part, refills, holes, and the start.

#include <algorithm>
#include <limits>

#include "workload.h"

namespace bench {

namespace {

constexpr uint32_t kPage = 4096;
constexpr uint32_t kUnit = 65536;
constexpr uint64_t kSlack = uint64_t{16} << 20;  // what a disk of any size may take

uint64_t random_page(uint64_t size, Random& random) {
  return random.below(size / kPage) * kPage;
}

// Resident size beyond the slack, over what is stored.
double excess(uint64_t resident, uint64_t stored) {
  const uint64_t counted = resident > kSlack ? resident - kSlack : 0;
  return static_cast<double>(counted) / static_cast<double>(stored);
}

// A disk of which the benchmark knows what is stored, in units of 64 KiB.
class TrackedDisk {
 public:
  TrackedDisk(const Disk& disk, const Buffers& buffers)
      : disk_(disk), buffers_(buffers), stored_(disk.size() / kUnit) {}

  void write(uint64_t unit, uint64_t count) {
    for (uint64_t i = unit; i < unit + count; ++i) {
      disk_.write(buffers_.of(0) + i % 4 * kUnit, kUnit, i * kUnit);
      set(i, true);
    }
  }
  void trim(uint64_t unit, uint64_t count) {
    disk_.trim(static_cast<uint32_t>(count * kUnit), unit * kUnit);
    for (uint64_t i = unit; i < unit + count; ++i) set(i, false);
  }
  uint64_t units() const { return stored_.size(); }
  uint64_t stored_units() const { return count_; }
  uint64_t stored_bytes() const { return count_ * kUnit; }

 private:
  void set(uint64_t unit, bool stored) {
    if (stored_[unit] == stored) return;
    stored_[unit] = stored;
    stored ? ++count_ : --count_;
  }

  const Disk& disk_;
  const Buffers& buffers_;
  std::vector<bool> stored_;
  uint64_t count_ = 0;
};

struct Run {
  uint64_t unit;
  uint64_t count;
};

Run random_run(const TrackedDisk& disk, Random& random) {
  const uint64_t unit = random.below(disk.units());
  return {unit, std::min(1 + random.below(16), disk.units() - unit)};
}

}  // namespace

void run_far(const Options& options, Report& report) {
  constexpr uint32_t kStep = 10000;
  const Buffers buffers(options.corpus, 1);
  report.set_baseline();
  WarmMemory warm(options.warm, options.pages);
  const Disk disk(options.plugin, disk_parameters(options, std::numeric_limits<int64_t>::max()));
  Random random(1);
  double seconds = 0;
  for (uint32_t begin = 0; begin < options.count; begin += kStep) {
    const uint32_t end = std::min(options.count, begin + kStep);
    warm.release(options.warm / options.count * (end - begin));
    seconds += together(1, [&](unsigned) {
      for (uint32_t i = begin; i < end; ++i) {
        disk.write(buffers.of(0) + random.below(64) * kPage, kPage,
                   random_page(disk.size(), random));
      }
    });
  }
  warm.release_all();  // so that it is not counted as the disk's
  report.line("far", options.count, 1, "cost", seconds * 1e6 / options.count, "us");
  report.line("far", options.count, 1, "memory",
              static_cast<double>(report.resident()) / options.count, "bytes");
}

void run_trim_half(const Options& options, Report& report) {
  const Buffers buffers(options.corpus, 1);
  report.set_baseline();
  const Disk disk(options.plugin, disk_parameters(options, options.size));
  TrackedDisk tracked(disk, buffers);
  Random random(1);
  const auto order = permutation(static_cast<uint32_t>(tracked.units()), random);
  const double seconds = together(1, [&](unsigned) {
    tracked.write(0, tracked.units());
    for (size_t i = 0; i < order.size() / 2; ++i) tracked.trim(order[i], 1);
  });
  report.line("trim-half", kUnit, 1, "seconds", seconds, "s");
  report.line("trim-half", kUnit, 1, "stored", static_cast<double>(tracked.stored_bytes()),
              "bytes");
  report.resident_line("trim-half", kUnit, 1);
  report.line("trim-half", kUnit, 1, "excess", excess(report.resident(), tracked.stored_bytes()),
              "ratio");
}

void run_refill(const Options& options, Report& report) {
  constexpr int kRounds = 10;
  const Buffers buffers(options.corpus, 1);
  report.set_baseline();
  const Disk disk(options.plugin, disk_parameters(options, options.size));
  TrackedDisk tracked(disk, buffers);
  const uint64_t full = tracked.units() / 8;
  double worst = 0;
  uint64_t most = 0;
  const auto look = [&] {
    worst = std::max(worst, excess(report.resident(), tracked.stored_bytes()));
    most = std::max(most, report.resident());
  };
  const double seconds = together(1, [&](unsigned) {
    Random random(1);
    for (int round = 0; round < kRounds; ++round) {
      while (tracked.stored_units() < full) {
        const Run run = random_run(tracked, random);
        tracked.write(run.unit, run.count);
      }
      look();
      while (tracked.stored_units() > full / 2) {
        const Run run = random_run(tracked, random);
        tracked.trim(run.unit, run.count);
      }
      look();
    }
  });
  report.line("refill", kUnit, 1, "seconds", seconds, "s");
  report.line("refill", kUnit, 1, "most-resident", static_cast<double>(most), "bytes");
  report.line("refill", kUnit, 1, "excess", worst, "ratio");
}

void run_holes(const Options& options, Report& report) {
  constexpr uint64_t kDisk = uint64_t{7} << 60;
  constexpr uint32_t kAlmost4G = std::numeric_limits<uint32_t>::max() / kPage * kPage;
  constexpr uint32_t kBig = 262144;
  const Buffers buffers(options.corpus, 2);
  report.set_baseline();
  const Disk disk(options.plugin, disk_parameters(options, kDisk));
  Random places(1);
  for (int i = 0; i < 1000; ++i) disk.write(buffers.of(0), kPage, random_page(kDisk, places));

  if (disk.can_extents()) {
    nbdkit_extents found;
    const double calls = rate(
        1, options.seconds,
        [&](unsigned, Random& random) {
          found.list.clear();
          disk.extents(kAlmost4G, random_page(kDisk - kAlmost4G, random), found);
          if (found.list.empty()) throw std::runtime_error("no extents reported");
        },
        4);
    report.line("hole-extents", kAlmost4G, 1, "time", 1e6 / calls, "us");
  }
  if (disk.can_trim()) {
    const double calls = rate(
        1, options.seconds,
        [&](unsigned, Random& random) {
          disk.trim(kAlmost4G, random_page(kDisk - kAlmost4G, random));
        },
        4);
    report.line("hole-trim", kAlmost4G, 1, "time", 1e6 / calls, "us");
  }
  for (const uint32_t block : {kPage, kBig}) {
    const double calls = rate(1, options.seconds, [&](unsigned, Random& random) {
      disk.read(buffers.of(1), block, random_page(kDisk - block, random));
    });
    report.line("hole-read", block, 1, "rate", calls, "ops/s");
  }
}

void run_startup(const Options& options, Report& report) {
  const Buffers buffers(options.corpus, 1);
  report.set_baseline();
  WarmMemory(options.size + options.size / 16, options.pages).release_all();
  const Disk disk(options.plugin, disk_parameters(options, options.size));
  report.line("startup", 0, 1, "seconds", disk.start_seconds(), "s");
  report.resident_line("startup", 0, 1);
  disk.write(buffers.of(0), kPage, 0);
}

}  // namespace bench
