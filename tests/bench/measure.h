// Clock, resident size, random numbers, threads that start together, and lines of results.

#ifndef RAMDISK_BENCH_MEASURE_H
#define RAMDISK_BENCH_MEASURE_H

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "support/random.h"

namespace bench {

double now();               // seconds, monotonic
uint64_t resident_bytes();  // VmRSS of this process
void sleep_seconds(double seconds);
double median(std::vector<double> values);  // 0 if there are none

// One for each thread. Every run of a benchmark makes equal requests.
class Random : public ramdisk::support::Rng {
 public:
  explicit Random(uint64_t seed) : Rng(with_seed(seed)) {}

  // Without a division, which would show beside a copy of 4 KiB.
  uint64_t below(uint64_t n) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * n) >> 64);
  }
};

// A random order of 0..n-1.
std::vector<uint32_t> permutation(uint32_t n, Random& random);

// Runs work(i) in `threads` threads that start together. Returns the seconds from the start until
// the last one has ended. An exception in one of them is thrown again here.
double together(unsigned threads, const std::function<void(unsigned)>& work);

// Calls op(random) in `threads` threads, over and over, for `seconds` after a warm-up of a fifth of
// that. Returns the calls per second of all threads together. The time is fixed rather than the
// number of calls, so that one slow thread is not measured alone at the end.
template <typename Op>
double rate(unsigned threads, double seconds, const Op& op, unsigned batch = 16) {
  std::vector<double> rates(threads);
  together(threads, [&](unsigned thread) {
    Random random(thread + 1);
    const auto run_until = [&](double end) {
      uint64_t calls = 0;
      do {
        for (unsigned i = 0; i < batch; ++i) op(thread, random);
        calls += batch;
      } while (now() < end);
      return calls;
    };
    run_until(now() + seconds / 5);
    const double begin = now();
    const uint64_t calls = run_until(begin + seconds);
    rates[thread] = static_cast<double>(calls) / (now() - begin);
  });
  double sum = 0;
  for (const double r : rates) sum += r;
  return sum;
}

// Prints results, one CSV line each: plugin,allocator,workload,block,threads,metric,value,unit.
class Report {
 public:
  Report(std::string plugin, std::string allocator);
  void line(const std::string& workload, uint64_t block, unsigned threads,
            const std::string& metric, double value, const char* unit) const;

  // What the machine does without a disk, as if it were one more plugin.
  void limit(const std::string& workload, uint64_t block, unsigned threads,
             const std::string& metric, double value, const char* unit) const;

  // Resident size beyond what the process had before the disk existed.
  void set_baseline() { baseline_ = resident_bytes(); }
  uint64_t resident() const;
  void resident_line(const std::string& workload, uint64_t block, unsigned threads) const;

 private:
  std::string plugin_;
  std::string allocator_;
  uint64_t baseline_ = 0;
};

}  // namespace bench

#endif
