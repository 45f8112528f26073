// A disk that is filled to its limit and then used, and the figures by which that is measured.
//
// The test remembers everything that was accepted, as one number for each page, and can compare it
// at the end. A thread watches that the memory counted stays within the limit.
//
// Thread contract: one thread; others may call read() while the disk changes.

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

// The outcome of several requests.
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
  uint64_t used_empty() const {
    return used_empty_;
  }  // memory used by the disk before the first write
  uint64_t most_used() const { return most_used_; }  // as seen by the watching thread
  uint64_t pages() const { return ids_.size(); }     // one past the last page written
  uint64_t stored_pages() const;
  double packed_pages() const;  // what they take when they are compressed, about
  Rng& rng() { return rng_; }

  // Writes `bytes` bytes from the start of `page`: the pages of `matter` from number `n` on.
  bool write(uint64_t page, uint64_t bytes, Matter matter, uint64_t n, Tally* tally = nullptr);

  // Appends writes of `bytes` bytes until one is refused. Returns the bytes accepted by then.
  uint64_t fill(uint64_t bytes);

  // Overwrites random stored pages, one at a time, with pages like those that fill() stored. Ends
  // early when it is clear that many are refused.
  Tally overwrite(uint64_t count);
  // As overwrite(), but overwrites only pages of noise, with pages of `with`.
  Tally overwrite_noise(uint64_t count, Matter with);

  void trim(PageRun run);

  // Trims the runs. Shares are relative to what the runs took, estimated by the average stored
  // page.
  struct GivenBack {
    double soon = 0;       // within a second
    double later = 0;      // after background work has ended
    double segment = 0;    // the share of one segment; memory is returned in such pieces
    uint64_t bytes = 0;    // of memory, later
    uint64_t content = 0;  // bytes of data like what is stored that take as much, or the bytes
                           // trimmed if that is less
  };
  GivenBack trim_all(const std::vector<PageRun>& runs);

  // Writes `bytes` bytes of data into the pages of `runs`, at most 64 KiB at a time; less if all
  // pages would then take more than they did when fill() was refused, by packed_share(): random
  // overwrites may have made the disk larger since, and new pages are refused first.
  Tally refill(const std::vector<PageRun>& runs, uint64_t bytes);

  // Waits until background work has ended, but no longer than some seconds.
  void settle();

  // Expects every page to hold what was accepted last.
  void verify();

  // Prints one line: the setup, the name and the figure.
  void report(const std::string& row, const std::string& figure) const;
  void report(const std::string& row, const Tally& tally) const;

 private:
  template <typename Chosen>
  Tally overwrite_if(Chosen chosen, uint64_t count, Matter with);
  bool send(uint64_t page, std::span<const std::byte> data, Tally* tally);
  void resolve(uint64_t page, const std::vector<PageId>& fresh);
  bool page_holds(uint64_t page, PageId id);
  void watch();

  const FullDiskSetup setup_;
  BudgetedMemory memory_;
  Disk disk_;
  const uint64_t used_empty_;
  Rng rng_{77};
  std::vector<PageId> ids_;
  uint64_t next_ = 0;  // number of the next page of data that fill() stores
  double full_ = 0;    // packed_pages() when fill() was refused
  std::atomic<uint64_t> most_used_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<pid_t> watcher_tid_{0};
  std::thread watcher_;
};

// Divides the first `pages` pages into runs of `run` pages and returns a part `part` of them,
// shuffled; or every second one.
std::vector<PageRun> random_runs(uint64_t pages, uint64_t run, double part, Rng& rng);
std::vector<PageRun> every_second_run(uint64_t pages, uint64_t run);

std::string percent(double share);
std::string mib(uint64_t bytes);

}  // namespace ramdisk::conformance

#endif
