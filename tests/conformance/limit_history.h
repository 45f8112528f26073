// A history of requests to a disk that is close to its limit, and the conditions after each:
//   1. A refused request has left each of its pages old or new, and its neighbours unchanged.
//   2. No more is used than the limit allows.
//   3. Reads and trims succeed, whatever memory there is. Zeroing parts of pages, and overwriting
//      with data that compresses as well, succeed unless the system itself refuses memory.
//   4. A trimmed range can be written again, if no other thread takes the room.
// Random numbers, or the input of a fuzzer, choose the requests.
//
// Thread contract: a LimitedDisk is shared; a LimitHistory belongs to one thread and has pages of
// its own. Complaints are texts, so that only the main thread uses the test framework.

#ifndef RAMDISK_CONFORMANCE_LIMIT_HISTORY_H
#define RAMDISK_CONFORMANCE_LIMIT_HISTORY_H

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "full_disk_data.h"
#include "memory/budgeted_memory.h"
#include "support/data.h"
#include "support/factory.h"
#include "support/failing_memory.h"

namespace ramdisk::conformance {

// The source of decisions.
class Choices {
 public:
  virtual ~Choices() = default;
  virtual uint64_t below(uint64_t bound) = 0;
  virtual bool ended() const { return false; }
};

class RandomChoices final : public Choices {
 public:
  explicit RandomChoices(uint64_t stream) : rng_(stream) {}
  uint64_t below(uint64_t bound) override { return rng_.below(bound); }

 private:
  Rng rng_;
};

// Returns the least limit, in steps of 64 KiB, with which such a disk starts.
uint64_t least_limit(const AllocatorOptions& options, BackgroundTiming pace);

class LimitedDisk {
 public:
  LimitedDisk(const AllocatorOptions& options, uint64_t limit, BackgroundTiming pace);
  ~LimitedDisk();
  LimitedDisk(const LimitedDisk&) = delete;
  LimitedDisk& operator=(const LimitedDisk&) = delete;

  Disk& disk() { return disk_; }
  uint64_t limit() const { return limit_; }
  uint64_t used() const { return memory_.budget().used(); }
  uint64_t most_used() const { return most_used_; }  // as seen by a thread that checks constantly

  // Makes the system refuse memory at times; allow() ends that.
  void fail(uint64_t one_in);
  void allow();
  // A number that is odd while memory fails, and changes when that begins or ends.
  uint32_t weather() const { return weather_; }

  // Trims everything and waits until memory has been returned. Returns an empty text or a
  // complaint.
  std::string empty();

 private:
  const uint64_t limit_;
  FailingMemory* failing_;  // in memory_
  BudgetedMemory memory_;
  Disk disk_;
  const uint64_t used_empty_;
  std::atomic<uint32_t> weather_{0};
  std::atomic<uint64_t> most_used_{0};
  std::atomic<bool> stopping_{false};
  std::thread watcher_;
};

class LimitHistory {
 public:
  // This is number `thread` of `threads` histories on the same disk.
  LimitHistory(LimitedDisk& disk, Choices& choices, uint64_t thread, uint64_t threads);

  // Each returns an empty text or a complaint.
  std::string fill();           // to between 90 and 100 % of the limit
  std::string run(int steps);   // ends early if the choices do
  std::string verify();         // every page
  std::string account() const;  // whether enough overwrites have succeeded

  std::string figures() const;

 private:
  struct Place {
    uint64_t at;  // in bytes, within this history's own pages
    uint64_t count;
  };

  std::string step();
  void fill_up(uint64_t percent);
  std::string write_anything();
  std::string overwrite_alike();
  std::string zero(Place place);
  std::string trim_scattered();
  std::string trim_and_write_again();
  std::string change_weather();
  std::string check(Place place);

  Place any_place(uint64_t most);
  Place whole_pages(uint64_t most);
  Bytes any_data(uint64_t count);
  uint64_t to_disk(uint64_t at) const;
  uint64_t to_run_end(Place place) const;
  // Writes `data`, or zeroes if it is empty. Returns whether everything was accepted; complaints go
  // to complaint_.
  bool change(Place place, const Bytes& data);
  void settle(Place piece, std::span<const std::byte> data);

  LimitedDisk& limited_;
  Allocator& disk_;
  Choices& choices_;
  const uint64_t thread_;
  const uint64_t threads_;
  Bytes model_;
  uint64_t end_ = 0;  // end of the bytes that may have been written
  uint64_t alike_tried_ = 0;
  uint64_t alike_refused_ = 0;
  uint64_t refused_ = 0;          // requests of any kind
  Matter matter_ = Matter::text;  // what fill_up() writes
  uint64_t fill_at_ = 0;
  uint64_t next_page_ = 0;
  uint64_t bad_steps_ = 0;
  std::string complaint_;
};

}  // namespace ramdisk::conformance

#endif
