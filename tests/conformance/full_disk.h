// A disk with a limit that is filled to it and then worked on, and what that is measured by.
//
// Everything that was accepted is remembered, a number a page, and can be compared at the end. A
// thread watches that what is counted stays within the limit.
//
// Thread contract: one thread; read() may be called by others while the disk changes.

#ifndef RAMDISK_CONFORMANCE_FULL_DISK_H
#define RAMDISK_CONFORMANCE_FULL_DISK_H

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "full_disk_data.h"
#include "memory/budgeted_memory.h"
#include "support/data.h"
#include "support/factory.h"

namespace ramdisk::conformance {

struct FullDiskSetup {
  AllocatorType type;
  bool recompress;
  uint64_t limit_mib;
  Matter matter;
};
void PrintTo(const FullDiskSetup& setup, std::ostream* out);
std::string name_of_setup(const testing::TestParamInfo<FullDiskSetup>& info);

// What became of a number of requests.
struct Tally {
  uint64_t tried = 0;
  uint64_t accepted = 0;
  double slowest_ms = 0;
  double total_ms = 0;

  uint64_t refused() const { return tried - accepted; }
  double share() const { return tried == 0 ? 1 : double(accepted) / double(tried); }
};

struct PageRun {
  uint64_t first;
  uint64_t count;
};

class FullDisk {
 public:
  explicit FullDisk(const FullDiskSetup& setup);
  ~FullDisk();
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

  Allocator& disk() { return *disk_; }
  uint64_t limit() const { return setup_.limit_mib << 20; }
  uint64_t used() const { return memory_.budget().used(); }
  uint64_t used_empty() const { return used_empty_; }  // by the disk before the first write
  uint64_t most_used() const { return most_used_; }    // as the watching thread saw
  uint64_t pages() const { return ids_.size(); }       // one past the last that was written
  uint64_t stored_pages() const;
  Rng& rng() { return rng_; }

  // Writes `bytes` at the start of `page`: the pages numbered `n` and on of `matter`.
  bool write(uint64_t page, uint64_t bytes, Matter matter, uint64_t n, Tally* tally = nullptr);

  // Appends writes of `bytes` until the first is refused; the bytes accepted by then.
  uint64_t fill(uint64_t bytes);

  // Overwrites random stored pages, one at a time, with pages like those that fill() stored. Ends
  // early when it is plain that many are refused.
  Tally overwrite(uint64_t count);
  // The same, but only pages that are noise, with such of `with`.
  Tally overwrite_noise(uint64_t count, Matter with);

  void trim(PageRun run);

  // Trims the runs. Shares are of what they took, by the average of what was stored.
  struct GivenBack {
    double soon = 0;       // within a second
    double later = 0;      // when background work had come to an end, too
    double segment = 0;    // what one segment is of it: memory goes back in such pieces
    uint64_t bytes = 0;    // of memory, later
    uint64_t content = 0;  // bytes of data like what is stored that take as much, or the bytes
                           // trimmed if that is less
  };
  GivenBack trim_all(const std::vector<PageRun>& runs);

  // Writes as much data into the pages of `runs`, 64 KiB at most at a time.
  Tally refill(const std::vector<PageRun>& runs, uint64_t bytes);

  // Lets background work come to an end, or some seconds pass.
  void settle();

  // Every page holds what was accepted last.
  void verify();

  // One line: the setup, the name and the figure.
  void report(const std::string& row, const std::string& figure) const;
  void report(const std::string& row, const Tally& tally) const;

 private:
  template <typename Chosen>
  Tally overwrite_if(Chosen chosen, uint64_t count, Matter with);
  bool send(uint64_t page, std::span<const std::byte> data, Tally* tally);
  void resolve(uint64_t page, const std::vector<PageId>& fresh);
  bool page_holds(uint64_t page, PageId id);
  bool background_rests() const;
  void watch();

  const FullDiskSetup setup_;
  BudgetedMemory memory_;
  Disk disk_;
  const uint64_t used_empty_;
  Rng rng_{77};
  std::vector<PageId> ids_;
  uint64_t next_ = 0;  // number of the next page of data that fill() stores
  std::atomic<uint64_t> most_used_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<pid_t> watcher_tid_{0};
  std::thread watcher_;
};

// Runs of `run` pages of the first `pages`: shuffled, and `part` of them; or every second one.
std::vector<PageRun> random_runs(uint64_t pages, uint64_t run, double part, Rng& rng);
std::vector<PageRun> every_second_run(uint64_t pages, uint64_t run);

std::string percent(double share);
std::string mib(uint64_t bytes);

}  // namespace ramdisk::conformance

#endif
