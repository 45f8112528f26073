// What every group of workloads is given, and what they share.

#ifndef RAMDISK_BENCH_WORKLOAD_H
#define RAMDISK_BENCH_WORKLOAD_H

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "disk.h"
#include "measure.h"
#include "memory.h"

namespace bench {

struct Options {
  std::string plugin;
  std::string name = "plugin";       // how the plugin is called in the results
  std::string allocator = "sparse";  // as in nbdkit's allocator=...
  std::string group;
  std::string corpus;
  uint64_t size = uint64_t{1} << 30;  // of the disk
  uint64_t part = 0;                  // of the disk that random requests go to; 0: all of it
  std::vector<uint32_t> blocks = {4096, 32768, 262144};
  std::vector<unsigned> threads = {1, 2};
  double seconds = 0.3;       // for each point that runs for a time
  double idle = 5;            // seconds of rest, where a workload rests
  uint64_t warm = 0;          // bytes of memory to touch for the far-apart writes
  Pages pages = Pages::huge;  // that the disk asks for
  uint32_t count = 100000;
  unsigned passes = 5;
  bool reference = false;  // measure the machine's limits beside the disk
  bool verbose = false;
};

inline Disk::Parameters disk_parameters(const Options& options, uint64_t size) {
  return {{"size", std::to_string(size)}, {"allocator", options.allocator}};
}

// Calls op(thread, offset) for each block of the range, in ascending order, each thread in a part
// of its own. Returns the seconds it took.
template <typename Op>
double sweep(uint64_t size, uint32_t block, unsigned threads, const Op& op) {
  const uint64_t blocks = size / block;
  return together(threads, [&](unsigned thread) {
    const uint64_t end = blocks * (thread + 1) / threads * block;
    for (uint64_t at = blocks * thread / threads * block; at < end; at += block) op(thread, at);
  });
}

// A sweep over a disk that has no memory yet. Goes in steps, and before each gives back as much
// warm memory as the step may need. Only the sweeps are timed.
template <typename Op>
double first_sweep(WarmMemory& warm, uint64_t size, uint32_t block, unsigned threads,
                   const Op& op) {
  constexpr uint64_t kStep = uint64_t{128} << 20;
  double seconds = 0;
  for (uint64_t begin = 0; begin < size; begin += kStep) {
    const uint64_t step = std::min(kStep, size - begin);
    warm.release(step + step / 16);
    seconds += sweep(step, block, threads, [&](unsigned t, uint64_t at) { op(t, begin + at); });
  }
  warm.release_all();  // so that it is not counted as the disk's
  return seconds;
}

inline double mb_per_second(uint64_t bytes, double seconds) {
  return static_cast<double>(bytes) / seconds / 1e6;
}

// Trims the whole disk; reports the speed and what stays resident, under the given name.
void trim_all(const Disk& disk, const Options& options, const Report& report, const char* name);

// Each of these is a process of its own, so that resident size means this workload's alone.
void run_stream(const Options& options, Report& report);
void run_random(const Options& options, Report& report);
void run_far(const Options& options, Report& report);
void run_trim_half(const Options& options, Report& report);
void run_refill(const Options& options, Report& report);
void run_holes(const Options& options, Report& report);
void run_startup(const Options& options, Report& report);
void run_files_stream(const Options& options, Report& report);
void run_files_random(const Options& options, Report& report);
void run_files_churn(const Options& options, Report& report);
void run_files_burst(const Options& options, Report& report);
void run_incompressible(const Options& options, Report& report);
void run_growth(const Options& options, Report& report);

}  // namespace bench

#endif
