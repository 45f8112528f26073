// See measure.h.

#include "measure.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "support/threads.h"

namespace bench {

double now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

void sleep_seconds(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

uint64_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  unsigned long long pages = 0;
  const bool found = file && std::fscanf(file, "%*u %llu", &pages) == 1;
  if (file) std::fclose(file);
  if (!found) throw std::runtime_error("cannot read /proc/self/statm");
  return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::vector<uint32_t> permutation(uint32_t n, Random& random) {
  std::vector<uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0u);
  random.shuffle(order);
  return order;
}

double together(unsigned threads, const std::function<void(unsigned)>& work) {
  double begin = 0;
  std::vector<double> ends(threads);
  ramdisk::support::run_threads(
      static_cast<int>(threads),
      [&](int i) {
        work(static_cast<unsigned>(i));
        ends[i] = now();
      },
      [&] { begin = now(); });
  return *std::max_element(ends.begin(), ends.end()) - begin;
}

Report::Report(std::string plugin, std::string allocator)
    : plugin_(std::move(plugin)), allocator_(std::move(allocator)) {
  // A comma separates the columns, and an allocator's options.
  std::replace(allocator_.begin(), allocator_.end(), ',', '+');
}

void Report::line(const std::string& workload, uint64_t block, unsigned threads,
                  const std::string& metric, double value, const char* unit) const {
  std::printf("%s,%s,%s,%llu,%u,%s,%.6g,%s\n", plugin_.c_str(), allocator_.c_str(),
              workload.c_str(), static_cast<unsigned long long>(block), threads, metric.c_str(),
              value, unit);
  std::fflush(stdout);
}

void Report::limit(const std::string& workload, uint64_t block, unsigned threads,
                   const std::string& metric, double value, const char* unit) const {
  Report("limit", allocator_).line(workload, block, threads, metric, value, unit);
}

uint64_t Report::resident() const {
  const uint64_t all = resident_bytes();
  return all > baseline_ ? all - baseline_ : 0;
}

void Report::resident_line(const std::string& workload, uint64_t block, unsigned threads) const {
  line(workload, block, threads, "resident", static_cast<double>(resident()), "bytes");
}

}  // namespace bench
